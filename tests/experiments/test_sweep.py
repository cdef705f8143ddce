"""Sweeps: every point and seed once, the numbers of `lossbook run`, and nothing lost to failures, kills and Ctrl-C."""

import csv
import json
import signal
import threading
import time
from dataclasses import dataclass, replace
from types import ModuleType

import pandas as pd
import psutil
import pytest

from lossbook import experiments
from lossbook.experiments import surrogates
from lossbook.experiments.run import Unit, load, run_units, seeds_of
from lossbook.experiments.sweep import carry_out, do, sweep
from lossbook.experiments.tasks import LONGEST, plan

exactly = {"check_exact": True}


@dataclass(frozen=True)
class Config:
    rate: float = 0.1
    widths: tuple[int, ...] = (8,)
    data: str = "iris"
    deep: bool = False
    seeds: int = 2
    first_seed: int = 0


@pytest.fixture
def sketch(monkeypatch):
    """An experiment whose runs are counted, and fail where `failures` says so, as often as it says."""
    module = ModuleType("sketch")
    module.SCALES, module.done, module.failures, module.before = {"tiny": Config()}, [], {}, lambda config: None

    def of_seed(config, seed):
        module.before(config)
        if module.failures.get((config.rate, seed), 0):
            module.failures[config.rate, seed] -= 1
            raise ArithmeticError(f"seed {seed} diverged")
        module.done.append((config.rate, seed))
        return Unit(pd.DataFrame({"setting": "s", "seed": seed, "step": range(2), "loss": [config.rate / 3, seed / 7]}))

    def of_none():
        return Unit(pd.DataFrame({"setting": "none", "seed": [0], "step": [0], "loss": [0.5]}))

    def run(config, progress=True, folder=None):
        units = {f"seed {seed}": lambda seed=seed: of_seed(config, seed) for seed in seeds_of(config)}
        if config.deep:
            units["no seed"] = of_none
        return run_units("sketch", config, units, progress=progress, folder=folder)

    module.run = run
    monkeypatch.setitem(experiments.EXPERIMENTS, "sketch", module)
    return module


@pytest.fixture
def swept(sketch, scheduler, tmp_path):
    """A sweep of the sketch, into the same folder each time."""

    def go(grid, changes=None, seeds=None, retries=2):
        planned = plan("sketch", grid, scale="tiny", changes=changes, seeds=seeds)
        return carry_out(planned, tmp_path / "out", scheduler=scheduler, retries=retries, progress=False)

    return go


def told(folder):
    return json.loads((folder / "out" / "sweep.json").read_text(encoding="utf-8"))


RATES = {"rate": (0.1, 0.2)}


def test_the_table_has_every_point_and_seed_in_the_order_of_the_grid(swept, sketch, tmp_path):
    found = swept(RATES | {"data": ("iris", "wine")}, seeds=3)
    points = [(rate, data, seed) for rate in (0.1, 0.2) for data in ("iris", "wine") for seed in range(3)]
    assert list(found.table[["rate", "data", "seed"]].itertuples(index=False, name=None))[::2] == points
    assert found.table.columns.tolist() == ["rate", "data", "seed", "setting", "step", "loss"]
    parts = [
        sketch.run(Config(rate=rate, data=data, seeds=3)).history for rate, data in dict.fromkeys(p[:2] for p in points)
    ]
    union = pd.concat(parts, ignore_index=True)
    pd.testing.assert_frame_equal(found.table[union.columns], union, **exactly)
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "out" / "sweep.parquet"), found.table, **exactly)
    with (tmp_path / "out" / "sweep.csv").open(encoding="utf-8", newline="") as file:
        written = list(csv.DictReader(file))
    assert [float(row["loss"]) for row in written] == found.table.loss.tolist()


def test_a_task_is_kept_as_the_run_of_its_own_config(swept, tmp_path):
    swept(RATES)
    kept = load(tmp_path / "out" / "tasks" / "rate=0.2 seed=1", Config)
    assert kept.config == Config(rate=0.2, seeds=1, first_seed=1)
    assert kept.history.seed.unique().tolist() == [1]


def test_what_is_done_is_not_done_again_and_more_can_be_asked_for(swept, sketch):
    first = swept(RATES)
    sketch.done.clear()
    pd.testing.assert_frame_equal(swept(RATES).table, first.table, **exactly)
    assert sketch.done == []
    more = swept({"rate": (0.1, 0.2, 0.3)}, seeds=3)
    assert sorted(sketch.done) == [(0.1, 2), (0.2, 2), (0.3, 0), (0.3, 1), (0.3, 2)]
    assert {name: found.tries for name, found in more.outcomes.items()} == dict.fromkeys(more.outcomes, 1)


