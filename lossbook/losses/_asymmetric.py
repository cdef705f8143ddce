"""Asymmetric loss: positives and negatives focus each in their own way, and the easiest negatives are dropped."""

import math

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import logsigmoid

from lossbook.checks import bad_type, bad_value, check_number, check_same_device, check_same_shape
from lossbook.losses._classification import Logits, Target, Weight
from lossbook.losses._elementwise import check_elements, reduce
from lossbook.losses._whole_rows import whole_row_loss


def asymmetric_loss(
    logits: Float[Tensor, "*batch"],
    target: Float[Tensor, "*batch"],
    *,
    gamma_negative: float = 4.0,
    gamma_positive: float = 0.0,
    shift: float = 0.05,
    detach_weight: bool = False,
    weight: Float[Tensor, "*batch"] | None = None,
    reduction: str = "mean",
) -> Float[Tensor, "..."]:
    """Asymmetric loss (ASL) of many labels, each a yes or no of its own.

        y = 1: −(1 − p)^γ₊ log p,  y = 0: −p_m^γ₋ log(1 − p_m),  p = σ(z),  p_m = max(p − m, 0)

    Args:
        logits: scores of any shape, usually (examples, labels).
        target: 0s and 1s of the same shape, floating point.
        gamma_negative: γ₋ ≥ 0, how much less the easy negatives count.
        gamma_positive: γ₊ ≥ 0, the same for positives: 0 in the paper, 1 by default in its code.
        shift: m in [0, 1), taken off the probability of a negative; up to it a negative costs nothing.
            gamma_negative=gamma_positive=shift=0 is binary cross-entropy.
        detach_weight: True takes the focusing weights as constants in the gradient, as one class of the official code
            does; the loss is then no integral of its gradient.
        weight: one weight per element, or None.
        reduction: "mean" over all elements (divided by the sum of their weights), "sum" as in the paper, or "none".

    Returns:
        A scalar, or the shape of the logits for "none".

    Raises:
        TypeError, ValueError: naming the argument, what it got and what was expected.

    Example:
        >>> logits = torch.tensor([2.0, -3.0], dtype=torch.float64)
        >>> asymmetric_loss(logits, torch.zeros(2).double(), reduction="none")      # −3 is below log(.05/.95)
        tensor([0.8464, 0.0000], dtype=torch.float64)

    Gradient: y = 1: (1 − p)^γ₊ (γ₊ p log p − (1 − p)); y = 0, p > m: p (1 − p) p_m^γ₋ (1/(1 − p_m) −
        γ₋ log(1 − p_m)/p_m), and 0 up to p = m.
    Limits: a negative far on the wrong side costs at most −(1 − m)^γ₋ log m, and its gradient dies there: it may be a
        label that is missing. The official code holds p and 1 − p_m above 10⁻⁸; here nothing is held, which differs
        for positives below −18.4 and, with m = 0, for negatives above 18.4: there the code's gradient is 0.
    Reference: Ben-Baruch et al. 2021, arXiv 2009.14119.
    """
    negative = check_number("gamma_negative", gamma_negative, at_least=0)
    positive = check_number("gamma_positive", gamma_positive, at_least=0)
    shift = check_number("shift", shift, at_least=0, below=1)
    if not isinstance(detach_weight, bool):
        raise bad_type("detach_weight", detach_weight, "True or False")
    check_labels(logits, target, weight, reduction)
    log_missing = logsigmoid(-logits)  # log(1 − p)
    above = torch.relu(torch.sigmoid(logits) - shift)
    # at p_m = 0 the power's slope may be infinite, and 0 times it is no number
    down = above.clamp(min=torch.finfo(logits.dtype).tiny) ** negative
    up = torch.exp(positive * log_missing)
    if detach_weight:
        down, up = down.detach(), up.detach()
    values = torch.where(target == 1, -up * logsigmoid(logits), -down * _log_rest(log_missing, above, shift))
    return reduce(values, weight, reduction)


def _log_rest(log_missing: Tensor, above: Tensor, shift: float) -> Tensor:
    """log(1 − p_m), to the last digits at both ends."""
    if shift == 0:
        return log_missing
    far = torch.log(torch.exp(log_missing) + shift)  # 1 − p_m without cancellation, where p_m is large
    return torch.where(above < 0.5, torch.log1p(-above.clamp(max=0.5)), far)


