"""Answers to the exercises of chapter 10: the usual slips, words of what each is told, and a right one."""

import math

import torch
from torch.nn.functional import one_hot

from lossbook.exercises.chapter_10 import (
    check_best_gap,
    check_poly_gradient,
    check_rest,
    check_taylor_gradient,
    check_weight,
)


def poly(logits, target, epsilon, *, share=None):
    """The gradient of Poly-1, or a slip of it: `share` of (p, p_y) is what ε is multiplied by."""
    p = torch.softmax(logits, -1)
    own = p.gather(1, target[:, None])
    factor = own if share is None else share(p, own)
    return (1 + epsilon * factor) * (p - one_hot(target, logits.shape[1]))


def gap(smoothing, classes):
    """By how much the right score leads at rest."""
    return math.log((1 - smoothing + smoothing / classes) / (smoothing / classes))


def rest(score, classes, *, spring=2.0, share=1.0):
    """Where push and spring are equal, by halving; `spring` and `share` make slips of it."""
    low, high, others = -50.0, 0.0, classes - 1
    for _ in range(100):
        middle = (low + high) / 2
        push = share * math.exp(middle) / (math.exp(score) + others * math.exp(middle))
        low, high = (low, middle) if push + spring * middle / others > 0 else (middle, high)
    return (low + high) / 2


def taylor(logits, target, *, slope=lambda z: 1 + z, own=1.0):
    """The gradient of the Taylor softmax loss, or a slip of it."""
    size = 1 + logits + logits.square() / 2
    y = one_hot(target, logits.shape[1])
    return slope(logits) / size.sum(1, keepdim=True) - own * y * slope(logits) / size


ATTEMPTS = [
    (check_weight, lambda p, slope: p * slope, "wrong sign"),
    (check_weight, lambda p, slope: -slope, "p is missing"),
    (check_weight, lambda p, slope: -p * (1 - p) * slope, "pull on the right score"),
    (check_weight, lambda p, slope: 0 * p, "chain rule"),
    (check_weight, lambda p, slope: 1.0, "A weight for each p"),
    (check_weight, lambda p, slope: -p * slope, "Right"),
    (check_poly_gradient, lambda z, y, e: -poly(z, y, e), "wrong sign"),
    (check_poly_gradient, lambda z, y, e: poly(z, y, 0.0), "cross-entropy's"),
    (check_poly_gradient, lambda z, y, e: poly(z, y, e, share=lambda p, own: 1.0), "where ε p_y belongs"),
    (check_poly_gradient, lambda z, y, e: poly(z, y, e, share=lambda p, own: p), "its own probability"),
    (check_poly_gradient, lambda z, y, e: 0 * z, "add ε times"),
    (check_poly_gradient, lambda z, y, e: z[0], "A number for each score"),
    (check_poly_gradient, poly, "Right"),
    (check_best_gap, lambda s, v: math.log((1 - s) * v / s), "its own share"),
    (check_best_gap, lambda s, v: math.log((1 - s) * (v - 1) / s), "spread over all V"),
    (check_best_gap, lambda s, v: -gap(s, v), "sign is turned"),
    (check_best_gap, lambda s, v: math.exp(gap(s, v)), "Scores are logarithms"),
    (check_best_gap, lambda s, v: 0.0, "At rest p is the target"),
    (check_best_gap, lambda s, v: [1.0, 2.0], "One gap"),
    (check_best_gap, gap, "Right"),
    (check_rest, lambda score, classes: 0.0, "below 0"),
    (check_rest, lambda score, classes: rest(score, classes, spring=1.0), "The 2 is missing"),
    (check_rest, lambda score, classes: rest(score, classes, spring=2.0 * (classes - 1)), "The mean over"),
    (check_rest, lambda score, classes: rest(score, classes, share=classes - 1), "its own p_j"),
    (check_rest, lambda score, classes: -5.0, "go up"),
    (check_rest, lambda score, classes: -1e-9, "go down"),
    (check_rest, lambda score, classes: [0.0, 0.0], "One score"),
    (check_rest, rest, "Right"),
    (check_taylor_gradient, lambda z, y: -taylor(z, y), "wrong sign"),
    (check_taylor_gradient, lambda z, y: taylor(z, y, slope=lambda x: 1 + x + x.square() / 2), "exp is its own"),
    (check_taylor_gradient, lambda z, y: torch.softmax(z, 1) - one_hot(y, 3), "softmax's gradient"),
    (check_taylor_gradient, lambda z, y: taylor(z, y, own=0.0), "first half"),
    (check_taylor_gradient, lambda z, y: 0 * z, "log Σ s_j"),
    (check_taylor_gradient, lambda z, y: z[0], "A number for each score"),
    (check_taylor_gradient, taylor, "Right"),
]
