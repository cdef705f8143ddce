"""Pictures of records: loss, slope and curvature against the argument, and the loss of three classes as a map."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch

from lossbook.catalog import Record, find
from lossbook.checks import bad_value, check_choice, check_number
from lossbook.figures.simplex import plot_simplex
from lossbook.figures.style import axes_of, look, styled

__all__ = [
    "Curves",
    "curves",
    "dress",
    "overlaid",
    "plot_curvature",
    "plot_loss",
    "plot_simplex",
    "plot_slope",
    "window",
]

ARGUMENTS = {"margin": ("m", "margin m = y f(x)"), "error": ("e", "error e = prediction − target")}
POINTS = 481  # on −4 to 4: every sixtieth, so that corners at whole numbers, halves and tenths are met
WIDEST = {
    "value": 6.0,
    "slope": 6.0,
    "curvature": 4.0,
}  # what grows beyond leaves the panel, so that the others stay legible


class Curves(NamedTuple):
    """A loss of one argument and its first two derivatives, at the points asked for."""

    value: np.ndarray
    slope: np.ndarray
    curvature: np.ndarray


def overlaid(losses: str | Record | Sequence[str | Record]) -> tuple[Record, ...]:
    """The records of losses that can share a picture: all of a margin, or all of an error.

    Raises:
        ValueError: no such loss, none given, one of logits, or margins and errors mixed.
    """
    names = (losses,) if isinstance(losses, str | Record) else tuple(losses)
    records = tuple(find(name) for name in names)
    keys = [record.key for record in records]
    kinds = list(dict.fromkeys(record.inputs for record in records))
    if not records or len(set(keys)) < len(keys):
        raise bad_value("losses", keys, "at least one loss, each once")
    if not ARGUMENTS.keys() >= set(kinds):
        raise bad_value("losses", keys, "losses of a margin or of an error; plot_simplex draws losses of logits")
    if len(kinds) > 1:
        raise bad_value(
            "losses", {record.key: record.inputs for record in records}, "all of a margin, or all of an error"
        )
    return records


def curves(record: Record, points: Any, parameters: Mapping[str, float] | None = None) -> Curves:
    """A record of a margin or an error at these points: value, closed-form slope, and the derivative of that slope.

    At a corner the curvature is that of the pieces on its sides: the corner itself has none.

    Example:
        >>> loss = curves(find("logistic_loss"), [0.0])
        >>> [round(float(number[0]), 3) for number in loss]
        [0.693, -0.5, 0.25]
    """
    at = torch.as_tensor(points, dtype=torch.float64).detach().requires_grad_()
    own: dict[str, Any] = {name: value for name, value in (parameters or {}).items() if name in record.defaults}
    with torch.enable_grad():
        slope = record.slope(at, **own)
        curvature = torch.autograd.grad(slope.sum(), at)[0] if slope.requires_grad else torch.zeros_like(slope)
    value = record.value(at.detach(), **own)
    return Curves(value.numpy(), slope.detach().numpy(), curvature.numpy())


def window(arrays: Sequence[np.ndarray], widest: float) -> tuple[float, float]:
    """Limits of an axis that show the arrays, but nothing further from 0 than `widest`."""
    low = max(-widest, min(float(array.min()) for array in arrays))
    high = min(widest, max(float(array.max()) for array in arrays))
    room = 0.06 * max(high - low, 0.5)
    return low - room, high + room


def dress(ax: Any, kind: str, inputs: str) -> None:
    """Title and labels of a panel of `kind`: "value", "slope" or "curvature"."""
    symbol, argument = ARGUMENTS[inputs]
    title, label = {
        "value": ("Loss", f"ℓ({symbol})"),
        "slope": ("Slope", f"dℓ/d{symbol}"),
        "curvature": ("Curvature", f"d²ℓ/d{symbol}²"),
    }[kind]
    ax.set(title=title, xlabel=argument, ylabel=label)
    ax.axhline(0, color="#888888", linewidth=1, zorder=0.5)


@styled
def _plot(kind: str, losses: Any, ax: Any, low: float, high: float, parameters: Mapping[str, float]) -> Any:
    records = overlaid(losses)
    low = check_number("low", low)
    high = check_number("high", high, above=low)
    for name in parameters:
        check_choice("parameter", name, list(dict.fromkeys(name for record in records for name in record.defaults)))
    points = np.linspace(low, high, POINTS)
    ax = axes_of(ax)
    drawn = [getattr(curves(record, points, parameters), kind) for record in records]
    dress(ax, kind, records[0].inputs)
    for i, (record, values) in enumerate(zip(records, drawn, strict=True)):
        ax.plot(points, values, label=record.title, **look(i))
    ax.set(xlim=(low, high), ylim=window(drawn, WIDEST[kind]))
    ax.legend()
    return ax


def plot_loss(losses: Any, ax: Any = None, low: float = -4.0, high: float = 4.0, **parameters: float) -> Any:
    """Losses of a margin or an error against their argument.

    How to read it: height is what a point with that margin (or error) costs. What rises beyond 6 leaves the panel.

    Args:
        losses: one name or several, all of a margin or all of an error.
        ax: matplotlib axes; None makes new ones.
        low, high: ends of the argument's axis.
        parameters: of the losses; each loss takes those it has.

    Returns:
        The axes.

    Raises:
        ValueError: naming the argument, what it got and what was expected.

    Example:
        >>> ax = plot_loss(("logistic_loss", "hinge_loss"))
        >>> [line.get_label() for line in ax.get_lines()[1:]]
        ['Logistic', 'Hinge']
    """
    return _plot("value", losses, ax, low, high, parameters)


def plot_slope(losses: Any, ax: Any = None, low: float = -4.0, high: float = 4.0, **parameters: float) -> Any:
    """The slope of losses against their argument.

    How to read it: distance from 0 is the force with which a point there pulls; where a curve is 0, points are ignored.

    Args, Returns, Raises: as `plot_loss`.
    """
    return _plot("slope", losses, ax, low, high, parameters)


def plot_curvature(losses: Any, ax: Any = None, low: float = -4.0, high: float = 4.0, **parameters: float) -> Any:
    """The curvature of losses against their argument.

    How to read it: above 0 the loss bends upwards there, as a convex loss does everywhere; below 0 it bends downwards.
    A corner, where the slope jumps, has no curvature and is not drawn.

    Args, Returns, Raises: as `plot_loss`.
    """
    return _plot("curvature", losses, ax, low, high, parameters)
