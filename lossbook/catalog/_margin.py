"""Records of the binary margin losses."""

import math

import torch
from torch import Tensor

from lossbook import losses
from lossbook.catalog.record import Origin, Properties, Record, Reference


def _record(function, title, origin: Origin, formula, gradient_formula, gradient, properties, reference) -> Record:
    return Record(
        function=function,
        title=title,
        inputs="margin",
        family="binary margin",
        origin=origin,
        chapter="01",
        formula=formula,
        gradient_formula=gradient_formula,
        gradient=gradient,
        properties=properties,
        reference=reference,
    )


def _hinge_gradient(margin: Tensor) -> Tensor:
    return -(margin < 1).to(margin.dtype)


RECORDS = (
    _record(
        losses.logistic_loss,
        "Logistic",
        "likelihood",
        r"\log(1 + e^{-m})",
        r"-\sigma(-m)",
        lambda margin: -torch.sigmoid(-margin),
        Properties(convex=True, lipschitz=1.0, calibrated=True),
        Reference(
            "Friedman, Hastie & Tibshirani", 2000, "Additive logistic regression", venue="Annals of Statistics 28"
        ),
    ),
    _record(
        losses.hinge_loss,
        "Hinge",
        "surrogate",
        r"\max(0, 1 - m)",
        r"-[m < 1]",
        _hinge_gradient,
        Properties(convex=True, lipschitz=1.0, calibrated=True),
        Reference("Cortes & Vapnik", 1995, "Support-vector networks", venue="Machine Learning 20"),
    ),
    _record(
        losses.squared_hinge_loss,
        "Squared hinge",
        "surrogate",
        r"\max(0, 1 - m)^2",
        r"-2\max(0, 1 - m)",
        lambda margin: -2 * torch.relu(1 - margin),
        Properties(convex=True, calibrated=True),
        Reference("Chang, Hsieh & Lin", 2008, "Coordinate descent for large-scale L2-loss linear SVMs", venue="JMLR 9"),
    ),
    _record(
        losses.exponential_loss,
        "Exponential",
        "surrogate",
        r"e^{-m}",
        r"-e^{-m}",
        lambda margin: -torch.exp(-margin),
        Properties(convex=True, calibrated=True),
        Reference(
            "Freund & Schapire", 1997, "A decision-theoretic generalization of on-line learning", venue="JCSS 55"
        ),
    ),
    _record(
        losses.savage_loss,
        "Savage",
        "surrogate",
        r"\frac{1}{(1 + e^{2m})^2}",
        r"-4\,\sigma(-2m)^2\,\sigma(2m)",
        lambda margin: -4 * torch.sigmoid(-2 * margin).square() * torch.sigmoid(2 * margin),
        Properties(upper=1.0, convex=False, lipschitz=16 / 27, calibrated=True),
        Reference(
            "Masnadi-Shirazi & Vasconcelos", 2008, "On the design of loss functions for classification", venue="NIPS 21"
        ),
    ),
    _record(
        losses.tangent_loss,
        "Tangent",
        "surrogate",
        r"(2\arctan m - 1)^2",
        r"\frac{4\,(2\arctan m - 1)}{1 + m^2}",
        lambda margin: 4 * (2 * torch.arctan(margin) - 1) / (1 + margin.square()),
        Properties(upper=(math.pi + 1) ** 2, convex=False, lipschitz=6.168571308790882, calibrated=True),
        Reference(
            "Masnadi-Shirazi, Mahadevan & Vasconcelos",
            2010,
            "On the design of robust classifiers for computer vision",
            venue="CVPR",
        ),
    ),
    _record(
        losses.zero_one_loss,
        "Zero-one",
        "decision theory",
        r"[m \le 0]",
        r"0",
        torch.zeros_like,
        Properties(upper=1.0, convex=False, lipschitz=0.0, calibrated=True),
        Reference("Bartlett, Jordan & McAuliffe", 2006, "Convexity, classification, and risk bounds", venue="JASA 101"),
    ),
)
