"""Float formats on the number line: where the numbers lie, and where 1 + x is 1."""

import math
from typing import Any

import numpy as np
import torch

from lossbook.experiments.softmax_precision import FORMATS, collapse_gap
from lossbook.figures.html import in_words
from lossbook.figures.softmax import FORMAT_COLOURS
from lossbook.figures.style import BLUE, DASHES, INK, ORANGE, new_figure, styled
from lossbook.widgets.controls import choice, slider
from lossbook.widgets.explorer import Explorer, Preset

LARGEST_GAP = 40.0
NUMBERS = (
    -2.0,
    -1.5,
    -1.0,
    -0.5,
    0.0,
    1.0,
    2.0,
    3.0,
    4.0,
)  # of the format, in steps from the base; half as far below it
NAMED = (-2, 0, 4)
PRESETS = {
    "softmax collapse in float32": Preset(
        "A right class 16.7 nats ahead of one other. 1 + e^(−gap) lies nearer to 1 than to its neighbour, so p is 1, "
        "and the gradient on the right class is gone.",
        {"format": "float32", "gap": 16.7},
    ),
    "the same gap in float64": Preset(
        "The neighbours of 1 are half a billion times nearer, and the gradient is still there.",
        {"format": "float64", "gap": 16.7},
    ),
    "half a unit in the last place": Preset(
        "Just below 7.62 nats a float16 rounds up to the next number; just above, back to 1.",
        {"format": "float16", "gap": 7.6},
    ),
    "bfloat16 is coarse": Preset(
        "Range like float32, but eight binary digits: 5.6 nats are enough to be sure.",
        {"format": "bfloat16", "gap": 5.6},
    ),
    "from 1024 on": Preset(
        "Numbers lie as densely as their size allows: from 1024 on a float16 has no halves.",
        {"format": "float16", "power": 10.0, "gap": 7.6},
    ),
}


