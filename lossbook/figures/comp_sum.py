"""Pictures of the comp-sum experiments: wrong labels, consistency bounds, adversaries."""

from typing import Any

import numpy as np
from contourpy import contour_generator
from matplotlib.collections import LineCollection
from matplotlib.lines import Line2D

from lossbook.checks import check_choice
from lossbook.experiments.run import Run, Snapshot
from lossbook.figures.style import BLUE, GREY, INK, ORANGE, SIGNED, axes_of, in_order, look, new_figure, styled

TITLES = {
    "test_accuracy": "Test accuracy after training on wrong labels",
    "clean_accuracy": "Right labels that the network repeats",
    "wrong_accuracy": "Wrong labels that the network repeats",
}


@styled
def plot_label_noise(run: Run, ax: Any = None, metric: str = "test_accuracy") -> Any:
    """A metric at the end of training against τ, a line for each fraction of wrong labels.

    How to read it: a line is the mean over seeds, the small marks are the seeds. Without noise all τ up to 1.8 do
    alike; the more labels are wrong, the more is won on the way from cross-entropy (1) towards mean absolute error (2).

    Args:
        run: of `lossbook.experiments.label_noise`.
        ax: matplotlib axes; None makes new ones.
        metric: "test_accuracy", "clean_accuracy" or "wrong_accuracy" (what was memorised).

    Returns:
        The axes.

    Raises:
        ValueError: an unknown metric.
    """
    check_choice("metric", metric, TITLES)
    ax = axes_of(ax)
    last = run.history[run.history["step"] == run.history["step"].max()]
    for i, (noise, rows) in enumerate(last.groupby("noise")):
        if rows[metric].isna().all():
            continue  # no label is wrong: nothing to say of the wrong ones
        own = look(i, marker=True)
        mean = rows.groupby("tau")[metric].mean()
        ax.plot(mean.index, mean, label=f"{noise:.0%} wrong labels", **own)
        ax.scatter(rows["tau"], rows[metric], 14, own["color"], marker=own["marker"], alpha=0.6, linewidths=0)
    ax.set(xlabel="exponent τ", ylabel="share", title=TITLES[metric])
    ax.set_xticks(sorted(last["tau"].unique()))
    ax.legend()
    return ax


