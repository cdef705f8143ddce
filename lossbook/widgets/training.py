"""A run to scrub through: its history with a cursor, and a picture of what was kept at that step."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from lossbook.checks import bad_type, bad_value, check_choice
from lossbook.experiments.run import Run, Snapshot
from lossbook.figures.html import in_words
from lossbook.figures.style import DASHES, INK, PALETTE, new_figure, styled
from lossbook.widgets.controls import Control, choice, stops
from lossbook.widgets.explorer import Explorer, Preset

Start = Callable[[Any, Run], Any]  # axes, run -> the panel's artists
Update = Callable[[Any, Snapshot], str]  # artists, snapshot -> what they show now, in words

COLUMNS = ("setting", "seed", "step")
FEW = 24  # numbers of an array that are drawn one by one
BINS = 40
DECADES = 1000.0  # a metric that spans this factor is drawn on a logarithmic axis


class TrainingExplorer(Explorer):
    """The history of a run, and what was kept at each step.

    How to read it: left, the metric of every setting against the step, thin for single seeds, thick for the mean of the
    setting chosen; the vertical line is the step. Right, the snapshot of that setting at that step.

    Args:
        run: with a tidy history (columns setting, seed, step and a column for each metric) and snapshots. Where several seeds
            kept a snapshot of the same setting and step, the first is shown.
        panel: a pair `(start(ax, run) -> artists, update(artists, snapshot) -> words)`. `start` draws once; `update` mutates
            what it drew and says in words what it shows. None draws the arrays: bars up to 24 numbers, else histograms.
        metric: the metric shown first; None takes the first.
        presets: name -> `Preset`; None takes the built-in ones.

    Raises:
        TypeError: `run` is no Run, or `panel` no pair of functions.
        ValueError: a run without snapshots or metrics, or an unknown metric.
    """

    def __init__(
        self,
        run: Run,
        panel: tuple[Start, Update] | None = None,
        metric: str | None = None,
        *,
        presets: Mapping[str, Preset] | None = None,
    ):
        metrics = _metrics(run)
        if metric is None:
            metric = metrics[0]
        check_choice("metric", metric, metrics)
        start, self._update = _panel(panel)
        self._run = run
        self._snapshots: dict[str, dict[int, Snapshot]] = {}
        for snapshot in run.snapshots:
            self._snapshots.setdefault(snapshot.setting, {}).setdefault(snapshot.step, snapshot)
        self._history = run.history.assign(setting=run.history["setting"].astype(str)).sort_values("step")
        self._settings = list(self._snapshots)
        missing = sorted(set(self._settings) - set(self._history["setting"]))
        if missing:
            raise bad_value("run", missing, "rows of the history for every setting that has snapshots")
        steps = sorted({snapshot.step for snapshot in run.snapshots})
        self._laid_out: tuple[str, str] | None = None
        self._build(start)
        controls: dict[str, Control] = {
            "setting": choice("setting", self._settings, self._settings[0]),
            "metric": choice("metric", metrics, metric),
            "step": stops("step", steps, steps[0]),
        }
        super().__init__(self._figure, controls, self._presets(steps, metric) if presets is None else presets)

    @styled
    def _build(self, start: Start) -> None:
        self._figure, (self._left, self._right) = new_figure(2, width=10.0, height=3.9)
        before = set(self._right.get_children())
        self._artists = start(self._right, self._run)
        for artist in self._right.get_children():
            if artist not in before and artist is not self._right.get_legend():
                artist.set_animated(True)
        self._cursor = self._left.axvline(0, color=INK, linewidth=1.2, animated=True)
        (self._mark,) = self._left.plot([], [], "o", color=INK, markeredgecolor="white", markersize=9, animated=True)

    @styled
    def _lay_out(self, setting: str, metric: str) -> None:
        """The curves of one metric, one setting in front; they stay while the step moves."""
        for line in list(self._left.get_lines()):
            if line not in (self._cursor, self._mark):
                line.remove()
        for i, name in enumerate(self._settings):
            look: dict[str, Any] = {"color": PALETTE[i % len(PALETTE)], "linestyle": DASHES[i % len(DASHES)]}
            chosen = name == setting
            rows = self._history[self._history["setting"] == name]
            if rows["seed"].nunique() > 1:
                for _, seed in rows.groupby("seed"):
                    self._left.plot(seed["step"], seed[metric], linewidth=0.8, alpha=0.6 if chosen else 0.25, **look)
            mean = rows.groupby("step")[metric].mean()
            self._left.plot(
                mean.index, mean, label=name, alpha=1.0 if chosen else 0.45, linewidth=2.8 if chosen else 1.4, zorder=2 + chosen, **look
            )
        values = self._history[metric].to_numpy(float)
        values = values[np.isfinite(values)]
        wide = len(values) > 0 and values.min() > 0 and values.max() > DECADES * values.min()
        self._left.set(xlabel="step", ylabel=metric, title=f"History of {metric}", yscale="log" if wide else "linear")
        self._left.relim(visible_only=True)
        self._left.autoscale_view()
        for legend in list(self._figure.legends):
            legend.remove()
        if len(self._settings) > 1:
            thick = [line for line in self._left.get_lines() if line.get_label() in self._settings]
            self._figure.legend(handles=thick, loc="outside upper left", ncols=4, handlelength=3)
        self._right.set_title(f"Kept at this step: {setting}")
        self._laid_out = (setting, metric)

    def _show(self, values: dict[str, Any]) -> tuple[str, str]:
        setting, metric, step = values["setting"], values["metric"], values["step"]
        if self._laid_out != (setting, metric):
            self._lay_out(setting, metric)
        kept = self._snapshots[setting]
        at = max((s for s in kept if s <= step), default=min(kept))
        with_style = styled(self._update)
        panel = with_style(self._artists, kept[at])
        if not isinstance(panel, str) or not panel.strip():
            raise bad_type("panel", panel, "an update function that returns words for what it shows")
        value, words = self._reading(setting, metric, step)
        self._cursor.set_xdata([step, step])
        self._mark.set_data([step], [value])
        now = f"Step {step} of setting {setting}: {words}."
        note = "" if at == step else f" The nearest snapshot of this setting is of step {at}."
        alt = f"Left, the history of {metric} for {', '.join(self._settings)}; the cursor is at step {step}. {now} Right: {panel.rstrip('.')}.{note}"
        return alt, f"{now}\n{panel.rstrip('.')}.{note}"

    def _reading(self, setting: str, metric: str, step: int) -> tuple[float, str]:
        """The metric at the last step not after this one, over seeds."""
        rows = self._history[(self._history["setting"] == setting) & (self._history["step"] <= step)].dropna(subset=[metric])
        if rows.empty:
            return float("nan"), f"no {metric} yet"
        last = rows[rows["step"] == rows["step"].iloc[-1]]
        value, seeds = float(last[metric].mean()), last["seed"].nunique()
        return value, f"{metric} {in_words(value)}" + (f", mean of {seeds} seeds" if seeds > 1 else "")

    def _presets(self, steps: list[int], metric: str) -> dict[str, Preset]:
        found = {"the end": Preset("The last step. Go back and watch where the right panel stopped changing.", {"step": steps[-1]})}
        for setting in self._settings:
            mean = self._history[self._history["setting"] == setting].groupby("step")[metric].mean().reindex(steps).dropna()
            if len(mean) and len(self._settings) > 1:
                found[f"{setting}, half-way"] = Preset(
                    f"Half-way through {setting}. Switch the setting and compare the right panels at the same step.",
                    {"setting": setting, "step": steps[len(steps) // 2]},
                )
        found["the start"] = Preset("The first step kept. Walk the step slider to the right with the arrow keys.", {})
        return found


def _metrics(run: Any) -> list[str]:
    if not isinstance(run, Run):
        raise bad_type("run", run, "a Run, which every experiment's run(config) returns")
    if not run.snapshots:
        raise bad_value("run", "a Run without snapshots", "a Run with at least one snapshot to look at")
    absent = [column for column in COLUMNS if column not in run.history]
    if absent:
        raise bad_value("run", f"a history without {', '.join(absent)}", f"a tidy history with columns {', '.join(COLUMNS)}")
    metrics = [str(c) for c in run.history.select_dtypes("number").columns if c not in COLUMNS]
    if not metrics:
        raise bad_value("run", "a history without metrics", "at least one column of numbers beside setting, seed and step")
    return metrics


def _panel(panel: Any) -> tuple[Start, Update]:
    if panel is None:
        return start_arrays, update_arrays
    if not isinstance(panel, tuple) or len(panel) != 2 or not all(callable(part) for part in panel):
        raise bad_type("panel", panel, "a pair of functions: start(ax, run) -> artists, update(artists, snapshot) -> words")
    return panel


def _edges(name: str, run: Run) -> np.ndarray:
    """Edges of an array's bars or bins, the same at every step."""
    arrays = [snapshot.arrays[name] for snapshot in run.snapshots if name in snapshot.arrays]
    longest = max(array.size for array in arrays)
    if longest <= FEW:
        return np.arange(longest + 1) - 0.5
    everything = np.concatenate([array.ravel() for array in arrays]).astype(float)
    everything = everything[np.isfinite(everything)]
    low, high = (everything.min(), everything.max()) if everything.size else (0.0, 1.0)
    return np.linspace(low, high if high > low else low + 1, BINS + 1)


