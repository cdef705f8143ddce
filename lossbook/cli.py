"""The command line: lossbook lab | doctor | catalog | run | sweep | bench.

Each command opens only the rooms that it needs, so that `lossbook --help` is as quick as `import lossbook`.
"""

import argparse
import dataclasses
import os
import sys
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any

SWEEP_HELP = """\
One task for each point of the grid and each seed, each in a folder of its own under FOLDER/tasks. A task that is done
is not done again: the same command goes on after Ctrl-C or a crash, and with more values or seeds it does what is new.
A task that fails, or whose worker dies, is tried again; one that goes on failing is reported, and the rest goes on.
FOLDER/sweep.parquet and sweep.csv hold the histories with the columns of the grid in front, sweep.json what was asked
and what became of each task. Semicolons go between values that hold commas: --grid "hidden=64;64,64".

On a cluster, start Dask's workers with one thread each, where lossbook is installed and FOLDER is shared. Slurm:
  dask scheduler --scheduler-file dask.json & srun -n 20 dask worker --nthreads 1 --scheduler-file dask.json &
  lossbook sweep ... --scheduler dask.json
or SLURMCluster of dask-jobqueue, and on Kubernetes KubeCluster of dask-kubernetes with a shared volume: give their
scheduler_address to --scheduler."""


class UsageError(Exception):
    """A request that cannot be met as it was put. `main` prints it and returns 2."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        argv: the words after `lossbook`; those of the process by default.

    Returns:
        0, or 1 when `doctor` misses something needed or a task of a sweep failed, or 2 when the request cannot be met,
        or 130 when Ctrl-C ended a run, a sweep or a benchmark early.
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
        "--out", type=Path, metavar="FOLDER", help="keep the run there, and go on there after an interruption"
    )

    sweep = command("sweep", _sweep, "Run an experiment over a grid of settings and many seeds, on Dask.")
    sweep.epilog = SWEEP_HELP
    sweep.formatter_class = argparse.RawDescriptionHelpFormatter
    sweep.add_argument("experiment", metavar="NAME", help="its name; lossbook run --list prints them")
    sweep.add_argument(
        "--grid", action="append", default=[], metavar="KEY=A,B,C", help="values to try of a field; repeatable"
    )
    sweep.add_argument("--seeds", type=int, metavar="N", help="seeds at each point; as the config has it by default")
    sweep.add_argument("--workers", type=int, metavar="N", help="processes on this machine; one a core by default")
    sweep.add_argument("--scheduler", metavar="ADDRESS", help="a Dask cluster instead: its address or scheduler file")
    sweep.add_argument("--retries", type=int, default=2, metavar="N", help="how often a failed task is tried again (2)")
    sweep.add_argument(
        "--out", type=Path, required=True, metavar="FOLDER", help="keep tasks and table there, and go on there"
    )

    for either in (run, sweep):
        either.add_argument(
            "--scale", default="small", help="tiny (seconds), small (a minute, the default) or paper (as published)"
        )
        either.add_argument(
            "--set", action="append", default=[], metavar="KEY=VALUE", help="change a field of the config; repeatable"
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
    from lossbook.experiments.configs import changed
    from lossbook.experiments.run import save

    if options.list:
        print("\n".join(EXPERIMENTS))
        return 0
    if options.experiment is None:
        raise UsageError("which experiment? --list prints them")
    experiment, config = _experiment(options)
    try:
        run = experiment.run(dataclasses.replace(config, **changed(config, options.set)), folder=options.out)
    except ValueError as error:  # its message names the field, what it got and what was expected
        raise UsageError(str(error)) from error
    except KeyboardInterrupt:
        return _interrupted(options)
    print(run.history.to_string(max_rows=24))
    print(f"{options.experiment}: {len(run.history)} rows in {run.seconds:.1f} s on {run.device}")
    if options.out is not None:
        save(run, options.out)
        print(f"kept in {options.out}")
    return 0


def _sweep(options: argparse.Namespace) -> int:
    from lossbook.experiments.configs import changed, grid_of
    from lossbook.experiments.sweep import carry_out
    from lossbook.experiments.tasks import plan

    _, config = _experiment(options)
    how = {name: getattr(options, name) for name in ("workers", "scheduler", "retries")}
    try:
        grid, changes = grid_of(config, options.grid), changed(config, options.set)
        planned = plan(options.experiment, grid, scale=options.scale, changes=changes, seeds=options.seeds)
        found = carry_out(planned, options.out, **how)
    except ValueError as error:
        raise UsageError(str(error)) from error
    except KeyboardInterrupt:
        return _interrupted(options)
    for name, why in found.failed.items():
        print(f"failed: {name}: {why}", file=sys.stderr)
    total = len(planned.tasks)
    print(f"{options.experiment}: {total - len(found.failed)} of {total} tasks, {len(found.table)} rows")
    print(f"kept in {options.out}: sweep.parquet, sweep.csv, sweep.json")
    return 1 if found.failed else 0


def _experiment(options: argparse.Namespace) -> tuple[Any, Any]:
    """The module that a command names, and its config at the scale."""
    from lossbook.experiments import EXPERIMENTS

    _check_among("NAME", options.experiment, EXPERIMENTS)
    experiment = EXPERIMENTS[options.experiment]
    _check_among("--scale", options.scale, experiment.SCALES)
    return experiment, experiment.SCALES[options.scale]


def _interrupted(options: argparse.Namespace) -> int:
    kept = f"; what is finished is kept in {options.out}, and the same command goes on" if options.out else ""
    print(f"lossbook {options.name}: interrupted{kept}", file=sys.stderr)
    return 130


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
