"""Every display gets its number where it stands, links show it, and a browser sets all of it."""

import re
import subprocess
import sys
from contextlib import closing

import nbformat
import pytest
from book_pages import STATIC, committed

from lossbook.book.chapter import Chapter
from lossbook.book.equations import find, number, numbered, prose, refer

NAMED = '<a id="eq-shift"></a>\n$$a = b$$'
SHIFT = {"02_softmax": [NAMED]}


def one(text):
    return number({"70_trial": [text]})["70_trial"][0]


def directive(tex, value, label, inside=""):
    lines = [f"({label})=", "```{math}", ":no-wrap:", ""]
    lines += [r"\begin{equation}", *tex, rf"\tag{{{value}}}", r"\end{equation}", "```"]
    return "\n".join(f"{inside}{line}".rstrip() for line in lines)


def test_displays_are_counted_through_all_cells_of_a_chapter_and_afresh_in_the_next():
    found = find({"00_start": ["$$a$$"], "70_trial": ["$$b$$ and $$c$$", "no $d$", "$$e$$"]})
    assert [equation.number for equation in found.values()] == ["0.1", "70.1", "70.2", "70.3"]
    assert [equation.tex for equation in found.values()] == ["a", "b", "c", "e"]


def test_a_display_without_a_label_is_labelled_by_its_number():
    assert list(find({"02_softmax": ["$$a$$", NAMED, "$$c$$"]})) == ["eq-2-1", "eq-shift", "eq-2-3"]


def test_a_named_display_becomes_a_directive_behind_a_target_of_its_name():
    assert number(SHIFT)["02_softmax"] == [directive(["a = b"], "2.1", "eq-shift")]


def test_the_text_around_a_display_stays_and_is_parted_from_it():
    assert one("So\n$$a$$\nholds.") == "So\n\n" + directive(["a"], "70.1", "eq-70-1") + "\n\nholds."
    assert one("So $$a$$ holds.") == "So \n\n" + directive(["a"], "70.1", "eq-70-1") + "\n\n holds."


def test_in_a_quotation_every_line_keeps_its_mark_and_the_tex_loses_it():
    made = one('> Let\n>\n> <a id="eq-two"></a>\n> $$a > b \\\\\n> c > d$$\n> hold.')
    tex = [r"\begin{gathered}a > b \\", r"c > d\end{gathered}"]
    assert made == "> Let\n>\n> \n" + directive(tex, "70.1", "eq-two", "> ") + "\n>\n> hold."


def test_in_a_list_the_display_belongs_to_its_item():
    assert one("- $$a$$\n- b") == "- " + directive(["a"], "70.1", "eq-70-1", "  ")[2:] + "\n\n- b"
    assert one("2. so $$a$$") == "2. so \n\n" + directive(["a"], "70.1", "eq-70-1", "   ")


def test_in_a_table_the_display_is_a_role_on_its_line():
    made = one("| a | b |\n|---|---|\n| $$x$$ | y |")
    assert made.endswith(r'| <a id="eq-70-1"></a>{math}`\displaystyle x \qquad (70.1)` | y |')


def test_in_html_the_display_is_marked_for_mathjax():
    made = one('<div>\n<a id="eq-here"></a>\n$$p < 1$$\n</div>')
    assert made.startswith('<div>\n<span class="math notranslate nohighlight"')
    assert r'id="eq-here">\[p < 1 \tag{70.1}\]</span>' in made
    assert "```{math}" in one("<details>\n<summary>S</summary>\n\n$$p$$\n\n</details>")  # Markdown again, after the gap


@pytest.mark.parametrize(
    ("tex", "shown"),
    [
        (r"\begin{align} a &= b \\ &= c \end{align}", r"\begin{aligned} a &= b \\ &= c \end{aligned}"),
        (r"\begin{equation*} a \end{equation*}", "a"),
        (r"a \\ b", r"\begin{gathered}a \\ b\end{gathered}"),
        (r"s = \begin{cases} 1 \\ 0 \end{cases}", r"s = \begin{cases} 1 \\ 0 \end{cases}"),
        (r"\sum_{\substack{i \\ j}} a_{ij}", r"\sum_{\substack{i \\ j}} a_{ij}"),
    ],
)
def test_what_may_not_stand_in_an_equation_is_changed_for_what_may(tex, shown):
    assert one(f"$${tex}$$") == directive([shown], "70.1", "eq-70-1")


def test_code_keeps_its_dollars_and_brackets():
    code = '```python\n"$$a$$"  # [x](#eq-none)\n```\n\nand `$$b$$`, and ``` a `$$c$$` ```'
    assert one(code) == code


def test_a_link_shows_the_number_in_its_chapter_and_in_others():
    cells = SHIFT | {"70_trial": ["[the $[j]$ shift](02_softmax.ipynb#eq-shift)"], "01_first": ["[no](#heading)"]}
    cells["02_softmax"] = [NAMED, "[it](#eq-shift)"]
    made = number(cells)
    link = '<a class="reference internal" href="{}#eq-shift">{} (2.1)</a>'
    assert made["70_trial"] == [link.format("02_softmax.html", "the $[j]$ shift")]
    assert made["02_softmax"][1] == link.format("", "it")
    assert made["01_first"] == ["[no](#heading)"]


