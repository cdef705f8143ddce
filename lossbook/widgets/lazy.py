"""The laziness explorer: a finished run, an α to choose, a step to walk to."""

import itertools
from collections.abc import Mapping
from typing import Any

import numpy as np

from lossbook.checks import bad_type, bad_value
from lossbook.experiments.run import Run, Snapshot
from lossbook.figures.html import in_words
from lossbook.figures.lazy_rich import FOLLOWED, hues
from lossbook.figures.style import BLUE, DASHES, GREY, INK, ORANGE, new_figure, styled
from lossbook.widgets.controls import choice, stops
from lossbook.widgets.explorer import Explorer, Preset

NUMBERS = {"motion": "Motion of the weights", "alignment": "Alignment with y", "similarity": "Similarity to the start"}


class LazyExplorer(Explorer):
    """Errors, weights and kernel of networks that differ in laziness, at every step.

    How to read it: left, training error (dashed) and test error of the network chosen, first seed, with the step as a
    vertical line. Middle, one number about weights or kernel for every α, the chosen one thick. Right, what the
    network says on fresh points against what is right: on the diagonal it knows.

    Args:
        run: of `lossbook.experiments.lazy_rich`, with one number of points and one alignment.
        presets: name -> `Preset`; None takes the built-in ones.

    Raises:
        TypeError: `run` is no Run.
        ValueError: a run of another experiment, or of several numbers of points or alignments.
    """

    together = (("alpha", "step"), ("number", "step"), ("alpha", "number"))

    def __init__(self, run: Run, *, presets: Mapping[str, Preset] | None = None):
        if not isinstance(run, Run):
            raise bad_type("run", run, "a Run of lazy_rich")
        if run.experiment != "lazy_rich" or len(run.config.points) * len(run.config.aligned) != 1:
            raise bad_value("run", run.experiment, "a run of lazy_rich with one number of points and one alignment")
        alphas = sorted(run.config.alphas)
        history = run.history[run.history["seed"] == run.config.first_seed]
        self._rows = {alpha: history[history["alpha"] == alpha].set_index("step").sort_index() for alpha in alphas}
        setting = {row.alpha: row.setting for row in history.drop_duplicates("alpha").itertuples()}
        self._kept: dict[float, dict[int, Snapshot]] = {
            alpha: {shot.step: shot for shot in run.snapshots if shot.setting == setting[alpha]} for alpha in alphas
        }
        steps = sorted(self._kept[alphas[0]])
        self._build(run, alphas)
        controls = {
            "alpha": stops("laziness α", alphas, alphas[0]),
            "step": stops("step", steps, steps[-1]),
            "number": choice("number", [(FOLLOWED[name], name) for name in NUMBERS], "motion"),
        }
        super().__init__(self._figure, controls, _built_in(run, alphas, steps) if presets is None else presets)

    @styled
    def _build(self, run: Run, alphas: list[float]) -> None:
        self._figure, (left, self._middle, right) = new_figure(3, width=10.0, height=3.9)
        self._colours = hues(alphas)
        moving: dict[str, Any] = {"animated": True}
        (self._test,) = left.plot([], [], color=ORANGE, label="test", **moving)
        (self._train,) = left.plot([], [], color=BLUE, linestyle="--", label="training", **moving)
        last = max(rows.index.max() for rows in self._rows.values())
        left.set(xscale="symlog", yscale="log", xlim=(0, last), ylim=(3e-3, 3), xlabel="step", title="Errors")
        left.set_ylabel("error / variance of y")
        left.legend(loc="lower left", fontsize=10)
        self._middle.set(xscale="symlog", xlim=(0, last), xlabel="step")
        self._lines = {
            alpha: self._middle.plot([], [], color=colour, linestyle=dash, label=f"α = {alpha:g}", **moving)[0]
            for (alpha, colour), dash in zip(self._colours.items(), itertools.cycle(DASHES), strict=False)
        }
        self._figure.legend(handles=list(self._lines.values()), loc="outside upper center", ncols=len(alphas))
        self._cursors = [ax.axvline(0, color=INK, linewidth=1.2, **moving) for ax in (left, self._middle)]
        shots = [shot.arrays for kept in self._kept.values() for shot in kept.values()]
        high = 1.05 * max(shot["target"].max() for shot in shots)
        low = min(np.quantile(shot["prediction"], 0.01) for shot in shots)  # single points may lie beyond
        right.plot([0, high], [0, high], color=GREY, linewidth=1)
        (self._points,) = right.plot([], [], "o", color=ORANGE, markersize=4, alpha=0.7, **moving)
        right.set(xlim=(-0.03 * high, high), ylim=(min(1.1 * low, -0.03 * high), high), xlabel="y", ylabel="f(x)")
        right.set_title("Fresh points")
        self._number = ""

    @styled
    def _lay_out(self, number: str) -> None:
        """The middle panel for another number."""
        tables = [rows[number] for rows in self._rows.values()]
        high, low = max(table.max() for table in tables), min(table.min() for table in tables)
        room = 0.05 * (high - low or 1.0)
        self._middle.set(ylim=(low - room, high + room), title=NUMBERS[number])
        for alpha, line in self._lines.items():
            line.set_data(self._rows[alpha].index, self._rows[alpha][number])
        self._number = number

    def _show(self, values: dict[str, Any]) -> tuple[str, str]:
        alpha, step, number = values["alpha"], values["step"], values["number"]
        if number != self._number:
            self._lay_out(number)
        rows, shot = self._rows[alpha], self._kept[alpha][step]
        self._test.set_data(rows.index, rows["test_error"])
        self._train.set_data(rows.index, rows["train_error"])
        for other, line in self._lines.items():
            line.set(linewidth=3.2 if other == alpha else 1.0, alpha=1.0 if other == alpha else 0.6)
        for cursor in self._cursors:
            cursor.set_xdata([step, step])
        self._points.set_data(shot.arrays["target"], shot.arrays["prediction"])
        now = rows.loc[step]
        match = _correlation(shot.arrays["target"], shot.arrays["prediction"])
        said = (
            f"α = {alpha:g}, step {step}: training error {in_words(now['train_error'])}, test error "
            f"{in_words(now['test_error'])}; motion {in_words(now['motion'])}, alignment {in_words(now['alignment'])}, "
            f"similarity {in_words(now['similarity'])}; on fresh points it correlates with y by {match}."
        )
        others = ", ".join(f"{known:g}" for known in self._colours)
        alt = (
            "Left, training and test error against the step, with a cursor. Middle, "
            f"{FOLLOWED[number]} for α = {others}, that of {alpha:g} thick. Right, predictions against y on "
            f"{len(shot.arrays['target'])} fresh points. {said}"
        )
        return alt, said


def _correlation(target: np.ndarray, prediction: np.ndarray) -> str:
    if prediction.std() == 0:
        return "nothing, for it is 0 everywhere"
    return in_words(float(np.corrcoef(target, prediction)[0, 1]))


def _built_in(run: Run, alphas: list[float], steps: list[int]) -> dict[str, Preset]:
    """The rich and the lazy one when they have learned their points, and at the end."""
    rich, lazy = alphas[0], alphas[-1]
    found = {}
    for words, alpha in (("rich", rich), ("lazy", lazy)):
        rows = run.history[(run.history["alpha"] == alpha) & (run.history["seed"] == run.config.first_seed)]
        low = rows.loc[rows["train_error"] < 0.05, "step"]
        at = int(low.min()) if len(low) else steps[len(steps) // 2]
        look = "Its own points are learned. Are the fresh ones on the diagonal?"
        found[f"{words}, own points learned"] = Preset(look, {"alpha": alpha, "step": at, "number": "alignment"})
    found["lazy, at the end"] = Preset(
        "Walk the step slider back. Errors fell by more than a half while the weights hardly moved.",
        {"alpha": lazy, "step": steps[-1]},
    )
    return found
