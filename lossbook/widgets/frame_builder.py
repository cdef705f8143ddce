"""A frame that builds itself: class weights and class means push each other into place, step by step."""

import math
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from lossbook.experiments.run import stream
from lossbook.figures.html import in_words
from lossbook.figures.style import INK, MARKERS, PALETTE, SIGNED, new_figure, styled
from lossbook.losses import cross_entropy, one_hot_squared_error_loss
from lossbook.metrics import coherence, cosines, gram
from lossbook.models import linear
from lossbook.training import train
from lossbook.widgets.controls import Control, choice, slider, stops
from lossbook.widgets.explorer import Explorer, Preset

LARGE = 20  # examples of a large class
FEATURE_DECAY = 0.005
STEPS, EVERY = 180, 4
MOST_CLASSES = 6
NEAR = 0.08  # of the circle's radius
GONE = 0.02  # what is shorter has no direction to speak of
ELEVATION = math.radians(20)
ANGLES = np.linspace(0, 2 * math.pi, 121)
LOSSES = ("cross-entropy", "squared error", "squared error, with a bias")
SPACES = (("a plane", 2), ("three dimensions", 3))

END = {"step": STEPS}
PRESETS = {
    "three classes in a plane": Preset(
        "120 degrees between every two: the simplex of three classes. Walk the step back and watch them part.",
        {"classes": 3.0, "units": 2} | END,
    ),
    "four classes in a plane": Preset(
        "A plane has no room for a simplex of four. Give them three dimensions.", {"classes": 4.0, "units": 2} | END
    ),
    "four classes in space": Preset(
        "The tetrahedron: every cosine is −1/3, and the means stand where the weights do.", {"classes": 4.0} | END
    ),
    "squared error: right angles": Preset(
        "Without a bias the target is a row of the identity, and the frame is orthogonal. Now add the bias.",
        {"loss": "squared error", "classes": 3.0} | END,
    ),
    "two small classes": Preset(
        "Right angles still; the length of a weight tells how large its class is.",
        {"loss": "squared error", "classes": 3.0, "small": 6.0, "decay": 0.05} | END,
    ),
    "two small classes, gone": Preset(
        "A class vanishes where n ≤ N² λ_W λ_H. Raise their size to 4.",
        {"loss": "squared error", "classes": 3.0, "small": 2.0, "decay": 0.9} | END,
        then={"small": (3.0, 4.0)},
    ),
    "two small classes, merged": Preset(
        "The same limit under cross-entropy: the two weights are one. It knows a small class from a large one, and not "
        "the small ones from each other.",
        {"small": 3.0, "decay": 0.4} | END,
    ),
}


class Descent(NamedTuple):
    """Weights and class means at each step kept, (kept, classes, units), and the steps."""

    weights: Tensor
    means: Tensor
    steps: tuple[int, ...]


@lru_cache(maxsize=64)
def descent(loss: str, sizes: tuple[int, ...], units: int, weight_decay: float, seed: int) -> Descent:
    """Train free class means and a linear layer on them from a random start, by Adam in full batches.

    Args:
        loss: one of `LOSSES`.
        sizes: examples of each class, which share one feature: within a class nothing keeps them apart.
        units: of the features.
        weight_decay: λ_W; λ_H is `FEATURE_DECAY`.
        seed: of the start.

    Example:
        >>> found = descent("squared error", (20, 20), 2, 0.02, 0)
        >>> abs(float(gram(found.weights[-1])[0, 1])) < 0.01            # a right angle
        True
    """
    generator = stream(seed, 0)
    table = linear(len(sizes), units, bias=False, generator=generator).double()
    weights = linear(units, len(sizes), generator=generator).double()
    with torch.no_grad():
        for layer in (table, weights):
            layer.weight.normal_(0, 0.3, generator=generator)
        weights.bias.zero_().requires_grad_("bias" in loss)
    model = nn.Sequential(table, weights)
    counts = torch.tensor(sizes, dtype=torch.float64)
    rows, labels = torch.eye(len(sizes), dtype=torch.float64), torch.arange(len(sizes))

    def objective(model: nn.Sequential, rows: Tensor) -> Tensor:
        logits = model(rows)
        error = (
            cross_entropy(logits, labels, reduction="none")
            if loss == "cross-entropy"
            else one_hot_squared_error_loss(logits, labels, reduction="none") / 2
        )
        lengths = table.weight.square().sum(0)
        decay = weight_decay * weights.weight.square().sum() + FEATURE_DECAY * (counts * lengths).sum()
        return (counts * error).sum() / counts.sum() + decay / 2

    optimizer = torch.optim.Adam([p for p in model.parameters() if p.requires_grad], lr=0.1)
    trained = train(
        model,
        objective,
        lambda: rows,
        optimizer,
        steps=STEPS,
        scheduler=torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, STEPS),
        at=[STEPS],
        snapshot=lambda model: {"weights": weights.weight, "means": table.weight.T},
        snapshot_at=EVERY,
    )

    def kept(name: str) -> Tensor:
        return torch.stack([torch.as_tensor(arrays[name]) for _, arrays in trained.snapshots])

    return Descent(kept("weights"), kept("means"), tuple(step for step, _ in trained.snapshots))


