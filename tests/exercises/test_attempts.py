"""The exercises of the later chapters, by what `attempts_NN.py` hold: a helpful no for each usual slip, then a yes."""

import importlib
from pathlib import Path

import pytest

from lossbook.exercises.verdict import Verdict

NAMES = sorted(path.stem.removeprefix("attempts_") for path in Path(__file__).parent.glob("attempts_*.py"))
MODULES = {name: importlib.import_module(f"exercises.attempts_{name}") for name in NAMES}
ATTEMPTS = [attempt for module in MODULES.values() for attempt in module.ATTEMPTS]
CHECKS = list(dict.fromkeys(check for check, _, _ in ATTEMPTS))


def label(attempt):
    check, _, words = attempt
    return f"{check.__name__}: {words}"


@pytest.mark.parametrize("attempt", ATTEMPTS, ids=label)
def test_each_attempt_gets_the_message_meant_for_it(attempt):
    check, function, words = attempt
    verdict = check(function)
    assert words in repr(verdict)
    assert verdict.passed == (words == "Right")


@pytest.mark.parametrize("name", NAMES)
def test_every_check_has_an_attempt_that_passes_and_several_that_do_not(name):
    exercises, attempts = importlib.import_module(f"lossbook.exercises.chapter_{name}"), MODULES[name].ATTEMPTS
    checks = {name for name in dir(exercises) if name.startswith("check_")}
    assert {check.__name__ for check, _, words in attempts if words == "Right"} == checks
    assert all(sum(check.__name__ == name for check, _, _ in attempts) > 5 for name in checks)


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize(
    ("attempt", "words"),
    [
        (lambda *given: None, "returned nothing"),
        (lambda *given: 1 / 0, "stopped with ZeroDivisionError"),
        (lambda *given: float("nan"), "division by zero"),
        (lambda *given: "a word", "a number or a tensor"),
        (3.0, "expected a function"),
    ],
    ids=["nothing", "an error", "not a number", "a word", "not a function"],
)
def test_an_attempt_that_gives_nothing_to_judge_is_told_so(check, attempt, words):
    verdict = check(attempt)
    assert isinstance(verdict, Verdict)
    assert not verdict
    assert words in verdict.message
