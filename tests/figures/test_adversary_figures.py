"""Pictures of attacks show the numbers of their runs, and nothing else."""

import numpy as np
import pytest
from cases import drawn, labelled
from matplotlib.figure import Figure

from lossbook.experiments import attack_strength, fast_adversarial
from lossbook.figures.adversaries import plot_attacks, plot_overfitting, plot_ways


@pytest.fixture(scope="module")
def strength():
    return attack_strength.run(attack_strength.SCALES["tiny"], progress=False)


@pytest.fixture(scope="module")
def fast():
    return fast_adversarial.run(fast_adversarial.SCALES["tiny"], progress=False)


def test_every_attack_has_its_mark_at_the_accuracy_it_leaves(strength):
    ax = drawn(plot_attacks, strength)
    rows = strength.history.query("model == 'adversarially trained' and schedule == 'cosine'")
    means = [float(100 * rows[rows.loss == name].robust_accuracy.mean()) for name in (*attack_strength.LOSSES, "all")]
    marks = [float(found.get_offsets()[0, 1]) for found in ax.collections[1::2]]
    assert np.allclose(marks, means)
    assert [text.get_text() for text in ax.get_legend().get_texts()][-1] == "all five"
    assert [text.get_text() for text in ax.get_xticklabels()] == ["0.1"]


def test_the_ways_are_those_that_were_followed(strength):
    ax = drawn(plot_ways, strength)
    arrays = next(shot.arrays for shot in strength.snapshots if shot.setting == "probability margin")
    ways = ax.get_lines()[2:]
    assert len(ways) == strength.config.traced
    for image, line in enumerate(ways):
        assert np.array_equal(line.get_xdata(), arrays["own"][:, image])
        assert np.array_equal(line.get_ydata(), arrays["rival"][:, image])
    assert np.array_equal(ax.collections[1].get_offsets()[:, 0], arrays["own"][-1])


def test_overfitting_is_drawn_as_measured(fast):
    left, right = plot_overfitting(fast)
    assert left.get_xlabel() == right.get_xlabel() == "epoch"
    rows = fast.history[fast.history.setting == "band"]
    thick, loss = labelled(left)["band"], labelled(right)["band"]
    assert np.allclose(thick.get_ydata(), 100 * rows.pgd_accuracy.dropna())
    assert np.allclose(loss.get_ydata(), rows.epoch_loss.dropna())
    assert len(left.get_lines()) == 2 * len(fast_adversarial.METHODS)


def test_some_methods_can_be_shown_alone_with_the_look_they_have_among_all(fast):
    pair = Figure().subplots(1, 2)
    left, right = plot_overfitting(fast, pair, methods=("plain", "band"))
    assert [left, right] == list(pair)
    assert set(labelled(right)) == {"plain", "band"}
    assert labelled(right)["band"].get_color() == labelled(plot_overfitting(fast)[1])["band"].get_color()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda strength, fast: plot_attacks(strength, model="robust"), "model: got 'robust', expected one of 'plain'"),
        (
            lambda strength, fast: plot_ways(strength, loss="hinge"),
            "loss: got 'hinge', expected one of 'cross-entropy'",
        ),
        (
            lambda strength, fast: plot_overfitting(fast, methods=("none",)),
            "methods: got 'none', expected one of 'plain'",
        ),
    ],
)
def test_what_was_not_run_is_refused(strength, fast, call, message):
    with pytest.raises(ValueError, match=message):
        call(strength, fast)
