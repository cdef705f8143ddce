"""The pictures show what the runs hold, compute nothing new and change no global setting."""

import matplotlib
import numpy as np
import pytest
from matplotlib.figure import Figure

from lossbook.experiments import adversarial, consistency, label_noise
from lossbook.figures import comp_sum
from lossbook.figures.comp_sum import plot_adversarial, plot_consistency, plot_label_noise


@pytest.fixture(scope="module")
def noise_run():
    return label_noise.run(label_noise.SCALES["tiny"], progress=False)


@pytest.fixture(scope="module")
def bound_run():
    return consistency.run(consistency.SCALES["tiny"], progress=False)


@pytest.fixture(scope="module")
def attack_run():
    return adversarial.run(adversarial.SCALES["tiny"], progress=False)


def lines(ax) -> dict[str, np.ndarray]:
    return {line.get_label(): np.column_stack(line.get_data()) for line in ax.get_lines()}


def test_no_global_setting_changes(noise_run, bound_run, attack_run):
    before = dict(matplotlib.rcParams)
    plot_label_noise(noise_run)
    plot_consistency(bound_run)
    plot_adversarial(attack_run)
    assert dict(matplotlib.rcParams) == before


def test_the_axes_given_are_drawn_on_and_returned(noise_run, bound_run, attack_run):
    first, second = Figure().subplots(1, 2)
    assert plot_label_noise(noise_run, first) is first
    assert plot_adversarial(attack_run, second) is second
    pair = Figure().subplots(1, 2)
    assert list(plot_consistency(bound_run, pair)) == list(pair)


def test_label_noise_is_drawn_at_the_last_step(noise_run):
    drawn = lines(plot_label_noise(noise_run))
    end = noise_run.history[noise_run.history.step == noise_run.history.step.max()]
    assert set(drawn) == {"0% wrong labels", "40% wrong labels"}
    expected = end[end.noise == 0.4].sort_values("tau")[["tau", "test_accuracy"]]
    assert np.allclose(drawn["40% wrong labels"], expected)


def test_no_line_is_drawn_of_wrong_labels_where_there_are_none(noise_run):
    assert set(lines(plot_label_noise(noise_run, metric="wrong_accuracy"))) == {"40% wrong labels"}


def test_a_noise_has_the_same_colour_whatever_the_metric(noise_run):
    colours = {
        next(
            line.get_color()
            for line in plot_label_noise(noise_run, metric=metric).get_lines()
            if "40%" in line.get_label()
        )
        for metric in ("test_accuracy", "wrong_accuracy")
    }
    assert len(colours) == 1


def test_an_unknown_metric_is_refused(noise_run):
    with pytest.raises(ValueError, match="metric: got 'loss', expected one of 'test_accuracy'"):
        plot_label_noise(noise_run, metric="loss")


def test_marks_of_the_construction_lie_on_their_lines(bound_run):
    left, _ = plot_consistency(bound_run)
    marks = [line for line in left.get_lines() if line.get_linestyle() == "None"]
    curves = [line for line in left.get_lines() if line.get_linestyle() != "None"]
    assert len(marks) == len(curves) == 3
    for mark, curve in zip(marks, curves, strict=True):
        assert np.allclose(np.interp(mark.get_xdata(), *curve.get_data()), mark.get_ydata(), atol=1e-12)


def test_the_right_picture_shows_the_tau_asked_for(bound_run):
    _, right = plot_consistency(bound_run, tau=1.5)
    rows = bound_run.history.query("setting == 'random' and tau == 1.5 and classes == 3 and excess_zero_one > 0")
    expected = rows.sort_values("excess_zero_one")[["transform", "excess_zero_one"]]
    assert np.array_equal(lines(right)["3 classes"], expected)
    assert "τ = 1.5" in right.get_title(loc="left") + right.get_title()


def test_a_tau_that_was_not_run_is_refused(bound_run):
    with pytest.raises(ValueError, match=r"tau: got '0\.7', expected one of '0', '1', '1\.5'"):
        plot_consistency(bound_run, tau=0.7)


def test_the_bar_of_each_method_goes_from_robust_to_clean(attack_run):
    ax = plot_adversarial(attack_run)
    end = attack_run.history.groupby("setting", sort=False).last()
    assert [label.get_text() for label in ax.get_yticklabels()] == list(end.index)
    for line, (_, row) in zip(ax.get_lines(), end.iterrows(), strict=True):
        assert np.allclose(line.get_xdata(), [row.robust_accuracy, row.clean_accuracy])


def test_the_bars_of_the_memory_panel_are_shares(noise_run):
    start, update = comp_sum.MEMORISED
    artists = start(Figure().subplots(), noise_run)
    for snapshot in noise_run.snapshots:
        words = update(artists, snapshot)
        for name in ("right", "wrong"):
            assert sum(bar.get_height() for bar in artists[name]) == pytest.approx(1)
        wrong = snapshot.arrays["wrong"]
        assert words.endswith(f"of a wrong one {np.median(snapshot.arrays['probability'][wrong]):.2f}")


def test_the_boundary_panel_draws_the_zero_of_the_margin(attack_run):
    start, update = comp_sum.BOUNDARY
    artists = start(Figure().subplots(), attack_run)
    snapshot = attack_run.snapshots[-1]
    words = update(artists, snapshot)
    arrays = snapshot.arrays
    assert np.array_equal(artists["image"].get_array(), arrays["margin"])
    segments = artists["boundary"].get_segments()
    assert segments
    width, height = np.diff(arrays["horizontal"])[0], np.diff(arrays["vertical"])[0]
    for x, y in np.concatenate(segments):
        columns = [int((x - arrays["horizontal"][0]) / width + shift) for shift in (1e-3, 1 - 1e-3)]
        rows = [int((y - arrays["vertical"][0]) / height + shift) for shift in (1e-3, 1 - 1e-3)]
        cell = arrays["margin"][np.ix_(np.clip(rows, 0, 80), np.clip(columns, 0, 80))]
        assert cell.min() <= 0 <= cell.max() or np.abs(cell).min() < 1e-3
    turned = (arrays["decided"] == arrays["labels"]) & (arrays["decided_attacked"] != arrays["labels"])
    assert len(artists["moves"].get_segments()) == turned.sum()
    assert words.endswith(f"the attack turns {turned.sum()} of these")


def test_the_boundary_panel_has_words_where_nothing_is_turned(attack_run):
    start, update = comp_sum.BOUNDARY
    artists = start(Figure().subplots(), attack_run)
    snapshot = attack_run.snapshots[0]
    arrays = dict(snapshot.arrays) | {
        "decided_attacked": snapshot.arrays["decided"],
        "margin": 1 + 0 * snapshot.arrays["margin"],
    }
    assert update(artists, type(snapshot)("still", 0, arrays)).endswith("turns 0 of these")
    assert len(artists["boundary"].get_segments()) == 0
