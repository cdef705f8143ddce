"""The built site as a reader uses it, from its files and from a server: search, explorers, atlas, dark pages."""

import re

import pytest
from built_site import ROOT

from lossbook.catalog.papers import NOTEBOOKS

TEMPLATES = ("index.html", "01_from_likelihood_to_cross_entropy.html", "atlas.html", "comparison.html")
TEMPLATES += ("glossary.html", "api/index.html", "search.html")
CHAPTERS = {
    name.replace(".ipynb", ".html"): ROOT / "notebooks" / "text" / name.replace(".ipynb", ".py")
    for name in NOTEBOOKS.values()
}
at_both_addresses = pytest.mark.parametrize("where", ["site_files", "site_served"])


@at_both_addresses
@pytest.mark.parametrize(
    ("words", "goal", "text"), [("hinge loss", "hinge_loss", "hinge"), ("z_loss", "z_loss", "Z-loss")]
)
def test_search_finds_a_loss(reader, request, where, words, goal, text):
    page = reader(request.getfixturevalue(where)).open("index.html")
    page.keyboard.press("Control+k")
    page.keyboard.type(words)
    page.keyboard.press("Enter")
    page.wait_for_url("**/search.html?q=*")
    results = page.locator("#search-results ul.search li")
    results.first.wait_for()
    page.wait_for_function("!document.querySelector('#search-progress')?.textContent.includes('Searching')")
    links = results.locator("a").evaluate_all("links => links.map(link => link.href)")
    assert any(goal in link for link in links), links
    found = next(link for link in links if goal in link)
    results.locator(f"a[href='{found}'], a").nth(links.index(found)).click()
    page.wait_for_url(found.partition("#")[0] + "*")
    assert text in page.locator("main").inner_text()


def explorers_of(twin):
    """How many explorers the text of a chapter shows."""
    text = twin.read_text(encoding="utf-8")
    names = set(re.findall(r"^(\w+) = \w+Explorer\(", text, flags=re.MULTILINE))
    cells = re.split(r"^# %%.*$", text, flags=re.MULTILINE)
    return sum(cell.strip().rpartition("\n")[2] in names for cell in cells)


def shown(explorer):
    image = explorer.locator("figure img")
    return image.evaluate("image => image.decode().then(() => image.currentSrc)"), image.get_attribute("alt")


@pytest.mark.parametrize("name", CHAPTERS)
@pytest.mark.parametrize("where", ["site_files"])
def test_each_explorer_of_a_chapter_changes_picture_and_alt_text_by_keyboard(reader, request, where, name):
    page = reader(request.getfixturevalue(where), offline=True).open(name)
    explorers = page.locator(".lossbook-frozen").all()
    assert len(explorers) == explorers_of(CHAPTERS[name]) > 0
    for explorer in explorers:
        controls = explorer.locator("input[type=range]:visible, select[data-control]:visible")
        assert controls.count()
        moved, place = set(), 0
        while place < controls.count():  # a choice may hide the controls of what was chosen before
            control, place = controls.nth(place), place + 1
            before = shown(explorer)
            control.focus()
            for key in (
                ("ArrowRight", "ArrowLeft", "ArrowLeft") if control.get_attribute("type") else ("ArrowDown", "ArrowUp")
            ):
                page.keyboard.press(key)
                after = shown(explorer)
                if after != before:
                    moved.add(control)
                    assert all(old != new for old, new in zip(before, after, strict=True)), name
                    break
        assert moved, name


def test_an_explorer_on_a_server_changes_by_keyboard_too(reader, site_served):
    page = reader(site_served).open(next(iter(CHAPTERS)))
    explorer = page.locator(".lossbook-frozen").first
    before = shown(explorer)
    explorer.locator("input[type=range]:visible").first.press("ArrowRight")
    assert all(old != new for old, new in zip(before, shown(explorer), strict=True))


