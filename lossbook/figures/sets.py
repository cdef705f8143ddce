"""Pictures of losses made of a metric, of Dice losses, and of soft top-k: chapter 12."""

from typing import Any

import numpy as np

from lossbook.checks import check_choice
from lossbook.experiments._rare import DATA, METRICS
from lossbook.experiments.run import Run
from lossbook.figures.dots import plot_dots
from lossbook.figures.style import (
    BLUE,
    DASHES,
    GREY,
    INK,
    MARKERS,
    ORANGE,
    PALETTE,
    PURPLE,
    axes_of,
    in_order,
    new_figure,
    styled,
)

NUMBERS = {
    "precision_1": "precision at 1 (%)",
    "precision_5": "precision at 5 (%)",
    "recall_20": "recall at 20 (%)",
}


@styled
def plot_soft_decisions(curves: dict[float, tuple[np.ndarray, np.ndarray]], p: np.ndarray, axes: Any = None) -> Any:
    """The soft decision of AnyLoss against the probability, and its slope; a line a sharpness.

    How to read it: left, the nearer to a step, the nearer to the metric itself. Right, where there is a slope at
    all: only examples in that band are learned from.

    Args:
        curves: sharpness -> decisions and slopes, at the points p.
        p: probabilities.
        axes: two matplotlib axes; None makes new ones.
    """
    axes = new_figure(2, height=3.6)[1] if axes is None else axes
    for i, (sharpness, values) in enumerate(curves.items()):
        line: dict[str, Any] = {
            "color": in_order(len(curves))[i],
            "linestyle": DASHES[i],
            "label": f"L = {sharpness:g}",
        }
        for ax, numbers in zip(axes, values, strict=True):
            ax.plot(p, numbers, **line)
    axes[0].set(xlabel="probability p", ylabel="soft decision a")
    axes[1].set(xlabel="probability p", ylabel="slope of a by p", yscale="log", ylim=(1e-6, 100))
    axes[0].legend(fontsize=10)
    return axes


@styled
def plot_metrics(run: Run, axes: Any = None, *, data: str = "synthetic") -> Any:
    """Four metrics of seven losses on one data set, a picture a metric: a mark a seed, a bar at their mean.

    How to read it: the loss made of the picture's metric is drawn in orange.

    Args:
        run: of `lossbook.experiments.metric_losses`.
        axes: four matplotlib axes in two rows; None makes new ones.
        data: one of the run's data sets.

    Raises:
        ValueError: another data set.
    """
    check_choice("data", data, DATA)
    axes = new_figure(2, 2, height=6.4, sharey=True)[1] if axes is None else axes
    rows = run.history[(run.history.part == "metrics") & (run.history.data == data)]
    for ax, metric in zip(np.ravel(axes), METRICS, strict=True):
        colours = {name: ORANGE if name == f"AnyLoss {metric}" else BLUE for name in rows.setting}
        plot_dots(ax, dict(iter(rows.groupby("setting", sort=False)[metric])), colours, markers=MARKERS)
        ax.set_xlabel(f"{metric} of test data")
        ax.locator_params(axis="x", nbins=5)
    return axes


@styled
def plot_slopes(curves: dict[str, tuple[np.ndarray, np.ndarray]], p: np.ndarray, axes: Any = None) -> Any:
    """The slope of the loss of one example by its probability: left of a positive, right of a negative.

    How to read it: a positive should be pulled up, so left all should be below 0; right all above 0. Where a line
    crosses 0 it pushes the wrong way.

    Args:
        curves: words -> slopes of a positive and of a negative, at the points p.
        p: probabilities.
        axes: two matplotlib axes; None makes new ones.
    """
    axes = new_figure(2, height=3.6)[1] if axes is None else axes
    for i, (words, values) in enumerate(curves.items()):
        for ax, numbers in zip(axes, values, strict=True):
            ax.plot(p, numbers, color=PALETTE[i], linestyle=DASHES[i], label=words)
    for ax, kind in zip(axes, ("positive", "negative"), strict=True):
        ax.axhline(0, color=INK, linewidth=1)
        ax.set(xlabel=f"probability p of a {kind}", ylabel="slope of its loss by p")
    axes[0].legend(fontsize=10)
    return axes


