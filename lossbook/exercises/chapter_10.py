"""Checks for the first half of chapter 10: weights, PolyLoss, label smoothing, squentropy, Taylor softmax."""

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from lossbook.catalog import find
from lossbook.exercises.verdict import Verdict, ask, close, judged, not_yet, right

P = torch.tensor([0.1, 0.5, 0.9], dtype=torch.float64)


@judged
def check_weight(function: Callable[[Any, Any], Any]) -> Verdict:
    """Exercise: the weight on p − e_y of a loss φ(p_y), `weight(p, slope)` with slope = φ'(p)."""
    losses = {"−log p": -1 / P, "1 − p": -torch.ones_like(P), "(1 − p)²/2": P - 1, "1/p": -1 / P.square()}
    for name, slope in losses.items():
        found = ask(function, P, slope)
        if found.shape != P.shape:
            return not_yet(f"A weight for each p was asked for; yours has shape {tuple(found.shape)}.")
        if close(found, -P * slope):
            continue
        at = f"For φ = {name} "
        if close(found, P * slope):
            return not_yet(at + "it has the wrong sign: φ falls where p grows, and the weight is above 0.")
        if close(found, -slope):
            return not_yet(at + "p is missing: ∂p_y/∂z_k = p_y ([k = y] − p_k), and only the bracket is in e_y − p.")
        if close(found, -P * (1 - P) * slope):
            return not_yet(at + "that is the pull on the right score. The weight is what stands before p − e_y.")
        return not_yet(at + "try the chain rule: φ'(p_y) times ∂p_y/∂z_k = p_y ([k = y] − p_k).")
    return right("So every loss of p_y alone is cross-entropy with another weight, −p φ'(p) instead of 1.")


def _rows() -> tuple[Tensor, Tensor]:
    logits = torch.tensor([[2.0, 1.0, 0.0], [-1.0, 0.5, 3.0], [0.0, 0.0, 0.0]], dtype=torch.float64)
    return logits, torch.tensor([0, 1, 2])


@judged
def check_poly_gradient(function: Callable[[Tensor, Tensor, float], Any]) -> Verdict:
    """Exercise: the gradient of Poly-1 by the scores, `poly_gradient(logits, target, epsilon)`."""
    logits, target = _rows()
    slope = partial(find("poly_loss").slope, logits, target, gamma=0.0)
    for epsilon in (0.0, 2.0, -1.0):
        found = ask(function, logits, target, epsilon)
        if found.shape != logits.shape:
            return not_yet(f"A number for each score was asked for; yours has shape {tuple(found.shape)}.")
        wanted = slope(epsilon=epsilon)
        if close(found, wanted):
            continue
        at = f"With ε = {epsilon:g} "
        apart, p = slope(epsilon=0.0), torch.softmax(logits, -1)
        if close(found, -wanted):
            return not_yet(at + "it has the wrong sign.")
        if close(found, apart):
            return not_yet(at + "that is cross-entropy's: the term ε (1 − p_y) has a gradient too.")
        if close(found, (1 + epsilon) * apart):
            return not_yet(at + "you added ε where ε p_y belongs: the slope of 1 − p_y by the scores is p_y (p − e_y).")
        if close(found, (1 + epsilon * p) * apart):
            return not_yet(at + "each class took its own probability. The weight is p_y's for the whole row.")
        return not_yet(at + "1 − p_y has the gradient p_y (p − e_y); add ε times that to p − e_y.")
    return right("One factor for the whole row, 1 + ε p_y: it grows as the row becomes sure.")


