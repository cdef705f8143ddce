"""Answers to the exercises on lazy and rich: the usual slips, words of what each is told, and a right one."""

import torch

from lossbook.exercises.chapter_70_lazy import check_error, check_kernel


def kernel(weight, curvature, first, second, *, power=2, slope=1.0, inputs=True):
    """The tangent kernel, or a slip of it."""
    a, b = (1 + slope * curvature * weight @ point for point in (first, second))
    return (first @ second if inputs else 1.0) * (a @ b) / len(weight) ** power


def of_means(weight, curvature, first, second):
    """The kernel of the mean unit."""
    mean = weight.mean(0)
    return (first @ second) * (1 + curvature * mean @ first) * (1 + curvature * mean @ second) / len(weight)


def error(linear, square, direction, *, trace=1.0, spread=1.0, straight=1.0):
    """The test error, or a slip of it."""
    size, gap = len(direction), square - torch.outer(direction, direction)
    mean = gap.trace() / (2 * size)
    return trace * mean**2 + spread * gap.square().sum() / (2 * size**2) + straight * linear.square().sum() / size


def over_variance(linear, square, direction):
    """The error in units of the variance of the target."""
    return error(linear, square, direction) / ((direction @ direction / len(direction)) ** 2 / 2)


ATTEMPTS = [
    (check_kernel, lambda *given: kernel(*given, power=1), "1/N is left over"),
    (check_kernel, lambda *given: kernel(*given, power=0), "K has it twice"),
    (check_kernel, lambda *given: kernel(*given, power=3), "One 1/N too many"),
    (check_kernel, lambda *given: kernel(*given, inputs=False), "inner product of the inputs"),
    (check_kernel, lambda weight, curvature, *points: kernel(weight, 0.0, *points), "kernel of a linear network"),
    (check_kernel, lambda *given: kernel(*given, slope=0.5), "without the half"),
    (check_kernel, of_means, "you multiplied two sums"),
    (check_kernel, lambda *given: kernel(*given) + given[1], "It should be"),
    (check_kernel, lambda weight, curvature, first, second: first, "One number"),
    (check_kernel, kernel, "Right"),
    (check_error, lambda v, q, b: error(v, q, 2 * b), "the network is the target"),
    (check_error, over_variance, "already divided"),
    (check_error, lambda *given: error(*given, trace=0), "The mean of f − y counts"),
    (check_error, lambda *given: error(*given, spread=0.5), "Var(u²) is 2"),
    (check_error, lambda *given: error(*given, spread=2), "the half is squared"),
    (check_error, lambda *given: error(*given, straight=0), "adds its own variance"),
    (check_error, lambda *given: error(*given, straight=3), "variance 1/D"),
    (check_error, lambda v, q, b: v.square().sum() / len(v), "variance of v·x"),
    (check_error, lambda *given: error(*given) * 1.1, "mean squared"),
    (check_error, lambda v, q, b: q, "One number"),
    (check_error, error, "Right"),
]
