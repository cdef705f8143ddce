"""Asymmetric loss: the paper's numbers, its code written out as a loop, what is dropped, and what is let go."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn.functional import binary_cross_entropy_with_logits

from lossbook.losses import asymmetric_loss, cross_entropy, focal_loss, single_label_asymmetric_loss

CODE = {"gamma_negative": 4.0, "gamma_positive": 1.0, "shift": 0.05}  # the defaults of the official code
PLAIN = {"gamma_negative": 0.0, "gamma_positive": 0.0, "shift": 0.0}
LEAST = math.log(0.05 / 0.95)
EPSILON = 1e-8  # under which the official code holds no probability
gammas = st.floats(0, 5)
scores = st.lists(st.floats(-30, 30), min_size=2, max_size=6)


def number(value):
    return torch.tensor([value], dtype=torch.float64)


def slope(value, label, **options):
    logit = number(value).requires_grad_()
    (found,) = torch.autograd.grad(asymmetric_loss(logit, number(label), reduction="sum", **options), logit)
    return float(found)


def official(value, label, *, gamma_negative, gamma_positive, shift):
    """The loop of src/loss_functions/losses.py, one element at a time, with its clamps."""
    p = 1 / (1 + math.exp(-value))
    negative = min(1 - p + shift, 1.0) if shift else 1 - p
    loss = label * math.log(max(p, EPSILON)) + (1 - label) * math.log(max(negative, EPSILON))
    right = p * label + negative * (1 - label)
    gamma = gamma_positive * label + gamma_negative * (1 - label)
    return -loss * (1 - right) ** gamma


@pytest.mark.parametrize(
    ("value", "label", "loss"), [(0.0, 0.0, 0.024515), (2.0, 0.0, 0.846415), (0.0, 1.0, 0.346574), (2.0, 1.0, 0.015130)]
)
def test_the_worked_numbers_come_out(value, label, loss):
    assert round(float(asymmetric_loss(number(value), number(label), **CODE)), 6) == loss


def test_the_worked_slope_comes_out():
    assert round(slope(0.8, 0.0, **CODE), 6) == 0.328780


def test_without_focus_and_shift_it_is_binary_cross_entropy():
    assert round(float(asymmetric_loss(number(0.3), number(1.0), **PLAIN)), 6) == 0.554355


@given(value=st.floats(-18, 18), label=st.sampled_from([0.0, 1.0]), negative=gammas, positive=gammas)
@pytest.mark.parametrize("shift", [0.0, 0.05, 0.3])
def test_inside_its_clamps_it_is_the_official_loop(value, label, negative, positive, shift):
    options = {"gamma_negative": negative, "gamma_positive": positive, "shift": shift}
    found = float(asymmetric_loss(number(value), number(label), **options))
    # 1 − p has 1e-16 of an error there, of which the logarithm makes 1e-16/(1 − p) at most, e^18 e-16 = 7e-9
    assert math.isclose(found, official(value, label, **options), rel_tol=1e-7, abs_tol=1e-8)


@pytest.mark.parametrize(("label", "far"), [(1.0, -30.0), (0.0, 30.0)])
def test_beyond_the_clamps_of_the_code_ours_goes_on(label, far):
    """The code stops at −log 10⁻⁸ = 18.42, where its gradient ends as well."""
    assert official(far, label, **PLAIN) == pytest.approx(18.420681)
    assert float(asymmetric_loss(number(far), number(label), **PLAIN)) == pytest.approx(30, rel=1e-12)
    assert abs(slope(far, label, **PLAIN)) == pytest.approx(1, rel=1e-12)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_up_to_the_shift_a_negative_has_neither_loss_nor_gradient(dtype):
    logits = torch.linspace(-60, LEAST - 1e-5, 200, dtype=dtype).requires_grad_()
    loss = asymmetric_loss(logits, torch.zeros_like(logits), reduction="none")
    (pull,) = torch.autograd.grad(loss.sum(), logits)
    assert bool((loss == 0).all() & (pull == 0).all())
    assert round(LEAST, 6) == -2.944439
    assert float(asymmetric_loss(number(LEAST + 0.01), number(0.0))) > 0


def test_with_a_shift_the_hardest_negatives_are_let_go_and_without_one_they_are_not():
    """The gradient tends to 0 as p → 1 where m > 0: a negative so sure may be a missing label. With m = 0 it is 1."""
    shifted, plain = ([slope(value, 0.0, **CODE | {"shift": m}) for value in (2.0, 8.0, 15.0)] for m in (0.05, 0.0))
    assert shifted[0] > shifted[1] > shifted[2]
    assert shifted[2] < 1e-5  # p(1 − p)/m = 20 e⁻¹⁵ = 6e-6
    assert plain[2] == pytest.approx(1, abs=1e-4)  # (1 − p)(1 + 4 · 15) = 2e-5


def test_the_loss_of_a_negative_is_bounded_by_the_shift():
    assert float(asymmetric_loss(number(100.0), number(0.0))) == pytest.approx(-(0.95**4) * math.log(0.05), rel=1e-12)


@given(value=st.floats(-30, 30), gamma=gammas)
@pytest.mark.parametrize("label", [0, 1])
def test_equal_exponents_without_a_shift_are_focal_loss(value, gamma, label):
    found = asymmetric_loss(number(value), number(float(label)), gamma_negative=gamma, gamma_positive=gamma, shift=0.0)
    both = torch.tensor([[0.0, value]], dtype=torch.float64)
    wanted = focal_loss(both, torch.tensor([label]), gamma=gamma)
    assert math.isclose(float(found), float(wanted), rel_tol=1e-12, abs_tol=1e-15)


@pytest.mark.parametrize("label", [0.0, 1.0])
def test_a_detached_weight_changes_the_gradient_and_not_the_value(label):
    logit = number(0.8).requires_grad_()
    whole, held = (asymmetric_loss(logit, number(label), detach_weight=d, **CODE) for d in (False, True))
    assert torch.equal(whole, held)
    (pull,) = torch.autograd.grad(held, logit)
    p = torch.sigmoid(logit.detach())
    weight, own = ((1 - p), p - 1) if label else ((p - 0.05) ** 4, p * (1 - p) / (1.05 - p))
    torch.testing.assert_close(pull, weight * own, rtol=1e-12, atol=0)


def test_the_gradient_is_a_number_at_the_seam_for_every_exponent():
    logits = torch.tensor([LEAST, -100.0, 100.0, 0.0], dtype=torch.float64, requires_grad=True)
    for gamma in (0.0, 1e-3, 0.5, 1.0):
        for label in (0.0, 1.0):
            target = torch.full((4,), label, dtype=torch.float64)
            loss = asymmetric_loss(logits, target, gamma_negative=gamma, gamma_positive=gamma, reduction="sum")
            (pull,) = torch.autograd.grad(loss, logits)
            assert bool(pull.isfinite().all())


def test_in_single_precision_the_loss_keeps_its_digits(generator):
    logits = 8 * torch.randn(2000, generator=generator)
    target = (torch.rand(2000, generator=generator) < 0.5).float()
    for options in (PLAIN, CODE, {"shift": 1e-6}):
        single = asymmetric_loss(logits, target, reduction="none", **options).double()
        exact = asymmetric_loss(logits.double(), target.double(), reduction="none", **options)
        # p − m has an error of half a float32 eps, of which the fourth power and a slope of 1/m at most make this
        torch.testing.assert_close(single, exact, rtol=1e-4, atol=1e-6)


def test_binary_cross_entropy_stays_torchs_far_out():
    logits = torch.linspace(-100, 100, 401, dtype=torch.float64)
    for target in (torch.zeros_like(logits), torch.ones_like(logits)):
        found = asymmetric_loss(logits, target, reduction="none", **PLAIN)
        torch.testing.assert_close(found, binary_cross_entropy_with_logits(logits, target, reduction="none"))


def by_hand(row, target, negative, positive, smoothing):
    """ASLSingleLabel of the official code, class by class."""
    total = sum(math.exp(score - max(row)) for score in row)
    loss = 0.0
    for k, score in enumerate(row):
        log_p = score - max(row) - math.log(total)
        p = math.exp(log_p)
        share = (1 - smoothing) * (k == target) + smoothing / len(row)
        loss -= share * ((1 - p) ** positive if k == target else p**negative) * log_p
    return loss


@given(row=scores, negative=gammas, positive=gammas, smoothing=st.floats(0, 1))
def test_the_single_label_form_is_the_official_loop(row, negative, positive, smoothing):
    options = {"gamma_negative": negative, "gamma_positive": positive, "label_smoothing": smoothing}
    found = single_label_asymmetric_loss(torch.tensor([row], dtype=torch.float64), torch.tensor([1]), **options)
    # (1 − p)^γ of p near 1 has the digits that 1 − p has left in the loop, and log p is near 0 there
    assert math.isclose(float(found), by_hand(row, 1, negative, positive, smoothing), rel_tol=1e-9, abs_tol=1e-12)


def test_a_focus_on_the_wrong_classes_takes_the_resting_place_from_label_smoothing():
    """Plain smoothing pushes back where the row is sure; with γ₋ = 4 that push is gone."""
    logits = torch.tensor([[12.0, 0.0, 0.0]], dtype=torch.float64, requires_grad=True)
    target = torch.tensor([0])
    (smooth,) = torch.autograd.grad(cross_entropy(logits, target, label_smoothing=0.1), logits)
    (focused,) = torch.autograd.grad(single_label_asymmetric_loss(logits, target), logits)
    assert float(smooth[0, 0]) > 0.06  # ε (1 − 1/V): downwards
    assert float(focused[0, 0]) < 0


def test_asl_agrees_with_timm_where_it_is_installed(generator):
    timm = pytest.importorskip("timm.loss")
    logits = 3 * torch.randn(40, 7, generator=generator, dtype=torch.float64)
    target = (torch.rand(40, 7, generator=generator) < 0.3).double()
    theirs = timm.AsymmetricLossMultiLabel(gamma_neg=4, gamma_pos=1, clip=0.05, reduction="sum")
    ours = asymmetric_loss(logits, target, reduction="sum", **CODE)
    torch.testing.assert_close(theirs(logits, target).double(), ours, rtol=1e-6, atol=0)  # timm goes over to float32
    labels = torch.randint(7, (40,), generator=generator)
    single = timm.AsymmetricLossSingleLabel(gamma_pos=0, gamma_neg=4, eps=0.1)
    torch.testing.assert_close(single(logits, labels), single_label_asymmetric_loss(logits, labels))
