"""Checks for the first half of chapter 72: windowed forgetting, projected gradients, and when they are needed."""

from collections.abc import Callable
from typing import Any

import torch

from lossbook.exercises.verdict import Verdict, ask, close, judged, not_yet, right
from lossbook.metrics import windowed_forgetting, windowed_plasticity
from lossbook.training import a_gem_projection

DOUBLE = torch.float64
CURVES = (
    ((0.4, 0.6, 0.9, 0.8, 0.7, 0.65, 0.85), (2, 3, 10)),
    ((0.2, 0.5, 0.9, 0.9), (2, 10)),
    ((0.5, 0.9, 0.6, 0.95, 0.4), (2, 4)),
    ((0.7,), (1, 10)),
)


@judged
def check_windowed_forgetting(function: Callable[[torch.Tensor, int], Any]) -> Verdict:
    """Exercise 72.1: the largest fall of accuracy among any D evaluations in a row, `windowed(curve, window)`."""
    for numbers, windows in CURVES:
        curve = torch.tensor(numbers, dtype=DOUBLE)
        for window in windows:
            found = ask(function, curve.clone(), window)
            wanted = float(windowed_forgetting(curve.numpy(), window))
            if found.numel() != 1:
                return not_yet(f"One number was asked for; yours has shape {tuple(found.shape)}.")
            found = found.reshape(())
            if close(found, wanted):
                continue
            at = f"For {list(numbers)} and a window of {window} yours is {float(found):.3g}. "
            if close(found, -wanted):
                return not_yet(at + "The sign is turned round: a fall of 0.3 is a forgetting of 0.3.")
            if wanted == 0 and float(found) < 0:
                return not_yet(at + "Where accuracy never falls, nothing is forgotten: 0 is the least.")
            if close(found, float(windowed_plasticity(curve.numpy(), window))):
                return not_yet(at + "That is the largest rise. Here the higher accuracy comes first.")
            if close(found, float(curve.max() - curve.min())):
                return not_yet(at + "That is highest minus lowest, whichever came first and however far apart.")
            if close(found, max(0.0, float(curve[0] - curve[-1]))):
                return not_yet(at + "That is first minus last, which is what evaluation at the ends sees.")
            if close(found, float(windowed_forgetting(curve.numpy(), window + 1))):
                return not_yet(at + f"{window} evaluations in a row hold pairs that are at most {window - 1} apart.")
            if close(found, float(windowed_forgetting(curve.numpy(), 10))):
                return not_yet(at + "That is the largest fall of the whole curve; mind the window.")
            return not_yet(at + f"It is {wanted:.3g}: the maximum of A_i − A_j over i < j < i + {window}.")
    return right("A long window also sees slow forgetting; a short one only what happens at once.")


@judged
def check_projection(function: Callable[[torch.Tensor, torch.Tensor], Any]) -> Verdict:
    """Exercise 72.2: the gradient without its part against the reference, `project(gradient, reference)`."""
    cases = (((1.0, -2.0, 0.5), (0.0, 3.0, 4.0)), ((1.0, 2.0, 0.0), (2.0, 1.0, 0.0)), ((-1.0, 0.0), (2.0, 0.0)))
    for first, second in cases:
        gradient, reference = torch.tensor(first, dtype=DOUBLE), torch.tensor(second, dtype=DOUBLE)
        found = ask(function, gradient.clone(), reference.clone())
        wanted = a_gem_projection(gradient, reference)
        if close(found, wanted):
            continue
        if found.shape != wanted.shape:
            return not_yet(f"A gradient of shape {tuple(wanted.shape)} was asked for; yours: {tuple(found.shape)}.")
        at = f"For g = {list(first)} and r = {list(second)}: "
        product, square = gradient @ reference, reference @ reference
        if product >= 0 and close(found, gradient - product / square * reference):
            return not_yet(at + "the two agree, and a step that helps the old task should stay as it is.")
        if close(found, gradient):
            return not_yet(at + f"⟨g, r⟩ is {float(product):g}, so a step along −g raises the old loss. Yours left it.")
        if close(found, gradient + product / square * reference):
            return not_yet(at + "the sign is turned round: you doubled the conflict.")
        if close(found, gradient - product / square.sqrt() * reference):
            return not_yet(at + "divide by ⟨r, r⟩, not by its root: r itself is not a unit vector.")
        if close(found, gradient - product * reference):
            return not_yet(at + "r is not a unit vector: divide by ⟨r, r⟩.")
        if float(found @ reference) < -1e-9:
            return not_yet(at + f"your ⟨g*, r⟩ is {float(found @ reference):.3g}; it should be 0 or more.")
        return not_yet(at + "yours no longer conflicts, but it is not the nearest such vector to g.")
    return right("The nearest vector that does not conflict; and where nothing conflicts, the gradient itself.")


@judged
def check_conflict(function: Callable[[float], Any]) -> Verdict:
    """Exercise 72.3: g = w g_new + (1 − w) g_old conflicts when ⟨g_new, g_old⟩ < −c ‖g_old‖²; the c of w."""
    for weight in (0.5, 1 / 3, 0.2, 1.0):
        found, wanted = ask(function, weight), (1 - weight) / weight
        if found.numel() != 1:
            return not_yet(f"One number was asked for; yours has shape {tuple(found.shape)}.")
        found = found.reshape(())
        if close(found, wanted):
            continue
        at = f"For w = {weight:.3g} yours is {float(found):.3g}. "
        if close(found, -wanted):
            return not_yet(at + "Mind the sign: the condition already has the minus.")
        if weight < 1 and close(found, weight / (1 - weight)):
            return not_yet(at + "Turned over: the more the old tasks weigh, the harder it is to conflict with them.")
        if close(found, 1 - weight):
            return not_yet(at + "Divide by the weight of the new gradient as well.")
        if not float(found):
            return not_yet(at + "That is the condition for the new gradient alone, w = 1.")
        if close(found, 1.0):
            return not_yet(at + "That is right for w = 1/2.")
        return not_yet(at + "Write ⟨g, g_old⟩ = w ⟨g_new, g_old⟩ + (1 − w) ‖g_old‖² and ask when it is below 0.")
    return right("With k tasks of equal weight c is k − 1: the joint gradient brings its own protection.")
