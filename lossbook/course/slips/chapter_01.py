"""Answers to the exercises of chapter 01: the usual slips, words of what each is told, and a right one."""

import math

import torch

from lossbook.exercises.chapter_01 import (
    check_abstains,
    check_best_probabilities,
    check_best_score,
    check_linear_form,
    check_negative_log_likelihood,
    check_normalized_step,
    check_poisson_pull,
)


def weighted_step(theta, features, labels, step_size, *, sign=1.0, confident=False, by_count=False):
    """Normalized LR+GD, or a slip of it."""
    pull = labels[:, None] * features
    share = torch.sigmoid((pull @ theta) * (1 if confident else -1))
    return theta + sign * step_size * (share @ pull) / (len(labels) if by_count else share.sum())


def linear_form(means, variance, prior, *, half=0.5, root=False, log_prior=True):
    """Naive Bayes as a linear classifier, or a slip of it."""
    scale = variance.sqrt() if root else variance
    return means / scale, (prior.log() if log_prior else 0) - half * (means.square() / variance).sum(1)


ATTEMPTS = [
    (check_negative_log_likelihood, lambda p, k, n: 0.0, "every record is certain"),
    (check_negative_log_likelihood, lambda p, k, n: p**k * (1 - p) ** (n - k), "the likelihood itself"),
    (check_negative_log_likelihood, lambda p, k, n: k * math.log(p) + (n - k) * math.log(1 - p), "minus"),
    (check_negative_log_likelihood, lambda p, k, n: -k * math.log(p), "failures are missing"),
    (
        check_negative_log_likelihood,
        lambda p, k, n: -(k * math.log(p) + (n - k) * math.log(1 - p)) / n,
        "mean",
    ),
    (
        check_negative_log_likelihood,
        lambda p, k, n: -(k * math.log2(p) + (n - k) * math.log2(1 - p)),
        "nats",
    ),
    (check_negative_log_likelihood, lambda p, k, n: [1.0, 2.0], "One number"),
    (check_negative_log_likelihood, lambda p, k, n: p + k + n, "how many there are of each"),
    (check_negative_log_likelihood, lambda p, k, n: -(k * math.log(p) + (n - k) * math.log(1 - p)), "Right"),
    (check_poisson_pull, lambda t, c: 0 * t, "0 everywhere"),
    (check_poisson_pull, lambda t, c: c - t.exp(), "turned round"),
    (check_poisson_pull, lambda t, c: t - c, "not θ"),
    (check_poisson_pull, lambda t, c: t.exp(), "has a slope too"),
    (check_poisson_pull, lambda t, c: (t.exp() - c).sum(), "One slope per count"),
    (check_poisson_pull, lambda t, c: t * c, "minus the statistic"),
    (check_poisson_pull, lambda t, c: t.exp() - c, "Right"),
    (check_best_score, lambda eta: 0 * eta, "heads or tails"),
    (check_best_score, torch.logit, "logistic loss's answer"),
    (check_best_score, lambda eta: -torch.logit(eta) / 2, "turned round"),
    (check_best_score, lambda eta: torch.sign(eta - 0.5), "another loss's"),
    (check_best_score, lambda eta: eta, "a probability"),
    (check_best_score, lambda eta: eta.sum(), "One score per"),
    (check_best_score, lambda eta: 3 * eta - 1, "take the logarithm"),
    (check_best_score, lambda eta: torch.logit(eta) / 2, "Right"),
    (check_best_probabilities, lambda eta, tau: eta, "right for cross-entropy"),
    (check_best_probabilities, lambda eta, tau: eta ** (1 / (2 - tau)), "divide by their sum"),
    (check_best_probabilities, lambda eta, tau: eta ** (2 - tau) / (eta ** (2 - tau)).sum(), "upside down"),
    (check_best_probabilities, lambda eta, tau: eta[0], "One probability per class"),
    (check_best_probabilities, lambda eta, tau: torch.ones(3) / 3, "one multiplier"),
    (check_best_probabilities, lambda eta, tau: torch.softmax(eta.log() / (2 - tau), 0), "Right"),
    (check_normalized_step, lambda theta, a, y, step: theta, "Nothing moved"),
    (check_normalized_step, lambda *given: weighted_step(*given, by_count=True), "plain LR+GD"),
    (check_normalized_step, lambda *given: weighted_step(*given, sign=-1.0), "Away from the mistakes"),
    (check_normalized_step, lambda *given: weighted_step(*given, confident=True), "σ(m)"),
    (
        check_normalized_step,
        lambda theta, a, y, step: weighted_step(theta, a, y, 1.0),
        "multiply by `step_size`",
    ),
    (check_normalized_step, lambda theta, a, y, step: a, "have shape"),
    (check_normalized_step, lambda theta, a, y, step: theta + 1, "weighted mean"),
    (check_normalized_step, weighted_step, "Right"),
    (check_linear_form, lambda means, variance, prior: means, "Return two tensors"),
    (check_linear_form, lambda *given: linear_form(*given, root=True), "not by its root"),
    (check_linear_form, lambda means, variance, prior: (means, prior), "count less"),
    (check_linear_form, lambda means, variance, prior: (means * 3, prior), "linear in x"),
    (check_linear_form, lambda *given: linear_form(*given, log_prior=False), "forgets the prior"),
    (check_linear_form, lambda *given: linear_form(*given, half=1.0), "a half"),
    (check_linear_form, lambda *given: linear_form(*given, half=-0.5), "turned round"),
    (check_linear_form, lambda *given: linear_form(*given, half=0.0), "forgets the means"),
    (check_linear_form, lambda *given: linear_form(*given, half=7.0), "one number per class"),
    (check_linear_form, linear_form, "Right"),
    (check_abstains, lambda classes, cost: False, "you say that the agent guesses"),
    (check_abstains, lambda classes, cost: True, "you say that the agent abstains"),
    (check_abstains, lambda classes, cost: (1 + cost) / classes < cost, "Right"),
]
