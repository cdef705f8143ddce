"""Pictures of smoothness: what LDS sees of the plane, few labels, and flat surrogates."""

from typing import Any

import numpy as np
from contourpy import contour_generator
from matplotlib import colormaps
from matplotlib.collections import LineCollection
from matplotlib.colors import ListedColormap

from lossbook.checks import check_choice
from lossbook.experiments.run import Run
from lossbook.figures.dots import plot_dots
from lossbook.figures.style import BLUE, GREEN, GREY, INK, MARKERS, ORANGE, axes_of, look, new_figure, styled

COLOURS = {"cross-entropy": GREY, "random direction": GREEN, "VAT": ORANGE, "VAT + entropy": BLUE}
METRICS = {
    "transfer": "attacks that fool the targets (%)",
    "white_box": "attacks that fool the surrogate (%)",
    "sharpness": "largest eigenvalue of the Hessian",
    "test_accuracy": "test accuracy (%)",
}


@styled
def plot_few_labels(run: Run, ax: Any = None, *, task: str = "digits") -> Any:
    """Test error of each method at the end: a mark per seed, a bar at the mean.

    How to read it: left is good. All rows of one data set have the same few labels; the lower three have seen the other
    inputs too.

    Args:
        run: of `lossbook.experiments.virtual_adversarial`.
        ax: matplotlib axes; None makes new ones.
        task: one of the run's.

    Raises:
        ValueError: a data set that the run has not.
    """
    rows = run.history[run.history["step"] == run.history["step"].max()]
    check_choice("task", task, list(rows["task"].unique()))
    ax = axes_of(ax)
    groups = {name: 100 * part for name, part in rows[rows["task"] == task].groupby("method", sort=False)["test_error"]}
    plot_dots(ax, groups, COLOURS, markers=MARKERS, size=36)
    ax.set_xlabel("test error (%)")
    ax.set_xlim(left=0)
    return ax


@styled
def plot_roughness(run: Run, axes: Any = None, *, methods: tuple[str, ...] = ("cross-entropy", "VAT")) -> Any:
    """Maps of LDS over the plane of the two moons, with the boundary and the points that have a label.

    How to read it: dark is where a small step changes the prediction most; that is along the boundary. Where it runs
    through the gap between the moons, few points pay for it.

    Args:
        run: of `lossbook.experiments.virtual_adversarial`, with "moons" among its tasks.
        axes: as many matplotlib axes as methods; None makes new ones.
        methods: with a snapshot in the run.

    Raises:
        ValueError: a method without a snapshot.
    """
    kept = {shot.setting.removeprefix("moons: "): shot.arrays for shot in run.snapshots}
    for method in methods:
        check_choice("methods", method, kept)
    axes = np.atleast_1d(new_figure(len(methods), height=3.6, sharey=True)[1] if axes is None else axes)
    most = max(float(kept[method]["lds"].max()) for method in methods)
    light = ListedColormap(colormaps["Greys"](np.linspace(0, 0.6, 256)))  # lines and points stand on it
    image = None
    for ax, method in zip(axes, methods, strict=True):
        arrays = kept[method]
        horizontal, vertical = arrays["horizontal"], arrays["vertical"]
        extent = (horizontal[0], horizontal[-1], vertical[0], vertical[-1])
        shown = {"origin": "lower", "extent": extent, "interpolation": "bilinear", "cmap": light, "aspect": "equal"}
        image = ax.imshow(arrays["lds"], vmin=0, vmax=most, **shown)
        lines: Any = contour_generator(horizontal, vertical, arrays["margin"]).lines(0.0)
        ax.add_collection(LineCollection(lines, colors=INK, linewidths=1.2))
        for k, (color, marker) in enumerate(((BLUE, "o"), (ORANGE, "^"))):
            points = arrays["features"][arrays["labels"] == k]
            ax.scatter(*points.T, s=42, color=color, marker=marker, edgecolors="white", linewidths=0.6, zorder=5)
        ax.set(xlabel="$x_1$", title=method, xlim=extent[:2], ylim=extent[2:])
        ax.grid(False)
    axes[0].set_ylabel("$x_2$")
    axes[0].figure.colorbar(image, ax=list(axes), label="LDS (nats)", shrink=0.8)
    return axes


@styled
def plot_transfer(run: Run, ax: Any = None, *, metric: str = "transfer", legend: bool = True) -> Any:
    """A number of each surrogate against the epoch: means over seeds, with a band from the least seed to the largest.

    How to read it: the dotted vertical line is where the rate drops to a tenth. A line that falls before the end is a
    surrogate that should have been stopped early. The untrained network is left out.

    Args:
        run: of `lossbook.experiments.transfer`.
        ax: matplotlib axes; None makes new ones.
        metric: "transfer", "white_box", "sharpness" or "test_accuracy".
        legend: whether there is one; of several pictures side by side one is enough.

    Raises:
        ValueError: another metric.
    """
    check_choice("metric", metric, METRICS)
    ax = axes_of(ax)
    scale = 1 if metric == "sharpness" else 100
    for i, (rho, rows) in enumerate(run.history[run.history["epoch"] > 0].groupby("rho")):
        each = scale * rows.pivot(index="epoch", columns="seed", values=metric)
        own = look(i, marker=True)
        ax.plot(each.index, each.mean(axis=1), label="SGD" if rho == 0 else f"SAM, ρ = {rho:g}", markersize=5, **own)
        ax.fill_between(each.index, each.min(axis=1), each.max(axis=1), color=own["color"], alpha=0.12, linewidth=0)
    ax.axvline(run.config.drop, color=INK, linestyle=":", linewidth=1.2)
    ax.set(xlabel="epoch", ylabel=METRICS[metric])
    ax.set_ylim(bottom=0)
    if legend:
        ax.legend()
    return ax
