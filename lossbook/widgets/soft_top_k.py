"""Eight scores, three of them right: how much each is among the k highest, and whom a loss pulls up or pushes down."""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from lossbook.figures.html import in_words
from lossbook.figures.style import BLUE, INK, ORANGE, new_figure, styled
from lossbook.losses import cross_entropy, decoupled_softmax_loss, soft_top_k_loss
from lossbook.losses._top_k import soft_top_k
from lossbook.widgets.controls import Control, choice, slider
from lossbook.widgets.explorer import Explorer, Preset

RIGHT = 3  # the first of the row
MOVED = ("A", "B", "C", "D")  # three right labels and the strongest wrong one
OTHERS = (-0.5, -1.0, -1.5, -2.5)
NAMES = tuple("ABCDEFGH")
LOWEST, HIGHEST = -4.0, 4.0

PRESETS = {
    "the best right label, by softmax": Preset(
        "A is far ahead. The softmax wants all three right labels at one third, so it pushes A down, like a wrong one.",
        {"A": 3.0, "B": 1.0, "C": 0.5, "D": 0.0, "loss": "softmax"},
    ),
    "the same, decoupled": Preset(
        "Each right label competes with the wrong ones alone: all three are pulled up, A hardly at all.",
        {"A": 3.0, "B": 1.0, "C": 0.5, "D": 0.0, "loss": "decoupled softmax"},
    ),
    "the same, soft top-k": Preset(
        "With k = 3 there is room for all three. A is in and left alone; most of the force is at the water level.",
        {"A": 3.0, "B": 1.0, "C": 0.5, "D": 0.0, "loss": "soft top-k"},
    ),
    "one right label is lost": Preset(
        "C is far below. What it is to gain the others must lose, most of all those at the water level: B, right as it "
        "is, is pushed down with the wrong ones.",
        {"A": 3.0, "B": 0.5, "C": -2.0, "D": 1.0, "loss": "soft top-k", "sharpness": 4.0},
    ),
    "too few places": Preset(
        "Three right labels and k = 1: the loss cannot reach 0, and two right labels push the third one out.",
        {"A": 2.0, "B": 1.5, "C": 1.0, "D": -1.0, "k": 1.0, "loss": "soft top-k"},
    ),
    "a hard border": Preset(
        "α = 8: membership is nearly 0 or 1. Move D across the water level and see it swap places with C.",
        {"A": 3.0, "B": 1.0, "C": 0.5, "D": 0.0, "sharpness": 8.0, "loss": "soft top-k"},
        then={"D": (0.5, 1.0)},
    ),
}


def _right(scores: Tensor) -> Tensor:
    return (torch.arange(len(scores)) < RIGHT).to(scores.dtype)


def _softmax(scores: Tensor, k: float, sharpness: float) -> Tensor:
    return cross_entropy(scores[None], _right(scores)[None] / RIGHT)


def _decoupled(scores: Tensor, k: float, sharpness: float) -> Tensor:
    return decoupled_softmax_loss(scores[None], torch.arange(RIGHT)[None])


def _top_k(scores: Tensor, k: float, sharpness: float) -> Tensor:
    return soft_top_k_loss(scores, _right(scores), k=k, sharpness=sharpness)


LOSSES: dict[str, Callable[[Tensor, float, float], Tensor]] = {
    "softmax": _softmax,
    "decoupled softmax": _decoupled,
    "soft top-k": _top_k,
}


def row(moved: Mapping[str, float]) -> Tensor:
    """The eight scores: the four that the reader moves, and four that stay.

    Example:
        >>> row({"A": 2.0, "B": 1.0, "C": 0.0, "D": 0.5}).tolist()
        [2.0, 1.0, 0.0, 0.5, -0.5, -1.0, -1.5, -2.5]
    """
    return torch.tensor([*(moved[name] for name in MOVED), *OTHERS], dtype=torch.float64)


def level(scores: Tensor, k: float, sharpness: float) -> tuple[Tensor, float]:
    """Each score's membership, and the water level −t: the score at which it is a half."""
    p = soft_top_k(scores, k, sharpness=sharpness)
    nearest = int((p - 0.5).abs().argmin())  # of those that are nearly 0 or 1 the logit has lost its digits
    return p, float(scores[nearest] - p[nearest].logit() / sharpness)


def pulls(loss: str, scores: Tensor, k: float, sharpness: float) -> tuple[float, Tensor]:
    """The loss, and minus its gradient by each score: above 0 a label is pulled up."""
    with torch.enable_grad():
        scores = scores.detach().requires_grad_()
        value = LOSSES[loss](scores, k, sharpness)
        (slope,) = torch.autograd.grad(value, scores)
    return float(value.detach()), -slope


