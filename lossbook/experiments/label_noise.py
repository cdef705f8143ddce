"""The comp-sum family under wrong labels: which exponent learns the digits and leaves the noise alone?

One small network for each exponent τ and each fraction of replaced labels. Within a seed all start from the same
weights and see the same batches, so that nothing but the loss and the labels differs. They train as one ensemble.

"paper" is Fashion-MNIST with wider networks and ten seeds, for a GPU; the paper itself trains on photographs, without
noise.

Seen over the five seeds 0 to 4 at the small scale, accuracies on 360 test images:

    40 % noise, τ = 1.8 above τ = 1: 5 of 5, by 0.017 to 0.103        above τ = 0: 5 of 5, by 0.070 to 0.162
    60 % noise, τ = 1.8 above τ = 1: 5 of 5, by 0.053 to 0.189        above τ = 0: 5 of 5, by 0.159 to 0.234
    40 % noise, τ = 1.8 repeats fewer wrong labels than τ = 1: 5 of 5, by 0.019 to 0.057
    no noise, τ = 2 behind τ = 1 after 3 epochs: 5 of 5, by 0.072 to 0.203
    40 % noise, τ = 2 below τ = 1.8 at the end: 3 of 5; not a claim
"""

from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from lossbook import datasets
from lossbook.checks import check_choice
from lossbook.devices import device
from lossbook.experiments.run import Run, Snapshot, Unit, run_units, seeds_of, stream
from lossbook.losses import comp_sum_loss
from lossbook.models import Ensemble, multilayer
from lossbook.training import fit


@dataclass(frozen=True)
class Config:
    """What is varied and how it is trained.

    `noises` are fractions of training labels replaced by another class; `max_weight` is comp_sum_loss's for τ < 1;
    measurements are `every` so many epochs; seeds count from `first_seed`.
    """

    data: str = "digits"
    taus: tuple[float, ...] = (0.0, 0.5, 1.0, 1.5, 1.8, 2.0)
    noises: tuple[float, ...] = (0.0, 0.4, 0.6)
    seeds: int = 3
    first_seed: int = 0
    hidden: int = 64
    epochs: int = 60
    batch_size: int = 128
    learning_rate: float = 5e-3
    max_weight: float = 1e3
    every: int = 3


SCALES = {
    "tiny": Config(taus=(0.0, 1.0, 1.8), noises=(0.0, 0.4), seeds=1, epochs=6),
    "small": Config(seeds=2),
    "paper": Config(data="fashion_mnist", seeds=10, hidden=256, epochs=100, learning_rate=1e-3, every=5),
}


def run(config: Config = SCALES["small"], progress: bool = True, folder: str | Path | None = None) -> Run:
    """Train one network for each τ, noise and seed.

    Args:
        config: one of `SCALES`, or your own.
        progress: show a bar, a step a seed.
        folder: where finished seeds are kept, and looked for.

    Returns:
        History with a row for each setting, seed and step:
            test_accuracy: on clean labels.
            clean_loss, clean_accuracy: the setting's own loss, and the share of labels that the network repeats, over
                the training examples whose label is right.
            wrong_loss, wrong_accuracy: the same over those whose label was replaced (NaN without noise). Accuracy there
                is what the network has memorised.
            tau, noise: of the setting.
        Snapshots of the first seed at the least noise above 0: `probability`, what the network gives the label it was
        taught, for each training example; `wrong`, whether that label was replaced.

    Example:
        >>> found = run(SCALES["tiny"], progress=False)
        >>> sorted(found.history.setting.unique())[:2]
        ['tau=0 noise=0', 'tau=0 noise=0.4']

    Reference: Mao, Mohri & Zhong 2023, arXiv 2304.07288 (the family); Zhang & Sabuncu 2018, arXiv 1805.07836 (τ between
    1 and 2 against label noise).
    """
    check_choice("data", config.data, ("digits", "fashion_mnist"))
    units = {f"seed={seed}": partial(_seed, config, seed) for seed in seeds_of(config)}
    return run_units("label_noise", config, units, progress=progress, folder=folder, device=device())


def _seed(config: Config, seed: int) -> Unit:
    data = getattr(datasets, config.data)(seed=seed).to(device())
    settings = [(tau, noise) for tau in config.taus for noise in config.noises]
    noisy = {
        noise: datasets.with_label_noise(data.train_labels, noise, data.classes, generator=stream(seed, 1))
        for noise in config.noises
    }
    labels = torch.stack([noisy[noise][0] for _, noise in settings], 1)  # (examples, members)
    wrong = torch.stack([noisy[noise][1] for _, noise in settings], 1)
    sizes = (data.train_features.shape[1], config.hidden, data.classes)
    start = multilayer(sizes, generator=stream(seed, 2))
    model = Ensemble([start] * len(settings)).to(device())
    kept = min((noise for noise in config.noises if noise > 0), default=None)
    rows: list[pd.DataFrame] = []
    snapshots: list[Snapshot] = []

    def losses(logits: Tensor, target: Tensor) -> Tensor:
        """One loss for each example and member: (examples, members)."""
        width = len(config.noises)
        blocks = zip(config.taus, logits.split(width, 1), target.split(width, 1), strict=True)
        return torch.cat([_loss(config, tau, *block) for tau, *block in blocks], 1)

    def measure(step: int, model: nn.Module) -> None:
        logits = model(data.train_features)
        test = (model(data.test_features).argmax(-1) == data.test_labels[:, None]).float().mean(0)
        loss, fitted = losses(logits, labels), (logits.argmax(-1) == labels).float()
        about = {
            "setting": [_name(*setting) for setting in settings],
            "seed": seed,
            "step": step,
            "test_accuracy": test.cpu().numpy(),
        }
        for part, chosen in (("clean", ~wrong), ("wrong", wrong)):
            for name, values in (("loss", loss), ("accuracy", fitted)):
                about[f"{part}_{name}"] = _mean(values, chosen)
        about |= {"tau": [tau for tau, _ in settings], "noise": [noise for _, noise in settings]}
        rows.append(pd.DataFrame(about))
        if seed == config.first_seed:
            probability = torch.softmax(logits, -1).gather(-1, labels[..., None])[..., 0].cpu().numpy()
            for k, (tau, noise) in enumerate(settings):
                if noise == kept:
                    arrays = {"probability": probability[:, k], "wrong": wrong[:, k].cpu().numpy()}
                    snapshots.append(Snapshot(_name(tau, noise), step, arrays))

    fit(
        model,
        lambda logits, target: losses(logits, target).mean(0).sum(),  # a mean for each member: they share no weights
        data.train_features,
        labels,
        epochs=config.epochs,
        batch_size=config.batch_size,
        learning_rate=config.learning_rate,
        generator=stream(seed, 3),
        evaluate=lambda model: {},  # many rows at a time, so `measure` keeps them
        every=config.every * -(-len(labels) // config.batch_size),
        snapshot=measure,
    )
    return Unit(pd.concat(rows, ignore_index=True), tuple(snapshots))


def _loss(config: Config, tau: float, logits: Tensor, target: Tensor) -> Tensor:
    return comp_sum_loss(logits, target, tau=tau, max_weight=config.max_weight if tau < 1 else None, reduction="none")


def _mean(values: Tensor, chosen: Tensor) -> np.ndarray:
    """Mean over the chosen examples of each member; NaN where none is."""
    return (torch.where(chosen, values, 0.0).sum(0) / chosen.sum(0)).cpu().numpy()


def _name(tau: float, noise: float) -> str:
    return f"tau={tau:g} noise={noise:g}"