def _heights(array: np.ndarray, edges: np.ndarray, few: bool) -> np.ndarray:
    flat = np.asarray(array, dtype=float).ravel()
    if few:
        return np.pad(flat, (0, len(edges) - 1 - len(flat)), constant_values=np.nan)
    return np.histogram(flat[np.isfinite(flat)], edges)[0] / max(1, flat.size)


def start_arrays(ax: Any, run: Run) -> dict[str, tuple[Any, np.ndarray, bool]]:
    """The default panel: every array of the snapshots as bars (few numbers) or as a histogram, on axes that stay."""
    names = list(dict.fromkeys(name for snapshot in run.snapshots for name in snapshot.arrays))
    artists, reach = {}, [0.0]
    few = all(array.size <= FEW for snapshot in run.snapshots for array in snapshot.arrays.values())
    for i, name in enumerate(names):
        edges = _edges(name, run)
        look: dict[str, Any] = {"color": PALETTE[i % len(PALETTE)], "linestyle": DASHES[i % len(DASHES)], "linewidth": 2.0}
        artists[name] = (ax.stairs(np.zeros(len(edges) - 1), edges, label=name, baseline=0, **look), edges, few)
        for snapshot in run.snapshots:
            if name in snapshot.arrays:
                heights = _heights(snapshot.arrays[name], edges, few)
                reach += [float(np.nanmin(heights, initial=0)), float(np.nanmax(heights, initial=0))]
    room = 0.05 * (max(reach) - min(reach) or 1.0)
    ax.set(xlabel="index" if few else "value", ylabel="value" if few else "share of the numbers", ylim=(min(reach) - room * (min(reach) < 0), max(reach) + room))
    ax.legend(frameon=True, framealpha=0.85, edgecolor="none")
    return artists


def update_arrays(artists: dict[str, tuple[Any, np.ndarray, bool]], snapshot: Snapshot) -> str:
    """The arrays of one snapshot, and their mean and spread in words."""
    words = []
    for name, (stairs, edges, few) in artists.items():
        stairs.set_visible(name in snapshot.arrays)
        if name in snapshot.arrays:
            array = np.asarray(snapshot.arrays[name], dtype=float)
            stairs.set_data(_heights(array, edges, few))
            words.append(f"{name}: {array.size} numbers, mean {in_words(float(array.mean()))}, standard deviation {in_words(float(array.std()))}")
    return "; ".join(words) if words else "no arrays at this step"
