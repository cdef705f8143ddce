"""Pictures of the losses that know doubt: temperatures of labels, draws of answers and of slopes, what looks rare."""

from typing import Any

import numpy as np
import torch

from lossbook.checks import check_choice
from lossbook.experiments.run import Run
from lossbook.figures.dots import plot_dots
from lossbook.figures.style import BLUE, GREY, INK, MARKERS, ORANGE, axes_of, in_order, look, new_figure, styled
from lossbook.training import EnsLoss

BINS = 40


@styled
def plot_noise_accuracy(run: Run, axes: Any = None) -> Any:
    """Test accuracy at the end, a picture a kind of noise: a row a loss, a mark a seed, a bar at the mean.

    How to read it: to the right is good. Compare the rows within a picture; the scales of the pictures differ.

    Args:
        run: of `lossbook.experiments.label_uncertainty`.
        axes: as many matplotlib axes as the run has kinds of noise; None makes new ones.
    """
    last = run.history[run.history["step"] == run.history["step"].max()]
    noises = list(dict.fromkeys(last["noise"]))
    axes = np.atleast_1d(new_figure(len(noises), height=3.6, sharey=True)[1] if axes is None else axes)
    colours = {loss: ORANGE if "LDR" in loss else BLUE for loss in last["loss"]}
    for ax, noise in zip(axes, noises, strict=True):
        rows = 100 * last[last["noise"] == noise].set_index("loss")["test_accuracy"]
        plot_dots(ax, dict(iter(rows.groupby(level=0, sort=False))), colours, markers=MARKERS, size=26)
        ax.set(xlabel="test accuracy (%)", title=noise)
        ax.margins(x=0.12)
        ax.locator_params(axis="x", nbins=3)
    return axes


@styled
def plot_temperatures(run: Run, ax: Any = None, *, loss: str = "ALDR, λ₀ = 10") -> Any:
    """The temperatures that the examples end with: those whose label is right, and those whose label was replaced.

    How to read it: 1 is where all begin. To the left lie the examples of which the network has become sure.

    Args:
        run: of `lossbook.experiments.label_uncertainty`.
        ax: matplotlib axes; None makes new ones.
        loss: an adaptive one of the run.

    Raises:
        ValueError: a loss of which the run has no snapshot.
    """
    check_choice("loss", loss, list(dict.fromkeys(shot.setting for shot in run.snapshots)))
    ax = axes_of(ax)
    arrays = [shot.arrays for shot in run.snapshots if shot.setting == loss][-1]
    level, wrong = arrays["temperature"].astype(float), arrays["wrong"]
    edges = np.linspace(level.min(), max(1.0, level.max()), BINS + 1)
    for name, chosen, style in (
        ("right labels", ~wrong, {"color": BLUE, "alpha": 0.3, "fill": True}),
        ("replaced labels", wrong, {"color": ORANGE, "linewidth": 2.4}),
    ):
        share = 100 * np.histogram(level[chosen], edges)[0] / chosen.sum()
        ax.stairs(share, edges, label=name, **style)
    ax.set(xlabel="temperature λ_i/λ₀", ylabel="examples in a bin (%)", title=loss)
    ax.locator_params(axis="x", nbins=5)
    ax.legend(loc="best")
    return ax


