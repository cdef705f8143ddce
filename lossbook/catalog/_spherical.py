"""Records of the spherical family."""

import math

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from lossbook import losses
from lossbook.catalog.record import Parameter, Properties, Record, Reference, SpecialCase

FAMILY = Reference(
    "de Brébisson & Vincent",
    2016,
    "An Exploration of Softmax Alternatives Belonging to the Spherical Loss Family",
    "1511.05042",
    "ICLR",
)


def _one_hot(logits: Tensor, target: Tensor) -> Tensor:
    return one_hot(target, logits.shape[-1]).to(logits.dtype)


def _z_gradient(logits: Tensor, target: Tensor, *, sharpness: float, aim: float) -> Tensor:
    y, classes = _one_hot(logits, target), logits.shape[-1]
    apart = logits - logits.mean(-1, keepdim=True)
    deviation = apart.square().mean(-1, keepdim=True).sqrt()
    standard = torch.nan_to_num(apart / deviation)  # equal scores have none
    own = (y * standard).sum(-1, keepdim=True)
    along = (y - 1 / classes - own * standard / classes) / deviation
    return torch.where(deviation > 0, -torch.sigmoid(sharpness * (aim - own)) * along, 0.0)


def _spherical_gradient(logits: Tensor, target: Tensor, *, epsilon: float) -> Tensor:
    y = _one_hot(logits, target)
    squares = logits.square() + epsilon
    return 2 * logits / squares.sum(-1, keepdim=True) - y * 2 * logits / squares


def _negative_log_share(numbers: Tensor, target: Tensor) -> Tensor:
    """−log of the target's part of the sum."""
    return -(numbers / numbers.sum(-1, keepdim=True)).gather(-1, target[..., None])[..., 0].log()


def _logistic_of_standard_score(logits: Tensor, target: Tensor) -> Tensor:
    """log(1 + exp(−ẑ_y)), the standard score written out."""
    standard = (logits - logits.mean(-1, keepdim=True)) / logits.std(-1, correction=0, keepdim=True)
    own = standard.gather(-1, target[..., None])[..., 0]
    return torch.log1p(torch.exp(-own))


RECORDS = (
    Record(
        function=losses.z_loss,
        title="Z-loss (spherical)",
        inputs="logits",
        family="spherical",
        origin="heuristic",
        chapter="03",
        formula=r"\frac{1}{a}\log\big(1 + e^{a\,(b - t_y)}\big),\quad t = \frac{z - \mu}{\sigma}",
        gradient_formula=r"-\frac{1}{\sigma}\,\frac{1}{1 + e^{a(t_y - b)}}\,\big(e_y - \tfrac1V - \tfrac1V t_y t\big)",
        gradient=_z_gradient,
        parameters=(
            Parameter("sharpness", 1.0, 0.1, 5.0, 0.1, "small is nearly linear, large nearly a hinge", "a"),
            Parameter("aim", 0.0, 0.0, 30.0, 0.5, "the standard score that is enough", "b"),
        ),
        special_cases=(
            SpecialCase(
                "sharpness=1, aim=0 is the logistic loss of the standard score",
                {"sharpness": 1.0, "aim": 0.0},
                _logistic_of_standard_score,
            ),
        ),
        properties=Properties(convex=False, shift_invariant=True, proper=False),
        statistics=("target", "mean", "variance"),
        reference=Reference(
            "de Brébisson & Vincent",
            2016,
            "The Z-loss: a shift and scale invariant classification loss belonging to the Spherical Family",
            "1604.08859",
        ),
        system="z_loss",
    ),
    Record(
        function=losses.one_hot_squared_error_loss,
        title="Squared error to the one-hot target",
        inputs="logits",
        family="spherical",
        origin="surrogate",
        chapter="03",
        formula=r"\sum_j (z_j - [j=y])^2 = \sum_j z_j^2 - 2 z_y + 1",
        gradient_formula=r"2\,(z - e_y)",
        gradient=lambda logits, target: 2 * (logits - _one_hot(logits, target)),
        special_cases=(
            SpecialCase(
                "it is the squared distance to the one-hot target",
                {},
                lambda logits, target: (logits - _one_hot(logits, target)).square().sum(-1),
            ),
        ),
        properties=Properties(convex=True, shift_invariant=False, proper=False),
        statistics=("target", "square_sum"),
        reference=Reference(
            "Vincent, de Brébisson & Bouthillier",
            2015,
            "Efficient Exact Gradient Update for training Deep Networks with Very Large Sparse Targets",
            "1412.7091",
            "NIPS",
        ),
    ),
    Record(
        function=losses.log_spherical_softmax_loss,
        title="Spherical softmax",
        inputs="logits",
        family="spherical",
        origin="likelihood",
        chapter="03",
        formula=r"-\log \frac{z_y^2 + \varepsilon}{\sum_j (z_j^2 + \varepsilon)}",
        gradient_formula=r"\frac{2\,z}{\sum_j (z_j^2 + \varepsilon)} - \frac{2\,z_y}{z_y^2 + \varepsilon}\,e_y",
        gradient=_spherical_gradient,
        parameters=(Parameter("epsilon", 0.1, 0.01, 1.0, 0.01, "what a score of 0 still counts", r"\varepsilon"),),
        special_cases=(
            SpecialCase(
                "epsilon=1 is the Taylor softmax of z − 1",
                {"epsilon": 1.0},
                lambda logits, target: losses.taylor_softmax_loss(logits - 1, target, reduction="none"),
            ),
        ),
        properties=Properties(
            convex=False, shift_invariant=False, lipschitz=lambda epsilon: 1 / math.sqrt(epsilon), proper=False
        ),
        statistics=("target", "square_sum"),
        reference=FAMILY,
    ),
    Record(
        function=losses.taylor_softmax_loss,
        title="Taylor softmax",
        inputs="logits",
        family="spherical",
        origin="likelihood",
        chapter="03",
        formula=r"-\log \frac{1 + z_y + z_y^2/2}{\sum_j (1 + z_j + z_j^2/2)}",
        gradient_formula=r"\frac{1 + z}{\sum_j (1 + z_j + z_j^2/2)} - \frac{1 + z_y}{1 + z_y + z_y^2/2}\,e_y",
        gradient=lambda logits, target: _spherical_gradient(logits + 1, target, epsilon=1.0),
        special_cases=(
            SpecialCase(
                "it is −log of the target's share of 1 + z + z²/2",
                {},
                lambda logits, target: _negative_log_share(1 + logits + logits.square() / 2, target),
            ),
        ),
        properties=Properties(convex=False, shift_invariant=False, lipschitz=1.0, proper=False),
        statistics=("target", "sum", "square_sum"),
        reference=FAMILY,
    ),
)
