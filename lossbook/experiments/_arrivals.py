"""Old classes and new ones, many seeds at once: data, network, recipes and numbers of `gap_mitigations`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d

from lossbook import datasets
from lossbook.devices import device
from lossbook.losses import cross_entropy
from lossbook.models import features, multilayer
from lossbook.training import data_driven_outputs, with_low_rank

OLD, CLASSES = 5, 10
BODIES = ("layer norm", "relu")


@dataclass(frozen=True)
class Recipe:
    """What is done when the new classes arrive."""

    outputs: str = "random"  # of the new classes; or "published", or "centred"
    targets: str = "hard"  # or "soft", or "teacher"
    frozen: bool = False
    low_rank: bool = False


SETTINGS: dict[str, Recipe] = {
    "vanilla": Recipe(),
    "init": Recipe("published"),
    "centred init": Recipe("centred"),
    "soft targets": Recipe(targets="soft"),
    "teacher targets": Recipe(targets="teacher"),
    "frozen": Recipe(frozen=True),
    "low rank": Recipe(low_rank=True),
    "init, frozen": Recipe("published", frozen=True),
    "centred init, frozen": Recipe("centred", frozen=True),
    "SGM": Recipe("published", "soft", frozen=True, low_rank=True),
    "SGM, centred": Recipe("centred", "soft", frozen=True, low_rank=True),
    "SGM less init": Recipe("random", "soft", frozen=True, low_rank=True),
    "SGM less soft targets": Recipe("published", "hard", frozen=True, low_rank=True),
    "SGM less frozen": Recipe("published", "soft", low_rank=True),
    "SGM less low rank": Recipe("published", "soft", frozen=True),
}
"""By name; "SGM" is all four parts as published."""


@dataclass(frozen=True)
class Examples:
    """Features (seeds, examples, inputs) and labels (examples,): each seed has its own examples, in one order."""

    features: Tensor
    labels: Tensor

    def __getitem__(self, chosen: Tensor) -> tuple[Tensor, Tensor]:
        """The examples chosen for each seed, (seeds, size): features (seeds, size, inputs), labels (seeds, size)."""
        seed = torch.arange(len(self.features), device=chosen.device)[:, None]
        return self.features[seed, chosen], self.labels[chosen]

    def part(self, *, old: bool) -> "Examples":
        """The examples of old, or of new classes."""
        keep = (self.labels < OLD) == old
        return Examples(self.features[:, keep], self.labels[keep])


def load(data: str, seeds: Sequence[int], per_class: int, test_per_class: int) -> tuple[Examples, Examples]:
    """Training and test examples, class by class; garments at half their resolution, 14 × 14 pixels.

    Every seed has its own split or draw. Where there are fewer examples of a class than asked for, those there are.
    """
    parts: tuple[list[Tensor], list[Tensor]] = ([], [])
    for seed in seeds:
        if data == "digits":
            found = datasets.digits(seed=seed)
        else:
            found = datasets.fashion_mnist(per_class=per_class, flatten=False, seed=seed)
        train = found.train_features, found.train_labels, per_class
        test = found.test_features, found.test_labels, test_per_class
        for part, (values, labels, count) in zip(parts, (train, test), strict=True):
            order = torch.cat([(labels == k).nonzero()[:count, 0] for k in range(CLASSES)])
            values = avg_pool2d(values[order], 2).flatten(1) if values.ndim == 4 else values[order]
            part.append(torch.cat([values, labels[order, None]], 1))
    train_rows, test_rows = (torch.stack(part).to(device()) for part in parts)
    return Examples(train_rows[..., :-1], train_rows[0, :, -1].long()), Examples(
        test_rows[..., :-1], test_rows[0, :, -1].long()
    )


def network(body: str, inputs: int, hidden: tuple[int, ...], generator: torch.Generator) -> nn.Sequential:
    """A multilayer network; "layer norm" puts one before its last layer, as ConvNeXt has it."""
    layers = list(multilayer((inputs, *hidden, CLASSES), generator=generator))
    norm = [nn.LayerNorm(hidden[-1])] if body == "layer norm" else []
    return nn.Sequential(*layers[:-1], *norm, layers[-1])


@torch.no_grad()
def prepared(
    recipe: Recipe,
    model: nn.Module,
    old: Examples,
    new: Examples,
    place: int,
    *,
    rank: int,
    alpha: float,
    generator: torch.Generator,
) -> nn.Module:
    """The network of the seed at a place, changed in place, or copied with low rank, as it meets the new classes."""
    layers: Any = model
    if recipe.outputs != "random":
        centre = features(model, old.features[place]).mean(0) if recipe.outputs == "centred" else None
        arriving = torch.arange(OLD, CLASSES, device=new.labels.device)
        found = data_driven_outputs(features(model, new.features[place]), new.labels, arriving, centre=centre)
        layers[-1].weight[OLD:], layers[-1].bias[OLD:] = found
    return with_low_rank(layers, rank=rank, alpha=alpha, generator=generator) if recipe.low_rank else model


def margins(logits: Tensor, labels: Tensor) -> Tensor:
    """The highest old logit less the highest new one, for each example of an old class and each member."""
    of_old = logits[labels < OLD]
    return of_old[..., :OLD].amax(-1) - of_old[..., OLD:].amax(-1)


def numbers(logits: Tensor, labels: Tensor) -> Mapping[str, Tensor]:
    """What is measured of logits (examples, members, classes); the labels are the same for all members."""
    old = labels < OLD
    right = (logits.argmax(-1) == labels[:, None]).float()
    fresh = labels[~old, None].expand(-1, logits.shape[1])
    return {
        "old_accuracy": right[old].mean(0),
        "new_accuracy": right[~old].mean(0),
        "accuracy": right.mean(0),
        "new_loss": cross_entropy(logits[~old], fresh, reduction="none").mean(0),
        "margin": margins(logits, labels).mean(0),
    }