def test_a_task_that_fails_once_is_tried_again(swept, sketch, tmp_path):
    sketch.failures[0.2, 1] = 1
    found = swept(RATES)
    assert found.failed == {}
    assert [each["tries"] for each in told(tmp_path)["tasks"]] == [1, 1, 1, 2]
    assert len(found.table) == 8


def test_a_task_that_goes_on_failing_is_reported_and_the_rest_goes_on(swept, sketch, tmp_path):
    sketch.failures[0.1, 1] = 3
    found = swept(RATES, retries=2)
    assert found.failed == {"rate=0.1 seed=1": "ArithmeticError: seed 1 diverged"}
    assert [(each["status"], each["tries"]) for each in told(tmp_path)["tasks"]] == [
        ("done", 1), ("failed", 3), ("done", 1), ("done", 1)
    ]  # fmt: skip
    assert len(found.table) == 6
    sketch.done.clear()
    assert len(swept(RATES).table) == 8  # the cause is gone, and the next call does what failed
    assert sketch.done == [(0.1, 1)]


def test_the_python_door_warns_of_failures_and_needs_no_folder(sketch, scheduler, tmp_path):
    sketch.failures[0.1, 0] = 9
    with pytest.warns(RuntimeWarning, match="1 of 4 tasks failed:\nrate=0.1 seed=0: ArithmeticError: seed 0 diverged"):
        table = sweep("sketch", RATES, scale="tiny", out=tmp_path / "a", scheduler=scheduler, retries=0, progress=False)
    assert list(zip(table.rate, table.seed, strict=True))[::2] == [(0.1, 1), (0.2, 0), (0.2, 1)]


@pytest.fixture
def ctrl_c():
    """Ctrl-C does what it does in a fresh process, whatever event loops and process servers of other tests left."""
    handler = signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    yield
    signal.signal(signal.SIGINT, handler or signal.default_int_handler)


@pytest.mark.skipif(not hasattr(signal, "pthread_kill"), reason="no such signals on Windows")
def test_an_interruption_keeps_what_is_finished_and_the_same_call_goes_on(swept, sketch, tmp_path, ctrl_c):
    whole = sketch.run(Config(seeds=4), progress=False).history
    sketch.done.clear()
    stopped = threading.Event()

    def interrupt(config):
        if not stopped.is_set() and len(list(tmp_path.glob("out/tasks/*/history.json"))) == 2:
            signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)
            assert stopped.wait(60)  # as a task that goes on for long

    sketch.before = interrupt
    with pytest.raises(KeyboardInterrupt):
        swept({}, seeds=4)
    finished = sketch.done.copy()
    assert len(finished) == 2
    assert len(told(tmp_path)["tasks"]) == 4
    stopped.set()
    pd.testing.assert_frame_equal(swept({}, seeds=4).table[whole.columns], whole, **exactly)
    assert all(sketch.done.count(task) == 1 for task in finished)


def workers():
    """The processes that Dask has begun from this one."""
    children = psutil.Process().children(recursive=True)
    return [child for child in children if "spawn_main" in " ".join(child.cmdline())]


def test_a_killed_worker_loses_nothing_and_the_numbers_are_those_of_run_bit_for_bit(tmp_path):
    """A process this time, killed in the middle of the first of two tasks: by SIGKILL where there is such a thing."""
    changes = {"losses": ("hinge_loss", "logistic_loss", "savage_loss"), "steps": 400}
    before = {}

    def kill():
        deadline = time.monotonic() + 120
        while not before and time.monotonic() < deadline:
            time.sleep(0.02)
            before.update((unit, unit.stat().st_mtime_ns) for unit in tmp_path.glob("tasks/*/units/*.json"))
        for worker in workers():
            worker.kill()

    killer = threading.Thread(target=kill)
    killer.start()
    planned = plan("surrogates", {"step_size": (0.1, 1.0)}, scale="tiny", changes=changes)
    found = carry_out(planned, tmp_path, workers=1, progress=False)
    killer.join()
    assert [(each.status, each.tries) for each in found.outcomes.values()] == [("done", 2), ("done", 1)]
    assert len(before) < len(list((tmp_path / planned.tasks[0].folder).glob("units/*.json")))  # it was in the middle
    assert all(unit.stat().st_mtime_ns == then for unit, then in before.items())  # and this much was not done again
    for size, part in found.table.groupby("step_size"):
        config = replace(surrogates.SCALES["tiny"], **changes, step_size=size)
        expected = surrogates.run(config, progress=False).history
        pd.testing.assert_frame_equal(part[expected.columns].reset_index(drop=True), expected, **exactly)
    assert workers() == []


def test_rows_that_belong_to_no_seed_stand_once_for_each_point(swept):
    table = swept(RATES, changes={"deep": True, "first_seed": 5}).table
    assert table[table.setting == "none"].rate.tolist() == [0.1, 0.2]
    assert sorted(table[table.setting == "s"].seed.unique()) == [5, 6]


