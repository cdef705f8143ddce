"""Records of the proper scoring rules."""

import math

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from lossbook import losses
from lossbook.catalog.record import Properties, Record, Reference, SpecialCase

SCORING = Reference("Gneiting & Raftery", 2007, "Strictly Proper Scoring Rules, Prediction, and Estimation", "", "JASA")


def _brier_gradient(logits: Tensor, target: Tensor) -> Tensor:
    p = torch.softmax(logits, -1)
    off = p - one_hot(target, logits.shape[-1])
    return 2 * p * (off - (p * off).sum(-1, keepdim=True))


def _spherical_gradient(logits: Tensor, target: Tensor) -> Tensor:
    q = torch.softmax(2 * logits, -1)
    return q.gather(-1, target[..., None]).sqrt() * (q - one_hot(target, logits.shape[-1]))


def _squared_distance(logits: Tensor, target: Tensor) -> Tensor:
    p = torch.softmax(logits, -1)
    return losses.squared_error(p, one_hot(target, logits.shape[-1]).to(p.dtype), reduction="none").sum(-1)


def _half_of_generalized(logits: Tensor, target: Tensor) -> Tensor:
    return losses.generalized_cross_entropy(2 * logits, target, q=0.5, reduction="none") / 2


RECORDS = (
    Record(
        function=losses.brier_loss,
        title="Brier",
        inputs="logits",
        family="proper scores",
        origin="decision theory",
        chapter="11",
        formula=r"\sum_k \big(p_k - [k = y]\big)^2",
        gradient_formula=r"2\,p_j \Big(p_j - [j = y] - \sum_k p_k^2 + p_y\Big)",
        gradient=_brier_gradient,
        special_cases=(SpecialCase("it is the squared error of the softmax", {}, _squared_distance),),
        properties=Properties(
            upper=2.0,
            convex=False,
            shift_invariant=True,
            lipschitz=math.sqrt(2) * 16 / 27,  # p_y = 1/3 and one wrong class with the rest: 4 p (1 − p)² each way
            proper=True,
        ),
        reference=Reference(
            "Brier", 1950, "Verification of Forecasts Expressed in Terms of Probability", "", "Monthly Weather Review"
        ),
    ),
    Record(
        function=losses.spherical_score_loss,
        title="Spherical score",
        inputs="logits",
        family="proper scores",
        origin="decision theory",
        chapter="11",
        formula=r"1 - p_y \big/ \sqrt{\textstyle\sum_k p_k^2}",
        gradient_formula=r"\sqrt{q_y}\,(q - e_y), \quad q = \operatorname{softmax}(2z)",
        gradient=_spherical_gradient,
        special_cases=(SpecialCase("half of generalised cross-entropy with q = 1/2 at 2z", {}, _half_of_generalized),),
        properties=Properties(
            upper=1.0,
            convex=False,
            shift_invariant=True,
            lipschitz=math.sqrt(2) * 2 / (3 * math.sqrt(3)),  # √q (1 − q) at q = 1/3
            proper=True,
        ),
        statistics=("log_probability",),
        reference=SCORING,
    ),
)
