"""The house style: one look for every picture, legible on a projector, safe for colour-blind readers.

Figures are made without pyplot and styled inside a context, so nothing global changes.
"""

from collections.abc import Callable
from typing import Any, TypeVar

import matplotlib
import numpy as np
import seaborn as sns
from cycler import cycler
from matplotlib.figure import Figure

PALETTE: tuple[str, ...] = tuple(sns.color_palette("colorblind").as_hex())
BLUE, ORANGE, GREEN, RED, PURPLE, BROWN, PINK, GREY, YELLOW, CYAN = PALETTE
INK = "#222222"
DASHES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)))  # a second cue beside colour

STYLE: dict[str, Any] = (
    sns.plotting_context("notebook", font_scale=1.0)
    | sns.axes_style("whitegrid")
    | {
        "axes.prop_cycle": cycler(color=PALETTE),
        "axes.edgecolor": "#666666",
        "axes.labelcolor": INK,
        "axes.spines.right": False,
        "axes.spines.top": False,
        "axes.titlelocation": "left",
        "axes.titleweight": "bold",
        "axes.titlesize": 12,
        "font.family": "sans-serif",
        "font.sans-serif": ["DejaVu Sans"],
        "grid.color": "#e3e3e3",
        "legend.frameon": False,
        "lines.linewidth": 2.2,
        "text.color": INK,
        "figure.facecolor": "white",
    }
)

Function = TypeVar("Function", bound=Callable[..., Any])


def styled(function: Function) -> Function:
    """Run a plotting function inside the house style; the reader's own rcParams are as they were afterwards."""
    return matplotlib.rc_context(STYLE)(function)  # type: ignore[arg-type,return-value]


@styled
def new_figure(
    columns: int = 1, rows: int = 1, *, width: float = 0.0, height: float = 3.6, **options: Any
) -> tuple[Figure, Any]:
    """A figure in the house style, and its axes.

    Args:
        columns, rows: of axes.
        width, height: in inches; by default 5 inches a column up to 10 in all.
        options: passed to `Figure.subplots` (sharex, width_ratios, subplot_kw ...).

    Returns:
        The figure and one axes, or an array of axes, as `Figure.subplots` gives them.

    Example:
        >>> figure, axes = new_figure(2)
        >>> len(axes)
        2
    """
    figure = Figure(figsize=(width or min(10.0, 5.4 * columns), height), layout="constrained")
    return figure, figure.subplots(rows, columns, **options)


def axes_of(ax: Any) -> Any:
    """The axes given, or new ones."""
    return new_figure()[1] if ax is None else ax


def levels(values: np.ndarray, count: int = 12) -> np.ndarray:
    """Evenly spaced contour levels over the finite values."""
    finite = values[np.isfinite(values)]
    return np.linspace(finite.min(), finite.max(), count)
