"""Modular addition and sparse parity: the methods differ in nothing else, and what is measured is what it says."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
import torch

from lossbook.datasets import modular_addition as pairs_of
from lossbook.experiments import modular_addition, sparse_parity
from lossbook.experiments._full_batch import METHODS, row_loss_of
from lossbook.experiments.modular_addition import PairNetworks, first_step
from lossbook.experiments.run import recorded, stream
from lossbook.losses import cross_entropy, stablemax_cross_entropy
from lossbook.metrics import collapsed
from lossbook.models import Ensemble, multilayer

TINY = modular_addition.SCALES["tiny"]
EVERY = dataclasses.replace(TINY, methods=tuple(METHODS), steps=(20,))


@pytest.fixture(scope="module")
def tiny():
    return modular_addition.run(EVERY, progress=False)


def without(rows, *columns):
    return rows.drop(columns=list(columns)).reset_index(drop=True)


def test_the_same_config_gives_the_same_bits(tiny):
    again = modular_addition.run(EVERY, progress=False)
    pd.testing.assert_frame_equal(tiny.history, again.history, check_exact=True)
    for one, other in zip(tiny.snapshots, again.snapshots, strict=True):
        assert all(np.array_equal(one.arrays[name], other.arrays[name]) for name in one.arrays)


def test_the_history_is_tidy_and_snapshots_are_of_the_first_seed(tiny):
    assert tiny.history.setting.unique().tolist() == list(METHODS)
    assert not tiny.history.duplicated(["setting", "seed", "step"]).any()
    assert sorted(tiny.history.step.unique()) == [0, 10, 20]
    assert tiny.history.notna().all().all()
    assert {(shot.setting, shot.step) for shot in tiny.snapshots} == {(n, s) for n in METHODS for s in (0, 10, 20)}
    assert {shot.arrays["logits"].shape for shot in tiny.snapshots} == {(4, TINY.modulus)}


def test_all_methods_on_a_network_start_from_the_same_one(tiny):
    start = tiny.history[tiny.history.step == 0]
    perceptrons = start[~start.setting.str.startswith("transformer")]
    for column in ("train_accuracy", "test_accuracy", "weight_norm"):
        assert (perceptrons.groupby("seed")[column].nunique() == 1).all()
    assert start.groupby("setting").weight_norm.nunique().eq(2).all()  # the two seeds differ


def test_a_seed_trains_as_it_would_without_the_others(tiny):
    alone = modular_addition.run(dataclasses.replace(TINY, methods=("float64",), first_seed=1, seeds=1), progress=False)
    together = tiny.history[(tiny.history.setting == "float64") & (tiny.history.seed == 1)]
    alone = alone.history[alone.history.step <= 20]
    # Batched products may sum in another order; 20 steps leave that at rounding, but for what counts whole pairs.
    pd.testing.assert_frame_equal(without(alone), without(together), rtol=1e-3, atol=1e-5)


def test_looking_rows_up_is_the_product_with_one_hot_pairs():
    p, seeds = 7, (0, 1, 2)
    networks = [multilayer((2 * p, 6, 5, p), generator=stream(seed, 2), bias=False) for seed in seeds]
    tokens, one_hot = (
        torch.stack([pairs_of(p, encoding=kind, generator=stream(seed, 1)).train_features for seed in seeds])
        for kind in ("indices", "one-hot")
    )
    looked_up, whole = PairNetworks(networks), Ensemble(networks)
    found, wanted = looked_up(tokens, own=True), whole(one_hot, own=True)
    torch.testing.assert_close(found, wanted)
    found.square().sum().backward()
    wanted.square().sum().backward()
    for one, other in zip(looked_up.parameters(), whole.parameters(), strict=True):
        torch.testing.assert_close(one.grad, other.grad)


def test_the_row_loss_is_cross_entropy_in_the_method_s_format_or_stablemax_in_float64():
    z, target = 3 * torch.randn(8, 2, 5, generator=stream(0, 0)), torch.randint(0, 5, (8, 2), generator=stream(0, 1))
    for name, tolerance in (("float16", 1e-2), ("float32", 1e-6), ("float64", 1e-6)):
        found = row_loss_of(METHODS[name], z, target)
        assert found.dtype == METHODS[name].softmax
        wanted = cross_entropy(z, target, reduction="none")
        torch.testing.assert_close(found.float(), wanted, rtol=tolerance, atol=tolerance)
    found = row_loss_of(METHODS["stablemax"], z, target)
    torch.testing.assert_close(found, stablemax_cross_entropy(z.double(), target, reduction="none"))


def test_what_is_measured_of_the_kept_examples_agrees_with_their_logits(tiny):
    for shot in tiny.snapshots:
        logits, target = torch.from_numpy(shot.arrays["logits"]), shot.arrays["target"]
        row = tiny.history[(tiny.history.setting == shot.setting) & (tiny.history.step == shot.step)].iloc[0]
        if row.train_accuracy == 1:
            assert (logits[:3].argmax(1).numpy() == target[:3]).all()
        if row.collapsed_float32 == 0:
            assert not collapsed(logits[:3]).any()


def test_longer_weights_lower_the_loss_once_every_pair_is_right():
    run = modular_addition.run(dataclasses.replace(TINY, methods=("float32",), steps=(200,)), progress=False)
    right = run.history[run.history.train_accuracy == 1]
    assert len(right) >= 4
    assert (right.alignment > 0).all()


def test_float16_collapses_while_float64_does_not():
    config = dataclasses.replace(TINY, methods=("float16", "float64"), hidden=64, steps=(200,), learning_rate=0.03)
    end = modular_addition.run(config, progress=False).history.groupby("setting").last()
    assert end.collapsed["float16"] > 0.5
    assert end.collapsed["float64"] == 0


def test_a_killed_run_goes_on_to_the_same_numbers(tmp_path, monkeypatch):
    config = dataclasses.replace(TINY, methods=("perpgrad",), steps=(30,))
    whole = modular_addition.run(config, progress=False)
    from lossbook.experiments import _full_batch

    original, calls = _full_batch.zero_share, []

    def killed(*given, **options):
        calls.append(None)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return original(*given, **options)

    training = _full_batch.train
    monkeypatch.setattr(_full_batch, "train", lambda *g, **o: training(*g, **o, checkpoint_every=5))
    monkeypatch.setattr(_full_batch, "zero_share", killed)
    with pytest.raises(KeyboardInterrupt):
        modular_addition.run(config, progress=False, folder=tmp_path)
    assert list(tmp_path.rglob("training"))
    monkeypatch.setattr(_full_batch, "zero_share", original)
    again = modular_addition.run(config, progress=False, folder=tmp_path)
    pd.testing.assert_frame_equal(whole.history, again.history, check_exact=True)


def test_a_method_ends_once_every_seed_is_good_enough():
    config = dataclasses.replace(TINY, methods=("perpgrad",), enough=0.0)
    assert modular_addition.run(config, progress=False).history.step.unique().tolist() == [0]


def test_first_step_is_the_first_measured_step_at_the_value_and_nan_where_there_is_none(tiny):
    rows = tiny.history[tiny.history.setting == "float32"]
    found = first_step(tiny, "float32", "train_accuracy", 0.2)
    for seed in (0, 1):
        reached = rows[(rows.seed == seed) & (rows.train_accuracy >= 0.2)].step
        assert found[seed] == reached.min()
    assert first_step(tiny, "float32", "train_accuracy", 2.0).isna().all()


def test_sparse_parity_trains_the_methods_on_networks_without_biases():
    run = sparse_parity.run(sparse_parity.SCALES["tiny"], progress=False)
    again = sparse_parity.run(sparse_parity.SCALES["tiny"], progress=False)
    pd.testing.assert_frame_equal(run.history, again.history, check_exact=True)
    assert run.history.setting.unique().tolist() == ["float32", "float64", "stablemax", "perpgrad"]
    assert (run.history[run.history.step == 0].groupby("seed").test_accuracy.nunique() == 1).all()
    assert not run.history.duplicated(["setting", "seed", "step"]).any()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"methods": ()}, "methods: got"),
        ({"methods": ("float8",)}, "methods: got 'float8', expected one of 'float16'"),
        ({"steps": (1, 2, 3)}, "steps: got .* expected one number, or one for each of the 4 methods"),
        ({"steps": (0,)}, "steps: got 0"),
        ({"hidden": 0}, "hidden: got 0"),
        ({"learning_rate": 0.0}, "learning_rate: got 0.0"),
        ({"second_beta": 1.0}, "second_beta: got 1.0"),
        ({"weight_decay": -1.0}, "weight_decay: got -1.0"),
        ({"seeds": 0}, "seeds: got 0"),
        ({"fraction": 0.0}, "fraction: got 0.0"),
    ],
)
def test_a_config_that_cannot_be_trained_is_refused(changes, words):
    with pytest.raises(ValueError, match=words):
        modular_addition.run(dataclasses.replace(TINY, **changes), progress=False)
    if changes.get("methods"):
        with pytest.raises(ValueError, match="methods: got 'transformer'"):
            sparse_parity.run(
                dataclasses.replace(sparse_parity.SCALES["tiny"], methods=("transformer",)), progress=False
            )


RECORDED = ("modular_addition_paper", "modular_addition_stablemax", "modular_addition_transformer")


@pytest.mark.parametrize("name", RECORDED)
def test_a_recorded_run_is_there_whole_and_says_where_it_ran(name):
    run = recorded(name, modular_addition.Config)
    assert run.experiment == "modular_addition"
    assert run.history.setting.unique().tolist() == list(run.config.methods)
    assert run.history.groupby("setting").seed.nunique().eq(run.config.seeds).all()
    assert run.history.step.max() == max(run.config.steps)
    assert run.device
    assert run.seconds > 0


def test_a_run_that_was_not_recorded_is_named():
    with pytest.raises(FileNotFoundError, match="no such run"):
        recorded("no such run", modular_addition.Config)
