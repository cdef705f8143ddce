"""Checks for the second half of chapter 71: the simplex, the scale of its logits, the decay at which it vanishes."""

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import torch

from lossbook.exercises.verdict import Verdict, ask, close, judged, not_yet, right
from lossbook.metrics import cross_entropy_geometry, vanishing_weight_decay


@judged
def check_simplex(function: Callable[[int], Any]) -> Verdict:
    """Exercise: K unit vectors of which every two have the cosine −1/(K − 1), `simplex(classes)`, a row a vector."""
    for classes in (2, 3, 5):
        found = ask(function, classes)
        if found.ndim != 2 or len(found) != classes:
            return not_yet(
                f"For {classes} classes {classes} rows were asked for; yours has shape {tuple(found.shape)}."
            )
        products, one = found @ found.T, torch.eye(classes, dtype=torch.float64)
        if close(products, (classes * one - 1) / (classes - 1)):
            continue
        lengths = products.diagonal()
        at = f"For {classes} classes "
        if close(products, one):
            return not_yet(
                at + "yours are orthogonal: cosines 0. Their mean is not 0. Take it off, and they open further."
            )
        if close(products, one - 1 / classes):
            return not_yet(
                at + f"the angles are right and the lengths are not: each squared length is {float(lengths[0]):.3g}."
            )
        if not close(lengths, torch.ones(classes, dtype=torch.float64)):
            return not_yet(at + f"the squared lengths are {_list(lengths)}; unit vectors were asked for.")
        others = products[~one.bool()]
        widest = -1 / (classes - 1)
        if close(others, torch.full_like(others, float(others[0]))):
            return not_yet(
                at + f"every cosine is {float(others[0]):.3g}; equal, and not the least that is possible, {widest:.3g}."
            )
        return not_yet(
            at + f"the cosines reach from {float(others.min()):.3g} to {float(others.max()):.3g}, and all should be "
            f"{widest:.3g}. Begin with the rows of the identity."
        )
    return right("Their sum is 0, and that is why no K vectors can be further apart.")


@judged
def check_logit_scale(function: Callable[[int, int, float, float], Any]) -> Verdict:
    """Exercise: the α of W H̄ = α (I − 11ᵀ/K), `logit_scale(classes, size, weight_decay, feature_decay)`, M = 1."""
    cases = ((4, 10, 1e-2, 1e-2), (10, 100, 1e-3, 1e-3), (3, 20, 2e-2, 5e-3), (4, 10, 0.1, 0.1))
    for classes, size, weight_decay, feature_decay in cases:
        found = ask(function, classes, size, weight_decay, feature_decay)
        if found.numel() != 1:
            return not_yet(f"One scale was asked for; yours has shape {tuple(found.shape)}.")
        found = found.reshape(())
        outputs = cross_entropy_geometry(classes, size, weight_decay=weight_decay, feature_decay=feature_decay).outputs
        if close(found, outputs[0, 0] - outputs[0, 1]):
            continue
        at = f"For {classes} classes of {size}, λ_W = {weight_decay:g} and λ_H = {feature_decay:g}, yours is "
        at += f"{float(found):.4g}. "
        price = math.sqrt(size * weight_decay * feature_decay)
        if price * classes >= 1:
            return not_yet(at + "The slope at α = 0 is not below 0 there: it pays to stay at 0.")
        if close(found, -math.log(price)):
            return not_yet(at + "Near: e^(−α) is small beside 1 and not 0. Keep the denominator 1 + (K − 1) e^(−α).")
        if close(found, outputs[0, 0]):
            return not_yet(at + "That is the right class's score, α (1 − 1/K); α is how far the others are below it.")
        others = ((1.0, "√n is missing: each singular value of Z counts n examples"), (size, "n stands under the root"))
        for factor, words in others:
            wrong = factor * math.sqrt(weight_decay * feature_decay)
            if wrong * classes < 1 and close(found, math.log(1 / wrong - classes + 1)):
                return not_yet(at + words + ".")
        return not_yet(
            at + "Set the slope of log(1 + (K − 1) e^(−α)) + √(λ_W λ_H) α (K − 1) √n to 0, and solve for e^(−α)."
        )
    return right("The logits grow with the logarithm of 1/λ: halving both decays adds about log 2 to every margin.")


@judged
def check_vanishing(function: Callable[[int, int, float, int], Any]) -> Verdict:
    """Exercise: the weight decay that erases a class, `vanishing(size, total, feature_decay, layers)`."""
    for size, total, feature_decay, layers in ((10, 70, 1e-3, 1), (10, 70, 1e-2, 2), (30, 100, 5e-3, 3)):
        found = ask(function, size, total, feature_decay, layers)
        if found.numel() != 1:
            return not_yet(f"One weight decay was asked for; yours has shape {tuple(found.shape)}.")
        found = found.reshape(())
        sizes = (size, total - size)
        known = partial(vanishing_weight_decay, sizes, feature_decay=feature_decay)
        wanted = float(known(layers=layers)[0])
        if close(found / wanted, 1.0):
            continue
        at = f"For {size} of {total} examples, λ_H = {feature_decay:g} and M = {layers}, yours is {float(found):.4g}. "
        if close(found / float(known(layers=layers, local=True)[0]), 1.0):
            return not_yet(
                at + "There the outer minimum ends altogether. It stops being the lower of the two before: compare its "
                "value with 1, which is what 0 costs."
            )
        if close(found / float(known()[0]), 1.0):
            return not_yet(at + "Right for one layer. With more, b = M N λ_W (N λ_H)^(1/M).")
        if close(found / wanted, float(layers)) or close(found / wanted, 1 / layers):
            return not_yet(at + "Off by a factor M: one stands in b, and one in the highest price.")
        return not_yet(
            at + "A class stays as long as 1/(x^M + 1) + x b/n is below 1 somewhere, so as long as b/n is below the "
            "largest value of x^(M−1)/(x^M + 1), which is taken at x^M = M − 1."
        )
    return right("In proportion to the class's size, whatever the depth. With M ≥ 2 it goes in one jump.")


def _list(numbers: torch.Tensor) -> str:
    return ", ".join(f"{number:.3g}" for number in numbers.tolist())
