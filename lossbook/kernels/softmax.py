"""Softmax four ways, element by element: to be read, to be stepped through, to be held against.

All four give the same probabilities and differ in how often they walk over the row. `softmax_compiled` has them for one
core of a CPU, `softmax_triton` for a GPU; here they are slow, and every step can be looked at.

The two-pass algorithm is Dukhan & Ablavatski 2020, arXiv 2001.04438; the online one Milakov & Gimelshein 2018, arXiv
1805.02867.
"""

import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np

from lossbook.checks import bad_type, bad_value, check_choice

LOG2_E = float.fromhex("0x1.715476p+0")
LN2 = math.log(2)
# ln 2 in two parts, so that x − n ln 2 keeps its digits. The first pair is the paper's, and needs a fused multiply-add:
# its high part has 21 significant bits, and n times that does not fit a float32. The second pair's high part has 9.
LN2_FUSED = (float.fromhex("0x1.62E43p-1"), -float.fromhex("0x1.05C61p-29"))
LN2_PLAIN = (0.693359375, -2.12194440e-4)
# exp(t) for |t| <= ln 2 / 2, within 9.2e-8 of the truth relative to it; from the constant term up.
EXP_COEFFICIENTS = tuple(
    map(float.fromhex, ("0x1p0", "0x1.FFFFF6p-1", "0x1.FFFDC6p-2", "0x1.555A80p-3", "0x1.573A1Ap-5", "0x1.0F9F9Cp-7"))
)

Pair = tuple[Any, Any]  # mantissa and exponent: mantissa · 2^exponent
NOTHING: Pair = (np.float32(0), -np.inf)  # what adding begins with


class Memory(NamedTuple):
    """How often an algorithm touches each element of a row that fits into no cache."""

    reads: int
    writes: int


ALGORITHMS = {
    "naive": Memory(2, 1),
    "recompute": Memory(3, 1),
    "reload": Memory(3, 2),
    "online": Memory(2, 1),
    "two-pass": Memory(2, 1),
}
"""By name. "recompute" and "reload" are the three-pass ones: the second exponential is computed again, or was kept."""


class Step(NamedTuple):
    """One visit to one element."""

    walk: str  # which walk over the row, in words
    element: int
    numbers: Mapping[str, float]  # what is remembered after it
    output: tuple[float, ...]  # as far as it is written; NaN where it is not
    reads: int  # of elements, so far
    writes: int


def extended_exp(x: Any) -> Pair:
    """exp(x) as mantissa · 2^exponent: the mantissa, in float32, lies between 0.707 and 1.415, and nothing overflows.

    exponent = the whole number nearest to x log₂e, and mantissa = exp(x − exponent · ln 2), a polynomial.

    Args:
        x: number or array. −∞ gives (0, −∞).

    Example:
        >>> mantissa, exponent = extended_exp(np.float32(1000))    # exp(1000) is no float32
        >>> round(float(mantissa), 6), float(exponent)
        (0.809465, 1443.0)

    Reference: Dukhan & Ablavatski 2020, arXiv 2001.04438. The reduction is made in float64 here, where nothing is lost.
    """
    x = np.asarray(x, dtype=np.float64)
    infinite = np.isinf(x)
    safe = np.where(infinite, 0, x)
    exponent = np.rint(safe / LN2)
    t = np.clip(safe - exponent * LN2, -LN2 / 2, LN2 / 2).astype(np.float32)  # beyond 1e9 no digit of t is left
    mantissa = np.full_like(t, EXP_COEFFICIENTS[-1])
    for coefficient in EXP_COEFFICIENTS[-2::-1]:
        mantissa = mantissa * t + np.float32(coefficient)
    return np.where(x == -np.inf, np.float32(0), mantissa)[()], np.where(infinite, x, exponent)[()]


def power_of_two(exponent: Any) -> Any:
    """2^exponent as float32, and 0 from −127 down, as the compiled algorithms have it."""
    exponent = np.asarray(exponent)
    return np.where(exponent <= -127, 0, np.exp2(np.maximum(exponent, -126))).astype(np.float32)[()]


def add_pairs(first: Pair, second: Pair) -> Pair:
    """The sum of two mantissa-exponent pairs: the larger exponent is kept, the other mantissa shifted to it.

    Example:
        >>> mantissa, exponent = add_pairs((1.5, 10.0), (1.0, 9.0))    # 1536 + 512
        >>> float(mantissa), float(exponent)
        (2.0, 10.0)
    """
    (m1, n1), (m2, n2) = first, second
    exponent = np.maximum(n1, n2)
    if exponent == -np.inf:
        return first
    return m1 * power_of_two(n1 - exponent) + m2 * power_of_two(n2 - exponent), exponent


