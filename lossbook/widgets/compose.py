"""A loss put together from row statistics: its formula, its gradient on a row, and what it costs by each engine."""

import textwrap
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from lossbook import row_statistics
from lossbook.figures.html import in_words
from lossbook.figures.style import BLUE, GREY, INK, ORANGE, new_figure, styled
from lossbook.kernels import gram
from lossbook.logits import Statistics
from lossbook.metrics import linear_cost
from lossbook.widgets.controls import Control, choice, slider, stops
from lossbook.widgets.explorer import Explorer, Preset

ROW = torch.tensor([[2.0, 1.2, 0.6, 0.2, -0.2, -0.6, -1.2, -2.0]], dtype=torch.float64)
CLASSES = ROW.shape[1]
ENGINES = {"held": "logits held", "chunked": "chunks", "tile": "tiles", "gram": "Gram"}
NOTHING = "0"


class Term(NamedTuple):
    """One part of a loss: how it is written, the statistics that it looks at, and its value from them."""

    formula: str  # without its sign
    sign: str
    names: tuple[str, ...]
    value: Callable[[Statistics], Tensor]
    meaning: str


def _standard_score(stats: Statistics) -> Tensor:
    return (stats.target - stats.mean) / stats.variance.sqrt()


TERMS = {
    "likelihood": Term("log p_y", "−", ("log_probability",), lambda s: -s.log_probability, "cross-entropy"),
    "target": Term("z_y", "−", ("target",), lambda s: -s.target, "the right score up"),
    "smoothing": Term(
        "(log p_y − Σ log p_j/V)",
        "+",
        ("log_probability", "log_probability_sum"),
        lambda s: s.log_probability - s.log_probability_sum / s.classes,
        "label smoothing, with −log p_y",
    ),
    "normaliser": Term("L²", "+", ("logsumexp",), lambda s: s.logsumexp.square(), "the log-sum-exp towards 0"),
    "squares": Term("Σ z_j²/V", "+", ("square_sum",), lambda s: s.square_sum / s.classes, "all scores towards 0"),
    "softplus": Term("Σ softplus(z_j)", "+", ("softplus_sum",), lambda s: s.softplus_sum, "each class by itself"),
    "confidence": Term("H(p)", "−", ("entropy",), lambda s: -s.entropy, "against an undecided softmax"),
    "standard_score": Term(
        "(z_y − μ)/σ", "−", ("target", "mean", "variance"), lambda s: -_standard_score(s), "the Z-loss's"
    ),
}
ALONE = dict.fromkeys(TERMS, 0.0)
PRESETS = {
    "cross-entropy": Preset("Every class is pushed down by its probability, the right one pulled up by 1."),
    "label smoothing": Preset(
        "The smoothing adds a level pull of −ε/V on every class. Turn the spread up: where p has died, it has not.",
        ALONE | {"likelihood": 1.0, "smoothing": 0.2, "spread": 2.0},
    ),
    "a tamed normaliser": Preset(
        "L² adds 2L p_j: the same shape as the softmax part, and no pull at the right class. The sum over classes is "
        "no longer 0, so the scores cannot drift upwards together.",
        ALONE | {"likelihood": 1.0, "normaliser": 0.1},
    ),
    "each class by itself": Preset(
        "SigLIP's row: every class is a yes or no question of its own. The push on a class is σ(z_j), whatever the "
        "others say.",
        ALONE | {"softplus": 1.0, "target": 1.0},
    ),
    "least squares": Preset(
        "Squared error to the one-hot target, over V, and a constant. Only z_y and Σz²: the Gram engine serves it. "
        "Look at its bars on the right, then let N grow.",
        ALONE | {"squares": 1.0, "target": 0.25},
    ),
    "a standard score": Preset(
        "Mean and deviation of the row: blind to shift and scale, and in the Gram engine's reach.",
        ALONE | {"standard_score": 1.0, "right": 2},
    ),
}


