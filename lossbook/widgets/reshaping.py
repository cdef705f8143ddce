"""One chart for a family of losses: the weight on p − e_y, and the pull on the right score, against confidence."""

from collections.abc import Mapping, Sequence
from typing import Any

from lossbook.catalog import find
from lossbook.figures.html import in_words
from lossbook.figures.reshaping import (
    CHART,
    CONFIDENCES,
    KINDS,
    ONE_WEIGHT,
    OTHER,
    chart_look,
    dress,
    has_one_weight,
    pulls,
    start_of,
    weights,
)
from lossbook.figures.style import GREY, INK, new_figure, styled
from lossbook.widgets.canvas import legend_above
from lossbook.widgets.controls import Control, several, slider, stops
from lossbook.widgets.explorer import Explorer, Preset
from lossbook.widgets.margin import control_names

MOST = 4  # losses in the picture at a time

PRESETS = {
    "easy rows count less": Preset(
        "Focal loss falls to the right: what is learned lets go. PolyLoss with ε = −1 falls too, in a straight line.",
        {"losses": ("poly_loss", "focal_loss"), "epsilon": -1.0, "confidence": 0.9},
        then={"focal_loss_gamma": (0.5, 1.0, 5.0), "confidence": (0.1, 0.5)},
    ),
    "sure rows count more": Preset(
        "PolyLoss with ε = 2 rises to the right, to three times cross-entropy. On the left nothing has changed.",
        {"losses": ("poly_loss",), "epsilon": 2.0, "confidence": 0.9},
        then={"epsilon": (-0.5, 0.0, 1.0, 5.0), "confidence": (0.1, 0.5)},
    ),
    "rows that are given up": Preset(
        "Towards mean absolute error the weight dies on the left: a row that looks hopeless is left alone, be it hard "
        "or wrongly labelled.",
        {"losses": ("taylor_cross_entropy", "comp_sum_loss"), "tau": 2.0, "confidence": 0.1},
        then={"terms": (1.0, 5.0, 10.0, 25.0), "tau": (0.0, 0.5, 1.0, 1.5)},
    ),
    "many tries": Preset(
        "For direct coverage a row is done when one of N answers is right. The more answers, the earlier it lets go.",
        {"losses": ("focal_loss", "direct_coverage_loss"), "samples": 32.0, "confidence": 0.1},
        then={"samples": (1.0, 2.0, 8.0, 128.0)},
    ),
    "a target that is not certain": Preset(
        "With smoothed labels the weight falls below 0 where p_y is above its target: the right score is pushed down.",
        {"losses": ("cross_entropy",), "label_smoothing": 0.2, "confidence": 0.95},
        then={"label_smoothing": (0.0, 0.1, 0.4), "classes": (2, 100)},
    ),
    "of another form": Preset(
        "Dashed: the gradient is not a weight times p − e_y. Squentropy lies on cross-entropy's line: it leaves the "
        "right score alone and holds the wrong ones. Move V: only dashed lines move.",
        {
            "losses": ("squentropy_loss", "taylor_softmax_loss", "dual_focal_loss", "ldr_kl_loss"),
            "confidence": 0.7,
            "temperature": 3.0,
        },
        then={"classes": (2, 100, 1000)},
    ),
}