def softmax_steps(row: Any, algorithm: str) -> list[Step]:
    """Every step of one algorithm over one row, in float32.

    Args:
        row: (classes,) numbers; −∞ for a class that is masked.
        algorithm: one of `ALGORITHMS`. "naive" takes exp(x) as it comes, and overflows from x = 88.73 on.

    Returns:
        A step for each visit to an element; the last holds the whole output.

    Raises:
        ValueError: no such algorithm, an empty row, or more than one row.

    Example:
        >>> last = softmax_steps([1000, 1001, 999], "two-pass")[-1]
        >>> [round(p, 6) for p in last.output]
        [0.244728, 0.665241, 0.090031]
        >>> last.reads, last.writes
        (6, 3)
    """
    check_choice("algorithm", algorithm, ALGORITHMS)
    try:
        x = np.asarray(row, dtype=np.float32)
    except (TypeError, ValueError):
        raise bad_type("row", row, "numbers") from None
    if x.ndim != 1 or not len(x):
        raise bad_value("row", row, "one row of at least one number")
    output = np.full_like(x, np.nan)
    found, reads, writes = [], 0, 0
    with np.errstate(over="ignore", invalid="ignore", divide="ignore", under="ignore"):
        for walk, index, numbers, read, wrote in _WALKS[algorithm](x, output):
            reads, writes = reads + read, writes + wrote
            remembered = {name: float(number) for name, number in numbers.items()}
            found.append(Step(walk, index, remembered, tuple(output.tolist()), reads, writes))
    return found


def softmax(row: Any, algorithm: str = "two-pass") -> np.ndarray:
    """Softmax of one row by one of the algorithms, float32; what the last of `softmax_steps` has written.

    Example:
        >>> softmax([0.0, 0.0], "online").tolist()
        [0.5, 0.5]
    """
    return np.array(softmax_steps(row, algorithm)[-1].output, dtype=np.float32)


def logsumexp(row: Any) -> float:
    """L = log Σ exp(x) from what the two-pass algorithm has after its first walk: log mantissa + exponent · ln 2.

    Example:
        >>> round(logsumexp([1000, 1001, 999]), 6)
        1001.407606
    """
    mantissa, exponent = softmax_steps(row, "two-pass")[-1].numbers.values()
    if math.isinf(exponent):  # an infinite element, or none that counts
        return exponent
    return math.log(mantissa) + exponent * LN2


Visits = Iterator[tuple[str, int, dict[str, Any], int, int]]  # walk, index, numbers, elements read, elements written


def _naive(x: np.ndarray, output: np.ndarray) -> Visits:
    total = np.float32(0)
    for i, value in enumerate(x):
        total = total + np.exp(value)
        yield "add exp(x)", i, {"sum": total}, 1, 0
    for i, value in enumerate(x):
        output[i] = np.exp(value) / total
        yield "write exp(x) / sum", i, {"sum": total}, 1, 1


def _maximum(x: np.ndarray) -> Visits:
    maximum = np.float32(-np.inf)
    for i, value in enumerate(x):
        maximum = np.maximum(maximum, value)
        yield "find the maximum", i, {"maximum": maximum}, 1, 0


def _recompute(x: np.ndarray, output: np.ndarray) -> Visits:
    yield from _maximum(x)
    maximum, total = x.max(), np.float32(0)
    for i, value in enumerate(x):
        total = total + np.exp(value - maximum)
        yield "add exp(x − maximum)", i, {"maximum": maximum, "sum": total}, 1, 0
    for i, value in enumerate(x):
        output[i] = np.exp(value - maximum) / total
        yield "write exp(x − maximum) / sum", i, {"maximum": maximum, "sum": total}, 1, 1


def _reload(x: np.ndarray, output: np.ndarray) -> Visits:
    yield from _maximum(x)
    maximum, total = x.max(), np.float32(0)
    for i, value in enumerate(x):
        output[i] = np.exp(value - maximum)
        total = total + output[i]
        yield "keep exp(x − maximum) and add it", i, {"maximum": maximum, "sum": total}, 1, 1
    for i in range(len(x)):
        output[i] = output[i] / total
        yield "divide what was kept by the sum", i, {"maximum": maximum, "sum": total}, 1, 1


def _online(x: np.ndarray, output: np.ndarray) -> Visits:
    maximum, total = np.float32(-np.inf), np.float32(0)
    for i, value in enumerate(x):
        larger = np.maximum(maximum, value)
        if larger > -np.inf:  # else nothing has come but masked classes
            total = total * np.exp(maximum - larger) + np.exp(value - larger)
        maximum = larger
        yield "add exp(x − maximum so far)", i, {"maximum": maximum, "sum": total}, 1, 0
    for i, value in enumerate(x):
        output[i] = np.exp(value - maximum) / total
        yield "write exp(x − maximum) / sum", i, {"maximum": maximum, "sum": total}, 1, 1


def _two_pass(x: np.ndarray, output: np.ndarray) -> Visits:
    total = NOTHING
    for i, value in enumerate(x):
        total = add_pairs(total, extended_exp(value))
        yield "add exp(x) as a pair", i, {"mantissa": total[0], "exponent": total[1]}, 1, 0
    for i, value in enumerate(x):
        mantissa, exponent = extended_exp(value)
        output[i] = mantissa / total[0] * power_of_two(exponent - total[1])
        yield "write the quotient of two pairs", i, {"mantissa": total[0], "exponent": total[1]}, 1, 1


_WALKS: dict[str, Callable[[np.ndarray, np.ndarray], Visits]] = {
    "naive": _naive,
    "recompute": _recompute,
    "reload": _reload,
    "online": _online,
    "two-pass": _two_pass,
}
