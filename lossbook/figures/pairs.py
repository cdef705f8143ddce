"""Pictures of losses of pairs: the towers, the offsets and the many labels of chapter 03."""

from typing import Any

import numpy as np

from lossbook.checks import check_choice
from lossbook.experiments.many_positives import FEW_AND_MANY
from lossbook.experiments.run import Run, Snapshot
from lossbook.figures.dots import plot_dots
from lossbook.figures.html import in_words
from lossbook.figures.style import BLUE, DASHES, GREEN, GREY, INK, MARKERS, ORANGE, PURPLE, axes_of, new_figure, styled

TOWERS = {
    "InfoNCE": BLUE,
    "InfoNCE, τ = 0.2": GREEN,
    "SigLIP": ORANGE,
    "SigLIP, b = 0": PURPLE,
}
NUMBERS = {
    "auc": "AUC, pooled over queries",
    "recall": "R@1: own document first",
    "reciprocal_rank": "mean reciprocal rank",
    "f1": "best F1 of one threshold",
}
LABEL_LOSSES = {"binary": GREY, "softmax": BLUE, "decoupled softmax": ORANGE}
HATCHES = {"binary": "", "softmax": "//", "decoupled softmax": ".."}
MEBIBYTE = 2**20
BINS = 60


@styled
def plot_missed(run: Run, ax: Any = None, *, alike: int = 1) -> Any:
    """Held-out images whose own caption is not the nearest, against the batch size: means over seeds, and the seeds.

    How to read it: both axes are logarithmic, low is good, and none missed is drawn as half an image. On the left the
    batch holds few wrong captions to learn from. Two lines of one loss differ in where its scale or bias began.

    Args:
        run: of `lossbook.experiments.image_text`.
        ax: matplotlib axes; None makes new ones.
        alike: images a caption, one of the run's.

    Raises:
        ValueError: a number of images a caption that the run has not.
    """
    rows = run.history[run.history["part"] == "training"]
    check_choice("alike", f"{alike:g}", [f"{known:g}" for known in sorted(rows["alike"].unique())])
    rows = rows[(rows["alike"] == alike) & (rows["step"] == rows["step"].max())]
    ax = axes_of(ax)
    for i, (name, lines) in enumerate(rows.groupby("loss_name", sort=False)):
        look = {"color": TOWERS[name], "marker": MARKERS[i % len(MARKERS)]}
        missed = (1 - lines.set_index("batch")["recall"]).clip(lower=0.5 / run.config.held_out)
        mean = missed.groupby(level=0).mean()
        ax.plot(mean.index, 100 * mean, linestyle=DASHES[i % len(DASHES)], label=name, **look)
        ax.scatter(missed.index, 100 * missed, s=16, alpha=0.6, linewidths=0, **look)
    sizes = sorted(rows["batch"].unique())
    ax.set_xscale("log", base=2)
    ax.set_xticks(sizes, labels=[str(int(size)) for size in sizes])
    ax.minorticks_off()
    ax.set(yscale="log", xlabel="pairs in a batch", ylabel="held-out images missed (%)")
    ax.yaxis.set_major_formatter("{x:g}")
    ax.legend(loc="center right", fontsize=10, bbox_to_anchor=(1.0, 0.66))
    return ax


@styled
def plot_memory(run: Run, ax: Any = None) -> Any:
    """The most bytes that one loss and its gradients hold, against the number of pairs; both axes logarithmic.

    How to read it: a line that rises four times when n doubles holds all n² scores; one that flattens out, a chunk.

    Args:
        run: of `lossbook.experiments.image_text`.
        ax: matplotlib axes; None makes new ones.
    """
    ax = axes_of(ax)
    rows = run.history[run.history["part"] == "memory"]
    dashes = {"one chunk": "-", "many chunks": "--"}
    for (name, way), line in rows.groupby(["loss_name", "way"], sort=False):
        marker = "o" if name == "SigLIP" else "s"
        held = line["peak_bytes"] / MEBIBYTE
        ax.plot(line["batch"], held, color=TOWERS[name], linestyle=dashes[way], marker=marker, label=f"{name}, {way}")
    ax.set_xscale("log", base=2)
    sizes = sorted(rows["batch"].unique())
    ax.set_xticks(sizes, labels=[f"{int(size):,}" for size in sizes])
    ax.minorticks_off()
    ax.set(yscale="log", xlabel="pairs in a batch", ylabel="most memory held (MiB)")
    ax.yaxis.set_major_formatter("{x:g}")
    ax.legend(fontsize=10)
    return ax