class ReshapingExplorer(Explorer):
    """The weight on p − e_y, and the pull on the right score, of up to four losses against the confidence p_y.

    How to read it: the broad grey line is cross-entropy, level at 1 on the left. Solid lines hold for any scores. A
    dashed one is read where all wrong scores are 0: its gradient has another shape, and V matters. The vertical line is
    the confidence at which the numbers below are read.

    Args:
        losses: keys of losses of the chart, at least one; of more than four the first four are drawn.
        presets: name -> `Preset`; None takes the built-in ones.

    Raises:
        ValueError: none given, or one that is not in the chart.

    Example:
        >>> explorer = ReshapingExplorer(("poly_loss",))
        >>> explorer.set(epsilon=-1.0, confidence=0.75)
        >>> "PolyLoss (epsilon −1, gamma 0): weight 0.25, pull 0.0625" in explorer.alt
        True
    """

    most_pictures = 120
    together = (("losses", "confidence"),)
    at_presets = ("confidence",)

    def __init__(
        self,
        losses: Sequence[str] = ("poly_loss", "focal_loss"),
        *,
        presets: Mapping[str, Preset] | None = None,
    ):
        self._records = {key: find(key) for key in CHART}
        self._names = control_names(tuple(self._records.values()))
        chosen = several("losses", [(title, key) for key, title in CHART.items()], ("poly_loss",))
        chosen.holder.value = chosen.check("losses", losses)
        self._legend: tuple[Any, ...] = ()
        self._build()
        controls: dict[str, Control] = {
            "losses": chosen,
            "confidence": slider("confidence p_y", 0.5, 0.01, 0.99, 0.01, "where the curves are read"),
            "classes": stops("classes V", [2, 3, 10, 100, 1000], 10),
        }
        for key, record in self._records.items():
            for p in record.parameters:
                name = self._names[key][p.name]
                start = start_of(key)[p.name]
                controls[name] = slider(name, start, p.low, p.high, p.step, f"{CHART[key]}: {p.meaning}")
        super().__init__(self._figure, controls, PRESETS if presets is None else presets)

    @styled
    def _build(self) -> None:
        self._figure, self._axes = new_figure(2, width=10.0, height=4.2)
        self._lines: dict[str, list[Any]] = {}
        self._marks: dict[str, list[Any]] = {}
        entropy = self._records["cross_entropy"]
        for ax, kind in zip(self._axes, KINDS, strict=True):
            dress(ax, kind)
            read = weights if kind == "weight" else pulls
            ax.plot(CONFIDENCES, read(entropy, CONFIDENCES, 2, {}), color=GREY, linewidth=5, alpha=0.45, zorder=1)
        for i, key in enumerate(CHART):
            own = chart_look(i)
            self._lines[key] = [ax.plot(CONFIDENCES, 0 * CONFIDENCES, animated=True, **own)[0] for ax in self._axes]
            dot = own | {"linestyle": "none", "markeredgecolor": "white", "markersize": 10, "markevery": None}
            self._marks[key] = [ax.plot([], [], animated=True, **dot)[0] for ax in self._axes]
        self._cursors = [ax.axvline(0.5, color=INK, linewidth=1.2, animated=True) for ax in self._axes]

    def _parameters(self, key: str, values: Mapping[str, Any]) -> dict[str, float]:
        return {parameter: values[name] for parameter, name in self._names[key].items()}

    def _show(self, values: dict[str, Any]) -> tuple[str, str]:
        shown, left_out = values["losses"][:MOST], values["losses"][MOST:]
        at, classes = values["confidence"], int(values["classes"])
        for key, record in self._records.items():
            for name in self._names[key].values():
                self._controls[name].box.layout.display = None if key in shown else "none"
            for artist in (*self._lines[key], *self._marks[key]):
                artist.set_visible(key in shown)
            if key not in shown:
                continue
            parameters = self._parameters(key, values)
            dash = ONE_WEIGHT if has_one_weight(record, parameters) else OTHER
            pull, here = pulls(record, CONFIDENCES, classes, parameters), pulls(record, [at], classes, parameters)
            numbers = (pull / (1 - CONFIDENCES), pull), (here / (1 - at), here)
            for line, mark, curve, point in zip(self._lines[key], self._marks[key], *numbers, strict=True):
                line.set_ydata(curve)
                line.set_linestyle(dash)
                mark.set_data([at], point)
        for cursor in self._cursors:
            cursor.set_xdata([at, at])
        self._label(shown)
        readings = [self._reading(key, values) for key in shown]
        beyond = f" Only {MOST} are drawn; left out: {', '.join(CHART[key] for key in left_out)}." if left_out else ""
        where = f"Where p_y is {in_words(at)}, of {classes} classes"
        alt = (
            "Two panels against the confidence in the right class: the weight on p − e_y, cross-entropy's being 1, and "
            f"the pull on the right score. {where}: cross-entropy: weight 1, pull {in_words(1 - at)}; "
            f"{'; '.join(readings)}.{beyond}"
        )
        return alt, f"{where}:\n" + "\n".join(readings) + beyond.replace(" ", "\n", 1)

    def _reading(self, key: str, values: Mapping[str, Any]) -> str:
        parameters, at = self._parameters(key, values), values["confidence"]
        setting = ", ".join(f"{name} {in_words(value)}" for name, value in parameters.items())
        pull = float(pulls(self._records[key], [at], int(values["classes"]), parameters)[0])
        dashed = "" if has_one_weight(self._records[key], parameters) else ", dashed: not of the form w (p − e_y)"
        named = f"{CHART[key]} ({setting})" if setting else CHART[key]
        return f"{named}: weight {in_words(pull / (1 - at))}, pull {in_words(pull)}{dashed}"

    def _label(self, shown: tuple[str, ...]) -> None:
        """The legend, where it has to change."""
        dashes = tuple((key, self._lines[key][0].get_linestyle()) for key in shown)
        if dashes != self._legend:
            legend_above(self._figure, [self._lines[key][0] for key in shown], [CHART[key] for key in shown])
            self._legend = dashes
