"""Frozen explorers as a reader without a kernel meets them: a page from a folder, the keyboard, no network."""

import pytest
from axe_playwright_python.sync_playwright import Axe

from lossbook.widgets import LikelihoodExplorer, MarginExplorer, SimplexExplorer
from lossbook.widgets.frozen import page_html


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A page with three frozen explorers, their pictures in a folder beside it."""
    folder = tmp_path_factory.mktemp("site")
    frozen = [
        explorer.freeze(folder=folder / "frames", address="frames/", most=100)
        for explorer in (LikelihoodExplorer(), SimplexExplorer("comp_sum_loss"), MarginExplorer())
    ]
    (folder / "page.html").write_text(page_html("Three explorers", "\n".join(frozen)), encoding="utf-8")
    return folder / "page.html"


@pytest.fixture
def opened(place, browser_page):
    """The page in a tab of its own; afterwards, no error in its console and nothing asked of any network."""
    page, requests, errors = browser_page.context.browser.new_page(), [], []
    page.on("request", lambda request: requests.append(request.url))
    page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(place.as_uri())
    yield page
    assert [url for url in requests if not url.startswith("file:")] == []
    assert errors == []
    page.close()


def explorer_of(page, number):
    return page.locator(".lossbook-frozen").nth(number)


def shown(explorer):
    image = explorer.locator("img")
    return image.get_attribute("src"), image.get_attribute("alt"), explorer.locator("figcaption").inner_text()


@pytest.mark.parametrize("number", range(3))
@pytest.mark.parametrize("key", ["ArrowRight", "ArrowLeft", "Home", "End", "PageUp"])
def test_a_key_on_a_slider_changes_picture_alt_text_caption_and_value(opened, number, key):
    explorer = explorer_of(opened, number)
    slider = explorer.get_by_role("slider").first
    before, value = shown(explorer), slider.get_attribute("aria-valuetext")
    slider.press(key)
    after = shown(explorer)
    assert all(old != new for old, new in zip(before, after, strict=True))
    assert slider.get_attribute("aria-valuetext") != value
    assert explorer.locator("label:visible .value").first.inner_text() == slider.get_attribute("aria-valuetext")
    assert explorer.locator("img").evaluate("image => image.decode().then(() => image.naturalWidth)") > 500


def test_a_list_brings_its_slider_into_sight_and_hides_the_other(opened):
    explorer = explorer_of(opened, 0)
    explorer.get_by_label("model").select_option("1")
    assert explorer.get_by_label("probability p").is_hidden()
    explorer.get_by_label("centre c").press("End")
    assert shown(explorer)[1].startswith("Gaussian model at c = 10.00.")
    assert explorer.get_by_role("status").inner_text() == ""


def test_a_preset_moves_the_controls_and_says_what_to_look_for_until_another_is_chosen(opened):
    explorer = explorer_of(opened, 0)
    menu = explorer.get_by_label("Presets")
    menu.select_option("the median")
    assert explorer.get_by_label("model").evaluate("list => list.selectedOptions[0].text").startswith("Laplace")
    assert explorer.get_by_label("centre c").get_attribute("aria-valuetext") == "2.5"
    assert "a corner at each reading" in shown(explorer)[2]
    explorer.get_by_label("centre c").press("ArrowRight")
    assert menu.input_value() == "choose …"  # the reader has left it, and may still look
    opened.wait_for_timeout(200)
    assert "a corner at each reading" in shown(explorer)[2]


def test_where_a_combination_was_not_drawn_the_others_move_to_the_nearest_and_a_line_says_so(opened):
    explorer = explorer_of(opened, 1)
    tau, status = explorer.get_by_label("tau"), explorer.get_by_role("status")
    tau.press("End")
    assert f", tau {tau.get_attribute('aria-valuetext')}," in shown(explorer)[1]
    assert status.inner_text() == ""
    explorer.get_by_label("colours").select_option("rescaled")
    assert tau.get_attribute("aria-valuetext") == "1"
    assert "Colours rescaled" in shown(explorer)[1]
    assert ", tau 1," in shown(explorer)[1]
    opened.wait_for_timeout(200)  # words that follow one another quickly are said once it is quiet
    assert status.inner_text() == "Not every combination was drawn: tau moved to 1."


def test_whatever_is_pressed_the_words_of_the_picture_are_those_of_the_controls(opened):
    explorer = explorer_of(opened, 1)
    for name, key in [(name, key) for key in ("End", "PageDown", "ArrowLeft") for name in ("z₀", "tau", "z₁", "z₀")]:
        explorer.get_by_label(name).press(key)
        said = {one: explorer.get_by_label(one).get_attribute("aria-valuetext") for one in ("z₀", "z₁", "tau")}
        alt = shown(explorer)[1]
        assert f", tau {said['tau']}, right class 0" in alt
        assert f"At logits ({said['z₀']}, {said['z₁']}, 0):" in alt


def test_tab_goes_through_the_controls_in_the_order_in_which_they_stand(opened):
    explorer = explorer_of(opened, 1)
    fields = explorer.locator("select:visible, input:visible")
    names = [field.get_attribute("aria-label") for field in fields.all()]
    fields.first.focus()
    passed = []
    for _ in names:
        passed.append(opened.evaluate("document.activeElement.getAttribute('aria-label')"))
        outline = opened.evaluate("getComputedStyle(document.activeElement).outlineStyle")
        assert outline == "solid"
        opened.keyboard.press("Tab")
    assert passed == names
    tops = [field.bounding_box()["y"] for field in fields.all()]
    assert tops == sorted(tops)


def test_what_a_key_can_reach_is_fetched_before_it_is_pressed(place, opened):
    fetched = []
    opened.on("request", lambda request: fetched.append(request.url))
    slider = explorer_of(opened, 0).get_by_role("slider").first
    slider.focus()
    opened.wait_for_timeout(200)
    ahead = list(fetched)
    slider.press("ArrowRight")
    assert explorer_of(opened, 0).locator("img").evaluate("image => image.src") in ahead


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1400, 390])
def test_axe_finds_nothing_and_the_page_does_not_scroll_sideways(opened, scheme, width):
    opened.set_viewport_size({"width": width, "height": 900})
    opened.emulate_media(color_scheme=scheme)
    found = Axe().run(opened).response["violations"]
    assert [(one["id"], one["nodes"][0]["html"][:200]) for one in found] == []
    assert opened.evaluate("document.documentElement.scrollWidth") <= width


def test_without_script_the_picture_stands_still_with_its_words(place, browser_page):
    context = browser_page.context.browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(place.as_uri())
    assert page.locator("img").count() == 3
    assert page.locator("figcaption").first.inner_text().startswith("p = 0.50 costs")
    assert page.locator("select:visible, input:visible").count() == 0
    context.close()
