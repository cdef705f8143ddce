"""Pictures of lazy and rich training: they show what the history says."""

import dataclasses

import numpy as np
import pytest
from cases import drawn, labelled

from lossbook.experiments import lazy_images, lazy_rich
from lossbook.figures import lazy_rich as figures


@pytest.fixture(scope="module")
def run():
    return lazy_rich.run(dataclasses.replace(lazy_rich.SCALES["tiny"], seeds=2), progress=False)


@pytest.fixture(scope="module")
def images():
    return lazy_images.run(lazy_images.SCALES["tiny"], progress=False)


def test_errors_are_medians_over_seeds_and_one_colour_an_alpha(run):
    lines = labelled(drawn(figures.plot_errors, run))
    assert list(lines) == ["α = 0.5, test", "α = 0.5, training", "α = 8, test", "α = 8, training"]
    rows = run.history[run.history.alpha == 8].groupby("step").test_error.median()
    assert lines["α = 8, test"].get_xdata().tolist() == rows.index.tolist()
    assert lines["α = 8, test"].get_ydata() == pytest.approx(rows.to_numpy())
    assert lines["α = 8, test"].get_color() == lines["α = 8, training"].get_color()
    assert list(labelled(figures.plot_errors(run, alphas=(8.0,)))) == ["α = 8, test", "α = 8, training"]


@pytest.mark.parametrize("column", ["motion", "alignment", "similarity", "test_error"])
def test_any_number_can_be_followed(run, column):
    ax = drawn(lambda run, ax=None: figures.plot_followed(run, ax, column=column), run)
    rows = run.history[run.history.alpha == 0.5].groupby("step")[column].median()
    assert labelled(ax)["α = 0.5"].get_ydata() == pytest.approx(rows.to_numpy())
    with pytest.raises(ValueError, match=r"^column: got 'speed', expected one of"):
        figures.plot_followed(run, column="speed")


def test_delays_have_a_line_a_seed_and_put_what_was_not_over_in_a_row_of_its_own(run):
    found = lazy_rich.first_steps(run, train=0.5, test=0.5)
    assert np.isinf(found.delay).any()
    assert np.isfinite(found.delay).any()
    ax = drawn(figures.plot_delays, found)
    assert ax.get_yticklabels()[-1].get_text() == "not over"
    top = ax.get_yticks()[-1]
    assert found.delay[np.isfinite(found.delay)].max() < top < ax.get_ylim()[1]
    at_top = [line for line in ax.get_lines() if len(line.get_ydata()) and set(line.get_ydata()) == {top}]
    assert sum(len(line.get_ydata()) for line in at_top) == np.isinf(found.delay).sum()
    for seed, rows in found.groupby("seed"):
        finite = rows[np.isfinite(rows.delay)].sort_values("alpha")
        assert labelled(ax)[f"seed {seed}"].get_ydata().tolist() == finite.delay.tolist()
    figures.plot_delays(found.assign(delay=np.inf)).figure.canvas.draw()


def test_the_parts_of_one_network_add_up_in_the_picture(run):
    ax = drawn(lambda run, ax=None: figures.plot_parts(run, ax, alpha=8.0), run)
    lines = {name: line.get_ydata() for name, line in labelled(ax).items()}
    assert sum(lines[name] for name in figures.PARTS.values()) == pytest.approx(lines["test error"], rel=1e-5)
    assert ax.get_title(loc="left") == "α = 8, seed 0"
    assert figures.plot_parts(run, alpha=8.0, seed=1).get_title(loc="left") == "α = 8, seed 1"
    with pytest.raises(ValueError, match=r"^alpha: got '3'"):
        figures.plot_parts(run, alpha=3.0)
    with pytest.raises(ValueError, match=r"^seed: got '7'"):
        figures.plot_parts(run, alpha=8.0, seed=7)


def test_accuracies_are_of_the_activation_asked_for(images):
    ax = drawn(figures.plot_accuracies, images)
    rows = images.history.query("setting == 'sine, α = 0.3'")
    assert labelled(ax)["α = 0.3, test"].get_ydata() == pytest.approx(rows.test_accuracy.to_numpy())
    assert figures.plot_accuracies(images, activation="relu").get_title(loc="left") == "relu"
    with pytest.raises(ValueError, match=r"^activation: got 'tanh'"):
        figures.plot_accuracies(images, activation="tanh")
