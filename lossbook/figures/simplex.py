"""A loss of three class scores as a map: over the probability simplex, and over the plane of logits with z₂ = 0."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from matplotlib import colormaps
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.image import AxesImage
from matplotlib.patches import Polygon
from matplotlib.transforms import IdentityTransform
from torch import Tensor

from lossbook.catalog import Record, find
from lossbook.checks import bad_value
from lossbook.figures.style import INK, axes_of, styled

CORNERS = np.array([[0.0, 0.0], [1.0, 0.0], [0.5, np.sqrt(3) / 2]])  # of classes 0, 1 and 2
REACH = 5.0  # of the logits drawn, on either side of 0
COLOURS = colormaps["viridis"].resampled(24)  # in bands, whose edges are level lines
CLASSES = 3


@dataclass(frozen=True)
class Plane:
    """A plane of three scores: the logits of its pixels and arrows, and how logits and their steps come to paper."""

    pixels: Tensor  # (height, width, 3), z_2 = 0, bottom row first
    extent: tuple[float, float, float, float]
    arrows: Tensor  # (count, 3)
    spacing: float  # between neighbouring arrows, on paper
    place: Callable[[Tensor], np.ndarray]  # (..., 3) logits -> (..., 2)
    move: Callable[[Tensor, Tensor], np.ndarray]  # logits, step of the logits -> step on paper


def three_class_record(loss: str | Record) -> Record:
    """The record of a loss that can be drawn from three scores alone.

    Raises:
        ValueError: no such loss, or not a loss of logits, or one that needs further tensors.
    """
    record = find(loss)
    if record.inputs != "logits" or record.companions:
        takes = ", ".join([record.inputs, *record.companions])
        raise bad_value("loss", record.key, f"a loss of logits and a target class alone; this one takes {takes}")
    return record


def simplex_plane(pixels: int = 200, arrows: int = 10) -> Plane:
    """The probability simplex: an equilateral triangle, class 0 at the left, class 1 at the right, class 2 on top."""
    from_paper = torch.linalg.inv(torch.tensor(np.c_[CORNERS, np.ones(CLASSES)]))  # (x, y, 1) -> p
    across = torch.linspace(0, 1, pixels, dtype=torch.float64)
    up = torch.linspace(0, CORNERS[2, 1], round(pixels * CORNERS[2, 1]), dtype=torch.float64)
    y, x = torch.meshgrid(up, across, indexing="ij")
    p = torch.stack((x, y, torch.ones_like(x)), -1) @ from_paper

    def move(logits: Tensor, step: Tensor) -> np.ndarray:
        q = torch.softmax(logits, -1)
        return (
            q * (step - (q * step).sum(-1, keepdim=True))
        ).numpy() @ CORNERS  # the Jacobian of softmax, diag(q) − q qᵀ

    return Plane(
        pixels=_logits(p),
        extent=(0.0, 1.0, 0.0, float(CORNERS[2, 1])),
        arrows=_logits(_lattice(arrows)),
        spacing=1 / (arrows + 1.2),
        place=lambda logits: torch.softmax(logits, -1).numpy() @ CORNERS,
        move=move,
    )


def logit_plane(pixels: int = 180, arrows: int = 10) -> Plane:
    """The plane of logits z₀ (across) and z₁ (up), with z₂ held at 0."""

    def grid(count: int, reach: float) -> Tensor:
        line = torch.linspace(-reach, reach, count, dtype=torch.float64)
        up, across = torch.meshgrid(line, line, indexing="ij")
        return torch.stack((across, up, torch.zeros_like(up)), -1)

    return Plane(
        pixels=grid(pixels, REACH),
        extent=(-REACH, REACH, -REACH, REACH),
        arrows=grid(arrows, REACH * (1 - 1 / arrows)).reshape(-1, CLASSES),
        spacing=2 * REACH / arrows,
        place=lambda logits: logits[..., :2].numpy(),
        move=lambda logits, step: step[..., :2].numpy(),
    )


def _lattice(count: int) -> Tensor:
    """Probabilities evenly over the simplex, a little inside of its edges: `count` steps along each."""
    shares = [(i, j, count - i - j) for i in range(count + 1) for j in range(count + 1 - i)]
    return (torch.tensor(shares).double() + 0.4) / (count + 1.2)


def _logits(p: Tensor) -> Tensor:
    """Logits with z_2 = 0 of probabilities; what lies outside of the simplex is drawn in."""
    log_p = p.clamp(min=1e-4).log()
    return log_p - log_p[..., 2:]


def loss_of(record: Record, logits: Tensor, target: int, parameters: Mapping[str, float]) -> np.ndarray:
    """The loss at every logit vector of (..., 3)."""
    rows = logits.reshape(-1, CLASSES)
    return record.value(rows, torch.full((len(rows),), target), **parameters).reshape(logits.shape[:-1]).numpy()


def descent_of(record: Record, logits: Tensor, target: int, parameters: Mapping[str, float]) -> Tensor:
    """Minus the gradient at every logit vector of (count, 3)."""
    return -record.slope(logits, torch.full((len(logits),), target), **parameters)


def colour_limits(record: Record, target: int, parameters: Mapping[str, float]) -> tuple[float, float]:
    """The loss over the simplex, without the highest fiftieth, which would leave one colour for all the rest."""
    values = loss_of(record, _logits(_lattice(60)), target, parameters)
    low, high = float(values.min()), float(np.quantile(values, 0.98))
    return low, max(high, low + 1e-6)


def longest(record: Record, plane: Plane, target: int, parameters: Mapping[str, float]) -> float:
    """The length on paper of the longest arrow of the descent field."""
    steps = plane.move(plane.arrows, descent_of(record, plane.arrows, target, parameters))
    return max(float(np.linalg.norm(steps, axis=-1).max()), 1e-12)


def shortened(steps: np.ndarray, plane: Plane, unit: float) -> np.ndarray:
    """Steps as arrows: one of length `unit` reaches almost to its neighbour, and none is drawn longer."""
    length = np.linalg.norm(steps, axis=-1, keepdims=True)
    return steps * (0.9 * plane.spacing / np.maximum(length, unit))


def unit_of(record: Record, values: np.ndarray, logits: Tensor, target: int) -> str:
    """The unit of the loss: nats where it is a log-likelihood or equal to one, else nothing."""
    surprise = -torch.log_softmax(logits, -1)[..., target].numpy()
    return "nats" if record.origin == "likelihood" or np.allclose(values, surprise, atol=1e-9) else ""


def colours_of(values: np.ndarray, limits: tuple[float, float]) -> np.ndarray:
    """The loss as colour, (height, width, 4) bytes: matplotlib scales these up three times faster than numbers."""
    return COLOURS((np.clip(values, *limits) - limits[0]) / (limits[1] - limits[0]), bytes=True)


class Raster(AxesImage):
    """A picture of RGBA bytes, scaled by picking the nearest pixel: matplotlib's own scaling takes far longer."""

    def make_image(
        self, renderer: Any, magnification: float = 1.0, unsampled: bool = False
    ) -> tuple[Any, float, float, Any]:
        """The picture at the size of its place on the canvas, top row first, and where its lower left corner lies."""
        left, right, bottom, top = self.get_extent()
        corners = self.axes.transData.transform([(left, bottom), (right, top)])
        (x0, y0), (x1, y1) = np.round(corners * magnification).astype(int)
        pixels = np.asarray(self.get_array()).view(np.uint32)[..., 0]  # four bytes at a time
        up, across = (
            np.linspace(0, count, length, endpoint=False).astype(int)
            for count, length in zip(pixels.shape, (y1 - y0, x1 - x0), strict=True)
        )
        scaled = pixels[up[:, None], across]
        return scaled.view(np.uint8).reshape(*scaled.shape, 4), x0, y0, IdentityTransform()


