"""What every experiment returns, and how it survives an interruption.

An experiment is a frozen config and a function `run(config, progress=True, folder=None) -> Run`. It splits its work
into named units (a seed, a setting). With a folder, each finished unit is written at once, and a later call with the
same config goes on where the last one stopped.
"""

import dataclasses
import json
import platform
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import pandas as pd
import torch
from safetensors.numpy import load_file, save_file
from threadpoolctl import threadpool_limits
from tqdm.auto import tqdm

from lossbook.checks import bad_value, check_count
from lossbook.datasets._files import folders


@dataclass(frozen=True)
class Snapshot:
    """The state of one setting at one step: a few named arrays."""

    setting: str
    step: int
    arrays: Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Unit:
    """What one unit of work gives: rows of the tidy history, and snapshots."""

    rows: pd.DataFrame
    snapshots: tuple[Snapshot, ...] = ()


@dataclass(frozen=True)
class Run:
    """A finished experiment: its config, a tidy history (a row per setting, seed and step), snapshots, where it ran."""

    experiment: str
    config: Any
    history: pd.DataFrame
    snapshots: tuple[Snapshot, ...] = ()
    seconds: float = 0.0
    device: str = "cpu"
    versions: Mapping[str, str] = field(default_factory=dict)


def stream(seed: int, purpose: int) -> torch.Generator:
    """Random numbers for one purpose (0 to 9) of a seed, so that changing one leaves the others as they were."""
    return torch.Generator().manual_seed(10 * seed + purpose)


def seeds_of(config: Any) -> range:
    """The seeds of a config: `seeds` of them from `first_seed` on, so that a sweep can deal them out one by one."""
    check_count("seeds", config.seeds)
    check_count("first_seed", config.first_seed, least=0)
    return range(config.first_seed, config.first_seed + config.seeds)


def versions() -> dict[str, str]:
    """The versions that a result depends on."""
    return {"python": platform.python_version(), "torch": str(torch.__version__), "numpy": np.__version__}


def run_units(
    experiment: str,
    config: Any,
    units: Mapping[str, Callable[..., Unit]],
    *,
    progress: bool = True,
    folder: str | Path | None = None,
    device: torch.device | str = "cpu",
    checkpoints: bool = False,
) -> Run:
    """Do the units of an experiment in order, with a progress bar; with a folder, keep each and skip those there.

    Args:
        experiment, config: what this is; a folder begun with others is refused.
        units: name -> function that does the work.
        progress: show a bar, a step a unit.
        folder: where finished units are kept, and looked for.
        device: named in the run.
        checkpoints: units take one argument, the folder for checkpoints within the unit; None where nothing is kept. It
            goes when the unit is done.

    Raises:
        ValueError: the folder holds units of another config.
    """
    began = time.perf_counter()
    place = None if folder is None else _open(Path(folder), experiment, config)
    done: list[Unit] = []
    with _one_thread():
        for name, work in tqdm(units.items(), desc=experiment, disable=not progress, leave=False):
            path = None if place is None else place / "units" / quote(name, safe=" ,=")
            unit = _read(path) if path is not None and _beside(path, ".json").exists() else None
            if unit is None:
                inside = None if path is None else _beside(path, ".checkpoints")
                unit = work(inside) if checkpoints else work()
                if path is not None and inside is not None:
                    _write(path, unit)
                    shutil.rmtree(inside, ignore_errors=True)
            done.append(unit)
    history = pd.concat([unit.rows for unit in done], ignore_index=True)
    snapshots = tuple(snapshot for unit in done for snapshot in unit.snapshots)
    return Run(experiment, config, history, snapshots, time.perf_counter() - began, str(device), versions())


