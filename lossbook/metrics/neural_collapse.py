"""How far a network's last layer is from neural collapse, in the two conventions of the literature.

The first axis of features, means and weights are the rows (examples or classes), the last the units. Axes between them,
such as the members of an `Ensemble`, are measured one by one. All is computed in float64.

"papyan" is the convention of Papyan, Han & Donoho, "zhu" that of Zhu, Ding et al. On classes of equal size the first
gives `classes` times the NC1 of the second; on others they also disagree on where the centre is.
"""

from typing import Any, NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from lossbook.checks import (
    bad_type,
    bad_value,
    check_choice,
    check_floating,
    check_number,
    check_same_device,
    check_same_shape,
)
from lossbook.metrics.angles import Numbers, Vectors, check_finite, vectors_of

CONVENTIONS = ("papyan", "zhu")
Features = Float[Tensor, "examples *members units"]
Labels = Int[Tensor, " examples"]
Biases = Float[Tensor, "classes *members"]
Centre = Float[Tensor, "*members units"]


class ClassMeans(NamedTuple):
    """The examples of each class (classes,), the mean of each (classes, *members, units), and their centre."""

    counts: Tensor
    means: Tensor
    centre: Tensor

    @property
    def centred(self) -> Tensor:
        """μ_c − μ_G, (classes, *members, units)."""
        return self.means - self.centre


def class_means(features: Features, labels: Labels, *, convention: str = "papyan") -> ClassMeans:
    """The mean feature of each class and the centre μ_G of the means.

        papyan: μ_G = (1/K) Σ_c μ_c      zhu: μ_G = (1/N) Σ_i h_i

    Args:
        features: (examples, *members, units), h.
        labels: (examples,) classes 0 to K − 1, each of them there, K at least 2.
        convention: "papyan" or "zhu".

    Returns:
        Counts, means and centre.

    Raises:
        TypeError, ValueError: naming the argument, what it got and what was expected.

    Example:
        >>> found = class_means(torch.tensor([[1.0], [3.0], [5.0]]), torch.tensor([0, 0, 1]))
        >>> found.means.tolist(), found.centre.tolist()
        ([[2.0], [5.0]], [3.5])
        >>> class_means(torch.tensor([[1.0], [3.0], [5.0]]), torch.tensor([0, 0, 1]), convention="zhu").centre.tolist()
        [3.0]
    """
    check_choice("convention", convention, CONVENTIONS)
    features, counts = _checked(features, labels)
    means = torch.zeros(len(counts), *features.shape[1:], dtype=torch.float64, device=features.device)
    means = means.index_add(0, labels, features) / counts.view(-1, *[1] * (features.ndim - 1))
    return ClassMeans(counts, means, means.mean(0) if convention == "papyan" else features.mean(0))


def within_class_variability(
    features: Features, labels: Labels, *, convention: str = "papyan", rtol: float = 1e-6
) -> Numbers:
    """NC1: the spread within classes, seen from the spread between them.

        S_W = (1/N) Σ_i (h_i − μ_{y_i})(h_i − μ_{y_i})ᵀ,   S_B = (1/K) Σ_c (μ_c − μ_G)(μ_c − μ_G)ᵀ
        papyan: tr(S_W S_B⁺)      zhu: tr(S_W S_B⁺)/K

    Args:
        features, labels: as in `class_means`.
        convention: "papyan" or "zhu": another centre, and divided by K.
        rtol: singular values of the centred means below this share of the largest count as 0. S_B has rank K − 1 at
            most, and what rounding leaves of the rest must not be inverted.

    Returns:
        One number a member, at least 0; 0 where every example is at its mean. Infinite where all means are equal.

    Raises:
        TypeError, ValueError: naming the argument, what it got and what was expected.

    Example:
        >>> features = torch.tensor([[1.0], [3.0], [-1.0], [-3.0]])            # means ±2, one away from each
        >>> round(float(within_class_variability(features, torch.tensor([0, 0, 1, 1]))), 6)
        0.25

    The matrices are not formed: tr(S_W S_B⁺) = (K/N) Σ_i ‖M⁺(h_i − μ_{y_i})‖², M the centred means.

    Reference: Papyan, Han & Donoho 2020, arXiv 2008.08186; Zhu et al. 2021, arXiv 2105.02375.
    """
    check_number("rtol", rtol, at_least=0, below=1)
    found = class_means(features, labels, convention=convention)
    classes = len(found.counts)
    centred = found.centred.movedim(0, -2)  # (*members, classes, units)
    within = (features.double() - found.means[labels]).movedim(0, -2)
    seen = (within @ torch.linalg.pinv(centred, rtol=rtol)).square().sum((-2, -1)) / len(features)
    level = centred.abs().amax((-2, -1)) == 0
    seen = torch.where(level, torch.inf, seen)
    return classes * seen if convention == "papyan" else seen