@styled
def plot_consistency(run: Run, axes: Any = None, tau: float = 1.0) -> Any:
    """Left the transforms T_τ and the construction that attains them, right one bound and random points under it.

    How to read it: left, a line is what the bound asks for, a mark what the worst classifier of two classes has; marks
    on their line say that the bound cannot be improved. Right, a point is a random distribution with random scores
    whose decision is not the best one; none may be above the line with its mark. For τ ≤ 1 the lines are one.

    Args:
        run: of `lossbook.experiments.consistency`.
        axes: two matplotlib axes; None makes new ones.
        tau: of the right picture, one of the run's.

    Returns:
        The two axes.

    Raises:
        ValueError: a τ that the run does not have.
    """
    history = run.history
    check_choice("tau", f"{tau:g}", [f"{found:g}" for found in sorted(history["tau"].unique())])
    left, right = new_figure(2)[1] if axes is None else axes
    handles = []
    for i, (found, rows) in enumerate(history[history["setting"] == "construction"].groupby("tau")):
        mark: dict[str, Any] = look(i, marker=True) | {"markersize": 6}
        left.plot(rows["excess_zero_one"], rows["transform"], **look(i))
        apart = max(1, len(rows) // 8)
        some = rows.iloc[i * apart // 5 % apart :: apart]  # staggered: neighbours do not cover each other
        left.plot(some["excess_zero_one"], some["excess_surrogate"], **mark | {"linestyle": "none"})
        handles.append(Line2D([], [], label=f"τ = {found:g}", **mark))
    left.set(xlabel="zero-one excess b", ylabel="surrogate excess", title="Transform and worst case, two classes")
    left.legend(handles=handles)

    random = history[
        (history["setting"] == "random") & np.isclose(history["tau"], tau) & (history["excess_zero_one"] > 0)
    ]
    widest, handles = float(random["transform"].max()), []
    shades = in_order(random["classes"].nunique())
    for i, (classes, rows) in enumerate(random.groupby("classes")):
        rows = rows.sort_values("excess_zero_one")
        cloud: dict[str, Any] = {"color": shades[i], "marker": look(i, marker=True)["marker"]}
        line: dict[str, Any] = {"color": shades[i], "linestyle": look(i)["linestyle"], "label": f"{classes} classes"}
        right.scatter(rows["excess_surrogate"], rows["excess_zero_one"], s=10, alpha=0.45, linewidths=0, **cloud)
        right.plot(rows["transform"], rows["excess_zero_one"], **line)
        handles.append(Line2D([], [], **line | cloud))
    right.set(xlabel="surrogate excess", ylabel="zero-one excess", title=f"Random scores under the bound, τ = {tau:g}")
    right.set(xlim=(-0.03 * widest, 1.6 * widest), ylim=(0, 1.03))
    right.legend(handles=handles, loc="lower right")
    return np.array([left, right])


@styled
def plot_adversarial(run: Run, ax: Any = None) -> Any:
    """Clean and robust accuracy of each way to train, at the end of training.

    How to read it: squares are accuracy on clean points, discs on attacked ones; large marks are means over seeds,
    small ones the seeds. The bar between them is what the attacker takes.

    Args:
        run: of `lossbook.experiments.adversarial`.
        ax: matplotlib axes; None makes new ones.

    Returns:
        The axes.
    """
    ax = axes_of(ax)
    last = run.history[run.history["step"] == run.history["step"].max()]
    names = list(dict.fromkeys(last["setting"]))
    looks = {"robust": {"color": ORANGE, "marker": "o"}, "clean": {"color": BLUE, "marker": "s"}}
    for k, name in enumerate(names):
        rows = last[last["setting"] == name]
        ends = [rows[f"{which}_accuracy"].mean() for which in looks]
        ax.plot(ends, [k, k], color=GREY, linewidth=4, alpha=0.6, zorder=1)
        for (which, own), mean in zip(looks.items(), ends, strict=True):
            ax.scatter(mean, k, s=90, zorder=3, **own)
            ax.scatter(rows[f"{which}_accuracy"], np.full(len(rows), k + 0.2), s=16, zorder=3, **own)
            if k == 0:
                ax.annotate(which, (mean, k), (0, 11), textcoords="offset points", ha="center")
    ax.margins(x=0.1)
    ax.locator_params(axis="x", nbins=5)
    ax.set_yticks(range(len(names)), names)
    ax.set(ylim=(len(names) - 0.5, -0.6), xlabel="test accuracy", title="What the attacker takes")
    return ax


# Panels for TrainingExplorer: start(ax, run) -> artists, update(artists, snapshot) -> words.


def start_memorised(ax: Any, run: Run) -> dict[str, Any]:
    """Draw once: how sure the network is of the labels it was taught, the right and the wrong ones."""
    edges = np.linspace(0, 1, 21)
    looks = {"right": {"color": BLUE}, "wrong": {"color": ORANGE, "hatch": "//"}}
    bars = {
        name: ax.bar(edges[:-1], 0 * edges[:-1], edges[1], align="edge", alpha=0.6, label=f"{name} labels", **own)
        for name, own in looks.items()
    }
    ax.set(xlabel="probability given to the label taught", ylabel="share of these labels", xlim=(0, 1), ylim=(0, 1))
    ax.legend(loc="upper center")
    return bars | {"edges": edges}


def update_memorised(artists: dict[str, Any], snapshot: Snapshot) -> str:
    """Move the bars to a snapshot of `lossbook.experiments.label_noise`."""
    probability, wrong = snapshot.arrays["probability"], snapshot.arrays["wrong"]
    sure = {}
    for name, chosen in (("right", ~wrong), ("wrong", wrong)):
        shares = np.histogram(probability[chosen], artists["edges"])[0] / max(1, chosen.sum())
        for bar, share in zip(artists[name], shares, strict=True):
            bar.set_height(share)
        sure[name] = float(np.median(probability[chosen]))
    right, of_wrong = sure["right"], sure["wrong"]
    return f"The median probability of a right label taught is {right:.2f}, of a wrong one {of_wrong:.2f}"


def start_boundary(ax: Any, run: Run) -> dict[str, Any]:
    """Draw once: the plane of the two moons and the training points; what moves is empty."""
    arrays = run.snapshots[0].arrays
    horizontal, vertical = arrays["horizontal"], arrays["vertical"]
    extent = (horizontal[0], horizontal[-1], vertical[0], vertical[-1])
    colours = {"cmap": SIGNED, "vmin": -6, "vmax": 6}
    image = ax.imshow(
        0 * arrays["margin"], origin="lower", extent=extent, aspect="auto", interpolation="bilinear", **colours
    )
    boundary = ax.add_collection(LineCollection([], colors=INK, linewidths=2, zorder=3))
    moves = ax.add_collection(LineCollection([], colors=INK, linewidths=1, zorder=4))
    for k, (color, marker) in enumerate(((BLUE, "o"), (ORANGE, "^"))):
        points = arrays["features"][arrays["labels"] == k]
        look = {"color": color, "marker": marker, "edgecolors": "white", "linewidths": 0.4, "zorder": 5}
        ax.scatter(*points.T, s=18, **look)
    ax.set(xlabel="$x_1$", ylabel="$x_2$", xlim=extent[:2], ylim=extent[2:])
    ax.grid(False)
    ax.text(0.02, 0.98, "● class 0", transform=ax.transAxes, va="top", zorder=6)
    ax.text(0.98, 0.02, "▲ class 1", transform=ax.transAxes, ha="right", zorder=6)
    return {"image": image, "boundary": boundary, "moves": moves}


def update_boundary(artists: dict[str, Any], snapshot: Snapshot) -> str:
    """Move the boundary to a snapshot of `lossbook.experiments.adversarial`; short lines are points it turns."""
    arrays = snapshot.arrays
    artists["image"].set_data(arrays["margin"])
    contours = contour_generator(arrays["horizontal"], arrays["vertical"], arrays["margin"])
    artists["boundary"].set_segments(contours.lines(0.0))
    before, after = arrays["decided"] == arrays["labels"], arrays["decided_attacked"] == arrays["labels"]
    turned = before & ~after
    artists["moves"].set_segments(np.stack([arrays["features"][turned], arrays["attacked"][turned]], 1))
    return (
        f"{before.sum()} of {len(before)} training points are on their side; the attack turns {turned.sum()} of these"
    )


MEMORISED = (start_memorised, update_memorised)
BOUNDARY = (start_boundary, update_boundary)
