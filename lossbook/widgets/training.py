"""A run to scrub through: its history with a cursor, and a picture of what was kept at that step."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from lossbook.checks import bad_type, bad_value, check_choice
from lossbook.experiments.run import Run, Snapshot
from lossbook.figures.html import in_words
from lossbook.figures.style import INK, look, new_figure, styled
from lossbook.widgets.canvas import legend_above
from lossbook.widgets.controls import choice, stops
from lossbook.widgets.explorer import Explorer, Preset
from lossbook.widgets.panel import start_arrays, update_arrays

Start = Callable[[Any, Run], Any]  # axes, run -> the panel's artists
Update = Callable[[Any, Snapshot], str]  # artists, snapshot -> what they show now, in words

COLUMNS = ("setting", "seed", "step")
DECADES = 1000.0  # a metric that spans this factor is drawn on a logarithmic axis
CROWDED = 0.2  # and so are steps, where half of those kept lie below this share of the last


class TrainingExplorer(Explorer):
    """The history of a run, and what was kept at each step.

    How to read it: left, the metric of every setting against the step, the mean over seeds, with thin lines for single
    seeds; the setting chosen is thick, and the vertical line is the step. Right, the snapshot of that setting and step.

    Args:
        run: with a tidy history (columns setting, seed, step and one for each metric) and snapshots. Where several
            seeds kept a snapshot of the same setting and step, the first is shown.
        panel: a pair `(start(ax, run) -> artists, update(artists, snapshot) -> words)`. `start` draws once; `update`
            mutates what it drew and says in words what it shows. None draws the arrays, as bars or histograms.
        metric: the metric shown first; None takes the first.
        presets: name -> `Preset`; None takes the built-in ones.

    Raises:
        TypeError: `run` is no Run, or `panel` no pair of functions, or its update returns no words.
        ValueError: a run without snapshots or metrics, or an unknown metric.
    """

    together = (("setting", "step"), ("metric", "step"), ("setting", "metric"))

    def __init__(
        self,
        run: Run,
        panel: tuple[Start, Update] | None = None,
        metric: str | None = None,
        *,
        presets: Mapping[str, Preset] | None = None,
    ):
        metrics = _metrics(run)
        check_choice("metric", metrics[0] if metric is None else metric, metrics)
        start, update = _panel(panel)
        self._update = styled(update)
        self._snapshots: dict[str, dict[int, Snapshot]] = {}
        for snapshot in run.snapshots:
            self._snapshots.setdefault(snapshot.setting, {}).setdefault(snapshot.step, snapshot)
        self._history = run.history.assign(setting=run.history["setting"].astype(str)).sort_values("step")
        missing = sorted(set(self._snapshots) - set(self._history["setting"]))
        if missing:
            raise bad_value("run", missing, "rows of the history for every setting that has snapshots")
        settings, steps = list(self._snapshots), sorted({snapshot.step for snapshot in run.snapshots})
        self._laid_out: tuple[str, str] | None = None
        self._build(start, run, steps)
        controls = {
            "setting": choice("setting", settings, settings[0]),
            "metric": choice("metric", metrics, metrics[0] if metric is None else metric),
            "step": stops("step", steps, steps[0]),
        }
        super().__init__(self._figure, controls, _built_in(steps) if presets is None else presets)

    @styled
    def _build(self, start: Start, run: Run, steps: list[int]) -> None:
        self._figure, (self._left, self._right) = new_figure(2, width=10.0, height=3.9)
        before = set(self._right.get_children())
        self._artists = start(self._right, run)
        for artist in self._right.get_children():
            if artist not in before and artist is not self._right.get_legend():
                artist.set_animated(True)
        if np.median(steps) < CROWDED * steps[-1]:
            self._left.set_xscale("symlog", linthresh=min(step for step in steps if step > 0), linscale=0.3)
        self._cursor = self._left.axvline(steps[0], color=INK, linewidth=1.2, animated=True)
        dot: dict[str, Any] = {"color": INK, "markeredgecolor": "white", "markersize": 9}
        (self._mark,) = self._left.plot([], [], "o", animated=True, **dot)

    @styled
    def _lay_out(self, setting: str, metric: str) -> None:
        """The curves of one metric, one setting in front; they stay while the step moves."""
        for line in set(self._left.get_lines()) - {self._cursor, self._mark}:
            line.remove()
        self._mark.set_data([], [])
        means = []
        for i, name in enumerate(self._snapshots):
            own = look(i) | ({"alpha": 1.0, "zorder": 3} if name == setting else {"alpha": 0.75, "zorder": 2})
            rows = self._history[self._history["setting"] == name]
            if rows["seed"].nunique() > 1:
                for _, seed in rows.groupby("seed"):
                    self._left.plot(seed["step"], seed[metric], **own | {"linewidth": 0.8, "alpha": 0.5})
            mean = rows.groupby("step")[metric].mean()
            means += self._left.plot(mean.index, mean, linewidth=2.8 if name == setting else 1.6, **own)
        values = self._history[metric].to_numpy(float)
        values = values[np.isfinite(values)]
        wide = len(values) > 0 and values.min() > 0 and values.max() > DECADES * values.min()
        self._left.set(xlabel="step", ylabel=_said(metric), title="History", yscale="log" if wide else "linear")
        self._left.relim()
        self._left.autoscale_view()
        self._right.set_title("Kept at this step")
        legend_above(self._figure, means, list(self._snapshots))
        self._laid_out = (setting, metric)

    def _show(self, values: dict[str, Any]) -> tuple[str, str]:
        setting, metric, step = values["setting"], values["metric"], values["step"]
        if self._laid_out != (setting, metric):
            self._lay_out(setting, metric)
        kept = self._snapshots[setting]
        at = max((one for one in kept if one <= step), default=min(kept))
        panel = self._update(self._artists, kept[at])
        if not isinstance(panel, str) or not panel.strip():
            raise bad_type("panel", panel, "an update function that returns words for what it shows")
        value, words = self._reading(setting, metric, step)
        self._cursor.set_xdata([step, step])
        self._mark.set_data([step], [value])
        now = f"Setting {setting}, step {step}: {words}."
        then = panel.rstrip(".") + ("." if at == step else f" (kept at step {at}, the nearest).")
        settings = ", ".join(self._snapshots)
        return (
            f"Left, {_said(metric)} against the step for {settings}, with a cursor. {now} Right, {then}",
            f"{now}\n{then}",
        )

    def _reading(self, setting: str, metric: str, step: int) -> tuple[float, str]:
        """The metric at the last step not after this one, over seeds."""
        rows = self._history[(self._history["setting"] == setting) & (self._history["step"] <= step)]
        rows = rows.dropna(subset=[metric])
        if rows.empty:
            return float("nan"), f"no {_said(metric)} yet"
        last = rows[rows["step"] == rows["step"].iloc[-1]]
        value, seeds = float(last[metric].mean()), last["seed"].nunique()
        return value, f"{_said(metric)} {in_words(value)}" + (f", mean of {seeds} seeds" if seeds > 1 else "")


def _said(metric: str) -> str:
    """A column's name as words."""
    return metric.replace("_", " ")


