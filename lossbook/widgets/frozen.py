"""An explorer without a kernel: pictures made beforehand, controls, and a small script that puts the two together."""

import base64
import hashlib
import html
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from lossbook.figures.html import caption_html
from lossbook.widgets.controls import Control

HERE = Path(__file__).parent
INLINE = "data:image/webp;base64,"
NOTE = "Without a kernel: {count} settings, drawn beforehand."


class Frame(NamedTuple):
    """One picture and the words that go with it."""

    picture: bytes
    alt: str
    caption: str


class Drawn(NamedTuple):
    """A frame, and where the controls stand that can be seen then."""

    setting: Mapping[str, Any]
    frame: Frame


class Base(NamedTuple):
    """A place to start from: every control's value, and what to look for there."""

    name: str
    look: str
    values: Mapping[str, Any]


class Folder(NamedTuple):
    """Where pictures are kept as files, and the address at which a page finds them."""

    path: Path
    address: str


def frozen_html(
    drawn: Sequence[Drawn],
    controls: Mapping[str, Control],
    bases: Sequence[Base],
    *,
    size: tuple[int, int],
    chosen: int = 0,
    folder: Folder | None = None,
) -> str:
    """A `<div>` of labelled controls and one picture, which follows them.

    Args:
        drawn: the settings that were drawn, the bases' among them.
        controls: name -> control, in the order in which they are shown; one that no setting names is left out.
        bases: where it starts, then the presets.
        size: of the picture, in CSS pixels.
        chosen: the preset at which it starts, from 1; 0 for none.
        folder: keep the pictures there, named by what they hold; None puts them into the `<div>`.
    """
    axes = {name: _values_of(name, control, drawn) for name, control in controls.items()}
    axes = {name: axis for name, axis in axes.items() if axis}
    pictures = {one.frame.picture: i for i, one in enumerate({each.frame.picture: each for each in drawn}.values())}
    sources = [_keep(picture, folder) for picture in pictures]
    settings = [[_index(axes[name], base.values[name]) for name in axes] for base in bases]
    starts = [next(i for i, one in enumerate(drawn) if _is_at(one, base)) for base in bases]
    said = {name: [controls[name].words(value) for value in axis] for name, axis in axes.items()}
    address = folder.address if folder else INLINE
    data = {
        "controls": [{"label": controls[name].label, "words": words} for name, words in said.items()],
        "frames": [_frame(one, axes, pictures[one.frame.picture]) for one in drawn],
        "pictures": sources,
        "address": address,
        "files": folder is not None,
        "start": starts[0],
        "setting": settings[0],
        "look": caption_html(bases[0].look),
        "chosen": chosen,
        "presets": [
            {"look": caption_html(base.look), "setting": setting, "frame": start}
            for base, setting, start in zip(bases[1:], settings[1:], starts[1:], strict=True)
        ],
    }
    first = drawn[starts[0]]
    fields = [
        _field(i, controls[name], said[name], settings[0][i], hidden=name not in first.setting)
        for i, name in enumerate(axes)
    ]
    menu = _menu([base.name for base in bases[1:]]) if len(bases) > 1 else ""
    source = address + sources[pictures[first.frame.picture]]
    markup = (
        f'<div class="lossbook-frozen"><style>{_part("frozen.css")}</style>'
        f'<div class="controls" hidden>{menu}{"".join(fields)}<p class="note"><span class="drawn">'
        f'{NOTE.format(count=len(drawn))}</span> <span role="status"></span></p></div>'
        f"{_figure(first.frame, bases[0].look, source, size)}"
        f'<script type="application/json">{_json(data)}</script><script>{_part("frozen.js")}</script></div>'
    )
    return markup.encode("ascii", "xmlcharrefreplace").decode("ascii")  # reads the same under any encoding of the page


def page_html(title: str, body: str) -> str:
    """A whole page around a frozen explorer."""
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><meta name="color-scheme" content="light dark">'
        f'<meta name="viewport" content="width=device-width"><title>{html.escape(title)}</title>'
        f"<style>body {{ font: 16px/1.5 sans-serif; max-width: 64em; margin: 1em auto; padding: 0 1em }}</style></head>"
        f"<body><main><h1>{html.escape(title)}</h1>\n{body}\n</main></body></html>\n"
    )


def _part(name: str) -> str:
    return (HERE / name).read_text(encoding="utf-8")


def _json(data: Any) -> str:
    return json.dumps(data, separators=(",", ":")).replace("<", "\\u003c")  # nothing in it can end the script element


def _frame(one: Drawn, axes: Mapping[str, Sequence[Any]], picture: int) -> dict[str, Any]:
    """What the script knows of a picture; `at` counts the stops of each control, -1 for one that cannot be seen."""
    at = [axis.index(one.setting[name]) if name in one.setting else -1 for name, axis in axes.items()]
    return {"at": at, "picture": picture, "alt": one.frame.alt, "caption": caption_html(one.frame.caption)}


def _values_of(name: str, control: Control, drawn: Sequence[Drawn]) -> list[Any]:
    """The values of a control in the order in which it offers them."""
    found = list(dict.fromkeys(one.setting[name] for one in drawn if name in one.setting))
    if control.is_slider:
        return sorted(found)
    offered = control.tour(len(found))
    return sorted(found, key=lambda value: offered.index(value) if value in offered else len(offered))


def _index(axis: Sequence[Any], value: Any) -> int:
    """Where a control stands; one that cannot be seen may have a value that was never drawn."""
    return axis.index(value) if value in axis else 0


def _is_at(one: Drawn, base: Base) -> bool:
    return all(base.values[name] == value for name, value in one.setting.items())


def _keep(picture: bytes, folder: Folder | None) -> str:
    """What comes behind the address."""
    if folder is None:
        return base64.b64encode(picture).decode("ascii")
    name = hashlib.sha256(picture).hexdigest()[:20] + ".webp"
    place = folder.path / name
    if not place.exists():
        folder.path.mkdir(parents=True, exist_ok=True)
        place.write_bytes(picture)
    return name


def _figure(frame: Frame, look: str, source: str, size: tuple[int, int]) -> str:
    caption = caption_html("\n".join(filter(None, (look, frame.caption))))
    return (
        f'<figure><div class="picture"><img src="{source}" alt="{html.escape(frame.alt)}" width="{size[0]}" '
        f'height="{size[1]}" decoding="sync"></div><figcaption aria-live="polite">{caption}</figcaption></figure>'
    )


def _menu(names: Sequence[str]) -> str:
    options = "".join(f"<option>{html.escape(name)}</option>" for name in names)
    return (
        '<label><span class="name">Presets</span><select data-presets aria-label="Presets"><option>choose …</option>'
        f"{options}</select></label>"
    )


def _field(i: int, control: Control, words: Sequence[str], at: int, *, hidden: bool) -> str:
    """A labelled slider over the values' numbers with the value's words beside it, or a labelled list."""
    name = html.escape(control.label)
    if control.is_slider:
        value = html.escape(words[at])
        field = (
            f'<input type="range" min="0" max="{len(words) - 1}" value="{at}" data-control="{i}" aria-label="{name}" '
            f'aria-valuetext="{value}"><span class="value" aria-hidden="true">{value}</span>'
        )
    else:
        options = "".join(f'<option value="{j}">{html.escape(one)}</option>' for j, one in enumerate(words))
        field = f'<select data-control="{i}" aria-label="{name}">{options}</select>'
    meaning = f'<span class="meaning">{html.escape(control.meaning)}</span>' if control.meaning else ""
    return f'<label{" hidden" if hidden else ""}><span class="name">{name}</span>{field}{meaning}</label>'
