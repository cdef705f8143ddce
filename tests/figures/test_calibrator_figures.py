"""Pictures of calibrators: they show what the runs say, and the jump where it is."""

import numpy as np
import pytest
from cases import drawn, labelled

from lossbook.experiments import calibrators, dual_focal, learned_link
from lossbook.figures import calibrators as figures
from lossbook.figures import new_figure

EXPERIMENTS = {"dual_focal": dual_focal, "calibrators": calibrators, "learned_link": learned_link}


@pytest.fixture(scope="module")
def runs():
    return {name: module.run(module.SCALES["tiny"], progress=False) for name, module in EXPERIMENTS.items()}


def test_the_dual_focal_picture_jumps_at_the_rival():
    _, axes = new_figure(2)
    assert figures.plot_dual_focal(axes) == tuple(axes)
    left, right = figures.plot_dual_focal(rival=0.25)
    for ax in (left, right):
        starts = [found.get_ydata() for found in ax.get_lines() if len(found.get_xdata()) > 2]
        behind, ahead = starts[4:6]  # two parts a loss: cross-entropy, focal, dual focal
        assert ahead[0] > 3 * behind[-1]
        ax.figure.canvas.draw()
    entropy, dual = labelled(left)["cross-entropy"], labelled(left)["dual focal, γ = 5"]
    assert dual.get_ydata()[0] == pytest.approx(entropy.get_ydata()[0], rel=1e-3)  # m = 1 there


def test_the_temperature_picture_has_a_line_a_part_and_marks_the_best():
    ax = figures.plot_temperature([0.5, 1.0, 2.0], [3.0, 1.0, 2.0], [0.0, 0.1, 0.2], 1.1)
    lines = labelled(ax)
    assert lines["held out"].get_ydata().tolist() == [3.0, 1.0, 2.0]
    assert lines["learned by heart"].get_ydata().tolist() == [0.0, 0.1, 0.2]
    assert [line.get_xdata()[0] for line in ax.get_lines()][-1] == 1.1
    ax.figure.canvas.draw()


@pytest.mark.parametrize("scaled", [False, True])
def test_the_confidence_picture_joins_accuracy_and_confidence_of_each_loss(scaled, runs):
    run = runs["dual_focal"]
    _, ax = new_figure()
    assert figures.plot_confidence(run, ax, scaled=scaled) is ax
    last = run.history[(run.history.step == 32) & (run.history.regime == "over-trained")].set_index("setting")
    bars = [line for line in ax.get_lines() if len(line.get_xdata()) == 2]
    for bar, name in zip(bars, run.config.losses, strict=True):
        ends = [last[("scaled_" if scaled else "") + number][name] for number in ("accuracy", "confidence")]
        assert bar.get_xdata() == pytest.approx(100 * np.array(ends))
    assert set(labelled(ax)) == {"accuracy", "mean confidence"}
    assert figures.plot_confidence(run, regime="tuned", legend=False).get_legend() is None
    ax.figure.canvas.draw()
    with pytest.raises(ValueError, match=r"^regime: got 'both', expected one of 'tuned', 'over-trained'$"):
        figures.plot_confidence(run, regime="both")


def test_the_numbers_picture_has_a_bar_a_setting(runs):
    axes = figures.plot_numbers(runs["calibrators"], numbers=("ece", "auc"), part="upright")
    rows = runs["calibrators"].history.query("part == 'upright'").set_index("setting")
    for ax, number in zip(axes, ("ece", "auc"), strict=True):
        assert [bar.get_width() for bar in ax.patches] == pytest.approx(100 * rows[number].to_numpy())
    assert [text.get_text() for text in axes[0].get_yticklabels()] == list(calibrators.CALIBRATORS)
    axes[0].figure.canvas.draw()
    (ax,) = figures.plot_numbers(runs["dual_focal"], numbers=("scaled_ece",), regime="tuned")
    assert len(ax.patches) == len(runs["dual_focal"].config.losses)
    with pytest.raises(ValueError, match=r"^numbers: got 'auc', expected one of "):
        figures.plot_numbers(runs["dual_focal"], numbers=("auc",))


def test_the_picture_of_wrong_answers_shows_the_shares(runs):
    run = runs["calibrators"]
    ax = drawn(figures.plot_wrong_confidence, run)
    for steps, shot in zip(ax.patches, run.snapshots, strict=True):
        assert steps.get_data().values == pytest.approx(100 * shot.arrays["wrong"])
    assert len(figures.plot_wrong_confidence(run, settings=("none",)).patches) == 1
    with pytest.raises(ValueError, match=r"^settings: got 'all', expected one of 'none'"):
        figures.plot_wrong_confidence(run, settings=("all",))


def test_the_links_picture_has_the_truth_and_both_models(runs):
    run = runs["learned_link"]
    axes = figures.plot_links(run)
    for ax, shot in zip(axes, run.snapshots, strict=True):
        lines = labelled(ax)
        assert ax.get_title(loc="left") == shot.setting
        assert lines["truth"].get_ydata() == pytest.approx(shot.arrays["truth"])
        for name, curve in zip(learned_link.MODELS, shot.arrays["probability"], strict=True):
            assert lines[name].get_ydata() == pytest.approx(curve)
    axes[0].figure.canvas.draw()
