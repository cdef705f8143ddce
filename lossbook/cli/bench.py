"""lossbook bench: how fast the engines and the explorers are here."""

import argparse
import sys
from pathlib import Path

from lossbook.cli.request import Adder, UsageError, check_among


def add(command: Adder) -> None:
    """Add the command to the parser."""
    bench = command("bench", _bench, "Measure the book's engines and their peers on this device, or its explorers.")
    bench.add_argument("--quick", action="store_true", help="two minutes on two CPU cores instead of the whole set")
    bench.add_argument("--only", metavar="KIND", help="only rows, linear or pairs")
    bench.add_argument("--out", type=Path, metavar="FILE", help="write the table there (CSV, and Markdown beside it)")
    bench.add_argument(
        "--record", action="store_true", help="keep the table in data/benchmarks/; on a GPU it is kept unless --quick"
    )
    bench.add_argument("--widgets", action="store_true", help="from slider to new picture, for each explorer")
    bench.set_defaults(takes_rest=True)  # of --widgets


def _bench(options: argparse.Namespace) -> int:
    if options.widgets:
        if options.quick or options.only or options.out or options.record:
            raise UsageError("--widgets measures explorers: leave out --quick, --only, --out and --record")
        from lossbook.widgets import benchmark

        benchmark.main(options.rest)
        return 0
    if options.rest:
        raise UsageError(f"unrecognized arguments: {' '.join(options.rest)}")
    from lossbook import benchmarks, device

    if options.only is not None:
        check_among("--only", options.only, benchmarks.KINDS)
    if options.out is not None and not options.out.absolute().parent.is_dir():
        raise UsageError(f"--out: got {str(options.out)!r}, expected a file in a folder that is there")
    try:
        place = device()
    except ValueError as error:  # LOSSBOOK_DEVICE names none
        raise UsageError(str(error)) from error
    chosen = benchmarks.configurations(place, options.quick, options.only)
    limit = benchmarks.LIMITS.get((place.type, options.quick))
    table = benchmarks.run(chosen, place, limit=limit, say=lambda line: print(line, file=sys.stderr, flush=True))
    print(benchmarks.text(table))
    kept = [options.out] if options.out is not None else []
    if options.record or (place.type == "cuda" and not options.quick):
        kept.append(None)
    for path in kept if len(table) else ():
        print(f"kept in {benchmarks.save(table, path)}")
    return 130 if table.attrs["interrupted"] else 0
