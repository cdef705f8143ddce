"""Pictures of gradient descent with huge steps (`lossbook.experiments.perceptron`)."""

from typing import Any, NamedTuple

import numpy as np

from lossbook.checks import check_choice
from lossbook.experiments.perceptron import BECOMES, METHODS, WORST_CASE, summary
from lossbook.experiments.run import Run, Snapshot
from lossbook.figures.html import in_words
from lossbook.figures.style import BLUE, DASHES, INK, ORANGE, axes_of, look, styled

LABELS = {
    "accuracy": "share of points on the right side",
    "loss": "mean logistic loss (nats)",
    "smallest_margin": "signed distance of the worst point",
}
BINS = 48


@styled
def plot_steps(run: Run, ax: Any = None, *, metric: str = "accuracy", method: str = "LR+GD", seed: int = 0) -> Any:
    """Accuracy, loss or worst margin per step: a line per step size, and the perceptron that they approach, black.

    How to read it: a line ends in a dot at the step that separates the points. Left is fast. Larger steps end further
    left though their loss, in the same run, stands higher.

    Args:
        run: of `lossbook.experiments.perceptron`.
        ax: matplotlib axes; None makes new ones.
        metric: "accuracy", "loss" or "smallest_margin".
        method: "LR+GD" or "Normalized LR+GD".
        seed: which draw of the points.

    Raises:
        ValueError: another metric or method.
    """
    check_choice("metric", metric, LABELS)
    check_choice("method", method, METHODS)
    ax = axes_of(ax)
    rows = run.history[(run.history["data"] != WORST_CASE) & (run.history["seed"] == seed) & (run.history["step"] > 0)]
    sizes = rows[rows["method"] == method].groupby("step_size")
    for i, (size, line) in enumerate(sizes):
        ax.plot(line["step"], line[metric], label=f"step size {size:g}", **look(i))
        _end(ax, line, metric, look(i)["color"])
    if metric != "loss":  # its loss depends on a length that means nothing to a perceptron
        line = rows[rows["method"] == BECOMES[method]]
        ax.plot(line["step"], line[metric], color=INK, label=BECOMES[method], zorder=3)
        _end(ax, line, metric, INK)
    ax.set(xscale="log", xlabel="step", ylabel=LABELS[metric], title=method)
    if metric == "loss":
        ax.set_yscale("log")
    else:  # room for the legend
        low, high = ax.get_ylim()
        ax.set_ylim(low - 0.45 * (high - low), high)
    ax.legend(loc="upper right" if metric == "loss" else "lower right", ncols=1 if metric == "loss" else 2, fontsize=9)
    return ax


def _end(ax: Any, line: Any, metric: str, colour: str) -> None:
    last = line.iloc[-1]
    if last["smallest_margin"] > 0:
        ax.plot(last["step"], last[metric], "o", color=colour, markersize=8, zorder=4)


@styled
def plot_separation(run: Run, ax: Any = None) -> Any:
    """Steps until the real points are separated, against the step size: a mark per seed, a line through their medians.

    How to read it: the line of LR+GD falls with the step size until it meets the dashed level of the batch perceptron,
    and stays there. Open triangles at the top: not separated within the steps allowed.

    Args:
        run: of `lossbook.experiments.perceptron`.
        ax: matplotlib axes; None makes new ones.
    """
    ax = axes_of(ax)
    found = summary(run)
    found = found[found["data"] != WORST_CASE]
    limit = run.config.steps
    looks = ((BLUE, "o", "--"), (ORANGE, "s", ":"))
    for (colour, marker, dash), (method, perceptron) in zip(looks, BECOMES.items(), strict=True):
        rows = found[found["method"] == method]
        there, missing = rows[rows["steps"].notna()], rows[rows["steps"].isna()]
        middle = there.groupby("step_size")["steps"].median()
        ax.plot(middle.index, middle, color=colour, marker=marker, label=method)
        ax.plot(there["step_size"], there["steps"], marker, color=colour, markersize=6, alpha=0.6)
        ax.plot(missing["step_size"], np.full(len(missing), limit), "^", color=colour, markersize=9, fillstyle="none")
        level = found[found["method"] == perceptron]["steps"].median()
        ax.axhline(level, color=colour, linestyle=dash, linewidth=1.6, label=perceptron)
    ax.plot([], [], "^", color=INK, markersize=9, fillstyle="none", label=f"not within {limit:,} steps")
    ax.set(xscale="log", yscale="log", xlabel="step size γ", ylabel="steps to separate")
    ax.set_ylim(top=300 * limit)  # room for the legend
    ax.legend(loc="upper right", fontsize=9)
    return ax