def _built_in(steps: list[int]) -> dict[str, Preset]:
    """Start, middle and end; where a run kept too few steps, the start before the end before the middle."""
    looks = {
        "half-way": ("Half-way. Switch the setting and compare the right panels at the same step.", len(steps) // 2),
        "the end": ("The last step. Go back and find where the right panel stopped changing.", len(steps) - 1),
        "the start": ("The first step kept. Walk the step slider to the right with the arrow keys.", 0),
    }
    found = {steps[at]: (name, Preset(look, {"step": steps[at]})) for name, (look, at) in looks.items()}
    return dict(found[step] for step in sorted(found))


def _metrics(run: Any) -> list[str]:
    if not isinstance(run, Run):
        raise bad_type("run", run, "a Run, which every experiment's run(config) returns")
    if not run.snapshots:
        raise bad_value("run", "no snapshots", "a Run with at least one snapshot to look at")
    absent = [column for column in COLUMNS if column not in run.history]
    if absent:
        raise bad_value("run", f"no {', '.join(absent)}", f"a tidy history with columns {', '.join(COLUMNS)}")
    metrics = [str(name) for name in run.history.select_dtypes("number").columns if name not in COLUMNS]
    if not metrics:
        raise bad_value("run", "no metrics", "a history with numbers beside setting, seed and step")
    return metrics


def _panel(panel: Any) -> tuple[Start, Update]:
    if panel is None:
        return start_arrays, update_arrays
    if not isinstance(panel, tuple) or len(panel) != 2 or not all(callable(part) for part in panel):
        raise bad_type("panel", panel, "a pair: start(ax, run) -> artists, update(artists, snapshot) -> words")
    return panel
