"""Chapters are run for the book, kept for as long as what they gave holds, and a failure names its cell."""

import asyncio
import json

import nbformat
import pytest

from lossbook.book.execution import ChapterError, Source, execute, key, staleness

NUMBERS = """\
import json
from pathlib import Path

print(sum(json.loads(Path("../data/runs/one/numbers.json").read_text())))"""
EXPLORER = "from lossbook.widgets import SoftmaxStepsExplorer\n\nSoftmaxStepsExplorer()"


def chapter(*cells, stem="99_trial"):
    parts = [nbformat.v4.new_markdown_cell("# 99 Trial"), *map(nbformat.v4.new_code_cell, cells)]
    return Source("99", "Trial", stem, nbformat.v4.new_notebook(cells=parts))


def printed(done):
    return ["".join(o.get("text", "") for o in cell.get("outputs", [])) for cell in done.notebook.cells[1:]]


@pytest.fixture
def root(tmp_path):
    """A repository with one small run in its data."""
    (tmp_path / "notebooks").mkdir()
    run = tmp_path / "data" / "runs" / "one"
    run.mkdir(parents=True)
    (run / "numbers.json").write_text("[1, 2, 3]")
    (run / "native.bin").write_bytes(b"read by a library that Python does not see")
    return tmp_path


@pytest.fixture
def run(root):
    """Execute in that repository; what was said comes back too."""

    def execute_here(*chapters):
        said = []
        return execute(chapters, root, root / "cache", say=said.append), said

    return execute_here


def test_a_chapter_gets_its_outputs_its_seconds_and_its_memory(run):
    (done,), said = run(chapter("x = 2\nprint(x)", NUMBERS))
    assert printed(done) == ["2\n", "6\n"]
    assert [cell.execution_count for cell in done.notebook.cells[1:]] == [1, 2]
    assert 0 < done.seconds < 60
    assert 2**24 < done.peak_bytes < 2**32
    assert said[0] == "99_trial: to be run, not run yet"


def test_it_is_not_run_again_while_all_it_rests_on_is_the_same(run):
    run(chapter(NUMBERS))
    (done,), said = run(chapter(NUMBERS))
    assert said == ["99_trial: kept"]
    assert printed(done) == ["6\n"]


def test_it_runs_within_a_running_loop_too_as_in_a_notebook(run):
    async def within():
        return run(chapter("x = 2\nprint(x)"))

    (done,), _ = asyncio.run(within())
    assert printed(done) == ["2\n"]


def test_new_prose_keeps_the_outputs_and_is_the_prose_that_is_read(run):
    run(chapter(NUMBERS))
    rewritten = chapter(NUMBERS)
    rewritten.notebook.cells[0].source = "# 99 Another try"
    (done,), said = run(rewritten)
    assert said == ["99_trial: kept"]
    assert done.notebook.cells[0].source == "# 99 Another try"
    assert printed(done) == ["6\n"]


@pytest.mark.parametrize("name", ["numbers.json", "native.bin"])
def test_a_file_that_it_read_or_that_lies_beside_one_in_a_run_makes_it_run_again(run, root, name):
    run(chapter(NUMBERS))
    (root / "data" / "runs" / "one" / name).write_text("[4, 5, 6]")
    (done,), said = run(chapter(NUMBERS))
    assert said[0] == f"99_trial: to be run, changed: data/runs/one/{name}"
    assert printed(done) == ["15\n"] or name == "native.bin"


def test_other_code_makes_it_run_again_and_the_other_chapter_is_left_alone(run):
    run(chapter("print(1)"), chapter("print(2)", stem="98_other"))
    (done, other), said = run(chapter("print(3)"), chapter("print(2)", stem="98_other"))
    assert said[:2] == ["99_trial: to be run, its code changed", "98_other: kept"]
    assert printed(done) + printed(other) == ["3\n", "2\n"]


def test_a_change_of_the_package_names_what_changed(run, root):
    code = "from lossbook.losses import hinge_loss"
    run(chapter(code))
    wanted = key(chapter(code).notebook)
    assert staleness("99_trial", wanted, root, root / "cache") == ""
    changed = wanted | {"sources": wanted["sources"] | {"lossbook/losses/_margin.py": "another"}}
    assert staleness("99_trial", changed, root, root / "cache") == "changed: lossbook/losses/_margin.py"
    newer = wanted | {"versions": wanted["versions"] | {"torch": "99"}}
    assert staleness("99_trial", newer, root, root / "cache") == "changed: torch"


def test_a_failure_names_chapter_and_cell_keeps_nothing_of_it_and_all_of_the_others(run, root):
    with pytest.raises(ChapterError, match=r"99_trial, cell 3:[\s\S]*ZeroDivisionError") as failure:
        run(chapter("x = 0", "1 / x"), chapter("print(2)", stem="98_other"))
    assert "\x1b[" not in str(failure.value)
    assert sorted(path.name for path in (root / "cache").iterdir()) == ["98_other.ipynb", "98_other.json", "frames"]


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("import ipywidgets\n\nipywidgets.IntSlider()", "shows a widget"),
        ("import warnings\n\nwarnings.warn('look here')", "look here"),
    ],
)
def test_what_a_reader_without_a_kernel_would_miss_is_refused(run, root, code, words):
    with pytest.raises(ChapterError, match=f"99_trial, cell 2: [\\s\\S]*{words}"):
        run(chapter(code))
    assert not (root / "cache" / "99_trial.json").exists()


def test_an_explorer_is_frozen_with_its_pictures_beside_the_outputs(run, root):
    (done,), _ = run(chapter(EXPLORER))
    (output,) = done.notebook.cells[1].outputs
    assert set(output.data) == {"text/html", "text/plain"}
    assert "_static/frames/" in output.data["text/html"]
    assert len(list((root / "cache" / "frames" / "99_trial").iterdir())) > 5


def test_what_is_kept_is_plain_json_that_says_what_it_rests_on(run, root):
    run(chapter(NUMBERS))
    about = json.loads((root / "cache" / "99_trial.json").read_text())
    assert set(about) == {"key", "files", "seconds", "peak_bytes"}
    assert set(about["files"]) == {"data/runs/one/numbers.json", "data/runs/one/native.bin"}
