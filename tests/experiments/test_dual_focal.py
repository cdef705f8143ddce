"""Confidence by loss: one start for all, numbers that agree with each other, and a temperature that keeps answers."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from lossbook.experiments import dual_focal
from lossbook.experiments.dual_focal import DUAL, FOCAL, HEADLINES, PLAIN, REGIMES, SCALES
from lossbook.experiments.headlines import verdicts
from lossbook.experiments.run import recorded
from lossbook.metrics import expected_calibration_error

TINY = SCALES["tiny"]


@pytest.fixture(scope="module")
def tiny():
    return dual_focal.run(TINY, progress=False)


def test_the_same_config_gives_the_same_bits(tiny):
    config = replace(TINY, epochs=4)
    one, two = (dual_focal.run(config, progress=False).history for _ in range(2))
    pd.testing.assert_frame_equal(one, two, check_exact=True)


def test_the_history_is_tidy(tiny):
    assert set(tiny.history.setting) == set(TINY.losses)
    assert set(tiny.history.regime) == set(REGIMES)
    assert sorted(tiny.history.step.unique()) == [0, 16, 32]  # 200 images in batches of 50
    assert not tiny.history.duplicated(["setting", "regime", "seed", "step"]).any()
    assert tiny.history.notna().all().all()


def test_all_losses_and_regimes_start_from_the_same_network(tiny):
    start = tiny.history[tiny.history.step == 0]
    assert start.nll.nunique() == 1
    assert start.learning_rate.nunique() == len(REGIMES)


def test_a_temperature_leaves_the_accuracy_as_it_is(tiny):
    assert (tiny.history.accuracy == tiny.history.scaled_accuracy).all()
    assert (tiny.history.temperature > 0).all()


def test_snapshots_are_the_predictions_behind_the_history(tiny):
    last = tiny.history[tiny.history.step == 32]
    assert len(tiny.snapshots) == len(last) == len(REGIMES) * len(TINY.losses)
    for snapshot in tiny.snapshots:
        confidence, correct = (torch.from_numpy(snapshot.arrays[name]) for name in ("confidence", "correct"))
        assert len(confidence) == dual_focal.SHOWN
        regime, _, name = snapshot.setting.partition(": ")
        row = last[(last.regime == regime) & (last.setting == name)].iloc[0]
        # of 2,000 of the 11,400 images: four standard deviations of a share
        assert abs(float(correct.double().mean()) - row.accuracy) < 4 * 0.5 / 2000**0.5
        assert abs(expected_calibration_error(confidence, correct) - row.ece) < 0.05


def test_wrong_labels_lower_what_anybody_can_reach():
    config = replace(TINY, losses=(PLAIN,), noise=0.4)
    noisy = dual_focal.run(config, progress=False).history.accuracy.max()
    assert noisy < dual_focal.run(replace(config, noise=0.0), progress=False).history.accuracy.max() - 0.1


def test_an_unknown_loss_is_refused():
    with pytest.raises(ValueError, match=r"^losses: got 'focal', expected one of 'cross-entropy'"):
        dual_focal.run(replace(TINY, losses=("focal",)), progress=False)


def test_the_recorded_run_is_of_the_small_scale_and_says_what_the_chapter_says():
    run = recorded("dual_focal_small", dual_focal.Config)
    assert run.config == SCALES["small"]
    assert verdicts([(headline, run) for headline in HEADLINES]).held.tolist() == [5, 5, 5, 5, 5, 1]


def test_a_headline_is_the_least_of_its_regimes():
    rows = [
        {"setting": name, "regime": regime, "seed": 0, "step": 1, "confidence": value}
        for regime, values in zip(REGIMES, ((0.5, 0.7), (0.6, 0.7)), strict=True)
        for name, value in zip((FOCAL, DUAL), values, strict=True)
    ]
    run = dual_focal.Run("dual_focal", TINY, pd.DataFrame(rows))
    assert HEADLINES[2].margin(run).tolist() == pytest.approx([10.0])
    assert np.isscalar(HEADLINES[2].margin(run)[0])
