"""Proper scoring rules of the softmax beside the logarithm, which is cross-entropy: Brier's and the spherical one.

In expectation each is least where the softmax is the truth, and nowhere else.
"""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from lossbook.logits import Statistics, row_loss
from lossbook.losses._classification import Logits, Target, Weight
from lossbook.losses._scaled import scaled
from lossbook.losses._whole_rows import whole_row_loss


def brier_loss(
    logits: Logits,
    target: Target,
    *,
    weight: Weight = None,
    ignore_index: int = -100,
    reduction: str = "mean",
) -> Float[Tensor, "..."]:
    """Brier's score of several classes: the squared distance of the softmax from the corner that came true.

        ℓ(z, y) = Σ_k (p_k − [k = y])² = 1 − 2 p_y + Σ_k p_k²

    Args:
        logits, target, weight, ignore_index, reduction: as in `cross_entropy`.

    Returns:
        A scalar, or (*batch) for "none".

    Raises:
        TypeError, ValueError: naming the argument, what it got and what was expected.

    Example:
        >>> even, target = torch.zeros(1, 4), torch.tensor([0])
        >>> round(float(brier_loss(even, target)), 6)                               # 1 − 1/V
        0.75

    Gradient: 2 p_j (p_j − [j = y] − Σ_k p_k² + p_y). It dies with p_j: a class that the softmax has given up is not
        brought back, the right one neither.
    Limits: p_y → 1 gives 0; a sure mistake costs 2. For two classes it is twice (1 − p_y)². Proper: in expectation
        it is least at the true probabilities, and above that by their squared distance. Not convex in the logits, and
        not local: it also asks how the rest is spread over the wrong classes.
    Reference: Brier 1950, Monthly Weather Review; Gneiting & Raftery 2007, JASA.
    """

    def row(logits: Tensor, target: Tensor) -> Tensor:  # Σ p_k² is no statistic of the rows: it sees them whole
        p = torch.softmax(logits, -1)
        hit = target[:, None] == torch.arange(p.shape[-1], device=p.device)
        return (p - hit.to(p.dtype)).square().sum(-1)

    options: dict[str, Any] = {"weight": weight, "ignore_index": ignore_index, "reduction": reduction}
    return whole_row_loss(row, logits, target, **options)


def spherical_score_loss(
    logits: Logits,
    target: Target,
    *,
    weight: Weight = None,
    ignore_index: int = -100,
    reduction: str = "mean",
) -> Float[Tensor, "..."]:
    """The spherical score as a loss: 1 less the cosine of the angle between the softmax and what came true.

        ℓ(z, y) = 1 − p_y/√(Σ_k p_k²) = 1 − √softmax(2z)_y

    Args:
        logits, target, weight, ignore_index, reduction: as in `cross_entropy`. In half precision scores are below
            32,752: they are doubled.

    Returns:
        A scalar, or (*batch) for "none".

    Raises:
        TypeError, ValueError: naming the argument, what it got and what was expected.

    Example:
        >>> from lossbook.losses import generalized_cross_entropy
        >>> logits, target = torch.tensor([[2.0, 1.0, 0.0]]), torch.tensor([0])
        >>> round(float(spherical_score_loss(logits, target)), 6)
        0.068972
        >>> round(float(generalized_cross_entropy(2 * logits, target, q=0.5)) / 2, 6)      # the same
        0.068972

    Gradient: √q_y (q − e_y) with q = softmax(2z): cross-entropy's at twice the logits, times a weight.
    Limits: p_y → 1 gives 0; a sure mistake costs 1. Proper: in expectation it is least at the true probabilities. Not
        convex in the logits. It is half of generalised cross-entropy with q = 1/2 at logits 2z, and so a function of
        one row statistic: what is not proper of the softmax is proper of another link.
    Reference: Good 1971; Gneiting & Raftery 2007, JASA.
    """

    def row(stats: Statistics) -> Tensor:
        return -torch.expm1(stats.log_probability / 2)

    options: dict[str, Any] = {"weight": weight, "ignore_index": ignore_index, "reduction": reduction}
    return row_loss(row, scaled(logits, 2), target, ("log_probability",), **options)
