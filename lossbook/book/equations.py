r"""Display equations get a number on the site, chapter.n, and links to them show it.

In a chapter an author writes `<a id="eq-shift"></a>` on the line above a display that is referred to, and refers to it
by an ordinary link, `[the shift](02_softmax_and_its_numerics.ipynb#eq-shift)`. In Jupyter that is a link. Here every
display gets its number, named or not, and the link reads "the shift (2.1)". It is written as HTML, so that it leads
there wherever Markdown has put the display: in a quotation, a list, a table, or HTML.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, replace
from pathlib import PurePosixPath

from nbformat import NotebookNode

from lossbook.book.chapter import Chapter
from lossbook.checks import bad_value

LABEL = re.compile(r"eq-[a-z0-9]+(-[a-z0-9]+)*")
"""What a label looks like: the same text is then the name of a Sphinx target and the id on the page."""

PIECES = re.compile(
    r"""
    ^[ >]*(?P<fence>`{3,}|~{3,}) .*? (?:^[ >]*(?P=fence)[`~]*[ ]*$ | \Z)   # a fenced block of code
  | (?P<ticks>`+) (?!`) (?:(?!\n\s*\n).)+? (?<!`) (?P=ticks) (?!`)                        # a span of code
  | (?:<a\ id="(?P<label>eq-[^"]*)"></a>[ \t]*(?:\n[ \t>]*)?)? (?<!\\)\$\$ (?P<tex>.+?) (?<!\\)\$\$   # a display
  | <a\ id="(?P<lost>eq-[^"]*)"></a>                                       # a label with no display behind it
  | \[(?P<text>(?:[^\[\]]|\[[^\[\]]*\])*)\]\((?P<page>[^()\s\#]*)\#(?P<goal>eq-[^()\s]*)\)            # a link to one
    """,
    re.DOTALL | re.MULTILINE | re.VERBOSE,
)
HTML_BLOCK = re.compile(r"\s*</?(div|table|thead|tbody|tr|td|th|p|ul|ol|li|dl|dt|dd|details|figure|section|center)\b")
ENVIRONMENT = re.compile(r"\\begin\{(\w+)(\*?)\}(.*)\\end\{\1\2\}", re.DOTALL)
NESTED = re.compile(r"\\begin\{(\w+\*?)\}(?:(?!\\begin\{).)*?\\end\{\1\}", re.DOTALL)
BRACES = re.compile(r"(?<!\\)\{[^{}]*(?<!\\)\}")
INNER = {"align": "aligned", "alignat": "alignedat", "gather": "gathered", "multline": "gathered", "split": "split"}


@dataclass(frozen=True)
class Equation:
    """A display equation of the book."""

    stem: str  # of its chapter
    number: str  # "70.3"
    label: str  # "eq-parallel-share", or "eq-70-3" where the author gave none
    tex: str


def find(chapters: Mapping[str, Sequence[str]]) -> dict[str, Equation]:
    r"""Every display equation of the book by its label, in reading order.

    Args:
        chapters: stem of a chapter -> the text of its Markdown cells.

    Returns:
        label -> equation.

    Raises:
        ValueError: a label is not made of lower-case letters, digits and single hyphens after "eq-", is used twice, or
            stands before no display; an equation numbers itself by \tag or \label.

    Example:
        >>> find({"02_softmax": ["$$a$$", "See:\n\n" + '<a id="eq-shift"></a>\n' + "$$b$$"]})["eq-shift"].number
        '2.2'
    """
    found: dict[str, Equation] = {}
    for stem, cells in chapters.items():
        chapter, count = _chapter(stem), 0
        for piece in (piece for text in cells for piece in PIECES.finditer(text)):
            if piece["lost"]:
                raise bad_value(stem, piece["lost"], "a display, $$...$$, right after the label of an equation")
            if piece["tex"] is None:
                continue
            count += 1
            label = piece["label"] or f"eq-{chapter}-{count}"
            if not LABEL.fullmatch(label):
                raise bad_value(stem, label, "a label such as eq-log-sum-exp: lower case, digits, hyphens")
            if label in found:
                raise bad_value(stem, label, f"a label of its own; {found[label].stem} has this one")
            if numbers_itself := re.search(r"\\(tag|label)\b", piece["tex"]):
                raise bad_value(stem, numbers_itself[0], "no number in the equation: the site gives it one")
            found[label] = Equation(stem, f"{chapter}.{count}", label, _tex(piece))
    return found


def numbered(chapters: Sequence[Chapter]) -> list[Chapter]:
    """The chapters with their equations numbered, as `number` does it; what was given stays as it is.

    Raises:
        ValueError: what `number` refuses.
    """
    texts = number({chapter.stem: prose(chapter) for chapter in chapters})
    found = []
    for chapter in chapters:
        notebook, new = copy(chapter.notebook), iter(texts[chapter.stem])
        notebook.cells = [
            NotebookNode(cell, source=next(new)) if cell.cell_type == "markdown" else cell for cell in notebook.cells
        ]
        found.append(replace(chapter, notebook=notebook))
    return found


def prose(chapter: Chapter) -> list[str]:
    """The text of a chapter's Markdown cells."""
    return [cell.source for cell in chapter.notebook.cells if cell.cell_type == "markdown"]


def number(chapters: Mapping[str, Sequence[str]]) -> dict[str, list[str]]:
    r"""The Markdown cells of all chapters for Sphinx: displays with numbers, links that show them.

    Args:
        chapters: stem of a chapter -> the text of its Markdown cells, as Jupyter shows it.

    Returns:
        stem -> as many texts, in MyST Markdown. A display is a `math` directive behind a target that has the label's
        name; in a cell of a table, where no directive can stand, it is a role; in raw HTML it is between \[ and \].

    Raises:
        ValueError: what `find` refuses, or a link to an equation that its chapter does not have.

    Example:
        >>> print(number({"70_grokking": ["So\n\n$$a = b .$$"]})["70_grokking"][0])
        So
        <BLANKLINE>
        (eq-70-1)=
        ```{math}
        :no-wrap:
        <BLANKLINE>
        \begin{equation}
        a = b .
        \tag{70.1}
        \end{equation}
        ```
    """
    equations = find(chapters)
    return {stem: list(_numbered(stem, cells, equations)) for stem, cells in chapters.items()}


def refer(text: str, equations: Mapping[str, Equation], page: str) -> str:
    r"""A text whose links to equations show their numbers; displays in it stay as they are.

    Args:
        text: Markdown.
        equations: what `find` found.
        page: the stem of the page that holds the text: where a link without a page leads, and whom an error names.

    Raises:
        ValueError: a link to an equation that does not exist, or not in that chapter.

    Example:
        >>> equations = find({"02_softmax": ['<a id="eq-shift"></a>\n$$b$$']})
        >>> refer("[the shift](02_softmax.ipynb#eq-shift)", equations, "glossary")
        '<a class="reference internal" href="02_softmax.html#eq-shift">the shift (2.1)</a>'
    """
    return PIECES.sub(lambda piece: _link(piece, equations, page) if piece["goal"] else piece[0], text)


def _numbered(stem: str, cells: Sequence[str], equations: Mapping[str, Equation]) -> Iterator[str]:
    mine = iter([equation for equation in equations.values() if equation.stem == stem])

    def changed(piece: re.Match[str]) -> str:
        if piece["tex"] is not None:
            return _display(piece, next(mine))
        return _link(piece, equations, stem) if piece["goal"] else piece[0]

    for text in cells:
        yield PIECES.sub(changed, text).strip("\n")


def _link(piece: re.Match[str], equations: Mapping[str, Equation], here: str) -> str:
    stem = PurePosixPath(piece["page"]).stem or here
    equation = equations.get(piece["goal"])
    if equation is None or equation.stem != stem:
        raise ValueError(f"{here}: got a link to {piece['goal']} in {stem}, expected the label of an equation there")
    page = "" if stem == here else f"{stem}.html"
    return f'<a class="reference internal" href="{page}#{equation.label}">{piece["text"]} ({equation.number})</a>'


def _display(piece: re.Match[str], equation: Equation) -> str:
    text, start = piece.string, piece.start()
    lead = _lead(piece)
    tag = rf"\tag{{{equation.number}}}"
    if lead.lstrip(" >").startswith("|"):
        content = rf"\displaystyle {equation.tex} \qquad ({equation.number})".replace("\n", " ")
        return f'<a id="{equation.label}"></a>{{math}}`{content}`'
    if HTML_BLOCK.match(re.split(r"\n[ >]*\n", "\n" + text[:start])[-1].lstrip("\n")):
        html = f'<span class="math notranslate nohighlight" style="display: block" id="{equation.label}">'
        return rf"{html}\[{equation.tex} {tag}\]</span>"
    begin = re.match(r"[ >]*([-*+]\s+|\d+[.)]\s+)?", lead)
    assert begin is not None  # every part of the pattern may be empty
    inside = "".join(mark if mark == ">" else " " for mark in begin[0])  # of the lines that follow in a list's item
    own = begin[0] == lead  # nothing stands before it but the marks of a quote or a list
    before = "" if own and begin[1] else f"\n{inside}" if own else f"\n{inside.rstrip()}\n{inside}"
    lines = [f"({equation.label})=", "```{math}", ":no-wrap:", ""]
    lines += [r"\begin{equation}", *_inner(equation.tex).split("\n"), tag, r"\end{equation}", "```", ""]
    after = f"\n{inside}" if text[piece.end() :].partition("\n")[0].strip() else ""
    return before + "\n".join(f"{inside}{line}".rstrip() for line in lines)[len(inside) :] + after


def _chapter(stem: str) -> int:
    if not re.match(r"\d\d_", stem):
        raise bad_value("chapters", stem, "stems that begin with two digits, such as 02_softmax")
    return int(stem[:2])


def _lead(piece: re.Match[str]) -> str:
    """What stands before a display on its line."""
    return piece.string[piece.string.rfind("\n", 0, piece.start()) + 1 : piece.start()]


def _tex(piece: re.Match[str]) -> str:
    """The TeX of a display, without empty lines and without the marks of the quotations around it."""
    lead = _lead(piece).replace(" ", "")
    quotes = len(lead) - len(lead.lstrip(">"))
    first, *more = piece["tex"].split("\n")
    lines = [first, *(re.sub(rf"(?:[ ]*>){{{quotes}}}", "", line, count=1) for line in more)]
    return "\n".join(line.strip() for line in lines if line.strip())


def _inner(tex: str) -> str:
    """The same display as what may stand inside of an `equation`: inner environments, no bare line breaks."""
    if (whole := ENVIRONMENT.fullmatch(tex)) and whole[1] == "equation":
        return whole[3].strip()
    if whole and whole[1] in INNER:
        inner = INNER[whole[1]]
        return rf"\begin{{{inner}}}{whole[3]}\end{{{inner}}}"
    bare = tex
    for nested in (NESTED, BRACES):  # what stands in an environment or in braces may break its lines
        while (less := nested.sub("", bare)) != bare:
            bare = less
    return rf"\begin{{gathered}}{tex}\end{{gathered}}" if r"\\" in bare else tex
