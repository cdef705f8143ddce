"""The commands that publish, teach and contribute: what they pass on, and what they refuse."""

from pathlib import Path

import pytest

from lossbook import skeletons
from lossbook.book import site
from lossbook.book.execution import ChapterError
from lossbook.cli import main

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def built(monkeypatch):
    """`lossbook book` builds nothing here; what it asked for is kept."""
    asked = []
    monkeypatch.setattr(
        site, "build", lambda root, out, **options: asked.append((root, out, options)) or out / "site/index.html"
    )
    return asked


def test_the_whole_book_goes_to_build_with_solutions_and_a_page_of_the_commands(built, capsys):
    assert main(["book"]) == 0
    ((root, out, options),) = built
    assert (root, out) == (ROOT, ROOT / "build" / "book")
    assert (options["chapters"], options["solutions"], options["workers"]) == (None, True, 2)
    assert "lossbook grade" in options["extra"]["command_line.rst"]
    assert capsys.readouterr().out.endswith("index.html\n")


def test_a_few_chapters_elsewhere_and_without_solutions(built, tmp_path):
    assert main(["book", "--chapter", "01", "--chapter", "70", "--no-solutions", "--out", str(tmp_path)]) == 0
    ((_, out, options),) = built
    assert (out, options["chapters"], options["solutions"]) == (tmp_path, ["01", "70"], False)


def test_a_book_with_something_unfinished_is_built_as_a_draft_only(built, monkeypatch, capsys):
    monkeypatch.setattr(skeletons, "unfinished", lambda root: ["README.md:3: TODO: say it"])
    assert main(["book"]) == 2
    assert "README.md:3: TODO: say it" in capsys.readouterr().err
    assert main(["book", "--draft"]) == 0
    assert len(built) == 1


@pytest.mark.parametrize("error", [ChapterError("01_x, cell 3: ZeroDivisionError"), site.BuildError("a warning")])
def test_what_stops_a_build_is_said(monkeypatch, capsys, error):
    def fails(*arguments, **options):
        raise error

    monkeypatch.setattr(site, "build", fails)
    assert main(["book"]) == 1
    assert str(error) in capsys.readouterr().err


def test_an_interrupted_build_says_that_it_goes_on(monkeypatch, capsys):
    def interrupted(*arguments, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr(site, "build", interrupted)
    assert main(["book"]) == 130
    assert "goes on" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("stale", "code", "words"), [([], 0, "up to date"), (["01_x: its code changed"], 1, "01_x: its code changed")]
)
def test_a_check_builds_nothing_and_says_what_is_out_of_date(built, monkeypatch, capsys, stale, code, words):
    monkeypatch.setattr(site, "outdated", lambda *arguments: stale)
    assert main(["book", "--check"]) == code
    assert words in capsys.readouterr().out
    assert built == []


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of Otter-Grader's own
def test_a_course_of_one_chapter_is_written(tmp_path, capsys):
    assert main(["course", "--out", str(tmp_path), "--chapter", "02"]) == 0
    kinds = {path.parent.name for path in tmp_path.rglob("02*")}
    assert {"student", "worksheets", "instructor"} <= kinds
    assert "README.md" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["book", "--chapter", "99"], "--chapter: got '99', expected one of 00, 01"),
        (["book", "--workers", "0"], "--workers: got 0, expected at least 1"),
        (["course", "--out", "x", "--chapter", "99"], "--chapter: got '99', expected one of 00, 01"),
        (["grade", "nothing.zip"], "nothing.zip"),
        (["new-chapter", "Ten"], "name: got 'Ten'"),
        (["new-loss", "hinge_loss"], "name: got 'hinge_loss'"),
        (["new-loss", "some_loss", "--inputs", "words"], "inputs: got 'words'"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_request_that_cannot_be_met_is_refused(capsys, words, message):
    assert main(words) == 2
    said = capsys.readouterr().err
    assert said.startswith(f"lossbook {words[0]}: ")
    assert message in said
