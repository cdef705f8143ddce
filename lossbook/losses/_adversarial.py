"""A loss of clean and attacked class scores: comp-sum, and a price on how far the margins move."""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from lossbook.checks import bad_type, bad_value, check_floating, check_number, check_same_device, check_same_shape
from lossbook.logits import LinearLogits, Statistics, row_loss
from lossbook.losses._classification import Logits, Target, Weight, comp_sum_loss


def smooth_adversarial_comp_sum_loss(
    logits: Logits,
    target: Target,
    *,
    adversarial_logits: Logits,
    tau: float = 1.0,
    rho: float = 1.0,
    nu: float = 1.0,
    weight: Weight = None,
    ignore_index: int = -100,
    reduction: str = "mean",
) -> Float[Tensor, "..."]:
    """A comp-sum loss of the clean scores, and a price on how far the margins move under attack.

        ℓ = Φ_τ(Σ_{k≠y} exp(−D_k/ρ)) + ν ‖D' − D‖₂,   D_k = z_y − z_k,  D'_k = z'_y − z'_k,  k ≠ y

    Args:
        logits: (*batch, classes) scores z of the clean inputs; or `LinearLogits`.
        target: (*batch) class indices.
        adversarial_logits: scores z' of the perturbed inputs, of the same kind and shape. The published loss takes the
            perturbation in the ball that moves the margins most; `lossbook.training.margin_attack` looks for it.
        tau: τ ≥ 0, as in `comp_sum_loss`.
        rho: ρ > 0, the margin that counts as one unit; 1 leaves the comp-sum loss as it is.
        nu: ν ≥ 0, the price of the movement; 0 is the comp-sum loss of z/ρ.
        weight, ignore_index, reduction: as in `cross_entropy`.

    Returns:
        A scalar, or (*batch) for "none".

    Raises:
        TypeError, ValueError: naming the argument, what it got and what was expected.

    Example:
        >>> logits, target = torch.tensor([[2.0, 1.0, 0.0]]), torch.tensor([0])
        >>> still = smooth_adversarial_comp_sum_loss(logits, target, adversarial_logits=logits)
        >>> bool(still == comp_sum_loss(logits, target))
        True

    Gradient: p_y^{τ−1} (p − e_y)/ρ at z/ρ, and ∓ν times the unit vector of the movement, at z and at z'.
    Limits: no movement, no price; its gradient there is taken as 0.
    Reference: Mao, Mohri & Zhong 2023, arXiv 2304.07288.
    """
    tau = check_number("tau", tau, at_least=0)
    rho = check_number("rho", rho, above=0)
    nu = check_number("nu", nu, at_least=0)
    options: dict[str, Any] = {"weight": weight, "ignore_index": ignore_index, "reduction": reduction}
    clean = comp_sum_loss(_divided(logits, rho), target, tau=tau, **options)
    moved = _difference(adversarial_logits, logits)

    def distance(stats: Statistics) -> Tensor:
        # Σ_{k≠y} (δ_y − δ_k)² with δ = z' − z; the root's gradient at 0 is defined as 0.
        square = stats.square_sum - 2 * stats.target * stats.sum + stats.classes * stats.target.square()
        still = square <= 0
        return torch.where(still, 0.0, torch.where(still, 1.0, square).sqrt())

    return clean + nu * row_loss(distance, moved, target, ("target", "sum", "square_sum"), **options)


def _divided(logits: Logits, rho: float) -> Logits:
    if not isinstance(logits, LinearLogits):
        return logits / rho if isinstance(logits, Tensor) else logits
    bias = None if logits.bias is None else logits.bias / rho
    return LinearLogits(logits.features / rho, logits.weight, bias, memory_budget=logits.memory_budget)


def _difference(adversarial: Logits, clean: Logits) -> Logits:
    """The movement z' − z, less its mean over classes, which no margin sees and which would cancel badly in squares."""
    if isinstance(clean, LinearLogits) and isinstance(adversarial, LinearLogits):
        if adversarial.weight is not clean.weight or adversarial.bias is not clean.bias:
            raise bad_value("adversarial_logits", adversarial, "the same weight and bias tensors as logits")
        check_same_shape("adversarial_logits.features", adversarial.features, "logits.features", clean.features)
        centred = clean.weight - clean.weight.mean(0)
        return LinearLogits(adversarial.features - clean.features, centred, memory_budget=clean.memory_budget)
    if isinstance(clean, LinearLogits) or isinstance(adversarial, LinearLogits):
        raise bad_type("adversarial_logits", adversarial, "LinearLogits for LinearLogits, a tensor for a tensor")
    check_same_shape("adversarial_logits", check_floating("adversarial_logits", adversarial), "logits", clean)
    check_same_device("adversarial_logits", adversarial, "logits", clean)
    moved = adversarial - clean
    return moved - moved.mean(-1, keepdim=True)
