"""Losses that teach a network to predict what each action would earn."""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from lossbook.checks import bad_type, bad_value, check_floating, check_number, check_same_device
from lossbook.logits import LinearLogits, row_loss


def reward_prediction_loss(
    outputs: Float[Tensor, "*batch actions"] | LinearLogits,
    target: Int[Tensor, "*batch"],
    *,
    cost: float = 4.0,
    weight: Float[Tensor, " actions"] | None = None,
    ignore_index: int = -100,
    reduction: str = "mean",
) -> Float[Tensor, "..."]:
    """Squared error of predicted rewards: one action per class, and a last one that abstains.

        ℓ(f, y) = 1/(K + 1) Σ_k (f_k − r_k)²,  r_y = 1,  r_k = −m for the other classes,  r_abstain = 0

    The network acts by argmax_k f_k. Where it knows nothing it falls back to the mean rewards (1 + m) π_k − m and 0, so
    it abstains by itself as soon as no class has π_k > m/(1 + m).

    Args:
        outputs: (*batch, K + 1) predicted rewards, the abstaining action last; or `LinearLogits`, whose outputs are
            formed here, since actions are few.
        target: (*batch) class indices 0 to K − 1. K says that no class is right: every answer costs, abstaining is
            best.
        cost: m ≥ 0, what a wrong answer costs when a right one earns 1.
        weight: (K + 1,) weights of the targets; "mean" divides by the sum of those of the rows that count.
        ignore_index: rows with this target do not count.
        reduction: "mean", "sum" or "none", over rows; over actions it is always the mean.

    Returns:
        A scalar, or (*batch) for "none".

    Raises:
        TypeError, ValueError: naming the argument, what it got and what was expected.

    Example:
        >>> rewards = torch.tensor([[1.0, -4.0, -4.0, 0.0]])
        >>> float(reward_prediction_loss(rewards, torch.tensor([0])))
        0.0
        >>> float(reward_prediction_loss(rewards, torch.tensor([1])))       # two of four actions are off by 5
        12.5

    Gradient: 2 (f − r)/(K + 1).
    Limits: 0 at the true rewards; grows like f².
    Reference: Kang, Setlur, Tomlin & Levine 2023, arXiv 2310.00873.
    """
    cost = check_number("cost", cost, at_least=0)
    scores = outputs.materialize() if isinstance(outputs, LinearLogits) else check_floating("outputs", outputs)
    if scores.ndim < 1 or scores.shape[-1] < 2:
        raise bad_value("outputs", scores, "shape (*batch, actions) with at least one class and the abstaining action")
    if not isinstance(target, Tensor):
        raise bad_type("target", target, "a tensor of class indices")
    if target.shape != scores.shape[:-1]:
        raise bad_value(
            "target", target, f"class indices of shape {tuple(scores.shape[:-1])}, the outputs' without the action axis"
        )
    check_same_device("target", target, "outputs", scores)
    right = torch.arange(scores.shape[-1], device=target.device) == target[..., None]
    rewards = torch.full_like(scores, -cost).masked_fill(right, 1.0)
    rewards[..., -1] = 0
    # The squares of f itself would need the abstaining score as a statistic, and would cancel where f is right.
    return row_loss(
        lambda stats: stats.square_sum / stats.classes,
        scores - rewards,
        target,
        ("square_sum",),
        weight=weight,
        ignore_index=ignore_index,
        reduction=reduction,
    )
