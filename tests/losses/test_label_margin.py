"""LDAM: the margins and where their exponent comes from, the worked numbers, and what a margin does to the pull."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn.functional import binary_cross_entropy_with_logits

from lossbook import LinearLogits
from lossbook.losses import cross_entropy, ldam_loss, multi_label_ldam_loss
from lossbook.training import deferred_weights, effective_number_weights, label_margins

COUNTS = torch.tensor([1000, 100, 10, 0])
counts_of_two = st.integers(1, 10_000)


def test_the_margins_are_the_worked_numbers_and_no_example_counts_as_one():
    found = label_margins(COUNTS, strength=3.0)
    torch.testing.assert_close(found, torch.tensor([0.533484, 0.948683, 1.687024, 3.0]).double(), rtol=0, atol=5e-7)


def test_the_largest_margin_is_as_asked_and_the_others_keep_their_ratios():
    found = label_margins(COUNTS, largest=0.5)
    assert float(found.max()) == 0.5
    torch.testing.assert_close(found / found[0], label_margins(COUNTS, strength=1.0) / found.new_tensor(1000**-0.25))


@given(first=counts_of_two, second=counts_of_two)
def test_the_fourth_root_splits_a_margin_between_two_classes_best(first, second):
    """Σ 1/(Δ_k √n_k) with Δ_1 + Δ_2 = 1 is the bound that LDAM makes small: least at Δ_1/Δ_2 = (n_2/n_1)^¼."""
    share = torch.arange(1, 10_000, dtype=torch.float64) / 10_000
    bound = 1 / (share * math.sqrt(first)) + 1 / ((1 - share) * math.sqrt(second))
    margins = label_margins(torch.tensor([first, second]), strength=1.0)
    wanted = float(margins[0] / margins.sum())
    assert abs(float(share[bound.argmin()]) - wanted) <= 1e-4  # a step of the grid


@pytest.mark.parametrize(("label", "loss"), [(1.0, 1.094534), (0.0, 1.313262)])
def test_the_worked_numbers_of_many_labels(label, loss):
    one, counts = torch.ones(1, dtype=torch.float64), torch.tensor([10])
    assert round(float(multi_label_ldam_loss(one, label * one, counts=counts)), 6) == loss


def test_a_negative_does_not_see_the_count_and_a_positive_does():
    logits = torch.ones(4, dtype=torch.float64)
    negative = multi_label_ldam_loss(logits, 0 * logits, counts=COUNTS, reduction="none")
    positive = multi_label_ldam_loss(logits, logits, counts=COUNTS, reduction="none")
    assert negative.unique().numel() == 1
    assert bool((positive.diff() > 0).all())  # rarer, dearer


@given(logit=st.floats(-50, 50), strength=st.floats(0, 10), count=st.integers(0, 10_000))
def test_the_loss_of_a_positive_is_binary_cross_entropy_at_its_score_less_the_margin(logit, strength, count):
    one, counts = torch.ones(1, dtype=torch.float64), torch.tensor([count])
    found = multi_label_ldam_loss(logit * one, one, counts=counts, strength=strength)
    moved = logit * one - label_margins(counts, strength=strength)
    torch.testing.assert_close(found, binary_cross_entropy_with_logits(moved, one), rtol=1e-12, atol=1e-15)


def test_without_margin_and_scale_it_is_cross_entropy_and_with_a_scale_that_of_the_scaled_scores(generator):
    logits = torch.randn(6, 4, dtype=torch.float64, generator=generator)
    target = torch.randint(4, (6,), generator=generator)
    plain = ldam_loss(logits, target, counts=COUNTS, max_margin=0.0)
    torch.testing.assert_close(plain, cross_entropy(30 * logits, target), rtol=1e-12, atol=0)


def test_ldam_is_the_double_loop_of_its_formula(generator):
    logits = torch.rand(20, 4, dtype=torch.float64, generator=generator)
    target = torch.randint(4, (20,), generator=generator)
    weight = torch.tensor([0.2, 0.5, 1.0, 3.0], dtype=torch.float64)
    margins = [0.5 * max(n, 1) ** -0.25 for n in COUNTS.tolist()]  # the largest of n^(−¼) is 1 here
    total = divisor = 0.0
    for row, y in zip(logits.tolist(), target.tolist(), strict=True):
        moved = [7 * (score - margins[y] * (k == y)) for k, score in enumerate(row)]
        total += float(weight[y]) * (math.log(sum(map(math.exp, moved))) - moved[y])
        divisor += float(weight[y])
    found = ldam_loss(logits, target, counts=COUNTS, scale=7.0, weight=weight)
    assert float(found) == pytest.approx(total / divisor, rel=1e-12)


def test_linear_logits_give_the_same_loss_and_gradients(generator):
    features = torch.randn(30, 5, dtype=torch.float64, generator=generator)
    weight = torch.randn(4, 5, dtype=torch.float64, generator=generator).requires_grad_()
    target = torch.randint(4, (30,), generator=generator)
    held = ldam_loss(features @ weight.T, target, counts=COUNTS)
    free = ldam_loss(LinearLogits(features, weight, memory_budget=7 * 4 * 8), target, counts=COUNTS)
    torch.testing.assert_close(free, held, rtol=1e-13, atol=0)
    pulls = [torch.autograd.grad(loss, weight)[0] for loss in (free, held)]
    torch.testing.assert_close(*pulls, rtol=1e-12, atol=1e-13)


def test_effective_numbers_lie_between_equal_weights_and_one_over_n():
    counts = torch.tensor([1000, 100, 10])
    assert effective_number_weights(counts, beta=0.0).tolist() == [1.0, 1.0, 1.0]
    inverse = 3 * (1 / counts) / (1 / counts).sum()
    torch.testing.assert_close(effective_number_weights(counts, beta=1 - 1e-9), inverse, rtol=1e-5, atol=0)
    found = effective_number_weights(counts, beta=0.99)
    by_hand = torch.tensor([0.01 / (1 - 0.99**n) for n in (1000, 100, 10)])
    torch.testing.assert_close(found, 3 * by_hand / by_hand.sum())


def test_a_class_without_examples_has_no_weight():
    assert effective_number_weights(torch.tensor([5, 0])).tolist() == [2.0, 0.0]


def test_deferred_weights_begin_where_they_are_told():
    counts = torch.tensor([1000, 10])
    assert deferred_weights(counts, 0.799).tolist() == [1.0, 1.0]
    assert torch.equal(deferred_weights(counts, 0.8), effective_number_weights(counts))
    assert torch.equal(deferred_weights(counts, 0.0, start=0.0), effective_number_weights(counts))


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: label_margins([1, 2], strength=1.0), TypeError, "counts: got"),
        (lambda: label_margins(torch.tensor([1, -1]), strength=1.0), ValueError, "counts: got"),
        (lambda: label_margins(torch.tensor([1.0, math.nan]), strength=1.0), ValueError, "counts: got"),
        (lambda: label_margins(COUNTS), ValueError, "strength: got None, expected either strength or largest"),
        (lambda: label_margins(COUNTS, strength=1.0, largest=1.0), ValueError, "strength: got 1.0, expected either"),
        (lambda: label_margins(COUNTS, strength=-1.0), ValueError, "strength: got -1.0"),
        (lambda: label_margins(COUNTS, largest=math.inf), ValueError, "largest: got inf"),
        (lambda: effective_number_weights(COUNTS, beta=1.0), ValueError, "beta: got 1.0"),
        (lambda: effective_number_weights(torch.zeros(3)), ValueError, "counts: got"),
        (lambda: effective_number_weights(COUNTS[None]), TypeError, "counts: got"),
        (lambda: deferred_weights(COUNTS, 1.5), ValueError, "progress: got 1.5"),
        (lambda: deferred_weights(COUNTS, 0.5, start=-1), ValueError, "start: got -1"),
    ],
)
def test_bad_input_is_refused_by_name(call, error, message):
    with pytest.raises(error, match=f"^{message}"):
        call()
