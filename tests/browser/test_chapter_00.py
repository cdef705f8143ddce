"""Chapter 00 as `make lab` opens it: all cells run, then a slider of each of its explorers is moved by keyboard."""

from pathlib import Path

import nbformat
import pytest

from lossbook.widgets.browser import press_slider, run_notebook

CHAPTER = Path(__file__).parents[2] / "notebooks" / "00_start_here.ipynb"
EXPLORERS = ("MarginExplorer", "SimplexExplorer", "TrainingExplorer")


@pytest.fixture(scope="module")
def outputs(lab, browser_page):
    """The outputs of the chapter's explorers, once its last cell has run."""
    notebook = nbformat.read(CHAPTER, as_version=4)
    notebook.metadata.pop("widgets", None)  # what is stored would be shown without a kernel
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    nbformat.write(notebook, lab.folder / CHAPTER.name)
    run_notebook(browser_page, lab, CHAPTER.name, pictures=len(EXPLORERS), seconds=120)
    browser_page.locator("caption", has_text="The atlas").wait_for(timeout=120_000)
    found = browser_page.locator(".jp-OutputArea-output:has(.widget-html figure img)")
    assert found.count() == len(EXPLORERS)
    return found


@pytest.mark.parametrize("name", EXPLORERS)
def test_a_slider_of_each_explorer_of_chapter_00_changes_the_words_of_its_picture(outputs, browser_page, name):
    before, after = press_slider(browser_page, outputs.nth(EXPLORERS.index(name)), seconds=60)
    assert len(after) > 40
    assert after != before


def test_no_cell_of_chapter_00_shows_an_error_or_raw_formula(outputs, browser_page):
    assert browser_page.locator(".jp-OutputArea-output[data-mime-type='application/vnd.jupyter.error']").count() == 0
    assert browser_page.locator(".jp-OutputArea-output[data-mime-type='application/vnd.jupyter.stderr']").count() == 0
    prose = " ".join(browser_page.locator(".jp-RenderedMarkdown").all_inner_texts())
    assert "$" not in prose
    assert "\\frac" not in prose


def test_the_atlas_links_to_a_section_that_the_reader_can_follow(outputs, browser_page):
    link = browser_page.locator("a", has_text="Cross-Entropy Loss Functions: Theoretical Analysis").first
    assert "01_from_likelihood_to_cross_entropy.ipynb" in link.get_attribute("href")
