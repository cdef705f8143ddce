"""What one notebook is worth: each exercise judged by the package's own check."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from nbformat import NotebookNode

from lossbook.checks import check_number
from lossbook.course.exercise import Exercise, check_of
from lossbook.course.names import Statement, needed, python, statements
from lossbook.course.sandbox import Stopped, answering
from lossbook.exercises.verdict import Verdict, not_yet

LONGEST = 600
"""Characters of a message. A function may return a million numbers, and a message quote them."""


@dataclass(frozen=True)
class Score:
    """What a student's answer to an exercise is worth, and what the check says to it."""

    exercise: Exercise
    passed: bool
    points: float
    possible: float
    message: str


def grade_notebook(
    notebook: NotebookNode, exercises: Iterable[Exercise], *, points: float = 1.0, seconds: float = 10.0
) -> list[Score]:
    """Grade a student's notebook: a chapter or a worksheet, changed in whatever way.

    The notebook is not run. For each exercise the statements that its function needs are found by their names, and run
    in a process of their own; the check runs here. What else the notebook does costs no time and no points.

    Args:
        notebook: what was handed in.
        exercises: those to grade.
        points: what each is worth.
        seconds: the time for one exercise.

    Returns:
        A score for each exercise, in order.

    Raises:
        ValueError, TypeError: if points or seconds are no positive numbers.
    """
    points = check_number("points", points, above=0)
    seconds = check_number("seconds", seconds, above=0)
    cells = _code(notebook)
    found = statements(cells)
    scores = []
    for exercise in exercises:
        verdict = _judge(exercise, found, cells, seconds)
        message = " ".join(verdict.message.split())
        message = message if len(message) <= LONGEST else message[: LONGEST - 1] + "…"
        scores.append(Score(exercise, verdict.passed, points if verdict.passed else 0.0, points, message))
    return scores


def names_bound(notebook: NotebookNode) -> set[str]:
    """All names that the code of a notebook binds."""
    return set().union(*(found.binds for found in statements(_code(notebook))))


def _code(notebook: NotebookNode) -> list[str]:
    return [cell.source for cell in notebook.cells if cell.cell_type == "code"]


def _judge(exercise: Exercise, found: Sequence[Statement], cells: Sequence[str], seconds: float) -> Verdict:
    call = (exercise.check, exercise.function)
    checked = [place for place, statement in enumerate(found) if call in statement.calls]
    # What the name stands for where it is checked last: a chapter may use the name for something else further down.
    kept = needed(found, exercise.function, checked[-1] if checked else None) or needed(found, exercise.function)
    if not kept:
        return not_yet(_missing(exercise, cells))
    try:
        with answering([statement.source for statement in kept], exercise.function, seconds=seconds) as answer:
            return _verdict(exercise, answer)
    except Stopped as stopped:
        return not_yet(f"The notebook stopped before `{exercise.function}` was there, with {stopped}.")


def _verdict(exercise: Exercise, answer: Any) -> Verdict:
    try:
        return check_of(exercise)(answer)
    except Exception as error:  # a check that an answer has surprised; the batch goes on
        return not_yet(f"Your function returned what its check cannot judge ({type(error).__name__}: {error}).")


def _missing(exercise: Exercise, cells: Iterable[str]) -> str:
    for cell in cells:
        if exercise.function in cell:
            try:
                compile(python(cell), "cell", "exec")
            except (SyntaxError, ValueError) as error:
                return f"The cell with `{exercise.function}` is not Python: {error}."
    return f"There is no function `{exercise.function}` in the notebook."
