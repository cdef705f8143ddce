"""The skeleton of a chapter: a text twin in the chapter form, its exercise, and its lines in the lists."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from lossbook.catalog.papers import Paper
from lossbook.checks import bad_type, bad_value
from lossbook.skeletons.checkout import PAPERS, README, WORDS, Checkout, in_words, template
from lossbook.skeletons.edits import add_item, quoted


def new_chapter(root: str | Path, name: str, title: str | None = None) -> list[Path]:
    """Lay down a chapter that runs as it stands: a true one about the logistic loss, with a section for each system.

    `make notebooks CHAPTER=NN` then executes it.

    Args:
        root: the folder of the checkout.
        name: two digits and words, such as "30_distillation"; the name of its files.
        title: None: as papers.py calls the chapter, or where it is new the words of the name.

    Returns:
        The files that were made or changed.

    Raises:
        TypeError, ValueError: naming the argument, what it got and what was expected. Nothing is written then.
        OSError: a file cannot be written. Everything is as it was then.
    """
    book = Checkout(root)
    if not isinstance(name, str):
        raise bad_type("name", name, "two digits and words, such as '30_distillation'")
    if not re.fullmatch(r"\d\d_" + WORDS, name):
        raise bad_value("name", name, "two digits and words joined by _, such as '30_distillation'")
    number = name[:2]
    written = book.literal(PAPERS, "NOTEBOOKS")
    if number in written:
        raise bad_value("name", name, f"a number that no chapter has: {number} is {written[number]}")
    title = _title(title, name, book)
    systems = [paper for paper in book.papers().values() if paper.chapter == number]

    known = _references(book)
    rows = [f"# | {k} | {_row(paper)} |" for k, paper in enumerate(systems, 1)]
    words = {
        "number": number,
        "name": name,
        "title": title,
        "papers": "\n".join(rows or ["# | 1 | TODO: its paper |"]),
        "sections": "\n".join(_section(number, k, paper) for k, paper in enumerate(systems or [NO_SYSTEM], 1)),
        "before": _before(number, written),
        "references": "\n".join(sorted(_reference(paper, known) for paper in systems or [NO_SYSTEM])),
    }
    book.make(f"notebooks/text/{name}.py", template("chapter", words))
    book.make(f"lossbook/exercises/chapter_{number}.py", template("exercises", words))
    book.make(f"lossbook/course/slips/chapter_{number}.py", template("slips", words))
    lists = add_item(book.text(PAPERS), "NOTEBOOKS", number, f"{quoted(number)}: {quoted(name + '.ipynb')}")
    if number not in book.literal(PAPERS, "CHAPTERS"):
        lists = add_item(lists, "CHAPTERS", number, f"{quoted(number)}: {quoted(title)}")
    book.change(PAPERS, lists)
    book.change(README, _with_row(book.text(README), number, template("readme", words)))
    return book.write()


NO_SYSTEM = Paper("", "TODO: what this section is about", ("loss",), "00", ())


def _title(title: str | None, name: str, book: Checkout) -> str:
    known = book.literal(PAPERS, "CHAPTERS").get(name[:2])
    if title is None:
        return known or in_words(name[3:])
    if not isinstance(title, str):
        raise bad_type("title", title, "a line of text")
    if title != " ".join(title.split()) or not title or "|" in title:
        raise bad_value("title", title, "a line of text without |")
    if known not in (None, title):
        raise bad_value("title", title, f"{known!r}, as {PAPERS} calls chapter {name[:2]}; change it there first")
    return title


def _section(number: str, k: int, paper: Paper) -> str:
    """One system's section; the first has the explorer, the experiment and the exercise, as a pattern for the rest."""
    source = ", ".join(filter(None, (paper.authors, f"{paper.venue} {paper.year or ''}".strip(), _arxiv(paper))))
    words = {
        "number": number,
        "k": str(k),
        "anchor": f'# <a id="{paper.key}"></a>\n' if paper.key else "",
        "heading": paper.title if paper.title.startswith("TODO") else paper.title.partition(":")[0],
        "source": f"{source} · " if source else "",
    }
    return template("section_first" if k == 1 else "section_next", words).removesuffix("\n")


def _row(paper: Paper) -> str:
    return f"{' '.join(filter(None, (paper.authors, str(paper.year or ''))))}, {paper.title}".lstrip(" ,")


def _references(book: Checkout) -> list[str]:
    """The entries of all lists of references: a work is written in one way everywhere."""
    twins = [path.read_text(encoding="utf-8") for path in sorted((book.root / "notebooks/text").glob("*.py"))]
    lists = [twin.partition("\n# ## References\n")[2] for twin in twins]
    return [item for each in lists for item in re.findall(r"^# - .+(?:\n#  +\S.*)*", each, flags=re.MULTILINE)]


def _reference(paper: Paper, known: Sequence[str]) -> str:
    """The entry that another chapter has; or one with places for the initials, which papers.toml has not."""
    for item in known:
        words = " ".join(item.replace("\n#", " ").split()).lower()
        if f"arxiv {paper.arxiv}" in words if paper.arxiv else paper.title.lower() in words:
            return item
    rest, many = paper.authors.removesuffix(" et al."), paper.authors.endswith(" et al.")
    *first, last = [f"{surname}, TODO." for surname in re.split(", | & ", rest or "TODO")]
    authors = " & ".join(filter(None, (", ".join(first), last))) + (" et al." if many else "")
    title = paper.title if paper.year else f"{paper.title} (TODO: the year)"
    title += "" if title.endswith("?") else "."
    where = ", ".join(filter(None, (paper.venue and f"*{paper.venue}*", _arxiv(paper))))
    return f"# - {authors} ({paper.year or 2000}). {title} {where or 'TODO: where it was published'}."


def _arxiv(paper: Paper) -> str:
    return f"arXiv {paper.arxiv}" if paper.arxiv else ""


def _before(number: str, written: Mapping[str, str]) -> str:
    """The written chapter that comes before, as a link."""
    last = max((each for each in written if each < number), default=min(written))
    return f"[chapter {last}]({written[last]})"


def _with_row(text: str, number: str, row: str) -> str:
    """README with a row in its table of chapters, in order."""
    lines = text.splitlines(keepends=True)
    rows = {k: found[1] for k, line in enumerate(lines) if (found := re.match(r"\| \[(\d\d) ", line))}
    if not rows:
        raise ValueError(f"{README}: got no table of chapters, expected rows that begin with | [00 ")
    lines.insert(max((k for k, each in rows.items() if each < number), default=min(rows) - 1) + 1, row)
    return "".join(lines)
