"""Coverage: the chance that one of N answers is right, and the answers to give where it is all that counts."""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from lossbook.checks import bad_value, check_count, check_floating, check_number
from lossbook.losses._coverage import log_covered


def pass_at_n(probability: Float[Tensor, "*batch"], samples: float) -> Float[Tensor, "*batch"]:
    """The chance that at least one of N independent answers is right.

        pass@N = 1 − (1 − p)^N

    Args:
        probability: p, the model's probability of the right answer, each in [0, 1].
        samples: N ≥ 1.

    Returns:
        The shape of `probability`; its mean over problems is what papers report.

    Raises:
        TypeError, ValueError: naming the argument, what it got and what was expected.

    Example:
        >>> pass_at_n(torch.tensor([0.5, 0.01, 0.0]), 4)
        tensor([0.9375, 0.0394, 0.0000])

    Gradient: N (1 − p)^(N−1).
    Reference: Chen, Raventós, Cheng, Ganguli & Druckmann 2025, arXiv 2502.07154.
    """
    samples = check_number("samples", samples, at_least=1)
    _check_probability(probability)
    # (1 − p)^N by logarithms, for 1 − p rounds off a small p; at p = 1 by the power, for the logarithm is −∞ there
    low = torch.where(probability < 0.5, probability, 0.0)
    return torch.where(
        probability < 0.5, -torch.expm1(samples * torch.log1p(-low)), 1 - (1 - probability).clamp(min=0) ** samples
    )


def log_coverage(log_probability: Float[Tensor, "*batch"], samples: float) -> Float[Tensor, "*batch"]:
    """The logarithm of pass@N from log p, which for an answer of many tokens is the sum of the tokens' log p.

        log(1 − (1 − p)^N)

    Its negative is the loss of direct coverage optimisation for sequences. For a proof of k steps take log p of each
    step, the same loss with N_eff answers a step, and the sum over steps. N_eff is about N^(1/k): a proof needs all.

    Args:
        log_probability: log p ≤ 0 of each answer or step; −∞ is a probability of 0.
        samples: N ≥ 1. samples=1 gives log p back.

    Returns:
        The shape of `log_probability`, differentiable. Value and slope are numbers also where p itself underflows.

    Raises:
        TypeError, ValueError: naming the argument, what it got and what was expected.

    Example:
        >>> tokens = torch.full((2000,), -0.5)                                  # p = e⁻¹⁰⁰⁰
        >>> round(float(log_coverage(tokens.sum(), 64)), 3)                     # log p + log 64
        -995.841

    Gradient: N (1 − p)^(N−1) p/(1 − (1 − p)^N), from 1 at p = 0 to 0 at p = 1.
    Reference: Chen, Raventós, Cheng, Ganguli & Druckmann 2025, arXiv 2502.07154.
    """
    samples = check_number("samples", samples, at_least=1)
    if bool((check_floating("log_probability", log_probability) > 0).any()):
        raise bad_value("log_probability", float(log_probability.detach().max()), "logarithms of probabilities, <= 0")
    return log_covered(log_probability, samples)


def pass_at_n_estimate(correct: Any, drawn: int, samples: int) -> Float[Tensor, "*batch"]:
    """Unbiased estimate of pass@N from counts: of n answers drawn, c were right.

        1 − C(n − c, N)/C(n, N) = 1 − Π_{j<N} (n − c − j)/(n − j)

    1 − (1 − c/n)^N has the same limit and is too low.

    Args:
        correct: c of each problem, whole numbers from 0 to n, any shape.
        drawn: n, the answers that were drawn.
        samples: N, from 1 to n.

    Returns:
        float64, the shape of `correct`.

    Raises:
        TypeError, ValueError: naming the argument, what it got and what was expected.

    Example:
        >>> pass_at_n_estimate(torch.tensor([0, 1, 3]), 4, 2)            # of the 6 pairs, 0, 3 and 6 hold a right one
        tensor([0.0000, 0.5000, 1.0000], dtype=torch.float64)

    Reference: Chen, Tworek et al. 2021, arXiv 2107.03374.
    """
    check_count("drawn", drawn)
    check_count("samples", samples)
    if samples > drawn:
        raise bad_value("samples", samples, f"at most the {drawn} that were drawn")
    counts = torch.as_tensor(correct).double()
    if bool(((counts < 0) | (counts > drawn) | (counts != counts.round())).any()):
        raise bad_value("correct", correct, f"whole numbers from 0 to {drawn}")
    taken = torch.arange(samples, dtype=torch.float64, device=counts.device)
    # Where fewer than N are wrong one factor is 0; those after it are negative and must not count.
    return 1 - ((drawn - counts[..., None] - taken).clamp(min=0) / (drawn - taken)).prod(-1)


def best_answers(chances: Float[Tensor, "*batch answers"], samples: float) -> Float[Tensor, "*batch answers"]:
    """How often to give each answer, so that pass@N is highest, where the chance of each to be right is known.

        max_q Σ_i a_i (1 − (1 − q_i)^N),  q ≥ 0, Σ q_i = 1;  so 1 − q_i ∝ a_i^(−1/(N−1)) over the answers given

    Args:
        chances: a, one for each answer, above 0; any scale.
        samples: N ≥ 1. samples=1 gives the likeliest answer alone (the first of equals).

    Returns:
        q, the shape of `chances`.

    Raises:
        TypeError, ValueError: naming the argument, what it got and what was expected.

    Example:
        >>> best_answers(torch.tensor([0.6, 0.3, 0.1]), 4)
        tensor([0.5094, 0.3819, 0.1086])

    Limits: N = 1 is (1, 0, ...); N → ∞ is even over all answers. The highest q falls with N: who may answer often
        should be less sure.
    Reference: Chen, Raventós, Cheng, Ganguli & Druckmann 2025, arXiv 2502.07154.
    """
    samples = check_number("samples", samples, at_least=1)
    if check_floating("chances", chances).ndim < 1 or chances.shape[-1] < 1 or not bool((chances > 0).all()):
        raise bad_value("chances", chances, "shape (*batch, answers), at least one answer, all chances above 0")
    if samples == 1:
        return torch.zeros_like(chances).scatter(-1, chances.argmax(-1, keepdim=True), 1.0)
    ordered, order = chances.sort(stable=True, dim=-1, descending=True)
    left = (ordered[..., :1] / ordered) ** (1 / (samples - 1))  # 1 − q up to a factor: 1 for the likeliest
    given = torch.arange(1, chances.shape[-1] + 1, dtype=chances.dtype, device=chances.device)
    factor = (given - 1) / left.cumsum(-1)  # where the first k are given
    # The k-th is worth giving as long as its q is above 0; the last such k gives the factor.
    count = (factor * left < 1).sum(-1, keepdim=True)
    kept = torch.where(given <= count, 1 - factor.gather(-1, count - 1) * left, 0.0)
    return torch.zeros_like(chances).scatter(-1, order, kept)


def _check_probability(probability: Tensor) -> None:
    if bool(((check_floating("probability", probability) < 0) | (probability > 1)).any()):
        raise bad_value("probability", probability, "numbers from 0 to 1")
