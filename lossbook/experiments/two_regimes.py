"""The two regimes of linear classifiers: naive Bayes wins with few labels, logistic regression with many.

Both draw a linear boundary. Naive Bayes fits the joint distribution and needs a number of samples that grows like the
logarithm of the dimension; logistic regression fits the conditional and needs one that grows in proportion to it, but
is not tied to the assumption that features are independent within a class.

(a) Simulation: Gaussian classes on which naive Bayes is right; how many samples until the error is within `excess` of
the best one.
(b) Fashion-MNIST: test error against labels per class, on features learnt from 3,000 images that are then left out.
"whitened 50" are the 50 leading principal components scaled to variance 1: uncorrelated, as naive Bayes assumes, and on
one scale, so that the L2 penalty of logistic regression is told nothing about which direction matters. There the curves
cross, and the later the more components there are. "plain 50" are the same components unscaled: naive Bayes cannot see
the difference, but the penalty becomes good advice, and logistic regression wins from two labels on. "network 64" is
the last hidden layer of a network trained on the images left out, features made for a softmax: level up to ten labels,
then logistic regression wins.

Reference: Zheng, Wu, Bao, Cao, Li & Zhu 2023, arXiv 2302.02334.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float, Int
from sklearn.linear_model import LogisticRegression
from torch import Tensor

from lossbook import datasets
from lossbook.checks import bad_value, check_number
from lossbook.experiments.run import Run, Unit, run_units, seeds_of
from lossbook.losses import cross_entropy
from lossbook.models import layer_inputs, multilayer
from lossbook.training import fit

FEATURES = ("whitened", "plain", "network")
SET_ASIDE = 3000  # images that features are learnt from


@dataclass(frozen=True)
class Config:
    """What is run. A name of `features` is a kind and a number of components: "whitened 50"."""

    dimensions: tuple[int, ...] = (20, 50, 100, 200)
    classes: tuple[int, ...] = (2,)
    growth: float = 1.25  # each sample is this much larger than the one before
    excess: float = 0.01  # over the best possible error
    most_samples: int = 4000
    features: tuple[str, ...] = ("whitened 20", "whitened 50", "whitened 100", "plain 50")
    labels_per_class: tuple[int, ...] = (1, 2, 3, 5, 10, 20, 50, 100, 200, 300)
    seeds: int = 3
    first_seed: int = 0


SCALES = {
    "tiny": Config(dimensions=(10, 40), features=("whitened 20",), labels_per_class=(3, 30), seeds=1),
    "small": Config(seeds=2),
    "paper": Config(
        dimensions=(20, 50, 100, 200, 400, 800),
        classes=(2, 3),
        growth=1.1,
        most_samples=20_000,
        features=("whitened 20", "whitened 50", "whitened 100", "whitened 200", "plain 50", "network 64"),
        seeds=5,
    ),
}


class Moments(NamedTuple):
    """What naive Bayes remembers of each class: how many, their mean, and the sum of squared deviations from it."""

    points: Float[Tensor, " classes"]
    mean: Float[Tensor, "classes dimension"]
    scatter: Float[Tensor, "classes dimension"]


def moments(features: Float[Tensor, "points dimension"], labels: Int[Tensor, " points"], classes: int) -> Moments:
    """The moments of each class in a batch; a class without points has zeros."""
    count = torch.bincount(labels, minlength=classes).to(features.dtype)
    zeros = features.new_zeros(classes, features.shape[1])
    mean = zeros.index_add(0, labels, features) / count.clamp(min=1)[:, None]
    return Moments(count, mean, zeros.index_add(0, labels, (features - mean[labels]).square()))


def merge(first: Moments, second: Moments) -> Moments:
    """The moments of two batches together, from those of each.

        S = S_a + S_b + n_a n_b/(n_a + n_b) (μ_a − μ_b)²

    Reference: Chan, Golub & LeVeque 1983, Algorithms for computing the sample variance, The American Statistician 37.
    """
    count = first.points + second.points
    share = (second.points / count.clamp(min=1))[:, None]
    apart = second.mean - first.mean
    scatter = first.scatter + second.scatter + first.points[:, None] * share * apart.square()
    return Moments(count, first.mean + share * apart, scatter)


def linear_rule(
    seen: Moments, *, floor: float = 1e-9
) -> tuple[Float[Tensor, "classes dimension"], Float[Tensor, " classes"]]:
    """Gaussian naive Bayes with one variance per feature for all classes, as a linear classifier.

        s_k(x) = log π_k − Σ_d (x_d − μ_kd)²/(2 v_d),  v = Σ_k π_k var_k + floor
               = w_kᵀx + b_k − Σ_d x_d²/(2 v_d),  w_kd = μ_kd/v_d,  b_k = log π_k − Σ_d μ_kd²/(2 v_d)

    All classes share the last sum, so it decides nothing and is left out.

    Args:
        seen: moments of the training points.
        floor: added to each variance, so that a feature without any does not divide by 0.

    Returns:
        Weight (classes, dimension) and bias (classes,).

    Raises:
        ValueError: a class without points.
    """
    for k in torch.nonzero(seen.points == 0).flatten().tolist():
        raise ValueError(f"seen: got no point of class {k}, expected at least one of each")
    variance = seen.scatter.sum(0) / seen.points.sum() + floor
    weight = seen.mean / variance
    return weight, torch.log(seen.points / seen.points.sum()) - (weight * seen.mean).sum(1) / 2


def naive_bayes(
    features: Float[Tensor, "points dimension"], labels: Int[Tensor, " points"], classes: int
) -> tuple[Float[Tensor, "classes dimension"], Float[Tensor, " classes"]]:
    """Weight and bias of Gaussian naive Bayes with shared variances, fitted to a batch.

    Example:
        >>> features, labels = torch.tensor([[0.0], [2.0], [4.0], [6.0]]), torch.tensor([0, 0, 1, 1])
        >>> weight, bias = naive_bayes(features, labels, 2)
        >>> scores = torch.tensor([[3.0]]) @ weight.T + bias          # midway between the means 1 and 5
        >>> bool(torch.isclose(scores[0, 0], scores[0, 1]))
        True
    """
    return linear_rule(moments(features, labels, classes))


def logistic_regression(
    features: Float[Tensor, "points dimension"], labels: Int[Tensor, " points"], classes: int
) -> tuple[Float[Tensor, "classes dimension"], Float[Tensor, " classes"]]:
    """Weight and bias of logistic regression as in the paper: cross-entropy, L2 penalty with C = 1, L-BFGS."""
    fitted = LogisticRegression(C=1.0, solver="lbfgs", max_iter=5000).fit(features.numpy(), labels.numpy())
    weight, bias = torch.from_numpy(fitted.coef_), torch.from_numpy(fitted.intercept_)
    if classes == 2:  # one vector, the difference of the two
        weight, bias = torch.cat([-weight, weight]) / 2, torch.cat([-bias, bias]) / 2
    return weight.to(features.dtype), bias.to(features.dtype)


Classifier = Callable[[Tensor, Tensor, int], tuple[Tensor, Tensor]]
METHODS: dict[str, Classifier] = {"naive Bayes": naive_bayes, "logistic regression": logistic_regression}


def error(
    rule: tuple[Tensor, Tensor], features: Float[Tensor, "points dimension"], labels: Int[Tensor, " points"]
) -> float:
    """The share of points that a linear rule (weight, bias) gets wrong."""
    weight, bias = rule
    return float(((features @ weight.T + bias).argmax(1) != labels).double().mean())


def best_rule(dimension: int, classes: int) -> tuple[Tensor, Tensor]:
    """The rule with the least error on `datasets.gaussian_classes`, from its true means and variances."""
    mean = torch.tensor([-1.0, *(2.0**k for k in range(classes - 1))])[:, None].expand(-1, dimension)
    variance = torch.ones(dimension)
    variance[: dimension // 2] = dimension
    return mean / variance, -(mean.square() / variance).sum(1) / 2


def run(config: Config = SCALES["small"], progress: bool = True, folder: str | Path | None = None) -> Run:
    """Both classifiers on growing samples, simulated and real.

    The history has a row per setting, seed and step: part ("simulation" or "fashion_mnist"), method, features (their
    name; empty in the simulation), dimension, classes, samples, error (on test points) and excess (over the best rule;
    NaN where that is not known). step is samples in the simulation, whose last row is the first below `excess` (or the
    largest sample allowed), and labels per class on Fashion-MNIST.
    """
    check_number("growth", config.growth, above=1)
    axes = cache(principal_axes)
    units: dict[str, Callable[[], Unit]] = {}
    for seed in seeds_of(config):
        for dimension in config.dimensions:
            for classes in config.classes:
                name = f"simulation dimension {dimension} classes {classes} seed {seed}"
                units[name] = partial(_simulate, config, dimension, classes, seed)
        for features in config.features:
            units[f"{features} seed {seed}"] = partial(_on_features, config, features, seed, axes)
    return run_units("two_regimes", config, units, progress=progress, folder=folder)


def samples_needed(run: Run) -> pd.DataFrame:
    """One row per dimension, classes, method and seed of the simulation: samples needed, NaN where none sufficed."""
    simulated = run.history[run.history["part"] == "simulation"]
    last = simulated.sort_values("step").groupby(["dimension", "classes", "method", "seed"], as_index=False).last()
    last["samples"] = last["samples"].where(last["excess"] < run.config.excess)
    return last[["dimension", "classes", "method", "seed", "samples"]]


def _row(part: str, method: str, seed: int, step: int, **more: object) -> dict[str, object]:
    name = more["features"] or f"dimension {more['dimension']}, {more['classes']} classes"
    return {"setting": f"{method}, {name}", "seed": seed, "step": step, "part": part, "method": method, **more}


def _simulate(config: Config, dimension: int, classes: int, seed: int) -> Unit:
    generator = torch.Generator().manual_seed(seed)
    test = datasets.gaussian_classes(10_000, dimension, classes, generator=generator)
    best = error(best_rule(dimension, classes), *test)
    rows = []
    for method, classifier in METHODS.items():
        samples = 2 * classes
        while True:
            train = datasets.gaussian_classes(samples, dimension, classes, generator=generator)
            found = error(classifier(*train, classes), *test)
            about = {"features": "", "dimension": dimension, "classes": classes, "samples": samples}
            rows.append(_row("simulation", method, seed, samples, **about, error=found, excess=found - best))
            if found - best < config.excess or samples >= config.most_samples:
                break
            samples = min(config.most_samples, math.ceil(config.growth * samples))
    return Unit(pd.DataFrame(rows))


class Axes(NamedTuple):
    """Principal axes of images: their mean, and for each axis, the widest first, its direction and deviation."""

    mean: Float[Tensor, " pixels"]
    directions: Float[Tensor, "pixels axes"]
    deviation: Float[Tensor, " axes"]


def _set_aside(seed: int) -> tuple[datasets.Dataset, Tensor, torch.Generator]:
    """Fashion-MNIST, the order of its training images (the first `SET_ASIDE` to learn features from), the generator."""
    data, generator = datasets.fashion_mnist(), torch.Generator().manual_seed(seed)
    return data, torch.randperm(len(data.train_labels), generator=generator), generator


def principal_axes(seed: int) -> Axes:
    """The axes of the images that are set aside."""
    data, order, _ = _set_aside(seed)
    images = data.train_features[order[:SET_ASIDE]]
    mean = images.mean(0)
    variance, directions = torch.linalg.eigh((images - mean).double().T.cov(correction=0))
    return Axes(mean, directions.flip(1).float(), variance.flip(0).sqrt().float())


def image_features(name: str, seed: int, axes: Callable[[int], Axes] = principal_axes) -> datasets.Dataset:
    """Fashion-MNIST as features learnt from 3,000 training images that are then left out.

    Args:
        name: a kind and a number of features: "whitened 50", "plain 50" (principal components) or "network 64".
        seed: of the images set aside, and of the network.
        axes: seed -> the principal axes; one that remembers them saves a decomposition for every further name.

    Raises:
        ValueError: another kind, or no number of features from 1 to 784.
    """
    kind, _, number = name.partition(" ")
    if kind not in FEATURES or not number.isdigit() or not 1 <= int(number) <= 784:
        raise bad_value("features", name, "one of 'whitened', 'plain', 'network' and a number, such as 'whitened 50'")
    data, order, generator = _set_aside(seed)
    aside, rest = order[:SET_ASIDE], order[SET_ASIDE:]
    if kind == "network":
        encode = _network(data.train_features[aside], data.train_labels[aside], data.classes, int(number), generator)
    else:
        encode = _components(axes(seed), int(number), whiten=kind == "whitened")
    return datasets.Dataset(
        f"fashion_mnist {name}",
        encode(data.train_features[rest]).double(),
        data.train_labels[rest],
        encode(data.test_features).double(),
        data.test_labels,
        data.class_names,
    )


def _components(axes: Axes, number: int, *, whiten: bool) -> Callable[[Tensor], Tensor]:
    basis = axes.directions[:, :number]
    if whiten:
        basis = basis / axes.deviation[:number]
    return lambda pictures: (pictures - axes.mean) @ basis


def _network(
    images: Tensor, labels: Tensor, classes: int, number: int, generator: torch.Generator
) -> Callable[[Tensor], Tensor]:
    model = multilayer((images.shape[1], 128, number, classes), generator=generator)
    fit(model, cross_entropy, images, labels, epochs=10, batch_size=64, learning_rate=1e-3, generator=generator)
    return lambda pictures: layer_inputs(model, pictures)[-1].detach()


def _on_features(config: Config, name: str, seed: int, axes: Callable[[int], Axes]) -> Unit:
    data = image_features(name, seed, axes)
    generator = torch.Generator().manual_seed(seed)
    order = torch.randperm(len(data.train_labels), generator=generator)
    of_class = [order[data.train_labels[order] == k] for k in range(data.classes)]
    fewest = min(len(indices) for indices in of_class)
    rows = []
    for count in config.labels_per_class:
        if not 1 <= count <= fewest:
            raise bad_value("labels_per_class", count, f"1 to {fewest}, the images there are of the rarest class")
        chosen = torch.cat([indices[:count] for indices in of_class])
        for method, classifier in METHODS.items():
            rule = classifier(data.train_features[chosen], data.train_labels[chosen], data.classes)
            found = error(rule, data.test_features, data.test_labels)
            about = {"features": name, "dimension": data.train_features.shape[1], "classes": data.classes}
            more = {"samples": len(chosen), "error": found, "excess": np.nan}
            rows.append(_row("fashion_mnist", method, seed, count, **about, **more))
    return Unit(pd.DataFrame(rows))
