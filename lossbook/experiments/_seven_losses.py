"""Seven networks that differ in nothing but their loss, for `calibration_measures` to measure."""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor

from lossbook import datasets
from lossbook.devices import device
from lossbook.experiments.run import stream
from lossbook.losses import (
    brier_loss,
    cross_entropy,
    focal_loss,
    generalized_cross_entropy,
    spherical_score_loss,
    squentropy_loss,
)
from lossbook.models import Ensemble, multilayer
from lossbook.training import fit

NETWORKS: dict[str, Callable[..., Tensor]] = {
    "cross-entropy": cross_entropy,
    "label smoothing": partial(cross_entropy, label_smoothing=0.1),
    "focal": partial(focal_loss, gamma=2.0),
    "Brier": brier_loss,
    "spherical": spherical_score_loss,
    "generalised": partial(generalized_cross_entropy, q=0.7),
    "squentropy": squentropy_loss,
}


class Scored(NamedTuple):
    """What one network says of pictures it was not taught: for choosing a temperature, and for measuring."""

    name: str
    noise: float
    tuning: tuple[Tensor, Tensor]  # logits and labels
    test: tuple[Tensor, Tensor]


def trained_networks(config: Any, seed: int) -> list[Scored]:
    """One network for each loss and each share of wrong labels, all from one start, as one ensemble."""
    features, labels = _garments(config, seed)  # labels: (examples, noises)
    settings = [(noise, name) for noise in range(len(config.noises)) for name in NETWORKS]
    owns = labels[:, [noise for noise, _ in settings]]
    start = multilayer((features.shape[1], config.hidden, 10), generator=stream(seed, 2))
    model = Ensemble([start] * len(settings)).to(device())

    def losses(logits: Tensor, target: Tensor) -> Tensor:
        each = [NETWORKS[name](logits[:, k], target[:, k]) for k, (_, name) in enumerate(settings)]
        return torch.stack(each).sum()  # they share no weights

    fit(
        model,
        losses,
        features[: config.train],
        owns[: config.train],
        epochs=config.epochs,
        batch_size=config.batch_size,
        learning_rate=config.learning_rate,
        generator=stream(seed, 3),
        evaluate=lambda model: {},
        every=config.epochs * config.train,
    )
    with torch.no_grad():
        tuning, logits = model(features[config.train :]).split((config.tuning, config.test))
    known, truth = owns[config.train :].split((config.tuning, config.test))
    return [
        Scored(name, config.noises[noise], (tuning[:, k], known[:, k]), (logits[:, k], truth[:, k]))
        for k, (noise, name) in enumerate(settings)
    ]


def _garments(config: Any, seed: int) -> tuple[Tensor, Tensor]:
    """Pictures in an order of the seed's own, and their labels, a part of them another class's."""
    data = datasets.fashion_mnist()
    data = datasets.shrunk(data, config.shrink) if config.shrink > 1 else data
    features = torch.cat([data.train_features, data.test_features]).flatten(1)
    labels = torch.cat([data.train_labels, data.test_labels])
    order = torch.randperm(len(labels), generator=stream(seed, 4))[: config.train + config.tuning + config.test]
    noisy = [
        datasets.with_label_noise(labels[order], noise, data.classes, generator=stream(seed, 5))[0]
        for noise in config.noises
    ]
    return features[order].to(device()), torch.stack(noisy, 1).to(device())
