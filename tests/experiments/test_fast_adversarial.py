"""Fast adversarial training: what is compared starts alike, and the recorded run collapses where it is said to."""

import dataclasses

import numpy as np
import pandas as pd
import pytest

from lossbook.experiments import fast_adversarial
from lossbook.experiments.fast_adversarial import METHODS, SCALES, Config, collapse, ends, largest_jump
from lossbook.experiments.headlines import verdicts
from lossbook.experiments.run import Run, recorded

TINY = SCALES["tiny"]


@pytest.fixture(scope="module")
def tiny():
    return fast_adversarial.run(TINY, progress=False)


@pytest.fixture(scope="module")
def small():
    return recorded("fast_adversarial_small", Config)


def test_the_same_config_gives_the_same_bits(tiny):
    again = fast_adversarial.run(TINY, progress=False)
    pd.testing.assert_frame_equal(tiny.history, again.history, check_exact=True)


def test_the_history_has_a_row_an_epoch_and_accuracies_where_they_are_due(tiny):
    rows = tiny.history
    assert rows.setting.unique().tolist() == list(METHODS)
    assert sorted(rows.step.unique()) == [0, 1, 2, 3, 4]
    assert not rows.duplicated(["setting", "seed", "step"]).any()
    assert sorted(rows.dropna(subset=["pgd_accuracy"]).step.unique()) == [0, 2, 4]
    assert rows.epoch_loss.isna().sum() == len(METHODS)  # before the first epoch there is none


def test_before_the_band_is_active_it_changes_nothing(tiny):
    early = tiny.history[tiny.history.step <= 2].set_index(["setting", "step"])
    for with_band, without in (("band", "smoothed labels"), ("band and regulariser", "regulariser")):
        pd.testing.assert_frame_equal(early.loc[with_band], early.loc[without], check_exact=True)


def test_without_its_weight_the_band_is_plain_training():
    config = dataclasses.replace(TINY, weight=0.0, methods=("smoothed labels", "band"))
    rows = fast_adversarial.run(config, progress=False).history.drop(columns="outside").set_index(["setting", "step"])
    pd.testing.assert_frame_equal(rows.loc["band"], rows.loc["smoothed labels"], rtol=1e-4, atol=1e-5)


def made(pgd, step=(0.5, 0.5, 0.5, 0.5), losses=(2.0, 1.9, 1.8, 1.0)):
    epochs = range(len(pgd))
    rows = [("plain", 0, e, losses[e], p, s) for e, p, s in zip(epochs, pgd, step, strict=True)]
    columns = ["setting", "seed", "step", "epoch_loss", "pgd_accuracy", "step_accuracy"]
    return Run("made", None, pd.DataFrame(rows, columns=columns))


def test_collapse_is_how_far_the_gap_opens_after_the_best_epoch():
    assert collapse(made((0.1, 0.4, 0.2, 0.0)))[0] == pytest.approx(30)  # from a gap of 10 to one of 40 on average
    assert collapse(made((0.1, 0.2, 0.4, 0.4), (0.5, 0.6, 0.6, 0.6)))[0] == pytest.approx(0)


def test_ends_are_the_mean_of_the_last_two_measurements_and_jumps_begin_with_the_third_epoch():
    run = made((0.1, 0.4, 0.2, 0.0))
    assert ends(run)["plain"][0] == pytest.approx(10)
    assert largest_jump(run)["plain"][0] == pytest.approx(0.8)


def test_the_recorded_run_is_of_the_small_config_and_every_headline_can_be_asked(small):
    assert small.config == SCALES["small"]
    table = verdicts([(headline, small) for headline in fast_adversarial.HEADLINES])
    assert (table.seeds == 5).all()


def test_in_the_recorded_run_single_steps_are_learned_and_ten_are_not(small):
    """The gap opened by 13 to 30 points in the five seeds, ten being asked for."""
    assert (collapse(small) > 10).all()
    rows = small.history[small.history.setting == "smoothed labels"].dropna(subset=["pgd_accuracy"])
    mean = rows.groupby("step")[["step_accuracy", "pgd_accuracy"]].mean()
    assert mean.pgd_accuracy.max() - mean.pgd_accuracy.iloc[-1] > 0.1
    assert mean.step_accuracy.iloc[-1] > mean.step_accuracy.iloc[3]


def test_the_images_are_means_of_four_pixels():
    data = fast_adversarial.small_images(TINY, 0)
    assert tuple(data.train_features.shape[1:]) == (1, 14, 14)
    assert len(data.test_labels) == TINY.test_images
    assert np.isclose(float(data.train_features.max()), 1, atol=0.02)
