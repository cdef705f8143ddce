"""The spherical family: losses that see a row of scores only through their sum, their squares and the target's score.

So a linear layer's loss and gradients cost O((rows + classes) dimension²), whatever rows × classes is: `LinearLogits`
takes that way by itself ("gram").
"""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import logsigmoid

from lossbook.checks import check_number
from lossbook.logits import Statistics, row_loss
from lossbook.losses._classification import Logits, Target, Weight


def z_loss(
    logits: Logits,
    target: Target,
    *,
    sharpness: float = 1.0,
    aim: float = 0.0,
    weight: Weight = None,
    ignore_index: int = -100,
    reduction: str = "mean",
) -> Float[Tensor, "..."]:
    """The Z-loss of the spherical family: how many standard deviations the right score stands above the mean.

        ℓ(z, y) = softplus(a (b − ẑ_y))/a,  ẑ_y = (z_y − μ)/σ,  μ and σ the mean and deviation of the row's V scores

    Not the "z-loss" of language models, λ log² Σ exp(z_j), which is `logit_square_penalty`.

    Args:
        logits: (*batch, classes), class axis last; or `LinearLogits`.
        target: (*batch) class indices.
        sharpness: a > 0. Small is nearly linear in ẑ_y, large nearly a hinge at b.
        aim: b, the standard score that is enough.
        weight, ignore_index, reduction: as in `cross_entropy`.

    Returns:
        A scalar, or (*batch) for "none".

    Raises:
        TypeError, ValueError: naming the argument, what it got and what was expected.

    Example:
        >>> logits, target = torch.tensor([[2.0, 1.0, 0.0, -1.0]], dtype=torch.float64), torch.tensor([0])
        >>> round(float(z_loss(logits, target)), 6)
        0.232235
        >>> round(float(z_loss(3 * logits + 7, target)), 6)                 # blind to shift and scale
        0.232235

    Gradient: −s(a (b − ẑ_y))/σ · (e_y − 1/V − ẑ_y ẑ/V), s the logistic function: it sums to 0 and is orthogonal to z.
    Limits: |ẑ_y| ≤ √(V − 1) bounds it on both sides. Where all scores are equal to rounding, ẑ_y counts as 0 and there
        is no gradient. With two classes ẑ_y is 1 or −1, whatever the scores: use three or more.
    Reference: de Brébisson & Vincent 2016, arXiv 1604.08859.
    """
    sharpness = check_number("sharpness", sharpness, above=0)
    aim = check_number("aim", aim)

    def row(stats: Statistics) -> Tensor:
        rounding = 4 * torch.finfo(stats.mean.dtype).eps * stats.mean
        level = stats.variance <= rounding.square()
        deviation = torch.where(level, 1.0, stats.variance).sqrt()
        score = torch.where(level, 0.0, (stats.target - stats.mean) / deviation)
        return -logsigmoid(sharpness * (score - aim)) / sharpness  # torch's softplus loses 2e-9 beyond 20

    options: dict[str, Any] = {"weight": weight, "ignore_index": ignore_index, "reduction": reduction}
    return row_loss(row, logits, target, ("target", "mean", "variance"), **options)


def one_hot_squared_error_loss(
    logits: Logits,
    target: Target,
    *,
    weight: Weight = None,
    ignore_index: int = -100,
    reduction: str = "mean",
) -> Float[Tensor, "..."]:
    """Squared error of the scores to the one-hot target, summed over classes: least squares as a classifier.

        ℓ(z, y) = Σ_j (z_j − [j = y])² = Σ z_j² − 2 z_y + 1

    Args:
        logits, target, weight, ignore_index, reduction: as in `cross_entropy`.

    Returns:
        A scalar, or (*batch) for "none".

    Raises:
        TypeError, ValueError: naming the argument, what it got and what was expected.

    Example:
        >>> float(one_hot_squared_error_loss(torch.tensor([[2.0, 1.0, 0.0]]), torch.tensor([0])))
        2.0

    Gradient: 2 (z − e_y).
    Limits: 0 at the one-hot scores; in expectation least where the scores are the class probabilities; grows like z².
    Reference: Vincent, de Brébisson & Bouthillier 2015, arXiv 1412.7091 (the family, and its O(dimension²) updates).
    """
    return row_loss(
        lambda stats: stats.square_sum - 2 * stats.target + 1,
        logits,
        target,
        ("target", "square_sum"),
        weight=weight,
        ignore_index=ignore_index,
        reduction=reduction,
    )


