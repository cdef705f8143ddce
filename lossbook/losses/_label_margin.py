"""LDAM: the rarer a label, the larger the margin by which its positives have to be right."""

from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import logsigmoid, softplus

from lossbook.batches import prepare
from lossbook.checks import bad_type, bad_value, check_number, check_reduction
from lossbook.logits import LinearLogits, Statistics, row_loss
from lossbook.losses._asymmetric import check_labels
from lossbook.losses._classification import Logits, Target, Weight
from lossbook.losses._elementwise import reduce
from lossbook.losses._scaled import scaled

Counts = Int[Tensor, "..."] | Float[Tensor, "..."]


def label_margins(
    counts: Counts, *, strength: float | None = None, largest: float | None = None
) -> Float[Tensor, "..."]:
    """The margins of LDAM: the fourth root of how rare a label is.

        Δ_j = C/n_j^{1/4},  n_j = 0 as if it were 1;  or scaled so that the largest of them is as asked

    Args:
        counts: n_j ≥ 0, how many positive training examples each label has; of any shape.
        strength: C ≥ 0.
        largest: the margin of the rarest label, ≥ 0. One of the two is given, not both.

    Returns:
        Margins of the shape of the counts, float64.

    Raises:
        TypeError, ValueError: naming the argument, what it got and what was expected.

    Example:
        >>> label_margins(torch.tensor([1000, 100, 10, 0]), strength=3.0)
        tensor([0.5335, 0.9487, 1.6870, 3.0000], dtype=torch.float64)
        >>> label_margins(torch.tensor([10_000, 1]), largest=0.5)
        tensor([0.0500, 0.5000], dtype=torch.float64)

    Reference: Cao, Wei, Gaidon, Arechiga & Ma 2019, arXiv 1906.07413.
    """
    if not isinstance(counts, Tensor) or counts.is_complex() or counts.dtype == torch.bool:
        raise bad_type("counts", counts, "a tensor of how many examples each label has")
    if counts.numel() == 0 or not bool(((counts >= 0) & torch.isfinite(counts)).all()):
        raise bad_value("counts", counts, "finite counts >= 0, at least one")
    if (strength is None) == (largest is None):
        raise bad_value("strength", strength, "either strength or largest, and not both")
    roots = counts.double().clamp(min=1) ** -0.25
    if strength is not None:
        return check_number("strength", strength, at_least=0) * roots
    return check_number("largest", largest, at_least=0) * roots / roots.max()


def ldam_loss(
    logits: Logits,
    target: Target,
    *,
    counts: Counts,
    max_margin: float = 0.5,
    scale: float = 30.0,
    weight: Weight = None,
    ignore_index: int = -100,
    reduction: str = "mean",
) -> Float[Tensor, "..."]:
    """LDAM (label-distribution-aware margin): cross-entropy in which the right score is lowered by its class's margin.

        ℓ(z, y) = −log softmax(s (z − Δ_y e_y))_y,  Δ_j = Δ_max n_j^{−1/4}/max_k n_k^{−1/4}

    Args:
        logits: (*batch, classes), class axis last; or `LinearLogits`. Cosines in the paper: of features and class
            vectors, both of length 1.
        target: (*batch) class indices.
        counts: (classes,) how many training examples each class has.
        max_margin: Δ_max ≥ 0, the margin of the rarest class, in the unit of the logits. max_margin=0, scale=1 is
            cross-entropy.
        scale: s > 0, for cosines reach from −1 to 1 alone. 1 where the logits are free.
        weight: (classes,) class weights: from `lossbook.training.deferred_weights`, it is LDAM-DRW.
        ignore_index, reduction: as in `cross_entropy`.

    Returns:
        A scalar, or (*batch) for "none".

    Raises:
        TypeError, ValueError: naming the argument, what it got and what was expected.

    Example:
        >>> cosines, target = torch.tensor([[0.8, 0.2], [0.2, 0.8]]).double(), torch.tensor([0, 1])
        >>> loss = ldam_loss(cosines, target, counts=torch.tensor([10_000, 1]), reduction="none")
        >>> [round(float(value), 6) for value in loss]                    # equally sure; the rare class is not done
        [0.0, 0.048587]

    Gradient: s (softmax(s (z − Δ_y e_y)) − e_y): cross-entropy's of the scores s z, times a weight between 1 where the
        row is lost and e^{s Δ_y} where it is sure, e^{s Δ_y}/(p_y + e^{s Δ_y} (1 − p_y)).
    Limits: 0 where the right score is above the others by more than Δ_y and a few 1/s. Convex.
    Reference: Cao, Wei, Gaidon, Arechiga & Ma 2019, arXiv 1906.07413; used in Biswas, Pham & Zhang 2021, arXiv
        2104.10652, in the form of `multi_label_ldam_loss`.
    """
    margins = label_margins(counts, largest=check_number("max_margin", max_margin, at_least=0))
    scale = check_number("scale", scale, above=0)
    check_reduction(reduction)
    batch = prepare(logits, target, ("target",), weight, ignore_index)
    margins = scale * _fitting(margins, counts, logits).to(batch.row_weight.dtype)
    divisor = batch.row_weight.sum() if reduction == "mean" else torch.ones_like(margins[0])
    share = torch.ones_like(margins) if weight is None else weight.to(margins.dtype)
    share = share / torch.where(divisor == 0, 1.0, divisor)
    # the class of a row reaches the row function as its weight: 1 for the first, 0 where the row does not count
    classes = torch.arange(1, len(margins) + 1, dtype=margins.dtype, device=margins.device)

    def row(stats: Statistics) -> Tensor:
        own = stats.weight.long() - 1
        place = own.clamp(min=0)
        # not from log p_y: where the row is sure, its rounding would be multiplied by e^{s Δ}
        values = -share[place] * logsigmoid(stats.target - margins[place] - stats.others_logsumexp)
        return torch.where(own >= 0, values, 0.0)

    options: dict[str, Any] = {"weight": classes, "ignore_index": ignore_index, "row_is_weighted": True}
    together = "none" if reduction == "none" else "sum"
    return row_loss(row, scaled(logits, scale), target, ("target", "others_logsumexp"), reduction=together, **options)


