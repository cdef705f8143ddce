"""The stability-gap experiment: it measures what a network alone would show, and the methods do what they say."""

import dataclasses
import json

import numpy as np
import pandas as pd
import pytest
import torch

from lossbook.experiments import stability_gap
from lossbook.experiments.run import stream
from lossbook.experiments.stability_gap import METHODS, SCALES, Config, run, scores, stream_of, table_of
from lossbook.metrics import continual_scores, dips
from lossbook.models import multilayer
from lossbook.training import Shuffled

TINY = dataclasses.replace(SCALES["tiny"], methods=tuple(METHODS), iterations=12, tested=60, train=80)


@pytest.fixture(scope="module")
def tiny():
    return run(TINY, progress=False)


def test_history_has_a_row_for_each_update_and_the_tasks_to_come_are_blank(tiny):
    history = tiny.history
    assert len(history) == len(METHODS) * 2 * (1 + 3 * 12)
    for _, rows in history.groupby(["setting", "seed"]):
        assert rows["step"].tolist() == list(range(37))
        assert rows["task"].tolist() == [0] * 13 + [1] * 12 + [2] * 12
        for task in range(3):
            assert rows[f"accuracy {task + 1}"].isna().tolist() == (rows["task"] < task).tolist()


def test_the_same_seed_gives_the_same_bits_and_seeds_can_be_dealt_out(tiny):
    methods = ("replay", "EWC")
    again = run(dataclasses.replace(TINY, methods=methods), progress=False).history
    first = tiny.history[tiny.history.setting.isin(methods)].reset_index(drop=True)
    pd.testing.assert_frame_equal(first, again)
    alone = run(dataclasses.replace(TINY, methods=("replay",), seeds=1, first_seed=1), progress=False).history
    together = first[(first.setting == "replay") & (first.seed == 1)].reset_index(drop=True)
    # One member or two: batched products may round in another order, which a few updates can carry over one image.
    columns = ["accuracy 1", "accuracy 2", "accuracy 3"]
    assert float((alone[columns] - together[columns]).abs().max().max()) <= 2 / 60


def test_all_methods_begin_alike_and_learn_the_first_task_alike(tiny):
    first = tiny.history[tiny.history.task == 0]
    plain = first[first.setting == "finetune"]["accuracy 1"].to_numpy()
    for name, rows in first.groupby("setting"):
        if not name.startswith("joint"):  # that one takes all examples at a step
            assert rows["accuracy 1"].to_numpy() == pytest.approx(plain, abs=2 / 60), name


def test_finetuning_is_what_a_network_alone_would_do():
    """The same task by hand: torch's own layers, loss and optimiser on the same draws."""
    config = dataclasses.replace(SCALES["tiny"], methods=("finetune",), seeds=1, angles=(0.0,), iterations=20)
    data = stream_of(config, 0).tasks[0]
    model = multilayer((20, *config.hidden, 5), generator=stream(0, 1))
    optimizer = torch.optim.SGD(model.parameters(), lr=config.learning_rate, momentum=config.momentum)
    order, generator, found = torch.empty(0, dtype=torch.long), stream(0, 2), []
    for _ in range(20):
        if not len(order):
            order = torch.randperm(len(data.train_labels), generator=generator)
        chosen, order = order[: config.batch_size], order[config.batch_size :]
        optimizer.zero_grad()
        logits = model(data.train_features[chosen])
        torch.nn.functional.cross_entropy(logits, data.train_labels[chosen]).backward()
        optimizer.step()
        with torch.no_grad():
            right = model(data.test_features[: config.tested]).argmax(1) == data.test_labels[: config.tested]
        found.append(float(right.double().mean()))
    history = run(config, progress=False).history
    assert history["accuracy 1"].to_numpy()[1:] == pytest.approx(found, abs=1 / config.tested)


def test_only_projecting_methods_project_and_only_after_the_first_task(tiny):
    projected = tiny.history.groupby(["setting", "task"])["projected"].sum().unstack()
    projecting = {name for name, method in METHODS.items() if method.projection != "none"}
    assert set(projected.index[projected.sum(axis=1) > 0]) <= projecting
    assert (projected[0] == 0).all()
    assert projected.loc["A-GEM"].sum() > 0
    rows = tiny.history[(tiny.history.setting == "A-GEM") & (tiny.history.task > 0)]
    assert ((rows["agreement"] < 0) == (rows["projected"] == 1)).all()


def test_a_projection_that_never_acts_changes_nothing(tiny):
    """Where a seed's run was never projected, it is the run without projection."""
    for plain, projecting in (("replay", "replay + A-GEM"), ("finetune", "A-GEM")):
        for seed in (0, 1):
            rows = tiny.history[(tiny.history.setting == projecting) & (tiny.history.seed == seed)]
            until = int(rows.loc[rows["projected"] == 1, "step"].min() if rows["projected"].any() else 37)
            table, other = table_of(tiny, projecting, seed)[0], table_of(tiny, plain, seed)[0]
            np.testing.assert_allclose(table[:until], other[:until], atol=2 / 60)


def test_memory_remembers_and_finetuning_forgets(tiny):
    found = scores(tiny).groupby("setting")["forgetting"].mean()
    assert found["finetune"] > found["replay"] + 0.1
    assert found["finetune"] > found["joint"] + 0.1


