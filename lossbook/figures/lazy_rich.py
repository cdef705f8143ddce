"""Pictures of lazy and rich training (`lossbook.experiments.lazy_rich`, `lazy_images`)."""

from typing import Any

import numpy as np
import pandas as pd

from lossbook.checks import check_choice
from lossbook.experiments.lazy_rich import LEFT
from lossbook.experiments.run import Run
from lossbook.figures.style import BLUE, DASHES, GREEN, GREY, INK, MARKERS, ORANGE, PALETTE, axes_of, in_order, styled

FOLLOWED = {
    "motion": "motion ‖θ − θ₀‖/‖θ₀‖",
    "alignment": "alignment of the kernel with y",
    "similarity": "similarity to the kernel of the start",
    "test_error": "test error / variance of y",
    "train_error": "training error / variance of y",
    "test_accuracy": "test accuracy",
    "train_accuracy": "training accuracy",
}
PARTS = {"constant": "wrong mean", "misaligned": "wrong quadratic form", "linear": "a linear form that should be 0"}


def hues(alphas: Any) -> dict[float, str]:
    """A colour for each α, from rich, which is dark, to lazy."""
    known = sorted(set(alphas))
    return dict(zip(known, in_order(len(known)), strict=True))


@styled
def plot_errors(run: Run, ax: Any = None, *, alphas: tuple[float, ...] | None = None) -> Any:
    """Training error (dashed) and test error (solid) against the step: medians over seeds, ranges shaded.

    How to read it: both axes are logarithmic. Between the dashed and the solid line of one colour lies the delay.

    Args:
        run: of `lossbook.experiments.lazy_rich`.
        ax: matplotlib axes; None makes new ones.
        alphas: those to draw; None draws all.
    """
    ax = axes_of(ax)
    colours = hues(run.history["alpha"])
    for alpha in sorted(colours) if alphas is None else alphas:
        for part, dash in (("test", "-"), ("train", "--")):
            name = f"α = {alpha:g}, {'test' if part == 'test' else 'training'}"
            _middle(ax, run, alpha, f"{part}_error", color=colours[alpha], linestyle=dash, label=name)
    ax.set(xscale="symlog", yscale="log", xlabel="step", ylabel="error / variance of y", xlim=(0, None))
    ax.set_ylim(3e-3, 3)
    ax.legend(fontsize=9, loc="lower left")
    return ax


@styled
def plot_followed(run: Run, ax: Any = None, *, column: str = "motion") -> Any:
    """One number against the step for every α: medians over seeds, ranges shaded.

    How to read it: rich networks (small α) move and change their kernel; lazy ones learn without either.

    Args:
        run: of `lossbook.experiments.lazy_rich` or `lazy_images`.
        ax: matplotlib axes; None makes new ones.
        column: "motion", "alignment", "similarity", or an error or accuracy that the run has.

    Raises:
        ValueError: another column.
    """
    check_choice("column", column, [name for name in FOLLOWED if name in run.history])
    ax = axes_of(ax)
    for k, (alpha, colour) in enumerate(hues(run.history["alpha"]).items()):
        _middle(ax, run, alpha, column, color=colour, linestyle=DASHES[k % len(DASHES)], label=f"α = {alpha:g}")
    ax.set(xscale="symlog", xlabel="step", ylabel=FOLLOWED[column], xlim=(0, None))
    ax.legend(fontsize=10)
    return ax


@styled
def plot_delays(found: pd.DataFrame, ax: Any = None) -> Any:
    """Delay against α: a mark and a line a seed; a mark at "not over", joined by nothing, was not over at the end.

    How to read it: both axes are logarithmic. At 1 (the grey line) new points are learned when the own ones are.

    Args:
        found: what `first_steps` of an experiment gives.
        ax: matplotlib axes; None makes new ones.
    """
    ax = axes_of(ax)
    finite = found.loc[np.isfinite(found["delay"]), "delay"]
    top = 2 * max(finite.max(), 1) if len(finite) else 2.0
    ax.axhline(1, color=GREY, linewidth=1)
    for k, (seed, rows) in enumerate(found.sort_values("alpha").groupby("seed")):
        look = {"color": PALETTE[k % len(PALETTE)], "marker": MARKERS[k % len(MARKERS)]}
        reached = rows[np.isfinite(rows["delay"])]
        ax.plot(reached["alpha"], reached["delay"], linewidth=1.4, label=f"seed {seed}", **look)
        never = rows[np.isinf(rows["delay"])]
        nudge = 1 + 0.03 * (k - (found["seed"].nunique() - 1) / 2)
        if len(never):  # an unclipped line of no points has no extent, and the layout would collapse
            ax.plot(never["alpha"] * nudge, np.full(len(never), top), linestyle="", clip_on=False, **look)
    ax.set(xscale="log", yscale="log", xlabel="α", ylabel="delay (steps / steps)", ylim=(None, 1.3 * top))
    ticks = sorted(found["alpha"].unique())
    ax.set_xticks(ticks, labels=[f"{tick:g}" for tick in ticks])
    ax.minorticks_off()
    low = max(1e-2, finite.min() if len(finite) else 1)
    marks = [mark for mark in (0.01, 0.03, 0.1, 0.3, 1, 2, 3, 5, 10, 30, 100) if low <= mark < 0.75 * top]
    ax.set_yticks([*marks, top], labels=[*(f"{mark:g}" for mark in marks), "not over"])
    ax.legend(fontsize=9, loc="upper left")
    return ax


