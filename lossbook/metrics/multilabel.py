"""How well many labels are found at once: average precision, F1 over labels, and labels by how frequent they are."""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from lossbook.checks import bad_type, bad_value, check_count, check_floating, check_same_device, check_same_shape
from lossbook.metrics.confusion import confusion_counts, f_beta


def average_precision(scores: Float[Tensor, " examples *labels"], target: Tensor) -> Float[Tensor, "*labels"]:
    """Average precision (AP): the mean, over the positives, of the precision among all that score at least as much.

        AP = (1/|P|) Σ_{i∈P} |{j ∈ P: s_j ≥ s_i}|/|{j: s_j ≥ s_i}|

    Args:
        scores: (examples, *labels), examples first.
        target: 0s and 1s, or booleans, of the same shape.

    Returns:
        A number in (0, 1] for each label, float64: 1 where every positive is above every negative, about the share of
        positives for scores that say nothing. NaN where a label has no positive.

    Raises:
        TypeError, ValueError: naming the argument, what it got and what was expected.

    Example:
        >>> float(average_precision(torch.tensor([3.0, 2.0, 1.0]), torch.tensor([1, 0, 1])))        # (1/1 + 2/3)/2
        0.8333333333333333

    AUC does not change when every negative is there ten times; this does.
    """
    if check_floating("scores", scores).ndim < 1 or len(scores) < 1:
        raise bad_value("scores", scores, "shape (examples, *labels) with at least one example")
    if bool(scores.isnan().any()):
        raise ValueError("scores: got NaN among the scores, expected numbers, which have an order")
    positive = _zeros_and_ones(target, scores)
    ordered, order = scores.detach().sort(0, descending=True)
    hits = positive.gather(0, order).cumsum(0)
    place = torch.arange(1, len(scores) + 1, device=scores.device).reshape(-1, *[1] * (scores.ndim - 1))
    last = torch.ones_like(ordered, dtype=torch.bool)
    last[:-1] = ordered[1:] != ordered[:-1]
    # of each place, the last one with the same score: what stands there is called positive together
    end = torch.where(last, place - 1, len(scores)).flip(0).cummin(0).values.flip(0)
    precision = hits.gather(0, end).double() / (end + 1)
    return (precision * positive.gather(0, order)).sum(0) / positive.sum(0)


def mean_average_precision(scores: Float[Tensor, "examples labels"], target: Tensor) -> float:
    """The mean of `average_precision` over the labels that have a positive (mAP).

    Args:
        scores, target: as in `average_precision`, (examples, labels).

    Returns:
        A number in (0, 1]; NaN where no label has a positive.

    Raises:
        TypeError, ValueError: naming the argument, what it got and what was expected.

    Example:
        >>> scores = torch.tensor([[3.0, 0.1], [2.0, 0.3], [1.0, 0.2]])
        >>> mean_average_precision(scores, torch.tensor([[1, 0], [0, 0], [1, 1]]))            # (5/6 + 1/2)/2
        0.6666666666666666
    """
    return float(average_precision(scores, target).nanmean())


def macro_f1(decisions: Float[Tensor, "examples labels"] | Tensor, target: Tensor) -> float:
    """F1 of each label, then the mean: a rare label counts as much as a frequent one.

    Args:
        decisions, target: (examples, labels), booleans or 0s and 1s.

    Returns:
        A number in [0, 1]. A label that has no positive and is never called counts as 0.

    Raises:
        TypeError, ValueError: naming the argument, what it got and what was expected.

    Example:
        >>> decisions, target = torch.tensor([[1, 0], [1, 0], [1, 0]]), torch.tensor([[1, 0], [1, 0], [1, 1]])
        >>> macro_f1(decisions, target), round(micro_f1(decisions, target), 3)
        (0.5, 0.857)
    """
    return float(f_beta(decisions.mT, target.mT).mean())


def micro_f1(decisions: Tensor, target: Tensor) -> float:
    """F1 of all decisions pooled: what is frequent decides.

    Args:
        decisions, target: as in `macro_f1`.

    Returns:
        A number in [0, 1].

    Raises:
        TypeError, ValueError: naming the argument, what it got and what was expected.

    Example: as of `macro_f1`.
    """
    return float(f_beta(decisions.reshape(-1), target.reshape(-1)))


def label_recall(decisions: Tensor, target: Tensor) -> Float[Tensor, " labels"]:
    """Of each label's positives, the share that is called.

    Args:
        decisions, target: as in `macro_f1`.

    Returns:
        (labels,) numbers in [0, 1], float64; NaN where a label has no positive.

    Raises:
        TypeError, ValueError: naming the argument, what it got and what was expected.

    Example:
        >>> label_recall(torch.tensor([[1, 0], [0, 0]]), torch.tensor([[1, 0], [1, 0]])).tolist()
        [0.5, nan]
    """
    counts = confusion_counts(decisions.mT, target.mT)
    return counts.true_positive / (counts.true_positive + counts.false_negative)


def frequency_groups(counts: Int[Tensor, " labels"] | Float[Tensor, " labels"], *, groups: int = 3) -> list[Tensor]:
    """Labels or classes in groups of about the same number, from the most frequent to the rarest: head, middle, tail.

    Args:
        counts: (labels,) how many training examples each has. Between equals the first is taken as more frequent.
        groups: how many, at most one a label. Where it does not come out, the first groups are the larger ones.

    Returns:
        The indices of each group.

    Raises:
        TypeError, ValueError: naming the argument, what it got and what was expected.

    Example:
        >>> [group.tolist() for group in frequency_groups(torch.tensor([5, 900, 40, 7]))]
        [[1, 2], [3], [0]]
    """
    check_count("groups", groups)
    if not isinstance(counts, Tensor) or counts.ndim != 1:
        raise bad_type("counts", counts, "a tensor of one count a label, shape (labels,)")
    if groups > len(counts):
        raise bad_value("groups", groups, f"at most one a label, of which there are {len(counts)}")
    return list(counts.argsort(descending=True, stable=True).tensor_split(groups))


def _zeros_and_ones(target: Tensor, scores: Tensor) -> Tensor:
    """The target as whole numbers, checked."""
    if not isinstance(target, Tensor) or target.is_complex():
        raise bad_type("target", target, "booleans, or 0s and 1s")
    check_same_shape("target", target, "scores", scores)
    check_same_device("target", target, "scores", scores)
    if bool(((target != 0) & (target != 1)).any()):
        raise ValueError("target: got values other than 0 and 1, expected 0s and 1s alone")
    return target.long()
