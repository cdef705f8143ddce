"""Is a probability kept as a promise? Calibration in bins, with what the bins do to the number.

Predictions are a probability each, `confidence`, and whether what was predicted came true, `correct`. Of several
classes they are the largest softmax probability and whether its class was right: `confidence_and_correctness`. All is
computed in float64; axes are pooled. Without bins: `lossbook.metrics.smooth_calibration`.
"""

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from lossbook.checks import (
    bad_type,
    bad_value,
    check_count,
    check_floating,
    check_same_device,
    check_same_shape,
)

Confidence = Float[Tensor, "..."]
Correct = Float[Tensor, "..."] | Bool[Tensor, "..."] | Int[Tensor, "..."]


class Predictions(NamedTuple):
    """What a classifier promises of its answers, and whether each was right: two tensors of shape (*batch)."""

    confidence: Tensor
    correct: Tensor


def confidence_and_correctness(logits: Float[Tensor, "*batch classes"], target: Int[Tensor, "*batch"]) -> Predictions:
    """The largest softmax probability of each row, and whether its class is the right one.

        c = max_k softmax(z)_k      t = [argmax_k z_k = y]

    Args:
        logits: (*batch, classes), class axis last.
        target: (*batch) class indices.

    Returns:
        Confidence in (0, 1] and correctness, 0 or 1, both (*batch) and in the dtype of the logits. Between equal logits
        the first class counts as the answer.

    Raises:
        TypeError, ValueError: naming the argument, what it got and what was expected.

    Example:
        >>> logits, target = torch.tensor([[0.0, 0.0], [0.0, 2.0]]), torch.tensor([1, 1])
        >>> [part.tolist() for part in confidence_and_correctness(logits, target)]
        [[0.5, 0.8807970285415649], [0.0, 1.0]]
    """
    check_rows(logits, target, "logits")
    confidence, answer = torch.softmax(logits, -1).max(-1)
    return Predictions(confidence, (answer == target).to(confidence.dtype))


class ReliabilityBins(NamedTuple):
    """A reliability diagram's numbers, a bin each: (bins + 1,) edges, then (bins,); NaN where a bin is empty."""

    edges: Tensor
    counts: Tensor
    confidence: Tensor
    accuracy: Tensor

    @property
    def share(self) -> Tensor:
        """The part of the predictions that is in each bin, (bins,)."""
        return self.counts / self.counts.sum()

    @property
    def gap(self) -> Tensor:
        """Mean confidence less accuracy, (bins,); 0 where a bin is empty."""
        return torch.where(self.counts > 0, self.confidence - self.accuracy, 0.0)


def reliability_bins(
    confidence: Confidence, correct: Correct, *, bins: int = 15, equal_mass: bool = False
) -> ReliabilityBins:
    """How many predictions each bin holds, what they promise on average, and how often they come true.

    Args:
        confidence: probabilities in [0, 1], of any shape, at least one.
        correct: as many numbers in [0, 1]: 1 where what was predicted came true.
        bins: how many.
        equal_mass: bins between quantiles of the confidences, in place of bins of equal width. Equal confidences stay
            together, so that bins may hold different numbers, and some none.

    Returns:
        `ReliabilityBins`. A bin reaches from its lower edge, not included, to its upper one; the first holds 0 too.

    Raises:
        TypeError, ValueError: naming the argument, what it got and what was expected.

    Example:
        >>> reliability_bins(torch.tensor([0.25, 0.5, 1.0]), torch.tensor([0, 1, 1]), bins=2).counts.tolist()
        [2.0, 1.0]

    Reference: Guo, Pleiss, Sun & Weinberger 2017, arXiv 1706.04599 (equal width); Nguyen & O'Connor 2015, arXiv
    1508.05154 (equal mass).
    """
    forecast, outcome = predictions_of(confidence, correct)
    check_count("bins", bins)
    edges = torch.linspace(0, 1, bins + 1, dtype=torch.float64, device=forecast.device)
    if equal_mass:
        edges = torch.cat([edges[:1], torch.quantile(forecast, edges[1:-1]), edges[-1:]])
    place = torch.bucketize(forecast, edges[1:-1])
    count, promised, kept = (
        forecast.new_zeros(bins).index_add(0, place, values)
        for values in (torch.ones_like(forecast), forecast, outcome)
    )
    return ReliabilityBins(edges, count, promised / count, kept / count)


