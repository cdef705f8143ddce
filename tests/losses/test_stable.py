"""StableMax where softmax has no more digits, and the penalty that PaLM calls z-loss."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lossbook.losses import cross_entropy, logit_square_penalty, stablemax_cross_entropy

DTYPES = (torch.float16, torch.bfloat16, torch.float32, torch.float64)


def test_the_worked_numbers():
    logits = torch.tensor([[3.0, 0.0, -1.0]], dtype=torch.float64, requires_grad=True)
    loss = stablemax_cross_entropy(logits, torch.tensor([0]))
    (pull,) = torch.autograd.grad(loss, logits)
    assert round(float(loss.detach()), 6) == 0.318454
    assert [round(number, 6) for number in pull[0].tolist()] == [-0.068182, 0.181818, 0.045455]


def test_where_cross_entropy_has_rounded_to_nothing_stablemax_still_pulls():
    logits = torch.tensor([[20.0, 0.0, 0.0]], requires_grad=True)
    target = torch.tensor([0])
    collapsed, alive = (
        torch.autograd.grad(loss(logits, target), logits)[0][0] for loss in (cross_entropy, stablemax_cross_entropy)
    )
    assert float(collapsed[0]) == 0.0
    assert [round(number, 6) for number in alive.tolist()] == [-0.004141, 0.043478, 0.043478]
    assert round(math.exp(-float(stablemax_cross_entropy(logits.detach(), target))), 5) == 0.91304


@given(scores=st.lists(st.floats(-50, 50), min_size=1, max_size=6))
def test_stablemax_is_its_formula_term_by_term(scores):
    def s(x):
        return x + 1 if x >= 0 else 1 / (1 - x)

    found = stablemax_cross_entropy(torch.tensor([scores], dtype=torch.float64), torch.tensor([0]))
    assert math.isclose(float(found), math.log(sum(map(s, scores)) / s(scores[0])), rel_tol=1e-12, abs_tol=1e-12)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("score", [1.0, 0.0, -0.0, -1.0])
def test_the_gradient_is_a_number_where_a_branch_not_taken_would_divide_by_zero(score, dtype):
    """At z = 1 the branch for negative scores is 1/0; at 0 both meet, with slope 1."""
    logits = torch.full((1, 3), score, dtype=dtype, requires_grad=True)
    (pull,) = torch.autograd.grad(stablemax_cross_entropy(logits, torch.tensor([1])), logits)
    wanted = torch.tensor([[1, -2, 1]]).double() / 3 / (1 + abs(score))
    torch.testing.assert_close(pull.double(), wanted, rtol=2 * torch.finfo(dtype).eps, atol=0)


@pytest.mark.parametrize("dtype", DTYPES[:2], ids=str)
def test_many_classes_do_not_overflow_half_precision(dtype):
    """The sum of 100,000 ones is past the largest float16."""
    loss = stablemax_cross_entropy(torch.zeros(1, 100_000, dtype=dtype), torch.tensor([7]))
    assert math.isclose(float(loss), math.log(100_000), rel_tol=torch.finfo(dtype).eps)


def test_a_wrong_class_at_minus_infinity_is_as_if_it_were_not_there(generator):
    logits = torch.randn(6, 4, dtype=torch.float64, generator=generator)
    masked = torch.cat([logits, torch.full((6, 2), -math.inf)], -1).requires_grad_()
    target = torch.randint(4, (6,), generator=generator)
    loss = stablemax_cross_entropy(masked, target)
    torch.testing.assert_close(loss, stablemax_cross_entropy(logits, target), rtol=1e-14, atol=0)
    (pull,) = torch.autograd.grad(loss, masked)
    assert bool((pull[:, 4:] == 0).all())
    assert bool(pull.isfinite().all())


def test_the_penalty_without_a_target_counts_all_rows_alike(generator):
    logits = torch.randn(2, 3, 5, dtype=torch.float64, generator=generator)
    each = torch.logsumexp(logits, -1) ** 2
    torch.testing.assert_close(logit_square_penalty(logits), each.mean(), rtol=1e-14, atol=0)
    torch.testing.assert_close(logit_square_penalty(logits, reduction="none"), each, rtol=1e-14, atol=0)
    target = torch.tensor([[0, -100, 1], [2, 3, -100]])
    counted = logit_square_penalty(logits, target)
    torch.testing.assert_close(counted, each[target >= 0].mean(), rtol=1e-14, atol=0)


def test_the_penalty_pulls_along_the_one_direction_to_which_cross_entropy_is_blind(generator):
    logits = torch.randn(4, 6, dtype=torch.float64, generator=generator).requires_grad_()
    target = torch.zeros(4, dtype=torch.long)
    along = [
        torch.autograd.grad(loss(logits, target, reduction="sum"), logits)[0].sum(-1)
        for loss in (cross_entropy, logit_square_penalty)
    ]
    assert float(along[0].abs().max()) < 1e-14
    torch.testing.assert_close(along[1], 2 * torch.logsumexp(logits.detach(), -1), rtol=1e-13, atol=0)
