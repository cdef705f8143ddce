"""Records of the losses that predict rewards."""

import torch
from torch import Tensor
from torch.nn.functional import mse_loss, one_hot, pad

from lossbook import losses
from lossbook.catalog.record import Parameter, Properties, Record, Reference, SpecialCase


def _rewards(outputs: Tensor, target: Tensor, cost: float) -> Tensor:
    rewards = torch.full_like(outputs, -cost).scatter(-1, target[..., None], 1.0)
    rewards[..., -1] = 0
    return rewards


def _gradient(outputs: Tensor, target: Tensor, *, cost: float) -> Tensor:
    return 2 * (outputs - _rewards(outputs, target, cost)) / outputs.shape[-1]


def _one_hot_of_classes(outputs: Tensor, target: Tensor) -> Tensor:
    classes = outputs.shape[-1] - 1
    return pad(one_hot(target, classes + 1)[..., :classes], (0, 1)).to(outputs.dtype)


RECORDS = (
    Record(
        function=losses.reward_prediction_loss,
        title="Reward prediction",
        inputs="logits",
        family="reward",
        origin="decision theory",
        chapter="01",
        formula=r"\frac{1}{K+1}\sum_{k=0}^{K}(f_k - r_k)^2,\quad r_y = 1,\ r_{k\ne y} = -m,\ r_K = 0",
        gradient_formula=r"\frac{2}{K+1}\,(f - r)",
        gradient=_gradient,
        parameters=(
            Parameter("cost", 4.0, 0.0, 10.0, 0.25, "what a wrong answer costs when a right one earns 1", "m"),
        ),
        special_cases=(
            SpecialCase(
                "cost=0 is the mean squared error to the one-hot target, with 0 for the abstaining action",
                {"cost": 0.0},
                lambda outputs, target: mse_loss(outputs, _one_hot_of_classes(outputs, target), reduction="none").mean(
                    -1
                ),
            ),
        ),
        properties=Properties(convex=True, shift_invariant=False, proper=False),
        statistics=("square_sum",),
        reference=Reference(
            "Kang, Setlur, Tomlin & Levine",
            2024,
            "Deep Neural Networks Tend To Extrapolate Predictably",
            "2310.00873",
            "ICLR",
        ),
        system="ocs_extrapolation",
    ),
)
