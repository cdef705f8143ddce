"""The row statistics: what each is, and what it adds to the gradient of the logits.

A row is the scores z of one example over V classes. Every loss of the book sees a row only through a few of these
numbers. Each statistic is written twice, as a value and as a gradient, because an engine that keeps no logits cannot
leave the second to autograd; a test holds the two equal for each name.
"""

from collections.abc import Iterable
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import softplus

NAMES = {
    "target": "z_y, the score of the right class",
    "logsumexp": "L = log Σ exp(z_j)",
    "max": "max z_j",
    "sum": "Σ z_j",
    "square_sum": "Σ z_j²",
    "softplus_sum": "Σ log(1 + exp(z_j))",
    "stablemax_sum": "Σ s(z_j), s(z) = z + 1 from 0 on and 1/(1 − z) below",
    "mean": "μ = Σ z_j / V",
    "variance": "Σ (z_j − μ)² / V",
    "others_logsumexp": "log Σ exp(z_j) over the classes that are not the target's; −∞ where there is none",
    "entropy": "−Σ p_j log p_j, p the softmax of z",
    "log_probability": "z_y − L, formed without cancellation however large the scores are",
    "log_probability_sum": "Σ w_j (z_j − L), w the class weights (1 where none are given)",
    "soft_log_probability": "Σ w_j q_j (z_j − L), q the soft targets",
}
NEED_CLASS_INDEX = frozenset({"target", "log_probability", "others_logsumexp"})
NEED_SOFT_TARGET = frozenset({"soft_log_probability"})


class Rows(NamedTuple):
    """What the statistics look at: rows of logits with their targets, and the class weights.

    It may be a block of the classes only: `logits` and `weight` are then those columns, and class indices count from
    the block's first column, so that those outside [0, columns) are another block's.
    """

    logits: Tensor  # (rows, classes), in the dtype that sums are taken in
    target: Any  # (rows,) or (rows, positives) class indices, or (rows, classes) soft targets; None where not looked at
    weight: Tensor | None = None  # (classes,)


class Whole(NamedTuple):
    """What the gradient of a block of columns must know of its whole rows."""

    classes: int
    numbers: dict[str, Tensor]  # the statistics, each (rows,)
    ties: Tensor | None = None  # (rows,) how many classes share the maximum
    mass: Tensor | float = 1.0  # Σ_j w_j of all classes
    soft_mass: Tensor | None = None  # (rows,) Σ_j w_j q_j of all classes


def accumulation_dtype(dtype: torch.dtype) -> torch.dtype:
    """Sums over classes are taken in float32, and in float64 for float64."""
    return torch.float64 if dtype == torch.float64 else torch.float32


def need_log_probabilities(names: Iterable[str]) -> bool:
    """Whether one of the statistics looks at z_j − L."""
    return any("log_probability" in name or name == "entropy" for name in names)


def log_probabilities(names: Iterable[str], logits: Tensor, out: Tensor | None = None) -> Tensor | None:
    """z_j − L of each row, for the statistics that look at it; None where none of the names does."""
    if not need_log_probabilities(names):
        return None
    return torch.log_softmax(logits, -1) if out is None else torch.log_softmax(logits, -1, out=out[: len(logits)])


def values(names: Iterable[str], rows: Rows, log_p: Tensor | None = None) -> dict[str, Tensor]:
    """The named statistics of each whole row, by plain differentiable PyTorch; each has shape (rows,).

    `log_p` is what `log_probabilities` gave, where it is at hand.
    """
    if log_p is None:
        log_p = log_probabilities(names, rows.logits)
    return {name: _value(name, rows, log_p) for name in names}


