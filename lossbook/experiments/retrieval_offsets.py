"""Queries with offsets: what ranking each query's documents does not see, and one threshold for all queries does.

Queries and documents are noisy linear views of one latent vector; a query shows some things besides that no document
answers. Linear towers score a query with a document by a dot product, plus a number that depends on the query alone,

    s(q, d) = f(q)·g(d) + h(q),  h linear,

as any scorer with a free query norm or a cross-encoder has. h moves a query's right and wrong scores together. InfoNCE
compares scores of one query, so h drops out of it and is never learned; the MW loss compares each right score with the
wrong ones of all queries. Offsets come with a random start of h; "InfoNCE, h = 0" begins without.

All is float64 but "InfoNCE, h = 0, float32": there the gradient by h is not 0 but rounding, a billionth or so, and Adam
divides it by its own size. What should not move at all moves by full steps.

Seen over the five seeds 0 to 4 at the small scale, after 600 steps:

    pooled AUC, Mann-Whitney above InfoNCE: 5 of 5, by 0.0015 to 0.020
    best F1 of one threshold, Mann-Whitney above InfoNCE: 5 of 5, by 0.039 to 0.091
    R@1, Mann-Whitney at least InfoNCE − 0.02: 5 of 5, in fact 0.028 to 0.066 above; with half the learning rate it was
        below in three of three pilots, so no order is claimed
    InfoNCE leaves h where it began, to 1e-6: 5 of 5; in float32 it moves by 0.7 to 1.05 from 0: 5 of 5
    float32 against float64, h = 0: R@1 the same, AUC lower by 0.008 to 0.024: 5 of 5; how a processor rounds decides
        how far h is shaken
    1 − AUC at most the bound, at every step: 5 of 5, by a factor of 3.8 or more
    pooled AUC, Mann-Whitney above InfoNCE from h = 0: 4 of 5; not a claim
"""

import math
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pandas as pd
import torch
from jaxtyping import Float
from torch import Tensor

from lossbook.checks import check_choice
from lossbook.datasets import two_views, view_maps
from lossbook.experiments.run import Run, Snapshot, Unit, run_units, seeds_of, stream
from lossbook.losses import info_nce_loss, mann_whitney_loss
from lossbook.metrics import area_over_curve, auc, best_f1, mean_reciprocal_rank, top_k_error
from lossbook.models import linear

SETTINGS = {  # loss, how large h begins, dtype
    "Mann-Whitney": ("mann_whitney", 1.0, torch.float64),
    "InfoNCE": ("info_nce", 1.0, torch.float64),
    "InfoNCE, h = 0": ("info_nce", 0.0, torch.float64),
    "InfoNCE, h = 0, float32": ("info_nce", 0.0, torch.float32),
}
KEPT = 50  # a snapshot has every 50th wrong score


@dataclass(frozen=True)
class Config:
    """What is trained; measurements are `every` so many steps, on `held_out` queries.

    `distractions` are numbers that only the query shows, of size `distraction`; `start` is the standard deviation of
    h's first weights times √view.
    """

    settings: tuple[str, ...] = tuple(SETTINGS)
    seeds: int = 1
    first_seed: int = 0
    view: int = 32
    latent: int = 16
    noise: float = 0.4
    distractions: int = 8
    distraction: float = 2.0
    start: float = 1.0
    temperature: float = 1.0
    batch: int = 32
    steps: int = 600
    learning_rate: float = 1e-2
    held_out: int = 500
    bound_queries: int = 100
    every: int = 100


SCALES = {
    "tiny": Config(steps=60, held_out=200, bound_queries=40, every=30),
    "small": Config(),
    "paper": Config(seeds=5, view=256, latent=64, batch=256, steps=10_000, held_out=5000, every=1000),
}


def run(config: Config = SCALES["small"], progress: bool = True, folder: str | Path | None = None) -> Run:
    """Train a scorer with each loss and seed.

    Args:
        config: one of `SCALES`, or your own.
        progress: show a bar, a step a unit.
        folder: where finished units are kept, and looked for.

    Returns:
        History with a row for each setting, seed and step:
            auc: of right against wrong scores, pooled over held-out queries.
            recall: the share of held-out queries whose own document scores highest.
            reciprocal_rank: the mean of one over its place.
            f1, threshold: the best one for all queries.
            spread: the standard deviation of h over held-out queries.
            moved: the distance of h's weights from where they began.
            area, bound: 1 − AUC of `bound_queries` queries, and their MW loss a pair over log 2.
        Snapshots of the first seed at each measurement: `right` scores of held-out queries, `wrong` every 50th wrong
        score.

    Example:
        >>> history = run(SCALES["tiny"], progress=False).history
        >>> bool((history.area <= history.bound).all())
        True

    Reference: Sheikholeslami et al. 2025, arXiv 2510.00137.
    """
    for name in config.settings:
        check_choice("settings", name, SETTINGS)
    units = {
        f"{name} seed={seed}": partial(_train, config, name, seed)
        for seed in seeds_of(config)
        for name in config.settings
    }
    return run_units("retrieval_offsets", config, units, progress=progress, folder=folder)