@styled
def plot_imbalance(run: Run, ax: Any = None) -> Any:
    """F1 at threshold 1/2 of the linear model against the imbalance: means over seeds, and the seeds.

    How to read it: to the right there are fewer positives. F1 is 0 where none is called so, or none of them rightly.

    Args:
        run: of `lossbook.experiments.metric_losses`.
        ax: matplotlib axes; None makes new ones.
    """
    ax = axes_of(ax)
    rows = run.history[(run.history.part == "imbalance") & (run.history.data == "linear")]
    for i, (name, found) in enumerate(rows.groupby("setting", sort=False)):
        mean = found.groupby("imbalance").F1.mean()
        ax.plot(mean.index, mean, color=PALETTE[i], linestyle=DASHES[i], marker=MARKERS[i], label=name)
        ax.scatter(found.imbalance, found.F1, color=PALETTE[i], marker=MARKERS[i], s=14, alpha=0.5, linewidths=0)
    ratios = sorted(rows.imbalance.unique())
    ax.set_xscale("log")
    ax.set_xticks(ratios, [f"{ratio:g}" for ratio in ratios])
    ax.minorticks_off()
    ax.set(xlabel="consonants for one vowel", ylabel="F1 at threshold 1/2")
    ax.legend(fontsize=10)
    return ax


@styled
def plot_activity(run: Run, ax: Any = None) -> Any:
    """F1 at threshold 1/2 against the share of cells that are on: means over seeds, and the seeds.

    How to read it: each loss at its own learning rate in whole colours; faint, both at one shared rate.

    Args:
        run: of `lossbook.experiments.sound_events`.
        ax: matplotlib axes; None makes new ones.
    """
    ax = axes_of(ax)
    colours = {"cross-entropy": BLUE, "Dice": ORANGE, "both": PURPLE}
    for i, (name, found) in enumerate(run.history.groupby("setting", sort=False)):
        look: dict[str, Any] = {"color": colours.get(name.partition(",")[0], GREY), "marker": MARKERS[i]}
        mean = found.groupby("activity").f1.mean()
        ax.plot(100 * mean.index, mean, linestyle=DASHES[i], alpha=0.5 if "," in name else 1, label=name, **look)
        ax.scatter(100 * found.activity, found.f1, s=14, alpha=0.5, linewidths=0, **look)
    shares = [100 * share for share in sorted(run.history.activity.unique())]
    ax.set_xscale("log")
    ax.set_xticks(shares, [f"{share:g}" for share in shares])
    ax.minorticks_off()
    ax.set(xlabel="cells that are on (%)", ylabel="F1 at threshold 1/2")
    ax.legend(fontsize=10)
    return ax


@styled
def plot_cells(run: Run, axes: Any = None, *, activity: float = 0.02) -> Any:
    """The first test clip: which cells are on, and how likely each loss says they are.

    How to read it: a row a sound, a column a frame; dark is on, or likely.

    Args:
        run: of `lossbook.experiments.sound_events`, with snapshots.
        axes: three matplotlib axes; None makes new ones.
        activity: one of the run's.

    Raises:
        ValueError: a rate of activity that the run has not.
    """
    check_choice("activity", f"{activity:g}", [f"{known:g}" for known in run.config.activities])
    axes = new_figure(1, 3, width=10.0, height=5.2, sharex=True)[1] if axes is None else axes
    kept = {shot.setting: shot.arrays for shot in run.snapshots}
    pictures = {"on": kept[f"Dice activity={activity:g}"]["active"]}
    pictures |= {name: kept[f"{name} activity={activity:g}"]["probability"] for name in ("cross-entropy", "Dice")}
    for ax, (name, cells) in zip(axes, pictures.items(), strict=True):
        ax.pcolormesh(cells.T, cmap="Greys", vmin=0, vmax=1)
        ax.set(title=name if name == "on" else f"{name}: probability", ylabel="sound")
        ax.grid(False)
    axes[-1].set_xlabel("frame")
    return axes


@styled
def plot_retrieval(run: Run, axes: Any = None) -> Any:
    """Precision and recall of the last step, a picture each: a mark a seed and loss, a bar at their mean.

    How to read it: further right is better; the losses that let right labels stand side by side are orange.

    Args:
        run: of `lossbook.experiments.top_k`.
        axes: three matplotlib axes; None makes new ones.
    """
    axes = new_figure(len(NUMBERS), width=10.0, height=3.2, sharey=True)[1] if axes is None else axes
    last = run.history[run.history.step == run.history.step.max()]
    colours = {name: BLUE if name in ("binary", "softmax") else ORANGE for name in last.setting}
    for ax, (number, words) in zip(axes, NUMBERS.items(), strict=True):
        found = {name: 100 * values for name, values in last.groupby("setting", sort=False)[number]}
        plot_dots(ax, found, colours, markers=MARKERS)
        ax.set_xlabel(words)
        ax.margins(x=0.15)
        ax.locator_params(axis="x", nbins=4)
    return axes
