"""Pictures of the stability gap: they show what the history and the scores say."""

import dataclasses

import numpy as np
import pytest
from cases import drawn, labelled

from lossbook.experiments import stability_gap
from lossbook.figures import stability_gap as figures


@pytest.fixture(scope="module")
def run():
    return stability_gap.run(dataclasses.replace(stability_gap.SCALES["tiny"], iterations=15), progress=False)


@pytest.fixture(scope="module")
def scores(run):
    return stability_gap.scores(run)


@pytest.mark.parametrize("plot", [figures.plot_accuracy, figures.plot_gap, figures.plot_projected])
def test_a_plot_draws_on_the_axes_given_or_on_new_ones_and_changes_no_setting(plot, run):
    drawn(plot, run)


def test_every_method_has_a_colour_of_its_own():
    assert set(figures.COLOURS) == set(stability_gap.METHODS)
    assert len(set(figures.COLOURS.values())) == len(figures.COLOURS)


def test_accuracy_is_the_mean_over_seeds_from_the_first_row_of_its_task(run):
    ax = figures.plot_accuracy(run, task=2, methods=("replay", "finetune"))
    lines = labelled(ax)
    assert list(lines) == ["replay", "finetune"]
    rows = run.history[(run.history.setting == "replay") & (run.history.task > 0)]
    assert lines["replay"].get_xdata().tolist() == list(range(16, 46))
    assert lines["replay"].get_ydata() == pytest.approx(rows.groupby("step")["accuracy 2"].mean().to_numpy())
    assert [line.get_xdata()[0] for line in ax.get_lines() if line.get_linestyle() == ":"] == [15, 30]


def test_fewer_evaluations_show_fewer_points(run):
    lines = labelled(figures.plot_accuracy(run, methods=("replay",), every=15))
    assert lines["replay"].get_xdata().tolist() == [0, 15, 30, 45]


def test_the_gap_plot_has_both_ends_of_each_seed(run, scores):
    ax = figures.plot_gap(run)
    filled, hollow = ax.collections[0], ax.collections[1]
    rows = scores[scores.setting == run.config.methods[0]]
    assert filled.get_offsets()[:, 0].data == pytest.approx(rows.accuracy.to_numpy())
    assert hollow.get_offsets()[:, 0].data == pytest.approx(rows.min_accuracy.to_numpy())
    assert [text.get_text() for text in ax.get_yticklabels()] == list(run.config.methods)


def test_the_angle_plot_takes_runs_by_angle(run, scores):
    lines = labelled(figures.plot_angles({160.0: run, 40.0: run}))
    assert lines["min-ACC"].get_xdata().tolist() == [40.0, 160.0]
    assert np.unique(lines["min-ACC"].get_ydata()) == pytest.approx(scores.min_accuracy.mean())
    drawn(lambda run, ax=None: figures.plot_angles({40.0: run}, ax), run)


def test_the_projection_plot_is_in_percent(run, scores):
    ax = figures.plot_projected(run)
    (bar,) = ax.patches
    assert bar.get_height() == pytest.approx(100 * scores[scores.setting == "replay + A-GEM"].projected.mean())


def test_what_the_run_has_not_is_refused_by_name(run):
    for options, words in (
        ({"methods": ("GEM",)}, "^methods: got 'GEM', expected one of 'finetune'"),
        ({"task": 4}, "^task: got 4, expected 1 to 3"),
        ({"every": 0}, "^every: got 0, expected 1 to 45 updates"),
    ):
        with pytest.raises(ValueError, match=words):
            figures.plot_accuracy(run, **options)
    plain = dataclasses.replace(run, history=run.history[run.history.setting == "replay"])
    with pytest.raises(ValueError, match=r"^run: got .*a run with a method that projects"):
        figures.plot_projected(plain)
