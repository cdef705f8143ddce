"""Small curves as SVG that takes the colours of the page, with the words that stand for them."""

from html import escape
from typing import Any

import numpy as np
from matplotlib.ticker import MaxNLocator

from lossbook.book.slices import SLICES, along
from lossbook.catalog import Record
from lossbook.figures.html import in_words
from lossbook.figures.records import window

WIDTH, HEIGHT = 190, 150  # of a panel, in CSS pixels
LEFT, TOP, RIGHT, BOTTOM = 34, 22, 8, 22  # what the labels take of it


def curves_svg(record: Record) -> str:
    """Loss and slope of a record at its defaults along the slice of its kind, side by side."""
    line, curve = SLICES[record.inputs], along(record)
    panels = "".join(
        _panel(column, title, line.positions, numbers, widest)
        for column, (title, numbers, widest) in enumerate(zip(("loss", "slope"), curve, line.widest, strict=True))
    )
    return (
        f'<svg class="lossbook-curves" role="img" aria-label="{escape(curves_in_words(record))}" '
        f'viewBox="0 0 {2 * WIDTH} {HEIGHT}">{panels}</svg>'
    )


def curves_in_words(record: Record) -> str:
    """What `curves_svg` shows, in numbers.

    Example:
        >>> from lossbook.catalog import find
        >>> curves_in_words(find("hinge_loss"))
        'Loss and slope against the margin from −4 to 4. Loss 5 at −4, 1 at 0, 0 at 4. Slope −1 at −4, −1 at 0, 0 at 4.'
    """
    line = SLICES[record.inputs]
    middle = line.points // 2
    told = [
        f"{title} " + ", ".join(f"{in_words(numbers[i])} at {in_words(line.positions[i])}" for i in (0, middle, -1))
        for title, numbers in zip(("Loss", "Slope"), along(record), strict=True)
    ]
    return (
        f"Loss and slope against the {line.argument} from {in_words(line.low)} to {in_words(line.high)}. "
        + " ".join(f"{sentence}." for sentence in told)
    )


def _panel(column: int, title: str, positions: np.ndarray, values: np.ndarray, widest: float) -> str:
    low, high = window([values], widest)
    left, wide, tall = column * WIDTH + LEFT, WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM

    def down(value: Any) -> Any:
        return (high - value) / (high - low) * tall

    across = (positions - positions[0]) / (positions[-1] - positions[0]) * wide
    near = np.clip(values, 2 * low - high, 2 * high - low)  # what leaves the panel need not go far
    points = " ".join(f"{x:.4g},{y:.4g}" for x, y in zip(across, down(near), strict=True))
    marks = [f'<text class="title" x="{left}" y="13">{title}</text>']
    for at in MaxNLocator(4).tick_values(low, high):
        if low <= at <= high:
            y, look = TOP + down(at), "zero" if at == 0 else "grid"
            marks.append(f'<line class="{look}" x1="{left}" x2="{left + wide}" y1="{y:.1f}" y2="{y:.1f}"/>')
            marks.append(f'<text x="{left - 5}" y="{y + 3.5:.1f}" text-anchor="end">{in_words(at)}</text>')
    for i, anchor in ((0, "start"), (len(positions) // 2, "middle"), (-1, "end")):
        x, words = left + across[i], in_words(positions[i])
        marks.append(f'<text x="{x:.1f}" y="{HEIGHT - 7}" text-anchor="{anchor}">{words}</text>')
    # An svg inside cuts off what leaves it; 2 pixels more leave room for the line's width.
    place = f'x="{left}" y="{TOP - 2}" width="{wide}" height="{tall + 4}" viewBox="0 -2 {wide} {tall + 4}"'
    return f'{"".join(marks)}<svg {place}><polyline points="{points}" class="{title}"/></svg>'
