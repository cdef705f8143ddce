"""The page of notation is chapter 00's table, and each symbol is in the equation that it leads to."""

import re

import nbformat
import pytest
from book_pages import committed

from lossbook.book.chapter import Chapter
from lossbook.book.equations import find, prose
from lossbook.book.notation import pages, symbols

HEAD = "## Notation\n\n| symbol | meaning | unit, range | at work in |\n|---|---|---|---|\n"
LETTERS = re.compile(r"\\[A-Za-z]+|[A-Za-z\[+*]")  # and the signs of "1 where", pseudo-inverse and nuclear norm


def first_chapter(*rows):
    text = HEAD + "\n".join(rows) + "\n\n## Next\n\n" + '<a id="eq-sum"></a>\n$$V = 1$$'
    cells = [nbformat.v4.new_markdown_cell(text)]
    return Chapter("00", "00_start_here", "Start here", nbformat.v4.new_notebook(cells=cells))


def test_a_row_is_read_and_its_link_shows_the_number_of_the_equation():
    given = first_chapter("| $V$ | number of classes | | [sum](#eq-sum) |", "| $a$, $b$ | two | any | [there](#Next) |")
    assert [symbol.symbol for symbol in symbols(given)] == ["$V$", "$a$, $b$"]
    made = pages([given])["notation.md"]
    assert '<a class="reference internal" href="00_start_here.html#eq-sum">sum (0.1)</a>' in made
    assert "[there](00_start_here.ipynb#Next)" in made
    assert "## Next" not in made


def test_a_row_that_leads_nowhere_is_refused():
    with pytest.raises(ValueError, match=r"00_start_here: got '\| \$V\$ \| classes \| \|', expected \| \$symbol\$"):
        symbols(first_chapter("| $V$ | classes | |"))
    with pytest.raises(ValueError, match="notation: got a link to eq-none"):
        pages([first_chapter("| $V$ | classes | | [x](#eq-none) |")])


def test_a_chapter_without_the_section_is_refused_and_a_book_without_the_chapter_has_no_page():
    chapter = Chapter("00", "00_start_here", "Start here", nbformat.v4.new_notebook())
    with pytest.raises(ValueError, match="00_start_here: got no section of this name, expected ## Notation"):
        symbols(chapter)
    assert pages([]) == {}


def test_every_symbol_of_the_book_s_table_is_in_the_equation_it_leads_to():
    chapters = committed()
    equations = find({chapter.stem: prose(chapter) for chapter in chapters})
    table = symbols(chapters[0])
    assert len(table) > 30
    for row in table:
        label = row.place.partition("#")[2]
        if label.startswith("eq-"):
            shown = set(LETTERS.findall(equations[label].tex))
            for symbol in re.findall(r"\$([^$]+)\$", row.symbol):
                assert parts(symbol) <= shown, (symbol, label)


def parts(symbol):
    """The letters and names that a symbol is made of; what it is applied to does not count."""
    bare = re.sub(r"(?<=[A-Za-z}])\(.*\)", "", symbol)
    bare = re.sub(r"_\{?[ijk]\b\}?|\\cdot|\\,", " ", bare)
    return set(LETTERS.findall(re.sub(r"\b[abAZ]\b", "", bare))) or set(LETTERS.findall(bare))
