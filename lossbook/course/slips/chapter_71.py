"""Answers to the exercises on measuring collapse: the usual slips, words of what each is told, and a right one."""

import torch

from lossbook.exercises.chapter_71 import check_nc1, check_noisy_nc1


def nc1(features, labels, *, total=False, within=None, between=None, by_class=1.0, inverse=torch.linalg.pinv):
    """tr(S_W S_B⁺), or a slip of it."""
    classes, count = int(labels.max()) + 1, len(labels)
    means = torch.stack([features[labels == c].mean(0) for c in range(classes)])
    centred = means - means.mean(0)
    rest = features - (means.mean(0) if total else means[labels])
    spread = rest.T @ rest / (within or count)
    return torch.trace(spread @ inverse(centred.T @ centred / (between or classes))) / by_class


def sloppy(matrix):
    """An inverse of what rounding leaves."""
    return torch.linalg.inv(matrix + 1e-15 * torch.eye(len(matrix)))


def traces(features, labels):
    """One trace over the other."""
    means = torch.stack([features[labels == c].mean(0) for c in range(int(labels.max()) + 1)])
    centred = means - means.mean(0)
    return (features - means[labels]).square().sum() / len(labels) / centred.square().sum() * len(means)


ATTEMPTS = [
    (check_nc1, lambda x, y: 0.0, "the mean of each class"),
    (check_nc1, lambda x, y: nc1(x, y, by_class=int(y.max()) + 1), "as the other convention"),
    (check_nc1, lambda x, y: nc1(x, y, between=1), "should be a mean"),
    (check_nc1, lambda x, y: nc1(x, y, within=1), "a mean over examples"),
    (check_nc1, lambda x, y: nc1(x, y, within=len(y) - int(y.max()) - 1), "not by N − K"),
    (check_nc1, lambda x, y: nc1(x, y, total=True), "S_W + S_B"),
    (check_nc1, traces, "tr S_W over tr S_B"),
    (check_nc1, lambda x, y: nc1(x, y, inverse=sloppy), "what rounding left"),
    (check_nc1, lambda x, y: nc1(x, y) + 1, "then the trace"),
    (check_nc1, lambda x, y: x, "One number"),
    (check_nc1, nc1, "Right"),
    (check_noisy_nc1, lambda k, m, s: 0.0, "the trace of S_B⁺"),
    (check_noisy_nc1, lambda k, m, s: s**2 * (k - 1) ** 2 / m**2 / k, "divides by K"),
    (check_noisy_nc1, lambda k, m, s: s**2 * (k - 1) / m**2, "one eigenvalue"),
    (check_noisy_nc1, lambda k, m, s: s**2 * k * (k - 1) / m**2, "add up to its trace"),
    (check_noisy_nc1, lambda k, m, s: s * (k - 1) / m, "enter squared"),
    (check_noisy_nc1, lambda k, m, s: m**2 * (k - 1) ** 2 / s**2, "Upside down"),
    (check_noisy_nc1, lambda k, m, s: 7.0, "shared by K − 1"),
    (check_noisy_nc1, lambda k, m, s: [1.0, 2.0], "One number"),
    (check_noisy_nc1, lambda k, m, s: s**2 * (k - 1) ** 2 / m**2, "Right"),
]
