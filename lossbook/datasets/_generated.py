"""The generated sets: every draw from the generator that is given."""

import math

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from lossbook.checks import bad_type, check_count, check_generator, check_number


def moons(
    points: int, *, noise: float = 0.1, generator: torch.Generator
) -> tuple[Float[Tensor, "points 2"], Int[Tensor, " points"]]:
    """Two interleaved half circles of radius 1 in the plane.

        class 0: (cos t, sin t),  class 1: (1 − cos t, 1/2 − sin t),  t ~ U(0, π),  plus N(0, noise²) on each coordinate

    Args:
        points: how many in all, half of them of each class (one more of class 0 where odd).
        noise: standard deviation, in the unit of the radius; 0 is none.
        generator: source of angles, noise and order.

    Returns:
        Features and classes 0 or 1.

    Raises:
        TypeError, ValueError: naming the argument, what it got and what was expected.

    Example:
        >>> features, labels = moons(100, noise=0.0, generator=torch.Generator().manual_seed(0))
        >>> bool(torch.allclose(features[labels == 0].norm(dim=1), torch.ones(50)))
        True
    """
    check_count("points", points)
    check_number("noise", noise, at_least=0)
    check_generator(generator)
    labels = _balanced_labels(points, 2, generator)
    angle = math.pi * torch.rand(points, generator=generator, device=generator.device)
    upper = torch.stack([angle.cos(), angle.sin()], 1)
    lower = torch.stack([1 - angle.cos(), 0.5 - angle.sin()], 1)
    clean = torch.where(labels[:, None] == 0, upper, lower)
    return clean + noise * torch.randn(points, 2, generator=generator, device=generator.device), labels


def separable_worst_case(points: int) -> tuple[Float[Tensor, "points 2"], Float[Tensor, " points"]]:
    """The separable set on which logistic gradient descent takes steps in proportion to the number of points.

    One point (1/2, −1) with sign +1, and points − 1 copies of (−1/2, −1) with sign −1.

    Args:
        points: how many in all, at least 2.

    Returns:
        Features, and signs −1 or +1 in the same dtype, so that the margin is signs · (features @ θ).

    Raises:
        TypeError, ValueError: naming the argument, what it got and what was expected.

    Example:
        >>> features, signs = separable_worst_case(100)
        >>> bool((signs * (features @ torch.tensor([1.0, 0.0])) > 0).all())        # θ = (1, 0) separates it
        True

    Reference: Tyurin 2024, arXiv 2412.08424.
    """
    check_count("points", points, least=2)
    features = torch.tensor([-0.5, -1.0]).repeat(points, 1)
    features[0, 0] = 0.5
    signs = -torch.ones(points)
    signs[0] = 1
    return features, signs


def gaussian_classes(
    points: int, dimension: int, classes: int = 2, *, generator: torch.Generator
) -> tuple[Float[Tensor, "points dimension"], Int[Tensor, " points"]]:
    """Gaussian classes with one diagonal covariance, on which naive Bayes is right.

        means: −1 of class 0, 2^{k−1} of class k ≥ 1, in every coordinate;  covariance: diag(d, …, d, 1, …, 1)

    Args:
        points: how many in all, equally many of each class (one more of the first few where that does not come out).
        dimension: d; the first d // 2 coordinates have variance d.
        classes: at least 2.
        generator: source of points and order.

    Returns:
        Features and class indices.

    Raises:
        TypeError, ValueError: naming the argument, what it got and what was expected.

    Example:
        >>> features, labels = gaussian_classes(3000, 10, generator=torch.Generator().manual_seed(0))
        >>> [round(float(features[labels == k, 9].mean()), 1) for k in (0, 1)]
        [-1.0, 1.0]

    Reference: Zheng et al. 2023, arXiv 2302.02334.
    """
    check_count("points", points)
    check_count("dimension", dimension)
    check_count("classes", classes, least=2)
    check_generator(generator)
    labels = _balanced_labels(points, classes, generator)
    means = torch.tensor([-1.0, *(2.0**k for k in range(classes - 1))], device=generator.device)
    deviation = torch.ones(dimension, device=generator.device)
    deviation[: dimension // 2] = math.sqrt(dimension)
    noise = torch.randn(points, dimension, generator=generator, device=generator.device)
    return means[labels, None] + deviation * noise, labels


def with_label_noise(
    labels: Int[Tensor, " points"], fraction: float, classes: int, *, generator: torch.Generator
) -> tuple[Int[Tensor, " points"], Bool[Tensor, " points"]]:
    """Symmetric label noise: a fraction of the labels replaced by another class, each other class equally likely.

    Args:
        labels: class indices.
        fraction: of the labels, in [0, 1]; the number replaced is rounded.
        classes: at least 2.
        generator: source of the choice.

    Returns:
        The labels, and a mask that is True where they are wrong.

    Raises:
        TypeError, ValueError: naming the argument, what it got and what was expected.

    Example:
        >>> labels, wrong = with_label_noise(torch.zeros(10).long(), 0.4, 3, generator=torch.Generator().manual_seed(0))
        >>> int(wrong.sum()), bool(((labels != 0) == wrong).all())
        (4, True)
    """
    if not isinstance(labels, Tensor) or labels.dtype != torch.int64 or labels.ndim != 1:
        raise bad_type("labels", labels, "class indices (int64) of shape (points,)")
    check_number("fraction", fraction, at_least=0, at_most=1)
    check_count("classes", classes, least=2)
    check_generator(generator)
    order = torch.randperm(len(labels), generator=generator, device=generator.device)
    wrong = torch.zeros(len(labels), dtype=torch.bool, device=labels.device)
    wrong[order[: round(fraction * len(labels))].to(labels.device)] = True
    shift = torch.randint(1, classes, labels.shape, generator=generator, device=generator.device).to(labels.device)
    return torch.where(wrong, (labels + shift) % classes, labels), wrong


def _balanced_labels(points: int, classes: int, generator: torch.Generator) -> Tensor:
    order = torch.randperm(points, generator=generator, device=generator.device)
    return order % classes
