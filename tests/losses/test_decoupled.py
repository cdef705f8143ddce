"""Decoupled softmax: several right classes a row, and that they do not compete."""

import math

import pytest
import torch
from cases import REDUCTIONS, Watch, linear, parts

from lossbook.losses import cross_entropy, decoupled_softmax_loss

SCORES = torch.tensor([[2.0, 1.0, 0.0, -1.0]], dtype=torch.float64)
PADDING = -100


def by_hand(scores, right):
    """Each right class among itself and the wrong ones, one exponential at a time."""
    total = 0.0
    for i in right:
        rest = sum(math.exp(score - scores[i]) for n, score in enumerate(scores) if n not in right)
        total += math.log1p(rest)
    return total / len(right)


def problem(generator, rows=9, classes=7):
    """One to four right classes a row, and one row with none."""
    target = torch.stack([torch.randperm(classes, generator=generator)[:4] for _ in range(rows)])
    counts = torch.randint(1, 5, (rows,), generator=generator)
    counts[3] = 0
    return torch.where(torch.arange(4) < counts[:, None], target, PADDING)


def test_the_worked_numbers():
    logits = SCORES.clone().requires_grad_()
    loss = decoupled_softmax_loss(logits, torch.tensor([[0, 1]]))
    (pull,) = torch.autograd.grad(loss, logits)
    assert round(float(loss.detach()), 6) == 0.288726
    assert [round(number, 4) for number in pull[0].tolist()] == [-0.0781, -0.1674, 0.1795, 0.066]
    multi_positive = -torch.log_softmax(SCORES, -1)[0, :2].mean()
    assert round(float(multi_positive), 5) == 0.94019  # what an ordinary softmax would charge


def test_where_both_right_classes_are_far_ahead_nothing_pulls():
    logits = torch.tensor([[10.0, 5.0, -10.0, -10.0]], dtype=torch.float64, requires_grad=True)
    (pull,) = torch.autograd.grad(decoupled_softmax_loss(logits, torch.tensor([[0, 1]])), logits)
    assert float(pull.abs().max()) < 1e-6
    (softmax,) = torch.autograd.grad(-torch.log_softmax(logits, -1)[0, :2].mean(), logits)
    assert [round(number, 3) for number in softmax[0, :2].tolist()] == [0.493, -0.493]


@pytest.mark.parametrize("kind", ["held", "linear"])
def test_each_row_is_its_loop(kind, generator):
    target = problem(generator)
    logits = linear(generator, (9,), 7)
    found = decoupled_softmax_loss(logits if kind == "linear" else logits.materialize(), target, reduction="none")
    for row, right, value in zip(logits.materialize().tolist(), target.tolist(), found.tolist(), strict=True):
        named = [i for i in right if i != PADDING]
        assert math.isclose(value, by_hand(row, named) if named else 0.0, rel_tol=1e-12)


