"""The controls of an explorer: each has a label tied to a field that keyboards and screen readers reach."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import ipywidgets as widgets

from lossbook.checks import bad_type, bad_value, check_number

LABEL = {"description_width": "9em"}


@dataclass(frozen=True)
class Control:
    """One named setting of an explorer.

    `holder` is the widget whose `value` counts and `box` what is shown; `check(name, value)` refuses what the control cannot
    take; `tour(count)` lists values worth visiting, about `count` of them where the control is a slider.
    """

    label: str
    holder: Any
    box: Any
    check: Callable[[str, Any], Any]
    tour: Callable[[int], list[Any]]
    is_slider: bool = False

    @property
    def visible(self) -> bool:
        """Whether the reader can see it."""
        return self.box.layout.display != "none"


def slider(label: str, value: float, low: float, high: float, step: float) -> Control:
    """A number: a field with the label, and a slider beside it that shows the same value.

    Sliders of Jupyter have no name that a screen reader could read, so the field carries it.
    """
    handle = widgets.FloatSlider(
        value=value, min=low, max=high, step=step, readout=False, tooltip=label, layout=widgets.Layout(flex="1 1 8em")
    )
    field = widgets.BoundedFloatText(
        value=value, min=low, max=high, step=step, description=label, style=LABEL, layout=widgets.Layout(width="15em", flex="0 0 auto")
    )
    widgets.link((handle, "value"), (field, "value"))  # in Python, so that a test without a browser sees both move

    def tour(count: int) -> list[float]:
        along = (low + (high - low) * i / max(1, count - 1) for i in range(count))
        on_steps = (min(high, round(low + round((at - low) / step) * step, 10)) for at in along)
        return list(dict.fromkeys(on_steps))

    def check(name: str, wanted: Any) -> float:
        return check_number(name, wanted, at_least=low, at_most=high)

    return Control(label, handle, _row(field, handle), check, tour, is_slider=True)


def stops(label: str, options: Sequence[Any], value: Any) -> Control:
    """One of a few ordered values, unevenly spaced: a labelled list, and a slider beside it that walks over them."""
    handle = widgets.SelectionSlider(
        options=options, value=value, readout=False, tooltip=label, layout=widgets.Layout(flex="1 1 8em")
    )
    field = widgets.Dropdown(
        options=options, value=value, description=label, style=LABEL, layout=widgets.Layout(width="17em", flex="0 0 auto")
    )
    widgets.link((handle, "value"), (field, "value"))

    def tour(count: int) -> list[Any]:
        last = len(options) - 1
        return [options[i] for i in dict.fromkeys(round(last * i / max(1, count - 1)) for i in range(count))]

    return Control(label, handle, _row(field, handle), _one_of(options), tour, is_slider=True)


def choice(label: str, options: Sequence[Any], value: Any) -> Control:
    """One of a few values, from a labelled list. Options may be pairs (words, value)."""
    values = [option[1] if isinstance(option, tuple) else option for option in options]
    field = widgets.Dropdown(options=options, value=value, description=label, style=LABEL, layout=widgets.Layout(width="24em"))
    return Control(label, field, field, _one_of(values), lambda count: values)


def several(label: str, options: Sequence[tuple[str, str]], value: Sequence[str]) -> Control:
    """Any of a few values, from a labelled list of pairs (words, value)."""
    values = [option[1] for option in options]
    field = widgets.SelectMultiple(
        options=options, value=tuple(value), description=label, rows=min(7, len(values)), style=LABEL, layout=widgets.Layout(width="24em")
    )

    def check(name: str, wanted: Any) -> tuple[Any, ...]:
        if isinstance(wanted, str) or not isinstance(wanted, Sequence):
            raise bad_type(name, wanted, f"a sequence of values among {values}")
        for one in wanted:
            _one_of(values)(name, one)
        if not wanted:
            raise bad_value(name, wanted, "at least one value")
        return tuple(one for one in values if one in wanted)

    return Control(label, field, field, check, lambda count: [tuple(values), (values[0],), (values[-1],)])


def _one_of(values: Sequence[Any]) -> Callable[[str, Any], Any]:
    def check(name: str, wanted: Any) -> Any:
        if isinstance(wanted, bool) or wanted not in values:
            raise bad_value(name, wanted, "one of " + ", ".join(repr(value) for value in values))
        return wanted

    return check


def _row(*parts: Any) -> Any:
    return widgets.HBox(parts, layout=widgets.Layout(width="100%", align_items="center"))
