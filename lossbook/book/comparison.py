"""Two losses side by side: curves, slopes and properties of any two, drawn in the page from numbers of the records."""

import itertools
import json
from collections.abc import Iterable, Sequence
from html import escape
from typing import Any

import numpy as np

from lossbook.book.chapter import Chapter
from lossbook.book.loss_card import chapter_link, facts
from lossbook.book.slices import SLICES, along, moved
from lossbook.book.words import setting_in_words
from lossbook.catalog import RECORDS, Record

ROWS = (
    *("Function", "Loss", "Gradient", "Loss of", "Family", "Origin", "Parameters"),
    *("Bounds", "Convexity", "Steepness", "Shifts", "Calibration", "Symmetry", "Properness"),
    *("Special cases", "Paper", "Chapter"),
)
DIGITS = 5  # of each number in the page: a curve 300 pixels high needs three, and a reader is shown three
START = ("hinge_loss", "logistic_loss")
SIDES = ("First loss", "Second loss")

OPENING = """---
html_theme.sidebar_secondary.remove: true
---

# Two losses side by side

Choose two losses. Their values and slopes are drawn at the settings of the sliders, and read at the position that you
move; what is known of each stands below. Losses of the same kind of input share their axes: of a margin $m$, of an
error $e$, of class scores $z$, or of pairs. What rises far above the rest leaves the panel. The address of the page
keeps your choice, so you can link to it.

```{raw} html
<link rel="stylesheet" href="_static/curves.css">
<link rel="stylesheet" href="_static/comparison.css">
<noscript><p>This page needs JavaScript. Without it, the <a href="atlas.html">atlas</a> shows the curves and properties
of each loss.</p></noscript>
"""


def pages(chapters: Sequence[Chapter]) -> dict[str, str | bytes]:
    """The page `comparison.md`."""
    as_json = json.dumps(data(chapters), allow_nan=False, ensure_ascii=False, separators=(",", ":"))
    as_json = as_json.replace("<", "\\u003c")  # nothing in it can end the script element
    return {
        "comparison.md": f"{OPENING}{_form()}\n"
        f'<script type="application/json" id="lossbook-losses">{as_json}</script>\n'
        '<script src="_static/comparison.js"></script>\n```\n'
    }


def data(chapters: Sequence[Chapter]) -> dict[str, Any]:
    """All that the page knows: the kinds of input with their axes, and each loss with its curves at every setting."""
    written = {chapter.number: chapter for chapter in chapters}
    kinds = {
        kind: {
            "name": line.name,
            "argument": line.argument,
            "held": line.held,
            "widest": line.widest,
            "positions": line.positions.tolist(),
        }
        for kind, line in SLICES.items()
    }
    losses = {key: _loss(record, written.get(record.chapter)) for key, record in RECORDS.items()}
    return {"start": START, "rows": ROWS, "kinds": kinds, "losses": losses}


def _loss(record: Record, chapter: Chapter | None) -> dict[str, Any]:
    axes = moved(record)
    settings = [dict(zip(axes, values, strict=True)) for values in itertools.product(*axes.values())]
    curves = [along(record, setting) for setting in settings]
    held = {name: value for name, value in record.defaults.items() if name not in axes}
    return {
        "title": record.title,
        "kind": record.inputs,
        "parameters": [
            {"name": p.name, "meaning": p.meaning, "values": axes[p.name], "start": axes[p.name].index(p.default)}
            for p in record.parameters
            if p.name in axes
        ],
        "held": f"Here {setting_in_words(held)}." if held else "",
        # One curve for each setting, the last parameter's value changing fastest.
        "values": [_short(curve.value) for curve in curves],
        "slopes": [_short(curve.slope) for curve in curves],
        "facts": facts(record)
        | {
            "Chapter": chapter_link(record.chapter, chapter, record.system),
            "Function": f'<a href="api/losses/{record.key}.html"><code>{record.key}</code></a>, '
            f'<a href="atlas.html#{record.key}">its card in the atlas</a>',
        },
    }


def _short(numbers: Iterable[float] | np.ndarray) -> list[float]:
    rounded = (float(f"{number:.{DIGITS}g}") + 0.0 for number in numbers)  # + 0.0: no negative zero
    return [int(number) if number.is_integer() else number for number in rounded]


def _form() -> str:
    groups = itertools.groupby(
        sorted(RECORDS.values(), key=lambda record: list(SLICES).index(record.inputs)), lambda record: record.inputs
    )
    options = "".join(
        f'<optgroup label="Losses of {SLICES[kind].name}">'
        + "".join(f'<option value="{record.key}">{escape(record.title)}</option>' for record in group)
        + "</optgroup>"
        for kind, group in groups
    )
    sides = "".join(
        f'<fieldset data-side="{side}"><legend>{_swatch(side)} {name}</legend>'
        f'<label for="loss-{side}">Loss</label><select id="loss-{side}">{options}</select>'
        '<div class="parameters"></div></fieldset>'
        for side, name in enumerate(SIDES)
    )
    return (
        '<div class="lossbook-comparison" hidden>\n'
        f'<form aria-label="Which losses, and their settings">{sides}</form>\n'
        '<p class="kinds" role="status"></p>\n<div class="axes"></div>\n'
        '<div class="facts" role="region" tabindex="0" aria-label="What is known of both losses">'
        "<table><caption></caption><thead></thead><tbody></tbody></table></div>\n</div>"
    )


def _swatch(side: int) -> str:
    """A piece of the side's line with its mark."""
    marks = ('<circle cx="18" cy="7" r="4.5"/>', '<rect x="13.5" y="2.5" width="9" height="9"/>')
    line = '<line x1="0" x2="36" y1="7" y2="7"/>'
    return (
        f'<svg class="lossbook-curves side-{side}" width="36" height="14" aria-hidden="true">{line}{marks[side]}</svg>'
    )