def split(scores: Float[Tensor, "queries documents"]) -> tuple[Tensor, Tensor]:
    """The right scores, on the diagonal, and all others.

    Example:
        >>> right, wrong = split(torch.tensor([[9.0, 5.0], [6.0, 7.0]]))
        >>> right.tolist(), wrong.tolist()
        ([9.0, 7.0], [5.0, 6.0])
    """
    others = torch.ones_like(scores, dtype=torch.bool).fill_diagonal_(False)
    return scores.diagonal().contiguous(), scores[others]


def with_offset(queries: Tensor, offset: Tensor, documents: Tensor) -> tuple[Tensor, Tensor]:
    """Embeddings one number longer, so that their dot product is the old one plus each query's offset."""
    return torch.cat([queries, offset[:, None]], 1), torch.cat([documents, torch.ones_like(documents[:, :1])], 1)


def rank_numbers(scores: Float[Tensor, "queries documents"]) -> dict[str, float]:
    """AUC, recall, reciprocal rank, and the best threshold for all queries."""
    right, wrong = split(scores)
    own = torch.arange(len(scores))
    best = best_f1(right, wrong)
    return {
        "auc": auc(right, wrong),
        "recall": 1 - top_k_error(scores, own),
        "reciprocal_rank": mean_reciprocal_rank(scores, own),
        "f1": best.f1,
        "threshold": best.threshold,
    }


def _train(config: Config, name: str, seed: int) -> Unit:
    loss_name, start, dtype = SETTINGS[name]
    maps = view_maps(config.view, config.latent, config.distractions, generator=stream(seed, 0), dtype=torch.float64)

    def draw(pairs: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """The same pairs for every setting, rounded where it is in float32."""
        first, second = two_views(pairs, maps, noise=config.noise, distraction=config.distraction, generator=generator)
        return first.to(dtype), second.to(dtype)

    held_out, few = draw(config.held_out, stream(seed, 1)), draw(config.bound_queries, stream(seed, 2))
    towers = [
        linear(config.view, config.latent, bias=False, generator=stream(seed, purpose)).to(dtype) for purpose in (3, 4)
    ]
    first = start * config.start / math.sqrt(config.view)
    weight = first * torch.randn(config.view, generator=stream(seed, 5), dtype=dtype)
    begun = weight.clone()
    weight.requires_grad_()
    draws = stream(seed, 6)
    optimiser = torch.optim.Adam(
        [weight, *(p for tower in towers for p in tower.parameters())], lr=config.learning_rate
    )
    rows, snapshots = [], []

    def embed(views: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        queries, documents = views
        return with_offset(towers[0](queries), queries @ weight, towers[1](documents))

    def measure(step: int) -> None:
        queries, documents = embed(held_out)
        scores = queries @ documents.T
        bound_queries, bound_documents = embed(few)
        pairs_loss = mann_whitney_loss(bound_queries, bound_documents, temperature=1.0, reduction="pairs")
        numbers = rank_numbers(scores) | {
            "spread": float(queries[:, -1].std()),
            "moved": float((weight - begun).norm()),
            "area": area_over_curve(*split(bound_queries @ bound_documents.T)),
            "bound": float(pairs_loss) / math.log(2),
        }
        rows.append({"setting": name, "seed": seed, "step": step, **numbers})
        if seed == config.first_seed:
            right, wrong = split(scores)
            arrays = {"right": right, "wrong": wrong[::KEPT]}
            snapshots.append(Snapshot(name, step, {key: part.float().numpy() for key, part in arrays.items()}))

    for step in range(config.steps + 1):
        if step % config.every == 0 or step == config.steps:
            with torch.no_grad():
                measure(step)
        queries, documents = embed(draw(config.batch, draws))
        if loss_name == "info_nce":
            loss = info_nce_loss(queries, documents, temperature=config.temperature)
        else:
            loss = mann_whitney_loss(queries, documents, temperature=config.temperature, reduction="pairs")
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return Unit(pd.DataFrame(rows), tuple(snapshots))
