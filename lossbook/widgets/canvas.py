"""A figure that is drawn again and again: what stands still is drawn once, what moves is drawn on top of it."""

import io
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from lossbook.figures.style import styled

DOTS_PER_INCH = 150.0


class Canvas:
    """Pictures of one figure, fast.

    Artists made with `animated=True` move: they are drawn on a kept background. Whenever anything else of the figure changed
    (limits, labels, a legend), matplotlib marks the figure stale and the background is drawn again, three to five times slower.
    """

    def __init__(self, figure: Figure):
        figure.set_dpi(DOTS_PER_INCH)
        self._canvas = FigureCanvasAgg(figure)
        self._background: Any = None

    @styled
    def png(self, compress_level: int = 1) -> bytes:
        """The figure as it is now."""
        figure = self._canvas.figure
        if self._background is None or figure.stale:
            self._canvas.draw()
            figure.set_layout_engine("none")  # the layout of the first drawing stays
            self._background = self._canvas.copy_from_bbox(figure.bbox)
        else:
            self._canvas.restore_region(self._background)
        moving = [artist for axes in figure.axes for artist in axes.get_children() if artist.get_animated()]
        for artist in sorted(moving, key=lambda artist: artist.get_zorder()):
            artist.axes.draw_artist(artist)
        pixels = np.asarray(self._canvas.buffer_rgba())[..., :3]
        out = io.BytesIO()
        Image.fromarray(np.ascontiguousarray(pixels)).save(out, format="png", compress_level=compress_level)
        return out.getvalue()
