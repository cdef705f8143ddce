"""Cross-entropy as a polynomial: the papers' identities, sums written out, and what two other losses add up to."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lossbook.losses import (
    cross_entropy,
    focal_loss,
    mean_absolute_error_loss,
    poly_loss,
    taylor_cross_entropy,
)

DTYPES = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
TOY = torch.tensor([[2.0, 1.0, 0.0]], dtype=torch.float64)
RIGHT = torch.tensor([0])
scores = st.lists(st.floats(-30, 30), min_size=2, max_size=6)
coefficients = st.lists(st.floats(0, 5), min_size=1, max_size=4)


def drawn(rows=20, classes=5, seed=0):
    generator = torch.Generator().manual_seed(seed)
    logits = 2 * torch.randn(rows, classes, dtype=torch.float64, generator=generator)
    return logits, torch.randint(classes, (rows,), generator=generator)


def slope(loss, logits, target, **parameters):
    free = logits.clone().requires_grad_()
    return torch.autograd.grad(loss(free, target, reduction="sum", **parameters), free)[0]


def row_of(found):
    """The row's log p_y and 1 − p_y, from sums of exponentials."""
    below = [math.exp(score - found[0]) for score in found[1:]]
    return -math.log1p(sum(below)), sum(below) / (1 + sum(below))


def test_poly_gives_the_worked_numbers():
    log_p = torch.log_softmax(TOY, -1)[0, 0]
    assert round(float(log_p.exp()), 6) == 0.665241
    assert round(float(-log_p), 6) == 0.407606
    assert round(float(poly_loss(TOY, RIGHT, epsilon=2)), 6) == 1.077124


@given(found=scores, epsilon=coefficients, gamma=st.floats(0, 5))
def test_poly_is_its_formula_term_by_term(found, epsilon, gamma):
    log_p, missing = row_of(found)
    wanted = missing**gamma * (-log_p + sum(e * missing ** (j + 1) for j, e in enumerate(epsilon)))
    value = float(poly_loss(torch.tensor([found], dtype=torch.float64), RIGHT, epsilon=epsilon, gamma=gamma))
    # log p_y has the digits of a number near 30; what rounds in it passes to the power and to the sum of ε
    slack = 32 * torch.finfo(torch.float64).eps * (1 + gamma) * (1 + sum(epsilon)) * (missing + 1e-15) ** gamma
    assert math.isclose(value, wanted, rel_tol=1e-12, abs_tol=slack)


def test_the_series_of_the_logarithm_needs_many_terms_and_199_do_at_two_thirds():
    """The atlas: −log 0.665241 to 1e-12. What is left out is below m²⁰⁰/(200 (1 − m))."""
    whole = float(cross_entropy(TOY, RIGHT))
    assert float(taylor_cross_entropy(TOY, RIGHT, terms=199)) == pytest.approx(whole, abs=1e-12)
    unsure = torch.tensor([[0.0] + [math.log(99 / 9)] * 9], dtype=torch.float64)  # p_y = 0.01
    left_out = float(cross_entropy(unsure, RIGHT) - taylor_cross_entropy(unsure, RIGHT, terms=199))
    assert left_out > 0.99**200 / 200  # every term left out is positive, and this is the first
    assert left_out > 0.04  # nats: a class in ten at the start is fine, one in a hundred is not


@given(found=scores, terms=st.integers(1, 60))
def test_taylor_cross_entropy_is_its_sum_written_out(found, terms):
    _, missing = row_of(found)
    value = float(taylor_cross_entropy(torch.tensor([found], dtype=torch.float64), RIGHT, terms=terms))
    assert math.isclose(value, sum(missing**j / j for j in range(1, terms + 1)), rel_tol=1e-12, abs_tol=1e-14)


@pytest.mark.parametrize("terms", [1, 2, 5, 20, 100])
def test_what_is_left_out_of_the_series_is_at_most_the_next_term_over_p(terms):
    logits, target = drawn()
    p = torch.softmax(logits, -1).gather(1, target[:, None])[:, 0]
    options = {"reduction": "none"}
    left_out = cross_entropy(logits, target, **options) - taylor_cross_entropy(logits, target, terms=terms, **options)
    assert bool((left_out >= -1e-14).all())
    assert bool((left_out <= (1 - p) ** (terms + 1) / ((terms + 1) * p) + 1e-14).all())


def test_minus_one_takes_the_leading_term_away():
    logits, target = drawn()
    p = torch.softmax(logits, -1)
    own = p.gather(1, target[:, None])
    y = torch.nn.functional.one_hot(target, 5)
    assert torch.allclose(slope(poly_loss, logits, target, epsilon=-1), (1 - own) * (p - y), rtol=0, atol=1e-14)


