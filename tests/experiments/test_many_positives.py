"""Several right labels a query: the three losses are what they say, and differ where it is claimed."""

import dataclasses
import math

import numpy as np
import pandas as pd
import pytest
import torch

from lossbook.experiments import many_positives
from lossbook.experiments.many_positives import (
    LOSSES,
    SCALES,
    Config,
    label_loss,
    pushed_down,
    retrieval,
    right_labels,
    slopes,
)

TINY = SCALES["tiny"]
NO_BIAS = torch.tensor(0.0, dtype=torch.float64)


@pytest.fixture(scope="module")
def tiny():
    return many_positives.run(TINY, progress=False)


@pytest.fixture
def batch(generator):
    scores = 3 * torch.randn(20, 12, generator=generator, dtype=torch.float64)
    chosen = torch.rand(20, 12, generator=generator).topk(4, 1).indices
    number = torch.randint(1, 5, (20, 1), generator=generator)
    return scores, torch.where(torch.arange(4) < number, chosen, -100)


def test_the_same_config_gives_the_same_bits(tiny):
    again = many_positives.run(TINY, progress=False)
    pd.testing.assert_frame_equal(tiny.history, again.history, check_exact=True)
    for one, other in zip(tiny.snapshots, again.snapshots, strict=True):
        assert all(np.array_equal(one.arrays[name], other.arrays[name]) for name in one.arrays)


def test_the_history_is_tidy(tiny):
    assert set(tiny.history.setting) == set(LOSSES)
    assert not tiny.history.duplicated(["setting", "seed", "step"]).any()
    assert tiny.history.notna().all().all()


def test_a_seed_starts_all_losses_from_one_map_and_table(tiny):
    start = tiny.history[tiny.history.step == 0]
    assert start.precision_1.nunique() == start.recall_20.nunique() == 1


@pytest.mark.parametrize("name", LOSSES)
def test_each_loss_is_the_double_loop_of_its_definition(name, batch):
    scores, target = batch
    bias, total = torch.tensor(-1.5, dtype=torch.float64), 0.0
    for row, labels in zip(scores.tolist(), target.tolist(), strict=True):
        right = [label for label in labels if label >= 0]
        if name == "binary":
            for k, score in enumerate(row):
                total += math.log1p(math.exp(-(score - 1.5) if k in right else score - 1.5))
            continue
        for label in right:
            rivals = [k for k in range(12) if name == "softmax" or k == label or k not in right]
            total += (math.log(sum(math.exp(row[k]) for k in rivals)) - row[label]) / len(right)
    assert float(label_loss(name, scores, target, bias)) == pytest.approx(total / 20, rel=1e-12)


def test_numbers_of_retrieval_are_those_of_a_double_loop(batch):
    scores, target = batch
    found = retrieval(scores, target)
    first, five, twenty, several = [], [], [], []
    for row, labels in zip(scores.tolist(), target.tolist(), strict=True):
        right = {label for label in labels if label >= 0}
        order = sorted(range(12), key=lambda k: -row[k])
        first.append(order[0] in right)
        five.append(len(right & set(order[:5])) / 5)
        twenty.append(len(right & set(order[:20])) / len(right))
        if 2 <= len(right) <= 3:
            several.append(order[0] in right)
    wanted = {"precision_1": first, "precision_5": five, "recall_20": twenty, "precision_1 two or three": several}
    assert {name: found[name] for name in wanted} == pytest.approx({n: np.mean(v) for n, v in wanted.items()})


def test_only_the_softmax_over_all_labels_pushes_right_ones_down(batch):
    scores, target = batch
    shares = {name: pushed_down(slopes(name, scores, target, NO_BIAS), target) for name in LOSSES}
    assert shares["softmax"] > 0.05
    assert shares["binary"] == shares["decoupled softmax"] == 0


def test_the_softmax_pushes_a_right_label_down_exactly_where_it_has_more_than_its_share(batch):
    scores, target = batch
    right = right_labels(target, 12)
    more = torch.softmax(scores, 1) > 1 / right.sum(1, keepdim=True)
    assert torch.equal((slopes("softmax", scores, target, NO_BIAS) > 0)[right], more[right])


def test_in_training_decoupled_pushes_no_right_label_down_and_the_softmax_some(tiny):
    share = tiny.history.groupby("setting").pushed_down.max()
    assert share["decoupled softmax"] == share["binary"] == 0
    assert share["softmax"] > 0


def test_snapshots_hold_one_query_with_the_most_labels(tiny):
    for snapshot in tiny.snapshots:
        assert len(snapshot.arrays["scores"]) == len(snapshot.arrays["slope"]) == TINY.most
        if snapshot.setting == "decoupled softmax":
            assert (snapshot.arrays["slope"] <= 0).all()


def test_decoupled_finds_more_right_labels_than_the_softmax():
    # Over seeds 0 to 4 the gains were at least 0.006, 0.0024 and 0.0022, each seed by itself; here seed 0.
    config = Config(losses=("softmax", "decoupled softmax"), seeds=1, every=400)
    end = many_positives.run(config, progress=False).history.query("step == 400").set_index("setting")
    gain = end.loc["decoupled softmax"] - end.loc["softmax"]
    assert gain.precision_1 > 0.002
    assert gain.precision_5 > 0.001
    assert gain.recall_20 > 0.001


def test_an_unknown_loss_is_refused():
    with pytest.raises(ValueError, match=r"^losses: got 'focal', expected one of 'binary', 'softmax', 'decoupled"):
        many_positives.run(dataclasses.replace(TINY, losses=("focal",)), progress=False)
