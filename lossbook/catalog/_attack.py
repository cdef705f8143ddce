"""Records of what an adversary raises."""

import math

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from lossbook import losses
from lossbook.catalog.record import Properties, Record, Reference, SpecialCase

XIE = Reference(
    "Xie, Zheng, Huang, Ye & Ma",
    2025,
    "Towards Million-Scale Adversarial Robustness Evaluation With Stronger Individual Attacks",
    "2411.15210",
    "CVPR",
)


def _marks(logits: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """e_y, and e_t of the best wrong class."""
    y = one_hot(target, logits.shape[-1])
    rival = logits.masked_fill(y == 1, -math.inf).argmax(-1)
    return y.to(logits), one_hot(rival, logits.shape[-1]).to(logits)


def _probability_margin_gradient(logits: Tensor, target: Tensor) -> Tensor:
    p, (y, rival) = torch.softmax(logits, -1), _marks(logits, target)
    own, other = (p * y).sum(-1, keepdim=True), (p * rival).sum(-1, keepdim=True)
    return own * (p - y) - other * (p - rival)


def _carlini_wagner_gradient(logits: Tensor, target: Tensor) -> Tensor:
    y, rival = _marks(logits, target)
    return rival - y


def _logits_ratio_gradient(logits: Tensor, target: Tensor) -> Tensor:
    y, rival = _marks(logits, target)
    best = logits.topk(3, -1)
    gap = (best.values[..., 0] - best.values[..., 2])[..., None]
    first, third = (one_hot(best.indices[..., k], logits.shape[-1]) for k in (0, 2))
    unit = torch.where(gap > 0, gap, 1.0)
    ratio = (logits * (rival - y)).sum(-1, keepdim=True) / unit
    return (rival - y - (gap > 0) * ratio * (first - third)) / unit


def _gap(logits: Tensor) -> Tensor:
    first, second = logits.topk(2, -1).values.unbind(-1)
    return torch.where(first > second, first - second, 1.0)[..., None]


def _rescaled_gradient(logits: Tensor, target: Tensor) -> Tensor:
    return (torch.softmax(logits / _gap(logits), -1) - one_hot(target, logits.shape[-1])) / _gap(logits)


def _in_gaps(logits: Tensor, target: Tensor) -> Tensor:
    return losses.cross_entropy(logits / _gap(logits), target, reduction="none")


def _half_difference(logits: Tensor, target: Tensor) -> Tensor:
    """Of the scores of y and its rival, told apart from the rest: (p_y + p_t) tanh((z_t − z_y)/2)."""
    pair = torch.stack([(logits * mark).sum(-1) for mark in _marks(logits, target)], -1)
    return (pair - logits.logsumexp(-1, keepdim=True)).exp().sum(-1) * torch.tanh(pair.diff(dim=-1)[..., 0] / 2)


RECORDS = (
    Record(
        function=losses.probability_margin_loss,
        title="Probability margin",
        inputs="logits",
        family="attack",
        origin="surrogate",
        chapter="13",
        formula=r"p_t - p_y,\quad t \text{ the best wrong class}",
        gradient_formula=r"p_y\,(p - e_y) - p_t\,(p - e_t)",
        gradient=_probability_margin_gradient,
        special_cases=(
            SpecialCase("it is what y and t have together, times tanh of half their gap", {}, _half_difference),
        ),
        properties=Properties(lower=-1.0, upper=1.0, convex=False, shift_invariant=True, lipschitz=math.sqrt(0.5)),
        reference=XIE,
        system="pma",
    ),
    Record(
        function=losses.carlini_wagner_loss,
        title="Carlini-Wagner margin",
        inputs="logits",
        family="attack",
        origin="surrogate",
        chapter="13",
        formula=r"\max_{k \ne y} z_k - z_y",
        gradient_formula=r"e_t - e_y,\quad t \text{ the best wrong class}",
        gradient=_carlini_wagner_gradient,
        properties=Properties(lower=-math.inf, convex=True, shift_invariant=True, lipschitz=math.sqrt(2)),
        reference=Reference(
            "Carlini & Wagner", 2017, "Towards Evaluating the Robustness of Neural Networks", "1608.04644", "S&P"
        ),
    ),
    Record(
        function=losses.logits_ratio_loss,
        title="Difference of logits ratio (DLR)",
        inputs="logits",
        family="attack",
        origin="heuristic",
        chapter="13",
        formula=r"\frac{\max_{k \ne y} z_k - z_y}{z_{(1)} - z_{(3)}}",
        gradient_formula=r"\frac{e_t - e_y - \text{DLR}\,(e_{(1)} - e_{(3)})}{z_{(1)} - z_{(3)}}",
        gradient=_logits_ratio_gradient,
        properties=Properties(lower=-1.0, convex=False, shift_invariant=True),
        reference=Reference(
            "Croce & Hein",
            2020,
            "Reliable Evaluation of Adversarial Robustness with an Ensemble of Diverse Parameter-free Attacks",
            "2003.01690",
            "ICML",
        ),
    ),
    Record(
        function=losses.rescaled_cross_entropy,
        title="Cross-entropy in gaps (MI-FPE)",
        inputs="logits",
        family="attack",
        origin="heuristic",
        chapter="13",
        formula=r"-\log \operatorname{softmax}(z/s)_y,\quad s = z_{(1)} - z_{(2)} \text{ held}",
        gradient_formula=r"\frac1s\,\big(\operatorname{softmax}(z/s) - e_y\big)",
        gradient=_rescaled_gradient,
        special_cases=(SpecialCase("it is cross-entropy of the scores in units of the gap", {}, _in_gaps),),
        properties=Properties(convex=False, shift_invariant=True),
        reference=Reference(
            "Yu & Xu",
            2023,
            "Efficient Loss Function by Minimizing the Detrimental Effect of Floating-Point Errors on Gradient-Based "
            "Attacks",
            venue="CVPR",
        ),
    ),
)
