"""Figures of one number, of surrogates at work, of settings in rows: they show the numbers that they are given."""

import numpy as np
import pandas as pd
from cases import drawn, labelled

from lossbook.experiments import surrogates
from lossbook.figures import new_figure
from lossbook.figures.constants import plot_constants
from lossbook.figures.dots import plot_dots
from lossbook.figures.style import BLUE, ORANGE
from lossbook.figures.surrogates import plot_surrogates


def test_a_line_stands_where_each_constant_does_and_its_name_says_where():
    ax = plot_constants([1.0, 2.0, 4.0], {"mean": 7 / 3, "median": 2.0}, label="reading (mm)")
    lines = labelled(ax)
    assert list(lines) == ["mean: 2.3", "median: 2.0"]
    assert [line.get_xdata()[0] for line in lines.values()] == [7 / 3, 2.0]
    assert ax.get_xlabel() == "reading (mm)"
    assert sum(bar.get_height() for bar in ax.patches) == 3


def test_no_bar_of_the_readings_reaches_the_legend():
    ax = plot_constants(np.repeat([1.0, 5.0], [2, 9]), {"mode": 5.0})
    assert ax.get_ylim()[1] > 1.4 * max(bar.get_height() for bar in ax.patches)


def test_the_thick_line_of_a_surrogate_is_the_mean_of_its_seeds():
    run = surrogates.run(surrogates.SCALES["tiny"], progress=False)
    ax = drawn(plot_surrogates, run)
    rows = run.history.query("loss == 'hinge_loss' and gross_errors == 0")
    line = labelled(ax)["Hinge"]
    assert np.array_equal(line.get_ydata(), rows.groupby("step").test_accuracy.mean())
    thin = [other for other in ax.get_lines() if other.get_linewidth() < 1]
    assert len(thin) == run.history["seed"].nunique() * run.history["loss"].nunique()


def test_a_dot_of_each_seed_stands_in_the_row_of_its_setting():
    ax = new_figure()[1]
    values = {"one": pd.Series([0.1, 0.3]), "two": pd.Series([0.5, 0.9])}
    plot_dots(ax, values, {"one": BLUE, "two": ORANGE})
    assert [dots.get_offsets().tolist() for dots in ax.collections] == [[[0.1, 0], [0.3, 0]], [[0.5, 1], [0.9, 1]]]
    assert [bar.get_xdata()[0] for bar in ax.get_lines()] == [0.2, 0.7]
    assert [label.get_text() for label in ax.get_yticklabels()] == ["one", "two"]
