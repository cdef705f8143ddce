"""When skipping blocks of small gradients is harmless, and when it is not.

Cut cross-entropy's filter skips a block of 128 rows by 128 classes where every entry of the gradient by the logits is
below ε = 2⁻¹². Here it is applied, on paper, to gradients of several kinds: softmax from flat to peaked, StableMax, the
sigmoid loss of SigLIP at its published beginning. Small entries of one sign add up, so what counts is the mass that is
lost, and how far the gradient by the features is off; that depends on whether the rows of the weight share a mean.

Seen over the five seeds 0 to 4 at the small scale, as shares of blocks, of mass, and relative errors:

    all logits equal     skipped 0.69 to 0.75, lost 0.69 to 0.75, error 0.35 to 0.38
    deviation 1 and 3    nothing skipped, nothing lost
    right class ahead    skipped 0.57 to 0.68, lost 0.58 to 0.68, error 0.29 to 0.34 (of a gradient that is small)
    StableMax            skipped 0.69 to 0.75, lost 0.69 to 0.75, error 0.23 to 0.35
    SigLIP               skipped 0.28 to 0.37, lost 0.28 to 0.37, error 0.015 to 0.020

Reference: Wijmans et al. 2025, arXiv 2411.09009.
"""

import re
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pandas as pd
import torch
from torch import Tensor
from torch.nn.functional import normalize

from lossbook import row_loss
from lossbook.checks import check_choice, check_count, check_number
from lossbook.devices import device
from lossbook.experiments.run import Run, Unit, run_units, seeds_of, stream
from lossbook.losses import cross_entropy, stablemax_cross_entropy
from lossbook.metrics import blocks_kept, filtered

FLAT = "cross-entropy, all logits equal"
AHEAD = 14.0
PEAKED = f"cross-entropy, right class {AHEAD:g} ahead"
SIGLIP = "SigLIP at its beginning"
SIGLIP_SCALE, SIGLIP_BIAS = 10.0, -10.0
SOFTMAXES = {"cross-entropy": cross_entropy, "StableMax": stablemax_cross_entropy}


@dataclass(frozen=True)
class Config:
    """`offset` is the length of what the weight's rows share, where each has length 1 of its own.

    Right classes are drawn by Zipf's law, the most frequent first. SigLIP has `pairs` rows and as many classes.
    """

    settings: tuple[str, ...] = (
        FLAT,
        "cross-entropy, deviation 1",
        "cross-entropy, deviation 3",
        PEAKED,
        "StableMax, deviation 1",
        "StableMax, deviation 3",
        SIGLIP,
    )
    rows: int = 256
    classes: int = 16_384
    pairs: int = 2048
    dimension: int = 512
    offset: float = 0.5
    epsilon: float = 2.0**-12
    block: int = 128
    seeds: int = 1
    first_seed: int = 0


SCALES = {
    "tiny": Config(rows=64, classes=512, pairs=64, dimension=16, epsilon=2.0**-8, block=16),
    "small": Config(),
    "paper": Config(rows=4096, classes=65_536, pairs=8192, dimension=1024, seeds=5),
}


def run(config: Config = SCALES["small"], progress: bool = True, folder: str | Path | None = None) -> Run:
    """Filter the gradient of each setting, and measure what is lost.

    Args:
        config: one of `SCALES`, or your own.
        progress: show a bar, a step a seed and setting.
        folder: where finished ones are kept, and looked for.

    Returns:
        History with a row for each setting and seed:
            step: 0.
            skipped: share of the blocks.
            lost: share of the gradient's positive mass, the pushes down, that lies in skipped blocks.
            error: of the gradient by the features, relative to its length.

    Example:
        >>> found = run(SCALES["tiny"], progress=False).history.set_index("setting")
        >>> bool(found.lost[FLAT] > 0.5 > found.lost["cross-entropy, deviation 3"])
        True
    """
    for name in ("rows", "classes", "pairs", "dimension", "block", "seeds"):
        check_count(name, getattr(config, name))
    check_number("epsilon", config.epsilon, above=0)
    check_number("offset", config.offset, at_least=0)
    units = {
        f"seed={seed} {setting}": partial(_unit, config, seed, setting)
        for seed in seeds_of(config)
        for setting in config.settings
    }
    return run_units("gradient_filter", config, units, progress=progress, folder=folder, device=device())


def _unit(config: Config, seed: int, setting: str) -> Unit:
    gradient, weight = gradient_and_weight(config, seed, setting)
    kept = filtered(gradient, config.epsilon, block=config.block)
    exact, pushes = gradient @ weight, gradient.clamp(min=0)
    found = {
        "setting": setting,
        "seed": seed,
        "step": 0,
        "skipped": 1 - float(blocks_kept(gradient, config.epsilon, block=config.block).double().mean()),
        "lost": 1 - float(kept.clamp(min=0).double().sum() / pushes.double().sum()),
        "error": float((kept @ weight - exact).norm() / exact.norm()),
    }
    return Unit(pd.DataFrame([found]))


def gradient_and_weight(config: Config, seed: int, setting: str) -> tuple[Tensor, Tensor]:
    """The gradient of each row's loss by its logits, and the weight that the logits came from.

    Raises:
        ValueError: no such setting.
    """
    loss, _, how = setting.partition(", ")
    if setting not in (FLAT, PEAKED, SIGLIP) and not (loss in SOFTMAXES and re.fullmatch(r"deviation [\d.]+", how)):
        check_choice("settings", setting, (FLAT, PEAKED, SIGLIP, *(f"{name}, deviation S" for name in SOFTMAXES)))
    generator = stream(seed, 1)
    siglip = setting == SIGLIP
    rows, classes = (config.pairs, config.pairs) if siglip else (config.rows, config.classes)
    own, shared = _directions(classes, config.dimension, generator), _directions(1, config.dimension, generator)
    weight = own + config.offset * shared
    if siglip:
        weight = normalize(weight, dim=1)
        logits = SIGLIP_SCALE * _directions(rows, config.dimension, generator) @ weight.T + SIGLIP_BIAS
        target = torch.arange(rows)
    else:
        target = torch.multinomial(1 / torch.arange(1.0, classes + 1), rows, replacement=True, generator=generator)
        deviation = {FLAT: 0.0, PEAKED: 1.0}[setting] if setting in (FLAT, PEAKED) else float(how.split()[1])
        logits = deviation * torch.randn(rows, classes, generator=generator)
        logits[torch.arange(rows), target] += AHEAD * (setting == PEAKED)
    logits, target = logits.to(device()).requires_grad_(), target.to(device())
    if siglip:
        names = ("softplus_sum", "target")
        value = row_loss(lambda stats: stats.softplus_sum - stats.target, logits, target, names, reduction="sum")
    else:
        value = SOFTMAXES[loss](logits, target, reduction="sum")
    return torch.autograd.grad(value, logits)[0], weight.to(device())


def _directions(count: int, dimension: int, generator: torch.Generator) -> Tensor:
    return normalize(torch.randn(count, dimension, generator=generator), dim=1)
