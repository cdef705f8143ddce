"""Decoupled softmax: a loss of class scores where a row may have several right classes."""

from types import SimpleNamespace

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import logsigmoid

from lossbook.capping import softcap
from lossbook.checks import bad_value, check_floating, check_reduction, check_same_device
from lossbook.kernels import accumulation_dtype
from lossbook.kernels.pairs import indexed_scores
from lossbook.logits import LinearLogits, row_loss, row_statistics
from lossbook.losses._classification import Logits, Weight


def decoupled_softmax_loss(
    logits: Logits,
    target: Int[Tensor, "*batch"] | Int[Tensor, "*batch positives"],
    *,
    weight: Weight = None,
    ignore_index: int = -100,
    reduction: str = "mean",
) -> Float[Tensor, "..."]:
    """Decoupled softmax: each right class competes with the wrong classes, not with the other right ones.

        ℓ(z, P) = (1/|P|) Σ_{i∈P} softplus(M − z_i),  M = log Σ_{n∉P} exp(z_n)

    Term i is the cross-entropy of class i among itself and the wrong classes; with one right class it is cross-entropy.
    Not the decoupled contrastive loss of Yeh et al. 2021, M − z_i, which leaves the right class out of its denominator.

    Args:
        logits: (*batch, classes), class axis last; or `LinearLogits`.
        target: (*batch) class indices, or several right classes a row, (*batch, positives), the empty places filled
            with `ignore_index`. A class given twice counts twice.
        weight: (classes,) weights of the right classes' terms; "mean" divides by the rows' mean weights.
        ignore_index: rows with no other target do not count.
        reduction: "mean", "sum" or "none", over rows.

    Returns:
        A scalar, or (*batch) for "none". A row whose classes are all right costs 0.

    Raises:
        TypeError, ValueError: naming the argument, what it got and what was expected.

    Example:
        >>> logits = torch.tensor([[2.0, 1.0, 0.0, -1.0]], dtype=torch.float64)
        >>> round(float(decoupled_softmax_loss(logits, torch.tensor([[0, 1]]))), 6)
        0.288726
        >>> round(float(decoupled_softmax_loss(logits, torch.tensor([[0, -100]]))), 6)          # cross-entropy
        0.44019

    Gradient: by z_i, i right: −(1 − π_i)/|P|, π_i = σ(z_i − M): every right class is pulled up. By z_n, n wrong:
        Σ_i (1 − π_i)/|P| · exp(z_n − M).
    Limits: 0 where each right class is far above every wrong one, in whatever order they stand.
    Reference: Gupta, Khatri, Rawat, Bhojanapalli, Jain & Dhillon 2024, arXiv 2310.10636.
    """
    if isinstance(target, Tensor) and hasattr(logits, "shape") and target.ndim == len(logits.shape):
        return _several(logits, target, weight, ignore_index, reduction)
    return row_loss(
        lambda stats: -logsigmoid(stats.target - stats.others_logsumexp),
        logits,
        target,
        ("target", "others_logsumexp"),
        weight=weight,
        ignore_index=ignore_index,
        reduction=reduction,
    )


def _several(logits: Logits, target: Tensor, weight: Weight, ignore_index: int, reduction: str) -> Float[Tensor, "..."]:
    check_reduction(reduction)
    if isinstance(logits, LinearLogits) and (logits.shift or logits.group is not None):
        got = SimpleNamespace(shift=logits.shift, group=logits.group)
        raise bad_value("logits", got, "no shift and no group where a row has several right classes")
    names = ("others_logsumexp",)
    others = row_statistics(logits, target, names, ignore_index=ignore_index).others_logsumexp
    counts = target != ignore_index
    places = torch.where(counts, target, 0).long()
    # Empty places and rows are set before they enter a formula: 0 · ∞ in a gradient is no number.
    away = torch.where(counts, _scores_at(logits, places, counts) - others[..., None], 0.0)
    share = counts.to(away.dtype) / counts.sum(-1, keepdim=True).clamp(min=1)
    if weight is not None:
        _check_class_weight(weight, logits)
        share = share * weight.to(share.dtype)[places]
    values = -(share * logsigmoid(away)).sum(-1)
    if reduction == "mean":
        divisor = share.sum()
        found = values.sum() / torch.where(divisor == 0, 1.0, divisor)
    else:
        found = values.sum() if reduction == "sum" else values
    return found.to(logits.dtype)


def _scores_at(logits: Logits, places: Tensor, counts: Tensor) -> Tensor:
    """The scores of the classes named, (*batch, places); 0 in the rows that do not count."""
    rows = counts.any(-1)
    if isinstance(logits, Tensor):
        found = logits[rows].to(accumulation_dtype(logits.dtype)).gather(-1, places[rows])
    else:
        found = indexed_scores(logits.features[rows], logits.weight, logits.bias, places[rows])
        if logits.softcap is not None:
            found = softcap(found, logits.softcap)
    return found.new_zeros(places.shape).masked_scatter(rows[..., None], found)


def _check_class_weight(weight: Tensor, logits: Logits) -> None:
    classes = logits.shape[-1]
    if check_floating("weight", weight).shape != (classes,):
        raise bad_value("weight", weight, f"one weight per class, shape ({classes},)")
    check_same_device("weight", weight, "logits", logits)  # type: ignore[arg-type]
    if weight.requires_grad and torch.is_grad_enabled():
        raise ValueError("weight: got a tensor that requires grad, expected a constant: no gradient reaches it")
