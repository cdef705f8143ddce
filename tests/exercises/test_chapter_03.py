"""The exercises of chapter 03, first half: each slip gets the message meant for it, the answer a yes."""

import pytest
import torch

from lossbook.exercises import chapter_03 as exercises
from lossbook.exercises.verdict import Verdict


def pull(logits, target, strength, *, factor=2.0, spike=1.0, on_all=False, outside=False, sign=1.0):
    """The gradient of −log p_y + λ L², or a slip of it."""
    level, p = torch.logsumexp(logits, 1, keepdim=True), torch.softmax(logits, 1)
    y = torch.nn.functional.one_hot(target, logits.shape[1]).double()
    if outside:
        return (1 + factor * strength * level) * (p - y)
    if on_all:
        return p - y + factor * strength * level
    return sign * ((1 + factor * strength * level) * p - spike * y)


def merge(first, second, *, rescale=True, maximum=torch.maximum, join=torch.add):
    """Two blocks as one, or a slip of it."""
    m = maximum(first[0], second[0])
    parts = [s * (at - m).exp() if rescale else s for at, s in (first, second)]
    return m, join(*parts)


ATTEMPTS = [
    (exercises.check_two_effects, lambda z, y, c: 0 * z, "Your gradient is 0"),
    (exercises.check_two_effects, lambda *given: pull(*given, factor=0.0), "cross-entropy's alone"),
    (exercises.check_two_effects, lambda *given: pull(*given, sign=-1.0), "turned round"),
    (exercises.check_two_effects, lambda *given: pull(*given, spike=0.0), "right class is missing"),
    (exercises.check_two_effects, lambda *given: pull(*given, factor=1.0), "The square has a 2"),
    (exercises.check_two_effects, lambda *given: pull(*given, on_all=True), "meets each class as 2 λ L p_j"),
    (exercises.check_two_effects, lambda *given: pull(*given, outside=True), "does not see z_y"),
    (exercises.check_two_effects, lambda z, y, c: z.sum(), "One number for each logit"),
    (exercises.check_two_effects, lambda z, y, c: z, "Collect what stands in front of p_j"),
    (exercises.check_two_effects, pull, "Right"),
    (exercises.check_combine, lambda a, b: (a[0], merge(a, b)[1]), "maximum of the whole"),
    (exercises.check_combine, lambda *given: merge(*given, rescale=False), "measured from different maxima"),
    (exercises.check_combine, lambda *given: merge(*given, maximum=torch.minimum), "the larger of the two"),
    (exercises.check_combine, lambda a, b: (torch.maximum(a[0], b[0]), torch.maximum(a[1], b[1])), "Sums add"),
    (exercises.check_combine, lambda a, b: (torch.maximum(a[0], b[0]), a[1] * b[1] + 7), "your sum is"),
    (exercises.check_combine, lambda a, b: torch.logaddexp(a[0], b[0]), "Return two tensors"),
    (exercises.check_combine, merge, "Right"),
    (exercises.check_square_sum, lambda g, x: x @ g @ x.T, "Only the diagonal"),
    (exercises.check_square_sum, lambda g, x: x @ g, "multiply x once more"),
    (exercises.check_square_sum, lambda g, x: (x @ g).sum(1), "entry by entry"),
    (exercises.check_square_sum, lambda g, x: (x @ g).square().sum(1), "That is |WᵀW x|²"),
    (exercises.check_square_sum, lambda g, x: ((x @ g) * x).sum(1).sqrt(), "the length |W x|"),
    (exercises.check_square_sum, lambda g, x: ((x @ g) * x).sum(), "All rows are summed"),
    (exercises.check_square_sum, lambda g, x: (x @ g).diagonal(), "The diagonal of x"),
    (exercises.check_square_sum, lambda g, x: torch.zeros(5), "One number a row"),
    (exercises.check_square_sum, lambda g, x: torch.zeros(3), "All 0"),
    (exercises.check_square_sum, lambda g, x: x.sum(1), "for each row x"),
    (exercises.check_square_sum, lambda g, x: ((x @ g) * x).sum(1), "Right"),
]


@pytest.mark.parametrize("attempt", ATTEMPTS, ids=lambda attempt: f"{attempt[0].__name__}: {attempt[2]}")
def test_each_attempt_gets_the_message_meant_for_it(attempt):
    check, function, words = attempt
    verdict = check(function)
    assert words in repr(verdict)
    assert verdict.passed == (words == "Right")


@pytest.mark.parametrize("check", sorted({check for check, _, _ in ATTEMPTS}, key=lambda check: check.__name__))
@pytest.mark.parametrize(
    "attempt", [lambda *given: None, lambda *given: 1 / 0, lambda *given: float("nan"), lambda *given: "a word", 3.0]
)
def test_an_attempt_that_gives_nothing_to_judge_is_told_so(check, attempt):
    verdict = check(attempt)
    assert isinstance(verdict, Verdict)
    assert not verdict
    told = ("returned nothing", "stopped with ZeroDivisionError", "division by zero", "a number or a tensor")
    assert any(part in verdict.message for part in (*told, "expected a function", "Return two tensors"))
