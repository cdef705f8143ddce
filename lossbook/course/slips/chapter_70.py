"""Answers to the exercises on collapse: the usual slips, words of what each is told, and a right one."""

import torch

from lossbook.exercises.chapter_70 import (
    check_across,
    check_collapse,
    check_scaling_descent,
    check_stablemax_pull,
)


def longer(z, right):
    """How fast a row's cross-entropy falls as its logits grow."""
    return z[right] - (z.softmax(0) * z).sum()


def has_collapsed(z, dtype, *, shift=True, cast=True):
    """1 for each row that has collapsed in a format, or a slip of it."""
    z = z.to(dtype) if cast else z
    return ((z - z.amax(-1, keepdim=True) if shift else z).exp().sum(-1) == 1).double()


def each_vanishes(z, dtype):
    """Whether each other class vanishes beside 1, instead of their sum."""
    z = z.to(dtype)
    others = (z - z.amax(-1, keepdim=True)).exp().sort(-1).values[..., :-1]
    return (others.amax(-1) + 1 == 1).double()


def unshifted(z, dtype):
    """The share of the largest, without subtracting it first."""
    z = z.to(dtype).exp()
    return (z.amax(-1) == z.sum(-1)).double()


def across(g, w, *, stretch=True):
    """The gradient of perpGrad, or a slip of it."""
    left = g - (g * w).sum() / w.square().sum() * w
    return left * g.norm() / left.norm() if stretch else left


def across_rows(g, w):
    """The same for each row by itself."""
    left = g - (g * w).sum(-1, keepdim=True) / w.square().sum(-1, keepdim=True) * w
    return left * g.norm() / left.norm()


def shares(z):
    """StableMax's shares."""
    s = torch.where(z >= 0, z + 1, 1 / (1 - z))
    return s / s.sum()


def target(z, right):
    """The one-hot target."""
    return torch.nn.functional.one_hot(torch.tensor(right), len(z)).double()


def stable_pull(z, right):
    """The gradient of StableMax's cross-entropy."""
    return (shares(z) - target(z, right)) / (1 + z.abs())


ATTEMPTS = [
    (check_scaling_descent, lambda z, y: 0.0, "turn the sign round"),
    (check_scaling_descent, lambda z, y: -longer(z, y), "how fast the loss falls"),
    (check_scaling_descent, lambda z, y: z[y] - z.mean(), "weighted by the softmax"),
    (check_scaling_descent, lambda z, y: 1 - z.softmax(0)[y], "the right logit alone"),
    (check_scaling_descent, lambda z, y: z[y] - torch.cat([z[:y], z[y + 1 :]]).max(), "the lead over the next"),
    (check_scaling_descent, lambda z, y: z[y], "one of the two terms"),
    (check_scaling_descent, lambda z, y: z.sum() + 1, "weights of that mean"),
    (check_scaling_descent, lambda z, y: z, "One number"),
    (check_scaling_descent, longer, "Right"),
    (check_collapse, lambda z, dtype: 0 * z[:, 0], "Nothing has collapsed"),
    (check_collapse, lambda z, dtype: 1 - has_collapsed(z, dtype), "Turned round"),
    (check_collapse, lambda z, dtype: has_collapsed(z, torch.float64), "rounded in another format"),
    (check_collapse, lambda z, dtype: has_collapsed(z, torch.float32), "rounded in another format"),
    (check_collapse, each_vanishes, "their sum has to vanish"),
    (check_collapse, unshifted, "subtract the largest first"),
    (check_collapse, lambda z, dtype: (z.amax(-1) > 12).double(), "the opposite"),
    (check_collapse, lambda z, dtype: 1.0, "One answer a row"),
    (check_collapse, has_collapsed, "Right"),
    (check_across, lambda g, w: g, "as it came"),
    (check_across, lambda g, w: across(g, w, stretch=False), "stretch it back"),
    (check_across, lambda g, w: -across(g, w), "stands in for the gradient"),
    (check_across, lambda g, w: g - (g * w).sum() / w.norm() * w, "divided by the wrong length"),
    (check_across, across_rows, "treats each row alone"),
    (check_across, lambda g, w: 2 * across(g, w), "Across, but"),
    (check_across, lambda g, w: g + w, "and asked is 0"),
    (check_across, lambda g, w: (g * w).sum(), "A gradient of shape"),
    (check_across, across, "Right"),
    (check_stablemax_pull, lambda z, y: 0 * z, "0 everywhere"),
    (check_stablemax_pull, lambda z, y: -stable_pull(z, y), "points uphill"),
    (check_stablemax_pull, lambda z, y: z.softmax(0) - target(z, y), "softmax's p − e"),
    (check_stablemax_pull, lambda z, y: shares(z) - target(z, y), "The chain rule brings"),
    (check_stablemax_pull, lambda z, y: (shares(z) - target(z, y)) / (1 + z), "take |z|"),
    (check_stablemax_pull, lambda z, y: stable_pull(z, y) + 1, "It is (q − e)"),
    (check_stablemax_pull, lambda z, y: z[y], "One slope a logit"),
    (check_stablemax_pull, stable_pull, "Right"),
]
