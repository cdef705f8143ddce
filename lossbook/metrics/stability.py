"""How far a network that learns on stays behind one that learns all at once: gaps, and updates until it is level."""

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from lossbook.checks import bad_value, check_floating, check_number


class Gaps(NamedTuple):
    """Shares of the joint model's accuracy that are missing, averaged over updates; 0 is level, below 0 is ahead."""

    stability: Tensor
    plasticity: Tensor
    knowledge: Tensor


def reference_gap(
    accuracy: Float[Tensor, "updates ..."], reference: Float[Tensor, "..."] | float
) -> Float[Tensor, "..."]:
    """One minus the mean, over updates, of an accuracy relative to that of a reference model.

        Δ = 1 − (1/U) Σ_u a(u)/A

    Args:
        accuracy: (updates, ...), a: measured after each update, in [0, 1]; further axes are members.
        reference: A > 0, one number or one for each member: the accuracy of a joint model on the same examples.

    Returns:
        (...): 0 where the curve lies on the reference; negative where it lies above it on average.

    Raises:
        TypeError, ValueError: naming the argument, what it got and what was expected.

    Example:
        >>> reference_gap(torch.tensor([0.75, 0.25, 0.5, 0.75]), 0.75)      # a dip of two updates costs a quarter
        tensor(0.2500)

    Reference: Harun & Kanan 2024, arXiv 2306.01904, section 3.2.
    """
    accuracy, reference = _checked(accuracy, reference)
    return 1 - (accuracy / reference).mean(0)


def continual_gaps(
    old: Float[Tensor, "updates ..."],
    new: Float[Tensor, "updates ..."],
    every: Float[Tensor, "updates ..."],
    *,
    joint: tuple[Float[Tensor, "..."] | float, ...],
) -> Gaps:
    """The stability gap S_Δ, the plasticity gap P_Δ and the continual knowledge gap CK_Δ.

        S_Δ = 1 − mean_u a_old(u)/A_old,   P_Δ = 1 − mean_u a_new(u)/A_new,   CK_Δ = 1 − mean_u a_all(u)/A_all

    Args:
        old, new, every: (updates, ...), accuracy on old, new and all classes after each update.
        joint: (A_old, A_new, A_all), the accuracies of a model trained on all classes at once.

    Raises:
        TypeError, ValueError: naming the argument, what it got and what was expected.

    Example:
        >>> curve = torch.tensor([0.5, 0.75, 1.0])
        >>> found = continual_gaps(1 - 0 * curve, curve, (1 + curve) / 2, joint=(1.0, 1.0, 1.0))
        >>> [float(gap) for gap in found]
        [0.0, 0.25, 0.125]

    Reference: Harun & Kanan 2024, arXiv 2306.01904, section 3.2.
    """
    if not isinstance(joint, tuple) or len(joint) != 3:
        raise bad_value("joint", joint, "three accuracies: on old, on new and on all classes")
    return Gaps(*(reference_gap(curve, level) for curve, level in zip((old, new, every), joint, strict=True)))


def updates_to_reach(
    accuracy: Float[Tensor, "updates ..."],
    reference: Float[Tensor, "..."] | float,
    *,
    share: float = 0.99,
    lasting: bool = False,
) -> Float[Tensor, "..."]:
    """The number of updates until an accuracy is at a share of a reference; infinite where it never is.

    Args:
        accuracy: (updates, ...), after 1, 2, 3 ... updates.
        reference: A > 0, as in `reference_gap`.
        share: of A to reach, above 0.
        lasting: count until it is reached for good, rather than for the first time.

    Returns:
        (...), at least 1. The quotient of two such numbers is the speed-up.

    Raises:
        TypeError, ValueError: naming the argument, what it got and what was expected.

    Example:
        >>> curve = torch.tensor([0.9, 0.4, 0.7, 0.9, 0.95])
        >>> float(updates_to_reach(curve, 0.9, share=1.0)), float(updates_to_reach(curve, 0.9, share=1.0, lasting=True))
        (1.0, 4.0)
    """
    accuracy, reference = _checked(accuracy, reference)
    share = check_number("share", share, above=0)
    if not isinstance(lasting, bool):
        raise bad_value("lasting", lasting, "True or False")
    there = accuracy >= share * reference
    if lasting:
        there = there.flip(0).cummin(0).values.flip(0)
    first = there.to(torch.int8).argmax(0) + 1.0
    return torch.where(there.any(0), first, torch.inf)


def _checked(accuracy: Tensor, reference: Tensor | float) -> tuple[Tensor, Tensor]:
    if check_floating("accuracy", accuracy).ndim == 0 or len(accuracy) == 0:
        raise bad_value("accuracy", accuracy, "shape (updates, ...) with at least one update")
    if not bool(torch.isfinite(accuracy).all()):
        raise ValueError("accuracy: got values that are not finite, expected the accuracy after every update")
    if not isinstance(reference, Tensor):
        reference = torch.tensor(check_number("reference", reference, above=0), dtype=accuracy.dtype)
    if check_floating("reference", reference).shape not in (accuracy.shape[1:], ()):
        raise bad_value("reference", reference, f"one number, or shape {tuple(accuracy.shape[1:])}")
    if not bool((reference > 0).all()) or not bool(torch.isfinite(reference).all()):
        raise ValueError("reference: got values that are not finite and above 0, expected accuracies of a joint model")
    return accuracy, reference
