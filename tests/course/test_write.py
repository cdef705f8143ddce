"""The folder of a course, and its autograder run by Otter-Grader itself."""

import json
import subprocess
import sys
import zipfile

import nbformat
import pytest
from chapters import NOTEBOOKS
from course.course_cases import handed_in, places, solution

from lossbook.course import autograder, grade_notebook, instructor, student, worksheet, write, write_course

SECOND = NOTEBOOKS[2]


def test_a_course_has_three_editions_of_each_chapter_and_a_word_to_the_teacher(tmp_path, monkeypatch):
    monkeypatch.setattr(write, "can_write_autograder", lambda: False)
    written = write_course(tmp_path, NOTEBOOKS[:2], points=2.0, repository="https://example.org/book.git")
    assert written == sorted(written, key=written.index) == [path for path in written if path.is_file()]
    made = {path.relative_to(tmp_path).as_posix(): path for path in written}
    for path in NOTEBOOKS[:2]:
        source = nbformat.read(path, as_version=4)
        kept = {"repository": "https://example.org/book.git"}
        for folder, text in {
            "student": nbformat.writes(student(source, **kept)),
            "worksheets": nbformat.writes(worksheet(source, **kept)),
            "instructor": nbformat.writes(instructor(source)),
        }.items():
            assert made.pop(f"{folder}/{path.name}").read_text(encoding="utf-8").strip() == text.strip()
    readme = made.pop("README.md").read_text(encoding="utf-8")
    assert not made
    assert "Each exercise is worth 2, and has 10 seconds" in readme


def test_without_exercises_there_is_nothing_to_grade(tmp_path):
    pytest.importorskip("otter")
    with pytest.raises(ValueError, match=r"exercises: got \[\], expected at least one"):
        autograder.write_autograder(tmp_path / "none.zip", [])


def test_the_plugin_leaves_the_verdicts_and_gives_otter_nothing_of_the_students(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    exercises = list(places(SECOND))
    settings = {"exercises": [vars(exercise) for exercise in exercises], "points": 1.0, "seconds": 30.0}
    judge = autograder.Judge("notebook.ipynb", {}, json.loads(json.dumps(settings)))
    submission = handed_in(SECOND, {exercises[1]: solution(SECOND, exercises[1])})
    assert [cell.source for cell in judge.before_execution(submission).cells] == ["'graded'"]
    verdicts = json.loads((tmp_path / autograder.VERDICTS).read_text(encoding="utf-8"))
    scores = grade_notebook(submission, exercises, seconds=30)
    assert verdicts == {score.exercise.key: [score.passed, score.message] for score in scores}
    assert [passed for passed, _ in verdicts.values()] == [False, True, False, False]


def test_otter_grades_skeleton_right_wrong_and_hostile_as_we_do(tmp_path):
    pytest.importorskip("otter")
    _, second, third, fourth = places(SECOND)
    archive, notebook = tmp_path / "02.zip", tmp_path / "ada.ipynb"
    autograder.write_autograder(archive, places(SECOND), points=2.0, seconds=20.0)
    with zipfile.ZipFile(archive) as opened:
        names = opened.namelist()
        assert {"otter_config.json", "setup.sh", "run_autograder", "lossbook/exercises/chapter_02.py"} <= set(names)
        assert len(names) == len(set(names))
        assert "torch" in opened.read("environment.yml").decode()
        assert sorted(name for name in names if name.startswith("tests/")) == [
            f"tests/exercise_{n}.py" for n in (1, 2, 3, 4)
        ]
    answers = {
        second: solution(SECOND, second),
        third: "def wrong_probability(z, y):\n    return z.softmax(0)[y]",
        fourth: "import os\n\ndef add(first, second):\n    os._exit(0)",
    }
    submission = handed_in(SECOND, answers, first="while True:\n    pass", last="import sys\nsys.exit()")
    nbformat.write(submission, notebook)
    command = ["-m", "otter", "run", "-a", str(archive), "-o", str(tmp_path), str(notebook)]
    subprocess.run([sys.executable, *command], check=True, capture_output=True, timeout=300)
    results = json.loads((tmp_path / "results.json").read_text(encoding="utf-8"))
    theirs = {test["name"]: test for test in results["tests"] if "score" in test}
    ours = grade_notebook(submission, places(SECOND), points=2.0, seconds=20.0)
    assert [score.points for score in ours] == [0, 2, 0, 0]
    assert [theirs[score.exercise.key]["score"] for score in ours] == [0, 2, 0, 0]
    for score in ours:
        assert theirs[score.exercise.key]["max_score"] == 2
        assert theirs[score.exercise.key]["visibility"] == "visible"
        assert score.message in theirs[score.exercise.key]["output"]