class ComposeExplorer(Explorer):
    """A loss as a sum of terms, each a function of row statistics: formula, gradient on one row, cost by engine.

    How to read it: left, the gradient by the scores of eight classes, which stand above as numbers. Plain bars are
    what the statistics do to every class, the striped one what is added at the right class alone, the tick their sum.
    Right, memory beyond inputs and gradients, and multiplications in matrix products, for N rows and V classes whose
    scores are products of D features.

    Args:
        presets: name -> `Preset`; None takes the built-in ones.

    Example:
        >>> explorer = ComposeExplorer()
        >>> "ℓ = −log p_y = 0.744" in explorer.alt
        True
    """

    at_presets = ("spread", "right", "rows")

    def __init__(self, *, presets: Mapping[str, Preset] | None = None):
        self._build()
        controls: dict[str, Control] = {
            name: slider(_sum({name: 1.0}), float(name == "likelihood"), 0.0, 2.0, 0.05, term.meaning)
            for name, term in TERMS.items()
        }
        controls |= {
            "spread": slider("spread of scores", 1.0, 0.1, 4.0, 0.1, "the row's scores times this"),
            "right": choice("right class", [(f"class {k}", k) for k in range(CLASSES)], 0),
            "rows": stops("rows N", [64, 512, 4096, 32_768], 4096),
            "classes": stops("classes V", [1000, 16_196, 50_257, 256_000], 50_257),
            "dimension": stops("dimension D", [64, 512, 2048, 4096], 512),
        }
        super().__init__(self._figure, controls, PRESETS if presets is None else presets)

    @styled
    def _build(self) -> None:
        self._figure, (left, *right) = new_figure(3, width=10.0, height=4.0, width_ratios=(2.1, 1, 1))
        places = np.arange(CLASSES)
        left.axhline(0, color=GREY, linewidth=1)
        looks = ((BLUE, "", "every class"), (ORANGE, "//", "the right class alone"))
        self._parts = [
            left.bar(places, 0 * places, 0.6, color=color, hatch=hatch, edgecolor="white", label=label, animated=True)
            for color, hatch, label in looks
        ]
        tick: dict[str, Any] = {"color": INK, "markeredgewidth": 2.5, "linestyle": "none"}
        (self._total,) = left.plot(places, 0 * places, marker="_", markersize=24, animated=True, **tick)
        left.plot([], [], marker="_", markersize=16, label="gradient, their sum", **tick)
        left.set(
            title="Gradient on a row of scores (numbers)",
            xticks=places,
            xlabel="class",
            ylabel="gradient by the score",
            ylim=(-1.6, 2.3),
        )
        left.legend(loc="lower right", fontsize=10)
        self._formula = left.text(0.01, 0.985, "", transform=left.transAxes, va="top", animated=True)
        words: dict[str, Any] = {"ha": "center", "fontsize": 10, "animated": True}
        self._scores = [left.text(k, 1.45, "", **words) for k in places]
        self._bars, self._labels = [], []
        limits = (("Memory", "MiB", (1e-1, 1e10)), ("Work", "10⁹ multiplications", (1e-3, 1e10)))
        for ax, (title, label, limit) in zip(right, limits, strict=True):
            ax.set(xscale="log", xlim=limit, xlabel=label, title=title, ylim=(len(ENGINES) - 0.4, -0.6))
            ax.set_yticks(range(len(ENGINES)), ENGINES.values() if ax is right[0] else [""] * len(ENGINES))
            ax.set_xticks([1, 1e3, 1e6])
            ax.grid(axis="y", visible=False)
            ends = [limit[0]] * len(ENGINES)
            self._bars.append(ax.barh(range(len(ENGINES)), 0 * np.array(ends), 0.6, ends, color=BLUE, animated=True))
            self._labels.append(
                [ax.text(1, k, "", va="center", fontsize=10, animated=True) for k in range(len(ENGINES))]
            )

    def _show(self, values: dict[str, Any]) -> tuple[str, str]:
        used = {name: values[name] for name in TERMS if values[name] != 0}
        logits, target = values["spread"] * ROW, torch.tensor([values["right"]])
        loss, level, spike = two_effects(used, logits, target)
        gradient = level.copy()
        gradient[values["right"]] += spike
        self._draw_row(logits, level, spike, gradient, values["right"])
        reading = f"ℓ = {_sum(used)} = {in_words(loss)}"
        self._formula.set_text("\n".join(textwrap.wrap(reading, 60, subsequent_indent="     ")))
        names = statistics_of(used)
        sizes = {name: values[name] for name in ("rows", "classes", "dimension")}
        served = bool(names) and gram.NAMES.issuperset(names)
        costs = {engine: linear_cost(engine, **sizes) for engine in ENGINES if engine != "gram" or served}
        said = self._draw_costs(costs)
        alt = (
            f"{reading}, at scores {_list(logits[0].tolist())} with right class {values['right']}. Gradient by the "
            f"scores: {_list(gradient.tolist())}; every class gets {_list(level.tolist())}, the right one "
            f"{in_words(spike)} besides. Statistics: {', '.join(names) or 'none'}. With N = {sizes['rows']:,} rows, "
            f"V = {sizes['classes']:,} classes and D = {sizes['dimension']:,}: {said}."
        )
        quickest = min(costs, key=lambda engine: (costs[engine].multiplications, costs[engine].peak_bytes))
        saved = costs["held"].peak_bytes / costs[quickest].peak_bytes
        caption = (
            f"{reading}. Statistics: {', '.join(names) or 'none'}. Fewest multiplications: {ENGINES[quickest]}, "
            f"with {_amount(saved)} times less memory than held logits"
            + ("." if served else "; the Gram engine cannot serve this loss.")
        )
        return alt, caption

    def _draw_row(self, logits: Tensor, level: np.ndarray, spike: float, gradient: np.ndarray, right: int) -> None:
        for text, score in zip(self._scores, logits[0].tolist(), strict=True):
            text.set_text(in_words(score))
        self._total.set_ydata(gradient)
        for k, (every, alone) in enumerate(zip(*self._parts, strict=True)):
            every.set_height(level[k])
            alone.set_height(spike if k == right else 0.0)

    def _draw_costs(self, costs: dict[str, Any]) -> str:
        """Move the bars; say their numbers."""
        said = []
        for k, (engine, name) in enumerate(ENGINES.items()):
            found = costs.get(engine)
            numbers = (found.peak_bytes / 2**20, found.multiplications / 1e9) if found else (0.0, 0.0)
            for bars, labels, number in zip(self._bars, self._labels, numbers, strict=True):
                start = bars[k].get_x()
                bars[k].set_width(number - start if found else 0)
                labels[k].set_x(1.5 * (number if found else start))
                labels[k].set_text(_amount(number) if found else "cannot")
            spent = f"{_amount(numbers[0])} MiB and {_amount(numbers[1])} · 10⁹ multiplications"
            said.append(f"{name} {spent if found else 'cannot serve it'}")
        return "; ".join(said)


