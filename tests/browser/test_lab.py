"""Explorers as a reader meets them: a real JupyterLab, a real browser, the keyboard."""

import pytest

from lossbook.widgets.browser import press_slider, run_notebook, write_notebook

CELLS = (
    "from lossbook.widgets import LikelihoodExplorer, MarginExplorer, SimplexExplorer, TrainingExplorer\n"
    "from lossbook.widgets.benchmark import sample_run",
    "MarginExplorer()",
    "SimplexExplorer()",
    "TrainingExplorer(sample_run())",
    "LikelihoodExplorer()",
)
EXPLORERS = ("MarginExplorer", "SimplexExplorer", "TrainingExplorer", "LikelihoodExplorer")


@pytest.fixture(scope="module")
def outputs(lab, browser_page):
    """The outputs of a notebook with one explorer of each class, by class."""
    write_notebook(lab.folder / "explorers.ipynb", CELLS)
    run_notebook(browser_page, lab, "explorers.ipynb", pictures=len(EXPLORERS))
    found = browser_page.locator(".jp-OutputArea-output:has(.widget-html figure img)")
    return {name: found.nth(i) for i, name in enumerate(EXPLORERS)}


@pytest.mark.parametrize("name", EXPLORERS)
def test_the_arrow_key_on_a_slider_changes_the_words_of_the_picture(outputs, browser_page, name):
    before, after = press_slider(browser_page, outputs[name])
    assert before != after
    back = press_slider(browser_page, outputs[name], "ArrowLeft")[1]
    assert back == before


@pytest.mark.parametrize("name", EXPLORERS)
def test_every_field_and_list_in_the_page_has_a_label_tied_to_it(outputs, name):
    nameless = outputs[name].evaluate(
        "output => [...output.querySelectorAll('input, select')]"
        ".filter(field => ![...field.labels].some(label => label.textContent.trim())).length"
    )
    assert outputs[name].locator("input, select").count() > 0
    assert nameless == 0


def test_a_value_typed_into_the_field_of_a_slider_moves_the_picture(outputs, browser_page):
    output = outputs["MarginExplorer"]
    field = output.get_by_label("x, the margin")
    field.fill("-2.5")
    field.press("Enter")
    browser_page.wait_for_function(
        "output => output.querySelector('img').alt.includes('m = −2.5')", arg=output.element_handle()
    )


def test_a_preset_says_under_the_picture_what_to_look_for(outputs):
    output = outputs["SimplexExplorer"]
    output.get_by_label("Presets").select_option("undecided")
    output.get_by_text("the middle of the triangle").wait_for()
    assert "probabilities (0.333, 0.333, 0.333)" in output.locator("figure img").get_attribute("alt")
