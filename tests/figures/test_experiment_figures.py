"""Pictures of the experiments: they show what the history says, and their panels say in words what they show."""

import numpy as np
import pytest
from cases import drawn, labelled

from lossbook.experiments import extrapolation, perceptron, two_regimes
from lossbook.experiments.run import Snapshot
from lossbook.figures import extrapolation as extrapolation_figures
from lossbook.figures import new_figure
from lossbook.figures import perceptron as perceptron_figures
from lossbook.figures import two_regimes as two_regimes_figures

EXPERIMENTS = {"perceptron": perceptron, "two_regimes": two_regimes, "extrapolation": extrapolation}
PLOTS = {
    "steps": ("perceptron", perceptron_figures.plot_steps),
    "separation": ("perceptron", perceptron_figures.plot_separation),
    "worst case": ("perceptron", perceptron_figures.plot_worst_case),
    "samples": ("two_regimes", two_regimes_figures.plot_samples_needed),
    "error": ("two_regimes", lambda run, ax=None: two_regimes_figures.plot_error(run, ax, features="whitened 20")),
    "drift": ("extrapolation", extrapolation_figures.plot_drift),
    "reward": ("extrapolation", extrapolation_figures.plot_reward),
}


@pytest.fixture(scope="module")
def runs():
    return {name: module.run(module.SCALES["tiny"], progress=False) for name, module in EXPERIMENTS.items()}


@pytest.mark.parametrize("name", PLOTS)
def test_a_plot_draws_on_the_axes_given_or_on_new_ones_and_changes_no_setting(name, runs):
    experiment, plot = PLOTS[name]
    drawn(plot, runs[experiment])


@pytest.mark.parametrize("metric", ["accuracy", "smallest_margin"])
def test_a_line_per_step_size_ends_where_the_points_are_separated(metric, runs):
    run = runs["perceptron"]
    lines = labelled(perceptron_figures.plot_steps(run, metric=metric))
    assert list(lines) == ["step size 1", "step size 10", "step size 100", "batch perceptron"]
    steps = perceptron.summary(run).query("data == 'breast_cancer'").set_index("setting")["steps"]
    for setting, label in (("LR+GD, γ = 10", "step size 10"), ("batch perceptron", "batch perceptron")):
        assert lines[label].get_xdata()[-1] == steps[setting]
    assert lines["batch perceptron"].get_ydata()[-1] > 0


def test_the_perceptrons_have_no_line_among_the_losses(runs):
    lines = labelled(perceptron_figures.plot_steps(runs["perceptron"], metric="loss", method="Normalized LR+GD"))
    assert list(lines) == ["step size 1", "step size 10", "step size 100"]


def test_the_worst_case_plot_holds_every_number_of_points(runs):
    lines = labelled(perceptron_figures.plot_worst_case(runs["perceptron"]))
    assert lines["LR+GD, γ = 1"].get_xdata().tolist() == [10, 30]
    assert lines["LR+GD, γ = 1"].get_ydata().tolist() == [37, 141]
    assert len(lines) == 6


def test_margins_in_a_picture_are_counted_on_the_right_side_of_the_line_at_0(runs):
    start, update = perceptron_figures.MARGINS_PANEL
    _, ax = new_figure()
    artists = start(ax, runs["perceptron"])
    for snapshot in runs["perceptron"].snapshots:
        words = update(artists, snapshot)
        distances = snapshot.arrays["distances"]
        if not distances.any():
            assert words == "all weights are 0: there is no boundary yet"
            continue
        counts, edges = artists.bars.get_data().values, artists.bars.get_data().edges
        assert counts.sum() == len(distances)
        assert counts[edges[:-1] >= 0].sum() == (distances >= 0).sum()
        assert artists.worst.get_xdata()[0] == distances.min()
        assert words.startswith(
            "all 100 points" if (distances > 0).all() else f"{(distances <= 0).sum()} of 100 points"
        )
        assert counts.max() <= ax.get_ylim()[1]


def test_the_error_plot_shows_both_methods_and_refuses_features_the_run_has_not(runs):
    lines = labelled(two_regimes_figures.plot_error(runs["two_regimes"], features="whitened 20"))
    assert list(lines) == ["naive Bayes", "logistic regression"]
    with pytest.raises(ValueError, match=r"^features: got 'whitened 50', expected one of 'whitened 20'$"):
        two_regimes_figures.plot_error(runs["two_regimes"])


def test_the_samples_plot_names_the_classes_where_there_are_several(runs):
    assert list(labelled(two_regimes_figures.plot_samples_needed(runs["two_regimes"]))) == [
        "logistic regression",
        "naive Bayes",
    ]
    config = two_regimes.Config(dimensions=(30,), classes=(2, 3), features=(), seeds=1, excess=0.1)
    lines = labelled(two_regimes_figures.plot_samples_needed(two_regimes.run(config, progress=False)))
    assert list(lines) == [f"{m}, {k} classes" for m in ("logistic regression", "naive Bayes") for k in (2, 3)]


@pytest.mark.parametrize("metric", ["distance", "entropy", "accuracy", "abstains", "signal_2"])
def test_the_drift_plot_has_a_line_per_corruption(metric, runs):
    run = runs["extrapolation"]
    lines = labelled(extrapolation_figures.plot_drift(run, metric=metric))
    assert list(lines) == list(extrapolation.CORRUPTIONS)
    rows = run.history[run.history["setting"] == "shuffle pixels"]
    assert lines["shuffle pixels"].get_ydata().tolist() == rows[metric].tolist()


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        (
            lambda runs: perceptron_figures.plot_steps(runs["perceptron"], metric="speed"),
            "metric: got 'speed', expected",
        ),
        (lambda runs: perceptron_figures.plot_steps(runs["perceptron"], method="SGD"), "method: got 'SGD', expected"),
        (lambda runs: extrapolation_figures.plot_drift(runs["extrapolation"], metric="level"), "metric: got 'level'"),
        (lambda runs: extrapolation_figures.plot_reward(runs["extrapolation"], corruption="x"), "corruption: got 'x'"),
    ],
)
def test_an_unknown_choice_is_refused(call, expected, runs):
    with pytest.raises(ValueError, match=expected):
        call(runs)


def test_the_prediction_panel_shows_the_mean_prediction_and_names_the_class_that_is_furthest_off(runs):
    start, update = extrapolation_figures.PREDICTION_PANEL
    run = runs["extrapolation"]
    _, ax = new_figure()
    artists = start(ax, run)
    for snapshot in run.snapshots:
        update(artists, snapshot)
        assert artists.bars.get_data().values.tolist() == snapshot.arrays["prediction"].tolist()
        assert artists.marks.get_ydata().tolist() == snapshot.arrays["image_prediction"].tolist()
        assert np.array_equal(artists.image.get_data().ravel(), snapshot.arrays["image"])
    ax.figure.canvas.draw()
    even = np.full(10, 0.1)
    sure = np.eye(10)[3]
    arrays = {"prediction": sure, "shares": even, "image_prediction": np.eye(10)[7], "image": np.zeros(64)}
    assert update(artists, Snapshot("fade to zero", 100, arrays)) == (
        "the mean prediction is furthest from the class shares at class 3, 1 against 0.1; "
        "for this image alone class 7 gets 1"
    )
