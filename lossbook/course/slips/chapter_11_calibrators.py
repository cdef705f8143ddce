"""Answers to the exercises on calibrators: the usual slips, words of what each is told, and a right one."""

import torch

from lossbook.exercises.chapter_11_calibrators import (
    check_best_confidence,
    check_link_pull,
    check_runner_up,
    check_slope,
)


def slope(z, y, beta, *, weigh=True, inside=True, each=False):
    """Σ p z − z_y, or a slip of it."""
    p = torch.softmax((beta if inside else 1.0) * z, -1) if weigh else torch.full_like(z, 1 / z.shape[1])
    found = (p * z).sum(-1) - z.gather(1, y[:, None])[:, 0]
    return found if each else found.mean()


def runner_up(p, y, *, strict=True, below=True):
    """The largest p below the right one's, or a slip of it."""
    own = p.gather(1, y[:, None])
    counts = p < own if strict else (p <= own) & (torch.arange(p.shape[1]) != y[:, None])
    counts = counts if below else torch.arange(p.shape[1]) != y[:, None]
    return torch.where(counts, p, 0.0).amax(1)


def constant(a, r, power=None):
    """Odds to the power 1/(r − 1), or to another."""
    odds = (a / (1 - a)) ** (1 / (r - 1) if power is None else power)
    return odds / (1 + odds)


def pull(jacobian, p, y):
    """Jᵀ (p − e_y), the reference class dropped."""
    return jacobian.T @ (p - torch.eye(len(p), dtype=p.dtype)[y])[:-1]


def without_reference(jacobian, p, y):
    """As if the reference class were the last of the others."""
    return jacobian.T @ (p[:3] - torch.eye(3, dtype=p.dtype)[min(y, 2)])


ATTEMPTS = [
    (check_slope, lambda z, y, beta: -slope(z, y, beta), "The sign"),
    (check_slope, lambda z, y, beta: slope(z, y, beta, inside=False), "at β = 1 only"),
    (check_slope, lambda z, y, beta: slope(z, y, beta, weigh=False), "not with equal ones"),
    (check_slope, lambda z, y, beta: slope(z, y, beta, each=True), "mean of the slopes"),
    (check_slope, lambda z, y, beta: len(z) * slope(z, y, beta), "sum over examples"),
    (check_slope, lambda z, y, beta: z, "One slope"),
    (check_slope, lambda z, y, beta: beta, "Differentiate"),
    (check_slope, slope, "Right"),
    (check_runner_up, lambda p, y: runner_up(p, y, below=False), "all other classes"),
    (check_runner_up, lambda p, y: runner_up(p, y, strict=False), "has a tie"),
    (check_runner_up, lambda p, y: p.gather(1, y[:, None])[:, 0], "own probability"),
    (check_runner_up, lambda p, y: p, "One number a row"),
    (check_runner_up, lambda p, y: p.amin(1), "was expected"),
    (check_runner_up, lambda p, y: p.sort(1).values[:, -2], "was expected"),
    (check_runner_up, runner_up, "Right"),
    (check_best_confidence, lambda a, r: a, "right for r = 2 only"),
    (check_best_confidence, lambda a, r: 1 - constant(a, r), "changed places"),
    (check_best_confidence, lambda a, r: constant(a, r, r - 1), "upside down"),
    (check_best_confidence, lambda a, r: a**r, "Set the slope"),
    (check_best_confidence, lambda a, r: [a, r], "One confidence"),
    (check_best_confidence, constant, "Right"),
    (check_link_pull, lambda j, p, y: (p - torch.eye(4, dtype=p.dtype)[y])[:3], "chain rule"),
    (check_link_pull, lambda j, p, y: j @ (p - torch.eye(4, dtype=p.dtype)[y])[:3], "transpose"),
    (check_link_pull, lambda j, p, y: -pull(j, p, y), "the sign"),
    (check_link_pull, without_reference, "nothing is taken off"),
    (check_link_pull, lambda j, p, y: p, "drop the reference"),
    (check_link_pull, lambda j, p, y: p[:3], "form p"),
    (check_link_pull, pull, "Right"),
]
