"""Pictures of the stability gap and of what softens it (`lossbook.experiments.gap_mitigations`)."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from lossbook.checks import check_choice
from lossbook.experiments.gap_mitigations import summary
from lossbook.experiments.run import Run, Snapshot
from lossbook.figures.dots import plot_dots
from lossbook.figures.html import in_words
from lossbook.figures.style import (
    BLUE,
    BROWN,
    DASHES,
    GREEN,
    GREY,
    INK,
    ORANGE,
    PINK,
    PURPLE,
    RED,
    axes_of,
    new_figure,
    styled,
)

COLOURS = {
    "vanilla": GREY,
    "init": ORANGE,
    "centred init": BROWN,
    "soft targets": PURPLE,
    "teacher targets": PINK,
    "frozen": GREEN,
    "low rank": RED,
    "SGM": BLUE,
}
COURSES = {
    "old_accuracy": "accuracy on old classes",
    "new_accuracy": "accuracy on new classes",
    "accuracy": "accuracy on all classes",
    "new_loss": "loss of new classes (nats)",
    "margin": "margin of old over new logits",
}
NUMBERS = {
    "lowest": "lowest accuracy on old classes",
    "old_end": "old accuracy at the end",
    "new_end": "new accuracy at the end",
    "first_loss": "first loss of new classes (nats)",
    "first_old": "old accuracy before any update",
    "stability": "stability gap",
    "plasticity": "plasticity gap",
    "knowledge": "continual knowledge gap",
}
BINS = 40


@styled
def plot_course(
    run: Run,
    ax: Any = None,
    *,
    settings: Sequence[str] = ("vanilla", "init", "SGM"),
    number: str = "old_accuracy",
    until: int | None = None,
) -> Any:
    """A number after every update since the new classes arrived: means over seeds, and their range.

    How to read it: update 0 is before the first step. The dotted line is the mean of the joint model's last accuracy.

    Args:
        run: of `lossbook.experiments.gap_mitigations`.
        ax: matplotlib axes; None makes new ones.
        settings: of the run, in the order of the legend.
        number: a column of the history.
        until: the last update to draw; None draws all.

    Raises:
        ValueError: a setting or a number that the run has not.
    """
    check_choice("number", number, COURSES)
    ax = axes_of(ax)
    until = run.config.updates if until is None else until
    for i, name in enumerate(settings):
        check_choice("settings", name, run.config.settings)
        rows = run.history[(run.history["setting"] == name) & (run.history["step"] <= until)]
        by_step = rows.groupby("step")[number].agg(["mean", "min", "max"])
        color = COLOURS.get(name.split(",")[0].split(" less")[0], INK)
        ax.plot(by_step["mean"], color=color, linestyle=DASHES[i % len(DASHES)], label=name)
        ax.fill_between(by_step.index, by_step["min"], by_step["max"], color=color, alpha=0.12, linewidth=0)
    if number.endswith("accuracy"):
        joint = run.history[run.history["setting"] == "joint"]
        level = joint[joint["step"] == joint["step"].max()][number].mean()
        ax.axhline(level, color=INK, linewidth=1, linestyle=":", label="joint model")
        ax.set_ylim(None, 1.02)
    data = "garments" if run.config.data == "fashion_mnist" else run.config.data
    body = "plain network" if run.config.body == "relu" else run.config.body
    ax.set(xlabel="updates since they arrived", ylabel=COURSES[number], title=f"{data}, {body}")
    ax.legend(fontsize=9, loc="lower right")
    return ax


@styled
def plot_settings(run: Run, axes: Any = None, *, numbers: Sequence[str] = ("lowest", "new_end")) -> Any:
    """A number for every setting, a picture each: a mark per seed, a bar at the mean; vanilla's mean goes through all.

    How to read it: a row is a setting. Seeds that lie far apart say that a small difference is none.

    Args:
        run: of `lossbook.experiments.gap_mitigations`.
        axes: as many matplotlib axes as numbers; None makes new ones.
        numbers: columns of `gap_mitigations.summary`.

    Raises:
        ValueError: another number.
    """
    for name in numbers:
        check_choice("numbers", name, NUMBERS)
    axes = np.atleast_1d(new_figure(len(numbers), height=4.2, sharey=True)[1] if axes is None else axes)
    table = summary(run)
    settings = run.config.settings
    colours = {setting: COLOURS.get(setting.split(",")[0].split(" less")[0], INK) for setting in settings}
    for ax, number in zip(axes, numbers, strict=True):
        plot_dots(ax, {setting: table.loc[setting, number] for setting in settings}, colours)
        if "vanilla" in settings:
            ax.axvline(table.loc["vanilla", number].mean(), color=GREY, linewidth=1, linestyle=":", zorder=1)
        ax.set_xlabel(NUMBERS[number])
        ax.locator_params(axis="x", nbins=5)
    return axes


# A panel for TrainingExplorer: start(ax, run) -> artists, update(artists, snapshot) -> words.


def start_margins(ax: Any, run: Run) -> dict[str, Any]:
    """Draw once: how far each old test example is from being taken for a new class."""
    everything = np.concatenate([shot.arrays["margins"] for shot in run.snapshots])
    edges = np.linspace(everything.min(), everything.max(), BINS + 1)
    highest = max(_shares(shot.arrays["margins"], edges).max() for shot in run.snapshots)
    stairs = ax.stairs(0 * edges[:-1], edges, fill=True, alpha=0.55, color=BLUE)
    ax.axvline(0, color=INK, linewidth=1)
    ax.set(xlabel="highest old logit − highest new logit", ylabel="share of old examples", ylim=(0, 1.05 * highest))
    return {"stairs": stairs, "edges": edges}


def update_margins(artists: dict[str, Any], snapshot: Snapshot) -> str:
    """Move the histogram to a snapshot of `lossbook.experiments.gap_mitigations`."""
    found = snapshot.arrays["margins"]
    artists["stairs"].set_data(_shares(found, artists["edges"]))
    lost = 100 * float((found < 0).mean())
    return (
        f"{lost:.0f} % of old examples are taken for a new class; half have a margin above {in_words(np.median(found))}"
    )


def _shares(values: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """The share in each bin."""
    return np.histogram(values, edges)[0] / len(values)


MARGINS_PANEL = (start_margins, update_margins)
"""How far old examples are from being taken for new ones, a panel of `TrainingExplorer`."""
