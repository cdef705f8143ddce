"""One experiment over a grid of settings and many seeds, dealt out by Dask: a task each, kept, tried again, one table.

Each task runs the experiment in a folder of its own, so that a finished one is never done twice and one that was cut
off goes on where it stopped. Its numbers are those of `lossbook run` with the same config, bit for bit.
"""

import dataclasses
import json
import os
import platform
import tempfile
import threading
import time
import warnings
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from tqdm.auto import tqdm

from lossbook.checks import bad_value, check_count
from lossbook.experiments.cluster import deal
from lossbook.experiments.run import kept, save, versions
from lossbook.experiments.tasks import Plan, Task, in_words, plan

REPORT = "sweep.json"
SECONDS_BETWEEN_REPORTS = 1.0
_one_at_a_time = threading.Lock()  # run_units sets the number of threads of the whole process


@dataclass
class Outcome:
    """What became of a task: "waiting", "done" or "failed", how often it was tried, the seconds, where, the error."""

    status: str = "waiting"
    tries: int = 0
    seconds: float | None = None
    worker: str = ""
    error: str = ""


@dataclass(frozen=True)
class Result:
    """The tidy table of the tasks that are done, and what became of each."""

    table: pd.DataFrame
    outcomes: Mapping[str, Outcome]

    @property
    def failed(self) -> dict[str, str]:
        """The error of each task that failed."""
        return {name: found.error for name, found in self.outcomes.items() if found.status == "failed"}


def sweep(
    name: str,
    grid: Mapping[str, Sequence[Any]],
    *,
    scale: str = "small",
    changes: Mapping[str, Any] | None = None,
    seeds: int | None = None,
    out: str | Path | None = None,
    workers: int | None = None,
    scheduler: str | None = None,
    retries: int = 2,
    progress: bool = True,
) -> pd.DataFrame:
    """Run an experiment at every point of a grid, for every seed, and put all histories into one table.

    In a script, call it under `if __name__ == "__main__":`, for the workers are processes that import the script.

    Args:
        name: a key of `EXPERIMENTS`.
        grid: field of the config -> the values to try.
        scale: which config to begin with.
        changes: other fields of it, the same at all points; `first_seed` among them moves the seeds.
        seeds: how many for each point; by default as many as the config says.
        out: the folder to keep tasks and table in, and to go on in; a temporary one by default.
        workers: processes, by default one for each core, of one thread each.
        scheduler: address of a Dask cluster instead, or its scheduler file; it has to see `out`.
        retries: how often a task that failed is tried again.
        progress: show a bar, a step a task.

    Returns:
        The columns of the grid, `seed`, and those of the histories; a row for each of theirs, in the order of the grid.
        A field whose name is also a column of the history goes by `config_NAME`.

    Raises:
        ValueError: no such experiment, scale or field, no value, no task, or a folder of another sweep.
        TypeError: a value of another type than the config's.

    Warns:
        RuntimeWarning: tasks failed; it names them. The table holds the others.

    Example:
        >>> planned = plan("surrogates", {"step_size": (0.1, 1.0)}, scale="tiny", seeds=2)
        >>> [task.name for task in planned.tasks]
        ['step_size=0.1 seed=0', 'step_size=0.1 seed=1', 'step_size=1.0 seed=0', 'step_size=1.0 seed=1']
    """
    planned = plan(name, grid, scale=scale, changes=changes, seeds=seeds)
    if out is None and scheduler is not None:
        raise bad_value("out", out, "a folder that the cluster sees")
    with tempfile.TemporaryDirectory() if out is None else nullcontext(out) as folder:
        found = carry_out(planned, folder, workers=workers, scheduler=scheduler, retries=retries, progress=progress)
    if found.failed:
        each = "".join(f"\n{task}: {error}" for task, error in found.failed.items())
        warnings.warn(f"{len(found.failed)} of {len(found.outcomes)} tasks failed:{each}", RuntimeWarning, stacklevel=2)
    return found.table


def carry_out(
    planned: Plan,
    folder: str | Path,
    *,
    workers: int | None = None,
    scheduler: str | None = None,
    retries: int = 2,
    progress: bool = True,
) -> Result:
    """Do the tasks that are not done, and write sweep.json, sweep.parquet and sweep.csv.

    An interruption (Ctrl-C) writes what is finished and is raised again; the same call goes on.

    Raises:
        ValueError: the folder holds something else, or no scheduler answers.
    """
    check_count("retries", retries, least=0)
    if workers is not None:
        check_count("workers", workers)
    place = Path(folder).absolute()
    outcomes = _begin(planned, place)
    calls = {
        task.name: (planned.experiment, planned.scale, task.changes, str(place), task.folder)
        for task in planned.tasks
        if outcomes[task.name].status != "done"
    }
    total, reported = len(planned.tasks), time.monotonic()

    def tried(name: str, about: tuple[float, str] | None, error: Exception | None, again: bool) -> None:
        nonlocal reported
        found = outcomes[name]
        found.tries += 1
        found.status = "done" if error is None else "waiting" if again else "failed"
        found.error = "" if error is None else f"{type(error).__name__}: {error}"
        found.seconds, found.worker = about or (None, "")
        bar.update(not again)
        bar.set_postfix(failed=sum(each.status == "failed" for each in outcomes.values()), refresh=False)
        if time.monotonic() > reported + SECONDS_BETWEEN_REPORTS:
            _report(planned, outcomes, place)
            reported = time.monotonic()

    try:
        done = total - len(calls)
        with tqdm(desc=planned.experiment, total=total, initial=done, disable=not progress, leave=False) as bar:
            if calls:
                cores = min(workers or os.cpu_count() or 1, len(calls))
                deal(do, calls, tried, workers=cores, scheduler=scheduler, retries=retries)
    finally:
        _report(planned, outcomes, place)
        table = _table(planned, outcomes, place)
        if len(table):
            table.to_parquet(place / "sweep.parquet")
            table.to_csv(place / "sweep.csv", index=False)
    return Result(table, outcomes)


