"""Calibration errors that bound a distance: how far is the nearest calibrated predictor?

Binned ECE alone bounds it from no side: opposite errors cancel in a bin, and an edge makes them jump. A price for the
width of the bins mends the first, bins moved at random, or a kernel, the second.
"""

import math

import torch
from torch import Tensor

from lossbook.metrics.calibration import Confidence, Correct, predictions_of, reliability_bins

FINEST = 2.0**-20


def calibration_error_plus_width(
    confidence: Confidence, correct: Correct, *, bins: int = 15, equal_mass: bool = False
) -> float:
    """Binned ECE plus the mean width of the bins: an honest upper bound, since it pays for coarse bins.

        ECE + Σ_b (n_b/n) width_b

    Args:
        confidence, correct, bins, equal_mass: as in `reliability_bins`.

    Returns:
        A number in [0, 2].

    Raises:
        TypeError, ValueError: naming the argument, what it got and what was expected.

    Example:
        >>> confidence, correct = torch.tensor([0.25, 0.75]), torch.tensor([1.0, 0.0])
        >>> [calibration_error_plus_width(confidence, correct, bins=bins) for bins in (1, 2)]
        [1.0, 1.25]

    Limits: never below the distance to the nearest calibrated predictor, mean |c − c'|, where ECE alone may be.
    Reference: Błasiok, Gopalan, Hu & Nakkiran 2023, arXiv 2211.16886 (its least over all bins, interval calibration).
    """
    found = reliability_bins(confidence, correct, bins=bins, equal_mass=equal_mass)
    return float((found.share * (found.gap.abs() + found.edges.diff())).sum())


def interval_calibration_error(confidence: Confidence, correct: Correct) -> float:
    """Interval calibration error with bins moved at random: no bins to choose, no edge to jump at.

        min over ε = 1, 1/2, 1/4 ... of E_shift Σ_b |(1/n) Σ_{i in b} (c_i − t_i)| + ε, bins of width ε

    Args:
        confidence, correct: as in `reliability_bins`.

    Returns:
        A number in [0, 2], at least the distance to the nearest calibrated predictor.

    Raises:
        TypeError, ValueError: naming the argument, what it got and what was expected.

    Example:
        >>> round(interval_calibration_error(torch.tensor([0.5 - 1e-6, 0.5 + 1e-6]), torch.tensor([0.0, 1.0])), 4)
        0.002

    Nothing is drawn: the mean over all shifts is (1/ε) ∫ |C(u + ε) − C(u)| du, C the running sum of c − t over n, which
    is a sum over 2n intervals. So bins that move at random are a kernel, a box of width ε.
    Reference: Błasiok, Gopalan, Hu & Nakkiran 2023, arXiv 2211.16886 (their SintCE).
    """
    forecast, outcome = predictions_of(confidence, correct)
    residual, width, best = (forecast - outcome) / len(forecast), 1.0, math.inf
    while width >= FINEST:
        error = shifted_bins_error(forecast, residual, width)
        if error >= best:  # halving the bins only makes it larger
            break
        best, width = min(best, error + width), width / 2
    return best


def shifted_bins_error(forecast: Tensor, residual: Tensor, width: float) -> float:
    """The sum over bins of |sum of residuals|, averaged over all places where the bins may begin."""
    places, order = torch.cat([forecast - width, forecast]).sort()
    inside = torch.cat([residual, -residual])[order].cumsum(0)  # the sum over (u, u + width], as u moves
    return float((inside[:-1].abs() * places.diff()).sum() / width)


def laplace_kernel_calibration_error(confidence: Confidence, correct: Correct) -> float:
    """Kernel calibration error with the Laplace kernel: no bins, no integral, one double sum.

        √( (1/n²) Σ_ij (c_i − t_i)(c_j − t_j) e^(−|c_i − c_j|) )

    Args:
        confidence, correct: as in `reliability_bins`.

    Returns:
        A number in [0, 1].

    Raises:
        TypeError, ValueError: naming the argument, what it got and what was expected.

    Example:
        >>> round(laplace_kernel_calibration_error(torch.tensor([0.75, 0.75]), torch.tensor([1.0, 0.0])), 6)
        0.25

    Limits: never above the root mean square of c − t, and for one forecast alone |c − mean of t|. The double sum is
        formed as two running sums, in time like n log n. Its expectation for a calibrated predictor is not 0: the n
        terms with i = j stay, and leave about √(mean c(1 − c)/n).
    Reference: Błasiok, Gopalan, Hu & Nakkiran 2023, arXiv 2211.16886.
    """
    forecast, outcome = predictions_of(confidence, correct)
    forecast, order = forecast.sort()
    residual = (forecast - outcome[order]) / len(forecast)
    before = (residual * forecast.exp()).cumsum(0) * (-forecast).exp()  # Σ_{j ≤ i} r_j e^(f_j − f_i)
    total = (residual * (2 * before - residual)).sum()
    return math.sqrt(max(0.0, float(total)))
