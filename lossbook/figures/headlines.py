"""The table at the head of a chapter: what its papers claim, and what came out."""

from html import escape

import pandas as pd
from IPython.display import HTML

from lossbook.catalog.papers import NOTEBOOKS, Paper, papers
from lossbook.catalog.table import STYLE
from lossbook.figures.html import in_words

COLUMNS = ("Paper", "What must hold", "Seeds", "Margin, 95 % interval", "Here", "Reported")


def show_verdicts(found: pd.DataFrame, caption: str = "What the papers claim, and what came out here") -> HTML:
    """The verdicts on a chapter's headlines, as a table with a row a claim.

    Args:
        found: of `lossbook.experiments.headlines.verdicts`.
        caption: above the table.

    Returns:
        An object that Jupyter displays; put it last in the cell.

    Raises:
        ValueError: a system that the catalogue does not have.
    """
    return HTML(verdicts_html(found, caption))


def verdicts_html(found: pd.DataFrame, caption: str) -> str:
    """The table's HTML."""
    known = papers()
    unknown = [key for key in found.system if key not in known]
    if unknown:
        raise ValueError(f"system: got {unknown[0]!r}, expected a key of the catalogue's papers")
    head = "".join(f'<th scope="col">{name}</th>' for name in COLUMNS)
    body = "".join(_row(row, known[row.system]) for row in found.itertuples())
    return (
        f'{STYLE}\n<table class="lossbook">\n<caption>{escape(caption)}</caption>\n'
        f"<thead><tr>{head}</tr></thead>\n<tbody>{body}</tbody></table>"
    )


def _row(row: object, paper: Paper) -> str:
    margin = f"{in_words(row.mean)} [{in_words(row.low)}, {in_words(row.high)}] {row.unit}"  # type: ignore[attr-defined]
    judged = f"<strong>{escape(row.verdict)}</strong>" + (f". {escape(row.remark)}" if row.remark else "")  # type: ignore
    who = f'<a href="{NOTEBOOKS.get(paper.chapter, "")}#{escape(paper.key)}">{escape(paper.authors)}</a>'
    cells = (escape(row.claim), f"{row.held} of {row.seeds}", escape(margin), judged, escape(row.published))  # type: ignore
    return f'<tr><th scope="row">{who}</th>{"".join(f"<td>{cell}</td>" for cell in cells)}</tr>\n'