def test_a_link_to_no_equation_is_an_error_that_names_chapter_and_label():
    with pytest.raises(ValueError, match="70_trial: got a link to eq-none in 02_softmax, expected the label"):
        number(SHIFT | {"70_trial": ["[x](02_softmax.ipynb#eq-none)"]})
    with pytest.raises(ValueError, match="glossary: got a link to eq-shift in 01_first"):
        refer("[x](01_first.ipynb#eq-shift)", find(SHIFT), "glossary")


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        (['<a id="eq-Shift"></a>\n$$a$$'], "expected a label such as eq-log-sum-exp"),
        (['<a id="eq-a"></a>\n\nno display'], "expected a display, .* right after the label"),
        ([NAMED, NAMED], "expected a label of its own; 02_softmax has this one"),
        ([r"$$a \tag{1}$$"], "expected no number in the equation"),
    ],
)
def test_a_label_that_cannot_be_kept_is_refused(cells, message):
    with pytest.raises(ValueError, match=message):
        find({"02_softmax": cells})


def test_a_chapter_without_a_number_is_refused():
    with pytest.raises(ValueError, match="chapters: got 'softmax', expected stems that begin with two digits"):
        find({"softmax": ["$$a$$"]})


def test_only_markdown_changes_and_the_chapter_given_stays_as_it_was():
    cells = [nbformat.v4.new_code_cell("x = '$$a$$'"), nbformat.v4.new_markdown_cell("$$a$$")]
    chapter = Chapter("02", "02_softmax", "Softmax", nbformat.v4.new_notebook(cells=cells))
    (made,) = numbered([chapter])
    assert made.notebook.cells[0] == cells[0]
    assert r"\tag{2.1}" in made.notebook.cells[1].source
    assert chapter.notebook.cells[1].source == "$$a$$"


def test_in_the_book_every_display_is_numbered_and_every_name_is_referred_to():
    chapters = {chapter.stem: prose(chapter) for chapter in committed()}
    found, made = find(chapters), number(chapters)
    for stem, texts in chapters.items():
        whole = "\n\n".join(made[stem])
        mine = [equation for equation in found.values() if equation.stem == stem]
        assert 2 * len(mine) == "\n".join(texts).count("$$")
        assert re.findall(r"\\tag\{([\d.]+)\}", whole) == [equation.number for equation in mine]
        assert "$$" not in whole
        assert "](#eq-" not in whole
    glossary = (STATIC.parents[2] / "notebooks" / "pages" / "glossary.md").read_text(encoding="utf-8")
    text = "\n".join(["\n".join(texts) for texts in chapters.values()] + [glossary])
    named = {label for label in found if not re.fullmatch(r"eq-\d+-\d+", label)}
    assert {label for label in named if f"#{label})" not in text} == set()


PLACES = """# Places

$$a + b = c .$$

> **Definition.** In a quotation
>
> $$s = \\begin{cases} z + 1 & z \\ge 0 \\\\
> 1/(1 - z) & z < 0 \\end{cases}$$

- In an item $$x = 1$$

| in a table | b |
|---|---|
| $$\\sum_k p_k = 1$$ | y |

<div>
<a id="eq-html"></a>
$$p < 1$$
</div>

$$\\begin{align} a &= b \\\\ &= c \\end{align}$$

$$w = a_1 + a_2 + a_3 + a_4 + a_5 + a_6 + a_7 + a_8 + a_9 + a_{10} + a_{11} + a_{12} + a_{13} + a_{14} + a_{15}$$
"""


@pytest.mark.browser
def test_a_browser_sets_equations_in_all_their_places_and_the_keyboard_reaches_what_is_wide(browser_page, tmp_path):
    pytest.importorskip("sphinx")
    source, site = tmp_path / "source", tmp_path / "site"
    (source / "_static").mkdir(parents=True)
    for name in ("equations.css", "equations.js"):
        (source / "_static" / name).write_bytes((STATIC / name).read_bytes())
    (source / "index.md").write_text(number({"70_trial": [PLACES]})["70_trial"][0])
    (source / "conf.py").write_text(
        'extensions = ["myst_nb", "sphinx-mathjax-offline"]\nmyst_enable_extensions = ["dollarmath"]\n'
        'html_theme = "pydata_sphinx_theme"\nhtml_static_path = ["_static"]\nhtml_title = "Trial"\n'
        'html_css_files = ["equations.css"]\nhtml_js_files = ["equations.js"]\nproject = "Trial"\n'
    )
    command = [sys.executable, "-m", "sphinx", "-q", "-W", str(source), str(site)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    with closing(browser_page.context.browser.new_page(viewport={"width": 600, "height": 900})) as page:
        page.goto((site / "index.html").as_uri())
        page.wait_for_function("document.querySelectorAll('mjx-container').length >= 7")
        page.wait_for_function("document.querySelector('.math[tabindex]')")
        assert page.evaluate("document.querySelectorAll('mjx-merror, [data-mjx-error]').length") == 0
        shown = page.evaluate("[...document.querySelectorAll('mjx-assistive-mml')].map(e => e.textContent)")
        assert [re.search(r"\(70\.\d\)", text)[0] for text in shown] == [f"(70.{n})" for n in range(1, 8)]
        assert page.evaluate("[...document.querySelectorAll('.math[tabindex]')].map(e => e.id)") == ["eq-70-7"]
        box = page.evaluate("(e => [e.scrollLeft, e.scrollWidth > e.clientWidth])(document.getElementById('eq-70-7'))")
        assert box == [0, True]
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        page.set_viewport_size({"width": 1800, "height": 900})
        page.wait_for_function("!document.querySelector('.math[tabindex]')")
