"""Streams of tasks for continual learning: new classes, new heads, or the same classes seen from another angle."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from lossbook.checks import bad_type, bad_value, check_count, check_floating, check_generator, check_number
from lossbook.datasets._real import Dataset


@dataclass(frozen=True, eq=False)
class Stream:
    """Tasks that arrive one after the other. `answers` are, for each task, the outputs among which it chooses.

    Scenario "class": each task brings new classes, and all classes share one output layer. "domain": the same classes,
    other inputs. "task": new classes, and it is known which task a question belongs to, so the others do not count.
    """

    name: str
    scenario: str
    tasks: tuple[Dataset, ...]
    outputs: int
    answers: tuple[tuple[int, ...], ...]

    def to(self, device: torch.device | str) -> "Stream":
        """The same stream on another device."""
        return replace(self, tasks=tuple(task.to(device) for task in self.tasks))


def class_subset(data: Dataset, classes: Sequence[int]) -> Dataset:
    """The examples of some classes, with the labels that they had.

    Args:
        data: with class labels.
        classes: class indices, each once, at least one.

    Raises:
        TypeError, ValueError: naming the argument, what it got and what was expected.

    Example:
        >>> from lossbook.datasets import digits
        >>> class_subset(digits(), (3, 7)).train_labels.unique().tolist()
        [3, 7]
    """
    _check_labelled(data)
    for one in classes:
        check_count("classes", one, least=0)
    if not classes or len(set(classes)) < len(classes) or max(classes) >= data.classes:
        raise bad_value("classes", classes, f"class indices below {data.classes}, each once, at least one")
    wanted = torch.tensor(list(classes), device=data.train_labels.device)
    train, test = torch.isin(data.train_labels, wanted), torch.isin(data.test_labels, wanted)
    parts = data.train_features[train], data.train_labels[train], data.test_features[test], data.test_labels[test]
    return Dataset(f"{data.name} {', '.join(map(str, classes))}", *parts, data.class_names)


def class_stream(data: Dataset, tasks: int) -> Stream:
    """Class-incremental: the classes in order, equally many a task, all in one output layer.

    Args:
        data: with class labels.
        tasks: how many; it divides the number of classes.

    Raises:
        TypeError, ValueError: naming the argument, what it got and what was expected.

    Example:
        >>> from lossbook.datasets import digits
        >>> stream = class_stream(digits(), 5)
        >>> stream.tasks[1].train_labels.unique().tolist(), stream.answers[1] == tuple(range(10))
        ([2, 3], True)
    """
    groups = _groups(data, tasks)
    whole = tuple(range(data.classes))
    parts = tuple(class_subset(data, group) for group in groups)
    return Stream(f"{data.name}, new classes", "class", parts, data.classes, (whole,) * tasks)


def task_stream(data: Dataset, tasks: int) -> Stream:
    """Task-incremental: as `class_stream`, but each task chooses among its own classes alone.

    Args:
        data, tasks: as in `class_stream`.

    Raises:
        TypeError, ValueError: naming the argument, what it got and what was expected.

    Example:
        >>> from lossbook.datasets import digits
        >>> task_stream(digits(), 5).answers[1]
        (2, 3)
    """
    found = class_stream(data, tasks)
    return replace(found, name=f"{data.name}, new heads", scenario="task", answers=tuple(_groups(data, tasks)))


def rotated_stream(data: Dataset, angles: Sequence[float] = (0.0, 80.0, 160.0)) -> Stream:
    """Domain-incremental: the same images and classes in every task, turned by another angle.

    Args:
        data: square images, flattened or (n, 1, side, side).
        angles: in degrees, counter-clockwise, one a task.

    Raises:
        TypeError, ValueError: naming the argument, what it got and what was expected.

    Example:
        >>> from lossbook.datasets import digits
        >>> stream = rotated_stream(digits(), (0, 90))
        >>> upright, turned = (task.test_features[0].reshape(8, 8) for task in stream.tasks)
        >>> bool(torch.allclose(turned, torch.rot90(upright), atol=1e-6))
        True
    """
    _check_labelled(data)
    angles = _angles(angles)
    parts = tuple(
        replace(
            data,
            name=f"{data.name} at {angle:g}°",
            train_features=rotated(data.train_features, angle),
            test_features=rotated(data.test_features, angle),
        )
        for angle in angles
    )
    whole = tuple(range(data.classes))
    return Stream(f"{data.name}, turned", "domain", parts, data.classes, (whole,) * len(angles))


def gaussian_stream(
    angles: Sequence[float] = (0.0, 80.0, 160.0),
    *,
    classes: int = 5,
    dimension: int = 20,
    train: int = 1000,
    test: int = 500,
    spread: float = 0.9,
    noise: float = 0.6,
    generator: torch.Generator,
) -> Stream:
    """Domain-incremental: a Gaussian mixture whose pairs of coordinates are turned by another angle in each task.

        x = Q R(θ) (μ_y + σ ε),  μ_c ~ s N(0, I), ε ~ N(0, I),  R(θ) turns (x_1, x_2), (x_3, x_4), … by θ

    The centres and the orthogonal Q are those of all tasks; the points are drawn afresh for each.

    Args:
        angles: θ in degrees, one a task.
        classes: at least 2.
        dimension: even.
        train, test: points in each task.
        spread: s, the standard deviation of the coordinates of the centres.
        noise: σ.
        generator: source of all draws.

    Raises:
        TypeError, ValueError: naming the argument, what it got and what was expected.

    Example:
        >>> stream = gaussian_stream((0, 180), noise=0.0, generator=torch.Generator().manual_seed(0))
        >>> first, second = (task.train_features[task.train_labels == 3][0] for task in stream.tasks)
        >>> bool(torch.allclose(first, -second, atol=1e-5))        # half a turn of every pair
        True

    Reference: the rotations of De Lange et al. 2023, arXiv 2205.13452, in a mixture that trains in a second.
    """
    angles = _angles(angles)
    for name, value, least in (("classes", classes, 2), ("train", train, 1), ("test", test, 1)):
        check_count(name, value, least=least)
    check_count("dimension", dimension)
    if dimension % 2:
        raise bad_value("dimension", dimension, "an even number: coordinates are turned in pairs")
    check_number("spread", spread, at_least=0)
    check_number("noise", noise, at_least=0)
    check_generator(generator)
    make: dict[str, Any] = {"generator": generator, "device": generator.device}
    centres = spread * torch.randn(classes, dimension, **make)
    mix = torch.linalg.qr(torch.randn(dimension, dimension, **make))[0]

    def draw(points: int, angle: float) -> tuple[Tensor, Tensor]:
        labels = torch.randint(classes, (points,), **make)
        return turned(centres[labels] + noise * torch.randn(points, dimension, **make), angle) @ mix.T, labels

    names = tuple(map(str, range(classes)))
    parts = tuple(
        Dataset(f"gaussian at {angle:g}°", *draw(train, angle), *draw(test, angle), names) for angle in angles
    )
    return Stream("gaussian, turned", "domain", parts, classes, (tuple(range(classes)),) * len(angles))


def turned(points: Float[Tensor, "... dimension"], angle: float) -> Float[Tensor, "... dimension"]:
    """Points with each pair of coordinates (1, 2), (3, 4), … turned by an angle in degrees.

    Example:
        >>> turned(torch.tensor([1.0, 0.0]), 90.0).round(decimals=3).tolist()
        [0.0, 1.0]
    """
    check_number("angle", angle)
    if check_floating("points", points).ndim < 1 or points.shape[-1] % 2:
        raise bad_value("points", points, "shape (..., dimension), dimension even")
    cosine, sine = math.cos(math.radians(angle)), math.sin(math.radians(angle))
    first, second = points[..., ::2], points[..., 1::2]
    return torch.stack([cosine * first - sine * second, sine * first + cosine * second], -1).reshape(points.shape)


def rotated(images: Tensor, angle: float) -> Tensor:
    """Square grey images turned counter-clockwise about their middle, by bilinear interpolation; outside is 0.

    Args:
        images: (n, side²) or (n, 1, side, side).
        angle: in degrees.

    Returns:
        The same shape. A quarter turn moves whole pixels.

    Raises:
        TypeError, ValueError: naming the argument, what it got and what was expected.
    """
    check_number("angle", angle)
    side = _side(images)
    cosine, sine = math.cos(math.radians(angle)), math.sin(math.radians(angle))
    back = torch.tensor([[cosine, -sine, 0.0], [sine, cosine, 0.0]], dtype=images.dtype, device=images.device)
    pictures = images.reshape(-1, 1, side, side)
    where = functional.affine_grid(back.expand(len(pictures), 2, 3), list(pictures.shape), align_corners=False)
    return functional.grid_sample(pictures, where, align_corners=False).reshape(images.shape)


def shrunk(data: Dataset, factor: int) -> Dataset:
    """The same data with images of fewer pixels, each the mean of factor² old ones.

    Args:
        data: square images, flattened or (n, 1, side, side).
        factor: a divisor of the side.

    Raises:
        TypeError, ValueError: naming the argument, what it got and what was expected.

    Example:
        >>> from lossbook.datasets import digits
        >>> tuple(shrunk(digits(), 2).train_features.shape)
        (1438, 16)
    """
    _check_labelled(data)
    check_count("factor", factor)
    side = _side(data.train_features)
    if side % factor:
        raise bad_value("factor", factor, f"a divisor of the side, {side}")

    def smaller(images: Tensor) -> Tensor:
        pictures = functional.avg_pool2d(images.reshape(-1, 1, side, side), factor)
        return pictures.flatten(1) if images.ndim == 2 else pictures

    return replace(data, train_features=smaller(data.train_features), test_features=smaller(data.test_features))


def _side(images: Tensor) -> int:
    check_floating("images", images)
    side = math.isqrt(images.shape[-1]) if images.ndim == 2 else images.shape[-1] if images.ndim == 4 else 0
    if side < 1 or images.shape[1:] not in ((side * side,), (1, side, side)):
        raise bad_value("images", images, "square grey images, shape (n, side²) or (n, 1, side, side)")
    return side


def _check_labelled(data: Dataset) -> None:
    if not isinstance(data, Dataset):
        raise bad_type("data", data, "a Dataset")
    if not data.classes:
        raise bad_value("data", data.name, "a Dataset with classes")


def _groups(data: Dataset, tasks: int) -> list[tuple[int, ...]]:
    _check_labelled(data)
    check_count("tasks", tasks)
    if data.classes % tasks:
        raise bad_value("tasks", tasks, f"a divisor of the {data.classes} classes")
    size = data.classes // tasks
    return [tuple(range(size * task, size * (task + 1))) for task in range(tasks)]


def _angles(angles: Sequence[float]) -> tuple[float, ...]:
    if isinstance(angles, str) or not isinstance(angles, Sequence):
        raise bad_type("angles", angles, "a sequence of angles in degrees, one a task")
    if not angles:
        raise bad_value("angles", angles, "at least one angle")
    return tuple(check_number("angles", angle) for angle in angles)
