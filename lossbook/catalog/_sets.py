"""Records of losses that see a whole set of predictions at once: soft scores of a confusion matrix, and soft top-k."""

import torch
from torch import Tensor
from torch.nn.functional import softplus

from lossbook import losses
from lossbook.catalog.record import Parameter, Properties, Record, Reference, SpecialCase
from lossbook.losses._top_k import soft_top_k

WATCHARASUPAT = Reference(
    "Watcharasupat et al.",
    2021,
    "Improving Polyphonic Sound Event Detection on Multichannel Recordings with the Sørensen-Dice Coefficient Loss and "
    "Transfer Learning",
    "2107.10471",
)
LI = Reference("Li et al.", 2020, "Dice Loss for Data-imbalanced NLP Tasks", "1911.02855", "ACL")
HAN = Reference(
    "Han, Moniz & Chawla",
    2024,
    "AnyLoss: Transforming Classification Metrics into Loss Functions",
    "2405.14745",
    "KDD",
)
GUPTA = Reference(
    "Gupta, Khatri, Rawat, Bhojanapalli, Jain & Dhillon",
    2024,
    "Dual-Encoders for Extreme Multi-label Classification",
    "2310.10636",
    "ICLR",
)


def _anyloss_gradient(logits: Tensor, target: Tensor, *, sharpness: float, beta: float) -> Tensor:
    p = torch.sigmoid(logits)
    a, rest = (torch.sigmoid(sign * sharpness * (p - 0.5)) for sign in (1, -1))
    total = beta**2 * target.sum(-1, keepdim=True) + a.sum(-1, keepdim=True)
    score = (1 + beta**2) * (target * a).sum(-1, keepdim=True) / total
    return ((score - (1 + beta**2) * target) / total) * sharpness * a * rest * p * torch.sigmoid(-logits)


def _dice_gradient(logits: Tensor, target: Tensor, *, smoothing: float) -> Tensor:
    p = torch.sigmoid(logits)
    total = (p + target).sum(-1, keepdim=True) + smoothing
    shared = 2 * (p * target).sum(-1, keepdim=True) + smoothing
    return (shared - 2 * target * total) / total**2 * p * torch.sigmoid(-logits)


def _self_adjusting_gradient(logits: Tensor, target: Tensor, *, alpha: float, smoothing: float) -> Tensor:
    p, rest = torch.sigmoid(logits), torch.sigmoid(-logits)
    u = rest**alpha * p
    by_u = torch.where(target == 1, -(2 + smoothing) / (u + 1 + smoothing) ** 2, smoothing / (u + smoothing) ** 2)
    return by_u * p * rest**alpha * (1 - (1 + alpha) * p) / logits.shape[-1]


def _top_k_gradient(logits: Tensor, target: Tensor, *, sharpness: float) -> Tensor:
    number = target.sum(-1)
    p = soft_top_k(logits, number, sharpness=sharpness)
    rest = soft_top_k(-logits, logits.shape[-1] - number, sharpness=sharpness)  # 1 − p, to all its digits
    pull = -sharpness * target * rest / number[..., None]
    return pull - pull.sum(-1, keepdim=True) * p * rest / (p * rest).sum(-1, keepdim=True)


def _soft_errors(logits: Tensor, target: Tensor) -> Tensor:
    """Of decisions a = σ(p − 1/2), one minus F1, a set after the other."""
    found = []
    for scores, right in zip(logits, target, strict=True):
        a = 1 / (1 + torch.exp(0.5 - 1 / (1 + torch.exp(-scores))))
        found.append(1 - 2 * (a * right).sum() / (right.sum() + a.sum()))
    return torch.stack(found)


def _dice_of_each(logits: Tensor, target: Tensor) -> Tensor:
    """The mean over the examples of a set of 1 − (2 p y + 1)/(p + y + 1)."""
    p = torch.sigmoid(logits)
    return (1 - (2 * p * target + 1) / (p + target + 1)).mean(-1)


def _one_ratio(logits: Tensor, target: Tensor) -> Tensor:
    p = torch.sigmoid(logits)
    return 1 - 2 * (p * target).sum(-1) / (p.sum(-1) + target.sum(-1))


def _gap_of_two(logits: Tensor, target: Tensor) -> Tensor:
    """Of two scores, one right, t is minus their mean; of more the equation is solved by many small steps."""
    if logits.shape[-1] == 2:
        right = torch.where(target == 1, logits, 0.0).sum(-1)
        return softplus(-(2 * right - logits.sum(-1)) / 2)
    t = -logits.mean(-1)
    for _ in range(400):  # Newton's method, its steps held below 1
        p = torch.sigmoid(logits + t[:, None])
        t = t - ((p.sum(-1) - target.sum(-1)) / (p * (1 - p)).sum(-1)).clamp(-1, 1)
    return (target * softplus(-(logits + t[:, None]))).sum(-1) / target.sum(-1)


