"""lossbook run | sweep: one experiment, or one over a grid of settings and seeds."""

import argparse
import dataclasses
import sys
from pathlib import Path
from typing import Any

from lossbook.cli.request import Adder, UsageError, check_among

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


def add(command: Adder) -> None:
    """Add the commands of this module to the parser."""
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

    check_among("NAME", options.experiment, EXPERIMENTS)
    experiment = EXPERIMENTS[options.experiment]
    check_among("--scale", options.scale, experiment.SCALES)
    return experiment, experiment.SCALES[options.scale]


def _interrupted(options: argparse.Namespace) -> int:
    kept = f"; what is finished is kept in {options.out}, and the same command goes on" if options.out else ""
    print(f"lossbook {options.name}: interrupted{kept}", file=sys.stderr)
    return 130
