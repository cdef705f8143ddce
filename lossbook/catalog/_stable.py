"""Records of the losses made for the numbers that computers have, and of decoupled softmax."""

import math

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from lossbook import losses
from lossbook.catalog.record import Properties, Record, Reference, SpecialCase


def _signed_log(x: Tensor) -> Tensor:
    return x.sign() * x.abs().log1p()


def _stablemax_gradient(logits: Tensor, target: Tensor) -> Tensor:
    q = torch.softmax(_signed_log(logits), -1)
    return (q - one_hot(target, logits.shape[-1])) / (1 + logits.abs())


RECORDS = (
    Record(
        function=losses.stablemax_cross_entropy,
        title="StableMax cross-entropy",
        inputs="logits",
        family="stable",
        origin="heuristic",
        chapter="70",
        system="softmax_collapse",
        formula=r"\log \sum_j s(z_j) - \log s(z_y),\quad s(z) = z + 1\ (z \ge 0),\ \frac{1}{1 - z}\ (z < 0)",
        gradient_formula=r"\frac{q_j - [j=y]}{1 + |z_j|},\quad q = \frac{s(z)}{\sum_k s(z_k)}",
        gradient=_stablemax_gradient,
        special_cases=(
            SpecialCase(
                "it is cross-entropy of the signed logarithms of the scores",
                {},
                lambda logits, target: losses.cross_entropy(_signed_log(logits), target, reduction="none"),
            ),
        ),
        properties=Properties(convex=False, shift_invariant=False, lipschitz=1.0, proper=False),
        statistics=("target", "stablemax_sum"),
        reference=Reference(
            "Prieto, Barsbey, Mediano & Birdal",
            2025,
            "Grokking at the Edge of Numerical Stability",
            "2501.04697",
            "ICLR",
        ),
    ),
    Record(
        function=losses.logit_square_penalty,
        title="Square of log-sum-exp",
        inputs="logits",
        family="stable",
        origin="heuristic",
        chapter="03",
        formula=r"L^2,\quad L = \log\sum_j e^{z_j}",
        gradient_formula=r"2\,L\,p",
        gradient=lambda logits, target: 2 * torch.logsumexp(logits, -1, keepdim=True) * torch.softmax(logits, -1),
        properties=Properties(convex=False, shift_invariant=False),
        statistics=("logsumexp",),
        reference=Reference(
            "Chowdhery et al.", 2022, "PaLM: Scaling Language Modeling with Pathways", "2204.02311", "JMLR"
        ),
    ),
    Record(
        function=losses.decoupled_softmax_loss,
        title="Decoupled softmax",
        inputs="logits",
        family="many positives",
        origin="surrogate",
        chapter="03",
        formula=r"\frac{1}{|P|}\sum_{i \in P} \log\big(1 + e^{M - z_i}\big),\quad M = \log\sum_{n \notin P} e^{z_n}",
        gradient_formula=r"P = \text{one right class}:\quad p - e_y",
        gradient=lambda logits, target: torch.softmax(logits, -1) - one_hot(target, logits.shape[-1]),
        special_cases=(
            SpecialCase(
                "one right class makes it cross-entropy",
                {},
                lambda logits, target: losses.cross_entropy(logits, target, reduction="none"),
            ),
        ),
        properties=Properties(convex=True, shift_invariant=True, lipschitz=math.sqrt(2), proper=True),
        statistics=("target", "others_logsumexp"),
        reference=Reference(
            "Gupta, Khatri, Rawat, Bhojanapalli, Jain & Dhillon",
            2024,
            "Dual-Encoders for Extreme Multi-Label Classification",
            "2310.10636",
            "ICLR",
        ),
        system="decoupled_softmax",
    ),
)
