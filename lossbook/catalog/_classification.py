"""Records of the losses of class scores."""

import math

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from lossbook import losses
from lossbook.catalog.record import Parameter, Properties, Record, Reference, SpecialCase

MAO = Reference(
    "Mao, Mohri & Zhong",
    2023,
    "Cross-Entropy Loss Functions: Theoretical Analysis and Applications",
    "2304.07288",
    "ICML",
)


def _softmax_and_target(logits: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    return torch.softmax(logits, -1), one_hot(target, logits.shape[-1]).to(logits.dtype)


def _target_log_probability(logits: Tensor, target: Tensor) -> Tensor:
    return torch.log_softmax(logits, -1).gather(-1, target[..., None])


def _cross_entropy_gradient(logits: Tensor, target: Tensor, *, label_smoothing: float) -> Tensor:
    p, y = _softmax_and_target(logits, target)
    return p - (1 - label_smoothing) * y - label_smoothing / logits.shape[-1]


def _comp_sum_gradient(logits: Tensor, target: Tensor, *, tau: float) -> Tensor:
    p, y = _softmax_and_target(logits, target)
    return torch.exp((tau - 1) * _target_log_probability(logits, target)) * (p - y)


def _smooth_adversarial_gradient(
    logits: Tensor, target: Tensor, *, adversarial_logits: Tensor, tau: float, rho: float, nu: float
) -> Tensor:
    """By the clean logits z alone; z' is held."""
    clean = _comp_sum_gradient(logits / rho, target, tau=tau) / rho
    y = one_hot(target, logits.shape[-1]).to(logits.dtype)
    moved = adversarial_logits - logits
    # D'_k − D_k for every k (0 at k = y), of which z_k takes one part and z_y the rest.
    difference = moved.gather(-1, target[..., None]) - moved
    unit = torch.nan_to_num(difference / difference.norm(dim=-1, keepdim=True))
    return clean + nu * (unit - y * unit.sum(-1, keepdim=True))


def _upper(tau: float) -> float:
    return 1 / (tau - 1) if tau > 1 else math.inf


def _steepest(tau: float) -> float:
    """sup_p p^{τ−1} (1 − p) √2: the gradient is longest when one wrong class has all of 1 − p."""
    if tau < 1:
        return math.inf
    best = (tau - 1) / tau
    return math.sqrt(2) * (best ** (tau - 1) if tau > 1 else 1.0) * (1 - best)


def _two_ways(logits: Tensor, target: Tensor) -> Tensor:
    """Σ_{k≠y} exp(z_k − z_y), term by term."""
    gaps = torch.exp(logits - logits.gather(-1, target[..., None]))
    return gaps.sum(-1) - 1


RECORDS = (
    Record(
        function=losses.cross_entropy,
        title="Cross-entropy",
        inputs="logits",
        family="comp-sum",
        origin="likelihood",
        chapter="01",
        formula=r"-\log p_y = \log\sum_j e^{z_j} - z_y",
        gradient_formula=r"p - (1-\varepsilon)\,e_y - \varepsilon/V",
        gradient=_cross_entropy_gradient,
        parameters=(
            Parameter(
                "label_smoothing", 0.0, 0.0, 0.9, 0.01, "share of the target spread over all classes", r"\varepsilon"
            ),
        ),
        special_cases=(
            SpecialCase(
                "label_smoothing=0 is torch's cross_entropy",
                {"label_smoothing": 0.0},
                lambda logits, target: torch.nn.functional.cross_entropy(logits, target, reduction="none"),
            ),
            SpecialCase(
                "label_smoothing=1 is the mean of −log p over classes",
                {"label_smoothing": 1.0},
                lambda logits, target: -torch.log_softmax(logits, -1).mean(-1),
            ),
        ),
        properties=Properties(
            convex=True,
            shift_invariant=True,
            lipschitz=lambda label_smoothing: math.hypot(1, 1 - label_smoothing),
            proper=lambda label_smoothing: label_smoothing == 0,
        ),
        statistics=("log_probability", "log_probability_sum"),
        reference=Reference("Good", 1952, "Rational Decisions", venue="Journal of the Royal Statistical Society B 14"),
    ),
    Record(
        function=losses.comp_sum_loss,
        title="Comp-sum family",
        inputs="logits",
        family="comp-sum",
        origin="surrogate",
        chapter="01",
        formula=r"\frac{p_y^{\tau-1}-1}{1-\tau},\qquad \tau=1:\ -\log p_y",
        gradient_formula=r"p_y^{\tau-1}\,(p - e_y)",
        gradient=_comp_sum_gradient,
        parameters=(
            Parameter("tau", 1.0, 0.0, 3.0, 0.05, "0 sum-exponential, 1 cross-entropy, 2 mean absolute error", r"\tau"),
        ),
        special_cases=(
            SpecialCase(
                "tau=1 is cross-entropy",
                {"tau": 1.0},
                lambda logits, target: losses.cross_entropy(logits, target, reduction="none"),
            ),
            SpecialCase("tau=0 is the sum of exp(z_k − z_y) over wrong classes", {"tau": 0.0}, _two_ways),
            SpecialCase(
                "tau=2 is the probability of the wrong classes",
                {"tau": 2.0},
                lambda logits, target: 1 - torch.softmax(logits, -1).gather(-1, target[..., None])[..., 0],
            ),
        ),
        properties=Properties(
            upper=_upper,
            convex=lambda tau: tau <= 1,
            shift_invariant=True,
            lipschitz=_steepest,
            proper=lambda tau: tau == 1,
        ),
        statistics=("log_probability",),
        reference=MAO,
        system="comp_sum",
    ),
    Record(
        function=losses.sum_exponential_loss,
        title="Sum-exponential",
        inputs="logits",
        family="comp-sum",
        origin="surrogate",
        chapter="01",
        formula=r"\sum_{k\ne y} e^{z_k - z_y} = \frac{1}{p_y} - 1",
        gradient_formula=r"\frac{1}{p_y}\,(p - e_y)",
        gradient=lambda logits, target: _comp_sum_gradient(logits, target, tau=0.0),
        properties=Properties(convex=True, shift_invariant=True, proper=False),
        statistics=("log_probability",),
        reference=Reference("Weston & Watkins", 1998, "Multi-class support vector machines", venue="technical report"),
        system="comp_sum",
    ),
    Record(
        function=losses.generalized_cross_entropy,
        title="Generalised cross-entropy",
        inputs="logits",
        family="comp-sum",
        origin="hybrid",
        chapter="01",
        formula=r"\frac{1 - p_y^{q}}{q}",
        gradient_formula=r"p_y^{q}\,(p - e_y)",
        gradient=lambda logits, target, *, q: _comp_sum_gradient(logits, target, tau=1 + q),
        parameters=(Parameter("q", 0.7, 0.0, 1.0, 0.05, "0 is cross-entropy, 1 mean absolute error", "q"),),
        special_cases=(
            SpecialCase(
                "q=0 is cross-entropy",
                {"q": 0.0},
                lambda logits, target: losses.cross_entropy(logits, target, reduction="none"),
            ),
            SpecialCase(
                "q=1 is mean absolute error",
                {"q": 1.0},
                lambda logits, target: losses.mean_absolute_error_loss(logits, target, reduction="none"),
            ),
        ),
        properties=Properties(
            upper=lambda q: _upper(1 + q),
            convex=lambda q: q == 0,
            shift_invariant=True,
            lipschitz=lambda q: _steepest(1 + q),
            proper=lambda q: q == 0,
        ),
        statistics=("log_probability",),
        reference=Reference(
            "Zhang & Sabuncu",
            2018,
            "Generalized Cross Entropy Loss for Training Deep Neural Networks with Noisy Labels",
            "1805.07836",
        ),
        system="comp_sum",
    ),
    Record(
        function=losses.mean_absolute_error_loss,
        title="Mean absolute error of the softmax",
        inputs="logits",
        family="comp-sum",
        origin="surrogate",
        chapter="01",
        formula=r"1 - p_y = \tfrac12 \sum_j |p_j - [j=y]|",
        gradient_formula=r"p_y\,(p - e_y)",
        gradient=lambda logits, target: _comp_sum_gradient(logits, target, tau=2.0),
        special_cases=(
            SpecialCase(
                "it is half the absolute error between softmax and one-hot target",
                {},
                lambda logits, target: (
                    (_softmax_and_target(logits, target)[0] - _softmax_and_target(logits, target)[1]).abs().sum(-1) / 2
                ),
            ),
        ),
        properties=Properties(upper=1.0, convex=False, shift_invariant=True, lipschitz=math.sqrt(2) / 4, proper=False),
        statistics=("log_probability",),
        reference=Reference(
            "Ghosh, Kumar & Sastry",
            2017,
            "Robust Loss Functions under Label Noise for Deep Neural Networks",
            "1712.09482",
        ),
        system="comp_sum",
    ),
    Record(
        function=losses.smooth_adversarial_comp_sum_loss,
        title="Smooth adversarial comp-sum",
        inputs="logits",
        family="comp-sum",
        origin="surrogate",
        chapter="01",
        formula=r"\Phi_\tau\Big(\sum_{k\ne y} e^{-D_k/\rho}\Big) + \nu\,\lVert D' - D\rVert_2,\quad D_k = z_y - z_k",
        gradient_formula=r"\tfrac1\rho\, p_y^{\tau-1}(p - e_y)\big|_{z/\rho} + \nu\,(u - e_y \textstyle\sum_k u_k),"
        r"\quad u = \frac{D'-D}{\lVert D'-D\rVert}",
        gradient=_smooth_adversarial_gradient,
        parameters=(
            Parameter("tau", 1.0, 0.0, 2.0, 0.05, "the comp-sum exponent", r"\tau"),
            Parameter("rho", 1.0, 0.25, 4.0, 0.05, "the margin that counts as one unit", r"\rho"),
            Parameter("nu", 1.0, 0.0, 4.0, 0.05, "the price of moving the margins", r"\nu"),
        ),
        special_cases=(
            SpecialCase(
                "nu=0 is the comp-sum loss",
                {"nu": 0.0},
                lambda logits, target: losses.comp_sum_loss(logits, target, reduction="none"),
            ),
        ),
        properties=Properties(
            upper=lambda tau, rho, nu: math.inf if nu else _upper(tau),
            convex=lambda tau, rho, nu: tau <= 1,
            shift_invariant=True,
            lipschitz=lambda tau, rho, nu: math.inf if nu else _steepest(tau) / rho,  # the movement's slope is ν √V
        ),
        statistics=("log_probability", "target", "sum", "square_sum"),
        companions={
            "adversarial_logits": lambda logits: logits.detach() + torch.cos(torch.arange(logits.shape[-1]) + 0.5)
        },
        reference=MAO,
        system="comp_sum",
    ),
)
