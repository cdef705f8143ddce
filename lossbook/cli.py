"""The command line: lossbook lab | doctor | catalog | run | bench.

Each command opens only the rooms that it needs, so that `lossbook --help` is as quick as `import lossbook`.
"""

import argparse
import dataclasses
import os
import sys
from collections.abc import Callable, Collection, Iterable, Sequence
from pathlib import Path
from typing import Any


class UsageError(Exception):
    """A request that cannot be met as it was put. `main` prints it and returns 2."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        argv: the words after `lossbook`; those of the process by default.

    Returns:
        0, or 1 when `doctor` misses something needed, or 2 when the request cannot be met, or 130 when Ctrl-C ended a
        benchmark early.
    """
    parser = _parser()
    options, rest = parser.parse_known_args(argv)
    if rest and options.command not in (_lab, _bench):
        parser.error(f"unrecognized arguments: {' '.join(rest)}")
    options.rest = rest
    try:
        return options.command(options)
    except UsageError as error:
        print(f"lossbook {options.name}: {error}", file=sys.stderr)
        return 2


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="lossbook", description="A workbook about loss functions that runs.")
    commands = parser.add_subparsers(title="commands", dest="name", required=True)

    def command(name: str, run: Callable[[argparse.Namespace], int], about: str) -> argparse.ArgumentParser:
        added = commands.add_parser(name, help=about, description=about)
        added.set_defaults(command=run)
        return added

    command(
        "lab", _lab, "Open JupyterLab on the first chapter. Further options, such as --no-browser, go to JupyterLab."
    )
    command("doctor", _doctor, "Print versions, device, engines and data, and what is missing with its remedy.")

    catalog = command("catalog", _catalog, "Print the systems of the book, or with --losses its losses.")
    catalog.add_argument("--losses", action="store_true", help="the losses instead of the systems")
    catalog.add_argument("--family", help="only this family of losses")
    catalog.add_argument("--chapter", help="only this chapter, by its two digits")
    catalog.add_argument("--status", help="only what is implemented, or planned")
    catalog.add_argument("--kind", help="only systems of this kind, such as loss or metric")

    run = command("run", _run, "Run an experiment.")
    run.add_argument("experiment", nargs="?", metavar="NAME", help="its name; --list prints them")
    run.add_argument("--list", action="store_true", help="print the names of the experiments, one a line")
    run.add_argument(
        "--scale", default="small", help="tiny (seconds), small (a minute, the default) or paper (as published)"
    )
    run.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="change a field of the config; repeatable"
    )
    run.add_argument(
        "--out", type=Path, metavar="FOLDER", help="keep the run there, and go on there after an interruption"
    )

    bench = command("bench", _bench, "Measure the book's engines and their peers on this device, or its explorers.")
    bench.add_argument("--quick", action="store_true", help="two minutes on two CPU cores instead of the whole set")
    bench.add_argument("--only", metavar="KIND", help="only rows, linear or pairs")
    bench.add_argument("--out", type=Path, metavar="FILE", help="write the table there (CSV, and Markdown beside it)")
    bench.add_argument(
        "--record", action="store_true", help="keep the table in data/benchmarks/; on a GPU it is kept unless --quick"
    )
    bench.add_argument("--widgets", action="store_true", help="from slider to new picture, for each explorer")
    return parser


