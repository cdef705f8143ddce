"""The atlas: a card for every system of the book and for every loss that belongs to none, with search and filters."""

import base64
import io
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape, unescape
from itertools import groupby
from typing import get_args

from PIL import Image

from lossbook.book.chapter import Chapter
from lossbook.book.loss_card import chapter_link, loss_html
from lossbook.catalog import RECORDS, Record
from lossbook.catalog.papers import CHAPTERS, KINDS, PARTS, Paper, papers
from lossbook.catalog.record import Origin
from lossbook.catalog.table import source
from lossbook.figures.html import smaller

WIDEST = 640  # pixels of a chapter's picture on a card
FIGURE = re.compile(r'<img\s[^>]*?src="([^"]+)"[^>]*>')
ALT = re.compile(r'\salt="([^"]*)"')
INLINE = re.compile(r"data:image/\w+;base64,")
CLASSICAL = "classical loss"

OPENING = """---
html_theme.sidebar_secondary.remove: true
---

# The atlas

Every published system that the book is to contain, a card each: who made it, what it is, its chapter, and whether it
is done. The losses of a card come with formula, gradient, curves and what the tests hold of them. Losses that belong
to none of the systems have cards of their own, marked *classical loss*. Formulas are of the scores $z$, with $p$ their
softmax and $y$ the right class; of the margin $m$; or of the error $e$. Two losses are set side by side on the
[comparison page](comparison.md).

```{raw} html
<link rel="stylesheet" href="_static/curves.css">
<link rel="stylesheet" href="_static/atlas.css">
"""


@dataclass(frozen=True)
class Card:
    """A system with its losses, or a loss that belongs to no system."""

    key: str
    title: str
    chapter: str
    kinds: tuple[str, ...]
    status: str
    done_by: tuple[str, ...]  # dotted names
    paper: Paper | None
    records: tuple[Record, ...]


def cards() -> list[Card]:
    """All cards in the order of the chapters, in each the systems first.

    Example:
        >>> [card.key for card in cards() if card.chapter == "10"][-1]
        'focal_loss'
    """
    found = [
        Card(
            paper.key,
            paper.title,
            paper.chapter,
            paper.kind,
            paper.status,
            paper.implemented_by,
            paper,
            losses_of(paper),
        )
        for paper in papers().values()
    ]
    taken = {record.key for card in found for record in card.records}
    found += [
        Card(
            record.key,
            record.title,
            record.chapter,
            ("loss", CLASSICAL),
            "implemented",
            (f"lossbook.losses.{record.key}",),
            None,
            (record,),
        )
        for record in RECORDS.values()
        if record.key not in taken
    ]
    return sorted(found, key=lambda card: card.chapter)


def losses_of(paper: Paper) -> tuple[Record, ...]:
    """The losses of a system: those that name it, those that it names, and those of the same paper.

    Example:
        >>> [record.key for record in losses_of(papers()["mw_loss"])]
        ['mann_whitney_loss']
    """
    return tuple(
        record
        for record in RECORDS.values()
        if record.system == paper.key
        or f"lossbook.losses.{record.key}" in paper.implemented_by
        or (not record.system and paper.arxiv and record.reference.arxiv == paper.arxiv)
    )


def pages(chapters: Sequence[Chapter]) -> dict[str, str | bytes]:
    """The page `atlas.md`, and the pictures that it takes from the chapters."""
    files: dict[str, str | bytes] = {}
    written = {chapter.number: chapter for chapter in chapters}
    text = [OPENING, _controls(), "```\n"]
    for part, group in groupby(cards(), key=lambda card: card.chapter[0]):
        text.append(f"\n## {PARTS[part]}\n")
        for card in group:
            text.append(_card(card, written.get(card.chapter), files))
    text.append('\n```{raw} html\n<script src="_static/atlas.js"></script>\n```\n')
    return {"atlas.md": "".join(text)} | files


def first_figure(chapter: Chapter, key: str) -> tuple[str, str] | None:
    """Where the first picture of a system's section comes from, and its alt text; None where there is none."""
    inside = False
    for cell in chapter.notebook.cells:
        if cell.cell_type == "markdown" and (begun := _begins(cell.source)) is not None:
            inside = begun == key
        for output in cell.get("outputs", ()) if inside else ():
            for image in FIGURE.finditer(output.get("data", {}).get("text/html", "")):
                alt = ALT.search(image[0])
                return image[1], unescape(alt[1]) if alt else ""
    return None


def _begins(source: str) -> str | None:
    """The system whose section a cell begins, "" where another section does, None where none does."""
    anchor = re.match(r'<a id="([\w-]+)"></a>\s*\n## ', source)
    return anchor[1] if anchor else "" if source.startswith("## ") else None


