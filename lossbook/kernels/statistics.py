"""The row statistics: what each is, and what it adds to the gradient of the logits.

A row is the scores z of one example over V classes. Every loss of the book sees a row only through a few of these
numbers. Each statistic is written twice, as a value and as a gradient, because an engine that keeps no logits cannot
leave the second to autograd; a test holds the two equal for each name.
"""

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
    "log_probability": "z_y − L, formed without cancellation however large the scores are",
    "log_probability_sum": "Σ w_j (z_j − L), w the class weights (1 where none are given)",
    "soft_log_probability": "Σ w_j q_j (z_j − L), q the soft targets",
}
NEED_CLASS_INDEX = frozenset({"target", "log_probability"})
NEED_SOFT_TARGET = frozenset({"soft_log_probability"})


class Rows(NamedTuple):
    """What the statistics look at: rows of logits with their targets, and the class weights."""

    logits: Tensor  # (rows, classes), in the dtype that sums are taken in
    target: Any  # (rows,) class indices, or (rows, classes) soft targets; None where no statistic looks at them
    weight: Tensor | None = None  # (classes,)


def accumulation_dtype(dtype: torch.dtype) -> torch.dtype:
    """Sums over classes are taken in float32, and in float64 for float64."""
    return torch.float64 if dtype == torch.float64 else torch.float32


def need_log_probabilities(names: tuple[str, ...]) -> bool:
    """Whether one of the statistics looks at z_j − L."""
    return any("log_probability" in name for name in names)


def log_probabilities(names: tuple[str, ...], logits: Tensor, out: Tensor | None = None) -> Tensor | None:
    """z_j − L of each row, for the statistics that look at it; None where none of the names does."""
    if not need_log_probabilities(names):
        return None
    return torch.log_softmax(logits, -1) if out is None else torch.log_softmax(logits, -1, out=out[: len(logits)])


def values(names: tuple[str, ...], rows: Rows, log_p: Tensor | None = None) -> dict[str, Tensor]:
    """The named statistics of each row, by plain differentiable PyTorch; each has shape (rows,).

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
            return logits.square().sum(-1)
        case "softplus_sum":
            return softplus(logits).sum(-1)
        case "log_probability":
            return log_p.gather(-1, target[:, None]).squeeze(-1)
        case "log_probability_sum":
            return (log_p if weight is None else log_p * weight).sum(-1)
        case "soft_log_probability":
            soft = _soft_weight(rows)
            return torch.where(soft == 0, 0.0, log_p * soft).sum(-1)  # 0 log 0 is 0: a class without mass may be masked
    raise KeyError(name)


def _soft_weight(rows: Rows) -> Tensor:
    """w_j q_j, (rows, classes)."""
    soft = rows.target.to(rows.logits.dtype)
    return soft if rows.weight is None else soft * rows.weight


def logits_gradient_(rows: Rows, coefficients: dict[str, Tensor | None], log_p: Tensor | None = None) -> Tensor:
    """Σ_k c_k ∂statistic_k/∂z_j, written over what it is made from: the log-probabilities or, without them, the logits.

    `coefficients` holds c_k, the derivative of the loss by statistic k, shape (rows,); None counts as zero. `log_p` is
    what `log_probabilities` gave, where it is at hand. The result is the sum of a few element maps of the logits
    (softmax, sigmoid, z itself, 1) and of terms that touch few columns.
    """
    logits, target, weight = rows
    given = {name: c for name, c in coefficients.items() if c is not None}
    factor = _softmax_factor(rows, given)
    others = {"square_sum", "softplus_sum", "max"} & given.keys()
    if factor is None:
        gradient = torch.zeros_like(logits) if others else logits.zero_()
    else:
        log_p = torch.log_softmax(logits, -1) if log_p is None else log_p
        gradient = log_p.exp_().mul_(factor[:, None])
    if "square_sum" in given:
        gradient.addcmul_(logits, given["square_sum"][:, None], value=2)
    if "softplus_sum" in given:
        gradient += torch.sigmoid(logits).mul_(given["softplus_sum"][:, None])
    if "max" in given:
        at_max = (logits == logits.amax(-1, keepdim=True)).to(logits.dtype)
        gradient += at_max.mul_((given["max"] / at_max.sum(-1))[:, None])  # ties share, as in torch.amax
    if "sum" in given:
        gradient += given["sum"][:, None]
    if "log_probability_sum" in given:
        by_class = given["log_probability_sum"][:, None]
        gradient += by_class if weight is None else by_class * weight
    if "soft_log_probability" in given:
        gradient.addcmul_(_soft_weight(rows), given["soft_log_probability"][:, None])
    at_target = [given[name] for name in ("target", "log_probability") if name in given]
    if at_target:
        gradient.scatter_add_(-1, target[:, None], torch.stack(at_target).sum(0)[:, None])
    return gradient


def _softmax_factor(rows: Rows, given: dict[str, Tensor]) -> Tensor | None:
    """What p_j is multiplied by, from the four statistics that hold L; None where none of them is given."""
    factors: list[Tensor] = []
    if "logsumexp" in given:
        factors.append(given["logsumexp"])
    if "log_probability" in given:
        factors.append(-given["log_probability"])
    if "log_probability_sum" in given:
        mass = rows.logits.shape[-1] if rows.weight is None else rows.weight.sum()
        factors.append(-given["log_probability_sum"] * mass)
    if "soft_log_probability" in given:
        factors.append(-given["soft_log_probability"] * _soft_weight(rows).sum(-1))
    return torch.stack(factors).sum(0) if factors else None
