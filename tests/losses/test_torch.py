"""Wherever torch has the loss, ours is torch's: value, gradient, dtype and shape."""

import itertools
from functools import partial

import pytest
import torch
import torch.nn.functional as F
from cases import DTYPES, ERROR, LABELS, LOGITS, MARGIN, REDUCTIONS, draw, keywords
from hypothesis import given
from hypothesis import strategies as st

from lossbook.losses import (
    absolute_error,
    cross_entropy,
    hinge_loss,
    huber_loss,
    logistic_loss,
    squared_error,
    squared_hinge_loss,
)

IGNORE = 2
SHAPES = ((7,), (9, 7), (4, 3, 7))


def torch_cross_entropy(logits, target, **options):
    """torch's, with the class axis last."""
    if logits.ndim > 1:
        logits = logits.movedim(-1, 1)
        target = target.movedim(-1, 1) if target.is_floating_point() else target
    return F.cross_entropy(logits, target, **options)


def same(ours, theirs, *tensors):
    """Value and gradients by the tensors that require grad agree, with dtype and shape.

    In half precision torch rounds at every step and we at the end. There ours is held to the exact result: two units in
    the last place, or torch's own error.
    """

    def run(loss, tensors):
        value = loss(*tensors)
        pull = torch.linspace(0.5, 1.5, value.numel()).reshape(value.shape).to(value.dtype)
        leaves = [tensor for tensor in tensors if tensor is not None and tensor.requires_grad]
        return [value.detach(), *torch.autograd.grad(value, leaves, pull)]

    exactly = [
        t.detach().double().requires_grad_(t.requires_grad) if t is not None and t.is_floating_point() else t
        for t in tensors
    ]
    for found, wanted, exact in zip(run(ours, tensors), run(theirs, tensors), run(theirs, exactly), strict=True):
        if found.dtype in (torch.float32, torch.float64):
            torch.testing.assert_close(found, wanted)
            continue
        assert (found.dtype, found.shape) == (wanted.dtype, wanted.shape)
        allowed = max(2 * torch.finfo(found.dtype).eps * float(exact.norm()), float((wanted - exact).norm()))
        assert float((found - exact).norm()) <= allowed


def problem(shape, kind, dtype, generator):
    logits = 3 * torch.randn(shape, generator=generator)
    if kind == "soft":
        target = torch.softmax(torch.randn(shape, generator=generator), -1).to(dtype)
    else:
        target = torch.randint(shape[-1], shape[:-1], generator=generator)
    if kind == "ignored" and target.ndim:
        target[0] = IGNORE
    weight = 0.5 + torch.rand(shape[-1], generator=generator)
    return logits.to(dtype).requires_grad_(), target, weight.to(dtype)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("kind", ["index", "ignored", "soft"])
@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_cross_entropy_is_torchs(reduction, kind, shape, dtype, generator):
    logits, target, weight = problem(shape, kind, dtype, generator)
    for smoothing, class_weight in itertools.product((0.0, 0.3), (None, weight)):
        options = {"label_smoothing": smoothing, "reduction": reduction}
        if kind == "ignored":
            options["ignore_index"] = IGNORE
        same(
            lambda z, y, w, options=options: cross_entropy(z, y, weight=w, **options),
            lambda z, y, w, options=options: torch_cross_entropy(z, y, weight=w, **options),
            *(logits, target, class_weight),
        )


@given(
    rows=st.integers(0, 5),
    classes=st.integers(1, 6),
    reduction=st.sampled_from(("sum", "none")),
    ignored=st.sets(st.integers(0, 4)),
    seed=st.integers(0, 2**31),
)
def test_cross_entropy_is_torchs_for_any_number_of_rows_and_classes(rows, classes, reduction, ignored, seed):
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(rows, classes, dtype=torch.float64, generator=generator).requires_grad_()
    target = torch.randint(classes, (rows,), generator=generator)
    target[[row for row in ignored if row < rows]] = -100
    ours, theirs = (partial(loss, reduction=reduction) for loss in (cross_entropy, torch_cross_entropy))
    same(ours, theirs, logits, target)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int8, torch.int16, torch.int32, torch.uint16], ids=str)
def test_class_indices_may_be_of_any_integer_type(dtype):
    logits, target = torch.eye(4), torch.tensor([0, 3, 1, 2])
    assert torch.equal(cross_entropy(logits, target.to(dtype)), cross_entropy(logits, target))


def test_soft_targets_are_differentiated_by_too(generator):
    logits, target, _ = problem((6, 4), "soft", torch.float64, generator)
    target.requires_grad_()
    same(cross_entropy, torch_cross_entropy, logits, target)


@pytest.mark.parametrize("record", LOGITS, ids=lambda record: record.key)
@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_where_no_row_counts_the_loss_is_a_differentiable_zero(record, reduction, generator):
    for rows in (0, 4):
        logits, _ = draw(record, generator, rows=rows)
        logits.requires_grad_()
        target = torch.full((rows,), -100)
        loss = record.function(logits, target, reduction=reduction, **keywords(record, logits, {}))
        assert loss.shape == ((rows,) if reduction == "none" else ())
        assert bool((loss == 0).all())
        (found,) = torch.autograd.grad(loss.sum(), logits)
        assert torch.equal(found, torch.zeros_like(logits))


