"""Pictures of frames: where free features end, and which classes vanish or merge (`unconstrained_features`)."""

from typing import Any

import numpy as np
from matplotlib.lines import Line2D

from lossbook.checks import bad_value, check_choice
from lossbook.experiments.run import Run
from lossbook.experiments.unconstrained_features import outer_minima
from lossbook.figures.style import (
    BLUE,
    DASHES,
    GREEN,
    GREY,
    INK,
    ORANGE,
    PURPLE,
    RED,
    SIGNED,
    axes_of,
    new_figure,
    styled,
)
from lossbook.metrics import vanishing_weight_decay

DISTANCES = {"NC1": BLUE, "NC2": ORANGE, "NC3": GREEN, "weight_error": PURPLE}
NAMES = {"weight_error": "W Wᵀ from the closed form"}
SHAPES = ((BLUE, "o"), (ORANGE, "s"), (GREEN, "^"), (RED, "D"))


@styled
def plot_distances(run: Run, ax: Any = None, *, setting: str) -> Any:
    """How far weights and features are from the closed form, against the step: a line for each number and seed.

    How to read it: the vertical axis is logarithmic; straight down is exponentially fast, and what it ends at is
    rounding.

    Args:
        run: of `lossbook.experiments.unconstrained_features`, with its first part.
        ax: matplotlib axes; None makes new ones.
        setting: one of the first part.

    Raises:
        ValueError: a setting that the run has not.
    """
    rows = _part(run, "frames")
    check_choice("setting", setting, tuple(dict.fromkeys(rows["setting"])))
    ax = axes_of(ax)
    rows = rows[rows["setting"] == setting]
    for i, (name, color) in enumerate(DISTANCES.items()):
        for k, (_, line) in enumerate(rows.groupby("seed")):
            label = NAMES.get(name, name) if k == 0 else None
            ax.plot(line["step"], line[name], color=color, linestyle=DASHES[i], linewidth=1.3, label=label)
    ax.set(yscale="log", xlabel="step", ylabel="distance", title=_heading(setting))
    low, high = ax.get_ylim()
    ax.set_ylim(low, high * (high / low) ** 0.5)  # room for the legend
    ax.legend(loc="upper right", fontsize=10)
    return ax


@styled
def plot_products(run: Run, axes: Any = None, *, settings: tuple[str, ...], matrix: str = "weight") -> Any:
    """The products of class weights with each other at the end, of the first seed: a table for each setting.

    How to read it: numbers are divided by the largest of their table. White off the diagonal is a right angle, a
    minus sign more.

    Args:
        run: of `lossbook.experiments.unconstrained_features`, with its first part.
        axes: as many matplotlib axes as settings; None makes new ones.
        settings: of the first part.
        matrix: "weight" (W Wᵀ), "means" (H̄ᵀ H̄) or "outputs" (W H̄).

    Raises:
        ValueError: another matrix, or a setting that the run has not.
    """
    check_choice("matrix", matrix, ("weight", "means", "outputs"))
    found = {snapshot.setting: snapshot.arrays[matrix] for snapshot in run.snapshots}
    for setting in settings:
        check_choice("settings", setting, tuple(found))
    axes = np.atleast_1d(new_figure(len(settings), height=3.4)[1] if axes is None else axes)
    for ax, setting in zip(axes, settings, strict=True):
        table = found[setting] / np.abs(found[setting]).max()
        ax.pcolormesh(table, cmap=SIGNED, vmin=-1, vmax=1)
        for (i, j), value in np.ndenumerate(table):
            words = "0" if abs(value) < 0.005 else f"{value:.2f}".replace("-", "−")
            ax.text(j + 0.5, i + 0.5, words, ha="center", va="center", fontsize=10)
        classes = range(len(table))
        ax.set_xticks([k + 0.5 for k in classes], [str(k + 1) for k in classes])
        ax.set_yticks([k + 0.5 for k in classes], [str(k + 1) for k in classes])
        ax.set(xlabel="class", ylabel="class", aspect="equal")
        ax.set_title(_heading(setting).replace(", ", ",\n", 1), fontsize=10)
        ax.invert_yaxis()
        ax.grid(False)
    return axes


