"""What an adversary raises: margins of scores and of probabilities, and cross-entropy of scores brought to one scale.

Each is above 0, or highest, where the row is judged wrong. An attack moves the input up their gradient.
"""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from lossbook.checks import bad_value
from lossbook.kernels.statistics import without_targets
from lossbook.losses._classification import Logits, Target, Weight
from lossbook.losses._whole_rows import whole_row_loss


def probability_margin_loss(
    logits: Logits,
    target: Target,
    *,
    weight: Weight = None,
    ignore_index: int = -100,
    reduction: str = "mean",
) -> Float[Tensor, "..."]:
    """Probability margin: the best wrong class's probability less the right class's. To be maximised.

        PM(z, y) = p_t − p_y,  t = argmax_{k≠y} z_k,  p = softmax(z)

    Args:
        logits: (*batch, classes), class axis last; or `LinearLogits`. One class alone gives 0.
        target: (*batch) class indices.
        weight, ignore_index, reduction: as in `cross_entropy`.

    Returns:
        A scalar, or (*batch) for "none"; of each row between −1 and 1.

    Raises:
        TypeError, ValueError: naming the argument, what it got and what was expected.

    Example:
        >>> scores = torch.tensor([[2.0, 1.0, 0.0]])
        >>> round(float(probability_margin_loss(scores, torch.tensor([0]))), 6)         # right: below 0
        -0.420512
        >>> bool(probability_margin_loss(scores, torch.tensor([2])) > 0)                # wrong: above
        True

    Gradient: p_y (p − e_y) − p_t (p − e_t): up cross-entropy of y and down that of t, each as much as it is believed.
    Limits: two classes make it tanh((z_t − z_y)/2). It is flat, and in floating point exactly so, where the model is
        sure. Not differentiable where two wrong classes tie for the best; there the first of them counts.
    Reference: Xie, Zheng, Huang, Ye & Ma 2025, arXiv 2411.15210.
    """

    def row(scores: Tensor, y: Tensor) -> Tensor:
        p = torch.softmax(scores, -1)
        return _at(p, _rival(scores, y)) - _at(p, y)

    options: dict[str, Any] = {"weight": weight, "ignore_index": ignore_index, "reduction": reduction}
    return whole_row_loss(row, logits, target, **options)


def carlini_wagner_loss(
    logits: Logits,
    target: Target,
    *,
    weight: Weight = None,
    ignore_index: int = -100,
    reduction: str = "mean",
) -> Float[Tensor, "..."]:
    """The margin of the scores, as Carlini and Wagner attack it: best wrong score less right score. To be maximised.

        CW(z, y) = max_{k≠y} z_k − z_y

    Args:
        logits, target, weight, ignore_index, reduction: as in `probability_margin_loss`.

    Returns:
        A scalar, or (*batch) for "none"; above 0 where the row is judged wrong.

    Raises:
        TypeError, ValueError: naming the argument, what it got and what was expected.

    Example:
        >>> carlini_wagner_loss(torch.tensor([[2.0, 1.0, 0.0]]), torch.tensor([0]))
        tensor(-1.)

    Gradient: e_t − e_y, of one length however sure the model is.
    Limits: linear in a common scale of the scores, convex. The published objective stops at a confidence κ, and is
        minimised together with the length of the change.
    Reference: Carlini & Wagner 2017, arXiv 1608.04644.
    """

    def row(scores: Tensor, y: Tensor) -> Tensor:
        return _at(scores, _rival(scores, y)) - _at(scores, y)

    options: dict[str, Any] = {"weight": weight, "ignore_index": ignore_index, "reduction": reduction}
    return whole_row_loss(row, logits, target, **options)


