"""The reshaping explorer: the lines are the records' own, and the words say what form a gradient has."""

import numpy as np
import pytest

from lossbook.catalog import find
from lossbook.figures.reshaping import CHART, CONFIDENCES, pulls, start_of, weights
from lossbook.widgets import ReshapingExplorer
from lossbook.widgets.reshaping import MOST, PRESETS


@pytest.fixture(scope="module")
def explorer():
    return ReshapingExplorer()


def shown(explorer):
    return [key for key in CHART if explorer._lines[key][0].get_visible()]


@pytest.mark.parametrize("key", CHART)
def test_the_lines_are_read_off_the_record_and_the_words_at_the_confidence(key, explorer):
    explorer.set(losses=(key,), confidence=0.3, classes=100)
    left, right = explorer._lines[key]
    record, parameters = find(key), start_of(key)
    assert np.allclose(left.get_ydata(), weights(record, CONFIDENCES, 100, parameters))
    assert np.allclose(right.get_ydata(), pulls(record, CONFIDENCES, 100, parameters))
    dashed = left.get_linestyle() != "-"
    assert ("dashed: not of the form" in explorer.caption) == dashed
    assert shown(explorer) == [key]
    explorer.set(losses=("poly_loss", "focal_loss"), confidence=0.5, classes=10)


def test_a_dashed_line_becomes_solid_where_the_form_comes_back():
    explorer = ReshapingExplorer(("cross_entropy",))
    assert explorer._lines["cross_entropy"][0].get_linestyle() != "-"
    explorer.set(label_smoothing=0.0)
    assert explorer._lines["cross_entropy"][0].get_linestyle() == "-"
    assert "dashed" not in explorer.caption


def test_of_more_than_four_losses_the_first_four_are_drawn_and_the_others_named(explorer):
    explorer.set(losses=tuple(CHART))
    assert shown(explorer) == list(CHART)[:MOST]
    assert f"left out: {', '.join(list(CHART.values())[MOST:])}" in explorer.alt
    explorer.set(losses=("poly_loss", "focal_loss"))


def test_the_slider_of_a_parameter_is_seen_while_its_loss_is_shown(explorer):
    explorer.set(losses=("poly_loss",))
    assert explorer.control("epsilon").visible
    assert not explorer.control("tau").visible
    explorer.set(losses=("comp_sum_loss",))
    assert explorer.control("tau").visible
    assert not explorer.control("epsilon").visible
    explorer.set(losses=("poly_loss", "focal_loss"))


def test_every_control_and_preset_changes_what_is_seen_or_said():
    explorer = ReshapingExplorer()
    seen = explorer.move_every_control()
    assert len(set(seen)) == len(seen)


def test_what_the_presets_say_is_there(explorer):
    explorer.choose("sure rows count more")
    assert explorer._lines["poly_loss"][0].get_ydata()[-1] == pytest.approx(3, abs=0.02)
    explorer.choose("easy rows count less")
    poly = explorer._lines["poly_loss"][0].get_ydata()
    assert np.diff(poly) == pytest.approx(np.diff(1 - CONFIDENCES))  # "falls too, in a straight line"
    explorer.choose("rows that are given up")
    for key in ("taylor_cross_entropy", "comp_sum_loss"):
        assert explorer._lines[key][0].get_ydata()[0] < 0.01
    explorer.choose("many tries")
    assert explorer._lines["direct_coverage_loss"][0].get_ydata()[125] < 1e-4
    explorer.choose("of another form")
    assert all(explorer._lines[key][0].get_linestyle() != "-" for key in shown(explorer))
    assert set(explorer.presets) == set(PRESETS)


def test_it_freezes_into_a_page_that_says_each_picture_in_words():
    page = ReshapingExplorer(("poly_loss",)).freeze("epsilon", steps=3)
    for number in ("0.5", "2", "3.5"):
        assert f"weight {number}, pull" in page
    assert "https://" not in page


def test_a_loss_that_is_not_in_the_chart_is_refused():
    with pytest.raises(ValueError, match=r"^losses: got 'hinge_loss', expected one of 'cross_entropy'"):
        ReshapingExplorer(("hinge_loss",))
    with pytest.raises(ValueError, match=r"^losses: got \(\), expected at least one value"):
        ReshapingExplorer(())
