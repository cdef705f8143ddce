"""Losses of class scores: cross-entropy and the comp-sum family around it.

Each is a few lines on row statistics, so each takes a logits tensor or `LinearLogits`.
"""

import math
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from lossbook.checks import check_number
from lossbook.logits import LinearLogits, Statistics, row_loss

Logits = Float[Tensor, "*batch classes"] | LinearLogits
Target = Int[Tensor, "*batch"]
Weight = Float[Tensor, " classes"] | None


def cross_entropy(
    logits: Logits,
    target: Target | Float[Tensor, "*batch classes"],
    *,
    label_smoothing: float = 0.0,
    weight: Weight = None,
    ignore_index: int = -100,
    reduction: str = "mean",
) -> Float[Tensor, "..."]:
    """Cross-entropy of softmax scores, in nats: the negative log-likelihood of the right class.

        ℓ(z, y) = −log p_y = log Σ_j exp(z_j) − z_y

    Args:
        logits: (*batch, classes), class axis last; or `LinearLogits`.
        target: (*batch) class indices, or soft targets (*batch, classes), a distribution over classes per row.
        label_smoothing: ε in [0, 1]; the target becomes (1 − ε) q + ε/V. 0 is plain cross-entropy.
        weight: (classes,) class weights; "mean" divides by the sum of the weights of the rows that count, and with soft
            targets by the number of rows, as torch does.
        ignore_index: rows with this target do not count. Not used with soft targets.
        reduction: "mean", "sum" or "none".

    Returns:
        A scalar, or (*batch) for "none". Where no row counts the mean is a differentiable 0 (torch gives NaN).

    Raises:
        TypeError, ValueError: naming the argument, what it got and what was expected.

    Example:
        >>> logits, target = torch.tensor([[2.0, 1.0, 0.0]]), torch.tensor([0])
        >>> round(float(cross_entropy(logits, target)), 6)
        0.407606
        >>> bool(cross_entropy(logits + 7, target) == cross_entropy(logits, target))     # softmax sees no common shift
        True

    Gradient: p − e_y; with smoothing p − (1 − ε) e_y − ε/V.
    Limits: p_y → 1 gives 0, p_y → 0 grows without bound, like the gap max z − z_y.
    Reference: Good, Rational Decisions, JRSS B 1952 (the log score); Szegedy et al. 2016, arXiv 1512.00567 (smoothing).
    """
    epsilon = check_number("label_smoothing", label_smoothing, at_least=0, at_most=1)
    options: dict[str, Any] = {"weight": weight, "ignore_index": ignore_index, "reduction": reduction}
    if isinstance(target, Tensor) and target.is_floating_point():

        def soft(stats: Statistics) -> Tensor:
            loss = -(1 - epsilon) * stats.soft_log_probability
            return loss - epsilon / stats.classes * stats.log_probability_sum if epsilon else loss

        names = ("soft_log_probability", "log_probability_sum") if epsilon else ("soft_log_probability",)
        return row_loss(soft, logits, target, names, **options)
    if not epsilon:
        return row_loss(lambda stats: -stats.log_probability, logits, target, ("log_probability",), **options)

    def smoothed(stats: Statistics) -> Tensor:
        right = -(1 - epsilon) * stats.weight * stats.log_probability
        return right - epsilon / stats.classes * stats.log_probability_sum

    return row_loss(
        smoothed, logits, target, ("log_probability", "log_probability_sum"), row_is_weighted=True, **options
    )


def _one_minus_exp(x: Tensor) -> Tensor:
    """1 − eˣ, exact near 0. Autograd forms the slope of expm1 as its value + 1, which cancels far below 0."""
    return torch.where(x < -1, 1 - torch.exp(x.clamp(max=0)), -torch.expm1(x))


def _comp_sum(log_p: Tensor, tau: float, max_weight: float | None) -> Tensor:
    """((1/p)^{1−τ} − 1)/(1−τ) from log p, accurate near p = 1 and τ = 1; beyond the weight limit, its tangent."""
    if tau == 1:
        return -log_p
    if max_weight is None or tau > 1:
        return _one_minus_exp((tau - 1) * log_p) / (tau - 1)
    max_weight = min(max_weight, torch.finfo(log_p.dtype).max)
    knee = -math.log(max_weight) / (1 - tau)  # the log p at which the weight p^{τ−1} reaches the limit
    inside = log_p.clamp(min=knee)
    return _one_minus_exp((tau - 1) * inside) / (tau - 1) + max_weight * (inside - log_p)


