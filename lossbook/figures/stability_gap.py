"""Pictures of the stability gap (`lossbook.experiments.stability_gap`)."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from lossbook.checks import bad_value, check_choice
from lossbook.experiments.run import Run
from lossbook.experiments.stability_gap import scores
from lossbook.figures.style import (
    BLUE,
    BROWN,
    CYAN,
    DASHES,
    GREEN,
    GREY,
    INK,
    MARKERS,
    OLIVE,
    ORANGE,
    PINK,
    PURPLE,
    RED,
    axes_of,
    styled,
)

COLOURS = {
    "finetune": GREY,
    "replay": BLUE,
    "joint": INK,
    "A-GEM": PURPLE,
    "GEM": PINK,
    "replay + A-GEM": ORANGE,
    "replay + GEM": GREEN,
    "joint + A-GEM": RED,
    "EWC": BROWN,
    "SI": CYAN,
    "LwF": OLIVE,
}


@styled
def plot_accuracy(
    run: Run, ax: Any = None, *, methods: tuple[str, ...] | None = None, task: int = 1, every: int = 1
) -> Any:
    """The test accuracy of one task against the update: mean and range over seeds; a vertical line a switch of task.

    How to read it: to the right of the first line after its own learning, the task is an old one. A fall there that
    mends itself is the stability gap; one that stays is forgetting.

    Args:
        run: of `lossbook.experiments.stability_gap`.
        ax: matplotlib axes; None makes new ones.
        methods: of the run; None takes all.
        task: from 1 on.
        every: show every so many updates only, as if no more evaluations had been made.

    Raises:
        ValueError: a method or task that the run has not, or a step that would show nothing.
    """
    methods = run.config.methods if methods is None else methods
    for name in methods:
        check_choice("methods", name, run.config.methods)
    column, last = f"accuracy {task}", int(run.history["task"].max()) + 1
    if column not in run.history:
        raise bad_value("task", task, f"1 to {last}")
    if every not in range(1, int(run.history["step"].max()) + 1):
        raise bad_value("every", every, f"1 to {int(run.history['step'].max())} updates")
    ax = axes_of(ax)
    for i, name in enumerate(methods):
        rows = run.history[(run.history["setting"] == name) & (run.history["step"] % every == 0)]
        by_step = rows.dropna(subset=[column]).groupby("step")[column].agg(["mean", "min", "max"])
        look = {"color": COLOURS[name]}
        marker = "o" if every > 1 else None
        ax.plot(by_step["mean"], linestyle=DASHES[i % len(DASHES)], marker=marker, label=name, zorder=3, **look)
        ax.fill_between(by_step.index, by_step["min"], by_step["max"], alpha=0.15, linewidth=0, **look)
    for switch in range(1, last):
        ax.axvline(switch * run.config.iterations, color=INK, linewidth=1, linestyle=":")
    ax.set(xlabel="update", ylabel=f"accuracy on task {task}", ylim=(-0.02, 1.04))
    ax.legend(fontsize=10, loc="lower left")
    return ax


@styled
def plot_gap(run: Run, ax: Any = None) -> Any:
    """What evaluation at the end sees and what it misses: a row a method, ACC filled, min-ACC open, a mark a seed.

    How to read it: the bar from one to the other, at the means, is knowledge that was away for a while.

    Args:
        run: of `lossbook.experiments.stability_gap`.
        ax: matplotlib axes; None makes new ones.
    """
    ax = axes_of(ax)
    found = scores(run)
    for place, (name, rows) in enumerate(found.groupby("setting", sort=False)):
        color = COLOURS[name]
        ends = rows["min_accuracy"].mean(), rows["accuracy"].mean()
        ax.plot(ends, [place, place], color=color, linewidth=4, alpha=0.35, zorder=2)
        for column, fill in (("accuracy", color), ("min_accuracy", "white")):
            heights = np.full(len(rows), place)
            ax.scatter(rows[column], heights, s=34, marker="o", facecolor=fill, edgecolor=color, zorder=3)
    names = list(dict.fromkeys(found["setting"]))
    ax.set_yticks(range(len(names)), names)
    ax.set(ylim=(len(names) - 0.5, -0.5), xlim=(-0.02, 1.04))
    ax.set(xlabel="min-ACC (open) and ACC (filled)", ylabel="method")
    return ax


@styled
def plot_angles(runs: Mapping[float, Run], ax: Any = None) -> Any:
    """ACC and min-ACC against the angle of the second task: means over seeds, and the seeds.

    How to read it: the upper line is what is known at the end, the lower one what was known at the worst moment.

    Args:
        runs: by angle, of `lossbook.experiments.stability_gap` with two tasks and one method.
        ax: matplotlib axes; None makes new ones.
    """
    ax = axes_of(ax)
    tables = {angle: scores(run) for angle, run in sorted(runs.items())}
    looks = {"accuracy": ("ACC, at the end", BLUE, "-", "o"), "min_accuracy": ("min-ACC", ORANGE, "--", "s")}
    for column, (label, color, dash, marker) in looks.items():
        means = [table[column].mean() for table in tables.values()]
        ax.plot(list(tables), means, color=color, linestyle=dash, marker=marker, label=label)
        for angle, table in tables.items():
            ax.scatter(np.full(len(table), angle), table[column], color=color, marker=marker, s=14, alpha=0.6)
    ax.set(xlabel="angle of the second task (degrees)", ylabel="accuracy", ylim=(0, 1.04))
    ax.set_xticks(list(tables))
    ax.legend(loc="lower left")
    return ax


@styled
def plot_projected(run: Run, ax: Any = None) -> Any:
    """The share of updates after the first task whose gradient was projected: a bar a method, a mark a seed.

    How to read it: a low bar means that the step did not conflict with the old tasks, and was taken as it was.

    Args:
        run: of `lossbook.experiments.stability_gap`.
        ax: matplotlib axes; None makes new ones.

    Raises:
        ValueError: a run without a projecting method.
    """
    found = scores(run)
    found = found[found["setting"].str.contains("GEM")]
    if found.empty:
        raise bad_value("run", run.config.methods, "a run with a method that projects")
    ax = axes_of(ax)
    for place, (name, rows) in enumerate(found.groupby("setting", sort=False)):
        ax.bar(place, 100 * rows["projected"].mean(), 0.7, color=COLOURS[name], alpha=0.75)
        look = {"color": INK, "marker": MARKERS[place % len(MARKERS)], "s": 18, "zorder": 3}
        ax.scatter(np.full(len(rows), place), 100 * rows["projected"], **look)
    names = list(dict.fromkeys(found["setting"]))
    ax.set_xticks(range(len(names)), [name.replace(" + ", "\n+ ") for name in names])
    ax.set(xlabel="method", ylabel="updates projected (%)")
    return ax
