"""Soft top-k: membership among the k highest scores, with a gradient; and its loss."""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import logsigmoid

from lossbook.checks import (
    bad_type,
    bad_value,
    check_constant,
    check_floating,
    check_number,
    check_reduction,
    check_same_device,
)
from lossbook.kernels import accumulation_dtype
from lossbook.losses._elementwise import reduce
from lossbook.losses._soft_counts import Scores, check_sets

K = float | Float[Tensor, "*sets"]


def soft_top_k(scores: Scores, k: K, *, sharpness: float = 1.0) -> Float[Tensor, "*sets n"]:
    """How much each score belongs to the k highest: a number from 0 to 1 each, k in all, with a gradient.

        p_l = σ(α (s_l + t)),  t such that Σ_l p_l = k

    Args:
        scores: (*sets, n), the last axis is one row. −∞ takes no part.
        k: how many, above 0 and below the number of scores of a row; a number, or (*sets) numbers, one a row. It need
            not be whole.
        sharpness: α > 0. α → ∞ gives 1 to the k highest and 0 to the others.

    Returns:
        (*sets, n), in the dtype of the scores.

    Raises:
        TypeError, ValueError: naming the argument, what it got and what was expected.

    Example:
        >>> p = soft_top_k(torch.tensor([2.0, 1.0, 0.0, -1.0], dtype=torch.float64), 2)
        >>> [round(float(each), 6) for each in (*p, p.sum())]
        [0.817574, 0.622459, 0.377541, 0.182426, 2.0]

    Gradient: ∂p/∂s = diag(v) − v vᵀ/Σv, v = α p (1 − p): what one gains the others lose, most those near the border.
        t is found by halving an interval, and its slope from the equation that holds there: −v/Σv.
    Limits: a constant added to a row changes nothing. Rows are needed whole at each halving, so there is no form for
        `LinearLogits`.
    Reference: Gupta, Khatri, Rawat, Bhojanapalli, Jain & Dhillon 2024, arXiv 2310.10636.
    """
    sharpness = check_number("sharpness", sharpness, above=0)
    if check_floating("scores", scores).ndim < 1 or scores.shape[-1] < 2:
        raise bad_value("scores", scores, "shape (*sets, n) with at least two scores a row")
    wide = scores.to(accumulation_dtype(scores.dtype))
    there = (wide > -torch.inf).sum(-1)
    counts = _check_k(k, scores, there)
    return torch.sigmoid(_raised(wide, counts, sharpness)).to(scores.dtype)


def soft_top_k_loss(
    logits: Scores,
    target: Scores,
    *,
    k: K | None = None,
    sharpness: float = 1.0,
    reduction: str = "mean",
) -> Float[Tensor, "..."]:
    """Soft top-k loss: the mean of −log p over the right labels, p the soft membership among the k highest.

        ℓ = −(1/|P|) Σ_{i∈P} log p_i,  p = soft_top_k(z, k)

    Args:
        logits: (*sets, n), scores of the labels of a query; −∞ takes no part.
        target: (*sets, n), 1 for the right labels P, else 0, in floating point.
        k: as in `soft_top_k`; None is |P|, the number of right labels, row by row. With k < |P| not all fit and the
            loss stays above 0: the paper draws k of them and masks the others (score −∞, target 0).
        sharpness: α > 0.
        reduction: "mean", "sum" or "none", over rows.

    Returns:
        A scalar, or (*sets) for "none". A row without right labels costs 0, and with k=None one that has no wrong ones.

    Raises:
        TypeError, ValueError: naming the argument, what it got and what was expected.

    Example:
        >>> scores, right = torch.tensor([[9.0, 5.0, -5.0, -9.0]]), torch.tensor([[1.0, 1.0, 0.0, 0.0]])
        >>> round(float(soft_top_k_loss(scores, right)), 4)                 # both are in; who is first does not matter
        0.0034

    Gradient: g − (Σg) v/Σv, with g_i = −α (1 − p_i)/|P| for the right labels and 0 for the wrong, v = α p (1 − p).
        Between right labels there is a push as well: one far below the border pushes down another that is at it.
    Limits: 0 where the right labels are far above all others and k = |P|; grows like α times the gap where one is not.
    Reference: Gupta, Khatri, Rawat, Bhojanapalli, Jain & Dhillon 2024, arXiv 2310.10636.
    """
    check_reduction(reduction)
    sharpness = check_number("sharpness", sharpness, above=0)
    scores, right = check_sets(logits, target)
    number, there = right.sum(-1), (scores > -torch.inf).sum(-1)
    if bool(((right == 1) & (scores == -torch.inf)).any()):
        raise ValueError("target: got 1 for a score of −∞, expected right labels that take part")
    if k is None:
        counted = (number > 0) & (number < there)
        counts = torch.where(counted, number, 0.5)
    else:
        counts = _check_k(k, logits, there)
        counted = number > 0
    # Rows that cost nothing go through the same steps with scores that are safe.
    safe = torch.where(counted[..., None], scores, 0.0)
    log_p = torch.where(right == 1, logsigmoid(_raised(safe, counts, sharpness)), 0.0)
    values = torch.where(counted, -log_p.sum(-1) / number.clamp(min=1), 0.0)
    return reduce(values, None, reduction).to(logits.dtype)


