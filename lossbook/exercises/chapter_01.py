"""Checks for chapter 01, in the order of its sections."""

import math
from collections.abc import Callable
from typing import Any

import torch

from lossbook.exercises.verdict import Verdict, ask, called, close, judged, not_yet, right

DOUBLE = torch.float64


@judged
def check_negative_log_likelihood(function: Callable[[float, int, int], Any]) -> Verdict:
    """Exercise 01.1: `negative_log_likelihood(p, successes, trials)` of independent tosses, in nats."""
    for p, successes, trials in ((0.7, 7, 10), (0.2, 1, 3), (0.5, 0, 4)):
        found = ask(function, p, successes, trials)
        failures = trials - successes
        wanted = -(successes * math.log(p) + failures * math.log1p(-p))
        if close(found, wanted):
            continue
        at = f"For p = {p:g}, {successes} of {trials}: yours is {float(found.sum()):.4g}. "
        if found.numel() != 1:
            return not_yet(f"One number was asked for; yours has shape {tuple(found.shape)}.")
        if not found.any():
            return not_yet(
                at + "That says every record is certain. Which probability has a record of successes and failures?"
            )
        if close(found, -wanted):
            return not_yet(at + "That is the log-likelihood. A loss is to be made small: put a minus in front.")
        if close(found, p**successes * (1 - p) ** failures):
            return not_yet(
                at + "That is the likelihood itself, a product that runs into 0. Take its logarithm, and a minus."
            )
        if close(found, -successes * math.log(p)):
            return not_yet(at + "The failures are missing: each of them has probability 1 − p.")
        if close(found, wanted / trials):
            return not_yet(
                at
                + "That is the mean over tosses; the likelihood of the record is a product, so its logarithm is a sum."
            )
        if close(found, wanted / math.log(2)) or close(found, wanted / math.log(10)):
            return not_yet(at + "Right in another unit: nats are natural logarithms, `math.log`.")
        return not_yet(at + "Write the probability of one success, of one failure, and how many there are of each.")
    return right("Its slope by p is 0 where p is the share of successes.")


@judged
def check_poisson_pull(function: Callable[[torch.Tensor, torch.Tensor], Any]) -> Verdict:
    """Exercise 01.2: the derivative by θ of the negative log-likelihood of a Poisson count with rate exp(θ)."""
    theta, count = torch.tensor([0.0, 0.5, -1.0, 2.0], dtype=DOUBLE), torch.tensor([0.0, 3.0, 1.0, 4.0], dtype=DOUBLE)
    found, wanted = ask(function, theta, count), theta.exp() - count
    if close(found, wanted):
        return right("Expected count minus count seen: the same sentence as p − e_y.")
    if found.shape != wanted.shape:
        return not_yet(
            f"One slope per count was asked for, shape {tuple(wanted.shape)}; yours has shape {tuple(found.shape)}."
        )
    if not found.any():
        return not_yet("Your slope is 0 everywhere. Differentiate −(θ·count − exp θ) by θ, term by term.")
    if close(found, -wanted):
        return not_yet(
            "The sign is turned round: that is the slope of the log-likelihood, and the loss is its negative."
        )
    if close(found, theta - count):
        return not_yet("Expected minus seen is right, but the expected count is A′(θ) = exp θ, not θ.")
    if close(found, theta.exp()):
        return not_yet("That is A′(θ) alone. The term θ·count has a slope too.")
    return not_yet("A(θ) = exp θ here. The pull is A′(θ) minus the statistic that was seen.")


