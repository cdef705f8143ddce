"""Long tails: garments and letters of which some classes have a hundred times fewer examples than others.

One small network for each loss, on data whose training part thins out exponentially from class to class; which classes
are rare is drawn by seed, and the test part is balanced. Within a seed all settings start from the same weights and see
the same batches, and those of one learning rate train as one ensemble. The last fifth of the training has a tenth of
the rate, for all; there the deferred weights (DRW) set in. Settings named "cosine" and LDAM score by cosines times 30.
Each setting has the rate, of 0.001, 0.003, 0.01, 0.03 and 0.1, at which its accuracy was highest on seeds 100 and 101.
What must hold is `HEADLINES`, fixed after that look and before seeds 0 to 4; the settings with a margin of 0.1, and
their headline, came in after the published 0.5 had failed on letters, and were chosen on seeds 100 and 101 as well.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from lossbook import datasets
from lossbook.checks import check_choice
from lossbook.devices import device
from lossbook.experiments.headlines import Headline
from lossbook.experiments.run import Run, Snapshot, Unit, run_units, seeds_of, stream
from lossbook.losses import cross_entropy, ldam_loss, single_label_asymmetric_loss
from lossbook.metrics import frequency_groups
from lossbook.models import Ensemble, features, multilayer
from lossbook.training import deferred_weights, effective_number_weights, fit

GROUPS = ("head", "middle", "tail")
Loss = Callable[[Tensor, Tensor, Tensor, float], Tensor]  # (logits, target, counts, progress) -> the mean


def _adjusted(logits: Tensor, target: Tensor, counts: Tensor, progress: float) -> Tensor:
    """Cross-entropy of scores to which the log of each class's share is added (Menon et al. 2021)."""
    return cross_entropy(logits + (counts / counts.sum()).log(), target)


def _cosine(max_margin: float, deferred: bool) -> Loss:
    def loss(logits: Tensor, target: Tensor, counts: Tensor, progress: float) -> Tensor:
        weight = deferred_weights(counts, progress) if deferred else None
        return ldam_loss(logits, target, counts=counts, max_margin=max_margin, weight=weight)

    return loss


@dataclass(frozen=True)
class Setting:
    """A loss, whether its scores are cosines, and its learning rate on each set."""

    loss: Loss
    cosine: bool
    rates: dict[str, float]


def _setting(loss: Loss, cosine: bool, garments: float, letters: float) -> Setting:
    return Setting(loss, cosine, {"fashion_mnist": garments, "letter_recognition": letters})


SETTINGS = {
    "cross-entropy": _setting(lambda z, y, n, progress: cross_entropy(z, y), False, 0.01, 0.03),
    "class weights": _setting(
        lambda z, y, n, progress: cross_entropy(z, y, weight=effective_number_weights(n)), False, 0.01, 0.03
    ),
    "logit adjustment": _setting(_adjusted, False, 0.01, 0.01),
    "ASL, one label": _setting(lambda z, y, n, progress: single_label_asymmetric_loss(z, y), False, 0.01, 0.03),
    "cosine cross-entropy": _setting(_cosine(0.0, False), True, 0.01, 0.1),
    "cosine with DRW": _setting(_cosine(0.0, True), True, 0.1, 0.1),
    "LDAM": _setting(_cosine(0.5, False), True, 0.03, 0.1),
    "LDAM-DRW": _setting(_cosine(0.5, True), True, 0.1, 0.1),
    "LDAM, margin 0.1": _setting(_cosine(0.1, False), True, 0.03, 0.1),
    "LDAM-DRW, margin 0.1": _setting(_cosine(0.1, True), True, 0.1, 0.1),
}


@dataclass(frozen=True)
class Config:
    """What is trained; the examples thin out by `ratio`, and `deferred` is the share of the epochs before DRW."""

    data: tuple[str, ...] = ("fashion_mnist", "letter_recognition")
    settings: tuple[str, ...] = tuple(SETTINGS)
    ratio: float = 100.0
    seeds: int = 5
    first_seed: int = 0
    hidden: int = 64
    epochs: int = 30
    deferred: float = 0.8
    batch: int = 128


