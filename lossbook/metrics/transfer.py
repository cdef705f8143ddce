"""Whether an attack made on one network also fools another."""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from lossbook.checks import bad_type, bad_value, check_floating, check_same_device, check_same_shape


def transfer_rate(
    clean: Float[Tensor, "batch *members classes"],
    moved: Float[Tensor, "batch *members classes"],
    target: Int[Tensor, " batch"],
) -> Float[Tensor, "*members"]:
    """The share of the examples that a network judges right, and no longer does once they are attacked.

        T(s → g) = P( f_g(x') ≠ y | f_g(x) = y ),  x' made to fool s

    Args:
        clean: (batch, ..., classes), scores of the target network g on the clean examples.
        moved: of the same shape, its scores on the same examples after an attack on s.
        target: (batch,) class indices, right for all networks.

    Returns:
        (...) a rate in [0, 1] for each network that gave scores. With s = g it is the rate of the white-box attack.

    Raises:
        TypeError, ValueError: naming the argument, what it got and what was expected; a network that is right on no
            clean example has no rate.

    Example:
        >>> clean = torch.tensor([[2.0, 0.0], [2.0, 0.0], [0.0, 1.0], [0.0, 1.0]])
        >>> moved = torch.tensor([[0.0, 2.0], [2.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
        >>> float(transfer_rate(clean, moved, torch.tensor([0, 0, 0, 1])))      # right on three, fooled on one of them
        0.3333333432674408

    Limits: examples that g misjudges anyway do not count, so the rates of two targets are over different examples. A
    better target has harder ones among them.

    Reference: Gubri, Cordy & Le Traon 2023, arXiv 2304.02688.
    """
    if check_floating("clean", clean).ndim < 2:
        raise bad_value("clean", clean, "shape (batch, ..., classes)")
    check_same_shape("moved", check_floating("moved", moved), "clean", clean)
    if not isinstance(target, Tensor) or target.dtype != torch.int64:
        raise bad_type("target", target, "class indices (int64)")
    if target.shape != clean.shape[:1]:
        raise bad_value("target", target, f"class indices of shape {tuple(clean.shape[:1])}")
    check_same_device("target", target, "clean", clean)
    answer = target.reshape(-1, *(1,) * (clean.ndim - 2))
    right = clean.argmax(-1) == answer
    count = right.sum(0)
    if bool((count == 0).any()):
        raise ValueError("clean: got a network that is right on no example, expected at least one to be fooled on")
    fooled = right & (moved.argmax(-1) != answer)
    return fooled.sum(0) / count
