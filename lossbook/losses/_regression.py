"""Regression losses of the error e = prediction − target, any shape, element by element."""

import math

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import softplus

from lossbook.checks import check_number
from lossbook.losses._elementwise import check_elements, check_pair, reduce

Values = Float[Tensor, "*shape"]
Weight = Float[Tensor, "*shape"] | None
Loss = Float[Tensor, "..."]


def _error(prediction: Tensor, target: Tensor, weight: Tensor | None, reduction: str) -> Tensor:
    check_pair(prediction, target)
    check_elements("prediction", prediction, weight, reduction)
    return prediction - target


def squared_error(prediction: Values, target: Values, *, weight: Weight = None, reduction: str = "mean") -> Loss:
    """The square of the error, without a half: the unit is the target's, squared.

        ℓ(e) = e²

    Args:
        prediction, target: the same shape, the same units.
        weight: one weight per element, or None; "mean" divides by their sum.
        reduction: "mean", "sum" or "none".

    Returns:
        A scalar, or the shape of `prediction` for "none".

    Raises:
        TypeError, ValueError: naming the argument, what it got and what was expected. Shapes are never broadcast.

    Example:
        >>> data = torch.tensor([0.0, 1.0, 8.0])
        >>> guesses = torch.linspace(0, 8, 81)
        >>> best = min(guesses, key=lambda guess: squared_error(guess.expand(3), data))
        >>> round(float(best), 1)        # the best constant is the mean
        3.0

    Gradient: 2e.
    Limits: one error of 10 counts as a hundred errors of 1.
    Reference: Legendre 1805; Gauss 1809.
    """
    return reduce(_error(prediction, target, weight, reduction).square(), weight, reduction)


def absolute_error(prediction: Values, target: Values, *, weight: Weight = None, reduction: str = "mean") -> Loss:
    """The size of the error, in the target's unit.

        ℓ(e) = |e|

    Args:
        prediction, target, weight, reduction: as in `squared_error`.

    Returns:
        A scalar, or the shape of `prediction` for "none".

    Raises:
        TypeError, ValueError: naming the argument, what it got and what was expected.

    Example:
        >>> data = torch.tensor([0.0, 1.0, 8.0])
        >>> guesses = torch.linspace(0, 8, 81)
        >>> best = min(guesses, key=lambda guess: absolute_error(guess.expand(3), data))
        >>> round(float(best), 1)        # the best constant is the median
        1.0

    Gradient: the sign of e; 0 at e = 0.
    Limits: grows as |e|: an outlier pulls no harder than its neighbour.
    Reference: Boscovich 1757; Laplace 1774.
    """
    return reduce(_error(prediction, target, weight, reduction).abs(), weight, reduction)


def huber_loss(
    prediction: Values, target: Values, *, delta: float = 1.0, weight: Weight = None, reduction: str = "mean"
) -> Loss:
    """Half the square for small errors, a straight line for large ones.

        ℓ(e) = e²/2 for |e| ≤ δ,  δ(|e| − δ/2) beyond

    Args:
        prediction, target, reduction: as in `squared_error`.
        delta: δ > 0, the error, in the target's unit, at which the line begins.
        weight: one weight per element, or None; "mean" divides by the number of elements, as torch's huber_loss does
            (torch's mse_loss and l1_loss divide by the sum of the weights, and so do all other losses here).

    Returns:
        A scalar, or the shape of `prediction` for "none".

    Raises:
        TypeError, ValueError: naming the argument, what it got and what was expected.

    Example:
        >>> error = torch.tensor([0.5, 3.0])
        >>> huber_loss(error, torch.zeros(2), reduction="none").tolist()
        [0.125, 2.5]

    Gradient: e held within ±δ.
    Limits: e²/2 as δ grows; δ|e| as δ shrinks.
    Reference: Huber 1964, Robust estimation of a location parameter, Annals of Mathematical Statistics 35.
    """
    delta = check_number("delta", delta, above=0)
    size = _error(prediction, target, weight, reduction).abs()
    inside = size.clamp(max=delta)
    return reduce(inside * (size - inside / 2), weight, reduction, mean_over="elements")


