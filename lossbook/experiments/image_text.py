"""Image and text towers on pairs: SigLIP's yes-or-no questions against InfoNCE's one choice among the batch.

Two noisy linear views of a latent vector stand for images and captions. Two linear towers with unit-length outputs
learn to match them, on fresh pairs at each step, with the same start and the same pairs for every loss of a seed. Scale
(or temperature) and bias are learned too. Held-out pairs are then retrieved: is an image's own caption the nearest of
500?

"InfoNCE" and "SigLIP" begin at the published values: CLIP's temperature 0.07, SigLIP's scale 10 and bias −10. "SigLIP,
b = 0" begins without the bias. "InfoNCE, τ = 0.2" begins at scale 5: the control for the claim that the sigmoid is what
helps a small batch. With `alike` = 4 each caption of the batch has four images, so that three of four "wrong" captions
that equal the right one are wrong in name only.

The memory part counts the bytes that one loss and its gradients hold at once, with all n² scores in one chunk and with
chunks of a fixed size.

Seen over the five seeds 0 to 4 at the small scale, after 200 steps; R@1 is recall of 500:

    R@1 at n = 8, SigLIP above InfoNCE: 5 of 5, by 0.060 to 0.092
    R@1 at n = 512, SigLIP within 0.01 of InfoNCE: 5 of 5, from 0.004 below to 0.006 above
    R@1 at n = 8, InfoNCE from τ = 0.2 at least SigLIP's: 5 of 5, by 0.004 to 0.020
    R@1 without the bias below 0.2 at every n: 5 of 5, 0.138 to 0.188 at n = 8, at most 0.024 at n = 512
    loss at the start without the bias, over n: 1.01 to 1.54, never below log 2: 5 of 5
    four images a caption: no loss below `least_loss`, and InfoNCE within 0.1 of it: 5 of 5
    four images a caption, R@1 lost: InfoNCE 0.044 to 0.080, SigLIP 0.016 to 0.034, InfoNCE from τ = 0.2 0.014 to 0.022
    four images a caption, R@1 of SigLIP below InfoNCE from τ = 0.2: 5 of 5, by 0.006 to 0.016
    R@1 at n = 8, SigLIP above every InfoNCE: 0 of 5; not a claim
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pandas as pd
import torch
from torch import Tensor
from torch.nn.functional import normalize

from lossbook.checks import bad_value, check_choice
from lossbook.datasets import Views, two_views, view_maps
from lossbook.experiments.run import Run, Unit, run_units, seeds_of, stream
from lossbook.losses import info_nce_loss, siglip_loss
from lossbook.metrics import cost, top_k_error
from lossbook.models import linear

STARTS = {  # where scale and bias begin; without a bias it is InfoNCE
    "InfoNCE": (1 / 0.07, None),
    "InfoNCE, τ = 0.2": (5.0, None),
    "SigLIP": (10.0, -10.0),
    "SigLIP, b = 0": (10.0, 0.0),
}


@dataclass(frozen=True)
class Config:
    """What is varied and how it is trained.

    `losses` are names of `STARTS`; `alike` are images a caption, the numbers above 1 tried at `alike_batch` alone;
    `memory_pairs` are batch sizes at which bytes are counted, with embeddings of `memory_dimension` and chunks of
    `memory_budget` bytes.
    """

    losses: tuple[str, ...] = tuple(STARTS)
    batches: tuple[int, ...] = (8, 32, 512)
    alike: tuple[int, ...] = (1, 4)
    alike_batch: int = 32
    seeds: int = 1
    first_seed: int = 0
    steps: int = 200
    learning_rate: float = 5e-3
    view: int = 32
    latent: int = 16
    noise: float = 0.3
    held_out: int = 500
    every: int = 50
    memory_pairs: tuple[int, ...] = (256, 512, 1024, 2048)
    memory_dimension: int = 64
    memory_budget: int = 2**18


SCALES = {
    "tiny": Config(batches=(8, 64), steps=40, every=20, held_out=200, memory_pairs=(64, 256), memory_budget=2**14),
    "small": Config(),
    "paper": Config(
        batches=(8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096),
        alike=(1, 2, 4, 8),
        seeds=5,
        steps=3000,
        memory_pairs=(256, 1024, 4096, 16_384, 32_768),
        memory_dimension=512,
        memory_budget=64 * 2**20,
    ),
}


def run(config: Config = SCALES["small"], progress: bool = True, folder: str | Path | None = None) -> Run:
    """Train two towers for each loss, batch size and seed, and count the memory.

    Args:
        config: one of `SCALES`, or your own.
        progress: show a bar, a step a unit.
        folder: where finished units are kept, and looked for.

    Returns:
        History with a row for each setting, seed and step of part "training":
            loss_name, batch, alike: of the setting.
            loss: of the batch at this step, before it is learned from.
            recall: the share of held-out images whose own caption is the nearest.
            scale, bias: as learned; bias is NaN for InfoNCE.
        and a row for each setting of part "memory", step 0:
            batch: the number of pairs n.
            peak_bytes: held at once by one loss and its gradients, beyond the embeddings.

    Example:
        >>> found = run(SCALES["tiny"], progress=False)
        >>> sorted(found.history.part.unique())
        ['memory', 'training']

    Reference: Zhai, Mustafa, Kolesnikov & Beyer 2023, arXiv 2303.15343; Radford et al. 2021, arXiv 2103.00020.
    """
    for name in config.losses:
        check_choice("losses", name, STARTS)
    for alike in config.alike:
        if alike < 1 or config.alike_batch % alike:
            raise bad_value("alike", alike, f"a divisor of alike_batch, {config.alike_batch}")
    units: dict[str, Callable[[], Unit]] = {}
    for seed in seeds_of(config):
        for alike in config.alike:
            for batch in config.batches if alike == 1 else (config.alike_batch,):
                for name in config.losses:
                    unit = f"{name} n={batch} alike={alike} seed={seed}"
                    units[unit] = partial(_train, config, name, batch, alike, seed)
    for pairs in config.memory_pairs:
        units[f"memory n={pairs}"] = partial(_memory, config, pairs)
    return run_units("image_text", config, units, progress=progress, folder=folder)


def least_loss(alike: int) -> tuple[float, float]:
    """The least that InfoNCE and SigLIP can cost a pair when each caption of the batch has `alike` images.

        InfoNCE: log m;  SigLIP: log m + (m − 1) log(m/(m − 1))

    The m equal captions have one score, and an image claims one of them: the best softmax gives each 1/m, and so does
    the best sigmoid.

    Example:
        >>> [round(value, 6) for value in least_loss(2)]          # log 2 once, and twice
        [0.693147, 1.386294]
    """
    if alike == 1:
        return 0.0, 0.0
    return math.log(alike), math.log(alike) + (alike - 1) * math.log(alike / (alike - 1))


def recall(images: Tensor, texts: Tensor) -> float:
    """The share of images whose own text, of the same index, is the nearest of all."""
    return 1 - top_k_error(images @ texts.T, torch.arange(len(images)))


def _train(config: Config, name: str, batch: int, alike: int, seed: int) -> Unit:
    maps = view_maps(config.view, config.latent, generator=stream(seed, 0))
    held_out = two_views(config.held_out, maps, noise=config.noise, generator=stream(seed, 1))
    towers = [linear(config.view, config.latent, bias=False, generator=stream(seed, purpose)) for purpose in (2, 3)]
    draws = stream(seed, 4)
    start_scale, start_bias = STARTS[name]
    log_scale = torch.tensor(math.log(start_scale), requires_grad=True)
    bias = None if start_bias is None else torch.tensor(start_bias, requires_grad=True)
    learned = [log_scale, *([] if bias is None else [bias]), *(p for tower in towers for p in tower.parameters())]
    optimiser = torch.optim.Adam(learned, lr=config.learning_rate)
    about = {"part": "training", "loss_name": name, "batch": batch, "alike": alike}
    setting = f"{name}, n = {batch}" + (f", {alike} images a caption" if alike > 1 else "")
    rows = []

    def embed(views: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        return normalize(towers[0](views[0]), dim=1), normalize(towers[1](views[1]), dim=1)

    for step in range(config.steps + 1):
        pairs = _pairs(config, maps, batch, alike, draws)
        loss = pair_loss(*embed(pairs), log_scale, bias)
        if step % config.every == 0 or step == config.steps:
            with torch.no_grad():
                found = {"loss": float(loss), "recall": recall(*embed(held_out)), "scale": float(log_scale.exp())}
                found["bias"] = math.nan if bias is None else float(bias)
                rows.append({"setting": setting, "seed": seed, "step": step, **about, **found})
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return Unit(pd.DataFrame(rows))


def _pairs(config: Config, maps: Views, batch: int, alike: int, draws: torch.Generator) -> tuple[Tensor, Tensor]:
    return two_views(batch, maps, noise=config.noise, alike=alike, generator=draws)


def pair_loss(images: Tensor, texts: Tensor, log_scale: Tensor, bias: Tensor | None) -> Tensor:
    """SigLIP's loss where there is a bias, symmetric InfoNCE at temperature 1/scale where there is none."""
    if bias is None:
        return info_nce_loss(images, texts, temperature=(-log_scale).exp(), symmetric=True)
    return siglip_loss(images, texts, scale=log_scale.exp(), bias=bias)


def _memory(config: Config, pairs: int) -> Unit:
    generator = stream(0, 5)
    images, texts = (
        normalize(torch.randn(pairs, config.memory_dimension, generator=generator), dim=1).requires_grad_()
        for _ in range(2)
    )
    rows = []
    for way, budget in (("one chunk", 8 * pairs**2), ("many chunks", config.memory_budget)):
        for name, loss in (("SigLIP", siglip_loss), ("InfoNCE", partial(info_nce_loss, symmetric=True))):
            spent = cost(lambda loss=loss, budget=budget: loss(images, texts, memory_budget=budget).backward())
            about = {"part": "memory", "loss_name": name, "batch": pairs, "way": way, "peak_bytes": spent.peak_bytes}
            rows.append({"setting": f"{name}, n = {pairs}, {way}", "seed": 0, "step": 0, **about})
            images.grad = texts.grad = None
    return Unit(pd.DataFrame(rows))
