"""Records of cross-entropy reshaped."""

import math

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from lossbook import losses
from lossbook.catalog.record import Parameter, Properties, Record, Reference, SpecialCase


def _focal_gradient(logits: Tensor, target: Tensor, *, gamma: float) -> Tensor:
    log_p = torch.log_softmax(logits, -1)
    own = log_p.gather(-1, target[..., None])
    missing = -torch.expm1(own)
    odds = torch.where(missing > 0, own.exp() * own / missing, -1.0)  # p log p/(1 − p) → −1
    return missing**gamma * (1 - gamma * odds) * (log_p.exp() - one_hot(target, logits.shape[-1]))


def _focal_lipschitz(gamma: float) -> float:
    """√2 times the largest (1 − p)^γ (1 − p − γ p log p): the longest where one wrong class has all the rest."""
    p = torch.logspace(-9, 0, 200_001, dtype=torch.float64)
    return math.sqrt(2) * max(1.0, float(((1 - p) ** gamma * (1 - p - gamma * torch.xlogy(p, p))).max()))


def _squentropy_gradient(logits: Tensor, target: Tensor) -> Tensor:
    y, classes = one_hot(target, logits.shape[-1]), logits.shape[-1]
    return torch.softmax(logits, -1) - y + 2 * logits * (1 - y) / (classes - 1)


def _cross_entropy(logits: Tensor, target: Tensor) -> Tensor:
    return losses.cross_entropy(logits, target, reduction="none")


def _with_squares(logits: Tensor, target: Tensor) -> Tensor:
    """Cross-entropy, and the mean square of the scores of the other classes."""
    others = logits[one_hot(target, logits.shape[-1]) == 0].unflatten(0, (*target.shape, -1))
    return _cross_entropy(logits, target) + others.square().mean(-1)


RECORDS = (
    Record(
        function=losses.focal_loss,
        title="Focal",
        inputs="logits",
        family="reshaped cross-entropy",
        origin="heuristic",
        chapter="10",
        formula=r"-(1 - p_y)^{\gamma} \log p_y",
        gradient_formula=r"(1 - p_y)^{\gamma} \Big(1 - \gamma\,\frac{p_y \log p_y}{1 - p_y}\Big)\,(p - e_y)",
        gradient=_focal_gradient,
        parameters=(Parameter("gamma", 2.0, 0.0, 5.0, 0.1, "how much less the easy rows count", r"\gamma"),),
        special_cases=(SpecialCase("gamma=0 is cross-entropy", {"gamma": 0.0}, _cross_entropy),),
        properties=Properties(
            convex=lambda gamma: gamma == 0,
            shift_invariant=True,
            lipschitz=_focal_lipschitz,
            proper=lambda gamma: gamma == 0,
        ),
        statistics=("log_probability",),
        reference=Reference(
            "Lin, Goyal, Girshick, He & Dollár", 2017, "Focal Loss for Dense Object Detection", "1708.02002", "ICCV"
        ),
    ),
    Record(
        function=losses.squentropy_loss,
        title="Squentropy",
        inputs="logits",
        family="reshaped cross-entropy",
        origin="heuristic",
        chapter="10",
        formula=r"-\log p_y + \frac{1}{V - 1} \sum_{j \ne y} z_j^2",
        gradient_formula=r"p - e_y + \frac{2}{V - 1}\,\big(z - z_y e_y\big)",
        gradient=_squentropy_gradient,
        special_cases=(SpecialCase("it is cross-entropy plus the mean square of the wrong scores", {}, _with_squares),),
        properties=Properties(convex=True, shift_invariant=False, proper=False),
        statistics=("target", "log_probability", "square_sum"),
        reference=Reference("Hui, Belkin & Wright", 2023, "Cut your Losses with Squentropy", "2302.03952", "ICML"),
        system="squentropy",
    ),
)
