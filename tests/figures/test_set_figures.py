"""Pictures of losses of sets: they show what the history says."""

import dataclasses

import numpy as np
import pytest
from cases import drawn, labelled

from lossbook.experiments import metric_losses, sound_events, top_k
from lossbook.figures import sets as figures

P = np.linspace(0, 1, 11)


@pytest.fixture(scope="module")
def metrics():
    return metric_losses.run(metric_losses.SCALES["tiny"], progress=False)


@pytest.fixture(scope="module")
def sounds():
    return sound_events.run(sound_events.SCALES["tiny"], progress=False)


@pytest.fixture(scope="module")
def retrieved():
    return top_k.run(dataclasses.replace(top_k.SCALES["tiny"], steps=4, every=2), progress=False)


def test_soft_decisions_and_slopes_are_drawn_as_they_are_given():
    curves = {5.0: (P, P**2 + 0.1), 73.0: (P / 2, P + 1)}
    axes = figures.plot_soft_decisions(curves, P)
    lines = labelled(axes[0])
    assert lines["L = 73"].get_ydata().tolist() == (P / 2).tolist()
    assert labelled(axes[1])["L = 5"].get_ydata().tolist() == (P**2 + 0.1).tolist()
    sides = figures.plot_slopes({"one": (P, -P), "another": (P / 2, P)}, P)
    assert labelled(sides[1])["one"].get_ydata().tolist() == (-P).tolist()
    assert "positive" in sides[0].get_xlabel()
    for ax in (axes[0], sides[0]):
        ax.figure.canvas.draw()


def test_the_metrics_plot_has_a_row_a_loss_and_marks_the_one_made_of_the_metric(metrics):
    axes = np.ravel(figures.plot_metrics(metrics, data="tumours"))
    rows = metrics.history[metrics.history.part == "metrics"].set_index("setting")
    for ax, metric in zip(axes, metric_losses.METRICS, strict=True):
        marks = [points.get_offsets()[0].tolist() for points in ax.collections]
        assert marks == [[value, place] for place, value in enumerate(rows[metric])]
        own = list(rows.index).index(f"AnyLoss {metric}")
        colours = [tuple(points.get_facecolor()[0]) for points in ax.collections]
        assert [colour == colours[own] for colour in colours].count(True) == 1
    axes[0].figure.canvas.draw()
    with pytest.raises(ValueError, match=r"^data: got 'mnist', expected one of 'synthetic'"):
        figures.plot_metrics(metrics, data="mnist")


def test_the_imbalance_plot_shows_f1_of_the_linear_model(metrics):
    ax = drawn(figures.plot_imbalance, metrics)
    rows = metrics.history[metrics.history.data == "linear"]
    for name, line in labelled(ax).items():
        assert line.get_ydata().tolist() == rows[rows.setting == name].F1.tolist()


def test_the_activity_plot_shows_f1_of_every_setting(sounds):
    ax = drawn(figures.plot_activity, sounds)
    lines = labelled(ax)
    assert set(lines) == set(sound_events.LOSSES)
    for name, line in lines.items():
        rows = sounds.history[sounds.history.setting == name]
        assert line.get_ydata().tolist() == rows.f1.tolist()
        assert line.get_xdata().tolist() == [2, 20]


def test_the_cells_are_those_of_the_snapshots(sounds):
    axes = figures.plot_cells(sounds, activity=0.2)
    kept = {shot.setting: shot.arrays for shot in sounds.snapshots}
    shown = [ax.collections[0].get_array() for ax in axes]
    assert np.array_equal(np.reshape(shown[0], (12, -1)), kept["Dice activity=0.2"]["active"].T)
    assert np.array_equal(np.reshape(shown[1], (12, -1)), kept["cross-entropy activity=0.2"]["probability"].T)
    axes[0].figure.canvas.draw()
    with pytest.raises(ValueError, match=r"^activity: got '0.5', expected one of '0.02', '0.2'"):
        figures.plot_cells(sounds, activity=0.5)


def test_the_retrieval_plot_is_in_percent(retrieved):
    axes = figures.plot_retrieval(retrieved)
    end = retrieved.history.query("step == 4")
    for ax, number in zip(axes, figures.NUMBERS, strict=True):
        marks = [points.get_offsets()[0][0] for points in ax.collections]
        assert marks == pytest.approx((100 * end[number]).tolist())
    axes[0].figure.canvas.draw()