def test_a_field_that_the_history_names_too_goes_by_another_name(scheduler, tmp_path):
    grid = {"taus": ((0.0,), (1.5,)), "classes": (2, 3)}
    planned = plan("consistency", grid, scale="tiny", changes={"gaps": 2, "points": 3})
    table = carry_out(planned, tmp_path / "out", scheduler=scheduler, progress=False).table
    assert table.columns[:2].tolist() == ["taus", "config_classes"]
    assert [task.seed for task in planned.tasks] == [None] * 4
    assert table.groupby("taus").tau.unique().map(list).to_dict() == {"0.0": [0.0], "1.5": [1.5]}


def test_odd_and_long_values_have_folders_too(swept, tmp_path):
    names = ("a/b:c", "../up", "x" * 300, "x" * 299 + "y")
    found = swept({"data": names}, seeds=1)
    assert found.table.data.unique().tolist() == list(names)
    folders = [path.name for path in (tmp_path / "out" / "tasks").iterdir()]
    assert len(folders) == 4
    assert max(map(len, folders)) <= LONGEST + 13


@pytest.mark.parametrize(
    ("grid", "options", "message"),
    [
        ({"speed": (1.0,)}, {}, "grid: got 'speed', expected one of rate, widths, data, deep"),
        ({"seeds": (1, 2)}, {}, "grid: got 'seeds', expected one of rate, widths, data, deep"),
        ({"rate": ()}, {}, r"grid rate: got \(\), expected at least one value"),
        ({"rate": 0.1}, {}, r"grid rate: got 0.1 \(float\), expected a list of values"),
        ({"data": "iris"}, {}, r"grid data: got 'iris' \(str\), expected a list of values"),
        ({"rate": ("high",)}, {}, r"grid rate: got 'high' \(str\), expected a value like 0.1"),
        ({"rate": (0.1, 0.10)}, {}, "grid rate: got 0.1, expected each value once"),
        ({"rate": (0.1,)}, {"changes": {"rate": 0.2}}, "grid: got 'rate', expected a field that is not set to one"),
        (RATES, {"changes": {"speed": 0.2}}, "changes: got 'speed', expected one of rate, widths"),
        (RATES, {"seeds": 0}, "seeds: got 0, expected an integer >= 1"),
        (RATES, {"scale": "huge"}, "scale: got 'huge', expected one of 'tiny'"),
        (RATES, {"retries": -1}, "retries: got -1, expected an integer >= 0"),
        (RATES, {"workers": 0}, "workers: got 0, expected an integer >= 1"),
        (
            RATES,
            {"scheduler": "abacus://here"},
            "scheduler: got 'abacus://here', expected the address or file of",
        ),
        (RATES, {"scheduler": "abacus://here", "out": None}, "out: got None, expected a folder that the cluster sees"),
    ],
    ids=lambda value: "" if isinstance(value, str) else str(value),
)
def test_bad_input_is_refused_before_anything_runs(sketch, tmp_path, grid, options, message):
    with pytest.raises((ValueError, TypeError), match=f"^{message}"):
        sweep("sketch", grid, **({"scale": "tiny", "out": tmp_path / "out"} | options))
    assert sketch.done == []


def test_an_experiment_without_seeds_has_none_to_deal_out():
    with pytest.raises(ValueError, match="seeds: got 3, expected none: the config of softmax_speed has no seeds"):
        plan("softmax_speed", {"spread": (1.0,)}, seeds=3)
    with pytest.raises(ValueError, match=r"grid: got \{\}, expected at least one field to vary"):
        plan("softmax_speed", {})


@pytest.mark.parametrize("other", [{"scale": "tiny", "changes": {"data": "wine"}}, {"grid": {"data": ("wine",)}}])
def test_the_folder_of_another_sweep_is_refused_and_left_alone(swept, sketch, tmp_path, other):
    swept(RATES)
    before = told(tmp_path)
    with pytest.raises(ValueError, match=r"out: got .*expected an empty folder, or one of the same experiment, config"):
        sweep("sketch", **({"grid": RATES, "scale": "tiny", "out": tmp_path / "out"} | other))
    assert told(tmp_path) == before


def test_a_folder_of_something_else_is_refused(sketch, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "letter.txt").write_text("mine")
    with pytest.raises(ValueError, match=r"out: got .*expected an empty folder, or one that a sweep began"):
        sweep("sketch", RATES, scale="tiny", out=tmp_path / "out")


def test_a_worker_that_does_not_see_the_folder_says_so(sketch, tmp_path):
    with pytest.raises(ValueError, match=r"out: got .*expected a folder that the worker on .* sees too"):
        do("sketch", "tiny", {}, str(tmp_path / "elsewhere"), "tasks/seed=0")
