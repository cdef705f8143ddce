"""Out of distribution, a network falls back to the optimal constant of its loss; sometimes.

A network learns skewed classes twice, by cross-entropy and by reward prediction, and then sees test images corrupted
more and more. Where its features shrink, biases take over, and cross-entropy's predictions approach the class shares,
the best it could say without looking. Where they do not shrink they need not: an image of noise has large features, and
the mean image is one image, classified with confidence. A network that predicts rewards falls back to abstaining.

Which corruption leads to the constant depends on the data. In five seeds, on digits only fading to zero does, and
fading to the mean image ends as far away as clean images are. On Fashion-MNIST fading to the mean image goes furthest,
and fading to zero stops half-way.

Reference: Kang, Setlur, Tomlin & Levine 2023, arXiv 2310.00873.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pandas as pd
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from lossbook import datasets
from lossbook.checks import check_choice
from lossbook.devices import device
from lossbook.experiments.run import Run, Snapshot, Unit, run_units, seeds_of
from lossbook.losses import cross_entropy, reward_prediction_loss
from lossbook.metrics import optimal_constant_distance
from lossbook.models import layer_inputs, multilayer
from lossbook.training import fit

Images = Float[Tensor, "images pixels"]


@dataclass(frozen=True)
class Config:
    """What is run. `rarest` is the share of the last class that is kept in training; the first is kept whole."""

    data: str = "digits"  # or "fashion_mnist"
    rarest: float = 0.2
    levels: tuple[float, ...] = (0.0, 0.25, 0.5, 0.75, 1.0)
    cost: float = 4.0  # of a wrong answer; a right one earns 1
    hidden: tuple[int, ...] = (128, 128)
    epochs: int = 80
    batch_size: int = 50
    learning_rate: float = 1e-3
    seeds: int = 3
    first_seed: int = 0


SCALES = {
    "tiny": Config(levels=(0.0, 0.5, 1.0), hidden=(64, 64), epochs=40, seeds=1),
    "small": Config(seeds=2),
    "paper": Config(data="fashion_mnist", levels=tuple(k / 10 for k in range(11)), hidden=(1024, 512), seeds=5),
}


def _fade_to_zero(images: Images, level: float, mean: Tensor, generator: torch.Generator) -> Images:
    return (1 - level) * images


def _fade_to_mean(images: Images, level: float, mean: Tensor, generator: torch.Generator) -> Images:
    return (1 - level) * images + level * mean


def _shuffle(images: Images, level: float, mean: Tensor, generator: torch.Generator) -> Images:
    """In each image another `level` of the pixels change places among themselves."""
    pixels = images.shape[1]
    moved = round(level * pixels)
    where = _uniform(images, generator).argsort(1)[:, :moved]
    shuffled = where.gather(1, _uniform(where, generator).argsort(1))
    return images.scatter(1, where, images.gather(1, shuffled))


def _mix_with_noise(images: Images, level: float, mean: Tensor, generator: torch.Generator) -> Images:
    return (1 - level) * images + level * _uniform(images, generator)


def _add_noise(images: Images, level: float, mean: Tensor, generator: torch.Generator) -> Images:
    return images + 4 * level * torch.randn(images.shape, generator=generator, device=images.device)


def _uniform(like: Tensor, generator: torch.Generator) -> Tensor:
    return torch.rand(like.shape, generator=generator, device=like.device)


CORRUPTIONS: dict[str, Callable[[Images, float, Tensor, torch.Generator], Images]] = {
    "fade to zero": _fade_to_zero,
    "fade to the mean image": _fade_to_mean,
    "shuffle pixels": _shuffle,
    "mix with uniform noise": _mix_with_noise,
    "add Gaussian noise": _add_noise,
}


def corrupt(
    name: str, images: Images, level: float, *, mean: Float[Tensor, " pixels"], generator: torch.Generator
) -> Images:
    """Images in [0, 1], corrupted.

    Args:
        name: a key of `CORRUPTIONS`.
        images: (images, pixels).
        level: from 0, as they are, to 1: nothing left of them, all pixels shuffled, or noise of standard deviation 4.
        mean: the mean training image.
        generator: source of the noise and the shuffles.

    Raises:
        ValueError: no corruption of that name.
    """
    check_choice("name", name, CORRUPTIONS)
    return CORRUPTIONS[name](images, level, mean, generator)


def run(config: Config = SCALES["small"], progress: bool = True, folder: str | Path | None = None) -> Run:
    """Train both networks for each seed and show them every corruption at every level.

    The history has a row per setting (the corruption), seed and step (the level in percent): level, accuracy, distance
    (mean KL(p(x) ‖ π) in nats, π the class shares in training), entropy (mean, nats), signal_1, signal_2 ... (what each
    layer's weights make of what it sees, mean ‖W φ‖ without the bias, relative to clean images), and mean rewards:
    reward_classifier (argmax of cross-entropy), reward_agent (argmax of predicted rewards), reward_oracle (the
    classifier, abstaining below the confidence that pays best in hindsight); abstains is the agent's share of
    abstentions. Snapshots, for the first seed: the mean prediction, the class shares, one image and the prediction for
    it.
    """
    place = device()
    units = {f"seed {seed}": partial(_one_seed, config, seed, place) for seed in seeds_of(config)}
    return run_units("extrapolation", config, units, progress=progress, folder=folder, device=place)


def skewed(config: Config, seed: int) -> tuple[datasets.Dataset, Float[Tensor, " classes"]]:
    """The data with more of each next class left out of training, none of the first, and the class shares that leaves.

    Raises:
        ValueError: `config.data` is neither "digits" nor "fashion_mnist".
    """
    check_choice("data", config.data, ("digits", "fashion_mnist"))
    data = datasets.digits(seed=seed) if config.data == "digits" else datasets.fashion_mnist()
    keep = torch.linspace(1, config.rarest, data.classes)[data.train_labels]
    kept = torch.rand(len(keep), generator=torch.Generator().manual_seed(seed)) < keep
    features, labels = data.train_features[kept], data.train_labels[kept]
    shares = torch.bincount(labels, minlength=data.classes) / len(labels)
    return datasets.Dataset(data.name, features, labels, data.test_features, data.test_labels, data.class_names), shares


def _one_seed(config: Config, seed: int, place: torch.device) -> Unit:
    data, shares = skewed(config, seed)
    data, shares = data.to(place), shares.to(place)
    generator = torch.Generator(place).manual_seed(seed)
    sizes = (data.train_features.shape[1], *config.hidden)
    train = partial(
        fit,
        epochs=config.epochs,
        batch_size=config.batch_size,
        learning_rate=config.learning_rate,
        generator=generator,
    )
    classifier = multilayer((*sizes, data.classes), generator=generator)
    train(classifier, cross_entropy, data.train_features, data.train_labels)
    agent = multilayer((*sizes, data.classes + 1), generator=generator)
    reward = partial(reward_prediction_loss, cost=config.cost)
    train(agent, reward, data.train_features, data.train_labels)

    mean, labels = data.train_features.mean(0), data.test_labels
    clean = _signals(classifier, data.test_features)
    rows, snapshots = [], []
    for name in CORRUPTIONS:
        for level in config.levels:
            images = corrupt(name, data.test_features, level, mean=mean, generator=generator)
            with torch.no_grad():
                logits, predicted = classifier(images), agent(images)
            p = torch.softmax(logits, 1)
            signals = {
                f"signal_{k}": now / before
                for k, (now, before) in enumerate(zip(_signals(classifier, images), clean, strict=True), start=1)
            }
            rows.append(
                {
                    "setting": name,
                    "seed": seed,
                    "step": round(100 * level),
                    "level": level,
                    "accuracy": float((p.argmax(1) == labels).double().mean()),
                    "distance": float(optimal_constant_distance(logits, shares)),
                    "entropy": float(torch.special.entr(p).sum(1).mean()),
                    **signals,
                    "reward_classifier": float(_rewards(p.argmax(1), labels, config.cost).mean()),
                    "reward_agent": float(_rewards(predicted.argmax(1), labels, config.cost, data.classes).mean()),
                    "reward_oracle": oracle_reward(p, labels, config.cost),
                    "abstains": float((predicted.argmax(1) == data.classes).double().mean()),
                }
            )
            arrays = {"prediction": p.mean(0), "shares": shares, "image": images[0], "image_prediction": p[0]}
            on_cpu = {key: array.cpu().numpy() for key, array in arrays.items()}
            snapshots.append(Snapshot(name, round(100 * level), on_cpu))
    return Unit(pd.DataFrame(rows), tuple(snapshots) if seed == config.first_seed else ())


def _signals(model: nn.Sequential, images: Images) -> list[float]:
    """For each layer the mean length of W φ(x), what the input contributes beside the bias."""
    layers = [layer for layer in model if isinstance(layer, nn.Linear)]
    with torch.no_grad():
        seen = layer_inputs(model, images)
        return [float((phi @ layer.weight.T).norm(dim=1).mean()) for phi, layer in zip(seen, layers, strict=True)]


def _rewards(action: Int[Tensor, " images"], labels: Int[Tensor, " images"], cost: float, abstain: int = -1) -> Tensor:
    earned = torch.where(action == labels, 1.0, -cost)
    return torch.where(action == abstain, 0.0, earned)


def oracle_reward(p: Float[Tensor, "images classes"], labels: Int[Tensor, " images"], cost: float) -> float:
    """The mean reward of answering only above the confidence that pays best in hindsight; 0 where silence pays best.

    Example:
        >>> p = torch.tensor([[0.9, 0.1], [0.6, 0.4]])
        >>> oracle_reward(p, torch.tensor([0, 1]), cost=4.0)              # answers the first, abstains from the second
        0.5
    """
    confidence, guess = p.max(1)
    earned = _rewards(guess, labels, cost)[confidence.argsort(descending=True)]
    return max(0.0, float(earned.cumsum(0).max())) / len(labels)
