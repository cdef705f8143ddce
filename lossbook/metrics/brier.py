"""The Brier score of forecasts, taken apart: what calibration could win, what the forecasts know, what nobody can."""

from typing import NamedTuple

import torch

from lossbook.metrics.calibration import Confidence, Correct, predictions_of, reliability_bins


class BrierParts(NamedTuple):
    """The parts of a mean squared error of probabilities: score = reliability − resolution + uncertainty + within."""

    score: float
    reliability: float
    resolution: float
    uncertainty: float
    within: float


def brier_decomposition(confidence: Confidence, correct: Correct, *, bins: int | None = None) -> BrierParts:
    """Where the Brier score of forecasts of one event comes from.

        mean (c − t)² = Σ_b (n_b/n)(c̄_b − t̄_b)² − Σ_b (n_b/n)(t̄_b − t̄)² + mean (t − t̄)² + within
        within = Σ_b (n_b/n)(variance of c in b − 2 covariance of c and t in b)

    Args:
        confidence, correct: as in `reliability_bins`.
        bins: of equal width. None: one for each value that is forecast, so that nothing is within.

    Returns:
        `BrierParts`: reliability ≥ 0 is what calibration could win, resolution ≥ 0 what the forecasts know, uncertainty
        t̄(1 − t̄) what a constant would pay.

    Raises:
        TypeError, ValueError: naming the argument, what it got and what was expected.

    Example:
        >>> parts = brier_decomposition(torch.tensor([0.5, 0.5, 1.0, 1.0]), torch.tensor([0.0, 0.0, 1.0, 1.0]))
        >>> parts.score == parts.reliability - parts.resolution + parts.uncertainty == 0.125
        True

    Limits: where all forecasts differ and bins is None, each outcome is its own bin: reliability is then the score.
    Reference: Murphy 1973, Journal of Applied Meteorology; Stephenson, Coelho & Jolliffe 2008, Weather and Forecasting
    (the terms within bins).
    """
    forecast, outcome = predictions_of(confidence, correct)
    if bins is None:
        values, place = forecast.unique(return_inverse=True)
        count = torch.bincount(place, minlength=len(values)).double()
        means = [forecast.new_zeros(len(values)).index_add(0, place, x) / count for x in (forecast, outcome)]
    else:
        found = reliability_bins(confidence, correct, bins=bins)
        place, count = torch.bucketize(forecast, found.edges[1:-1]), found.counts
        means = [part.nan_to_num() for part in (found.confidence, found.accuracy)]
    promised, kept = means
    share, overall = count / len(forecast), outcome.mean()
    moved, missed = forecast - promised[place], outcome - kept[place]
    return BrierParts(
        float((forecast - outcome).square().mean()),
        float((share * (promised - kept).square()).sum()),
        float((share * (kept - overall).square()).sum()),
        float((outcome - overall).square().mean()),
        float((moved.square() - 2 * moved * missed).mean()),
    )
