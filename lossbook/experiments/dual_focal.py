"""Confidence by loss: what focal, dual focal and smoothing do to a classifier, tuned or over-trained, and what T mends.

Small images of garments, few enough to be learned by heart. One network for each loss, in two regimes: *tuned*, at the
rate that was best for accuracy, and *over-trained*, at three times that rate, so that the training loss of
cross-entropy is driven to nothing, as hundreds of epochs do to the networks of the paper. Within a seed all see the
same batches. At the end one temperature for each, fitted on images held out for it.

The rates were tried on seed 100, 0.001 and 0.003: 0.001 was the best for the accuracy of every loss on the held-out
images, so that all losses share it.

"paper" has all images in full size, a wider network and longer training, for a GPU; the paper trains on photographs.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from torch import Tensor, nn

from lossbook import datasets
from lossbook.checks import check_choice
from lossbook.devices import device
from lossbook.experiments.headlines import Headline
from lossbook.experiments.run import Run, Snapshot, Unit, run_units, seeds_of, stream
from lossbook.losses import cross_entropy, dual_focal_loss, focal_loss
from lossbook.metrics import confidence_and_correctness, expected_calibration_error, smooth_ece
from lossbook.models import Ensemble, multilayer
from lossbook.training import fit, fit_temperature

LOSSES: dict[str, Callable[..., Tensor]] = {
    "cross-entropy": cross_entropy,
    "label smoothing 0.1": partial(cross_entropy, label_smoothing=0.1),
    "focal, γ = 3": partial(focal_loss, gamma=3.0),
    "dual focal, γ = 3": partial(dual_focal_loss, gamma=3.0),
    "focal, γ = 5": partial(focal_loss, gamma=5.0),
    "dual focal, γ = 5": partial(dual_focal_loss, gamma=5.0),
}
PLAIN, FOCAL, DUAL = "cross-entropy", "focal, γ = 5", "dual focal, γ = 5"
REGIMES = ("tuned", "over-trained")
SHOWN = 2000  # predictions of each network that are kept


@dataclass(frozen=True)
class Config:
    """What is trained, and how.

    `learning_rates` belong to `REGIMES`, in their order; `noise` is the share of labels replaced by another class, of
    all parts alike; images have `shrink` times fewer pixels a side; `train` and `held_out` count images; measurements
    are `every` so many epochs; seeds count from `first_seed`.
    """

    losses: tuple[str, ...] = (PLAIN, "label smoothing 0.1", FOCAL, DUAL)
    learning_rates: tuple[float, ...] = (1e-3, 3e-3)
    noise: float = 0.0
    shrink: int = 2
    train: int = 800
    held_out: int = 2000
    seeds: int = 5
    first_seed: int = 0
    hidden: int = 128
    epochs: int = 80
    batch_size: int = 50
    every: int = 10


SCALES = {
    "tiny": Config(seeds=1, train=200, held_out=400, shrink=4, hidden=16, epochs=8, every=4),
    "small": Config(),
    "paper": Config(
        losses=tuple(LOSSES), shrink=1, train=50_000, held_out=10_000, seeds=10, hidden=512, epochs=350, every=35
    ),
}


def run(config: Config = SCALES["small"], progress: bool = True, folder: str | Path | None = None) -> Run:
    """Train one network for each loss, regime and seed.

    Args:
        config: one of `SCALES`, or your own.
        progress: show a bar, a step a seed.
        folder: where finished seeds are kept, and looked for.

    Returns:
        History with a row for each loss (`setting`), `regime`, seed and step, of the test images:
            accuracy, confidence (mean), nll (nats).
            ece: in 15 bins; smooth_ece.
            temperature: fitted on the held-out part; scaled_ece, scaled_smooth_ece, scaled_nll: with it.
        Snapshots of the first seed at the end, named "regime: loss": `confidence` and `correct` of 2,000 test images.

    Raises:
        ValueError: an unknown loss, or not a rate for each regime.

    Example:
        >>> found = run(SCALES["tiny"], progress=False)
        >>> sorted(found.history.setting.unique())[0]
        'cross-entropy'

    Reference: Tao, Dong & Xu 2023, arXiv 2305.13665; Guo, Pleiss, Sun & Weinberger 2017, arXiv 1706.04599.
    """
    for name in config.losses:
        check_choice("losses", name, LOSSES)
    units = {
        f"{regime}, seed={seed}": partial(_train, config, seed, regime, rate)
        for seed in seeds_of(config)
        for regime, rate in zip(REGIMES, config.learning_rates, strict=True)
    }
    return run_units("dual_focal", config, units, progress=progress, folder=folder, device=device())


def _train(config: Config, seed: int, regime: str, rate: float) -> Unit:
    """All losses in one regime, as one ensemble."""
    names = config.losses
    data = datasets.shrunk(datasets.fashion_mnist(), config.shrink)
    images, labels = (
        torch.cat([getattr(data, f"{part}_{kind}") for part in ("train", "test")]) for kind in ("features", "labels")
    )
    labels, _ = datasets.with_label_noise(labels, config.noise, data.classes, generator=stream(seed, 1))
    order = torch.randperm(len(labels), generator=stream(seed, 4))
    sizes = (config.train, config.held_out, len(labels) - config.train - config.held_out)
    (features, held_features, test_features), (labels, held_labels, test_labels) = (
        tuple(part.to(device()) for part in values[order].split(sizes)) for values in (images, labels)
    )
    start = multilayer((features.shape[1], config.hidden, data.classes), generator=stream(seed, 2))
    model = Ensemble([start] * len(names)).to(device())
    rows: list[dict[str, Any]] = []
    snapshots: list[Snapshot] = []
    steps = config.epochs * -(-len(labels) // config.batch_size)

    def measure(step: int, model: nn.Module) -> None:
        held, test = model(held_features), model(test_features)
        for k, name in enumerate(names):
            rows.append({"setting": name, "regime": regime, "seed": seed, "step": step})
            rows[-1] |= {"learning_rate": rate, **_numbers(test[:, k], test_labels, held[:, k], held_labels)}
            if seed == config.first_seed and step == steps:
                seen = confidence_and_correctness(test[:, k], test_labels)
                confidence, correct = (part[:SHOWN].cpu().numpy() for part in (seen.confidence, seen.correct.bool()))
                snapshots.append(Snapshot(f"{regime}: {name}", step, {"confidence": confidence, "correct": correct}))

    def objective(logits: Tensor, target: Tensor) -> Tensor:
        return sum((LOSSES[name](logits[:, k], target) for k, name in enumerate(names)), logits.new_zeros(()))

    fit(
        model,
        objective,
        features,
        labels,
        epochs=config.epochs,
        batch_size=config.batch_size,
        learning_rate=rate,
        generator=stream(seed, 3),
        evaluate=lambda model: {},  # a row a loss, so `measure` keeps them
        every=config.every * -(-len(labels) // config.batch_size),
        snapshot=measure,
    )
    return Unit(pd.DataFrame(rows), tuple(snapshots))


def _numbers(test: Tensor, target: Tensor, held: Tensor, held_target: Tensor) -> dict[str, float]:
    """Accuracy and calibration of one network's scores, before and after a temperature fitted on the held-out part."""
    temperature = fit_temperature(held, held_target)
    numbers: dict[str, float] = {}
    for prefix, logits in (("", test), ("scaled_", test / temperature)):
        seen = confidence_and_correctness(logits, target)
        numbers |= {
            f"{prefix}accuracy": float(seen.correct.mean()),
            f"{prefix}confidence": float(seen.confidence.mean()),
            f"{prefix}nll": float(cross_entropy(logits, target)),
            f"{prefix}ece": expected_calibration_error(*seen),
            f"{prefix}smooth_ece": smooth_ece(*seen),
        }
    return numbers | {"temperature": temperature}


