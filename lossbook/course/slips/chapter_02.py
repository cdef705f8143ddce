"""Answers to the exercises of chapter 02: the usual slips, words of what each is told, and a right one."""

import math

import torch

from lossbook.exercises.chapter_02 import (
    check_add_pairs,
    check_collapse_gap,
    check_log_sum_exp,
    check_wrong_probability,
)


def shifted(z, *, back=True, count=False, base=1.0):
    """The log-sum-exp with the maximum taken out, or a slip of it."""
    top = z.max()
    value = torch.log((z - top).exp().mean() if count else (z - top).exp().sum())
    return (value + (top if back else 0)) / base


def other_classes(z, y):
    """The probability of all classes but one."""
    others = z[torch.arange(len(z)) != y]
    return torch.exp(torch.logsumexp(others, 0) - torch.logsumexp(z, 0))


def added(first, second, *, keep=max, shift=True):
    """The sum of two pairs, or a slip of it."""
    n = keep(first[1], second[1])
    if not shift:
        return first[0] + second[0], n
    return first[0] * 2.0 ** (first[1] - n) + second[0] * 2.0 ** (second[1] - n), n


def through_floats(first, second):
    """Powers of two of the exponents themselves."""
    n = max(first[1], second[1])
    return (first[0] * 2.0 ** first[1] + second[0] * 2.0 ** second[1]) / 2.0**n, n


def without_nothing(first, second):
    """No room for a pair that stands for 0."""
    return (0.0, 0.0) if math.inf in (abs(first[1]), abs(second[1])) else added(first, second)


ATTEMPTS = [
    (check_log_sum_exp, lambda z: 0.0, "Yours is 0"),
    (check_log_sum_exp, lambda z: z.exp().sum().log(), "overflows"),
    (check_log_sum_exp, lambda z: z.exp().sum().clamp(max=1e300).log(), "overflows"),
    (check_log_sum_exp, lambda z: shifted(z, back=False), "never put back"),
    (check_log_sum_exp, lambda z: shifted(z, count=True), "the mean of the exponentials"),
    (check_log_sum_exp, lambda z: shifted(z, base=math.log(2)), "in bits"),
    (check_log_sum_exp, lambda z: z.exp().sum(), "Its logarithm is wanted"),
    (check_log_sum_exp, lambda z: z, "One number"),
    (check_log_sum_exp, lambda z: z.max(), "between the maximum"),
    (check_log_sum_exp, lambda z: shifted(z.clamp(min=-1e5)), "every class masked"),
    (check_log_sum_exp, shifted, "every class masked"),
    (check_log_sum_exp, lambda z: torch.logsumexp(z, 0), "Right"),
    (check_collapse_gap, lambda digits: 0.0, "How far apart"),
    (check_collapse_gap, lambda digits: -digits * math.log(2), "turned round"),
    (check_collapse_gap, lambda digits: (digits - 1) * math.log(2), "at most half a step"),
    (check_collapse_gap, lambda digits: (digits + 1) * math.log(2), "a quarter of a step"),
    (check_collapse_gap, lambda digits: digits, "powers of e"),
    (check_collapse_gap, lambda digits: 2.0**-digits, "not the gap"),
    (check_collapse_gap, lambda digits: [1.0, 2.0], "One number"),
    (check_collapse_gap, lambda digits: 99.0, "half of that"),
    (check_collapse_gap, lambda digits: digits * math.log(2), "Right"),
    (check_wrong_probability, lambda z, y: 1 - torch.softmax(z, 0)[y], "cancelled"),
    (check_wrong_probability, lambda z, y: torch.softmax(z, 0)[y], "p_y itself"),
    (check_wrong_probability, lambda z, y: -torch.log_softmax(z, 0)[y], "the loss"),
    (check_wrong_probability, lambda z, y: torch.softmax(z, 0), "One number"),
    (check_wrong_probability, lambda z, y: 7.0, "Which classes"),
    (check_wrong_probability, other_classes, "Right"),
    (check_add_pairs, lambda a, b: added(a, b, shift=False), "only when their exponents are equal"),
    (check_add_pairs, lambda a, b: (a[0] * b[0], a[1] + b[1]), "numbers are multiplied"),
    (check_add_pairs, lambda a, b: added(a, b, keep=min), "should be the larger"),
    (check_add_pairs, lambda a, b: (a[0] * 2.0 ** a[1] + b[0] * 2.0 ** b[1], 0.0), "should be the larger"),
    (check_add_pairs, lambda a, b: a, "Keep the larger exponent"),
    (check_add_pairs, lambda a, b: 3.0, "Return two numbers"),
    (check_add_pairs, through_floats, "overflowed"),
    (check_add_pairs, without_nothing, "Adding to nothing"),
    (check_add_pairs, added, "Right"),
]
