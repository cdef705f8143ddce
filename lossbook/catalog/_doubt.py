"""Records of the losses that know doubt: of the label, or of which answer will be drawn."""

import math

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from lossbook import losses
from lossbook.catalog.record import Parameter, Properties, Record, Reference, SpecialCase


def _ldr_gradient(logits: Tensor, target: Tensor, *, temperature: float, margin: float) -> Tensor:
    y = one_hot(target, logits.shape[-1]).to(logits.dtype)
    return torch.softmax((logits + margin * (1 - y)) / temperature, -1) - y


def _coverage_gradient(logits: Tensor, target: Tensor, *, samples: float) -> Tensor:
    log_p = torch.log_softmax(logits, -1)
    own = log_p.gather(-1, target[..., None])
    p = own.exp()
    left = torch.log1p(-p.clamp(max=1 - 1e-16))  # log(1 − p)
    sure = -torch.expm1(torch.where(p > 0, samples * left, -1.0))
    factor = torch.where(p > 1e-300, samples * p * torch.exp((samples - 1) * left) / sure, 1.0)
    return factor * (log_p.exp() - one_hot(target, logits.shape[-1]))


def _cross_entropy(logits: Tensor, target: Tensor) -> Tensor:
    return losses.cross_entropy(logits, target, reduction="none")


def _less_log_classes(logits: Tensor, target: Tensor) -> Tensor:
    return _cross_entropy(logits, target) - math.log(logits.shape[-1])


RECORDS = (
    Record(
        function=losses.ldr_kl_loss,
        title="LDR-KL",
        inputs="logits",
        family="reshaped cross-entropy",
        origin="decision theory",
        chapter="10",
        formula=r"\lambda \log \frac{1}{V} \sum_k \exp\frac{z_k - z_y + m\,[k \ne y]}{\lambda}",
        gradient_formula=r"\operatorname{softmax}\Big(\frac{z + m\,(1 - e_y)}{\lambda}\Big) - e_y",
        gradient=_ldr_gradient,
        parameters=(
            Parameter("temperature", 1.0, 0.1, 10.0, 0.1, "the price of a label that is not even", r"\lambda"),
            Parameter("margin", 0.1, 0.0, 2.0, 0.1, "by how much the right score is to lead", "m"),
        ),
        special_cases=(
            SpecialCase(
                "temperature=1 and margin=0 is cross-entropy less the logarithm of the number of classes",
                {"temperature": 1.0, "margin": 0.0},
                _less_log_classes,
            ),
        ),
        properties=Properties(
            lower=-math.inf,  # −λ log V, whatever V
            convex=True,
            shift_invariant=True,
            lipschitz=math.sqrt(2),
            proper=lambda temperature, margin: temperature == 1 and margin == 0,
        ),
        statistics=("target", "log_probability", "others_logsumexp"),
        reference=Reference(
            "Zhu, Ying & Yang",
            2023,
            "Label Distributionally Robust Losses for Multi-class Classification",
            "2112.14869",
            "ICML",
        ),
        system="ldr",
    ),
    Record(
        function=losses.direct_coverage_loss,
        title="Direct coverage",
        inputs="logits",
        family="reshaped cross-entropy",
        origin="decision theory",
        chapter="10",
        formula=r"-\log\big(1 - (1 - p_y)^N\big)",
        gradient_formula=r"\frac{N (1 - p_y)^{N-1} p_y}{1 - (1 - p_y)^N}\,(p - e_y)",
        gradient=_coverage_gradient,
        parameters=(Parameter("samples", 16.0, 1.0, 128.0, 1.0, "answers that will be drawn", "N"),),
        special_cases=(SpecialCase("samples=1 is cross-entropy", {"samples": 1.0}, _cross_entropy),),
        properties=Properties(
            convex=True,
            shift_invariant=True,
            lipschitz=math.sqrt(2),
            proper=lambda samples: samples == 1,
        ),
        statistics=("log_probability",),
        reference=Reference(
            "Chen, Raventós, Cheng, Ganguli & Druckmann",
            2025,
            "Rethinking Fine-Tuning when Scaling Test-Time Compute",
            "2502.07154",
            "NeurIPS",
        ),
        system="dco",
    ),
)
