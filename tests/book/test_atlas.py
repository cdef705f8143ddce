"""The atlas: a card for every system and every loss, true to the records, and filters that find them offline."""

import io
import re
from html import unescape

import nbformat
import pytest
from book_pages import built, committed, opened, violations
from PIL import Image

from lossbook.book.atlas import cards, first_figure, losses_of, pages
from lossbook.book.chapter import Chapter
from lossbook.book.loss_card import facts, loss_html
from lossbook.book.svg import curves_in_words, curves_svg
from lossbook.book.words import claims
from lossbook.catalog import RECORDS
from lossbook.catalog.papers import NOTEBOOKS, papers

CLASSICAL = len(RECORDS) - len({record.key for paper in papers().values() for record in losses_of(paper)})
over_records = pytest.mark.parametrize("record", RECORDS.values(), ids=RECORDS)


@pytest.fixture(scope="module")
def files():
    return pages(committed())


@pytest.fixture(scope="module")
def blocks(files):
    """Key of a card -> its part of the page."""
    parts = re.split(r"\n### ", files["atlas.md"])[1:]
    return {re.search(r'class="lossbook-card" id="(\w+)"', part)[1]: part for part in parts}


def test_every_system_and_every_loss_has_one_card(blocks):
    shown = [card.key for card in cards()]
    assert len(shown) == len(set(shown)) == len(blocks)
    assert set(shown) >= set(papers())
    losses = [record.key for card in cards() for record in card.records]
    assert sorted(losses) == sorted(RECORDS)


def test_no_two_elements_of_the_page_share_an_id(files):
    ids = re.findall(r'\sid="([^"]+)"', files["atlas.md"])
    assert len(ids) == len(set(ids)) >= len(papers()) + 10


def test_a_card_says_who_where_when_what_and_whether_it_is_done(blocks):
    for paper in papers().values():
        block = unescape(blocks[paper.key])
        assert block.replace("\\", "").startswith(paper.title + "\n")
        for known in (
            paper.authors,
            paper.venue,
            str(paper.year or ""),
            paper.arxiv,
            *paper.kind,
            *paper.implemented_by,
        ):
            assert known in block
        assert f'data-status="{paper.status}"' in block
        assert f"</span>{paper.status}</li>" in block


def test_what_is_written_links_to_its_section_and_nothing_else_links_to_a_chapter(blocks):
    for paper in papers().values():
        link = f'href="{NOTEBOOKS.get(paper.chapter, "").removesuffix(".ipynb")}.html#{paper.key}"'
        assert (link in blocks[paper.key]) is paper.implemented
        assert ("not in this book yet" in blocks[paper.key]) is (paper.chapter not in NOTEBOOKS)


def test_every_loss_stands_on_its_systems_card(blocks):
    for record in RECORDS.values():
        if record.system:
            assert record in losses_of(papers()[record.system])
            assert curves_in_words(record) in unescape(blocks[record.system])
    assert losses_of(papers()["squentropy"]) == (RECORDS["squentropy_loss"],)  # of the same paper


@over_records
def test_a_loss_is_shown_with_all_that_its_record_says(record):
    html = unescape(loss_html(record))
    assert rf"\({record.formula}\)" in html
    assert rf"\({record.gradient_formula}\)" in html
    for told in (record.title, record.family, record.origin, record.reference.authors, record.reference.title):
        assert told in html
    for parameter in record.parameters:
        assert f"<code>{parameter.name}</code> from" in html
        assert parameter.meaning in html
    for case in record.special_cases:
        assert case.statement in html
    for words in claims(record).values():
        assert words in html
    assert f'href="comparison.html#{record.key}"' in html


@over_records
def test_the_picture_of_a_loss_is_small_and_says_its_numbers(record):
    svg = curves_svg(record)
    assert len(svg.encode()) < 10_000
    assert f'role="img" aria-label="{curves_in_words(record)}"' in unescape(svg)
    assert svg.count("<polyline") == 2
    numbers = [float(number) for points in re.findall(r'points="([^"]+)"', svg) for number in re.split("[ ,]", points)]
    assert all(abs(number) < 1000 for number in numbers)


def test_a_picture_in_words_tells_values_and_slopes():
    told = curves_in_words(RECORDS["squared_error"])
    assert told.endswith("Loss 16 at −4, 0 at 0, 16 at 4. Slope −8 at −4, 0 at 0, 8 at 4.")


def test_a_system_without_a_loss_shows_the_first_picture_of_its_section(files, blocks):
    for paper in papers().values():
        with_picture = paper.implemented and not losses_of(paper)
        assert ('<figure class="lossbook-from-chapter">' in blocks[paper.key]) is with_picture
        for name, alt in re.findall(r'src="(_static/atlas/\w+\.png)" loading="lazy" alt="([^"]*)"', blocks[paper.key]):
            assert len(alt) > 20
            picture = Image.open(io.BytesIO(files[name]))
            assert picture.width <= 640
            assert len(files[name]) < 40_000


def test_the_first_picture_is_that_of_the_section_and_a_frozen_one_stays_where_it_is():
    def cell(html):
        return nbformat.v4.new_code_cell("", outputs=[nbformat.v4.new_output("display_data", {"text/html": html})])

    text = nbformat.v4.new_markdown_cell
    cells = [
        text('<a id="one"></a>\n## 1 One'),
        text("words"),
        text('<a id="two"></a>\n## 2 Two'),
        cell('<figure><img src="_static/frames/a.png" alt="Two &amp; more"></figure>'),
        cell('<figure><img src="b.png" alt="B"></figure>'),
        text("## 3 Three"),
        cell('<figure><img src="c.png" alt="C"></figure>'),
    ]
    chapter = Chapter("01", "01_x", "X", nbformat.v4.new_notebook(cells=cells))
    assert first_figure(chapter, "two") == ("_static/frames/a.png", "Two & more")
    assert first_figure(chapter, "one") is None
    assert first_figure(chapter, "three") is None


