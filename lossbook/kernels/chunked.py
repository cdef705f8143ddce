"""Statistics of logits that are never whole: features @ weight.T + bias, a chunk of rows at a time.

`statistics` is differentiable for any use of its numbers: its backward forms each chunk again (four matrix products in
all). `total` also knows the row function and each row's scale, so one visit to a chunk gives value and gradient: three
products, as many as if the logits had been kept.
"""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor

from lossbook.kernels.statistics import (
    Rows,
    accumulation_dtype,
    log_probabilities,
    logits_gradient_,
    need_log_probabilities,
    values,
)

RowFunction = Callable[[dict[str, Tensor], Tensor], Tensor]  # (statistics, weight of each row) -> loss of each row


class Linear(NamedTuple):
    """Logits that stand as a product, with their targets and the class weights."""

    features: Tensor  # (rows, dimension)
    weight: Tensor  # (classes, dimension)
    bias: Tensor | None  # (classes,)
    target: Tensor | None
    class_weight: Tensor | None
    memory_budget: int  # bytes that a chunk of logits may take

    def chunk(self, start: int, stop: int, out: Tensor | None = None) -> Rows:
        """The logits of some rows, in the accumulation dtype; written into `out` where it is given."""
        features = self.features[start:stop]
        if out is None:
            logits = features @ self.weight.T
        else:
            logits = torch.mm(features, self.weight.T, out=out[: stop - start])
        if self.bias is not None:
            logits += self.bias
        target = None if self.target is None else self.target[start:stop]
        return Rows(logits.to(accumulation_dtype(logits.dtype)), target, self.class_weight)

    def rows_per_chunk(self) -> int:
        """As many as fit into the memory budget, and one at least."""
        row_bytes = self.weight.shape[0] * accumulation_dtype(self.features.dtype).itemsize
        return max(1, min(self.features.shape[0], self.memory_budget // max(1, row_bytes)))

    def spans(self) -> Iterator[tuple[int, int]]:
        """The row ranges of the chunks."""
        rows, size = self.features.shape[0], self.rows_per_chunk()
        return ((start, min(start + size, rows)) for start in range(0, rows, size))

    def buffers(self, names: tuple[str, ...]) -> tuple[Tensor | None, Tensor | None]:
        """Room for the logits of a chunk and for their log-probabilities, used again for each chunk.

        Fresh memory costs a page fault every four kilobytes. None for logits that are cast, which makes a copy, and for
        log-probabilities that no statistic looks at.
        """
        shape, dtype = (self.rows_per_chunk(), self.weight.shape[0]), accumulation_dtype(self.features.dtype)
        return (
            self.features.new_empty(shape) if self.features.dtype == dtype else None,
            self.features.new_empty(shape, dtype=dtype) if need_log_probabilities(names) else None,
        )


class _Gradients:
    """The gradients of features, weight and bias, gathered chunk by chunk; None where not asked for."""

    def __init__(self, linear: Linear, needed: tuple[bool, ...]):
        dtype = accumulation_dtype(linear.features.dtype)  # sums over chunks never in half precision
        features, weight, bias = linear.features, linear.weight, linear.bias
        self.features = torch.empty_like(features, memory_format=torch.contiguous_format) if needed[0] else None
        self.weight = torch.zeros(weight.shape, dtype=dtype, device=weight.device) if needed[1] else None
        self.bias = torch.zeros_like(bias, dtype=dtype) if bias is not None and needed[2] else None
        self.linear = linear

    def add(self, start: int, stop: int, logits_gradient: Tensor) -> None:
        if self.bias is not None:
            self.bias += logits_gradient.sum(0)
        logits_gradient = logits_gradient.to(self.linear.features.dtype)
        if self.features is not None:
            torch.mm(logits_gradient, self.linear.weight, out=self.features[start:stop])
        if self.weight is not None:
            rows = self.linear.features[start:stop]
            if self.weight.dtype == rows.dtype:
                self.weight.addmm_(logits_gradient.T, rows)
            else:
                self.weight += logits_gradient.T @ rows

    def cast(self) -> tuple[Tensor | None, ...]:
        weight, bias = self.linear.weight, self.linear.bias
        return (
            self.features,
            None if self.weight is None else self.weight.to(weight.dtype),
            None if self.bias is None or bias is None else self.bias.to(bias.dtype),
        )


def _check_first_order() -> None:
    # torch's once_differentiable would pass the gradient on as a constant, and a penalty on it would go unfelt.
    if torch.is_grad_enabled():
        raise RuntimeError("LinearLogits give first derivatives only: for create_graph=True use their materialize()")


class _Statistics(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, features: Tensor, weight: Tensor, bias: Tensor | None, rest: tuple, names: tuple[str, ...]):
        linear = Linear(features, weight, bias, *rest)
        dtype = accumulation_dtype(features.dtype)
        out = torch.empty(len(names), features.shape[0], dtype=dtype, device=features.device)
        logits, log_p = linear.buffers(names)
        for start, stop in linear.spans():
            rows = linear.chunk(start, stop, logits)
            chunk = values(names, rows, log_probabilities(names, rows.logits, log_p))
            for k, name in enumerate(names):
                out[k, start:stop] = chunk[name]
        ctx.save_for_backward(features, weight, bias)
        ctx.rest, ctx.names = rest, names
        return out

    @staticmethod
    def backward(ctx: Any, upstream: Tensor):
        _check_first_order()
        linear = Linear(*ctx.saved_tensors, *ctx.rest)
        gradients = _Gradients(linear, ctx.needs_input_grad)
        logits, log_p = linear.buffers(ctx.names)
        for start, stop in linear.spans():
            coefficients: dict[str, Tensor | None] = dict(zip(ctx.names, upstream[:, start:stop], strict=True))
            rows = linear.chunk(start, stop, logits)
            known = log_probabilities(ctx.names, rows.logits, log_p)
            gradients.add(start, stop, logits_gradient_(rows, coefficients, known))
        return *gradients.cast(), None, None


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
        gradients = _Gradients(linear, ctx.needs_input_grad) if any(ctx.needs_input_grad[:3]) else None
        total = torch.zeros((), dtype=scale.dtype, device=scale.device)
        logits, buffer = linear.buffers(names)
        for start, stop in linear.spans():
            rows = linear.chunk(start, stop, logits)
            log_p = log_probabilities(names, rows.logits, buffer)
            numbers = values(names, rows, log_p)
            if gradients is None:
                total += (row(numbers, row_weight[start:stop]) * scale[start:stop]).sum()
                continue
            leaves = {name: number.detach().requires_grad_() for name, number in numbers.items()}
            with torch.enable_grad():
                part = (row(leaves, row_weight[start:stop]) * scale[start:stop]).sum()
                found = (
                    torch.autograd.grad(part, tuple(leaves.values()), allow_unused=True)
                    if part.requires_grad
                    else (None,) * len(leaves)
                )
            total += part.detach()
            gradients.add(start, stop, logits_gradient_(rows, dict(zip(leaves, found, strict=True)), log_p))
        ctx.save_for_backward(*(gradients.cast() if gradients is not None else (None, None, None)))
        return total

    @staticmethod
    def backward(ctx: Any, upstream: Tensor):
        _check_first_order()
        scaled = (None if kept is None else kept * upstream.to(kept.dtype) for kept in ctx.saved_tensors)
        return *scaled, None, None, None, None, None


def _parts(linear: Linear) -> tuple[Tensor | None, ...]:
    # Inside a Function a tensor still says that it requires grad where grad mode is off: two products for nothing.
    return tuple(t if t is None or torch.is_grad_enabled() else t.detach() for t in linear[:3])


def statistics(names: tuple[str, ...], linear: Linear) -> dict[str, Tensor]:
    """The named statistics of each row, differentiable by features, weight and bias; each has shape (rows,)."""
    out = _Statistics.apply(*_parts(linear), linear[3:], names)
    return dict(zip(names, out, strict=True))


def total(row: RowFunction, names: tuple[str, ...], linear: Linear, row_weight: Tensor, scale: Tensor) -> Tensor:
    """Σ_i scale_i row(statistics of row i, weight of row i), a scalar.

    The derivative by the statistics is taken chunk by chunk, so `row` may depend on nothing learned but its statistics:
    `learns_more` tells.
    """
    return _Total.apply(*_parts(linear), linear[3:], names, row, row_weight, scale)


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
