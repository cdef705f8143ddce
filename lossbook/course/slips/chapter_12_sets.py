"""Answers to the exercises on sets: the usual slips, words of what each is told, and a right one."""

import torch

from lossbook.exercises.chapter_12_sets import check_dice_slope, check_soft_f1, check_soft_top_k, check_turning_point


def soft_f1(p, y, sharpness, *, middle=0.5):
    """Twice the soft hits over those that are and those that are called."""
    a = torch.sigmoid(sharpness * (p - middle))
    return 2 * (y * a).sum() / (y.sum() + a.sum())


def soft_part(p, y, sharpness, *, over):
    """The soft hits over something."""
    a = torch.sigmoid(sharpness * (p - 0.5))
    return (y * a).sum() / over(y, a)


def dice_slope(p, y, *, factor=2.0):
    """The quotient rule on 1 − 2 Σ p y/(Σ p + Σ y)."""
    whole, shared = (p + y).sum(), (p * y).sum()
    return factor * (shared - y * whole) / whole**2


def memberships(scores, k, *, halvings=60):
    """Sigmoids of scores that are raised until they add up to k."""
    low, high = -scores.max() - 20, -scores.min() + 20
    for _ in range(halvings):
        middle = (low + high) / 2
        if torch.sigmoid(scores + middle).sum() < k:
            low = middle
        else:
            high = middle
    return torch.sigmoid(scores + (low + high) / 2)


def hard(scores, k):
    """One for the k highest."""
    return (scores >= scores.topk(max(1, int(k))).values[-1]).double()


ATTEMPTS = [
    (check_soft_f1, lambda p, y, sharpness: 1 - soft_f1(p, y, sharpness), "the loss"),
    (check_soft_f1, lambda p, y, sharpness: 2 * (y * p).sum() / (y.sum() + p.sum()), "p itself"),
    (check_soft_f1, lambda *given: soft_part(*given, over=lambda y, a: a.sum()), "the precision"),
    (check_soft_f1, lambda *given: soft_part(*given, over=lambda y, a: y.sum()), "the recall"),
    (check_soft_f1, lambda *given: soft_f1(*given) / 2, "factor 2"),
    (check_soft_f1, lambda *given: soft_f1(*given, middle=0.0), "turns over"),
    (check_soft_f1, lambda p, y, sharpness: p, "One number"),
    (check_soft_f1, lambda *given: 0.0, "divide twice"),
    (check_soft_f1, soft_f1, "Right"),
    (check_turning_point, lambda alpha: 0.5, "for α = 1 alone"),
    (check_turning_point, lambda alpha: 0.9, "already falls"),
    (check_turning_point, lambda alpha: alpha / (1 + alpha), "exchanged"),
    (check_turning_point, lambda alpha: 1 / alpha, "product rule"),
    (check_turning_point, lambda alpha: 0.1, "still grows"),
    (check_turning_point, lambda alpha: -1.0, "between 0 and 1"),
    (check_turning_point, lambda alpha: [0.5, 0.5], "One probability"),
    (check_turning_point, lambda alpha: 1 / (1 + alpha), "Right"),
    (check_dice_slope, lambda p, y: -dice_slope(p, y), "The sign"),
    (check_dice_slope, lambda p, y: dice_slope(p, y, factor=1.0), "A factor 2"),
    (check_dice_slope, lambda p, y: dice_slope(p, y) * p * (1 - p), "by the logits"),
    (check_dice_slope, lambda p, y: -2 * y / (p + y).sum(), "The denominator"),
    (check_dice_slope, lambda p, y: 0 * p + 2 * (p * y).sum() / (p + y).sum() ** 2, "The numerator"),
    (check_dice_slope, lambda p, y: p.sum(), "A slope for each"),
    (check_dice_slope, lambda p, y: 0 * p, "Differentiate"),
    (check_dice_slope, dice_slope, "Right"),
    (check_soft_top_k, hard, "without a slope"),
    (check_soft_top_k, lambda scores, k: k * torch.softmax(scores, 0), "times the softmax"),
    (check_soft_top_k, lambda scores, k: torch.sigmoid(scores), "add up to"),
    (check_soft_top_k, lambda scores, k: torch.full_like(scores, k / len(scores)), "not as sigmoids"),
    (check_soft_top_k, lambda scores, k: memberships(scores, k, halvings=3), "Halve an interval"),
    (check_soft_top_k, lambda scores, k: scores[0], "A membership for each"),
    (check_soft_top_k, memberships, "Right"),
]
