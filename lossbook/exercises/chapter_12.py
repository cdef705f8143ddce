"""Checks for the first half of chapter 12: margins for rare classes, the pull on a negative, attention by label."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from lossbook.exercises.verdict import Verdict, ask, close, judged, not_yet, right
from lossbook.losses import asymmetric_loss
from lossbook.models import LabelAttention
from lossbook.training import label_margins


@judged
def check_margins(function: Callable[[Tensor, float], Any]) -> Verdict:
    """Exercise: the margins of LDAM, `margins(counts, largest)`."""
    for counts, largest in ((torch.tensor([10_000.0, 1.0]), 0.5), (torch.tensor([900.0, 40.0, 7.0, 300.0]), 0.3)):
        found = ask(function, counts, largest)
        wanted = label_margins(counts, largest=largest)
        if close(found, wanted):
            continue
        if found.shape != wanted.shape:
            return not_yet(f"One margin a class was asked for, {len(counts)}; yours has shape {tuple(found.shape)}.")
        at = f"For the counts {_list(counts)} and the largest margin {largest:g} yours are {_list(found)}. "
        roots = counts.double() ** -0.25
        if close(found, largest * roots):
            return not_yet(at + "The root is right; the largest is not as asked: divide by the largest root.")
        if close(found, largest * counts.double() ** 0.25 / (counts.double() ** 0.25).max()):
            return not_yet(at + "That gives the widest margin to the most frequent class: the exponent is −1/4.")
        for power, words in ((-0.5, "a square root"), (-1.0, "no root at all")):
            other = counts.double() ** power
            if close(found, largest * other / other.max()):
                return not_yet(at + f"You took {words}; where the bound is least, it is the fourth root.")
        if close(found, largest * roots / roots.sum()):
            return not_yet(at + "Yours add up to the number asked for; it is the largest of them that should be it.")
        return not_yet(at + "Take n to the power of −1/4, and scale so that the largest is as asked.")
    return right("From 1 example to 10,000 the margin shrinks by 10 only: the fourth root is a gentle hand.")


@judged
def check_negative_pull(function: Callable[[Tensor, float, float], Any]) -> Verdict:
    """Exercise: the slope of asymmetric loss by the score of a negative, `negative_pull(logits, gamma, shift)`."""
    logits = torch.tensor([-4.0, -2.0, 0.0, 0.8, 3.0, 6.0], dtype=torch.float64)
    for gamma, shift in ((4.0, 0.05), (2.0, 0.2), (1.0, 0.1)):
        found = ask(function, logits, gamma, shift)
        wanted, held = (_slopes(logits, gamma, shift, detach) for detach in (False, True))
        if close(found, wanted):
            continue
        if found.shape != wanted.shape:
            return not_yet(f"One slope a score was asked for, {len(logits)}; yours has shape {tuple(found.shape)}.")
        at = f"At γ₋ = {gamma:g} and m = {shift:g}, scores {_list(logits)}, yours are {_list(found)}. "
        p = torch.sigmoid(logits)
        if close(found, -wanted):
            return not_yet(at + "The sign is turned round: a negative's loss rises with its score.")
        if close(found, held):
            return not_yet(at + "You held the weight p_m^γ: it moves with the score too. That is the detached version.")
        if close(found, torch.where(p > shift, wanted / (p * (1 - p)), 0.0)):
            return not_yet(at + "That is the slope by p. By the score there is a factor p (1 − p) more.")
        if close(found, p):
            return not_yet(at + "That is binary cross-entropy's: no focus and no shift.")
        if close(found, _slopes(logits, gamma, 0.0, False)):
            return not_yet(at + "The shift is missing: p_m = max(p − m, 0) stands in the weight and in the logarithm.")
        below = p <= shift
        if close(found[~below], wanted[~below]):
            return not_yet(at + "Right above p = m. Up to there p_m is held at 0, so nothing moves: the slope is 0.")
        return not_yet(at + "Differentiate −p_m^γ log(1 − p_m) by p_m, a product of two; then times p (1 − p).")
    return right("It dies at both ends: the easy negatives are dropped, and the hardest are taken for missing labels.")


@judged
def check_label_scores(function: Callable[..., Any]) -> Verdict:
    """Exercise: label-wise attention, `label_scores(values, first, second, score, bias)`."""
    block = LabelAttention(4, 6, 3, generator=torch.Generator().manual_seed(0)).double()
    values = 2 * torch.randn(5, 7, 4, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    first, second, score, bias = (
        weight.detach() for weight in (block.first.weight, block.second.weight, block.score.weight, block.score.bias)
    )
    first, second = 3 * first, 6 * second  # so that the attention is far from even
    found = ask(function, values, first, second, score, bias)
    looks = torch.tanh(values @ first.T) @ second.T  # (batch, tokens, labels)

    def scores(attention: Tensor) -> Tensor:
        return ((attention.mT @ values) * score).sum(-1) + bias

    wanted = scores(looks.softmax(1))
    if close(found, wanted):
        return right("Each label has its own reading of the text, and the attention says which words it was.")
    if found.shape != wanted.shape:
        return not_yet(f"Scores of shape (5, 3) were asked for, (texts, labels); yours are {tuple(found.shape)}.")
    if close(found, scores(looks.softmax(2))):
        return not_yet("Your softmax runs over the labels. Each label shares out its attention over the tokens.")
    if close(found, scores((values @ first.T @ second.T).softmax(1))):
        return not_yet("The tanh is missing: without it W₂W₁ is one matrix.")
    if close(found, wanted - bias):
        return not_yet("All but the bias of each label.")
    if close(found, scores(torch.full_like(looks, 1 / values.shape[1]))):
        return not_yet("That is the plain mean over tokens: no label looks anywhere in particular.")
    if close(found, scores(looks)):
        return not_yet("The softmax over tokens is missing: attention is shares that add up to 1.")
    return not_yet("In order: tanh of W₁ times each token, W₂ times that, softmax over tokens, weighted mean, score.")


def _slopes(logits: Tensor, gamma: float, shift: float, detach: bool) -> Tensor:
    """The gradient of asymmetric loss by the scores of negatives."""
    with torch.enable_grad():
        scores = logits.clone().requires_grad_()
        options: dict[str, Any] = {"gamma_negative": gamma, "shift": shift, "detach_weight": detach}
        (found,) = torch.autograd.grad(asymmetric_loss(scores, 0 * logits, reduction="sum", **options), scores)
    return found


def _list(numbers: Tensor) -> str:
    return "(" + ", ".join(f"{number:.3g}".replace("-", "−") for number in numbers.tolist()) + ")"
