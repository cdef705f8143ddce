"""The comparison page: its numbers are the records', and any two losses can be chosen, moved and read offline."""

import itertools
import json
import re

import numpy as np
import pytest
import torch
from book_pages import built, committed, opened, violations
from cases import settings

from lossbook.book.comparison import DIGITS, ROWS, pages
from lossbook.book.loss_card import chapter_link
from lossbook.book.slices import OTHER_SCORES, SLICES, along, moved
from lossbook.catalog import RECORDS, find
from lossbook.catalog.papers import NOTEBOOKS

over_records = pytest.mark.parametrize("record", RECORDS.values(), ids=RECORDS)


# The lines along which losses are drawn


# A slope does not see a step of its loss, nor a unit that it holds.
JUMPS = ("zero_one_loss", "dual_focal_loss", "correctness_aware_loss", "rescaled_cross_entropy")


@over_records
def test_the_slope_along_a_slice_is_the_derivative_of_the_value_along_it(record):
    positions = SLICES[record.inputs].positions
    step = positions[1] - positions[0]
    for parameters in (record.defaults, settings(record)[-1]):
        own = {name: value for name, value in parameters.items() if abs(value) < 100}
        value, slope = along(record, own)
        # The trapezium rule is exact to h²/12 of the slope's second difference quotient; at a corner, to half its jump.
        bend = np.abs(np.diff(slope, 2, prepend=slope[0], append=slope[-1]))
        room = step * (np.maximum(bend[:-1], bend[1:]) + 1e-9 * (1 + np.abs(value[1:])) / step)
        jumps = record.key in JUMPS
        assert jumps or np.all(np.abs(np.diff(value) - step * (slope[1:] + slope[:-1]) / 2) <= room)