@pytest.mark.parametrize("record", LOGITS, ids=lambda record: record.key)
def test_rows_that_do_not_count_may_hold_nan(record, generator):
    logits, target = draw(record, generator, rows=6)
    poisoned, partly = logits.clone(), target.clone()
    poisoned[1::2], partly[1::2] = float("nan"), -100
    poisoned.requires_grad_()
    loss = record.function(poisoned, partly, **keywords(record, logits, {}))
    alone = record.function(logits[::2], target[::2], **keywords(record, logits[::2], {}))
    torch.testing.assert_close(loss, alone, rtol=1e-14, atol=0)
    (found,) = torch.autograd.grad(loss, poisoned)
    assert bool((found[1::2] == 0).all())
    assert bool(found.isfinite().all())


@pytest.mark.parametrize("record", LOGITS, ids=lambda record: record.key)
def test_the_mean_divides_by_the_sum_of_the_weights_of_the_rows_that_count(record, generator):
    logits, target = draw(record, generator, rows=8)
    weight = torch.rand(logits.shape[-1], dtype=torch.float64, generator=generator)
    target[3] = -100
    options = {"weight": weight, **keywords(record, logits, {})}
    mean, total, each = (record.function(logits, target, reduction=name, **options) for name in REDUCTIONS)
    plain = record.function(logits, target, reduction="none", **keywords(record, logits, {}))
    counted = torch.where(target == -100, 0.0, weight[target.clamp(min=0)])
    torch.testing.assert_close(each, plain * counted)
    torch.testing.assert_close(total, each.sum())
    torch.testing.assert_close(mean, each.sum() / counted.sum())


@pytest.mark.parametrize("record", MARGIN + ERROR + LABELS, ids=lambda record: record.key)
def test_where_there_is_no_element_the_mean_is_a_differentiable_zero(record):
    empty = torch.zeros(0, 3, requires_grad=True)
    inputs = (empty,) if record.inputs == "margin" else (empty, empty.detach())
    loss = record.function(*inputs, **keywords(record, empty, record.defaults))
    assert loss.detach() == 0
    assert torch.autograd.grad(loss, empty)[0].shape == (0, 3)


def test_where_the_weights_of_all_rows_are_zero_the_mean_is_zero():
    assert float(cross_entropy(torch.zeros(2, 3), torch.tensor([1, 1]), weight=torch.tensor([1.0, 0.0, 1.0]))) == 0
    assert float(squared_error(torch.ones(2), torch.zeros(2), weight=torch.zeros(2))) == 0


ELEMENTWISE = {
    "mse_loss": (squared_error, {}),
    "l1_loss": (absolute_error, {}),
    "huber_loss": (huber_loss, {"delta": 0.7}),
}


@pytest.mark.parametrize("name", ELEMENTWISE)
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_regression_losses_are_torchs(name, dtype, weighted, reduction, generator):
    ours, parameters = ELEMENTWISE[name]
    for shape in ((), (5,), (4, 3, 2)):
        prediction, target = (torch.randn(shape, generator=generator).to(dtype).requires_grad_() for _ in range(2))
        weight = torch.rand(shape, generator=generator).to(dtype) if weighted else None
        pair = (partial(loss, reduction=reduction, **parameters) for loss in (ours, getattr(F, name)))
        with_weight = (lambda p, t, w, loss=loss: loss(p, t, weight=w) for loss in pair)
        same(*with_weight, prediction, target, weight)


def squared_hinge_by_torch(margin, **options):
    both = torch.stack([margin, torch.zeros_like(margin)], -1)
    return 2 * F.multi_margin_loss(both, torch.zeros(len(margin), dtype=torch.long), p=2, **options)  # halved by torch


MARGINS = {
    "soft_margin_loss": (logistic_loss, lambda m, **options: F.soft_margin_loss(m, torch.ones_like(m), **options)),
    "hinge_embedding_loss": (
        hinge_loss,
        lambda m, **options: F.hinge_embedding_loss(m, -torch.ones_like(m), **options),
    ),
    "multi_margin_loss": (squared_hinge_loss, squared_hinge_by_torch),
}


@pytest.mark.parametrize("name", MARGINS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_margin_losses_are_torchs(name, dtype, reduction, generator):
    ours, theirs = MARGINS[name]
    margin = (3 * torch.randn(40, generator=generator)).to(dtype).requires_grad_()
    same(partial(ours, reduction=reduction), partial(theirs, reduction=reduction), margin)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_the_logistic_loss_is_binary_cross_entropy_with_logits(dtype, reduction, generator):
    score = (5 * torch.randn(4, 6, generator=generator)).to(dtype).requires_grad_()
    label = torch.randint(2, (4, 6), generator=generator).to(dtype)
    weight = (
        torch.rand(4, 6, generator=generator).to(dtype) if reduction != "mean" else None
    )  # torch's mean forgets them
    same(
        lambda z, y, w: logistic_loss((2 * y - 1) * z, weight=w, reduction=reduction),
        lambda z, y, w: F.binary_cross_entropy_with_logits(z, y, weight=w, reduction=reduction),
        *(score, label, weight),
    )


def test_a_mean_in_half_precision_does_not_overflow_on_the_way_through_its_sum():
    error = torch.full((100_000,), 2.0, dtype=torch.float16)
    assert float(squared_error(error, torch.zeros_like(error))) == 4
    assert float(logistic_loss(-error)) == float(logistic_loss(-error[:1]))
