"""A figure that is drawn again and again: what stands still is drawn once, what moves is drawn on top of it."""

import struct
import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from lossbook.figures.style import styled

DOTS_PER_INCH = 130.0


class Canvas:
    """Pictures of one figure, fast.

    Artists made with `animated=True` move: they are drawn on a kept background. Whenever anything else of the figure
    changes (limits, labels, a legend), matplotlib marks the figure stale, and the background is drawn again. That takes
    three to five times as long.
    """

    def __init__(self, figure: Figure):
        figure.set_dpi(DOTS_PER_INCH)
        self._canvas = FigureCanvasAgg(figure)
        self._background: Any = None

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the pictures, in pixels."""
        return self._canvas.get_width_height()

    def png(self) -> bytes:
        """The figure as it is now."""
        return encode(self.pixels())

    @styled
    def pixels(self) -> np.ndarray:
        """The same as (height, width, 4) bytes, until the next picture."""
        figure = self._canvas.figure
        if self._background is None or figure.stale:
            self._canvas.draw()
            figure.set_layout_engine("none")  # the layout of this drawing stays
            self._background = self._canvas.copy_from_bbox(figure.bbox)
        else:
            self._canvas.restore_region(self._background)
        moving = [
            (axes, artist) for axes in figure.axes for artist in axes.get_children() if artist.get_animated()
        ]  # looked up every time, for a panel may have made new ones
        for axes, artist in sorted(moving, key=lambda pair: pair[1].get_zorder()):
            axes.draw_artist(artist)
        return np.asarray(self._canvas.buffer_rgba())


def encode(pixels: np.ndarray) -> bytes:
    r"""PNG of (height, width, 4) bytes, without the transparency.

    The usual encoders try five filters on each row, and that takes most of the time of a redrawing. Plots are flat and
    compress as well without a filter.

    Example:
        >>> encode(np.zeros((2, 3, 4), np.uint8))[:4]
        b'\x89PNG'
    """
    height, width, _ = pixels.shape
    rows = np.zeros((height, 1 + 3 * width), np.uint8)  # each row begins with the number of its filter: 0, none
    for channel in range(3):  # five times as fast as all three at once
        rows[:, 1 + channel :: 3] = pixels[..., channel]
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)  # 8 bits a channel, colour type 2: RGB
    parts = ((b"IHDR", header), (b"IDAT", zlib.compress(rows.data, level=1)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(name, data) for name, data in parts)


def _chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(data, zlib.crc32(name)))


@styled
def legend_above(figure: Figure, lines: Sequence[Any], labels: Sequence[str]) -> None:
    """Put a legend above the panels, in place of the one that was there, and lay the figure out anew around it."""
    for legend in list(figure.legends):
        legend.remove()
    figure.legend(list(lines), list(labels), loc="outside upper left", ncols=4, handlelength=3)
    figure.set_layout_engine("constrained")
