"""How well scores order things: AUC over pooled scores, errors and ranks within a row, the best threshold for all."""

from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from lossbook.checks import bad_type, bad_value, check_count, check_floating, check_same_device


def auc(positives: Float[Tensor, "..."], negatives: Float[Tensor, "..."]) -> float:
    """The area under the ROC curve: how often a positive scores above a negative, a tie counting half.

        AUC = P(s⁺ > s⁻) + P(s⁺ = s⁻)/2, over all pairs of one of each

    Args:
        positives, negatives: scores, of any shape; each is pooled, at least one of each.

    Returns:
        A number in [0, 1]: 1 where every positive is above every negative, 1/2 for scores that say nothing.

    Raises:
        TypeError, ValueError: naming the argument, what it got and what was expected.

    Example:
        >>> auc(torch.tensor([0.9, 0.7]), torch.tensor([0.5, 0.7]))
        0.875

    Time grows like n log n, not like the number of pairs.
    """
    below, ties, pairs = _comparisons(positives, negatives)
    return (below + ties / 2) / pairs


def area_over_curve(positives: Float[Tensor, "..."], negatives: Float[Tensor, "..."]) -> float:
    """1 − AUC: how often a negative scores above a positive, a tie counting half.

    Args:
        positives, negatives: as in `auc`.

    Returns:
        A number in [0, 1].

    Raises:
        TypeError, ValueError: naming the argument, what it got and what was expected.

    Example:
        >>> area_over_curve(torch.tensor([0.9, 0.7]), torch.tensor([0.5, 0.7]))
        0.125

    The pair form of `mann_whitney_loss` over log 2 is never below it.
    """
    below, ties, pairs = _comparisons(positives, negatives)
    return (pairs - below - ties + ties / 2) / pairs


def _comparisons(positives: Tensor, negatives: Tensor) -> tuple[int, int, int]:
    """Pairs with the negative below the positive, pairs that tie, and all pairs."""
    for name, scores in (("positives", positives), ("negatives", negatives)):
        if check_floating(name, scores).numel() == 0:
            raise bad_value(name, scores, "at least one score")
        if bool(scores.isnan().any()):
            raise ValueError(f"{name}: got NaN among the scores, expected numbers, which have an order")
    check_same_device("negatives", negatives, "positives", positives)
    # In one precision: a float32 and a float64 of the same decimal are not equal.
    asked, known = (scores.detach().double().reshape(-1).contiguous() for scores in (positives, negatives))
    known = known.sort().values
    below, not_above = (int(torch.searchsorted(known, asked, right=right).sum()) for right in (False, True))
    return below, not_above - below, len(asked) * len(known)


def target_rank(scores: Float[Tensor, "*batch classes"], target: Int[Tensor, "*batch"]) -> Int[Tensor, "*batch"]:
    """The place of the right class in its row, from 1; classes that tie with it stand before it.

    Args:
        scores: (*batch, classes).
        target: (*batch) class indices.

    Returns:
        (*batch) whole numbers from 1 to the number of classes. A row with a NaN has the last place.

    Raises:
        TypeError, ValueError: naming the argument, what it got and what was expected.

    Example:
        >>> target_rank(torch.tensor([[3.0, 1.0, 2.0], [0.0, 0.0, 0.0]]), torch.tensor([2, 0])).tolist()
        [2, 3]

    Counting ties against the right class keeps scores that are all equal from looking perfect.
    """
    if check_floating("scores", scores).ndim < 1 or scores.shape[-1] < 1:
        raise bad_value("scores", scores, "shape (*batch, classes) with at least one class")
    if (
        not isinstance(target, Tensor)
        or target.is_floating_point()
        or target.is_complex()
        or target.dtype == torch.bool
    ):
        raise bad_type("target", target, "class indices (int64)")
    if target.shape != scores.shape[:-1]:
        raise bad_value("target", target, f"class indices of shape {tuple(scores.shape[:-1])}")
    check_same_device("target", target, "scores", scores)
    if bool(((target < 0) | (target >= scores.shape[-1])).any()):
        raise bad_value("target", target, f"classes 0 to {scores.shape[-1] - 1}")
    right = scores.gather(-1, target.long()[..., None])
    place = (scores >= right).sum(-1)
    return torch.where(scores.isnan().any(-1), scores.shape[-1], place)


