"""Losses made for the numbers that computers have: StableMax, and the penalty that keeps log-sum-exp near zero."""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from lossbook.checks import bad_type
from lossbook.logits import Statistics, row_loss
from lossbook.losses._classification import Logits, Target, Weight


def stablemax_cross_entropy(
    logits: Logits,
    target: Target,
    *,
    weight: Weight = None,
    ignore_index: int = -100,
    reduction: str = "mean",
) -> Float[Tensor, "..."]:
    """Cross-entropy of StableMax, whose map of the scores grows like a line where softmax's exponential would.

        ℓ(z, y) = log Σ_j s(z_j) − log s(z_y),  s(z) = z + 1 for z ≥ 0,  1/(1 − z) for z < 0

    Since log s(z) = sign(z) log(1 + |z|), this is cross-entropy of the scores' signed logarithms.

    Args:
        logits: (*batch, classes), class axis last; or `LinearLogits`.
        target: (*batch) class indices.
        weight, ignore_index, reduction: as in `cross_entropy`.

    Returns:
        A scalar, or (*batch) for "none".

    Raises:
        TypeError, ValueError: naming the argument, what it got and what was expected.

    Example:
        >>> sure = torch.tensor([[20.0, 0.0, 0.0]], requires_grad=True)
        >>> stablemax_cross_entropy(sure, torch.tensor([0])).backward()
        >>> round(float(sure.grad[0, 0]), 6)                    # cross-entropy's is exactly 0 here, in single precision
        -0.004141

    Gradient: (q_j − [j = y])/(1 + |z_j|), q_j = s(z_j)/Σ_k s(z_k): it decays like a power and never rounds to 0.
    Limits: grows like log max|z|. Not blind to a common shift of the scores.
    Reference: Prieto, Barsbey, Mediano & Birdal 2025, arXiv 2501.04697.
    """

    def row(stats: Statistics) -> Tensor:
        return torch.log(stats.stablemax_sum) - _signed_log(stats.target)

    options: dict[str, Any] = {"weight": weight, "ignore_index": ignore_index, "reduction": reduction}
    return row_loss(row, logits, target, ("target", "stablemax_sum"), **options)


def _signed_log(x: Tensor) -> Tensor:
    """sign(x) log(1 + |x|), with slope 1 at 0, where sign and |x| have none."""
    return torch.where(x >= 0, torch.log1p(x.clamp(min=0)), -torch.log1p(-x.clamp(max=0)))


def logit_square_penalty(
    logits: Logits,
    target: Target | None = None,
    *,
    weight: Weight = None,
    ignore_index: int = -100,
    reduction: str = "mean",
) -> Float[Tensor, "..."]:
    """The square of log-sum-exp, a regulariser that holds the scores' normaliser near 1. PaLM calls it "z-loss".

        r(z) = L²,  L = log Σ_j exp(z_j)

    Cross-entropy is blind to a common shift of the scores; times 10⁻⁴, this is added to it so that they do not drift.
    Not the Z-loss of the spherical family, which is `z_loss`.

    Args:
        logits: (*batch, classes), class axis last; or `LinearLogits`.
        target: (*batch) class indices, which say only which rows count and how much; None: all rows, alike.
        weight, ignore_index, reduction: as in `cross_entropy`.

    Returns:
        A scalar, or (*batch) for "none".

    Raises:
        TypeError, ValueError: naming the argument, what it got and what was expected.

    Example:
        >>> log_probabilities = torch.log_softmax(torch.tensor([[2.0, 1.0, 0.0]]), -1)
        >>> round(float(logit_square_penalty(log_probabilities)), 6)            # normalised scores cost nothing
        0.0
        >>> round(float(logit_square_penalty(log_probabilities + 3)), 5)
        9.0

    Gradient: 2 L p.
    Limits: 0 on the surface where Σ exp(z_j) = 1; grows like the square of the largest score.
    Reference: Chowdhery et al. 2022, arXiv 2204.02311 (PaLM).
    """
    if target is None:
        if weight is not None:
            raise bad_type("weight", weight, "None where no target is given: class weights go by the target's class")
        target = torch.zeros(logits.shape[:-1], dtype=torch.long, device=logits.device)
        ignore_index = -100
    options: dict[str, Any] = {"weight": weight, "ignore_index": ignore_index, "reduction": reduction}
    return row_loss(lambda stats: stats.logsumexp.square(), logits, target, ("logsumexp",), **options)