def _card(card: Card, chapter: Chapter | None, files: dict[str, str | bytes]) -> str:
    names = ", ".join(f"{{py:obj}}`{name.removeprefix('lossbook.')} <{name}>`" for name in card.done_by)
    body = "".join(_loss(card, record) for record in card.records)
    shown = f'<div class="lossbook-losses">\n{body}</div>' if body else _picture(card, chapter, files)
    return (
        f"\n### {_plain(card.title)}\n\n```{{raw}} html\n{_head(card, chapter)}\n```\n"
        + (f"\nDone by {names}.\n" if names else "")
        + (f"\n```{{raw}} html\n{shown}\n```\n" if shown else "")
    )


def _loss(card: Card, record: Record) -> str:
    """A loss of a card, with an anchor unless the card has it already."""
    anchor = "" if record.key == card.key else f' id="{record.key}"'
    return f"<div{anchor}>{loss_html(record, alone=card.paper is None)}</div>"


def _head(card: Card, chapter: Chapter | None) -> str:
    origins = " ".join(dict.fromkeys(record.origin.replace(" ", "-") for record in card.records))
    data = {
        "kind": " ".join(kind.replace(" ", "-") for kind in card.kinds),
        "chapter": card.chapter,
        "status": card.status,
        "origin": origins,
        "text": " ".join(_words(card)).lower(),
    }
    attributes = " ".join(f'data-{name}="{escape(value)}"' for name, value in data.items())
    by = f'<p class="lossbook-source">{source(card.paper)}</p>' if card.paper and source(card.paper) else ""
    tags = "".join(f"<li>{kind}</li>" for kind in card.kinds)
    mark = "✓" if card.status == "implemented" else "○"
    return (
        f'<div class="lossbook-card" id="{card.key}" {attributes}>{by}'
        f'<ul class="lossbook-tags" aria-label="kind and status">{tags}'
        f'<li class="{card.status}"><span aria-hidden="true">{mark} </span>{card.status}</li></ul>'
        f"<p>Chapter {chapter_link(card.chapter, chapter, card.key)}</p></div>"
    )


def _words(card: Card) -> Iterator[str]:
    """All that a search looks through."""
    yield from (card.key, card.title, card.chapter, CHAPTERS[card.chapter], *card.kinds)
    if card.paper:
        yield from (card.paper.authors, card.paper.venue, card.paper.arxiv, str(card.paper.year or ""))
    for record in card.records:
        yield from (record.key, record.title, record.family, record.origin, str(record.reference))
    yield from card.done_by


def _picture(card: Card, chapter: Chapter | None, files: dict[str, str | bytes]) -> str:
    """The first picture of the system's section, smaller, as a file of the site."""
    found = first_figure(chapter, card.key) if chapter else None
    if chapter is None or found is None:
        return ""
    address, alt = found
    if inline := INLINE.match(address):
        picture = _small(base64.b64decode(address[inline.end() :]))
        address = f"_static/atlas/{card.key}.png"
        files[address] = picture
    return (
        f'<figure class="lossbook-from-chapter"><img src="{escape(address)}" loading="lazy" alt="{escape(alt)}">'
        f"<figcaption>From its section in chapter {chapter.number}.</figcaption></figure>"
    )


def _small(picture: bytes) -> bytes:
    image = Image.open(io.BytesIO(picture)).convert("RGB")
    image.thumbnail((WIDEST, WIDEST), Image.Resampling.LANCZOS)
    out = io.BytesIO()
    image.save(out, format="png")
    return smaller(out.getvalue())


def _controls() -> str:
    """Search field, filters and the count: hidden until a script is there to heed them."""
    parts = "".join(
        f'<optgroup label="{escape(title)}">{_option(part, f"all of {title}")}'
        + "".join(_option(number, f"{number} {name}") for number, name in CHAPTERS.items() if number[0] == part)
        + "</optgroup>"
        for part, title in PARTS.items()
    )
    selects = {
        "chapter": ("Chapter", parts),
        "kind": ("Kind", "".join(_option(kind.replace(" ", "-"), kind) for kind in (*KINDS, CLASSICAL))),
        "status": ("Status", _option("implemented", "implemented") + _option("planned", "planned")),
        "origin": ("Origin", "".join(_option(o.replace(" ", "-"), o) for o in get_args(Origin))),
    }
    fields = "".join(
        f'<div><label for="atlas-{name}">{label}</label>'
        f'<select id="atlas-{name}" name="{name}">{_option("", "any")}{options}</select></div>'
        for name, (label, options) in selects.items()
    )
    return (
        '<form class="lossbook-filters" role="search" aria-label="the atlas" hidden>'
        '<div class="wide"><label for="atlas-search">Search</label><input type="search" id="atlas-search" '
        'name="search" autocomplete="off" placeholder="title, author, loss, arXiv number"></div>'
        f'{fields}<button type="reset">Show all</button></form>\n<p class="lossbook-count" role="status" hidden></p>\n'
    )


def _option(value: str, words: str) -> str:
    return f'<option value="{escape(value)}">{escape(words)}</option>'


def _plain(text: str) -> str:
    """Text that MyST shows as it is."""
    return re.sub(r"([\\`*_{}\[\]<>#$&|~^:@])", r"\\\1", text)