@styled
def plot_parts(run: Run, ax: Any = None, *, alpha: float, seed: int | None = None) -> Any:
    """What the test error of one network is made of, against the step, with its training error dashed.

    How to read it: the three parts add up to the test error. What is learned first brings a linear form with it, which
    goes again; what comes last is the quadratic form.

    Args:
        run: of `lossbook.experiments.lazy_rich`.
        ax: matplotlib axes; None makes new ones.
        alpha, seed: which network; None takes the run's first seed.

    Raises:
        ValueError: an α or a seed that the run has not.
    """
    check_choice("alpha", f"{alpha:g}", [f"{known:g}" for known in run.config.alphas])
    seed = run.config.first_seed if seed is None else seed
    check_choice("seed", str(seed), [str(known) for known in sorted(run.history["seed"].unique())])
    ax = axes_of(ax)
    rows = run.history[(run.history["alpha"] == alpha) & (run.history["seed"] == seed)].sort_values("step")
    ax.plot(rows["step"], rows["train_error"], color=GREY, linestyle="--", label="training error")
    ax.plot(rows["step"], rows["test_error"], color=INK, label="test error")
    for part, colour, dash in zip(LEFT, (GREEN, BLUE, ORANGE), ("-.", ":", DASHES[4]), strict=True):
        ax.plot(rows["step"], rows[part], color=colour, linestyle=dash, label=PARTS[part])
    ax.set(xscale="symlog", xlabel="step", ylabel="error / variance of y", xlim=(0, None), ylim=(0, None))
    ax.set_ylim(top=1.5 * ax.get_ylim()[1])  # room for the legend
    ax.set_title(f"α = {alpha:g}, seed {seed}")
    ax.legend(fontsize=9, loc="upper right")
    return ax


@styled
def plot_accuracies(run: Run, ax: Any = None, *, activation: str = "sine") -> Any:
    """Training accuracy (dashed) and test accuracy (solid) against the step, by α: medians over seeds, ranges shaded.

    How to read it: where the dashed line of a colour is up long before the solid one, images are stored before classes
    are learned.

    Args:
        run: of `lossbook.experiments.lazy_images`.
        ax: matplotlib axes; None makes new ones.
        activation: one of the run's.

    Raises:
        ValueError: an activation that the run has not.
    """
    check_choice("activation", activation, run.config.activations)
    ax = axes_of(ax)
    some = Run(run.experiment, run.config, run.history[run.history["activation"] == activation])
    for alpha, colour in hues(some.history["alpha"]).items():
        for part, dash in (("test", "-"), ("train", "--")):
            name = f"α = {alpha:g}, {'test' if part == 'test' else 'training'}"
            _middle(ax, some, alpha, f"{part}_accuracy", color=colour, linestyle=dash, label=name)
    ax.set(xscale="symlog", xlabel="step", ylabel="accuracy", title=activation, xlim=(0, None), ylim=(0, 1.02))
    ax.legend(fontsize=9, loc="lower right")
    return ax


def _middle(ax: Any, run: Run, alpha: float, column: str, *, color: str, linestyle: Any, label: str) -> None:
    """The median over seeds of one number, and its range."""
    rows = run.history[run.history["alpha"] == alpha].dropna(subset=[column])
    by_step = rows.groupby("step")[column].agg(["median", "min", "max"])
    ax.plot(by_step["median"], color=color, linestyle=linestyle, label=label)
    ax.fill_between(by_step.index, by_step["min"], by_step["max"], color=color, alpha=0.12, linewidth=0)
