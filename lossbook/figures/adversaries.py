"""Pictures of attacks and of training against them."""

from typing import Any

import numpy as np

from lossbook.checks import check_choice
from lossbook.experiments.attack_strength import LOSSES, MODELS
from lossbook.experiments.fast_adversarial import METHODS
from lossbook.experiments.run import Run
from lossbook.figures.style import GREY, INK, axes_of, look, new_figure, styled

SHORT = {"cross-entropy": "CE", "CW margin": "CW", "probability margin": "PM", "all": "all five"}


@styled
def plot_attacks(run: Run, ax: Any = None, model: str = "adversarially trained") -> Any:
    """Accuracy that each attack leaves, a group for each radius.

    How to read it: lower is a stronger attack. Large marks are means over seeds, small ones the seeds; the last mark of
    a group is the worst of all five for each image.

    Args:
        run: of `lossbook.experiments.attack_strength`.
        ax: matplotlib axes; None makes new ones.
        model: a key of `lossbook.experiments.attack_strength.MODELS`.

    Returns:
        The axes.

    Raises:
        ValueError: an unknown model.
    """
    check_choice("model", model, MODELS)
    ax = axes_of(ax)
    rows = run.history[(run.history["model"] == model) & (run.history["schedule"] == "cosine")]
    radii = sorted(rows["radius"].unique())
    names = [*LOSSES, "all"]
    for i, name in enumerate(names):
        own = look(i, marker=True)
        mark = {"color": own["color"], "marker": own["marker"]}
        for k, radius in enumerate(radii):
            values = 100 * rows[(rows["loss"] == name) & (rows["radius"] == radius)]["robust_accuracy"]
            place = k + (i - (len(names) - 1) / 2) * 0.13
            ax.scatter(np.full(len(values), place), values, s=14, alpha=0.6, linewidths=0, **mark)
            ax.scatter(place, values.mean(), s=70, zorder=3, label=SHORT.get(name, name) if k == 0 else None, **mark)
    ax.set_xticks(range(len(radii)), [f"{radius:g}" for radius in radii])
    ax.grid(visible=False, axis="x")
    ax.set(xlabel="radius of the box, in units of a pixel's range", ylabel="accuracy under attack, %", title=model)
    ax.legend(ncols=2)
    return ax


@styled
def plot_ways(run: Run, ax: Any = None, loss: str = "probability margin") -> Any:
    """The way of an attack in the plane of two probabilities: the right class's and the best wrong class's.

    How to read it: a line is an image. It begins at the ring and ends at the disc. Beyond the dashed diagonal the image
    is judged wrong, and an attack that has got there stops. The two probabilities add up to at most 1: the grey line.

    Args:
        run: of `lossbook.experiments.attack_strength`.
        ax: matplotlib axes; None makes new ones.
        loss: a key of `lossbook.experiments.attack_strength.LOSSES`.

    Returns:
        The axes.

    Raises:
        ValueError: a loss that was not followed.
    """
    traced = {snapshot.setting: snapshot.arrays for snapshot in run.snapshots}
    check_choice("loss", loss, traced)
    ax = axes_of(ax)
    own, rival = traced[loss]["own"], traced[loss]["rival"]
    shade = look(0)["color"]
    ax.plot([0, 1], [0, 1], color=INK, linestyle="--", linewidth=1.2)
    ax.plot([0, 1], [1, 0], color=GREY, linewidth=1.2)
    for image in range(own.shape[1]):
        ax.plot(own[:, image], rival[:, image], color=shade, linewidth=1, alpha=0.7)
    ax.scatter(own[0], rival[0], s=32, facecolors="white", edgecolors=shade, zorder=3)
    ax.scatter(own[-1], rival[-1], s=32, color=shade, zorder=4)
    ax.text(0.04, 0.5, "judged wrong", transform=ax.transAxes)
    ax.set(xlabel="probability of the right class, $p_y$", ylabel="of the best wrong class, $p_t$", title=loss)
    ax.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
    return ax


@styled
def plot_overfitting(run: Run, axes: Any = None, methods: tuple[str, ...] = ()) -> Any:
    """Left accuracy under one step and under ten, right the epoch's loss where the step begins; over epochs.

    How to read it: left, thin lines are accuracy under one step, thick ones with marks under ten. Where they part, the
    network has learned the step. Right, a band asks that a curve does not jump. Means over seeds.

    Args:
        run: of `lossbook.experiments.fast_adversarial`.
        axes: two matplotlib axes; None makes new ones.
        methods: some of `lossbook.experiments.fast_adversarial.METHODS`; none: all that were run.

    Returns:
        The two axes.

    Raises:
        ValueError: an unknown method.
    """
    for method in methods:
        check_choice("methods", method, METHODS)
    left, right = new_figure(2)[1] if axes is None else axes
    names = list(dict.fromkeys(run.history["setting"]))
    for i, name in enumerate(names):
        if methods and name not in methods:
            continue
        rows = run.history[run.history["setting"] == name]
        measured = rows.dropna(subset=["pgd_accuracy"]).groupby("step").mean(numeric_only=True)
        own = look(i, marker=True)
        left.plot(measured.index, 100 * measured["step_accuracy"], **own | {"marker": "", "linewidth": 1})
        left.plot(measured.index, 100 * measured["pgd_accuracy"], label=name, **own | {"markersize": 5})
        losses = rows.dropna(subset=["epoch_loss"]).groupby("step")["epoch_loss"].mean()
        right.plot(losses.index, losses, label=name, **own | {"marker": ""})
    left.set(xlabel="epoch", ylabel="accuracy, %", title="Under one step (thin) and ten (thick)")
    right.set(xlabel="epoch", ylabel="mean loss of the epoch, nats", title="The loss where the step begins")
    left.legend()
    return np.array([left, right])
