"""The experiments: a module each, with a frozen `Config`, `SCALES` (tiny, small, paper) and `run(config) -> Run`."""
