"""The controls of an explorer: each has a label tied to a field that keyboards and screen readers reach."""

import html
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import ipywidgets as widgets
from traitlets import link

from lossbook.checks import bad_type, bad_value, check_number
from lossbook.figures.html import in_words

LABEL = {"description_width": "9em"}
WIDE = {"flex": "1 1 8em"}


@dataclass(frozen=True)
class Control:
    """One named setting of an explorer.

    `holder` is the widget whose `value` counts, `box` is what is shown. `check(name, value)` refuses what the control
    cannot take, `words(value)` says one. `tour(count)` lists values worth visiting: of a slider, about `count`.
    `meaning` says what it does.
    """

    label: str
    holder: Any
    box: Any
    check: Callable[[str, Any], Any]
    tour: Callable[[int], list[Any]]
    words: Callable[[Any], str] = str
    is_slider: bool = False
    meaning: str = ""

    @property
    def visible(self) -> bool:
        """Whether the reader can see it."""
        return self.box.layout.display != "none"


def slider(label: str, value: float, low: float, high: float, step: float, meaning: str = "") -> Control:
    """A number: a field with the label, a slider that shows the same value, and a few words on what it does.

    Sliders of Jupyter have no name that a screen reader could read, so the field carries it.
    """
    field = widgets.BoundedFloatText(
        value=value, min=low, max=high, step=step, description=label, style=LABEL, layout=widgets.Layout(width="15em")
    )
    handle = widgets.FloatSlider(value=value, min=low, max=high, step=step, readout=False, tooltip=label, layout=WIDE)
    # In Python, so that a test without a browser sees both move; rounded, for a browser says 0.5499999999 for 0.55.
    link((handle, "value"), (field, "value"), transform=(lambda number: round(number, 9), float))

    def tour(count: int) -> list[float]:
        along = (low + (high - low) * i / max(1, count - 1) for i in range(count))
        on_steps = (min(high, round(low + round((at - low) / step) * step, 10)) for at in along)
        return list(dict.fromkeys(on_steps))

    def check(name: str, wanted: Any) -> float:
        return check_number(name, wanted, at_least=low, at_most=high)

    return Control(label, field, _row(field, handle, meaning), check, tour, in_words, is_slider=True, meaning=meaning)


def stops(label: str, options: Sequence[Any], value: Any) -> Control:
    """One of a few ordered values, unevenly spaced: a labelled list, and a slider beside it that walks over them."""
    field = widgets.Dropdown(
        options=options, value=value, description=label, style=LABEL, layout=widgets.Layout(width="17em")
    )
    handle = widgets.SelectionSlider(options=options, value=value, readout=False, tooltip=label, layout=WIDE)
    link((handle, "value"), (field, "value"))

    def tour(count: int) -> list[Any]:
        last = len(options) - 1
        return [options[i] for i in dict.fromkeys(round(last * i / max(1, count - 1)) for i in range(count))]

    return Control(label, field, _row(field, handle), _one_of(options), tour, is_slider=True)


def choice(label: str, options: Sequence[Any], value: Any) -> Control:
    """One of a few values, from a labelled list. Options may be pairs (words, value)."""
    values = [option[1] if isinstance(option, tuple) else option for option in options]
    field = widgets.Dropdown(
        options=options, value=value, description=label, style=LABEL, layout=widgets.Layout(width="24em")
    )
    return Control(label, field, field, _one_of(values), lambda count: values, _says(options))


def several(label: str, options: Sequence[tuple[str, str]], value: Sequence[str]) -> Control:
    """Any of a few values, from a labelled list of pairs (words, value)."""
    values = [option[1] for option in options]
    field = widgets.SelectMultiple(
        options=options,
        value=tuple(value),
        description=label,
        rows=min(7, len(values)),
        style=LABEL,
        layout=widgets.Layout(width="24em"),
    )

    def check(name: str, wanted: Any) -> tuple[Any, ...]:
        if isinstance(wanted, str) or not isinstance(wanted, Sequence):
            raise bad_type(name, wanted, f"a sequence of values among {values}")
        for one in wanted:
            _one_of(values)(name, one)
        if not wanted:
            raise bad_value(name, wanted, "at least one value")
        return tuple(one for one in values if one in wanted)

    def words(chosen: Any) -> str:
        return f"all {len(values)}" if len(chosen) == len(values) else ", ".join(map(_says(options), chosen))

    return Control(label, field, field, check, lambda count: [tuple(values), (values[0],), (values[-1],)], words)


def _one_of(values: Sequence[Any]) -> Callable[[str, Any], Any]:
    def check(name: str, wanted: Any) -> Any:
        if isinstance(wanted, bool) or wanted not in values:
            raise bad_value(name, wanted, "one of " + ", ".join(repr(value) for value in values))
        return wanted

    return check


def _says(options: Sequence[Any]) -> Callable[[Any], str]:
    """The words of an option, given its value."""
    pairs = [option if isinstance(option, tuple) else (str(option), option) for option in options]
    return lambda value: next(words for words, one in pairs if one == value)


def _row(field: Any, handle: Any, meaning: str = "") -> Any:
    shown = f'<div style="line-height: 1.3">{html.escape(meaning)}</div>'
    words = [widgets.HTML(shown, layout=widgets.Layout(flex="0 1 24em"))] if meaning else []
    return widgets.HBox([field, handle, *words], layout=widgets.Layout(width="100%", align_items="center"))