SCALES = {
    "tiny": Config(data=("letter_recognition",), settings=("cross-entropy", "LDAM-DRW"), seeds=1, epochs=5, batch=512),
    "small": Config(),
    "paper": Config(hidden=1024, epochs=200),
}


def run(config: Config = SCALES["small"], progress: bool = True, folder: str | Path | None = None) -> Run:
    """Train one network for each set, setting and seed.

    Args:
        config: one of `SCALES`, or your own.
        progress: show a bar, a step a unit.
        folder: where finished units are kept, and looked for.

    Returns:
        History with a row for each set (`data`), setting and seed, at the end of the training:
            accuracy: on the balanced test part, so the mean recall of the classes.
            head, middle, tail: the same over the most frequent, the middle and the rarest third of the classes.
        Snapshots of the first seed, named by set and setting: `recall` and `counts` of the classes, the frequent first.

    Example:
        >>> found = run(SCALES["tiny"], progress=False).history.set_index("setting")
        >>> bool(found["tail"]["LDAM-DRW"] > found["tail"]["cross-entropy"])
        True

    Reference: Cao, Wei, Gaidon, Arechiga & Ma 2019, arXiv 1906.07413; Cui et al. 2019, arXiv 1901.05555; Menon et al.
    2021, arXiv 2007.07314 (logit adjustment).
    """
    for name in config.data:
        check_choice("data", name, ("fashion_mnist", "letter_recognition"))
    for name in config.settings:
        check_choice("settings", name, SETTINGS)
    units = {
        f"{name} seed={seed}": partial(_unit, config, name, seed) for seed in seeds_of(config) for name in config.data
    }
    return run_units("long_tail", config, units, progress=progress, folder=folder, device=device())


def _unit(config: Config, name: str, seed: int) -> Unit:
    if name == "fashion_mnist":
        data = datasets.shrunk(datasets.fashion_mnist(seed=seed), 2)
    else:
        data = datasets.letter_recognition(seed=seed)
    data = datasets.long_tailed(data, ratio=config.ratio, generator=stream(seed, 1), shuffle=True).to(device())
    rates = dict.fromkeys(SETTINGS[setting].rates[name] for setting in config.settings)
    found = []
    for rate in rates:
        chosen = [setting for setting in config.settings if SETTINGS[setting].rates[name] == rate]
        found.append(_train(config, name, data, seed, chosen, rate))
    return Unit(pd.concat([unit.rows for unit in found], ignore_index=True), sum((u.snapshots for u in found), ()))


