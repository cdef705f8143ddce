"""Calibration without bins: residuals smoothed by a Gaussian kernel that is folded back at 0 and 1.

The folded Gaussian of width s is the heat kernel of the interval,

    K_s(u, c) = Σ_k N(u; 2k ± c, s²) = 1 + 2 Σ_{k≥1} exp(−(πks)²/2) cos(πku) cos(πkc),

so a cosine series smooths exactly: the sums Σ_i r_i cos(πkc_i) are taken once, and each width only damps them. They are
taken by a fast Fourier transform of the moments of the residuals around the points of a grid, to rounding.
"""

import math
from functools import partial
from typing import NamedTuple

import torch
from scipy.optimize import brentq
from torch import Tensor

from lossbook.checks import bad_value, check_count, check_generator, check_number
from lossbook.metrics.calibration import Confidence, Correct, predictions_of

FINEST = 1e-4
MOMENTS = 8
ROUNDING = 8.6  # exp(−8.6²/2) is below 10⁻¹⁶: modes with πks beyond it are damped away
CELLS = 32  # of the mesh, to a bandwidth
CHUNK = 4096  # predictions
EMPTY = 1e-3  # a density below it has no curve to show


def smooth_ece_at(confidence: Confidence, correct: Correct, *, bandwidth: float) -> Tensor:
    """Smooth ECE at a fixed bandwidth: residuals smoothed first, made positive afterwards.

        smECE_s = ∫₀¹ |(1/n) Σ_i K_s(u, c_i)(c_i − t_i)| du

    Args:
        confidence, correct: as in `reliability_bins`.
        bandwidth: s ≥ 10⁻⁴, the standard deviation of the kernel, which is folded at 0 and 1.

    Returns:
        A scalar in [0, 1], float64, differentiable in both arguments.

    Raises:
        TypeError, ValueError: naming the argument, what it got and what was expected.

    Example:
        >>> confidence, correct = torch.tensor([0.5 - 1e-6, 0.5 + 1e-6]), torch.tensor([0.0, 1.0])
        >>> f"{float(smooth_ece_at(confidence, correct, bandwidth=0.1)):.1e}"        # ECE of two bins is 0.5
        '4.0e-06'

    Limits: non-increasing in s, between |mean (c − t)|, which s → ∞ gives, and mean |c − t|. Moving the forecasts
        changes it by at most mean |dc| (1 + √(2/π) max |c − t|/s).
    Reference: Błasiok & Nakkiran 2024, arXiv 2309.12236.
    """
    bandwidth = check_number("bandwidth", bandwidth, at_least=FINEST)
    forecast, outcome = predictions_of(confidence, correct)
    return _mean_absolute(_cosine_series(forecast, forecast - outcome, bandwidth), bandwidth)


def smooth_ece(confidence: Confidence, correct: Correct) -> float:
    """Smooth ECE: smoothed at the bandwidth that equals the error it finds, so that nothing is left to choose.

        smECE = s with smECE_s = s

    Args:
        confidence, correct: as in `reliability_bins`.

    Returns:
        A number in [0, 1]. Below 10⁻⁴ it is the error at that bandwidth.

    Raises:
        TypeError, ValueError: naming the argument, what it got and what was expected.

    Example:
        >>> confidence = torch.tensor([0.7, 0.7])                         # one forecast: its distance from the mean
        >>> round(smooth_ece(confidence, torch.tensor([0.0, 1.0])), 6)
        0.2

    Limits: continuous in the predictions, where binned ECE jumps. For a calibrated predictor it is not 0, and falls
        with n, about like n^(−1/3). Within constant factors of the distance to the nearest calibrated predictor.
    Reference: Błasiok & Nakkiran 2024, arXiv 2309.12236. Their code (relplot 1.0) bisects ten times and cuts the
    kernel off at half the interval, which leaves up to 3·10⁻³ between it and this.
    """
    forecast, outcome = predictions_of(confidence.detach(), correct)
    highest = 1.0
    for lowest in (1e-2, 1e-3, FINEST):  # most errors are above the first, which needs the shortest series
        series = _cosine_series(forecast, forecast - outcome, lowest)
        smallest = float(_mean_absolute(series, lowest))
        if smallest > lowest:
            return float(brentq(partial(_above, series), lowest, highest, xtol=1e-10))
        highest = lowest
    return smallest


