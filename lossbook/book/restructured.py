"""The docstrings of the package as reStructuredText.

A docstring here is plain text, made to be read in a terminal: formulas in Unicode, names in single backticks, Markdown
tables. Napoleon would read `p_y |x| *batch` as markup, and the first words of a sentence with a colon as a type. So the
house's own form is parsed instead, and nothing in it can be mistaken for markup.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from textwrap import dedent, indent

Link = Callable[[str], str | None]  # a name in backticks to the full name that has a page, or None

SECTIONS = ("Args", "Returns", "Raises", "Warns", "Example", "Gradient", "Limits", "Reference", "How to read it")
NAMED = ("Args", "Raises", "Warns")  # a line a name
HEADING = re.compile(rf"((?:{'|'.join(SECTIONS)})(?:, [^:]*)?):(?: +(.*))?$")
ITEM = re.compile(r"([\w*.]+(?:, [\w*.]+)*):(?: +(.*))?$")
MARKED = re.compile(r"`([^`]+)`|\barXiv (\d{4}\.\d{4,5})\b")
NAME = re.compile(r"[A-Za-z]\w*(?:\.[A-Za-z]\w*)*")


def rest(docstring: str, link: Link = lambda name: None) -> str:
    r"""A docstring of the house as reStructuredText.

    Args:
        docstring: its text, dedented.
        link: says where a name in backticks leads.

    Returns:
        Paragraphs, code blocks and tables, and a field list of the sections.

    Example:
        >>> print(rest("A norm |x|_2.\n\nGradient: x/|x|, by *hand*."))
        \ A norm \|x\|\_2.
        <BLANKLINE>
        :Gradient:
            \ x/\|x\|, by \*hand\*.
    """
    parts = []
    for title, lines in _sections(docstring.expandtabs().splitlines()):
        body = _items(lines, title, link) if title.startswith(NAMED) else _blocks(lines, link)
        parts.append(f":{title}:\n{indent(body, '    ')}" if title else body)
    return "\n\n".join(part for part in parts if part.strip())


def inline(text: str, link: Link = lambda name: None) -> str:
    r"""Plain text on one line of reStructuredText: backticks are code or a link, arXiv numbers a link, the rest itself.

    Example:
        >>> print(inline("p_y of `row_loss`."))
        \ p\_y of \ ``row_loss``\ .
    """
    found, at = ["\\ "], 0  # what follows an escaped space is never a bullet, a number of a list or a directive
    for mark in MARKED.finditer(text):
        found += [_plain(text[at : mark.start()]), f"\\ {_marked(mark, link)}\\ "]
        at = mark.end()
    return "".join([*found, _plain(text[at:])])


def _plain(text: str) -> str:
    return re.sub(r"([\\*_`|@:])", r"\\\1", text)


def _marked(mark: re.Match[str], link: Link) -> str:
    code, arxiv = mark.groups()
    if arxiv:
        return f"`arXiv {arxiv} <https://arxiv.org/abs/{arxiv}>`__"
    target = link(code) if NAME.fullmatch(code) else None
    return f":py:obj:`{code} <{target}>`" if target else f"``{code.strip()}``"


def _sections(lines: Sequence[str]) -> Iterator[tuple[str, list[str]]]:
    """(title, lines) in order; the title is empty for what stands outside of any section."""
    title, opening = "", False
    body: list[str] = []
    for line in lines:
        heading = HEADING.match(line)
        if heading:
            yield title, body
            title, body = heading[1], [heading[2]] if heading[2] else []
            opening = bool(heading[2])
            continue
        if not line.strip():
            opening = False
        elif title and not opening and not line.startswith(" "):
            yield title, body
            title, body = "", []
        body.append(line.strip() if opening else line)  # the first sentence of a section may hang
    yield title, body


def _chunks(lines: Sequence[str]) -> Iterator[list[str]]:
    """What stands between empty lines, with the indentation that all of it shares taken away."""
    chunk: list[str] = []
    for line in [*lines, ""]:
        if line.strip():
            chunk.append(line)
        elif chunk:
            yield chunk
            chunk = []


def _dedented(lines: Sequence[str]) -> list[str]:
    return dedent("\n".join(lines)).splitlines()


def _blocks(lines: Sequence[str], link: Link) -> str:
    found = []
    for chunk in _chunks(_dedented(lines)):
        if chunk[0].lstrip().startswith(">>>"):
            found.append(code_block("pycon", chunk))
        elif chunk[0].startswith(" "):
            found.append(code_block("text", chunk))
        elif len(chunk) > 2 and chunk[1].startswith("|--"):
            found.append(_table(chunk, link))
        else:
            found.append(inline(" ".join(line.strip() for line in chunk), link))
    return "\n\n".join(found)


def _items(lines: Sequence[str], title: str, link: Link) -> str:
    """A definition list: each name of an argument or an error, and what is said of it."""
    found: list[tuple[str, list[str]]] = []
    for line in _dedented(lines):
        item = None if line.startswith(" ") else ITEM.match(line)
        if item:
            found.append((item[1], [item[2] or ""]))
        elif found:
            found[-1][1].append(line)
        else:
            return _blocks(lines, link)  # a sentence, such as "as in `plot_loss`"
    return "\n".join(
        f"{', '.join(f'``{name}``' for name in names.split(', '))}\n{indent(_described(text, link), '    ')}"
        for names, text in found
    )


def _described(lines: Sequence[str], link: Link) -> str:
    first, *rest_of_it = lines
    return _blocks([first, *_dedented(rest_of_it)], link)


def code_block(language: str, lines: Sequence[str]) -> str:
    """Lines of code, highlighted."""
    return f".. code-block:: {language}\n\n{indent(chr(10).join(_dedented(lines)), '    ')}"


def _table(lines: Sequence[str], link: Link) -> str:
    """A Markdown table, its second line the rule below the head."""
    rows = [[cell.strip() for cell in line.strip().strip("|").split(" | ")] for line in lines]
    written = ["\n".join(f"{'  ' if i else '* '}- {inline(cell, link)}" for i, cell in enumerate(row)) for row in rows]
    body = "\n".join([written[0], *written[2:]])
    return f".. list-table::\n    :header-rows: 1\n\n{indent(body, '    ')}"
