"""Checks for the second half of chapter 10: a temperature, the factor of many draws, a slope dealt out, a floor."""

import math
from collections.abc import Callable
from typing import Any

import torch

from lossbook.exercises.verdict import Verdict, ask, close, judged, not_yet, right
from lossbook.training.loss_ensemble import LEAST, slopes_of


def _divergence(q: torch.Tensor) -> float:
    """From the even distribution, in nats."""
    return math.log(len(q)) - float(torch.special.entr(q).sum())


@judged
def check_temperature(function: Callable[[torch.Tensor, float, float], Any]) -> Verdict:
    """Exercise: the λ that maximises −λ KL(q‖1/V) − α log V (λ − λ₀)²/(2 λ₀), `temperature(q, start, alpha)`."""
    cases = (((0.6, 0.39, 0.01), 1.0, 2.0), ((0.25,) * 4, 3.0, 1.5), ((0.7, 0.1, 0.1, 0.05, 0.05), 10.0, 4.0))
    for numbers, start, alpha in cases:
        q = torch.tensor(numbers, dtype=torch.float64)
        found = ask(function, q, start, alpha)
        if found.numel() != 1:
            return not_yet(f"One temperature was asked for; yours has shape {tuple(found.shape)}.")
        found, apart, size = found.reshape(()), _divergence(q), math.log(len(q))
        wanted = start * (1 - apart / (alpha * size))
        if close(found, wanted, 1e-5):
            continue
        at = f"At q = {list(numbers)}, λ₀ = {start:g}, α = {alpha:g} yours is {float(found):.4g}. "
        if close(found, start * (1 + apart / (alpha * size)), 1e-5):
            return not_yet(
                at + "That is above λ₀. The divergence has a minus in front of it: the surer q, the lower λ."
            )
        if close(found, start * (1 - apart / alpha), 1e-5):
            return not_yet(at + "The log V of the penalty is missing: it makes the lowest λ the same for any V.")
        if close(found, start * (1 - apart / size), 1e-5):
            return not_yet(at + "α is missing.")
        if close(found, start - apart / (alpha * size), 1e-5):
            return not_yet(at + "Off by λ₀: the penalty is divided by 2 λ₀, so its slope has λ₀ below it.")
        if close(found, start * (1 - (size - apart) / (alpha * size)), 1e-5):
            return not_yet(at + "You used the entropy. The divergence from even is log V less the entropy.")
        return not_yet(at + "Set the derivative by λ to 0: −KL − (α log V/λ₀)(λ − λ₀) = 0.")
    return right("Between λ₀ (1 − 1/α) for a q that is sure and λ₀ for an even one.")


@judged
def check_factor(function: Callable[[torch.Tensor, int], Any]) -> Verdict:
    """Exercise: what the gradient of cross-entropy is multiplied by, `factor(p, samples)`."""
    p = torch.tensor([0.01, 0.1, 0.5, 0.9], dtype=torch.float64)
    for samples in (1, 4, 64):
        found = ask(function, p, samples)
        if found.shape != p.shape:
            return not_yet(f"One number for each p was asked for; yours has shape {tuple(found.shape)}.")
        covered = 1 - (1 - p) ** samples
        wanted = samples * (1 - p) ** (samples - 1) * p / covered
        if close(found, wanted):
            continue
        at = f"At N = {samples} yours is {', '.join(f'{value:.3g}' for value in found.tolist())}. "
        if close(found, wanted / p):
            return not_yet(at + "That is the slope by p. Cross-entropy's own is 1/p: by log p a factor p comes in.")
        if close(found, -wanted):
            return not_yet(at + "The sign: the factor multiplies p − e_y, and both losses pull the same way.")
        if close(found, wanted / samples):
            return not_yet(at + "The N of the derivative of the power is missing.")
        if close(found, wanted * covered):
            return not_yet(at + "The logarithm has a derivative too: divide by the coverage, 1 − (1 − p)^N.")
        if close(found, samples * (1 - p) ** samples * p / covered):
            return not_yet(at + "The power falls by one when it is differentiated.")
        return not_yet(at + "Differentiate −log(1 − (1 − p)^N) by log p: times p of what it is by p.")
    return right("From 1 at p = 0 to 0 at p = 1: who is sure enough for N draws is left alone.")


