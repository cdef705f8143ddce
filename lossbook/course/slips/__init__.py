"""What students write: for each check the usual slips and a right answer, with words of what each is told.

A module per module of checks, of the same name, with a list `ATTEMPTS` of (check, attempt, words that the verdict must
hold); the words of a right answer are "Right". The instructor's notebooks show them, and the tests hold the checks to
them.
"""

import ast
import importlib
import importlib.util
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

from lossbook.course.exercise import Exercise, check_of
from lossbook.exercises.verdict import Verdict

Attempt = tuple[Callable[[Any], Verdict], Any, str]


@dataclass(frozen=True)
class Slip:
    """A wrong answer that is often given, and what its check says."""

    code: str
    message: str


def attempts(checks: str) -> list[Attempt]:
    """The attempts at the exercises of a module of checks; none where nobody has written them down.

    Args:
        checks: the module's name, such as `lossbook.exercises.chapter_00`.

    Returns:
        Triples of a check, an attempt, and words that the verdict must hold.
    """
    name = _module(checks)
    return importlib.import_module(name).ATTEMPTS if importlib.util.find_spec(name) else []


def slips_of(exercise: Exercise) -> list[Slip]:
    """The usual slips of an exercise, each message once.

    Args:
        exercise: the exercise.

    Returns:
        The slips, in the order of the check's own questions.

    Example:
        >>> pull = Exercise("00", "1", "The pull of one reading", "pull", "lossbook.exercises.chapter_00", "check_pull")
        >>> slips_of(pull)[1].code
        'e'
    """
    check, found = check_of(exercise), attempts(exercise.module)
    slips: dict[str, Slip] = {}
    for code, (asked, attempt, words) in zip(_codes(exercise.module) if found else [], found, strict=True):
        if asked is check and words != "Right":
            message = check(attempt).message
            slips.setdefault(message, Slip(code, message))
    return list(slips.values())


def _module(checks: str) -> str:
    return f"{__name__}.{checks.rpartition('.')[2]}"


@cache
def _codes(checks: str) -> list[str]:
    """How each attempt is written."""
    tree = ast.parse(inspect.getsource(importlib.import_module(_module(checks))))
    listed = next(
        node.value for node in tree.body if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "ATTEMPTS"
    )
    assert isinstance(listed, ast.List)
    answers = [entry.elts[1] for entry in listed.elts if isinstance(entry, ast.Tuple)]
    return [ast.unparse(answer.body if isinstance(answer, ast.Lambda) else answer) for answer in answers]
