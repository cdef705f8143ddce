"""Checks for the first half of chapter 11: the price of a lie, an error in bins, and a smooth one."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from lossbook.exercises.verdict import Verdict, ask, close, judged, not_yet, right
from lossbook.metrics import expected_calibration_error, reliability_bins, smooth_ece_at

TRUTH = torch.tensor([0.7, 0.2, 0.1], dtype=torch.float64)
REPORTS = ((0.7, 0.2, 0.1), (0.5, 0.3, 0.2), (0.1, 0.1, 0.8))


@judged
def check_spherical_excess(function: Callable[[Tensor, Tensor], Any]) -> Verdict:
    """Exercise: what a report costs beyond the truth under the spherical score, `spherical_excess(truth, report)`."""
    for numbers in REPORTS:
        report = torch.tensor(numbers, dtype=torch.float64)
        found = ask(function, TRUTH, report)
        if found.numel() != 1:
            return not_yet(f"One price was asked for; yours has shape {tuple(found.shape)}.")
        found, length = found.reshape(()), TRUTH.norm()
        cosine = (TRUTH * report).sum() / length / report.norm()
        wanted = length * (1 - cosine)
        if close(found, wanted):
            continue
        at = f"For the truth {_list(TRUTH)} and the report {_list(report)} yours is {float(found):.4g}. "
        if close(found, 1 - length * cosine):
            return not_yet(at + "That is the whole expected charge. The truth itself costs 1 − ‖π‖: take it off.")
        if close(found, 1 - cosine):
            return not_yet(at + "The angle is right. How much it weighs depends on ‖π‖.")
        if close(found, -wanted):
            return not_yet(at + "A lie costs, so the price is not below 0: which of the two is taken from which?")
        if close(found, (TRUTH - report).square().sum()):
            return not_yet(at + "That is Brier's price, a squared distance. Here it is an angle.")
        if close(found, (TRUTH * (TRUTH / report).log()).sum()):
            return not_yet(at + "That is the logarithm's price, KL(π ‖ p).")
        return not_yet(at + "Write down Σ π_k (1 − p_k/‖p‖), and take off the same with p = π.")
    return right("The spherical score cares about the direction of p alone: its length it cannot see.")


@judged
def check_binned_error(function: Callable[[Tensor, Tensor, int], Any]) -> Verdict:
    """Exercise: binned ECE, `binned_error(confidence, correct, bins)`."""
    generator = torch.Generator().manual_seed(0)
    confidence, chance = torch.rand(2, 400, generator=generator, dtype=torch.float64)
    confidence = (32 * confidence).round() / 32  # edges of bins are among them, and 0 and 1
    correct = (chance < 0.3 + 0.4 * confidence).double()
    for bins in (4, 8, 3):
        found = ask(function, confidence, correct, bins)
        if found.numel() != 1:
            return not_yet(f"One error was asked for; yours has shape {tuple(found.shape)}.")
        found = found.reshape(())
        if close(found, expected_calibration_error(confidence, correct, bins=bins)):
            continue
        at = f"In {bins} bins yours is {float(found):.4g}. "
        known = reliability_bins(confidence, correct, bins=bins)
        if close(found, known.gap.abs().mean()):
            return not_yet(at + "The bins count alike there. A bin counts by its share of the predictions, n_b/n.")
        if close(found, (confidence - correct).abs().mean()):
            return not_yet(at + "That is the mean of |c − t|: first the mean in each bin, then the absolute value.")
        if close(found, (confidence - correct).mean().abs()):
            return not_yet(at + "That is one bin for all: the gaps of bins must not cancel each other.")
        if close(found, (known.share * known.gap.square()).sum()):
            return not_yet(at + "The squares of the gaps are the reliability of Brier's score. ECE takes their size.")
        if close(found, _lower_edges(confidence, correct, bins)):
            return not_yet(at + "Your bins hold their lower edges. Here a bin holds its upper one, the first 0 too.")
        if close(found, known.gap.abs().max()):
            return not_yet(at + "That is the worst bin. The mean over predictions was asked for.")
        return not_yet(at + "Which bin is c in? With upper edges it is ⌈c · bins⌉, and 1 for c = 0.")
    return right("One line more, and it is the reliability diagram.")


@judged
def check_smooth_error(function: Callable[[Tensor, Tensor, float], Any]) -> Verdict:
    """Exercise: smooth ECE at a fixed width, `smooth_error(confidence, correct, width)`."""
    confidence = torch.tensor([0.03, 0.1, 0.4, 0.55, 0.9, 0.98], dtype=torch.float64)
    correct = torch.tensor([1.0, 0.0, 1.0, 0.0, 1.0, 0.0], dtype=torch.float64)
    for width in (0.05, 0.2, 0.5):
        found = ask(function, confidence, correct, width)
        if found.numel() != 1:
            return not_yet(f"One error was asked for; yours has shape {tuple(found.shape)}.")
        found = found.reshape(())
        if close(found, float(smooth_ece_at(confidence, correct, bandwidth=width)), 2e-3):
            continue
        at = f"At width {width:g} yours is {float(found):.4g}. "
        for absolute, words in (
            (False, "Some of the mass has left the interval. Fold it back: add the images −c and 2 − c, and theirs."),
            (True, "Absolute values first, and smoothing changes nothing. Smooth c − t, then take them."),
        ):
            if close(found, _on_the_line(confidence, correct, width, absolute=absolute), 2e-3):
                return not_yet(at + words)
        if close(found, (confidence - correct).abs().mean(), 2e-3):
            return not_yet(at + "That is the mean of |c − t|, without any smoothing. Smooth c − t first.")
        if close(found, (confidence - correct).mean().abs(), 2e-3):
            return not_yet(at + "That is |mean (c − t)|: the absolute value stands inside of the integral.")
        if close(found / len(confidence), float(smooth_ece_at(confidence, correct, bandwidth=width)), 2e-3):
            return not_yet(at + "The mean over predictions was asked for: divide by n.")
        return not_yet(at + "Σ K(u, c)(c − t)/n at each point u of the mesh, its absolute value, the mean over u.")
    return right("A wide kernel gives |mean (c − t)|, a narrow one the mean of |c − t| over forecasts that differ.")


def _lower_edges(confidence: Tensor, correct: Tensor, bins: int) -> Tensor:
    place = (confidence * bins).floor().long().clamp(max=bins - 1)
    sums = torch.zeros(bins, dtype=confidence.dtype).index_add(0, place, confidence - correct)
    return sums.abs().sum() / len(confidence)


def _on_the_line(confidence: Tensor, correct: Tensor, width: float, *, absolute: bool) -> Tensor:
    """Smoothed by a Gaussian that leaves the interval."""
    mesh = (torch.arange(1000, dtype=torch.float64) + 0.5) / 1000
    normal = torch.distributions.Normal(confidence, width)
    residual = confidence - correct
    kernel = normal.log_prob(mesh[:, None]).exp()
    return (kernel @ (residual.abs() if absolute else residual)).abs().mean() / len(confidence)


def _list(numbers: Tensor) -> str:
    return "(" + ", ".join(f"{number:g}" for number in numbers.tolist()) + ")"
