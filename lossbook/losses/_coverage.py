"""Direct coverage optimisation: of N answers that will be drawn, one right one is enough."""

import math
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from lossbook.checks import check_number
from lossbook.logits import Statistics, row_loss
from lossbook.losses._classification import Logits, Target, Weight


def direct_coverage_loss(
    logits: Logits,
    target: Target,
    *,
    samples: float = 16.0,
    weight: Weight = None,
    ignore_index: int = -100,
    reduction: str = "mean",
) -> Float[Tensor, "..."]:
    """Direct coverage optimisation: the negative logarithm of the chance that N draws hold the right class.

        ℓ(z, y) = −log(1 − (1 − p_y)^N)

    Args:
        logits: (*batch, classes), class axis last; or `LinearLogits`.
        target: (*batch) class indices.
        samples: N ≥ 1, the answers that will be drawn when the model is used. samples=1 is cross-entropy. For an answer
            of many tokens or steps see `lossbook.metrics.log_coverage`, which takes log p of the whole answer.
        weight, ignore_index, reduction: as in `cross_entropy`.

    Returns:
        A scalar, or (*batch) for "none".

    Raises:
        TypeError, ValueError: naming the argument, what it got and what was expected.

    Example:
        >>> logits, target = torch.tensor([[0.0, 0.0]], dtype=torch.float64), torch.tensor([0])    # p_y = 1/2
        >>> round(float(direct_coverage_loss(logits, target, samples=4)), 6)
        0.064539
        >>> bool(direct_coverage_loss(logits, target, samples=4).exp() == 16 / 15)                 # 1 − 1/2⁴
        True

    Gradient: F (p − e_y) with F = N (1 − p_y)^(N−1) p_y/(1 − (1 − p_y)^N): cross-entropy's, times a factor that falls
        from 1 at p_y = 0 to 0 at p_y = 1 (N > 1), and is about a half where N p_y is 1.3.
    Limits: p_y → 0 is cross-entropy less log N; p_y → 1 gives 0, like (1 − p_y)^N. Convex for every N, because F falls.
        Proper only with N = 1: with N > 1 it is least at probabilities less sure than the true ones.
    Reference: Chen, Raventós, Cheng, Ganguli & Druckmann 2025, arXiv 2502.07154.
    """
    samples = check_number("samples", samples, at_least=1)

    def row(stats: Statistics) -> Tensor:
        return -log_covered(stats.log_probability, samples)

    options: dict[str, Any] = {"weight": weight, "ignore_index": ignore_index, "reduction": reduction}
    return row_loss(row, logits, target, ("log_probability",), **options)


def log_covered(log_p: Float[Tensor, "*batch"], samples: float) -> Float[Tensor, "*batch"]:
    """log(1 − (1 − p)^N) from log p, with value and slope to rounding from log p = −∞ to 0.

    Three ways, each where it is exact; each sees only its own part, for 0 · ∞ in a gradient is no number:
    far: N p below √eps, where p itself may underflow: log p + log N − (N − 1) p/2, the rest is below eps;
    near: p above a half: log1p(−(1 − p)^N), a power whose slope at 1 − p = 0 is finite;
    between: log(−expm1(N log1p(−p))).
    """
    seam = math.log(math.sqrt(torch.finfo(log_p.dtype).eps) / samples)
    far, near = log_p < seam, log_p > -math.log(2)
    small = torch.where(far, log_p, seam)
    missing = -torch.expm1(torch.where(near, log_p, -0.1))
    p = torch.exp(torch.where(far | near, -1.0, log_p))
    by_series = small + math.log(samples) - (samples - 1) / 2 * torch.exp(small)
    by_power = torch.log1p(-(missing**samples))
    between = torch.log(-torch.expm1(samples * torch.log1p(-p)))
    return torch.where(far, by_series, torch.where(near, by_power, between))