@styled
def plot_vanishing(run: Run, ax: Any = None, *, layers: int) -> Any:
    """Squared lengths of class weights against the weight decay: closed forms as lines, trained ones as marks.

    How to read it: a solid line is the global minimum; dotted, where the outer minimum goes on although 0 costs less. A
    mark is a seed: filled, from a small start; hollow, from a larger one. A vertical line is where a class should go.

    Args:
        run: of `lossbook.experiments.unconstrained_features`, with its second part.
        ax: matplotlib axes; None makes new ones.
        layers: M, one of the run's.

    Raises:
        ValueError: a number of layers that the run has not.
    """
    rows = _part(run, "decay")
    check_choice("layers", str(layers), tuple(str(m) for m in sorted(rows["layers"].unique())))
    rows = rows[(rows["layers"] == layers) & (rows["step"] == rows["step"].max())]
    ax = axes_of(ax)
    spreads = sorted(rows["spread"].unique())
    handles = []
    theories = outer_minima(run.config, layers).groupby("class")
    for (k, theory), (color, marker) in zip(theories, SHAPES, strict=False):
        end = theory["vanishes"].iloc[0]
        ax.axvline(end, color=color, linewidth=1, alpha=0.6)
        ax.plot(theory["weight_decay"], theory["outer"], color=color, linestyle=":", linewidth=1.6)
        label = f"{theory['size'].iloc[0]} examples"
        ax.plot(theory["weight_decay"], theory["length"], color=color, linewidth=1.6, label=label)
        handles.append(Line2D([], [], color=color, linewidth=1.6, marker=marker, markersize=6, label=label))
        for spread in spreads:
            some = rows[rows["spread"] == spread]
            fill = color if spread == spreads[0] else "none"
            size = 26 if spread == spreads[0] else 60
            ax.scatter(
                some["weight_decay"], some[f"length {k}"], size, facecolors=fill, edgecolors=color, marker=marker
            )
    ax.set(xscale="log", xlabel="weight decay $\\lambda_W$", ylabel="$\\Vert w_k \\Vert^2$", title=f"M = {layers}")
    ends = vanishing_weight_decay(run.config.decay_sizes, layers=layers, feature_decay=run.config.decay_feature_decay)
    ax.set_xticks(ends.tolist(), [f"{end:.2g}" for end in ends.tolist()])
    ax.minorticks_off()
    ax.legend(handles=handles, fontsize=10)
    return ax


@styled
def plot_minority(run: Run, axes: Any = None) -> Any:
    """Two small classes that shrink: left the cosine of their weights, right the squared length of either.

    How to read it: classes shrink from right to left. Below the vertical line the squared error erases both, and
    cross-entropy lets them fall together.

    Args:
        run: of `lossbook.experiments.unconstrained_features`, with its third part.
        axes: two matplotlib axes; None makes new ones.
    """
    rows = _part(run, "minority")
    rows = rows[rows["step"] == rows["step"].max()]
    left, right = axes = new_figure(2)[1] if axes is None else axes
    for i, (error, color) in enumerate((("cross-entropy", BLUE), ("squared error", ORANGE))):
        some = rows[rows["setting"].str.startswith(error)]
        look = {"color": color, "linestyle": DASHES[i], "marker": "os"[i], "label": error}
        smaller = f"length {len(run.config.sizes)}"
        for ax, number in ((left, "cosine"), (right, smaller)):
            ax.plot(some.groupby("size")[number].mean(), **look)
            ax.scatter(some["size"], some[number], 14, color=color)
    for ax in (left, right):
        ax.axvline(run.config.limit, color=GREY, linewidth=1.4)
        ax.set(xlabel="examples of a small class")
    left.set(ylabel="cosine of the two small weights", ylim=(-0.5, 1.1))
    left.axhline(0, color=INK, linewidth=0.7)
    right.set(ylabel="$\\Vert w \\Vert^2$ of a small class", ylim=(0, None))
    right.legend(fontsize=10)
    return axes


def _heading(setting: str) -> str:
    return setting[0].upper() + setting[1:]


def _part(run: Run, part: str) -> Any:
    rows = run.history[run.history["part"] == part] if "part" in run.history else run.history[:0]
    if rows.empty:
        raise bad_value("run", run.experiment, f"a run of unconstrained_features with the part {part!r}")
    return rows
