"""One set of predictions, two reliability diagrams: in bins, and smooth; and what each of them hides."""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from lossbook.experiments.run import Run
from lossbook.figures.calibration import SHARES, reliability_axes
from lossbook.figures.html import in_words
from lossbook.figures.style import BLUE, GREY, ORANGE, new_figure, styled
from lossbook.metrics import (
    SmoothReliability,
    expected_calibration_error,
    reliability_bins,
    smooth_reliability,
)
from lossbook.widgets.canvas import legend_above
from lossbook.widgets.controls import Control, choice, slider, stops
from lossbook.widgets.explorer import Explorer, Preset

COUNT = 2_000  # predictions of each generated set
RESAMPLES, POINTS = 60, 129
OWN = 0.0  # a width that nobody chose: the one that equals the error
BANDWIDTHS = (OWN, 0.005, 0.01, 0.02, 0.03, 0.05, 0.07, 0.1, 0.15, 0.2, 0.3, 0.5)
MOST_BINS = 60
WIDTHS, MASSES = "equal width", "equal numbers"


class Sample(NamedTuple):
    """Confidences, and whether each came true."""

    confidence: Tensor
    correct: Tensor


def _drawn(truth: Any) -> Sample:
    """Uniform confidences, each true with the probability that `truth` gives it."""
    generator = torch.Generator().manual_seed(0)
    confidence, chance = torch.rand(2, COUNT, dtype=torch.float64, generator=generator)
    return Sample(confidence, (chance < truth(confidence)).double())


def _two_points() -> Sample:
    """Half of the predictions a hair below a half and false, half a hair above and true."""
    correct = torch.arange(COUNT) % 2
    return Sample(0.5 + 1e-4 * (2 * correct.double() - 1), correct.double())


