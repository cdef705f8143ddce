"""The reliability explorer: its two pictures show what the metrics say, and each hides what it is said to hide."""

import re
import time

import numpy as np
import pytest
import torch

from lossbook.experiments.calibration_measures import Config
from lossbook.experiments.run import recorded
from lossbook.metrics import expected_calibration_error, reliability_bins, smooth_ece, smooth_ece_at
from lossbook.widgets import ReliabilityExplorer
from lossbook.widgets.reliability import BANDWIDTHS, GENERATED, OWN, PRESETS, samples_of

ERRORS = re.compile(r"binned error (\S+) with (\d+) bins of equal \w+; smooth error (\S+) at width (\S+), ")


@pytest.fixture(scope="module")
def explorer():
    return ReliabilityExplorer(recorded("calibration_measures_small", Config))


def read(explorer):
    return [float(number) for number in ERRORS.search(explorer.alt).groups()]


def test_every_control_and_preset_changes_what_is_seen_and_said(explorer):
    seen = explorer.move_every_control()
    assert len(set(seen)) == len(seen)
    assert explorer.values["data"] == "over-confident"


@pytest.mark.parametrize("name", GENERATED)
def test_the_words_hold_the_numbers_of_the_metrics(name, explorer):
    sample = GENERATED[name]()
    explorer.set(data=name, bins=7.0, bandwidth=0.1)
    binned, bins, smooth, width = read(explorer)
    assert (bins, width) == (7, 0.1)
    assert binned == pytest.approx(expected_calibration_error(*sample, bins=7), rel=5e-3)
    assert smooth == pytest.approx(float(smooth_ece_at(*sample, bandwidth=0.1)), rel=5e-3)
    explorer.set(bandwidth=OWN)
    assert read(explorer)[2] == read(explorer)[3] == pytest.approx(smooth_ece(*sample), rel=5e-3)


def test_the_steps_are_those_of_the_bins(explorer):
    explorer.set(data="calibrated", bins=20.0, kind="equal numbers")
    found = reliability_bins(*GENERATED["calibrated"](), bins=20, equal_mass=True)
    heights = explorer._steps.get_ydata().reshape(20, 3)[:, 0]
    np.testing.assert_allclose(heights, found.accuracy.numpy())
    drawn = [gap.get_height() for gap in explorer._gaps]
    assert drawn[:20] == pytest.approx(found.gap.abs().tolist())
    assert not any(drawn[20:])
    explorer.set(kind="equal width")


def test_the_sets_are_what_their_names_say():
    share = {name: make() for name, make in GENERATED.items()}
    bold, modest = share["over-confident"], share["under-confident"]
    for sample, sign in ((bold, 1), (modest, -1)):
        high = sample.confidence > 0.8
        assert sign * float((sample.confidence - sample.correct)[high].mean()) > 0.05
    near = share["two points, either side of a half"]
    assert float((near.confidence - 0.5).abs().max()) == pytest.approx(1e-4)
    assert torch.equal(near.correct, (near.confidence > 0.5).double())


def test_the_presets_say_what_is_there(explorer):
    explorer.choose("an edge between two neighbours")
    assert read(explorer)[0] == pytest.approx(0.5, abs=1e-3)
    explorer.set(bins=9.0)
    assert read(explorer)[0] < 1e-6
    explorer.choose("what a bin hides")
    assert read(explorer)[0] < 0.001
    explorer.set(bins=20.0)
    assert read(explorer)[0] > 0.13
    explorer.choose("what a wide kernel hides")
    assert read(explorer)[2] < 0.01
    explorer.set(bandwidth=0.01)
    assert read(explorer)[2] > 0.13
    explorer.choose("a bandwidth that is too narrow")
    assert read(explorer)[2] > 2 * smooth_ece(*GENERATED["calibrated"]())
    assert set(PRESETS) == set(explorer.presets)


def test_the_recorded_networks_are_there_and_over_confident_where_they_should_be(explorer):
    networks = samples_of(recorded("calibration_measures_small", Config))
    assert set(networks) <= set(explorer.control("data").tour(99))
    bold = networks["network: generalised, 20% wrong labels, as trained"]
    assert float((bold.confidence - bold.correct).mean()) > 0.2
    assert len(ReliabilityExplorer().control("data").tour(99)) == len(GENERATED)


def test_a_move_takes_less_than_a_tenth_of_a_second_of_work(explorer):
    """About 55 milliseconds here; a curve that has been seen is not computed again."""
    spent = []
    for name, values in (("bins", (3.0, 30.0, 60.0)), ("bandwidth", BANDWIDTHS[2:5])):
        for value in values:
            began = time.process_time()
            explorer.set(**{name: value})
            spent.append(time.process_time() - began)
    assert sorted(spent)[len(spent) // 2] < 0.1


def test_it_freezes_into_a_page_that_says_each_picture_in_words():
    page = ReliabilityExplorer().freeze("bins", steps=3)
    assert {int(bins) for bins in re.findall(r"with (\d+) bins", page)} == {1, 15, 30, 31, 60} - {30}
    assert "https://" not in page


def test_the_frozen_page_holds_every_set_and_every_preset(explorer):
    plan = explorer._plan(explorer.most_pictures)
    assert len(plan) <= explorer.most_pictures
    assert {setting["data"] for setting in plan} == set(explorer.control("data").tour(99))
    for preset in PRESETS.values():
        assert any(preset.values.items() <= setting.items() for setting in plan)