@judged
def check_best_score(function: Callable[[torch.Tensor], Any]) -> Verdict:
    """Exercise 01.3: the score that minimises the expected exponential loss when P(y = 1) = η."""
    eta = torch.tensor([0.5, 0.9, 0.2, 0.99], dtype=DOUBLE)
    odds = torch.logit(eta)
    found = ask(function, eta)
    if close(found, odds / 2):
        return right(
            "Half the log-odds. It has the sign of η − 1/2, so the loss is calibrated, and η can be read back from it."
        )
    if found.shape != eta.shape:
        return not_yet(
            f"One score per η was asked for, shape {tuple(eta.shape)}; yours has shape {tuple(found.shape)}."
        )
    if not found.any():
        return not_yet(
            "A score of 0 says heads or tails for every η. "
            "Set the derivative of η e^(−s) + (1 − η) e^s to 0 and solve for s."
        )
    if close(found, odds):
        return not_yet(
            "That is the logistic loss's answer. Here the slope is e^(−s), not σ(−s); follow it through to e^(2s)."
        )
    if close(found, -odds / 2):
        return not_yet("The sign is turned round: when y = 1 is likely, the score should be positive.")
    if close(found, torch.sign(eta - 0.5)) or close(found, 2 * eta - 1):
        return not_yet("That is another loss's answer (hinge: the sign; squared hinge: 2η − 1). Solve it for e^(−s).")
    if close(found, eta):
        return not_yet("That is η itself, a probability. A score runs over the whole line and is 0 at η = 1/2.")
    return not_yet("Set −η e^(−s) + (1 − η) e^s = 0, bring the exponentials to one side, and take the logarithm.")


@judged
def check_best_probabilities(function: Callable[[torch.Tensor, float], Any]) -> Verdict:
    """Exercise 01.4: the softmax of least expected comp-sum loss when the classes have probabilities η, τ < 2."""
    eta = torch.tensor([0.6, 0.3, 0.1], dtype=DOUBLE)
    for tau in (1.0, 0.0, 1.5):
        found = ask(function, eta, tau)
        powered = eta ** (1 / (2 - tau))
        wanted = powered / powered.sum()
        if close(found, wanted):
            continue
        if found.shape != eta.shape:
            return not_yet(
                f"One probability per class was asked for, shape {tuple(eta.shape)}; yours: {tuple(found.shape)}."
            )
        if close(found, powered):
            return not_yet(
                f"The powers are right, but at τ = {tau:g} they add up to {found.sum():.3g}: divide by their sum."
            )
        if close(found, eta):
            return not_yet(
                "That is η itself, right for cross-entropy. "
                f"At τ = {tau:g} the best softmax is {'flatter' if tau < 1 else 'sharper'}."
            )
        inverse = eta ** (2 - tau)
        if close(found, inverse / inverse.sum()):
            return not_yet(f"The exponent is upside down: at τ = {tau:g} solve η_k p_k^(τ−2) = constant for p_k.")
        return not_yet(
            f"At τ = {tau:g} yours is {[round(x, 3) for x in found.tolist()]}. "
            "Minimise Σ η_k p_k^(τ−1)/(1−τ) under Σ p_k = 1: "
            "each derivative equals one multiplier."
        )
    return right(
        "τ < 1 hedges, τ > 1 exaggerates, and only τ = 1 reports η itself; the largest class is the largest for all."
    )


@judged
def check_normalized_step(function: Callable[[torch.Tensor, torch.Tensor, torch.Tensor, float], Any]) -> Verdict:
    """Exercise 01.5: one step of Normalized LR+GD, `normalized_step(theta, features, labels, step_size)`."""
    features = torch.tensor([[1.0, -1.0], [-1.0, -4.0], [2.0, 0.5]], dtype=DOUBLE)
    labels = torch.tensor([1.0, -1.0, 1.0], dtype=DOUBLE)
    for theta, step in ((torch.zeros(2, dtype=DOUBLE), 1.0), (torch.tensor([0.5, -0.25], dtype=DOUBLE), 10.0)):
        pull = labels[:, None] * features
        share = torch.sigmoid(-(pull @ theta))
        found = ask(function, theta, features, labels, step)
        wanted = theta + step * (share @ pull) / share.sum()
        if close(found, wanted):
            continue
        if found.shape != wanted.shape:
            return not_yet(f"The new weights have shape {tuple(wanted.shape)}; yours have {tuple(found.shape)}.")
        if close(found, theta):
            return not_yet("Nothing moved. Add the step to theta, and return the sum.")
        if close(found, theta + step * (share @ pull) / len(labels)):
            return not_yet(
                "That is plain LR+GD: divided by n. The normalised step divides by the sum of the residuals."
            )
        if close(found, theta - step * (share @ pull) / share.sum()):
            return not_yet("Away from the mistakes: the step goes towards y_i a_i, so it is added.")
        confident = 1 - share
        if close(found, theta + step * (confident @ pull) / confident.sum()):
            return not_yet("The weights are σ(m): they favour the points that are right. A residual is σ(−m).")
        if close(found, theta + (share @ pull) / share.sum()):
            return not_yet("Right for a step size of 1; multiply by `step_size`.")
        return not_yet(
            f"From theta = {theta.tolist()} yours goes to {[round(x, 3) for x in found.tolist()]}. "
            "Compute m_i, then σ(−m_i), then the weighted mean of y_i a_i."
        )
    return right(
        "A convex combination of the y_i a_i: the step is never longer than step_size times the longest of them."
    )


