"""Softmax one element at a time: what each algorithm reads, remembers and writes."""

import math
from typing import Any

import numpy as np

from lossbook.checks import bad_value
from lossbook.figures.html import in_words
from lossbook.figures.style import BLUE, GREY, INK, ORANGE, new_figure, styled
from lossbook.kernels.softmax import ALGORITHMS, LN2, Step, softmax_steps
from lossbook.widgets.controls import choice, slider
from lossbook.widgets.explorer import Explorer, Preset

ROWS: dict[str, tuple[float, ...]] = {
    "ordinary": (1.0, 2.5, -0.5, 3.0, 0.0, 2.0),
    "rising": (-2.0, -1.0, 0.0, 1.0, 2.0, 3.0),
    "large": (998.0, 1000.0, 997.0, 1001.0, 999.0, 1000.5),
    "very negative": (-1001.0, -1000.0, -1003.0, -999.0, -1002.0, -1000.5),
    "masked": (-math.inf, 1.0, -math.inf, 2.0, 0.5, -math.inf),
}
WALKS_AT_MOST = 3
REACH = 6.0  # logits are drawn up to so far from the middle c of their row
PRESETS = {
    "naive, large logits": Preset(
        "exp(998) is no float32. The sum is infinite after one step, and inf / inf is no number.",
        {"algorithm": "naive", "row": "large", "step": 7.0},
    ),
    "naive, very negative logits": Preset(
        "Every exponential is 0, and so is their sum.", {"algorithm": "naive", "row": "very negative", "step": 7.0}
    ),
    "online, rising logits": Preset(
        "Each step finds a new maximum, so each step shrinks the sum so far before it adds.",
        {"algorithm": "online", "row": "rising", "step": 5.0},
    ),
    "online, done": Preset(
        "Two walks: twelve reads where three-pass takes eighteen.",
        {"algorithm": "online", "row": "large", "step": 18.0},
    ),
    "two-pass, large logits": Preset(
        "The sum is a mantissa near 1 and a whole exponent, like a float with a larger exponent. No maximum is sought.",
        {"algorithm": "two-pass", "row": "large", "step": 6.0},
    ),
}


class SoftmaxStepsExplorer(Explorer):
    """One row of six logits, and an algorithm that walks over it, a visit to one element at a time.

    How to read it: left, the logits; the striped one is being visited, and the line is the log of the sum so far.
    Right, the probabilities that are written already. The words between say what is remembered, which is all that the
    algorithm knows of the elements behind it.

    Args:
        rows: name -> six or so logits, instead of the built-in rows; −∞ for a class that is masked.

    Raises:
        ValueError: no rows, or rows of different lengths.

    Example:
        >>> explorer = SoftmaxStepsExplorer()
        >>> explorer.set(algorithm="two-pass", row="large", step=6.0)
        >>> "exponent 1444" in explorer.alt
        True
    """

    together = (("row", "step"), ("algorithm", "step"))
    at_presets = ("step",)

    @styled
    def __init__(self, rows: dict[str, tuple[float, ...]] | None = None):
        self._rows = dict(ROWS if rows is None else rows)
        lengths = {len(row) for row in self._rows.values()}
        if len(lengths) != 1 or lengths == {0}:
            raise bad_value("rows", rows, "at least one row of logits, all of the same length")
        self._size = lengths.pop()
        self._steps = {
            (algorithm, name): softmax_steps(row, algorithm)
            for algorithm in ALGORITHMS
            for name, row in self._rows.items()
        }
        figure, (self._left, self._right) = new_figure(2, height=3.9)
        places = np.arange(self._size)
        none = np.zeros(self._size)
        self._logits = list(
            self._left.bar(places, none, bottom=-REACH, color=GREY, edgecolor="white", linewidth=0, width=0.6)
        )
        self._outputs = list(self._right.bar(places, none, color=BLUE, width=0.6))
        for bar in (*self._logits, *self._outputs):
            bar.set_animated(True)
        self._level = self._left.axhline(0, color=INK, linestyle="--", linewidth=2, animated=True)
        look: dict[str, Any] = {"va": "top", "fontsize": 11, "animated": True}
        look["bbox"] = {"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 2}
        self._remembered = self._left.text(0.02, 0.98, "", transform=self._left.transAxes, **look)
        self._memory = self._right.text(0.02, 0.98, "", transform=self._right.transAxes, **look)
        self._left.set(xlabel="element", ylabel="logit − c", ylim=(-REACH, REACH), xticks=places)
        self._left.set_title("the row; dashed: log of the sum so far")
        self._right.set(xlabel="element", ylabel="probability", xticks=places, title="what is written", ylim=(0, 1))
        most = WALKS_AT_MOST * self._size
        names = list(self._rows)
        controls = {
            "algorithm": choice("algorithm", list(ALGORITHMS), "online"),
            "row": choice("row", names, names[0]),
            "step": slider("step", 1.0, 1.0, float(most), 1.0, "visits to an element so far"),
        }
        super().__init__(figure, controls, PRESETS if rows is None else {})

    def _show(self, values: dict[str, Any]) -> tuple[str, str]:
        algorithm, row, visits = values["algorithm"], values["row"], round(values["step"])
        steps = self._steps[algorithm, row]
        done = visits > len(steps)
        step = steps[min(visits, len(steps)) - 1]
        logits = np.array(self._rows[row])
        middle = round(float(np.median(logits[np.isfinite(logits)])))
        for place, bar in enumerate(self._logits):
            height = logits[place] - middle
            bar.set_height(max(0.0, height + REACH))
            visited = place == step.element and not done
            bar.set(facecolor=ORANGE if visited else GREY, hatch="//" if visited else "")
        level = _log_of_sum(step) - middle
        self._level.set_visible(abs(level) < REACH)
        self._level.set_ydata([level, level] if abs(level) < REACH else [0, 0])
        for bar, probability in zip(self._outputs, step.output, strict=True):
            bar.set_height(probability if math.isfinite(probability) else 0.0)
        remembered = ", ".join(f"{name} {_number(number)}" for name, number in step.numbers.items())
        self._remembered.set_text(f"c = {middle}".replace("-", "−") + "\n" + remembered.replace(", ", "\n"))
        per_element = f"{step.reads} reads, {step.writes} writes"
        self._memory.set_text(f"{step.walk}\n{per_element}" + ("\ndone" if done else ""))
        written = ", ".join(map(_probability, step.output[: step.writes])) or "nothing"
        where = f"done after {len(steps)} visits" if done else f"visit {visits} of {len(steps)}: {step.walk}"
        alt = (
            f"{algorithm} softmax of the logits {', '.join(map(_number, logits))}. {where}"
            f"{'' if done else f', element {step.element}'}. Remembered: {remembered}. Written: {written}. "
            f"So far {per_element}."
        )
        return alt, f"{where[0].upper()}{where[1:]}. Remembered: {remembered}. So far {per_element}."


def _log_of_sum(step: Step) -> float:
    """What the remembered numbers stand for, as a logarithm; the maximum itself where there is no sum yet."""
    numbers = step.numbers
    if "exponent" in numbers:
        mantissa, exponent = numbers["mantissa"], numbers["exponent"]
        return math.log(mantissa) + exponent * LN2 if mantissa > 0 else math.nan
    total = numbers.get("sum", 1.0)
    return numbers.get("maximum", 0.0) + math.log(total) if total > 0 else math.nan


def _number(number: float) -> str:
    return in_words(number) if abs(number) < 100 or math.isinf(number) else f"{number:g}".replace("-", "−")


def _probability(number: float) -> str:
    return "not a number" if math.isnan(number) else f"{number:.3f}"
