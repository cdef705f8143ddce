"""The exercises of chapter 02: each usual slip gets the message meant for it."""

import math

import pytest
import torch

from lossbook.exercises import chapter_02
from lossbook.exercises.verdict import Verdict


def shifted(z, *, back=True, count=False, base=1.0):
    top = z.max()
    value = torch.log((z - top).exp().mean() if count else (z - top).exp().sum())
    return (value + (top if back else 0)) / base


def other_classes(z, y):
    others = z[torch.arange(len(z)) != y]
    return torch.exp(torch.logsumexp(others, 0) - torch.logsumexp(z, 0))


def added(first, second, *, keep=max, shift=True):
    n = keep(first[1], second[1])
    if not shift:
        return first[0] + second[0], n
    return first[0] * 2.0 ** (first[1] - n) + second[0] * 2.0 ** (second[1] - n), n


# (check, attempt, words that the verdict must hold); right answers begin with "Right"
ATTEMPTS = [
    (chapter_02.check_log_sum_exp, lambda z: 0.0, "Yours is 0"),
    (chapter_02.check_log_sum_exp, lambda z: z.exp().sum().log(), "overflows"),
    (chapter_02.check_log_sum_exp, lambda z: z.exp().sum().clamp(max=1e300).log(), "overflows"),
    (chapter_02.check_log_sum_exp, lambda z: shifted(z, back=False), "never put back"),
    (chapter_02.check_log_sum_exp, lambda z: shifted(z, count=True), "the mean of the exponentials"),
    (chapter_02.check_log_sum_exp, lambda z: shifted(z, base=math.log(2)), "in bits"),
    (chapter_02.check_log_sum_exp, lambda z: z.exp().sum(), "Its logarithm is wanted"),
    (chapter_02.check_log_sum_exp, lambda z: z, "One number"),
    (chapter_02.check_log_sum_exp, lambda z: z.max(), "between the maximum"),
    (chapter_02.check_log_sum_exp, lambda z: shifted(z.clamp(min=-1e5)), "every class masked"),
    (chapter_02.check_log_sum_exp, shifted, "every class masked"),
    (chapter_02.check_log_sum_exp, lambda z: torch.logsumexp(z, 0), "Right"),
    (chapter_02.check_collapse_gap, lambda digits: 0.0, "How far apart"),
    (chapter_02.check_collapse_gap, lambda digits: -digits * math.log(2), "turned round"),
    (chapter_02.check_collapse_gap, lambda digits: (digits - 1) * math.log(2), "at most half a step"),
    (chapter_02.check_collapse_gap, lambda digits: (digits + 1) * math.log(2), "a quarter of a step"),
    (chapter_02.check_collapse_gap, lambda digits: digits, "powers of e"),
    (chapter_02.check_collapse_gap, lambda digits: 2.0**-digits, "not the gap"),
    (chapter_02.check_collapse_gap, lambda digits: [1.0, 2.0], "One number"),
    (chapter_02.check_collapse_gap, lambda digits: 99.0, "half of that"),
    (chapter_02.check_collapse_gap, lambda digits: digits * math.log(2), "Right"),
    (chapter_02.check_wrong_probability, lambda z, y: 1 - torch.softmax(z, 0)[y], "cancelled"),
    (chapter_02.check_wrong_probability, lambda z, y: torch.softmax(z, 0)[y], "p_y itself"),
    (chapter_02.check_wrong_probability, lambda z, y: -torch.log_softmax(z, 0)[y], "the loss"),
    (chapter_02.check_wrong_probability, lambda z, y: torch.softmax(z, 0), "One number"),
    (chapter_02.check_wrong_probability, lambda z, y: 7.0, "Which classes"),
    (chapter_02.check_wrong_probability, other_classes, "Right"),
    (chapter_02.check_add_pairs, lambda a, b: added(a, b, shift=False), "only when their exponents are equal"),
    (chapter_02.check_add_pairs, lambda a, b: (a[0] * b[0], a[1] + b[1]), "numbers are multiplied"),
    (chapter_02.check_add_pairs, lambda a, b: added(a, b, keep=min), "should be the larger"),
    (chapter_02.check_add_pairs, lambda a, b: (a[0] * 2.0 ** a[1] + b[0] * 2.0 ** b[1], 0.0), "should be the larger"),
    (chapter_02.check_add_pairs, lambda a, b: a, "Keep the larger exponent"),
    (chapter_02.check_add_pairs, lambda a, b: 3.0, "Return two numbers"),
    (chapter_02.check_add_pairs, added, "Right"),
]


@pytest.mark.parametrize("attempt", ATTEMPTS, ids=lambda attempt: f"{attempt[0].__name__}: {attempt[2]}")
def test_each_attempt_gets_the_message_meant_for_it(attempt):
    check, function, words = attempt
    verdict = check(function)
    assert words in repr(verdict)
    assert verdict.passed == (words == "Right")


def test_exponents_too_large_for_a_power_of_two_are_asked_for():
    def through_floats(first, second):
        n = max(first[1], second[1])
        return (first[0] * 2.0 ** first[1] + second[0] * 2.0 ** second[1]) / 2.0**n, n

    assert "overflowed" in chapter_02.check_add_pairs(through_floats).message


def test_nothing_is_asked_for():
    def without_nothing(first, second):
        if math.inf in (abs(first[1]), abs(second[1])):
            return 0.0, 0.0
        return added(first, second)

    assert "Adding to nothing" in chapter_02.check_add_pairs(without_nothing).message


@pytest.mark.parametrize("name", ["log_sum_exp", "collapse_gap", "wrong_probability", "add_pairs"])
@pytest.mark.parametrize(
    ("attempt", "words"),
    [
        (lambda *given: None, ("returned nothing", "Return two numbers")),
        (lambda *given: 1 / 0, ("stopped with ZeroDivisionError",)),
        (lambda *given: "a word", ("a number or a tensor", "Return two numbers")),
        (3.0, ("expected a function",)),
    ],
    ids=["nothing", "an error", "a word", "not a function"],
)
def test_an_attempt_that_gives_nothing_to_judge_is_told_so(name, attempt, words):
    verdict = getattr(chapter_02, f"check_{name}")(attempt)
    assert isinstance(verdict, Verdict)
    assert not verdict
    assert any(part in verdict.message for part in words)
