"""Every exercise: the usual slips get the messages meant for them, the answer a yes, and nonsense no exception."""

import importlib
import pkgutil

import numpy as np
import pytest
import torch

import lossbook.exercises
from lossbook.course.slips import attempts
from lossbook.exercises.verdict import Verdict

MODULES = [f"lossbook.exercises.{m.name}" for m in pkgutil.iter_modules(lossbook.exercises.__path__, "")]
MODULES = [importlib.import_module(name) for name in sorted(MODULES) if ".chapter_" in name]
CHECKS = [getattr(module, name) for module in MODULES for name in dir(module) if name.startswith("check_")]
ATTEMPTS = [attempt for module in MODULES for attempt in attempts(module.__name__)]


def name(check):
    return check.__name__


@pytest.mark.parametrize("attempt", ATTEMPTS, ids=lambda attempt: f"{attempt[0].__name__}: {attempt[2]}")
def test_each_attempt_gets_the_message_meant_for_it(attempt):
    check, function, words = attempt
    verdict = check(function)
    assert words in repr(verdict)
    assert verdict.passed == (words == "Right")


@pytest.mark.parametrize("check", CHECKS, ids=name)
def test_every_check_has_an_attempt_that_passes_and_several_that_do_not(check):
    words = [words for asked, _, words in ATTEMPTS if asked.__name__ == check.__name__]
    assert words.count("Right") == 1
    # A question with the answer yes or no has two slips; every other at least five.
    assert len(words) - 1 >= (2 if check.__name__ == "check_abstains" else 5)


@pytest.mark.parametrize("check", CHECKS, ids=name)
@pytest.mark.parametrize(
    ("attempt", "words"),
    [
        (lambda *given: None, "returned nothing"),
        (lambda *given: 1 / 0, "stopped with ZeroDivisionError: division by zero."),
        (lambda *given: float("nan"), "division by zero"),
        (lambda *given: "a word", "a number or a tensor"),
        (3.0, "expected a function and got float"),
    ],
    ids=["nothing", "an error", "not a number", "a word", "not a function"],
)
def test_an_attempt_that_gives_nothing_to_judge_is_told_so(check, attempt, words):
    verdict = check(attempt)
    assert isinstance(verdict, Verdict)
    assert not verdict
    # Where two things are asked for, a single one is told that first; and one check judges what is not finite itself.
    pair = check.__name__ in ("check_linear_form", "check_combine", "check_add_pairs")
    nan = check.__name__ == "check_log_sum_exp" and "yours is nan" in verdict.message
    assert words in verdict.message or (pair and verdict.message.startswith("Return two")) or nan


def test_an_error_without_words_is_named_alone():
    def unfinished(*given):
        raise NotImplementedError

    assert CHECKS[0](unfinished).message == "Your function stopped with NotImplementedError."


ODD = [
    *(True, 10**400, 1j, ..., [], {"a": 1}, object(), [[1, 2], [3]], (1,), (None, None), lambda: 1),
    *(
        np.ones(3),
        np.float32(2),
        (torch.ones(3), torch.ones(3)),
        (torch.ones(2, 2), torch.ones(2)),
        (torch.ones(0),) * 2,
    ),
    *(torch.ones(shape) for shape in ((0,), (1,), (3,), (5,), (7,), (1, 1), (3, 3), (2, 3, 4))),
    *(torch.ones(4, dtype=torch.bool), torch.ones(3, dtype=torch.complex64), torch.ones(2, 2).to_sparse()),
]


@pytest.mark.parametrize("check", CHECKS, ids=name)
def test_whatever_a_function_returns_its_check_answers(check):
    assert [type(check(lambda *given, odd=odd: odd)) for odd in ODD] == [Verdict] * len(ODD)
    assert isinstance(check(lambda *given: given[0]), Verdict)