def log_spherical_softmax_loss(
    logits: Logits,
    target: Target,
    *,
    epsilon: float = 0.1,
    weight: Weight = None,
    ignore_index: int = -100,
    reduction: str = "mean",
) -> Float[Tensor, "..."]:
    """Negative log-likelihood under the spherical softmax, which squares scores where softmax exponentiates them.

        ℓ(z, y) = −log p_y,  p_j = (z_j² + ε)/(Σ_k z_k² + V ε)

    Args:
        logits, target: as in `cross_entropy`.
        epsilon: ε > 0 keeps a score of 0 from a probability of 0. The paper tunes it; 0.1 is ours.
        weight, ignore_index, reduction: as in `cross_entropy`.

    Returns:
        A scalar, or (*batch) for "none".

    Raises:
        TypeError, ValueError: naming the argument, what it got and what was expected.

    Example:
        >>> scores, target = torch.tensor([[2.0, -2.0, 0.0]]), torch.tensor([0])
        >>> loss = log_spherical_softmax_loss(scores, target)
        >>> bool(loss == log_spherical_softmax_loss(-scores, target))       # the sign of a score says nothing
        True

    Gradient: 2 z_j/(Σ z_k² + V ε) − [j = y] 2 z_y/(z_y² + ε), at most 1/√ε long.
    Limits: grows like 2 log max|z|. Every p_j has a minimum at z_j = 0, so a score can stay on the wrong side of 0.
    Reference: de Brébisson & Vincent 2016, arXiv 1511.05042.
    """
    epsilon = check_number("epsilon", epsilon, above=0)

    def row(stats: Statistics) -> Tensor:
        return torch.log(stats.square_sum + stats.classes * epsilon) - torch.log(stats.target.square() + epsilon)

    options: dict[str, Any] = {"weight": weight, "ignore_index": ignore_index, "reduction": reduction}
    return row_loss(row, logits, target, ("target", "square_sum"), **options)


def taylor_softmax_loss(
    logits: Logits,
    target: Target,
    *,
    weight: Weight = None,
    ignore_index: int = -100,
    reduction: str = "mean",
) -> Float[Tensor, "..."]:
    """Negative log-likelihood under the Taylor softmax: exp replaced by its first three terms, which are positive.

        ℓ(z, y) = log(V + Σ z_j + Σ z_j²/2) − log(1 + z_y + z_y²/2)

    Since 1 + z + z²/2 = ((z + 1)² + 1)/2, this is the spherical softmax of z + 1 with ε = 1.

    Args:
        logits, target, weight, ignore_index, reduction: as in `cross_entropy`.

    Returns:
        A scalar, or (*batch) for "none".

    Raises:
        TypeError, ValueError: naming the argument, what it got and what was expected.

    Example:
        >>> float(taylor_softmax_loss(torch.zeros(1, 4), torch.tensor([2])).exp())      # equal scores, one in four
        4.0

    Gradient: (1 + z_j)/(V + Σ z_k + Σ z_k²/2) − [j = y] (1 + z_y)/(1 + z_y + z_y²/2), at most 1 long.
    Limits: near 0 it is cross-entropy up to third order; far out it grows like 2 log max|z|. A score has its least
        probability at −1, not at −∞.
    Reference: de Brébisson & Vincent 2016, arXiv 1511.05042.
    """

    def row(stats: Statistics) -> Tensor:
        all_classes = stats.classes + stats.sum + stats.square_sum / 2
        return torch.log(all_classes) - torch.log(((stats.target + 1).square() + 1) / 2)

    options: dict[str, Any] = {"weight": weight, "ignore_index": ignore_index, "reduction": reduction}
    return row_loss(row, logits, target, ("target", "sum", "square_sum"), **options)
