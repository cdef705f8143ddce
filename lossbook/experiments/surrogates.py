"""Seven binary losses train the same linear classifier, on clean data and on data with gross errors.

Wisconsin breast cancer, standardised, a bias column. The gross errors are training points whose label is turned round
and whose features are stretched, so that they lie far out on the wrong side. Gradient descent on the full batch.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pandas as pd
import torch

from lossbook import datasets
from lossbook.catalog import find
from lossbook.checks import bad_value, check_number
from lossbook.experiments.run import Run, Unit, run_units, seeds_of

LOSSES = (
    "zero_one_loss",
    "logistic_loss",
    "hinge_loss",
    "squared_hinge_loss",
    "exponential_loss",
    "savage_loss",
    "tangent_loss",
)


@dataclass(frozen=True)
class Config:
    """What is trained, on what, and for how long."""

    losses: tuple[str, ...] = LOSSES
    gross_errors: tuple[float, ...] = (0.0, 0.1)  # share of the training points
    stretch: float = 3.0  # how far out they lie, in multiples of where they were
    steps: int = 200
    step_size: float = 0.1
    longest_step: float = (
        1.0  # the gradient is shortened to this, so that the exponential loss does not run off to infinity
    )
    evaluate_every: int = 10
    seeds: int = 5
    first_seed: int = 0


SCALES = {
    "tiny": Config(steps=40, seeds=1),
    "small": Config(),
    "paper": Config(gross_errors=(0.0, 0.02, 0.05, 0.1, 0.2), steps=3000, seeds=20),
}


def run(config: Config, progress: bool = True, folder: str | Path | None = None) -> Run:
    """Train each loss on each share of gross errors, for each seed.

    Returns:
        A run whose history has the columns setting, seed, step, loss, gross_errors, train_loss (on the points as
        trained on) and test_accuracy (on clean points).

    Raises:
        ValueError: a loss that is not a margin loss, or a share outside of [0, 1).
    """
    for name in config.losses:
        if find(name).inputs != "margin":
            raise bad_value("losses", name, "names of margin losses")
    for share in config.gross_errors:
        check_number("gross_errors", share, at_least=0, below=1)
    load = cache(lambda seed: datasets.breast_cancer(seed=seed))
    units = {
        f"{name}, {share:g} gross errors, seed {seed}": lambda name=name, share=share, seed=seed: Unit(
            pd.DataFrame(_train(config, load(seed), name, share, seed))
        )
        for name in config.losses
        for share in config.gross_errors
        for seed in seeds_of(config)
    }
    return run_units("surrogates", config, units, progress=progress, folder=folder)


def _train(config: Config, data: datasets.Dataset, name: str, share: float, seed: int) -> list[Mapping[str, object]]:
    generator = torch.Generator().manual_seed(seed)
    pull = _signed(data.train_features, data.train_labels)
    wrong = torch.randperm(len(pull), generator=generator)[: round(share * len(pull))]
    pull[wrong] *= -config.stretch
    held_out = _signed(data.test_features, data.test_labels)
    weights = 0.01 * torch.randn(pull.shape[1], generator=generator)
    loss = find(name).function
    rows: list[Mapping[str, object]] = []
    for step in range(config.steps + 1):
        weights.requires_grad_()
        value = loss(pull @ weights)
        if step % config.evaluate_every == 0:
            rows.append(
                {
                    "setting": f"{name}, {share:g}",
                    "seed": seed,
                    "step": step,
                    "loss": name,
                    "gross_errors": share,
                    "train_loss": float(value.detach()),
                    "test_accuracy": float((held_out @ weights > 0).float().mean()),
                }
            )
        (gradient,) = torch.autograd.grad(value, weights)
        shortened = gradient * (config.longest_step / gradient.norm().clamp(min=config.longest_step))
        weights = weights.detach() - config.step_size * shortened
    return rows


def _signed(features: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """y_i (x_i, 1): a linear score's margins are these times its weights."""
    with_bias = torch.cat([features, torch.ones(len(features), 1)], dim=1)
    return (2 * labels - 1)[:, None] * with_bias
