"""Pictures of one number that stands for many."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from lossbook.figures.style import GREY, axes_of, look, styled


@styled
def plot_constants(
    values: Sequence[float], constants: Mapping[str, float], ax: Any = None, *, label: str = "value"
) -> Any:
    """The readings as a histogram, and a vertical line for each constant.

    How to read it: where a line stands, that constant stands for all readings; lines that
    part show losses that disagree.

    Args:
        values: the readings.
        constants: name -> where its line stands.
        ax: matplotlib axes; None makes new ones.
        label: what a reading is, with its unit.
    """
    ax = axes_of(ax)
    counts, *_ = ax.hist(np.asarray(values), bins=24, color=GREY, alpha=0.55, label=f"{len(values)} readings")
    for i, (name, place) in enumerate(constants.items()):
        ax.axvline(place, label=f"{name}: {place:.1f}", **look(i))
    ax.set(xlabel=label, ylabel="readings")
    ax.set_ylim(top=1.5 * np.max(counts))  # room for the legend
    ax.legend(loc="upper right")
    return ax
