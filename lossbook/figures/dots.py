"""A row a setting, a dot a seed, a bar at their middle: how the figures of several chapters compare settings."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from lossbook.figures.style import styled


@styled
def plot_dots(
    ax: Any,
    values: Mapping[str, pd.Series],
    colours: Mapping[str, str],
    *,
    markers: Sequence[str] = ("o",),
    size: float = 30.0,
    middle: str = "mean",
) -> Any:
    """Draw the values of each setting as dots in a row, from the top down, and name the rows.

    Args:
        ax: matplotlib axes.
        values: setting -> a number a seed.
        colours: setting -> colour.
        markers: taken in turn, a setting each.
        size: of a dot, in points squared.
        middle: where the bar stands: "mean" or "median".
    """
    for place, (setting, found) in enumerate(values.items()):
        look: dict[str, Any] = {"color": colours[setting]}
        bar = [getattr(found, middle)()] * 2
        ax.plot(bar, [place - 0.3, place + 0.3], linewidth=4, alpha=0.4, zorder=2, **look)
        ax.scatter(found, np.full(len(found), place), marker=markers[place % len(markers)], s=size, zorder=3, **look)
    ax.set_yticks(range(len(values)), list(values))
    ax.set_ylim(len(values) - 0.5, -0.5)
    return ax