def _above(series: Tensor, bandwidth: float) -> float:
    return float(_mean_absolute(series, bandwidth)) - bandwidth


class SmoothReliability(NamedTuple):
    """A smooth reliability diagram's numbers: two scalars, then (points,) tensors; `low` and `high` bound the band."""

    bandwidth: float
    error: float
    points: Tensor
    accuracy: Tensor
    density: Tensor
    low: Tensor
    high: Tensor


def smooth_reliability(
    confidence: Confidence,
    correct: Correct,
    *,
    bandwidth: float | None = None,
    points: int = 257,
    resamples: int = 0,
    level: float = 0.95,
    generator: torch.Generator | None = None,
) -> SmoothReliability:
    """The curve of a smooth reliability diagram, how many predictions stand behind each point, and how sure it is.

        accuracy(u) = Σ_i K_s(u, c_i) t_i / Σ_i K_s(u, c_i)      density(u) = (1/n) Σ_i K_s(u, c_i)

    Args:
        confidence, correct: as in `reliability_bins`.
        bandwidth: s ≥ 10⁻⁴; None: the one that equals the error, see `smooth_ece`.
        points: where the curve is given, evenly from 0 to 1; at least 2.
        resamples: how often the predictions are drawn anew, with replacement, for the band. 0: no band.
        level: the part of the resampled curves between `low` and `high`, at each point.
        generator: source of the resamples; needed where there are any.

    Returns:
        `SmoothReliability`. Where the density is below a thousandth the curve is NaN: nothing stands behind it.

    Raises:
        TypeError, ValueError: naming the argument, what it got and what was expected.

    Example:
        >>> confidence, correct = torch.tensor([0.25, 0.75]), torch.tensor([0.0, 1.0])
        >>> diagram = smooth_reliability(confidence, correct, bandwidth=0.05, points=5)
        >>> [abs(round(number, 6)) for number in diagram.accuracy.tolist()[1::2]]
        [0.0, 1.0]

    Reference: Błasiok & Nakkiran 2024, arXiv 2309.12236.
    """
    forecast, outcome = predictions_of(confidence.detach(), correct)
    check_count("points", points, least=2)
    check_count("resamples", resamples, least=0)
    level = check_number("level", level, above=0, below=1)
    if bandwidth is None:
        bandwidth = max(smooth_ece(forecast, outcome), FINEST)
    bandwidth = check_number("bandwidth", bandwidth, at_least=FINEST)
    places = torch.linspace(0, 1, points, dtype=torch.float64, device=forecast.device)
    error = float(smooth_ece_at(forecast, outcome, bandwidth=bandwidth))
    density, smoothed = _curves(forecast, outcome, torch.ones_like(forecast)[None], bandwidth, points)
    accuracy = torch.where(density > EMPTY, smoothed / density, math.nan)[0]
    low = high = torch.full_like(places, math.nan)
    if resamples:
        if generator is None:
            raise bad_value("generator", generator, "a torch.Generator: the band is drawn at random")
        check_generator(generator)
        n = len(forecast)
        drawn = torch.randint(n, (resamples, n), generator=generator).to(forecast.device)
        times = forecast.new_zeros(resamples, n).scatter_add(1, drawn, forecast.new_ones(resamples, n))
        counts, sums = _curves(forecast, outcome, times, bandwidth, points)
        band = torch.where(counts > EMPTY / 10, sums / counts, math.nan)
        low, high = band.nanquantile(torch.tensor([(1 - level) / 2, (1 + level) / 2]).to(band), dim=0)
        low, high = (torch.where(accuracy.isnan(), math.nan, side) for side in (low, high))
    return SmoothReliability(bandwidth, error, places, accuracy, density[0], low, high)


