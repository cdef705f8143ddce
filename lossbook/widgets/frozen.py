"""An explorer without a kernel: pictures made beforehand, sliders, and a small script that puts the two together."""

import base64
import html
import json
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from lossbook.figures.html import caption_html, figure_html, smaller


class Frame(NamedTuple):
    """One picture (PNG) and the words that go with it."""

    picture: bytes
    alt: str
    caption: str


SCRIPT = """
(function () {
  const root = document.currentScript.parentElement;
  const data = JSON.parse(root.querySelector("script[type='application/json']").textContent);
  const inputs = Array.from(root.querySelectorAll("input[type=range]"));
  const image = root.querySelector("img");
  const caption = root.querySelector("figcaption");
  function show() {
    let index = 0;
    inputs.forEach(function (input, i) {
      const values = data.values[i];
      const at = Number(input.value);
      index = index * values.length + at;
      input.setAttribute("aria-valuetext", values[at]);
      input.nextElementSibling.textContent = values[at];
    });
    const frame = data.frames[index];
    image.src = "data:image/png;base64," + frame.picture;
    image.alt = frame.alt;
    caption.innerHTML = frame.caption;
  }
  inputs.forEach(function (input) { input.addEventListener("input", show); });
})();
"""


def frozen_html(frames: Sequence[Frame], values: Mapping[str, Sequence[str]], start: Sequence[int], width: int) -> str:
    """A `<div>` of one slider a control and one picture, which follows them.

    Args:
        frames: one for every combination of the values, the last control's value changing fastest.
        values: the label of each control -> the words for its values.
        start: where each slider stands at first.
        width: of the picture, in CSS pixels.
    """
    first = 0
    for words, at in zip(values.values(), start, strict=True):
        first = first * len(words) + at
    sliders = "".join(_slider(label, words, at) for (label, words), at in zip(values.items(), start, strict=True))
    frames = [frame._replace(picture=smaller(frame.picture)) for frame in frames]
    data = {
        "values": list(values.values()),
        "frames": [
            {
                "picture": base64.b64encode(frame.picture).decode("ascii"),
                "alt": frame.alt,
                "caption": caption_html(frame.caption),
            }
            for frame in frames
        ],
    }
    as_json = json.dumps(data).replace("<", "\\u003c")  # nothing in it can end the script element
    here = frames[first]
    shown = figure_html(here.picture, here.alt, here.caption, width, live=True)
    markup = (
        f'<div class="lossbook-frozen" style="color-scheme: light dark">{sliders}{shown}'
        f'<script type="application/json">{as_json}</script><script>{SCRIPT}</script></div>'
    )
    return markup.encode("ascii", "xmlcharrefreplace").decode("ascii")  # reads the same under any encoding of the page


def _slider(label: str, words: Sequence[str], at: int) -> str:
    """A labelled slider over the values' numbers, with the value's words beside it."""
    name, value = html.escape(label), html.escape(words[at])
    return (
        f'<label style="display: flex; gap: 0.8em; align-items: center; margin: 0.3em 0">'
        f'<span style="min-width: 9em">{name}</span>'
        f'<input type="range" min="0" max="{len(words) - 1}" step="1" value="{at}" aria-label="{name}" '
        f'aria-valuetext="{value}" style="flex: 1; max-width: 24em">'
        f'<span aria-hidden="true">{value}</span></label>'
    )


def page_html(title: str, body: str) -> str:
    """A whole page around a frozen explorer."""
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><meta name="color-scheme" content="light dark">'
        f'<meta name="viewport" content="width=device-width"><title>{html.escape(title)}</title>'
        f"<style>body {{ font: 16px/1.5 sans-serif; max-width: 64em; margin: 1em auto; padding: 0 1em }}</style></head>"
        f"<body>\n{body}\n</body></html>\n"
    )
