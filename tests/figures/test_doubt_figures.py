"""Pictures of labels in doubt, many draws, drawn slopes and rare pictures: they show what the history says."""

import numpy as np
import pytest
from cases import labelled

from lossbook.experiments import coverage, equity, label_uncertainty, loss_ensemble
from lossbook.figures import doubt as figures
from lossbook.figures import new_figure


@pytest.fixture(scope="module")
def runs():
    modules = (coverage, equity, label_uncertainty, loss_ensemble)
    return {module.__name__.rpartition(".")[2]: module.run(module.SCALES["tiny"], progress=False) for module in modules}


def last(run):
    return run.history[run.history.step == run.history.step.max()]


PLOTS = {
    "noise accuracy": ("label_uncertainty", figures.plot_noise_accuracy, 2),
    "coverage": ("coverage", figures.plot_coverage, 2),
    "overfitting": ("loss_ensemble", figures.plot_overfitting, 2),
    "appearance": ("equity", figures.plot_appearance, 2),
}


@pytest.mark.parametrize("name", PLOTS)
def test_a_plot_draws_on_the_axes_given_or_on_new_ones(name, runs):
    experiment, plot, columns = PLOTS[name]
    figure, axes = new_figure(columns)
    assert list(plot(runs[experiment], axes)) == list(axes)
    assert all(ax.get_xlabel() for ax in axes)
    figure.canvas.draw()
    again = plot(runs[experiment])
    assert again[0] is not axes[0]
    again[0].figure.canvas.draw()


def test_noise_accuracy_has_a_row_a_loss_and_is_in_per_cent(runs):
    run = runs["label_uncertainty"]
    axes = figures.plot_noise_accuracy(run)
    for ax, noise in zip(axes, run.config.noises, strict=True):
        marks = [points.get_offsets()[0].tolist() for points in ax.collections]
        rows = last(run)[last(run).noise == noise]
        assert marks == [[pytest.approx(100 * row.test_accuracy), place] for place, row in enumerate(rows.itertuples())]
    assert [text.get_text() for text in axes[0].get_yticklabels()] == list(run.config.losses)


def test_temperatures_are_shares_of_right_and_of_replaced_labels(runs):
    run = runs["label_uncertainty"]
    ax = figures.plot_temperatures(run)
    assert [patch.get_label() for patch in ax.patches] == ["right labels", "replaced labels"]
    assert [patch.get_data().values.sum() for patch in ax.patches] == pytest.approx([100, 100])
    ax.figure.canvas.draw()
    with pytest.raises(ValueError, match=r"^loss: got 'MAE', expected one of 'ALDR, λ₀ = 10'$"):
        figures.plot_temperatures(run, loss="MAE")


def test_the_coverage_plot_has_four_numbers_of_cross_entropy_and_every_loss_at_the_end(runs):
    run = runs["coverage"]
    left, right = figures.plot_coverage(run)
    plain = run.history[run.history.samples == 1]
    for n in coverage.DRAWS:
        assert labelled(left)[f"N = {n}"].get_ydata() == pytest.approx(100 * plain[f"pass_{n}"])
    found = {bars.get_label(): bars.lines[0].get_ydata() for bars in right.containers}
    end = last(run).set_index("setting")
    for name, line in found.items():
        assert line == pytest.approx([100 * end[f"pass_{n}"][name] for n in coverage.DRAWS])
    assert len(found) == 2


def test_no_drawn_slope_goes_down_and_the_fixed_ones_are_named():
    ax = figures.plot_slopes(draws=5)
    steps = [line for line in ax.get_lines() if line.get_label() == "drawn" or line.get_label().startswith("_")]
    assert len(steps) == 5
    assert all((np.diff(line.get_ydata()) >= 0).all() for line in steps)
    assert set(labelled(ax)) == {"drawn", "logistic", "hinge", "exponential"}
    ax.figure.canvas.draw()


def test_overfitting_is_a_panel_a_noise_and_a_line_a_loss(runs):
    run = runs["loss_ensemble"]
    axes = figures.plot_overfitting(run)
    for ax, noise in zip(axes, (0.0, 0.15), strict=True):
        rows = run.history[(run.history.noise == noise) & (run.history.step > 0)]
        for name, line in labelled(ax).items():
            assert line.get_ydata() == pytest.approx(100 * rows[rows.loss == name].test_accuracy)


def test_appearance_marks_the_rare_pictures_apart_and_has_a_row_a_way(runs):
    run = runs["equity"]
    left, right = figures.plot_appearance(run)
    common, rare = left.collections[:2]
    assert len(rare.get_offsets()) == run.snapshots[0].arrays["rare"].sum()
    assert len(common.get_offsets()) + len(rare.get_offsets()) == len(run.snapshots[0].arrays["rare"])
    assert [text.get_text() for text in right.get_yticklabels()] == list(equity.WAYS)
