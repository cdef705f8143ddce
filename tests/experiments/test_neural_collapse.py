"""Neural collapse on real images: tidy, deterministic, resumable, and what it measures is what the metrics say."""

import dataclasses
from functools import partial

import numpy as np
import pandas as pd
import pytest
import torch

from lossbook.experiments import neural_collapse
from lossbook.experiments.neural_collapse import LOSSES, PLAIN, SCALES, summary
from lossbook.models import Ensemble

TINY = SCALES["tiny"]


@pytest.fixture(scope="module")
def tiny():
    return neural_collapse.run(TINY, progress=False)


def test_the_same_config_gives_the_same_bits(tiny):
    again = neural_collapse.run(TINY, progress=False)
    pd.testing.assert_frame_equal(tiny.history, again.history, check_exact=True)
    for one, other in zip(tiny.snapshots, again.snapshots, strict=True):
        assert all(np.array_equal(one.arrays[name], other.arrays[name]) for name in one.arrays)


def test_the_history_is_tidy(tiny):
    assert set(tiny.history.setting) == set(TINY.settings)
    assert sorted(tiny.history.seed.unique()) == [0, 1]
    assert not tiny.history.duplicated(["setting", "seed", "step"]).any()
    assert tiny.history.step.min() == 0
    assert tiny.history.step.max() == TINY.steps
    parts = ["within_part", "means_part", "classifier_part"]
    assert np.isfinite(tiny.history.select_dtypes("number").drop(columns=parts)).all().all()
    assert (tiny.history[parts].notna().all(axis=1) == (tiny.history.setting == "squared error")).all()


def test_the_parts_of_the_squared_error_add_up_to_it(tiny):
    rows = tiny.history.query("setting == 'squared error'")
    # K/2 times the loss, a mean over classes; what weight decay adds is not negative
    data = TINY.classes / 2 * rows.loss
    assert (rows[["within_part", "means_part", "classifier_part"]].sum(axis=1) >= data * (1 - 1e-5)).all()


def test_within_a_seed_all_losses_begin_with_the_same_network_and_two_seeds_do_not(tiny):
    start = tiny.history[(tiny.history.step == 0) & ~tiny.history.setting.str.endswith(PLAIN)]
    for _, rows in start.groupby("seed"):
        # members sit at different places of one batched product, which may round differently
        assert rows.nc1.max() == pytest.approx(rows.nc1.min(), rel=1e-5)
    assert start.nc1.nunique() > 1
    assert start.groupby("seed").nc1.mean().diff().abs().iloc[-1] > 1e-3


def test_a_loss_trains_as_it_would_without_the_others(tiny):
    alone = dataclasses.replace(TINY, settings=("focal",), steps=20)
    together = dataclasses.replace(TINY, settings=("squentropy", "focal"), steps=20)
    found = neural_collapse.run(alone, progress=False).history
    among = neural_collapse.run(together, progress=False).history.query("setting == 'focal'").reset_index(drop=True)
    # 20 steps of rounding in sums of another order
    columns = ["loss", "nc1", "coherence", "nc3"]
    pd.testing.assert_frame_equal(found[columns], among[columns], rtol=1e-2, atol=1e-4)


def test_every_loss_is_one_number_a_row_and_learns_its_label():
    logits = torch.tensor([[4.0, 0.0, 0.0], [0.0, 4.0, 0.0]])
    for name, loss in LOSSES.items():
        right, wrong = (loss(logits, torch.tensor(target)) for target in ([0, 1], [1, 0]))
        assert right.shape == (2,), name
        assert bool((right < wrong).all()), name


def test_label_smoothing_and_squared_error_are_those_of_torch(generator):
    logits = torch.randn(6, 4, generator=generator, dtype=torch.float64)
    target = torch.randint(4, (6,), generator=generator)
    smooth = torch.nn.functional.cross_entropy(logits, target, label_smoothing=0.1, reduction="none")
    torch.testing.assert_close(LOSSES["label smoothing"](logits, target), smooth)
    one_hot = torch.nn.functional.one_hot(target, 4).double()
    torch.testing.assert_close(LOSSES["squared error"](logits, target).mean(), torch.nn.MSELoss()(logits, one_hot))


def test_a_normalised_ensemble_is_its_members_and_their_rows_have_mean_0_and_variance_1():
    members = [neural_collapse.make_network(TINY, True, seed) for seed in range(3)]
    inputs = torch.randn(3, 7, 196, generator=torch.Generator().manual_seed(0))
    together = Ensemble(members)(inputs, own=True)
    for k, member in enumerate(members):
        torch.testing.assert_close(together[:, k], member(inputs[k]), rtol=1e-4, atol=1e-5)
    hidden = members[0][:2](inputs[0])
    torch.testing.assert_close(hidden.mean(1), torch.zeros(7), rtol=0, atol=1e-6)
    torch.testing.assert_close(hidden.var(1, correction=0), torch.ones(7), rtol=1e-3, atol=0)  # eps = 1e-5 inside
    assert torch.nn.LayerNorm not in {type(layer) for layer in neural_collapse.make_network(TINY, False, 0)}


