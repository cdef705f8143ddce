"""Pictures of neural collapse: they show what the history says."""

import numpy as np
import pytest
from cases import drawn, labelled
from legibility import lightness

from lossbook.experiments import neural_collapse
from lossbook.experiments.neural_collapse import summary
from lossbook.figures import neural_collapse as figures


@pytest.fixture(scope="module")
def run():
    return neural_collapse.run(neural_collapse.SCALES["tiny"], progress=False)


def test_the_plots_draw_on_the_axes_given_or_on_new_ones_and_change_no_setting(run):
    assert drawn(figures.plot_collapse, run).get_legend() is not None
    assert drawn(figures.plot_parts, run).get_legend() is not None


def test_every_setting_has_a_colour_and_the_colours_differ():
    assert set(neural_collapse.Config().settings) <= set(figures.COLOURS)
    assert len(set(figures.COLOURS.values())) == len(figures.COLOURS)


def test_a_line_is_the_median_over_seeds_and_its_mark_the_first_step_without_an_error(run):
    ax = figures.plot_collapse(run, number="coherence")
    assert (ax.get_xscale(), ax.get_yscale()) == ("log", "log")
    lines, found = labelled(ax), summary(run)
    assert list(lines) == list(run.config.settings)
    marks = {line.get_color(): line.get_xdata()[0] for line in ax.get_lines() if len(line.get_xdata()) == 1}
    for setting, line in lines.items():
        rows = run.history[(run.history.setting == setting) & (run.history.step > 0)]
        assert line.get_ydata() == pytest.approx(rows.groupby("step").coherence.median().to_numpy())
        zero = found.loc[found.setting == setting, "zero_step"].median()
        nearest = min(line.get_xdata(), key=lambda step: abs(np.log(step / zero)))
        assert marks[line.get_color()] == nearest


def test_fewer_settings_and_other_numbers_can_be_asked_for_and_unknown_ones_are_refused(run):
    ax = figures.plot_collapse(run, number="accuracy", settings=("focal",))
    assert list(labelled(ax)) == ["focal"]
    assert ax.get_yscale() == "linear"
    with pytest.raises(ValueError, match="number: got 'nc5', expected one of 'nc1'"):
        figures.plot_collapse(run, number="nc5")
    with pytest.raises(ValueError, match="settings: got 'hinge', expected one of 'cross-entropy'"):
        figures.plot_collapse(run, settings=("hinge",))
    with pytest.raises(ValueError, match="numbers: got 'nc5'"):
        figures.plot_ends(run, numbers=("nc5",))


def test_the_ends_have_a_mark_a_seed_and_the_bounds(run):
    axes = figures.plot_ends(run, numbers=("nc1", "coherence"), bounds={"coherence": 0.05})
    last = run.history[run.history.step == run.history.step.max()]
    for ax, number in zip(axes, ("nc1", "coherence"), strict=True):
        for place, (setting, marks) in enumerate(zip(run.config.settings, ax.collections, strict=True)):
            values = last.loc[last.setting == setting, number]
            assert marks.get_offsets().tolist() == [[value, place] for value in values]
    dotted = [[line for line in ax.get_lines() if line.get_linestyle() == ":"] for ax in axes]
    assert [len(lines) for lines in dotted] == [0, 1]
    assert dotted[1][0].get_xdata() == [0.05, 0.05]
    axes[0].figure.canvas.draw()


def test_the_parts_are_medians_of_the_squared_error_alone(run):
    lines = labelled(figures.plot_parts(run))
    rows = run.history[(run.history.setting == "squared error") & (run.history.step > 0)].groupby("step")
    for part, words in figures.PARTS.items():
        assert lines[words].get_ydata() == pytest.approx(rows[part].median().to_numpy())
    others = run.history[run.history.setting != "squared error"]
    with pytest.raises(ValueError, match="run: got 'squared error', expected one of 'cross-entropy'"):
        figures.plot_parts(neural_collapse.Run("neural_collapse", run.config, others))


def test_the_conventions_are_crosses_and_lines():
    noise, found = [0.1, 1.0], {"papyan": [0.8, 80.0], "zhu": [0.08, 8.0]}
    wanted = {"papyan": [0.81, 81.0], "zhu": [0.081, 8.1]}
    lines = labelled(figures.plot_conventions(noise, found, wanted))
    for name in found:
        assert lines[f"{name}: measured"].get_ydata().tolist() == found[name]
        assert lines[f"{name}: closed form"].get_ydata().tolist() == wanted[name]
        assert lines[f"{name}: measured"].get_linestyle() == "None"


def test_the_table_of_cosines_has_one_scale_for_all():
    cosines = np.array([[1.0, -0.5, 0.2], [-0.5, 1.0, 0.0], [0.2, 0.0, 1.0]])
    ax = figures.plot_cosines(cosines, names=("shirt", "coat", "bag"))
    image = ax.get_images()[0]
    assert np.array_equal(image.get_array(), cosines)
    assert image.get_clim() == (-1, 1)
    assert [text.get_text() for text in ax.get_yticklabels()] == ["shirt", "coat", "bag"]
    ax.figure.canvas.draw()


def test_a_dash_marks_each_cosine_below_0_and_shows_on_its_colour():
    ax = figures.plot_cosines([[1.0, -0.2, 0.4], [-0.2, 1.0, -0.9], [0.4, -0.9, 1.0]], bar=False)
    (dashes,) = ax.collections
    assert dashes.get_offsets().tolist() == [[1, 0], [0, 1], [2, 1], [1, 2]]
    shades = [lightness(colour) for colour in dashes.get_edgecolor()]
    table = [lightness(ax.get_images()[0].cmap((value + 1) / 2)) for value in (-0.2, -0.2, -0.9, -0.9)]
    assert min(abs(np.subtract(shades, table))) > 50  # of 100: ink on light cells, white on dark ones
    assert len(ax.figure.axes) == 1  # no colour bar
