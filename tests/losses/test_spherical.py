"""The spherical family: the numbers and invariances of its papers, its places where formulas break, and its cost."""

import math

import pytest
import torch
from cases import Watch
from hypothesis import given
from hypothesis import strategies as st

from lossbook import LinearLogits
from lossbook.losses import (
    log_spherical_softmax_loss,
    logit_square_penalty,
    one_hot_squared_error_loss,
    taylor_softmax_loss,
    z_loss,
)

FAMILY = (z_loss, one_hot_squared_error_loss, log_spherical_softmax_loss, taylor_softmax_loss)
SCORES, RIGHT = torch.tensor([[2.0, 1.0, 0.0, -1.0]], dtype=torch.float64), torch.tensor([0])


@pytest.mark.parametrize(("sharpness", "aim", "value"), [(1.0, 0.0, 0.232235), (0.1, 10.0, 12.169854)])
def test_the_z_loss_gives_the_worked_numbers(sharpness, aim, value):
    assert round(float(z_loss(SCORES, RIGHT, sharpness=sharpness, aim=aim)), 6) == value


@given(
    scores=st.lists(st.floats(-9, 9), min_size=3, max_size=6, unique=True),
    stretch=st.floats(0.1, 10),
    shift=st.floats(-10, 10),
    sharpness=st.floats(0.1, 5),
    aim=st.floats(0, 30),
)
def test_the_z_loss_is_blind_to_shift_and_scale_and_bounded_by_the_number_of_classes(
    scores, stretch, shift, sharpness, aim
):
    row = torch.tensor([scores], dtype=torch.float64)
    if float(row.std()) < 1e-3:  # the digits of a spread of 10⁻³ under a shift of 10 are 10⁻¹²
        return
    one, other = (float(z_loss(z, RIGHT, sharpness=sharpness, aim=aim)) for z in (row, stretch * row + shift))
    assert math.isclose(one, other, rel_tol=1e-9, abs_tol=1e-12)
    reach = math.sqrt(len(scores) - 1)
    for bound, sign in ((reach, 1), (-reach, -1)):
        limit = float(torch.nn.functional.softplus(torch.tensor(sharpness * (aim - bound)).double())) / sharpness
        assert sign * (one - limit) >= -1e-6  # torch's softplus here


def test_the_gradient_of_the_z_loss_sums_to_zero_and_is_orthogonal_to_the_scores(generator):
    logits = torch.randn(50, 7, dtype=torch.float64, generator=generator).requires_grad_()
    target = torch.randint(7, (50,), generator=generator)
    (pull,) = torch.autograd.grad(z_loss(logits, target, aim=3.0, reduction="sum"), logits)
    logits = logits.detach()
    assert float(pull.norm(dim=-1).min()) > 1e-3
    assert float(pull.sum(-1).abs().max()) < 1e-13
    assert float((pull * logits).sum(-1).abs().max()) < 1e-13


@pytest.mark.parametrize("level", [0.0, 0.1, -1e4, 1e-30])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64], ids=str)
def test_scores_that_are_equal_to_rounding_have_a_standard_score_of_zero_and_no_gradient(level, dtype):
    logits = torch.full((2, 7), level, dtype=dtype, requires_grad=True)
    loss = z_loss(logits, torch.tensor([3, 6]), aim=2.0)
    (pull,) = torch.autograd.grad(loss, logits)
    assert math.isclose(float(loss.detach()), math.log1p(math.exp(2)), rel_tol=4 * torch.finfo(dtype).eps)
    assert bool((pull == 0).all())


def test_with_two_classes_the_z_loss_knows_only_which_score_is_higher(generator):
    logits = torch.randn(20, 2, dtype=torch.float64, generator=generator).requires_grad_()
    loss = z_loss(logits, torch.zeros(20, dtype=torch.long), reduction="none")
    right = logits[:, 0] > logits[:, 1]
    wanted = torch.where(right, *torch.tensor([-1.0, 1.0]).double().exp().log1p())
    torch.testing.assert_close(loss, wanted, rtol=1e-12, atol=0)
    assert float(torch.autograd.grad(loss.sum(), logits)[0].abs().max()) < 1e-13


