"""Checks for the second half of chapter 03: pairs, offsets, several right labels."""

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import torch

from lossbook.exercises.verdict import Verdict, ask, close, judged, not_yet, right
from lossbook.losses import cross_entropy, decoupled_softmax_loss, mann_whitney_loss

DOUBLE = torch.float64


@judged
def check_first_bias(function: Callable[[int], Any]) -> Verdict:
    """Exercise 03.4: the bias of least SigLIP loss for n pairs whose similarities are all 0, `first_bias(pairs)`."""
    for pairs in (2, 8, 512, 32_768):
        found, wanted = ask(function, pairs), -math.log(pairs - 1)
        if found.numel() != 1:
            return not_yet(f"One bias was asked for; yours has shape {tuple(found.shape)}.")
        if close(found.reshape(()), wanted):
            continue
        at = f"For {pairs} pairs yours is {float(found):.4g}. "
        force = float(torch.sigmoid(found)) * pairs - 1
        if close(found.reshape(()), -wanted):
            return not_yet(at + "The sign is turned round: most pairs are wrong, and the bias should say so.")
        if close(found.reshape(()), -math.log(pairs)):
            return not_yet(
                at + "Near, and wrong for few pairs: of the n texts of a row n − 1 are wrong, and one is not. Solve "
                "(n − 1) σ(b) = σ(−b)."
            )
        if close(found.reshape(()), 1 / pairs):
            return not_yet(at + "That is the probability of a right pair, 1/n. The bias is its log-odds.")
        if not float(found):
            return not_yet(at + f"At 0 each pair is held for as likely right as wrong: the loss is {pairs} log 2.")
        if close(found.reshape(()), -10.0):
            return not_yet(at + "That is the published start. For how many pairs is it the best?")
        return not_yet(
            at + f"There the slope by b is {force:.3g}, and at the minimum it is 0. Write the loss of a row: one "
            "softplus(−b) and n − 1 times softplus(b)."
        )
    return right("−log(n − 1). The published −10 is right for 22,027 pairs; its batches had 32,768.")


@judged
def check_right_score_pull(function: Callable[[torch.Tensor, torch.Tensor, float], Any]) -> Verdict:
    """Exercise 03.5: the slope of the MW loss, a mean over comparisons, by each right score, `f(right, wrong, τ)`."""
    scores = torch.tensor([[1.2, 0.1, -0.4], [0.9, 0.3, 0.5], [-1.0, 0.2, 2.0]], dtype=DOUBLE)
    off_diagonal = ~torch.eye(3, dtype=torch.bool)
    right_scores, wrong_scores = scores.diagonal(), scores[off_diagonal]
    for temperature in (1.0, 0.5):
        held = scores.clone().requires_grad_()
        loss = mann_whitney_loss(held, temperature=temperature, reduction="pairs")
        wanted = torch.autograd.grad(loss, held)[0].diagonal()
        found = ask(function, right_scores.clone(), wrong_scores, temperature)
        if close(found, wanted):
            continue
        if found.shape != wanted.shape:
            return not_yet(f"One slope a right score was asked for, 3 in all; yours has shape {tuple(found.shape)}.")
        if not found.any():
            return not_yet("Your slope is 0 everywhere. Differentiate softplus((s⁻ − s⁺)/τ) by s⁺.")
        if close(found, -wanted):
            return not_yet("The sign is turned round: a higher right score makes the loss smaller.")
        if close(found, wanted * temperature):
            return not_yet(f"Right for τ = 1; at τ = {temperature:g} the chain rule brings a factor 1/τ.")
        if close(found, wanted * len(right_scores)):
            return not_yet("The mean is over all comparisons, right scores times wrong ones; yours forgets the former.")
        if close(found, wanted * len(right_scores) * len(wrong_scores)):
            return not_yet("That is the slope of the sum over comparisons; the mean divides by their number, 18 here.")
        gap = (right_scores[:, None] - wrong_scores) / temperature
        if close(found, -torch.sigmoid(gap).mean(1) / len(right_scores) / temperature):
            return not_yet(
                "Your sigmoid favours the comparisons that are won already. The slope of softplus(x) is σ(x), and x "
                "here is (s⁻ − s⁺)/τ."
            )
        worst = int((found - wanted).abs().argmax())
        return not_yet(
            f"For the right score {float(right_scores[worst]):g} at τ = {temperature:g} yours is "
            f"{float(found[worst]):.4g}. Average σ((s⁻ − s⁺)/τ) over all wrong scores, of every query."
        )
    return right("A right score is pulled by every wrong one that comes near it, whichever query that belongs to.")


@judged
def check_label_pull(function: Callable[[torch.Tensor, torch.Tensor], Any]) -> Verdict:
    """Exercise 03.6: the gradient of the decoupled softmax by one query's scores, `label_pull(scores, right)`."""
    cases = (((2.0, 1.0, 0.0, -1.0), (0, 1)), ((0.5, -0.2, 0.1), (2,)), ((10.0, 5.0, -10.0, -10.0), (0, 1)))
    for values, labels in cases:
        scores = torch.tensor(values, dtype=DOUBLE)
        is_right = torch.zeros(len(values), dtype=torch.bool)
        is_right[list(labels)] = True
        found = ask(function, scores.clone(), is_right)
        target = torch.tensor([labels])
        wanted = _slope(partial(decoupled_softmax_loss, target=target), scores)
        if close(found, wanted):
            continue
        if found.shape != wanted.shape:
            return not_yet(f"One slope a score was asked for, {len(values)} in all; yours: {tuple(found.shape)}.")
        if not found.any():
            return not_yet(
                "Your slope is 0 everywhere. Write the loss as a mean of softplus(M − s_i) and differentiate."
            )
        if close(found, -wanted):
            return not_yet("The sign is turned round: that is the way a step goes, and the gradient points uphill.")
        share = is_right.double() / is_right.sum()
        if close(found, _slope(partial(cross_entropy, target=share[None]), scores)):
            return not_yet(
                "That is the softmax over all labels, p − 1/|P|, which pushes down a right label that has more than "
                "its share. Leave the other right labels out of each denominator."
            )
        if close(found, wanted * is_right.sum()):
            return not_yet(f"The mean over the {int(is_right.sum())} right labels is missing: divide by |P|.")
        if close(found[is_right], wanted[is_right]):
            return not_yet(
                "Right for the right labels. A wrong label stands in the denominator of each of them: its slope is "
                "the sum of as many softmaxes, over |P|."
            )
        if close(found[~is_right], wanted[~is_right]):
            return not_yet("Right for the wrong labels. A right label i pulls with −(1 − π_i)/|P|, π_i = σ(s_i − M).")
        return not_yet(
            f"For scores {list(values)} with {sorted(labels)} right yours is {[round(x, 4) for x in found.tolist()]}. "
            "Let M be the log-sum-exp of the wrong scores; each right label i has π_i = σ(s_i − M)."
        )
    return right("No right label is ever pushed down, and where each is far above the wrong ones all is still.")


def _slope(loss: Callable[[torch.Tensor], torch.Tensor], scores: torch.Tensor) -> torch.Tensor:
    held = scores.clone().requires_grad_()
    with torch.enable_grad():
        return torch.autograd.grad(loss(held[None]), held)[0]
