"""Generated pairs: two views of one thing, and queries that several labels answer. Every draw from the generator."""

from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from lossbook.checks import bad_value, check_count, check_floating, check_generator, check_number


class Views(NamedTuple):
    """How two views are made: view = map @ latent + noise, the first with a distraction besides."""

    first: Float[Tensor, "view latent"]
    second: Float[Tensor, "view latent"]
    distraction: Float[Tensor, "view distractions"]


def view_maps(
    view: int = 32,
    latent: int = 16,
    distractions: int = 0,
    *,
    generator: torch.Generator,
    dtype: torch.dtype = torch.float32,
) -> Views:
    """Random linear maps for `two_views`: entries N(0, 1/latent), of the distraction N(0, 1/distractions).

    Args:
        view: numbers in each view.
        latent: numbers that both views show.
        distractions: numbers that only the first view shows; 0 is none.
        generator: source of the maps.
        dtype: of the maps, and of the views made by them.

    Raises:
        TypeError, ValueError: naming the argument, what it got and what was expected.

    Example:
        >>> view_maps(8, 4, generator=torch.Generator().manual_seed(0)).first.shape
        torch.Size([8, 4])
    """
    check_count("view", view)
    check_count("latent", latent)
    check_count("distractions", distractions, least=0)
    check_generator(generator)
    sizes = (latent, latent, distractions)
    return Views(*(_normal(view, size, generator=generator, dtype=dtype) / max(1, size) ** 0.5 for size in sizes))


def two_views(
    pairs: int,
    maps: Views,
    *,
    noise: float = 0.3,
    distraction: float = 0.0,
    alike: int = 1,
    generator: torch.Generator,
) -> tuple[Float[Tensor, "pairs view"], Float[Tensor, "pairs view"]]:
    """Pairs of noisy linear views of a latent vector: an image and its caption, a query and its document.

        u ~ N(0, I),  first = A u + δ D c + σ ε,  second = B u + σ ε′,  c, ε, ε′ ~ N(0, I)

    Args:
        pairs: how many.
        maps: A, B and D, from `view_maps`.
        noise: σ, of every coordinate of both views.
        distraction: δ, the size of what the first view shows besides and the second knows nothing of.
        alike: so many first views in a row are of one thing and have one second view, the same to the last bit.
        generator: source of all draws.

    Returns:
        First and second views; those of one index belong together.

    Raises:
        TypeError, ValueError: naming the argument, what it got and what was expected.

    Example:
        >>> generator = torch.Generator().manual_seed(0)
        >>> images, texts = two_views(6, view_maps(8, 4, generator=generator), alike=2, generator=generator)
        >>> bool((texts[0] == texts[1]).all()), bool((texts[1] == texts[2]).any())
        (True, False)
    """
    check_count("pairs", pairs)
    check_number("noise", noise, at_least=0)
    check_number("distraction", distraction, at_least=0)
    check_count("alike", alike)
    check_generator(generator)
    view, dtype = len(maps.first), maps.first.dtype
    thing = torch.arange(pairs, device=generator.device) // alike
    latent = _normal(int(thing[-1]) + 1, maps.first.shape[1], generator=generator, dtype=dtype)
    first = latent[thing] @ maps.first.T + noise * _normal(pairs, view, generator=generator, dtype=dtype)
    second = latent @ maps.second.T + noise * _normal(len(latent), view, generator=generator, dtype=dtype)
    if maps.distraction.shape[1]:
        besides = _normal(pairs, maps.distraction.shape[1], generator=generator, dtype=dtype)
        first = first + distraction * besides @ maps.distraction.T
    return first, second[thing]


def means_of_labels(
    points: int,
    labels: Float[Tensor, "labels dimension"],
    *,
    most: int = 8,
    noise: float = 0.1,
    ignore_index: int = -100,
    generator: torch.Generator,
) -> tuple[Float[Tensor, "points dimension"], Int[Tensor, "points most"]]:
    """Queries that 1 to `most` labels answer: the noisy mean of the labels' vectors.

        P(k labels) ∝ 1/k,  the labels different and each set equally likely,  x = mean of their vectors + σ ε/√d

    Args:
        points: how many queries.
        labels: (labels, dimension), a vector a label.
        most: the largest number of labels a query has.
        noise: σ, the length of the noise.
        ignore_index: fills the places of a query that has fewer labels.
        generator: source of all draws.

    Returns:
        Queries (points, dimension), and their labels (points, most), the rows filled from the left.

    Raises:
        TypeError, ValueError: naming the argument, what it got and what was expected.

    Example:
        >>> draws = torch.Generator().manual_seed(1)
        >>> queries, target = means_of_labels(50, torch.eye(4), most=2, noise=0.0, generator=draws)
        >>> nearest = queries.topk(2).indices                # with unit vectors for labels, the entries above 0
        >>> bool(((target == -100) | (target[..., None] == nearest[:, None]).any(-1)).all())
        True
    """
    check_count("points", points)
    if check_floating("labels", labels).ndim != 2:
        raise bad_value("labels", labels, "shape (labels, dimension)")
    count, dimension = labels.shape
    check_count("most", most)
    if most > count:
        raise bad_value("most", most, f"at most the number of labels, {count}")
    check_number("noise", noise, at_least=0)
    check_generator(generator)
    sizes = torch.arange(1.0, most + 1, device=generator.device)
    number = 1 + torch.multinomial(1 / sizes, points, replacement=True, generator=generator)
    chosen = torch.rand(points, count, generator=generator, device=generator.device).topk(most, 1).indices
    there = torch.arange(most, device=generator.device) < number[:, None]
    mean = (labels[chosen] * there[..., None]).sum(1) / number[:, None]
    queries = mean + noise / dimension**0.5 * _normal(points, dimension, generator=generator, dtype=labels.dtype)
    return queries, torch.where(there, chosen, ignore_index)


def _normal(*shape: int, generator: torch.Generator, dtype: torch.dtype) -> Tensor:
    return torch.randn(shape, generator=generator, device=generator.device, dtype=dtype)