def draw_plane(ax: Any, plane: Plane, **options: Any) -> tuple[Any, Any]:
    """An image and a field of arrows for a plane, both still empty."""
    blank = np.full((*plane.pixels.shape[:2], 4), 255, np.uint8)
    image = Raster(ax, origin="lower", extent=plane.extent, **options)
    image.set_data(blank)
    ax.add_image(image)
    ax.set(aspect="equal", xlim=plane.extent[:2], ylim=plane.extent[2:])
    at = plane.place(plane.arrows)
    field = ax.quiver(
        *at.T, *np.zeros_like(at.T), angles="xy", scale_units="xy", scale=1, pivot="mid", width=0.009, color="white",
        edgecolor=INK, linewidth=0.6, zorder=3, **options,
    )  # fmt: skip
    ax.grid(visible=False)
    return image, field


def colour_bar(axes: Any, limits: tuple[float, float], **options: Any) -> Any:
    """The colour bar of the loss, beside these axes."""
    figure = np.ravel(axes)[0].figure
    return figure.colorbar(ScalarMappable(Normalize(*limits), COLOURS), ax=axes, extend="max", **options)


def draw_triangle(ax: Any, image: Any) -> None:
    """The outline of the simplex, with its corners named; the image is cut along it."""
    triangle = Polygon(CORNERS.tolist(), fill=False, edgecolor=INK, linewidth=1.2, zorder=2)
    ax.add_patch(triangle)
    image.set_clip_path(triangle)
    for k, (x, y) in enumerate(CORNERS):
        ax.annotate(
            f"class {k}",
            (x, y),
            (0, 6 if k == 2 else -6),
            textcoords="offset points",
            ha="center",
            va="bottom" if k == 2 else "top",
        )
    ax.set(xlim=(-0.06, 1.06), ylim=(-0.09, CORNERS[2, 1] + 0.08), aspect="equal")
    ax.set_axis_off()


@styled
def plot_simplex(loss: str | Record, target: int = 0, ax: Any = None, **parameters: float) -> Any:
    """A loss of three class scores over the probability simplex, with the way in which descent moves the probabilities.

    How to read it: each point is a prediction, each corner one that is sure of its class; dark costs little. Arrows
    show where a small step down the gradient of the logits takes the prediction, long where it takes it far: minus the
    gradient, through the Jacobian of softmax. Losses that see a common shift of the logits are drawn with z₂ = 0.

    Args:
        loss: a loss of logits that needs no further tensor.
        target: the right class.
        ax: matplotlib axes; None makes new ones.
        parameters: of the loss.

    Returns:
        The axes.

    Raises:
        ValueError: naming the argument, what it got and what was expected.
    """
    record = three_class_record(loss)
    if isinstance(target, bool) or target not in range(CLASSES):
        raise bad_value("target", target, "one of 0, 1, 2")
    ax, plane = axes_of(ax), simplex_plane()
    limits = colour_limits(record, target, parameters)
    image, field = draw_plane(ax, plane)
    draw_triangle(ax, image)
    values = loss_of(record, plane.pixels, target, parameters)
    image.set_data(colours_of(values, limits))
    steps = plane.move(plane.arrows, descent_of(record, plane.arrows, target, parameters))
    field.set_UVC(*shortened(steps, plane, longest(record, plane, target, parameters)).T)
    unit = unit_of(record, values, plane.pixels, target)
    ax.set_title(f"{record.title}, right class {target}")
    colour_bar(ax, limits, label=f"loss ({unit})" if unit else "loss")
    return ax
