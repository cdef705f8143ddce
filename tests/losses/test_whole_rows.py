"""The door for losses of whole rows: the same work as the other door, on a loss that both can do."""

import math

import pytest
import torch
from cases import REDUCTIONS, linear, parts

from lossbook import LinearLogits
from lossbook.losses import cross_entropy
from lossbook.losses._whole_rows import whole_row_loss


def row(logits, target):
    return torch.logsumexp(logits, -1) - logits.gather(-1, target[:, None])[:, 0]


def gradients(loss, tensors):
    return torch.autograd.grad(
        (loss * torch.linspace(0.5, 1.5, max(1, loss.numel())).reshape(loss.shape)).sum(), tensors
    )


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("softcap", [None, 2.0])
def test_cross_entropy_by_whole_rows_is_cross_entropy_dense_and_linear(reduction, weighted, softcap, generator):
    """To a few roundings of float64: the sums are the same, in another order."""
    held = linear(generator, (2, 5), 7)
    held = LinearLogits(held.features, held.weight, held.bias, memory_budget=held.memory_budget, softcap=softcap)
    target = torch.randint(7, (2, 5), generator=generator)
    target[0, 1] = -100
    weight = torch.rand(7, dtype=torch.float64, generator=generator) if weighted else None
    options = {"weight": weight, "reduction": reduction}
    wanted = cross_entropy(held.materialize(), target, **options)
    for given in (held, held.materialize()):
        found = whole_row_loss(row, given, target, **options)
        torch.testing.assert_close(found, wanted, rtol=1e-13, atol=1e-15)
        ours, theirs = (
            gradients(loss, parts(held)) for loss in (found, cross_entropy(held.materialize(), target, **options))
        )
        torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_summed_in_single(dtype, generator):
    logits = (3 * torch.randn(4, 300, generator=generator)).to(dtype)
    target = torch.randint(300, (4,), generator=generator)
    found = whole_row_loss(row, logits, target)
    assert found.dtype == dtype
    torch.testing.assert_close(found, cross_entropy(logits, target), rtol=0, atol=0)


def test_a_row_that_does_not_count_may_hold_anything(generator):
    held = linear(generator, (4,), 3)
    with torch.no_grad():
        held.features[1] = math.nan
    target = torch.tensor([0, -100, 2, 1])
    loss = whole_row_loss(row, held, target)
    assert bool(loss.isfinite())
    assert all(bool(found.isfinite().all()) for found in gradients(loss, parts(held)))
    assert whole_row_loss(row, held, torch.full((4,), -100)).detach() == 0


def test_a_second_derivative_of_a_total_is_refused(generator):
    held = linear(generator, (4,), 3)
    loss = whole_row_loss(row, held, torch.tensor([0, 1, 2, 0]))
    with pytest.raises(RuntimeError, match="first derivatives only"):
        torch.autograd.grad(loss, held.weight, create_graph=True)


def test_engines_that_form_no_whole_row_are_refused(generator):
    held = linear(generator, (4,), 3)
    for engine in ("gram", "tile"):
        given = LinearLogits(held.features, held.weight, held.bias, engine=engine)
        with pytest.raises(ValueError, match=r"logits.engine: got '.*', expected engine='auto' or engine='chunked'"):
            whole_row_loss(row, given, torch.tensor([0, 1, 2, 0]))
