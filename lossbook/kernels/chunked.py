"""The chunked engine: statistics of logits that are never whole, formed a chunk of rows at a time.

`statistics` is differentiable for any use of its numbers: its backward forms each chunk again (four matrix products in
all). `total` also knows the row function and each row's scale, so one visit to a chunk gives value and gradient: three
products, as many as if the logits had been kept.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from lossbook.kernels.linear import Gradients, Linear, check_first_order, in_own_dtype, parts
from lossbook.kernels.statistics import accumulation_dtype, values
from lossbook.kernels.visits import visit

RowFunction = Callable[[dict[str, Tensor], Tensor], Tensor]  # (statistics, weight of each row) -> loss of each row


class _Statistics(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, features: Tensor, weight: Tensor, bias: Tensor | None, rest: tuple, names: tuple[str, ...]):
        linear = Linear(features, weight, bias, *rest)
        with in_own_dtype(linear):
            out = forward(names, linear)
        ctx.save_for_backward(features, weight, bias)
        ctx.rest, ctx.names = rest, names
        return out

    @staticmethod
    def backward(ctx: Any, upstream: Tensor):
        check_first_order()
        linear = Linear(*ctx.saved_tensors, *ctx.rest)
        with in_own_dtype(linear):
            return *backward(ctx.names, linear, upstream, ctx.needs_input_grad), None, None


def forward(names: tuple[str, ...], linear: Linear) -> Tensor:
    """The named statistics, (names, rows)."""
    features, way = linear.features, visit(names, linear)
    out = features.new_empty((len(names), len(features)), dtype=accumulation_dtype(features.dtype))
    for start, stop in linear.spans():
        numbers = way.read(start, stop)
        for k, name in enumerate(names):
            out[k, start:stop] = numbers[name]
    return out


def backward(
    names: tuple[str, ...], linear: Linear, upstream: Tensor, needed: tuple[bool, ...]
) -> tuple[Tensor | None, ...]:
    """The gradients by features, weight and bias, from those by the statistics, (names, rows)."""
    gradients, way = Gradients(linear, needed), visit(names, linear)
    for start, stop in linear.spans():
        numbers = way.read(start, stop)
        way.add(gradients, dict(zip(names, upstream[:, start:stop], strict=True)), numbers)
    return gradients.cast()


class _Total(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        features: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        rest: tuple,
        names: tuple[str, ...],
        row: RowFunction,
        row_weight: Tensor,
        scale: Tensor,
    ):
        linear = Linear(features, weight, bias, *rest)
        with in_own_dtype(linear):
            total, gradients = _visit(linear, names, row, row_weight, scale, ctx.needs_input_grad)
        ctx.save_for_backward(*(gradients.cast() if gradients is not None else (None, None, None)))
        return total

    @staticmethod
    def backward(ctx: Any, upstream: Tensor):
        check_first_order()
        kept = ctx.saved_tensors
        if upstream.is_cuda or float(upstream) != 1:  # to ask a GPU would stop it; elsewhere a copy of them is saved
            kept = tuple(None if one is None else one * upstream.to(one.dtype) for one in kept)
        return *kept, None, None, None, None, None


def _visit(
    linear: Linear,
    names: tuple[str, ...],
    row: RowFunction,
    row_weight: Tensor,
    scale: Tensor,
    needed: tuple[bool, ...],
) -> tuple[Tensor, Gradients | None]:
    """The total, and the gradients where any is needed, from one visit to each chunk."""
    gradients, way = Gradients(linear, needed) if any(needed[:3]) else None, visit(names, linear)
    total = torch.zeros((), dtype=scale.dtype, device=scale.device)
    for start, stop in linear.spans():
        numbers = way.read(start, stop)
        by_row = row_weight[start:stop], scale[start:stop]
        part, coefficients = _derivatives(row, numbers, *by_row, wanted=gradients is not None)
        total += part
        if gradients is not None:
            way.add(gradients, coefficients, numbers)
    return total, gradients


def _derivatives(
    row: RowFunction, numbers: dict[str, Tensor], row_weight: Tensor, scale: Tensor, *, wanted: bool
) -> tuple[Tensor, dict[str, Tensor | None]]:
    """Σ_i scale_i row(numbers of row i) and, where wanted, its derivative by each number."""
    if not wanted:
        return (row(numbers, row_weight) * scale).sum(), {}
    leaves = {name: number.detach().requires_grad_() for name, number in numbers.items()}
    with torch.enable_grad():
        part = (row(leaves, row_weight) * scale).sum()
        if not part.requires_grad:
            return part, dict.fromkeys(leaves)
        found = torch.autograd.grad(part, tuple(leaves.values()), allow_unused=True)
    return part.detach(), dict(zip(leaves, found, strict=True))


def statistics(names: tuple[str, ...], linear: Linear) -> dict[str, Tensor]:
    """The named statistics of each row, differentiable by features, weight and bias; each has shape (rows,)."""
    out = _Statistics.apply(*parts(linear), linear[3:], names)
    return dict(zip(names, out, strict=True))


def total(row: RowFunction, names: tuple[str, ...], linear: Linear, row_weight: Tensor, scale: Tensor) -> Tensor:
    """Σ_i scale_i row(statistics of row i, weight of row i), a scalar.

    The derivative by the statistics is taken chunk by chunk, so `row` may depend on nothing learned but its statistics:
    `learns_more` tells.
    """
    return _Total.apply(*parts(linear), linear[3:], names, row, row_weight, scale)


def learns_more(row: RowFunction, names: tuple[str, ...], linear: Linear, row_weight: Tensor) -> bool:
    """Whether the row function reaches a learned tensor besides its statistics, say a temperature: asked of one row."""
    if not torch.is_grad_enabled():
        return False
    with torch.no_grad():
        first = values(names, linear.chunk(0, 1))
    leaves = {name: number.requires_grad_() for name, number in first.items()}
    value = row(leaves, row_weight[:1])
    nodes, seen = [value.grad_fn], set()
    while nodes:
        node = nodes.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        variable = getattr(node, "variable", None)
        if variable is not None and not any(variable is leaf for leaf in leaves.values()):
            return True
        nodes += [parent for parent, _ in node.next_functions]
    return False
