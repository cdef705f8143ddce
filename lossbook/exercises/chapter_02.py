"""Checks for chapter 02, in the order of its sections."""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from lossbook.exercises.verdict import Attempt, Verdict, ask, called, close, judged, not_yet, right

DOUBLE = torch.float64


def _row(*numbers: float) -> Tensor:
    return torch.tensor(numbers, dtype=DOUBLE)


def _asked(function: Callable[..., Any], *inputs: Any) -> Tensor:
    """As `ask`, but infinities and NaN are answers too, to be judged."""
    kept: list[Any] = []

    def remember(*given: Any) -> Any:
        kept.append(function(*given))
        return 0.0 if _may_be_infinite(kept[-1]) else kept[-1]

    if not callable(function):
        return ask(function)
    plain = ask(remember, *inputs)
    return torch.as_tensor(kept[-1]).detach().double() if _may_be_infinite(kept[-1]) else plain


def _may_be_infinite(value: Any) -> bool:
    return isinstance(value, float) or (
        isinstance(value, Tensor) and value.is_floating_point() and value.layout == torch.strided
    )


@judged
def check_log_sum_exp(function: Callable[[Tensor], Any]) -> Verdict:
    """Exercise 02.1: `log_sum_exp(z)` of one row of logits, finite for any finite logits, −∞ for masked rows."""
    ordinary = _row(2.0, 1.0, 0.0)
    found, wanted = _asked(function, ordinary), torch.logsumexp(ordinary, 0)
    if found.shape != ():
        return not_yet(f"One number was asked for; yours has shape {tuple(found.shape)}.")
    if not close(found, wanted):
        return not_yet(_slip_of_log_sum_exp(found, wanted, ordinary))
    for row, words in ((_row(1000.0, 1001.0, 999.0), "overflows"), (_row(-1000.0, -1001.0), "has no nonzero term")):
        if not close(_asked(function, row), torch.logsumexp(row, 0)):
            return not_yet(
                f"Right for small logits, but at {row.tolist()} the sum of exponentials {words}. "
                "Take out the largest logit first: exp(z) = exp(max) · exp(z − max)."
            )
    if not close(_asked(function, _row(-math.inf, 0.0, 1.0)), torch.logsumexp(_row(0.0, 1.0), 0)):
        return not_yet("A masked class, a logit of −∞, should add exp(−∞) = 0 and nothing else.")
    if float(_asked(function, _row(-math.inf, -math.inf))) != -math.inf:
        return not_yet(
            "Right, but for a row with every class masked yours is not −∞: −∞ − (−∞) is no number. "
            "Shift by 0 there instead."
        )
    return right("It lies between the maximum and the maximum + log V, so it overflows no earlier than the logits.")


def _slip_of_log_sum_exp(found: Tensor, wanted: Tensor, row: Tensor) -> str:
    if not found.any():
        return "Yours is 0. Write the sum of the exponentials, and its logarithm."
    if close(found, wanted - row.max()):
        return "The maximum was taken out and never put back: L = max + log Σ exp(z − max)."
    if close(found, wanted - math.log(len(row))):
        return "That is the logarithm of the mean of the exponentials; it should be of their sum."
    if close(found, wanted / math.log(2)):
        return "Right in bits: nats are natural logarithms."
    if close(found, row.exp().sum()):
        return "That is the sum of the exponentials. Its logarithm is wanted."
    return f"At {row.tolist()} yours is {float(found):.4g}; it should lie between the maximum and the maximum + log 3."


@judged
def check_collapse_gap(function: Callable[[int], Any]) -> Verdict:
    """Exercise 02.2: the gap of two logits from which on p_y rounds to 1 in a format of so many binary digits."""
    for digits in (11, 24, 53):
        found = ask(function, digits).reshape(-1)
        wanted = digits * math.log(2)
        if found.numel() != 1:
            return not_yet("One number of nats was asked for.")
        if close(found[0], wanted):
            continue
        at = f"For {digits} digits yours is {float(found[0]):.4g}. "
        if not found.any():
            return not_yet(at + "At a gap of 0 the two classes are equal. How far apart are the numbers just above 1?")
        if close(found[0], -wanted):
            return not_yet(at + "The sign is turned round: the right class is ahead.")
        if close(found[0], wanted - math.log(2)):
            return not_yet(
                at + "There e^(−gap) is a whole step above 1, and 1 + a step is a number of the format. "
                "Rounding to the nearest loses what is at most half a step."
            )
        if close(found[0], wanted + math.log(2)):
            return not_yet(at + "There e^(−gap) is a quarter of a step: it was lost before that.")
        if close(found[0], float(digits)):
            return not_yet(at + "That counts in powers of two. Nats are powers of e.")
        if close(found[0], 2.0**-digits) or close(found[0], 2.0 ** (1 - digits)):
            return not_yet(at + "That is e^(−gap), not the gap.")
        return not_yet(at + "Numbers just above 1 are 2^(1 − digits) apart. When is e^(−gap) half of that?")
    return right("7.62 nats in float16, 16.64 in float32, 36.74 in float64: log 2 for every binary digit.")


