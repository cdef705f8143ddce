"""Huge steps turn logistic regression into the perceptron.

Gradient descent on the logistic loss (LR+GD), its normalised form and the two batch perceptrons run from θ = 0 until
they separate the points: on real data (one setting per method and step size), and on the set that makes LR+GD need a
number of steps proportional to the number of points.

What the data are like: all 569 tumours of breast_cancer, 30 standardised features and a bias column, are linearly
separable (a linear program says so), but by a margin of 0.0014 with points as far out as 20.6. No method here gets
there in 200,000 steps. So each seed draws 200 of them, which are separable all the more: by 0.13 to 0.31 in five seeds.
Digits 3 and 8 (357 images) are separable by 0.72; nothing is drawn there, and every seed is the same.

Reference: Tyurin 2024, arXiv 2412.08424.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float
from scipy.optimize import nnls
from torch import Tensor

from lossbook import datasets
from lossbook.checks import bad_value, check_choice
from lossbook.experiments.run import Run, Snapshot, Unit, run_units, seeds_of
from lossbook.losses import logistic_loss
from lossbook.training.normalized import batch_perceptron_step, logistic_step, normalized_logistic_step

Step = Callable[[Tensor, Tensor, Tensor], Tensor]

METHODS = {"LR+GD": logistic_step, "Normalized LR+GD": normalized_logistic_step}
BECOMES = {"LR+GD": "batch perceptron", "Normalized LR+GD": "normalized batch perceptron"}  # as γ → ∞
WORST_CASE = "worst case"
CLASSES = {"breast_cancer": (1, 0), "digits": (3, 8)}  # those labelled 1 and −1


@dataclass(frozen=True)
class Config:
    """What is run. `points` are drawn of the real data for each seed; 0 takes all."""

    data: str = "breast_cancer"  # or "digits"
    points: int = 200
    step_sizes: tuple[float, ...] = (0.01, 0.1, 1.0, 10.0, 100.0)
    steps: int = 3000  # a method that has not separated the points by then has not
    worst_case_points: tuple[int, ...] = (10, 30, 100, 300, 1000)
    worst_case_step_sizes: tuple[float, ...] = (1.0, 10.0)
    worst_case_steps: int = 10_000
    seeds: int = 3
    first_seed: int = 0


SCALES = {
    "tiny": Config(points=100, step_sizes=(1.0, 10.0, 100.0), steps=300, worst_case_points=(10, 30), seeds=1),
    "small": Config(),
    "paper": Config(steps=100_000, worst_case_points=(10, 100, 1000, 10_000), worst_case_steps=100_000, seeds=5),
}


def run(config: Config = SCALES["small"], progress: bool = True, folder: str | Path | None = None) -> Run:
    """Run every method until it separates the points.

    The history has a row per setting, seed and recorded step: data (the real set, or "worst case"), method, step_size
    (NaN for the perceptrons), points, accuracy, loss (mean logistic loss, nats), peak_loss (the highest after step 0 so
    far) and smallest_margin, the signed distance to the boundary of the worst point. Steps are recorded on a
    logarithmic scale; the last row is the step that separates, or `steps`. Snapshots hold all signed distances: of
    LR+GD and of the perceptron that it becomes, for the first seed on real data.
    """
    units = {f"{config.data} seed {seed}": partial(_on_real_data, config, seed) for seed in seeds_of(config)}
    units |= {
        f"{WORST_CASE} {points} points": partial(_on_worst_case, config, points) for points in config.worst_case_points
    }
    return run_units("perceptron", config, units, progress=progress, folder=folder)


def two_classes(
    data: str, points: int = 0, seed: int = 0
) -> tuple[Float[Tensor, "points dimension"], Float[Tensor, " points"]]:
    """Real points of two classes: standardised features with a bias column, and labels −1 or 1, in float64.

    Args:
        data: "breast_cancer" (benign is 1), or "digits" (3 is 1, 8 is −1).
        points: how many to draw; 0 takes all.
        seed: of the draw.

    Raises:
        ValueError: another name, or more points than there are.
    """
    check_choice("data", data, CLASSES)
    parts = datasets.digits() if data == "digits" else datasets.breast_cancer(standardise=False)
    features = torch.cat([parts.train_features, parts.test_features]).double()
    classes = torch.cat([parts.train_labels, parts.test_labels])
    positive, negative = CLASSES[data]
    rows = torch.nonzero((classes == positive) | (classes == negative)).squeeze(1)
    if not 0 <= points <= len(rows):
        raise bad_value("points", points, f"0 for all, or up to {len(rows)}")
    rows = rows[torch.randperm(len(rows), generator=torch.Generator().manual_seed(seed))[: points or len(rows)]]
    features, labels = features[rows], torch.where(classes[rows] == positive, 1.0, -1.0).double()
    deviation = features.std(0, correction=0)
    features = (features - features.mean(0)) / torch.where(deviation > 0, deviation, 1.0)
    return torch.cat([features, torch.ones(len(features), 1)], 1), labels


def largest_margin(features: Float[Tensor, "points dimension"], labels: Float[Tensor, " points"]) -> float:
    """μ, the smallest signed distance at the best unit vector; 0 where no vector separates the points.

    With R = max ‖a_i‖ a perceptron takes at most (R/μ)² steps, a batch perceptron n (R/μ)².

    Example:
        >>> features, labels = datasets.separable_worst_case(100)
        >>> round(largest_margin(features, labels), 6)
        0.5

    Reference: Lawson & Hanson 1974, Solving Least Squares Problems, chapter 23 (least distance by non-negative least
    squares).
    """
    signed = (labels[:, None] * features).double().numpy()
    wanted = np.append(np.zeros(signed.shape[1]), 1.0)
    solution, distance = nnls(np.vstack([signed.T, np.ones(len(signed))]), wanted)
    if distance < 1e-9:  # the origin is a mixture of the y_i a_i: no vector is on the right side of them all
        return 0.0
    direction = signed.T @ solution
    return max(0.0, float((signed @ direction).min() / np.linalg.norm(direction)))


def path(
    step: Step, features: Float[Tensor, "points dimension"], labels: Float[Tensor, " points"], *, steps: int
) -> Iterator[tuple[int, Tensor, Tensor]]:
    """(step, θ, margins) from θ = 0 on, until every margin is positive or `steps` are done."""
    weights = torch.zeros_like(features[0])
    for done in range(steps + 1):
        margins = labels * (features @ weights)
        yield done, weights, margins
        if done == steps or bool(margins.min() > 0):
            return
        weights = step(weights, features, labels)


def summary(run: Run) -> pd.DataFrame:
    """One row per setting and seed: the steps it took to separate (NaN: it did not) and the highest loss on the way."""
    last = (
        run.history.sort_values("step")
        .groupby(["data", "setting", "points", "seed"], sort=False, as_index=False)
        .last()
    )
    last["steps"] = last["step"].where(last["smallest_margin"] > 0)
    columns = ["data", "setting", "method", "step_size", "points", "seed", "steps", "peak_loss"]
    return last[columns].sort_values(["data", "method", "step_size", "points", "seed"], ignore_index=True)


def _settings(step_sizes: tuple[float, ...]) -> list[tuple[str, float, Step]]:
    """(method, step size, step function) of every method at every step size, and of the perceptrons without one."""
    chosen: list[tuple[str, float, Step]] = [
        (method, size, partial(step, step_size=size)) for method, step in METHODS.items() for size in step_sizes
    ]
    for method, perceptron in BECOMES.items():
        chosen.append((perceptron, float("nan"), partial(batch_perceptron_step, normalized=method != "LR+GD")))
    return chosen


def _on_real_data(config: Config, seed: int) -> Unit:
    features, labels = two_classes(config.data, config.points, seed)
    units = [
        _separate(config.data, method, size, step, features, labels, config.steps, seed)
        for method, size, step in _settings(config.step_sizes)
    ]
    return Unit(
        pd.concat([unit.rows for unit in units], ignore_index=True),
        tuple(snapshot for unit in units for snapshot in unit.snapshots if seed == config.first_seed),
    )


def _on_worst_case(config: Config, points: int) -> Unit:
    features, labels = (tensor.double() for tensor in datasets.separable_worst_case(points))
    units = [
        _separate(WORST_CASE, method, size, step, features, labels, config.worst_case_steps, seed=0)
        for method, size, step in _settings(config.worst_case_step_sizes)
    ]
    return Unit(pd.concat([unit.rows for unit in units], ignore_index=True))


def _separate(
    data: str, method: str, size: float, step: Step, features: Tensor, labels: Tensor, steps: int, seed: int
) -> Unit:
    setting = method if np.isnan(size) else f"{method}, γ = {size:g}"
    if data == WORST_CASE:
        setting = f"{setting}, {len(features)} points of the worst case"
    recorded = {0, *np.unique(np.geomspace(1, steps, 60).astype(int)).tolist()}
    rows, snapshots, peak = [], [], float("nan")
    for done, weights, margins in path(step, features, labels, steps=steps):
        loss = float(logistic_loss(margins))
        peak = np.fmax(peak, loss) if done else peak
        separated = bool(margins.min() > 0)
        if done not in recorded and not separated:
            continue
        distances = margins / weights.norm() if done else margins
        rows.append(
            {
                "setting": setting,
                "seed": seed,
                "step": done,
                "data": data,
                "method": method,
                "step_size": size,
                "points": len(features),
                "accuracy": float((margins > 0).double().mean()),
                "loss": loss,
                "peak_loss": float(peak),
                "smallest_margin": float(distances.min()),
            }
        )
        if method in ("LR+GD", BECOMES["LR+GD"]):
            snapshots.append(Snapshot(setting, done, {"distances": distances.sort().values.numpy()}))
    return Unit(pd.DataFrame(rows), tuple(snapshots))
