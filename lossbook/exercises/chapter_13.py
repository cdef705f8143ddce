"""Checks for chapter 13, its first half: a step of PGD, the pull of a margin, the number to publish, a band's side."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from lossbook.exercises.verdict import Verdict, ask, close, judged, not_yet, right
from lossbook.losses import probability_margin_loss

PROBABILITIES = ((0.6, 0.3, 0.1), (0.05, 0.15, 0.7, 0.1), (0.25, 0.35, 0.4))


@judged
def check_one_step(function: Callable[..., Any]) -> Verdict:
    """Exercise: a step of projected gradient ascent, `one_step(moved, gradient, clean, radius, size)`."""
    clean = torch.tensor([0.50, 0.50, 0.05, 0.95, 0.50, 0.50], dtype=torch.float64)
    moved = torch.tensor([0.55, 0.58, 0.02, 0.97, 0.42, 0.50], dtype=torch.float64)
    gradient = torch.tensor([2.0, 0.1, -3.0, 0.4, -0.01, 0.0], dtype=torch.float64)
    radius, size = 0.1, 0.15
    found = ask(function, moved, gradient, clean, radius, size)
    if found.shape != clean.shape:
        return not_yet(f"A point of shape {tuple(clean.shape)} was asked for; yours has shape {tuple(found.shape)}.")
    free = moved + size * gradient.sign()
    boxed = free.clamp(clean - radius, clean + radius)
    if close(found, boxed.clamp(0, 1)):
        return right("Signs for the step, two clips for the rules.")
    around = (clean - radius, clean + radius)
    for slip, words in (
        (free, "Nothing keeps it in the box: the second coordinate is 0.73, and its box ends at 0.6."),
        (boxed, "The box is kept and the pixels are not: the third is below 0, the fourth above 1."),
        (free.clamp(0, 1), "The pixels are kept and the box is not: the second is 0.73, and its box ends at 0.6."),
        (free.clamp(moved - radius, moved + radius).clamp(0, 1), "The box is around the clean input, not around you."),
        ((moved - size * gradient.sign()).clamp(*around).clamp(0, 1), "The sign: attacks go up."),
        (
            (moved + size * gradient).clamp(*around).clamp(0, 1),
            "Signs alone: steep coordinates go no further than flat.",
        ),
    ):
        if close(found, slip):
            return not_yet(words)
    return not_yet(f"For the point {_list(moved)} the next one is {_list(boxed.clamp(0, 1))}; yours is {_list(found)}.")


@judged
def check_robust_share(function: Callable[[Tensor, Tensor], Any]) -> Verdict:
    """Exercise: accuracy under several attacks, `robust_share(clean, attacked)`."""
    clean = torch.tensor([True, True, True, True, False])
    attacked = torch.tensor([[True, False, True, True, True], [True, True, False, True, True]])
    found = ask(function, clean, attacked)
    if found.numel() != 1:
        return not_yet(f"One share was asked for; yours has shape {tuple(found.shape)}.")
    value = float(found)
    if abs(value - 0.4) < 1e-6:
        return right("An upper bound still: the next attack can only lower it.")
    for slip, words in (
        (0.8, "That is what the better of the attacks leaves, all images together. It is chosen image by image."),
        (0.6, "One image was judged wrong untouched, and counts as wrong under every attack."),
        (1.0, "An image withstands when *every* attack leaves it right, not when one does."),
        (2 / 4, "Of all images, not of those that were right to begin with."),
    ):
        if abs(value - slip) < 1e-6:
            return not_yet(words)
    return not_yet(
        "Five images, one wrong untouched, one turned by each of two attacks: two of five withstand, 0.4; yours is "
        f"{value:.3g}."
    )


@judged
def check_margin_pull(function: Callable[[Tensor, int], Any]) -> Verdict:
    """Exercise: the gradient of p_t − p_y by the scores, from the probabilities alone, `margin_pull(p, y)`."""
    for numbers in PROBABILITIES:
        p = torch.tensor(numbers, dtype=torch.float64)
        for y in range(len(p)):
            found = ask(function, p, y)
            if found.shape != p.shape:
                return not_yet(f"One number a class was asked for; yours has shape {tuple(found.shape)}.")
            wanted, rival = _margin_pull(p, y), int(_others(p, y).argmax())
            if close(found, wanted):
                continue
            at = f"For p = {_list(p)} and y = {y} the gradient is {_list(wanted)}; yours is {_list(found)}. "
            one = torch.eye(len(p), dtype=torch.float64)
            if close(found, -wanted):
                return not_yet(at + "The sign: the attack goes up, and up means a smaller p_y.")
            if close(found, one[rival] - one[y]):
                return not_yet(at + "That is the margin of the scores; probabilities move less where they are sure.")
            if close(found, p[y] * (p - one[y])):
                return not_yet(at + "That is −p_y alone. The rival's p_t moves too.")
            if close(found, p - one[y]):
                return not_yet(at + "That is cross-entropy's. Each half is weighted by its own probability.")
            top = int(p.argmax())
            if top == y and close(found, torch.zeros_like(p)):
                return not_yet(at + "The rival is the best *wrong* class; yours is the best class, which is y.")
            if abs(float(found.sum())) > 1e-9:
                return not_yet(
                    at + "Yours does not sum to 0, and probabilities do not see a common shift of the scores."
                )
            return not_yet(at + "Begin with ∂p_k/∂z_j = p_k ([j = k] − p_j), for k = t and for k = y.")
    return right("Cross-entropy of y and of its rival in one, each as much as it is believed.")


@judged
def check_side(function: Callable[[float, float, float, float, float], Any]) -> Verdict:
    """Exercise: the sign s of ConvergeSmooth, `side(loss, last, before, widest, narrowest)`."""
    cases = (
        (1.50, 1.0, 1.0, 0.1, 0.02),  # above the band
        (0.50, 1.0, 1.0, 0.1, 0.02),  # below it
        (1.01, 1.0, 1.0, 0.1, 0.02),  # inside the narrowest
        (1.05, 1.0, 0.92, 0.1, 0.02),  # the loss has risen by 0.08: the band is as wide
        (1.05, 1.0, 1.08, 0.1, 0.02),  # the loss has fallen: the band is at its narrowest
        (1.20, 1.0, 0.5, 0.1, 0.02),  # a rise of 0.5 is cut to the widest
    )
    for case in cases:
        loss, last, before, widest, narrowest = case
        found = ask(function, *case)
        if found.numel() != 1:
            return not_yet(f"One sign was asked for; yours has shape {tuple(found.shape)}.")
        wanted = _side(*case)
        if float(found) == wanted:
            continue
        at = f"Loss {loss:g}, means {last:g} and {before:g} before it, band between {narrowest:g} and {widest:g}: "
        at += f"the side is {wanted:g}, yours is {float(found):g}. "
        if wanted and float(found) == -wanted:
            return not_yet(at + "The sign: a loss that is too high is added, so that it falls.")
        if wanted and float(found) == 0 and last - before > widest:
            return not_yet(at + "The band is never wider than γ_max.")
        if wanted and float(found) == 0 and last < before:
            return not_yet(at + "A loss that has fallen gives a negative change; γ is then γ_min, not its size.")
        if not wanted and last - before > narrowest:
            return not_yet(at + "The loss rose by more than γ_min in the last epoch: the band is as wide as that.")
        return not_yet(at + "s is the sign of L − L̄ where the distance is above γ, and 0 elsewhere.")
    return right("Only the change of the loss matters here, never its height.")


def _margin_pull(p: Tensor, y: int) -> Tensor:
    """By autograd, at scores that have these probabilities."""
    scores = p.log()[None].requires_grad_()
    (found,) = torch.autograd.grad(probability_margin_loss(scores, torch.tensor([y])), scores)
    return found[0]


def _others(p: Tensor, y: int) -> Tensor:
    others = p.clone()
    others[y] = -1.0
    return others


def _side(loss: float, last: float, before: float, widest: float, narrowest: float) -> float:
    gamma = min(max(narrowest, last - before), widest)
    return 0.0 if abs(loss - last) <= gamma else (1.0 if loss > last else -1.0)


def _list(numbers: Tensor) -> str:
    return "(" + ", ".join(f"{number:.3g}" for number in numbers.tolist()) + ")"
