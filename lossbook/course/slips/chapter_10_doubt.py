"""Answers to the exercises on losses that know doubt: the usual slips, words of what each is told, and a right one."""

import math

import torch

from lossbook.exercises.chapter_10_doubt import check_deal, check_factor, check_floor, check_temperature


def apart(q):
    """The divergence from even."""
    return math.log(len(q)) - float(torch.special.entr(q).sum())


def factor(p, samples):
    """The factor itself."""
    return samples * (1 - p) ** (samples - 1) * p / (1 - (1 - p) ** samples)


def dealt(margin, sizes, *, cut=True, steepest_first=True, tail=True, sort=True):
    """Slopes for margins, or a slip of them."""
    sizes = sizes.clamp(max=1.0) if cut else sizes
    found = -sizes
    if sort:
        found = torch.zeros_like(margin).scatter(0, margin.argsort(), -sizes.sort(descending=steepest_first).values)
    return found / margin.clamp(min=1.0) if tail else found


ATTEMPTS = [
    (check_temperature, lambda q, start, alpha: start * (1 + apart(q) / (alpha * math.log(len(q)))), "above λ₀"),
    (check_temperature, lambda q, start, alpha: start * (1 - apart(q) / alpha), "log V of the penalty"),
    (check_temperature, lambda q, start, alpha: start * (1 - apart(q) / math.log(len(q))), "α is missing"),
    (check_temperature, lambda q, start, alpha: 2 * start - 1.3, "derivative by λ"),
    (
        check_temperature,
        lambda q, start, alpha: start * (1 - 1 / alpha + apart(q) / (alpha * math.log(len(q)))),
        "entropy",
    ),
    (check_temperature, lambda q, start, alpha: q, "One temperature"),
    (
        check_temperature,
        lambda q, start, alpha: start * (1 - apart(q) / (alpha * math.log(len(q)))),
        "Right",
    ),
    (check_factor, lambda p, samples: factor(p, samples) / p, "slope by p"),
    (check_factor, lambda p, samples: -factor(p, samples), "The sign"),
    (check_factor, lambda p, samples: factor(p, samples) / samples, "The N of"),
    (check_factor, lambda p, samples: factor(p, samples) * (1 - (1 - p) ** samples), "The logarithm"),
    (check_factor, lambda p, samples: factor(p, samples) * (1 - p), "The power falls"),
    (check_factor, lambda p, samples: 0.5, "One number"),
    (check_factor, lambda p, samples: torch.ones_like(p), "Differentiate"),
    (check_factor, factor, "Right"),
    (check_deal, lambda margin, sizes: -dealt(margin, sizes), "Slopes are negative"),
    (check_deal, lambda margin, sizes: dealt(margin, sizes, tail=False), "divided by the margin"),
    (check_deal, lambda margin, sizes: dealt(margin, sizes, cut=False), "steeper than"),
    (check_deal, lambda margin, sizes: dealt(margin, sizes, steepest_first=False), "the other way"),
    (check_deal, lambda margin, sizes: dealt(margin, sizes, sort=False), "Sort both"),
    (check_deal, lambda margin, sizes: -torch.ones_like(margin), "Cut the sizes"),
    (check_deal, lambda margin, sizes: 0.0, "One slope"),
    (check_deal, dealt, "Right"),
    (check_floor, lambda p, w, gamma: ((1 - p) ** gamma - w) / (1 - w), "The sign"),
    (check_floor, lambda p, w, gamma: w - (1 - p) ** gamma, "left out"),
    (check_floor, lambda p, w, gamma: w / (1 - w), "the floor's own"),
    (check_floor, lambda p, w, gamma: (w - p**gamma) / (1 - w), "The power"),
    (check_floor, lambda p, w, gamma: (w - (1 - p) ** gamma) / (1 + w), "not 1 + w"),
    (check_floor, lambda p, w, gamma: [1.0, 2.0], "One η"),
    (check_floor, lambda p, w, gamma: 3.0, "Solve"),
    (check_floor, lambda p, w, gamma: (w - (1 - p) ** gamma) / (1 - w), "Right"),
]