class FrameBuilderExplorer(Explorer):
    """Left: class weights, and the class means under them, after so many steps. Right: the cosines of the weights.

    How to read it: a line from the middle is a class weight, a hollow mark the mean feature of its class; each kind is
    drawn to its own scale, so that the longest at the last step reaches the circle. In three dimensions the circle is a
    sphere and the ellipse its equator. Right, below 0 (blue) is more than a right angle apart, above (orange)
    less; a class whose weight has vanished has no angles.

    Args:
        presets: name -> `Preset`; None takes the built-in ones.

    Example:
        >>> explorer = FrameBuilderExplorer()
        >>> explorer.choose("two small classes, gone")
        >>> "vanished: 2 and 3" in explorer.alt
        True
    """

    together = (("loss", "step"),)
    at_presets = ("loss", "step", "units", "turn")  # the others train anew

    def __init__(self, *, presets: Mapping[str, Preset] | None = None):
        self._build()
        kept = [step for step in range(STEPS + 1) if step % EVERY == 0]
        controls: dict[str, Control] = {
            "loss": choice("loss", list(LOSSES), LOSSES[0]),
            "step": stops("step", kept, 20),
            "classes": slider("classes K", 4.0, 2.0, MOST_CLASSES, 1.0, "each has a weight and a mean feature"),
            "units": choice("features in", list(SPACES), 3),
            "small": slider("last two classes", 20.0, 1.0, LARGE, 1.0, "their examples; the others have 20 each"),
            "decay": slider("weight decay", 0.02, 0.01, 1.0, 0.01, "λ_W; the features' λ_H is 0.005"),
            "seed": slider("start", 0.0, 0.0, 9.0, 1.0, "another seed: another rotation of the same frame"),
            "turn": slider("turn the view", 30.0, 0.0, 350.0, 10.0, "degrees, in three dimensions"),
        }
        super().__init__(self._figure, controls, PRESETS if presets is None else presets)

    @styled
    def _build(self) -> None:
        self._figure, (self._space, self._table) = new_figure(2, width=10.0, height=4.4)
        ax = self._space
        ax.plot(np.cos(ANGLES), np.sin(ANGLES), color="#bbbbbb", linewidth=1)
        (self._equator,) = ax.plot([], [], color="#bbbbbb", linewidth=1, linestyle="--", animated=True)
        ax.plot([0], [0], ".", color=INK, markersize=5)
        ax.set(xlim=(-1.25, 1.25), ylim=(-1.25, 1.25), xticks=[], yticks=[], aspect="equal")
        ax.set_title("Weights (lines) and means (hollow)")
        ax.grid(False)
        self._lines, self._means, self._names = [], [], []
        for k in range(MOST_CLASSES):
            look: dict[str, Any] = {"color": PALETTE[k], "marker": MARKERS[k], "animated": True}
            self._lines += ax.plot([], [], markevery=[1], markersize=9, linewidth=2.4, **look)
            self._means += ax.plot([], [], linestyle="none", markersize=14, fillstyle="none", **look)
            self._names.append(ax.text(0, 0, "", ha="center", va="center", fontsize=11, animated=True))
        edges = np.arange(MOST_CLASSES + 1) - 0.5
        blank = np.ma.masked_all((MOST_CLASSES, MOST_CLASSES))
        self._cells = self._table.pcolormesh(edges, edges, blank, cmap=SIGNED, vmin=-1, vmax=1, animated=True)
        middle: dict[str, Any] = {"ha": "center", "va": "center", "fontsize": 11, "animated": True, "zorder": 4}
        self._numbers = [
            [self._table.text(j, i, "", **middle) for j in range(MOST_CLASSES)] for i in range(MOST_CLASSES)
        ]
        self._table.set_title("Cosines of the weights")
        self._table.grid(False)
        self._shown = 0

    def _show(self, values: dict[str, Any]) -> tuple[str, str]:
        classes, units = round(values["classes"]), values["units"]
        self._controls_for(classes, units)
        sizes = (LARGE,) * (classes - 2) + (round(values["small"]),) * 2
        found = descent(values["loss"], sizes, units, round(values["decay"], 6), round(values["seed"]))
        at = found.steps.index(values["step"])
        weights, means = found.weights[at], found.means[at]
        longest = [float(each[-1].norm(dim=1).max()) for each in (found.weights, found.means)]
        scale = [1 / length if length > GONE else 1.0 for length in longest]
        self._draw_space(weights * scale[0], means * scale[1], values["turn"])
        there = _there(weights)
        angles = cosines(weights).where(there[:, None] & there, torch.nan)
        self._draw_table(angles)
        reading = self._reading(weights, angles)
        place = {value: words for words, value in SPACES}[units]
        shared = "equal" if len(set(sizes)) == 1 else f"of {', '.join(map(str, sizes))} examples"
        title = f"{values['loss'].capitalize()}, {classes} classes in {place}, {shared}, step {values['step']}"
        simplex = f"A simplex of {classes} has {in_words(-1 / (classes - 1))} everywhere, an orthogonal frame 0."
        side = f" seen from {in_words(values['turn'])} degrees" if units == 3 else ""
        alt = (
            f"{title}, λ_W = {in_words(values['decay'])}. Left{side}, a line for each class weight, a hollow mark for "
            f"each class mean. Right, a table of cosines. {reading} {simplex}"
        )
        return alt, f"{title}. {reading} {simplex}"

    @styled
    def _controls_for(self, classes: int, units: int) -> None:
        """What a number of classes or a space changes beside the picture itself."""
        if hasattr(self, "_controls"):
            self._controls["turn"].box.layout.display = "" if units == 3 else "none"
        height = math.sin(ELEVATION) if units == 3 else math.nan
        self._equator.set_data(np.cos(ANGLES), height * np.sin(ANGLES))
        if classes != self._shown:
            self._shown = classes
            ends = (-0.5, classes - 0.5)
            names = [f"class {k + 1}" for k in range(classes)]
            self._table.set(xlim=ends, ylim=ends[::-1])
            self._table.set_xticks(range(classes), names)
            self._table.set_yticks(range(classes), names)

    def _draw_space(self, weights: Tensor, means: Tensor, turn: float) -> None:
        flat = [_seen(each.numpy(), turn) for each in (weights, means)]
        for k in range(MOST_CLASSES):
            there = k < len(weights)
            tip, mean = (each[k] if there else np.full(2, np.nan) for each in flat)
            self._lines[k].set_data([0, tip[0]], [0, tip[1]])
            self._means[k].set_data([mean[0]], [mean[1]])
            near = [j for j in range(len(weights)) if there and np.linalg.norm(flat[0][j] - tip) < NEAR]
            first = near[:1] == [k]  # of those that stand together one carries the names of all
            self._names[k].set_text(" ".join(str(j + 1) for j in near) if first else "")
            if first:
                away = np.linalg.norm(tip)
                self._names[k].set_position(tip + 0.16 * (tip / away if away > GONE else np.array([0.0, -1.0])))

    def _draw_table(self, angles: Tensor) -> None:
        classes = len(angles)
        shown = np.full((MOST_CLASSES, MOST_CLASSES), np.nan)
        shown[:classes, :classes] = angles.numpy()
        self._cells.set_array(np.ma.masked_invalid(shown))
        for i, row in enumerate(self._numbers):
            for j, text in enumerate(row):
                inside = i < classes and j < classes
                text.set_text("" if not inside else _short(shown[i, j]))

    def _reading(self, weights: Tensor, angles: Tensor) -> str:
        words = []
        others = angles[~torch.eye(len(angles), dtype=torch.bool)]
        others = others[others.isfinite()]
        if len(others):
            words.append(f"cosines of weights from {_short(float(others.min()))} to {_short(float(others.max()))}")
        gone = [str(k + 1) for k, there in enumerate(_there(weights).tolist()) if not there]
        if not gone:
            words.append(f"coherence {in_words(float(coherence(weights)))}")
        words.append("squared lengths " + ", ".join(_short(float(square)) for square in gram(weights).diagonal()))
        if gone:
            words.append(f"vanished: {' and '.join(gone)}")
        return "Read: " + "; ".join(words) + "."


def _there(weights: Tensor) -> Tensor:
    """Which weights are long enough to have a direction."""
    return weights.norm(dim=1) > GONE


def _seen(vectors: np.ndarray, turn: float) -> np.ndarray:
    """Vectors of a plane as they are; those of space turned about the upright axis, seen from 20 degrees above."""
    if vectors.shape[1] == 2:
        return vectors
    angle = math.radians(turn)
    across = vectors[:, 0] * math.cos(angle) - vectors[:, 1] * math.sin(angle)
    inwards = vectors[:, 0] * math.sin(angle) + vectors[:, 1] * math.cos(angle)
    return np.stack([across, math.cos(ELEVATION) * vectors[:, 2] + math.sin(ELEVATION) * inwards], 1)


def _short(number: float) -> str:
    """Three digits: it has to fit into a cell."""
    if math.isnan(number):
        return "–"
    return "0" if abs(number) < 5e-4 else f"{number:.3g}".replace("-", "−")
