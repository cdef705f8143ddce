"""Pictures of frames: they show what the history and the closed forms say."""

import dataclasses

import numpy as np
import pytest
from cases import drawn, labelled

from lossbook.experiments import unconstrained_features
from lossbook.experiments.run import Run
from lossbook.figures import frames as figures
from lossbook.figures import new_figure

UNEQUAL = "squared error, unequal classes, M=1"


@pytest.fixture(scope="module")
def run():
    config = dataclasses.replace(unconstrained_features.SCALES["tiny"], steps=150, sweep_steps=150)
    return unconstrained_features.run(config, progress=False)


@pytest.mark.parametrize(
    ("plot", "options"),
    [(figures.plot_distances, {"setting": UNEQUAL}), (figures.plot_vanishing, {"layers": 2})],
    ids=["distances", "vanishing"],
)
def test_a_plot_draws_on_the_axes_given_or_on_new_ones_and_changes_no_setting(plot, options, run):
    assert drawn(lambda run, ax=None: plot(run, ax, **options), run).get_legend() is not None


def test_distances_are_a_line_for_each_number_and_seed(run):
    ax = figures.plot_distances(run, setting=UNEQUAL)
    assert len(ax.get_lines()) == 4 * 2
    rows = run.history[(run.history.setting == UNEQUAL) & (run.history.seed == 0)]
    assert labelled(ax)["NC1"].get_ydata() == pytest.approx(rows["NC1"])
    assert ax.get_title(loc="left") == "Squared error, unequal classes, M=1"


def test_tables_of_products_are_divided_by_their_largest(run):
    equal = UNEQUAL.replace("unequal", "equal")
    axes = figures.plot_products(run, settings=(UNEQUAL, equal), matrix="means")
    kept = {snapshot.setting: snapshot.arrays["means"] for snapshot in run.snapshots}
    for ax, setting in zip(axes, (UNEQUAL, equal), strict=True):
        shown = ax.collections[0].get_array().reshape(4, 4)
        assert np.allclose(shown, kept[setting] / np.abs(kept[setting]).max())
        assert len(ax.texts) == 16
    axes[0].figure.canvas.draw()


def test_vanishing_classes_have_a_line_of_the_closed_form_and_a_mark_a_run(run):
    ax = figures.plot_vanishing(run, layers=2)
    lines = labelled(ax)
    assert list(lines) == ["12 examples", "6 examples", "3 examples"]
    theory = unconstrained_features.outer_minima(run.config, 2)
    for k, line in enumerate(lines.values(), 1):
        assert line.get_ydata() == pytest.approx(theory[theory["class"] == k].length)
    # a collection a class and start: three decays and two seeds in each
    assert [len(marks.get_offsets()) for marks in ax.collections] == [6] * 6
    one = figures.plot_vanishing(run, layers=1)
    assert [len(marks.get_offsets()) for marks in one.collections] == [6] * 3


def test_the_minority_plot_shows_cosine_and_length_of_both_losses(run):
    left, right = axes = figures.plot_minority(run)
    rows = run.history[(run.history.part == "minority") & (run.history.step == 150)]
    entropy = rows[rows.setting.str.startswith("cross")].groupby("size")
    assert labelled(left)["cross-entropy"].get_ydata() == pytest.approx(entropy["cosine"].mean())
    assert labelled(right)["cross-entropy"].get_ydata() == pytest.approx(entropy["length 4"].mean())
    given = new_figure(2)[1]
    assert figures.plot_minority(run, given) is given
    axes[0].figure.canvas.draw()


def test_what_a_run_has_not_is_refused_by_name(run):
    with pytest.raises(ValueError, match=r"^setting: got 'hinge', expected one of"):
        figures.plot_distances(run, setting="hinge")
    with pytest.raises(ValueError, match=r"^settings: got 'hinge', expected one of"):
        figures.plot_products(run, settings=("hinge",))
    with pytest.raises(ValueError, match=r"^matrix: got 'bias', expected one of"):
        figures.plot_products(run, settings=(UNEQUAL,), matrix="bias")
    with pytest.raises(ValueError, match=r"^layers: got '3', expected one of '1', '2'$"):
        figures.plot_vanishing(run, layers=3)
    other = Run("label_noise", None, run.history.drop(columns="part"))
    with pytest.raises(ValueError, match=r"^run: got 'label_noise', expected a run of unconstrained_features with"):
        figures.plot_minority(other)
