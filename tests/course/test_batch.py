"""A zip of notebooks becomes a table: whoever hands in what, the others keep their points."""

import json
import zipfile

import nbformat
import pandas as pd
import pytest
from chapters import NOTEBOOKS
from course.course_cases import handed_in, places, solution

from lossbook.course import batch, exercises_by_chapter, grade_submissions, sandbox, student, totals
from lossbook.course.grade import grade_notebook

FIRST, SECOND = NOTEBOOKS[0], NOTEBOOKS[2]
CHAPTERS = exercises_by_chapter([FIRST, SECOND])
RIGHT = nbformat.writes(handed_in(FIRST, {exercise: solution(FIRST, exercise) for exercise in places(FIRST)}))
BLANK = nbformat.writes(handed_in(FIRST, {}))
OTHER = nbformat.writes(
    handed_in(SECOND, {list(places(SECOND))[1]: solution(SECOND, list(places(SECOND))[1])}, make=student)
)
OLD = json.dumps(
    {"nbformat": 4, "nbformat_minor": 2, "metadata": {}, "cells": []}
)  # as hosted notebooks are, without ids


def zipped(path, files):
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return path


def grade(submissions, **options):
    return grade_submissions(submissions, CHAPTERS, seconds=30, progress=False, **options)


@pytest.fixture
def graded(monkeypatch):
    """The notebooks that were graded, of those that were asked for."""
    seen = []

    def remember(notebook, exercises, **options):
        seen.append(notebook)
        return grade_notebook(notebook, exercises, **options)

    monkeypatch.setattr(batch, "grade_notebook", remember)
    return seen


def test_a_batch_goes_on_after_every_kind_of_file(tmp_path):
    files = {
        "hand-ins/ada.ipynb": RIGHT,
        "hand-ins/bob.ipynb": BLANK,
        "hand-ins/cy/02_answers.ipynb": OTHER,
        "hand-ins/dot.ipynb": "no notebook",
        "hand-ins/eve.ipynb": OLD.replace("[]", '[{"cell_type": "code"}, 3]'),
        "hand-ins/fay.ipynb": OLD,
        "hand-ins/gus.ipynb": b"\xff\xfe",
        "hand-ins/.ipynb_checkpoints/ada-checkpoint.ipynb": BLANK,
        "__MACOSX/hand-ins/._ada.ipynb": "",
        "hand-ins/notes.txt": "",
    }
    table = grade(zipped(tmp_path / "all.zip", files))
    assert list(table.columns) == [
        "student",
        "chapter",
        "exercise",
        "score",
        "possible",
        "message",
        "total",
        "submission",
    ]
    sums = totals(table).set_index("student")
    assert list(sums.index) == ["ada", "bob", "cy", "dot", "eve", "fay", "gus"]
    assert list(sums.total) == [2, 0, 1, 0, 0, 0, 0]
    assert list(sums.possible) == [2, 2, 4, 0, 0, 0, 0]
    messages = table.set_index("student").message
    for name, words in {"dot": "NotJSONError", "eve": "cannot be read", "fay": "no exercise", "gus": "Unicode"}.items():
        assert words in messages[name]
    assert table[table.student == "ada"].total.tolist() == [2, 2]


def test_where_the_chapter_was_set_whoever_hands_in_nothing_of_it_gets_nothing_of_all_of_it(tmp_path):
    table = grade(zipped(tmp_path / "all.zip", {"ada.ipynb": OTHER, "bob.ipynb": "no notebook"}), chapter="00")
    assert table.student.tolist() == ["ada", "ada", "bob", "bob"]
    assert table.possible.tolist() == [1] * 4
    assert table.total.tolist() == [0] * 4
    assert "There is no function `pull`" in table.message[0]


def test_an_interrupted_batch_goes_on_where_it_was(tmp_path, graded, monkeypatch):
    submissions = zipped(tmp_path / "all.zip", {"ada.ipynb": RIGHT, "bob.ipynb": BLANK, "=cy().ipynb": RIGHT})
    out, remember = tmp_path / "scores.csv", batch.grade_notebook

    def interrupted(notebook, exercises, **options):
        if len(graded) == 2:
            raise KeyboardInterrupt
        return remember(notebook, exercises, **options)

    monkeypatch.setattr(batch, "grade_notebook", interrupted)
    with pytest.raises(KeyboardInterrupt):
        grade(submissions, out=out)
    monkeypatch.setattr(batch, "grade_notebook", remember)
    assert len(pd.read_csv(out)) == 4
    table = grade(submissions, out=out)
    assert len(graded) == 3
    pd.testing.assert_frame_equal(table, grade(submissions, out=out), check_dtype=False)
    pd.testing.assert_frame_equal(table, grade(submissions), check_dtype=False)
    assert [path.name for path in tmp_path.iterdir() if "scores" in path.name] == ["scores.csv"]


