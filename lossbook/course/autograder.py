"""The zip that Otter-Grader and the platforms that run it take, and what it runs.

Otter would run a student's notebook in the kernel that then writes the scores, without a limit of time. So its plugin
grades first, as `lossbook grade` does, and hands Otter a notebook of ours in place of the student's.
"""

import importlib.metadata
import json
import tempfile
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import nbformat
from nbformat import NotebookNode

import lossbook
from lossbook.checks import bad_value
from lossbook.course.exercise import Exercise
from lossbook.course.grade import grade_notebook

VERDICTS = "verdicts.json"
TEST = '''\
"""Exercise {exercise.key}: {exercise.title}."""

import json

from otter.test_files import test_case

OK_FORMAT = False
name = {exercise.key!r}
points = {points!r}

with open({verdicts!r}, encoding="utf-8") as file:
    passed, message = json.load(file)[{exercise.key!r}]


@test_case(name={exercise.title!r}, points={points!r}, success_message=message, failure_message=message)
def judged():
    assert passed
'''


class Judge:
    """The plugin that Otter calls. Its settings are the exercises, their points and the seconds for each."""

    def __init__(self, submission_path: str, submission_metadata: Any, plugin_config: dict[str, Any]) -> None:
        self.exercises = [Exercise(**fields) for fields in plugin_config["exercises"]]
        self.points, self.seconds = plugin_config["points"], plugin_config["seconds"]

    def before_execution(self, submission: NotebookNode) -> NotebookNode:
        """Grade what was handed in, leave the verdicts for the tests, and give Otter nothing else to run."""
        scores = grade_notebook(submission, self.exercises, points=self.points, seconds=self.seconds)
        verdicts = {score.exercise.key: (score.passed, score.message) for score in scores}
        Path(VERDICTS).write_text(json.dumps(verdicts), encoding="utf-8")
        return nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("'graded'")])


def write_autograder(path: Path, exercises: Iterable[Exercise], *, points: float = 1.0, seconds: float = 10.0) -> None:
    """Write the zip. It holds the package, so that what runs it need only install what the package needs.

    Args:
        path: the file to write.
        exercises: those of one chapter.
        points: what each is worth.
        seconds: the time for each.

    Raises:
        ModuleNotFoundError: if Otter-Grader is not installed.
        ValueError: if there are no exercises.
    """
    from otter.generate import main as generate

    exercises = list(exercises)
    if not exercises:
        raise bad_value("exercises", exercises, "at least one")
    with tempfile.TemporaryDirectory() as folder:
        tests = Path(folder, "tests")
        tests.mkdir()
        for exercise in exercises:
            text = TEST.format(exercise=exercise, points=points, verdicts=VERDICTS)
            tests.joinpath(f"exercise_{exercise.number}.py").write_text(text, encoding="utf-8")
        settings = {"exercises": [asdict(exercise) for exercise in exercises], "points": points, "seconds": seconds}
        plugin = {f"{Judge.__module__}.{Judge.__qualname__}": settings}
        config, needs = Path(folder, "otter_config.json"), Path(folder, "requirements.txt")
        config.write_text(json.dumps({"plugins": [plugin], "show_all_public": True, "logo": False}))
        needs.write_text("\n".join(_requirements()))
        files = {"config": str(config), "requirements": str(needs), "no_environment": True}
        generate(tests_dir=str(tests), output_path=str(path), **files)
    with zipfile.ZipFile(path, "a", compression=zipfile.ZIP_DEFLATED) as archive:
        for name, content in _package():
            archive.writestr(name, content)


def _requirements() -> list[str]:
    return [line for line in importlib.metadata.requires("lossbook") or () if "extra ==" not in line]


def _package() -> Iterator[tuple[str, bytes]]:
    """The files of the package, for the folder in which the platform starts Otter."""
    home = Path(lossbook.__file__).parent
    for file in sorted(home.rglob("*")):
        if file.is_file() and "__pycache__" not in file.parts:
            yield file.relative_to(home.parent).as_posix(), file.read_bytes()
