"""Which losses find the true probabilities? Three classes over a plane, their probabilities known at every point.

One small network for each loss and number of examples. Within a seed all start from the same weights, and all losses
see the same batches. What is measured is the distance of the softmax from the truth at fresh points. A proper loss has
its least at the truth, so that more examples bring it there. Focal loss and generalised cross-entropy have theirs
elsewhere: at exponent q the latter is least at the truth to the power 1/(1 − q), rescaled, and more data leads there.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pandas as pd
import torch
from torch import Tensor

from lossbook.devices import device
from lossbook.experiments.run import Run, Unit, run_units, seeds_of, stream
from lossbook.losses import brier_loss, cross_entropy, focal_loss, generalized_cross_entropy, spherical_score_loss
from lossbook.models import Ensemble, multilayer
from lossbook.training import fit

EXPONENT = 0.5
LOSSES: dict[str, Callable[..., Tensor]] = {
    "cross-entropy": cross_entropy,
    "Brier": brier_loss,
    "spherical": spherical_score_loss,
    "focal, γ = 2": partial(focal_loss, gamma=2.0),
    "generalised, q = 1/2": partial(generalized_cross_entropy, q=EXPONENT),
}
PROPER = ("cross-entropy", "Brier", "spherical")
IMPROPER = tuple(name for name in LOSSES if name not in PROPER)
FRESH = 2_000


@dataclass(frozen=True)
class Config:
    """Numbers of examples, and how long is trained on them; the rate was the best of three for every loss."""

    sizes: tuple[int, ...] = (500, 8_000)
    seeds: int = 5
    first_seed: int = 0
    hidden: int = 48
    steps: int = 1_000
    batch_size: int = 128
    learning_rate: float = 1e-3


SCALES = {
    "tiny": Config(sizes=(200, 1_000), seeds=1, steps=150, learning_rate=3e-3),
    "small": Config(),
    "paper": Config(sizes=(500, 2_000, 8_000, 32_000, 128_000), seeds=10, hidden=256, steps=20_000),
}


def truth(points: Tensor) -> Tensor:
    """The probabilities of three classes at points of the plane: (points, 2) to (points, 3)."""
    x, y = points.unbind(-1)
    return torch.softmax(torch.stack([torch.sin(2 * x) + y, torch.cos(2 * y) - x, x * y / 2], -1), -1)


def own_minimum(probabilities: Tensor, q: float = EXPONENT) -> Tensor:
    """Where generalised cross-entropy is least in expectation: p ∝ π^(1/(1 − q)).

    Example:
        >>> own_minimum(torch.tensor([0.75, 0.25])).tolist()
        [0.8999999761581421, 0.10000000149011612]
    """
    powers = probabilities ** (1 / (1 - q))
    return powers / powers.sum(-1, keepdim=True)


def run(config: Config = SCALES["small"], progress: bool = True, folder: str | Path | None = None) -> Run:
    """Train one network for each loss, number of examples and seed.

    Args:
        config: one of `SCALES`, or your own.
        progress: show a bar, a step a seed.
        folder: where finished seeds are kept, and looked for.

    Returns:
        History with a row for each loss, number of examples and seed:
            setting: the loss; step: the number of examples.
            distance: from the truth, half the sum of absolute differences, a mean over fresh points.
            to_own: the same from where generalised cross-entropy is least.
            confidence, true_confidence: means of the largest probability, and of the truth of its class.

    Example:
        >>> found = run(SCALES["tiny"], progress=False)
        >>> sorted(found.history.step.unique().tolist())
        [200, 1000]
    """
    units = {f"seed={seed}": partial(_seed, config, seed) for seed in seeds_of(config)}
    return run_units("proper_scores", config, units, progress=progress, folder=folder, device=device())


def _seed(config: Config, seed: int) -> Unit:
    points, chance = _drawn(max(config.sizes), stream(seed, 1))
    labels = (chance[:, None] > truth(points).cumsum(-1)[:, :-1]).sum(-1)
    fresh, _ = _drawn(FRESH, stream(seed, 4))
    known, rows = truth(fresh), []
    for size in config.sizes:
        model = Ensemble([multilayer((2, config.hidden, config.hidden, 3), generator=stream(seed, 2))] * len(LOSSES))
        model = model.to(device())
        fit(
            model,
            _each_its_own,
            points[:size],
            labels[:size],
            epochs=-(-config.steps * config.batch_size // size),
            batch_size=config.batch_size,
            learning_rate=config.learning_rate,
            generator=stream(seed, 3),
            evaluate=lambda model: {},
            every=config.steps * config.batch_size,
        )
        with torch.no_grad():
            found = torch.softmax(model(fresh), -1)
        for k, name in enumerate(LOSSES):
            p = found[:, k]
            sure, answer = p.max(-1)
            numbers = {
                "distance": _apart(p, known),
                "to_own": _apart(p, own_minimum(known)),
                "confidence": float(sure.mean()),
                "true_confidence": float(known.gather(1, answer[:, None]).mean()),
            }
            rows.append({"setting": name, "seed": seed, "step": size} | numbers)
    return Unit(pd.DataFrame(rows))


def _drawn(count: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Points of a square, and a number in [0, 1] for each."""
    drawn = torch.rand(count, 3, generator=generator)
    return (4 * drawn[:, :2] - 2).to(device()), drawn[:, 2].to(device())


def _each_its_own(logits: Tensor, target: Tensor) -> Tensor:
    return torch.stack([loss(logits[:, k], target) for k, loss in enumerate(LOSSES.values())]).sum()


def _apart(p: Tensor, other: Tensor) -> float:
    return float((p - other).abs().sum(-1).mean()) / 2


def _table(run: Run, column: str, size: int) -> pd.DataFrame:
    rows = run.history[run.history["step"] == size]
    return rows.pivot(index="seed", columns="setting", values=column)


def _nearer(run: Run) -> pd.Series:
    most = _table(run, "distance", max(run.config.sizes))
    return most[list(IMPROPER)].min(axis=1) - most[list(PROPER)].max(axis=1)


def _falls(run: Run) -> pd.Series:
    least, most = (_table(run, "distance", size(run.config.sizes)) for size in (min, max))
    return (2 * least / 3 - most)[list(PROPER)].min(axis=1)


def _leads(run: Run) -> pd.Series:
    largest = max(run.config.sizes)
    name = IMPROPER[-1]
    return _table(run, "distance", largest)[name] - _table(run, "to_own", largest)[name]


def _doubts(run: Run) -> pd.Series:
    largest = max(run.config.sizes)
    gap = _table(run, "true_confidence", largest) - _table(run, "confidence", largest)
    return pd.concat([gap[IMPROPER[0]], -gap[IMPROPER[1]]], axis=1).min(axis=1)


CLAIMS: dict[str, Callable[[Run], pd.Series]] = {
    "with most examples, every proper loss is nearer to the truth than any other": _nearer,
    "from fewest to most examples, the distance of every proper loss falls by a third": _falls,
    "generalised cross-entropy ends nearer to its own minimum than to the truth": _leads,
    "focal loss ends less sure than the truth, generalised cross-entropy surer": _doubts,
}
"""What must hold, fixed before the run; of a run, a number for each seed, positive where it does."""
