"""Records of the losses for rare classes and for many labels at once."""

import math

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, logsigmoid, one_hot

from lossbook import losses
from lossbook.catalog.record import Parameter, Properties, Record, Reference, SpecialCase
from lossbook.losses._label_margin import label_margins

BEN_BARUCH = Reference(
    "Ben-Baruch, Ridnik, Zamir, Noy, Friedman, Protter & Zelnik-Manor",
    2021,
    "Asymmetric Loss For Multi-Label Classification",
    "2009.14119",
    "ICCV",
)


def _asymmetric_gradient(
    logits: Tensor, target: Tensor, *, gamma_negative: float, gamma_positive: float, shift: float
) -> Tensor:
    p, missing = torch.sigmoid(logits), torch.sigmoid(-logits)
    positive = missing**gamma_positive * (gamma_positive * p * logsigmoid(logits) - missing)
    above = p - shift
    log_rest = torch.log(missing + shift) if shift else logsigmoid(-logits)
    safe = torch.where(above > 0, above, 1.0)
    own = missing / (missing + shift) if shift else torch.ones_like(p)
    slope = above.clamp(min=0) ** gamma_negative * (own - gamma_negative * missing * log_rest / safe)
    return torch.where(target == 1, positive, torch.where(above > 0, p * slope, 0.0))


def _asymmetric_lipschitz(gamma_negative: float, gamma_positive: float, shift: float) -> float:
    """The steepest point of the two curves, on a fine grid."""
    grid = torch.arange(-40, 40, 1e-3, dtype=torch.float64)
    both = torch.stack([torch.zeros_like(grid), torch.ones_like(grid)])
    gradient = _asymmetric_gradient(
        grid, both, gamma_negative=gamma_negative, gamma_positive=gamma_positive, shift=shift
    )
    return float(gradient.abs().max()) * (1 + 1e-6)  # the grid may stand a little beside the top


def _single_label_gradient(
    logits: Tensor, target: Tensor, *, gamma_negative: float, gamma_positive: float, label_smoothing: float
) -> Tensor:
    log_p, y = torch.log_softmax(logits, -1), one_hot(target, logits.shape[-1]).to(logits.dtype)
    own = log_p.gather(-1, target[..., None])
    missing = -torch.expm1(own)
    odds = torch.where(missing > 0, own.exp() * own / missing, -1.0)  # p log p/(1 − p) → −1
    right = missing**gamma_positive * (1 - gamma_positive * odds)
    wrong = torch.exp(gamma_negative * log_p) * (1 + gamma_negative * log_p)
    share = (1 - label_smoothing) * y + label_smoothing / logits.shape[-1]
    by_log_p = -share * torch.where(y == 1, right, wrong)
    return by_log_p - log_p.exp() * by_log_p.sum(-1, keepdim=True)


def _single_label_lipschitz(gamma_negative: float, gamma_positive: float, label_smoothing: float) -> float:
    """The longest gradient where one wrong class has all of 1 − p_y, over numbers of classes from two to infinity."""
    log_p = torch.nn.functional.logsigmoid(torch.arange(-40, 40, 1e-3, dtype=torch.float64))
    log_q = torch.log(-torch.expm1(log_p))
    missing = log_q.exp()
    right = missing**gamma_positive * (1 - gamma_positive * torch.exp(log_p - log_q) * log_p)
    wrong = missing**gamma_negative * (1 + gamma_negative * log_q)
    empty = float(gamma_negative == 0)  # what a class without mass is pulled by, in units of its share
    longest = 0.0
    for classes in (2, 3, 4, 6, 10, 30, 100, 1000, math.inf):
        share, others = label_smoothing / classes, label_smoothing * (1 - 2 / classes)  # others: all but two of them
        own, rival = -(1 - label_smoothing + share) * right, -share * wrong
        total = own + rival - others * empty
        squares = (own - log_p.exp() * total) ** 2 + (rival - missing * total) ** 2 + share * others * empty
        longest = max(longest, float(squares.max()))
    return math.sqrt(longest) * (1 + 1e-6)  # the grid may stand a little beside the top