def expected_calibration_error(
    confidence: Confidence, correct: Correct, *, bins: int = 15, equal_mass: bool = False
) -> float:
    """Binned ECE: the distance between promise and outcome in each bin, averaged over the predictions.

        ECE = Σ_b (n_b/n) |mean of t in b − mean of c in b|

    Args:
        confidence, correct, bins, equal_mass: as in `reliability_bins`. With equal_mass it is the adaptive ECE.

    Returns:
        A number in [0, 1].

    Raises:
        TypeError, ValueError: naming the argument, what it got and what was expected.

    Example:
        >>> confidence, correct = torch.tensor([0.5 - 1e-6, 0.5 + 1e-6]), torch.tensor([0.0, 1.0])
        >>> [round(expected_calibration_error(confidence, correct, bins=bins), 4) for bins in (1, 2)]
        [0.0, 0.5]

    Limits: never below |mean(c − t)|, which one bin gives, nor above mean |c − t|. Opposite errors within a bin cancel;
        a prediction that crosses an edge makes it jump. A calibrated predictor gets more than 0: about
        √(2 bins/(π n)) times the typical standard deviation of an outcome.
    Reference: Guo, Pleiss, Sun & Weinberger 2017, arXiv 1706.04599; Naeini, Cooper & Hauskrecht 2015, AAAI.
    """
    found = reliability_bins(confidence, correct, bins=bins, equal_mass=equal_mass)
    return float((found.share * found.gap.abs()).sum())


def maximum_calibration_error(
    confidence: Confidence, correct: Correct, *, bins: int = 15, equal_mass: bool = False
) -> float:
    """The largest distance between promise and outcome in a bin that holds something.

    Args:
        confidence, correct, bins, equal_mass: as in `reliability_bins`.

    Returns:
        A number in [0, 1], at least `expected_calibration_error`.

    Raises:
        TypeError, ValueError: naming the argument, what it got and what was expected.

    Example:
        >>> maximum_calibration_error(torch.tensor([0.25, 0.75, 0.75]), torch.tensor([0.0, 0.0, 1.0]), bins=2)
        0.25

    Limits: decided by the emptiest bins, where one outcome is the whole mean.
    Reference: Guo, Pleiss, Sun & Weinberger 2017, arXiv 1706.04599.
    """
    return float(reliability_bins(confidence, correct, bins=bins, equal_mass=equal_mass).gap.abs().max())


def classwise_calibration_error(
    probabilities: Float[Tensor, "*batch classes"],
    target: Int[Tensor, "*batch"],
    *,
    bins: int = 15,
    equal_mass: bool = False,
) -> float:
    """Binned ECE of each class's probability as a forecast of that class, averaged over the classes.

        (1/V) Σ_k ECE(p_k, [y = k])

    Args:
        probabilities: (*batch, classes) in [0, 1], at least one row; each class is judged alone.
        target: (*batch) class indices.
        bins, equal_mass: as in `reliability_bins`; quantiles are those of each class.

    Returns:
        A number in [0, 1].

    Raises:
        TypeError, ValueError: naming the argument, what it got and what was expected.

    Example:
        >>> probabilities = torch.tensor([[0.5, 0.25, 0.25]] * 4)       # the shares of the classes: calibrated
        >>> classwise_calibration_error(probabilities, torch.tensor([0, 0, 1, 2]))
        0.0

    Limits: with many classes nearly all forecasts are near 0 and right to be there: it shrinks like 1/V.
    Reference: Kull et al. 2019, arXiv 1910.12656; Nixon et al. 2019, arXiv 1904.01685 (equal mass: their ACE).
    """
    check_rows(probabilities, target, "probabilities")
    each = (
        expected_calibration_error(probabilities[..., k], target == k, bins=bins, equal_mass=equal_mass)
        for k in range(probabilities.shape[-1])
    )
    return sum(each) / probabilities.shape[-1]


def predictions_of(confidence: Confidence, correct: Correct) -> tuple[Tensor, Tensor]:
    """Both as float64 of one axis, checked: probabilities, and as many outcomes in [0, 1]."""
    check_floating("confidence", confidence)
    if not isinstance(correct, Tensor) or correct.is_complex():
        raise bad_type("correct", correct, "a tensor of numbers in [0, 1], or of booleans")
    check_same_shape("correct", correct, "confidence", confidence)
    check_same_device("correct", correct, "confidence", confidence)
    if confidence.numel() == 0:
        raise bad_value("confidence", confidence, "at least one prediction")
    for name, values in (("confidence", confidence), ("correct", correct)):
        if not bool(((values >= 0) & (values <= 1)).all()):
            raise bad_value(name, values, "numbers in [0, 1]")
    return confidence.double().reshape(-1).contiguous(), correct.double().reshape(-1).contiguous()


def check_rows(scores: Tensor, target: Tensor, name: str) -> None:
    """Refuse rows of classes and class indices that do not fit each other."""
    if check_floating(name, scores).ndim < 1 or scores.shape[-1] < 1:
        raise bad_value(name, scores, "shape (*batch, classes) with at least one class")
    if not isinstance(target, Tensor) or target.dtype not in (torch.int64, torch.int32, torch.int16, torch.uint8):
        raise bad_type("target", target, "class indices (int64)")
    if target.shape != scores.shape[:-1]:
        raise bad_value("target", target, f"class indices of shape {tuple(scores.shape[:-1])}")
    check_same_device("target", target, name, scores)
    if bool(((target < 0) | (target >= scores.shape[-1])).any()):
        raise bad_value("target", target, f"classes 0 to {scores.shape[-1] - 1}")
