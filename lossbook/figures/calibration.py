"""Pictures of calibration: reliability diagrams in bins and without, and measures of it against what is known."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from torch import Tensor

from lossbook.checks import check_choice
from lossbook.experiments.proper_scores import PROPER
from lossbook.experiments.run import Run
from lossbook.figures.style import BLUE, GREY, INK, ORANGE, axes_of, look, styled
from lossbook.metrics import ReliabilityBins, SmoothReliability

MEASURES = {
    "ece 5": "ECE, 5 bins",
    "ece 10": "ECE, 10 bins",
    "ece 15": "ECE, 15 bins",
    "ece 30": "ECE, 30 bins",
    "ece 100": "ECE, 100 bins",
    "smooth_ece": "smECE",
    "interval": "interval, shifted bins",
    "laplace": "Laplace kernel",
}
DIAGONAL: dict[str, Any] = {"color": INK, "linestyle": ":", "linewidth": 1.6, "zorder": 1}
SHARES = 0.18  # of the height, at most, for the bars that say where the predictions are


def reliability_axes(ax: Any, title: str) -> None:
    """The square of a reliability diagram, with its diagonal."""
    ax.plot([0, 1], [0, 1], **DIAGONAL)
    ax.set(xlim=(0, 1), ylim=(0, 1), xlabel="confidence", ylabel="share that came true", title=title)


@styled
def plot_reliability_bins(found: ReliabilityBins, ax: Any = None) -> Any:
    """A binned reliability diagram: a step a bin, its gap to the promise hatched, below it the share of predictions.

    How to read it: a step at the diagonal keeps its promise. Below it the predictor is over-confident there. The small
    bars at the bottom say how many predictions stand behind a step, the highest of them drawn as a fifth of the height.

    Args:
        found: of `lossbook.metrics.reliability_bins`.
        ax: matplotlib axes; None makes new ones.
    """
    ax = axes_of(ax)
    reliability_axes(ax, "In bins")
    edges, accuracy, confidence, share = (_array(part) for part in (found.edges, *_columns(found)))
    filled = share > 0
    widths, left = np.diff(edges)[filled], edges[:-1][filled]
    gap: dict[str, Any] = {"facecolor": "none", "edgecolor": ORANGE, "hatch": "///", "linewidth": 0.0, "zorder": 2}
    bottom, height = np.minimum(accuracy, confidence)[filled], np.abs(accuracy - confidence)[filled]
    ax.bar(left, height, widths, bottom, align="edge", label="gap to the promise", **gap)
    ax.hlines(accuracy[filled], left, left + widths, color=BLUE, linewidth=2.6, label="came true", zorder=3)
    bars: dict[str, Any] = {"color": GREY, "alpha": 0.7, "linewidth": 0.0, "zorder": 0}
    ax.bar(left, SHARES * share[filled] / share.max(), widths, align="edge", label="share of predictions", **bars)
    ax.legend(loc="upper left", fontsize=10)
    return ax


@styled
def plot_smooth_reliability(found: SmoothReliability, ax: Any = None) -> Any:
    """A smooth reliability diagram: the curve, its band, and the density of the predictions below it.

    How to read it: as the binned one, without edges. The band holds most curves of resampled predictions; where few
    predictions stand behind the curve it is wide, and where next to none do there is no curve.

    Args:
        found: of `lossbook.metrics.smooth_reliability`.
        ax: matplotlib axes; None makes new ones.
    """
    ax = axes_of(ax)
    reliability_axes(ax, "Smooth")
    points, accuracy, density, low, high = map(_array, found[2:])
    if np.isfinite(low).any():
        ax.fill_between(points, low, high, color=BLUE, alpha=0.15, linewidth=0, label="band of resampled curves")
    ax.plot(points, accuracy, color=BLUE, linewidth=2.6, label="came true", zorder=3)
    heights = SHARES * density / density.max()
    ax.fill_between(points, heights, color=GREY, alpha=0.7, linewidth=0, label="density of predictions", zorder=0)
    ax.legend(loc="upper left", fontsize=10)
    return ax


@styled
def plot_noise_of_measures(
    run: Run, ax: Any = None, measures: tuple[str, ...] = ("ece 10", "ece 30", "ece 100", "smooth_ece")
) -> Any:
    """What measures say of a calibrated forecaster, against the number of predictions; both axes logarithmic.

    How to read it: there is nothing to find, so all that is drawn is a measure's own noise. A line is the mean over
    seeds, the small marks are the seeds.

    Args:
        run: of `lossbook.experiments.calibration_measures`.
        ax: matplotlib axes; None makes new ones.
        measures: columns of its history.

    Raises:
        ValueError: a measure that the run has not.
    """
    ax = axes_of(ax)
    rows = run.history[(run.history["part"] == "known") & (run.history["a"] == 1)]
    for i, name in enumerate(measures):
        check_choice("measures", name, [known for known in MEASURES if known in run.history])
        own = look(i, marker=True)
        mean = rows.groupby("step")[name].mean()
        ax.plot(mean.index, mean, label=MEASURES[name], **own)
        ax.scatter(rows["step"], rows[name], 14, own["color"], marker=own["marker"], alpha=0.5, linewidths=0)
    ax.set(xscale="log", yscale="log", xlabel="predictions", ylabel="error found where there is none")
    ax.yaxis.set_major_formatter("{x:g}")
    ax.legend(fontsize=10)
    return ax


@styled
def plot_known_error(run: Run, ax: Any = None, measures: tuple[str, ...] = ("ece 10", "ece 100", "smooth_ece")) -> Any:
    """What measures say of forecasters whose error is known: outcomes come true with probability f^a.

    How to read it: the dotted line is the known mean error. At a = 1 it is 0, and what a measure finds there is noise.

    Args:
        run: of `lossbook.experiments.calibration_measures`.
        ax: matplotlib axes; None makes new ones.
        measures: columns of its history.

    Raises:
        ValueError: a measure that the run has not.
    """
    ax = axes_of(ax)
    rows = run.history[(run.history["part"] == "known") & (run.history["step"] == run.config.size)]
    known = rows.groupby("a")["true"].first()
    ax.plot(known.index, known, label="known error", **DIAGONAL)
    for i, name in enumerate(measures):
        check_choice("measures", name, [known for known in MEASURES if known in run.history])
        mean = rows.groupby("a")[name].mean()
        ax.plot(mean.index, mean, label=MEASURES[name], **look(i, marker=True))
    ax.set(xlabel="exponent a", ylabel=f"error found in {run.config.size:,} predictions", ylim=(0, None))
    ax.legend(fontsize=10)
    return ax


@styled
def plot_order(
    run: Run,
    ax: Any = None,
    measures: tuple[str, ...] = ("ece 5", "ece 10", "ece 15", "ece 30", "ece 100", "smooth_ece"),
) -> Any:
    """What each measure says of seven networks, each with its fitted temperature; of the first seed.

    How to read it: a line is a network. Where two lines cross, the number of bins decides which of them looks better.

    Args:
        run: of `lossbook.experiments.calibration_measures`.
        ax: matplotlib axes; None makes new ones.
        measures: columns of its history, in this order from left to right.

    Raises:
        ValueError: a measure that the run has not.
    """
    for name in measures:
        check_choice("measures", name, [known for known in MEASURES if known in run.history])
    ax = axes_of(ax)
    rows = run.history[(run.history["part"] == "tempered") & (run.history["half"] == -1)]
    rows = rows[(rows["noise"] == min(run.config.noises)) & (rows["seed"] == run.config.first_seed)]
    for i, row in enumerate(rows.to_dict("records")):
        ax.plot(range(len(measures)), [row[name] for name in measures], label=row["setting"], **look(i, marker=True))
    ax.set_xticks(range(len(measures)), [MEASURES[name].removeprefix("ECE, ") for name in measures])
    ax.tick_params(axis="x", labelrotation=30)
    ax.set(xlabel="ECE in so many bins, and without", ylabel="error found", ylim=(0, None))
    ax.legend(fontsize=10, loc="upper left", bbox_to_anchor=(1.0, 1.0))
    return ax


@styled
def plot_expected_scores(
    reports: np.ndarray, scores: Mapping[str, np.ndarray], truth: float, ax: Any = None, highest: float = 2.0
) -> Any:
    """The expected loss of each report, less its least, where an event has a probability that is known.

    How to read it: where a curve touches 0 is what a forecaster who minimises it will say. Proper losses touch 0 at the
    dotted line, the truth, and there alone.

    Args:
        reports: probabilities that the forecaster may report.
        scores: name -> the expected loss of each report.
        truth: the event's probability.
        ax: matplotlib axes; None makes new ones.
        highest: where the picture ends; losses are scaled so that the one at the even report is 1 above its least.
    """
    ax = axes_of(ax)
    middle = int(np.abs(reports - 0.5).argmin())
    for i, (name, score) in enumerate(scores.items()):
        above = score - score.min()
        least = int(above.argmin())
        own = look(i, marker=True)
        ax.plot(reports, above / above[middle], label=name, markevery=[least], markersize=9 - i, zorder=3 + i, **own)
    ax.axvline(truth, **DIAGONAL)
    ax.set(
        xlabel="reported probability", ylabel="expected loss above its least (scaled)", ylim=(-0.06 * highest, highest)
    )
    ax.set_xlim(0, 1)
    ax.legend(fontsize=10)
    return ax


@styled
def plot_distance_to_truth(run: Run, ax: Any = None) -> Any:
    """How far the softmax is from known probabilities, against the number of examples: mean and seeds of each loss.

    How to read it: both axes are logarithmic. Filled lines are proper losses and fall; the others level off where the
    least of their expectation is.

    Args:
        run: of `lossbook.experiments.proper_scores`.
        ax: matplotlib axes; None makes new ones.
    """
    ax = axes_of(ax)
    for i, (name, rows) in enumerate(run.history.groupby("setting", sort=False)):
        own = look(i, marker=True) | {"linestyle": "-" if name in PROPER else "--"}
        mean = rows.groupby("step")["distance"].mean()
        ax.plot(mean.index, mean, label=name, **own)
        ax.scatter(rows["step"], rows["distance"], 14, own["color"], marker=own["marker"], alpha=0.5, linewidths=0)
    sizes = sorted(run.history["step"].unique())
    low, high = 0.9 * run.history["distance"].min(), 1.1 * run.history["distance"].max()
    ax.set(xscale="log", yscale="log", xlabel="training examples", ylabel="distance from the truth")
    ax.set_ylim(low, high)
    ax.set_xticks(sizes, labels=[f"{size:,}" for size in sizes])
    ax.minorticks_off()
    ax.set_yticks([level for level in (0.02, 0.03, 0.05, 0.1, 0.2, 0.3) if low <= level <= high])
    ax.yaxis.set_major_formatter("{x:g}")
    ax.legend(fontsize=10, loc="upper left", bbox_to_anchor=(1.0, 1.0))
    return ax


def _columns(found: ReliabilityBins) -> tuple[Tensor, Tensor, Tensor]:
    return found.accuracy, found.confidence, found.share


def _array(values: Tensor) -> np.ndarray:
    return values.cpu().numpy()
