"""Records of the losses of two sets of embeddings. Their formulas are of the scores z_ij of first i and second j."""

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from lossbook import losses
from lossbook.catalog.record import Parameter, Properties, Record, Reference, SpecialCase


def _siglip_gradient(images: Tensor, texts: Tensor, *, scale: float, bias: float) -> Tensor:
    scores = scale * images @ texts.T + bias
    return scale * (torch.sigmoid(scores) - torch.eye(len(images), dtype=images.dtype)) @ texts


def _info_nce_gradient(first: Tensor, second: Tensor, *, temperature: float) -> Tensor:
    p = torch.softmax(first @ second.T / temperature, -1)
    return (p - torch.eye(len(first), dtype=first.dtype)) @ second / temperature


def _mann_whitney_gradient(queries: Tensor, documents: Tensor, *, temperature: float) -> Tensor:
    scores = queries @ documents.T
    diagonal = torch.eye(*scores.shape, dtype=torch.bool)
    # (right score, row, column of the wrong one): how much each comparison is lost
    lost = torch.sigmoid((scores - scores.diagonal()[:, None, None]) / temperature).masked_fill(diagonal, 0.0)
    by_score = lost.sum(0) - torch.where(diagonal, lost.sum((1, 2))[:, None], 0.0)
    return by_score @ documents / temperature


def _yes_or_no(images: Tensor, texts: Tensor) -> Tensor:
    """Each of the n² answers by itself."""
    sign = 2 * torch.eye(len(images), dtype=images.dtype) - 1
    return -logsigmoid(sign * (images @ texts.T)).sum(-1)


def _comparisons(queries: Tensor, documents: Tensor) -> Tensor:
    """Each comparison by itself, one query's right score after the other."""
    scores = queries @ documents.T
    wrong = scores[~torch.eye(*scores.shape, dtype=torch.bool)]
    return torch.stack([-logsigmoid(right - wrong).sum() for right in scores.diagonal()])


RECORDS = (
    Record(
        function=losses.siglip_loss,
        title="SigLIP",
        inputs="pairs",
        family="pairs",
        origin="likelihood",
        chapter="03",
        formula=r"\frac1n\sum_{ij} \log\big(1 + e^{-y_{ij} z_{ij}}\big),\quad y_{ii} = 1,\ y_{i\ne j} = -1",
        gradient_formula=r"\frac1n\Big(\frac{1}{1 + e^{-z_{ij}}} - [i=j]\Big)",
        gradient=_siglip_gradient,
        parameters=(
            Parameter("scale", 10.0, 1.0, 100.0, 1.0, "how much a cosine of 1 weighs", "s"),
            Parameter("bias", -10.0, -20.0, 0.0, 0.5, "how rare a right pair is taken to be", "b"),
        ),
        special_cases=(
            SpecialCase(
                "scale=1, bias=0 is a logistic loss for each image and text", {"scale": 1.0, "bias": 0.0}, _yes_or_no
            ),
        ),
        properties=Properties(convex=True),
        statistics=("softplus_sum", "target"),
        reference=Reference(
            "Zhai, Mustafa, Kolesnikov & Beyer",
            2023,
            "Sigmoid Loss for Language Image Pre-Training",
            "2303.15343",
            "ICCV",
        ),
        system="siglip",
    ),
    Record(
        function=losses.info_nce_loss,
        title="InfoNCE",
        inputs="pairs",
        family="pairs",
        origin="likelihood",
        chapter="03",
        formula=r"\log\sum_j e^{z_{ij}} - z_{ii},\quad z_{ij} = x_i \cdot y_j/\tau",
        gradient_formula=r"p_{ij} - [i=j]",
        gradient=_info_nce_gradient,
        parameters=(
            Parameter("temperature", 0.07, 0.01, 1.0, 0.01, "small sees the nearest wrong partners alone", r"\tau"),
        ),
        special_cases=(
            SpecialCase(
                "temperature=1 is torch's cross_entropy of the scores",
                {"temperature": 1.0},
                lambda first, second: torch.nn.functional.cross_entropy(
                    first @ second.T, torch.arange(len(first)), reduction="none"
                ),
            ),
        ),
        properties=Properties(convex=True),
        statistics=("log_probability",),
        reference=Reference(
            "van den Oord, Li & Vinyals",
            2018,
            "Representation Learning with Contrastive Predictive Coding",
            "1807.03748",
        ),
    ),
    Record(
        function=losses.mann_whitney_loss,
        title="Mann-Whitney (MW)",
        inputs="pairs",
        family="pairs",
        origin="surrogate",
        chapter="03",
        formula=r"\frac1B\sum_i \sum_{k \ne l} \log\big(1 + e^{(s_{kl} - s_{ii})/\tau}\big)",
        gradient_formula=r"-\frac{1}{B\tau}\sum_{k \ne l} g_{ikl}\ \text{by}\ s_{ii},\quad"
        r"\frac{1}{B\tau}\sum_i g_{ikl}\ \text{by}\ s_{kl},\quad g_{ikl} = \frac{1}{1 + e^{(s_{ii} - s_{kl})/\tau}}",
        gradient=_mann_whitney_gradient,
        parameters=(
            Parameter(
                "temperature", 1.0, 0.05, 2.0, 0.05, "how far apart two scores must be to be told apart", r"\tau"
            ),
        ),
        special_cases=(
            SpecialCase(
                "temperature=1 is a logistic loss for each right score and each wrong one",
                {"temperature": 1.0},
                _comparisons,
            ),
        ),
        properties=Properties(convex=True),
        statistics=("softplus_sum",),
        reference=Reference(
            "Sheikholeslami et al.",
            2025,
            "Optimizing What Matters: AUC-Driven Learning for Robust Neural Retrieval",
            "2510.00137",
        ),
        system="mw_loss",
    ),
)
