"""The Gram engine: statistics that see the logits only through Σz, Σz² and the target's score form no logits at all.

With z = W x + b, Σz = x·Σw + Σb, and the squared deviations of z are those of the centred weights, xᵀ(W̃ᵀW̃)x + ...: a
dimension × dimension matrix made once. Time is O((rows + classes) dimension²) where any engine that forms logits takes
O(rows · classes · dimension). Every derivative is there, the second too.

Reference: Vincent, de Brebisson & Bouthillier 2015, arXiv 1412.7091.
"""

from typing import Any

import torch
from torch import Tensor

from lossbook.kernels.linear import Linear, in_own_dtype
from lossbook.kernels.statistics import accumulation_dtype

NAMES = frozenset({"target", "sum", "square_sum", "mean", "variance"})


def serves(names: tuple[str, ...], linear: Linear) -> bool:
    """Whether these statistics can be had without logits."""
    return NAMES.issuperset(names) and linear.softcap is None


def is_faster(linear: Linear) -> bool:
    """Whether it takes fewer multiplications, gradients included, than the three products of the chunked engine."""
    (rows, dimension), classes = linear.features.shape, linear.weight.shape[0]
    return 4 * classes * dimension + 6 * rows * dimension < 6 * rows * classes


class _OfWeight(torch.autograd.Function):
    """What the statistics need of the weight: the mean class c, the matrix of the classes' spread, and some classes.

    Autograd alone would form the same gradient of the weight several times over. The spread is Σ_j (w_j − c)(w_j − c)ᵀ;
    since the deviations sum to zero, c adds nothing to its derivative. The backward is differentiable itself.
    """

    @staticmethod
    def forward(ctx: Any, weight: Tensor, target: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
        ctx.save_for_backward(weight, target)
        centre = weight.mean(0)
        spread = weight.new_zeros(weight.shape[1], weight.shape[1])
        for some in weight.split(_CLASSES_AT_A_TIME):
            centred = some - centre
            spread.addmm_(centred.T, centred)
        return centre, spread, weight.new_zeros(0) if target is None else weight[target]

    @staticmethod
    def backward(ctx: Any, of_centre: Tensor, of_spread: Tensor, of_chosen: Tensor) -> tuple[Tensor, None]:
        weight, target = ctx.saved_tensors
        both = of_spread + of_spread.T
        gradient = torch.addmm(of_centre / weight.shape[0] - weight.mean(0) @ both, weight, both)
        return (gradient if target is None else gradient.index_add_(0, target, of_chosen)), None


def _of_weight(weight: Tensor, target: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
    """The same, left to autograd, for a compiler to follow."""
    centre = weight.mean(0)
    centred = weight - centre
    return centre, centred.T @ centred, weight.new_zeros(0) if target is None else weight[target]


_CLASSES_AT_A_TIME = 8192  # whose deviations from the mean are held


def statistics(names: tuple[str, ...], linear: Linear) -> dict[str, Tensor]:
    """The named statistics of each row, differentiable by features, weight and bias; each has shape (rows,)."""
    dtype = accumulation_dtype(linear.features.dtype)
    features, weight = linear.features.to(dtype), linear.weight.to(dtype)
    bias = None if linear.bias is None else linear.bias.to(dtype)
    classes = weight.shape[0]
    with in_own_dtype(linear):
        of_weight = _of_weight if torch.compiler.is_compiling() else _OfWeight.apply
        centre, spread, chosen = of_weight(weight, linear.target if "target" in names else None)
        mean = features @ centre
        if bias is not None:
            mean = mean + bias.mean()
        found = {"mean": mean, "sum": classes * mean}
        if "target" in names:
            found["target"] = (features * chosen).sum(-1)
            if bias is not None:
                found["target"] = found["target"] + bias[linear.target]
        if {"variance", "square_sum"} & set(names):
            # Deviations from the mean of all classes: a common offset of the scores cancels before it is squared.
            squares = ((features @ spread) * features).sum(-1)
            if bias is not None:
                offset = bias - bias.mean()
                squares = squares + 2 * features @ (weight.T @ offset - centre * offset.sum()) + offset @ offset
            found["variance"] = squares.clamp(min=0) / classes
            found["square_sum"] = classes * (found["variance"] + mean.square())
    return {name: found[name] for name in names}
