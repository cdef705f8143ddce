"""Losses of a margin or of an error: value, slope and curvature, laid over each other."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from lossbook.catalog import RECORDS, Record
from lossbook.checks import bad_value, check_choice, check_number
from lossbook.figures.html import in_words
from lossbook.figures.records import ARGUMENTS, POINTS, WIDEST, Curves, curves, dress, overlaid, window
from lossbook.figures.style import INK, look, new_figure, styled
from lossbook.widgets.canvas import legend_above
from lossbook.widgets.controls import Control, several, slider
from lossbook.widgets.explorer import Explorer, Preset

KINDS = ("value", "slope", "curvature")

PRESETS = {
    "margin": {
        "what is meant, and what is trained": Preset(
            "The zero-one loss is what is meant. Its slope is 0 everywhere: nothing tells a wrong point where to go. "
            "The others pull, and lie on or above it (the logistic loss once it is divided by log 2).",
            {"losses": ("logistic_loss", "hinge_loss", "zero_one_loss"), "x": -1.0},
        ),
        "a point that is right": Preset(
            "Move x to the right. Past 1 the hinge losses are silent; the logistic loss never quite is.",
            {"losses": ("logistic_loss", "hinge_loss", "squared_hinge_loss"), "x": 1.5},
        ),
        "a wrong label": Preset(
            "A point far on the wrong side may have a wrong label. Compare the slopes there: the exponential loss "
            "listens to it most, the Savage loss hardly at all.",
            {"losses": ("logistic_loss", "exponential_loss", "savage_loss"), "x": -2.5},
        ),
        "too right": Preset(
            "The tangent loss rises again on the right: a score that is too sure is pushed back.",
            {"losses": ("logistic_loss", "savage_loss", "tangent_loss"), "x": 2.5},
        ),
    },
    "error": {
        "the mean and the median": Preset(
            "Move x outwards. Under squared error the pull grows with the distance; under absolute error it stays 1.",
            {"losses": ("squared_error", "absolute_error"), "x": 3.0},
        ),
        "where Huber stops listening harder": Preset(
            "Up to delta the slope is the error, beyond it stays at delta. Move delta and watch its corner.",
            {"losses": ("squared_error", "absolute_error", "huber_loss"), "x": 2.5, "delta": 1.5},
        ),
        "a quantile": Preset(
            "With quantile 0.9 a prediction that is too low costs nine times as much as one that is too high.",
            {"losses": ("absolute_error", "quantile_loss"), "x": -1.0, "quantile": 0.9},
        ),
        "an outlier that is let go": Preset(
            "With alpha below 1 the slope goes back towards 0: far errors are let go. The curvature is below 0 there.",
            {"losses": ("squared_error", "huber_loss", "general_robust_loss"), "x": 3.0, "alpha": -2.0},
        ),
    },
}


class MarginExplorer(Explorer):
    """Loss, slope and curvature of losses of a margin, or of an error, against their argument.

    How to read it: height in the first panel is what a point costs, in the second how hard it pulls, in the third how
    fast the pull changes. The vertical line is the point x, whose numbers stand below.

    Args:
        losses: names of losses, all of a margin or all of an error.
        family: offer only losses of this family; None offers all of the same kind.
        low, high: ends of the argument's axis.
        presets: name -> `Preset`; None takes the built-in ones.

    Raises:
        ValueError: no such loss, none given, one of logits, margins and errors mixed, or none of that family.

    Example:
        >>> explorer = MarginExplorer(("squared_error", "absolute_error"))
        >>> explorer.set(x=3.0)
        >>> explorer.alt[-92:]
        'Squared error: value 9, slope 6, curvature 2; Absolute error: value 3, slope 1, curvature 0.'
    """

    together = (("losses", "x"),)

    def __init__(
        self,
        losses: Sequence[str | Record] = ("logistic_loss", "hinge_loss", "zero_one_loss"),
        family: str | None = None,
        *,
        low: float = -4.0,
        high: float = 4.0,
        presets: Mapping[str, Preset] | None = None,
    ):
        chosen = overlaid(losses)
        self._inputs = chosen[0].inputs
        low = check_number("low", low)
        high = check_number("high", high, above=low)
        alike = (record for record in RECORDS.values() if record.inputs == self._inputs)
        known = list({record.key: record for record in (*chosen, *alike)}.values())
        if family is not None:
            check_choice("family", family, list(dict.fromkeys(record.family for record in known)))
            outside = [record.key for record in chosen if record.family != family]
            if outside:
                raise bad_value("losses", outside, f"losses of the family {family!r}")
        self._offered = {record.key: record for record in known if family in (None, record.family)}
        self._names = control_names(tuple(self._offered.values()))
        self._points = np.linspace(low, high, POINTS)
        self._laid_out: tuple[str, ...] = ()
        self._build()
        start = min(max(0.5, low), high)
        controls: dict[str, Control] = {
            "losses": several("losses", [(r.title, key) for key, r in self._offered.items()], [r.key for r in chosen]),
            "x": slider(f"x, the {self._inputs}", start, low, high, 0.05, "where the curves are read"),
        }
        for record in self._offered.values():
            for p in record.parameters:
                name = self._names[record.key][p.name]
                controls[name] = slider(name, p.default, p.low, p.high, p.step, f"{record.title}: {p.meaning}")
        if presets is None:
            presets = {
                name: preset
                for name, preset in PRESETS[self._inputs].items()
                if set(preset.values["losses"]) <= set(self._offered) and low <= preset.values["x"] <= high
            }
        super().__init__(self._figure, controls, presets)

    @styled
    def _build(self) -> None:
        self._figure, self._axes = new_figure(3, width=10.0, height=3.9)
        self._lines: dict[str, list[Any]] = {}
        self._marks: dict[str, list[Any]] = {}
        for i, key in enumerate(self._offered):
            self._lines[key] = [ax.plot([], [], animated=True, **look(i))[0] for ax in self._axes]
            dot = look(i, marker=True) | {"linestyle": "none", "markeredgecolor": "white", "markersize": 9}
            self._marks[key] = [ax.plot([], [], animated=True, **dot)[0] for ax in self._axes]
        self._cursors = [ax.axvline(0, color=INK, linewidth=1.2, animated=True) for ax in self._axes]
        for ax, kind in zip(self._axes, KINDS, strict=True):
            dress(ax, kind, self._inputs)
            ax.set_xlim(self._points[0], self._points[-1])

    def _parameters(self, key: str, values: Mapping[str, Any]) -> dict[str, float]:
        return {parameter: values[name] for parameter, name in self._names[key].items()}

    @styled
    def _lay_out(self, shown: tuple[str, ...]) -> None:
        """Limits and legend for these losses at their defaults; they stay while sliders move."""
        for keys in (self._lines, self._marks):
            for key, artists in keys.items():
                for artist in artists:
                    artist.set_visible(key in shown)
        if shown:
            drawn = [curves(self._offered[key], self._points) for key in shown]
            for ax, kind in zip(self._axes, KINDS, strict=True):
                ax.set_ylim(*window([getattr(each, kind) for each in drawn], WIDEST[kind]))
        lines = [self._lines[key][0] for key in shown]
        legend_above(self._figure, lines, [self._offered[key].title for key in shown])
        self._laid_out = shown

    def _show(self, values: dict[str, Any]) -> tuple[str, str]:
        shown = values["losses"]
        if shown != self._laid_out:
            self._lay_out(shown)
        for key, names in self._names.items():
            for name in names.values():
                self._controls[name].box.layout.display = None if key in shown else "none"
        at = values["x"]
        readings = []
        for key in shown:
            record, parameters = self._offered[key], self._parameters(key, values)
            points = np.append(self._points, at)
            found = curves(record, points, parameters)
            for line, mark, numbers in zip(self._lines[key], self._marks[key], found, strict=True):
                line.set_data(points[:-1], numbers[:-1])
                mark.set_data([at], [numbers[-1]])
            readings.append(_reading(record, parameters, Curves(*(numbers[-1] for numbers in found))))
        for cursor in self._cursors:
            cursor.set_xdata([at, at])
        if not readings:
            return "Three empty panels: no loss is chosen.", "Choose at least one loss."
        where = f"{ARGUMENTS[self._inputs][0]} = {in_words(at)}"
        ends = f"from {in_words(self._points[0])} to {in_words(self._points[-1])}"
        alt = f"Loss, slope and curvature against the {self._inputs}, {ends}. At x, {where}: {'; '.join(readings)}."
        return alt, f"At x, {where}:\n" + "\n".join(readings)


def _reading(record: Record, parameters: Mapping[str, float], at: Curves) -> str:
    setting = ", ".join(f"{name} {in_words(value)}" for name, value in parameters.items())
    numbers = ", ".join(f"{kind} {in_words(float(number))}" for kind, number in zip(KINDS, at, strict=True))
    return f"{record.title}{f' ({setting})' if setting else ''}: {numbers}"


def control_names(records: Sequence[Record]) -> dict[str, dict[str, str]]:
    """For each loss, parameter -> control: the parameter's name, after the loss's where two losses share it."""
    everyone = [name for record in records for name in record.defaults]
    return {
        record.key: {name: name if everyone.count(name) == 1 else f"{record.key}_{name}" for name in record.defaults}
        for record in records
    }
