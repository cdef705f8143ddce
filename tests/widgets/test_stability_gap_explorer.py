"""The stability-gap microscope: what it shows at a frequency of evaluation is what would have been measured at it."""

import dataclasses
import re

import pytest

from lossbook.experiments import many_positives, stability_gap
from lossbook.widgets import StabilityGapExplorer


@pytest.fixture(scope="module")
def run():
    return stability_gap.run(stability_gap.SCALES["tiny"], progress=False)


@pytest.fixture
def explorer(run):
    return StabilityGapExplorer(run)


def test_every_control_and_preset_changes_what_is_seen_and_said(explorer):
    explorer.move_every_control()
    assert explorer.values["every"] == 30  # it begins where nothing is seen


@pytest.mark.parametrize("every", [1, 5, 10, 30])
def test_the_words_hold_the_lowest_accuracy_seen_and_the_true_one(explorer, run, every):
    explorer.set(every=every, method="replay", seed=1, view="task 2, as task 3 begins")
    curve = stability_gap.table_of(run, "replay", 1)[0][:, 1]
    seen = [curve[step] for step in range(61, 91) if step % every == 0]
    pattern = r"seen while task 3 is learned is (\S+) \(dashed\)\. Truly it is (\S+) \(the cross\), (\d+)"
    found = re.search(pattern, explorer.alt)
    low, true, place = found.groups()
    assert low == f"{min(seen):.3f}"
    assert true == f"{curve[61:91].min():.3f}"
    assert curve[60 + int(place)] == curve[61:91].min()
    assert explorer._curve.get_ydata()[explorer._every.index(every)] == min(seen)
    assert explorer._here.get_data() == ([every], [min(seen)])


def test_the_left_panel_shows_only_what_was_evaluated(explorer, run):
    explorer.set(every=10, view="task 1, as task 2 begins")
    assert explorer._seen.get_xdata().tolist() == list(range(0, 91, 10))
    curve = stability_gap.table_of(run, "replay", 0)[0][:, 0]
    assert explorer._seen.get_ydata().tolist() == curve[::10].tolist()


def test_ends_of_tasks_are_always_among_the_evaluations(explorer):
    assert all(30 % every == 0 for every in explorer._every)


def test_it_zooms_in_on_the_switch(explorer):
    explorer.set(view="task 1, as task 2 begins", zoom=10)
    assert explorer._left.get_xlim() == (25, 40)


def test_it_freezes_into_a_page_with_a_picture_for_every_frequency(explorer):
    page = explorer.freeze("every")
    assert len(set(re.findall(r"evaluated (after every update|every \d+ updates)", page))) == len(explorer._every)
    assert "https://" not in page


def test_what_is_no_such_run_is_refused(run):
    with pytest.raises(TypeError, match=r"^run: got 'replay'"):
        StabilityGapExplorer("replay")
    other = many_positives.run(many_positives.SCALES["tiny"], progress=False)
    with pytest.raises(ValueError, match=r"^run: got 'many_positives', expected a run of stability_gap"):
        StabilityGapExplorer(other)
    single = dataclasses.replace(run, history=run.history[run.history.task == 0])
    with pytest.raises(ValueError, match=r"^run: got '1 task', expected two tasks or more"):
        StabilityGapExplorer(single)
