"""Pictures of rare classes and many labels: they show what the history says."""

import numpy as np
import pytest
import torch
from cases import drawn, labelled

from lossbook.experiments import label_attention, long_tail, many_labels
from lossbook.experiments.run import Snapshot
from lossbook.figures import many_labels as figures
from lossbook.figures import new_figure

EXPERIMENTS = {"long_tail": long_tail, "many_labels": many_labels, "label_attention": label_attention}


@pytest.fixture(scope="module")
def runs():
    return {name: module.run(module.SCALES["tiny"], progress=False) for name, module in EXPERIMENTS.items()}


def test_groups_are_in_percent_and_a_line_a_setting(runs):
    run = runs["long_tail"]
    lines = labelled(drawn(lambda r, ax=None: figures.plot_groups(r, ax, data="letter_recognition"), run))
    assert list(lines) == ["cross-entropy", "LDAM-DRW"]
    row = run.history[run.history.setting == "LDAM-DRW"].iloc[0]
    assert lines["LDAM-DRW"].get_ydata() == pytest.approx([100 * row[group] for group in long_tail.GROUPS])
    few = figures.plot_groups(run, data="letter_recognition", settings=("LDAM-DRW",))
    assert list(labelled(few)) == ["LDAM-DRW"]


def test_groups_that_the_run_has_not_are_refused(runs):
    with pytest.raises(ValueError, match=r"^data: got 'fashion_mnist', expected one of 'letter_recognition'$"):
        figures.plot_groups(runs["long_tail"])
    with pytest.raises(ValueError, match=r"^settings: got 'LDAM', expected one of 'cross-entropy'"):
        figures.plot_groups(runs["long_tail"], data="letter_recognition", settings=("LDAM",))


def test_the_balance_has_a_mark_for_each_loss_and_share_at_its_means(runs):
    run = runs["many_labels"]
    ax = drawn(figures.plot_balance, run)
    last = run.history[run.history.step == run.history.step.max()].set_index(["loss_name", "missing"])
    marks = [points.get_offsets()[0].tolist() for points in ax.collections[::2]]
    names = list(dict.fromkeys(last.index.get_level_values(0)))
    wanted = [[last.p_negative[name, m], last.p_positive[name, m]] for name in names for m in (0.0, 0.4)]
    assert np.array(marks) == pytest.approx(np.array(wanted))
    assert [text.get_text() for text in ax.get_legend().get_texts()] == names


def test_the_strength_plot_begins_with_binary_cross_entropy(runs):
    run = runs["many_labels"]
    lines = labelled(drawn(figures.plot_strength, run))
    last = run.history[(run.history.step == run.history.step.max()) & (run.history.missing == 0)]
    last = last.set_index("loss_name")
    for number, label in figures.NUMBERS.items():
        assert lines[label].get_xdata().tolist() == [0, 3]
        assert lines[label].get_ydata().tolist() == [last[number]["BCE"], last[number]["LDAM, C = 3"]]
    with pytest.raises(ValueError, match=r"^missing: got '0.2', expected one of '0', '0.4'$"):
        figures.plot_strength(run, missing=0.2)


def test_the_pull_on_a_negative_is_p_without_focus_and_nothing_below_the_shift():
    _, ax = new_figure()
    assert figures.plot_negative_pull(ax) is ax
    lines = labelled(ax)
    plain, shifted = lines["γ₋ = 0, m = 0"], lines["γ₋ = 4, m = 0.2"]
    assert plain.get_ydata() == pytest.approx(plain.get_xdata())
    at = torch.as_tensor(shifted.get_xdata())
    pull = torch.as_tensor(shifted.get_ydata())
    assert bool((pull[at < 0.2] == 0).all() & (pull[at > 0.201] > 0).all())
    ax.figure.canvas.draw()


def test_the_attention_plot_frames_the_planted_words(runs):
    snapshot = runs["label_attention"].snapshots[-1]
    ax = drawn(lambda found, ax=None: figures.plot_attention(found, ax), snapshot)
    assert np.array_equal(ax.images[0].get_array(), snapshot.arrays["attention"])
    assert [patch.get_x() + 0.5 for patch in ax.patches] == snapshot.arrays["places"].tolist()
    assert [text.get_text() for text in ax.get_yticklabels()] == [f"label {k}" for k in snapshot.arrays["labels"]]


def test_the_panel_shows_both_histograms_and_says_how_many_are_above_a_half(runs):
    run = runs["many_labels"]
    start, update = figures.PROBABILITIES
    _, ax = new_figure()
    artists = start(ax, run)
    for snapshot in run.snapshots:
        words = update(artists, snapshot)
        for name in ("positives", "negatives"):
            assert artists[name].get_data().values.sum() == pytest.approx(1, abs=1e-5)
        assert words.endswith("of the negatives get more than a half")
    ax.figure.canvas.draw()
    shares = np.zeros(20, np.float32)
    shares[[3, 15]] = 0.25, 0.75
    words = update(artists, Snapshot("ASL", 0, {"positives": shares, "negatives": shares[::-1].copy()}))
    assert words == "75 % of the positives get more than a half, 25 % of the negatives get more than a half"