RECORDS = (
    Record(
        function=losses.anyloss,
        title="AnyLoss",
        inputs="sets",
        family="soft counts",
        origin="surrogate",
        chapter="12",
        formula=r"1 - \frac{(1 + \beta^2) \sum_i y_i a_i}{\beta^2 \sum_i y_i + \sum_i a_i},"
        r"\quad a_i = \sigma\big(L\,(\sigma(z_i) - \tfrac12)\big)",
        gradient_formula=r"\frac{F_\beta - (1 + \beta^2)\,y_i}{\beta^2 \sum_j y_j + \sum_j a_j}"
        r"\;L\,a_i (1 - a_i)\,p_i (1 - p_i)",
        gradient=_anyloss_gradient,
        parameters=(
            Parameter("sharpness", 73.0, 1.0, 101.0, 1.0, "how nearly a decision is 0 or 1", "L"),
            Parameter("beta", 1.0, 0.5, 2.5, 0.1, "how much recall counts beside precision", r"\beta"),
        ),
        special_cases=(
            SpecialCase("it is one minus F1 of a = σ(p − 1/2)", {"sharpness": 1.0, "beta": 1.0}, _soft_errors),
        ),
        properties=Properties(upper=1.0, convex=False),
        reference=HAN,
        system="anyloss",
    ),
    Record(
        function=losses.dice_loss,
        title="Dice",
        inputs="sets",
        family="soft counts",
        origin="surrogate",
        chapter="12",
        formula=r"1 - \frac{2 \sum_i p_i y_i + \varepsilon}{\sum_i p_i + \sum_i y_i + \varepsilon}",
        gradient_formula=r"\Big(\frac{2 \sum_j p_j y_j + \varepsilon}{S^2} - \frac{2\,y_i}{S}\Big)\,p_i (1 - p_i),"
        r"\quad S = \sum_j p_j + \sum_j y_j + \varepsilon",
        gradient=_dice_gradient,
        parameters=(Parameter("smoothing", 1e-6, 0.0, 2e-6, 1e-7, "what keeps a silent set from 0/0", r"\varepsilon"),),
        special_cases=(SpecialCase("smoothing=0 is one ratio of sums", {"smoothing": 0.0}, _one_ratio),),
        properties=Properties(upper=1.0, convex=False),
        reference=WATCHARASUPAT,
        system="dice_sed",
    ),
    Record(
        function=losses.self_adjusting_dice_loss,
        title="Self-adjusting Dice",
        inputs="sets",
        family="soft counts",
        origin="heuristic",
        chapter="12",
        formula=r"\frac{1}{n} \sum_i \Big(1 - \frac{2\,u_i y_i + \gamma}{u_i + y_i + \gamma}\Big),"
        r"\quad u_i = (1 - p_i)^{\alpha}\,p_i",
        gradient_formula=r"\frac1n \Big(\frac{(1 - y_i)\,\gamma}{(u_i + \gamma)^2}"
        r" - \frac{y_i\,(2 + \gamma)}{(u_i + 1 + \gamma)^2}\Big)\,p_i (1 - p_i)^{\alpha}\,(1 - (1 + \alpha)\,p_i)",
        gradient=_self_adjusting_gradient,
        parameters=(
            Parameter("alpha", 1.0, 0.0, 3.0, 0.1, "how much less the sure examples count", r"\alpha"),
            Parameter("smoothing", 1.0, 0.1, 2.0, 0.1, "what negatives count", r"\gamma"),
        ),
        special_cases=(
            SpecialCase("alpha=0 is Dice of each example", {"alpha": 0.0, "smoothing": 1.0}, _dice_of_each),
        ),
        properties=Properties(upper=lambda alpha, smoothing: 1 / (1 + smoothing), convex=False),
        reference=LI,
        system="dsc_nlp",
    ),
    Record(
        function=losses.soft_top_k_loss,
        title="Soft top-k",
        inputs="sets",
        family="soft counts",
        origin="surrogate",
        chapter="12",
        formula=r"-\frac{1}{|P|} \sum_{i \in P} \log \sigma(\alpha\,(z_i + t)),"
        r"\quad \sum_l \sigma(\alpha\,(z_l + t)) = k",
        gradient_formula=r"g - \frac{\sum_j g_j}{\sum_j v_j}\,v,\quad g_i = -\alpha\,\frac{y_i\,(1 - p_i)}{|P|},"
        r"\quad v = \alpha\,p\,(1 - p)",
        gradient=_top_k_gradient,
        parameters=(Parameter("sharpness", 1.0, 0.5, 10.0, 0.5, "how hard the border is", r"\alpha"),),
        special_cases=(SpecialCase("its level solves the equation", {"sharpness": 1.0}, _gap_of_two),),
        properties=Properties(shift_invariant=True),
        reference=GUPTA,
        system="decoupled_softmax",
    ),
)
