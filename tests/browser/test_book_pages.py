"""Each page of the built site in a browser: no error, nothing asked of a network, formulas set, legible, accessible."""

import pytest
from axe_playwright_python.sync_playwright import Axe
from built_site import Reader, pages

PHONE = {"width": 390, "height": 844}
WIDE = {"width": 1280, "height": 900}
SERIOUS = ("serious", "critical")
# A browser refuses to fetch the style sheets of a page that is a file for axe, which complains in the console.
QUIET = {"preload": False, "resultTypes": ["violations"]}
# The coloured words of code are thousands in a chapter, and the same few colours: one chapter stands for them all.
WITH_CODE = {"02_softmax_and_its_numerics.html"}
WIDER = """() => {
  const width = document.documentElement.clientWidth, found = [];
  if (document.documentElement.scrollWidth <= width) return found;
  for (const element of document.querySelectorAll("body *")) {
    const box = element.getBoundingClientRect();
    const wide = box.right > width + 1 && !element.closest("svg, mjx-container, pre");
    if (wide) found.push(element.outerHTML.slice(0, 99));
  }
  return found.slice(0, 3);
}"""
UNSET = """() => {
  const errors = document.querySelectorAll("mjx-merror, [data-mjx-error]").length;
  const waiting = [...document.querySelectorAll(".math")].filter(
    element => element.textContent.trim() && !element.querySelector("mjx-container"));
  return [...Array(errors).fill("merror"), ...waiting.map(element => element.textContent.slice(0, 80))];
}"""


def alike(folder, every):
    """Pages of a folder that differ in little but their words, but for one in so many."""
    return {name for i, name in enumerate(name for name in pages() if name.startswith(folder)) if i % every}


@pytest.fixture(scope="module")
def visits(browser_page, site_files):
    """Each page by its address: what is wrong with it, by kind."""
    found, same = {}, alike("api/losses/", 8) | alike("api/experiments/", 8)
    reader = Reader(browser_page.context.browser, site_files, offline=True, viewport=WIDE, reduced_motion="reduce")
    for name in sorted(pages().keys() - alike("_modules/", 25), key=lambda name: pages()[name].path.stat().st_size):
        reader.asked, reader.troubles = [], []
        page = reader.open(name)
        code = name in WITH_CODE or not name[:2].isdigit()
        wrong = {"formulas": page.evaluate(UNSET), "light": violations(page, code=code)}
        page.evaluate("document.documentElement.dataset.theme = 'dark'")
        dark = {"only": ["color-contrast"], "code": code}  # nothing else changes
        wrong["dark"] = violations(page, **dark) if name not in same else []
        page.set_viewport_size(PHONE)
        wrong["phone"] = page.evaluate(WIDER)
        page.set_viewport_size(WIDE)
        found[name] = wrong | {"console": reader.troubles, "network": reader.outside()}
    reader.context.close()
    return found


def violations(page, only=None, code=True):
    """What axe finds that is serious or critical: the rule, and the first elements that break it."""
    context = None if code else {"exclude": [["pre"]]}
    rules = {"runOnly": {"type": "rule", "values": only}} if only else {}
    response = Axe().run(page, context=context, options=QUIET | rules).response
    return [
        f"{rule['id']} ({rule['impact']}), {len(rule['nodes'])} times, as {rule['nodes'][0]['html'][:160]}"
        for rule in response["violations"]
        if rule["impact"] in SERIOUS
    ]


@pytest.mark.parametrize(
    "kind",
    ["console", "network", "formulas", "phone", "light", "dark"],
    ids=["no-error", "nothing-asked-of-a-network", "formulas-are-set", "fits-a-phone", "axe-light", "axe-dark"],
)
def test_no_page_has_a_fault(visits, kind):
    assert len(visits) > len(("index", "atlas", "comparison"))
    assert {name: wrong[kind] for name, wrong in visits.items() if wrong[kind]} == {}
