"""Pictures of training for calibration and mending it afterwards: confidence by loss, calibrators, learned links."""

from typing import Any

import numpy as np
import torch

from lossbook.checks import check_choice
from lossbook.experiments.calibrators import BINS
from lossbook.experiments.dual_focal import REGIMES
from lossbook.experiments.learned_link import MODELS
from lossbook.experiments.run import Run
from lossbook.figures.style import BLUE, DASHES, GREY, INK, MARKERS, ORANGE, axes_of, look, new_figure, styled
from lossbook.losses import cross_entropy, dual_focal_loss, focal_loss

OTHERS = 50  # classes that share the rest


@styled
def plot_dual_focal(axes: Any = None, *, gamma: float = 5.0, rival: float = 0.3) -> Any:
    """The loss, and how hard it pulls the right score up, while the right class overtakes another.

    How to read it: fifty more classes share what is left. Left of the dotted line the right class is behind the rival,
    and dual focal is hardly more than focal loss. Just right of it the whole rival counts: both pictures jump.

    Args:
        axes: two matplotlib axes; None makes new ones.
        gamma: of both.
        rival: the rival's probability, above 0 and below 1/2.
    """
    left, right = new_figure(2, height=3.8)[1] if axes is None else axes
    behind = torch.linspace(0.02, rival - 1e-6, 200, dtype=torch.float64)
    ahead = torch.linspace(rival + 1e-6, 0.995 - rival, 300, dtype=torch.float64)
    kinds: dict[str, Any] = {"cross-entropy": cross_entropy, "focal": focal_loss, "dual focal": dual_focal_loss}
    for i, (name, loss) in enumerate(kinds.items()):
        options = {} if name == "cross-entropy" else {"gamma": gamma}
        for k, p in enumerate((behind, ahead)):
            rest = ((1 - rival - p) / OTHERS)[:, None].expand(-1, OTHERS)
            logits = torch.cat([p[:, None], torch.full_like(p, rival)[:, None], rest], -1).log().requires_grad_()
            cost = loss(logits, torch.zeros(len(p), dtype=torch.long), reduction="none", **options)
            pull = -torch.autograd.grad(cost.sum(), logits)[0][:, 0]
            label = {"label": name if i == 0 else f"{name}, γ = {gamma:g}"} if k else {}
            for ax, values in ((left, cost.detach()), (right, pull)):
                ax.plot(p, values, **look(i), **label)
    for ax, words in ((left, "loss (nats)"), (right, "pull on the right score")):
        ax.axvline(rival, color=GREY, linestyle=":", linewidth=1.5)
        ax.set(xlabel="probability of the right class", ylabel=words, xlim=(0, 1 - rival), ylim=(0, 3))
    left.legend(fontsize=10)
    return left, right


@styled
def plot_temperature(temperatures: Any, held_out: Any, training: Any, fitted: float, ax: Any = None) -> Any:
    """Mean cross-entropy against the temperature, on images that the network has learned and on others.

    How to read it: the line of the learned images falls to the left, for there every answer is right: a temperature is
    never fitted on them. The other has its lowest point at the dotted line.

    Args:
        temperatures: where it was computed, ascending.
        held_out, training: the losses there, in nats.
        fitted: the best temperature.
        ax: matplotlib axes; None makes new ones.
    """
    ax = axes_of(ax)
    for i, (name, values) in enumerate({"held out": held_out, "learned by heart": training}.items()):
        ax.plot(temperatures, values, label=name, **look(i))
    ax.axvline(fitted, color=GREY, linestyle=":", linewidth=1.5)
    ax.set(xscale="log", xlabel="temperature T", ylabel="mean cross-entropy (nats)")
    ax.xaxis.set_major_formatter("{x:g}")
    ax.legend(fontsize=10)
    return ax


@styled
def plot_confidence(
    run: Run, ax: Any = None, *, regime: str = "over-trained", scaled: bool = False, legend: bool = True
) -> Any:
    """Mean confidence and accuracy at the end, a row a loss: small marks are the seeds, large ones their means.

    How to read it: a bar that reaches from the circle to the right is confidence that nothing covers. One that reaches
    to the left is doubt without a reason.

    Args:
        run: of `lossbook.experiments.dual_focal`.
        ax: matplotlib axes; None makes new ones.
        regime: "tuned" or "over-trained".
        scaled: after the temperature.
        legend: whether there is one, with room for it below the rows.

    Raises:
        ValueError: another regime.
    """
    check_choice("regime", regime, REGIMES)
    ax = axes_of(ax)
    last = run.history[(run.history["step"] == run.history["step"].max()) & (run.history["regime"] == regime)]
    marks = {"accuracy": (BLUE, "o"), "confidence": (ORANGE, "D")}
    settings = list(dict.fromkeys(last["setting"]))
    for place, setting in enumerate(settings):
        rows = last[last["setting"] == setting]
        ends = {name: 100 * rows[("scaled_" if scaled else "") + name] for name in marks}
        ax.plot([found.mean() for found in ends.values()], [place] * 2, color=GREY, linewidth=6, alpha=0.5, zorder=0)
        for name, (colour, marker) in marks.items():
            label = {"label": "accuracy" if name == "accuracy" else "mean confidence"} if place == 0 else {}
            ax.scatter(ends[name], [place + 0.22] * len(rows), s=12, color=colour, marker=marker, linewidths=0)
            ax.plot([ends[name].mean()], [place], linestyle="none", color=colour, marker=marker, markersize=9, **label)
    ax.set_yticks(range(len(settings)), settings)
    ax.set(xlabel="share of the test images (%)", ylim=(len(settings) + (0.6 if legend else -0.4), -0.6))
    ax.set_title(regime + (", with T" if scaled else ""))
    if legend:
        ax.legend(loc="lower left", fontsize=10, ncols=2, columnspacing=0.6, handletextpad=0.2, handlelength=1.2)
    return ax