def _ldam_gradient(logits: Tensor, target: Tensor, *, counts: Tensor, max_margin: float, scale: float) -> Tensor:
    y = one_hot(target, logits.shape[-1])
    return scale * (torch.softmax(scale * (logits - label_margins(counts, largest=max_margin) * y), -1) - y)


def _multi_label_ldam_gradient(logits: Tensor, target: Tensor, *, counts: Tensor, strength: float) -> Tensor:
    return torch.sigmoid(logits - target * label_margins(counts, strength=strength)) - target


def _counts(first: Tensor) -> Tensor:
    """A long tail over the last axis: 1000, 316, 100 ..., and none from the seventh on."""
    labels = first.shape[-1] if first.ndim else 1
    counts = torch.floor(1000 * 10.0 ** (-0.5 * torch.arange(labels, dtype=torch.float64)))
    return counts if first.ndim else counts[0]


def _focal(logits: Tensor, target: Tensor) -> Tensor:
    """Focal loss of two classes, of which the scores are 0 and z."""
    both = torch.stack([torch.zeros_like(logits), logits], -1)
    return losses.focal_loss(both, target.long(), gamma=2.0, reduction="none")


RECORDS = (
    Record(
        function=losses.asymmetric_loss,
        title="Asymmetric (ASL)",
        inputs="labels",
        family="many labels",
        origin="heuristic",
        chapter="12",
        formula=r"-y\,(1 - p)^{\gamma_+} \log p - (1 - y)\,p_m^{\gamma_-} \log(1 - p_m),\quad p_m = \max(p - m, 0)",
        gradient_formula=r"y = 1:\ (1 - p)^{\gamma_+} (\gamma_+\,p \log p - (1 - p)),\quad "
        r"y = 0:\ p\,(1 - p)\,p_m^{\gamma_-} \Big(\frac{1}{1 - p_m} - \gamma_- \frac{\log(1 - p_m)}{p_m}\Big)",
        gradient=_asymmetric_gradient,
        parameters=(
            Parameter("gamma_negative", 4.0, 0.0, 5.0, 0.1, "how much less the easy negatives count", r"\gamma_-"),
            Parameter("gamma_positive", 0.0, 0.0, 5.0, 0.1, "how much less the easy positives count", r"\gamma_+"),
            Parameter("shift", 0.05, 0.0, 0.5, 0.01, "up to which probability a negative is dropped", "m"),
        ),
        special_cases=(
            SpecialCase(
                "gamma_negative = gamma_positive = shift = 0 is torch's binary cross-entropy",
                {"gamma_negative": 0.0, "gamma_positive": 0.0, "shift": 0.0},
                lambda logits, target: binary_cross_entropy_with_logits(logits, target, reduction="none"),
            ),
            SpecialCase(
                "gamma_negative = gamma_positive = 2, shift = 0 is focal loss of a logistic score",
                {"gamma_negative": 2.0, "gamma_positive": 2.0, "shift": 0.0},
                _focal,
            ),
        ),
        properties=Properties(
            convex=lambda gamma_negative, gamma_positive, shift: gamma_negative == gamma_positive == shift == 0,
            lipschitz=_asymmetric_lipschitz,
        ),
        reference=BEN_BARUCH,
        system="asl",
    ),
    Record(
        function=losses.single_label_asymmetric_loss,
        title="Asymmetric, one label",
        inputs="logits",
        family="long tails",
        origin="heuristic",
        chapter="12",
        formula=r"-\sum_k t_k w_k \log p_k,\quad t_k = (1 - \varepsilon)[k = y] + \varepsilon/V,\quad "
        r"w_y = (1 - p_y)^{\gamma_+},\ w_{k \ne y} = p_k^{\gamma_-}",
        gradient_formula=r"g - p \sum_k g_k,\quad "
        r"g_y = -t_y (1 - p_y)^{\gamma_+} \Big(1 - \gamma_+ \frac{p_y \log p_y}{1 - p_y}\Big),\quad "
        r"g_{k \ne y} = -t_k\,p_k^{\gamma_-} (1 + \gamma_- \log p_k)",
        gradient=_single_label_gradient,
        parameters=(
            Parameter("gamma_negative", 4.0, 0.0, 5.0, 0.1, "how much less the easy wrong classes count", r"\gamma_-"),
            Parameter("gamma_positive", 0.0, 0.0, 5.0, 0.1, "how much less the easy rows count", r"\gamma_+"),
            Parameter(
                "label_smoothing", 0.1, 0.0, 0.5, 0.01, "share of the target spread over all classes", r"\varepsilon"
            ),
        ),
        special_cases=(
            SpecialCase(
                "gamma_negative = gamma_positive = 0 is cross-entropy with label smoothing",
                {"gamma_negative": 0.0, "gamma_positive": 0.0, "label_smoothing": 0.1},
                lambda logits, target: losses.cross_entropy(logits, target, label_smoothing=0.1, reduction="none"),
            ),
            SpecialCase(
                "label_smoothing=0 is focal loss",
                {"gamma_negative": 4.0, "gamma_positive": 2.0, "label_smoothing": 0.0},
                lambda logits, target: losses.focal_loss(logits, target, gamma=2.0, reduction="none"),
            ),
        ),
        properties=Properties(
            shift_invariant=True,
            lipschitz=_single_label_lipschitz,
        ),
        reference=BEN_BARUCH,
        system="asl",
    ),
    Record(
        function=losses.ldam_loss,
        title="LDAM",
        inputs="logits",
        family="long tails",
        origin="surrogate",
        chapter="12",
        formula=r"-\log \frac{e^{s(z_y - \Delta_y)}}{e^{s(z_y - \Delta_y)} + \sum_{k \ne y} e^{s z_k}},\quad "
        r"\Delta_j = \Delta_{\max} \Big(\frac{\min_k n_k}{n_j}\Big)^{1/4}",
        gradient_formula=r"s\,(q - e_y),\quad q\ \text{the softmax of}\ s\,(z - \Delta_y e_y)",
        gradient=_ldam_gradient,
        parameters=(
            Parameter("max_margin", 0.5, 0.0, 1.0, 0.05, "margin of the rarest class", r"\Delta_{\max}"),
            Parameter("scale", 30.0, 1.0, 60.0, 1.0, "what a cosine of 1 weighs", "s"),
        ),
        special_cases=(
            SpecialCase(
                "max_margin=0, scale=1 is cross-entropy",
                {"max_margin": 0.0, "scale": 1.0},
                lambda logits, target: losses.cross_entropy(logits, target, reduction="none"),
            ),
        ),
        properties=Properties(
            convex=True,
            shift_invariant=True,
            lipschitz=lambda max_margin, scale: math.sqrt(2) * scale,
            proper=lambda max_margin, scale: max_margin == 0 and scale == 1,
        ),
        statistics=("target", "others_logsumexp"),
        companions={"counts": _counts},
        reference=Reference(
            "Cao, Wei, Gaidon, Arechiga & Ma",
            2019,
            "Learning Imbalanced Datasets with Label-Distribution-Aware Margin Loss",
            "1906.07413",
            "NeurIPS",
        ),
        system="transicd_ldam",
    ),
    Record(
        function=losses.multi_label_ldam_loss,
        title="LDAM of many labels",
        inputs="labels",
        family="many labels",
        origin="surrogate",
        chapter="12",
        formula=r"\log\big(1 + e^{z'}\big) - y z',\quad z' = z - y\,\Delta,\quad \Delta = C/n^{1/4}",
        gradient_formula=r"\sigma(z - y\,\Delta) - y",
        gradient=_multi_label_ldam_gradient,
        parameters=(Parameter("strength", 3.0, 0.0, 10.0, 0.1, "margin of a label with one positive", "C"),),
        special_cases=(
            SpecialCase(
                "strength=0 is torch's binary cross-entropy",
                {"strength": 0.0},
                lambda logits, target: binary_cross_entropy_with_logits(logits, target, reduction="none"),
            ),
        ),
        properties=Properties(convex=True, lipschitz=1.0),
        companions={"counts": _counts},
        reference=Reference(
            "Biswas, Pham & Zhang",
            2021,
            "TransICD: Transformer Based Code-wise Attention Model for Explainable ICD Coding",
            "2104.10652",
            "AIME",
        ),
        system="transicd_ldam",
    ),
)
