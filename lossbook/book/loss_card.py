"""What the book shows of one loss: curves, formula, gradient, parameters, what the tests hold of it, and its paper."""

from html import escape

from lossbook.book.chapter import Chapter
from lossbook.book.slices import SLICES
from lossbook.book.svg import curves_svg
from lossbook.book.words import claims
from lossbook.catalog import Parameter, Record, Reference
from lossbook.catalog.papers import CHAPTERS
from lossbook.figures.html import in_words


def loss_html(record: Record, *, alone: bool = False) -> str:
    """A loss as an `<article>`; `alone`, it stands below a heading of its own and has none."""
    heading = "" if alone else f"<h4>{escape(record.title)} <code>{record.key}</code></h4>"
    known = facts(record)
    formulas = {name: known.pop(name) for name in ("Loss", "Gradient")}
    curves = (
        f"<figure>{curves_svg(record)}<figcaption>Against the {SLICES[record.inputs].argument}"
        f"{_at_defaults(record)}.</figcaption></figure>"
    )
    compare = f'<p><a href="comparison.html#{record.key}">Compare {escape(record.title)} with another loss</a></p>'
    return (
        f'<article class="lossbook-loss">{heading}{_rows(formulas, "formulas")}'
        f"<div>{curves}{compare}</div>{_rows(known, 'facts')}</article>\n"
    )


def facts(record: Record) -> dict[str, str]:
    """All that is known of a loss, its chapter aside: a heading -> HTML. `claims` stand under their own headings.

    Example:
        >>> from lossbook.catalog import find
        >>> facts(find("hinge_loss"))["Convexity"]
        'convex in the margin'
    """
    line = SLICES[record.inputs]
    found = {
        "Loss": math(record.formula),
        "Gradient": math(record.gradient_formula),
        "Loss of": line.name,
        "Family": escape(record.family),
        "Origin": record.origin,
        "Parameters": listed([_parameter(parameter) for parameter in record.parameters]),
        **{heading.capitalize(): escape(words) for heading, words in claims(record).items()},
        "Special cases": listed([escape(case.statement) for case in record.special_cases]),
        "Paper": _paper(record.reference),
    }
    return {name: value for name, value in found.items() if value}


def chapter_link(number: str, chapter: Chapter | None, anchor: str = "") -> str:
    """A chapter by number and title, as a link to the section with that anchor where it is written."""
    words = f"{number} {escape(CHAPTERS[number])}"
    if chapter is None or chapter.number != number:
        return f"{words} (not in this book yet)"
    there = f'<a id="{anchor}"></a>' in "\n".join(cell.source for cell in chapter.notebook.cells)
    return f'<a href="{chapter.stem}.html{f"#{anchor}" if anchor and there else ""}">{words}</a>'


def math(formula: str) -> str:
    r"""TeX for MathJax.

    Example:
        >>> math("a < b")
        '<span class="math notranslate nohighlight">\\(a &lt; b\\)</span>'
    """
    return rf'<span class="math notranslate nohighlight">\({escape(formula)}\)</span>'


def listed(items: list[str]) -> str:
    """A list; one item stands alone."""
    if len(items) < 2:
        return "".join(items)
    return f"<ul>{''.join(f'<li>{item}</li>' for item in items)}</ul>"


def _rows(found: dict[str, str], look: str) -> str:
    rows = "".join(f"<dt>{name}</dt><dd>{value}</dd>" for name, value in found.items())
    return f'<dl class="{look}">{rows}</dl>'


def _paper(reference: Reference) -> str:
    where = escape(reference.venue)
    if reference.arxiv:
        where = f'<a href="https://arxiv.org/abs/{reference.arxiv}">arXiv {reference.arxiv}</a>'
    parts = (f"{escape(reference.authors)} ({reference.year})", f"<cite>{escape(reference.title)}</cite>", where)
    return ", ".join(part for part in parts if part)


def _parameter(parameter: Parameter) -> str:
    span = f"from {in_words(parameter.low)} to {in_words(parameter.high)}, by default {in_words(parameter.default)}"
    return f"{math(parameter.symbol)} <code>{parameter.name}</code> {span}: {escape(parameter.meaning)}"


def _at_defaults(record: Record) -> str:
    return " at the defaults of the parameters" if record.parameters else ""