def test_what_has_changed_since_is_graded_again(tmp_path, graded):
    out = tmp_path / "scores.csv"
    before = grade(zipped(tmp_path / "a.zip", {"ada.ipynb": BLANK, "bob.ipynb": BLANK}), out=out)
    after = grade(zipped(tmp_path / "b.zip", {"ada.ipynb": RIGHT, "bob.ipynb": BLANK}), out=out)
    assert len(graded) == 3
    assert (before.total.tolist(), after.total.tolist()) == ([0] * 4, [2, 2, 0, 0])
    assert grade(tmp_path / "b.zip", out=out, points=10.0).total.tolist() == [20, 20, 0, 0]
    assert len(graded) == 5


def test_no_word_of_a_student_is_a_formula_in_the_table(tmp_path):
    out = tmp_path / "scores.csv"
    grade(zipped(tmp_path / "all.zip", {"=HYPERLINK(1).ipynb": BLANK, "+1.ipynb": BLANK, "@a.ipynb": BLANK}), out=out)
    assert not [line for line in out.read_text().splitlines() if line.startswith(("=", "+", "-", "@"))]
    assert set(batch._table(out).student) == {"=HYPERLINK(1)", "+1", "@a"}


@pytest.mark.parametrize(
    ("names", "students"),
    [
        (["ada.ipynb", "bob.ipynb"], ["ada", "bob"]),
        (["in/ada/02.ipynb", "in/bob/02.ipynb"], ["ada", "bob"]),
        (["in/ada/02.ipynb", "in/ada/03.ipynb", "in/bob.ipynb"], ["ada/02", "ada/03", "bob"]),
        (["ada/02.ipynb"], ["ada"]),
        (["a.b.ipynb", "a.c.ipynb"], ["a.b", "a.c"]),
    ],
)
def test_a_student_is_a_file_or_a_folder_with_one(names, students):
    assert list(batch._students(names).values()) == students


def test_a_folder_and_a_single_notebook_are_graded_as_a_zip_is(tmp_path):
    (tmp_path / "ada.ipynb").write_text(RIGHT, encoding="utf-8")
    assert grade(tmp_path).total.tolist() == grade(tmp_path / "ada.ipynb").total.tolist() == [2, 2]
    assert grade(zipped(tmp_path / "x.zip", {"ada.ipynb": RIGHT})).total.tolist() == [2, 2]


def test_a_machine_without_processes_costs_no_student_a_point(tmp_path, monkeypatch):
    def never(*given):
        raise TimeoutError

    monkeypatch.setattr(sandbox, "_receive", never)
    with pytest.raises(sandbox.NoProcess, match="no process for a student's function: TimeoutError"):
        grade(zipped(tmp_path / "all.zip", {"ada.ipynb": RIGHT}), out=tmp_path / "scores.csv")
    assert not (tmp_path / "scores.csv").exists()


def test_progress_is_shown_where_it_is_asked_for(tmp_path, capsys):
    (tmp_path / "ada.ipynb").write_text(OLD)
    grade_submissions(tmp_path, CHAPTERS)
    assert "1/1" in capsys.readouterr().err
    grade(tmp_path)
    assert capsys.readouterr().err == ""


def test_bad_input_is_named(tmp_path):
    (tmp_path / "table.csv").write_text("a,b\n1,2\n")
    (tmp_path / "ada.ipynb").write_text(OLD)
    with pytest.raises(ValueError, match=r"submissions: got 'nowhere\.zip', expected a zip, a folder or a"):
        grade(tmp_path / "nowhere.zip")
    with pytest.raises(ValueError, match=r"submissions: got 'none\.zip', expected at least one notebook"):
        grade(zipped(tmp_path / "none.zip", {"notes.txt": ""}))
    with pytest.raises(ValueError, match="chapter: got '99', expected one of '00', '02'"):
        grade(tmp_path, chapter="99")
    with pytest.raises(ValueError, match=r"out: got 'table\.csv', expected a table that `lossbook grade` wrote"):
        grade(tmp_path, out=tmp_path / "table.csv")
    with pytest.raises(ValueError, match="points: got -1"):
        grade(tmp_path, points=-1)