def check_labels(logits: Tensor, target: Tensor, weight: Tensor | None, reduction: str) -> None:
    """Refuse scores, or labels of them, that a loss of many labels cannot take."""
    check_elements("logits", logits, weight, reduction)
    if not isinstance(target, Tensor) or not target.is_floating_point():
        raise bad_type("target", target, "0s and 1s, floating point")
    check_same_shape("target", target, "logits", logits)
    check_same_device("target", target, "logits", logits)
    if bool(((target != 0) & (target != 1)).any()):
        raise bad_value("target", float(target[(target != 0) & (target != 1)].reshape(-1)[0]), "0s and 1s alone")


def single_label_asymmetric_loss(
    logits: Logits,
    target: Target,
    *,
    gamma_negative: float = 4.0,
    gamma_positive: float = 0.0,
    label_smoothing: float = 0.1,
    weight: Weight = None,
    ignore_index: int = -100,
    reduction: str = "mean",
) -> Float[Tensor, "..."]:
    """Asymmetric loss of one class a row: cross-entropy with label smoothing, its two sides focused each in its way.

        ℓ(z, y) = −Σ_k t_k w_k log p_k,  t_k = (1 − ε) [k = y] + ε/V,  w_y = (1 − p_y)^γ₊,  w_k = p_k^γ₋ elsewhere

    Args:
        logits: (*batch, classes), class axis last; or `LinearLogits`.
        target: (*batch) class indices.
        gamma_negative: γ₋ ≥ 0. The smoothed share of a wrong class then counts only where its p_k is near 1.
        gamma_positive: γ₊ ≥ 0. Both 0 is cross-entropy with label smoothing; without smoothing it is focal loss of γ₊.
        label_smoothing: ε in [0, 1].
        weight, ignore_index, reduction: as in `cross_entropy`; the row is multiplied by the weight of its class.

    Returns:
        A scalar, or (*batch) for "none".

    Raises:
        TypeError, ValueError: naming the argument, what it got and what was expected.

    Example:
        >>> from lossbook.losses import cross_entropy
        >>> logits, target = torch.tensor([[2.0, 1.0, 0.0]]), torch.tensor([0])
        >>> plain = single_label_asymmetric_loss(logits, target, gamma_negative=0, label_smoothing=0.1)
        >>> bool(torch.isclose(plain, cross_entropy(logits, target, label_smoothing=0.1)))
        True

    Gradient: g − p Σ_k g_k, with g_y = −t_y (1 − p_y)^γ₊ (1 − γ₊ p_y log p_y/(1 − p_y)) and g_k = −t_k p_k^γ₋
        (1 + γ₋ log p_k) elsewhere.
    Limits: with γ₋ > 0 the pull of smoothing on the wrong classes dies as they lose their mass: the loss goes to 0
        where cross-entropy with label smoothing has its least value at finite scores.
    Reference: Ben-Baruch et al. 2021, arXiv 2009.14119, in the form of its official code.
    """
    negative = check_number("gamma_negative", gamma_negative, at_least=0)
    positive = check_number("gamma_positive", gamma_positive, at_least=0)
    smoothing = check_number("label_smoothing", label_smoothing, at_least=0, at_most=1)

    def row(logits: Tensor, target: Tensor) -> Tensor:
        log_p = torch.log_softmax(logits, -1)
        own = log_p.gather(-1, target[:, None])
        share = smoothing / logits.shape[-1]
        missing = (-torch.expm1(own)).clamp(min=torch.finfo(log_p.dtype).tiny)
        right = missing**positive * own
        finite = log_p.clamp(min=-math.sqrt(torch.finfo(log_p.dtype).max))  # a masked class: 0 · ∞ is no number
        others = torch.exp(negative * finite) * finite
        rest = others.scatter(-1, target[:, None], 0.0).sum(-1) if share else 0.0
        return -(1 - smoothing + share) * right[:, 0] - share * rest

    return whole_row_loss(row, logits, target, weight=weight, ignore_index=ignore_index, reduction=reduction)
