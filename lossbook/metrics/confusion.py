"""What hard yes-or-no decisions get right: the confusion matrix along the last axis, and the scores made of it."""

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from lossbook.checks import bad_type, bad_value, check_number, check_same_device, check_same_shape


class Counts(NamedTuple):
    """The four cells of a confusion matrix, each (*batch), float64."""

    true_positive: Tensor
    false_positive: Tensor
    false_negative: Tensor
    true_negative: Tensor


def confusion_counts(decisions: Tensor, target: Tensor) -> Counts:
    """How many decisions of each kind there are, along the last axis.

    Args:
        decisions, target: (*batch, n), of the same shape, booleans or zeros and ones of any dtype. For a number per
            label of (examples, labels), hand in the transposes: `decisions.T, target.T`.

    Returns:
        Four counts, each (*batch), which add up to n.

    Raises:
        TypeError, ValueError: naming the argument, what it got and what was expected.

    Example:
        >>> counts = confusion_counts(torch.tensor([1, 1, 0, 0, 0]), torch.tensor([1, 0, 1, 0, 0]))
        >>> [int(count) for count in counts]
        [1, 1, 1, 2]
    """
    said, true = _yes("decisions", decisions), _yes("target", target)
    check_same_shape("target", target, "decisions", decisions)
    check_same_device("target", target, "decisions", decisions)
    if decisions.ndim < 1:
        raise bad_value("decisions", decisions, "at least one axis, which is counted along")
    cells = (said & true, said & ~true, ~said & true, ~said & ~true)
    return Counts(*(cell.sum(-1).double() for cell in cells))


def _yes(argument: str, value: Tensor) -> Tensor:
    if not isinstance(value, Tensor) or value.is_complex():
        raise bad_type(argument, value, "booleans, or zeros and ones")
    if value.dtype == torch.bool:
        return value
    if bool(((value != 0) & (value != 1)).any()):
        raise ValueError(
            f"{argument}: got values other than 0 and 1, expected hard decisions: compare with a threshold"
        )
    return value == 1


def accuracy(decisions: Tensor, target: Tensor) -> Float[Tensor, "*batch"]:
    """The share of decisions that are right: (TP + TN)/n.

    Args:
        decisions, target: as in `confusion_counts`.

    Returns:
        (*batch) numbers in [0, 1]; NaN for no decisions.

    Raises:
        TypeError, ValueError: naming the argument, what it got and what was expected.

    Example:
        >>> float(accuracy(torch.tensor([0, 0, 0, 0]), torch.tensor([0, 0, 0, 1])))      # never yes, and three in four
        0.75
    """
    counts = confusion_counts(decisions, target)
    return (counts.true_positive + counts.true_negative) / decisions.shape[-1] if decisions.shape[-1] else _nan(counts)


def _nan(counts: Counts) -> Tensor:
    return torch.full_like(counts.true_positive, torch.nan)


def precision(decisions: Tensor, target: Tensor, *, undefined: float = 0.0) -> Float[Tensor, "*batch"]:
    """How many of those called positive are: TP/(TP + FP).

    Args:
        decisions, target: as in `confusion_counts`.
        undefined: what to say where none is called positive.

    Returns:
        (*batch) numbers in [0, 1].

    Raises:
        TypeError, ValueError: naming the argument, what it got and what was expected.

    Example:
        >>> float(precision(torch.tensor([1, 1, 0, 0]), torch.tensor([1, 0, 1, 0])))
        0.5
    """
    counts = confusion_counts(decisions, target)
    return _ratio(counts.true_positive, counts.true_positive + counts.false_positive, undefined)


def recall(decisions: Tensor, target: Tensor, *, undefined: float = 0.0) -> Float[Tensor, "*batch"]:
    """How many of the positives are called so: TP/(TP + FN), the true positive rate.

    Args:
        decisions, target: as in `confusion_counts`.
        undefined: what to say where there is no positive.

    Returns:
        (*batch) numbers in [0, 1].

    Raises:
        TypeError, ValueError: naming the argument, what it got and what was expected.

    Example:
        >>> float(recall(torch.tensor([1, 1, 0, 0]), torch.tensor([1, 0, 1, 1])))
        0.3333333333333333
    """
    counts = confusion_counts(decisions, target)
    return _ratio(counts.true_positive, counts.true_positive + counts.false_negative, undefined)


def f_beta(decisions: Tensor, target: Tensor, *, beta: float = 1.0, undefined: float = 0.0) -> Float[Tensor, "*batch"]:
    """The F score: the harmonic mean of precision and recall, recall counting β² times as much.

        F_β = (1 + β²) TP/((1 + β²) TP + FP + β² FN)

    Args:
        decisions, target: as in `confusion_counts`.
        beta: above 0; 1 is F1.
        undefined: what to say where there is no positive and none is called one.

    Returns:
        (*batch) numbers in [0, 1]. True negatives do not enter.

    Raises:
        TypeError, ValueError: naming the argument, what it got and what was expected.

    Example:
        >>> float(f_beta(torch.tensor([1, 1, 0, 0, 0]), torch.tensor([1, 0, 1, 0, 0])))
        0.5
    """
    squared = check_number("beta", beta, above=0) ** 2
    counts = confusion_counts(decisions, target)
    hits = (1 + squared) * counts.true_positive
    return _ratio(hits, hits + counts.false_positive + squared * counts.false_negative, undefined)


def balanced_accuracy(decisions: Tensor, target: Tensor, *, undefined: float = 0.0) -> Float[Tensor, "*batch"]:
    """The mean of the two classes' accuracies: (TPR + TNR)/2, blind to how many there are of each.

    Args:
        decisions, target: as in `confusion_counts`.
        undefined: the accuracy of a class that does not occur.

    Returns:
        (*batch) numbers in [0, 1]; 1/2 for a decision that does not look.

    Raises:
        TypeError, ValueError: naming the argument, what it got and what was expected.

    Example:
        >>> float(balanced_accuracy(torch.tensor([0, 0, 0, 0]), torch.tensor([0, 0, 0, 1])))
        0.5
    """
    positives, negatives = _rates(decisions, target, undefined)
    return (positives + negatives) / 2


def g_mean(decisions: Tensor, target: Tensor, *, undefined: float = 0.0) -> Float[Tensor, "*batch"]:
    """The geometric mean of the two classes' accuracies: √(TPR · TNR).

    Args:
        decisions, target: as in `confusion_counts`.
        undefined: the accuracy of a class that does not occur.

    Returns:
        (*batch) numbers in [0, 1], at most `balanced_accuracy`; 0 where one class is never found.

    Raises:
        TypeError, ValueError: naming the argument, what it got and what was expected.

    Example:
        >>> float(g_mean(torch.tensor([0, 0, 0, 0]), torch.tensor([0, 0, 0, 1])))
        0.0
    """
    positives, negatives = _rates(decisions, target, undefined)
    return (positives * negatives).sqrt()


def _rates(decisions: Tensor, target: Tensor, undefined: float) -> tuple[Tensor, Tensor]:
    counts = confusion_counts(decisions, target)
    found = _ratio(counts.true_positive, counts.true_positive + counts.false_negative, undefined)
    return found, _ratio(counts.true_negative, counts.true_negative + counts.false_positive, undefined)


def _ratio(part: Tensor, whole: Tensor, undefined: float) -> Tensor:
    undefined = check_number("undefined", undefined, at_least=0, at_most=1)
    return torch.where(whole > 0, part / whole.clamp(min=torch.finfo(whole.dtype).tiny), undefined)
