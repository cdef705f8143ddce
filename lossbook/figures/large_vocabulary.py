"""Pictures of losses over many classes: what they cost, how a language model learns, what the filter skips."""

from typing import Any

import numpy as np

from lossbook.checks import check_choice
from lossbook.experiments.run import Run, Snapshot
from lossbook.figures.style import BLUE, DASHES, GREEN, GREY, INK, MARKERS, ORANGE, axes_of, look, styled

COSTS = {"bytes": ("MiB beyond inputs and gradients", 2.0**20), "seconds": ("seconds", 1.0)}
ORDERS = {"mean logit": ORANGE, "frequency": GREEN, "dictionary": BLUE}
LABELS = {"mean logit": "by mean logit", "frequency": "by frequency", "dictionary": "as in the dictionary"}


@styled
def plot_cost(run: Run, ax: Any = None, *, cost: str = "bytes", along: str = "classes", legend: bool = True) -> Any:
    """What each method costs against the number of classes or rows, at the largest of the other; both axes logarithmic.

    How to read it: a line that climbs one decade a decade grows in proportion; a level one does not grow at all.

    Args:
        run: of `lossbook.experiments.class_count`.
        ax: matplotlib axes; None makes new ones.
        cost: "bytes" or "seconds".
        along: "classes" or "rows".
        legend: whether to draw one, above the lines.

    Raises:
        ValueError: another cost or number.
    """
    check_choice("cost", cost, COSTS)
    check_choice("along", along, ("classes", "rows"))
    ax = axes_of(ax)
    other = "rows" if along == "classes" else "classes"
    most = run.history[other].max()
    label, unit = COSTS[cost]
    for i, (method, rows) in enumerate(run.history[run.history[other] == most].groupby("setting", sort=False)):
        ax.plot(rows[along], rows[cost] / unit, label=method, **look(i, marker=True))
    ax.set(xscale="log", yscale="log", xlabel=along, ylabel=label, title=f"at {most:,} {other}")
    ticks = sorted(run.history[along].unique())
    ax.set_xticks(ticks, labels=[f"{tick:,}" for tick in ticks])
    ax.minorticks_off()
    low, high = ax.get_ylim()
    ax.set_ylim(low, high * (high / low) ** (0.12 * run.history["setting"].nunique()))  # room for the legend
    if legend:
        ax.legend(loc="upper left")
    return ax


@styled
def plot_perplexity(run: Run, ax: Any = None) -> Any:
    """Perplexity of held-out words against training steps, a line for each way, and what frequencies alone give.

    How to read it: the lines lie on each other; that is the point. Below the dotted line the model uses the context.

    Args:
        run: of `lossbook.experiments.language_model`.
        ax: matplotlib axes; None makes new ones.
    """
    ax = axes_of(ax)
    rows = run.history.dropna(subset=["loss"])
    for i, (way, lines) in enumerate(rows.groupby("setting", sort=False)):
        mean = np.exp(lines.groupby("step")["loss"].mean())
        size = 9 - 3 * i  # what lies underneath shows at the rim
        ax.plot(mean, markersize=size, label=way, **look(i, marker=True))
    ax.axhline(np.exp(rows["unigram"].mean()), color=INK, linestyle=":", label="frequencies alone")
    ax.set(xlabel="step", ylabel="perplexity on held-out words", ylim=(0, None), title="The same curve")
    ax.legend()
    return ax


@styled
def plot_skipped(run: Run, ax: Any = None, *, quantity: str = "skipped", legend: bool = True) -> Any:
    """What the filter skips or gets wrong against training steps, a line for each order of the classes.

    How to read it: many blocks skipped is much time saved, on hardware that can skip them. The error is its price.

    Args:
        run: of `lossbook.experiments.language_model`.
        ax: matplotlib axes; None makes new ones.
        quantity: "skipped" (share of blocks) or "error" (of the gradient by the features).
        legend: whether to draw one.

    Raises:
        ValueError: another quantity.
    """
    titles = {"skipped": ("share of blocks", "Blocks skipped"), "error": ("relative error", "Gradient by the features")}
    check_choice("quantity", quantity, titles)
    ax = axes_of(ax)
    rows = run.history[run.history["part"] == "filter"]
    for i, (order, color) in enumerate(ORDERS.items()):
        mean = rows[rows["setting"] == order].groupby("step")[quantity].mean()
        ax.plot(mean, color=color, linestyle=DASHES[i], marker=MARKERS[i], label=LABELS[order])
    label, title = titles[quantity]
    ax.set(xlabel="step", ylabel=label, title=title, ylim=(0, 1.02 if quantity == "skipped" else None))
    if legend:
        ax.legend(title="classes in blocks")
    return ax


@styled
def plot_lost(run: Run, ax: Any = None) -> Any:
    """What the filter skips, loses and gets wrong for each kind of gradient: means over seeds.

    How to read it: a plain bar without a striped one is a bargain. Stripes are the share of the pushes down that is
    gone; dots, how far the gradient by the features is off.

    Args:
        run: of `lossbook.experiments.gradient_filter`.
        ax: matplotlib axes; None makes new ones.
    """
    ax = axes_of(ax)
    names = list(dict.fromkeys(run.history["setting"]))
    means = run.history.groupby("setting")[["skipped", "lost", "error"]].mean().loc[names]
    looks = (
        ("skipped", "blocks skipped", BLUE, ""),
        ("lost", "mass lost", ORANGE, "//"),
        ("error", "error", GREEN, ".."),
    )
    places = np.arange(len(names))
    for i, (quantity, label, color, hatch) in enumerate(looks):
        ax.barh(
            places + 0.27 * (i - 1), means[quantity], 0.25, color=color, hatch=hatch, edgecolor="white", label=label
        )
    ax.set_yticks(places, names)
    ax.set(ylim=(len(names) - 0.5, -0.5), xlim=(0, 1.3), xlabel="share, or relative error")  # room for the legend
    ax.set_xticks(np.linspace(0, 1, 6))
    ax.legend(loc="upper right")
    return ax


def start_sorted(ax: Any, run: Run) -> dict[str, Any]:
    """Draw once: the softmax of a word, sorted, on two logarithmic axes, and the filter's bound."""
    first = run.snapshots[0].arrays["sorted"]
    ranks = np.arange(1, len(first) + 1)
    (line,) = ax.plot(ranks, first, color=BLUE, animated=True)
    bound = run.config.epsilon
    ax.axhline(bound, color=ORANGE, linestyle="--", label=f"ε = {bound:.2g}")
    ax.axhline(1 / len(first), color=GREY, linestyle=":", label="one in all classes")
    lowest = min(float(snapshot.arrays["sorted"][-1]) for snapshot in run.snapshots)
    ax.set(xscale="log", yscale="log", xlabel="rank of the class", ylabel="probability, mean over words")
    ax.set_ylim(max(lowest, 1e-12) / 2, 1)
    ax.legend()
    return {"line": line, "bound": bound}


def update_sorted(artists: dict[str, Any], snapshot: Snapshot) -> str:
    """Move the line to a snapshot of `lossbook.experiments.language_model`."""
    values = snapshot.arrays["sorted"]
    artists["line"].set_ydata(values)
    above, low = int((values >= artists["bound"]).sum()), float(values[values < artists["bound"]].sum())
    return f"{above} of {len(values)} ranks lie above ε on average; below it lies {low:.1%} of the probability"


SORTED_PANEL = (start_sorted, update_sorted)
"""The sorted softmax of a word, a panel of `TrainingExplorer`."""
