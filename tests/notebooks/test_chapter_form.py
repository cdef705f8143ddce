"""Every chapter keeps the chapter form: its parts present and in order, its claims, pictures, exercises and anchors."""

import re

import jupytext
import pytest
from chapters import NOTEBOOKS, ROOT, cells, code_cells, html_of, prose, sections, tags, text_of, text_twin

from lossbook.catalog.papers import papers

pytestmark = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)

FRAME = (
    "# ",
    "## What you will be able to do",
    "## Before you start",
    "## Papers in this chapter",
    "## What to read next",
    "## References",
)
SECTION = (
    "**Predict first.**",
    "### Where it comes from",
    "> **Definition.**",
    "### What to look for in the picture",
    "### The experiment",
    "#### What must hold",
    "### Why does this differ from",
    "### When to use it",
    "### Exercises",
)
ORIGINS = ("likelihood", "MAP", "decision theory", "surrogate", "heuristic", "hybrid")


def in_order(text, parts):
    """The parts that are missing, or that do not come after the one before them."""
    lost, place = [], 0
    for part in parts:
        found = re.search("^" + re.escape(part), text[place:], flags=re.MULTILINE)
        if found is None:
            lost.append(part)
        else:
            place += found.end()
    return lost


def test_the_frame_is_there_and_in_order(path):
    assert in_order(prose(path), FRAME) == []


def test_every_section_with_a_definition_has_all_its_parts_in_order(path):
    defined = {title: text for title, text in sections(path).items() if "> **Definition.**" in text}
    assert defined
    assert {title: in_order(text, SECTION) for title, text in defined.items()} == {title: [] for title in defined}


def test_every_section_with_a_definition_carries_an_origin_tag_and_claims(path):
    for title, text in sections(path).items():
        if "> **Definition.**" in text:
            head = text.partition("**Predict first.**")[0]
            assert any(origin in head for origin in ORIGINS), title
            assert text.count("claim(") >= 3, title


def test_notebook_and_text_twin_hold_the_same_cells(path):
    twin = jupytext.read(text_twin(path))
    assert [(cell.cell_type, cell.source) for cell in twin.cells] == [(c.cell_type, c.source) for c in cells(path)]


def test_every_cell_was_run_in_order_without_error_or_warning(path):
    assert [cell.execution_count for cell in code_cells(path)] == list(range(1, len(code_cells(path)) + 1))
    for cell in code_cells(path):
        for output in cell.outputs:
            assert output.output_type != "error", output.get("evalue")
            assert output.get("name") != "stderr", output.get("text")


def test_every_claim_that_is_made_was_printed(path):
    for cell in code_cells(path):
        if re.search(r"^\s*claim\(", cell.source, flags=re.MULTILINE):
            assert "✓" in text_of(cell), cell.source


def test_every_picture_has_alt_text_and_every_image_is_ours(path):
    for cell in code_cells(path):
        for output in cell.outputs:
            assert "image/png" not in output.get("data", {}), f"show the figure with alt text: {cell.source}"
        for image in re.findall(r"<img[^>]*>", html_of(cell)):
            assert re.search(r'alt="[^"]{40,}"', image), cell.source
    for alt in re.findall(r"!\[([^\]]*)\]\(", prose(path)):
        assert len(alt) > 20


def test_every_explorer_is_moved(path):
    code = "\n".join(cell.source for cell in code_cells(path))
    names = re.findall(r"^(\w+) = \w+Explorer\(", code, flags=re.MULTILINE)
    moved = set(re.findall(r"(\w+)\.move_every_control\(", code))
    for loop, group in re.findall(r"^for (\w+) in \(([\w, ]+)\):", code, flags=re.MULTILINE):
        if loop in moved:
            moved |= {name.strip() for name in group.split(",")}
    assert names
    assert set(names) <= moved


def test_every_exercise_has_a_check_and_an_executed_folded_solution(path):
    kinds = [
        (cell, kind) for cell in code_cells(path) for kind in ("exercise", "check", "solution") if kind in tags(cell)
    ]
    assert [kind for _, kind in kinds] == ["exercise", "check", "solution"] * (len(kinds) // 3)
    assert len(kinds) // 3 == len(re.findall(r"^\*\*Exercise \d+\.", prose(path), flags=re.MULTILINE))
    for cell, kind in kinds:
        if kind == "check":
            assert "✗ Not yet." in text_of(cell), f"the skeleton should not pass: {cell.source}"
        if kind == "solution":
            assert "✓ Right." in text_of(cell)
            assert cell.metadata.get("jupyter", {}).get("source_hidden")


def test_every_system_of_the_chapter_that_is_implemented_has_its_anchor(path):
    chapter = path.stem[:2]
    keys = {paper.key for paper in papers().values() if paper.chapter == chapter and paper.implemented}
    anchors = set(re.findall(r'<a id="(\w+)"></a>', prose(path)))
    assert keys <= anchors


def test_every_link_to_another_chapter_or_heading_leads_somewhere(path):
    pages = "\n".join([prose(path), *(html_of(cell) for cell in code_cells(path))])
    links = re.findall(r"\]\(([^)\s]+)\)", prose(path)) + re.findall(r'href="([^"]+)"', pages)
    for link in links:
        if link.startswith(("http", "mailto")):
            continue
        name, _, fragment = link.partition("#")
        goal = path if not name else (path.parent / name).resolve()
        assert goal.exists(), link
        assert goal.is_relative_to(ROOT), link
        if fragment:
            headings = {h.strip().replace(" ", "-") for h in re.findall(r"^#+ (.+)$", prose(goal), flags=re.MULTILINE)}
            assert fragment in headings | set(re.findall(r'<a id="([\w-]+)"></a>', prose(goal))), link