def do(experiment: str, scale: str, changes: Mapping[str, Any], folder: str, name: str) -> tuple[float, str]:
    """One task, in a folder of its own: what a worker calls. The seconds it took, and where."""
    from lossbook.experiments import EXPERIMENTS

    if not (Path(folder) / REPORT).exists():
        raise bad_value("out", folder, f"a folder that the worker on {platform.node()} sees too")
    module, place = EXPERIMENTS[experiment], Path(folder) / name
    config = dataclasses.replace(module.SCALES[scale], **changes)
    began = time.perf_counter()
    with _one_at_a_time:
        save(module.run(config, progress=False, folder=place), place)
    return time.perf_counter() - began, f"{platform.node()}:{os.getpid()}"


def _begin(planned: Plan, place: Path) -> dict[str, Outcome]:
    """The folder made, or found to be of this sweep; what is known of each task."""
    before: dict[str, Mapping[str, Any]] = {}
    path = place / REPORT
    if path.is_file():
        about = json.loads(path.read_text(encoding="utf-8"))
        if _identity(about) != _identity(_about(planned, {})):
            raise bad_value("out", str(place), "an empty folder, or one of the same experiment, config and fields")
        before = {each["task"]: each for each in about["tasks"]}
    elif place.exists() and (not place.is_dir() or any(place.iterdir())):
        raise bad_value("out", str(place), "an empty folder, or one that a sweep began")
    outcomes = {}
    for task in planned.tasks:
        earlier = before.get(task.name, {})
        tries, run = earlier.get("tries", 0), kept(task.config, place / task.folder)
        outcomes[task.name] = Outcome(tries=tries)
        if run is not None:
            seconds = earlier.get("seconds") or run["seconds"]
            outcomes[task.name] = Outcome("done", max(1, tries), seconds, earlier.get("worker", ""))
    place.mkdir(parents=True, exist_ok=True)
    _report(planned, outcomes, place)
    return outcomes


def _identity(about: Mapping[str, Any]) -> tuple[Any, ...]:
    """What a sweep cannot change on its way. More values and more seeds can be asked for."""
    return about["experiment"], about["scale"], about["changes"], sorted(about["grid"])


def _about(planned: Plan, outcomes: Mapping[str, Outcome]) -> dict[str, Any]:
    tasks = [
        {"task": task.name, "folder": task.folder, **dataclasses.asdict(outcomes[task.name])}
        for task in planned.tasks
        if task.name in outcomes
    ]
    about = {
        "experiment": planned.experiment,
        "scale": planned.scale,
        "changes": planned.changes,
        "grid": planned.grid,
        "seeds": list(dict.fromkeys(task.seed for task in planned.tasks if task.seed is not None)),
        "versions": versions(),
        "tasks": tasks,
    }
    return json.loads(json.dumps(about))  # tuples as the lists that they are read back as


def _report(planned: Plan, outcomes: Mapping[str, Outcome], place: Path) -> None:
    unfinished = place / f"{REPORT}.part"
    unfinished.write_text(json.dumps(_about(planned, outcomes), indent=2) + "\n", encoding="utf-8")
    unfinished.replace(place / REPORT)


def _table(planned: Plan, outcomes: Mapping[str, Outcome], place: Path) -> pd.DataFrame:
    """The histories of the tasks that are done, in the order of the plan."""
    parts, seen = [], set()
    for task in planned.tasks:
        if outcomes[task.name].status != "done":
            continue
        rows = pd.read_parquet(place / task.folder / "history.parquet")
        if task.seed is not None and "seed" in rows:
            point = tuple(map(in_words, task.point.values()))
            if point in seen:  # what has no seed of its own came with the first seed of this point
                rows = rows[rows.seed == task.seed]
            seen.add(point)
        parts.append(_with_settings(task, rows))
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()


def _with_settings(task: Task, rows: pd.DataFrame) -> pd.DataFrame:
    """The point and the seed in front of the columns of a history."""
    front: dict[str, Any] = {
        f"config_{field}" if field in rows else field: in_words(value) if isinstance(value, tuple) else value
        for field, value in task.point.items()
    }
    if "seed" in rows or task.seed is not None:
        front["seed"] = rows.seed if "seed" in rows else task.seed
    return rows.assign(**front)[[*front, *(column for column in rows if column not in front)]]