@judged
def check_deal(function: Callable[[torch.Tensor, torch.Tensor], Any]) -> Verdict:
    """Exercise: sizes G dealt out as slopes, `deal(margin, sizes)`, without the 10⁻⁶."""
    margin = torch.tensor([2.0, -1.0, 0.5, 4.0, 0.9], dtype=torch.float64)
    sizes = torch.tensor([0.3, 2.5, 0.05, 1.4, 0.6], dtype=torch.float64)
    found, wanted = ask(function, margin, sizes), slopes_of(margin, sizes) + LEAST
    if found.shape != margin.shape:
        return not_yet(f"One slope for each margin was asked for; yours has shape {tuple(found.shape)}.")
    if close(found, wanted):
        return right("Non-decreasing, negative, and dying beyond 1: some convex loss has this slope.")
    order, cut = margin.argsort(), sizes.clamp(max=1.0)
    tail = margin.clamp(min=1.0)
    at = f"For margins {margin.tolist()} yours are {[round(value, 3) for value in found.tolist()]}. "
    if close(found, -wanted):
        return not_yet(at + "Slopes are negative: a larger margin costs less.")
    if close(found, wanted * tail):
        return not_yet(at + "Beyond a margin of 1 the slope is divided by the margin.")
    uncut = torch.zeros_like(margin).scatter(0, order, -sizes.sort(descending=True).values)
    if close(found, uncut / tail) or close(found, uncut):
        return not_yet(at + "No slope is steeper than −1: cut the sizes off there.")
    rising = torch.zeros_like(margin).scatter(0, order, -cut.sort().values)
    if close(found, rising / tail) or close(found, rising):
        return not_yet(
            at + "The steepest belongs to the smallest margin; yours go the other way, and that loss is not convex."
        )
    if close(found, -cut / tail) or close(found, -cut):
        return not_yet(at + "Every margin got the size at its own place. Sort both.")
    return not_yet(
        at + "Cut the sizes at 1, sort them, give the largest to the smallest margin, divide by s where s > 1."
    )


@judged
def check_floor(function: Callable[[float, float, float], Any]) -> Verdict:
    """Exercise: the η at which a picture of likelihood p weighs w, `floor(likelihood, weight, gamma)`."""
    for p, weight, gamma in ((0.5, 0.6, 5.0), (0.9, 0.5, 2.0), (1.0, 0.75, 5.0)):
        found = ask(function, p, weight, gamma)
        if found.numel() != 1:
            return not_yet(f"One η was asked for; yours has shape {tuple(found.shape)}.")
        found, rest = found.reshape(()), (1 - p) ** gamma
        wanted = (weight - rest) / (1 - weight)
        if close(found, wanted):
            continue
        at = f"For p = {p:g}, w = {weight:g}, γ = {gamma:g} yours is {float(found):.4g}. "
        if close(found, -wanted):
            return not_yet(at + "The sign: bring η to one side, w − (1 − p)^γ = η (1 − w).")
        if close(found, weight - rest):
            return not_yet(at + "You left out the η + 1 below the weight.")
        if close(found, weight / (1 - weight)):
            return not_yet(at + "That is the floor's own weight, at p = 1. A picture with p < 1 has (1 − p)^γ besides.")
        if close(found, (weight - p**gamma) / (1 - weight)):
            return not_yet(at + "The power is of 1 − p: what is common counts less.")
        if close(found, (weight - rest) / (1 + weight)):
            return not_yet(at + "1 − w below, not 1 + w: put your η back into the formula.")
        return not_yet(at + "Solve w (η + 1) = η + (1 − p)^γ for η.")
    return right("No picture weighs less than η/(η + 1), however common it looks.")
