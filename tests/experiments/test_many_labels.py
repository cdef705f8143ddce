"""Many labels: what is compared differs in the loss alone, and the losses do what is claimed of them."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
import torch

from lossbook.experiments import many_labels
from lossbook.experiments.headlines import verdicts
from lossbook.experiments.many_labels import HEADLINES, LOSSES, SCALES, evaluate
from lossbook.experiments.run import recorded
from lossbook.losses import multi_label_ldam_loss

TINY = SCALES["tiny"]


@pytest.fixture(scope="module")
def tiny():
    return many_labels.run(TINY, progress=False)


def test_the_same_config_gives_the_same_bits(tiny):
    again = many_labels.run(TINY, progress=False)
    pd.testing.assert_frame_equal(tiny.history, again.history, check_exact=True)
    for one, other in zip(tiny.snapshots, again.snapshots, strict=True):
        assert all(np.array_equal(one.arrays[name], other.arrays[name]) for name in one.arrays)


def test_the_history_is_tidy_and_all_start_from_one_network(tiny):
    assert set(tiny.history.loss_name) == set(TINY.losses)
    assert not tiny.history.duplicated(["setting", "seed", "step"]).any()
    assert sorted(tiny.history.step.unique()) == [0, 12, 24]
    assert (tiny.history[tiny.history.step == 0].nunique()[["map", "p_positive", "tail_recall"]] == 1).all()


def test_without_focus_shift_or_margin_all_losses_are_one(generator):
    logits = torch.randn(20, 10, generator=generator)
    target = (torch.rand(20, 10, generator=generator) < 0.3).float()
    counts = target.sum(0)
    plain = LOSSES["BCE"][0](logits, target, counts)
    torch.testing.assert_close(plain, torch.nn.functional.binary_cross_entropy_with_logits(logits, target))
    torch.testing.assert_close(plain, multi_label_ldam_loss(logits, target, counts=counts, strength=0))


def test_numbers_of_perfect_scores_are_perfect():
    target = torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0]])
    numbers, shares = evaluate(100 * (2 * target - 1), target, torch.tensor([1]))
    assert set(numbers.values()) == {1.0}
    assert shares["positives"][-1] == shares["negatives"][0] == 1


def test_asymmetric_loss_believes_more_positives_than_cross_entropy(tiny):
    last = tiny.history[tiny.history.step == 24].set_index("setting")
    assert last.p_positive["ASL"] > last.p_positive["BCE"] + 0.05
    assert last.p_negative["ASL"] < last.p_negative["BCE"]


def test_missing_labels_make_every_loss_believe_fewer_positives(tiny):
    last = tiny.history[tiny.history.step == 24].set_index("setting").p_positive
    for name in TINY.losses:
        assert last[f"{name}, 40% missing"] < last[name]


def test_the_recorded_run_is_of_the_small_scale_and_holds_what_the_chapter_says():
    run = recorded("many_labels_small", many_labels.Config)
    assert run.config == SCALES["small"]
    table = verdicts([(headline, run) for headline in HEADLINES]).set_index("claim")
    held = table.held
    assert (held == 5).sum() == 7
    assert held["mAP above BCE's"] == 4


def test_unknown_losses_are_refused():
    with pytest.raises(ValueError, match=r"^losses: got 'dice', expected one of 'BCE'"):
        many_labels.run(dataclasses.replace(TINY, losses=("dice",)), progress=False)
