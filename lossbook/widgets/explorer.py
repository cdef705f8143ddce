"""What every explorer is: controls, one persistent picture that they change, and words that say what it shows."""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import ipywidgets as widgets
from matplotlib.figure import Figure

from lossbook.checks import bad_type, check_choice, check_count
from lossbook.figures.html import figure_html, smaller
from lossbook.widgets.canvas import Canvas
from lossbook.widgets.controls import Control
from lossbook.widgets.frames import Palette
from lossbook.widgets.frozen import Base, Drawn, Folder, Frame, frozen_html, page_html
from lossbook.widgets.plan import every_combination, planned

CSS_PIXELS_PER_INCH = 99  # a figure of 10 inches is as wide as a notebook
ADDRESS = "_static/frames/"  # of the pictures of a frozen explorer, in the book
NO_PRESET = "choose …"


@dataclass(frozen=True)
class Preset:
    """A setting worth looking at: what to look for, and values of controls; the others go back to where they began.

    `then` lists values of controls to which its words send the reader next, so that `freeze` draws them.
    """

    look: str
    values: Mapping[str, Any] = field(default_factory=dict)
    then: Mapping[str, Sequence[Any]] = field(default_factory=dict)


class Explorer(widgets.VBox):
    """Controls, one picture that they change, and words that say what it shows.

    A subclass makes its figure and artists once, hands them over with its controls, and defines `_show(values)`, which
    moves the artists and returns the alt text and the caption for these values. It may be asked for values at which the
    controls do not stand. Artists that move are made with `animated=True`.

    What `freeze` draws beforehand: at most `most_pictures`; `together` names groups of controls that the reader will
    move together, and `at_presets` those that may be moved from a preset (None: all).

    Args:
        figure: from `new_figure`.
        controls: name -> control, in the order in which they are shown.
        presets: name -> preset.
    """

    most_pictures: ClassVar[int] = 150
    together: ClassVar[Sequence[Sequence[str]]] = ()
    at_presets: ClassVar[Sequence[str] | None] = None

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
            for other, values in preset.then.items():
                for value in values:
                    self._checked({other: value})
        self._look = ""
        self._held = 0
        self._visible: dict[tuple[Any, ...], tuple[str, ...]] = {}
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

    def freeze(
        self,
        *names: str,
        path: str | Path | None = None,
        folder: str | Path | None = None,
        address: str = "",
        steps: int = 21,
        most: int | None = None,
    ) -> str:
        """The explorer without a kernel: HTML with pictures drawn beforehand, for keyboard and mouse.

        Args:
            names: freeze a few controls, in every combination, without presets; the others stay where they are. By
                default all controls and presets are there, but not every combination: where one was not drawn, the
                other controls go to the nearest that was, and a line says so.
            path: also write a whole page there.
            folder: keep the pictures there as files, named by what they hold; None puts them into the HTML.
            address: what stands before the name of such a file in the page.
            steps: with names, pictures for each slider, evenly spaced, beside the present one.
            most: pictures; by default what the class says.

        Returns:
            A `<div>` with all words, pictures or their addresses, and a small script. It loads nothing else.

        Raises:
            ValueError: no such control, or more than `most` pictures.
        """
        for name in names:
            check_choice("names", name, self._controls)
        check_count("steps", steps, least=2)
        most = self.most_pictures if most is None else most
        check_count("most", most)
        controls = {name: self._controls[name] for name in names} or self._controls
        bases = [Base(NO_PRESET, self._look, self.values)] + ([] if names else self._bases())
        width, height = self._canvas.size
        try:
            settings = every_combination(self.values, controls, steps, most) if names else self._plan(most)
            html = frozen_html(
                self._drawn(settings),
                controls,
                bases,
                size=(self._width, round(self._width * height / width)),
                chosen=0 if names else self._menu.index,
                folder=None if folder is None else Folder(Path(folder), address),
            )
        finally:
            self._frame_at(self.values)  # the artists go back to where the controls are
        if path is not None:
            Path(path).write_text(page_html(type(self).__name__, html), encoding="utf-8")
        return html

    def _repr_mimebundle_(self, **kwargs: Any) -> dict[str, Any]:
        """The widget, and beside it the picture with its words for a reader without a kernel.

        Where `LOSSBOOK_FREEZE` names a folder, the frozen explorer alone, with its pictures there.
        """
        text = {"text/plain": f"{type(self).__name__}: {self.alt}"}
        if folder := os.environ.get("LOSSBOOK_FREEZE"):
            return text | {"text/html": self.freeze(folder=folder, address=ADDRESS)}
        bundle = super()._repr_mimebundle_(**kwargs) or {}
        still = figure_html(smaller(self._frame.picture), self._frame.alt, self._frame.caption, self._width)
        return bundle | text | {"text/html": still}

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

    def _bases(self) -> list[Base]:
        """Every preset with the values of all controls."""
        return [
            Base(name, preset.look, self._beginning | self._checked(preset.values))
            for name, preset in self._presets.items()
        ]

    def _plan(self, most: int) -> list[dict[str, Any]]:
        """The settings that a frozen explorer holds; of each, the controls that can be seen."""
        bases = [self.values, *(dict(base.values) for base in self._bases())]
        then = [{}, *(preset.then for preset in self._presets.values())]
        return planned(bases, then, self._controls, self._visible_at, self.together, self.at_presets, most)

    def _visible_at(self, values: dict[str, Any]) -> tuple[str, ...]:
        """The controls that can be seen there: lists decide, sliders do not."""
        key = tuple(values[name] for name, control in self._controls.items() if not control.is_slider)
        if key not in self._visible:
            self._show(values)
            self._visible[key] = tuple(name for name, control in self._controls.items() if control.visible)
        return self._visible[key]

    def _drawn(self, settings: Sequence[dict[str, Any]]) -> list[Drawn]:
        """Pictures and words of settings; those alike in what lists say are drawn one after the other."""
        lists = [name for name, control in self._controls.items() if not control.is_slider]
        palette, here, drawn = Palette(), self.values, []
        for setting in sorted(settings, key=lambda setting: [repr(setting.get(name)) for name in lists]):
            alt, caption = self._show(here | setting)
            drawn.append(Drawn(setting, Frame(palette.small(self._canvas.pixels()), alt, caption)))
        return drawn

    def _frame_at(self, values: dict[str, Any]) -> Frame:
        alt, caption = self._show(values)
        return Frame(self._canvas.png(), alt, "\n".join(filter(None, (self._look, caption))))

    def _publish(self) -> None:
        self._frame = self._frame_at(self.values)
        self._picture.value = figure_html(self._frame.picture, self._frame.alt, self._frame.caption, self._width)
