"""Records of the regression losses."""

import math

import torch
from torch import Tensor
from torch.nn.functional import huber_loss, l1_loss, mse_loss

from lossbook import losses
from lossbook.catalog.record import Parameter, Properties, Record, Reference, SpecialCase


def _quantile_gradient(prediction: Tensor, target: Tensor, *, quantile: float) -> Tensor:
    return (torch.sign(prediction - target) + 1) / 2 - quantile  # at 0, half-way between the two lines, as autograd


def _general_robust_gradient(prediction: Tensor, target: Tensor, *, alpha: float, scale: float) -> Tensor:
    error = prediction - target
    square = (error / scale).square()
    if math.isinf(alpha):
        return error / scale**2 * torch.exp(math.copysign(0.5, alpha) * square)
    if alpha == 2:
        return error / scale**2
    return error / scale**2 * (square / abs(alpha - 2) + 1) ** (alpha / 2 - 1)


def _general_robust_steepest(alpha: float, scale: float) -> float:
    if alpha > 1:
        return math.inf
    if math.isinf(alpha):
        return math.exp(-0.5) / scale
    if alpha == 1:
        return 1 / scale
    best = (2 - alpha) / (1 - alpha)  # (e/c)² where the gradient is largest
    return math.sqrt(best) / scale * (best / (2 - alpha) + 1) ** (alpha / 2 - 1)


def _regression(function, title, origin, formula, gradient_formula, gradient, properties, reference, **more) -> Record:
    return Record(
        function=function,
        title=title,
        inputs="error",
        family="regression",
        origin=origin,
        chapter="01",
        formula=formula,
        gradient_formula=gradient_formula,
        gradient=gradient,
        properties=properties,
        reference=reference,
        **more,
    )


RECORDS = (
    _regression(
        losses.squared_error,
        "Squared error",
        "likelihood",
        r"e^2",
        r"2e",
        lambda prediction, target: 2 * (prediction - target),
        Properties(convex=True, even=True),
        Reference("Legendre", 1805, "Nouvelles méthodes pour la détermination des orbites des comètes"),
        special_cases=(SpecialCase("it is torch's mse_loss", {}, lambda p, t: mse_loss(p, t, reduction="none")),),
    ),
    _regression(
        losses.absolute_error,
        "Absolute error",
        "likelihood",
        r"|e|",
        r"\operatorname{sign} e",
        lambda prediction, target: torch.sign(prediction - target),
        Properties(convex=True, even=True, lipschitz=1.0),
        Reference("Laplace", 1774, "Mémoire sur la probabilité des causes par les évènements"),
        special_cases=(SpecialCase("it is torch's l1_loss", {}, lambda p, t: l1_loss(p, t, reduction="none")),),
    ),
    _regression(
        losses.huber_loss,
        "Huber",
        "hybrid",
        r"\tfrac12 e^2 \ (|e| \le \delta),\quad \delta\,(|e| - \tfrac12\delta)\ \text{beyond}",
        r"\min(\max(e, -\delta), \delta)",
        lambda prediction, target, *, delta: (prediction - target).clamp(-delta, delta),
        Properties(convex=True, even=True, lipschitz=lambda delta: delta),
        Reference(
            "Huber", 1964, "Robust estimation of a location parameter", venue="Annals of Mathematical Statistics 35"
        ),
        parameters=(Parameter("delta", 1.0, 0.05, 4.0, 0.05, "the error at which the line begins", r"\delta"),),
        special_cases=(
            SpecialCase(
                "it is torch's huber_loss", {"delta": 0.7}, lambda p, t: huber_loss(p, t, reduction="none", delta=0.7)
            ),
        ),
    ),
    _regression(
        losses.log_cosh_loss,
        "Log-cosh",
        "heuristic",
        r"\log\cosh e",
        r"\tanh e",
        lambda prediction, target: torch.tanh(prediction - target),
        Properties(convex=True, even=True, lipschitz=1.0),
        Reference("Green", 1990, "Bayesian reconstructions from emission tomography data", venue="IEEE TMI 9"),
    ),
    _regression(
        losses.quantile_loss,
        "Quantile (pinball)",
        "decision theory",
        r"q\max(-e, 0) + (1-q)\max(e, 0)",
        r"-q\ (e<0),\quad 1-q\ (e>0)",
        _quantile_gradient,
        Properties(
            convex=True, even=lambda quantile: quantile == 0.5, lipschitz=lambda quantile: max(quantile, 1 - quantile)
        ),
        Reference("Koenker & Bassett", 1978, "Regression quantiles", venue="Econometrica 46"),
        parameters=(Parameter("quantile", 0.5, 0.05, 0.95, 0.05, "the quantile that the best constant hits", "q"),),
        special_cases=(
            SpecialCase(
                "quantile=0.5 is half the absolute error",
                {"quantile": 0.5},
                lambda p, t: losses.absolute_error(p, t, reduction="none") / 2,
            ),
        ),
    ),
    _regression(
        losses.general_robust_loss,
        "General robust (Barron)",
        "heuristic",
        r"\frac{|\alpha-2|}{\alpha}\left(\Big(\frac{(e/c)^2}{|\alpha-2|}+1\Big)^{\alpha/2}-1\right)",
        r"\frac{e}{c^2}\Big(\frac{(e/c)^2}{|\alpha-2|}+1\Big)^{\alpha/2-1}",
        _general_robust_gradient,
        Properties(
            upper=lambda alpha, scale: math.inf if alpha >= 0 else 1.0 if math.isinf(alpha) else (alpha - 2) / alpha,
            convex=lambda alpha, scale: alpha >= 1,
            even=True,
            lipschitz=_general_robust_steepest,
        ),
        Reference("Barron", 2019, "A General and Adaptive Robust Loss Function", "1701.03077", "CVPR"),
        parameters=(
            Parameter("alpha", 1.0, -4.0, 2.0, 0.1, "2 square, 1 Charbonnier, 0 Cauchy, −2 Geman-McClure", r"\alpha"),
            Parameter("scale", 1.0, 0.1, 3.0, 0.05, "the error up to which it is a square", "c"),
        ),
        special_cases=(
            SpecialCase("alpha=2 is half the square", {"alpha": 2.0}, lambda p, t: (p - t).square() / 2),
            SpecialCase("alpha=1 is Charbonnier", {"alpha": 1.0}, lambda p, t: ((p - t).square() + 1).sqrt() - 1),
            SpecialCase("alpha=0 is Cauchy", {"alpha": 0.0}, lambda p, t: torch.log1p((p - t).square() / 2)),
            SpecialCase(
                "alpha=-2 is Geman-McClure",
                {"alpha": -2.0},
                lambda p, t: 2 * (p - t).square() / ((p - t).square() + 4),
            ),
            SpecialCase(
                "alpha=-inf is Welsch", {"alpha": -math.inf}, lambda p, t: 1 - torch.exp(-(p - t).square() / 2)
            ),
        ),
    ),
)
