"""Pictures of pairs, offsets and many labels: they show what the history says."""

import numpy as np
import pytest
from cases import drawn, labelled

from lossbook.experiments import image_text, many_positives, retrieval_offsets
from lossbook.experiments.run import Snapshot
from lossbook.figures import new_figure
from lossbook.figures import pairs as figures

EXPERIMENTS = {"image_text": image_text, "retrieval_offsets": retrieval_offsets, "many_positives": many_positives}
PLOTS = {
    "missed": ("image_text", figures.plot_missed),
    "memory": ("image_text", figures.plot_memory),
    "precision": ("many_positives", figures.plot_precision),
    "pushed down": ("many_positives", figures.plot_pushed_down),
}


@pytest.fixture(scope="module")
def runs():
    return {name: module.run(module.SCALES["tiny"], progress=False) for name, module in EXPERIMENTS.items()}


@pytest.mark.parametrize("name", PLOTS)
def test_a_plot_draws_on_the_axes_given_or_on_new_ones_and_changes_no_setting(name, runs):
    experiment, plot = PLOTS[name]
    assert drawn(plot, runs[experiment]).get_legend() is not None


def test_missed_images_are_in_percent_and_none_missed_is_half_an_image(runs):
    run = runs["image_text"]
    lines = labelled(figures.plot_missed(run))
    assert list(lines) == list(run.config.losses)
    last = run.history.query("part == 'training' and alike == 1 and step == 40")
    for name, line in lines.items():
        recall = last[last.loss_name == name].set_index("batch").recall
        assert line.get_xdata().tolist() == recall.index.tolist() == [8, 64]
        assert line.get_ydata() == pytest.approx(100 * np.maximum(1 - recall, 0.5 / 200))


def test_the_missed_plot_takes_other_numbers_of_images_a_caption_and_refuses_those_the_run_has_not(runs):
    assert labelled(figures.plot_missed(runs["image_text"], alike=4))["SigLIP"].get_xdata().tolist() == [32]
    with pytest.raises(ValueError, match=r"^alike: got '3', expected one of '1', '4'$"):
        figures.plot_missed(runs["image_text"], alike=3)


def test_the_memory_plot_is_in_mebibytes_and_one_colour_a_loss(runs):
    lines = labelled(figures.plot_memory(runs["image_text"]))
    rows = runs["image_text"].history.query("part == 'memory'").set_index(["loss_name", "way", "batch"]).peak_bytes
    assert len(lines) == 4
    for name, line in lines.items():
        loss, way = name.split(", ")
        assert line.get_ydata().tolist() == [rows[loss, way, n] / 2**20 for n in (64, 256)]
    assert lines["SigLIP, one chunk"].get_color() == lines["SigLIP, many chunks"].get_color()


def test_the_ranking_plot_has_a_picture_a_number_and_a_row_a_setting(runs):
    run = runs["retrieval_offsets"]
    axes = figures.plot_ranking(run, numbers=("auc", "recall"))
    last = run.history.query("step == 60").set_index("setting")
    for ax, name in zip(axes, ("auc", "recall"), strict=True):
        marks = [points.get_offsets()[0].tolist() for points in ax.collections]
        assert marks == [[last[name][setting], place] for place, setting in enumerate(retrieval_offsets.SETTINGS)]
    assert [text.get_text() for text in axes[0].get_yticklabels()] == list(retrieval_offsets.SETTINGS)
    axes[0].figure.canvas.draw()
    with pytest.raises(ValueError, match=r"^numbers: got 'speed', expected one of 'auc'"):
        figures.plot_ranking(run, numbers=("speed",))


def test_the_precision_plot_has_a_bar_for_each_loss_and_group(runs):
    run = runs["many_positives"]
    ax = figures.plot_precision(run)
    end = run.history.groupby("setting", sort=False).last()
    wanted = [end[f"precision_1 {words}"][name] for name in end.index for words in many_positives.FEW_AND_MANY]
    assert [bar.get_height() for bar in ax.patches] == pytest.approx(wanted)


def test_pushed_down_is_in_percent(runs):
    run = runs["many_positives"]
    lines = labelled(figures.plot_pushed_down(run))
    rows = run.history[run.history.setting == "softmax"]
    assert lines["softmax"].get_ydata() == pytest.approx(100 * rows.pushed_down)


def test_the_score_panel_shows_both_histograms_and_says_where_they_lie(runs):
    run = runs["retrieval_offsets"]
    start, update = figures.SCORES_PANEL
    _, ax = new_figure()
    artists = start(ax, run)
    for snapshot in run.snapshots:
        words = update(artists, snapshot)
        for name in ("right", "wrong"):
            shares = artists[name].get_data().values
            assert shares.sum() == pytest.approx(1)
            assert shares.max() <= ax.get_ylim()[1]
        assert words.startswith("right scores: eight tenths between ")
    ax.figure.canvas.draw()
    arrays = {"right": np.linspace(0, 1, 11), "wrong": np.full(11, -1e6)}
    assert update(artists, Snapshot("InfoNCE", 0, arrays)) == (
        "right scores: eight tenths between 0.1 and 0.9; wrong scores: eight tenths between −1e+06 and −1e+06"
    )
    assert artists["wrong"].get_data().values[0] == 1  # far out counts for the bin at the end
