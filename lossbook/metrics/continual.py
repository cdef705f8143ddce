"""Continual evaluation: what a network still knows of each task, from accuracies measured after every update.

All functions read a table of accuracies, a row for each evaluation and a column for each task, and for each row the
task that was being learned. The first row may be an evaluation before any update. Entries of tasks that are still to
come are not read; they may be NaN.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from lossbook.checks import bad_type, bad_value, check_count, check_number
from lossbook.metrics.windowed import check_array, windowed_forgetting, windowed_plasticity


class ContinualScores(NamedTuple):
    """The scores of one run, all from one table; higher is better but for forgetting. NaN where a task is too few."""

    accuracy: float
    min_accuracy: float
    worst_case_accuracy: float
    forgetting: float
    windowed_forgetting_10: float
    windowed_forgetting_100: float
    windowed_plasticity_10: float
    windowed_plasticity_100: float
    learning_curve_area: float


class Dips(NamedTuple):
    """A dip for each switch and each task learned before it: rows of arrays of one length."""

    switch: np.ndarray
    task: np.ndarray
    depth: np.ndarray
    deepest: np.ndarray
    length: np.ndarray


def final_accuracy(table: Float[np.ndarray, "evaluations tasks"], training: Int[np.ndarray, " evaluations"]) -> float:
    """ACC: the mean accuracy, at the last evaluation, over the tasks learned so far.

        ACC = (1/k) Σ_{i≤k} A(E_i, f_t)

    Args:
        table: accuracies in [0, 1].
        training: for each row the task that was being learned, from 0 on; it never falls.

    Raises:
        TypeError, ValueError: naming the argument, what it got and what was expected.

    Example:
        >>> table, training = np.array([[0.9, 0.1], [0.5, 0.8], [0.7, 0.9]]), np.array([0, 1, 1])
        >>> round(final_accuracy(table, training), 3)
        0.8
    """
    table, training = _checked(table, training)
    return float(table[-1, : training[-1] + 1].mean())


def minimum_accuracies(
    table: Float[np.ndarray, "evaluations tasks"], training: Int[np.ndarray, " evaluations"]
) -> Float[np.ndarray, " finished"]:
    """The lowest accuracy of each finished task, over all evaluations since it was finished.

        min_{|T_i| < n ≤ t} A(E_i, f_n),  i < k

    Never while the task itself was being learned, nor at its end.

    Args:
        table, training: as in `final_accuracy`.

    Returns:
        A number for each task before the present one.

    Raises:
        TypeError, ValueError: naming the argument, what it got and what was expected.

    Example:
        >>> minimum_accuracies(np.array([[0.9, 0.1], [0.5, 0.8], [0.7, 0.9]]), np.array([0, 1, 1])).tolist()
        [0.5]
    """
    table, training = _checked(table, training)
    return np.array([table[training > task, task].min() for task in range(training[-1])])


def min_accuracy(table: Float[np.ndarray, "evaluations tasks"], training: Int[np.ndarray, " evaluations"]) -> float:
    """min-ACC: the mean of `minimum_accuracies`; NaN where no task is finished.

        min-ACC = 1/(k − 1) Σ_{i<k} min_{|T_i| < n ≤ t} A(E_i, f_n)

    Args:
        table, training: as in `final_accuracy`.

    Raises:
        TypeError, ValueError: naming the argument, what it got and what was expected.

    Example:
        >>> min_accuracy(np.array([[0.9, 0.1], [0.5, 0.8], [0.7, 0.9]]), np.array([0, 1, 1]))
        0.5

    Reference: De Lange, van de Ven & Tuytelaars 2023, arXiv 2205.13452.
    """
    lowest = minimum_accuracies(table, training)
    return float(lowest.mean()) if len(lowest) else float("nan")


def worst_case_accuracy(
    table: Float[np.ndarray, "evaluations tasks"], training: Int[np.ndarray, " evaluations"]
) -> float:
    """WC-ACC: the mean of the present task's accuracy and of the others' lowest since they were finished.

        WC-ACC = (1/k) A(E_k, f_t) + (1 − 1/k) min-ACC

    Args:
        table, training: as in `final_accuracy`.

    Returns:
        A number that is never above `final_accuracy`; equal to it while there is one task.

    Raises:
        TypeError, ValueError: naming the argument, what it got and what was expected.

    Example:
        >>> worst_case_accuracy(np.array([[0.9, 0.1], [0.5, 0.8], [0.7, 0.9]]), np.array([0, 1, 1]))
        0.7

    Reference: De Lange, van de Ven & Tuytelaars 2023, arXiv 2205.13452.
    """
    table, training = _checked(table, training)
    return float(np.append(minimum_accuracies(table, training), table[-1, training[-1]]).mean())


def forgetting(
    table: Float[np.ndarray, "evaluations tasks"], training: Int[np.ndarray, " evaluations"]
) -> Float[np.ndarray, " finished"]:
    """FORG: of each finished task, its accuracy when it had been learned minus its accuracy now.

        FORG_i = A(E_i, f_{|T_i|}) − A(E_i, f_t);  backward transfer is −FORG

    Args:
        table, training: as in `final_accuracy`.

    Returns:
        A number for each task before the present one; positive where something was forgotten. It sees two evaluations,
        and nothing of what was between them.

    Raises:
        TypeError, ValueError: naming the argument, what it got and what was expected.

    Example:
        >>> forgetting(np.array([[0.9, 0.1], [0.5, 0.8], [0.7, 0.9]]), np.array([0, 1, 1])).round(3).tolist()
        [0.2]
    """
    table, training = _checked(table, training)
    learned = [table[np.flatnonzero(training == task)[-1], task] for task in range(training[-1])]
    return np.array(learned) - table[-1, : training[-1]]


def backward_transfer(
    table: Float[np.ndarray, "evaluations tasks"], training: Int[np.ndarray, " evaluations"]
) -> Float[np.ndarray, " finished"]:
    """BWT: −`forgetting`, task by task.

    Args:
        table, training: as in `final_accuracy`.

    Raises:
        TypeError, ValueError: naming the argument, what it got and what was expected.

    Example:
        >>> backward_transfer(np.array([[0.9, 0.1], [0.5, 0.8], [0.7, 0.9]]), np.array([0, 1, 1])).round(3).tolist()
        [-0.2]
    """
    return 0.0 - forgetting(table, training)


def learning_curve_area(
    table: Float[np.ndarray, "evaluations tasks"], training: Int[np.ndarray, " evaluations"], *, beta: int = 10
) -> float:
    """LCA_β: the mean accuracy of a task over its first β evaluations, averaged over tasks.

    Args:
        table, training: as in `final_accuracy`.
        beta: β, at least 1; where a task has fewer evaluations, all of them.

    Raises:
        TypeError, ValueError: naming the argument, what it got and what was expected.

    Example:
        >>> table, training = np.array([[0.9, 0.1], [0.5, 0.8], [0.7, 0.9]]), np.array([0, 1, 1])
        >>> round(learning_curve_area(table, training, beta=1), 3)
        0.85

    Reference: Chaudhry et al. 2019, arXiv 1812.00420, whose sum begins before the task's first update.
    """
    table, training = _checked(table, training)
    check_count("beta", beta)
    return float(np.mean([table[training == task, task][:beta].mean() for task in range(training[-1] + 1)]))


def average_mean_class_accuracy(accuracies: Float[np.ndarray, "experiences classes"]) -> float:
    """AMCA: the mean over classes, then over the evaluations at the end of each experience.

    Args:
        accuracies: of each class at each end of an experience; NaN for a class without examples there.

    Raises:
        TypeError, ValueError: naming the argument, what it got and what was expected.

    Example:
        >>> average_mean_class_accuracy(np.array([[1.0, np.nan], [0.5, 0.9]]))
        0.85
    """
    check_array("accuracies", accuracies)
    if accuracies.ndim != 2 or not accuracies.size or bool(np.isnan(accuracies).all(1).any()):
        raise bad_value("accuracies", accuracies.shape, "shape (experiences, classes), a number in each row")
    return float(np.nanmean(accuracies, 1).mean())


def dips(
    table: Float[np.ndarray, "evaluations tasks"],
    training: Int[np.ndarray, " evaluations"],
    *,
    tolerance: float = 0.05,
) -> Dips:
    """The stability gap, measured: how far each old task falls after each switch, when, and for how long.

        depth = A before the switch − min A while the next task is learned;  deepest = evaluations until that minimum
        length = evaluations more than `tolerance` below the lower of A before the switch and A at the next task's end

    Args:
        table, training: as in `final_accuracy`.
        tolerance: in accuracy, at least 0; it keeps a curve that wavers at its end from counting as a dip.

    Returns:
        `switch` (the task that began), `task` (an older one), `depth`, `deepest` and `length`.

    Raises:
        TypeError, ValueError: naming the argument, what it got and what was expected.

    Example:
        >>> table, training = np.array([[0.9, 0.1], [0.5, 0.5], [0.6, 0.8], [0.8, 0.9]]), np.array([0, 1, 1, 1])
        >>> found = dips(table, training)
        >>> round(float(found.depth[0]), 3), int(found.deepest[0]), int(found.length[0])
        (0.4, 1, 2)
    """
    table, training = _checked(table, training)
    check_number("tolerance", tolerance, at_least=0)
    found = []
    for switch in range(1, training[-1] + 1):
        before = table[np.flatnonzero(training < switch)[-1]]
        for task in range(switch):
            curve = table[training == switch, task]
            level = min(before[task], curve[-1]) - tolerance
            found.append(
                (switch, task, before[task] - curve.min(), int(curve.argmin()) + 1, int((curve < level).sum()))
            )
    return Dips(*(np.array(column) for column in (zip(*found, strict=True) if found else [()] * 5)))


def continual_scores(
    table: Float[np.ndarray, "evaluations tasks"], training: Int[np.ndarray, " evaluations"]
) -> ContinualScores:
    """Every score of a table: ACC, min-ACC, WC-ACC, and the means over tasks of FORG, WF and WP (D = 10, 100); LCA_10.

    Windows begin with the first evaluation of a task's own learning.

    Args:
        table, training: as in `final_accuracy`.

    Raises:
        TypeError, ValueError: naming the argument, what it got and what was expected.

    Example:
        >>> table, training = np.array([[0.9, 0.1], [0.5, 0.8], [0.7, 0.9]]), np.array([0, 1, 1])
        >>> round(continual_scores(table, training).windowed_forgetting_10, 3)        # of task 1: 0.4, of task 2: 0
        0.2
    """
    table, training = _checked(table, training)
    curves = [table[training >= task, task] for task in range(training[-1] + 1)]

    def windowed(score: object, window: int) -> float:
        return float(np.mean([score(curve, window) for curve in curves]))  # type: ignore[operator]

    lost = forgetting(table, training)
    return ContinualScores(
        final_accuracy(table, training),
        min_accuracy(table, training),
        worst_case_accuracy(table, training),
        float(lost.mean()) if len(lost) else float("nan"),
        windowed(windowed_forgetting, 10),
        windowed(windowed_forgetting, 100),
        windowed(windowed_plasticity, 10),
        windowed(windowed_plasticity, 100),
        learning_curve_area(table, training),
    )


def _checked(table: np.ndarray, training: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    check_array("table", table)
    if table.ndim != 2 or not table.size:
        raise bad_value("table", table.shape, "shape (evaluations, tasks), at least one of each")
    if not isinstance(training, np.ndarray) or training.dtype.kind not in "iu":
        raise bad_type("training", training, "an array of whole numbers, the task being learned at each evaluation")
    if training.shape != table.shape[:1]:
        raise bad_value("training", training.shape, f"a task for each evaluation, shape ({len(table)},)")
    last, rises = int(training[-1]), np.diff(training.astype(np.int64))
    if training[0] != 0 or bool(((rises != 0) & (rises != 1)).any()) or last >= table.shape[1]:
        raise bad_value("training", training.tolist(), f"0, …, 0, 1, …, 1, 2, … in order, below {table.shape[1]} tasks")
    read = np.arange(table.shape[1]) <= training[:, None]
    if not bool(((table >= 0) & (table <= 1) | ~read).all()):
        raise ValueError("table: got an accuracy outside 0 to 1, or NaN for a task that was begun; expected neither")
    return table, training