def log_cosh_loss(prediction: Values, target: Values, *, weight: Weight = None, reduction: str = "mean") -> Loss:
    """The logarithm of the hyperbolic cosine: Huber's shape without a seam.

        ℓ(e) = log cosh e

    Args:
        prediction, target, weight, reduction: as in `squared_error`.

    Returns:
        A scalar, or the shape of `prediction` for "none".

    Raises:
        TypeError, ValueError: naming the argument, what it got and what was expected.

    Example:
        >>> far = log_cosh_loss(torch.tensor([1000.0]).double(), torch.tensor([0.0]).double())
        >>> round(1000 - float(far), 4)        # |e| − log 2 far out, and no overflow
        0.6931

    Gradient: tanh e.
    Limits: e²/2 near 0, |e| − log 2 far out.
    Reference: Green 1990, Bayesian reconstructions from emission tomography data using a modified EM algorithm, IEEE
        TMI 9.
    """
    error = _error(prediction, target, weight, reduction)
    size = error.abs()
    # Near 0 cosh e − 1 = 2 sinh²(e/2), which does not cancel.
    near = torch.log1p(2 * torch.sinh(error.clamp(-1, 1) / 2).square())
    far = size + softplus(-2 * size, threshold=50) - math.log(2)
    return reduce(torch.where(size < 1, near, far), weight, reduction)


def quantile_loss(
    prediction: Values, target: Values, *, quantile: float, weight: Weight = None, reduction: str = "mean"
) -> Loss:
    """The pinball loss: its best constant is the quantile asked for.

        ℓ(e) = q max(−e, 0) + (1 − q) max(e, 0),  e = prediction − target

    Args:
        prediction, target, weight, reduction: as in `squared_error`.
        quantile: q in (0, 1). 0.5 is half the absolute error.

    Returns:
        A scalar, or the shape of `prediction` for "none".

    Raises:
        TypeError, ValueError: naming the argument, what it got and what was expected.

    Example:
        >>> prediction, target = torch.tensor([0.0, 2.0]), torch.tensor([2.0, 0.0])
        >>> quantile_loss(prediction, target, quantile=0.75, reduction="none").tolist()    # too low costs 3 times more
        [1.5, 0.5]

    Gradient: −q below the target, 1 − q above.
    Limits: |e|/2 at q = 0.5.
    Reference: Koenker & Bassett 1978, Regression quantiles, Econometrica 46.
    """
    quantile = check_number("quantile", quantile, above=0, below=1)
    error = _error(prediction, target, weight, reduction)
    return reduce(torch.maximum(-quantile * error, (1 - quantile) * error), weight, reduction)


def general_robust_loss(
    prediction: Values,
    target: Values,
    *,
    alpha: float = 1.0,
    scale: float = 1.0,
    weight: Weight = None,
    reduction: str = "mean",
) -> Loss:
    """Barron's loss: one shape parameter from squared error through Charbonnier and Cauchy to Welsch.

        ρ(e) = |α − 2|/α ( ((e/c)²/|α − 2| + 1)^{α/2} − 1 )

    Args:
        prediction, target, weight, reduction: as in `squared_error`.
        alpha: α, the shape; ±inf allowed. 2 is (e/c)²/2, 1 Charbonnier √((e/c)² + 1) − 1, 0 Cauchy log((e/c)²/2 + 1),
            −2 Geman-McClure, −inf Welsch 1 − exp(−(e/c)²/2).
        scale: c > 0, in the target's unit: errors below it are treated as by a square.

    Returns:
        A scalar, or the shape of `prediction` for "none".

    Raises:
        TypeError, ValueError: naming the argument, what it got and what was expected.

    Example:
        >>> error = torch.tensor([2.0])
        >>> float(general_robust_loss(error, torch.zeros(1), alpha=2.0))
        2.0

    Gradient: e/c² ((e/c)²/|α − 2| + 1)^{α/2 − 1}.
    Limits: (e/c)²/2 near 0 for every α; bounded by (α − 2)/α for α < 0.
    Reference: Barron 2019, A general and adaptive robust loss function, arXiv 1701.03077.
    """
    alpha = check_number("alpha", alpha, finite=False)
    scale = check_number("scale", scale, above=0)
    square = (_error(prediction, target, weight, reduction) / scale).square()
    if alpha == 2:
        values = square / 2
    elif abs(alpha) < 1e-20:  # no float64 tells it from 0, and in float32 the quotient below would be 0/0
        values = torch.log1p(square / 2)
    elif math.isinf(alpha):
        values = torch.expm1(math.copysign(0.5, alpha) * square) * math.copysign(1, alpha)
    else:
        width = abs(alpha - 2)
        values = width / alpha * torch.expm1(alpha / 2 * torch.log1p(square / width))
    return reduce(values, weight, reduction)