def test_a_network_that_is_normalised_does_not_see_the_scale_of_a_hidden_weight():
    network = neural_collapse.make_network(TINY, True, 0)
    inputs = torch.randn(5, 196, generator=torch.Generator().manual_seed(0))
    before = network(inputs)
    with torch.no_grad():
        network[0].weight.mul_(3)
        network[0].bias.mul_(3)
    torch.testing.assert_close(network(inputs), before, rtol=1e-3, atol=1e-4)  # the eps of LayerNorm


def test_snapshots_are_of_the_first_seed_and_agree_with_the_history(tiny):
    assert {shot.setting for shot in tiny.snapshots} == set(TINY.settings)
    for shot in tiny.snapshots:
        row = tiny.history.query("setting == @shot.setting and seed == 0 and step == @shot.step")
        if len(row):
            assert float(shot.arrays["nc1"][0]) == pytest.approx(row.nc1.iloc[0], rel=1e-6)
        assert shot.arrays["points"].shape == (24, 3)
        assert np.bincount(shot.arrays["labels"]).tolist() == [8, 8, 8]


def test_seeds_can_be_dealt_out():
    config = dataclasses.replace(TINY, settings=("cross-entropy",), steps=10)
    whole = neural_collapse.run(config, progress=False).history
    second = neural_collapse.run(dataclasses.replace(config, seeds=1, first_seed=1), progress=False).history
    columns = ["loss", "nc1", "coherence"]  # one member or two in a batched product: rounding
    pd.testing.assert_frame_equal(
        whole[whole.seed == 1].reset_index(drop=True)[columns], second[columns], rtol=1e-3, atol=1e-5
    )


def test_a_run_is_taken_up_from_its_folder(tmp_path):
    config = dataclasses.replace(TINY, settings=("squentropy",), steps=10)
    first = neural_collapse.run(config, progress=False, folder=tmp_path)
    pd.testing.assert_frame_equal(first.history, neural_collapse.run(config, progress=False, folder=tmp_path).history)


def test_a_run_that_is_killed_goes_on_from_its_checkpoint_to_the_same_bits(tmp_path, monkeypatch):
    config = dataclasses.replace(TINY, settings=("focal",), steps=40, seeds=1)
    whole = neural_collapse.run(config, progress=False)
    look, looks = neural_collapse.last_layer_numbers, []

    def killed_at_the_last_step(*given):
        looks.append(given)
        if len(looks) == whole.history.step.nunique():
            raise KeyboardInterrupt
        return look(*given)

    monkeypatch.setattr(neural_collapse, "train", partial(neural_collapse.train, checkpoint_every=10))
    monkeypatch.setattr(neural_collapse, "last_layer_numbers", killed_at_the_last_step)
    with pytest.raises(KeyboardInterrupt):
        neural_collapse.run(config, progress=False, folder=tmp_path)
    looks.clear()
    resumed = neural_collapse.run(config, progress=False, folder=tmp_path)
    assert 0 < len(looks) < 3  # what was measured before the last checkpoint is not measured again
    pd.testing.assert_frame_equal(resumed.history, whole.history, check_exact=True)
    for one, other in zip(resumed.snapshots, whole.snapshots, strict=True):
        assert all(np.array_equal(one.arrays[name], other.arrays[name]) for name in one.arrays)


def test_a_convolutional_network_is_measured_as_well():
    config = dataclasses.replace(
        TINY, settings=("cross-entropy", "cross-entropy" + PLAIN), network="convolutional", hidden=(4, 16), steps=2
    )
    history = neural_collapse.run(config, progress=False).history
    assert np.isfinite(history[["loss", "nc1", "coherence", "nc3", "nc4"]]).all().all()


def test_the_summary_finds_the_first_step_without_a_mistake():
    lines = {
        "setting": "focal",
        "seed": [0] * 4 + [1] * 2,
        "step": [0, 5, 9, 20, 0, 20],
        "accuracy": [0.1, 1.0, 0.9, 1.0, 0.2, 0.9],
        "nc1": [8.0, 4.0, 3.0, 0.5, 8.0, 2.0],
        "nc4": [0.5, 0.25, 0.25, 0.0, 0.5, 0.125],
    }
    run = neural_collapse.Run("neural_collapse", None, pd.DataFrame(lines))
    first, second = summary(run).to_dict("records")
    assert (first["zero_step"], first["nc1_there"], first["nc1_end"], first["fell"]) == (5, 4.0, 0.5, 8.0)
    assert (first["nc4"], second["nc4"]) == (0.0, 0.125)
    assert np.isnan(second["zero_step"])
    assert np.isnan(second["fell"])


def test_normalised_networks_collapse_where_plain_ones_do_not(tiny):
    # After 60 steps NC1 is 0.001 or less with, 0.2 or more without: a factor of 200, and 20 is asked for.
    end = summary(tiny).pivot_table(index="seed", columns="setting", values="nc1_end")
    assert (end["cross-entropy"] < end["cross-entropy" + PLAIN] / 20).all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"settings": ("hinge",)}, "settings: got 'hinge', expected one of 'cross-entropy'"),
        ({"network": "recurrent"}, "network: got 'recurrent', expected one of 'multilayer'"),
        ({"classes": 1}, "classes: got 1, expected 2 to 10"),
        ({"seeds": 0}, "seeds: got 0"),
    ],
)
def test_bad_settings_are_named(change, message):
    with pytest.raises(ValueError, match=message):
        neural_collapse.run(dataclasses.replace(TINY, **change), progress=False)
