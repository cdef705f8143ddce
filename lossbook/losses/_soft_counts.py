"""AnyLoss: a score of the confusion matrix as a loss, by decisions that are almost, and not quite, yes or no."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from lossbook.checks import (
    bad_value,
    check_choice,
    check_floating,
    check_number,
    check_reduction,
    check_same_device,
    check_same_shape,
)
from lossbook.kernels import accumulation_dtype
from lossbook.losses._elementwise import reduce

Scores = Float[Tensor, "*sets n"]


def check_sets(logits: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Refuse what is not a set of scores and its 0s and 1s; return both in a dtype to sum in."""
    if check_floating("logits", logits).ndim < 1 or logits.shape[-1] < 1:
        raise bad_value("logits", logits, "shape (*sets, n) with at least one element")
    check_same_shape("target", check_floating("target", target), "logits", logits)
    check_same_device("target", target, "logits", logits)
    if bool(((target != 0) & (target != 1)).any()):
        raise ValueError("target: got values other than 0 and 1, expected a 0 or a 1 for each element")
    dtype = accumulation_dtype(logits.dtype)
    return logits.to(dtype), target.to(dtype)


class _SoftCounts(NamedTuple):
    """Almost whole numbers: how many are hit, missed and falsely called, and how many positives and negatives."""

    hit: Tensor
    missed: Tensor
    false: Tensor
    positive: Tensor
    negative: Tensor


def _ratio(part: Tensor, whole: Tensor) -> Tensor:
    """0 where there is nothing to divide by."""
    return part / whole.clamp(min=torch.finfo(whole.dtype).tiny)


def _accuracy(counts: _SoftCounts, beta: float) -> Tensor:
    return (counts.missed + counts.false) / (counts.positive + counts.negative)


def _f_beta(counts: _SoftCounts, beta: float) -> Tensor:
    wrong = beta**2 * counts.missed + counts.false
    return _ratio(wrong, (1 + beta**2) * counts.hit + wrong)


def _balanced_accuracy(counts: _SoftCounts, beta: float) -> Tensor:
    return (_ratio(counts.missed, counts.positive) + _ratio(counts.false, counts.negative)) / 2


def _g_mean(counts: _SoftCounts, beta: float) -> Tensor:
    missed, false = _ratio(counts.missed, counts.positive), _ratio(counts.false, counts.negative)
    product = (1 - missed) * (1 - false)
    some = product > 0  # √ has no slope at 0, and 0 · ∞ is no number
    root = torch.where(some, torch.where(some, product, 1.0).sqrt(), 0.0)
    return (missed + false - missed * false) / (1 + root)  # 1 − root, without cancelling


METRICS: dict[str, Callable[[_SoftCounts, float], Tensor]] = {
    "accuracy": _accuracy,
    "balanced_accuracy": _balanced_accuracy,
    "f_beta": _f_beta,
    "g_mean": _g_mean,
}


def anyloss(
    logits: Scores,
    target: Scores,
    *,
    metric: str = "f_beta",
    sharpness: float = 73.0,
    beta: float = 1.0,
    reduction: str = "mean",
) -> Float[Tensor, "..."]:
    """AnyLoss: one minus a score of the confusion matrix, filled with decisions that are almost 0 or 1.

        a_i = σ(L (p_i − 1/2)),  p_i = σ(z_i);   TP = Σ y a,  FN = Σ y (1 − a),  FP = Σ (1 − y) a

        accuracy            ℓ = (FP + FN)/n
        f_beta              ℓ = (β² FN + FP)/((1 + β²) TP + β² FN + FP)
        balanced_accuracy   ℓ = (FN/P + FP/N)/2
        g_mean              ℓ = 1 − √((1 − FN/P)(1 − FP/N))

    Args:
        logits: (*sets, n), the logistic scores of n examples. The last axis is one set, and has one value.
        target: (*sets, n), 0 or 1 for each, in floating point.
        metric: "accuracy", "balanced_accuracy", "f_beta" or "g_mean".
        sharpness: L > 0, how steep a is at p = 1/2. L → ∞ is the score itself, without a gradient.
        beta: β > 0, how many times as much recall counts as precision, squared; for "f_beta" alone.
        reduction: "mean", "sum" or "none", over sets.

    Returns:
        A scalar, or (*sets) for "none". A class that does not occur in a set counts as found; F of a set without
        positives is 0, so that it costs 1 and pulls nothing.

    Raises:
        TypeError, ValueError: naming the argument, what it got and what was expected.

    Example:
        >>> p = torch.tensor([0.9, 0.6, 0.45, 0.2], dtype=torch.float64)
        >>> y = torch.tensor([1.0, 1.0, 0.0, 0.0], dtype=torch.float64)
        >>> [round(1 - float(anyloss(p.logit(), y, sharpness=L)), 6) for L in (73.0, 5.0)]
        [0.993538, 0.729116]

    Gradient: by z_i: L a_i (1 − a_i) p_i (1 − p_i) times the slope by a_i; for F1, with S = Σ y + Σ a, that is
        −(2 y_i/S − 2 TP/S²). It is felt within about 1/L of p = 1/2, and is nothing away from there.
    Limits: between 0 and 1. F does not see negatives far below 1/2; at L = 5 it still does, a(0) = 0.076.
    Reference: Han, Moniz & Chawla 2024, arXiv 2405.14745.
    """
    check_choice("metric", metric, METRICS)
    sharpness = check_number("sharpness", sharpness, above=0)
    beta = check_number("beta", beta, above=0)
    check_reduction(reduction)
    scores, positive = check_sets(logits, target)
    steep = sharpness * (torch.sigmoid(scores) - 0.5)
    said, unsaid = torch.sigmoid(steep), torch.sigmoid(-steep)
    counts = _SoftCounts(
        hit=(positive * said).sum(-1),
        missed=(positive * unsaid).sum(-1),
        false=((1 - positive) * said).sum(-1),
        positive=positive.sum(-1),
        negative=(1 - positive).sum(-1),
    )
    return reduce(METRICS[metric](counts, beta), None, reduction).to(logits.dtype)
