"""Pictures of chapter 10's first experiments: one coefficient turned, the series cut off, sureness while training."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from lossbook.checks import check_choice
from lossbook.experiments import polynomial, reshaped
from lossbook.experiments.run import Run
from lossbook.figures.style import BLUE, GREY, INK, MARKERS, ORANGE, axes_of, look, new_figure, styled

METRICS = {
    "accuracy": "test accuracy",
    "gap": "mean confidence − accuracy",
    "error": "calibration error, 15 bins",
    "wrong": "root mean square of wrong scores",
}
TASKS = {
    "balanced": ("accuracy", "26 letters, balanced", "accuracy"),
    "imbalanced": ("average_precision", "one letter against 25", "average precision"),
}
BINS = 61


@styled
def plot_epsilon(run: Run, axes: Any = None) -> Any:
    """What PolyLoss gains over cross-entropy against ε, on the balanced task (left) and the imbalanced one (right).

    How to read it: the line is the mean over seeds, small marks are the seeds, each less cross-entropy's number of the
    same seed. Cross-entropy is ε = 0. Left the curve should be highest right of 0, right left of it.

    Args:
        run: of `lossbook.experiments.polynomial`.
        axes: two matplotlib axes; None makes new ones.

    Returns:
        The two axes.
    """
    axes = new_figure(2)[1] if axes is None else axes
    for ax, (task, (metric, title, label)), color, marker in zip(
        axes, TASKS.items(), (BLUE, ORANGE), MARKERS, strict=False
    ):
        found = polynomial.ends(run, task, metric)
        settings = {polynomial.name_of("ε", epsilon): epsilon for epsilon in sorted(run.config.epsilons)}
        gained = 100 * found[list(settings)].sub(found["ε=0"], axis=0)
        places = list(settings.values())
        ax.axhline(0, color=GREY, linewidth=1.5, zorder=1)
        ax.plot(places, gained.mean(), color=color, marker=marker)
        for _, row in gained.iterrows():
            ax.scatter(places, row, 16, color, marker=marker, alpha=0.55, linewidths=0)
        ax.set(title=title, xlabel="ε", ylabel=f"{label} gained (points)")
        ax.set_xticks(places)
    return axes


@styled
def plot_terms(run: Run, ax: Any = None) -> Any:
    """Test accuracy against how many terms of the series are kept; the level line is the whole of it.

    How to read it: a mark is a mean over seeds, small ones are seeds. The first term alone is mean absolute error.

    Args:
        run: of `lossbook.experiments.polynomial`.
        ax: matplotlib axes; None makes new ones.

    Returns:
        The axes.
    """
    ax = axes_of(ax)
    found = 100 * polynomial.ends(run, "balanced", "accuracy")
    settings = {polynomial.name_of("N", count): count for count in run.config.terms}
    kept, whole = found[list(settings)], found["ε=0"]
    places = list(settings.values())
    ax.axhspan(whole.min(), whole.max(), color=GREY, alpha=0.25, linewidth=0)
    ax.axhline(whole.mean(), label="all terms", **look(7))
    ax.plot(places, kept.mean(), label="the first N", **look(0, marker=True))
    for _, row in kept.iterrows():
        ax.scatter(places, row, 16, BLUE, marker=MARKERS[0], alpha=0.55, linewidths=0)
    ax.set(xscale="log", xlabel="terms kept, N", ylabel="test accuracy (%)")
    ax.set_xticks(places, labels=[str(place) for place in places])
    ax.minorticks_off()
    ax.legend()
    return ax


@styled
def plot_course(run: Run, ax: Any = None, *, metric: str = "gap", labels: str = "clean", legend: bool = True) -> Any:
    """A number along training, a line for each loss: the mean over seeds and their range.

    How to read it: a gap above 0 is a network that is surer than it is right. Watch where a line goes in the second
    half, when the accuracy on clean labels no longer rises.

    Args:
        run: of `lossbook.experiments.reshaped`.
        ax: matplotlib axes; None makes new ones.
        metric: "accuracy", "gap", "error" or "wrong".
        labels: "clean" or "noisy", of training.
        legend: leave out the second of two pictures' with False.

    Returns:
        The axes.

    Raises:
        ValueError: another metric, or other labels.
    """
    check_choice("metric", metric, METRICS)
    check_choice("labels", labels, reshaped.LABELS)
    ax = axes_of(ax)
    rows = run.history[(run.history.labels == labels) & (run.history.step > 0)]
    for i, (name, lines) in enumerate(rows.groupby("setting", sort=False)):
        own = look(i, marker=True)
        by_step = lines.groupby("step")[metric].agg(["mean", "min", "max"])
        ax.plot(by_step["mean"], label=name, **own)
        ax.fill_between(by_step.index, by_step["min"], by_step["max"], color=own["color"], alpha=0.12, linewidth=0)
    if metric == "gap":
        ax.axhline(0, color=INK, linewidth=1)
    title = "labels as they are" if labels == "clean" else f"{run.config.noise:.0%} of the labels wrong"
    ax.set(title=title, xlabel="step", ylabel=METRICS[metric])
    if legend:
        ax.legend(fontsize=10)
    return ax


@styled
def plot_wrong_scores(scores: Mapping[str, np.ndarray], ax: Any = None) -> Any:
    """Histograms of the scores of wrong classes, a line for each loss.

    How to read it: softmax sees differences of scores alone, so cross-entropy lets them lie anywhere. An anchor makes a
    narrow peak near 0.

    Args:
        scores: name -> scores of wrong classes, any shape.
        ax: matplotlib axes; None makes new ones.

    Returns:
        The axes.
    """
    ax = axes_of(ax)
    everything = np.concatenate([np.ravel(values) for values in scores.values()])
    low, high = (float(np.quantile(everything, part)) for part in (0.002, 0.998))
    edges = np.linspace(low, high, BINS)
    for i, (name, values) in enumerate(scores.items()):
        inside = np.clip(np.ravel(values), edges[0], edges[-1])
        shares = pd.Series(np.histogram(inside, edges)[0] / inside.size)
        ax.plot((edges[1:] + edges[:-1]) / 2, shares, label=name, **look(i))
    ax.set(xlabel="score of a wrong class", ylabel="share of scores in a bin", yscale="log")
    ax.legend()
    return ax