@pytest.mark.parametrize("loss", FAMILY, ids=lambda loss: loss.__name__)
def test_variance_far_from_zero_does_not_cancel_in_single_precision(loss, generator):
    """Scores around 1000 with a spread of 1: Σz²/V − μ² would have lost them."""
    logits = 1000 + torch.randn(200, 50, dtype=torch.float64, generator=generator)
    logits = logits.float()  # exact in both precisions
    target = torch.randint(50, (200,), generator=generator)
    exact = loss(logits.double(), target, reduction="none")
    # In single precision the mean of scores near 1000 is known to 1.2e-4, and z_y − μ with it; Σz²/V to 0.06.
    torch.testing.assert_close(loss(logits, target, reduction="none").double(), exact, rtol=1e-6, atol=2.5e-4)


@given(scores=st.lists(st.floats(-30, 30), min_size=2, max_size=6), epsilon=st.floats(0.01, 1))
def test_the_spherical_losses_are_their_formulas_term_by_term(scores, epsilon):
    row = torch.tensor([scores], dtype=torch.float64)
    squares, taylor, errors = 0.0, 0.0, 0.0
    for j, score in enumerate(scores):
        squares += score * score + epsilon
        taylor += 1 + score + score * score / 2
        errors += (score - (j == 0)) ** 2
    first = scores[0]
    for found, wanted in (
        (log_spherical_softmax_loss(row, RIGHT, epsilon=epsilon), math.log(squares / (first**2 + epsilon))),
        (taylor_softmax_loss(row, RIGHT), math.log(taylor / (1 + first + first**2 / 2))),
        (one_hot_squared_error_loss(row, RIGHT), errors),
    ):
        assert math.isclose(float(found), wanted, rel_tol=1e-11, abs_tol=1e-12)


def test_near_zero_the_taylor_softmax_is_cross_entropy_to_third_order():
    scores = torch.tensor([[1.0, -0.5, 0.3]], dtype=torch.float64)
    apart = [
        abs(float(taylor_softmax_loss(t * scores, RIGHT) - torch.nn.functional.cross_entropy(t * scores, RIGHT)))
        for t in (0.02, 0.01)
    ]
    assert 7 < apart[0] / apart[1] < 9  # halving the scores divides a third power by eight


@pytest.mark.parametrize("loss", FAMILY, ids=lambda loss: loss.__name__)
def test_the_family_costs_no_product_of_rows_and_classes(loss, generator):
    rows, classes, dimension = 512, 2048, 8
    features, weight = (
        torch.randn(n, dimension, dtype=torch.float64, generator=generator).requires_grad_() for n in (rows, classes)
    )
    target = torch.randint(classes, (rows,), generator=generator)
    with Watch() as watch:
        loss(LinearLogits(features, weight, engine="gram"), target).backward()
    assert watch.largest <= classes * dimension
    assert watch.multiplications < rows * classes * dimension / 4
    wanted = loss(features @ weight.T, target)
    found = loss(LinearLogits(features, weight, engine="gram"), target)
    torch.testing.assert_close(found, wanted, rtol=1e-12, atol=0)
    torch.testing.assert_close(
        features.grad,
        torch.autograd.grad(wanted, features)[0],
        rtol=1e-9,
        atol=1e-13 * float(features.grad.abs().max()),
    )


def test_the_z_loss_and_the_z_loss_of_language_models_are_two(generator):
    logits = torch.randn(5, 4, dtype=torch.float64, generator=generator)
    target = torch.zeros(5, dtype=torch.long)
    assert float(z_loss(logits + 9, target)) == pytest.approx(float(z_loss(logits, target)), rel=1e-12)
    penalty = logit_square_penalty(logits + 9, reduction="none")
    torch.testing.assert_close(penalty, (torch.logsumexp(logits, -1) + 9) ** 2, rtol=1e-13, atol=0)