def _opposite() -> Sample:
    """In each tenth two forecasts: the lower comes true too often, the higher too seldom by as much."""
    groups, each = torch.arange(20), COUNT // 20
    forecast = (groups // 2 + 0.5) / 10 + 0.025 * (2 * (groups % 2) - 1)
    share = (forecast - 0.15 * (2 * (groups % 2) - 1)).clamp(0, 1)
    share[[0, 1, 18, 19]] = torch.tensor([0.1, 0.0, 1.0, 0.9])  # no share is below 0, nor above 1
    came = (torch.arange(each) < (each * share).round()[:, None]).double()
    return Sample(forecast.double().repeat_interleave(each), came.reshape(-1))


GENERATED = {
    "calibrated": lambda: _drawn(lambda f: f),
    "over-confident": lambda: _drawn(lambda f: 0.5 + 0.6 * (f - 0.5)),
    "under-confident": lambda: _drawn(lambda f: torch.sigmoid(2 * torch.logit(f, eps=1e-9))),
    "two points, either side of a half": _two_points,
    "opposite errors in every tenth": _opposite,
}
"""By name: what makes the set."""

PRESETS = {
    "nothing is wrong": Preset(
        "Outcomes were drawn with these very probabilities. Raise the bins: the error grows, and all of it is noise.",
        {"data": "calibrated", "bins": 60.0},
        {"bins": (5.0, 15.0)},
    ),
    "an edge between two neighbours": Preset(
        "All forecasts are within 0.0001 of a half. With an even number of bins an edge parts them, and the error is a "
        "half; with an odd number there is none. Smooth, it is small, and moves only a little.",
        {"data": "two points, either side of a half", "bins": 10.0},
        {"bins": (9.0, 11.0)},
    ),
    "what a bin hides": Preset(
        "Every tenth holds two forecasts, wrong by 0.15 in opposite ways. Ten bins see next to nothing. Twenty do.",
        {"data": "opposite errors in every tenth", "bins": 10.0, "bandwidth": 0.01},
        {"bins": (20.0,)},
    ),
    "what a wide kernel hides": Preset(
        "The same forecasts, smoothed over 0.2: opposite errors cancel, as in a wide bin. Choose the bandwidth 0.01.",
        {"data": "opposite errors in every tenth", "bins": 20.0, "bandwidth": 0.2},
        {"bandwidth": (0.01, OWN)},
    ),
    "a bandwidth that is too narrow": Preset(
        "At 0.005 the curve follows single outcomes and the band is as wide as the errors that it finds.",
        {"data": "calibrated", "bandwidth": 0.005},
    ),
}


def samples_of(run: Run) -> dict[str, Sample]:
    """The recorded predictions of networks in a run of `lossbook.experiments.calibration_measures`."""
    words = {"networks": "as trained", "tempered": "temperature fitted"}
    found = {}
    for shot in run.snapshots:
        name, noise, part = shot.setting.split(", ")
        share = f"{float(noise.removeprefix('noise=')):.0%} wrong labels"
        arrays = (torch.as_tensor(shot.arrays[part]).double() for part in Sample._fields)
        found[f"network: {name}, {share}, {words[part]}"] = Sample(*arrays)
    return found


class ReliabilityExplorer(Explorer):
    """A set of predictions judged twice: left in bins, right by a kernel.

    How to read it: both ask how often what was predicted came true, against the confidence; the dotted diagonal is a
    promise kept. Left a step a bin, hatched its distance from what the bin promised. Right the curve of a kernel of
    width s and a band that holds 95 % of the curves of resampled predictions. Grey at the bottom: where the predictions
    are. The numbers in the titles are the errors.

    Args:
        run: of `lossbook.experiments.calibration_measures`, for the recorded predictions of its networks; None: only
            generated sets.
        presets: name -> `Preset`; None takes the built-in ones.

    Example:
        >>> explorer = ReliabilityExplorer()
        >>> explorer.choose("an edge between two neighbours")
        >>> "binned error 0.5 " in explorer.alt
        True
    """

    together = (("data", "bins"), ("data", "bandwidth"))
    at_presets = ("bins", "bandwidth")

    def __init__(self, run: Run | None = None, *, presets: Mapping[str, Preset] | None = None):
        generated = {name: make() for name, make in GENERATED.items()}
        self._samples = generated | (samples_of(run) if run is not None else {})
        self._smooth = lru_cache(maxsize=64)(self._smoothed)
        self._build()
        controls: dict[str, Control] = {
            "data": choice("predictions", list(self._samples), "over-confident"),
            "bins": slider("bins", 15.0, 1.0, float(MOST_BINS), 1.0, "of the left picture"),
            "kind": choice("bins of", [WIDTHS, MASSES], WIDTHS),
            "bandwidth": stops("bandwidth, 0: own", BANDWIDTHS, OWN),
        }
        super().__init__(self._figure, controls, PRESETS if presets is None else presets)

    @styled
    def _build(self) -> None:
        self._figure, (left, right) = new_figure(2, width=10.0, height=4.9)
        reliability_axes(left, "In bins")
        reliability_axes(right, "Smooth")
        self._axes = left, right
        none = np.zeros(MOST_BINS)
        grey: dict[str, Any] = {"color": GREY, "alpha": 0.7, "linewidth": 0.0, "zorder": 0, "animated": True}
        gap: dict[str, Any] = {"facecolor": "none", "edgecolor": ORANGE, "hatch": "///", "linewidth": 0}
        gap |= {"zorder": 2, "animated": True}
        self._gaps = left.bar(none, none, 0.1, align="edge", label="gap to the promise", **gap)
        self._shares = left.bar(none, none, 0.1, align="edge", **grey)
        (self._steps,) = left.plot([], [], color=BLUE, linewidth=2.6, zorder=3, animated=True)
        points = np.linspace(0, 1, POINTS)
        band: dict[str, Any] = {"color": BLUE, "alpha": 0.15, "linewidth": 0, "animated": True}
        self._band = right.fill_between(points, 0 * points, label="95 % of resampled curves", **band)
        self._density = right.fill_between(points, 0 * points, label="where predictions are", **grey)
        (self._curve,) = right.plot([], [], color=BLUE, linewidth=2.6, label="came true", zorder=3, animated=True)
        self._titles = [ax.set_title(ax.get_title(), animated=True) for ax in self._axes]
        handles = [self._curve, self._gaps, self._band, self._density]
        legend_above(self._figure, handles, [handle.get_label() for handle in handles])

    def _smoothed(self, data: str, bandwidth: float) -> SmoothReliability:
        sample = self._samples[data]
        return smooth_reliability(
            sample.confidence,
            sample.correct,
            bandwidth=None if bandwidth == OWN else bandwidth,
            points=POINTS,
            resamples=RESAMPLES,
            generator=torch.Generator().manual_seed(1),
        )

    def _show(self, values: dict[str, Any]) -> tuple[str, str]:
        sample, bins, equal_mass = self._samples[values["data"]], int(values["bins"]), values["kind"] == MASSES
        binned = self._draw_bins(sample, bins, equal_mass)
        found = self._smooth(values["data"], values["bandwidth"])
        self._draw_curve(found)
        sure, right = (float(part.mean()) for part in sample)
        self._titles[0].set_text(f"{bins} bins: error {in_words(binned)}")
        self._titles[1].set_text(f"Kernel of width {in_words(found.bandwidth)}: error {in_words(found.error)}")
        kept = f"Mean confidence {in_words(sure)}, of which {in_words(right)} came true."
        whose = "the width that equals the error" if values["bandwidth"] == OWN else "a width that was chosen"
        reading = (
            f"binned error {in_words(binned)} with {bins} bins of {values['kind']}; smooth error "
            f"{in_words(found.error)} at width {in_words(found.bandwidth)}, {whose}"
        )
        middle = POINTS // 2
        alt = (
            f"Two reliability diagrams of {len(sample.correct):,} predictions, {values['data']}. {reading}. {kept} "
            f"The smooth curve at confidence 0.5 is {in_words(float(found.accuracy[middle]))}, its band from "
            f"{in_words(float(found.low[middle]))} to {in_words(float(found.high[middle]))}."
        )
        return alt, f"{values['data'].capitalize()}: {reading}. {kept}"

    def _draw_bins(self, sample: Sample, bins: int, equal_mass: bool) -> float:
        found = reliability_bins(*sample, bins=bins, equal_mass=equal_mass)
        edges, share = found.edges.numpy(), found.share.numpy()
        accuracy, promised = (part.nan_to_num().numpy() for part in (found.accuracy, found.confidence))
        widths, filled = np.diff(edges), share > 0
        for k, (gap, bar) in enumerate(zip(self._gaps, self._shares, strict=True)):
            there = k < bins and filled[k]
            for patch, bottom, height in (
                (gap, min(accuracy[k], promised[k]), abs(accuracy[k] - promised[k])) if there else (gap, 0.0, 0.0),
                (bar, 0.0, SHARES * share[k] / share.max()) if there else (bar, 0.0, 0.0),
            ):
                patch.set_bounds(edges[k] if there else 0.0, bottom, widths[k] if there else 0.0, height)
        heights = np.where(filled, accuracy, np.nan)
        places = np.stack([edges[:-1], edges[1:], edges[1:]], 1).ravel()
        self._steps.set_data(places, np.stack([heights, heights, np.full(bins, np.nan)], 1).ravel())
        return expected_calibration_error(*sample, bins=bins, equal_mass=equal_mass)

    def _draw_curve(self, found: SmoothReliability) -> None:
        points, accuracy, density, low, high = (part.numpy() for part in found[2:])
        self._curve.set_data(points, accuracy)
        there = np.isfinite(low)
        self._band.set_data(points, np.where(there, low, np.nan), np.where(there, high, np.nan))
        self._density.set_data(points, SHARES * density / density.max(), 0 * points)