class SoftTopKExplorer(Explorer):
    """Eight labels: their scores and the water level, how much each is among the k highest, and the pull of a loss.

    How to read it: A, B and C are right, the others wrong. Left, the scores, and the water level −t at which a label is
    half in. Middle, the memberships p, which add up to k. Right, what a step down the gradient does: up or down.

    Args:
        presets: name -> `Preset`; None takes the built-in ones.

    Example:
        >>> explorer = SoftTopKExplorer()
        >>> explorer.choose("the best right label, by softmax")
        >>> "Right labels pushed down: A." in explorer.alt
        True
    """

    together = (("loss", "A"), ("k", "sharpness"))
    at_presets = ("loss", "C", "D")

    def __init__(self, *, presets: Mapping[str, Preset] | None = None):
        self._build()
        scores = {
            name: slider(f"score of {name}", value, LOWEST, HIGHEST, 0.25, meaning)
            for name, value, meaning in (
                ("A", 2.0, "a right label"),
                ("B", 1.0, "a right label"),
                ("C", 0.0, "a right label"),
                ("D", 0.5, "the strongest wrong label"),
            )
        }
        controls: dict[str, Control] = {
            "loss": choice("loss", list(LOSSES), "soft top-k"),
            **scores,
            "k": slider("k", 3.0, 0.5, 7.5, 0.5, "how many places there are"),
            "sharpness": slider("sharpness α", 1.0, 0.5, 10.0, 0.5, "how hard the border is"),
        }
        super().__init__(self._figure, controls, PRESETS if presets is None else presets)

    @styled
    def _build(self) -> None:
        self._figure, axes = new_figure(3, width=10.0, height=3.7)
        colours = [ORANGE] * RIGHT + [BLUE] * (len(NAMES) - RIGHT)
        hatches = ["//"] * RIGHT + [""] * (len(NAMES) - RIGHT)
        titles = ("Score and water level", "Membership p", "Pull up (+) or down (−)")
        self._bars = []
        for ax, title in zip(axes, titles, strict=True):
            bars = ax.bar(range(len(NAMES)), [0.0] * len(NAMES), color=colours, animated=True, zorder=2)
            for bar, hatch in zip(bars, hatches, strict=True):
                bar.set(hatch=hatch, edgecolor="white", linewidth=0.5)
            self._bars.append(bars)
            ax.set_xticks(range(len(NAMES)), list(NAMES))
            ax.set(title=title, xlabel="label: A, B, C are right")
            ax.grid(False, axis="x")
            ax.axhline(0, color=INK, linewidth=0.8)
        axes[0].set(ylim=(1.15 * LOWEST, 1.15 * HIGHEST), ylabel="score")
        axes[1].set(ylim=(0, 1.05), ylabel="membership")
        axes[2].set(ylim=(-1.05, 1.05), ylabel="pull, over the strongest")
        self._water = axes[0].axhline(0, color=INK, linewidth=2, linestyle="--", animated=True, zorder=4)

    def _show(self, values: dict[str, Any]) -> tuple[str, str]:
        loss, k, sharpness = values["loss"], values["k"], values["sharpness"]
        scores = row(values)
        p, water = level(scores, k, sharpness)
        value, pull = pulls(loss, scores, k, sharpness)
        strongest = float(pull.abs().max())
        shown = (scores, p, pull / strongest if strongest > 0 else pull)
        for bars, heights in zip(self._bars, shown, strict=True):
            for bar, height in zip(bars, heights.tolist(), strict=True):
                bar.set_height(height)
        self._water.set_ydata([water, water])
        down = [name for name, force in zip(NAMES[:RIGHT], pull.tolist(), strict=False) if force < -1e-9]
        up = [name for name, force in zip(NAMES[RIGHT:], pull.tolist()[RIGHT:], strict=True) if force > 1e-9]
        title = f"{loss}: loss {in_words(value)}; k = {in_words(k)}, α = {in_words(sharpness)}"
        reading = f"Right labels pushed down: {', '.join(down) or 'none'}."
        if up:
            reading += f" Wrong labels pulled up: {', '.join(up)}."
        alt = (
            f"{title}. Three bar charts of eight labels. Scores {_list(scores)}, water level {in_words(water)}; "
            f"memberships {_list(p)}, which add up to {in_words(float(p.sum()))}; pulls {_list(pull)}. {reading}"
        )
        return alt, f"{title}. Water level {in_words(water)}. {reading}"


def _list(numbers: Tensor) -> str:
    return "(" + ", ".join(f"{number:.2f}".replace("-0.00", "0.00").replace("-", "−") for number in numbers) + ")"