@contextmanager
def _one_thread() -> Iterator[None]:
    """Inside it, one thread: small networks gain nothing from more and lose much on a busy machine.

    And sums that are split over threads would make a result depend on the number of cores.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with threadpool_limits(1):
            yield
    finally:
        torch.set_num_threads(threads)


def save(run: Run, folder: str | Path) -> None:
    """Write a run: run.json, history.parquet, snapshots.safetensors. Nothing is pickled."""
    place = Path(folder)
    place.mkdir(parents=True, exist_ok=True)
    about = {
        "experiment": run.experiment,
        "config": _plain(run.config),
        "seconds": run.seconds,
        "device": run.device,
        "versions": dict(run.versions),
    }
    (place / "run.json").write_text(json.dumps(about, indent=2) + "\n", encoding="utf-8")
    _write(place / "history", Unit(run.history, run.snapshots))


def load(folder: str | Path, config_class: type) -> Run:
    """Read a run that `save` wrote.

    Args:
        folder: the folder given to `save`.
        config_class: the experiment's frozen Config.

    Raises:
        FileNotFoundError: no run there.
    """
    place = Path(folder)
    if not (place / "run.json").exists():
        raise FileNotFoundError(f"folder: got {str(place)!r}, expected a folder that `save` wrote, with run.json in it")
    about = json.loads((place / "run.json").read_text(encoding="utf-8"))
    fields = {f.name: f for f in dataclasses.fields(config_class)}
    config = config_class(
        **{k: tuple(v) if isinstance(v, list) else v for k, v in about["config"].items() if k in fields}
    )
    unit = _read(place / "history")
    return Run(
        about["experiment"], config, unit.rows, unit.snapshots, about["seconds"], about["device"], about["versions"]
    )


def recorded(name: str, config_class: type) -> Run:
    """A run that comes with the book, in data/runs: made beforehand, for it takes longer than a chapter may.

    Args:
        name: of its folder.
        config_class: the experiment's frozen Config.

    Raises:
        FileNotFoundError: no run of that name.
    """
    places = [folder / "runs" / name for folder in folders()]
    return load(next((place for place in places if (place / "run.json").exists()), places[-1]), config_class)


def kept(config: Any, folder: str | Path) -> dict[str, Any] | None:
    """What run.json says of the run of this config that `save` wrote there; None where there is none, or not all."""
    path = Path(folder) / "run.json"
    if not (Path(folder) / "history.json").exists():  # written last
        return None
    about = json.loads(path.read_text(encoding="utf-8"))
    return about if about["config"] == _plain(config) else None


def _plain(config: Any) -> dict[str, Any]:
    return json.loads(json.dumps(dataclasses.asdict(config)))


def _open(place: Path, experiment: str, config: Any) -> Path:
    (place / "units").mkdir(parents=True, exist_ok=True)
    about = {"experiment": experiment, "config": _plain(config)}
    path = place / "config.json"
    if path.exists() and json.loads(path.read_text(encoding="utf-8")) != about:
        raise bad_value("folder", str(place), "an empty folder, or one begun with the same experiment and config")
    path.write_text(json.dumps(about, indent=2) + "\n", encoding="utf-8")
    return place


def _beside(path: Path, suffix: str) -> Path:
    return path.parent / (path.name + suffix)  # a unit's name may hold dots


def _write(path: Path, unit: Unit) -> None:
    """The JSON is written last: a unit is there when its JSON is."""
    unit.rows.to_parquet(_beside(path, ".parquet"))
    arrays = {
        f"{i}/{name}": np.ascontiguousarray(array)
        for i, snapshot in enumerate(unit.snapshots)
        for name, array in snapshot.arrays.items()
    }
    save_file(arrays, _beside(path, ".safetensors"))
    index = [{"setting": s.setting, "step": s.step, "arrays": list(s.arrays)} for s in unit.snapshots]
    unfinished = _beside(path, ".json.part")
    unfinished.write_text(json.dumps(index), encoding="utf-8")
    unfinished.replace(_beside(path, ".json"))


def _read(path: Path) -> Unit:
    arrays = load_file(_beside(path, ".safetensors"))
    index = json.loads(_beside(path, ".json").read_text(encoding="utf-8"))
    snapshots = tuple(
        Snapshot(about["setting"], about["step"], {name: arrays[f"{i}/{name}"] for name in about["arrays"]})
        for i, about in enumerate(index)
    )
    return Unit(pd.read_parquet(_beside(path, ".parquet")), snapshots)
