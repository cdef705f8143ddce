"""Every exercise: the skeleton gets a helpful no, the usual slips the message meant for them, the answer a yes."""

import math

import pytest
import torch

from lossbook.exercises import chapter_00, chapter_01
from lossbook.exercises.verdict import Verdict


def weighted_step(theta, features, labels, step_size, *, sign=1.0, confident=False, by_count=False):
    """Normalized LR+GD, or a slip of it."""
    pull = labels[:, None] * features
    share = torch.sigmoid((pull @ theta) * (1 if confident else -1))
    return theta + sign * step_size * (share @ pull) / (len(labels) if by_count else share.sum())


def linear_form(means, variance, prior, *, half=0.5, root=False, log_prior=True):
    """Naive Bayes as a linear classifier, or a slip of it."""
    scale = variance.sqrt() if root else variance
    return means / scale, (prior.log() if log_prior else 0) - half * (means.square() / variance).sum(1)


# (check, attempt, words that the verdict must hold); right answers begin with "Right"
ATTEMPTS = [
    (chapter_00.check_pull, lambda e, d: 0 * e, "0 everywhere"),
    (chapter_00.check_pull, lambda e, d: e, "at every distance"),
    (chapter_00.check_pull, lambda e, d: torch.sign(e), "near 0"),
    (chapter_00.check_pull, lambda e, d: -e.clamp(-d, d), "turned round"),
    (chapter_00.check_pull, lambda e, d: e.clamp(-1, 1), "Use the argument"),
    (chapter_00.check_pull, lambda e, d: e.sum(), "expected 7 slopes"),
    (chapter_00.check_pull, lambda e, d: e.clamp(-2 * d, 2 * d), "inside or outside"),
    (chapter_00.check_pull, lambda e, d: e.clamp(-d, d), "Right"),
    (chapter_00.check_best_constant, lambda data, q: data.mean(), "the mean"),
    (chapter_00.check_best_constant, lambda data, q: data.median(), "the median"),
    (chapter_00.check_best_constant, lambda data, q: torch.quantile(data, 1 - q), "Upside down"),
    (chapter_00.check_best_constant, lambda data, q: data, "One constant"),
    (chapter_00.check_best_constant, lambda data, q: data.max(), "can be had"),
    (chapter_00.check_best_constant, lambda data, q: torch.quantile(data, q), "Right"),
    (chapter_01.check_negative_log_likelihood, lambda p, k, n: 0.0, "every record is certain"),
    (chapter_01.check_negative_log_likelihood, lambda p, k, n: p**k * (1 - p) ** (n - k), "the likelihood itself"),
    (chapter_01.check_negative_log_likelihood, lambda p, k, n: k * math.log(p) + (n - k) * math.log(1 - p), "minus"),
    (chapter_01.check_negative_log_likelihood, lambda p, k, n: -k * math.log(p), "failures are missing"),
    (
        chapter_01.check_negative_log_likelihood,
        lambda p, k, n: -(k * math.log(p) + (n - k) * math.log(1 - p)) / n,
        "mean",
    ),
    (
        chapter_01.check_negative_log_likelihood,
        lambda p, k, n: -(k * math.log2(p) + (n - k) * math.log2(1 - p)),
        "nats",
    ),
    (chapter_01.check_negative_log_likelihood, lambda p, k, n: [1.0, 2.0], "One number"),
    (chapter_01.check_negative_log_likelihood, lambda p, k, n: p + k + n, "how many there are of each"),
    (chapter_01.check_negative_log_likelihood, lambda p, k, n: -(k * math.log(p) + (n - k) * math.log(1 - p)), "Right"),
    (chapter_01.check_poisson_pull, lambda t, c: 0 * t, "0 everywhere"),
    (chapter_01.check_poisson_pull, lambda t, c: c - t.exp(), "turned round"),
    (chapter_01.check_poisson_pull, lambda t, c: t - c, "not θ"),
    (chapter_01.check_poisson_pull, lambda t, c: t.exp(), "has a slope too"),
    (chapter_01.check_poisson_pull, lambda t, c: (t.exp() - c).sum(), "One slope per count"),
    (chapter_01.check_poisson_pull, lambda t, c: t * c, "minus the statistic"),
    (chapter_01.check_poisson_pull, lambda t, c: t.exp() - c, "Right"),
    (chapter_01.check_best_score, lambda eta: 0 * eta, "heads or tails"),
    (chapter_01.check_best_score, torch.logit, "logistic loss's answer"),
    (chapter_01.check_best_score, lambda eta: -torch.logit(eta) / 2, "turned round"),
    (chapter_01.check_best_score, lambda eta: torch.sign(eta - 0.5), "another loss's"),
    (chapter_01.check_best_score, lambda eta: eta, "a probability"),
    (chapter_01.check_best_score, lambda eta: eta.sum(), "One score per"),
    (chapter_01.check_best_score, lambda eta: 3 * eta - 1, "take the logarithm"),
    (chapter_01.check_best_score, lambda eta: torch.logit(eta) / 2, "Right"),
    (chapter_01.check_best_probabilities, lambda eta, tau: eta, "right for cross-entropy"),
    (chapter_01.check_best_probabilities, lambda eta, tau: eta ** (1 / (2 - tau)), "divide by their sum"),
    (chapter_01.check_best_probabilities, lambda eta, tau: eta ** (2 - tau) / (eta ** (2 - tau)).sum(), "upside down"),
    (chapter_01.check_best_probabilities, lambda eta, tau: eta[0], "One probability per class"),
    (chapter_01.check_best_probabilities, lambda eta, tau: torch.ones(3) / 3, "one multiplier"),
    (chapter_01.check_best_probabilities, lambda eta, tau: torch.softmax(eta.log() / (2 - tau), 0), "Right"),
    (chapter_01.check_normalized_step, lambda theta, a, y, step: theta, "Nothing moved"),
    (chapter_01.check_normalized_step, lambda *given: weighted_step(*given, by_count=True), "plain LR+GD"),
    (chapter_01.check_normalized_step, lambda *given: weighted_step(*given, sign=-1.0), "Away from the mistakes"),
    (chapter_01.check_normalized_step, lambda *given: weighted_step(*given, confident=True), "σ(m)"),
    (
        chapter_01.check_normalized_step,
        lambda theta, a, y, step: weighted_step(theta, a, y, 1.0),
        "multiply by `step_size`",
    ),
    (chapter_01.check_normalized_step, lambda theta, a, y, step: a, "have shape"),
    (chapter_01.check_normalized_step, lambda theta, a, y, step: theta + 1, "weighted mean"),
    (chapter_01.check_normalized_step, weighted_step, "Right"),
    (chapter_01.check_linear_form, lambda means, variance, prior: means, "Return two tensors"),
    (chapter_01.check_linear_form, lambda *given: linear_form(*given, root=True), "not by its root"),
    (chapter_01.check_linear_form, lambda means, variance, prior: (means, prior), "count less"),
    (chapter_01.check_linear_form, lambda means, variance, prior: (means * 3, prior), "linear in x"),
    (chapter_01.check_linear_form, lambda *given: linear_form(*given, log_prior=False), "forgets the prior"),
    (chapter_01.check_linear_form, lambda *given: linear_form(*given, half=1.0), "a half"),
    (chapter_01.check_linear_form, lambda *given: linear_form(*given, half=-0.5), "turned round"),
    (chapter_01.check_linear_form, lambda *given: linear_form(*given, half=0.0), "forgets the means"),
    (chapter_01.check_linear_form, lambda *given: linear_form(*given, half=7.0), "one number per class"),
    (chapter_01.check_linear_form, linear_form, "Right"),
    (chapter_01.check_abstains, lambda classes, cost: False, "you say that the agent guesses"),
    (chapter_01.check_abstains, lambda classes, cost: True, "you say that the agent abstains"),
    (chapter_01.check_abstains, lambda classes, cost: (1 + cost) / classes < cost, "Right"),
]


def label(attempt):
    check, _, words = attempt
    return f"{check.__name__}: {words}"


@pytest.mark.parametrize("attempt", ATTEMPTS, ids=label)
def test_each_attempt_gets_the_message_meant_for_it(attempt):
    check, function, words = attempt
    verdict = check(function)
    assert words in repr(verdict)
    assert verdict.passed == (words == "Right")


CHECKS = sorted({check for check, _, _ in ATTEMPTS}, key=lambda check: check.__name__)


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize(
    ("attempt", "words"),
    [
        (lambda *given: None, ("returned nothing", "Return two tensors")),
        (lambda *given: 1 / 0, ("stopped with ZeroDivisionError", "stopped with ZeroDivisionError")),
        (lambda *given: float("nan"), ("division by zero", "Return two tensors")),
        (lambda *given: "a word", ("a number or a tensor", "Return two tensors")),
        (3.0, ("expected a function", "Return two tensors")),
    ],
    ids=["nothing", "an error", "not a number", "a word", "not a function"],
)
def test_an_attempt_that_gives_nothing_to_judge_is_told_so(check, attempt, words):
    verdict = check(attempt)
    assert isinstance(verdict, Verdict)
    assert not verdict
    assert any(part in verdict.message for part in words)
