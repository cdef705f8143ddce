"""Runs: written and read back whole, taken up after an interruption, never mixed with another config."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
import pytest
import torch

from lossbook.experiments.run import Run, Snapshot, Unit, load, run_units, save


@dataclass(frozen=True)
class Config:
    taus: tuple[float, ...] = (0.5, 1.5)
    epochs: int = 3
    data: str = "digits"


def unit(name: str, seed: int = 0) -> Unit:
    values = torch.rand(3, generator=torch.Generator().manual_seed(seed)).double().numpy()
    rows = pd.DataFrame(
        {"setting": name, "seed": seed, "step": range(3), "loss": values, "error": [0.5, np.nan, np.inf]}
    )
    arrays = {
        "weight": values.astype(np.float32).reshape(1, 3),
        "wrong": np.array([True, False]),
        "labels": np.arange(4),
    }
    return Unit(rows, (Snapshot(name, 0, arrays), Snapshot(name, 2, {"weight": values[::-1]})))


class Work:
    """Units of work that count how often each is done, and stop at one of them if told to."""

    def __init__(self, names: list[str], stop_at: str = ""):
        self.done: list[str] = []
        self.stop_at = stop_at
        self.units = {name: lambda name=name, k=k: self._do(name, k) for k, name in enumerate(names)}

    def _do(self, name: str, seed: int) -> Unit:
        if name == self.stop_at:
            raise KeyboardInterrupt
        self.done.append(name)
        return unit(name, seed)


def assert_same(first: Run, second: Run) -> None:
    pd.testing.assert_frame_equal(first.history, second.history, check_exact=True)
    assert first.config == second.config
    assert [(s.setting, s.step, list(s.arrays)) for s in first.snapshots] == [
        (s.setting, s.step, list(s.arrays)) for s in second.snapshots
    ]
    for one, other in zip(first.snapshots, second.snapshots, strict=True):
        for name, array in one.arrays.items():
            assert array.dtype == other.arrays[name].dtype
            np.testing.assert_array_equal(array, other.arrays[name])


NAMES = ["tau=0.5", "tau=1.5", "tau=1.8"]


def test_units_are_done_in_order_and_put_together():
    work = Work(NAMES)
    run = run_units("test", Config(), work.units, progress=False)
    assert work.done == NAMES
    assert run.history.setting.tolist() == [name for name in NAMES for _ in range(3)]
    assert run.history.index.tolist() == list(range(9))
    assert [s.setting for s in run.snapshots] == [name for name in NAMES for _ in range(2)]
    assert run.experiment == "test"
    assert set(run.versions) == {"python", "torch", "numpy"}


def test_a_run_is_read_back_as_it_was_written(tmp_path):
    run = run_units("test", Config(taus=(0.1,)), Work(NAMES).units, progress=False)
    save(run, tmp_path / "run")
    again = load(tmp_path / "run", Config)
    assert_same(run, again)
    assert (again.experiment, again.seconds, again.device, dict(again.versions)) == (
        run.experiment,
        run.seconds,
        run.device,
        dict(run.versions),
    )


def test_nothing_is_pickled(tmp_path):
    save(run_units("test", Config(), Work(NAMES).units, progress=False), tmp_path)
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "history.json",
        "history.parquet",
        "history.safetensors",
        "run.json",
    ]


def test_a_folder_without_a_run_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"folder: got .*expected a folder that `save` wrote"):
        load(tmp_path, Config)


def test_an_interrupted_run_goes_on_where_it_stopped_and_ends_the_same(tmp_path):
    whole = run_units("test", Config(), Work(NAMES).units, progress=False)
    first = Work(NAMES, stop_at="tau=1.8")
    with pytest.raises(KeyboardInterrupt):
        run_units("test", Config(), first.units, progress=False, folder=tmp_path)
    assert first.done == NAMES[:2]
    second = Work(NAMES)
    resumed = run_units("test", Config(), second.units, progress=False, folder=tmp_path)
    assert second.done == ["tau=1.8"]
    assert_same(whole, resumed)


def test_a_finished_run_is_only_read(tmp_path):
    whole = run_units("test", Config(), Work(NAMES).units, progress=False, folder=tmp_path)
    work = Work(NAMES)
    assert_same(whole, run_units("test", Config(), work.units, progress=False, folder=tmp_path))
    assert work.done == []


def test_a_unit_that_was_cut_off_while_it_was_written_is_done_again(tmp_path):
    run_units("test", Config(), Work(NAMES).units, progress=False, folder=tmp_path)
    (tmp_path / "units" / "tau=1.5.json").unlink()  # written last
    (tmp_path / "units" / "tau=1.5.parquet").write_bytes(b"half a file")
    work = Work(NAMES)
    assert_same(
        run_units("test", Config(), work.units, progress=False, folder=tmp_path),
        run_units("test", Config(), Work(NAMES).units, progress=False),
    )
    assert work.done == ["tau=1.5"]


@pytest.mark.parametrize("names", [["tau=1", "tau=1.5", "tau=1.50"], ["a/b", "c", "a/c"]])
def test_names_with_dots_and_slashes_do_not_meet(tmp_path, names):
    whole = run_units("test", Config(), Work(names).units, progress=False, folder=tmp_path)
    again = run_units("test", Config(), Work(names, stop_at=names[0]).units, progress=False, folder=tmp_path)
    assert_same(whole, again)
    assert again.history.setting.unique().tolist() == names


@pytest.mark.parametrize(("experiment", "config"), [("test", Config(epochs=4)), ("another", Config())])
def test_a_folder_of_another_config_or_experiment_is_refused_and_left_alone(tmp_path, experiment, config):
    run_units("test", Config(), Work(NAMES).units, progress=False, folder=tmp_path)
    kept = (tmp_path / "config.json").read_text(encoding="utf-8")
    work = Work(NAMES)
    with pytest.raises(ValueError, match=r"folder: got .*expected an empty folder, or one begun with the same"):
        run_units(experiment, config, work.units, progress=False, folder=tmp_path)
    assert work.done == []
    assert (tmp_path / "config.json").read_text(encoding="utf-8") == kept