def top_k_error(scores: Float[Tensor, "*batch classes"], target: Int[Tensor, "*batch"], *, k: int = 1) -> float:
    """The share of rows whose right class is not among the k highest scores.

    Args:
        scores, target: as in `target_rank`; at least one row.
        k: how many answers are allowed, 1 or more.

    Returns:
        A number in [0, 1]; 0 where k is the number of classes or more.

    Raises:
        TypeError, ValueError: naming the argument, what it got and what was expected.

    Example:
        >>> scores, target = torch.tensor([[3.0, 1.0, 2.0], [3.0, 1.0, 2.0]]), torch.tensor([2, 0])
        >>> [top_k_error(scores, target, k=k) for k in (1, 2)]
        [0.5, 0.0]
    """
    check_count("k", k)
    return float((_ranks(scores, target) > k).double().mean())


def mean_reciprocal_rank(scores: Float[Tensor, "*batch classes"], target: Int[Tensor, "*batch"]) -> float:
    """The mean over rows of one over the right class's place.

    Args:
        scores, target: as in `target_rank`; at least one row.

    Returns:
        A number in (0, 1]; 1 where every right class has the highest score alone.

    Raises:
        TypeError, ValueError: naming the argument, what it got and what was expected.

    Example:
        >>> scores, target = torch.tensor([[3.0, 1.0, 2.0], [3.0, 1.0, 2.0]]), torch.tensor([2, 0])
        >>> mean_reciprocal_rank(scores, target)
        0.75
    """
    return float(_ranks(scores, target).double().reciprocal().mean())


def _ranks(scores: Tensor, target: Tensor) -> Tensor:
    ranks = target_rank(scores, target)
    if ranks.numel() == 0:
        raise bad_value("scores", scores, "at least one row")
    return ranks


class BestF1(NamedTuple):
    """A threshold and the F1 score of calling positive what scores at least that much."""

    threshold: float
    f1: float


def best_f1(positives: Float[Tensor, "..."], negatives: Float[Tensor, "..."]) -> BestF1:
    """The one threshold over pooled scores with the highest F1, and that F1.

        F1(t) = 2 TP/(2 TP + FP + FN), TP and FP the positives and negatives from t on, FN the other positives

    Args:
        positives, negatives: scores, of any shape; each is pooled. At least one positive.

    Returns:
        The threshold, which is one of the scores, and its F1. Between equals, the highest threshold.

    Raises:
        TypeError, ValueError: naming the argument, what it got and what was expected.

    Example:
        >>> best_f1(torch.tensor([0.75, 0.5]), torch.tensor([0.25, 0.5]))
        BestF1(threshold=0.5, f1=0.8)

    Ranking within a row does not see an offset of the row; one threshold for all rows does.
    """
    for name, scores in (("positives", positives), ("negatives", negatives)):
        if bool(check_floating(name, scores).isnan().any()):
            raise ValueError(f"{name}: got NaN among the scores, expected numbers, which have an order")
    if positives.numel() == 0:
        raise bad_value("positives", positives, "at least one score")
    check_same_device("negatives", negatives, "positives", positives)
    sides = [scores.detach().reshape(-1).double() for scores in (positives, negatives)]
    scores, order = torch.cat(sides).sort(descending=True, stable=True)
    hits = (order < len(sides[0])).double().cumsum(0)
    called = torch.arange(1, len(scores) + 1, device=scores.device)
    f1 = 2 * hits / (called + len(sides[0]))  # 2 TP + FP + FN = those called positive + those that are
    last = torch.ones_like(scores, dtype=torch.bool)
    last[:-1] = scores[1:] != scores[:-1]  # a threshold takes all scores that are equal to it
    f1 = torch.where(last, f1, -1.0)
    best = int((f1 == f1.max()).nonzero()[0])
    return BestF1(float(scores[best]), float(f1[best]))
