"""A batch of images and texts: their similarities, and which pairs a loss pulls together or pushes apart."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from matplotlib.patches import Rectangle
from torch import Tensor

from lossbook.figures.html import in_words
from lossbook.figures.style import INK, SIGNED, new_figure, styled
from lossbook.losses import cross_entropy, decoupled_softmax_loss, info_nce_loss, mann_whitney_loss, siglip_loss
from lossbook.widgets.controls import Control, choice, slider
from lossbook.widgets.explorer import Explorer, Preset

PAIRS = 4
# Similarities of wrong pairs: unequal, so that one can see which push follows them. Images down, texts across.
WRONG = torch.tensor(
    [[0.0, 0.1, -0.1, 0.2], [0.15, 0.0, 0.05, -0.2], [0.1, -0.15, 0.0, 0.3], [-0.05, 0.2, 0.1, 0.0]],
    dtype=torch.float64,
)

PRESETS = {
    "a caption that fits two images": Preset(
        "Text 2 fits image 1 as well as its own. SigLIP pushes that one pair and leaves the rest of the row alone. Now "
        "choose InfoNCE: image 1 cannot win its row.",
        {"twin": 0.8, "own": 0.8, "loss": "SigLIP"},
    ),
    "the same, by InfoNCE": Preset(
        "The right text can have half of the row at most, and is pulled for ever.",
        {"twin": 0.8, "own": 0.8, "loss": "InfoNCE, rows"},
    ),
    "SigLIP without its bias": Preset(
        "At b = 0 every wrong pair is pushed with about half of the full force: twelve pushes against four pulls.",
        {"loss": "SigLIP", "bias": 0.0, "own": 0.0},
    ),
    "an offset of one row": Preset(
        "All of row 1 is raised. InfoNCE by rows does not see it: compare with Mann-Whitney.",
        {"loss": "Mann-Whitney", "offset": 0.5},
    ),
    "the better of two right texts, by softmax": Preset(
        "Text 2 is right for image 1 too, and lies behind. The softmax wants both at one half and pushes text 1 away.",
        {"loss": "softmax, two right texts", "own": 0.8, "twin": 0.5},
    ),
    "the same, decoupled": Preset(
        "Each right text competes with the wrong ones alone: both are pulled.",
        {"loss": "decoupled softmax, two right texts", "own": 0.8, "twin": 0.5},
    ),
}


def _siglip(similarity: Tensor, scale: float, bias: float) -> Tensor:
    return siglip_loss(similarity, _partners(similarity), scale=scale, bias=bias)


def _rows(similarity: Tensor, scale: float, bias: float) -> Tensor:
    return info_nce_loss(similarity, _partners(similarity), temperature=1 / scale)


def _rows_and_columns(similarity: Tensor, scale: float, bias: float) -> Tensor:
    return info_nce_loss(similarity, _partners(similarity), temperature=1 / scale, symmetric=True)


def _mann_whitney(similarity: Tensor, scale: float, bias: float) -> Tensor:
    return mann_whitney_loss(similarity, temperature=1 / scale)


def _softmax(similarity: Tensor, scale: float, bias: float) -> Tensor:
    right = _partners(similarity)
    right[0, 1] = 1
    return cross_entropy(scale * similarity, right / right.sum(1, keepdim=True))


def _decoupled(similarity: Tensor, scale: float, bias: float) -> Tensor:
    target = torch.tensor([[0, 1], *([k, -100] for k in range(1, PAIRS))])
    return decoupled_softmax_loss(scale * similarity, target)


def _partners(similarity: Tensor) -> Tensor:
    """With the unit vectors for texts, the similarities themselves are the images."""
    return torch.eye(len(similarity), dtype=similarity.dtype)


LOSSES: dict[str, Callable[[Tensor, float, float], Tensor]] = {
    "SigLIP": _siglip,
    "InfoNCE, rows": _rows,
    "InfoNCE, rows and columns": _rows_and_columns,
    "Mann-Whitney": _mann_whitney,
    "softmax, two right texts": _softmax,
    "decoupled softmax, two right texts": _decoupled,
}


def similarities(own: float, twin: float, offset: float) -> Tensor:
    """Of four images (rows) with four texts (columns).

    Args:
        own: of each image with its own text.
        twin: of image 1 with text 2.
        offset: added to all of row 1.

    Example:
        >>> similarities(0.5, 0.4, 1.0)[0].tolist()
        [1.5, 1.4, 0.9, 1.2]
    """
    found = WRONG.clone().fill_diagonal_(own)
    found[0, 1] = twin
    found[0] += offset
    return found


def pulls(loss: str, similarity: Tensor, scale: float, bias: float) -> tuple[float, Tensor]:
    """The loss, and minus its gradient by each similarity: above 0 a pair is pulled together."""
    with torch.enable_grad():
        similarity = similarity.detach().requires_grad_()
        value = LOSSES[loss](similarity, scale, bias)
        (slope,) = torch.autograd.grad(value, similarity)
    return float(value.detach()), -slope


class PairsExplorer(Explorer):
    """Four images and four texts: their similarities, and the pull of a loss on each pair.

    How to read it: a row is an image, a column a text, framed where they belong together. Left, how similar they are.
    Right, what a step down the gradient does to the pair: numbers above 0 (orange) draw it together, those below (blue)
    push it apart. Colours are stretched to the strongest pull or push.

    Args:
        presets: name -> `Preset`; None takes the built-in ones.

    Example:
        >>> explorer = PairsExplorer()
        >>> explorer.set(loss="InfoNCE, rows", offset=0.5)
        >>> "which add up to 0." in explorer.alt           # whatever the offset: InfoNCE does not move a row as a whole
        True
    """

    together = (("loss", "offset"), ("loss", "scale"))
    at_presets = ("loss", "twin", "offset")

    def __init__(self, *, presets: Mapping[str, Preset] | None = None):
        self._build()
        controls: dict[str, Control] = {
            "loss": choice("loss", list(LOSSES), "SigLIP"),
            "own": slider("right pairs", 0.4, -1.0, 1.0, 0.05, "similarity of an image with its own text"),
            "twin": slider("image 1, text 2", 0.1, -1.0, 1.0, 0.05, "similarity of a caption that may fit too"),
            "offset": slider("offset of row 1", 0.0, -1.0, 1.0, 0.05, "added to all similarities of image 1"),
            "scale": slider("scale s = 1/τ", 10.0, 1.0, 30.0, 0.5, "what similarities are multiplied by"),
            "bias": slider("bias b", -10.0, -15.0, 5.0, 0.5, "added to every score of SigLIP"),
        }
        super().__init__(self._figure, controls, PRESETS if presets is None else presets)

    @styled
    def _build(self) -> None:
        self._figure, axes = new_figure(2, width=10.0, height=3.9)
        self._images, self._numbers = [], []
        for ax, title in zip(axes, ("Similarity", "Pull (+) and push (−) on each pair"), strict=True):
            look: dict[str, Any] = {"cmap": SIGNED, "vmin": -1, "vmax": 1, "animated": True}
            edges = np.arange(PAIRS + 1) - 0.5
            self._images.append(ax.pcolormesh(edges, edges, np.zeros((PAIRS, PAIRS)), **look))  # imshow takes longer
            ax.invert_yaxis()
            middle: dict[str, Any] = {"ha": "center", "va": "center", "color": INK, "animated": True, "zorder": 4}
            self._numbers.append([[ax.text(j, i, "", **middle) for j in range(PAIRS)] for i in range(PAIRS)])
            for k in range(PAIRS):
                edge: dict[str, Any] = {"fill": False, "edgecolor": INK, "linewidth": 2, "zorder": 5}
                frame = ax.add_patch(Rectangle((k - 0.5, k - 0.5), 1, 1, **edge))
                frame.set_animated(True)
            ax.set_xticks(range(PAIRS), [f"text {k + 1}" for k in range(PAIRS)])
            ax.set_yticks(range(PAIRS), [f"image {k + 1}" for k in range(PAIRS)])
            ax.set_title(title)
            ax.grid(False)

    def _show(self, values: dict[str, Any]) -> tuple[str, str]:
        loss, scale, bias = values["loss"], values["scale"], values["bias"]
        self._controls["bias"].box.layout.display = "" if loss == "SigLIP" else "none"
        similarity = similarities(values["own"], values["twin"], values["offset"])
        value, pull = pulls(loss, similarity, scale, bias)
        strongest = float(pull.abs().max()) or 1.0
        for image, numbers, shown, most in zip(
            self._images, self._numbers, (similarity, pull), (1.0, strongest), strict=True
        ):
            image.set_array((shown / most).numpy())
            for row, line in zip(numbers, shown.tolist(), strict=True):
                for text, number in zip(row, line, strict=True):
                    text.set_text(_short(number))
        setting = f"scale {in_words(scale)}" + (f", bias {in_words(bias)}" if loss == "SigLIP" else "")
        title = f"{loss}, {setting}: loss {in_words(value)}"
        together, apart = int((pull > 0).sum()), int((pull < 0).sum())
        where = divmod(int(pull.abs().argmax()), PAIRS)
        reading = (
            f"Image 1: similarities {_list(similarity[0])}, pulls {_list(pull[0])}, which add up to "
            f"{_short(float(pull[0].sum()))}. Of 16 pairs {together} are pulled together and {apart} pushed apart, "
            f"hardest image {where[0] + 1} with text {where[1] + 1}."
        )
        alt = (
            f"{title}. Two tables of four images by four texts: similarities, and pulls. {reading} "
            f"Pulls on the right pairs: {_list(pull.diagonal())}."
        )
        return alt, f"{title}. {reading}"


def _short(number: float) -> str:
    """Three digits, two where the number is small: it has to fit into a cell."""
    if abs(number) < 1e-12:
        return "0"  # rounding
    return f"{number:.{3 if abs(number) >= 0.1 else 2}g}".replace("-", "−")


def _list(numbers: Tensor) -> str:
    return "(" + ", ".join(map(_short, numbers.tolist())) + ")"
