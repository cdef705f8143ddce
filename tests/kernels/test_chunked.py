"""The chunked engine: how little it holds, how few products it takes, how exact it is, and what it refuses."""

import pytest
import torch
from cases import DTYPES, LOGITS, REDUCTIONS, Watch, linear, parts

from lossbook import LinearLogits
from lossbook.losses import cross_entropy

ROWS, CLASSES, DIMENSION, ROWS_PER_CHUNK = 1024, 512, 8, 32
# Not the spherical family, whose engine forms no logits, nor the reward loss, whose outputs are few.
CHUNKED = [record for record in LOGITS if record.family in ("comp-sum", "stable", "many positives")]


def problem(generator, **options):
    logits = linear(generator, (ROWS,), CLASSES, DIMENSION, rows_per_chunk=ROWS_PER_CHUNK, **options)
    return logits, torch.randint(CLASSES, (ROWS,), generator=generator)


@pytest.mark.parametrize("record", CHUNKED, ids=lambda record: record.key)
@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64], ids=str)
def test_no_tensor_is_larger_than_a_chunk_of_logits_or_a_parameter(record, reduction, dtype, generator):
    logits, target = problem(generator, dtype=dtype)
    more = {name: LinearLogits(logits.features + 1, logits.weight, logits.bias) for name in record.companions}
    with Watch() as watch:
        loss = record.function(logits, target, reduction=reduction, **more)
        torch.autograd.grad(loss.sum(), parts(logits))
    chunk = ROWS_PER_CHUNK * CLASSES
    assert chunk <= watch.largest <= max(chunk, *(part.numel() for part in parts(logits)))
    assert watch.largest < ROWS * CLASSES / 20


@pytest.mark.parametrize(("reduction", "products"), [("mean", 3), ("sum", 3), ("none", 4)])
def test_value_and_gradient_take_three_products_and_four_where_each_row_is_asked_for(reduction, products, generator):
    logits, target = problem(generator)
    with Watch() as watch:
        cross_entropy(logits, target, reduction=reduction).sum().backward()
    one_product = ROWS * CLASSES * DIMENSION
    one_row = CLASSES * DIMENSION  # on which the row function is asked whether it learns anything itself
    assert watch.multiplications == products * one_product + (one_row if products == 3 else 0)


@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_without_gradients_one_product_is_enough(reduction, generator):
    logits, target = problem(generator)
    wanted = cross_entropy(logits.materialize(), target, reduction=reduction)
    for mode in (torch.no_grad, torch.inference_mode):
        with mode(), Watch() as watch:
            found = cross_entropy(logits, target, reduction=reduction)
        assert not found.requires_grad
        assert watch.multiplications == ROWS * CLASSES * DIMENSION
        torch.testing.assert_close(found, wanted.detach(), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("dtype", DTYPES[:3], ids=str)
@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_in_low_precision_the_error_is_at_most_twice_that_of_torch_with_all_logits_held(dtype, reduction, generator):
    logits, target = problem(generator, dtype=dtype)
    exact = LinearLogits(*(part.detach().double().requires_grad_() for part in parts(logits)))

    def run(loss, leaves):
        return [part.double() for part in (loss.detach(), *torch.autograd.grad(loss.sum(), leaves))]

    def held(linear_logits):
        return torch.nn.functional.cross_entropy(linear_logits.materialize(), target, reduction=reduction)

    wanted, torchs = run(held(exact), parts(exact)), run(held(logits), parts(logits))
    ours = run(cross_entropy(logits, target, reduction=reduction), parts(logits))
    for name, found, other, truth in zip(("loss", "features", "weight", "bias"), ours, torchs, wanted, strict=True):
        error, allowed = float((found - truth).norm()), 2 * float((other - truth).norm())
        if truth.ndim == 0:  # one number may be right by luck
            allowed = max(allowed, torch.finfo(dtype).eps * float(truth))
        assert error <= allowed, name


@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_a_second_backward_through_a_freed_graph_is_refused_as_torch_refuses_it(reduction, generator):
    logits, target = problem(generator)
    loss = cross_entropy(logits, target, reduction=reduction).sum()
    loss.backward(retain_graph=True)
    once = logits.features.grad.clone()
    loss.backward()
    torch.testing.assert_close(logits.features.grad, 2 * once, rtol=1e-12, atol=0)
    with pytest.raises(RuntimeError, match="backward through the graph a second time"):
        loss.backward()


@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_second_derivatives_are_refused_rather_than_lost(reduction, generator):
    logits, target = problem(generator)
    loss = cross_entropy(logits, target, reduction=reduction).sum()
    with pytest.raises(RuntimeError, match=r"first derivatives only.*materialize"):
        torch.autograd.grad(loss, logits.features, create_graph=True)


def test_a_parameter_changed_between_forward_and_backward_is_noticed(generator):
    logits, target = problem(generator)
    loss = cross_entropy(logits, target, reduction="none").sum()
    with torch.no_grad():
        logits.weight.add_(1)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()


def test_the_upstream_gradient_scales_the_gradients(generator):
    logits, target = problem(generator)
    once = torch.autograd.grad(cross_entropy(logits, target), parts(logits))
    for ours, theirs in zip(torch.autograd.grad(-3 * cross_entropy(logits, target), parts(logits)), once, strict=True):
        torch.testing.assert_close(ours, -3 * theirs, rtol=1e-12, atol=0)


def test_gradients_of_a_long_sum_of_chunks_do_not_lose_digits_in_bfloat16(generator):
    """A weight gradient gathered in bfloat16 would stop growing after 256 equal contributions."""
    rows = 4096
    features = torch.ones(rows, 1, dtype=torch.bfloat16)
    weight = torch.zeros(2, 1, dtype=torch.bfloat16, requires_grad=True)
    one_row_a_chunk = LinearLogits(features, weight, memory_budget=1)
    cross_entropy(one_row_a_chunk, torch.zeros(rows, dtype=torch.long), reduction="sum").backward()
    assert weight.grad.tolist() == [[-rows / 2], [rows / 2]]