def test_every_right_class_is_pulled_up_and_every_wrong_one_down(generator):
    target = problem(generator)
    logits = (3 * torch.randn(9, 7, dtype=torch.float64, generator=generator)).requires_grad_()
    (pull,) = torch.autograd.grad(decoupled_softmax_loss(logits, target, reduction="sum"), logits)
    right = torch.zeros(9, 8, dtype=torch.bool).scatter_(1, torch.where(target == PADDING, 7, target), True)[:, :7]
    counted = right.any(-1)
    assert bool((pull[right] < 0).all())
    assert bool((pull[counted][~right[counted]] > 0).all())
    assert bool((pull[~counted] == 0).all())


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("softcap", [None, 3.0])
def test_linear_scores_are_the_scores(reduction, weighted, bias, softcap, generator):
    target = problem(generator)
    weight = torch.rand(7, dtype=torch.float64, generator=generator) if weighted else None
    made = linear(generator, (9,), 7, bias=bias)
    logits = type(made)(made.features, made.weight, made.bias, memory_budget=made.memory_budget, softcap=softcap)
    upstream = torch.randn(9 if reduction == "none" else (), dtype=torch.float64, generator=generator)
    values = [
        decoupled_softmax_loss(scores, target, weight=weight, reduction=reduction)
        for scores in (logits, logits.materialize())
    ]
    torch.testing.assert_close(*values, rtol=1e-12, atol=1e-14)
    for ours, theirs in zip(*(torch.autograd.grad(value, parts(logits), upstream) for value in values), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_one_right_class_is_cross_entropy_however_it_is_given(reduction, generator):
    logits = torch.randn(8, 5, dtype=torch.float64, generator=generator)
    target = torch.randint(5, (8,), generator=generator)
    target[2] = PADDING
    options = {"weight": torch.rand(5, dtype=torch.float64, generator=generator), "reduction": reduction}
    wanted = cross_entropy(logits, target, **options)
    padded = torch.stack([torch.full_like(target, PADDING), target], -1)
    for given in (target, target[:, None], padded):
        torch.testing.assert_close(decoupled_softmax_loss(logits, given, **options), wanted, rtol=1e-12, atol=1e-14)


def test_a_batch_of_any_shape_and_any_ignore_index(generator):
    target = problem(generator, rows=6).reshape(2, 3, 4)
    logits = torch.randn(2, 3, 7, dtype=torch.float64, generator=generator)
    found = decoupled_softmax_loss(
        logits, torch.where(target == PADDING, -1, target), ignore_index=-1, reduction="none"
    )
    flat = decoupled_softmax_loss(logits.reshape(6, 7), target.reshape(6, 4), reduction="none")
    torch.testing.assert_close(found, flat.reshape(2, 3), rtol=1e-14, atol=0)


def test_a_row_whose_classes_are_all_right_costs_nothing_and_pulls_nowhere():
    logits = torch.tensor([[1.0, -2.0], [0.5, 0.0]], dtype=torch.float64, requires_grad=True)
    loss = decoupled_softmax_loss(logits, torch.tensor([[0, 1], [1, PADDING]]), reduction="none")
    (pull,) = torch.autograd.grad(loss.sum(), logits)
    assert float(loss[0].detach()) == 0
    assert pull[0].tolist() == [0, 0]
    assert bool((pull[1] != 0).all())


def test_where_no_row_counts_the_loss_is_a_differentiable_zero():
    for scores in (torch.randn(3, 4, requires_grad=True), linear(torch.Generator(), (3,), 4)):
        leaf = scores if isinstance(scores, torch.Tensor) else scores.features
        with torch.no_grad():
            leaf.fill_(math.nan)  # it stays where it is
        loss = decoupled_softmax_loss(scores, torch.full((3, 2), PADDING))
        (pull,) = torch.autograd.grad(loss, leaf)
        assert float(loss.detach()) == 0
        assert bool((pull == 0).all())


def test_scores_of_ten_thousand_and_masked_classes_are_no_trouble():
    logits = torch.tensor([[1e4, -1e4, 0.0, -math.inf], [-1e4, 1e4, 9999.0, -math.inf]], requires_grad=True)
    loss = decoupled_softmax_loss(logits, torch.tensor([[0, 1], [0, 1]]), reduction="none")
    (pull,) = torch.autograd.grad(loss.sum(), logits)
    # Row 0: class 1 lies 10⁴ below class 2. Row 1: class 0 lies 19,999 below it, class 1 one above.
    torch.testing.assert_close(loss.detach(), torch.tensor([5000.0, 9999.5 + math.log1p(math.exp(-1)) / 2]))
    assert bool(pull.isfinite().all())
    assert pull[:, 3].tolist() == [0, 0]


def test_the_scores_of_many_rows_and_classes_are_never_held(generator):
    rows, classes, dimension = 512, 1024, 8
    logits = linear(generator, (rows,), classes, dimension, rows_per_chunk=16)
    target = torch.randint(classes, (rows, 3), generator=generator)
    with Watch() as watch:
        decoupled_softmax_loss(logits, target).backward()
    assert watch.largest <= max(16 * (classes + 1), classes * dimension)
