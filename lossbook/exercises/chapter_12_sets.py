"""Checks for the second half of chapter 12: soft F1, where DSC turns round, the pull of Dice, soft top-k."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from lossbook.exercises.verdict import Verdict, ask, close, judged, not_yet, right
from lossbook.losses._top_k import soft_top_k

P = torch.tensor([0.9, 0.6, 0.45, 0.2, 0.55], dtype=torch.float64)
Y = torch.tensor([1.0, 1.0, 0.0, 0.0, 0.0], dtype=torch.float64)


@judged
def check_soft_f1(function: Callable[[Tensor, Tensor, float], Any]) -> Verdict:
    """Exercise: F1 of the soft decisions σ(L (p − 1/2)), `soft_f1(p, y, sharpness)`."""
    for sharpness in (5.0, 73.0):
        found = ask(function, P, Y, sharpness)
        if found.numel() != 1:
            return not_yet(f"One number for the whole set was asked for; yours has shape {tuple(found.shape)}.")
        found = found.reshape(())
        a = torch.sigmoid(sharpness * (P - 0.5))
        wanted = 2 * (Y * a).sum() / (Y.sum() + a.sum())
        if close(found, wanted):
            continue
        at = f"At L = {sharpness:g} the answer is {float(wanted):.6g}, and yours is {float(found):.6g}. "
        hit, called = (Y * a).sum(), a.sum()
        slips = (
            (1 - wanted, "That is the loss; the score itself was asked for."),
            (2 * (Y * P).sum() / (Y.sum() + P.sum()), "You filled the counts with p itself: make decisions a first."),
            (hit / called, "That is the precision, TP/Σa. F1 has 2 TP over Σy + Σa."),
            (hit / Y.sum(), "That is the recall, TP/Σy. F1 has 2 TP over Σy + Σa."),
            (hit / (Y.sum() + called), "The factor 2 is missing: of a perfect set yours is 1/2."),
            (2 * (Y * torch.sigmoid(sharpness * P)).sum() / (Y.sum() + torch.sigmoid(sharpness * P).sum()),
             "A decision turns over at p = 1/2: subtract it before you multiply by L."),
        )  # fmt: skip
        for value, words in slips:
            if close(found, value):
                return not_yet(at + words)
        return not_yet(at + "Fill TP = Σ y a, and divide twice that by Σ y + Σ a.")
    return right(
        "Nothing else changes from one metric to the next: the counts are soft, and the formula is the metric's."
    )


@judged
def check_turning_point(function: Callable[[float], Any]) -> Verdict:
    """Exercise: the p beyond which DSC pushes a positive down, `turning_point(alpha)`."""
    for alpha in (1.0, 2.0, 0.5):
        found = ask(function, alpha)
        if found.numel() != 1:
            return not_yet(f"One probability was asked for; yours has shape {tuple(found.shape)}.")
        value = float(found.reshape(()))
        if close(found.reshape(()), 1 / (1 + alpha)):
            continue
        at = f"At α = {alpha:g} yours is {value:.4g}. "
        if close(found.reshape(()), 0.5):
            return not_yet(at + "A half is right for α = 1 alone.")
        if close(found.reshape(()), alpha / (1 + alpha)):
            return not_yet(at + "That is where 1 − p is 1/(1 + α): p and 1 − p are exchanged.")
        if close(found.reshape(()), 1 / alpha):
            return not_yet(at + "Near: the product rule gives (1 − p) − α p, not 1 − α p.")
        if not 0 < value < 1:
            return not_yet(at + "A probability between 0 and 1 was asked for.")
        u, further = ((1 - p) ** alpha * p for p in (value, value + 1e-3))
        way = "still grows" if further > u else "already falls"
        return not_yet(at + f"There u = (1 − p)^α p {way}. Where is it largest?")
    return right("The larger α, the sooner: at α = 2 every positive above one third is pushed down.")


@judged
def check_dice_slope(function: Callable[[Tensor, Tensor], Any]) -> Verdict:
    """Exercise: the slope of the Dice loss (ε = 0) by each p, `dice_slope(p, y)`."""
    for p, y in ((P, Y), (P[[0, 2, 3]], torch.tensor([1.0, 0.0, 1.0]).double())):
        found = ask(function, p, y)
        if found.shape != p.shape:
            return not_yet(f"A slope for each of {len(p)} numbers was asked for; yours has shape {tuple(found.shape)}.")
        whole, shared = (p + y).sum(), (p * y).sum()
        wanted = (2 * shared - 2 * y * whole) / whole**2
        if close(found, wanted):
            continue
        slips = (
            (-wanted, "The sign is that of the overlap; the loss is one minus it."),
            (wanted / 2, "A factor 2 is missing: the numerator is 2 Σ p y."),
            (wanted * p * (1 - p), "That is the slope by the logits; by p itself the factor p (1 − p) is not there."),
            (-2 * y / whole, "The denominator holds p as well: its part of the quotient rule is missing."),
            (2 * shared / whole**2 * torch.ones_like(p), "The numerator holds p as well, where y = 1."),
        )
        for value, words in slips:
            if close(found, value):
                return not_yet(words)
        return not_yet(
            "With I = Σ p y and S = Σ p + Σ y the loss is 1 − 2 I/S. Differentiate I and S, then the quotient."
        )
    return right("Every negative has the same slope, 2 I/S², however small its p: the loss sees the set, not the cell.")


@judged
def check_soft_top_k(function: Callable[[Tensor, float], Any]) -> Verdict:
    """Exercise: memberships σ(s + t) that add up to k, `memberships(scores, k)`."""
    for scores, k in (([2.0, 1.0, 0.0, -1.0], 2.0), ([5.0, 4.5, 4.0, 3.0, -7.0], 3.0), ([0.3, 0.2, 0.1], 0.5)):
        given = torch.tensor(scores, dtype=torch.float64)
        found = ask(function, given, k)
        if found.shape != given.shape:
            return not_yet(f"A membership for each of {len(given)} scores was asked for; yours: {tuple(found.shape)}.")
        wanted = soft_top_k(given, k)
        if close(found, wanted, 1e-5):
            continue
        hard = torch.zeros_like(given).scatter(0, given.topk(max(1, int(k))).indices, 1.0)
        at = f"For the scores {scores} and k = {k:g}: "
        if close(found, hard):
            return not_yet(at + "yours are 0 or 1, which is top-k without a slope. A sigmoid is wanted.")
        if close(found, k * torch.softmax(given, 0)):
            return not_yet(at + "k times the softmax adds up to k as well, but may pass 1. A membership may not.")
        if close(found, torch.sigmoid(given)):
            return not_yet(at + f"yours add up to {float(found.sum()):.3g}: all scores have to be raised by one t.")
        if close(found.sum(), wanted.sum(), 1e-3):
            return not_yet(at + "yours add up to k, but not as sigmoids of the scores, all raised by one t.")
        return not_yet(
            at + f"yours add up to {float(found.sum()):.4g}. Halve an interval of t: too small a sum, raise its lower "
            "end; too large, lower its upper end."
        )
    return right("Forty halvings and no gradient through any of them: the slope of t comes from the equation itself.")