def _lab(options: argparse.Namespace) -> int:
    from lossbook.catalog.papers import NOTEBOOKS

    root = Path(__file__).resolve().parents[1]
    first = root / "notebooks" / NOTEBOOKS["00"]
    if not first.exists():
        raise UsageError(f"no chapters at {first.parent}: clone the repository and run `make lab` in it")
    from jupyterlab.labapp import LabApp

    # As the default address, and not as the file to open, it also stands in the link that is printed for --no-browser.
    where = [f"--ServerApp.root_dir={root}", f"--LabApp.default_url=/lab/tree/notebooks/{first.name}"]
    # Containers run as root, where JupyterLab starts only when told that this is meant.
    as_root = ["--allow-root"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []
    LabApp.launch_instance([*where, *as_root, *options.rest])
    return 0


def _doctor(options: argparse.Namespace) -> int:
    from lossbook import doctor

    findings = doctor.examine()
    print(doctor.report(findings))
    return 1 if doctor.lacking(findings) else 0


def _catalog(options: argparse.Namespace) -> int:
    from lossbook.catalog import RECORDS
    from lossbook.catalog.papers import CHAPTERS, KINDS

    families = dict.fromkeys(record.family for record in RECORDS.values())
    for name, choices in (
        ("family", families),
        ("chapter", CHAPTERS),
        ("status", ("implemented", "planned")),
        ("kind", KINDS),
    ):
        if getattr(options, name) is not None:
            _check_among(f"--{name}", getattr(options, name), choices)
    if options.losses and (options.status or options.kind):
        raise UsageError("--status and --kind select systems: leave out --losses")
    (_print_losses if options.losses else _print_systems)(options)
    return 0


def _print_losses(options: argparse.Namespace) -> None:
    from lossbook.catalog import RECORDS

    rows = [
        (record.key, record.chapter, record.family, record.origin, ", ".join(record.defaults) or "-", record.title)
        for record in RECORDS.values()
        if options.family in (None, record.family) and options.chapter in (None, record.chapter)
    ]
    _print_columns(("loss", "chapter", "family", "origin", "parameters", "title"), rows)


def _print_systems(options: argparse.Namespace) -> None:
    from lossbook.catalog import RECORDS
    from lossbook.catalog.papers import papers

    of_family = {record.system for record in RECORDS.values() if record.family == options.family}
    found = [
        paper
        for paper in papers().values()
        if (options.family is None or paper.key in of_family)
        and options.chapter in (None, paper.chapter)
        and options.status in (None, paper.status)
        and (options.kind is None or options.kind in paper.kind)
    ]
    rows = [(p.key, p.chapter, p.status, ", ".join(p.kind), str(p.year or "-"), p.title) for p in found]
    _print_columns(("system", "chapter", "status", "kind", "year", "title"), rows)
    print(f"{sum(paper.implemented for paper in found)} of {len(found)} implemented")


def _run(options: argparse.Namespace) -> int:
    from lossbook.experiments import EXPERIMENTS
    from lossbook.experiments.run import save

    if options.list:
        print("\n".join(EXPERIMENTS))
        return 0
    if options.experiment is None:
        raise UsageError("which experiment? --list prints them")
    _check_among("NAME", options.experiment, EXPERIMENTS)
    experiment = EXPERIMENTS[options.experiment]
    _check_among("--scale", options.scale, experiment.SCALES)
    config = experiment.SCALES[options.scale]
    try:
        run = experiment.run(dataclasses.replace(config, **_changes(config, options.set)), folder=options.out)
    except ValueError as error:  # its message names the field, what it got and what was expected
        raise UsageError(str(error)) from error
    print(run.history.to_string(max_rows=24))
    print(f"{options.experiment}: {len(run.history)} rows in {run.seconds:.1f} s on {run.device}")
    if options.out is not None:
        save(run, options.out)
        print(f"kept in {options.out}")
    return 0


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
        _check_among("--only", options.only, benchmarks.KINDS)
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


def _changes(config: Any, assignments: Iterable[str]) -> dict[str, Any]:
    """What KEY=VALUE says, each value read as the type that the config's own has."""
    changes = {}
    for assignment in assignments:
        key, equals, text = assignment.partition("=")
        if not equals:
            raise UsageError(f"--set: got {assignment!r}, expected KEY=VALUE")
        _check_among("--set", key, [field.name for field in dataclasses.fields(config)])
        changes[key] = _like(getattr(config, key), key, text)
    return changes


def _like(current: Any, key: str, text: str) -> Any:
    if isinstance(current, tuple):
        return tuple(_like(current[0] if current else "", key, part.strip()) for part in text.split(","))
    if isinstance(current, str) or current is None:
        return text
    try:
        if isinstance(current, bool):
            return {"true": True, "false": False}[text.lower()]
        return type(current)(text)
    except (KeyError, ValueError, TypeError):
        raise UsageError(f"--set {key}: got {text!r}, expected a value like {current!r}") from None


def _check_among(argument: str, value: str, choices: Collection[str]) -> None:
    if value not in choices:
        raise UsageError(
            f"{argument}: got {value!r}, expected one of {', '.join(choices) or 'none: there are none yet'}"
        )


def _print_columns(head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    lines = [head, *rows]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)][:-1]  # the last column runs on
    for line in lines:
        print("  ".join([*(cell.ljust(width) for cell, width in zip(line, widths, strict=False)), line[-1]]))


if __name__ == "__main__":
    sys.exit(main())
