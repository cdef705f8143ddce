"""Answers to the exercises on frames: the usual slips, words of what each is told, and a right one."""

import math

import torch

from lossbook.exercises.chapter_71_frames import check_logit_scale, check_simplex, check_vanishing


def simplex(classes):
    """The identity less its mean, rows scaled to length 1."""
    rows = torch.eye(classes, dtype=torch.float64) - 1 / classes
    return rows / rows.norm(dim=1, keepdim=True)


def equal_cosines(classes):
    """Unit rows with every cosine a half of the least."""
    cosine = -0.5 / (classes - 1)
    return torch.linalg.cholesky((1 - cosine) * torch.eye(classes, dtype=torch.float64) + cosine)


def polygon(classes):
    """In the plane: right for two and three."""
    angles = 2 * math.pi * torch.arange(classes, dtype=torch.float64) / classes
    return torch.stack([angles.cos(), angles.sin()], 1)


def scale(classes, size, weight, feature, *, factor=None, less=1):
    """The scale of the logits, or a slip of it; 0 where it would be none."""
    price = (math.sqrt(size) if factor is None else factor(size)) * math.sqrt(weight * feature)
    return math.log(1 / price - less * (classes - 1)) if 1 / price > classes else 0.0


def price(layers, local=False):
    """The largest of x^(M−1)/(x^M + 1), or of its slope's kind, by looking."""
    x = torch.linspace(0, 5, 2_000_001, dtype=torch.float64)
    gain = layers * x ** (layers - 1) / (x**layers + 1) ** 2 if local else x ** (layers - 1) / (x**layers + 1)
    return float(gain.max())


def vanishing(n, total, feature, layers, *, local=False, factor=1.0):
    """The weight decay that erases a class, or a slip of it."""
    return factor * n * price(layers, local) / (layers * total * (total * feature) ** (1 / layers))


ATTEMPTS = [
    (check_simplex, lambda k: torch.eye(k), "orthogonal"),
    (check_simplex, lambda k: torch.eye(k) - 1 / k, "the lengths are not"),
    (check_simplex, lambda k: 2 * torch.eye(k), "unit vectors"),
    (check_simplex, equal_cosines, "equal, and not the least"),
    (check_simplex, polygon, "reach from"),
    (check_simplex, lambda k: torch.eye(k)[0], "rows were asked for"),
    (check_simplex, lambda k: 0 * torch.eye(k), "unit vectors"),
    (check_simplex, simplex, "Right"),
    (check_logit_scale, lambda k, n, w, h: math.log(abs(1 / math.sqrt(n * w * h) - k + 1)), "stay at 0"),
    (check_logit_scale, lambda *given: scale(*given, less=0), "not 0. Keep"),
    (check_logit_scale, lambda *given: scale(*given) * (1 - 1 / given[0]), "right class's score"),
    (check_logit_scale, lambda *given: scale(*given, factor=lambda n: 1), "√n is missing"),
    (check_logit_scale, lambda *given: scale(*given, factor=lambda n: n), "under the root"),
    (check_logit_scale, lambda *given: 1.0, "Set the slope"),
    (check_logit_scale, lambda *given: [1.0, 2.0], "One scale"),
    (check_logit_scale, scale, "Right"),
    (check_vanishing, lambda *given: vanishing(*given, local=True), "ends altogether"),
    (check_vanishing, lambda n, total, h, m: n / (total**2 * h), "Right for one layer"),
    (check_vanishing, lambda n, total, h, m: vanishing(n, total, h, m, factor=m), "a factor M"),
    (check_vanishing, lambda n, total, h, m: vanishing(n, total, h, m, factor=1 / m), "a factor M"),
    (check_vanishing, lambda *given: 1.0, "below 1 somewhere"),
    (check_vanishing, lambda *given: [1.0, 2.0], "One weight decay"),
    (check_vanishing, vanishing, "Right"),
]
