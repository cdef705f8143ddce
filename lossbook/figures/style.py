"""The house style: one look for every picture, legible on a projector, in print without colour, to the colour-blind.

Three rules, held by `tests/figures`: what a legend tells apart differs in dash, marker or hatch, or by ten in CIE
lightness; settings with an order are drawn from dark to light; and a sign is never told by colour alone. Figures are
made without pyplot and styled inside a context, so nothing global changes.
"""

from collections.abc import Callable
from typing import Any, TypeVar

import matplotlib
import numpy as np
import seaborn as sns
from cycler import cycler
from matplotlib import colormaps
from matplotlib.colors import LinearSegmentedColormap, to_hex
from matplotlib.figure import Figure

# Each at least 3:1 on white; the first three 12 apart in lightness, the first five 6; found by a search that kept all
# ten as far apart as they would go for readers without red or green cones.
BLUE, ORANGE, GREEN, RED, PURPLE = "#244c8f", "#d08000", "#217b65", "#a43b04", "#b563c0"
BROWN, PINK, GREY, OLIVE, CYAN = "#643b27", "#cc3d80", "#909090", "#8b7819", "#1f8498"
PALETTE = (BLUE, ORANGE, GREEN, RED, PURPLE, BROWN, PINK, GREY, OLIVE, CYAN)
INK = "#222222"
DASHES: tuple[Any, ...] = (  # one a colour: ten series differ without any colour
    "-",
    "--",
    "-.",
    ":",
    (0, (5, 1, 1, 1, 1, 1)),
    (0, (9, 2)),
    (0, (9, 1.5, 3, 1.5)),
    (0, (2, 1)),
    (0, (9, 1.5, 1, 1.5, 1, 1.5, 1, 1.5)),
    (0, (1, 3.5)),
)
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "*")
SIGNED = LinearSegmentedColormap.from_list("signed", ["#7c94bc", "white", "#dca040"])  # light: numbers stand on it
LIGHTEST = 0.59  # of viridis, for lines: further on it fades into white

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
        "legend.frameon": True,  # white and without an edge: lines behind a legend do not run through its words
        "legend.framealpha": 0.85,
        "legend.edgecolor": "none",
        "legend.handlelength": 3.2,  # a whole period of every dash
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


def look(i: int, *, marker: bool = False) -> dict[str, Any]:
    """The colour and dash of series `i` of a picture, and its marker where its points are to show.

    Example:
        >>> look(1)
        {'color': '#d08000', 'linestyle': '--'}
    """
    found = {"color": PALETTE[i % len(PALETTE)], "linestyle": DASHES[i % len(DASHES)]}
    return found | {"marker": MARKERS[i % len(MARKERS)]} if marker else found


def in_order(count: int) -> tuple[str, ...]:
    """Colours for settings that have an order, from dark to light: told apart, and put in order, without any colour.

    Example:
        >>> in_order(3)
        ('#440154', '#355e8d', '#21a685')
    """
    return tuple(to_hex(colour) for colour in colormaps["viridis"](np.linspace(0, LIGHTEST, count)))


def levels(values: np.ndarray, count: int = 12) -> np.ndarray:
    """Evenly spaced contour levels over the finite values."""
    finite = values[np.isfinite(values)]
    return np.linspace(finite.min(), finite.max(), count)
