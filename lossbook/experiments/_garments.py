"""What `neural_collapse` trains with: five losses, garments by class, and networks with or without normalisation."""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from lossbook import datasets
from lossbook.devices import device
from lossbook.experiments.run import seeds_of, stream
from lossbook.losses import cross_entropy, focal_loss, one_hot_squared_error_loss, squentropy_loss
from lossbook.models import convolutional, multilayer

SMOOTHING = 0.1
GARMENTS, SIDE = 10, 28  # classes of Fashion-MNIST, pixels a side
MEAN, DEVIATION = 0.2860, 0.3530  # of all training pixels of Fashion-MNIST


def _smoothed(logits: Tensor, target: Tensor) -> Tensor:
    """Cross-entropy with 0.1 of each label spread evenly over all classes."""
    classes = logits.shape[-1]
    share = SMOOTHING / classes + (1 - SMOOTHING) * nn.functional.one_hot(target, classes)
    return cross_entropy(logits, share.to(logits), reduction="none")


def _squared(logits: Tensor, target: Tensor) -> Tensor:
    """Squared error to the one-hot target, a mean over classes as in the published code."""
    return one_hot_squared_error_loss(logits, target, reduction="none") / logits.shape[-1]


LOSSES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "cross-entropy": partial(cross_entropy, reduction="none"),
    "squared error": _squared,
    "label smoothing": _smoothed,
    "focal": partial(focal_loss, reduction="none"),
    "squentropy": partial(squentropy_loss, reduction="none"),
}
"""By name: (logits, target) to one value a row."""


def images_of(config: Any) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Each seed's own training images (members, examples, ...), their labels, and the test images and labels."""
    parts = [datasets.fashion_mnist(per_class=config.images, flatten=False, seed=seed) for seed in seeds_of(config)]

    def chosen(images: Tensor, labels: Tensor, most: int) -> tuple[Tensor, Tensor]:
        order = torch.cat(
            [(labels == c).nonzero()[:most, 0] for c in range(config.classes)]
        )  # by class, all seeds alike
        small = nn.functional.avg_pool2d((images[order] - MEAN) / DEVIATION, config.shrink)
        return (small.flatten(1) if config.network == "multilayer" else small), labels[order]

    drawn = [chosen(part.train_features, part.train_labels, config.images) for part in parts]
    tested = chosen(parts[0].test_features, parts[0].test_labels, config.test_images)
    found = (torch.stack([images for images, _ in drawn]), drawn[0][1], *tested)
    return tuple(each.to(device()) for each in found)  # type: ignore[return-value]


def make_network(config: Any, normalised: bool, seed: int) -> nn.Sequential:
    """The network of a seed before training, with layer normalisation after each hidden layer or without."""
    generator, side = stream(seed, 2), SIDE // config.shrink
    if config.network == "multilayer":
        model = multilayer((side**2, *config.hidden, config.classes), generator=generator)
    else:
        *channels, units = config.hidden
        model = convolutional(channels, config.classes, generator=generator, size=side, hidden=units)
    return _with_layer_norm(model) if normalised else model


def _with_layer_norm(model: nn.Sequential) -> nn.Sequential:
    """Every layer's outputs at mean 0 and variance 1 within each example, but the last layer's."""
    layers: list[nn.Module] = []
    *hidden, last = model.children()
    for layer in hidden:
        layers.append(layer)
        if isinstance(layer, nn.Linear):
            layers.append(nn.LayerNorm(layer.out_features, elementwise_affine=False))
        elif isinstance(layer, nn.Conv2d):
            layers.append(nn.GroupNorm(1, layer.out_channels, affine=False))
    return nn.Sequential(*layers, last)
