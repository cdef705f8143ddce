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


class SimplexExplorer(Explorer):
    """A loss of logits at three classes: its value as colour and its descent as arrows, in probabilities and in logits.

    How to read it: left, each point is a prediction and each corner one that is sure of its class; right, the same loss over
    the logits z₀ and z₁ with z₂ held at 0. Dark costs little. Arrows show where a small step down the gradient goes, long where
    it goes far. The marked point is the same prediction in both.

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

    def __init__(self, loss: str | Record = "comp_sum_loss", *, presets: Mapping[str, Preset] | None = None):
        self._record = record = planes.three_class_record(loss)
        self._planes = (planes.simplex_plane(), planes.logit_plane())
        targets = planes.targets(record)
        self._fixed = planes.colour_limits(record, targets[0], record.defaults)
        self._units = [planes.longest(record, plane, targets[0], record.defaults) for plane in self._planes]
        self._build()
        reach = planes.REACH
        controls: dict[str, Control] = {
            "target": choice("right class", [(f"class {k}", k) for k in targets], targets[0]),
            "z_0": slider("z₀, logit of class 0", 1.0, -reach, reach, 0.1),
            "z_1": slider("z₁, logit of class 1", 2.0, -reach, reach, 0.1),
        }
        for p in record.parameters:
            controls[p.name] = slider(p.name, p.default, p.low, p.high, p.step)
        colours = [("fixed, so that settings compare", "fixed"), ("rescaled to what is shown", "rescale")]
        controls["colours"] = choice("colours", colours, "fixed")
        super().__init__(self._figure, controls, _presets(record) if presets is None else presets)

    @styled
    def _build(self) -> None:
        self._figure, self._axes = new_figure(2, width=10.0, height=4.5)
        self._maps, self._fields, self._marks, self._pulls = [], [], [], []
        for ax, plane in zip(self._axes, self._planes, strict=True):
            image, field = planes.draw_plane(ax, plane, animated=True)
            self._maps.append(image)
            self._fields.append(field)
            self._pulls.append(
                ax.quiver(
                    [0], [0], [0], [0], angles="xy", scale_units="xy", scale=1, width=0.014, color=ORANGE, edgecolor=INK,
                    linewidth=0.8, zorder=5, clip_on=False, animated=True,
                )
            )  # fmt: skip
            self._marks.append(ax.plot([], [], "o", color="white", markeredgecolor=INK, markersize=10, zorder=6, clip_on=False, animated=True)[0])
        planes.draw_triangle(self._axes[0], self._maps[0])
        self._axes[0].set_title("Probabilities")
        self._axes[1].set(title="Logits, z₂ held at 0", xlabel="z₀, logit of class 0", ylabel="z₁, logit of class 1")
        self._bar = planes.colour_bar(list(self._axes), self._fixed, shrink=0.9)

    def _show(self, values: dict[str, Any]) -> tuple[str, str]:
        record, target = self._record, values["target"]
        parameters = {name: values[name] for name in record.defaults}
        point = torch.tensor([[values["z_0"], values["z_1"], 0.0]], dtype=torch.float64)
        value = planes.loss_of(record, point, target, parameters)
        down = planes.descent_of(record, point, target, parameters)
        limits = self._fixed if values["colours"] == "fixed" else planes.colour_limits(record, target, parameters)
        for i, plane in enumerate(self._planes):
            self._maps[i].set_data(planes.colours_of(planes.loss_of(record, plane.pixels, target, parameters), limits))
            steps = plane.move(plane.arrows, planes.descent_of(record, plane.arrows, target, parameters))
            self._fields[i].set_UVC(*planes.shortened(steps, plane, self._units[i]).T)
            place = plane.place(point)
            self._marks[i].set_data(*place.T)
            self._pulls[i].set_offsets(place)
            self._pulls[i].set_UVC(*(3 * planes.shortened(plane.move(point, down), plane, self._units[i])).T)
        unit = planes.unit_of(record, value, point, target)
        self._mark_colours(limits, unit)
        return self._words(values, parameters, point, float(value[0]), down[0], limits, unit)

    @styled
    def _mark_colours(self, limits: tuple[float, float], unit: str) -> None:
        norm, label = self._bar.norm, f"loss ({unit})" if unit else "loss"
        if (norm.vmin, norm.vmax) != limits:
            self._bar.mappable.set_clim(*limits)
        if self._bar.ax.get_ylabel() != label:
            self._bar.set_label(label)

    def _words(
        self,
        values: Mapping[str, Any],
        parameters: Mapping[str, float],
        point: torch.Tensor,
        value: float,
        down: torch.Tensor,
        limits: tuple[float, float],
        unit: str,
    ) -> tuple[str, str]:
        setting = "".join(f", {name} {in_words(number)}" for name, number in parameters.items())
        p, z, slope = (_triple(vector) for vector in (torch.softmax(point[0], -1), point[0], -down))
        reading = (
            f"At logits {z}: probabilities {p}, loss {in_words(value)}{f' {unit}' if unit else ''}, "
            f"gradient by the logits {slope}"
        )
        alt = (
            f"{self._record.title}{setting}, right class {values['target']}, over the probability simplex and over the logits "
            f"z₀ and z₁ with z₂ at 0. Colours {'fixed' if values['colours'] == 'fixed' else 'rescaled'}, from {in_words(limits[0])} to {in_words(limits[1])}. {reading}."
        )
        return alt, f"{self._record.title}{setting}, right class {values['target']}. {reading}."


def _triple(vector: torch.Tensor) -> str:
    return f"({', '.join(in_words(round(float(number), 3)) for number in vector)})"


def _presets(record: Record) -> dict[str, Preset]:
    """Settings worth looking at: the two ends of training, and each special case of the loss."""
    found = {
        "sure and wrong": Preset(
            "The right class has almost no probability. How long is the arrow there? Some losses pull hardest here, some let go.",
            SURE_AND_WRONG,
        ),
        "undecided": Preset("All classes are equally likely: the middle of the triangle.", {"z_0": 0.0, "z_1": 0.0}),
        "sure and right": Preset("The right class has almost all. The arrows die: there is nothing left to learn.", {"z_0": 4.0, "z_1": -2.0}),
    }  # fmt: skip
    ranges = {parameter.name: parameter for parameter in record.parameters}
    for case in record.special_cases:
        inside = all(ranges[name].low <= value <= ranges[name].high for name, value in case.parameters.items())
        if inside and record.defaults != record.defaults | dict(case.parameters):
            found[case.statement] = Preset(f"Here {case.statement}. Compare colours and arrows with the setting before.", SURE_AND_WRONG | dict(case.parameters))
    return found
