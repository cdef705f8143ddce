"""What every explorer is: controls, one persistent picture that they change, and words that say what it shows."""

import itertools
import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import ipywidgets as widgets
from matplotlib.figure import Figure

from lossbook.checks import bad_type, bad_value, check_choice
from lossbook.figures.html import figure_html, smaller
from lossbook.widgets.canvas import Canvas
from lossbook.widgets.controls import Control
from lossbook.widgets.frozen import Frame, frozen_html, page_html

CSS_PIXELS_PER_INCH = 99  # a figure of 10 inches is as wide as a notebook
MOST_FRAMES = 200
NO_PRESET = "choose …"


@dataclass(frozen=True)
class Preset:
    """A setting worth looking at: what to look for, and values of controls; the others go back to where they began."""

    look: str
    values: Mapping[str, Any] = field(default_factory=dict)


class Explorer(widgets.VBox):
    """Controls, one picture that they change, and words that say what it shows.

    A subclass makes its figure and artists once, hands them over with its controls, and defines `_show(values)`, which
    moves the artists and returns the alt text and the caption for these values. It may be asked for values at which the
    controls do not stand. Artists that move are made with `animated=True`.

    Args:
        figure: from `new_figure`.
        controls: name -> control, in the order in which they are shown.
        presets: name -> preset.
    """

    def __init__(self, figure: Figure, controls: Mapping[str, Control], presets: Mapping[str, Preset]):
        self._canvas = Canvas(figure)
        self._width = round(figure.get_size_inches()[0] * CSS_PIXELS_PER_INCH)
        self._controls = dict(controls)
        self._presets = dict(presets)
        self._beginning = {name: control.holder.value for name, control in self._controls.items()}
        for name, preset in self._presets.items():
            if not isinstance(preset, Preset):
                raise bad_type(f"presets[{name!r}]", preset, "a Preset")
            self._checked(preset.values)
        self._look = ""
        self._held = 0
        self._picture = widgets.HTML(layout=widgets.Layout(width="100%"))
        self._menu = widgets.Dropdown(
            options=[NO_PRESET, *self._presets],
            description="Presets",
            style={"description_width": "9em"},
            layout=widgets.Layout(width="34em", max_width="100%"),
        )
        self._menu.observe(self._on_menu, "value")
        for control in self._controls.values():
            control.holder.observe(self._on_control, "value")
        boxes = [control.box for control in self._controls.values()]
        super().__init__([self._menu, *boxes, self._picture])
        self._publish()

    def _show(self, values: dict[str, Any]) -> tuple[str, str]:
        """Move the artists to these values; return the alt text and the caption."""
        raise TypeError("Explorer: a subclass defines what it shows")

    @property
    def values(self) -> dict[str, Any]:
        """The value of each control."""
        return {name: control.holder.value for name, control in self._controls.items()}

    def control(self, name: str) -> Control:
        """A control by its name.

        Raises:
            ValueError: no such control.
        """
        check_choice("control", name, self._controls)
        return self._controls[name]

    @property
    def presets(self) -> dict[str, Preset]:
        """The presets by name."""
        return dict(self._presets)

    @property
    def alt(self) -> str:
        """What the picture shows now, in words and numbers."""
        return self._frame.alt

    @property
    def caption(self) -> str:
        """The line under the picture: what to look for, and what is read there now."""
        return self._frame.caption

    def set(self, **values: Any) -> None:
        """Move controls from Python; the picture is drawn once.

        Raises:
            ValueError: no such control, or a value out of its range. Nothing is moved then.
            TypeError: a value of the wrong kind.
        """
        checked = self._checked(values)
        with self.batch():
            self._menu.value = NO_PRESET
            for name, value in checked.items():
                self._controls[name].holder.value = value

    def choose(self, preset: str) -> None:
        """Go to a preset, as if it had been chosen from the menu.

        Raises:
            ValueError: no such preset.
        """
        check_choice("preset", preset, self._presets)
        self._menu.value = NO_PRESET  # the preset may be the one chosen last
        self._menu.value = preset

    @contextmanager
    def batch(self) -> Iterator[None]:
        """Inside it several controls may change; the picture is drawn once, at the end."""
        self._held += 1
        try:
            yield
        finally:
            self._held -= 1
        if not self._held:
            self._publish()

    def move_every_control(self) -> list[str]:
        """Drive every control that can be seen through two other values and back, then visit every preset.

        Returns:
            The alt texts seen on the way.

        Raises:
            AssertionError: a control or preset changed neither the picture nor the words.
        """
        start, look, seen = self.values, self._look, [self.alt]
        for name, control in self._controls.items():
            others = [value for value in control.tour(3) if value != start[name]][:2] if control.visible else []
            for value in others:
                before = self._frame[:2]
                self.set(**{name: value})
                if self._frame[:2] == before:
                    raise AssertionError(f"{name}: moved to {value!r}, but neither the picture nor its words changed")
                seen.append(self.alt)
            self.set(**start)
        sights = []
        for preset in self._presets:
            self.choose(preset)
            sights.append(self._frame[:2])
        if len(set(sights)) < len(sights):
            raise AssertionError(f"presets: got {len(sights)}, but only {len(set(sights))} different pictures")
        seen += [alt for _, alt in sights]
        self._look = look
        self.set(**start)
        return seen

    def freeze(self, *names: str, path: str | Path | None = None, steps: int = 21) -> str:
        """The explorer without a kernel: HTML with a picture for every value of a few controls, for keyboard and mouse.

        Args:
            names: controls to keep, by default the first slider; the others stay where they are.
            path: also write a whole page there.
            steps: pictures for each slider, evenly spaced, beside the present one; other controls get one an option.

        Returns:
            A `<div>` that holds all it needs: pictures, words and a small script. It loads nothing.

        Raises:
            ValueError: no such control, or more than 200 pictures.
        """
        names = names or tuple([name for name, control in self._controls.items() if control.is_slider][:1])
        for name in names:
            check_choice("names", name, self._controls)
        if isinstance(steps, bool) or not isinstance(steps, int) or steps < 2:
            raise bad_value("steps", steps, "a whole number of at least 2")
        here = self.values
        axes = {name: _tour(self._controls[name], steps, here[name]) for name in names}
        count = math.prod(len(tour) for tour in axes.values())
        if count > MOST_FRAMES:
            each = " × ".join(f"{len(tour)} of {name}" for name, tour in axes.items())
            raise ValueError(
                f"steps: got {count} pictures ({each}), expected at most {MOST_FRAMES}: freeze fewer controls or steps"
            )
        frames = [
            self._frame_at(here | dict(zip(names, combination, strict=True)))
            for combination in itertools.product(*axes.values())
        ]
        self._frame_at(here)  # the artists go back to where the controls are
        words = {self._controls[name].label: list(map(self._controls[name].words, tour)) for name, tour in axes.items()}
        start = [tour.index(here[name]) for name, tour in axes.items()]
        html = frozen_html(frames, words, start, self._width)
        if path is not None:
            Path(path).write_text(page_html(type(self).__name__, html), encoding="utf-8")
        return html

    def _repr_mimebundle_(self, **kwargs: Any) -> dict[str, Any]:
        """The widget, and beside it the picture with its words for a reader without a kernel."""
        bundle = super()._repr_mimebundle_(**kwargs) or {}
        still = figure_html(smaller(self._frame.picture), self._frame.alt, self._frame.caption, self._width)
        return bundle | {"text/plain": f"{type(self).__name__}: {self.alt}", "text/html": still}

    def _checked(self, values: Mapping[str, Any]) -> dict[str, Any]:
        for name in values:
            check_choice("control", name, self._controls)
        return {name: self._controls[name].check(name, value) for name, value in values.items()}

    def _on_menu(self, change: Any) -> None:
        if change["new"] == NO_PRESET:
            return
        preset = self._presets[change["new"]]
        with self.batch():
            for name, value in (self._beginning | self._checked(preset.values)).items():
                self._controls[name].holder.value = value
            self._look = preset.look

    def _on_control(self, change: Any) -> None:
        if not self._held:
            self._menu.value = NO_PRESET  # the reader has left the preset; what it said to look for stays
            self._publish()

    def _frame_at(self, values: dict[str, Any]) -> Frame:
        alt, caption = self._show(values)
        return Frame(self._canvas.png(), alt, "\n".join(filter(None, (self._look, caption))))

    def _publish(self) -> None:
        self._frame = self._frame_at(self.values)
        self._picture.value = figure_html(self._frame.picture, self._frame.alt, self._frame.caption, self._width)


def _tour(control: Control, steps: int, here: Any) -> list[Any]:
    """Values for frozen pictures, with the present one among them."""
    tour = control.tour(steps)
    if here in tour:
        return tour
    return sorted([*tour, here]) if control.is_slider else [here, *tour]