def test_all_coefficients_cancelled_leave_what_the_truncation_leaves_out():
    logits, target = drawn()
    without = poly_loss(logits, target, epsilon=[-1 / j for j in range(1, 6)])
    rest = cross_entropy(logits, target) - taylor_cross_entropy(logits, target, terms=5)
    assert float(without) == pytest.approx(float(rest), abs=1e-14)


def test_a_large_epsilon_has_the_direction_of_mean_absolute_error():
    logits, target = drawn()
    large = slope(poly_loss, logits, target, epsilon=1e6) / 1e6
    assert torch.allclose(large, slope(mean_absolute_error_loss, logits, target), rtol=0, atol=1e-6)


def test_poly_focal_is_focal_and_a_power():
    logits, target = drawn()
    missing = mean_absolute_error_loss(logits, target, reduction="none")
    for epsilon, gamma in ((2.0, 2.0), (-0.4, 2.0), (1.0, 0.5)):
        wanted = focal_loss(logits, target, gamma=gamma, reduction="none") + epsilon * missing ** (gamma + 1)
        found = poly_loss(logits, target, epsilon=epsilon, gamma=gamma, reduction="none")
        assert torch.allclose(found, wanted, rtol=1e-13, atol=1e-15)


def test_focal_loss_is_the_same_series_with_every_power_moved_by_gamma():
    """The paper's table 1: Σ_j (1 − p)^(j + γ)/j. At 1 − p ≤ 0.9, 400 terms leave 0.9⁴⁰¹/40 out."""
    logits, target = drawn()
    missing = mean_absolute_error_loss(logits, target, reduction="none")
    logits, target, missing = logits[missing < 0.9], target[missing < 0.9], missing[missing < 0.9]
    series = sum(missing ** (j + 2) / j for j in range(1, 401))
    assert torch.allclose(series, focal_loss(logits, target, gamma=2, reduction="none"), rtol=0, atol=1e-12)


@pytest.mark.parametrize("smoothing", [0.1, 0.5])
@pytest.mark.parametrize("epsilon", [-1.0, 2.0])
def test_with_smoothed_labels_it_is_smoothed_cross_entropy_and_mean_absolute_error(epsilon, smoothing):
    """The paper's p_t = Σ_k q_k p_k with q = (1 − s) e_y + s/V is (1 − s) p_y + s/V."""
    logits, target = drawn()
    q = (1 - smoothing) * torch.nn.functional.one_hot(target, 5).double() + smoothing / 5
    published = cross_entropy(logits, q) + epsilon * (1 - (q * torch.softmax(logits, -1)).sum(1)).mean()
    ours = cross_entropy(logits, target, label_smoothing=smoothing)
    ours = ours + epsilon * ((1 - smoothing) * mean_absolute_error_loss(logits, target) + smoothing * 4 / 5)
    assert float(ours) == pytest.approx(float(published), abs=1e-14)


def test_a_far_wrong_row_is_pulled_by_taylor_as_many_times_mean_absolute_error_as_there_are_terms():
    """p_y = e⁻³⁰: the weight 1 − (1 − p)^N is N p to rounding, where 1 − m would have no digit left."""
    logits = torch.tensor([[0.0, 30.0]], dtype=torch.float64)
    ratio = slope(taylor_cross_entropy, logits, RIGHT, terms=7) / slope(mean_absolute_error_loss, logits, RIGHT)
    assert ratio[0].tolist() == pytest.approx([7.0, 7.0], rel=1e-9)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("gamma", [0.0, 1e-3, 0.5, 2.0])
@pytest.mark.parametrize("epsilon", [-1.0, 0.0, 2.0, (0.5, -0.5, 3.0)])
@pytest.mark.parametrize("gap", [-1000.0, 0.0, 20.0, 90.0, 1000.0])
def test_value_and_gradient_are_numbers_where_the_row_is_certain(gap, epsilon, gamma, dtype):
    logits = torch.tensor([[gap, 0.0, 0.0]], dtype=dtype, requires_grad=True)
    for loss in (
        poly_loss(logits, RIGHT, epsilon=epsilon, gamma=gamma),
        taylor_cross_entropy(logits, RIGHT, terms=30),
    ):
        (pull,) = torch.autograd.grad(loss, logits)
        assert bool(loss >= 0)
        assert bool(pull.isfinite().all())
        assert bool((pull[0, 0] <= 0) & (pull[0, 1:] >= 0).all())
