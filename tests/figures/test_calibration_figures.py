"""Pictures of calibration: they show the bins, the curve and the history that they were given."""

import numpy as np
import pytest
import torch
from cases import drawn, labelled

from lossbook.experiments import calibration_measures, proper_scores
from lossbook.experiments.calibration_measures import Config
from lossbook.experiments.run import recorded
from lossbook.figures import calibration as figures
from lossbook.metrics import reliability_bins, smooth_reliability

MEASURES = ("ece 10", "smooth_ece")


@pytest.fixture(scope="module")
def runs():
    measured = recorded("calibration_measures_small", Config)
    return {
        "measures": measured,
        "scores": proper_scores.run(proper_scores.SCALES["tiny"], progress=False),
    }


@pytest.fixture(scope="module")
def predictions():
    generator = torch.Generator().manual_seed(0)
    forecast, chance = torch.rand(2, 300, dtype=torch.float64, generator=generator)
    return 0.5 + forecast / 2, (chance < forecast).double()


PLOTS = {
    "noise": ("measures", figures.plot_noise_of_measures),
    "known": ("measures", figures.plot_known_error),
    "order": ("measures", figures.plot_order),
    "distance": ("scores", figures.plot_distance_to_truth),
}


@pytest.mark.parametrize("name", PLOTS)
def test_a_plot_draws_on_the_axes_given_or_on_new_ones_and_changes_no_setting(name, runs):
    which, plot = PLOTS[name]
    assert drawn(plot, runs[which]).get_legend() is not None


def test_the_binned_diagram_has_a_step_and_a_gap_for_each_bin_that_holds_something(predictions):
    found = reliability_bins(*predictions, bins=10)
    ax = drawn(figures.plot_reliability_bins, found)
    filled = (found.counts > 0).numpy()
    assert filled.sum() == 5  # none below a half
    (steps,) = [lines for lines in ax.collections if lines.get_label() == "came true"]
    ends = np.array(steps.get_segments())
    assert ends[:, 0, 1].tolist() == pytest.approx(found.accuracy.numpy()[filled].tolist())
    edges = np.stack([found.edges[:-1].numpy()[filled], found.edges[1:].numpy()[filled]], 1)
    np.testing.assert_allclose(ends[:, :, 0], edges)
    gaps, shares = ax.containers
    assert [bar.get_height() for bar in gaps] == pytest.approx(found.gap.abs().numpy()[filled].tolist())
    assert max(bar.get_height() for bar in shares) == pytest.approx(figures.SHARES)


def test_the_smooth_diagram_has_the_curve_its_band_and_its_density(predictions):
    found = smooth_reliability(
        *predictions, bandwidth=0.05, points=33, resamples=10, generator=torch.Generator().manual_seed(0)
    )
    ax = drawn(figures.plot_smooth_reliability, found)
    curve = labelled(ax)["came true"]
    np.testing.assert_allclose(curve.get_ydata(), found.accuracy.numpy())
    band, density = ax.collections
    inside = np.isfinite(found.low.numpy())
    assert band.get_paths()[0].vertices[:, 1].max() == pytest.approx(np.nanmax(found.high.numpy()[inside]))
    assert density.get_paths()[0].vertices[:, 1].max() == pytest.approx(figures.SHARES)
    plain = figures.plot_smooth_reliability(smooth_reliability(*predictions, bandwidth=0.05, points=33))
    assert len(plain.collections) == 1  # no band without resamples


def test_the_noise_is_the_mean_of_a_calibrated_forecaster_over_seeds(runs):
    ax = figures.plot_noise_of_measures(runs["measures"], measures=MEASURES)
    rows = runs["measures"].history.query("part == 'known' and a == 1")
    lines = labelled(ax)
    assert list(lines) == ["ECE, 10 bins", "smECE"]
    for line, name in zip(lines.values(), MEASURES, strict=True):
        assert line.get_ydata() == pytest.approx(rows.groupby("step")[name].mean().to_numpy())


def test_the_known_error_is_the_formula_s(runs):
    lines = labelled(figures.plot_known_error(runs["measures"], measures=MEASURES))
    a = np.array(runs["measures"].config.exponents)
    assert lines["known error"].get_ydata() == pytest.approx(np.abs(1 / (a + 1) - 0.5))


def test_a_line_of_the_order_is_a_network_of_the_first_seed(runs):
    lines = labelled(figures.plot_order(runs["measures"], measures=MEASURES))
    rows = runs["measures"].history.query("part == 'tempered' and half == -1 and noise == 0 and seed == 0")
    assert list(lines) == list(rows.setting)
    for name, row in rows.set_index("setting").iterrows():
        assert lines[name].get_ydata().tolist() == [row[measure] for measure in MEASURES]


@pytest.mark.parametrize("plot", [figures.plot_noise_of_measures, figures.plot_known_error, figures.plot_order])
def test_a_measure_that_the_run_has_not_is_refused(plot, runs):
    with pytest.raises(ValueError, match=r"^measures: got 'ece 7', expected one of 'ece 5', 'ece 10'"):
        plot(runs["measures"], measures=("ece 7",))


def test_expected_scores_are_drawn_above_their_least_with_a_mark_there():
    reports = np.linspace(0.01, 0.99, 99)
    scores = {"square": (reports - 0.7) ** 2 + 3, "size": np.abs(reports - 0.7)}
    ax = drawn(lambda scores, ax=None: figures.plot_expected_scores(reports, scores, 0.7, ax), scores)
    for line in labelled(ax).values():
        (least,) = line.get_markevery()
        assert reports[least] == pytest.approx(0.7)
        assert line.get_ydata()[least] == 0
        assert line.get_ydata()[49] == pytest.approx(1)  # at the even report


def test_proper_losses_are_whole_lines_and_the_others_dashed(runs):
    lines = labelled(figures.plot_distance_to_truth(runs["scores"]))
    rows = runs["scores"].history.set_index(["setting", "step"]).distance
    for name, line in lines.items():
        assert line.get_linestyle() == ("-" if name in proper_scores.PROPER else "--")
        assert line.get_ydata().tolist() == rows[name].tolist()


def test_the_recorded_run_is_of_the_small_scale(runs):
    assert runs["measures"].config == calibration_measures.SCALES["small"]
