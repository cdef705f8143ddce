"""Ranking metrics against loops over every pair, and against scikit-learn."""

import math

import pytest
import sklearn.metrics
import torch
from hypothesis import given
from hypothesis import strategies as st

from lossbook.metrics import (
    area_over_curve,
    auc,
    best_f1,
    mean_reciprocal_rank,
    target_rank,
    top_k_error,
)

# Few levels make ties; halves are exact.
some = st.lists(st.integers(-3, 3).map(lambda k: k / 2), min_size=1, max_size=9)


def labelled(positives, negatives):
    return [1] * len(positives) + [0] * len(negatives), [*positives, *negatives]


@given(positives=some, negatives=some)
def test_auc_counts_every_pair_and_a_tie_for_half(positives, negatives):
    won = sum((p > n) + (p == n) / 2 for p in positives for n in negatives)
    found = auc(torch.tensor(positives), torch.tensor(negatives))
    assert found == won / (len(positives) * len(negatives))
    assert math.isclose(found, sklearn.metrics.roc_auc_score(*labelled(positives, negatives)), rel_tol=1e-12)
    assert math.isclose(area_over_curve(torch.tensor(positives), torch.tensor(negatives)), 1 - found, abs_tol=1e-15)


def test_auc_of_many_scores_is_scikit_learns(generator):
    positives, negatives = torch.randn(3000, generator=generator) + 1, torch.randn(50, 80, generator=generator)
    wanted = sklearn.metrics.roc_auc_score(*labelled(positives.tolist(), negatives.reshape(-1).tolist()))
    assert math.isclose(auc(positives, negatives), wanted, rel_tol=1e-12)
    assert abs(wanted - 0.7602) < 0.02  # Φ(1/√2), with a standard error of about 0.006


def test_infinite_scores_have_their_place():
    assert auc(torch.tensor([math.inf, 0.0]), torch.tensor([-math.inf, 0.0])) == 0.875


@given(
    rows=st.lists(st.lists(st.integers(-2, 2), min_size=4, max_size=4), min_size=1, max_size=6),
    k=st.integers(1, 5),
    data=st.data(),
)
def test_ranks_count_the_others_that_stand_before_or_beside(rows, k, data):
    target = data.draw(st.lists(st.integers(0, 3), min_size=len(rows), max_size=len(rows)))
    scores, right = torch.tensor(rows, dtype=torch.float32), torch.tensor(target)
    wanted = [
        1 + sum(score >= row[y] for j, score in enumerate(row) if j != y) for row, y in zip(rows, target, strict=True)
    ]
    assert target_rank(scores, right).tolist() == wanted
    assert math.isclose(top_k_error(scores, right, k=k), sum(rank > k for rank in wanted) / len(rows))
    assert math.isclose(mean_reciprocal_rank(scores, right), sum(1 / rank for rank in wanted) / len(rows))


@pytest.mark.parametrize("k", [1, 2, 5])
def test_without_ties_top_k_error_and_reciprocal_rank_are_scikit_learns(k, generator):
    scores = torch.randn(200, 10, dtype=torch.float64, generator=generator)
    target = torch.randint(10, (200,), generator=generator)
    accuracy = sklearn.metrics.top_k_accuracy_score(target, scores, k=k, labels=range(10))
    assert math.isclose(top_k_error(scores, target, k=k), 1 - accuracy, rel_tol=1e-12)
    one_hot = torch.nn.functional.one_hot(target, 10)
    precision = sklearn.metrics.label_ranking_average_precision_score(one_hot, scores)
    assert math.isclose(mean_reciprocal_rank(scores, target), precision, rel_tol=1e-12)


def test_scores_that_are_all_equal_do_not_look_perfect():
    scores, target = torch.zeros(3, 8), torch.tensor([0, 3, 7])
    assert top_k_error(scores, target, k=7) == 1.0
    assert mean_reciprocal_rank(scores, target) == 0.125


def test_a_row_with_a_nan_is_wrong():
    scores = torch.tensor([[2.0, math.nan, 1.0]])
    assert target_rank(scores, torch.tensor([0])).tolist() == [3]


@given(positives=some, negatives=st.lists(st.integers(-3, 3).map(float), max_size=9))
def test_no_other_threshold_has_a_higher_f1(positives, negatives):
    found = best_f1(torch.tensor(positives), torch.tensor(negatives))
    labels, scores = labelled(positives, negatives)

    def f1(threshold):
        return sklearn.metrics.f1_score(labels, [score >= threshold for score in scores], zero_division=0.0)

    assert math.isclose(found.f1, f1(found.threshold), rel_tol=1e-12)
    for threshold in {*scores}:
        assert f1(threshold) <= found.f1 + 1e-12
        if f1(threshold) >= found.f1 - 1e-15:
            assert threshold <= found.threshold or f1(threshold) < found.f1


def test_an_offset_of_each_row_moves_one_threshold_for_all_and_no_rank(generator):
    scores = torch.randn(40, 6, dtype=torch.float64, generator=generator)
    scores[:, 0] += 3
    target = torch.zeros(40, dtype=torch.long)
    torn = scores + 5 * torch.randn(40, 1, dtype=torch.float64, generator=generator)
    assert torch.equal(target_rank(scores, target), target_rank(torn, target))
    assert auc(scores[:, 0], scores[:, 1:]) > auc(torn[:, 0], torn[:, 1:]) + 0.1
    assert best_f1(scores[:, 0], scores[:, 1:]).f1 > best_f1(torn[:, 0], torn[:, 1:]).f1 + 0.1