def _raised(scores: Tensor, k: Tensor, sharpness: float) -> Tensor:
    """α (s + t): the scores raised until their sigmoids add up to k. Measured from the highest, which rounds less."""
    steep = sharpness * (scores - scores.detach().amax(-1, keepdim=True))
    return steep + _Level.apply(steep, k)[..., None]  # type: ignore[no-untyped-call]


class _Level(torch.autograd.Function):
    """The t of Σ_l σ(s_l + t) = k, by halving; its slope −v/Σv, v = p (1 − p), from the equation itself."""

    @staticmethod
    def forward(ctx: Any, scores: Tensor, k: Tensor) -> Tensor:
        ordered = scores.sort(-1, descending=True).values
        finite = ordered > -torch.inf
        there = finite.sum(-1).to(scores.dtype)
        # What is missing of the highest, against what the others have: of a row where all is decided both are tiny, and
        # a sum near k would not see them.
        inside = k.round()
        sign = torch.where(torch.arange(scores.shape[-1], device=scores.device) < inside[..., None], -1.0, 1.0)
        sign, rest = sign.to(scores.dtype), k - inside
        # There all sigmoids are below min(k, n − k)/n, or above 1 less that: the sum is on the right side of k.
        room = 1 + (there / torch.minimum(k, there - k)).log()
        low = -ordered[..., 0] - room
        high = -torch.where(finite, ordered, torch.inf).amin(-1) + room
        for _ in range(torch.finfo(scores.dtype).bits):
            middle = (low + high) / 2
            below = (sign * torch.sigmoid(sign * (ordered + middle[..., None]))).sum(-1) < rest
            low, high = torch.where(below, middle, low), torch.where(below, high, middle)
        level = (low + high) / 2
        ctx.save_for_backward(scores, level)
        return level

    @staticmethod
    def backward(ctx: Any, *slopes: Tensor) -> tuple[Tensor, None]:
        scores, level = ctx.saved_tensors
        raised = scores + level[..., None]
        share = torch.softmax(logsigmoid(raised) + logsigmoid(-raised), -1)  # v/Σv, also where every v underflows
        return -slopes[0][..., None] * share, None


def _check_k(k: Any, scores: Tensor, there: Tensor) -> Tensor:
    """The k of each row, in the dtype that is summed in."""
    dtype = accumulation_dtype(scores.dtype)
    if isinstance(k, Tensor):
        if k.is_complex() or k.dtype == torch.bool:
            raise bad_type("k", k, "a number, or a tensor of numbers")
        check_same_device("k", k, "scores", scores)
        check_constant("k", k)
        if k.shape not in ((), scores.shape[:-1]):
            raise bad_value("k", k, f"a number, or one a row, shape {tuple(scores.shape[:-1])}")
        counts = k.to(dtype).expand(scores.shape[:-1])
    else:
        number = check_number("k", k, above=0)
        counts = torch.full(scores.shape[:-1], number, dtype=dtype, device=scores.device)
    outside = ~((counts > 0) & (counts < there))
    if bool(outside.any()):
        raise ValueError(
            f"k: got {float(counts[outside][0]):g}, expected a number above 0 and below the {int(there[outside][0])} "
            "scores of the row"
        )
    return counts
