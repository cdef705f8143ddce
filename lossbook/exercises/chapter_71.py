"""Checks for the first half of chapter 71: neural collapse measured."""

from collections.abc import Callable
from typing import Any

import torch

from lossbook.exercises.verdict import Verdict, ask, close, judged, not_yet, right
from lossbook.metrics import class_means, within_class_variability

DOUBLE = torch.float64


@judged
def check_nc1(function: Callable[[torch.Tensor, torch.Tensor], Any]) -> Verdict:
    """Exercise 71.1: tr(S_W S_B⁺) of features and labels, classes of equal size, `nc1(features, labels)`."""
    generator = torch.Generator().manual_seed(0)
    for classes, units in ((3, 2), (3, 5), (4, 6)):
        labels = torch.arange(classes).repeat(8)
        features = torch.randn(len(labels), units, generator=generator, dtype=DOUBLE)
        features = features + 3 * torch.randn(classes, units, generator=generator, dtype=DOUBLE)[labels]
        wanted = within_class_variability(features, labels)
        found = ask(function, features.clone(), labels)
        if found.numel() != 1:
            return not_yet(f"One number was asked for; yours has shape {tuple(found.shape)}.")
        found = found.reshape(())
        if close(found, wanted):
            continue
        at = f"For {classes} classes and {units} units yours is {float(found):.4g}. "
        if not float(found):
            return not_yet(at + "Begin with the mean of each class and what is left of each feature without it.")
        if close(found, wanted / classes):
            return not_yet(
                at + "Too small by a factor K: either S_B is a sum over classes and should be a mean, or the trace is "
                "divided by K, as the other convention has it."
            )
        if close(found, wanted * len(labels)):
            return not_yet(at + "S_W is a mean over examples: divide by N.")
        if close(found, wanted * len(labels) / (len(labels) - classes)):
            return not_yet(at + "Divide S_W by N, not by N − K: it is a description, not an estimate.")
        if close(found, _with_total(features, labels)):
            return not_yet(at + "Your first matrix is the spread of all features about the centre, S_W + S_B.")
        means = class_means(features, labels)
        ratio = (features - means.means[labels]).square().sum() / len(labels)
        if close(found, ratio / (means.centred.square().sum() / classes)):
            return not_yet(at + "That is tr S_W over tr S_B. Spread where no means differ should not count: S_B⁺.")
        if units >= classes and float(found) > 1e3 * float(wanted):
            return not_yet(
                at + f"S_B has rank {classes - 1} at most, and you have inverted what rounding left of the rest: "
                "take the pseudo-inverse with a bound on the small eigenvalues."
            )
        return not_yet(at + "Form S_W and S_B as 5 × 5 matrices, then the pseudo-inverse of S_B, then the trace.")
    return right("And it stays the same when the features are scaled or turned: try it.")


@judged
def check_noisy_nc1(function: Callable[[int, float, float], Any]) -> Verdict:
    """Exercise 71.2: NC1 of a simplex of means with isotropic noise, `noisy_nc1(classes, length, noise)`."""
    for classes, length, noise in ((3, 2.0, 1.0), (10, 1.0, 0.2), (2, 1.0, 1.0)):
        wanted = (noise * (classes - 1) / length) ** 2
        found = ask(function, classes, length, noise)
        if found.numel() != 1:
            return not_yet(f"One number was asked for; yours has shape {tuple(found.shape)}.")
        found = found.reshape(())
        if close(found, wanted):
            continue
        at = f"For K = {classes}, m = {length:g}, s = {noise:g} yours is {float(found):.4g}. "
        if not float(found):
            return not_yet(at + "S_W is s² times the identity; what is left is the trace of S_B⁺.")
        if close(found, wanted / classes):
            return not_yet(at + "That is the convention which divides by K.")
        if close(found, wanted / (classes - 1)):
            return not_yet(at + "That is one eigenvalue of S_B⁺; there are K − 1 of them.")
        if close(found, wanted * classes / (classes - 1)):
            return not_yet(at + "The eigenvalues of S_B add up to its trace, m², and K − 1 of them are not 0.")
        if close(found**2, wanted):
            return not_yet(at + "Lengths enter squared: S_W and S_B are second moments.")
        if close(found, length**2 / noise**2 * (classes - 1) ** 2):
            return not_yet(at + "Upside down: more noise, less collapse, larger NC1.")
        return not_yet(at + "tr S_B is the mean of ‖μ_c − μ_G‖², which is m²; it is shared by K − 1 equal eigenvalues.")
    return right("Ten classes need 81 times less noise than two for the same NC1: compare runs of equal K only.")


def _with_total(features: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """The trace with the spread about the centre in place of that within classes."""
    means = class_means(features, labels)
    return within_class_variability(features, labels) + torch.linalg.matrix_rank(means.centred)
