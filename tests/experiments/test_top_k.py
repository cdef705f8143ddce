"""Soft top-k in training: its losses are what they say, masks leave k, and what the recorded run says."""

import dataclasses

import pandas as pd
import pytest
import torch

from lossbook.experiments import top_k
from lossbook.experiments.headlines import verdicts
from lossbook.experiments.many_positives import label_loss, right_labels
from lossbook.experiments.run import recorded
from lossbook.experiments.top_k import RATES, SCALES, Config, batch_loss, drawn
from lossbook.losses import soft_top_k_loss

TINY = SCALES["tiny"]
NO_BIAS = torch.tensor(0.0, dtype=torch.float64)


@pytest.fixture(scope="module")
def tiny():
    return top_k.run(TINY, progress=False)


@pytest.fixture
def batch(generator):
    scores = 3 * torch.randn(20, 12, generator=generator, dtype=torch.float64)
    chosen = torch.rand(20, 12, generator=generator).topk(8, 1).indices
    number = torch.randint(1, 9, (20, 1), generator=generator)
    return scores, torch.where(torch.arange(8) < number, chosen, -100)


def test_the_same_config_gives_the_same_bits(tiny):
    pd.testing.assert_frame_equal(tiny.history, top_k.run(TINY, progress=False).history, check_exact=True)


def test_the_history_is_tidy_and_all_losses_start_alike(tiny):
    assert set(tiny.history.setting) == set(RATES)
    assert not tiny.history.duplicated(["setting", "seed", "step"]).any()
    assert tiny.history.notna().all().all()
    assert tiny.history.query("step == 0").precision_1.nunique() == 1


def test_at_most_k_right_labels_are_drawn_and_each_as_often_as_another(generator):
    right = torch.ones(6000, 8)
    right[:, 6:] = 0
    kept = drawn(right, 3, generator)
    assert (kept.sum(1) == 3).all()
    assert (kept[:, 6:] == 0).all()
    # Each of six is kept with probability 1/2: a standard error of 0.0065.
    assert float((kept[:, :6].mean(0) - 0.5).abs().max()) < 0.03
    assert torch.equal(drawn(right, 7, generator), right)


def test_the_losses_are_those_of_the_package(batch, generator):
    scores, target = batch
    right = right_labels(target, 12).double()
    for name in ("binary", "softmax", "decoupled softmax"):
        assert batch_loss(TINY, name, scores, target, NO_BIAS, generator) == label_loss(name, scores, target, NO_BIAS)
    found = batch_loss(TINY, "soft top-|P|", scores, target, NO_BIAS, generator)
    assert float(found) == float(soft_top_k_loss(scores, right))
    few = right.sum(1) <= 5
    found = batch_loss(TINY, "soft top-5", scores[few], target[few], NO_BIAS, generator)
    assert float(found) == float(soft_top_k_loss(scores[few], right[few], k=5))


def test_where_more_are_right_than_places_the_others_are_masked(batch, generator):
    scores, target = batch
    many = (target >= 0).sum(1) > 5
    assert bool(many.any())
    leaf = scores[many].clone().requires_grad_()
    batch_loss(TINY, "soft top-5", leaf, target[many], NO_BIAS, generator).backward()
    right = right_labels(target[many], 12)
    assert ((leaf.grad[right] != 0).sum() == 5 * many.sum()).item()


def test_the_recorded_run_is_of_the_small_scale_and_gives_the_verdicts_of_the_chapter():
    small = recorded("top_k_small", Config)
    assert small.config == SCALES["small"]
    found = verdicts((headline, small) for headline in top_k.HEADLINES)
    assert found.held.tolist() == [5, 5, 5, 4, 1, 5]


def test_an_unknown_loss_is_refused():
    with pytest.raises(ValueError, match=r"^losses: got 'focal', expected one of 'binary', 'softmax', 'decoupled"):
        top_k.run(dataclasses.replace(TINY, losses=("focal",)), progress=False)
