"""Dual focal loss: the atlas's numbers, the formula in a loop, where it meets focal loss, and where it jumps."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lossbook import LinearLogits
from lossbook.losses import cross_entropy, dual_focal_loss, focal_loss

TOY = torch.tensor([[2.0, 1.0, 0.0]], dtype=torch.float64)
scores = st.lists(st.floats(-30, 30), min_size=2, max_size=6)
powers = st.floats(0, 6)


def by_loop(row, right, gamma):
    """The definition, a class at a time: exponentials, the largest of those strictly below, a power."""
    top = max(row)
    total = math.fsum(math.exp(score - top) for score in row)
    p = [math.exp(score - top) / total for score in row]
    below = [p[k] for k in range(len(row)) if row[k] < row[right]]
    others = math.fsum(p[k] for k in range(len(row)) if k != right)  # 1 − p_y without cancellation
    return (others + max(below, default=0.0)) ** gamma * -(row[right] - top - math.log(total))


@given(row=scores, gamma=powers, data=st.data())
def test_it_is_its_formula_term_by_term(row, gamma, data):
    right = data.draw(st.integers(0, len(row) - 1))
    found = dual_focal_loss(torch.tensor([row], dtype=torch.float64), torch.tensor([right]), gamma=gamma)
    # log p_y has the digits of a number near 1, and its error passes to the power
    assert math.isclose(float(found), by_loop(row, right, gamma), rel_tol=1e-11, abs_tol=1e-14)


@pytest.mark.parametrize(("right", "value"), [(0, 0.026636), (1, 0.607492), (2, 1.502171)])
def test_the_worked_numbers_of_gamma_five(right, value):
    assert round(float(dual_focal_loss(TOY, torch.tensor([right]), gamma=5)), 6) == value


def test_where_the_right_class_is_the_least_likely_it_is_focal_loss():
    found, focal = (loss(TOY, torch.tensor([2]), gamma=5) for loss in (dual_focal_loss, focal_loss))
    torch.testing.assert_close(found, focal, rtol=1e-15, atol=0)


@given(row=scores, gamma=powers)
def test_it_is_never_below_focal_loss_and_equal_only_without_a_runner_up(row, gamma):
    logits = torch.tensor([row], dtype=torch.float64)
    for right in range(len(row)):
        target = torch.tensor([right])
        dual, focal = (float(loss(logits, target, gamma=gamma)) for loss in (dual_focal_loss, focal_loss))
        assert dual >= focal * (1 - 1e-12)
        if row[right] == min(row):
            assert math.isclose(dual, focal, rel_tol=1e-12, abs_tol=1e-300)
        elif gamma > 0.5 and max(abs(score) for score in row) < 3:  # nearer than that p_j could be rounding
            assert dual > focal


@given(lead=st.floats(1e-3, 10), gamma=powers)
def test_of_two_classes_the_factor_is_twice_what_is_missing_ahead_and_once_behind(lead, gamma):
    logits = torch.tensor([[lead, 0.0]], dtype=torch.float64)
    for right, times in ((0, 2.0), (1, 1.0)):
        target = torch.tensor([right])
        dual = float(dual_focal_loss(logits, target, gamma=gamma))
        focal = float(focal_loss(logits, target, gamma=gamma))
        assert math.isclose(dual, times**gamma * focal, rel_tol=1e-10, abs_tol=1e-300)


def test_it_jumps_up_where_the_right_class_overtakes_another():
    """Level with it that class does not count, a hair ahead it counts with its whole p: of two, by 2^γ."""
    behind, ahead = (torch.tensor([[gap, 0.0]], dtype=torch.float64) for gap in (0.0, 1e-9))
    target = torch.tensor([0])
    assert float(dual_focal_loss(behind, target, gamma=5)) == pytest.approx(math.log(2) / 32)
    assert float(dual_focal_loss(ahead, target, gamma=5)) == pytest.approx(math.log(2))


def test_classes_above_the_right_one_are_not_looked_at():
    """Mass moved between two classes that are both ahead changes nothing: only their sum is in p_y."""
    first = torch.tensor([[0.2, 0.1, 0.4, 0.3]], dtype=torch.float64).log()
    second = torch.tensor([[0.2, 0.1, 0.35, 0.35]], dtype=torch.float64).log()
    target = torch.tensor([0])
    torch.testing.assert_close(dual_focal_loss(first, target), dual_focal_loss(second, target), rtol=1e-14, atol=0)


def test_nothing_is_held_constant_but_the_choice_of_the_runner_up(generator):
    """Were p_j or the factor detached, the gradient would be another by more than a hundredth."""
    logits = torch.randn(40, 5, dtype=torch.float64, generator=generator, requires_grad=True)
    target = logits.argmax(-1)
    (pull,) = torch.autograd.grad(dual_focal_loss(logits, target, reduction="sum"), logits)
    p = torch.softmax(logits, -1)
    p_y, p_j = p.topk(2, -1).values.unbind(-1)
    whole = -((1 - p_y + p_j) ** 5) * p_y.log()
    without = [-((1 - p_y + p_j.detach()) ** 5) * p_y.log(), -((1 - p_y + p_j).detach() ** 5) * p_y.log()]
    torch.testing.assert_close(pull, torch.autograd.grad(whole.sum(), logits, retain_graph=True)[0])
    for other in without:
        assert float((torch.autograd.grad(other.sum(), logits, retain_graph=True)[0] - pull).abs().max()) > 0.01


def test_with_gamma_it_is_least_at_probabilities_less_sure_than_the_truth():
    """Three times in four the first of two classes: the best score of a fine search asks for less than 0.75."""
    gaps = torch.linspace(0.01, 4, 4000, dtype=torch.float64)
    logits = torch.stack([gaps, torch.zeros_like(gaps)], -1)
    for gamma, surest in ((0.0, 0.7501), (5.0, 0.74)):
        right, wrong = (dual_focal_loss(logits, torch.full((4000,), k), gamma=gamma, reduction="none") for k in (0, 1))
        best = float(torch.sigmoid(gaps[(0.75 * right + 0.25 * wrong).argmin()]))
        assert best < surest
    assert best < 0.75


@pytest.mark.parametrize("gamma", [0.3, 1.0, 5.0])
@pytest.mark.parametrize("gap", [0.0, 20.0, 90.0, 1000.0])
def test_the_gradient_is_a_number_where_the_row_is_certain(gamma, gap):
    logits = torch.tensor([[gap, 0.0, -math.inf]], dtype=torch.float64, requires_grad=True)
    loss = dual_focal_loss(logits, torch.tensor([0]), gamma=gamma)
    (pull,) = torch.autograd.grad(loss, logits)
    assert bool(loss >= 0)
    assert bool(pull.isfinite().all())


def test_of_linear_logits_a_chunk_of_rows_at_a_time_it_is_the_same(generator):
    features, weight = (torch.randn(n, 4, dtype=torch.float64, generator=generator) for n in (11, 6))
    target = torch.randint(6, (11,), generator=generator)
    linear = LinearLogits(features, weight, memory_budget=2 * 6 * 8)
    for reduction in ("mean", "none"):
        found = dual_focal_loss(linear, target, reduction=reduction)
        torch.testing.assert_close(found, dual_focal_loss(features @ weight.T, target, reduction=reduction))


def test_gamma_zero_is_cross_entropy_bit_for_bit_almost(generator):
    logits = torch.randn(30, 7, dtype=torch.float64, generator=generator)
    target = torch.randint(7, (30,), generator=generator)
    torch.testing.assert_close(
        dual_focal_loss(logits, target, gamma=0), cross_entropy(logits, target), rtol=1e-15, atol=0
    )
