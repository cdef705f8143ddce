"""The skeleton of a loss: function, record, a row of bad input and a test, of a loss that is right but not yet it."""

import keyword
import re
from pathlib import Path
from typing import get_args

from lossbook.catalog.papers import Paper
from lossbook.catalog.record import Inputs
from lossbook.checks import bad_type, bad_value, check_choice
from lossbook.skeletons.checkout import BAD_INPUT, LOSSES, PAPERS, RECORDS, WORDS, Checkout, in_words, template
from lossbook.skeletons.edits import Clash, add_import, add_item, add_last, bracketed, merged, quoted, split

KINDS: tuple[Inputs, ...] = get_args(Inputs)
LONGEST = 36  # letters of a name: the lines of the templates hold that many
MOST_LINES = 300  # of a module; a longer one gets no further loss
CALLS = {  # names of test_bad_input.py
    "logits": "Z, Y",
    "margin": "M",
    "error": "M, M",
    "pairs": "FEATURES, FEATURES",
    "labels": "M, M",
    "sets": "M, M",
}
UNKNOWN = Paper("", "TODO: its title", ("loss",), "00", ())


def new_loss(
    root: str | Path,
    name: str,
    *,
    family: str | None = None,
    inputs: str | None = None,
    chapter: str | None = None,
    system: str | None = None,
) -> list[Path]:
    """Lay down a loss that runs and passes every test at once: a known loss of its inputs, times a strength.

    Function and record go into the modules of the family, or, where there are none or they are long, into new ones.

    Args:
        root: the folder of the checkout.
        name: of the function, such as "huberised_loss".
        family: one that the book has, or a new one. None: the family of these inputs, where there is but one.
        inputs: "logits", "margin", "error", "pairs", "labels" or "sets". None: those of the family, or logits.
        chapter: its two digits. None: the system's, or the family's.
        system: key of its paper in papers.toml, from which the reference is filled in.

    Returns:
        The files that were made or changed.

    Raises:
        TypeError, ValueError: naming the argument, what it got and what was expected. Nothing is written then.
        OSError: a file cannot be written. Everything is as it was then.
    """
    book = Checkout(root)
    _check_name(name, book)
    families = book.families()
    family, inputs = _family_and_inputs(family, inputs, families)
    paper = UNKNOWN
    if system is not None:
        papers = book.papers()
        check_choice("system", system, papers)
        paper = papers[system]
    known = families.get(family)
    if chapter is None:
        chapter = paper.chapter if system is not None else known["chapter"] if known else None
    chapters = book.literal(PAPERS, "CHAPTERS")
    if chapter is None or chapter not in chapters:
        raise bad_value("chapter", chapter, f"one of {', '.join(chapters)}: the family {family!r} has none yet")

    words = {
        "name": name,
        "title": in_words(name),
        "family": family,
        "chapter": chapter,
        "source": _source(paper),
        "reference": _reference(paper),
    }
    module = known["module"] if known else f"_{name}.py"
    functions, records = (template(f"{part}_{inputs}", words) for part in ("loss", "record"))
    if not (known and _join(book, module, functions, records)):
        module = f"_{name}.py"
        book.make(f"lossbook/losses/{module}", functions)
        book.make(f"lossbook/catalog/{module}", records)
        _list_module(book, module.removesuffix(".py"))
    public = add_import(book.text(LOSSES), f"lossbook.losses.{module.removesuffix('.py')}", name)
    book.change(LOSSES, add_item(public, "__all__", name, quoted(name)))
    book.change(BAD_INPUT, add_last(book.text(BAD_INPUT), "TABLE", _bad(name, inputs)))
    book.make(f"tests/losses/test_{name}.py", template(f"promise_{inputs}", words))
    return book.write()


def _check_name(name: str, book: Checkout) -> None:
    if not isinstance(name, str):
        raise bad_type("name", name, "the name of a function, such as 'huberised_loss'")
    if not re.fullmatch(WORDS, name) or len(name) > LONGEST or keyword.iskeyword(name):
        raise bad_value(
            "name", name, f"at most {LONGEST} small letters and digits, words joined by _, such as 'huberised_loss'"
        )
    if name in book.literal(LOSSES, "__all__"):
        raise bad_value("name", name, f"the name of no loss that is there; {LOSSES} lists them")


