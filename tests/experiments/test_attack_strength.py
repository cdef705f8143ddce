"""Attack strength: every loss meets the same networks from the same starts; the recorded run is what it says."""

import dataclasses
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
import torch

from lossbook import datasets
from lossbook.experiments import attack_strength
from lossbook.experiments.attack_strength import LOSSES, MODELS, SCALES, Config, accuracies, trained
from lossbook.experiments.headlines import verdicts
from lossbook.experiments.run import recorded

TINY = SCALES["tiny"]


@pytest.fixture(scope="module")
def tiny():
    return attack_strength.run(TINY, progress=False)


@pytest.fixture(scope="module")
def small():
    return recorded("attack_strength_small", Config)


def test_the_same_config_gives_the_same_bits(tiny):
    again = attack_strength.run(TINY, progress=False)
    pd.testing.assert_frame_equal(tiny.history, again.history, check_exact=True)
    for one, other in zip(tiny.snapshots, again.snapshots, strict=True):
        assert all(np.array_equal(one.arrays[name], other.arrays[name]) for name in one.arrays)


def test_the_history_is_tidy(tiny):
    rows = tiny.history
    assert not rows.duplicated(["setting", "seed", "step"]).any()
    assert set(rows.model) == set(MODELS)
    assert set(rows.loss) == {*LOSSES, "all", attack_strength.RELEASED}
    assert set(rows.schedule) == {"constant", "cosine", "two cycles"}
    assert rows.groupby("schedule").step.unique().map(list).to_dict() == {
        "constant": [TINY.short_steps],
        "cosine": [TINY.long_steps],
        "two cycles": [2 * TINY.long_steps],
    }


def test_no_attack_raises_accuracy_and_all_of_them_leave_least(tiny):
    rows = tiny.history
    assert (rows.robust_accuracy <= rows.clean_accuracy).all()
    table = accuracies(tiny)
    assert (table["all"] <= table[list(LOSSES)].min(axis=1)).all()


def test_scores_times_a_hundred_decide_as_before_and_ratios_do_not_see_them(tiny):
    rows = tiny.history[tiny.history.schedule == "cosine"].set_index(["model", "loss"])
    assert rows.clean_accuracy["plain", "DLR"] == rows.clean_accuracy["plain × 100", "DLR"]
    for loss in ("CW margin", "DLR", "MI-FPE"):  # rounding may turn a sign here and there: three images
        gap = rows.robust_accuracy["plain", loss] - rows.robust_accuracy["plain × 100", loss]
        assert abs(gap) <= 3 / TINY.test_images


def test_defences_start_alike_and_differ_when_trained():
    data = datasets.digits(seed=0)
    starts = trained(dataclasses.replace(TINY, epochs=0), data, 0)
    first, *others = [list(model.parameters()) for model in starts]
    assert all(torch.equal(a, b) for other in others for a, b in zip(first, other, strict=True))
    ends = trained(dataclasses.replace(TINY, epochs=1), data, 0)
    weights = [next(model.parameters()) for model in ends]
    assert not torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[1], weights[2])


def test_the_ways_are_probabilities_of_the_right_and_the_best_wrong_class(tiny):
    assert [shot.setting for shot in tiny.snapshots] == list(LOSSES)
    for shot in tiny.snapshots:
        own, rival = shot.arrays["own"], shot.arrays["rival"]
        assert own.shape == rival.shape == (TINY.long_steps + 1, TINY.traced)
        assert (own + rival <= 1 + 1e-6).all()
        stopped = own < rival
        for before, after in pairwise(stopped):
            assert (after | ~before).all()  # once wrong, it stays


def test_unknown_data_are_refused():
    with pytest.raises(ValueError, match="data: got 'mnist', expected one of 'digits', 'fashion_mnist'"):
        attack_strength.run(dataclasses.replace(TINY, data="mnist"), progress=False)


def test_the_recorded_run_is_of_the_small_config_and_every_headline_can_be_asked(small):
    assert small.config == SCALES["small"]
    table = verdicts([(headline, small) for headline in attack_strength.HEADLINES])
    assert (table.seeds == 5).all()
    assert not table.claim.duplicated().any()


def test_in_the_recorded_run_single_precision_masks_probabilities_and_not_scores(small):
    """Five of five seeds; a hundredfold plain network keeps nine tenths under cross-entropy, by margins a third."""
    table = accuracies(small).loc["plain × 100"].xs(0.1, level="radius")
    assert (table[["cross-entropy", "probability margin"]] > 85).all().all()
    assert (table[["CW margin", "DLR", "MI-FPE"]] < 55).all().all()