def comp_sum_loss(
    logits: Logits,
    target: Target,
    *,
    tau: float = 1.0,
    max_weight: float | None = None,
    weight: Weight = None,
    ignore_index: int = -100,
    reduction: str = "mean",
) -> Float[Tensor, "..."]:
    """The comp-sum family: one exponent from sum-exponential over cross-entropy to mean absolute error.

        ℓ_τ(z, y) = Φ_τ(Σ_{k≠y} exp(z_k − z_y)),  Φ_τ(u) = ((1 + u)^{1−τ} − 1)/(1 − τ),  Φ_1(u) = log(1 + u)

    Since 1 + u = 1/p_y, this is (p_y^{τ−1} − 1)/(1 − τ), a function of the right class's probability alone.

    Args:
        logits: (*batch, classes), class axis last; or `LinearLogits`.
        target: (*batch) class indices.
        tau: τ ≥ 0. 0 is the sum-exponential loss, 1 is cross-entropy, 1 + q is generalised cross-entropy, 2 is mean
            absolute error (1 − p_y).
        max_weight: for τ < 1 the gradient is cross-entropy's times p_y^{τ−1}, which has no bound. Given a limit ≥ 1,
            the loss goes on as a straight line in log p_y where that weight would pass it. None: no limit.
        weight, ignore_index, reduction: as in `cross_entropy`.

    Returns:
        A scalar, or (*batch) for "none".

    Raises:
        TypeError, ValueError: naming the argument, what it got and what was expected.

    Example:
        >>> logits, target = torch.tensor([[2.0, 1.0, 0.0]], dtype=torch.float64), torch.tensor([0])
        >>> [round(float(comp_sum_loss(logits, target, tau=tau)), 6) for tau in (0, 0.5, 1, 2)]
        [0.503215, 0.452113, 0.407606, 0.334759]

    Gradient: p_y^{τ−1} (p − e_y): cross-entropy's, times a weight: on hard examples for τ < 1, on easy ones for τ > 1.
    Limits: bounded by 1/(τ − 1) for τ > 1; for τ < 1 it grows like p_y^{τ−1}, past float32 at p_y = 1e-38 for τ = 0.
    Reference: Mao, Mohri & Zhong 2023, arXiv 2304.07288.
    """
    tau = check_number("tau", tau, at_least=0)
    if max_weight is not None:
        max_weight = check_number("max_weight", max_weight, at_least=1)
    return row_loss(
        lambda stats: _comp_sum(stats.log_probability, tau, max_weight),
        logits,
        target,
        ("log_probability",),
        weight=weight,
        ignore_index=ignore_index,
        reduction=reduction,
    )


def sum_exponential_loss(
    logits: Logits,
    target: Target,
    *,
    max_weight: float | None = None,
    weight: Weight = None,
    ignore_index: int = -100,
    reduction: str = "mean",
) -> Float[Tensor, "..."]:
    """The comp-sum loss at τ = 0: Σ_{k≠y} exp(z_k − z_y) = 1/p_y − 1, AdaBoost's exponential loss for many classes.

    Args:
        logits, target, max_weight, weight, ignore_index, reduction: as in `comp_sum_loss`.

    Returns:
        A scalar, or (*batch) for "none".

    Raises:
        TypeError, ValueError: naming the argument, what it got and what was expected.

    Example:
        >>> float(sum_exponential_loss(torch.zeros(1, 4), torch.tensor([2])))        # three wrong classes, each exp(0)
        3.0

    Gradient: (p − e_y)/p_y.
    Limits: 0 as p_y → 1; like 1/p_y as p_y → 0.
    Reference: Weston & Watkins 1998; Mao, Mohri & Zhong 2023, arXiv 2304.07288.
    """
    options: dict[str, Any] = {"weight": weight, "ignore_index": ignore_index, "reduction": reduction}
    return comp_sum_loss(logits, target, tau=0.0, max_weight=max_weight, **options)


def generalized_cross_entropy(
    logits: Logits,
    target: Target,
    *,
    q: float = 0.7,
    weight: Weight = None,
    ignore_index: int = -100,
    reduction: str = "mean",
) -> Float[Tensor, "..."]:
    """Generalised cross-entropy: between cross-entropy and mean absolute error, for noisy labels.

        ℓ_q(z, y) = (1 − p_y^q)/q,  the comp-sum loss at τ = 1 + q

    Args:
        logits, target: as in `comp_sum_loss`.
        q: in [0, 1]; 0 is cross-entropy (the limit), 1 is mean absolute error 1 − p_y. The paper trains with 0.7.
        weight, ignore_index, reduction: as in `cross_entropy`.

    Returns:
        A scalar, or (*batch) for "none".

    Raises:
        TypeError, ValueError: naming the argument, what it got and what was expected.

    Example:
        >>> certain_and_wrong = torch.tensor([[-50.0, 50.0]])
        >>> round(float(generalized_cross_entropy(certain_and_wrong, torch.tensor([0]), q=0.5)), 6)    # bounded by 1/q
        2.0

    Gradient: p_y^q (p − e_y).
    Limits: 0 as p_y → 1, 1/q as p_y → 0: a wrong label costs a bounded amount.
    Reference: Zhang & Sabuncu 2018, arXiv 1805.07836.
    """
    q = check_number("q", q, at_least=0, at_most=1)
    options: dict[str, Any] = {"weight": weight, "ignore_index": ignore_index, "reduction": reduction}
    return comp_sum_loss(logits, target, tau=1 + q, **options)


def mean_absolute_error_loss(
    logits: Logits,
    target: Target,
    *,
    weight: Weight = None,
    ignore_index: int = -100,
    reduction: str = "mean",
) -> Float[Tensor, "..."]:
    """The probability that the softmax gives to wrong classes: 1 − p_y, the comp-sum loss at τ = 2.

    Half of the absolute error Σ_j |p_j − e_{y,j}| between the softmax and the one-hot target.

    Args:
        logits, target, weight, ignore_index, reduction: as in `comp_sum_loss`.

    Returns:
        A scalar, or (*batch) for "none".

    Raises:
        TypeError, ValueError: naming the argument, what it got and what was expected.

    Example:
        >>> float(mean_absolute_error_loss(torch.zeros(1, 4), torch.tensor([2])))
        0.75

    Gradient: p_y (p − e_y): it dies where the network is wrong and sure.
    Limits: 0 as p_y → 1, 1 as p_y → 0; summed over all y it is V − 1, whatever the logits.
    Reference: Ghosh, Kumar & Sastry 2017, arXiv 1712.09482.
    """
    return comp_sum_loss(logits, target, tau=2.0, weight=weight, ignore_index=ignore_index, reduction=reduction)