@judged
def check_best_gap(function: Callable[[float, int], Any]) -> Verdict:
    """Exercise: by how much the right score leads where smoothed labels are at rest, `best_gap(smoothing, classes)`."""
    for smoothing, classes in ((0.1, 10), (0.1, 1000), (0.4, 2)):
        found = ask(function, smoothing, classes)
        if found.numel() != 1:
            return not_yet(f"One gap was asked for; yours has shape {tuple(found.shape)}.")
        found = found.reshape(())
        low = smoothing / classes
        high = 1 - smoothing + low
        if close(found, math.log(high / low)):
            continue
        at = f"With ε = {smoothing:g} and {classes} classes yours is {float(found):.4g}. "
        if close(found, math.log((1 - smoothing) / low)):
            return not_yet(at + "The right class keeps 1 − ε and gets its own share ε/V besides.")
        if close(found, math.log((1 - smoothing) * (classes - 1) / smoothing)):
            return not_yet(at + "That is for ε spread over the V − 1 wrong classes; here it is spread over all V.")
        if close(found, -math.log(high / low)):
            return not_yet(at + "The sign is turned: the right score leads.")
        if close(found, high / low):
            return not_yet(at + "That is the ratio of the probabilities. Scores are logarithms.")
        return not_yet(at + "At rest p is the target. Take the logarithm of the ratio of its two values.")
    return right("Finite, where cross-entropy's is infinite: 4.5 for ten classes, 9.1 for a thousand.")


@judged
def check_rest(function: Callable[[float, int], Any]) -> Verdict:
    """Exercise: where squentropy holds the wrong scores, `rest(right, classes)`, the right score being given."""
    for score, classes in ((0.0, 10), (5.0, 3), (0.0, 3), (2.0, 100)):
        found = ask(function, score, classes)
        if found.numel() != 1:
            return not_yet(f"One score was asked for; yours has shape {tuple(found.shape)}.")
        found = found.reshape(())
        others = classes - 1
        logits = torch.cat([torch.tensor([score]).double(), found.expand(others)])[None]
        slope = float(find("squentropy_loss").slope(logits, torch.tensor([0]))[0, 1])
        p = float(torch.softmax(logits, -1)[0, 1])
        if abs(slope) < 1e-5 * p:
            continue
        z = float(found)
        at = f"With z_y = {score:g} and {classes} classes yours is {z:.5g}. "
        if z >= 0:
            return not_yet(at + "There the softmax pushes down and nothing pushes up: rest lies below 0.")
        for wrong, words in (
            (p + z / others, "The 2 is missing: the slope of z² is 2 z."),
            (p + 2 * z, "The mean over the V − 1 wrong classes is missing in the spring."),
            (others * p + 2 * z / others, "You let one score bear the push on all of them: each has its own p_j."),
        ):
            if abs(wrong) < 1e-5 * p:
                return not_yet(at + words)
        way = "the spring is stronger there: go up" if slope < 0 else "the push is stronger there: go down"
        return not_yet(at + f"The slope is {slope:.3g}, not 0; {way}.")
    return right("A little below 0, and nearer to it the larger the lead: an anchor that does not tie the right score.")


@judged
def check_taylor_gradient(function: Callable[[Tensor, Tensor], Any]) -> Verdict:
    """Exercise: the gradient of the Taylor softmax loss by the scores, `taylor_gradient(logits, target)`."""
    logits, target = _rows()
    found = ask(function, logits, target)
    if found.shape != logits.shape:
        return not_yet(f"A number for each score was asked for; yours has shape {tuple(found.shape)}.")
    wanted = find("taylor_softmax_loss").slope(logits, target)
    if close(found, wanted):
        return right(
            "Where softmax's push is p_j itself, this one is p_j (1 + z_j)/(1 + z_j + z_j²/2): it may turn round."
        )
    size = 1 + logits + logits.square() / 2
    p, y = size / size.sum(-1, keepdim=True), one_hot(target, 3)
    if close(found, -wanted):
        return not_yet("It has the wrong sign.")
    if close(found, p - y):
        return not_yet("p − e_y is softmax's: exp is its own slope. The slope of 1 + z + z²/2 is 1 + z.")
    if close(found, torch.softmax(logits, -1) - y):
        return not_yet("That is softmax's gradient; here p_j is the share of 1 + z_j + z_j²/2.")
    if close(found, (1 + logits) / size.sum(-1, keepdim=True)):
        return not_yet("The first half is right. The right class has −(1 + z_y)/(1 + z_y + z_y²/2) besides.")
    return not_yet("ℓ = log Σ s_j − log s_y with s = 1 + z + z²/2, so s'_j/Σ s − [j = y] s'_y/s_y.")
