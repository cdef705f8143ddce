"""The boundary between two moons: how training and its radius move it, and where an attack on one point ends."""

import math
from typing import Any

import numpy as np
from contourpy import contour_generator
from matplotlib.collections import LineCollection
from matplotlib.patches import Rectangle

from lossbook.checks import bad_type, bad_value
from lossbook.experiments.run import Run, Snapshot
from lossbook.figures.style import BLUE, INK, ORANGE, SIGNED, new_figure, styled
from lossbook.widgets.controls import choice, stops
from lossbook.widgets.explorer import Explorer, Preset

SHOWN = 6.5  # the difference of logits at which the colours end
BANDS = 13  # of colour: steps of one in the difference of logits, and small pictures
CHOICES = 5  # points to choose from


class BoundaryExplorer(Explorer):
    """Left: the plane as the network judges it, the box in which one point may be moved, and where an attack takes it.
    Right: how many points are judged right before and after the attack, at every radius.

    How to read it: blue is for class 0 (discs), ochre for class 1 (triangles); the dark line is the boundary. Points
    whose label the training was given are filled. The square is the l∞ ball of the radius round the point chosen, the
    cross where the attack on it ends. A boundary that runs through the square has lost the point.

    Args:
        run: of `lossbook.experiments.boundary`.

    Raises:
        TypeError: no Run.
        ValueError: a run of another experiment.

    Example:
        >>> from lossbook.experiments import boundary
        >>> explorer = BoundaryExplorer(boundary.run(boundary.SCALES["tiny"], progress=False))
        >>> explorer.set(radius=0.2, step=20)
        >>> "radius 0.2, step 20" in explorer.alt
        True
    """

    most_pictures = 84
    together = (("radius", "step"), ("method", "radius"), ("method", "step"), ("method", "point"))
    at_presets = ("radius", "step")

    def __init__(self, run: Run):
        if not isinstance(run, Run):
            raise bad_type("run", run, "a Run of lossbook.experiments.boundary")
        if run.experiment != "boundary":
            raise bad_value("run", run.experiment, "a run of boundary")
        config = run.config
        self._kept = {(shot.setting, shot.step): shot for shot in run.snapshots}
        rows = run.history[run.history["seed"] == config.first_seed]
        self._rows = {key: part.sort_values("radius") for key, part in rows.groupby(["method", "step"])}
        self._radii, steps, methods = list(config.radii), sorted(config.kept), list(config.methods)
        self._points = _worth_choosing(self._kept[f"{methods[0]}, {self._radii[-1]:g}", steps[-1]])
        self._build()
        middle = self._radii[len(self._radii) // 2]
        controls = {
            "method": choice("trained by", methods, methods[0]),
            "radius": stops("radius", self._radii, middle),
            "step": stops("training step", steps, steps[-1]),
            "point": stops("point", list(range(1, len(self._points) + 1)), 1),
        }
        looks = {
            "cross-entropy": "Every point is on its side, and many stand next to the boundary: look at the square.",
            "adversarial training": "The boundary keeps away from the points, as far as the other class lets it.",
            "smooth comp-sum": "The price is on how far an attack moves the margins: compare the colours, not only "
            "the line.",
            "VAT, 8 labels": "Eight labels, the filled points. The boundary runs through the gap all the same. Now go "
            "to radius 0: the labels alone.",
        }
        presets = {
            name: Preset(look, {"method": name, "radius": middle}, {"radius": [self._radii[0], self._radii[-1]]})
            for name, look in looks.items()
            if name in methods
        }
        presets["too wide a radius"] = Preset(
            "The balls of the two classes meet: no boundary can keep out of all of them.",
            {"method": methods[min(1, len(methods) - 1)], "radius": self._radii[-1]},
        )
        super().__init__(self._figure, controls, presets)

    @styled
    def _build(self) -> None:
        self._figure, (self._plane, self._right) = new_figure(2, width=10.0, height=4.2, width_ratios=(3, 2))
        arrays = next(iter(self._kept.values())).arrays
        horizontal, vertical = arrays["horizontal"], arrays["vertical"]
        extent = (horizontal[0], horizontal[-1], vertical[0], vertical[-1])
        self._image = self._plane.imshow(
            0 * arrays["margin"], origin="lower", extent=extent, aspect="equal", interpolation="bilinear",
            cmap=SIGNED.resampled(BANDS), vmin=-SHOWN, vmax=SHOWN, animated=True,
        )  # fmt: skip
        self._line = LineCollection([], colors=INK, linewidths=2, zorder=3, animated=True)
        self._plane.add_collection(self._line)
        moving: dict[str, Any] = {"animated": True, "linestyle": "none"}
        self._dots = {}
        for k, (color, marker) in enumerate(((BLUE, "o"), (ORANGE, "^"))):
            for known in (True, False):
                look: dict[str, Any] = {"color": color, "marker": marker, "markersize": 5}
                look |= {"markeredgecolor": INK} if known else {"markerfacecolor": "white"}
                (self._dots[k, known],) = self._plane.plot([], [], markeredgewidth=0.8, zorder=5, **look, **moving)
        self._square = Rectangle((0, 0), 0, 0, fill=False, edgecolor=INK, linewidth=1.6, zorder=6, animated=True)
        self._plane.add_patch(self._square)
        self._path = LineCollection([], colors=INK, linewidths=1.6, zorder=6, animated=True)
        self._plane.add_collection(self._path)
        (self._end,) = self._plane.plot([], [], "X", color=INK, markersize=9, zorder=7, animated=True)
        self._plane.set(xlabel="$x_1$", ylabel="$x_2$", xlim=extent[:2], ylim=extent[2:], title="What is judged")
        self._plane.grid(False)
        (self._clean,) = self._right.plot([], [], "o--", color=BLUE, label="as they are", **{"animated": True})
        (self._robust,) = self._right.plot([], [], "s-", color=ORANGE, label="attacked", **{"animated": True})
        (self._here,) = self._right.plot([], [], "o", color=INK, markersize=11, fillstyle="none", animated=True)
        span = max(self._radii) or 1.0
        self._right.set(xlim=(-0.05 * span, 1.05 * span), ylim=(0.38, 1.03), title="Points judged right")
        self._right.set(xlabel="radius, of training and of attack", ylabel="share of the points")
        self._right.legend(loc="lower left")

    def _show(self, values: dict[str, Any]) -> tuple[str, str]:
        method, radius, step = values["method"], values["radius"], values["step"]
        arrays = self._kept[f"{method}, {radius:g}", step].arrays
        features, labels, known = arrays["features"], arrays["labels"], arrays["known"]
        margin = arrays["margin"]
        self._image.set_data(margin)
        lines: Any = contour_generator(arrays["horizontal"], arrays["vertical"], margin).lines(0.0)
        self._line.set_segments(lines)
        for (k, filled), dots in self._dots.items():
            dots.set_data(*features[(labels == k) & (known == filled)].T)
            dots.set_markersize(9 if filled and not known.all() else 5)  # a few among many should be seen
        chosen = self._points[values["point"] - 1]
        at, end = features[chosen], arrays["attacked"][chosen]
        self._square.set_bounds(at[0] - radius, at[1] - radius, 2 * radius, 2 * radius)
        self._path.set_segments([np.stack([at, end])])
        self._end.set_data(*end[:, None])
        rows = self._rows[method, step]
        self._clean.set_data(rows["radius"], rows["clean_accuracy"])
        self._robust.set_data(rows["radius"], rows["robust_accuracy"])
        here = rows[np.isclose(rows["radius"], radius)].iloc[0]
        self._here.set_data([radius], [here["robust_accuracy"]])
        lost = _judged(arrays, end) != labels[chosen]
        verdict = "misjudged" if lost else "still judged right"
        said = (
            f"{method}, radius {radius:g}, step {step}: {here['clean_accuracy']:.1%} of the {len(labels)} points "
            f"are judged right, {here['robust_accuracy']:.1%} after an attack of that radius. Point {values['point']}, "
            f"of class {labels[chosen]}, goes from {_place(at)} to {_place(end)} and is {verdict} there."
        )
        alt = (
            f"Left, the plane with two moons, coloured by the class that is predicted, with the boundary, a square of "
            f"half-width {radius:g} round one point and the end of the attack on it. Right, the share of points judged "
            f"right against the radius, as they are and attacked. {said}"
        )
        return alt, said


def _worth_choosing(shot: Snapshot) -> list[int]:
    """Points that lie nearest to the other class, of both classes in turn and not side by side."""
    features, labels = shot.arrays["features"], shot.arrays["labels"]
    apart = np.linalg.norm(features[:, None] - features[None], axis=-1)
    to_other = np.where(labels[:, None] != labels[None], apart, np.inf).min(1)
    chosen: list[int] = []
    for i in np.argsort(to_other):
        if all(apart[i, j] > 0.3 for j in chosen) and (not chosen or labels[i] != labels[chosen[-1]]):
            chosen.append(int(i))
        if len(chosen) == CHOICES:
            break
    return chosen


def _judged(arrays: Any, point: np.ndarray) -> int:
    """The class at a point, between the points of the grid."""
    horizontal, vertical, margin = arrays["horizontal"], arrays["vertical"], arrays["margin"]
    x = (point[0] - horizontal[0]) / (horizontal[1] - horizontal[0])
    y = (point[1] - vertical[0]) / (vertical[1] - vertical[0])
    i, j = (min(max(math.floor(c), 0), n - 2) for c, n in ((y, len(vertical)), (x, len(horizontal))))
    a, b = y - i, x - j
    low = (1 - b) * margin[i, j] + b * margin[i, j + 1]
    high = (1 - b) * margin[i + 1, j] + b * margin[i + 1, j + 1]
    return int((1 - a) * low + a * high > 0)


def _place(point: np.ndarray) -> str:
    return "(" + ", ".join(f"{c:.2f}".replace("-", "−") for c in point) + ")"
