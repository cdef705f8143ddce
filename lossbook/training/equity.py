"""Dataset equity: samples that look like many others count a little less."""

from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from lossbook.checks import (
    bad_type,
    bad_value,
    check_choice,
    check_count,
    check_floating,
    check_generator,
    check_number,
)

RELATIVE = ("all", "largest")


def equity_weights(
    likelihood: Float[Tensor, " samples"], *, eta: float = 1.0, gamma: float = 5.0
) -> Float[Tensor, " samples"]:
    """Weights of DatasetEquity's generalised focal loss: the commoner a sample looks, the less it counts.

        w_i = (η + (1 − p_i)^γ)/(η + 1)

    The loss is the mean of w_i times the loss of sample i, whichever loss that is. It is not the generalised focal loss
    of Li et al. 2020, arXiv 2006.04388, which is about boxes.

    Args:
        likelihood: p_i in [0, 1], how common sample i looks; see `appearance_likelihood`.
        eta: η ≥ 0, a floor: no weight is below η/(η + 1). eta=0 is the focal factor, with the likelihood of the picture
            in place of the network's confidence.
        gamma: γ ≥ 0. gamma=0 gives weights 1.

    Returns:
        w, the shape of `likelihood`; constants, found once before training. Their mean is below 1, which makes all
        steps shorter: divide by it to compare at equal steps.

    Raises:
        TypeError, ValueError: naming the argument, what it got and what was expected.

    Example:
        >>> equity_weights(torch.tensor([0.01, 0.1, 0.5, 1.0]))
        tensor([0.9755, 0.7952, 0.5156, 0.5000])

    Limits: p → 0 gives 1, p = 1 gives η/(η + 1), η → ∞ gives 1.
    Reference: Shrivastava, Zhang, Nagesh & Parchami 2023, arXiv 2308.09878.
    """
    eta, gamma = check_number("eta", eta, at_least=0), check_number("gamma", gamma, at_least=0)
    if bool(((check_floating("likelihood", likelihood) < 0) | (likelihood > 1)).any()):
        raise bad_value("likelihood", likelihood, "numbers from 0 to 1")
    return (eta + (1 - likelihood) ** gamma) / (eta + 1)


def cluster_likelihood(clusters: Int[Tensor, " samples"], *, relative_to: str = "all") -> Float[Tensor, " samples"]:
    """How common each sample's cluster is: its share of all samples.

    Args:
        clusters: a whole number a sample, as clustering gives it; a negative one is noise, a cluster of its own.
        relative_to: "all": p_i = n/N. "largest": n over the largest cluster's; the authors' notebook has both.

    Returns:
        p, float32.

    Raises:
        TypeError, ValueError: naming the argument, what it got and what was expected.

    Example:
        >>> cluster_likelihood(torch.tensor([0, 0, 1, -1]))
        tensor([0.5000, 0.5000, 0.2500, 0.2500])
    """
    check_choice("relative_to", relative_to, RELATIVE)
    if not isinstance(clusters, Tensor) or clusters.dtype != torch.int64:
        raise bad_type("clusters", clusters, "a tensor of int64")
    if clusters.ndim != 1 or not len(clusters):
        raise bad_value("clusters", clusters, "shape (samples,), at least one")
    _, place, counts = clusters.unique(return_inverse=True, return_counts=True)
    size = torch.where(clusters < 0, 1, counts[place])
    return size / (len(clusters) if relative_to == "all" else int(size.max()))


def appearance_likelihood(
    features: Float[Tensor, "samples units"],
    *,
    clusters: int = 6,
    components: int = 8,
    generator: torch.Generator,
    relative_to: str = "all",
) -> Float[Tensor, " samples"]:
    """How common each sample looks: the share of its cluster, by k-means on the first principal components.

    The authors take features of a trained network, t-SNE and DBSCAN instead, and read off the same share: give its
    clusters to `cluster_likelihood`.

    Args:
        features: (samples, units), pixels or what a network makes of them.
        clusters: of k-means. More of them find rarer groups, and tell common ones apart that are not.
        components: principal components, at most the smaller of samples and units.
        generator: seeds where k-means begins.
        relative_to: as in `cluster_likelihood`.

    Returns:
        p, float32, (samples,). Labels are not looked at.

    Raises:
        TypeError, ValueError: naming the argument, what it got and what was expected.

    Example:
        >>> chance = torch.Generator().manual_seed(0)
        >>> crowd, few = torch.randn(90, 4, generator=chance), 20 + torch.randn(10, 4, generator=chance)
        >>> p = appearance_likelihood(torch.cat([crowd, few]), clusters=2, components=2, generator=chance)
        >>> sorted(set(p.tolist())) == sorted({float(torch.tensor(0.9)), float(torch.tensor(0.1))})
        True

    Reference: Shrivastava, Zhang, Nagesh & Parchami 2023, arXiv 2308.09878.
    """
    from sklearn.cluster import KMeans
    from sklearn.decomposition import PCA

    check_count("clusters", clusters)
    check_count("components", components)
    check_generator(generator)
    if check_floating("features", features).ndim != 2 or len(features) < max(clusters, components):
        raise bad_value("features", features, f"shape (samples, units), at least {max(clusters, components)} samples")
    if components > features.shape[1]:
        raise bad_value("components", components, f"at most the {features.shape[1]} units")
    seed = int(torch.randint(2**31, (), generator=generator, device=generator.device))
    seeds: dict[str, Any] = {"random_state": seed}
    found = PCA(components, **seeds).fit_transform(features.detach().cpu().double().numpy())
    places = KMeans(clusters, n_init=4, **seeds).fit_predict(found)
    return cluster_likelihood(torch.as_tensor(places, dtype=torch.int64), relative_to=relative_to).to(features.device)
