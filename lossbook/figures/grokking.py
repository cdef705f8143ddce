"""Pictures of networks that know their training set by heart: `modular_addition` and `sparse_parity`."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from matplotlib.lines import Line2D

from lossbook.checks import bad_value, check_choice
from lossbook.experiments._full_batch import METHODS
from lossbook.experiments.run import Run, Snapshot
from lossbook.experiments.softmax_precision import collapse_gap, row_losses
from lossbook.figures.html import in_words
from lossbook.figures.softmax import FORMAT_COLOURS
from lossbook.figures.style import (
    BROWN,
    CYAN,
    DASHES,
    GREY,
    INK,
    OLIVE,
    PINK,
    PURPLE,
    RED,
    axes_of,
    look,
    new_figure,
    styled,
)

LABELS = {
    "float16": "cross-entropy, float16",
    "float32": "cross-entropy, float32",
    "float64": "cross-entropy, float64",
    "stablemax": "StableMax",
    "perpgrad": "perpGrad",
    "perpgrad_as_asked": "perpGrad, Adam as asked",
    "weight_decay": "weight decay",
    "transformer": "transformer",
    "transformer_perpgrad": "transformer, perpGrad",
    "transformer_weight_decay": "transformer, weight decay",
}
OTHERS = {
    "stablemax": BROWN,
    "perpgrad": PURPLE,
    "perpgrad_as_asked": OLIVE,
    "weight_decay": PINK,
    "transformer": GREY,
    "transformer_perpgrad": RED,
    "transformer_weight_decay": CYAN,
}
COLOURS = {name: FORMAT_COLOURS.get(name) or OTHERS[name] for name in LABELS}
STROKES = {name: DASHES[i % len(DASHES)] for i, name in enumerate(LABELS)}
AXES = {
    "train_accuracy": "accuracy on what is trained on",
    "test_accuracy": "accuracy on what is held out",
    "collapsed": "share of training rows collapsed",
    "collapsed_float32": "share collapsed in float32",
    "zero_loss": "share of rows with loss exactly 0",
    "zero_gradients": "share of gradients exactly 0",
    "alignment": "cosine of −gradient and weights",
    "alignment_first": "cosine in the first layer",
    "alignment_output": "cosine in the output layer",
    "weight_norm": "length of all weights",
    "loss": "loss (nats)",
}
SHARES = ("train_accuracy", "test_accuracy", "collapsed", "collapsed_float32", "zero_loss", "zero_gradients")


@styled
def plot_metric(run: Run, ax: Any = None, *, metric: str, settings: Sequence[str] | None = None) -> Any:
    """One number of each method against the step: the mean over seeds, and the range between them as a band.

    How to read it: steps are on a logarithmic axis from 10 on, for half of what happens happens in the first hundred.

    Args:
        run: of `lossbook.experiments.modular_addition` or `sparse_parity`.
        ax: matplotlib axes; None makes new ones.
        metric: a column of the history, one of `AXES`.
        settings: methods to draw, in this order; None draws all of the run.

    Raises:
        ValueError: a column or a method that is not there.
    """
    check_choice("metric", metric, AXES)
    there = run.history["setting"].unique().tolist()
    for name in settings or ():
        check_choice("settings", name, there)
    ax = axes_of(ax)
    for name in settings or there:
        by_step = run.history[run.history["setting"] == name].groupby("step")[metric].agg(["mean", "min", "max"])
        ax.plot(by_step["mean"], color=COLOURS[name], linestyle=STROKES[name], label=LABELS[name])
        ax.fill_between(by_step.index, by_step["min"], by_step["max"], color=COLOURS[name], alpha=0.15, linewidth=0)
    ax.set_xscale("symlog", linthresh=10, linscale=0.3)
    ax.set(xlabel="step", ylabel=AXES[metric])
    if metric in SHARES:
        ax.set_ylim(-0.03, 1.03)
    if metric == "loss":
        ax.set_yscale("log")
    ax.legend(fontsize=10)
    return ax


@styled
def plot_metrics(run: Run, axes: Any = None, *, metrics: Sequence[str], settings: Sequence[str] | None = None) -> Any:
    """Several numbers of each method side by side, with one legend above them.

    Args:
        run: of `lossbook.experiments.modular_addition` or `sparse_parity`.
        axes: one for each of the metrics; None makes new ones.
        metrics: as in `plot_metric`, at least one.
        settings: as in `plot_metric`.

    Raises:
        ValueError: no metric, or one or a method that is not there, or another number of axes.
    """
    if not metrics:
        raise bad_value("metrics", metrics, "at least one")
    if axes is None:
        axes = new_figure(len(metrics), height=3.9, width=min(10.5, 5.4 * len(metrics)))[1]
    axes = np.atleast_1d(axes)
    if len(axes) != len(metrics):
        raise bad_value("axes", f"{len(axes)} axes", f"one for each of the {len(metrics)} metrics")
    for ax, metric in zip(axes, metrics, strict=True):
        plot_metric(run, ax, metric=metric, settings=settings).get_legend().remove()
    figure = axes[0].figure
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside upper left", ncols=4, fontsize=10)
    return axes


@styled
def plot_pull(pulls: Mapping[str, tuple[Any, Any]], ax: Any = None) -> Any:
    """The pull on the right class against its lead, one line for each softmax.

    How to read it: both axes are logarithmic but the lead's. A line that ends has reached exactly 0.

    Args:
        pulls: label -> (leads in nats, |gradient on the right class|). Where the gradient is 0 nothing is drawn.
        ax: matplotlib axes; None makes new ones.

    Raises:
        ValueError: nothing to draw.
    """
    if not pulls:
        raise bad_value("pulls", pulls, "at least one line")
    ax = axes_of(ax)
    for i, (label, (leads, pull)) in enumerate(pulls.items()):
        leads, pull = np.asarray(leads, float), np.asarray(pull, float)
        alive = pull > 0
        ax.plot(leads[alive], pull[alive], label=label, **look(i))
        if not alive.all():
            ax.plot(leads[alive][-1:], pull[alive][-1:], "X", color=look(i)["color"], markersize=9)
    ax.set(yscale="log", xlabel="lead of the right logit (nats)", ylabel="|gradient on the right class|")
    ax.legend(fontsize=10)
    return ax


# A panel for TrainingExplorer: start(ax, run) -> artists, update(artists, snapshot) -> words.


@styled
def start_logits(ax: Any, run: Run) -> dict[str, Any]:
    """Draw once: for each example that was kept, its logits below the largest, in order, and the right one marked."""
    below = [_below(shot.arrays["logits"]) for shot in run.snapshots]
    examples, classes = below[0].shape
    names = [*(f"trained on, {k + 1}" for k in range(examples - 1)), "held out"]
    lines, marks, handles = [], [], []
    for k, name in enumerate(names):
        lines += ax.plot([], [], linewidth=1.6, **look(k))
        mark = look(k, marker=True) | {"linestyle": "none", "markeredgecolor": INK, "markersize": 9}
        marks += ax.plot([], [], **mark)
        handles.append(Line2D([], [], label=name, **mark | look(k) | {"linewidth": 1.6}))
    edge = ax.axhline(0, color=INK, linewidth=1.2, linestyle=":")
    note = ax.text(0.98, 0, "", ha="right", va="bottom", fontsize=10, transform=ax.get_yaxis_transform())
    lowest = min(float(values.min()) for values in below)
    ax.set(xlim=(-0.03 * classes, classes), ylim=(1.05 * lowest, -0.04 * lowest))
    ax.set(xlabel="classes, by their logit", ylabel="logit below the largest (nats)")
    ax.legend(handles=handles, loc="lower left", fontsize=9)
    return {"lines": lines, "marks": marks, "edge": edge, "note": note, "names": names, "lowest": lowest}


def update_logits(artists: dict[str, Any], snapshot: Snapshot) -> str:
    """Move the logits to a snapshot, and say what the softmax makes of the right class in the format of its loss."""
    method = METHODS[snapshot.setting]
    dtype = torch.float32 if method.stablemax else method.softmax
    read, words = str(dtype).removeprefix("torch."), []
    logits, target = snapshot.arrays["logits"], snapshot.arrays["target"]
    losses = row_losses(torch.from_numpy(logits).to(dtype), torch.from_numpy(target), "log-softmax")
    missing = -np.expm1(-losses.double().numpy())
    for k, (name, row) in enumerate(zip(artists["names"], _below(logits), strict=True)):
        order = np.argsort(-row, kind="stable")
        rank = int(np.flatnonzero(order == target[k])[0])
        artists["lines"][k].set_data(np.arange(len(row)), row[order])
        artists["marks"][k].set_data([rank], [row[order][rank]])
        left = in_words(float(missing[k])) if missing[k] else "exactly 0"
        words.append(f"{name}: {rank + 1}{_ending(rank + 1)}, 1 − p {left}")
    edge = -collapse_gap(dtype)
    inside = edge > 1.05 * artists["lowest"]
    artists["edge"].set_ydata([edge, edge])
    artists["note"].set_position((0.98, edge))
    artists["note"].set_text(f"lost beside 1 in {read}")
    artists["edge"].set_visible(inside)
    artists["note"].set_visible(inside)
    would = f"as a softmax in {read} would have it" if method.stablemax else f"in {read}"
    return f"sorted logits, and the place and the missing probability of the right class {would}. " + "; ".join(words)


def _ending(place: int) -> str:
    teen = 10 < place % 100 < 14
    return "th" if teen else {1: "st", 2: "nd", 3: "rd"}.get(place % 10, "th")


def _below(logits: np.ndarray) -> np.ndarray:
    return logits - logits.max(-1, keepdims=True)


LOGITS_PANEL = (start_logits, update_logits)
"""The logits of a few examples below their largest, a panel of `TrainingExplorer`."""
