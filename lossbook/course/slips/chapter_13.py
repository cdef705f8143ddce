"""Answers to the exercises on attacks and fast training: the usual slips, words of what each is told, a right one."""

import torch

from lossbook.exercises.chapter_13 import check_margin_pull, check_one_step, check_robust_share, check_side


def unit(p, k):
    """The one-hot vector of class k."""
    return torch.eye(len(p), dtype=torch.float64)[k]


def rival(p, y):
    """The best wrong class."""
    return max((k for k in range(len(p)) if k != y), key=lambda k: float(p[k]))


def margin_pull(p, y):
    """p_y (p − e_y) − p_t (p − e_t)."""
    t = rival(p, y)
    return p[y] * (p - unit(p, y)) - p[t] * (p - unit(p, t))


def best_class(p, y):
    """The rival taken among all classes."""
    t = int(p.argmax())
    return p[y] * (p - unit(p, y)) - p[t] * (p - unit(p, t))


def side(loss, last, before, widest, narrowest):
    """The sign of ConvergeSmooth."""
    gamma = min(max(narrowest, last - before), widest)
    if abs(loss - last) <= gamma:
        return 0
    return 1 if loss > last else -1


def with_width(width):
    """The side, with another width of the band."""

    def wrong(loss, last, before, widest, narrowest):
        gamma = width(last - before, widest, narrowest)
        return 0 if abs(loss - last) <= gamma else (1 if loss > last else -1)

    return wrong


def one_step(moved, gradient, clean, radius, size):
    """A step of projected gradient ascent."""
    return (moved + size * gradient.sign()).clamp(clean - radius, clean + radius).clamp(0, 1)


ATTEMPTS = [
    (check_one_step, lambda moved, gradient, clean, radius, size: moved + size * gradient.sign(), "Nothing keeps it"),
    (check_one_step, lambda x, g, clean, r, size: (x + size * g.sign()).clamp(clean - r, clean + r), "pixels are not"),
    (check_one_step, lambda x, g, clean, r, size: (x + size * g.sign()).clamp(0, 1), "the box is not"),
    (check_one_step, lambda x, g, clean, r, size: one_step(x, g, x, r, size), "around the clean input"),
    (check_one_step, lambda x, g, clean, r, size: one_step(x, -g, clean, r, size), "attacks go up"),
    (check_one_step, lambda x, g, clean, r, s: (x + s * g).clamp(clean - r, clean + r).clamp(0, 1), "Signs alone"),
    (check_one_step, lambda *given: given[0], "the next one is"),
    (check_one_step, lambda *given: 0.5, "A point of shape"),
    (check_one_step, one_step, "Right"),
    (check_robust_share, lambda clean, attacked: attacked.float().mean(1).min(), "image by image"),
    (check_robust_share, lambda clean, attacked: attacked.all(0).float().mean(), "wrong untouched"),
    (check_robust_share, lambda clean, attacked: attacked.any(0).float().mean(), "when one does"),
    (check_robust_share, lambda clean, attacked: attacked.all(0)[clean].float().mean(), "to begin with"),
    (check_robust_share, lambda clean, attacked: 0.0, "two of five"),
    (check_robust_share, lambda clean, attacked: clean, "One share"),
    (check_robust_share, lambda clean, attacked: (clean & attacked.all(0)).float().mean(), "Right"),
    (check_margin_pull, lambda p, y: -margin_pull(p, y), "The sign"),
    (check_margin_pull, lambda p, y: unit(p, rival(p, y)) - unit(p, y), "margin of the scores"),
    (check_margin_pull, lambda p, y: p[y] * (p - unit(p, y)), "−p_y alone"),
    (check_margin_pull, lambda p, y: p - unit(p, y), "cross-entropy's"),
    (check_margin_pull, best_class, "best *wrong* class"),
    (check_margin_pull, lambda p, y: p[rival(p, y)] * unit(p, rival(p, y)) - p[y] * unit(p, y), "does not sum to 0"),
    (check_margin_pull, lambda p, y: 2 * margin_pull(p, y), "Begin with"),
    (check_margin_pull, lambda p, y: p.sum(), "One number a class"),
    (check_margin_pull, margin_pull, "Right"),
    (check_side, lambda *case: -side(*case), "The sign"),
    (check_side, with_width(lambda change, widest, narrowest: max(narrowest, change)), "never wider"),
    (check_side, with_width(lambda change, widest, narrowest: min(max(narrowest, abs(change)), widest)), "negative"),
    (check_side, with_width(lambda change, widest, narrowest: narrowest), "as wide as that"),
    (check_side, lambda *case: 1 if case[0] > case[1] else -1, "s is the sign"),
    (check_side, lambda *case: [1.0, 0.0], "One sign"),
    (check_side, side, "Right"),
]
