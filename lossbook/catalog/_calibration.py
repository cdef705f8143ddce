"""Records of losses made for calibration."""

import math

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from lossbook import losses
from lossbook.catalog.record import Parameter, Properties, Record, Reference, SpecialCase


def _dual_focal_gradient(logits: Tensor, target: Tensor, *, gamma: float) -> Tensor:
    p, classes = torch.softmax(logits, -1), logits.shape[-1]
    own = target[..., None]
    log_p = torch.log_softmax(logits, -1).gather(-1, own)
    below = torch.where(logits < logits.gather(-1, own), logits, -torch.inf)
    second = one_hot(below.argmax(-1), classes) * (below.amax(-1, keepdim=True) > -torch.inf)
    p_second = (second * p).sum(-1, keepdim=True)
    missing = p_second - torch.expm1(log_p)
    ratio = torch.where(missing > 0, log_p / missing, -1.0)  # log p/(1 − p) → −1
    direct = (gamma * ratio * p.gather(-1, own) - 1) * (one_hot(target, classes) - p)
    return missing**gamma * (direct - gamma * ratio * p_second * (second - p))


def _dual_focal_lipschitz(gamma: float) -> float:
    """The longest gradient: one wrong class has all the rest, or another one is a hair behind the right one.

    It is the largest of the two cases on a fine grid of p_y; the rest of the mass lies on one class, which is longest.
    """
    p = torch.linspace(1e-6, 1, 1_000_001, dtype=torch.float64)

    def longest(p: Tensor, second: Tensor) -> float:
        missing = 1 - p + second
        pull = missing**gamma - gamma * missing ** (gamma - 1) * p * p.log()
        push = -gamma * missing ** (gamma - 1) * second * p.log()
        own, next_one, rest = -pull * (1 - p) - push * p, pull * second + push * (1 - second), 1 - p - second
        return float((own**2 + next_one**2 + ((pull - push) * rest) ** 2).sqrt().max())

    alone, tied = p[:-1], p[p <= 0.5]
    return max(math.sqrt(2), longest(alone, torch.zeros_like(alone)), longest(tied, tied))


def _correctness_gradient(logits: Tensor, target: Tensor, *, exponent: float) -> Tensor:
    p = torch.softmax(logits, -1)
    best = logits == logits.amax(-1, keepdim=True)
    right = best.gather(-1, target[..., None])
    confidence = p.amax(-1, keepdim=True)
    sign = torch.where(right, -1.0, 1.0)
    distance = torch.where(right, 1 - confidence, confidence)
    # of equal scores the right one is the answer
    answer = torch.where(right, one_hot(target, logits.shape[-1]), best / best.sum(-1, keepdim=True))
    return sign * exponent * distance ** (exponent - 1) * confidence * (answer - p)


def _cross_entropy(logits: Tensor, target: Tensor) -> Tensor:
    return losses.cross_entropy(logits, target, reduction="none")


def _error_of_the_confidence(logits: Tensor, target: Tensor) -> Tensor:
    confidence, answer = torch.softmax(logits, -1).max(-1)
    return (confidence - (answer == target).to(confidence)).abs()


RECORDS = (
    Record(
        function=losses.dual_focal_loss,
        title="Dual focal",
        inputs="logits",
        family="calibration",
        origin="heuristic",
        chapter="11",
        formula=r"-(1 - p_y + p_j)^{\gamma} \log p_y, \quad p_j = \max\,\{p_k : p_k < p_y\}",
        gradient_formula=r"\big(\gamma\,m^{\gamma-1} p_y \log p_y - m^{\gamma}\big)(e_y - p)"
        r" - \gamma\,m^{\gamma-1} p_j \log p_y\,(e_j - p), \quad m = 1 - p_y + p_j",
        gradient=_dual_focal_gradient,
        parameters=(Parameter("gamma", 5.0, 0.0, 10.0, 0.1, "how much less the rows ahead of all count", r"\gamma"),),
        special_cases=(SpecialCase("gamma=0 is cross-entropy", {"gamma": 0.0}, _cross_entropy),),
        properties=Properties(
            convex=lambda gamma: gamma == 0,
            shift_invariant=True,
            lipschitz=_dual_focal_lipschitz,
            proper=lambda gamma: gamma == 0,
        ),
        reference=Reference("Tao, Dong & Xu", 2023, "Dual Focal Loss for Calibration", "2305.13665", "ICML"),
        system="dual_focal",
    ),
    Record(
        function=losses.correctness_aware_loss,
        title="Correctness-aware",
        inputs="logits",
        family="calibration",
        origin="decision theory",
        chapter="11",
        formula=r"|c - t|^r, \quad c = \max_k p_k, \quad t = [\,z_y = \max_k z_k\,]",
        gradient_formula=r"r\,\operatorname{sign}(c - t)\,|c - t|^{r-1}\,c\,(e_m - p), \quad p_m = c",
        gradient=_correctness_gradient,
        parameters=(Parameter("exponent", 2.0, 1.0, 4.0, 0.1, "how much more the large distances count", "r"),),
        special_cases=(
            SpecialCase("exponent=1 is how far the confidence is off", {"exponent": 1.0}, _error_of_the_confidence),
        ),
        properties=Properties(
            upper=1.0,
            convex=False,
            shift_invariant=True,
            lipschitz=lambda exponent: math.sqrt(2) * (exponent / (exponent + 1)) ** (exponent + 1),
        ),
        statistics=("target", "max", "log_probability"),
        reference=Reference(
            "Liu, Wang, Zou, Zou & Zheng",
            2024,
            "Optimizing Calibration by Gaining Aware of Prediction Correctness",
            "2404.13016",
        ),
        system="ca_loss",
    ),
)