@at_both_addresses
def test_the_atlas_finds_what_is_asked_for(reader, request, where):
    page = reader(request.getfixturevalue(where)).open("atlas.html")
    cards = page.locator(".lossbook-card")
    everything = cards.count()
    page.get_by_role("searchbox").or_(page.locator(".lossbook-filters input")).first.fill("hinge")
    count = page.locator(".lossbook-count").inner_text()
    visible = [card for card in cards.all() if card.is_visible()]
    assert 0 < len(visible) < everything / 4
    assert all("hinge" in card.get_attribute("data-text").lower() for card in visible)
    assert re.match(r"\d+ of \d+ systems shown", count)
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.closest('.lossbook-filters') !== null")
    page.reload()
    assert page.locator(".lossbook-count").inner_text() == count  # the address keeps what was asked for


@at_both_addresses
def test_two_losses_are_compared(reader, request, where):
    page = reader(request.getfixturevalue(where)).open("comparison.html")
    left, right = page.locator(".lossbook-comparison select").all()
    left.select_option("hinge_loss")
    right.select_option("logistic_loss")
    heads = page.locator(".lossbook-comparison thead th").all_inner_texts()
    assert heads == ["Hinge", "Logistic"]
    labels = [svg.get_attribute("aria-label") for svg in page.locator(".lossbook-comparison figure > svg").all()]
    assert [label.split()[0] for label in labels] == ["Loss", "Slope"]
    assert all("Hinge" in label and "Logistic" in label for label in labels)
    reading = page.locator(".reading").inner_text()
    page.locator(".axis input[type=range]").press("ArrowRight")
    assert page.locator(".reading").inner_text() != reading
    assert page.url.endswith("#hinge_loss,logistic_loss")


def luminance(page):
    """Of the background, from 0 to 255."""
    colour = page.evaluate("getComputedStyle(document.body).backgroundColor")
    return sum(map(int, re.findall(r"\d+", colour)[:3])) / 3


@at_both_addresses
def test_dark_pages_stay_dark(reader, request, where):
    page = reader(request.getfixturevalue(where)).open("index.html")
    assert luminance(page) > 200
    button = page.get_by_role("button", name=re.compile("Color mode|theme|dark", re.I)).locator("visible=true").first
    button.press("Enter")
    page.get_by_role("button", name="Dark", exact=True).press("Enter")
    page.wait_for_function("document.documentElement.dataset.theme === 'dark'")
    assert luminance(page) < 60
    page.goto(page.url.replace("index.html", "atlas.html"))
    assert luminance(page) < 60


def test_a_page_follows_the_system_into_the_dark(reader, site_files):
    assert luminance(reader(site_files, color_scheme="dark").open("index.html")) < 60


# Whether what has the focus can be seen, and shows that it has it, within a second: some of it slides in.
FOCUS = """async () => {
  const element = document.activeElement;
  const text = (element.getAttribute("aria-label") || element.textContent).trim().slice(0, 60);
  function shows(part) {
    const style = getComputedStyle(part), box = part.getBoundingClientRect();
    const ring = (parseFloat(style.outlineWidth) > 0 && style.outlineStyle !== "none") || style.boxShadow !== "none";
    return ring && box.width > 0 && box.height > 0 && box.top >= 0 && box.top < innerHeight && box.right > 0;
  }
  const visible = () => [element, ...element.children].some(shows);
  for (let i = 0; i < 50 && !visible(); i++) await new Promise(done => setTimeout(done, 20));
  return { text, visible: visible() };
}"""


@pytest.mark.parametrize("name", TEMPLATES)
def test_the_keyboard_begins_with_a_way_past_the_navigation_and_shows_where_it_is(reader, site_files, name):
    page = reader(site_files, reduced_motion="reduce").open(name)
    seen = []
    for _ in range(20):
        page.keyboard.press("Tab")
        seen.append(page.evaluate(FOCUS))
    if name != "search.html":  # which puts the focus into its field
        assert seen[0]["text"] == "Skip to main content"
    assert [each for each in seen if not each["visible"]] == []


def test_the_way_past_the_navigation_leads_to_the_text(reader, site_files):
    page = reader(site_files).open("atlas.html")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.closest('main') !== null")
