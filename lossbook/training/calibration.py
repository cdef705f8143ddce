"""Calibration mended afterwards: one temperature for all, or one for each example, from what a network says of it.

The classifier is frozen: its scores are data here. A temperature never changes the answer, only how sure it is.
"""

import math
from collections.abc import Callable, Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from lossbook.checks import bad_type, bad_value, check_count, check_floating, check_same_device

COLDEST, HOTTEST = 1e-3, 1e3
STEPS = 200  # bisections alone need 60 from one end of the range to rounding
Predictor = Callable[[Tensor], Tensor]


def fit_temperature(logits: Float[Tensor, "*batch classes"], target: Int[Tensor, "*batch"]) -> float:
    """The temperature at which a frozen classifier's scores fit the labels best.

        T = argmin_T mean −log softmax(z/T)_y

    Args:
        logits: (*batch, classes), of examples that the classifier was not trained on.
        target: (*batch) class indices.

    Returns:
        T in [0.001, 1000]. An end of the range where there is no best one: every answer right (the colder the better)
        or the right scores no higher than their rows' means (the hotter the better).

    Raises:
        TypeError, ValueError: naming the argument, what it got and what was expected.

    Example:
        >>> logits = torch.tensor([[4.0, 0.0]]).expand(4, 2)              # sure by 0.98, and right three times in four
        >>> T = fit_temperature(logits, torch.tensor([0, 0, 0, 1]))
        >>> round(T, 4), round(float(torch.softmax(logits / T, -1)[0, 0]), 6)
        (3.641, 0.75)

    In β = 1/T the loss is convex, with slope mean(Σ p_k z_k − z_y) and curvature mean(Var_p z) ≥ 0: Newton steps, and
    bisections where a step would leave what is left of the range. In float64, whatever the scores are.

    Reference: Guo, Pleiss, Sun & Weinberger 2017, arXiv 1706.04599; Platt 1999.
    """
    scores, right = _checked(logits, target)
    own = scores.gather(-1, right[:, None])[:, 0]

    def slope(beta: float) -> tuple[float, float]:
        p = torch.softmax(beta * scores, -1)
        mean = (p * scores).sum(-1)
        spread = (p * (scores - mean[:, None]).square()).sum(-1)
        return float((mean - own).mean()), float(spread.mean())

    low, high = 1 / HOTTEST, 1 / COLDEST
    if slope(low)[0] >= 0:
        return HOTTEST
    if slope(high)[0] <= 0:
        return COLDEST
    beta = 1.0
    for _ in range(STEPS):
        rise, curvature = slope(beta)
        low, high = (beta, high) if rise < 0 else (low, beta)
        step = beta - rise / curvature if curvature > 0 else low
        after = step if low < step < high else (low * high) ** 0.5
        if abs(after - beta) <= 1e-14 * beta:
            break
        beta = after
    return 1 / beta


def transformed_scores(
    model: Predictor, inputs: Tensor, transforms: Sequence[Predictor], *, top: int = 4
) -> Float[Tensor, "batch scores"]:
    """What a classifier says of changed copies of each input, about the classes that lead on the input itself.

    Args:
        model: inputs to logits (batch, classes).
        inputs: (batch, ...).
        transforms: from inputs to changed inputs of the same shape, at least one; `lambda x: x` for the input itself.
        top: how many of the leading classes.

    Returns:
        (batch, transforms · top) softmax scores, detached: transform after transform, in the order of the classes on
        the input itself.

    Raises:
        TypeError, ValueError: naming the argument, what it got and what was expected.

    Example:
        >>> x = torch.tensor([[2.0, 1.0, 0.0]])
        >>> seen = transformed_scores(torch.nn.Identity(), x, [lambda x: x, lambda x: -x], top=2)
        >>> [round(score, 2) for score in seen[0].tolist()]             # turned round, its first class is the last
        [0.67, 0.24, 0.09, 0.24]

    Reference: Liu, Wang, Zou, Zou & Zheng 2024, arXiv 2404.13016.
    """
    check_count("top", top)
    transforms = list(transforms)
    if not transforms or not all(callable(transform) for transform in transforms):
        raise bad_type("transforms", transforms, "at least one function from inputs to inputs")
    with torch.no_grad():
        logits = check_floating("model(inputs)", model(inputs))
        if logits.ndim != 2 or logits.shape[-1] < top:
            raise bad_value("top", top, f"at most the classes of the model, whose scores are {tuple(logits.shape)}")
        leading = logits.topk(top, -1).indices
        seen = [torch.softmax(model(transform(inputs)), -1).gather(-1, leading) for transform in transforms]
    return torch.cat(seen, -1)


class SampleTemperature(nn.Module):
    """A calibrator: scores divided by a temperature of their own, exp(g(v)), from what is known of each example.

    Args:
        network: g, from v (batch, features) to one number, (batch, 1).

    `calibrator(logits, features)` gives the scaled scores; `calibrator.temperature(features)` the temperatures. It is
    trained as any network, by cross-entropy or `correctness_aware_loss` of the scaled scores, with `forward=` of `fit`.

    Raises:
        TypeError: a network that is none.

    Example:
        >>> flat = nn.Linear(3, 1)
        >>> _ = nn.init.zeros_(flat.weight), nn.init.zeros_(flat.bias)
        >>> calibrator, logits = SampleTemperature(flat), torch.tensor([[2.0, 0.0]])
        >>> bool(torch.equal(calibrator(logits, torch.ones(1, 3)), logits))           # T = exp(0) = 1
        True

    Reference: Liu, Wang, Zou, Zou & Zheng 2024, arXiv 2404.13016; they cut a linear output to [0.1, 10] instead.
    """

    def __init__(self, network: nn.Module):
        super().__init__()
        if not isinstance(network, nn.Module):
            raise bad_type("network", network, "a network from features to one number")
        self.network = network

    def temperature(self, features: Float[Tensor, "batch features"]) -> Float[Tensor, " batch"]:
        """The temperature of each example, in [0.001, 1000]: without an end, a loss may drive it out of the format."""
        return self.network(features)[..., 0].clamp(math.log(COLDEST), math.log(HOTTEST)).exp()

    def forward(
        self, logits: Float[Tensor, "batch classes"], features: Float[Tensor, "batch features"]
    ) -> Float[Tensor, "batch classes"]:
        """The scores, each row over its temperature."""
        return logits / self.temperature(features)[..., None]


def _checked(logits: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    if check_floating("logits", logits).ndim < 1 or logits.shape[-1] < 1 or logits.numel() == 0:
        raise bad_value("logits", logits, "shape (*batch, classes) with at least one row and one class")
    if not bool(logits.isfinite().all()):
        raise ValueError("logits: got infinite scores or NaN, expected finite ones: a temperature could not move them")
    if not isinstance(target, Tensor) or target.is_floating_point() or target.dtype == torch.bool:
        raise bad_type("target", target, "class indices (int64)")
    if target.shape != logits.shape[:-1]:
        raise bad_value("target", target, f"class indices of shape {tuple(logits.shape[:-1])}")
    check_same_device("target", target, "logits", logits)
    if bool(((target < 0) | (target >= logits.shape[-1])).any()):
        raise bad_value("target", target, f"classes 0 to {logits.shape[-1] - 1}")
    return logits.detach().double().reshape(-1, logits.shape[-1]), target.reshape(-1).long()