def self_duality(weight: Vectors, centred: Vectors) -> Numbers:
    """NC3 (papyan): how far the class weights are from the centred class means, both scaled to length 1 as a whole.

        ‖W/‖W‖_F − M/‖M‖_F‖²_F

    Args:
        weight: (classes, *members, units), of the last layer.
        centred: μ_c − μ_G, of the same shape.

    Returns:
        One number a member, from 0 (a multiple of one another) to 4.

    Raises:
        TypeError, ValueError: naming the argument, what it got and what was expected.

    Example:
        >>> means = torch.tensor([[2.0, 0.0], [-2.0, 0.0]])
        >>> [round(float(self_duality(scale * means, means)), 6) for scale in (3, -1)]
        [0.0, 4.0]

    Reference: Papyan, Han & Donoho 2020, arXiv 2008.08186.
    """
    weight, centred = vectors_of("weight", weight), vectors_of("centred", centred)
    check_same_shape("centred", centred, "weight", weight)
    first, second = (each / each.square().sum((0, -1), keepdim=True).sqrt() for each in (weight, centred))
    return (first - second).square().sum((0, -1))


def nearest_mean_mismatch(
    features: Features, labels: Labels, logits: Float[Tensor, "examples *members classes"]
) -> Numbers:
    """NC4: the share of examples for which the network and the nearest class mean decide differently.

    Args:
        features, labels: as in `class_means`: the means are of these examples.
        logits: (examples, *members, classes), the network's.

    Returns:
        One number a member, from 0 to 1.

    Raises:
        TypeError, ValueError: naming the argument, what it got and what was expected.

    Example:
        >>> features, labels = torch.tensor([[1.0], [3.0], [-1.0], [-3.0]]), torch.tensor([0, 0, 1, 1])
        >>> float(nearest_mean_mismatch(features, labels, torch.cat([features, -features - 4], 1)))   # one of four
        0.25

    Reference: Papyan, Han & Donoho 2020, arXiv 2008.08186.
    """
    means = class_means(features, labels).means
    wanted = (*features.shape[:-1], len(means))
    if check_floating("logits", logits).shape != wanted:
        raise bad_value("logits", logits, f"shape {wanted}, one score a class for each example")
    check_same_device("logits", logits, "features", features)
    check_finite("logits", logits)
    distances = torch.cdist(features.double().movedim(0, -2), means.movedim(0, -2))
    return (distances.argmin(-1) != logits.argmax(-1).movedim(0, -1)).double().mean(-1)


def bias_collapse(weight: Vectors, bias: Biases, centre: Centre) -> Numbers:
    """NC-b (zhu): what the last layer gives at the centre of the features, ‖W μ_G + b‖.

    Args:
        weight: (classes, *members, units).
        bias: (classes, *members).
        centre: (*members, units), from `class_means` with convention "zhu".

    Returns:
        One number a member; 0 where the bias cancels the centre and no class is preferred there.

    Raises:
        TypeError, ValueError: naming the argument, what it got and what was expected.

    Example:
        >>> float(bias_collapse(torch.eye(2), torch.tensor([-3.0, -4.0]), torch.tensor([3.0, 4.0])))
        0.0

    Reference: Zhu et al. 2021, arXiv 2105.02375.
    """
    weight = vectors_of("weight", weight)
    for name, value, shape in (("bias", bias, weight.shape[:-1]), ("centre", centre, weight.shape[1:])):
        if check_floating(name, value).shape != shape:
            raise bad_value(name, value, f"shape {tuple(shape)}, as the weight has it")
        check_same_device(name, value, "weight", weight)
    return ((weight * centre.double()).sum(-1) + bias.double()).norm(dim=0)


def _checked(features: Any, labels: Any) -> tuple[Tensor, Tensor]:
    """Features in float64, and the number of examples of each class."""
    if check_floating("features", features).ndim < 2 or features.numel() == 0:
        raise bad_value("features", features, "shape (examples, *members, units), none of them 0")
    check_finite("features", features)
    if not isinstance(labels, Tensor) or labels.dtype != torch.int64:
        raise bad_type("labels", labels, "class indices (int64)")
    if labels.shape != features.shape[:1]:
        raise bad_value("labels", labels, f"one class for each of the {len(features)} examples")
    check_same_device("labels", labels, "features", features)
    if bool((labels < 0).any()):
        raise bad_value("labels", int(labels.min()), "classes from 0 on")
    counts = torch.bincount(labels)
    if len(counts) < 2 or bool((counts == 0).any()):
        found = ", ".join(str(c) for c in counts.nonzero()[:, 0].tolist())
        raise ValueError(f"labels: got classes {found}, expected two or more, 0 to K − 1, each with an example")
    return features.double(), counts