def _last(run: Run, regime: str, setting: str) -> pd.DataFrame:
    """The numbers of the last step in percent, a row a seed."""
    rows = run.history
    rows = rows[(rows["step"] == rows["step"].max()) & (rows["regime"] == regime) & (rows["setting"] == setting)]
    return 100 * rows.set_index("seed").select_dtypes("number")


def _more(run: Run, number: str, setting: str, rival: str, regimes: tuple[str, ...] = REGIMES) -> pd.Series:
    """By how many points a number is higher than a rival's: the least of the regimes."""
    found = [_last(run, regime, setting)[number] - _last(run, regime, rival)[number] for regime in regimes]
    return pd.concat(found, axis=1).min(axis=1)


POINTS = "points"
OVER = REGIMES[1:]
HEADLINES = (
    Headline(
        "dual_focal",
        "over-trained by cross-entropy, a network is surer than it is right",
        lambda run: _last(run, OVER[0], PLAIN)["confidence"] - _last(run, OVER[0], PLAIN)["accuracy"],
        POINTS,
        "yes: CIFAR and Tiny-ImageNet",
    ),
    Headline(
        "dual_focal",
        "over-trained, dual focal's ECE is below cross-entropy's (γ = 5)",
        lambda run: _more(run, "ece", PLAIN, DUAL, OVER),
        POINTS,
        "yes: CIFAR and Tiny-ImageNet",
    ),
    Headline(
        "dual_focal",
        "its mean confidence is above focal loss's of the same γ, tuned and over-trained",
        lambda run: _more(run, "confidence", DUAL, FOCAL),
        POINTS,
        "yes: focal loss ends under-confident",
    ),
    Headline(
        "dual_focal",
        "its ECE is below focal loss's of the same γ, tuned and over-trained",
        lambda run: _more(run, "ece", FOCAL, DUAL),
        POINTS,
        "yes",
    ),
    Headline(
        "dual_focal",
        "its accuracy is not below focal loss's by half a point, tuned and over-trained",
        lambda run: _more(run, "accuracy", DUAL, FOCAL) + 0.5,
        POINTS,
        "about equal",
    ),
    Headline(
        "dual_focal",
        "after one temperature for each, its ECE is still below cross-entropy's (over-trained)",
        lambda run: _more(run, "scaled_ece", PLAIN, DUAL, OVER),
        POINTS,
        "calibration is reported with and without one",
        "tuned, too, it is not below",
    ),
)
