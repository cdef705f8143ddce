"""The exercises of chapter 72, first half: a helpful no for each usual slip, and a yes."""

import pytest
import torch

from lossbook.exercises import chapter_72
from lossbook.exercises.chapter_72 import check_conflict, check_projection, check_windowed_forgetting
from lossbook.exercises.verdict import Verdict


def windowed(curve, window, *, reach=0, least=0.0, sign=1):
    """Windowed forgetting as a double loop, or a slip of it."""
    count = len(curve)
    pairs = [(i, j) for i in range(count) for j in range(i + 1, count) if j - i < window + reach]
    return sign * max([least, *(float(curve[i] - curve[j]) for i, j in pairs)])


def projected(gradient, reference, *, always=False, divisor=None, sign=1):
    """The A-GEM projection, or a slip of it."""
    product = gradient @ reference
    if product >= 0 and not always:
        return gradient
    return gradient - sign * product / (reference @ reference if divisor is None else divisor(reference)) * reference


# (check, attempt, words that the verdict must hold); right answers begin with "Right"
ATTEMPTS = [
    (check_windowed_forgetting, lambda curve, window: windowed(curve, window, sign=-1), "turned round"),
    (check_windowed_forgetting, lambda curve, window: windowed(curve, window, least=-9.0), "0 is the least"),
    (check_windowed_forgetting, lambda curve, window: windowed(-curve, window), "largest rise"),
    (check_windowed_forgetting, lambda curve, window: curve.max() - curve.min(), "highest minus lowest"),
    (check_windowed_forgetting, lambda curve, window: max(0, curve[0] - curve[-1]), "first minus last"),
    (check_windowed_forgetting, lambda curve, window: windowed(curve, window, reach=1), "at most 1 apart"),
    (check_windowed_forgetting, lambda curve, window: windowed(curve, 10), "mind the window"),
    (check_windowed_forgetting, lambda curve, window: 0.42, "the maximum of"),
    (check_windowed_forgetting, lambda curve, window: curve, "One number"),
    (check_windowed_forgetting, windowed, "Right"),
    (check_projection, lambda g, r: projected(g, r, always=True), "should stay as it is"),
    (check_projection, lambda g, r: g, "Yours left it"),
    (check_projection, lambda g, r: projected(g, r, sign=-1), "doubled the conflict"),
    (check_projection, lambda g, r: projected(g, r, divisor=torch.norm), "not by its root"),
    (check_projection, lambda g, r: projected(g, r, divisor=lambda r: 1), "divide by ⟨r, r⟩"),
    (check_projection, lambda g, r: g - 0.1 * r * (g @ r < 0), "should be 0 or more"),
    (check_projection, lambda g, r: 0 * g, "not the nearest"),
    (check_projection, lambda g, r: g[0], "A gradient of shape"),
    (check_projection, projected, "Right"),
    (check_conflict, lambda w: -(1 - w) / w, "Mind the sign"),
    (check_conflict, lambda w: w / (1 - w) if w < 0.5 else (1 - w) / w, "Turned over"),
    (check_conflict, lambda w: 1 - w, "Divide by the weight"),
    (check_conflict, lambda w: 0.0, "for the new gradient alone"),
    (check_conflict, lambda w: 1.0, "right for w = 1/2"),
    (check_conflict, lambda w: 7.0, "ask when it is below 0"),
    (check_conflict, lambda w: [1.0, 2.0], "One number"),
    (check_conflict, lambda w: (1 - w) / w, "Right"),
]


def label(attempt):
    check, _, words = attempt
    return f"{check.__name__}: {words}"


@pytest.mark.parametrize("attempt", ATTEMPTS, ids=label)
def test_each_attempt_gets_the_message_meant_for_it(attempt):
    check, function, words = attempt
    verdict = check(function)
    assert words in repr(verdict)
    assert verdict.passed == (words == "Right")


def test_every_check_has_an_attempt_that_passes_and_several_that_do_not():
    checks = {name for name in dir(chapter_72) if name.startswith("check_")}
    assert {check.__name__ for check, _, words in ATTEMPTS if words == "Right"} == checks
    assert all(sum(check.__name__ == name for check, _, _ in ATTEMPTS) > 5 for name in checks)


@pytest.mark.parametrize("check", [check_windowed_forgetting, check_projection, check_conflict])
@pytest.mark.parametrize(
    ("attempt", "words"),
    [
        (lambda *given: None, "returned nothing"),
        (lambda *given: 1 / 0, "stopped with ZeroDivisionError"),
        (lambda *given: float("nan"), "division by zero"),
        (3.0, "expected a function"),
    ],
    ids=["nothing", "an error", "not a number", "not a function"],
)
def test_an_attempt_that_gives_nothing_to_judge_is_told_so(check, attempt, words):
    verdict = check(attempt)
    assert isinstance(verdict, Verdict)
    assert not verdict
    assert words in verdict.message
