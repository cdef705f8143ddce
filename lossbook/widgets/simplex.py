"""A loss of three class scores, over the probability simplex and over the plane of logits."""

from collections.abc import Mapping
from typing import Any

import torch

from lossbook.catalog import Record
from lossbook.figures import simplex as planes
from lossbook.figures.html import in_words
from lossbook.figures.style import INK, ORANGE, new_figure, styled
from lossbook.widgets.controls import Control, choice, slider
from lossbook.widgets.explorer import Explorer, Preset

SURE_AND_WRONG = {"z_0": -4.0, "z_1": 3.0}
PRESETS = {
    "sure and wrong": Preset(
        "The right class has almost no probability. How long is the arrow? Some losses pull hardest here, some let go.",
        SURE_AND_WRONG,
    ),
    "undecided": Preset("All classes are equally likely: the middle of the triangle.", {"z_0": 0.0, "z_1": 0.0}),
    "sure and right": Preset(
        "The right class has almost all. The arrows die: there is nothing left to learn.", {"z_0": 4.0, "z_1": -2.0}
    ),
}


class SimplexExplorer(Explorer):
    """A loss of logits at three classes: its value as colour and its descent as arrows, over probabilities and logits.

    How to read it: left, each point is a prediction and each corner one that is sure of its class; right, the same loss
    over the logits z₀ and z₁ with z₂ held at 0. Dark costs little. Arrows show where a small step down the gradient
    goes, long where it goes far. The marked point is the same prediction in both.

    Args:
        loss: the name of a loss of logits that needs no further tensor.
        presets: name -> `Preset`; None takes the built-in ones.

    Raises:
        ValueError: no such loss, or one that cannot be drawn from three scores alone.

    Example:
        >>> explorer = SimplexExplorer("cross_entropy")
        >>> explorer.set(z_0=0.0, z_1=0.0)
        >>> "loss 1.1 nats" in explorer.alt        # log 3
        True
    """

    most_pictures = 100  # each is twice as large as those of other explorers
    together = (("z_0", "z_1"),)

    def __init__(self, loss: str | Record = "comp_sum_loss", *, presets: Mapping[str, Preset] | None = None):
        self._record = record = planes.three_class_record(loss)
        self._planes = (planes.simplex_plane(), planes.logit_plane())
        self._limits = planes.colour_limits(record, 0, record.defaults)
        self._longest = [planes.longest(record, plane, 0, record.defaults) for plane in self._planes]
        self._mapped: tuple[Any, ...] = ()
        self._build()
        reach = planes.REACH
        controls: dict[str, Control] = {
            "target": choice("right class", [(f"class {k}", k) for k in range(planes.CLASSES)], 0),
            "z_0": slider("z₀", 1.0, -reach, reach, 0.1, "logit of class 0"),
            "z_1": slider("z₁", 2.0, -reach, reach, 0.1, "logit of class 1"),
        }
        for p in record.parameters:
            controls[p.name] = slider(p.name, p.default, p.low, p.high, p.step, p.meaning)
        controls["colours"] = choice("colours", ["fixed", "rescaled"], "fixed")
        super().__init__(self._figure, controls, PRESETS | _special_cases(record) if presets is None else presets)

    @styled
    def _build(self) -> None:
        self._figure, self._axes = new_figure(2, width=10.0, height=4.8)
        drawn = [
            planes.draw_plane(ax, plane, animated=True) for ax, plane in zip(self._axes, self._planes, strict=True)
        ]
        self._maps, self._fields = zip(*drawn, strict=True)
        on_top: dict[str, Any] = {"clip_on": False, "animated": True}
        arrow: dict[str, Any] = {"angles": "xy", "scale_units": "xy", "scale": 1, "width": 0.014, "zorder": 5}
        arrow |= {"color": ORANGE, "edgecolor": INK, "linewidth": 0.8}
        dot: dict[str, Any] = {"color": "white", "markeredgecolor": INK, "markersize": 10, "zorder": 6}
        self._pulls = [ax.quiver([0], [0], [0], [0], **arrow, **on_top) for ax in self._axes]
        self._marks = [ax.plot([], [], "o", **dot, **on_top)[0] for ax in self._axes]
        planes.draw_triangle(self._axes[0], self._maps[0])
        self._axes[0].set_title("Probabilities")
        self._axes[1].set(title="Logits, z₂ held at 0", xlabel="z₀, logit of class 0", ylabel="z₁, logit of class 1")
        self._bar = planes.colour_bar(list(self._axes), self._limits, shrink=0.9)

    def _show(self, values: dict[str, Any]) -> tuple[str, str]:
        record, target = self._record, values["target"]
        parameters = {name: values[name] for name in record.defaults}
        fixed = values["colours"] == "fixed"
        limits = self._limits if fixed else planes.colour_limits(record, target, parameters)
        if (target, parameters, limits) != self._mapped:
            self._map(target, parameters, limits)
        point = torch.tensor([[values["z_0"], values["z_1"], 0.0]], dtype=torch.float64)
        value = planes.loss_of(record, point, target, parameters)
        down = planes.descent_of(record, point, target, parameters)
        for mark, pull, plane, longest in zip(self._marks, self._pulls, self._planes, self._longest, strict=True):
            place = plane.place(point)
            mark.set_data(*place.T)
            pull.set_offsets(place)
            pull.set_UVC(*(3 * planes.shortened(plane.move(point, down), plane, longest)).T)
        unit = planes.unit_of(record, value, point, target)
        self._mark_colours(limits, unit)
        setting = "".join(f", {name} {in_words(number)}" for name, number in parameters.items())
        title = f"{record.title}{setting}, right class {target}"
        reading = (
            f"At logits {_triple(point)}: probabilities {_triple(torch.softmax(point, -1))}, "
            f"loss {in_words(float(value[0]))}{unit and f' {unit}'}, gradient by the logits {_triple(-down)}."
        )
        alt = (
            f"{title}: loss and descent over the probability simplex, and over the logits z₀ and z₁ with z₂ at 0. "
            f"Colours {values['colours']}, from {in_words(limits[0])} to {in_words(limits[1])}. {reading}"
        )
        return alt, f"{title}. {reading}"

    def _map(self, target: int, parameters: dict[str, float], limits: tuple[float, float]) -> None:
        """Colours and arrows; they stay while the point moves."""
        for image, field, plane, longest in zip(self._maps, self._fields, self._planes, self._longest, strict=True):
            image.set_data(planes.colours_of(planes.loss_of(self._record, plane.pixels, target, parameters), limits))
            steps = plane.move(plane.arrows, planes.descent_of(self._record, plane.arrows, target, parameters))
            field.set_UVC(*planes.shortened(steps, plane, longest).T)
        self._mapped = (target, parameters, limits)

    @styled
    def _mark_colours(self, limits: tuple[float, float], unit: str) -> None:
        """The colour bar's ends and unit, touched only where they change: that draws the whole figure anew."""
        if (self._bar.norm.vmin, self._bar.norm.vmax) != limits:
            self._bar.mappable.set_clim(*limits)
        label = f"loss ({unit})" if unit else "loss"
        if self._bar.ax.get_ylabel() != label:
            self._bar.set_label(label)


def _triple(rows: torch.Tensor) -> str:
    return f"({', '.join(in_words(round(number, 3)) for number in rows[0].tolist())})"


def _special_cases(record: Record) -> dict[str, Preset]:
    """The special cases that the sliders reach, apart from the setting that one begins with."""
    ranges = {parameter.name: parameter for parameter in record.parameters}
    return {
        case.statement: Preset(
            f"Here {case.statement}. Compare colours and arrows with other settings.",
            SURE_AND_WRONG | dict(case.parameters),
        )
        for case in record.special_cases
        if all(ranges[name].low <= value <= ranges[name].high for name, value in case.parameters.items())
        and record.defaults != record.defaults | dict(case.parameters)
    }
