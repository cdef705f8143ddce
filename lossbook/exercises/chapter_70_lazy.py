"""Checks for the second half of chapter 70: the kernel of a small network, and what its test error is made of."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from lossbook.exercises.verdict import Verdict, ask, close, judged, not_yet, right
from lossbook.experiments.lazy_rich import error_parts
from lossbook.models import PolynomialNet

DOUBLE = torch.float64


@judged
def check_kernel(function: Callable[[Tensor, float, Tensor, Tensor], Any]) -> Verdict:
    """Exercise 70.5: K(x, x') of the polynomial network, `kernel(weight, curvature, first, second)`."""
    weight = torch.tensor([[1.0, -0.5, 2.0], [0.3, 1.5, -1.0]], dtype=DOUBLE)
    first, second = torch.tensor([[1.0, 2.0, -1.0], [0.5, 1.0, 3.0]], dtype=DOUBLE)
    units = len(weight)
    for curvature in (0.0, 0.3):
        slopes = [1 + curvature * weight @ point for point in (first, second)]
        wanted = (first @ second) * (slopes[0] @ slopes[1]) / units**2
        found = ask(function, weight, curvature, first, second)
        if found.numel() != 1:
            return not_yet(f"One number was asked for; yours has shape {tuple(found.shape)}.")
        found, at = found.reshape(()), f"For ε = {curvature:g} yours is {float(found):.4g}. "
        if close(found, wanted):
            continue
        if close(found, wanted * units):
            return not_yet(at + "Each slope has a factor 1/N, and the sum over units has N terms: 1/N is left over.")
        if close(found, wanted * units**2):
            return not_yet(at + "∂f/∂w_i has a factor 1/N, for f is a mean over units; K has it twice.")
        if close(found, wanted / units):
            return not_yet(at + "One 1/N too many: the sum over units is not a mean.")
        if close(found, slopes[0] @ slopes[1] / units**2):
            return not_yet(at + "The inner product of the inputs is missing: w_i meets the loss through w_i·x.")
        if curvature and close(found, (first @ second) / units):
            return not_yet(at + "That is the kernel of a linear network; ε h has a slope as well, φ'(h) = 1 + ε h.")
        halves = [1 + curvature / 2 * weight @ point for point in (first, second)]
        if close(found, (first @ second) * (halves[0] @ halves[1]) / units**2):
            return not_yet(at + "The slope of (ε/2) h² is ε h, without the half.")
        if close(found, (first @ second) * slopes[0].mean() * slopes[1].mean() / units):
            return not_yet(at + "Multiply unit by unit and then sum; you multiplied two sums. M is not w̄ w̄ᵀ.")
        return not_yet(at + f"It should be {float(wanted):.4g}: Σ_i (1/N²) φ'(w_i·x) φ'(w_i·x') (x·x').")
    given = PolynomialNet(weight, curvature=0.3).kernel(torch.stack([first, second])).detach()[0, 0, 1]
    return right(f"And it is what the package has, {float(given):.4g}, from w̄ and M alone.")


@judged
def check_error(function: Callable[[Tensor, Tensor, Tensor], Any]) -> Verdict:
    """Exercise 70.6: E(f − y)² of f = v·x + ½ xᵀQx against y = (β·x)²/2, `error(linear, square, direction)`."""
    zero, beta = torch.zeros(3, dtype=DOUBLE), torch.tensor([1.0, -2.0, 0.5], dtype=DOUBLE)
    solved, outer = torch.outer(beta, beta), torch.diag(torch.tensor([0.5, 2.0, -1.0], dtype=DOUBLE))
    cases = ((zero, solved), (beta + 1, solved), (zero + 2, outer), (zero, 0 * solved))
    for linear, square in cases:
        parts = error_parts(linear, square, beta)
        size = len(beta)
        variance = ((beta @ beta) / size).square() / 2
        constant, misaligned, straight = (float(part * variance) for part in parts.values())
        wanted = constant + misaligned + straight
        found = ask(function, linear, square, beta)
        if found.numel() != 1:
            return not_yet(f"One number was asked for; yours has shape {tuple(found.shape)}.")
        found = found.reshape(())
        if close(found, wanted):
            continue
        if wanted == 0:
            return not_yet(f"With v = 0 and Q = ββᵀ the network is the target; yours gives {float(found):.4g}, not 0.")
        if close(found, wanted / float(variance)):
            return not_yet("That is already divided by the variance of y; the error itself was asked for.")
        if close(found, misaligned + straight):
            return not_yet("The mean of f − y counts too: E[½xᵀAx] = tr A/2D, and its square belongs to the error.")
        if close(found, constant + straight + misaligned / 2):
            return not_yet("For a standard normal u, Var(u²) is 2: ½xᵀAx has the variance ‖A‖²/2D².")
        if close(found, constant + straight + misaligned * 2):
            return not_yet("The variance of ½xᵀAx is ¼ · 2‖A‖²/D²: the half is squared.")
        if close(found, constant + misaligned):
            return not_yet("Right for v = 0. A linear form adds its own variance, ‖v‖²/D, and mixes with nothing.")
        if close(found, constant + misaligned + straight * size):
            return not_yet("x has variance 1/D in each direction: v·x has the variance ‖v‖²/D.")
        return not_yet(
            f"For v = {linear.tolist()}, Q = {[[round(x, 2) for x in row] for row in square.tolist()]} and β = "
            f"{beta.tolist()} yours is {float(found):.4g}, and {wanted:.4g} is right. Take A = Q − ββᵀ: mean squared, "
            "variance of ½xᵀAx, variance of v·x."
        )
    return right("Three parts, and only one of them knows where β points.")