@styled
def plot_worst_case(run: Run, ax: Any = None) -> Any:
    """Steps to separate the worst-case set against its number of points, both logarithmic.

    How to read it: a line that climbs one decade per decade needs steps in proportion to the points: LR+GD at every
    step size, the batch perceptron too. The normalised methods stay flat.

    Args:
        run: of `lossbook.experiments.perceptron`.
        ax: matplotlib axes; None makes new ones.
    """
    ax = axes_of(ax)
    found = summary(run)
    found = found[found["data"] == WORST_CASE]
    looks = dict(zip([*METHODS, *BECOMES.values()], 2 * ((BLUE, "o"), (ORANGE, "s")), strict=True))
    for (method, size), rows in found.groupby(["method", "step_size"], dropna=False, sort=False):
        perceptron = np.isnan(size)
        dash = "--" if perceptron else DASHES[0] if size == max(run.config.worst_case_step_sizes) else DASHES[2]
        label = method if perceptron else f"{method}, γ = {size:g}"
        color, marker = looks[method]
        mark = {"marker": marker, "fillstyle": "none" if perceptron else "full"}
        ax.plot(rows["points"], rows["steps"], color=color, linestyle=dash, label=label, **mark)
    ax.set(xscale="log", yscale="log", xlabel="points n", ylabel="steps to separate")
    ax.set_ylim(top=300 * found["steps"].max())  # room for the legend
    ax.legend(loc="upper left", fontsize=9)
    return ax


class Margins(NamedTuple):
    """The artists of the margins panel."""

    bars: Any
    worst: Any
    edges: np.ndarray


@styled
def start_margins(ax: Any, run: Run) -> Margins:
    """The empty histogram of signed distances, on axes that hold every snapshot of the run."""
    everything = np.concatenate([snapshot.arrays["distances"] for snapshot in run.snapshots])
    width = (everything.max() - everything.min()) / BINS
    edges = width * np.arange(np.floor(everything.min() / width), np.ceil(everything.max() / width) + 1)  # 0 is an edge
    tallest = max(
        int(np.histogram(s.arrays["distances"], edges)[0].max()) for s in run.snapshots if s.arrays["distances"].any()
    )
    bars = ax.stairs(np.zeros(len(edges) - 1), edges, fill=True, color=BLUE, alpha=0.75)
    mark: dict[str, Any] = {"color": ORANGE, "markeredgecolor": INK, "markersize": 11, "clip_on": False}
    (worst,) = ax.plot([0], [0], "v", label="worst point", **mark)
    ax.axvline(0, color=INK, linewidth=1.6)
    ax.set(
        xlim=(edges[0], edges[-1]), ylim=(0, 1.08 * tallest), xlabel="signed distance to the boundary", ylabel="points"
    )
    ax.legend()
    return Margins(bars, worst, edges)


def update_margins(artists: Margins, snapshot: Snapshot) -> str:
    """Move the histogram to a snapshot; say how many points are on the wrong side."""
    distances = snapshot.arrays["distances"]
    if not distances.any():  # θ = 0 has no boundary to be distant from
        artists.bars.set_data(np.zeros(len(artists.edges) - 1))
        artists.worst.set_data([0], [0])
        return "all weights are 0: there is no boundary yet"
    artists.bars.set_data(np.histogram(distances, artists.edges)[0])
    artists.worst.set_data([distances.min()], [0])
    wrong = int((distances <= 0).sum())
    where = f"the worst at signed distance {in_words(float(distances.min()))}"
    if wrong == 0:
        return f"all {len(distances)} points are right of the line at 0: separated, {where}"
    return f"{wrong} of {len(distances)} points lie left of the line at 0, {where}"


MARGINS_PANEL = (start_margins, update_margins)
"""The signed distances of all points, a panel of `TrainingExplorer`."""