def _curves(forecast: Tensor, outcome: Tensor, times: Tensor, bandwidth: float, points: int) -> tuple[Tensor, Tensor]:
    """Density, and smoothed outcomes, of predictions that count so many times: (sets, points) each."""
    modes = _counting(_modes(bandwidth) + 1, forecast)
    places = torch.linspace(0, 1, points, dtype=forecast.dtype, device=forecast.device)
    waves = torch.cos(math.pi * modes[:, None] * places) * torch.where(modes > 0, 2.0, 1.0)[:, None]
    series = forecast.new_zeros(2 * len(times), len(modes))
    for part in torch.arange(len(forecast)).split(CHUNK):  # many sets: a product is quicker than their moments
        counted = torch.cat([times[:, part], times[:, part] * outcome[part]])
        series += counted @ torch.cos(math.pi * modes * forecast[part, None])
    density, smoothed = (_damped(series / len(forecast), bandwidth) @ waves).chunk(2)
    return density, smoothed


def _modes(bandwidth: float) -> int:
    """How many modes this bandwidth, or a wider one, leaves."""
    return math.ceil(ROUNDING / (math.pi * bandwidth))


def _cosine_series(forecast: Tensor, values: Tensor, bandwidth: float) -> Tensor:
    """(1/n) Σ_i v_i cos(πkc_i) for each mode k from 0: (modes + 1,)."""
    modes = _modes(bandwidth)
    cells = 1 << (8 * modes - 1).bit_length()  # a cell turns the phase by π/8 at most: eight moments are plenty
    place = (forecast.detach() * cells).round().long()
    rest = math.pi * (forecast - place / cells)
    modes_of = _counting(modes + 1, forecast)
    total, moment = forecast.new_zeros(modes + 1), values
    for power in range(MOMENTS):
        if power:
            moment = moment * rest / power
        grid = forecast.new_zeros(cells + 1).index_add(0, place, moment)
        turned = torch.fft.rfft(grid, n=2 * cells)[: modes + 1] * (-1j) ** power
        total = total + turned.real * modes_of**power
    return total / len(forecast)


def _counting(count: int, like: Tensor) -> Tensor:
    return torch.arange(count, dtype=like.dtype, device=like.device)


def _damped(series: Tensor, bandwidth: float) -> Tensor:
    modes = _counting(series.shape[-1], series)
    return series * torch.exp(-((math.pi * bandwidth * modes) ** 2) / 2)


def _mean_absolute(series: Tensor, bandwidth: float) -> Tensor:
    """∫₀¹ |a_0 + 2 Σ a_k cos(πku)| du of a damped series, by the differences of its primitive over a fine mesh.

    Between two zeros these are exact. In the few cells that a zero divides, the function is taken as straight.
    """
    series = _damped(series, bandwidth)
    cells = 1 << max(8, math.ceil(math.log2(CELLS / bandwidth)))
    modes = _counting(series.shape[-1], series)[1:]
    value = torch.fft.irfft(series.to(torch.complex128), n=2 * cells, norm="forward")[: cells + 1]
    waves = torch.cat([series.new_zeros(1), series[1:] / (math.pi * modes)])
    primitive = torch.fft.irfft(-1j * waves, n=2 * cells, norm="forward")[: cells + 1]
    steps = primitive.diff() + series[0] / cells
    left, right = value[:-1], value[1:]
    height = (left.abs() + right.abs()).clamp(min=torch.finfo(value.dtype).tiny)
    divided = (left.square() + right.square()) / (2 * cells * height)
    return torch.where(left * right < 0, divided, steps.abs()).sum()
