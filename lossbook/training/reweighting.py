"""Weights against imbalance: how much an example of a class counts, and from when on."""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from lossbook.checks import bad_type, bad_value, check_number
from lossbook.losses._label_margin import label_margins

__all__ = ["deferred_weights", "effective_number_weights", "label_margins"]


def effective_number_weights(
    counts: Int[Tensor, " classes"] | Float[Tensor, " classes"], *, beta: float = 0.9999
) -> Float[Tensor, " classes"]:
    """Class weights by the effective number of examples: a second one that resembles the first counts less.

        w_k ∝ (1 − β)/(1 − β^{n_k}),  scaled so that they add up to the number of classes

    Args:
        counts: n_k ≥ 0, training examples of each class. A class without any has the weight 0.
        beta: in [0, 1): 0 weighs all classes alike, and near 1 the weights become 1/n_k.

    Returns:
        (classes,) weights, float32, for the `weight` of a loss.

    Raises:
        TypeError, ValueError: naming the argument, what it got and what was expected.

    Example:
        >>> effective_number_weights(torch.tensor([1000, 10]), beta=0.99)
        tensor([0.1746, 1.8254])

    Reference: Cui, Jia, Lin, Song & Belongie 2019, arXiv 1901.05555.
    """
    beta = check_number("beta", beta, at_least=0, below=1)
    if not isinstance(counts, Tensor) or counts.ndim != 1 or counts.is_complex() or counts.dtype == torch.bool:
        raise bad_type("counts", counts, "a tensor of one count a class, shape (classes,)")
    if not bool(((counts >= 0) & torch.isfinite(counts)).all()) or not bool((counts > 0).any()):
        raise bad_value("counts", counts, "finite counts >= 0, at least one of them above 0")
    present = counts > 0
    effective = torch.where(present, 1 - beta ** counts.double(), 1.0)
    raw = torch.where(present, (1 - beta) / effective, 0.0)
    return (len(counts) * raw / raw.sum()).float()


def deferred_weights(
    counts: Int[Tensor, " classes"] | Float[Tensor, " classes"],
    progress: float,
    *,
    start: float = 0.8,
    beta: float = 0.9999,
) -> Float[Tensor, " classes"]:
    """Deferred re-weighting (DRW): all classes alike at first, the rare ones more towards the end.

    Args:
        counts, beta: as in `effective_number_weights`.
        progress: the share of the training that is done, in [0, 1].
        start: from which share on the weights count: 160 of 200 epochs in the paper.

    Returns:
        (classes,) weights, float32: ones up to `start`, then those of `effective_number_weights`.

    Raises:
        TypeError, ValueError: naming the argument, what it got and what was expected.

    Example:
        >>> counts = torch.tensor([1000, 10])
        >>> deferred_weights(counts, 0.5), deferred_weights(counts, 0.9, beta=0.99)
        (tensor([1., 1.]), tensor([0.1746, 1.8254]))

    Reference: Cao, Wei, Gaidon, Arechiga & Ma 2019, arXiv 1906.07413.
    """
    check_number("progress", progress, at_least=0, at_most=1)
    check_number("start", start, at_least=0, at_most=1)
    weights = effective_number_weights(counts, beta=beta)
    return torch.ones_like(weights) if progress < start else weights
