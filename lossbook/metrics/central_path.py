"""Where the squared error of a network comes from: its features, or a last layer that lags behind them."""

from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from lossbook.checks import bad_value, check_floating, check_number, check_same_device
from lossbook.metrics.neural_collapse import class_means


class SquaredErrorParts(NamedTuple):
    """Three numbers that add up to half the squared error with weight decay; see `squared_error_parts`."""

    within: Tensor
    means: Tensor
    classifier: Tensor


def squared_error_parts(
    features: Float[Tensor, "examples units"],
    labels: Int[Tensor, " examples"],
    weight: Float[Tensor, "classes units"],
    bias: Float[Tensor, " classes"],
    *,
    weight_decay: float = 0.0,
) -> SquaredErrorParts:
    """Where the squared error comes from: the spread within classes, the means, or a classifier that lags behind.

        ½ mean ‖W h + b − e_y‖² + (λ/2)(‖W‖² + ‖b‖²) = within + means + classifier

    With (W*, b*) the ridge regression of the one-hot targets on these features: `classifier` is what (W, b) costs
    beyond it; of the rest, `means` is ½ Σ_c (n_c/N) ‖W* μ_c + b* − e_c‖² and `within` is
    ½ tr(W* S_W W*ᵀ) + (λ/2)(‖W*‖² + ‖b*‖²).

    Args:
        features: (examples, units).
        labels: as in `class_means`.
        weight, bias: of the last layer, (classes, units) and (classes,).
        weight_decay: λ, at least 0. An optimiser that decays the *mean* squared error over K classes by λ' has
            λ = K λ'/2 here.

    Returns:
        Three scalars: `within` shrinks with NC1, `means` with NC2 and NC3, `classifier` is 0 on the central path.

    Raises:
        TypeError, ValueError: naming the argument, what it got and what was expected.

    Example:
        >>> features, labels = torch.tensor([[1.0], [1.0], [-1.0], [-1.0]]), torch.tensor([0, 0, 1, 1])
        >>> parts = squared_error_parts(features, labels, torch.tensor([[0.5], [-0.5]]), torch.tensor([0.5, 0.0]))
        >>> [round(float(part), 6) for part in parts]                        # the second bias should be 0.5
        [0.0, 0.0, 0.125]

    Reference: Han, Papyan & Donoho 2022, arXiv 2106.02073.
    """
    check_number("weight_decay", weight_decay, at_least=0)
    counts, means, _ = class_means(features, labels)
    if features.ndim != 2:
        raise bad_value("features", features, "shape (examples, units): one network at a time")
    for name, value, shape in (("weight", weight, means.shape), ("bias", bias, means.shape[:1])):
        if check_floating(name, value).shape != shape:
            raise bad_value(name, value, f"shape {tuple(shape)}")
        check_same_device(name, value, "features", features)
    seen = torch.nn.functional.pad(features.double(), (0, 1), value=1.0)  # the bias sees a 1
    target = torch.nn.functional.one_hot(labels, len(means)).double()
    second = seen.T @ seen / len(seen) + weight_decay * torch.eye(seen.shape[1], dtype=seen.dtype, device=seen.device)
    best = (target.T @ seen / len(seen)) @ torch.linalg.pinv(second, hermitian=True, rtol=1e-12)
    lag = torch.cat([weight.double(), bias.double()[:, None]], 1) - best
    spread = (features.double() - means[labels]) @ best[:, :-1].T
    missed = torch.nn.functional.pad(means, (0, 1), value=1.0) @ best.T - torch.eye(len(means)).to(means)
    return SquaredErrorParts(
        (spread.square().sum() / len(seen) + weight_decay * best.square().sum()) / 2,
        (missed.square().sum(1) * counts).sum() / (2 * len(seen)),
        ((lag @ second) * lag).sum() / 2,
    )
