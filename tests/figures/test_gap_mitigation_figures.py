"""Pictures of the stability gap's remedies: they show what the history says."""

import numpy as np
import pytest
from cases import drawn, labelled

from lossbook.experiments import gap_mitigations
from lossbook.experiments.run import Snapshot
from lossbook.figures import gap_mitigations as figures
from lossbook.figures import new_figure


@pytest.fixture(scope="module")
def run():
    return gap_mitigations.run(gap_mitigations.SCALES["tiny"], progress=False)


def test_the_course_is_the_mean_over_seeds_with_the_joint_level(run):
    lines = labelled(drawn(figures.plot_course, run))
    assert list(lines) == ["vanilla", "init", "SGM", "joint model"]
    rows = run.history[run.history.setting == "init"].groupby("step").old_accuracy.mean()
    assert lines["init"].get_ydata() == pytest.approx(rows.to_numpy())
    joint = run.history[run.history.setting == "joint"]
    level = joint[joint.step == joint.step.max()].old_accuracy.mean()
    assert set(lines["joint model"].get_ydata()) == {level}


def test_the_course_of_another_number_can_be_cut_and_has_no_level(run):
    lines = labelled(figures.plot_course(run, settings=("vanilla",), number="new_loss", until=5))
    assert list(lines) == ["vanilla"]
    assert lines["vanilla"].get_xdata().tolist() == list(range(6))


def test_unknown_settings_and_numbers_are_refused(run):
    with pytest.raises(ValueError, match=r"^number: got 'speed', expected one of 'old_accuracy'"):
        figures.plot_course(run, number="speed")
    with pytest.raises(ValueError, match=r"^settings: got 'hope', expected one of 'vanilla'"):
        figures.plot_course(run, settings=("hope",))
    with pytest.raises(ValueError, match=r"^numbers: got 'speed', expected one of 'lowest'"):
        figures.plot_settings(run, numbers=("speed",))


def test_the_plot_of_settings_has_a_picture_a_number_and_a_row_a_setting(run):
    axes = figures.plot_settings(run, numbers=("lowest", "stability"))
    table = gap_mitigations.summary(run)
    for ax, number in zip(axes, ("lowest", "stability"), strict=True):
        for place, (setting, points) in enumerate(zip(run.config.settings, ax.collections, strict=True)):
            assert points.get_offsets()[:, 0].tolist() == pytest.approx(table.loc[setting, number].tolist())
            assert set(points.get_offsets()[:, 1]) == {place}
    assert [text.get_text() for text in axes[0].get_yticklabels()] == list(run.config.settings)
    axes[0].figure.canvas.draw()


def test_the_margin_panel_counts_what_is_taken_for_a_new_class(run):
    start, update = figures.MARGINS_PANEL
    _, ax = new_figure()
    artists = start(ax, run)
    for snapshot in run.snapshots:
        words = update(artists, snapshot)
        shares = artists["stairs"].get_data().values
        assert shares.sum() == pytest.approx(1)
        assert shares.max() <= ax.get_ylim()[1]
    ax.figure.canvas.draw()
    words = update(artists, Snapshot("init", 0, {"margins": np.array([-1.0, 2.0, 3.0, 4.0])}))
    assert words == "25 % of old examples are taken for a new class; half have a margin above 2.5"