def logits_ratio_loss(
    logits: Logits,
    target: Target,
    *,
    weight: Weight = None,
    ignore_index: int = -100,
    reduction: str = "mean",
) -> Float[Tensor, "..."]:
    """Difference of logits ratio (DLR): the scores' margin in units of the gap from first to third. To be maximised.

        DLR(z, y) = (max_{k≠y} z_k − z_y)/(z_(1) − z_(3)),  z_(1) ≥ z_(2) ≥ z_(3) the largest scores

    Args:
        logits: (*batch, classes) of at least three classes; or `LinearLogits`.
        target, weight, ignore_index, reduction: as in `probability_margin_loss`.

    Returns:
        A scalar, or (*batch) for "none"; of each row at least −1, above 0 where it is judged wrong.

    Raises:
        TypeError, ValueError: naming the argument, what it got and what was expected; fewer than three classes.

    Example:
        >>> scores, target = torch.tensor([[2.0, 1.0, 0.0]]), torch.tensor([0])
        >>> float(logits_ratio_loss(scores, target)), float(logits_ratio_loss(100 * scores + 7, target))
        (-0.5, -0.5)

    Gradient: (e_t − e_y − DLR · (e_(1) − e_(3)))/(z_(1) − z_(3)).
    Limits: blind to shift and scale of the row. Where the three largest are equal nothing is divided by; the authors
        add 10⁻¹² to the gap. Unbounded above where the right score is far below the third.
    Reference: Croce & Hein 2020, arXiv 2003.01690.
    """

    def row(scores: Tensor, y: Tensor) -> Tensor:
        if scores.shape[-1] < 3:
            raise bad_value("logits", logits, "at least three classes: the third largest score is the unit")
        first, third = scores.topk(3, -1).values[:, ::2].unbind(-1)
        return (_at(scores, _rival(scores, y)) - _at(scores, y)) / _unit(first - third)

    options: dict[str, Any] = {"weight": weight, "ignore_index": ignore_index, "reduction": reduction}
    return whole_row_loss(row, logits, target, **options)


def rescaled_cross_entropy(
    logits: Logits,
    target: Target,
    *,
    weight: Weight = None,
    ignore_index: int = -100,
    reduction: str = "mean",
) -> Float[Tensor, "..."]:
    """Cross-entropy of the scores in units of the gap between the two largest (MI-FPE). To be maximised.

        ℓ(z, y) = −log softmax(z/s)_y,  s = z_(1) − z_(2), a constant for the gradient

    Args:
        logits, target, weight, ignore_index, reduction: as in `probability_margin_loss`.

    Returns:
        A scalar, or (*batch) for "none".

    Raises:
        TypeError, ValueError: naming the argument, what it got and what was expected.

    Example:
        >>> sure, target = torch.tensor([[400.0, 200.0, 0.0]], requires_grad=True), torch.tensor([0])
        >>> rescaled_cross_entropy(sure, target).backward()
        >>> bool(sure.grad[0, 0] < 0)                       # cross-entropy's gradient is exactly 0 here
        True

    Gradient: (softmax(z/s) − e_y)/s. It is not that of the formula, in which s moves too.
    Limits: blind to shift and scale of the row. A row judged right costs at most log(1 + (V − 1)/e). Where the two
        largest are equal, s = 1.
    Reference: Yu & Xu 2023 (CVPR), as Xie et al. 2025, arXiv 2411.15210, use it.
    """

    def row(scores: Tensor, y: Tensor) -> Tensor:
        top = scores.detach().topk(min(2, scores.shape[-1]), -1).values
        return -_at(torch.log_softmax(scores / _unit(top[:, 0] - top[:, -1])[:, None], -1), y)

    options: dict[str, Any] = {"weight": weight, "ignore_index": ignore_index, "reduction": reduction}
    return whole_row_loss(row, logits, target, **options)


def _rival(scores: Tensor, y: Tensor) -> Tensor:
    """The best wrong class of each row, the first of equals."""
    return without_targets(scores.detach(), y).argmax(-1)


def _at(values: Tensor, index: Tensor) -> Tensor:
    return values.gather(-1, index[:, None]).squeeze(-1)


def _unit(gap: Tensor) -> Tensor:
    """A gap to divide by; 1 where there is none."""
    return torch.where(gap > 0, gap, 1.0)
