"""Label distributionally robust losses: the label may be any distribution over classes, at a price."""

import math
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import logsigmoid, softplus

from lossbook.checks import check_choice, check_number
from lossbook.logits import Statistics, row_loss
from lossbook.losses._classification import Logits, Target, Weight
from lossbook.losses._scaled import scaled
from lossbook.losses._whole_rows import whole_row_loss

NORMALISATIONS = ("none", "softplus", "l1")


def ldr_kl_loss(
    logits: Logits,
    target: Target,
    *,
    temperature: float = 1.0,
    margin: float = 0.1,
    normalise: str = "none",
    weight: Weight = None,
    ignore_index: int = -100,
    reduction: str = "mean",
) -> Float[Tensor, "..."]:
    """LDR-KL: the label may be any distribution over classes; the worst is charged, and distance from even costs.

        ℓ(f, y) = max_q Σ_k q_k (f_k − f_y + m [k ≠ y]) − λ KL(q ‖ 1/V) = λ log (1/V) Σ_k exp((f_k − f_y + m [k ≠ y])/λ)

    Args:
        logits: (*batch, classes), class axis last; or `LinearLogits`.
        target: (*batch) class indices.
        temperature: λ > 0, the price of a distribution that is not even.
        margin: m ≥ 0, by how much the right score is to lead; the authors' script has 0.1.
        normalise: how scores f come from logits z. "none": f = z. As the released code has it, "softplus": f is
            softplus(z) over its mean over the classes; "l1": f is z over the mean of |z|. Either ends the race for ever
            larger scores, and needs the whole row.
        weight, ignore_index, reduction: as in `cross_entropy`.

    Returns:
        A scalar, or (*batch) for "none".

    Raises:
        TypeError, ValueError: naming the argument, what it got and what was expected.

    Example:
        >>> logits, target = torch.tensor([[2.0, 1.0, 0.0]], dtype=torch.float64), torch.tensor([0])
        >>> round(float(ldr_kl_loss(logits, target, margin=0.0)), 6)           # cross-entropy less log 3
        -0.691006
        >>> round(float(ldr_kl_loss(logits, target, temperature=1e6)), 6)      # the mean of −2 + 0.1, −1 + 0.1 and 0
        -0.933333

    Gradient: by the scores f, q − e_y with q = softmax((f + m [k ≠ y])/λ); never longer than √2.
    Limits: λ → 0 is Crammer and Singer's hinge max_k (f_k − f_y + m [k ≠ y]); λ → ∞ the mean over k, a straight line,
        whose sum over all labels y is constant. At least −λ log V, and where f_y leads without end it is that. λ = 1
        and m = 0 is cross-entropy less log V. Convex in f.
    Reference: Zhu, Ying & Yang 2023, arXiv 2112.14869.
    """
    temperature = check_number("temperature", temperature, above=0)
    margin = check_number("margin", margin, at_least=0)
    check_choice("normalise", normalise, NORMALISATIONS)
    options: dict[str, Any] = {"weight": weight, "ignore_index": ignore_index, "reduction": reduction}
    if normalise != "none":

        def whole(row: Tensor, right: Tensor) -> Tensor:
            return robust_rows(normalised(row, normalise), right, temperature, margin)

        return whole_row_loss(whole, logits, target, **options)

    lift = margin / temperature

    def near(stats: Statistics) -> Tensor:
        """−log p + log(p + (1 − p) exp(m/λ)): cross-entropy of z/λ, and what the margin adds."""
        log_p = stats.log_probability
        added = torch.log1p(-torch.expm1(log_p) * math.expm1(lift)) if lift else 0.0
        return temperature * (added - log_p - _log(stats.classes, log_p))

    def far(stats: Statistics) -> Tensor:
        behind = stats.others_logsumexp - stats.target + lift
        return temperature * (-logsigmoid(-behind) - _log(stats.classes, behind))

    # 1 − p is rounded, and a large exp(m/λ) would lift the rounding; "near" costs what cross-entropy does
    row, names = (near, ("log_probability",)) if lift <= 1 else (far, ("target", "others_logsumexp"))
    return row_loss(row, scaled(logits, 1 / temperature), target, names, **options)


def robust_rows(
    scores: Float[Tensor, "*batch classes"],
    target: Int[Tensor, "*batch"],
    temperature: float | Float[Tensor, "*batch"],
    margin: float,
) -> Float[Tensor, "*batch"]:
    """LDR-KL of scores as they are, each row with a temperature of its own."""
    level = torch.as_tensor(temperature, dtype=scores.dtype, device=scores.device)
    ahead = raised(scores, target, margin) / level[..., None]
    return level * (ahead.logsumexp(-1) - _log(scores.shape[-1], scores)) - _own(scores, target)


def raised(
    scores: Float[Tensor, "*batch classes"], target: Int[Tensor, "*batch"], margin: float
) -> Float[Tensor, "*batch classes"]:
    """Every score but the right one, lifted by the margin."""
    lift = torch.full_like(scores, margin)
    return scores + lift.scatter(-1, target[..., None], 0.0)


def normalised(logits: Float[Tensor, "*batch classes"], how: str) -> Float[Tensor, "*batch classes"]:
    """Scores whose size the network cannot grow: of mean 1, or of mean absolute value 1, over the classes.

    A row of zeros has no size, and stays what it is.
    """
    if how == "none":
        return logits
    scores = softplus(logits, threshold=40) if how == "softplus" else logits
    size = scores.abs().mean(-1, keepdim=True)
    return scores / torch.where(size == 0, 1.0, size)


def _own(scores: Tensor, target: Tensor) -> Tensor:
    return scores.gather(-1, target[..., None]).squeeze(-1)


def _log(classes: int, like: Tensor) -> Tensor:
    return torch.tensor(classes, dtype=like.dtype, device=like.device).log()
