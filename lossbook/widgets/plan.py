"""Which settings of an explorer are drawn beforehand, when it is frozen: as many as fit, spread where a reader goes."""

import itertools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from lossbook.checks import bad_value
from lossbook.widgets.controls import Control

FINEST, COARSEST = 31, 3  # stops of a slider that is moved alone from where the explorer stands

Setting = dict[str, Any]  # control -> value; in a plan only of the controls that can be seen there
Visible = Callable[[Setting], Sequence[str]]


def every_combination(here: Setting, controls: Mapping[str, Control], steps: int, most: int) -> list[Setting]:
    """The full product of a few controls, each over its tour and where it stands.

    Raises:
        ValueError: more than `most` of them.
    """
    axes = {name: stops_of(control, steps, here[name]) for name, control in controls.items()}
    count = math.prod(len(axis) for axis in axes.values())
    if count > most:
        each = " × ".join(f"{len(axis)} of {name}" for name, axis in axes.items())
        raise bad_value("steps", f"{count} pictures ({each})", f"at most {most}: freeze fewer controls or steps")
    return [dict(zip(axes, values, strict=True)) for values in itertools.product(*axes.values())]


def planned(
    bases: Sequence[Setting],
    then: Sequence[Mapping[str, Sequence[Any]]],
    controls: Mapping[str, Control],
    visible: Visible,
    together: Sequence[Sequence[str]],
    at_presets: Sequence[str] | None,
    most: int,
) -> list[Setting]:
    """Settings around a few bases, on the finest grid that keeps them few enough.

    From every base each control is moved alone. Controls that a list brings into sight are moved there too. From the
    first base, groups of controls are moved together, on every second stop.

    Args:
        bases: where the explorer stands, then its presets.
        then: for each of them, further values of controls to draw there, one at a time.
        controls: name -> control.
        visible: a setting -> the controls that can be seen there. It may depend on lists, not on sliders.
        together: groups of controls that are moved together.
        at_presets: the controls that are moved from presets; None for all.
        most: pictures.

    Raises:
        ValueError: even on the coarsest grid there are more than `most`.
    """
    asked_for = [
        base | {name: value}
        for base, further in zip(bases, then, strict=True)
        for name, values in further.items()
        for value in values
    ]
    for steps in range(FINEST, COARSEST - 1, -2):
        around = _around(bases, controls, visible, together, at_presets, steps)
        found = {
            tuple((name, setting[name]) for name in visible(setting)): None
            for setting in itertools.chain(around, asked_for)
        }
        if len(found) <= most:
            return [dict(pairs) for pairs in found]
    raise bad_value("most", most, f"at least {len(found)}: fewer do not hold every control and preset")


def stops_of(control: Control, steps: int, *here: Any) -> list[Any]:
    """Values of a control to draw, those where it stands among them."""
    tour = control.tour(steps)
    found = list(dict.fromkeys([*tour, *here]))
    return sorted(found) if control.is_slider else found


def _around(
    bases: Sequence[Setting],
    controls: Mapping[str, Control],
    visible: Visible,
    together: Sequence[Sequence[str]],
    at_presets: Sequence[str] | None,
    steps: int,
) -> Iterator[Setting]:
    fewer = steps // 2 + 1  # every second stop of the finer grid
    first, *presets = bases
    for base in bases:
        yield base
    yield from _one_at_a_time(first, visible(first), controls, visible, steps, fewer)
    for base in presets:
        moved = [name for name in visible(base) if at_presets is None or name in at_presets]
        yield from _one_at_a_time(base, moved, controls, visible, fewer, COARSEST)
    for names in together:
        axes = [stops_of(controls[name], fewer, first[name]) for name in names]
        for values in itertools.product(*axes):
            yield first | dict(zip(names, values, strict=True))


def _one_at_a_time(
    base: Setting,
    names: Sequence[str],
    controls: Mapping[str, Control],
    visible: Visible,
    steps: int,
    revealed: int,
) -> Iterator[Setting]:
    seen = set(visible(base))
    for name in names:
        for value in stops_of(controls[name], steps, base[name]):
            there = base | {name: value}
            yield there
            for new in (other for other in visible(there) if other not in seen):
                for stop in stops_of(controls[new], revealed, there[new]):
                    yield there | {new: stop}
