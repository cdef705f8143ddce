"""What a float format makes of cross-entropy when the logits of a trained classifier grow.

A linear softmax classifier is fitted to the digits until it makes next to no mistake on them. From there on, training
makes the weights larger and changes little else; here all of them are multiplied by a scale instead. At each scale the
loss of held-out rows is computed by three formulas in four formats, and held against float64 arithmetic on the same
logits:

    naive               −log(exp(z_y) / Σ exp(z_j))
    log of the softmax  −log(softmax(z)_y)
    log-softmax         L − z_y, formed from z − max z

A row has *collapsed* when Σ exp(z_j − max z) is exactly 1 in its format. For a row that is right this means p_y = 1:
the loss is 0, and so is the gradient on the right class. Collapse is counted on the rows that the classifier was fitted
to, which are those it would learn from.

Seen over the five seeds 0 to 4 at the small scale:

    at most one of 1,437 training rows is wrong: 5 of 5
    log-softmax is finite for every row, format and scale: 5 of 5
    naive at scale 1: finite for all rows in float32 and for at most 0.05 of them in float16: 5 of 5
    naive at scale 16: finite for at most 0.01 of the rows in float32: 5 of 5
    log of the softmax at scale 64, float32: infinite for 0.017 to 0.045 of the rows, those with a wrong answer: 5 of 5
    collapsed at scale 1: bfloat16 0.82 to 0.86, float16 0.70 to 0.79, float32 0.21 to 0.36, float64 0.005 at most
"""

import math
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pandas as pd
import torch
from torch import Tensor

from lossbook import datasets
from lossbook.checks import check_choice, check_count, check_number
from lossbook.experiments.run import Run, Unit, run_units, seeds_of
from lossbook.losses import cross_entropy
from lossbook.metrics import collapsed

FORMATS = {"bfloat16": torch.bfloat16, "float16": torch.float16, "float32": torch.float32, "float64": torch.float64}
"""By name, from the coarsest spacing to the finest."""
FORMULAS = ("naive", "log of the softmax", "log-softmax")


@dataclass(frozen=True)
class Config:
    """`steps` of gradient descent on the whole batch, `step_size` long; `scales` multiply the logits afterwards."""

    formats: tuple[str, ...] = tuple(FORMATS)
    scales: tuple[float, ...] = tuple(2.0 ** (power / 2) for power in range(-2, 15))
    steps: int = 600
    step_size: float = 20.0
    seeds: int = 2
    first_seed: int = 0


SCALES = {
    "tiny": Config(scales=(1.0, 16.0, 256.0), seeds=1),
    "small": Config(),
    "paper": Config(scales=tuple(2.0 ** (power / 4) for power in range(-8, 41)), seeds=10),
}


def collapse_gap(dtype: torch.dtype) -> float:
    """The gap z_y − z_other in nats from which on p_y of two classes is exactly 1: 1 + exp(−gap) rounds to 1.

    Numbers just above 1 are eps apart, so what is at most eps/2 is lost: gap = −log(eps/2).

    Example:
        >>> [round(collapse_gap(dtype), 2) for dtype in (torch.float16, torch.float32, torch.float64)]
        [7.62, 16.64, 36.74]
    """
    return -math.log(torch.finfo(dtype).eps / 2)


def row_losses(logits: Tensor, target: Tensor, formula: str) -> Tensor:
    """−log p_y of each row by one of the formulas, every operation in the dtype of the logits.

    Args:
        logits: (rows, classes).
        target: (rows,) class indices.
        formula: one of `FORMULAS`.

    Raises:
        ValueError: another formula.

    Example:
        >>> far = torch.tensor([[0.0, 200.0]])
        >>> [float(row_losses(far, torch.tensor([0]), formula)) for formula in FORMULAS]
        [inf, inf, 200.0]
    """
    check_choice("formula", formula, FORMULAS)
    column = target[:, None]
    if formula == "naive":
        exponentials = logits.exp()
        return -(exponentials.gather(1, column)[:, 0] / exponentials.sum(1)).log()
    shifted = logits - logits.detach().amax(1, keepdim=True)  # it cancels; rounded, its gradient would not
    sums = shifted.exp().sum(1)
    if formula == "log of the softmax":
        return -(shifted.exp().gather(1, column)[:, 0] / sums).log()
    return sums.log() - shifted.gather(1, column)[:, 0]


def run(config: Config = SCALES["small"], progress: bool = True, folder: str | Path | None = None) -> Run:
    """Fit the classifier, let its logits grow, and look at the loss in each format.

    Args:
        config: one of `SCALES`, or your own.
        progress: show a bar, a step a seed.
        folder: where finished seeds are kept, and looked for.

    Returns:
        History with a row for each setting (formula and format), seed and step (the scale):
            formula, format: of the setting.
            finite: share of held-out rows whose loss is a finite number.
            error: median of |loss − loss in float64|, in nats, over those rows.
            collapsed: share of training rows whose sum of exponentials is exactly 1; the same for each formula.
            gap: median of z_y − max of the others over the training rows, in nats.
            accuracy: on the training rows, the same at every scale.

    Raises:
        ValueError: an unknown format, or a number out of range.

    Example:
        >>> found = run(SCALES["tiny"], progress=False).history
        >>> float(found.query("formula == 'log-softmax' and format != 'float16'").finite.min())
        1.0

    Reference: Prieto et al. 2025, arXiv 2501.04697 (softmax collapse).
    """
    for name in config.formats:
        check_choice("formats", name, FORMATS)
    for scale in config.scales:
        check_number("scales", scale, above=0)
    for name in ("steps", "seeds"):
        check_count(name, getattr(config, name))
    check_number("step_size", config.step_size, above=0)
    units = {f"seed={seed}": partial(_seed, config, seed) for seed in seeds_of(config)}
    return run_units("softmax_precision", config, units, progress=progress, folder=folder)


def _seed(config: Config, seed: int) -> Unit:
    data = datasets.digits(seed=seed)
    train, test = (
        torch.cat([part.double(), torch.ones(len(part), 1).double()], 1)
        for part in (data.train_features, data.test_features)
    )
    weights = torch.zeros(train.shape[1], data.classes, dtype=torch.float64)
    for _ in range(config.steps):
        weights.requires_grad_()
        (gradient,) = torch.autograd.grad(cross_entropy(train @ weights, data.train_labels), weights)
        weights = weights.detach() - config.step_size * gradient
    fitted, held_out = train @ weights, test @ weights
    others = fitted.scatter(1, data.train_labels[:, None], -torch.inf).amax(1)
    gap = fitted.gather(1, data.train_labels[:, None])[:, 0] - others
    rows = [
        {
            "setting": f"{formula}, {name}",
            "seed": seed,
            "step": scale,
            "formula": formula,
            "format": name,
            **_losses((scale * held_out).to(FORMATS[name]), data.test_labels, formula),
            "collapsed": float(collapsed((scale * fitted).to(FORMATS[name])).float().mean()),
            "gap": scale * float(gap.median()),
            "accuracy": float((gap > 0).float().mean()),
        }
        for name in config.formats
        for scale in config.scales
        for formula in FORMULAS
    ]
    return Unit(pd.DataFrame(rows))


def _losses(logits: Tensor, target: Tensor, formula: str) -> dict[str, float]:
    found = row_losses(logits, target, formula).double()
    truth = row_losses(logits.double(), target, "log-softmax")
    finite = found.isfinite()
    error = float((found - truth)[finite].abs().median()) if finite.any() else math.nan
    return {"finite": float(finite.float().mean()), "error": error}
