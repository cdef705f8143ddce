"""Dual focal loss: focal loss that also looks at the runner-up, so that it asks for less doubt."""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from lossbook.checks import check_number
from lossbook.losses._classification import Logits, Target, Weight
from lossbook.losses._whole_rows import whole_row_loss


def dual_focal_loss(
    logits: Logits,
    target: Target,
    *,
    gamma: float = 5.0,
    weight: Weight = None,
    ignore_index: int = -100,
    reduction: str = "mean",
) -> Float[Tensor, "..."]:
    """Dual focal loss: focal loss whose factor also counts the lead over the best class below the right one.

        ℓ(z, y) = −(1 − p_y + p_j)^γ log p_y,  p_j = max {p_k : p_k < p_y}, 0 where there is none

    Args:
        logits: (*batch, classes), class axis last; or `LinearLogits`.
        target: (*batch) class indices.
        gamma: γ ≥ 0, how much less the rows count that are ahead of all others. gamma=0 is cross-entropy.
        weight: (classes,) class weights; "mean" divides by the sum of the weights of the rows that count.
        ignore_index, reduction: as in `cross_entropy`.

    Returns:
        A scalar, or (*batch) for "none".

    Raises:
        TypeError, ValueError: naming the argument, what it got and what was expected.

    Example:
        >>> logits = torch.tensor([[0.1, 0.0], [0.0, 0.0], [0.0, 0.1]])        # ahead by a little, level, behind
        >>> dual_focal_loss(logits, torch.tensor([0, 0, 0]), reduction="none")
        tensor([0.4987, 0.0217, 0.0297])

    Gradient: with m = 1 − p_y + p_j, −(m^γ + γ m^(γ−1) p_y |log p_y|) (e_y − p) + γ m^(γ−1) p_j |log p_y| (e_j − p).
        Nothing is held constant but the choice of j.
    Limits: never below focal loss, and equal to it where no class is below the right one. The loss jumps up where the
        right class overtakes another, for that one then counts as p_j; no gradient sees the jump. Of two classes m is
        1 − p_y behind and 2 (1 − p_y) ahead. Not proper with γ > 0, like focal loss.
    Reference: Tao, Dong & Xu 2023, arXiv 2305.13665.
    """
    gamma = check_number("gamma", gamma, at_least=0)

    def row(scores: Tensor, right: Tensor) -> Tensor:
        own = scores.gather(-1, right[:, None])
        log_p = torch.log_softmax(scores, -1)
        # Scores and not probabilities are compared: these round to ties that are none.
        below = torch.where(scores < own, scores.detach(), -torch.inf)
        second = log_p.gather(-1, below.argmax(-1, keepdim=True)).exp()
        second = torch.where(below.amax(-1, keepdim=True) > -torch.inf, second, 0.0)
        log_p = log_p.gather(-1, right[:, None])
        # at p_y = 1 the power's slope may be infinite, and 0 times it is no number
        missing = (second - torch.expm1(log_p)).clamp(min=torch.finfo(log_p.dtype).tiny)
        return (-(missing**gamma) * log_p).squeeze(-1)

    options: dict[str, Any] = {"weight": weight, "ignore_index": ignore_index, "reduction": reduction}
    return whole_row_loss(row, logits, target, **options)