def test_scores_are_those_of_the_metrics(tiny):
    found = scores(tiny).set_index(["setting", "seed"])
    assert len(found) == 2 * len(METHODS)
    table, training = table_of(tiny, "replay", 1)
    assert table.shape == (37, 3)
    row = found.loc[("replay", 1)]
    for name, value in continual_scores(table, training)._asdict().items():
        assert row[name] == value
    every = dips(table, training)
    assert row["depth"] == every.depth.max()
    assert row["deepest"] == every.deepest[every.depth.argmax()]


@pytest.mark.parametrize("scenario", ["class", "task", "domain"])
def test_every_scenario_runs_on_images(scenario):
    methods = ("replay", "LwF", "EWC", "SI", "GEM")
    options = {"methods": methods, "data": "digits", "scenario": scenario, "tasks": 2, "angles": (0.0, 90.0)}
    small = {"seeds": 1, "hidden": (16,), "iterations": 4, "tested": 20, "shrink": 2}
    found = run(Config(**options, **small), progress=False)
    assert len(found.history) == len(methods) * (1 + 2 * 4)
    assert {f"accuracy {k}" for k in (1, 2)} <= set(found.history)


def test_fewer_kept_examples_are_the_first_of_each_task():
    config = dataclasses.replace(SCALES["tiny"], methods=("joint",), seeds=1, iterations=3, kept=5, train=40)
    assert stability_gap._first(stability_gap._examples([stream_of(config, 0)], 0)[0], 5)[0].shape == (1, 5, 20)
    assert len(run(config, progress=False).history) == 1 + 3 * 3


def test_an_interrupted_run_goes_on_to_the_same_bits(tmp_path, tiny):
    config = dataclasses.replace(TINY, methods=("finetune", "replay"))
    run(config, progress=False, folder=tmp_path)
    (done,) = (tmp_path / "units").glob("replay.json")
    done.unlink()  # as if killed while this method ran
    again = run(config, progress=False, folder=tmp_path)
    wanted = tiny.history[tiny.history.setting.isin(config.methods)].reset_index(drop=True)
    pd.testing.assert_frame_equal(again.history, wanted)
    assert json.loads((tmp_path / "config.json").read_text())["experiment"] == "stability_gap"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"data": "mnist"}, "^data: got 'mnist', expected one of 'gaussian'"),
        ({"scenario": "class"}, "^scenario: got 'class', expected one of 'domain'"),
        ({"methods": ("replay", "iCaRL")}, "^methods: got 'iCaRL', expected one of 'finetune'"),
        ({"data": "digits", "scenario": "class", "tasks": 3}, "^tasks: got 3, expected a divisor"),
    ],
)
def test_bad_configs_are_refused_by_name(changes, words):
    with pytest.raises(ValueError, match=words):
        run(dataclasses.replace(SCALES["tiny"], **changes), progress=False)


def test_a_method_or_seed_that_the_run_has_not_is_refused(tiny):
    with pytest.raises(ValueError, match=r"^method: got 'iCaRL'"):
        table_of(tiny, "iCaRL", 0)
    with pytest.raises(ValueError, match=r"^seed: got 7, expected one of \[0, 1\]"):
        table_of(tiny, "replay", 7)


def test_at_the_switch_is_what_one_network_shows():
    """One seed again, without ensembles: torch's own loss, gradients and a step by hand."""
    config = dataclasses.replace(SCALES["tiny"], seeds=2, angles=(0.0, 160.0), iterations=20)
    found = stability_gap.at_the_switch(config).set_index("seed").loc[1]
    old, new = stream_of(config, 1).tasks
    model = multilayer((20, *config.hidden, 5), generator=stream(1, 1))
    batches = Shuffled(config.train, config.batch_size, stream(1, 2))
    loss = torch.nn.functional.cross_entropy
    optimizer = torch.optim.SGD(model.parameters(), lr=config.learning_rate, momentum=config.momentum)
    for _ in range(20):
        chosen = batches()
        optimizer.zero_grad()
        loss(model(old.train_features[chosen]), old.train_labels[chosen]).backward()
        optimizer.step()
    flat = []
    for task in (old, new):
        gradients = torch.autograd.grad(loss(model(task.train_features), task.train_labels), list(model.parameters()))
        flat.append(torch.cat([g.flatten() for g in gradients]))
    # float32 sums in another order: some units in the last of seven places, grown over twenty steps.
    assert found.old_norm == pytest.approx(float(flat[0].norm()), rel=1e-3)
    assert found.new_norm == pytest.approx(float(flat[1].norm()), rel=1e-3)
    step = config.learning_rate / (1 - config.momentum)
    joint = (flat[0] + flat[1]) / 2
    assert found.slope_says == pytest.approx(float(-step * joint @ flat[0]), rel=1e-2, abs=1e-4)
    with torch.no_grad():
        before = loss(model(old.train_features), old.train_labels)
        vector = torch.nn.utils.parameters_to_vector(model.parameters()) - step * joint
        torch.nn.utils.vector_to_parameters(vector, model.parameters())
        rise = loss(model(old.train_features), old.train_labels) - before
    assert found.rise == pytest.approx(float(rise), rel=1e-2)
