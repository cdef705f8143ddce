"""One step of gradient descent on the logistic loss: plain, normalised, and the perceptron it becomes."""

import torch
from jaxtyping import Float
from torch import Tensor

from lossbook.checks import bad_value, check_floating, check_number

Weights = Float[Tensor, " dimension"]
Features = Float[Tensor, "points dimension"]
Labels = Float[Tensor, " points"]


def logistic_step(weights: Weights, features: Features, labels: Labels, *, step_size: float) -> Weights:
    """One step of gradient descent on the mean logistic loss (LR+GD).

        θ ← θ + γ (1/n) Σ w_i y_i a_i,  w_i = σ(−y_i aᵢᵀθ)

    Args:
        weights: (dimension,), θ.
        features: (points, dimension), the rows a_i; a column of ones makes a bias.
        labels: (points,), y_i ∈ {−1, 1}.
        step_size: γ > 0.

    Returns:
        The next weights, (dimension,).

    Raises:
        TypeError, ValueError: naming the argument, what it got and what was expected.

    Example:
        >>> from lossbook.losses import logistic_loss
        >>> features, labels = torch.tensor([[1.0, -1.0], [-1.0, -4.0]]), torch.tensor([1.0, -1.0])
        >>> weights = torch.zeros(2)
        >>> losses = []
        >>> for _ in range(2):
        ...     weights = logistic_step(weights, features, labels, step_size=1e4)
        ...     losses.append(float(logistic_loss(labels * (features @ weights))))
        >>> losses                       # the first step makes the loss enormous, the second separates the points
        [1250.0, 0.0]

    Reference: Tyurin 2024, arXiv 2412.08424.
    """
    step_size = check_number("step_size", step_size, above=0)
    signed = _signed(weights, features, labels)
    return weights + step_size / len(signed) * (torch.sigmoid(-signed @ weights) @ signed)


def normalized_logistic_step(weights: Weights, features: Features, labels: Labels, *, step_size: float) -> Weights:
    """One step of Normalized LR+GD: the gradient divided by the mean residual.

        θ ← θ + γ (Σ w_i y_i a_i)/(Σ w_i),  w_i = σ(−y_i aᵢᵀθ)

    A step of γ towards a weighted mean of the y_i a_i, so it is never longer than γ max ‖a_i‖ and never dies out.

    Args:
        weights, features, labels, step_size: as in `logistic_step`.

    Returns:
        The next weights, (dimension,).

    Raises:
        TypeError, ValueError: naming the argument, what it got and what was expected.

    Example:
        >>> features, labels = torch.eye(2), torch.tensor([1.0, 1.0])
        >>> far = torch.tensor([1000.0, 1000.0])       # here every σ(−margin) is 0 in float32
        >>> (normalized_logistic_step(far, features, labels, step_size=2.0) - far).tolist()
        [1.0, 1.0]

    Reference: Tyurin 2024, arXiv 2412.08424.
    """
    step_size = check_number("step_size", step_size, above=0)
    signed = _signed(weights, features, labels)
    # log w_i = −softplus(margin), so a softmax gives w_i/Σw where every w_i has underflowed.
    share = torch.softmax(torch.nn.functional.logsigmoid(-signed @ weights), 0)
    return weights + step_size * (share @ signed)


def batch_perceptron_step(weights: Weights, features: Features, labels: Labels, *, normalized: bool = False) -> Weights:
    """One step of the batch perceptron, which is θ/γ of `logistic_step` as γ → ∞.

        θ ← θ + (1/n) Σ_{i∈S} y_i a_i,  S = {i : y_i aᵢᵀθ ≤ 0}

    The first step, from θ = 0, is half of this, (1/2n) Σ y_i a_i: there every σ(−margin) is 1/2.

    Args:
        weights, features, labels: as in `logistic_step`.
        normalized: divide by the number of mistakes |S| instead of the number of points n.

    Returns:
        The next weights, (dimension,); the same ones where there is no mistake.

    Raises:
        TypeError, ValueError: naming the argument, what it got and what was expected.

    Example:
        >>> features, labels = torch.tensor([[1.0, -1.0], [-1.0, -4.0]]), torch.tensor([1.0, -1.0])
        >>> first = batch_perceptron_step(torch.zeros(2), features, labels)
        >>> first.tolist(), batch_perceptron_step(first, features, labels).tolist()
        ([0.5, 0.75], [1.0, 0.25])

    Reference: Tyurin 2024, arXiv 2412.08424; Rosenblatt, The perceptron, Psychological Review 65, 1958.
    """
    signed = _signed(weights, features, labels)
    mistakes = (signed @ weights <= 0).to(signed.dtype)
    if normalized:
        return weights + (mistakes @ signed) / mistakes.sum().clamp(min=1)
    share = 1.0 if weights.any() else 0.5
    return weights + share / len(signed) * (mistakes @ signed)


def _signed(weights: Tensor, features: Tensor, labels: Tensor) -> Tensor:
    """The rows y_i a_i, (points, dimension): a point is on the right side where its product with θ is positive."""
    if check_floating("features", features).ndim != 2 or len(features) < 1:
        raise bad_value("features", features, "shape (points, dimension) with at least one point")
    if check_floating("weights", weights).shape != features.shape[1:]:
        raise bad_value("weights", weights, f"one weight per feature, shape ({features.shape[1]},)")
    if check_floating("labels", labels).shape != features.shape[:1]:
        raise bad_value("labels", labels, f"one label per point, shape ({len(features)},)")
    if not bool((labels.abs() == 1).all()):
        raise ValueError("labels: got values other than −1 and 1, expected the sign of each point")
    return labels[:, None] * features