@styled
def plot_ranking(run: Run, axes: Any = None, *, numbers: tuple[str, ...] = ("auc", "f1", "recall")) -> Any:
    """Numbers of the last step, a picture each: a mark per seed and setting, a bar at the mean.

    How to read it: R@1 asks within a query; AUC and one threshold ask across queries. Only the last two see offsets.

    Args:
        run: of `lossbook.experiments.retrieval_offsets`.
        axes: as many matplotlib axes as numbers; None makes new ones.
        numbers: among "auc", "recall", "reciprocal_rank", "f1".

    Raises:
        ValueError: another number.
    """
    for name in numbers:
        check_choice("numbers", name, NUMBERS)
    axes = np.atleast_1d(new_figure(len(numbers), height=3.2, sharey=True)[1] if axes is None else axes)
    last = run.history[run.history["step"] == run.history["step"].max()]
    colours = {setting: ORANGE if setting == "Mann-Whitney" else BLUE for setting in last["setting"]}
    for ax, number in zip(axes, numbers, strict=True):
        plot_dots(ax, dict(iter(last.groupby("setting", sort=False)[number])), colours, markers=MARKERS, size=36)
        ax.set_xlabel(NUMBERS[number])
        ax.margins(x=0.15)
        ax.locator_params(axis="x", nbins=4)
    return axes


@styled
def plot_precision(run: Run, ax: Any = None) -> Any:
    """Precision of the highest score by how many labels are right: a bar a loss, marks for the seeds.

    How to read it: with one right label the losses are the same but for noise; the more there are, the more a softmax
    over all of them has to share out.

    Args:
        run: of `lossbook.experiments.many_positives`.
        ax: matplotlib axes; None makes new ones.
    """
    ax = axes_of(ax)
    last = run.history[run.history["step"] == run.history["step"].max()]
    names = list(dict.fromkeys(last["setting"]))
    width = 0.8 / len(names)
    for i, name in enumerate(names):
        rows = last[last["setting"] == name]
        for group, words in enumerate(FEW_AND_MANY):
            place = group + (i - (len(names) - 1) / 2) * width
            found = rows[f"precision_1 {words}"]
            label = name if group == 0 else None
            fill: dict[str, Any] = {"color": LABEL_LOSSES[name], "hatch": HATCHES[name], "edgecolor": "white"}
            ax.bar(place, found.mean(), 0.9 * width, alpha=0.75, label=label, **fill)
            ax.scatter(np.full(len(found), place), found, color=INK, marker=MARKERS[i], s=18, zorder=3)
    ax.set_xticks(range(len(FEW_AND_MANY)), list(FEW_AND_MANY))
    ax.set(xlabel="right labels of a query", ylabel="precision of the highest score", ylim=(0, 1.05))
    ax.legend(fontsize=10)
    return ax


@styled
def plot_pushed_down(run: Run, ax: Any = None) -> Any:
    """The share of right labels that the gradient pushes down, against the step: mean and range over seeds.

    How to read it: only queries with several right labels are counted. Above 0, a loss works against its own labels.

    Args:
        run: of `lossbook.experiments.many_positives`.
        ax: matplotlib axes; None makes new ones.
    """
    ax = axes_of(ax)
    for i, (name, rows) in enumerate(run.history.groupby("setting", sort=False)):
        by_step = 100 * rows.groupby("step")["pushed_down"].agg(["mean", "min", "max"])
        color = LABEL_LOSSES[name]
        ax.plot(by_step["mean"], color=color, linestyle=DASHES[i], marker=MARKERS[i], label=name, clip_on=False)
        ax.fill_between(by_step.index, by_step["min"], by_step["max"], color=color, alpha=0.15, linewidth=0)
    ax.set(xlabel="step", ylabel="right labels pushed down (%)", ylim=(0, None))
    ax.legend(fontsize=10)
    return ax


# A panel for TrainingExplorer: start(ax, run) -> artists, update(artists, snapshot) -> words.


def start_scores(ax: Any, run: Run) -> dict[str, Any]:
    """Draw once: right and wrong scores of all queries, and the threshold with the best F1."""
    everything = np.concatenate([part.ravel() for shot in run.snapshots for part in shot.arrays.values()])
    edges = np.linspace(np.quantile(everything, 0.001), everything.max(), BINS + 1)
    highest = max(_shares(part, edges).max() for shot in run.snapshots for part in shot.arrays.values())
    looks = {"wrong": {"color": BLUE, "alpha": 0.3, "fill": True}, "right": {"color": ORANGE, "linewidth": 2.4}}
    stairs = {name: ax.stairs(0 * edges[:-1], edges, label=f"{name} documents", **look) for name, look in looks.items()}
    ax.set(xlabel="score", ylabel="share of scores in a bin", ylim=(0, 1.05 * highest))
    ax.legend(loc="upper right", fontsize=10)
    return stairs | {"edges": edges}


def update_scores(artists: dict[str, Any], snapshot: Snapshot) -> str:
    """Move the histograms to a snapshot of `lossbook.experiments.retrieval_offsets`."""
    words = []
    for name in ("right", "wrong"):
        scores = snapshot.arrays[name]
        artists[name].set_data(_shares(scores, artists["edges"]))
        low, high = (in_words(float(np.quantile(scores, part))) for part in (0.1, 0.9))
        words.append(f"{name} scores: eight tenths between {low} and {high}")
    return "; ".join(words)


def _shares(scores: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """Of the scores, the share in each bin; those outside count for the bin at the end."""
    return np.histogram(np.clip(scores, edges[0], edges[-1]), edges)[0] / len(scores)


SCORES_PANEL = (start_scores, update_scores)
"""Right and wrong scores around the best threshold, a panel of `TrainingExplorer`."""