def multi_label_ldam_loss(
    logits: Float[Tensor, "*batch"],
    target: Float[Tensor, "*batch"],
    *,
    counts: Counts,
    strength: float = 3.0,
    weight: Float[Tensor, "*batch"] | None = None,
    reduction: str = "mean",
) -> Float[Tensor, "..."]:
    """LDAM of many labels: binary cross-entropy in which a positive's score is lowered by its label's margin.

        ℓ(z_j, y_j) = softplus(z_j) − y_j z_j  at  z_j − y_j Δ_j,  Δ_j = C/n_j^{1/4}

    Args:
        logits: (*batch, labels), label axis last.
        target: 0s and 1s of the same shape, floating point.
        counts: (labels,) how many positive training examples each label has; 0 counts as 1.
        strength: C ≥ 0, in the unit of the logits. strength=0 is binary cross-entropy.
        weight: one weight per element, or None.
        reduction: "mean" over all elements (divided by the sum of their weights), "sum" or "none".

    Returns:
        A scalar, or the shape of the logits for "none".

    Raises:
        TypeError, ValueError: naming the argument, what it got and what was expected.

    Example:
        >>> logits, counts = torch.ones(2, dtype=torch.float64), torch.tensor([10, 10])
        >>> loss = multi_label_ldam_loss(logits, torch.tensor([1.0, 0.0]).double(), counts=counts, reduction="none")
        >>> [round(float(value), 6) for value in loss]
        [1.094534, 1.313262]

    Gradient: σ(z_j − y_j Δ_j) − y_j: a positive is pulled on where plain cross-entropy has let go.
    Limits: negatives are those of binary cross-entropy, whatever the count. It is a loss for training: decide by z, not
        by z − Δ.
    Reference: Biswas, Pham & Zhang 2021, arXiv 2104.10652; the margins of Cao et al. 2019, arXiv 1906.07413.
    """
    margins = label_margins(counts, strength=check_number("strength", strength, at_least=0))
    check_labels(logits, target, weight, reduction)
    margins = _fitting(margins, counts, logits).to(logits.dtype)
    positive = target == 1
    values = softplus(torch.where(positive, margins - logits, logits), threshold=50)
    return reduce(values, weight, reduction)


def _fitting(margins: Tensor, counts: Counts, logits: Tensor | LinearLogits) -> Tensor:
    if margins.shape != logits.shape[-1:]:
        raise bad_value("counts", counts, f"one count per class or label, shape {tuple(logits.shape[-1:])}")
    return margins.to(logits.device)
