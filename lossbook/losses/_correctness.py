"""Correctness-aware loss: a calibrator's, which asks the confidence to say whether the answer is right."""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from lossbook.checks import check_number
from lossbook.logits import Statistics, row_loss
from lossbook.losses._classification import Logits, Target, Weight


def correctness_aware_loss(
    logits: Logits,
    target: Target,
    *,
    exponent: float = 2.0,
    weight: Weight = None,
    ignore_index: int = -100,
    reduction: str = "mean",
) -> Float[Tensor, "..."]:
    """Correctness-aware loss: the distance of the confidence from 1 where the answer is right, from 0 where wrong.

        ℓ(z, y) = |c − t|^r,  c = max_k p_k,  t = 1 where z_y is the largest score, else 0

    Args:
        logits: (*batch, classes), what a calibrator has made of a frozen classifier's scores, such as z/T; or
            `LinearLogits`.
        target: (*batch) class indices.
        exponent: r ≥ 1.
        weight: (classes,) class weights; "mean" divides by the sum of the weights of the rows that count.
        ignore_index, reduction: as in `cross_entropy`.

    Returns:
        A scalar, or (*batch) for "none".

    Raises:
        TypeError, ValueError: naming the argument, what it got and what was expected.

    Example:
        >>> from lossbook.losses import cross_entropy
        >>> narrow, truth = torch.tensor([[1.0, 1.2, -3.0]]), torch.tensor([0])        # wrong by a little
        >>> for T in (0.2, 1.0, 5.0, 50.0):
        ...     print([round(float(loss(narrow / T, truth)), 3) for loss in (cross_entropy, correctness_aware_loss)])
        [1.313, 0.534]
        [0.806, 0.297]
        [0.912, 0.175]
        [1.074, 0.118]

    Gradient: ± r |c − t|^(r−1) c (e_m − p), m the answer: up where it is right, down where it is wrong.
    Limits: in [0, 1]. A wrong answer is cheapest where all scores are equal, (1/V)^r. With r = 2, and only then, the
        best confidence for answers that are right with probability a is a; with r = 1 it is 0 or 1. It jumps where the
        answer changes and does not look at the classes behind it: no loss to train the classifier with.
    Reference: Liu, Wang, Zou, Zou & Zheng 2024, arXiv 2404.13016.
    """
    exponent = check_number("exponent", exponent, at_least=1)

    def row(stats: Statistics) -> Tensor:
        confidence = torch.exp(stats.log_probability + (stats.max - stats.target))
        right = stats.target >= stats.max
        # 1 − c without cancellation where c is close to 1
        distance = torch.where(right, -torch.expm1(stats.log_probability), confidence)
        return distance**exponent

    options: dict[str, Any] = {"weight": weight, "ignore_index": ignore_index, "reduction": reduction}
    return row_loss(row, logits, target, ("target", "max", "log_probability"), **options)