class FloatLineExplorer(Explorer):
    """Left: the numbers of a format next to a power of two, and where base · (1 + e^(−gap)) is put among them. Right:
    the gradient of cross-entropy on the right class of two, in each format, as the gap of their logits grows.

    How to read it: left, the cross is the true sum and the dot the number that stands for it. When the dot falls on the
    base, what was added is lost. Right, each format's line ends where that happens at 1: there 1 − p is exactly 0.

    Example:
        >>> explorer = FloatLineExplorer()
        >>> explorer.set(format="float32", gap=16.7)
        >>> "is rounded to 1 itself" in explorer.alt
        True
    """

    together = (("format", "gap"), ("format", "power"))
    at_presets = ("format", "gap")

    @styled
    def __init__(self) -> None:
        figure, (self._line, self._curves) = new_figure(2, height=3.8)
        still: dict[str, Any] = {"color": INK, "linestyle": "none"}
        moving: dict[str, Any] = {"animated": True, "linestyle": "none"}
        self._line.plot(NUMBERS, [0] * len(NUMBERS), marker="|", markersize=34, markeredgewidth=2, **still)
        self._line.axhline(0, color=INK, linewidth=1)
        (self._stem,) = self._line.plot([], [], color="#888888", linewidth=1.5, animated=True)
        (self._truth,) = self._line.plot([], [], "X", color=ORANGE, markersize=12, zorder=5, **moving)
        (self._rounded,) = self._line.plot([], [], "o", color=BLUE, markersize=11, zorder=4, **moving)
        self._names = [
            self._line.text(place, -0.32, "", ha="center", va="top", fontsize=10, animated=True) for place in NAMED
        ]
        self._words = self._line.text(-2.9, 0.92, "", va="top", fontsize=11, animated=True)
        self._line.set(xlim=(-3.2, 5.2), ylim=(-1, 1), yticks=[], xticks=range(-2, 5))
        self._line.set(xlabel="steps between numbers of the format, from the base", title="numbers around the base")
        gaps = np.linspace(0, LARGEST_GAP, 401)
        self._curves.plot(gaps, _slope(gaps), color="#bbbbbb", linewidth=5, label="true")
        for i, (name, dtype) in enumerate(FORMATS.items()):
            end = collapse_gap(dtype)
            to = np.append(gaps[gaps < end], [end, end])
            height = np.append(_slope(to[:-1]), 1e-19)
            self._curves.plot(to, height, color=FORMAT_COLOURS[name], linestyle=DASHES[i], label=name)
        self._curves.set(yscale="log", xlim=(0, LARGEST_GAP), ylim=(1e-18, 2), title="1 − p, the pull that is left")
        self._curves.set(xlabel="gap of the two logits (nats)", ylabel="|gradient on the right class|")
        self._curves.legend(fontsize=10)
        (self._here,) = self._curves.plot([], [], "o", color=INK, markersize=9, animated=True)
        controls = {
            "format": choice("format", list(FORMATS), "float32"),
            "power": slider("power k", 0.0, -14.0, 15.0, 1.0, "the base is 2^k"),
            "gap": slider("gap", 15.5, 0.0, LARGEST_GAP, 0.1, "nats; x = base · e^(−gap) is added to the base"),
        }
        super().__init__(figure, controls, PRESETS)

    def _show(self, values: dict[str, Any]) -> tuple[str, str]:
        name, base, gap = values["format"], 2.0 ** round(values["power"]), values["gap"]
        dtype = FORMATS[name]
        spacing = base * torch.finfo(dtype).eps
        added = base * math.exp(-gap)
        # The sum is taken in float64 steps from the base, for float64 itself could not hold 1 + x.
        steps = added / spacing
        number = _nearest_even(steps)
        far = steps > 4.5
        place = 5.0 if far else steps
        self._truth.set_data([place], [0.28])
        self._stem.set_data([place, 5.0 if far else number], [0.28, 0])
        self._rounded.set_data([] if far else [number], [] if far else [0])
        for text, at in zip(self._names, NAMED, strict=True):
            text.set_text("base" if at == 0 else f"base {'+' if at > 0 else '−'} {abs(at) * spacing:.2g}")
        slope = _rounded_slope(gap, dtype)
        self._here.set_data([gap], [max(slope, 1.3e-18)])
        lost = number == 0
        fate = "itself" if lost else f"+ {number:.0f} steps" if number > 1 else "+ 1 step"
        self._words.set_text(f"{name}: neighbours {spacing:.2g} apart\nx = {added:.2g} is {steps:.2g} steps")
        alt = (
            f"{name} around {base:g}: neighbours lie {in_words(spacing)} apart. Adding x = {in_words(added)}, "
            f"{in_words(steps)} steps, is rounded to {base:g} {fate}. Right: at a gap of {gap:.1f} nats the "
            f"gradient on the right class is {in_words(slope)} in {name} and {in_words(_slope(gap))} in truth; it is "
            f"exactly 0 from {collapse_gap(dtype):.2f} nats on."
        )
        caption = (
            f"{name}: {base:g} + {in_words(added)} is {base:g} {fate}; 1 − p is {in_words(slope)}, "
            f"truly {in_words(_slope(gap))}."
        )
        return alt, caption


def _nearest_even(steps: float) -> float:
    """The number of steps that is kept: the nearest, and of two equally near the even one."""
    return float(np.rint(steps))


def _slope(gap: Any) -> Any:
    """1 − p of the right one of two classes, without cancellation."""
    return 1 / (1 + np.exp(gap))


def _rounded_slope(gap: float, dtype: torch.dtype) -> float:
    """1 − p as the format has it: p is 1/(1 + e^(−gap)), each operation rounded."""
    exponential = torch.tensor(math.exp(-gap), dtype=torch.float64).to(dtype)
    one = torch.ones((), dtype=dtype)
    return float(1 - 1 / (one + exponential))