def test_the_page_is_light(files):
    assert len(files["atlas.md"].encode()) < 500_000
    assert sum(len(content) for content in files.values()) < 2_000_000


def test_without_any_chapter_all_cards_are_there_and_none_links_to_one():
    page = pages([])
    assert list(page) == ["atlas.md"]
    assert page["atlas.md"].count('class="lossbook-card"') == len(cards())
    assert not re.search(r'href="\d\d_', page["atlas.md"])


def test_facts_leave_out_what_is_not_there():
    assert "Parameters" not in facts(RECORDS["hinge_loss"])
    assert "Special cases" not in facts(RECORDS["hinge_loss"])


# In a browser


@pytest.fixture(scope="module")
def troubles():
    return []


@pytest.fixture(scope="module")
def open_page(browser_page, files, troubles, tmp_path_factory):
    pytest.importorskip("myst_parser")
    site = built(tmp_path_factory.mktemp("atlas"), files | {"comparison.md": "# Comparison\n"})
    with opened(browser_page, site, troubles) as open_page:
        yield open_page


def shown(page):
    return page.eval_on_selector_all(
        ".lossbook-card", "cards => cards.filter(card => card.checkVisibility()).map(card => card.id)"
    )


@pytest.mark.browser
def test_at_first_all_cards_show(open_page):
    page = open_page("atlas.html")
    assert shown(page) == [card.key for card in cards()]
    count = page.locator(".lossbook-count").inner_text()
    assert (
        count == f"{len(papers())} of {len(papers())} systems shown, and {CLASSICAL} of {CLASSICAL} classical losses."
    )


@pytest.mark.browser
@pytest.mark.parametrize(
    ("typed", "found"),
    [
        ("focal_loss", {"focal_loss", "dual_focal"}),
        ("Mann-Whitney", {"mw_loss"}),
        ("2501.04697", {"softmax_collapse"}),
        ("de brebisson z-loss", {"z_loss"}),  # accents may be left out
        ("no such loss", set()),
    ],
)
def test_what_is_typed_finds_its_cards_and_the_count_follows(open_page, typed, found):
    page = open_page("atlas.html")
    page.get_by_role("searchbox", name="Search", exact=True).focus()
    page.keyboard.type(typed)
    assert set(shown(page)) == found
    systems = len(found & set(papers()))
    losses = len(found) - systems
    count = page.locator(".lossbook-count").inner_text()
    assert count.startswith(f"{systems} of 118 systems shown, and {losses} of {CLASSICAL} classical losses.")
    assert ("bring them back" in count) is (not found)
    titles = page.locator("section > h2:visible")
    assert titles.count() == (1 if found else 0)


@pytest.mark.browser
def test_the_filters_work_together_by_keyboard_and_stay_in_the_address(open_page):
    page = open_page("atlas.html")
    page.get_by_role("searchbox", name="Search", exact=True).focus()
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.name") == "chapter"
    page.keyboard.type("all of F")
    page.keyboard.press("Tab")
    page.keyboard.type("kern")
    wanted = [p.key for p in papers().values() if p.chapter[0] == "0" and "kernel" in p.kind]
    assert shown(page) == wanted
    assert page.url.endswith("#chapter=0&kind=kernel")
    again = open_page(page.url.rpartition("/")[2])
    assert shown(again) == wanted
    assert again.get_by_label("Kind", exact=True).input_value() == "kernel"
    again.get_by_role("button", name="Show all").press("Enter")
    again.wait_for_function("!location.hash")
    assert len(shown(again)) == len(cards())


@pytest.mark.browser
def test_status_and_origin_filter_and_a_nonsense_filter_is_none(open_page):
    planned = shown(open_page("atlas.html#status=planned"))
    assert planned == [paper.key for paper in papers().values() if not paper.implemented]
    theory = shown(open_page("atlas.html#origin=decision-theory"))
    assert {"ocs_extrapolation", "zero_one_loss", "quantile_loss", "brier_loss", "ldr", "dco", "ca_loss"} <= set(theory)
    assert not {"polyloss", "focal_loss", "asl"} & set(theory)
    assert len(shown(open_page("atlas.html#status=lost&other=1"))) == len(cards())


@pytest.mark.browser
@pytest.mark.parametrize("key", ["tokenization_theory", "quantile_loss", "comp_sum_loss"])
def test_a_card_and_a_loss_can_be_linked_to(open_page, key):
    page = open_page(f"atlas.html#{key}")
    assert len(shown(page)) == len(cards())
    top = page.locator(f"#{key}").bounding_box()["y"]
    assert 0 <= top < 900


@pytest.mark.browser
def test_a_phone_shows_the_atlas_without_sideways_scrolling(open_page):
    page = open_page("atlas.html", width=390)
    assert page.evaluate("document.documentElement.scrollWidth") == 390


@pytest.mark.browser
def test_without_javascript_all_cards_show_and_no_filter_does(open_page):
    page = open_page("atlas.html")
    quiet = page.context.browser.new_context(java_script_enabled=False).new_page()
    quiet.goto(page.url)
    assert quiet.locator(".lossbook-card:visible").count() == len(cards())
    assert quiet.locator(".lossbook-filters:visible").count() == 0
    quiet.context.close()


@pytest.mark.browser
def test_axe_finds_nothing_wrong_and_the_browser_complains_of_nothing(open_page, troubles):
    assert violations(open_page("atlas.html#chapter=03")) == []
    assert troubles == []
