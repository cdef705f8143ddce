"""The table at the head of a chapter: what its papers claim, and what came out."""

from html import escape
from typing import Any

import pandas as pd
from IPython.display import HTML

from lossbook.catalog.papers import NOTEBOOKS, Paper, papers
from lossbook.catalog.table import STYLE
from lossbook.figures.html import in_words

COLUMNS = ("What must hold", "Seeds", "Margin, 95 % interval", "Here", "Reported")
ROOM = """<style>
table.lossbook.verdicts :is(th, td) { padding: 0.3em 0.7em 0.3em 0; border-top: 1px solid #8884; }
</style>"""


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
    """The table's HTML, the claims of a paper under its authors."""
    known = papers()
    unknown = [key for key in found.system if key not in known]
    if unknown:
        raise ValueError(f"system: got {unknown[0]!r}, expected a key of the catalogue's papers")
    head = "".join(f'<th scope="col">{name}</th>' for name in COLUMNS)
    groups = "".join(_group(known[key], rows) for key, rows in found.groupby("system", sort=False))
    return (
        f'{STYLE}{ROOM}\n<table class="lossbook verdicts">\n<caption>{escape(caption)}</caption>\n'
        f"<thead><tr>{head}</tr></thead>\n{groups}</table>"
    )


def _group(paper: Paper, rows: pd.DataFrame) -> str:
    who = f'<a href="{NOTEBOOKS.get(paper.chapter, "")}#{escape(paper.key)}">{escape(paper.authors)}</a>, {paper.year}'
    head = f'<tr><th scope="rowgroup" colspan="{len(COLUMNS)}">{who}</th></tr>\n'
    return f"<tbody>{head}{''.join(map(_row, rows.to_dict('records')))}</tbody>\n"


def _sentence(words: str) -> str:
    """Beginning with a capital, where it begins with a word and not with a symbol."""
    return words[0].upper() + words[1:] if words[:2].isascii() else words


def _row(row: dict[str, Any]) -> str:
    margin = f"{escape(in_words(row['mean']))} {escape(row['unit'])}"
    margin += f"<br>[{in_words(row['low'])}, {in_words(row['high'])}]"
    judged = f"<strong>{escape(row['verdict'])}</strong>" + (
        f". {escape(_sentence(row['remark']))}" if row["remark"] else ""
    )
    cells = (f"{row['held']} of {row['seeds']}", margin, judged, escape(row["published"]))
    return f'<tr><th scope="row">{escape(row["claim"])}</th>{"".join(f"<td>{cell}</td>" for cell in cells)}</tr>\n'
