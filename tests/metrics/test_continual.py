"""Continual metrics against loops over every pair of evaluations, and against the worked curves of the definitions."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lossbook.metrics import (
    average_mean_class_accuracy,
    backward_transfer,
    continual_scores,
    dips,
    final_accuracy,
    forgetting,
    learning_curve_area,
    min_accuracy,
    minimum_accuracies,
    windowed_forgetting,
    windowed_plasticity,
    worst_case_accuracy,
)

# Eighths are exact in binary, so that sums of them have no rounding.
accuracies = st.integers(0, 8).map(lambda k: k / 8)
curves = st.lists(accuracies, min_size=1, max_size=9).map(np.array)


@st.composite
def runs(draw):
    """A table and its training column: one to four tasks of one to five evaluations, NaN on tasks to come."""
    lengths = draw(st.lists(st.integers(1, 5), min_size=1, max_size=4))
    training = np.repeat(np.arange(len(lengths)), lengths)
    cells = draw(st.lists(accuracies, min_size=training.size * len(lengths), max_size=training.size * len(lengths)))
    table = np.array(cells).reshape(training.size, len(lengths))
    return np.where(np.arange(len(lengths)) > training[:, None], np.nan, table), training


def largest(curve, window, sign):
    """The definition, written as two loops."""
    pairs = [
        sign * (curve[i] - curve[j]) for i in range(len(curve)) for j in range(i + 1, len(curve)) if j - i < window
    ]
    return max([0.0, *pairs])


@given(curve=curves, window=st.integers(1, 12))
def test_windowed_forgetting_and_plasticity_are_the_largest_fall_and_rise_within_a_window(curve, window):
    assert windowed_forgetting(curve, window) == largest(curve, window, 1)
    assert windowed_plasticity(curve, window) == largest(curve, window, -1)


@given(curve=curves, window=st.integers(1, 12))
def test_a_longer_window_never_sees_less(curve, window):
    assert windowed_forgetting(curve, window) <= windowed_forgetting(curve, window + 1)


@pytest.mark.parametrize(
    ("curve", "window", "wanted"),
    [
        ((0.9, 0.9, 0.6, 0.7, 0.85, 0.88), 2, 0.3),
        ((0.9, 0.9, 0.6, 0.7, 0.85, 0.88), 10, 0.3),
        ((0.9, 0.8, 0.7, 0.6, 0.85), 2, 0.1),
        ((0.9, 0.8, 0.7, 0.6, 0.85), 3, 0.2),
        ((0.9, 0.8, 0.7, 0.6, 0.85), 10, 0.3),
        ((0.5, 0.5, 0.5), 10, 0.0),
        ((0.7,), 10, 0.0),
    ],
)
def test_windowed_forgetting_of_the_worked_curves(curve, window, wanted):
    assert windowed_forgetting(np.array(curve), window) == pytest.approx(wanted, abs=1e-15)


def test_a_window_of_one_holds_no_pair():
    assert windowed_forgetting(np.array([1.0, 0.0]), 1) == 0


def test_a_rise_after_a_fall_counts_as_plasticity():
    assert windowed_plasticity(np.array([0.9, 0.5, 0.8]), 3) == pytest.approx(0.3, abs=1e-15)


def test_curves_side_by_side_are_scored_one_by_one():
    table = np.array([[0.5, 0.25], [1.0, 0.5], [0.25, 0.75]])
    assert windowed_forgetting(table, 2).tolist() == [windowed_forgetting(table[:, k], 2) for k in range(2)]


@given(run=runs())
def test_scores_are_those_of_the_definitions_written_as_loops(run):
    table, training = run
    last = training[-1]
    ends = [max(n for n in range(len(table)) if training[n] == task) for task in range(last + 1)]
    lowest = [min(table[n][i] for n in range(ends[i] + 1, len(table))) for i in range(last)]
    assert minimum_accuracies(table, training).tolist() == lowest
    assert final_accuracy(table, training) == pytest.approx(sum(table[-1][: last + 1]) / (last + 1), abs=1e-15)
    worst = table[-1][last] / (last + 1) + (1 - 1 / (last + 1)) * (sum(lowest) / last if last else 0)
    assert worst_case_accuracy(table, training) == pytest.approx(worst, abs=1e-15)
    assert forgetting(table, training).tolist() == [table[ends[i]][i] - table[-1][i] for i in range(last)]
    begun = [[n for n in range(len(table)) if training[n] == task] for task in range(last + 1)]
    area = sum(sum(table[n][k] for n in rows[:2]) / len(rows[:2]) for k, rows in enumerate(begun)) / (last + 1)
    assert learning_curve_area(table, training, beta=2) == pytest.approx(area, abs=1e-15)
    windows = [largest([table[n][k] for n in range(len(table)) if training[n] >= k], 10, 1) for k in range(last + 1)]
    assert continual_scores(table, training).windowed_forgetting_10 == pytest.approx(np.mean(windows), abs=1e-15)


@given(run=runs())
def test_worst_cases_are_never_above_final_ones(run):
    found = continual_scores(*run)
    assert found.worst_case_accuracy <= found.accuracy + 1e-15
    if run[1][-1]:
        old = run[0][-1, : run[1][-1]].mean()
        assert found.min_accuracy <= old + 1e-15


@given(run=runs())
def test_fewer_evaluations_never_see_a_lower_minimum(run):
    table, training = run
    ends = np.flatnonzero(np.diff(training, append=training[-1] + 1))  # the last evaluation of each task
    if training[-1]:
        assert min_accuracy(table[ends], training[ends]) >= min_accuracy(table, training)


def test_with_one_task_the_worst_case_is_its_accuracy_and_there_is_no_minimum():
    table, training = np.array([[0.25], [0.75]]), np.array([0, 0])
    assert worst_case_accuracy(table, training) == final_accuracy(table, training) == 0.75
    assert math.isnan(min_accuracy(table, training))
    assert dips(table, training).depth.tolist() == []


def test_the_minimum_of_a_task_leaves_out_its_own_learning():
    table, training = np.array([[0.0, 0.1], [0.9, 0.1], [0.8, 0.9]]), np.array([0, 0, 1])
    assert minimum_accuracies(table, training).tolist() == [0.8]


def test_forgetting_is_first_minus_last_and_backward_transfer_its_negative():
    table, training = np.array([[0.9, 0.0], [0.1, 0.2], [0.7, 0.8]]), np.array([0, 1, 1])
    assert forgetting(table, training) == pytest.approx([0.2])
    assert backward_transfer(table, training) == pytest.approx([-0.2])


def test_amca_is_a_mean_over_classes_and_then_over_experiences():
    by_class = np.array([[1.0, 0.5, np.nan], [0.0, 0.25, 0.5]])
    assert average_mean_class_accuracy(by_class) == pytest.approx((0.75 + 0.25) / 2)


def test_a_dip_has_a_depth_a_place_and_a_length():
    old = [0.9, 0.9, 0.4, 0.6, 0.84, 0.88]
    table = np.column_stack([old, [0.0, 0.3, 0.5, 0.7, 0.8, 0.9]])
    found = dips(table, np.array([0, 1, 1, 1, 1, 1]))
    # It ends at 0.88, so that what lies below 0.83 is in the dip: 0.4 and 0.6.
    assert (found.switch.tolist(), found.task.tolist()) == ([1], [0])
    assert found.depth == pytest.approx([0.5])
    assert (found.deepest.tolist(), found.length.tolist()) == ([2], [2])


def test_accuracy_that_is_lost_for_good_is_no_dip_in_length():
    found = dips(np.array([[0.9, 0.0], [0.5, 0.5], [0.2, 0.9]]), np.array([0, 1, 1]))
    assert found.length.tolist() == [0]  # nothing lies below where it ends


TABLE, TRAINING = np.array([[0.5, 0.5], [0.5, 0.5]]), np.array([0, 1])


@pytest.mark.parametrize("score", [final_accuracy, min_accuracy, worst_case_accuracy, forgetting, dips])
@pytest.mark.parametrize(
    ("table", "training", "error", "words"),
    [
        (TABLE.tolist(), TRAINING, TypeError, r"^table: got .*\(list\), expected an array of floating-point"),
        (TABLE.astype(int), TRAINING, TypeError, "^table: got an array of int64, expected an array of floating-point"),
        (TABLE[0], TRAINING, ValueError, r"^table: got \(2,\), expected shape \(evaluations, tasks\)"),
        (TABLE[:0], TRAINING[:0], ValueError, r"^table: got \(0, 2\), expected .* at least one of each"),
        (TABLE + 1, TRAINING, ValueError, "^table: got an accuracy outside 0 to 1"),
        (TABLE * np.nan, TRAINING, ValueError, "^table: got an accuracy outside 0 to 1, or NaN"),
        (TABLE, TRAINING.tolist(), TypeError, r"^training: got \[0, 1\] \(list\), expected an array of whole numbers"),
        (TABLE, TRAINING / 1, TypeError, "^training: got .*expected an array of whole numbers"),
        (TABLE, TRAINING[:1], ValueError, r"^training: got \(1,\), expected a task for each evaluation, shape \(2,\)"),
        (TABLE, TRAINING[::-1], ValueError, "^training: got .*in order"),
        (TABLE, 2 * TRAINING, ValueError, "^training: got .*in order, below 2 tasks"),
        (TABLE, TRAINING + 1, ValueError, "^training: got .*in order"),
    ],
)
def test_bad_tables_are_refused_by_name(score, table, training, error, words):
    with pytest.raises(error, match=words):
        score(table, training)


def test_other_bad_input_is_refused_by_name():
    for call, error, words in (
        (lambda: windowed_forgetting([0.5], 2), TypeError, r"^curve: got \[0.5\] \(list\)"),
        (lambda: windowed_forgetting(np.array([]), 2), ValueError, r"^curve: got \(0,\), expected at least one"),
        (lambda: windowed_forgetting(np.array([np.nan]), 2), ValueError, "^curve: got NaN"),
        (lambda: windowed_plasticity(np.array([0.5]), 0), ValueError, "^window: got 0, expected an integer >= 1"),
        (lambda: learning_curve_area(TABLE, TRAINING, beta=0), ValueError, "^beta: got 0"),
        (lambda: dips(TABLE, TRAINING, tolerance=-1.0), ValueError, "^tolerance: got -1.0"),
        (lambda: average_mean_class_accuracy(TABLE[0]), ValueError, "^accuracies: got"),
        (lambda: average_mean_class_accuracy(np.full((1, 2), np.nan)), ValueError, "^accuracies: got"),
        (lambda: average_mean_class_accuracy([[0.5]]), TypeError, "^accuracies: got"),
    ):
        with pytest.raises(error, match=words):
            call()
