"""Losses that look at whole rows of scores, for logits that stand as a product: a chunk of rows at a time.

Such a loss is plain PyTorch on a chunk's logits. `total` takes its derivative by them in the same visit and turns it
into the gradients of the parts: three matrix products, as many as if the logits had been kept. `each` forms a chunk
again in its backward: four.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from lossbook.kernels.linear import Gradients, Linear, check_first_order, in_own_dtype, parts
from lossbook.kernels.statistics import accumulation_dtype

WholeRow = Callable[[Tensor, Tensor], Tensor]  # (logits (rows, classes), class indices (rows,)) -> loss of each row


class _Total(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, features: Tensor, weight: Tensor, bias: Tensor | None, rest: tuple, row: WholeRow, scale: Tensor
    ):
        linear = Linear(features, weight, bias, *rest)
        with in_own_dtype(linear):
            total, gradients = _visit(linear, row, scale, ctx.needs_input_grad)
        ctx.save_for_backward(*(gradients.cast() if gradients is not None else (None, None, None)))
        return total

    @staticmethod
    def backward(ctx: Any, upstream: Tensor):
        check_first_order()
        kept = (None if one is None else one * upstream.to(one.dtype) for one in ctx.saved_tensors)
        return *kept, None, None, None


def _visit(linear: Linear, row: WholeRow, scale: Tensor, needed: tuple[bool, ...]) -> tuple[Tensor, Gradients | None]:
    """The total, and the gradients where any is needed."""
    target = _target(linear)
    gradients, buffer = Gradients(linear, needed) if any(needed[:3]) else None, linear.buffer()
    total = torch.zeros((), dtype=scale.dtype, device=scale.device)
    for start, stop in linear.spans():
        logits = linear.chunk(start, stop, buffer).logits
        if gradients is None:
            total += (_values(row, logits, target[start:stop]) * scale[start:stop]).sum()
            continue
        leaf = logits.detach().requires_grad_()
        with torch.enable_grad():
            part = (_values(row, leaf, target[start:stop]) * scale[start:stop]).sum()
            found = torch.autograd.grad(part, leaf)[0] if part.requires_grad else torch.zeros_like(leaf)
        total += part.detach()
        slope = linear.slope(logits)
        gradients.add(start, stop, found if slope is None else found * slope)
    return total, gradients


def _target(linear: Linear) -> Tensor:
    if linear.target is None:
        raise ValueError("target: got None, expected class indices: whole rows are read with one")
    return linear.target


def _values(row: WholeRow, logits: Tensor, target: Tensor) -> Tensor:
    """The losses of the rows; those that do not count (target −1) see zeros, so that what they hold stays theirs."""
    counts = target >= 0
    if not (counts.is_cuda or torch.compiler.is_compiling()) and bool(counts.all()):  # to ask a GPU would stop it
        return row(logits, target)
    safe = torch.where(counts[:, None], logits, 0.0)
    return torch.where(counts, row(safe, target.clamp(min=0)), 0.0)


def total(row: WholeRow, linear: Linear, scale: Tensor) -> Tensor:
    """Σ_i scale_i row(logits of row i), a scalar; `row` may depend on nothing learned but the logits."""
    return _Total.apply(*parts(linear), linear[3:], row, scale)


def each(row: WholeRow, linear: Linear) -> Tensor:
    """row(logits of row i) for each row, (rows,)."""

    def chunk(features: Tensor, weight: Tensor, bias: Tensor | None, target: Tensor) -> Tensor:
        with in_own_dtype(linear):
            logits = (features @ weight.T).to(accumulation_dtype(features.dtype))
            logits = logits if bias is None else logits + bias
            logits = logits if linear.softcap is None else linear.softcap * torch.tanh(logits / linear.softcap)
            return _values(row, logits, target)

    target = _target(linear)
    spans = [slice(*span) for span in linear.spans()]
    found = [
        checkpoint(chunk, linear.features[rows], *linear[1:3], target[rows], use_reentrant=False) for rows in spans
    ]
    return torch.cat(found) if found else linear.features.new_zeros(0, dtype=accumulation_dtype(linear.features.dtype))


def dense(row: WholeRow, logits: Tensor, target: Tensor) -> Tensor:
    """The same of logits that are held."""
    return _values(row, logits.to(accumulation_dtype(logits.dtype)), target)
