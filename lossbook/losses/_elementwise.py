"""What margin and regression losses share: checks, weights and reductions of one value per element."""

import torch
from torch import Tensor

from lossbook.checks import check_floating, check_reduction, check_same_device, check_same_shape
from lossbook.kernels import accumulation_dtype


def check_pair(prediction: Tensor, target: Tensor) -> None:
    """Refuse a prediction and a target that do not fit each other."""
    check_floating("prediction", prediction)
    check_floating("target", target)
    check_same_shape("target", target, "prediction", prediction)
    check_same_device("target", target, "prediction", prediction)


def check_elements(argument: str, values: Tensor, weight: Tensor | None, reduction: str) -> None:
    """Refuse values, weights or a reduction that cannot be reduced."""
    check_reduction(reduction)
    check_floating(argument, values)
    if weight is not None:
        check_same_shape("weight", check_floating("weight", weight), argument, values)
        check_same_device("weight", weight, argument, values)


def reduce(values: Tensor, weight: Tensor | None, reduction: str, *, mean_over: str = "weight") -> Tensor:
    """Reduce values of any shape; "mean" divides by the sum of the weights or, over "elements", by their number."""
    if weight is not None:
        values = values * weight
    if reduction == "none":
        return values
    dtype = accumulation_dtype(values.dtype)  # a mean in half precision must not overflow on the way through its sum
    total = values.sum(dtype=dtype)
    if reduction == "mean" and weight is not None and mean_over == "weight":
        divisor = weight.sum(dtype=dtype)
        total = total / torch.where(divisor == 0, torch.ones_like(divisor), divisor)
    elif reduction == "mean":
        total = total / max(1, values.numel())
    return total.to(values.dtype)
