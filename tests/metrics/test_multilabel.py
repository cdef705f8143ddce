"""Numbers of many labels: scikit-learn's, also where scores tie, and what imbalance does to each of them."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, f1_score, recall_score
from torchmetrics.functional.classification import multilabel_average_precision, multilabel_f1_score

from lossbook.metrics import (
    auc,
    average_precision,
    frequency_groups,
    label_recall,
    macro_f1,
    mean_average_precision,
    micro_f1,
)


@pytest.fixture
def scored(generator):
    target = (torch.rand(200, 6, generator=generator) < 0.2).long()
    scores = torch.randn(200, 6, generator=generator, dtype=torch.float64) + target
    return (2 * scores).round() / 2, target  # rounded: many ties


def test_average_precision_is_scikit_learns_label_by_label(scored):
    scores, target = scored
    wanted = average_precision_score(target.numpy(), scores.numpy(), average=None)
    torch.testing.assert_close(average_precision(scores, target), torch.from_numpy(wanted), rtol=1e-12, atol=0)
    assert mean_average_precision(scores, target) == pytest.approx(wanted.mean(), rel=1e-12)


@given(pairs=st.lists(st.tuples(st.integers(-3, 3), st.booleans()), min_size=1, max_size=20))
def test_average_precision_is_the_double_loop_of_its_formula(pairs):
    positives = [score for score, yes in pairs if yes]
    found = float(
        average_precision(torch.tensor([float(s) for s, _ in pairs]), torch.tensor([yes for _, yes in pairs]))
    )
    if not positives:
        assert found != found  # NaN
        return
    total = sum(sum(p >= s for p in positives) / sum(other >= s for other, _ in pairs) for s in positives)
    assert found == pytest.approx(total / len(positives), rel=1e-12)


def test_torchmetrics_says_the_same(scored):
    scores, target = scored
    p = torch.sigmoid(scores)  # its scores are probabilities; and it computes in single precision
    theirs = multilabel_average_precision(p, target, num_labels=6, average=None).double()
    torch.testing.assert_close(average_precision(p, target), theirs, rtol=1e-6, atol=0)
    for ours, average in ((macro_f1, "macro"), (micro_f1, "micro")):
        found = multilabel_f1_score((p > 0.5).long(), target, num_labels=6, average=average)
        assert ours(p > 0.5, target) == pytest.approx(float(found), rel=1e-6)


def test_f1_and_recall_are_scikit_learns(scored):
    scores, target = scored
    decisions = scores > 0.5
    for ours, average in ((macro_f1, "macro"), (micro_f1, "micro")):
        assert ours(decisions, target) == pytest.approx(f1_score(target, decisions, average=average), rel=1e-12)
    wanted = torch.from_numpy(recall_score(target, decisions, average=None))
    torch.testing.assert_close(label_recall(decisions, target), wanted, rtol=1e-12, atol=0)


def test_ten_times_the_negatives_leave_auc_and_lower_average_precision(scored):
    scores, target = scored[0][:, 0], scored[1][:, 0]
    positives, negatives = scores[target == 1], scores[target == 0]
    more = negatives.repeat(10)
    assert auc(positives, more) == auc(positives, negatives)
    few, many = (
        float(average_precision(torch.cat([positives, n]), torch.arange(len(positives) + len(n)) < len(positives)))
        for n in (negatives, more)
    )
    assert many < few / 1.5


def test_scores_that_say_nothing_have_the_share_of_positives():
    target = torch.arange(100) < 7
    assert float(average_precision(torch.zeros(100), target)) == pytest.approx(0.07, rel=1e-12)


def test_groups_go_from_frequent_to_rare_and_hold_every_label_once():
    counts = torch.tensor([3, 50, 7, 900, 1, 20, 7])
    groups = frequency_groups(counts)
    assert [group.tolist() for group in groups] == [[3, 1, 5], [2, 6], [0, 4]]
    assert torch.cat(groups).sort().values.tolist() == list(range(7))


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: average_precision(torch.zeros(3).long(), torch.zeros(3)), TypeError, "scores: got"),
        (lambda: average_precision(torch.zeros(0), torch.zeros(0)), ValueError, "scores: got"),
        (lambda: average_precision(torch.tensor([torch.nan]), torch.ones(1)), ValueError, "scores: got NaN"),
        (lambda: average_precision(torch.zeros(3), torch.zeros(4)), ValueError, "target: got"),
        (lambda: average_precision(torch.zeros(3), [0, 1, 0]), TypeError, "target: got"),
        (lambda: average_precision(torch.zeros(3), torch.full((3,), 0.5)), ValueError, "target: got values other"),
        (lambda: frequency_groups(torch.zeros(2, 2)), TypeError, "counts: got"),
        (lambda: frequency_groups(torch.zeros(2)), ValueError, "groups: got 3, expected at most one a label"),
        (lambda: frequency_groups(torch.zeros(2), groups=0), ValueError, "groups: got 0"),
    ],
)
def test_bad_input_is_refused_by_name(call, error, message):
    with pytest.raises(error, match=f"^{message}"):
        call()
