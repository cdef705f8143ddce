"""Binary losses of the margin m = y f(x), y ∈ {−1, 1}: positive where the sign of the score is right."""

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import relu, softplus

from lossbook.losses._elementwise import check_elements, reduce

Margin = Float[Tensor, "*shape"]
Weight = Float[Tensor, "*shape"] | None
Loss = Float[Tensor, "..."]


def logistic_loss(margin: Margin, *, weight: Weight = None, reduction: str = "mean") -> Loss:
    """The logistic loss, in nats: binary cross-entropy written in the margin.

        φ(m) = log(1 + exp(−m))

    Args:
        margin: y f(x), any shape; y ∈ {−1, 1}, f the log-odds of y = 1.
        weight: one weight per element, or None; "mean" divides by their sum.
        reduction: "mean", "sum" or "none".

    Returns:
        A scalar, or the shape of `margin` for "none".

    Raises:
        TypeError, ValueError: naming the argument, what it got and what was expected.

    Example:
        >>> margin = torch.tensor([0.0, 2.0])
        >>> as_torch = torch.nn.functional.binary_cross_entropy_with_logits(margin, torch.ones(2))
        >>> bool(torch.isclose(logistic_loss(margin), as_torch))
        True

    Gradient: −σ(−m), between −1 and 0.
    Limits: exp(−m) for large m, −m for large −m.
    Reference: Friedman, Hastie & Tibshirani 2000, Additive logistic regression, Annals of Statistics 28.
    """
    check_elements("margin", margin, weight, reduction)
    return reduce(softplus(-margin, threshold=50), weight, reduction)


def hinge_loss(margin: Margin, *, weight: Weight = None, reduction: str = "mean") -> Loss:
    """The hinge loss of support vector machines.

        φ(m) = max(0, 1 − m)

    Args:
        margin, weight, reduction: as in `logistic_loss`.

    Returns:
        A scalar, or the shape of `margin` for "none".

    Raises:
        TypeError, ValueError: naming the argument, what it got and what was expected.

    Example:
        >>> hinge_loss(torch.tensor([-1.0, 0.5, 3.0]), reduction="none").tolist()
        [2.0, 0.5, 0.0]

    Gradient: −1 for m < 1, 0 beyond; 0 is taken at the corner.
    Limits: 0 from m = 1 on: points that are right by enough stop counting.
    Reference: Cortes & Vapnik 1995, Support-vector networks, Machine Learning 20.
    """
    check_elements("margin", margin, weight, reduction)
    return reduce(relu(1 - margin), weight, reduction)


def squared_hinge_loss(margin: Margin, *, weight: Weight = None, reduction: str = "mean") -> Loss:
    """The hinge loss squared: no corner, a heavier price on large violations.

        φ(m) = max(0, 1 − m)²

    Args:
        margin, weight, reduction: as in `logistic_loss`.

    Returns:
        A scalar, or the shape of `margin` for "none".

    Raises:
        TypeError, ValueError: naming the argument, what it got and what was expected.

    Example:
        >>> squared_hinge_loss(torch.tensor([-1.0, 0.5, 3.0]), reduction="none").tolist()
        [4.0, 0.25, 0.0]

    Gradient: −2 max(0, 1 − m).
    Limits: 0 from m = 1 on; m² for large −m.
    Reference: Chang, Hsieh & Lin 2008, Coordinate descent for large-scale L2-loss linear SVMs, JMLR 9.
    """
    check_elements("margin", margin, weight, reduction)
    return reduce(relu(1 - margin).square(), weight, reduction)


def exponential_loss(margin: Margin, *, weight: Weight = None, reduction: str = "mean") -> Loss:
    """The exponential loss of AdaBoost.

        φ(m) = exp(−m)

    Args:
        margin, weight, reduction: as in `logistic_loss`.

    Returns:
        A scalar, or the shape of `margin` for "none".

    Raises:
        TypeError, ValueError: naming the argument, what it got and what was expected.

    Example:
        >>> float(exponential_loss(torch.zeros(3)))
        1.0

    Gradient: −exp(−m): the loss is its own slope.
    Limits: 0 for large m; one bad point outweighs all others, exp(88) is the last float32.
    Reference: Freund & Schapire 1997, JCSS 55; Friedman, Hastie & Tibshirani 2000.
    """
    check_elements("margin", margin, weight, reduction)
    return reduce(torch.exp(-margin), weight, reduction)


def savage_loss(margin: Margin, *, weight: Weight = None, reduction: str = "mean") -> Loss:
    """The Savage loss of SavageBoost: bounded, so that an outlier costs at most 1.

        φ(m) = 1/(1 + exp(2m))²

    Args:
        margin, weight, reduction: as in `logistic_loss`. The best score is half the log-odds of y = 1.

    Returns:
        A scalar, or the shape of `margin` for "none".

    Raises:
        TypeError, ValueError: naming the argument, what it got and what was expected.

    Example:
        >>> savage_loss(torch.tensor([-50.0, 0.0, 50.0]), reduction="none").tolist()
        [1.0, 0.25, 0.0]

    Gradient: −4 σ(−2m)² σ(2m), which dies on both sides.
    Limits: 1 for large −m, exp(−4m) for large m.
    Reference: Masnadi-Shirazi & Vasconcelos 2008, On the design of loss functions for classification, NIPS 21. (Some
        texts write exp(m) for exp(2m), which only rescales the score.)
    """
    check_elements("margin", margin, weight, reduction)
    return reduce(torch.sigmoid(-2 * margin).square(), weight, reduction)


def tangent_loss(margin: Margin, *, weight: Weight = None, reduction: str = "mean") -> Loss:
    """The tangent loss of TangentBoost: bounded, and it also punishes scores that are too right.

        φ(m) = (2 arctan(m) − 1)²

    Args:
        margin, weight, reduction: as in `logistic_loss`.

    Returns:
        A scalar, or the shape of `margin` for "none".

    Raises:
        TypeError, ValueError: naming the argument, what it got and what was expected.

    Example:
        >>> import math
        >>> round(float(tangent_loss(torch.tensor([math.tan(0.5)]))), 6)        # its floor
        0.0

    Gradient: 4 (2 arctan(m) − 1)/(1 + m²).
    Limits: (π + 1)² for large −m, (π − 1)² for large m.
    Reference: Masnadi-Shirazi, Mahadevan & Vasconcelos 2010, On the design of robust classifiers for computer vision,
        CVPR.
    """
    check_elements("margin", margin, weight, reduction)
    return reduce((2 * torch.arctan(margin) - 1).square(), weight, reduction)


def zero_one_loss(margin: Margin, *, weight: Weight = None, reduction: str = "mean") -> Loss:
    """The loss that is meant: 1 for a mistake, 0 otherwise. A margin of 0 is a mistake.

        φ(m) = 1[m ≤ 0]

    Args:
        margin, weight, reduction: as in `logistic_loss`.

    Returns:
        A scalar, or the shape of `margin` for "none".

    Raises:
        TypeError, ValueError: naming the argument, what it got and what was expected.

    Example:
        >>> zero_one_loss(torch.tensor([-2.0, 0.0, 0.1]), reduction="none").tolist()
        [1.0, 1.0, 0.0]

    Gradient: 0 everywhere: nothing to descend, which is why surrogates exist.
    Limits: 1 and 0; it does not see how wrong.
    Reference: Bartlett, Jordan & McAuliffe 2006, Convexity, classification, and risk bounds, JASA 101.
    """
    check_elements("margin", margin, weight, reduction)
    return reduce(1 - relu(torch.sign(margin)), weight, reduction)  # autograd's derivative of sign is 0
