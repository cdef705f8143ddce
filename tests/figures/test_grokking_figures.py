"""Pictures of collapse and what repairs it: they show what the history says, and say it in words."""

import dataclasses

import numpy as np
import pytest
import torch
from cases import drawn, labelled

from lossbook.experiments import modular_addition
from lossbook.experiments._full_batch import METHODS
from lossbook.experiments.run import Snapshot
from lossbook.figures import grokking, new_figure
from lossbook.widgets import TrainingExplorer

METRICS = [*grokking.AXES]


@pytest.fixture(scope="module")
def run():
    config = dataclasses.replace(modular_addition.SCALES["tiny"], methods=("float16", "stablemax", "perpgrad"))
    return modular_addition.run(config, progress=False)


@pytest.mark.parametrize("metric", METRICS)
def test_a_metric_is_drawn_as_the_mean_over_seeds_and_changes_no_setting(run, metric):
    ax = drawn(lambda run, ax=None: grokking.plot_metric(run, ax, metric=metric), run)
    lines = labelled(ax)
    for name in run.config.methods:
        rows = run.history[run.history.setting == name]
        line = lines[grokking.LABELS[name]]
        assert line.get_ydata() == pytest.approx(rows.groupby("step")[metric].mean().to_numpy())
        assert line.get_color() == grokking.COLOURS[name]


def test_settings_choose_and_order_the_lines_and_others_are_refused(run):
    ax = grokking.plot_metric(run, metric="loss", settings=("perpgrad", "float16"))
    assert list(labelled(ax)) == ["perpGrad", "cross-entropy, float16"]
    assert ax.get_yscale() == "log"
    with pytest.raises(ValueError, match="settings: got 'float64', expected one of 'float16'"):
        grokking.plot_metric(run, metric="loss", settings=("float64",))
    with pytest.raises(ValueError, match="metric: got 'speed'"):
        grokking.plot_metric(run, metric="speed")


def test_several_metrics_stand_side_by_side_under_one_legend(run):
    axes = grokking.plot_metrics(run, metrics=("loss", "collapsed"), settings=("perpgrad",))
    assert [ax.get_ylabel() for ax in axes] == [grokking.AXES["loss"], grokking.AXES["collapsed"]]
    assert [ax.get_legend() for ax in axes] == [None, None]
    (legend,) = axes[0].figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["perpGrad"]
    axes[0].figure.canvas.draw()
    assert len(grokking.plot_metrics(run, new_figure()[1], metrics=("loss",))) == 1
    with pytest.raises(ValueError, match="metrics: got"):
        grokking.plot_metrics(run, metrics=())
    with pytest.raises(ValueError, match="axes: got '1 axes', expected one for each of the 2 metrics"):
        grokking.plot_metrics(run, new_figure()[1], metrics=("loss", "collapsed"))


def test_every_method_has_a_label_and_a_colour_of_its_own():
    assert set(grokking.LABELS) == set(grokking.COLOURS) == set(METHODS)
    assert len(set(grokking.LABELS.values())) == len(set(grokking.COLOURS.values())) == len(METHODS)


def test_a_pull_that_ends_at_zero_is_not_drawn_from_there_on():
    leads = np.arange(5.0)
    pulls = {"ends": (leads, [1.0, 0.1, 0.01, 0.0, 0.0]), "goes on": (leads, 1 / (1 + leads))}
    lines = labelled(drawn(grokking.plot_pull, pulls))
    assert lines["ends"].get_xdata().tolist() == [0, 1, 2]
    assert len(lines["goes on"].get_xdata()) == 5
    with pytest.raises(ValueError, match="pulls: got"):
        grokking.plot_pull({})


def test_the_logits_panel_sorts_logits_marks_the_right_one_and_says_what_is_missing(run):
    start, update = grokking.LOGITS_PANEL
    _, ax = new_figure()
    artists = start(ax, run)
    for shot in run.snapshots:
        words = update(artists, shot)
        for k, line in enumerate(artists["lines"]):
            heights = line.get_ydata()
            assert heights[0] == 0
            assert (np.diff(heights) <= 0).all()
            place = int(artists["marks"][k].get_xdata()[0])
            row, target = shot.arrays["logits"][k], shot.arrays["target"][k]
            assert heights[place] == pytest.approx(row[target] - row.max())
            assert place == int((row > row[target]).sum())
        assert words.count("1 − p") == 4
    ax.figure.canvas.draw()


@pytest.mark.parametrize(("setting", "missing"), [("float16", "exactly 0"), ("float64", "0.000335")])
def test_the_missing_probability_is_that_of_the_format_of_the_loss(run, setting, missing):
    start, update = grokking.LOGITS_PANEL
    _, ax = new_figure()
    artists = start(ax, run)
    classes = run.config.modulus
    logits = np.full((4, classes), -50.0, np.float32)
    logits[:, 0], logits[:, 1] = 8, 0
    words = update(artists, Snapshot(setting, 0, {"logits": logits, "target": np.array([0, 0, 0, 1])}))
    assert words.split("; ")[0].endswith(f"1st, 1 − p {missing}")
    assert "held out: 2nd, 1 − p 1" in words
    assert float(torch.sigmoid(torch.tensor(-8.0))) == pytest.approx(3.35e-4, rel=1e-2)


def test_a_place_has_its_ending():
    assert [f"{n}{grokking._ending(n)}" for n in (1, 2, 3, 4, 11, 12, 13, 21, 102, 111)] == [
        "1st", "2nd", "3rd", "4th", "11th", "12th", "13th", "21st", "102nd", "111th"
    ]  # fmt: skip


def test_the_training_explorer_takes_the_panel_moves_and_freezes(run):
    explorer = TrainingExplorer(run, grokking.LOGITS_PANEL, metric="collapsed")
    assert len(set(explorer.move_every_control())) >= 7
    html = explorer.freeze("step", steps=3)
    assert "missing probability of the right class" in html