def _train(config: Config, name: str, data: Any, seed: int, chosen: list[str], rate: float) -> Unit:
    counts = data.train_labels.bincount(minlength=data.classes)
    start = multilayer((data.train_features.shape[1], config.hidden, data.classes), generator=stream(seed, 2))
    model = Ensemble([start] * len(chosen)).to(device())
    cosine = torch.tensor([SETTINGS[setting].cosine for setting in chosen], device=device())
    batches = stream(seed, 3)

    def logits(model: nn.Module, inputs: Tensor, _: Tensor | None = None) -> Tensor:
        return scores(model, inputs, cosine)

    def phase(epochs: int, rate: float, progress: float) -> None:
        def loss(found: Tensor, target: Tensor) -> Tensor:
            """The sum over members, which share no weights."""
            each = [SETTINGS[k].loss(found[:, i], target, counts, progress) for i, k in enumerate(chosen)]
            return torch.stack(each).sum()

        options: dict[str, Any] = {"batch_size": config.batch, "learning_rate": rate, "generator": batches}
        options |= {"every": 1 + epochs * len(data.train_labels), "evaluate": lambda model: {}}  # measured at the end
        fit(model, loss, data.train_features, data.train_labels, epochs=epochs, forward=logits, **options)

    first = round(config.deferred * config.epochs)
    phase(first, rate, 0.0)
    phase(config.epochs - first, rate / 10, 1.0)
    with torch.no_grad():
        decided = logits(model, data.test_features).argmax(-1).cpu()
    labels, groups = data.test_labels.cpu(), frequency_groups(counts.cpu())
    steps = config.epochs * -(-len(data.train_labels) // config.batch)
    rows, snapshots = [], []
    for i, setting in enumerate(chosen):
        recall = torch.stack([(decided[labels == k, i] == k).double().mean() for k in range(data.classes)])
        about = {"setting": setting, "seed": seed, "step": steps, "data": name, "accuracy": float(recall.mean())}
        rows.append(about | {group: float(recall[at].mean()) for group, at in zip(GROUPS, groups, strict=True)})
        if seed == config.first_seed:
            order = torch.cat(groups)
            arrays = {"recall": recall[order].numpy(), "counts": counts.cpu()[order].numpy()}
            snapshots.append(Snapshot(f"{name} {setting}", steps, arrays))
    return Unit(pd.DataFrame(rows), tuple(snapshots))


def scores(model: nn.Module, inputs: Tensor, cosine: Tensor) -> Tensor:
    """(batch, members, classes): cosines of features and class vectors for some members, free scores for the others."""
    layers: Any = model.layers
    seen, last = features(model, inputs), layers[-1]
    free = torch.einsum("bmu,muc->bmc", seen, last.weight) + last.bias[:, 0]
    if not bool(cosine.any()):
        return free
    angles = torch.einsum("bmu,muc->bmc", normalize(seen, dim=-1), normalize(last.weight, dim=1))
    return torch.where(cosine[:, None], angles, free)


def by_seed(run: Run, data: str, setting: str) -> pd.DataFrame:
    """The rows of a set and a setting, by seed."""
    rows = run.history[(run.history["data"] == data) & (run.history["setting"] == setting)]
    return rows.set_index("seed")


def _gain(data: str, metric: str, first: str, second: str) -> Callable[[Run], pd.Series]:
    """By seed, what the first setting has more of than the second, in points of accuracy."""
    return lambda run: 100 * (by_seed(run, data, first)[metric] - by_seed(run, data, second)[metric])


_PUBLISHED = {
    ("accuracy", "LDAM-DRW", "cross-entropy"): "error 29.6 → 23.0 % (CIFAR-10, ratio 100)",
    ("tail", "LDAM-DRW", "cross-entropy"): "the rare classes gain most",
    ("accuracy", "LDAM", "cosine cross-entropy"): "error 29.6 → 26.7 %, against free scores",
    ("accuracy", "LDAM, margin 0.1", "cosine cross-entropy"): "the margin is a number to be tuned",
}
_WORDS = {"accuracy": "balanced accuracy", "tail": "accuracy of the rarest third"}
_REMARKS = {
    ("LDAM", "fashion_mnist"): "no order: the gain is smaller than its spread over seeds",
    ("LDAM, margin 0.1", "fashion_mnist"): "no order: the gain is smaller than its spread over seeds",
    (
        "LDAM",
        "letter_recognition",
    ): "0.5 is too wide for 26 classes; of 0.1, 0.25 and 0.5 on other seeds, 0.1 did best",
}

HEADLINES = tuple(
    Headline(
        "transicd_ldam",
        f"{words}: {_WORDS[metric]} of {first} above that of {second}",
        _gain(data, metric, first, second),
        "points",
        reported,
        _REMARKS.get((first, data), ""),
    )
    for (metric, first, second), reported in _PUBLISHED.items()
    for data, words in (("fashion_mnist", "garments"), ("letter_recognition", "letters"))
)
"""What Cao et al. claim of LDAM, as this experiment can ask it."""
