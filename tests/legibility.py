"""What a picture needs to be read without colour, by anybody: held for every figure that tests/figures draws."""

from collections.abc import Iterator
from itertools import combinations
from typing import Any

import numpy as np
from matplotlib.collections import PathCollection
from matplotlib.colors import to_rgb, to_rgba
from matplotlib.figure import Figure
from matplotlib.legend import Legend
from matplotlib.lines import Line2D
from matplotlib.text import Text

APART = 10.0  # in CIE lightness, black 0 and white 100: greys of two thin lines that nobody takes for one
SMALLEST = 9.0  # points, at 100 %


def linear(colour: Any) -> np.ndarray:
    """Red, green and blue in proportion to light, (3,)."""
    part = np.asarray(to_rgb(colour))
    return np.where(part <= 0.04045, part / 12.92, ((part + 0.055) / 1.055) ** 2.4)


def luminance(colour: Any) -> float:
    """Relative luminance, from 0 for black to 1 for white: what a print without colour keeps."""
    return float(linear(colour) @ (0.2126, 0.7152, 0.0722))


def lightness(colour: Any) -> float:
    """CIE lightness L*, in which equal steps look equal; `colour` on white where it is transparent."""
    *rgb, alpha = to_rgba(colour)
    light = luminance([alpha * part + 1 - alpha for part in rgb])
    return 116 * light ** (1 / 3) - 16 if light > 216 / 24389 else light * 24389 / 27


def _drawn(artist: Any) -> tuple[Any, float]:
    """What tells an entry of a legend apart beside its colour, and its lightness."""
    if isinstance(artist, Line2D):
        solid = artist.get_linestyle() != "None"
        dash = str(artist._unscaled_dash_pattern) if solid else ""  # get_linestyle() calls every own pattern "--"
        cue: tuple[Any, ...] = ("line", dash, str(artist.get_marker()), artist.get_fillstyle())
        return cue, lightness(to_rgba(artist.get_color(), artist.get_alpha()))
    if isinstance(artist, PathCollection):
        faces = artist.get_facecolor()
        outline = artist.get_paths()[0].vertices.round(3).tobytes()
        return ("marks", outline, len(faces)), lightness(faces[0] if len(faces) else artist.get_edgecolor()[0])
    filled = artist.get_fill()
    return ("patch", artist.get_hatch(), filled), lightness(
        artist.get_facecolor() if filled else artist.get_edgecolor()
    )


def groups(figure: Figure) -> Iterator[dict[str, Any]]:
    """What a reader has to tell apart: the entries of a legend, and the named lines of each pair of axes."""
    for legend in figure.findobj(Legend):
        yield dict(zip([text.get_text() for text in legend.get_texts()], legend.legend_handles, strict=True))
    for ax in figure.axes:
        yield {str(line.get_label()): line for line in ax.get_lines() if not str(line.get_label()).startswith("_")}


def alike(figure: Figure) -> list[tuple[str, str]]:
    """Names of entries that nobody can tell apart where the picture is printed grey."""
    found = []
    for group in groups(figure):
        for one, other in combinations(group, 2):
            (cue, light), (other_cue, other_light) = _drawn(group[one]), _drawn(group[other])
            if cue == other_cue and abs(light - other_light) < APART:
                found.append((one, other))
    return found


def small(figure: Figure) -> list[str]:
    """Words that are too small."""
    texts = [text for text in figure.findobj(Text) if text.get_visible() and text.get_text().strip()]
    return [text.get_text() for text in texts if text.get_fontsize() < SMALLEST]
