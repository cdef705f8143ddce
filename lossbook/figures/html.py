"""Pictures that say in words what they show: PNG inside `<figure>`, with alt text and a caption.

Jupyter drops the alt text of a plain image output, so every picture of the book goes through here.
"""

import base64
import html
import io
import math

from IPython.display import HTML
from matplotlib.figure import Figure
from PIL import Image

from lossbook.checks import bad_type

DOTS_PER_INCH = 110  # of a shown figure at 100 %; the picture holds more, for dense screens


def png(figure: Figure, dots_per_inch: float = DOTS_PER_INCH) -> bytes:
    """The figure as PNG, small."""
    out = io.BytesIO()
    figure.savefig(out, format="png", dpi=dots_per_inch, pil_kwargs={"compress_level": 1})
    return smaller(out.getvalue())


def smaller(picture: bytes) -> bytes:
    """The same PNG in 256 colours, a third of the bytes: for pictures that are kept; live ones have no time for it."""
    out = io.BytesIO()
    colours = Image.open(io.BytesIO(picture)).convert("RGB")
    few = colours.quantize(256, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)  # no colour far from its own
    few.save(out, format="png", optimize=True)
    return out.getvalue()


def caption_html(caption: str) -> str:
    """A caption as HTML: what would be markup is shown as it is, and each line stays a line."""
    return html.escape(caption, quote=False).replace("\n", "<br>")


def figure_html(picture: bytes, alt: str, caption: str = "", width: int | None = None, *, live: bool = False) -> str:
    """`<figure>` with the picture inline, its alt text and its caption.

    Args:
        picture: PNG.
        alt: what the picture shows, in words.
        caption: how to read it; plain text in one or more lines, or TeX between dollar signs.
        width: in CSS pixels; None leaves the picture's own.
        live: the caption will change, and a screen reader should say so.
    """
    if not isinstance(alt, str) or not alt.strip():
        raise bad_type("alt", alt, "words that say what the picture shows")
    size = f' width="{width}"' if width else ""
    source = base64.b64encode(picture).decode("ascii")
    polite = ' aria-live="polite"' if live else ""
    text = (
        f'<figcaption style="line-height: 1.5"{polite}>{caption_html(caption)}</figcaption>' if caption or live else ""
    )
    fit = "max-width: 100%; height: auto"
    image = f'<img src="data:image/png;base64,{source}" alt="{html.escape(alt)}"{size} style="{fit}">'
    return f'<figure style="margin: 0.5em 0">{image}{text}</figure>'


def in_words(value: float) -> str:
    """A number as text, three digits of it, with a minus sign that is one.

    Example:
        >>> [in_words(value) for value in (-0.12345, 250.0, math.inf, math.nan)]
        ['−0.123', '250', 'infinite', 'undefined']
    """
    if math.isnan(value):
        return "undefined"
    if math.isinf(value):
        return "infinite" if value > 0 else "minus infinite"
    return f"{value + 0.0:.3g}".replace("-", "−")  # + 0.0: no negative zero


def show(figure: Figure, *, alt: str, caption: str = "") -> HTML:
    """A figure as a cell's output, with the words that stand for it.

    Args:
        figure: a matplotlib figure.
        alt: what the picture shows, for a reader who does not see it.
        caption: how to read it.

    Returns:
        An object that Jupyter displays; put it last in the cell.

    Raises:
        TypeError: no alt text.
    """
    width = round(figure.get_size_inches()[0] * DOTS_PER_INCH * 0.9)
    return HTML(figure_html(png(figure, 1.6 * DOTS_PER_INCH), alt, caption, width))