@judged
def check_linear_form(function: Callable[..., Any]) -> Verdict:
    """Exercise 01.6: naive Bayes as a linear classifier, `linear_form(means, variance, prior) -> (weight, bias)`."""
    means = torch.tensor([[0.0, 1.0], [2.0, -1.0], [1.0, 1.0]], dtype=DOUBLE)
    variance, prior = torch.tensor([1.5, 0.5], dtype=DOUBLE), torch.tensor([0.5, 0.3, 0.2], dtype=DOUBLE)
    answer = called(function, means, variance, prior)
    if not isinstance(answer, tuple) or len(answer) != 2:
        return not_yet("Return two tensors: the weights, one row per class, and the biases, one per class.")
    weight, bias = ask(lambda: answer[0]), ask(lambda: answer[1])
    wanted = means / variance
    if not close(weight, wanted):
        if close(weight, means / variance.sqrt()):
            return not_yet("The weights divide by the variance, not by its root: it comes from (x − μ)²/(2σ²).")
        if close(weight, means):
            return not_yet("The weights are the means alone: a noisy feature should count less. Expand (x − μ)²/(2σ²).")
        return not_yet("Expand −(x − μ)²/(2σ²): the part that is linear in x, and differs between classes, is x·μ/σ².")
    square = (means.square() / variance).sum(1)
    centred = bias - bias.mean() if bias.shape == prior.shape else bias
    for guess, words in (
        (prior.log() - square / 2, ""),
        (-square / 2, "The bias forgets the prior: a frequent class starts ahead, by log prior."),
        (prior.log() - square, "The bias has −μ²/σ²; the density has a half in front of it."),
        (prior.log() + square / 2, "The sign of the squared means is turned round: far means start behind, not ahead."),
        (prior - square / 2, "The prior enters a log-density as its logarithm."),
        (prior.log(), "The bias forgets the means: expand the square once more and keep the term without x."),
    ):
        if close(centred, guess - guess.mean()):
            return (
                not_yet(words)
                if words
                else right("A generative model, and yet a linear classifier: counting instead of descending.")
            )
    return not_yet("The bias should be log prior − ½ Σ_d μ_d²/σ_d², one number per class.")


@judged
def check_abstains(function: Callable[[int, float], Any]) -> Verdict:
    """Exercise 01.7: `abstains(classes, cost)`: is abstaining the best constant act among equally frequent classes?"""
    for classes, cost in ((10, 4.0), (2, 4.0), (2, 0.5), (10, 0.1), (4, 0.3), (5, 0.26), (3, 1.0)):
        found = ask(function, classes, cost)
        value = (1 + cost) / classes - cost
        if found.numel() != 1:
            return not_yet("One answer, True or False, was asked for.")
        if bool(found) != (value < 0):
            return not_yet(
                f"With {classes} classes and a cost of {cost:g}, guessing earns {value:.3g} on average, "
                "and abstaining 0; "
                f"you say that the agent {'abstains' if bool(found) else 'guesses'}."
            )
    return right(
        "A guess is right once in K times: it earns 1/K − m (K − 1)/K, which is below 0 for all but small costs."
    )
