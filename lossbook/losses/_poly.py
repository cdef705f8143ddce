"""Cross-entropy as a polynomial: −log p_y is a series in 1 − p_y, and its coefficients may be turned, or cut off."""

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from lossbook.checks import bad_value, check_number
from lossbook.logits import Statistics, row_loss
from lossbook.losses._classification import Logits, Target, Weight, _one_minus_exp


def poly_loss(
    logits: Logits,
    target: Target,
    *,
    epsilon: float | Sequence[float] = 2.0,
    gamma: float = 0.0,
    weight: Weight = None,
    ignore_index: int = -100,
    reduction: str = "mean",
) -> Float[Tensor, "..."]:
    """PolyLoss: cross-entropy, or focal loss, with the first coefficients of its series in 1 − p_y turned.

        ℓ(z, y) = (1 − p_y)^γ (−log p_y + Σ_{j≤N} ε_j (1 − p_y)^j),  −log p_y = Σ_{j≥1} (1 − p_y)^j / j

    With one number it is the paper's Poly-1, −log p_y + ε (1 − p_y); with γ > 0 its Poly-1 focal loss.

    Args:
        logits: (*batch, classes), class axis last; or `LinearLogits`.
        target: (*batch) class indices.
        epsilon: ε ≥ −1, added to the first coefficient, which is 1; or (ε_1, ..., ε_N), each ε_j ≥ −1/j, so that no
            coefficient falls below 0. epsilon=0 is cross-entropy. The paper takes 2 for photographs of one thing, −1
            for detecting many: there is no value for all tasks.
        gamma: γ ≥ 0, as in `focal_loss`. gamma=0 leaves cross-entropy.
        weight, ignore_index, reduction: as in `cross_entropy`.

    Returns:
        A scalar, or (*batch) for "none".

    Raises:
        TypeError, ValueError: naming the argument, what it got and what was expected.

    Example:
        >>> logits, target = torch.tensor([[2.0, 1.0, 0.0]], dtype=torch.float64), torch.tensor([0])
        >>> [round(float(poly_loss(logits, target, epsilon=epsilon)), 6) for epsilon in (-1, 0, 2)]
        [0.072847, 0.407606, 1.077124]

    Gradient: of Poly-1 (1 + ε p_y) (p − e_y): cross-entropy's, amplified in proportion to confidence. In general
        p − e_y times (1 − p_y)^γ (1 − γ p_y log p_y/(1 − p_y) + p_y Σ_j ε_j (j + γ) (1 − p_y)^(j−1)).
    Limits: ε → ∞ has the direction of the mean absolute error. ε = −1 takes away the term that has a slope at p_y = 1:
        a row that is nearly right hardly counts. Convex for −1 ≤ ε ≤ 1 with γ = 0. Proper only as cross-entropy.
    Reference: Leng, Tan, Liu, Cubuk, Shi, Cheng & Anguelov 2022, arXiv 2204.12511.
    """
    turned = _coefficients(epsilon)
    gamma = check_number("gamma", gamma, at_least=0)

    def row(stats: Statistics) -> Tensor:
        log_p = stats.log_probability
        missing = _one_minus_exp(log_p)
        extra = torch.zeros_like(missing)
        for coefficient in reversed(turned):
            extra = missing * (coefficient + extra)
        if not gamma:
            return extra - log_p
        # at p_y = 1 the power's slope may be infinite, and 0 times it is no number
        power = missing.clamp(min=torch.finfo(log_p.dtype).tiny) ** gamma
        return power * (extra - log_p)

    options: dict[str, Any] = {"weight": weight, "ignore_index": ignore_index, "reduction": reduction}
    return row_loss(row, logits, target, ("log_probability",), **options)


def _coefficients(epsilon: Any) -> tuple[float, ...]:
    if isinstance(epsilon, str | Tensor) or not isinstance(epsilon, Sequence):
        return (check_number("epsilon", epsilon, at_least=-1),)
    if not epsilon:
        raise bad_value("epsilon", epsilon, "a number, or at least one")
    return tuple(check_number(f"epsilon[{j}]", value, at_least=-1 / (j + 1)) for j, value in enumerate(epsilon))


def taylor_cross_entropy(
    logits: Logits,
    target: Target,
    *,
    terms: float = 2,
    weight: Weight = None,
    ignore_index: int = -100,
    reduction: str = "mean",
) -> Float[Tensor, "..."]:
    """The first terms of cross-entropy's series in 1 − p_y: from mean absolute error to cross-entropy.

        ℓ_N(z, y) = Σ_{j=1}^{N} (1 − p_y)^j / j

    PolyLoss calls it dropping the higher-order polynomials; Feng et al. proposed it before, against wrong labels. Not
    the Taylor softmax, which cuts the series of exp: `taylor_softmax_loss`.

    Args:
        logits: (*batch, classes), class axis last; or `LinearLogits`.
        target: (*batch) class indices.
        terms: N ≥ 1, a whole number. 1 is mean absolute error, ∞ cross-entropy. The default is the least N that is not
            one of these.
        weight, ignore_index, reduction: as in `cross_entropy`.

    Returns:
        A scalar, or (*batch) for "none".

    Raises:
        TypeError, ValueError: naming the argument, what it got and what was expected.

    Example:
        >>> logits, target = torch.tensor([[2.0, 1.0, 0.0]], dtype=torch.float64), torch.tensor([0])
        >>> [round(float(taylor_cross_entropy(logits, target, terms=terms)), 6) for terms in (1, 2, 199)]
        [0.334759, 0.390791, 0.407606]

    Gradient: (1 − (1 − p_y)^N) (p − e_y): about N p_y (p − e_y) where p_y is small, cross-entropy's where it is not.
    Limits: bounded by 1 + 1/2 + ... + 1/N; not convex, not proper. A class that starts at p_y = 1/V is pulled like
        cross-entropy pulls it only with N well above V.
    Reference: Feng, Shu, Lin, Lv, Li & An 2020, IJCAI; Leng et al. 2022, arXiv 2204.12511, section 3.
    """
    count = check_number("terms", terms, at_least=1)
    if count != int(count):
        raise bad_value("terms", terms, "a whole number")

    def row(stats: Statistics) -> Tensor:
        missing = _one_minus_exp(stats.log_probability)
        total = torch.zeros_like(missing)
        for j in range(int(count), 0, -1):
            total = missing * (1 / j + total)
        return total

    options: dict[str, Any] = {"weight": weight, "ignore_index": ignore_index, "reduction": reduction}
    return row_loss(row, logits, target, ("log_probability",), **options)
