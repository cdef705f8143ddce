"""Cross-entropy reshaped: focal loss lets the easy rows count less, squentropy holds the wrong scores near zero."""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from lossbook.checks import check_number
from lossbook.logits import Statistics, row_loss
from lossbook.losses._classification import Logits, Target, Weight


def focal_loss(
    logits: Logits,
    target: Target,
    *,
    gamma: float = 2.0,
    weight: Weight = None,
    ignore_index: int = -100,
    reduction: str = "mean",
) -> Float[Tensor, "..."]:
    """Focal loss: cross-entropy times a power of what is still missing, so that the easy rows count less.

        ℓ(z, y) = −(1 − p_y)^γ log p_y

    Args:
        logits: (*batch, classes), class axis last; or `LinearLogits`.
        target: (*batch) class indices.
        gamma: γ ≥ 0, how much less the easy rows count. gamma=0 is cross-entropy.
        weight: (classes,) class weights, the paper's α. "mean" divides by the sum of the weights of the rows that
            count, where detectors divide by the number of objects found.
        ignore_index, reduction: as in `cross_entropy`.

    Returns:
        A scalar, or (*batch) for "none".

    Raises:
        TypeError, ValueError: naming the argument, what it got and what was expected.

    Example:
        >>> from lossbook.losses import cross_entropy
        >>> easy, target = torch.tensor([[4.0, 0.0]]), torch.tensor([0])
        >>> round(float(cross_entropy(easy, target) / focal_loss(easy, target)))        # 1/(1 − p_y)²
        3091

    Gradient: (1 − p_y)^γ (1 − γ p_y log p_y/(1 − p_y)) (p − e_y): cross-entropy's, times a positive number.
    Limits: p_y → 1 gives 0, like (1 − p_y)^(γ+1); p_y → 0 grows like cross-entropy. Convex only with γ = 0. With γ > 0
        not proper: in expectation it is least at probabilities less sure than the true ones.
    Reference: Lin, Goyal, Girshick, He & Dollár 2017, arXiv 1708.02002 (on logistic scores of two classes).
    """
    gamma = check_number("gamma", gamma, at_least=0)

    def row(stats: Statistics) -> Tensor:
        log_p = stats.log_probability
        # at p_y = 1 the power's slope may be infinite, and 0 times it is no number
        missing = (-torch.expm1(log_p)).clamp(min=torch.finfo(log_p.dtype).tiny)
        return -(missing**gamma) * log_p

    options: dict[str, Any] = {"weight": weight, "ignore_index": ignore_index, "reduction": reduction}
    return row_loss(row, logits, target, ("log_probability",), **options)


def squentropy_loss(
    logits: Logits,
    target: Target,
    *,
    weight: Weight = None,
    ignore_index: int = -100,
    reduction: str = "mean",
) -> Float[Tensor, "..."]:
    """Squentropy: cross-entropy plus the mean square of the wrong scores.

        ℓ(z, y) = −log p_y + Σ_{j≠y} z_j²/(V − 1)

    Args:
        logits, target, weight, ignore_index, reduction: as in `cross_entropy`. One class alone has no wrong scores.

    Returns:
        A scalar, or (*batch) for "none".

    Raises:
        TypeError, ValueError: naming the argument, what it got and what was expected.

    Example:
        >>> scores, target = torch.tensor([[2.0, 1.0, 0.0]]), torch.tensor([0])
        >>> round(float(squentropy_loss(scores, target)), 6)                    # cross-entropy is 0.407606
        0.907606
        >>> round(float(squentropy_loss(scores + 1, target)), 6)                # it sees a common shift
        2.907606

    Gradient: p − e_y, and 2 z_j/(V − 1) more where j ≠ y.
    Limits: z_y → ∞ with the others near 0 gives 0; grows like the squares of the wrong scores. The sum over j ≠ y is
        formed as Σ z_j² − z_y²: in single precision it is wrong by up to about 10⁻⁷ of Σ z_j².
    Reference: Hui, Belkin & Wright 2023, arXiv 2302.03952.
    """

    def row(stats: Statistics) -> Tensor:
        others = (stats.square_sum - stats.target.square()) / max(stats.classes - 1, 1)
        return others - stats.log_probability

    options: dict[str, Any] = {"weight": weight, "ignore_index": ignore_index, "reduction": reduction}
    return row_loss(row, logits, target, ("target", "log_probability", "square_sum"), **options)