@styled
def plot_coverage(run: Run, axes: Any = None) -> Any:
    """Left pass@N of cross-entropy as it trains, right pass@N of every loss at the end, against N.

    How to read it: left, mean and range over seeds; a line that turns down is paid for by the one that rises. Right,
    the higher line at an N is the loss to have for N draws; the marks are means, the bars the range over seeds.

    Args:
        run: of `lossbook.experiments.coverage`.
        axes: two matplotlib axes; None makes new ones.
    """
    left, right = new_figure(2)[1] if axes is None else axes
    draws = [int(name.removeprefix("pass_")) for name in run.history.columns if name.startswith("pass_")]
    plain = run.history[run.history["samples"] == 1]
    for i, (n, shade) in enumerate(zip(draws, in_order(len(draws)), strict=True)):
        by_step = 100 * plain.groupby("step")[f"pass_{n}"].agg(["mean", "min", "max"])
        own = look(i, marker=True) | {"color": shade, "markevery": max(1, len(by_step) // 5)}
        left.plot(by_step["mean"], label=f"N = {n}", **own)
        left.fill_between(by_step.index, by_step["min"], by_step["max"], color=shade, alpha=0.15, linewidth=0)
    left.set(xlabel="step", ylabel="pass@N on new letters (%)", title="Cross-entropy", ylim=(0, 101))
    left.legend(loc="lower right")
    last = run.history[run.history["step"] == run.history["step"].max()]
    for i, (name, rows) in enumerate(last.groupby("setting", sort=False)):
        found = 100 * rows[[f"pass_{n}" for n in draws]].to_numpy()
        mean = found.mean(0)
        spread = np.stack([mean - found.min(0), found.max(0) - mean])
        right.errorbar(draws, mean, spread, label=name, capsize=3, **look(i, marker=True))
    right.set_xscale("log", base=2)
    right.set_xticks(draws, labels=[str(n) for n in draws])
    right.minorticks_off()
    right.set(xlabel="draws N", ylabel="pass@N on new letters (%)", title="All losses, at the end", ylim=(0, 101))
    right.legend(loc="lower right")
    return np.array([left, right])


@styled
def plot_slopes(ax: Any = None, *, draws: int = 20, batch: int = 64, box_cox: float = 0.0, seed: int = 0) -> Any:
    """Slopes that EnsLoss draws, against the margin, with those of the fixed losses.

    How to read it: a grey staircase is one batch's slope. None falls anywhere: each is the slope of a convex loss.

    Args:
        ax: matplotlib axes; None makes new ones.
        draws: staircases.
        batch: margins of each, spread evenly from −3 to 4.
        box_cox: EnsLoss's.
        seed: of the draws.
    """
    ax = axes_of(ax)
    s = torch.linspace(-3, 4, batch, dtype=torch.float64)
    drawn = EnsLoss(torch.Generator().manual_seed(seed), box_cox=box_cox)
    for k in range(draws):
        ax.step(
            s, drawn.slopes(s), where="mid", color=GREY, linewidth=0.8, alpha=0.7, label="drawn" if k == 0 else None
        )
    fixed = {"logistic": -torch.sigmoid(-s), "hinge": -(s < 1).double(), "exponential": -(-s).exp()}
    for i, (name, slope) in enumerate(fixed.items()):
        ax.plot(s, slope, label=name, **look(i + 1))
    ax.set(xlabel="margin s", ylabel="slope of the loss", ylim=(-1.6, 0.1))
    ax.legend(loc="lower right")
    return ax


@styled
def plot_overfitting(run: Run, axes: Any = None) -> Any:
    """Test accuracy against the step, a picture for each share of labels turned over: means over seeds.

    How to read it: a line that falls after its best is over-fitting. Seeds differ by more than losses do, so compare
    within a seed, as the headlines of the experiment do.

    Args:
        run: of `lossbook.experiments.loss_ensemble`.
        axes: as many matplotlib axes as the run has noises; None makes new ones.
    """
    noises = sorted(run.history["noise"].unique())
    axes = np.atleast_1d(new_figure(len(noises), sharey=True)[1] if axes is None else axes)
    for ax, noise in zip(axes, noises, strict=True):
        for i, (name, rows) in enumerate(run.history[run.history["noise"] == noise].groupby("loss", sort=False)):
            mean = 100 * rows[rows["step"] > 0].groupby("step")["test_accuracy"].mean()
            ax.plot(mean, label=name, markevery=max(1, len(mean) // 6), markersize=5, **look(i, marker=True))
        ax.set(xlabel="step", ylabel="test accuracy (%)", title=f"{100 * noise:g} % of the labels turned over")
    axes[0].legend(loc="lower right")
    return axes


@styled
def plot_appearance(run: Run, axes: Any = None) -> Any:
    """Left the training pictures by how common they look, right the accuracy on rare pictures, a row a way to weigh.

    How to read it: left, darker is rarer, and the triangles are the pictures turned over. Right, a mark a seed, a bar
    at the mean.

    Args:
        run: of `lossbook.experiments.equity`.
        axes: two matplotlib axes; None makes new ones.
    """
    left, right = new_figure(2)[1] if axes is None else axes
    arrays = run.snapshots[0].arrays
    x, y = arrays["places"].T
    likelihood, rare = arrays["likelihood"], arrays["rare"]
    for chosen, marker, name in ((~rare, "o", "as they are"), (rare, "^", "turned over")):
        shade = {"c": likelihood[chosen], "cmap": "viridis", "vmin": 0.0, "vmax": 1.2 * likelihood.max()}
        marks = left.scatter(x[chosen], y[chosen], s=16, marker=marker, linewidths=0, label=name, **shade)
    left.figure.colorbar(marks, ax=left, label="likelihood p")
    left.set(xlabel="first principal component", ylabel="second principal component")
    legend = left.legend(loc="center")
    for handle in legend.legend_handles:
        handle.set_array(None)  # else the legend has the colours of two pictures
        handle.set_facecolor(INK)
    last = run.history[run.history["step"] == run.history["step"].max()]
    rows = 100 * last.set_index("setting")["rare_accuracy"]
    colours = {way: ORANGE if way.startswith("equity") else BLUE for way in last["setting"]}
    plot_dots(right, dict(iter(rows.groupby(level=0, sort=False))), colours, markers=MARKERS)
    right.set(xlabel="accuracy on pictures turned over (%)")
    return np.array([left, right])