def test_the_slices_are_what_they_are_said_to_be():
    at = torch.as_tensor(SLICES["logits"].positions)
    logits = torch.cat([at[:, None], torch.tensor([OTHER_SCORES]).double().expand(len(at), -1)], -1)
    wanted = torch.logsumexp(logits, -1) - at
    assert np.allclose(along(find("cross_entropy")).value, wanted.numpy(), rtol=1e-14)
    pair = torch.as_tensor(SLICES["pairs"].positions) / 0.07
    wanted = torch.log(torch.exp(pair) + 3) - pair
    assert np.allclose(along(find("info_nce_loss")).value, wanted.numpy(), rtol=1e-12, atol=1e-14)
    for line in SLICES.values():
        assert len(line.positions) % 2 == 1
        assert line.positions[line.points // 2] == 0
        assert (line.positions[0], line.positions[-1]) == (line.low, line.high)


@over_records
def test_a_slider_stops_at_the_ends_the_default_and_the_special_cases(record):
    axes = moved(record)
    assert list(axes) == list(record.defaults)[:2]
    for parameter in record.parameters[:2]:
        stops = axes[parameter.name]
        assert stops == sorted(set(stops))
        assert (stops[0], stops[-1]) == (parameter.low, parameter.high)
        assert parameter.default in stops
        for case in record.special_cases:
            wanted = case.parameters.get(parameter.name, parameter.default)
            assert wanted in stops or not parameter.low <= wanted <= parameter.high


# The page


@pytest.fixture(scope="module")
def page_source():
    return pages(committed())["comparison.md"]


@pytest.fixture(scope="module")
def known(page_source):
    (text,) = re.findall(r'<script type="application/json"[^>]*>(.*?)</script>', page_source, flags=re.DOTALL)
    return json.loads(text)


def test_the_numbers_in_the_page_are_the_records_at_every_setting(known):
    assert list(known["losses"]) == list(RECORDS)
    for key, record in RECORDS.items():
        loss, axes = known["losses"][key], moved(record)
        assert {p["name"]: p["values"] for p in loss["parameters"]} == axes
        every = list(itertools.product(*axes.values()))
        assert len(loss["values"]) == len(loss["slopes"]) == len(every)
        for index in {0, len(every) // 2, len(every) - 1}:
            curve = along(record, dict(zip(axes, every[index], strict=True)))
            for kept, wanted in zip((loss["values"][index], loss["slopes"][index]), curve, strict=True):
                # rounded to so many digits: half a unit of the last one
                assert np.allclose(kept, wanted, rtol=0.5 * 10.0 ** (1 - DIGITS), atol=0)


def test_each_slider_begins_at_the_default_and_a_third_parameter_is_told(known):
    for key, record in RECORDS.items():
        for parameter in known["losses"][key]["parameters"]:
            assert parameter["values"][parameter["start"]] == record.defaults[parameter["name"]]
    assert known["losses"]["smooth_adversarial_comp_sum_loss"]["held"] == "Here nu = 1."
    assert known["losses"]["z_loss"]["held"] == ""


def test_every_fact_has_its_row_and_a_loss_of_a_written_chapter_links_to_it(known):
    assert known["rows"] == list(ROWS)
    assert {name for loss in known["losses"].values() for name in loss["facts"]} == set(ROWS)
    for key, record in RECORDS.items():
        facts = known["losses"][key]["facts"]
        assert f'href="atlas.html#{key}"' in facts["Function"]
        page = NOTEBOOKS.get(record.chapter, "").replace(".ipynb", ".html")
        assert (f'href="{page}' in facts["Chapter"]) is (record.chapter in NOTEBOOKS)


def test_nothing_in_the_data_ends_the_script_element_and_the_page_is_light(page_source, known):
    (text,) = re.findall(r'<script type="application/json"[^>]*>(.*)</script>\n<script', page_source, flags=re.DOTALL)
    assert "<" not in text
    assert "```" not in text
    assert json.loads(text) == known
    assert len(page_source.encode()) < 30_000 * len(RECORDS)


def test_numbers_that_are_not_finite_are_refused(monkeypatch):
    monkeypatch.setattr("lossbook.book.comparison.data", lambda chapters: {"values": [float("inf")]})
    with pytest.raises(ValueError, match="not JSON compliant"):
        pages([])


def test_a_chapter_that_is_not_there_is_not_linked_to():
    assert chapter_link("01", None) == "01 From likelihood to cross-entropy (not in this book yet)"
    (chapter,) = (chapter for chapter in committed() if chapter.number == "03")
    assert 'href="03_losses_from_row_statistics.html#siglip"' in chapter_link("03", chapter, "siglip")
    assert 'href="03_losses_from_row_statistics.html"' in chapter_link("03", chapter, "comp_sum")


# In a browser


@pytest.fixture(scope="module")
def troubles():
    return []


@pytest.fixture(scope="module")
def open_page(browser_page, page_source, troubles, tmp_path_factory):
    pytest.importorskip("myst_parser")
    site = built(tmp_path_factory.mktemp("comparison"), {"comparison.md": page_source})
    with opened(browser_page, site, troubles) as open_page:
        yield open_page


def pictures(page):
    return [svg.get_attribute("aria-label") for svg in page.locator(".panels > figure > svg").all()]


@pytest.mark.browser
def test_two_losses_of_a_margin_share_their_axes_and_are_read_at_the_cursor(open_page):
    page = open_page("comparison.html#hinge_loss,logistic_loss")
    loss, slope = pictures(page)
    hinge = "Hinge, solid line with a round mark: 5 at −4, at the cursor 0.5 at 0.5, 0 at 4"
    logistic = "Logistic, dashed line with a square mark: 4.02 at −4, at the cursor 0.474 at 0.5, 0.0181 at 4"
    assert loss == f"Loss against the margin from −4 to 4. {hinge}. {logistic}."
    assert "at the cursor −1 at 0.5" in slope
    assert page.locator(".kinds").inner_text() == "Both are losses of a margin and share their axes."
    assert page.locator(".reading li").all_inner_texts() == [
        "Hinge at 0.5: loss 0.5, slope −1",
        "Logistic at 0.5: loss 0.474, slope −0.378",
    ]


@pytest.mark.browser
def test_the_cursor_moves_by_keyboard_and_words_and_pictures_follow(open_page):
    page = open_page("comparison.html")
    before = pictures(page)
    cursor = page.get_by_label("margin", exact=True)
    cursor.focus()
    for _ in range(10):
        page.keyboard.press("ArrowRight")
    assert cursor.get_attribute("aria-valuetext") == "1"
    after = pictures(page)
    assert all(one != other for one, other in zip(before, after, strict=True))
    assert "Hinge at 1: loss 0, slope 0" in page.locator(".reading").inner_text()
    page.keyboard.press("Home")
    assert "Hinge at −4: loss 5, slope −1" in page.locator(".reading").inner_text()
    at = [mark.get_attribute("cx") for mark in page.locator("circle.side-0").all()]
    assert len(at) == 2
    assert len(set(at)) == 1


@pytest.mark.browser
def test_losses_of_different_kinds_have_axes_of_their_own_and_the_page_says_so(open_page):
    page = open_page("comparison.html")
    page.locator("#loss-1").select_option("info_nce_loss")
    assert len(pictures(page)) == 4
    said = page.locator(".kinds").inner_text()
    assert said.startswith("Hinge is a loss of a margin, InfoNCE is a loss of pairs: each has axes of its own")
    assert "all other scores are 0" in said
    assert page.url.endswith("#hinge_loss,info_nce_loss")
    assert page.locator(".axis input").count() == 2
    heads = page.locator("thead th").all_inner_texts()
    assert heads == ["Hinge", "InfoNCE"]


@pytest.mark.browser
def test_a_parameter_moves_its_loss_alone_and_stays_in_the_address(open_page):
    page = open_page("comparison.html#comp_sum_loss,comp_sum_loss")
    slider = page.locator("#parameter-1-0")
    assert slider.get_attribute("aria-valuetext") == "1"
    slider.focus()
    page.keyboard.press("End")
    wanted = find("comp_sum_loss")
    at = list(SLICES["logits"].positions).index(1.0)
    readings = page.locator(".reading li").all_inner_texts()
    for tau, reading in zip((1.0, 3.0), readings, strict=True):
        value = float(along(wanted, {"tau": tau}).value[at])
        assert reading.startswith(f"Comp-sum family (tau = {tau:g}) at 1: loss {value:.3g}, slope −")
    assert page.url.endswith("#comp_sum_loss,comp_sum_loss:tau=3")
    again = open_page(page.url.rpartition("/")[2])
    assert again.locator(".reading li").all_inner_texts() == readings


@pytest.mark.browser
def test_the_second_parameter_finds_its_curve(open_page):
    page = open_page("comparison.html#siglip_loss:scale=1:bias=0,info_nce_loss:temperature=1")
    at = round(0.5625 * (SLICES["pairs"].points - 1))
    value = float(along(find("siglip_loss"), {"scale": 1.0, "bias": 0.0}).value[at])
    assert f"loss {value:.3g}, slope" in page.locator(".reading li").first.inner_text()


@pytest.mark.browser
def test_every_loss_can_be_linked_to_alone_and_gets_a_partner_of_its_kind(open_page):
    page = open_page("comparison.html")
    for key, record in RECORDS.items():
        page.evaluate("key => { location.hash = key; }", key)
        page.wait_for_function("key => document.getElementById('loss-0').value === key", arg=key)
        other = page.locator("#loss-1").input_value()
        assert other != key
        assert RECORDS[other].inputs == record.inputs
        first, second = pictures(page)
        assert first.startswith(f"Loss against the {SLICES[record.inputs].argument} from")
        assert "NaN" not in first + second + page.locator(".panels").inner_html()
        assert record.formula in page.locator("tbody").inner_text()


@pytest.mark.browser
def test_an_address_that_names_no_loss_shows_the_first_two(open_page):
    page = open_page("comparison.html#toString,constructor")
    assert [page.locator(f"#loss-{side}").input_value() for side in (0, 1)] == ["hinge_loss", "logistic_loss"]


@pytest.mark.browser
def test_a_phone_shows_it_without_sideways_scrolling_of_the_page(open_page):
    page = open_page("comparison.html#mann_whitney_loss,smooth_adversarial_comp_sum_loss", width=390)
    assert page.evaluate("document.documentElement.scrollWidth") == 390


@pytest.mark.browser
def test_without_javascript_the_page_leads_to_the_atlas(open_page):
    page = open_page("comparison.html")
    quiet = page.context.browser.new_context(java_script_enabled=False).new_page()
    quiet.goto(page.url)
    assert quiet.locator(".lossbook-comparison:visible").count() == 0
    assert quiet.locator("noscript a[href='atlas.html']").count() == 1
    quiet.context.close()


@pytest.mark.browser
def test_axe_finds_nothing_wrong_and_the_browser_complains_of_nothing(open_page, troubles):
    page = open_page("comparison.html#focal_loss,huber_loss", width=390)
    assert violations(page) == []
    page.evaluate("document.documentElement.dataset.theme = 'dark'")
    assert violations(page) == []
    assert troubles == []
