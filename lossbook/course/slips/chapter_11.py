"""Answers to the exercises on proper scores and on measuring: the usual slips, what each is told, and a right one."""

import math

import torch

from lossbook.exercises.chapter_11 import check_binned_error, check_smooth_error, check_spherical_excess


def excess(truth, report):
    """What the report costs beyond the truth."""
    return truth.norm() - (truth * report).sum() / report.norm()


def binned(confidence, correct, bins, *, upper=True, how=None):
    """Binned error, or a slip of it: `how` makes one number of the shares and the gaps."""
    scaled = confidence * bins
    place = scaled.ceil().long().clamp(1, bins) - 1 if upper else scaled.floor().long().clamp(max=bins - 1)
    gaps = torch.zeros(bins, dtype=confidence.dtype).index_add(0, place, confidence - correct)
    count = torch.bincount(place, minlength=bins)
    share, gap = count / len(confidence), gaps / count.clamp(min=1)
    return (share * gap.abs()).sum() if how is None else how(share, gap)


def smooth(confidence, correct, width, *, images=4, absolute=False):
    """Smooth error on a mesh, with some images of each forecast, or none."""
    mesh = (torch.arange(1000, dtype=torch.float64) + 0.5) / 1000
    folds = [(2 * k, sign) for k in range(-images, images + 1) for sign in (1, -1)] if images else [(0, 1)]
    places = [shift + sign * confidence for shift, sign in folds]
    kernel = sum(torch.exp(-((mesh[:, None] - place) ** 2) / (2 * width**2)) for place in places)
    residual = (confidence - correct).abs() if absolute else confidence - correct
    return (kernel @ residual).abs().mean() / (width * math.sqrt(2 * math.pi) * len(confidence))


ATTEMPTS = [
    (check_spherical_excess, lambda truth, report: 1 - (truth * report).sum() / report.norm(), "whole expected charge"),
    (check_spherical_excess, lambda truth, report: excess(truth, report) / truth.norm(), "depends on ‖π‖"),
    (check_spherical_excess, lambda truth, report: -excess(truth, report), "not below 0"),
    (check_spherical_excess, lambda truth, report: (truth - report).square().sum(), "Brier's price"),
    (check_spherical_excess, lambda truth, report: (truth * (truth / report).log()).sum(), "logarithm's price"),
    (check_spherical_excess, lambda truth, report: 1.0, "Write down"),
    (check_spherical_excess, lambda truth, report: truth, "One price"),
    (check_spherical_excess, excess, "Right"),
    (check_binned_error, lambda c, t, bins: binned(c, t, bins, how=lambda n, gap: gap.abs().mean()), "count alike"),
    (check_binned_error, lambda c, t, bins: (c - t).abs().mean(), "then the absolute value"),
    (check_binned_error, lambda c, t, bins: (c - t).mean().abs(), "one bin for all"),
    (check_binned_error, lambda c, t, bins: binned(c, t, bins, how=lambda n, g: (n * g**2).sum()), "Brier's score"),
    (check_binned_error, lambda c, t, bins: binned(c, t, bins, upper=False), "lower edges"),
    (check_binned_error, lambda c, t, bins: binned(c, t, bins, how=lambda n, gap: gap.abs().max()), "worst bin"),
    (check_binned_error, lambda c, t, bins: 0.0, "Which bin"),
    (check_binned_error, lambda c, t, bins: c, "One error"),
    (check_binned_error, binned, "Right"),
    (check_smooth_error, lambda c, t, width: smooth(c, t, width, images=0), "left the interval"),
    (check_smooth_error, lambda c, t, width: smooth(c, t, width, images=0, absolute=True), "Absolute values first"),
    (check_smooth_error, lambda c, t, width: (c - t).abs().mean(), "without any smoothing"),
    (check_smooth_error, lambda c, t, width: (c - t).mean().abs(), "inside of the integral"),
    (check_smooth_error, lambda c, t, width: smooth(c, t, width) * len(c), "divide by n"),
    (check_smooth_error, lambda c, t, width: 0.0, "of the mesh"),
    (check_smooth_error, lambda c, t, width: c, "One error"),
    (check_smooth_error, smooth, "Right"),
]
