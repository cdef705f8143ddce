"""What a small surrogate loss is worth: the H-consistency bounds of the comp-sum family, and whether they are tight.

The bound says that a classifier whose surrogate risk is near the best one has a zero-one risk near the best one:

    T_τ(zero-one excess) ≤ surrogate excess

for all hypotheses that are measurable functions (where the minimisability gaps of the paper vanish). Two checks of it, both
through `lossbook.losses.comp_sum_loss`: the paper's construction, two classes at η = (1 + b)/2, where equality should be
attained, and random distributions with random scores, which may not fall below the bound.
"""

import math
from dataclasses import dataclass
from functools import partial

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from lossbook.checks import bad_type, bad_value, check_number
from lossbook.experiments.run import Run, Unit, run_units
from lossbook.losses import comp_sum_loss

FAR = 60.0  # a logit at which the softmax is 0 or 1 to 26 digits


@dataclass(frozen=True)
class Config:
    """`gaps` values of b from 0 to 1 for the construction; `points` random distributions for each τ and number of classes."""

    taus: tuple[float, ...] = (0.0, 0.5, 1.0, 1.5, 2.0)
    gaps: int = 41
    classes: tuple[int, ...] = (2, 3, 10)
    points: int = 2000
    seed: int = 0


SCALES = {
    "tiny": Config(taus=(0.0, 1.0, 1.5), gaps=6, classes=(2, 3), points=50),
    "small": Config(),
    "paper": Config(taus=(0.0, 0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 1.75, 2.0, 3.0), gaps=201, points=100_000),
}


def transform(tau: float, classes: int, gap: float | np.ndarray) -> np.ndarray:
    """T_τ(b): the least surrogate excess, in the loss's unit, that a zero-one excess of b can come with.

    With M = (((1+b)^a + (1−b)^a)/2)^{1/a} and a = 1/(2−τ):

        0 ≤ τ < 1:  2^{1−τ}/(1−τ) (1 − M)
        τ = 1:      (1+b)/2 log(1+b) + (1−b)/2 log(1−b)
        1 < τ < 2:  (M − 1)/((τ−1) C^{τ−1})
        τ ≥ 2:      b/((τ−1) C^{τ−1})

    Args:
        tau: τ ≥ 0.
        classes: C ≥ 2; it counts for τ > 1 only.
        gap: b in [0, 1], numbers of any shape.

    Returns:
        An array of the shape of `gap`.

    Raises:
        TypeError, ValueError: naming the argument, what it got and what was expected.

    Example:
        >>> [round(float(transform(tau, 2, 0.6)), 6) for tau in (0, 0.5, 1, 1.5, 2)]
        [0.2, 0.186963, 0.192745, 0.235029, 0.3]

    Reference: Mao, Mohri & Zhong 2023, arXiv 2304.07288, theorem 3.1.
    """
    tau, classes = _check(tau, classes)
    b = np.asarray(gap, dtype=np.float64)
    if not ((b >= 0) & (b <= 1)).all():
        raise bad_value("gap", gap, "numbers in [0, 1]")
    per_class = float(classes) ** (tau - 1)
    if tau >= 2:
        return b / ((tau - 1) * per_class)
    if abs(tau - 1) < 1e-6:
        return (_x_log_x(1 + b) + _x_log_x(1 - b)) / 2
    a = 1 / (2 - tau)
    # log M, with the larger term taken out: a is large near τ = 2.
    log_mean = np.log1p(b) + (np.log1p(((1 - b) / (1 + b)) ** a) - math.log(2)) / a
    if tau < 1:
        return -(2 ** (1 - tau)) / (1 - tau) * np.expm1(log_mean)
    return np.expm1(log_mean) / ((tau - 1) * per_class)
