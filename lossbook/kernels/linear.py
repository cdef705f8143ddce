"""Logits that stand as a product: their parts, how a chunk of them is formed, and how their gradients are gathered.

A logit is features @ weight.T + bias, bent by a soft cap where there is one. The engines for linear logits share this.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor

from lossbook.kernels.statistics import Rows, accumulation_dtype

CLASSES_PER_PRODUCT = 512  # on a CPU a product this wide is still in cache when it is written: 1.5 times as fast


def spans(length: int, size: int) -> Iterator[slice]:
    """The pieces of a length."""
    return (slice(start, min(start + size, length)) for start in range(0, length, size))


class Linear(NamedTuple):
    """Logits that stand as a product, with their targets and the class weights."""

    features: Tensor  # (rows, dimension)
    weight: Tensor  # (classes, dimension)
    bias: Tensor | None  # (classes,)
    target: Tensor | None
    class_weight: Tensor | None
    memory_budget: int  # bytes that a chunk of logits may take
    softcap: float | None = None  # c: a logit z becomes c tanh(z/c)
    gradient_filter: float | None = None  # tile engine: blocks whose gradient stays below this are passed over
    engine: str = "auto"
    group: Any = None  # of processes over which the logits are spread
    sharded: str = "classes"

    def chunk(self, start: int, stop: int, out: Tensor | None = None) -> Rows:
        """The logits of some rows over all classes, in the accumulation dtype; written into `out` where it is given."""
        features, weight = self.features[start:stop], self.weight
        dtype, shape = accumulation_dtype(features.dtype), (features.shape[0], weight.shape[0])
        logits = features.new_empty(shape, dtype=dtype) if out is None else out[: shape[0]]
        if features.dtype != dtype:
            logits.copy_(features @ weight.T)
        elif features.device.type != "cpu":
            torch.mm(features, weight.T, out=logits)
        else:
            for first in range(0, shape[1], CLASSES_PER_PRODUCT):
                some = slice(first, first + CLASSES_PER_PRODUCT)
                torch.mm(features, weight[some].T, out=logits[:, some])
        if self.bias is not None:
            logits += self.bias
        if self.softcap is not None:
            logits.div_(self.softcap).tanh_().mul_(self.softcap)
        return Rows(logits, None if self.target is None else self.target[start:stop], self.class_weight)

    def slope(self, logits: Tensor) -> Tensor | None:
        """The soft cap's derivative, from capped logits; None where there is no cap."""
        return None if self.softcap is None else 1 - (logits / self.softcap).square_()

    def rows_per_chunk(self) -> int:
        """As many as fit into the memory budget, and one at least; chunks are of like size."""
        rows = max(1, self.features.shape[0])
        row_bytes = self.weight.shape[0] * accumulation_dtype(self.features.dtype).itemsize
        most = max(1, min(rows, self.memory_budget // max(1, row_bytes)))
        return -(-rows // -(-rows // most))

    def spans(self) -> Iterator[tuple[int, int]]:
        """The row ranges of the chunks."""
        rows, size = self.features.shape[0], self.rows_per_chunk()
        return ((start, min(start + size, rows)) for start in range(0, rows, size))

    def buffer(self) -> Tensor:
        """Room for a chunk of logits, used again for each chunk: fresh memory costs a page fault every 4 kilobytes."""
        dtype = accumulation_dtype(self.features.dtype)
        return self.features.new_empty((self.rows_per_chunk(), self.weight.shape[0]), dtype=dtype)


class Gradients:
    """The gradients of features, weight and bias, gathered chunk by chunk; None where not asked for."""

    def __init__(self, linear: Linear, needed: tuple[bool, ...]):
        dtype = accumulation_dtype(linear.features.dtype)  # sums over chunks never in half precision
        features, weight, bias = linear.features, linear.weight, linear.bias
        self.features = torch.empty_like(features, memory_format=torch.contiguous_format) if needed[0] else None
        self.weight = torch.zeros(weight.shape, dtype=dtype, device=weight.device) if needed[1] else None
        self.bias = torch.zeros_like(bias, dtype=dtype) if bias is not None and needed[2] else None
        self.linear = linear

    def add(self, start: int, stop: int, logits_gradient: Tensor, factor: Tensor | None = None) -> None:
        """Add those of some rows, from the gradient by their logits; `factor` (rows,) multiplies it."""
        rows = self.linear.features[start:stop]
        scaled = rows if factor is None else rows * factor[:, None].to(rows.dtype)
        if self.bias is not None:
            self.bias += logits_gradient.sum(0) if factor is None else logits_gradient.T @ factor
        logits_gradient = logits_gradient.to(rows.dtype)
        if self.features is not None:
            found = torch.mm(logits_gradient, self.linear.weight, out=self.features[start:stop])
            if factor is not None:
                found *= factor[:, None].to(rows.dtype)
        if self.weight is not None:
            if self.weight.dtype == rows.dtype:
                self.weight.addmm_(logits_gradient.T, scaled)
            elif rows.is_cuda:
                torch.addmm(self.weight, logits_gradient.T, scaled, out_dtype=self.weight.dtype, out=self.weight)
            else:
                self.weight += logits_gradient.T @ scaled

    def cast(self) -> tuple[Tensor | None, ...]:
        """They in the dtypes of their parameters."""
        weight, bias = self.linear.weight, self.linear.bias
        return (
            self.features,
            None if self.weight is None else self.weight.to(weight.dtype),
            None if self.bias is None or bias is None else self.bias.to(bias.dtype),
        )


def in_own_dtype(linear: Linear) -> torch.autocast:
    """Autocast has had its say when the parts were cast: sums stay in the accumulation dtype."""
    return torch.autocast(linear.features.device.type, enabled=False)


def check_first_order() -> None:
    """Refuse a second derivative, in a backward.

    torch's once_differentiable would pass the gradient on as a constant, and a penalty on it would go unfelt.
    """
    if torch.is_grad_enabled():
        raise RuntimeError("LinearLogits give first derivatives only: for create_graph=True use their materialize()")


def parts(linear: Linear) -> tuple[Any, ...]:
    """Features, weight and bias, as an autograd Function should see them.

    Inside a Function a tensor still says that it requires grad where grad mode is off: two products for nothing.
    """
    return tuple(t if t is None or torch.is_grad_enabled() else t.detach() for t in linear[:3])