NUMBERS = {
    "ece": "ECE, 15 bins (%)",
    "scaled_ece": "ECE after the temperature (%)",
    "confidence_wrong": "confidence where wrong (%)",
    "auc": "AUC: right above wrong (%)",
}


@styled
def plot_numbers(run: Run, axes: Any = None, *, numbers: tuple[str, ...], part: str = "", regime: str = "") -> Any:
    """Numbers of each setting, a picture each: a mark a seed, a bar at the mean.

    Args:
        run: of `lossbook.experiments.dual_focal` or `lossbook.experiments.calibrators`.
        axes: as many matplotlib axes as numbers; None makes new ones.
        numbers: among "ece", "scaled_ece", "confidence_wrong", "auc", those that the run has.
        part: "upright" or "turned", of calibrators; all by default.
        regime: "tuned" or "over-trained", of dual focal; all by default.

    Raises:
        ValueError: another number.
    """
    for name in numbers:
        check_choice("numbers", name, set(NUMBERS) & set(run.history.columns))
    rows = run.history
    for column, wanted in (("part", part), ("regime", regime)):
        rows = rows[rows[column] == wanted] if wanted else rows
    rows = rows[rows["step"] == rows["step"].max()] if "step" in rows else rows
    axes = np.atleast_1d(new_figure(len(numbers), height=3.2, sharey=True)[1] if axes is None else axes)
    settings = list(dict.fromkeys(rows["setting"]))
    for ax, number in zip(axes, numbers, strict=True):
        for place, setting in enumerate(settings):
            found = 100 * rows[rows["setting"] == setting][number]
            ax.barh(place, found.mean(), 0.6, color=BLUE, alpha=0.3)
            ax.scatter(found, np.full(len(found), place), color=BLUE, marker=MARKERS[place % len(MARKERS)], s=26)
        low = rows[number].min()
        ax.set(xlabel=NUMBERS[number], xlim=(max(0.0, 100 * low - 10), None) if low > 0.5 else None)
        ax.locator_params(axis="x", nbins=4)
    axes[0].set_yticks(range(len(settings)), settings)
    axes[0].invert_yaxis()
    return axes


@styled
def plot_wrong_confidence(run: Run, ax: Any = None, *, settings: tuple[str, ...] = ()) -> Any:
    """How sure a classifier is of its wrong answers: a line a calibrator, the shares in 20 bins of confidence.

    How to read it: mass on the right is harm. A calibrator that knows its errors moves it to the left.

    Args:
        run: of `lossbook.experiments.calibrators`.
        ax: matplotlib axes; None makes new ones.
        settings: of the run's; all of them by default.

    Raises:
        ValueError: a setting that the run has not.
    """
    ax = axes_of(ax)
    shots = {shot.setting: shot.arrays["wrong"] for shot in run.snapshots}
    for name in settings:
        check_choice("settings", name, shots)
    edges = np.linspace(0, 100, BINS + 1)
    for i, name in enumerate(settings or shots):
        style = look(i)
        ax.stairs(100 * shots[name], edges, label=name, color=style["color"], linestyle=style["linestyle"], linewidth=2)
    ax.set(xlabel="confidence (%)", ylabel="share of the wrong answers (%)", xlim=(0, 100))
    ax.legend(fontsize=10)
    return ax


@styled
def plot_links(run: Run, axes: Any = None) -> Any:
    """The true link and what each model makes of it, along the line of the true score; a picture a link.

    How to read it: grey is the truth. Nine points in ten lie between the dotted lines.

    Args:
        run: of `lossbook.experiments.learned_link`.
        axes: as many matplotlib axes as links; None makes new ones.
    """
    shots = run.snapshots
    axes = np.atleast_1d(new_figure(len(shots), height=3.4, sharey=True)[1] if axes is None else axes)
    for ax, shot in zip(axes, shots, strict=True):
        arrays = shot.arrays
        ax.plot(arrays["score"], arrays["truth"], color=GREY, linewidth=6, alpha=0.6, label="truth")
        for i, (name, curve) in enumerate(zip(MODELS, arrays["probability"], strict=True)):
            ax.plot(arrays["score"], curve, color=(BLUE, ORANGE)[i], linestyle=DASHES[1 - i], label=name)
        for edge in (-2.97, 2.97):  # 1.645 standard deviations of the score
            ax.axvline(edge, color=INK, linestyle=":", linewidth=1)
        ax.set(xlabel="true score w · x", title=shot.setting, ylim=(-0.02, 1.02))
    axes[0].set_ylabel("probability of class 1")
    axes[-1].legend(fontsize=10, loc="lower right", handlelength=1.8)
    return axes