def _value(name: str, rows: Rows, log_p: Any) -> Tensor:
    logits, target, weight = rows
    match name:
        case "target":
            return logits.gather(-1, target[:, None]).squeeze(-1)
        case "logsumexp":
            return torch.logsumexp(logits, -1)
        case "max":
            return logits.amax(-1)
        case "sum":
            return logits.sum(-1)
        case "square_sum":
            if logits.requires_grad:  # the norm has no second derivative at 0
                return logits.square().sum(-1)
            return torch.linalg.vector_norm(logits, dim=-1).square()  # a pass, and no copy: 15 times as fast
        case "softplus_sum":
            return softplus(logits, threshold=40).sum(-1)  # torch's 20 loses 2e-9
        case "stablemax_sum":
            return stablemax_map(logits).sum(-1)
        case "mean":
            return logits.mean(-1)
        case "variance":
            return (logits - logits.mean(-1, keepdim=True)).square().mean(-1)  # torch's var warns of no rows
        case "others_logsumexp":
            return torch.logsumexp(without_targets(logits, target), -1)
        case "entropy":
            return -weighted_by_probability(log_p).sum(-1)
        case "log_probability":
            return log_p.gather(-1, target[:, None]).squeeze(-1)
        case "log_probability_sum":
            return (log_p if weight is None else log_p * weight).sum(-1)
        case "soft_log_probability":
            soft = soft_weight(rows)
            return torch.where(soft == 0, 0.0, log_p * soft).sum(-1)  # 0 log 0 is 0: a class without mass may be masked
    raise KeyError(name)


def stablemax_map(logits: Tensor) -> Tensor:
    """s(z) = z + 1 from 0 on, 1/(1 − z) below: grows like a line where exp would, and s(z) s(−z) = 1.

    >>> stablemax_map(torch.tensor([3.0, 0.0, -1.0])).tolist()
    [4.0, 1.0, 0.5]
    """
    # Without the clamp the branch not taken divides by zero at z = 1, and makes the gradient NaN.
    return torch.where(logits >= 0, logits + 1, 1 / (1 - logits.clamp(max=0)))


def without_targets(logits: Tensor, target: Tensor) -> Tensor:
    """The logits, −∞ at the targets: (rows,) or (rows, positives) class indices; those outside are passed over."""
    index = target if target.ndim == 2 else target[:, None]
    inside = (index >= 0) & (index < logits.shape[-1])
    at_target = torch.zeros_like(logits, dtype=torch.uint8)
    at_target.scatter_reduce_(-1, torch.where(inside, index, 0), inside.to(torch.uint8), "amax")
    return logits.masked_fill(at_target.view(torch.bool), -torch.inf)


def weighted_by_probability(log_p: Tensor) -> Tensor:
    """The terms p log p of the entropy, and 0 where p is 0."""
    return torch.where(log_p == -torch.inf, 0.0, log_p) * log_p.exp()


def softmax_(rows: Rows) -> Tensor:
    """The log-probability of each target, (rows,); the logits become their softmax.

    log p_y is the logarithm of the softmax, as exact as z_y − L; where p_y is too small for a float, it is
    (z_y − max z) − (log p of the maximum), the other sum taken from what did not underflow.
    """
    logits, target = rows.logits, rows.target[:, None]
    score, top = logits.gather(-1, target).squeeze(-1), logits.amax(-1)
    p = torch.softmax(logits, -1, out=logits)
    right = p.gather(-1, target).squeeze(-1)
    lost = right < torch.finfo(p.dtype).tiny
    if not bool(lost.any()):
        return right.log()
    return torch.where(lost, score - top + p.amax(-1).log(), right.log())


def soft_weight(rows: Rows) -> Tensor:
    """w_j q_j, (rows, classes)."""
    soft = rows.target.to(rows.logits.dtype)
    return soft if rows.weight is None else soft * rows.weight


def whole(rows: Rows, numbers: dict[str, Tensor]) -> Whole:
    """What the gradient must know of rows that are at hand whole."""
    if "variance" in numbers and "mean" not in numbers:
        numbers = numbers | {"mean": rows.logits.mean(-1)}
    return Whole(
        rows.logits.shape[-1],
        numbers,
        _ties(rows.logits, numbers["max"]) if "max" in numbers else None,
        float(rows.logits.shape[-1]) if rows.weight is None else rows.weight.sum(),
        soft_weight(rows).sum(-1) if "soft_log_probability" in numbers else None,
    )


def _ties(logits: Tensor, top: Tensor) -> Tensor:
    """How many classes share the maximum. Where the two largest differ everywhere, as they nearly always do, 1."""
    if not (logits.is_cuda or torch.compiler.is_compiling()) and logits.shape[-1] > 1:
        second = logits.topk(2, -1).values[:, 1]
        if bool((second < top).all()):
            return torch.ones_like(top)
    return (logits == top[:, None]).sum(-1)


