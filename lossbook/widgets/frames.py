"""Pictures of one explorer that are kept, small: in few colours, which they share."""

import io

import numpy as np
from PIL import Image, ImageChops

MOST_FLAT, SHADES = 160, 64  # colours of areas and lines, and those of their edges
SAMPLE, OFTEN = 17, 12  # a colour found so often among every 17th pixel covers an area or a line
FAR = 40  # of 255: no channel of a pixel may be further from what was drawn


class Palette:
    """Colours for pictures that are much alike.

    To find the best colours of a picture takes ten times as long as to use them. So those of the first serve as long as
    they hold the colours of every area and line of the next, and come near the shades of its edges; where they do not,
    they are found anew, for both.
    """

    def __init__(self) -> None:
        self._flat: frozenset[int] = frozenset()
        self._shades = np.empty((0, 3), np.uint8)
        self._colours: Image.Image | None = None

    def small(self, pixels: np.ndarray) -> bytes:
        """A lossless WebP in few colours, of (height, width, 4) bytes; a quarter smaller than the same as PNG."""
        picture, flat = Image.fromarray(pixels).convert("RGB"), _flat_colours(pixels)
        shown = _in_colours_of(self._colours, picture) if self._colours and flat <= self._flat else None
        if shown is None:
            self._colours = self._extended(picture, flat)
            shown = _in_colours_of(self._colours, picture)
        if shown is None:  # too many colours to share them
            shown = picture.quantize(256, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE).convert("RGB")
        out = io.BytesIO()
        shown.save(out, format="webp", lossless=True, method=2, quality=20)
        return out.getvalue()

    def _extended(self, picture: Image.Image, flat: frozenset[int]) -> Image.Image:
        """Colours for this picture and, as far as there is room, for those before."""
        self._flat = self._flat | flat if len(self._flat | flat) <= MOST_FLAT else flat
        if len(self._shades):
            strip = np.resize(self._shades, (1, picture.width, 3))  # again and again along one row
            picture = Image.fromarray(np.concatenate([np.asarray(picture), strip]))
        far_apart = picture.quantize(SHADES, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
        self._shades = np.array(far_apart.getpalette(), np.uint8).reshape(-1, 3)[:SHADES]
        areas = np.array([_channels(colour) for colour in sorted(self._flat)][:MOST_FLAT], np.uint8).reshape(-1, 3)
        image = Image.new("P", (1, 1))
        image.putpalette(np.resize(np.concatenate([areas, self._shades]), (256, 3)).tobytes())
        return image


def _flat_colours(pixels: np.ndarray) -> frozenset[int]:
    """The colours of areas and lines, each as one number."""
    whole = np.ascontiguousarray(pixels).view(np.uint32).ravel()
    colours, counts = np.unique(whole[::SAMPLE], return_counts=True)
    return frozenset(colours[counts >= OFTEN].tolist())


def _channels(colour: int) -> tuple[int, ...]:
    return tuple(np.array([colour], np.uint32).view(np.uint8)[:3].tolist())


def _in_colours_of(few: Image.Image, picture: Image.Image) -> Image.Image | None:
    """The picture in the colours of another; None where one of its own is too far from all of them."""
    shown = picture.quantize(palette=few, dither=Image.Dither.NONE).convert("RGB")
    largest = [high for _, high in ImageChops.difference(shown, picture).getextrema()]  # type: ignore[misc]
    return shown if max(largest) <= FAR else None
