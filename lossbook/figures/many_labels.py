"""Pictures of rare classes and of many labels: chapter 12, its first half."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from matplotlib.patches import Rectangle

from lossbook.catalog import find
from lossbook.checks import check_choice
from lossbook.experiments.long_tail import GROUPS
from lossbook.experiments.run import Run, Snapshot
from lossbook.figures.html import in_words
from lossbook.figures.style import BLUE, GREY, INK, ORANGE, axes_of, look, styled

NUMBERS = {"macro_f1": "macro-F1", "micro_f1": "micro-F1", "tail_recall": "recall, rarest third", "map": "mAP"}
BINS = 20
PULLS = ((0, 0), (2, 0), (4, 0), (4, 0.05), (4, 0.2))  # γ₋ and m


@styled
def plot_groups(run: Run, ax: Any = None, *, data: str = "fashion_mnist", settings: Sequence[str] = ()) -> Any:
    """Test accuracy of frequent, middling and rare classes: a line a setting, its mean over seeds, and the seeds.

    How to read it: a flat line treats all classes alike. What a method gains on the right it may lose on the left.

    Args:
        run: of `lossbook.experiments.long_tail`.
        ax: matplotlib axes; None makes new ones.
        data: one of the run's sets.
        settings: some of the run's; by default all.

    Raises:
        ValueError: data or a setting that the run has not.
    """
    ax = axes_of(ax)
    check_choice("data", data, list(run.history["data"].unique()))
    rows = run.history[run.history["data"] == data]
    known = list(rows["setting"].unique())
    for name in settings:
        check_choice("settings", name, known)
    for i, name in enumerate(settings or known):
        found = 100 * rows.loc[rows["setting"] == name, list(GROUPS)]
        own = look(i, marker=True)
        ax.plot(range(len(GROUPS)), found.mean(), label=name, **own)
        for place, group in enumerate(GROUPS):
            cloud = {"color": own["color"], "marker": own["marker"], "alpha": 0.5, "linewidths": 0}
            ax.scatter([place] * len(found), found[group], 14, **cloud)
    ax.set_xticks(range(len(GROUPS)), GROUPS)
    ax.set(xlabel="third of the classes, by frequency", ylabel="test accuracy (%)", ylim=(None, 100))
    ax.legend(fontsize=10)
    return ax


@styled
def plot_balance(run: Run, ax: Any = None) -> Any:
    """The mean confidence in positives against that in negatives: a mark a loss, filled where no label is missing.

    How to read it: on the grey line positives and negatives are believed alike. Below it a network would rather say no.

    Args:
        run: of `lossbook.experiments.many_labels`.
        ax: matplotlib axes; None makes new ones.
    """
    ax = axes_of(ax)
    last = run.history[run.history["step"] == run.history["step"].max()]
    ax.plot([0, 1], [0, 1], color=GREY, linewidth=1.2, zorder=1)
    for i, (name, rows) in enumerate(last.groupby("loss_name", sort=False)):
        own = look(i, marker=True)
        for missing, group in rows.groupby("missing"):
            fill = own["color"] if missing == 0 else "white"
            edge = {"edgecolors": own["color"], "linewidths": 1.4, "zorder": 3}
            label = name if missing == rows["missing"].min() else None
            x, y = group["p_negative"], group["p_positive"]
            ax.scatter(x.mean(), y.mean(), 75, fill, marker=own["marker"], label=label, **edge)
            ax.scatter(x, y, 9, own["color"], marker=own["marker"], alpha=0.5, linewidths=0)
    low = float(last[["p_negative", "p_positive"]].to_numpy().min()) - 0.05
    ax.set(xlabel="mean 1 − p of negatives", ylabel="mean p of positives", xlim=(low, 1), ylim=(low, 1))
    ax.legend(fontsize=9, loc="upper left")
    return ax


@styled
def plot_strength(run: Run, ax: Any = None, *, missing: float = 0.0) -> Any:
    """Scores against the strength C of the margins: a line a score, its mean over seeds, and the seeds.

    How to read it: C = 0 is binary cross-entropy. Recall of the rare rises with C; micro-F1, which the frequent labels
    decide, hardly moves where no label is missing.

    Args:
        run: of `lossbook.experiments.many_labels`.
        ax: matplotlib axes; None makes new ones.
        missing: share of missing labels, one of the run's.

    Raises:
        ValueError: a share that the run has not.
    """
    check_choice("missing", f"{missing:g}", [f"{known:g}" for known in sorted(run.history["missing"].unique())])
    ax = axes_of(ax)
    rows = run.history[(run.history["step"] == run.history["step"].max()) & (run.history["missing"] == missing)]
    of_margins = rows["loss_name"].str.startswith("LDAM") | (rows["loss_name"] == "BCE")
    rows = rows[of_margins].assign(strength=lambda found: found["loss_name"].map(_strength))
    for i, (number, label) in enumerate(NUMBERS.items()):
        own = look(i, marker=True)
        mean = rows.groupby("strength")[number].mean()
        ax.plot(mean.index, mean, label=label, **own)
        ax.scatter(rows["strength"], rows[number], 12, own["color"], marker=own["marker"], alpha=0.5, linewidths=0)
    ax.set_xticks(sorted(rows["strength"].unique()))
    ax.set(xlabel="strength C of the margins", ylabel="score on test pictures", ylim=(0, 1.05))
    ax.legend(fontsize=10, ncols=2, loc="upper center")
    return ax


def _strength(name: str) -> float:
    return 0.0 if name == "BCE" else float(name.rpartition(" ")[2])


@styled
def plot_negative_pull(ax: Any = None, *, settings: Sequence[tuple[float, float]] = PULLS) -> Any:
    """How hard asymmetric loss pushes a negative down, against the probability that it is given.

    How to read it: the straight line is binary cross-entropy, p itself. Left, what is easy is let go; with a shift m
    nothing is left of it below p = m. Right, with a shift, what looks like a positive is let go as well.

    Args:
        ax: matplotlib axes; None makes new ones.
        settings: pairs of γ₋ and m, a line each.
    """
    ax = axes_of(ax)
    record = find("asymmetric_loss")
    p = torch.linspace(0.001, 0.999, 999, dtype=torch.float64)
    for i, (gamma, shift) in enumerate(settings):
        pull = record.slope(torch.logit(p), torch.zeros_like(p), gamma_negative=float(gamma), shift=float(shift))
        ax.plot(p, pull, label=f"γ₋ = {gamma:g}, m = {shift:g}", **look(i))
    ax.set(xlabel="probability p given to a negative", ylabel="slope of its loss", xlim=(0, 1), ylim=(0, None))
    ax.legend(fontsize=10)
    return ax


@styled
def plot_attention(snapshot: Snapshot, ax: Any = None) -> Any:
    """Where the labels of one document look: a row a label, a column a word, the planted word in a frame.

    How to read it: darker is more of the label's attention, and a row adds up to 1.

    Args:
        snapshot: of `lossbook.experiments.label_attention`.
        ax: matplotlib axes; None makes new ones.
    """
    ax = axes_of(ax)
    attention, places = snapshot.arrays["attention"], snapshot.arrays["places"]
    image = ax.imshow(attention, aspect="auto", cmap="Greys", vmin=0, vmax=1, interpolation="nearest")
    for row, place in enumerate(places):
        ax.add_patch(Rectangle((place - 0.5, row - 0.5), 1, 1, fill=False, edgecolor=ORANGE, linewidth=2))
    ax.set_yticks(range(len(places)), [f"label {label}" for label in snapshot.arrays["labels"]])
    ax.set(xlabel="place of a word in the document", ylabel="label that is there")
    ax.grid(False)
    ax.figure.colorbar(image, ax=ax, label="attention")
    return ax


# A panel for TrainingExplorer: start(ax, run) -> artists, update(artists, snapshot) -> words.


def start_probabilities(ax: Any, run: Run) -> dict[str, Any]:
    """Draw once: how sure a network is of held-out positives and negatives."""
    edges = np.linspace(0, 1, BINS + 1)
    looks = {
        "negatives": {"color": BLUE, "alpha": 0.35, "fill": True},
        "positives": {"color": ORANGE, "linewidth": 2.4},
    }
    stairs = {name: ax.stairs(0 * edges[:-1], edges, label=name, **own) for name, own in looks.items()}
    half = ax.axvline(0.5, color=INK, linewidth=1, linestyle=":")
    ax.set(xlabel="probability given", ylabel="share in a bin", xlim=(0, 1), ylim=(0, 1))
    ax.legend(loc="upper center", fontsize=10)
    return stairs | {"half": half}


def update_probabilities(artists: dict[str, Any], snapshot: Snapshot) -> str:
    """Move the histograms to a snapshot of `lossbook.experiments.many_labels`."""
    words = []
    for name in ("positives", "negatives"):
        shares = snapshot.arrays[name]
        artists[name].set_data(shares)
        above = float(shares[BINS // 2 :].sum())
        words.append(f"{in_words(100 * above)} % of the {name} get more than a half")
    return ", ".join(words)


PROBABILITIES = (start_probabilities, update_probabilities)
"""Probabilities of held-out positives and negatives, a panel of `TrainingExplorer`."""