@judged
def check_wrong_probability(function: Callable[[Tensor, int], Any]) -> Verdict:
    """Exercise 02.3: `wrong_probability(z, y)`, 1 − p_y of one row, with all its digits however sure the row is."""
    rows = ((_row(1.0, 0.0, -1.0), 0), (_row(0.0, 2.0), 0), (_row(40.0, 0.0, 0.0), 0), (_row(0.0, 300.0, 1.0), 1))
    for row, y in rows:
        log_p = torch.log_softmax(row, 0)
        wanted = torch.exp(torch.logsumexp(row[torch.arange(len(row)) != y], 0) - torch.logsumexp(row, 0))
        found = ask(function, row, y)
        if found.shape != ():
            return not_yet(f"One number was asked for; yours has shape {tuple(found.shape)}.")
        if bool((found - wanted).abs() <= 1e-9 * wanted):
            continue
        at = f"At {row.tolist()}, right class {y}, yours is {float(found):.4g} and the truth {float(wanted):.4g}. "
        if close(found, log_p[y].exp()) and not close(found, wanted, 1e-3):
            return not_yet(at + "That is p_y itself.")
        if close(found, -log_p[y]) and not close(found, wanted, 1e-3):
            return not_yet(at + "That is −log p_y, the loss.")
        if float(found) == 0 or bool((found - wanted).abs() < 1e-15):
            return not_yet(
                at + "All digits have cancelled in 1 − p. Add up the probabilities of the other classes instead, or "
                "take −expm1(log p_y) where log p_y has kept its own digits."
            )
        return not_yet(at + "Which classes make up 1 − p_y?")
    return right("Nothing is subtracted from 1, so nothing cancels; this is the pull on the right class.")


@judged
def check_add_pairs(function: Callable[[tuple[float, float], tuple[float, float]], Any]) -> Verdict:
    """Exercise 02.4: `add(first, second)` of two pairs (mantissa, exponent), which stand for mantissa · 2^exponent."""

    def asked(first: tuple[float, float], second: tuple[float, float]) -> Tensor:
        try:
            pair = called(function, first, second)
        except Attempt as attempt:
            if not isinstance(attempt.__cause__, OverflowError):
                raise
            raise Attempt(
                f"For {first} and {second} your function overflowed: 2.0**2000 is no float64. "
                "Only differences of exponents may become powers of two."
            ) from None
        if not isinstance(pair, tuple | list) or len(pair) != 2:
            raise Attempt("Return two numbers, mantissa and exponent: `return mantissa, exponent`.")
        return torch.stack([_asked(lambda value=value: float(value)) for value in pair])

    for first, second in (((1.5, 10.0), (1.0, 9.0)), ((1.0, 9.0), (1.5, 10.0)), ((1.25, -3.0), (0.75, 3.0))):
        found = asked(first, second)
        wanted = first[0] * 2.0 ** first[1] + second[0] * 2.0 ** second[1]
        value = float(found[0]) * 2.0 ** float(found[1]) if abs(float(found[1])) < 1000 else math.nan
        larger = max(first[1], second[1])
        at = f"{first} and {second} make {wanted:g}, but your pair {tuple(found.tolist())} stands for {value:g}. "
        if math.isclose(value, wanted, rel_tol=1e-12):
            if float(found[1]) != larger:
                return not_yet(
                    f"The value is right, but the exponent of {first} and {second} should be the larger, {larger:g}: "
                    "a power of two above 1 can overflow, one below cannot."
                )
            continue
        if close(found[0], first[0] + second[0]):
            return not_yet(at + "Mantissas can be added only when their exponents are equal: shift one first.")
        if close(found[1], first[1] + second[1]):
            return not_yet(at + "Exponents are added when numbers are multiplied.")
        return not_yet(at + "Keep the larger exponent n, and multiply each mantissa by 2^(its exponent − n).")
    if not close(asked((1.0, 2000.0), (1.0, 1999.0)), _row(1.5, 2000.0)):
        return not_yet("(1, 2000) and (1, 1999) should make (1.5, 2000): no power of two but 2^0 and 2^−1 is needed.")
    if not close(asked((0.0, -math.inf), (1.5, 3.0)), _row(1.5, 3.0)):
        return not_yet("Adding to nothing, (0, −∞), should leave a pair as it is.")
    return right("It is associative up to rounding, so a row may be cut anywhere and its parts added in any order.")
