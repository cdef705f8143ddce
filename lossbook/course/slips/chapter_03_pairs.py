"""Answers to the exercises on pairs: the usual slips, words of what each is told, and a right one."""

import math

import torch

from lossbook.exercises.chapter_03_pairs import check_first_bias, check_label_pull, check_right_score_pull


def right_score_pull(right, wrong, temperature, *, won=False, divisor=None, chain=True):
    """The slope of the MW loss by the right scores, or a slip of it."""
    gap = (wrong[None] - right[:, None]) / temperature
    share = torch.sigmoid(-gap if won else gap).sum(1)
    return -share / (divisor or len(right) * len(wrong)) / (temperature if chain else 1)


def label_pull(scores, right, *, right_factor=1.0, wrong_factor=1.0, mean=True):
    """The gradient of the decoupled softmax, or a slip of it."""
    away = scores[right][:, None] - torch.logsumexp(scores[~right], 0)
    missing = torch.sigmoid(-away[:, 0])
    found = torch.empty_like(scores)
    found[right] = -right_factor * missing
    found[~right] = wrong_factor * missing.sum() * torch.softmax(scores[~right], 0)
    return found / (right.sum() if mean else 1)


def softmax_pull(scores, right):
    """The gradient of the softmax over all labels."""
    return torch.softmax(scores, 0) - right / right.sum()


ATTEMPTS = [
    (check_first_bias, lambda n: 0.0, "as likely right as wrong"),
    (check_first_bias, lambda n: math.log(n - 1), "turned round"),
    (check_first_bias, lambda n: -math.log(n), "wrong for few pairs"),
    (check_first_bias, lambda n: 1 / n, "log-odds"),
    (check_first_bias, lambda n: -10.0, "published start"),
    (check_first_bias, lambda n: -1.0, "slope by b is"),
    (check_first_bias, lambda n: [1.0, 2.0], "One bias"),
    (check_first_bias, lambda n: -math.log(n - 1), "Right"),
    (check_right_score_pull, lambda right, wrong, tau: 0 * right, "0 everywhere"),
    (check_right_score_pull, lambda *given: -right_score_pull(*given), "turned round"),
    (check_right_score_pull, lambda *given: right_score_pull(*given, chain=False), "chain rule"),
    (check_right_score_pull, lambda *given: right_score_pull(*given, divisor=6), "forgets the former"),
    (check_right_score_pull, lambda *given: right_score_pull(*given, divisor=1), "18 here"),
    (check_right_score_pull, lambda *given: right_score_pull(*given, won=True), "won already"),
    (check_right_score_pull, lambda right, wrong, tau: right - 3, "of every query"),
    (check_right_score_pull, lambda right, wrong, tau: right.sum(), "One slope a right score"),
    (check_right_score_pull, right_score_pull, "Right"),
    (check_label_pull, lambda scores, right: 0 * scores, "0 everywhere"),
    (check_label_pull, lambda scores, right: -label_pull(scores, right), "turned round"),
    (check_label_pull, softmax_pull, "has more than its share"),
    (check_label_pull, lambda scores, right: label_pull(scores, right, mean=False), "divide by |P|"),
    (check_label_pull, lambda scores, right: label_pull(scores, right, wrong_factor=0.5), "the sum of as many"),
    (check_label_pull, lambda scores, right: label_pull(scores, right, right_factor=0.5), "Right for the wrong labels"),
    (check_label_pull, lambda scores, right: scores, "Let M be"),
    (check_label_pull, lambda scores, right: scores.sum(), "One slope a score"),
    (check_label_pull, label_pull, "Right"),
]
