"""The symbols of the book on a page of their own, made from the table of the first chapter."""

import re
from collections.abc import Sequence
from typing import NamedTuple

from lossbook.book.chapter import Chapter
from lossbook.book.equations import find, prose, refer

SECTION = re.compile(r"^## Notation\s*\n(?P<body>.*?)(?=^## |\Z)", re.MULTILINE | re.DOTALL)
ROW = re.compile(
    r"^\| *(?P<symbol>\$.+?\$) *\|(?P<meaning>[^|]*)\|(?P<unit>[^|]*)\| *\[[^\]]+\]\((?P<place>\S+)\) *\|$"
)

OPENING = """# Notation

The symbols that are the same throughout the book. It is the table of [chapter 00]({stem}.ipynb#Notation), with the
numbers of the equations.

"""


class Symbol(NamedTuple):
    """A row of the table."""

    symbol: str  # TeX, with its dollars; several, separated by commas
    meaning: str
    unit: str  # or range; may be empty
    place: str  # where it is at work: page and anchor, as in a link of a notebook


def symbols(chapter: Chapter) -> list[Symbol]:
    """The rows of a chapter's section on notation.

    Raises:
        ValueError: it has no such section, or a row of its table that cannot be read; the message shows it.
    """
    rows = [line for line in _section(chapter).split("\n") if line.startswith("|")][2:]
    found = [ROW.fullmatch(row) for row in rows]
    if lost := [row for row, match in zip(rows, found, strict=True) if match is None]:
        raise ValueError(f"{chapter.stem}: got {lost[0]!r}, expected | $symbol$ | meaning | unit | [words](place) |")
    return [Symbol(*(part.strip() for part in match.groups())) for match in found if match]


def pages(chapters: Sequence[Chapter]) -> dict[str, str]:
    """The page of notation: path -> text. It is empty where the chapter with the table is not among the chapters.

    Raises:
        ValueError: the table leads to an equation that does not exist.
    """
    first = next((chapter for chapter in chapters if chapter.number == "00"), None)
    if first is None:
        return {}
    symbols(first)  # each row can be read
    text = _section(first).replace("](#", f"]({first.stem}.ipynb#")
    equations = find({chapter.stem: prose(chapter) for chapter in chapters})
    return {"notation.md": OPENING.format(stem=first.stem) + refer(text, equations, "notation")}


def _section(chapter: Chapter) -> str:
    found = SECTION.search("\n\n".join(prose(chapter)))
    if found is None:
        raise ValueError(f"{chapter.stem}: got no section of this name, expected ## Notation")
    return found["body"].strip() + "\n"
