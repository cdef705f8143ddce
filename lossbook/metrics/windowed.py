"""Falls and rises of accuracy within a few evaluations, which evaluation at the ends of tasks does not see."""

import numpy as np
from jaxtyping import Float

from lossbook.checks import bad_type, bad_value, check_count


def windowed_forgetting(curve: Float[np.ndarray, "evaluations ..."], window: int) -> Float[np.ndarray, "..."]:
    """WF^D: the largest fall of accuracy between two of any D evaluations in a row; 0 where it never falls.

        WF^D = max_{i < j < i + D} max(0, A_i − A_j)

    Args:
        curve: accuracies in the order of the evaluations; further axes are curves of their own.
        window: D, in evaluations, at least 1; 1 holds no pair and gives 0.

    Returns:
        One number a curve. Of a table, take the mean over tasks.

    Raises:
        TypeError, ValueError: naming the argument, what it got and what was expected.

    Example:
        >>> curve = np.array([0.9, 0.8, 0.7, 0.6, 0.85])
        >>> [round(float(windowed_forgetting(curve, window)), 3) for window in (1, 2, 3, 10)]
        [0.0, 0.1, 0.2, 0.3]

    Reference: De Lange, van de Ven & Tuytelaars 2023, arXiv 2205.13452.
    """
    curve = _checked_curve(curve)
    check_count("window", window)
    worst = np.zeros(curve.shape[1:])
    for lag in range(1, min(window, len(curve))):
        worst = np.maximum(worst, (curve[:-lag] - curve[lag:]).max(0))
    return worst


def windowed_plasticity(curve: Float[np.ndarray, "evaluations ..."], window: int) -> Float[np.ndarray, "..."]:
    """WP^D: the largest rise of accuracy between two of any D evaluations in a row; 0 where it never rises.

        WP^D = max_{i < j < i + D} max(0, A_j − A_i)

    Args:
        curve, window: as in `windowed_forgetting`.

    Raises:
        TypeError, ValueError: naming the argument, what it got and what was expected.

    Example:
        >>> round(float(windowed_plasticity(np.array([0.9, 0.5, 0.8]), 3)), 3)
        0.3

    The released code searches as it does for forgetting, from the highest value on, and gives 0 here.
    """
    return windowed_forgetting(-_checked_curve(curve), window)


def check_array(argument: str, value: np.ndarray) -> None:
    """Refuse what is not an array of floating-point numbers."""
    expected = "an array of floating-point accuracies"
    if not isinstance(value, np.ndarray):
        raise bad_type(argument, value, expected)
    if value.dtype.kind != "f":
        raise TypeError(f"{argument}: got an array of {value.dtype}, expected {expected}")


def _checked_curve(curve: np.ndarray) -> np.ndarray:
    check_array("curve", curve)
    if curve.ndim < 1 or not len(curve):
        raise bad_value("curve", curve.shape, "at least one evaluation")
    if bool(np.isnan(curve).any()):
        raise ValueError("curve: got NaN, expected an accuracy at each evaluation: leave out those before the task")
    return curve