def statistics_of(coefficients: Mapping[str, float]) -> tuple[str, ...]:
    """The statistics that a sum of terms looks at, each once."""
    return tuple(dict.fromkeys(name for term in coefficients for name in TERMS[term].names))


def compose(coefficients: Mapping[str, float]) -> Callable[[Statistics], Tensor]:
    """The row function of a sum of terms, as `row_loss` takes it.

    Example:
        >>> from lossbook import row_loss
        >>> chosen = {"likelihood": 1.0, "normaliser": 0.1}
        >>> logits, target = torch.tensor([[2.0, 1.0, 0.0]]), torch.tensor([0])
        >>> loss = row_loss(compose(chosen), logits, target, statistics_of(chosen))
        >>> round(float(loss), 4)                                                  # 0.4076 + 0.1 · 2.4076²
        0.9873
    """
    return lambda stats: sum(c * TERMS[name].value(stats) for name, c in coefficients.items())  # type: ignore[return-value]


def two_effects(coefficients: Mapping[str, float], logits: Tensor, target: Tensor) -> tuple[float, np.ndarray, float]:
    """The loss of one row, and its gradient by the scores in two parts.

    Args:
        coefficients: of the terms.
        logits: (1, classes).
        target: (1,).

    Returns:
        The loss; what every class gets, (classes,); and what is added at the right class alone: the derivatives by z_y
        and by z_y − L.
    """
    names = statistics_of(coefficients)
    if not names:
        return 0.0, np.zeros(logits.shape[-1]), 0.0
    logits = logits.detach().requires_grad_()
    stats = row_statistics(logits, target, names)
    loss = compose(coefficients)(stats).sum()
    by_statistic = torch.autograd.grad(loss, [getattr(stats, name) for name in names], retain_graph=True)
    (gradient,) = torch.autograd.grad(loss, logits)
    spike = sum(float(c) for name, c in zip(names, by_statistic, strict=True) if name in ("target", "log_probability"))
    level = gradient[0].numpy().copy()
    level[int(target)] -= spike
    return loss.item(), level, spike


def _sum(coefficients: Mapping[str, float]) -> str:
    """A sum of terms as a formula."""
    parts = [
        f"{TERMS[name].sign} {TERMS[name].formula if c == 1 else f'{in_words(c)} {TERMS[name].formula}'}"
        for name, c in coefficients.items()
    ]
    return " ".join(parts).removeprefix("+ ").replace("− ", "−", 1) if parts else NOTHING


def _amount(number: float) -> str:
    return f"{number:,.0f}" if number >= 100 else in_words(number)


def _list(numbers: list[float]) -> str:
    return f"({', '.join(in_words(round(number, 3)) for number in numbers)})"
