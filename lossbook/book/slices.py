"""Every loss along one line of its inputs: what the curves of the atlas and of the comparison page show."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from lossbook.book.words import steps
from lossbook.catalog import Parameter, Record

POINTS = 161  # an odd number: zero and the corners at whole numbers are among them
POINTS_OF_PAIRS = 81  # each is a small matrix of scores
OTHER_SCORES = (1.0, 0.0, -1.0)  # of the wrong classes: not all equal, as the spherical losses would then see a step
OTHERS_OF_A_SET = (1.0, 0.2, -0.2, -1.0, -2.0)  # the first of them is a positive as well
PAIRS = 4
SETTINGS = (7, 5)  # values of the first and of the second parameter; a third one is held


@dataclass(frozen=True)
class Slice:
    """A line through the inputs of one kind of loss."""

    name: str  # what its losses are losses of
    argument: str  # what moves along it
    held: str  # what does not move, in a sentence; "" where nothing else is there
    low: float
    high: float
    widest: tuple[float, float]  # of value and slope: what is further from 0 leaves the panel
    inputs: Callable[[Tensor], tuple[Tensor, Tensor | None]]  # positions -> first input, target
    points: int = POINTS

    @property
    def positions(self) -> np.ndarray:
        """The points at which its losses are drawn."""
        return np.linspace(self.low, self.high, self.points).round(10)


class Curve(NamedTuple):
    """A loss and its slope at the positions of a slice."""

    value: np.ndarray
    slope: np.ndarray


def _scores(at: Tensor) -> tuple[Tensor, Tensor]:
    others = at.new_tensor(OTHER_SCORES).expand(len(at), -1)
    return torch.cat([at[:, None], others], -1), torch.zeros(len(at), dtype=torch.long)


def _label(at: Tensor) -> tuple[Tensor, Tensor]:
    """One label that does not apply: most of a multi-label loss is about those."""
    return at[:, None], torch.zeros_like(at)[:, None]


def _set(at: Tensor) -> tuple[Tensor, Tensor]:
    """Sets of six: the score of one positive moves."""
    held = at.new_tensor(OTHERS_OF_A_SET).expand(len(at), -1)
    return torch.cat([at[:, None], held], -1), at.new_tensor((1, 1, 0, 0, 0, 0)).expand(len(at), -1)


def _pair(at: Tensor) -> tuple[Tensor, Tensor]:
    """Embeddings whose products are the scores: the second set is the unit vectors."""
    first = at.new_zeros(PAIRS, PAIRS)
    first[0, 0] = at[0]
    return first, torch.eye(PAIRS, dtype=at.dtype)


SLICES = {
    "margin": Slice("a margin", "margin", "", -4, 4, (6, 6), lambda at: (at, None)),
    "error": Slice("an error", "error", "", -4, 4, (6, 6), lambda at: (at, None)),
    "logits": Slice(
        "class scores",
        "score of the right class",
        "The three wrong classes score 1, 0 and −1; the slope is by the right class's score.",
        -8,
        8,
        (8, 4),
        _scores,
    ),
    "pairs": Slice(
        "pairs",
        "score of a right pair",
        "Four pairs: the score of one right pair moves, all other scores are 0; the curve is the loss of that pair's "
        "row, the slope is by its score.",
        -1,
        1,
        (16, 16),
        _pair,
        POINTS_OF_PAIRS,
    ),
    "labels": Slice(
        "labels",
        "score of the label",
        "The label does not apply: the loss falls as its score falls.",
        -8,
        8,
        (8, 2),
        _label,
    ),
    "sets": Slice(
        "sets of predictions",
        "score of a positive",
        "A set of six: the score of one positive moves; the other scores 1, the negatives 0.2, −0.2, −1 and −2.",
        -4,
        4,
        (2, 2),
        _set,
    ),
}


def along(record: Record, parameters: Mapping[str, float] | None = None) -> Curve:
    """Value and closed-form slope of a loss along the slice of its kind.

    Args:
        record: of the loss.
        parameters: those that are not at their defaults.

    Example:
        >>> from lossbook.catalog import find
        >>> curve = along(find("hinge_loss"))
        >>> [float(numbers[0]) for numbers in curve]  # at m = −4
        [5.0, -1.0]
    """
    line = SLICES[record.inputs]
    at = torch.as_tensor(line.positions)
    if record.inputs != "pairs":
        value, slope = _at(record, *line.inputs(at), parameters or {})
        return Curve(value.reshape(len(at)).numpy(), (slope[:, 0] if slope.ndim > 1 else slope).numpy())
    found = [_at(record, *line.inputs(each), parameters or {}) for each in at[:, None]]
    return Curve(*(np.array([float(part.flatten()[0]) for part in parts]) for parts in zip(*found, strict=True)))


def _at(record: Record, first: Tensor, target: Tensor | None, parameters: Mapping[str, float]) -> tuple[Tensor, Tensor]:
    held: dict[str, Any] = {name: make(torch.zeros_like(first)) for name, make in record.companions.items()}
    return tuple(part(first, target, **held, **parameters) for part in (record.value, record.slope))  # type: ignore


def moved(record: Record) -> dict[str, list[float]]:
    """A few values of a loss's first two parameters: evenly spaced, and its default and special cases among them.

    Example:
        >>> from lossbook.catalog import find
        >>> moved(find("quantile_loss"))
        {'quantile': [0.05, 0.2, 0.35, 0.5, 0.65, 0.8, 0.95]}
    """
    few = zip(record.parameters, SETTINGS, strict=False)
    return {parameter.name: _tour(record, parameter, count) for parameter, count in few}


def _tour(record: Record, parameter: Parameter, count: int) -> list[float]:
    stops, apart = steps(parameter), (parameter.high - parameter.low) / (count - 1)
    special = [case.parameters.get(parameter.name, parameter.default) for case in record.special_cases]
    named = {value for value in (parameter.default, *special) if parameter.low <= value <= parameter.high}
    evenly = (stops[round(i * (len(stops) - 1) / (count - 1))] for i in range(count))
    rest = (value for value in evenly if all(abs(value - known) > apart / 2 for known in named))
    return sorted(named | {parameter.low, parameter.high, *rest})
