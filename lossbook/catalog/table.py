"""The atlas and the table of losses as accessible HTML. Plain strings: whoever shows them wraps them."""

from collections.abc import Iterable, Mapping
from html import escape
from itertools import groupby

from lossbook.catalog import RECORDS, Record
from lossbook.catalog.papers import CHAPTERS, NOTEBOOKS, Paper
from lossbook.catalog.papers import papers as all_papers

# Notebooks align table cells to the right, as numbers want; these cells are words. The colours stay the page's own.
STYLE = """<style>
table.lossbook :is(th, td, caption) { text-align: left !important; vertical-align: top !important; }
table.lossbook th[scope=row] { font-weight: normal !important; }
</style>"""


def atlas_table(papers: Mapping[str, Paper] | None = None, base: str = "") -> str:
    """The systems as an HTML table, grouped by chapter; what is implemented links to its section.

    Args:
        papers: key -> system; all of them by default.
        base: what to put before the notebooks' file names, such as "notebooks/".

    Returns:
        HTML.

    Example:
        >>> '<a href="01_from_likelihood_to_cross_entropy.ipynb#hinge">' in atlas_table({
        ...     "hinge": Paper("hinge", "Support-vector networks", ("loss",), "01", ("lossbook.losses.hinge_loss",))
        ... })
        True
    """
    rows = list((all_papers() if papers is None else papers).values())
    done = sum(paper.implemented for paper in rows)
    bodies = [
        _body(f"{chapter} · {CHAPTERS[chapter]}", [_system(paper, base) for paper in group])
        for chapter, group in groupby(sorted(rows, key=lambda paper: paper.chapter), key=lambda paper: paper.chapter)
    ]
    caption = f"The atlas: {len(rows)} systems by chapter, {done} of them implemented"
    return _table(caption, ("System", "Kind", "Paper", "Status"), bodies)


def loss_table(records: Iterable[Record] | None = None, base: str = "") -> str:
    r"""The losses as an HTML table: name, family, origin, formula as TeX, parameters, chapter.

    Args:
        records: the losses' records; all of them by default.
        base: what to put before the notebooks' file names.

    Returns:
        HTML with TeX between \( and \).

    Example:
        >>> r"\(\max(0, 1 - m)\)" in loss_table()
        True
    """
    rows = list(RECORDS.values() if records is None else records)
    cells = [_row(f"<code>{escape(record.key)}</code>", *_facts(record, base)) for record in rows]
    columns = ("Loss", "Family", "Origin", "Formula", "Parameters", "Chapter")
    return _table(
        f"The losses: {len(rows)} functions of lossbook.losses", columns, [f"<tbody>{''.join(cells)}</tbody>"]
    )


def _system(paper: Paper, base: str) -> str:
    title = escape(paper.title)
    if paper.implemented and paper.chapter in NOTEBOOKS:
        title = _link(f"{base}{NOTEBOOKS[paper.chapter]}#{paper.key}", title)
    return _row(title, ", ".join(paper.kind), source(paper), paper.status)


def source(paper: Paper) -> str:
    """Who published a system, where and when, as HTML.

    Example:
        >>> source(Paper("hinge", "Support-vector networks", ("loss",), "01", (), "Cortes & Vapnik", 1995))
        'Cortes &amp; Vapnik, 1995'
    """
    arxiv = _link(f"https://arxiv.org/abs/{paper.arxiv}", f"arXiv {paper.arxiv}") if paper.arxiv else ""
    year = str(paper.year or "")
    return ", ".join(part for part in (escape(paper.authors), escape(f"{paper.venue} {year}".strip()), arxiv) if part)


def _facts(record: Record, base: str) -> tuple[str, ...]:
    parameters = ", ".join(
        f"{_tex(parameter.symbol)} <code>{escape(parameter.name)}={parameter.default:g}</code>"
        for parameter in record.parameters
    )
    notebook = NOTEBOOKS.get(record.chapter)
    chapter = _link(f"{base}{notebook}", record.chapter) if notebook else record.chapter
    return escape(record.family), record.origin, _wide(record.formula), parameters, chapter


def _tex(formula: str) -> str:
    return rf"\({escape(formula)}\)"


def _wide(formula: str) -> str:
    # MathJax breaks a line at the width of its cell, and a cell that is still empty is narrow.
    return f'<div style="min-width: 24em">{_tex(formula)}</div>'


def _link(target: str, text: str) -> str:
    return f'<a href="{escape(target)}">{text}</a>'


def _row(head: str, *cells: str) -> str:
    return f'<tr><th scope="row">{head}</th>{"".join(f"<td>{cell}</td>" for cell in cells)}</tr>\n'


def _body(title: str, rows: list[str]) -> str:
    return f'<tbody>\n<tr><th scope="rowgroup" colspan="4">{escape(title)}</th></tr>\n{"".join(rows)}</tbody>\n'


def _table(caption: str, columns: tuple[str, ...], bodies: list[str]) -> str:
    head = "".join(f'<th scope="col">{column}</th>' for column in columns)
    top = f"<caption>{caption}</caption>\n<thead><tr>{head}</tr></thead>\n"
    return f'{STYLE}\n<table class="lossbook">\n{top}{"".join(bodies)}</table>'