def _family_and_inputs(
    family: str | None, inputs: str | None, families: dict[str, dict[str, str]]
) -> tuple[str, Inputs]:
    if inputs is not None:
        check_choice("inputs", inputs, KINDS)
    of_inputs = [each for each, row in families.items() if inputs in (None, row["inputs"])]
    if family is None and len(of_inputs) == 1:
        family = of_inputs[0]
    if not isinstance(family, str) or not re.fullmatch(r"[a-z][a-z0-9 -]*[a-z0-9]", family):
        raise bad_value("family", family, f"one of {', '.join(map(repr, of_inputs))}, or a few new words")
    theirs = families[family]["inputs"] if family in families else inputs or "logits"
    if inputs not in (None, theirs):
        raise bad_value("inputs", inputs, f"{theirs!r}, as the family {family!r} has")
    return family, next(kind for kind in KINDS if kind == theirs)


def _join(book: Checkout, module: str, functions: str, records: str) -> bool:
    """Put function and record into the modules of their family; False where they do not fit in."""
    joined = {}
    for room, added in (("losses", functions), ("catalog", records)):
        name = f"lossbook/{room}/{module}"
        if not (book.root / name).is_file():
            return False
        try:
            text = merged(book.text(name), added, f"lossbook.{room}.{module.removesuffix('.py')}")
        except Clash:
            return False
        _, _, body = split(added)
        if room == "catalog":  # the gradient before the tuple of records, the record at its end
            before, tuple_of_records, after = text.partition("RECORDS = (\n")
            if not tuple_of_records:
                return False
            gradient, _, record = body.strip("\n").partition("RECORDS = (\n")
            text = add_last(f"{before}{gradient}RECORDS = (\n{after}", "RECORDS", record.removesuffix(")"))
        else:
            text += "\n\n" + body.strip("\n") + "\n"
        if len(text.splitlines()) > MOST_LINES:
            return False
        joined[name] = text
    for name, text in joined.items():
        book.change(name, text)
    return True


def _list_module(book: Checkout, module: str) -> None:
    """The records of a new module come last in the catalogue."""
    text = add_import(book.text(RECORDS), "lossbook.catalog", module)
    loop = re.search(r"^    for module in \(([^)]*)\)$", text, flags=re.MULTILINE)
    if loop is None:
        raise ValueError(f"{RECORDS}: got no loop over the modules of records, expected for module in (...)")
    modules = [*(each.strip() for each in loop[1].split(",") if each.strip()), module]
    listed = bracketed("    for module in (", modules, ")")
    book.change(RECORDS, text[: loop.start()] + listed + text[loop.end() :])


def _bad(name: str, inputs: Inputs) -> str:
    call = f"lambda: losses.{name}({CALLS[inputs]}, strength=0)"
    parts = [quoted(f"strength zero, {name}"), call, "V", '"strength"', '"0"', '"> 0"']
    return bracketed("    Bad(", parts, "),", call=True) + "\n"


def _reference(paper: Paper) -> str:
    title = paper.title if paper.year else f"{paper.title} (TODO: the year)"
    parts = [quoted(paper.authors or "TODO: its authors"), str(paper.year or 2000), _on_lines(title)]
    parts += [quoted(paper.arxiv)] if paper.arxiv else []
    if paper.venue or not paper.arxiv:
        venue = quoted(paper.venue or "TODO: its arXiv id or venue")
        parts.append(venue if paper.arxiv else f"venue={venue}")
    return bracketed("        reference=Reference(", parts, "),", call=True)


def _on_lines(title: str) -> str:
    """A title as source; one that no line holds, on two."""
    if len(title) <= 100:
        return quoted(title)
    cut = title.rindex(" ", 0, 100) + 1
    return f"{quoted(title[:cut])}\n{' ' * 12}{quoted(title[cut:])}"


def _source(paper: Paper) -> str:
    where = f"arXiv {paper.arxiv}" if paper.arxiv else paper.venue
    head = f"{paper.authors or 'TODO: its authors'} {paper.year or 'TODO: the year'}"
    return ", ".join(filter(None, (head, where)))
