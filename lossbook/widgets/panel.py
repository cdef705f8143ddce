"""What a training explorer shows of a snapshot when nobody says otherwise: its arrays."""

from typing import Any, NamedTuple

import numpy as np

from lossbook.experiments.run import Run, Snapshot
from lossbook.figures.html import in_words
from lossbook.figures.style import look

FEW = 24  # numbers of an array up to which each is drawn
BINS = 40


class Outline(NamedTuple):
    """How one array is drawn: matplotlib's stairs, and the edges of its bars or bins, the same at every step."""

    stairs: Any
    edges: np.ndarray
    few: bool


def start_arrays(ax: Any, run: Run) -> dict[str, Outline]:
    """Every array of the snapshots, as bars where all are small, else as histograms, on axes that stay."""
    arrays: dict[str, list[np.ndarray]] = {}
    for snapshot in run.snapshots:
        for name, array in snapshot.arrays.items():
            arrays.setdefault(name, []).append(np.asarray(array, dtype=float).ravel())
    few = all(array.size <= FEW for kept in arrays.values() for array in kept)
    outlines, reach = {}, [0.0]
    for i, (name, kept) in enumerate(arrays.items()):
        edges = np.arange(max(array.size for array in kept) + 1) - 0.5 if few else _bins(kept)
        stairs = ax.stairs(np.zeros(len(edges) - 1), edges, baseline=0, label=name, linewidth=2, **look(i))
        outlines[name] = Outline(stairs, edges, few)
        for array in kept:
            heights = _heights(array, edges, few)
            reach += heights[np.isfinite(heights)].tolist()
    room = 0.05 * (max(reach) - min(reach) or 1.0)
    ax.set(ylim=(min(reach) - room if min(reach) < 0 else 0, max(reach) + room))
    ax.set(xlabel="index" if few else "value", ylabel="value" if few else "share of the numbers")
    if outlines:
        ax.legend()
    return outlines


def update_arrays(outlines: dict[str, Outline], snapshot: Snapshot) -> str:
    """The arrays of one snapshot; their mean and spread in words."""
    words = []
    for name, (stairs, edges, few) in outlines.items():
        stairs.set_visible(name in snapshot.arrays)
        if name in snapshot.arrays:
            array = np.asarray(snapshot.arrays[name], dtype=float).ravel()
            stairs.set_data(_heights(array, edges, few))
            mean, spread = in_words(float(array.mean())), in_words(float(array.std()))
            words.append(f"{name}: {array.size} numbers, mean {mean}, standard deviation {spread}")
    return "; ".join(words) or "no arrays at this step"


def _bins(arrays: list[np.ndarray]) -> np.ndarray:
    everything = np.concatenate(arrays)
    everything = everything[np.isfinite(everything)]
    low, high = (everything.min(), everything.max()) if everything.size else (0.0, 1.0)
    return np.linspace(low, high if high > low else low + 1, BINS + 1)


def _heights(array: np.ndarray, edges: np.ndarray, few: bool) -> np.ndarray:
    if few:
        return np.pad(array, (0, len(edges) - 1 - len(array)), constant_values=np.nan)
    return np.histogram(array[np.isfinite(array)], edges)[0] / max(1, array.size)
