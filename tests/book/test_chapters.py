"""From an executed chapter to its page: nothing is lost, links lead to pages, solutions are folded or gone."""

import base64

import nbformat
import pytest

from lossbook.book.chapter import Chapter
from lossbook.book.chapters import anchors_of, download, page, slug
from lossbook.book.live import Live

PIXEL = base64.b64encode(b"a picture").decode()
FIGURE = f'<figure><img src="data:image/png;base64,{PIXEL}" alt="A dot." width="10"></figure>'
GITHUB = Live("someone/lossbook", "main", "gh-pages")


def chapter(*cells):
    return Chapter("07", "07_trial", "Trial", nbformat.v4.new_notebook(cells=list(cells)), 1.0, 1)


def text(source):
    return nbformat.v4.new_markdown_cell(source)


def code(source, *tags, shows=""):
    outputs = [nbformat.v4.new_output("display_data", {"text/html": shows})] if shows else []
    return nbformat.v4.new_code_cell(source, outputs=outputs, metadata={"tags": list(tags)})


TITLE = text("# 07 Trial\n\nWhat it is about.")
EXERCISE = (
    text("**Exercise 1.** Write it."),
    code("answer = None  # your turn", "exercise"),
    code("check(answer)", "check"),
    text("*Solution.* It is forty-two."),
    code("answer_solution = 42", "solution"),
    text("Then the text goes on."),
)


def sources(made, **options):
    notebook, _ = page(
        made, {"07_trial": anchors_of(made), "08_next": {"there"}}, options.pop("live", Live()), **options
    )
    return [cell.source for cell in notebook.cells]


def test_below_the_title_a_page_offers_the_notebook_and_no_live_links_without_a_repository():
    title, head, *_ = sources(chapter(TITLE))
    assert title == TITLE.source
    assert 'href="notebooks/07_trial.ipynb" download' in head
    assert "://" not in head


def test_a_page_offers_the_students_editions_and_where_it_has_no_solutions_nothing_that_has():
    with_them, without = (sources(chapter(TITLE), solutions=solutions)[1] for solutions in (True, False))
    assert 'href="notebooks/student/07_trial.ipynb"' in with_them
    assert 'href="notebooks/worksheets/07_trial.ipynb"' in with_them
    assert without.count("href=") == 2
    assert "student/" not in without


def test_with_a_repository_a_page_leads_to_colab_and_binder():
    head = sources(chapter(TITLE), live=GITHUB)[1]
    assert "/github/someone/lossbook/blob/gh-pages/notebooks/07_trial.ipynb" in head
    assert "/gh/someone/lossbook/main?urlpath=lab/tree/notebooks/07_trial.ipynb" in head


def test_a_notebook_to_take_away_fetches_the_book_on_colab_alone_and_only_where_there_is_one_to_fetch():
    notebook = chapter(TITLE, code("1 + 1")).notebook
    assert [cell.source for cell in download(notebook, Live()).cells] == [TITLE.source, "1 + 1"]
    title, setup, first = download(notebook, GITHUB).cells
    assert (title.source, first.source) == (TITLE.source, "1 + 1")
    assert "google.colab" in setup.source
    assert "someone/lossbook" in setup.source
    assert len(notebook.cells) == 2


@pytest.mark.parametrize(
    ("link", "wanted"),
    [
        ("[x](08_next.ipynb#there)", "[x](#at-there)"),
        ("[x](../08_next.ipynb#there)", "[x](#at-there)"),
        ("[x](08_next.ipynb#Some-heading)", "[x](08_next.ipynb#Some-heading)"),
        ("[x](08_next.ipynb)", "[x](08_next.ipynb)"),
        ("[x](#here)", "[x](#at-here)"),
        ("[x](#Some-heading)", "[x](07_trial.ipynb#Some-heading)"),
        ("[x](https://a.org/b#c)", "[x](https://a.org/b#c)"),
    ],
)
def test_links_to_anchors_become_links_to_targets(link, wanted):
    made = chapter(TITLE, text('<a id="here"></a>\n## Here'), text(link))
    assert sources(made)[-1] == wanted


def test_an_anchor_stays_an_id_and_becomes_a_target_of_the_heading_behind_it():
    assert sources(chapter(TITLE, text('<a id="here"></a>\n## Here')))[-1] == '<a id="here"></a>\n\n(at-here)=\n## Here'


def test_a_solution_words_and_code_lies_in_one_fold():
    *_, skeleton, check, told, coded, closed, after = sources(chapter(TITLE, *EXERCISE))
    assert (skeleton, check) == ("answer = None  # your turn", "check(answer)")
    assert told == '<details class="lossbook-solution"><summary>Solution</summary>\n\nIt is forty-two.'
    assert (coded, closed, after) == ("answer_solution = 42", "</details>", "Then the text goes on.")


def test_without_solutions_neither_their_words_nor_their_code_is_there():
    whole = "\n".join(sources(chapter(TITLE, *EXERCISE), solutions=False))
    assert "forty-two" not in whole
    assert "42" not in whole
    assert "<details" not in whole
    assert "your turn" in whole


def test_pictures_become_files_that_a_tap_opens_and_keep_their_words():
    notebook, pictures = page(chapter(TITLE, code("show()", shows=FIGURE), code("show()", shows=FIGURE)), {}, Live())
    ((name, content),) = pictures.items()
    assert content == b"a picture"
    for cell in notebook.cells[2:]:
        markup = cell.outputs[0].data["text/html"]
        assert "base64" not in markup
        assert f'<a class="lossbook-whole" href="_static/figures/{name}"><img src="_static/figures/{name}"' in markup
        assert 'alt="A dot." width="10">' in markup


def test_links_in_outputs_lead_to_pages():
    shown = '<a href="01_from_likelihood.ipynb#hinge">hinge</a>'
    notebook, _ = page(chapter(TITLE, code("table()", shows=shown)), {}, Live())
    assert notebook.cells[2].outputs[0].data["text/html"] == '<a href="01_from_likelihood.html#hinge">hinge</a>'


@pytest.mark.parametrize(
    ("source", "folded"),
    [
        ("import math\nfrom a import b", True),
        ("import math\nmath.pi", False),
        ("plot(ax)\nshow(figure, alt='A line.')", True),
        ("claim('it falls', 1, 1)\nshow(figure, alt='A line.')", False),
        ("%timeit 1 + 1", False),
    ],
)
def test_code_that_only_imports_or_draws_is_folded(source, folded):
    notebook, _ = page(chapter(TITLE, code(source)), {}, Live())
    assert ("hide-input" in notebook.cells[2].metadata["tags"]) == folded


def test_the_same_chapter_gives_the_same_page_to_the_letter():
    once, again = (page(chapter(TITLE, *EXERCISE), {}, Live())[0] for _ in range(2))
    assert nbformat.writes(once) == nbformat.writes(again)


def test_the_chapter_itself_is_left_as_it_was():
    made = chapter(TITLE, *EXERCISE, code("show()", shows=FIGURE))
    before = nbformat.writes(made.notebook)
    page(made, {}, GITHUB, solutions=False)
    assert nbformat.writes(made.notebook) == before


def test_fragments_are_those_of_jupyter():
    assert slug("What to look for in the picture") == "What-to-look-for-in-the-picture"
