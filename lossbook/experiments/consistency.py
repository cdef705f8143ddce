"""What a small surrogate loss is worth: the H-consistency bounds of the comp-sum family, and whether they are tight.

The bound says that a classifier whose surrogate risk is near the best one has a zero-one risk near the best one:

    T_τ(zero-one excess) ≤ surrogate excess

where the hypotheses are all measurable functions, so that the minimisability gaps of the paper vanish. Two checks of
it, both through `lossbook.losses.comp_sum_loss`: the paper's construction, two classes at η = (1 + b)/2, where equality
should be attained, and random distributions with random scores, which may not fall below the bound.
"""

import math
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from lossbook.checks import bad_value, check_count, check_number
from lossbook.experiments.run import Run, Unit, run_units
from lossbook.losses import comp_sum_loss

FAR = 60.0  # a logit at which the softmax is 0 or 1 to 26 digits


@dataclass(frozen=True)
class Config:
    """`gaps` values of b from 0 to 1 for the construction; `points` random distributions for each τ and classes."""

    taus: tuple[float, ...] = (0.0, 0.5, 1.0, 1.5, 2.0)
    gaps: int = 101
    classes: tuple[int, ...] = (2, 3, 10)
    points: int = 2000
    seed: int = 0


SCALES = {
    "tiny": Config(taus=(0.0, 1.0, 1.5), gaps=6, classes=(2, 3), points=50),
    "small": Config(),
    "paper": Config(taus=(0.0, 0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 1.75, 2.0, 3.0), gaps=201, points=20_000),
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

    Reference: Mao, Mohri & Zhong 2023, arXiv 2304.07288.
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


def inverse_transform(tau: float, classes: int, excess: float | np.ndarray) -> np.ndarray:
    """The bound read backwards: the largest zero-one excess that a surrogate excess allows.

    Args:
        tau, classes: as in `transform`.
        excess: of the surrogate risk, at least 0, numbers of any shape. Beyond T_τ(1) the answer is 1.

    Returns:
        An array of the shape of `excess`, found by bisection; near 0, where T is flat, it is good to 1e-7.

    Raises:
        TypeError, ValueError: naming the argument, what it got and what was expected.

    Example:
        >>> float(abs(inverse_transform(0.5, 2, transform(0.5, 2, 0.6)) - 0.6)) < 1e-12
        True
    """
    _check(tau, classes)
    excess = _check_excess(excess)
    low, high = np.zeros_like(excess), np.ones_like(excess)
    for _ in range(60):
        middle = (low + high) / 2
        below = transform(tau, classes, middle) < excess
        low, high = np.where(below, middle, low), np.where(below, high, middle)
    return np.where(excess >= transform(tau, classes, 1.0), 1.0, high)


def simple_inverse(tau: float, classes: int, excess: float | np.ndarray) -> np.ndarray:
    """A closed form that is never below `inverse_transform`: a square root up to τ = 2, then a straight line.

        √(2^τ (2−τ) x) for τ < 1,   √(2 C^{τ−1} x) for 1 ≤ τ < 2,   (τ−1) C^{τ−1} x for τ ≥ 2

    Args:
        tau, classes, excess: as in `inverse_transform`.

    Returns:
        An array of the shape of `excess`; not cut off at 1.

    Raises:
        TypeError, ValueError: naming the argument, what it got and what was expected.

    Example:
        >>> float(simple_inverse(1, 2, 0.02))          # 0.02 nats from the best cross-entropy: at most 20 % more errors
        0.2

    Reference: Mao, Mohri & Zhong 2023, arXiv 2304.07288.
    """
    tau, classes = _check(tau, classes)
    excess = _check_excess(excess)
    if tau < 1:
        return np.sqrt(2**tau * (2 - tau) * excess)
    per_class = float(classes) ** (tau - 1)
    return np.sqrt(2 * per_class * excess) if tau < 2 else (tau - 1) * per_class * excess


def conditional_risk(tau: float, probabilities: Tensor, logits: Tensor) -> Tensor:
    """The comp-sum loss expected where class y has probability η_y: Σ_y η_y ℓ_τ(z, y).

    Args:
        tau: τ ≥ 0.
        probabilities: η, (*batch, classes).
        logits: z, (*batch, classes).

    Returns:
        (*batch).

    Example:
        >>> even = torch.tensor([0.5, 0.5], dtype=torch.float64)
        >>> float(conditional_risk(0, even, torch.zeros(2, dtype=torch.float64)))
        1.0
    """
    classes = logits.shape[-1]
    rows = logits[..., None, :].expand(*logits.shape[:-1], classes, classes)
    target = torch.arange(classes).expand(rows.shape[:-1])
    return (probabilities * comp_sum_loss(rows, target, tau=tau, reduction="none")).sum(-1)


def best_logits(tau: float, probabilities: Tensor) -> Tensor:
    """Scores of least conditional risk: softmax ∝ η^{1/(2−τ)} for τ < 2, all on the likeliest class for τ ≥ 2.

    Example:
        >>> eta = torch.tensor([0.6, 0.3, 0.1])
        >>> bool(torch.allclose(torch.softmax(best_logits(1, eta), -1), eta))             # cross-entropy is proper
        True
    """
    if tau < 2:
        return probabilities.log() / (2 - tau)
    return FAR * torch.nn.functional.one_hot(probabilities.argmax(-1), probabilities.shape[-1]).to(probabilities.dtype)


def attained_excess(tau: float, gap: Tensor) -> Tensor:
    """The paper's construction: the surrogate excess of the best wrong decision between two classes.

    Class 0 has probability η = (1 + b)/2. The zero-one excess of deciding for class 1 is b; the surrogate excess is the
    least conditional risk over scores with p_0 ≤ 1/2, less the least over all scores. Both are found by search.

    Args:
        tau: τ ≥ 0.
        gap: b in [0, 1], (gaps,).

    Returns:
        (gaps,), in float64.

    Example:
        >>> round(float(attained_excess(1, torch.tensor([0.6]))[0]), 6)
        0.192745
    """
    gap = gap.double()
    probabilities = torch.stack([1 + gap, 1 - gap], -1) / 2
    return _least_risk(tau, probabilities, 0.0) - _least_risk(tau, probabilities, FAR)


def _least_risk(tau: float, probabilities: Tensor, highest: float) -> Tensor:
    """The least conditional risk over scores (x, 0) with −FAR ≤ x ≤ highest: a grid, narrowed around its best point."""
    low = torch.full(probabilities.shape[:1], -FAR, dtype=torch.float64)
    high = torch.full_like(low, highest)
    ruler = torch.linspace(0, 1, 201, dtype=torch.float64)
    for _ in range(6):
        x = low[:, None] + (high - low)[:, None] * ruler
        risk = conditional_risk(tau, probabilities[:, None], torch.stack([x, torch.zeros_like(x)], -1))
        best, place = risk.min(-1)
        low = x.gather(1, (place - 1).clamp(min=0)[:, None])[:, 0]
        high = x.gather(1, (place + 1).clamp(max=len(ruler) - 1)[:, None])[:, 0]
    return best


def random_excess(tau: float, classes: int, points: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Zero-one and surrogate excess of random scores under random class probabilities, (points,) each.

    The probabilities are uniform on the simplex. The scores are the best ones, shrunk by a random factor, plus noise of
    a random size: from nearly right to plainly wrong.
    """
    shape = (points, classes)
    eta = torch.empty(shape, dtype=torch.float64).exponential_(generator=generator)
    eta = eta / eta.sum(-1, keepdim=True)
    best = best_logits(min(tau, 1.5), eta)
    shrink = torch.rand(points, 1, dtype=torch.float64, generator=generator)
    size = 3 * torch.rand(points, 1, dtype=torch.float64, generator=generator)
    scores = shrink * best + size * torch.randn(shape, dtype=torch.float64, generator=generator)
    decided = eta.gather(-1, scores.argmax(-1, keepdim=True))[:, 0]
    surrogate = conditional_risk(tau, eta, scores) - conditional_risk(tau, eta, best_logits(tau, eta))
    return eta.amax(-1) - decided, surrogate


def run(config: Config = SCALES["small"], progress: bool = True, folder: str | Path | None = None) -> Run:
    """Both checks of the bound for each τ.

    Args:
        config: one of `SCALES`, or your own.
        progress: show a bar, a step a τ.
        folder: where finished τ are kept, and looked for.

    Returns:
        History with a row for each checked point:
            setting: "construction" (two classes) or "random".
            tau, classes, seed, step: of the point; `step` counts the points of a setting.
            excess_zero_one, excess_surrogate: of its scores.
            transform: T_τ of the zero-one excess: what the surrogate excess may not be below.

    Example:
        >>> found = run(SCALES["tiny"], progress=False).history
        >>> bool((found.excess_surrogate >= found["transform"] - 1e-12).all())
        True

    Reference: Mao, Mohri & Zhong 2023, arXiv 2304.07288.
    """
    units = {f"tau={tau:g}": partial(_unit, config, tau) for tau in config.taus}
    return run_units("consistency", config, units, progress=progress, folder=folder)


def _unit(config: Config, tau: float) -> Unit:
    gap = torch.linspace(0, 1, config.gaps, dtype=torch.float64)
    parts = [_rows("construction", config, tau, 2, gap, attained_excess(tau, gap))]
    for classes in config.classes:
        generator = torch.Generator().manual_seed(1000 * config.seed + classes)
        parts.append(_rows("random", config, tau, classes, *random_excess(tau, classes, config.points, generator)))
    return Unit(pd.concat(parts, ignore_index=True))


def _rows(setting: str, config: Config, tau: float, classes: int, zero_one: Tensor, surrogate: Tensor) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "setting": setting,
            "tau": tau,
            "classes": classes,
            "seed": config.seed,
            "step": range(len(zero_one)),
            "excess_zero_one": zero_one.numpy(),
            "excess_surrogate": surrogate.numpy(),
            "transform": transform(tau, classes, zero_one.numpy()),
        }
    )


def _x_log_x(x: np.ndarray) -> np.ndarray:
    return np.where(x > 0, x * np.log(np.where(x > 0, x, 1.0)), 0.0)


def _check(tau: float, classes: int) -> tuple[float, int]:
    check_count("classes", classes, least=2)
    return check_number("tau", tau, at_least=0), classes


def _check_excess(excess: float | np.ndarray) -> np.ndarray:
    values = np.asarray(excess, dtype=np.float64)
    if not (values >= 0).all():
        raise bad_value("excess", excess, "numbers >= 0")
    return values
