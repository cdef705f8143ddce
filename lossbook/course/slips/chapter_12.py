"""Answers to the exercises of chapter 12, first half: the usual slips, words of what each is told, and a right one."""

import torch

from lossbook.exercises.chapter_12 import check_label_scores, check_margins, check_negative_pull


def margins(counts, largest, *, power=-0.25, scale=torch.max):
    """The margins, or a slip of them."""
    roots = counts.double() ** power
    return largest * roots / scale(roots)


def pull(logits, gamma, shift, *, held=False, by_p=False, cut=True):
    """The slope by the score of a negative, or a slip of it."""
    p = torch.sigmoid(logits)
    above = (p - shift).clamp(min=0) if cut else p - shift
    own = above**gamma / (1 - above)
    weight = 0 if held else -gamma * above ** (gamma - 1) * torch.log1p(-above)
    slope = (own + weight) * (1 if by_p else p * (1 - p))
    return torch.where(p > shift, slope, 0.0) if cut else slope


def scores(values, first, second, score, bias, *, axis=1, squash=torch.tanh, share=torch.softmax):
    """Scores by label-wise attention, or a slip of them."""
    looks = share(squash(values @ first.T) @ second.T, axis)
    return ((looks.mT @ values) * score).sum(-1) + bias


ATTEMPTS = [
    (check_margins, lambda n, largest: largest * n**-0.25, "divide by the largest root"),
    (check_margins, lambda n, largest: margins(n, largest, power=0.25), "most frequent class"),
    (check_margins, lambda n, largest: margins(n, largest, power=-0.5), "a square root"),
    (check_margins, lambda n, largest: margins(n, largest, power=-1.0), "no root at all"),
    (check_margins, lambda n, largest: margins(n, largest, scale=torch.sum), "add up to"),
    (check_margins, lambda n, largest: 0 * n, "the power of −1/4"),
    (check_margins, lambda n, largest: largest, "One margin a class"),
    (check_margins, margins, "Right"),
    (check_negative_pull, lambda *given: -pull(*given), "turned round"),
    (check_negative_pull, lambda *given: pull(*given, held=True), "detached version"),
    (check_negative_pull, lambda *given: pull(*given, by_p=True), "slope by p"),
    (check_negative_pull, lambda z, gamma, m: torch.sigmoid(z), "binary cross-entropy's"),
    (check_negative_pull, lambda z, gamma, m: pull(z, gamma, 0.0), "shift is missing"),
    (check_negative_pull, lambda *given: pull(*given, cut=False), "Right above p = m"),
    (check_negative_pull, lambda z, gamma, m: 0 * z, "Differentiate"),
    (check_negative_pull, lambda z, gamma, m: 1.0, "One slope a score"),
    (check_negative_pull, pull, "Right"),
    (check_label_scores, lambda *given: scores(*given, axis=2), "over the labels"),
    (check_label_scores, lambda *given: scores(*given, squash=lambda x: x), "tanh is missing"),
    (check_label_scores, lambda *given: scores(*given) - given[-1], "All but the bias"),
    (check_label_scores, lambda x, *rest: scores(0 * x + x.mean(1, keepdim=True), *rest), "plain mean"),
    (check_label_scores, lambda *given: scores(*given, share=lambda x, axis: x), "softmax over tokens is missing"),
    (check_label_scores, lambda *given: 0 * scores(*given), "In order"),
    (check_label_scores, lambda *given: given[0], "Scores of shape"),
    (check_label_scores, scores, "Right"),
]
