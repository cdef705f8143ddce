"""Features of the last layer in three dimensions, scrubbed through training."""

import math
from itertools import combinations
from typing import Any

import numpy as np

from lossbook.checks import bad_type, bad_value
from lossbook.experiments.run import Run, Snapshot
from lossbook.figures.html import in_words
from lossbook.figures.neural_collapse import COLOURS
from lossbook.figures.style import DASHES, INK, MARKERS, PALETTE, new_figure, styled
from lossbook.metrics import simplex_corners
from lossbook.widgets.canvas import legend_above
from lossbook.widgets.controls import choice, slider, stops
from lossbook.widgets.explorer import Explorer, Preset

REACH = 1.8  # mean lengths of a class mean that the axes show; what lies beyond is drawn on their edge
HEIGHT, SIDE = 25.0, -60.0  # of the camera, in degrees


class FeaturesExplorer(Explorer):
    """Left: the features of every training image at a step, in three coordinates. Right: NC1 of every loss.

    How to read it: the first two coordinates are the plane of the class means, the third is where features spread most
    beside it; lengths are in units of a class mean's. Large marks are the class means, dashed lines the simplex. A
    collapsed network shows three points at its corners.

    Args:
        run: of `lossbook.experiments.neural_collapse`, best with three classes.
        names: of the classes.

    Raises:
        TypeError: `run` is no Run.
        ValueError: its snapshots hold no points, or there is not a name for each class.
    """

    together = (("loss", "step"), ("step", "turn"))

    def __init__(self, run: Run, names: tuple[str, ...] = ()):
        self._kept = _kept(run)
        first = next(iter(next(iter(self._kept.values())).values()))
        classes = len(first.arrays["cosines"])
        self._names = tuple(names) or tuple(f"class {c}" for c in range(classes))
        if len(self._names) != classes:
            raise bad_value("names", names, f"{classes} names, one for each class")
        self._history = run.history[run.history["step"] > 0]
        settings, steps = list(self._kept), sorted({shot.step for shot in run.snapshots})
        self._build(settings, classes)
        controls = {
            "loss": choice("loss", settings, settings[0]),
            "step": stops("step", steps, steps[0]),
            "turn": slider("turn", SIDE, -180.0, 180.0, 10.0, "degrees round the vertical axis"),
        }
        middle = steps[len(steps) // 2]
        presets = {
            "the start": Preset("Three clouds, mixed. Walk the step slider to the right.", {}),
            "half-way": Preset("The clouds part, and each shrinks towards its mean.", {"step": middle}),
            "the end": Preset(
                "What is left of the clouds, and how near the means are to the corners.", {"step": steps[-1]}
            ),
            "the end, turned": Preset(
                "The same corners from another side: what is left beside the plane?", {"step": steps[-1], "turn": 30.0}
            ),
        }
        if len(settings) > 1:
            look = "The last loss of the list at the same step. Compare how much of the clouds is left."
            presets["the last loss"] = Preset(look, {"loss": settings[-1], "step": steps[-1]})
        super().__init__(self._figure, controls, presets)

    @styled
    def _build(self, settings: list[str], classes: int) -> None:
        self._figure, (flat, self._right) = new_figure(2, width=10.0, height=4.6)
        place = flat.get_subplotspec()
        flat.remove()
        self._space = self._figure.add_subplot(place, projection="3d")
        limits = (-REACH, REACH)
        ticks = (-1, 0, 1)
        self._space.set(xlim=limits, ylim=limits, zlim=limits, xticks=ticks, yticks=ticks, zticks=ticks)
        self._space.set(xlabel="plane of the means", ylabel="plane of the means", zlabel="widest beside it")
        self._space.set_box_aspect((1, 1, 1), zoom=0.9)
        self._space.view_init(HEIGHT, SIDE)
        moving: dict[str, Any] = {"animated": True, "linestyle": "none"}
        self._clouds, self._means = [], []
        for c in range(classes):
            look: dict[str, Any] = {"color": PALETTE[c], "marker": MARKERS[c]}
            self._clouds += self._space.plot(
                [], [], [], markersize=4, alpha=0.5, label=self._names[c], **look, **moving
            )
            big: dict[str, Any] = {"markersize": 9, "markeredgecolor": INK, "zorder": 5}
            self._means += self._space.plot([], [], [], **look, **big, **moving)
        self._frame_lines = [
            self._space.plot([], [], [], color=INK, linestyle="--", linewidth=1, animated=True)[0]
            for _ in combinations(range(classes), 2)
        ]
        for i, setting in enumerate(settings):
            rows = self._history[self._history["setting"] == setting]
            look = {"color": COLOURS[setting], "linestyle": DASHES[i % len(DASHES)]}
            self._right.plot(rows.groupby("step")["nc1"].median(), label=setting, **look)
        self._right.set(xscale="log", yscale="log", xlabel="step", ylabel="NC1, spread within over between")
        self._right.legend(fontsize=10)
        (self._mark,) = self._right.plot([], [], "o", color=INK, markersize=10, animated=True, zorder=5)
        legend_above(self._figure, self._clouds, self._names)

    def _show(self, values: dict[str, Any]) -> tuple[str, str]:
        setting, step = values["loss"], values["step"]
        kept = self._kept[setting]
        at = max((one for one in kept if one <= step), default=min(kept))
        arrays = kept[at].arrays
        points, labels = np.clip(arrays["points"], -REACH, REACH), arrays["labels"]
        means = np.stack([arrays["points"][labels == c].mean(0) for c in range(len(self._names))])
        if self._space.azim != values["turn"]:
            self._space.view_init(HEIGHT, values["turn"])
            self._space.stale = True  # the whole frame of axes moves
        for c, (cloud, mean) in enumerate(zip(self._clouds, self._means, strict=True)):
            cloud.set_data_3d(*points[labels == c].T)
            mean.set_data_3d(*means[c][:, None])
        ideal = simplex_corners(len(means)).numpy()
        for line, pair in zip(self._frame_lines, combinations(ideal, 2), strict=True):
            line.set_data_3d(*np.stack(pair, 1))
        nc1 = float(arrays["nc1"][0])
        rows = self._history[self._history["setting"] == setting]
        self._mark.set_data([max(at, int(rows["step"].min()))], [nc1])
        cosines = arrays["cosines"][np.triu_indices(len(means), 1)]
        angles = np.degrees(np.arccos(np.clip(cosines, -1, 1)))
        ideal_angle = math.degrees(math.acos(-1 / (len(means) - 1)))
        outside = int((np.abs(arrays["points"]) > REACH).any(1).sum())
        said = (
            f"{setting}, step {at}: NC1 is {in_words(nc1)}; the angles between the class means are "
            f"{_list(angles)} degrees, those of the simplex {ideal_angle:.0f}."
        )
        edge = f" {outside} of {len(points)} lie beyond the axes and are drawn on their edge." if outside else ""
        alt = (
            f"Left, the features of {len(points)} training images of {', '.join(self._names)} in three dimensions, "
            f"seen from {values['turn']:g} degrees.{edge} Right, NC1 against the step for {', '.join(self._kept)}, "
            f"with a dot at this step. {said}"
        )
        return alt, said


def _list(angles: np.ndarray) -> str:
    if len(angles) > 3:
        return f"from {angles.min():.0f} to {angles.max():.0f}"
    return ", ".join(f"{angle:.0f}" for angle in angles)


def _kept(run: Any) -> dict[str, dict[int, Snapshot]]:
    if not isinstance(run, Run):
        raise bad_type("run", run, "a Run of lossbook.experiments.neural_collapse")
    kept: dict[str, dict[int, Snapshot]] = {}
    for snapshot in run.snapshots:
        if "points" in snapshot.arrays:
            kept.setdefault(snapshot.setting, {})[snapshot.step] = snapshot
    if not kept:
        raise bad_value("run", "no points in its snapshots", "a Run of lossbook.experiments.neural_collapse")
    return kept
