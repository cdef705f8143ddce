"""The stability-gap microscope: one old task around a switch, looked at every update or every few hundred."""

from typing import Any

import numpy as np

from lossbook.checks import bad_type, bad_value
from lossbook.experiments.run import Run
from lossbook.experiments.stability_gap import table_of
from lossbook.figures.stability_gap import COLOURS
from lossbook.figures.style import INK, ORANGE, new_figure, styled
from lossbook.widgets.controls import choice, stops
from lossbook.widgets.explorer import Explorer, Preset

LOOKS = {
    "once a task": "Evaluated when a task has ended, and never in between: nothing seems to have happened.",
    "every update": "Evaluated after every update: the fall begins with the first step after the switch.",
    "a few looks": "A few looks a task: whether the gap is seen is a matter of luck.",
}


class StabilityGapExplorer(Explorer):
    """Left: the accuracy of one old task around a switch, as seen with an evaluation every so many updates. Right: the
    lowest accuracy seen while the next task is learned, for every frequency, and where the reader stands.

    How to read it: the dotted vertical line is the switch. Evaluate less often and the dip goes from sight, while the
    network stays the same. The cross is the lowest accuracy there truly was.

    Args:
        run: of `lossbook.experiments.stability_gap`, with two tasks or more.

    Raises:
        TypeError: no Run.
        ValueError: a run of another experiment, or of a single task.

    Example:
        >>> from lossbook.experiments import stability_gap
        >>> explorer = StabilityGapExplorer(stability_gap.run(stability_gap.SCALES["tiny"], progress=False))
        >>> explorer.set(every=30)
        >>> "evaluated every 30 updates" in explorer.alt
        True
    """

    together = (("every", "method"), ("every", "view"), ("every", "zoom"))

    def __init__(self, run: Run):
        if not isinstance(run, Run):
            raise bad_type("run", run, "a Run of lossbook.experiments.stability_gap")
        if run.experiment != "stability_gap":
            raise bad_value("run", run.experiment, "a run of stability_gap")
        self._tasks = int(run.history["task"].max()) + 1
        if self._tasks < 2:
            raise bad_value("run", f"{self._tasks} task", "two tasks or more: the gap is on an old one")
        self._iterations = run.config.iterations
        seeds = sorted(int(seed) for seed in run.history["seed"].unique())
        self._tables = {
            (method, seed): table_of(run, method, seed)[0] for method in run.config.methods for seed in seeds
        }
        every = [n for n in range(1, self._iterations + 1) if self._iterations % n == 0]  # task ends are always seen
        zooms = [*(n for n in (10, 20, 50) if n < self._iterations), self._iterations]
        self._views = {
            f"task {task}, as task {new} begins": (task, new)
            for new in range(2, self._tasks + 1)
            for task in range(1, new)
        }
        self._every = every
        self._build()
        methods = list(run.config.methods)
        controls = {
            "every": stops("updates between looks", every, every[-1]),
            "method": choice("method", methods, "replay" if "replay" in methods else methods[0]),
            "view": choice("old task", list(self._views), f"task 1, as task {self._tasks} begins"),
            "seed": stops("seed", seeds, seeds[0]),
            "zoom": stops("updates in sight", zooms, self._iterations),
        }
        some = every[len(every) // 2]
        values = {"once a task": every[-1], "every update": 1, "a few looks": some}
        presets = {name: Preset(look, {"every": values[name]}) for name, look in LOOKS.items()}
        super().__init__(self._figure, controls, presets)

    @styled
    def _build(self) -> None:
        self._figure, (self._left, self._right) = new_figure(2, width=10.0, height=3.8, width_ratios=(3, 2))
        moving: dict[str, Any] = {"animated": True}
        (self._seen,) = self._left.plot([], [], "o-", markersize=4, **moving)
        (self._low,) = self._left.plot([], [], color=ORANGE, linewidth=1.6, linestyle="--", zorder=2, **moving)
        (self._truth,) = self._left.plot([], [], "X", color=ORANGE, markersize=11, zorder=5, **moving)
        self._switch = self._left.axvline(0, color=INK, linewidth=1, linestyle=":", animated=True)
        self._left.set(ylim=(-0.02, 1.04), xlabel="update", ylabel="accuracy on the old task", title="What is seen")
        (self._curve,) = self._right.plot([], [], "o-", markersize=4, **moving)
        (self._here,) = self._right.plot([], [], "o", color=INK, markersize=10, zorder=5, **moving)
        self._right.set(xscale="log", xlim=(0.8, 1.25 * self._iterations), ylim=(-0.02, 1.04), title="Lowest seen")
        self._right.set(xlabel="updates between evaluations", ylabel="lowest accuracy seen")
        ticks = [n for n in self._every if n in (1, 2, 5, 10, 20, 30, 50, 100, 150, 300)] or self._every
        self._right.set_xticks(ticks, [str(n) for n in ticks])
        self._right.minorticks_off()

    def _show(self, values: dict[str, Any]) -> tuple[str, str]:
        every, zoom = values["every"], values["zoom"]
        task, new = self._views[values["view"]]
        curve = self._tables[values["method"], values["seed"]][:, task - 1]
        switch, end = (new - 1) * self._iterations, new * self._iterations
        color = COLOURS[values["method"]]
        steps = np.arange(len(curve))
        after = (steps > switch) & (steps <= end)
        lowest = {n: float(curve[after & (steps % n == 0)].min()) for n in self._every}
        worst = int(steps[after][curve[after].argmin()])
        seen = (steps % every == 0) & ~np.isnan(curve)
        for line in (self._seen, self._curve):
            line.set_color(color)
        self._seen.set_data(steps[seen], curve[seen])
        left, right = switch - zoom // 2, switch + zoom
        self._low.set_data([left, right], [lowest[every]] * 2)
        self._truth.set_data([worst], [curve[worst]])
        self._switch.set_xdata([switch, switch])
        if self._left.get_xlim() != (left, right):
            self._left.set_xlim(left, right)
        self._curve.set_data(self._every, [lowest[n] for n in self._every])
        self._here.set_data([every], [lowest[every]])
        often = "after every update" if every == 1 else f"every {every} updates"
        words = (
            f"{values['method']}, seed {values['seed']}, {values['view']}: evaluated {often}, the lowest accuracy seen "
            f"while task {new} is learned is {lowest[every]:.3f} (dashed). Truly it is {curve[worst]:.3f} (the cross), "
            f"{worst - switch} updates after the switch; {curve[switch]:.3f} before it and {curve[end]:.3f} at the end "
            f"of task {new}."
        )
        alt = (
            f"Left, the accuracy on an old task against the update, from update {left} to {right}; right, the lowest "
            f"accuracy seen against the updates between evaluations. {words}"
        )
        return alt, words
