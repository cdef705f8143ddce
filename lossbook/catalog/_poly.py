"""Records of cross-entropy as a polynomial."""

import math

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from lossbook import losses
from lossbook.catalog.record import Parameter, Properties, Record, Reference, SpecialCase

LENG = Reference(
    "Leng, Tan, Liu, Cubuk, Shi, Cheng & Anguelov",
    2022,
    "PolyLoss: A Polynomial Expansion Perspective of Classification Loss Functions",
    "2204.12511",
    "ICLR",
)


def _poly_weight(p: Tensor, missing: Tensor, epsilon: float, gamma: float) -> Tensor:
    """What p − e_y is multiplied by, given p_y and 1 − p_y."""
    odds = torch.where(missing > 0, torch.xlogy(p, p) / missing, -1.0)  # p log p/(1 − p) → −1
    return missing**gamma * (1 - gamma * odds + epsilon * (gamma + 1) * p)


def _own(logits: Tensor, target: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The row p − e_y, and p_y and 1 − p_y."""
    log_p = torch.log_softmax(logits, -1)
    own = log_p.gather(-1, target[..., None])
    return log_p.exp() - one_hot(target, logits.shape[-1]), own.exp(), -torch.expm1(own)


def _poly_gradient(logits: Tensor, target: Tensor, *, epsilon: float, gamma: float) -> Tensor:
    apart, p, missing = _own(logits, target)
    return _poly_weight(p, missing, epsilon, gamma) * apart


def _poly_lipschitz(epsilon: float, gamma: float) -> float:
    """√2 times the largest (1 − p) weight(p): the longest where one wrong class has all the rest."""
    if not gamma:
        return math.sqrt(2) * (1 if epsilon <= 1 else (1 + epsilon) ** 2 / (4 * epsilon))
    p = torch.cat([torch.logspace(-9, 0, 200_001).double(), torch.linspace(0, 1, 200_001, dtype=torch.float64)])
    return math.sqrt(2) * max(1.0, float(((1 - p) * _poly_weight(p, 1 - p, epsilon, gamma)).max()))


def _taylor_gradient(logits: Tensor, target: Tensor, *, terms: float) -> Tensor:
    apart, p, _ = _own(logits, target)
    return -torch.expm1(terms * torch.log1p(-p)) * apart


def _cross_entropy(logits: Tensor, target: Tensor) -> Tensor:
    return losses.cross_entropy(logits, target, reduction="none")


def _mean_absolute_error(logits: Tensor, target: Tensor) -> Tensor:
    return losses.mean_absolute_error_loss(logits, target, reduction="none")


RECORDS = (
    Record(
        function=losses.poly_loss,
        title="PolyLoss",
        inputs="logits",
        family="reshaped cross-entropy",
        origin="heuristic",
        chapter="10",
        formula=r"(1 - p_y)^{\gamma}\,\big(-\log p_y + \varepsilon\,(1 - p_y)\big)",
        gradient_formula=r"(1 - p_y)^{\gamma} \Big(1 - \gamma\,\frac{p_y \log p_y}{1 - p_y}"
        r" + \varepsilon\,(\gamma + 1)\,p_y\Big)\,(p - e_y)",
        gradient=_poly_gradient,
        parameters=(
            Parameter("epsilon", 2.0, -1.0, 5.0, 0.1, "added to the first coefficient of the series", r"\varepsilon"),
            Parameter("gamma", 0.0, 0.0, 5.0, 0.1, "how much less the easy rows count", r"\gamma"),
        ),
        special_cases=(
            SpecialCase("epsilon=0, gamma=0 is cross-entropy", {"epsilon": 0.0, "gamma": 0.0}, _cross_entropy),
            SpecialCase(
                "epsilon=0 is focal loss",
                {"epsilon": 0.0, "gamma": 2.0},
                lambda logits, target: losses.focal_loss(logits, target, gamma=2.0, reduction="none"),
            ),
            SpecialCase(
                "epsilon=1 is the sum of cross-entropy and mean absolute error",
                {"epsilon": 1.0, "gamma": 0.0},
                lambda logits, target: _cross_entropy(logits, target) + _mean_absolute_error(logits, target),
            ),
        ),
        properties=Properties(
            convex=lambda epsilon, gamma: gamma == 0 and epsilon <= 1,
            shift_invariant=True,
            lipschitz=_poly_lipschitz,
            proper=lambda epsilon, gamma: epsilon == 0 and gamma == 0,
        ),
        statistics=("log_probability",),
        reference=LENG,
        system="polyloss",
    ),
    Record(
        function=losses.taylor_cross_entropy,
        title="Taylor cross-entropy",
        inputs="logits",
        family="reshaped cross-entropy",
        origin="heuristic",
        chapter="10",
        formula=r"\sum_{j=1}^{N} \frac{(1 - p_y)^j}{j}",
        gradient_formula=r"\big(1 - (1 - p_y)^N\big)\,(p - e_y)",
        gradient=_taylor_gradient,
        parameters=(Parameter("terms", 2.0, 1.0, 25.0, 1.0, "1 is mean absolute error, ∞ cross-entropy", "N"),),
        special_cases=(SpecialCase("terms=1 is mean absolute error", {"terms": 1.0}, _mean_absolute_error),),
        properties=Properties(
            upper=lambda terms: sum(1 / j for j in range(1, int(terms) + 1)),
            convex=False,
            shift_invariant=True,
            lipschitz=lambda terms: math.sqrt(2) * (terms + 1) ** (-1 / terms) * terms / (terms + 1),
            proper=False,
        ),
        statistics=("log_probability",),
        reference=Reference(
            "Feng, Shu, Lin, Lv, Li & An", 2020, "Can Cross Entropy Loss Be Robust to Label Noise?", venue="IJCAI"
        ),
        system="polyloss",
    ),
)