def logits_gradient_(
    rows: Rows, coefficients: dict[str, Tensor | None], known: Whole, log_p: Tensor | None = None
) -> Tensor:
    """Σ_k c_k ∂statistic_k/∂z_j, written over what it is made from: the log-probabilities or, without them, the logits.

    `coefficients` holds c_k, the derivative of the loss by statistic k, shape (rows,); None counts as zero. `log_p` is
    z_j − L; whole rows can do without it, a block of columns cannot where a statistic holds L. The result is the sum of
    a few element maps of the logits (softmax, sigmoid, z itself, 1) and of terms that touch few columns.
    """
    logits, target, weight = rows
    given = {name: c for name, c in coefficients.items() if c is not None}
    if log_p is None and (need_log_probabilities(given) or "logsumexp" in given):
        log_p = torch.log_softmax(logits, -1)
    entropy = given.get("entropy")
    by_entropy = None if entropy is None else weighted_by_probability(log_p).mul_(-entropy[:, None])  # type: ignore[arg-type]
    factor = _softmax_factor(given, known)
    if factor is not None:
        gradient = log_p.exp_().mul_(factor[:, None])  # type: ignore[union-attr]
    elif (_MAPS_OF_LOGITS | {"square_sum", "max"}) & given.keys():
        gradient = torch.zeros_like(logits)
    else:
        gradient = logits.zero_()
    if by_entropy is not None:
        gradient += by_entropy
    if "square_sum" in given:
        gradient.addcmul_(logits, 2 * given["square_sum"][:, None])
    if "max" in given:
        share_of_ties = given["max"] / known.ties  # type: ignore[operator]  # they share, as in torch.amax
        gradient += (logits == known.numbers["max"][:, None]) * share_of_ties[:, None]
    for name in _MAPS_OF_LOGITS & given.keys():
        gradient += _map_of_logits(name, rows, known).mul_(given[name][:, None])
    for name, share in (("sum", 1.0), ("mean", 1 / known.classes)):
        if name in given:
            gradient += share * given[name][:, None]
    if "log_probability_sum" in given:
        by_class = given["log_probability_sum"][:, None]
        gradient += by_class if weight is None else by_class * weight
    if "soft_log_probability" in given:
        gradient.addcmul_(soft_weight(rows), given["soft_log_probability"][:, None])
    at_target = [given[name] for name in ("target", "log_probability") if name in given]
    if at_target:
        add_at_targets_(gradient, target, torch.stack(at_target).sum(0))
    return gradient


_MAPS_OF_LOGITS = {"softplus_sum", "stablemax_sum", "variance", "others_logsumexp"}


def _map_of_logits(name: str, rows: Rows, known: Whole) -> Tensor:
    """∂statistic/∂z_j where it is a map of z_j and of whole-row numbers; a fresh tensor."""
    logits, number = rows.logits, known.numbers[name][:, None]
    match name:
        case "softplus_sum":
            return torch.sigmoid(logits)
        case "stablemax_sum":
            return (1 - logits.clamp(max=0)).pow_(-2)  # 1 from 0 on, s(z)² below
        case "variance":
            return (logits - known.numbers["mean"][:, None]).mul_(2 / known.classes)
        case "others_logsumexp":
            safe = torch.where(number == -torch.inf, 0.0, number)  # a row without other classes has no gradient
            return without_targets(logits, rows.target).sub_(safe).exp_()
    raise KeyError(name)


def add_at_targets_(gradient: Tensor, target: Tensor, amount: Tensor) -> None:
    """Add one number a row at its target; targets outside the block are passed over."""
    columns = gradient.shape[-1]
    here = (target >= 0) & (target < columns)
    gradient.scatter_add_(-1, torch.where(here, target, 0)[:, None], torch.where(here, amount, 0.0)[:, None])


def _softmax_factor(given: dict[str, Tensor], known: Whole) -> Tensor | None:
    """What p_j is multiplied by, from the statistics that hold L; None where none of them is given."""
    factors: list[Tensor] = []
    if "logsumexp" in given:
        factors.append(given["logsumexp"])
    if "log_probability" in given:
        factors.append(-given["log_probability"])
    if "log_probability_sum" in given:
        factors.append(-given["log_probability_sum"] * known.mass)
    if "soft_log_probability" in given:
        factors.append(-given["soft_log_probability"] * known.soft_mass)  # type: ignore[operator]
    if "entropy" in given:
        factors.append(-given["entropy"] * known.numbers["entropy"])
    return torch.stack(factors).sum(0) if factors else None
