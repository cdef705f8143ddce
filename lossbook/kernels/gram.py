"""The Gram engine: statistics that see the logits only through Σz, Σz² and the target's score form no logits at all.

With z = W x + b, Σz = x·Σw + Σb, and the squared deviations of z are those of the centred weights, xᵀ(W̃ᵀW̃)x + ...: a
dimension × dimension matrix made once. Time is O((rows + classes) dimension²) where any engine that forms logits takes
O(rows · classes · dimension). All of it is plain PyTorch, so that every derivative is autograd's.

Reference: Vincent, de Brebisson & Bouthillier 2015, arXiv 1412.7091.
"""

from torch import Tensor

from lossbook.kernels.linear import Linear
from lossbook.kernels.statistics import accumulation_dtype

NAMES = frozenset({"target", "sum", "square_sum", "mean", "variance"})


def serves(names: tuple[str, ...], linear: Linear) -> bool:
    """Whether these statistics can be had without logits."""
    return NAMES.issuperset(names) and linear.softcap is None


def is_faster(linear: Linear) -> bool:
    """Whether it takes fewer multiplications, gradients included, than the three products of the chunked engine."""
    (rows, dimension), classes = linear.features.shape, linear.weight.shape[0]
    return 4 * classes * dimension + 6 * rows * dimension < 6 * rows * classes


def statistics(names: tuple[str, ...], linear: Linear) -> dict[str, Tensor]:
    """The named statistics of each row, differentiable by features, weight and bias; each has shape (rows,)."""
    dtype = accumulation_dtype(linear.features.dtype)
    features, weight = linear.features.to(dtype), linear.weight.to(dtype)
    bias = None if linear.bias is None else linear.bias.to(dtype)
    classes = weight.shape[0]
    centre = weight.mean(0)
    mean = features @ centre
    if bias is not None:
        mean = mean + bias.mean()
    found = {"mean": mean, "sum": classes * mean}
    if "target" in names:
        found["target"] = (features * weight[linear.target]).sum(-1)
        if bias is not None:
            found["target"] = found["target"] + bias[linear.target]
    if {"variance", "square_sum"} & set(names):
        # Deviations from the mean of all classes, so that a common offset of the scores cancels before it is squared.
        centred = weight - centre
        squares = ((features @ (centred.T @ centred)) * features).sum(-1)
        if bias is not None:
            offset = bias - bias.mean()
            squares = squares + 2 * features @ (centred.T @ offset) + offset @ offset
        found["variance"] = squares.clamp(min=0) / classes
        found["square_sum"] = classes * (found["variance"] + mean.square())
    return {name: found[name] for name in names}
