"""Softmax Collapse, and how much of a step only makes the logits larger."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from lossbook.checks import bad_type, bad_value, check_floating, check_members, check_same_shape


def collapsed(logits: Float[Tensor, "*rows classes"], dtype: torch.dtype | None = None) -> Bool[Tensor, "*rows"]:
    """Whether a row has collapsed: Σ exp(z_j − max z) is exactly 1 in a float format.

    Args:
        logits: (*rows, classes).
        dtype: the format that the softmax is computed in; None takes that of the logits.

    Returns:
        (*rows), True where the largest logit has probability exactly 1.

    Raises:
        TypeError, ValueError: naming the argument, what it got and what was expected.

    Example:
        >>> z = torch.tensor([[20.0, 0.0, 0.0]])
        >>> collapsed(z).item(), collapsed(z, torch.float64).item()
        (True, False)

    Where the largest logit is the right one, the loss is 0 and the right class is not pulled any more. A property of
    the logits alone: read in a format other than the one the loss was computed in, it tells what would have been.

    Reference: Prieto, Barsbey, Mediano & Birdal 2025, arXiv 2501.04697.
    """
    return _exponentials(logits, dtype)[1].sum(-1) == 1


def zero_loss(
    logits: Float[Tensor, "*rows classes"], target: Int[Tensor, "*rows"], dtype: torch.dtype | None = None
) -> Bool[Tensor, "*rows"]:
    """Whether the cross-entropy of a row is exactly 0 in a float format: collapsed, and right.

    Args:
        logits: (*rows, classes).
        target: (*rows), class indices.
        dtype: the format that the loss is computed in; None takes that of the logits.

    Raises:
        TypeError, ValueError: naming the argument, what it got and what was expected.

    Example:
        >>> z = torch.tensor([[20.0, 0.0, 0.0]])
        >>> zero_loss(z, torch.tensor([0])).item(), zero_loss(z, torch.tensor([1])).item()
        (True, False)

    Reference: Prieto, Barsbey, Mediano & Birdal 2025, arXiv 2501.04697.
    """
    shifted, exponentials = _exponentials(logits, dtype)
    _check_target(logits, target)
    return (exponentials.sum(-1) == 1) & (shifted.gather(-1, target[..., None])[..., 0] == 0)


def _exponentials(logits: Tensor, dtype: torch.dtype | None) -> tuple[Tensor, Tensor]:
    if check_floating("logits", logits).ndim == 0 or logits.shape[-1] == 0:
        raise bad_value("logits", logits, "(*rows, classes), at least one class")
    if dtype is not None and (not isinstance(dtype, torch.dtype) or not dtype.is_floating_point):
        raise bad_type("dtype", dtype, "a floating-point torch.dtype")
    logits = logits.detach() if dtype is None else logits.detach().to(dtype)
    shifted = logits - logits.amax(-1, keepdim=True)
    return shifted, shifted.exp()


def scaling_descent(logits: Float[Tensor, "*rows classes"], target: Int[Tensor, "*rows"]) -> Float[Tensor, "*rows"]:
    """How fast cross-entropy falls when all logits of a row are multiplied by a growing number.

        −dℓ(c z)/dc at c = 1  =  z_y − Σ_k p_k z_k

    Args:
        logits: (*rows, classes).
        target: (*rows), class indices.

    Returns:
        (*rows), positive wherever the right logit is the largest.

    Raises:
        TypeError, ValueError: naming the argument, what it got and what was expected.

    Example:
        >>> z = torch.tensor([[1.0, 0.0]], requires_grad=True)
        >>> torch.nn.functional.cross_entropy(z, torch.tensor([0])).backward()
        >>> bool(torch.isclose(scaling_descent(z, torch.tensor([0])), -(z.grad * z).sum()))
        True

    In a network of L layers without biases, with ReLU, scaling all weights by c scales the logits by c^L. So
    ⟨θ, −∇ℓ⟩ = L (z_y − Σ_k p_k z_k), averaged as the loss is: once every row is right, longer weights lower the loss.

    Reference: Prieto, Barsbey, Mediano & Birdal 2025, arXiv 2501.04697 (naive loss minimisation).
    """
    check_floating("logits", logits)
    _check_target(logits, target)
    right = logits.gather(-1, target[..., None])
    return (logits.softmax(-1) * (right - logits)).sum(-1)  # differences first: the sum of what is small stays exact


def _check_target(logits: Tensor, target: Tensor) -> None:
    if logits.ndim == 0 or logits.shape[-1] == 0:
        raise bad_value("logits", logits, "(*rows, classes), at least one class")
    if not isinstance(target, Tensor) or target.dtype != torch.int64:
        raise bad_type("target", target, "class indices (int64)")
    if target.shape != logits.shape[:-1]:
        raise bad_value("target", target, f"one class a row: shape {tuple(logits.shape[:-1])}")
    if target.numel() and not 0 <= int(target.min()) <= int(target.max()) < logits.shape[-1]:
        raise bad_value("target", [int(target.min()), int(target.max())], f"classes from 0 to {logits.shape[-1] - 1}")


class Alignment(NamedTuple):
    """Cosines of −gradient with the weights: of each tensor (tensors, *members), and of all together (*members)."""

    tensors: Tensor
    whole: Tensor


def weight_alignment(weights: Sequence[Tensor], gradients: Sequence[Tensor], *, member_axes: int = 0) -> Alignment:
    """The cosine of the downhill direction with the weights: how much of a step does nothing but make them longer.

        cos = ⟨w, −g⟩ / (‖w‖ ‖g‖)

    Args:
        weights, gradients: one tensor a layer, pairwise of one shape.
        member_axes: leading axes that count networks side by side, each with its own cosine.

    Returns:
        `Alignment(tensors, whole)` in float64; 0 where a gradient is 0, for it points nowhere.

    Raises:
        TypeError, ValueError: naming the argument, what it got and what was expected.

    Example:
        >>> w, g = torch.tensor([3.0, 0.0]), torch.tensor([-1.0, 1.0])
        >>> weight_alignment([w, w], [g, -w]).tensors
        tensor([0.7071, 1.0000], dtype=torch.float64)

    Reference: Prieto, Barsbey, Mediano & Birdal 2025, arXiv 2501.04697 (naive loss minimisation).
    """
    weights, gradients = list(weights), list(gradients)
    check_members("weights", weights, member_axes)
    if len(weights) != len(gradients):
        raise bad_value("gradients", f"{len(gradients)} tensors", f"one for each of {len(weights)} weights")
    products, lengths, slopes = [], [], []
    for weight, gradient in zip(weights, gradients, strict=True):
        check_same_shape("gradients", check_floating("gradients", gradient), "weights", weight)
        shape = (*weight.shape[:member_axes], -1)
        w, g = (tensor.detach().double().reshape(shape) for tensor in (weight, gradient))
        products.append(-(w * g).sum(-1))
        lengths.append(w.square().sum(-1))
        slopes.append(g.square().sum(-1))
    product, length, slope = torch.stack(products), torch.stack(lengths), torch.stack(slopes)
    return Alignment(_cosine(product, length, slope), _cosine(product.sum(0), length.sum(0), slope.sum(0)))


def _cosine(product: Tensor, first: Tensor, second: Tensor) -> Tensor:
    lengths = first.sqrt() * second.sqrt()
    return torch.where(lengths > 0, product / torch.where(lengths > 0, lengths, 1), 0)


def zero_share(values: Sequence[Tensor], *, member_axes: int = 0) -> Float[Tensor, "*members"]:
    """Of all the numbers in a few tensors, gradients say, the share that is exactly 0.

    Args:
        values: tensors with the same leading axes.
        member_axes: leading axes that count networks side by side.

    Raises:
        TypeError, ValueError: naming the argument, what it got and what was expected.

    Example:
        >>> float(zero_share([torch.tensor([0.0, 1e-30]), torch.tensor([[0.0, -0.0]])]))
        0.75
    """
    values = list(values)
    check_members("values", values, member_axes)
    for value in values:
        if value.numel() == 0:
            raise bad_value("values", value, "tensors with numbers in them")
    flat = [(value == 0).reshape(*value.shape[:member_axes], -1) for value in values]
    return torch.cat(flat, -1).double().mean(-1)
