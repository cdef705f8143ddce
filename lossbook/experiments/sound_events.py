"""Which sounds are on, frame by frame: cross-entropy of each cell against Dice of each clip, the rarer the sounds.

Clips of a hundred frames and twelve kinds of sound. A sound that is on adds its own spectrum, at a loudness of its own,
to noise; it stays on for a few frames. Of all cells (frame, sound) a given share is on: 1, 2, 5 or 20 %. A small
network sees five frames and says for each sound how likely it is on in the middle one. Scored is the F1 of all cells at
threshold 1/2, which nobody tunes, and the error rate: insertions and deletions over cells that are on, one of each in
a frame counting once, as a substitution.

Each loss has its own learning rate, the best of 0.001, 0.003, 0.01 and 0.03 by the mean F1 over the rates of activity,
chosen on seed 100: 0.01 for all. As papers often compare losses at one rate for all, cross-entropy and Dice are there
once more with 0.003. Within a seed all start alike and see the same clips.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pandas as pd
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, normalize

from lossbook.experiments.headlines import Headline
from lossbook.experiments.run import Run, Snapshot, Unit, run_units, seeds_of, stream
from lossbook.losses import dice_loss
from lossbook.metrics import best_f1, f_beta
from lossbook.models import multilayer

CLIP = (1, 2)  # the axes of a clip: frames and sounds


def _both(scores: Tensor, active: Tensor) -> Tensor:
    return binary_cross_entropy_with_logits(scores, active) + dice_loss(scores, active, reduce_over=CLIP)


SHARED = ", rate 0.003"
LOSSES: dict[str, tuple[Callable[[Tensor, Tensor], Tensor], float]] = {
    "cross-entropy": (binary_cross_entropy_with_logits, 1e-2),
    "Dice": (partial(dice_loss, reduce_over=CLIP), 1e-2),
    "both": (_both, 1e-2),
    "cross-entropy" + SHARED: (binary_cross_entropy_with_logits, 3e-3),
    "Dice" + SHARED: (partial(dice_loss, reduce_over=CLIP), 3e-3),
}
"""Each setting's loss and learning rate."""


@dataclass(frozen=True)
class Config:
    """What is generated and trained. `rate` overrides the learning rates of `LOSSES`."""

    activities: tuple[float, ...] = (0.01, 0.02, 0.05, 0.2)
    seeds: int = 5
    first_seed: int = 0
    clips: int = 50
    test_clips: int = 100
    frames: int = 100
    sounds: int = 12
    bands: int = 24
    length: float = 8.0
    noise: float = 0.5
    hidden: int = 48
    batch: int = 10
    epochs: int = 40
    rate: float | None = None


SCALES = {
    "tiny": Config(activities=(0.02, 0.2), seeds=1, clips=20, test_clips=10, epochs=3),
    "small": Config(),
    "paper": Config(clips=2000, test_clips=500, frames=600, bands=256, hidden=512, epochs=100),
}


def run(config: Config = SCALES["small"], progress: bool = True, folder: str | Path | None = None) -> Run:
    """Train a network with each loss, rate of activity and seed.

    Args:
        config: one of `SCALES`, or your own.
        progress: show a bar, a step a unit.
        folder: where finished units are kept, and looked for.

    Returns:
        History with a row for each setting, activity and seed, all of test clips at the end:
            activity: the share of cells that are on.
            f1: of all cells at threshold 1/2.
            best_f1, threshold: the highest F1 of any one probability, and that probability.
            error_rate: (substitutions + deletions + insertions) over the cells that are on, frame by frame.
            said: of all cells, the share that is said to be on.
        Snapshots of the first seed: `active`, the cells of the first test clip (frames, sounds), and `probability`.

    Example:
        >>> history = run(SCALES["tiny"], progress=False).history
        >>> history.groupby("activity").setting.nunique().tolist()
        [5, 5]

    Reference: Watcharasupat et al. 2021, arXiv 2107.10471; scores: Mesaros, Heittola & Virtanen 2016.
    """
    units = {
        f"activity={activity:g} seed={seed}": partial(_train, config, activity, seed)
        for seed in seeds_of(config)
        for activity in config.activities
    }
    return run_units("sound_events", config, units, progress=progress, folder=folder)


def activities(
    clips: int, frames: int, sounds: int, share: float, length: float, generator: torch.Generator
) -> Float[Tensor, "clips frames sounds"]:
    """Which sounds are on: each cell switches on and off by chance, on for `length` frames on average.

    Example:
        >>> on = activities(50, 100, 12, 0.05, 8.0, torch.Generator().manual_seed(0))
        >>> round(float(on.mean()), 2)
        0.05
    """
    off = 1 / length
    start = off * share / (1 - share)  # so that the share is the same at every frame
    state = (torch.rand(clips, sounds, generator=generator) < share).float()
    found = [state]
    for _ in range(frames - 1):
        chance = torch.rand(clips, sounds, generator=generator)
        state = torch.where(state == 1, (chance >= off).float(), (chance < start).float())
        found.append(state)
    return torch.stack(found, 1)


def heard(
    active: Float[Tensor, "clips frames sounds"],
    spectra: Float[Tensor, "sounds bands"],
    noise: float,
    draws: torch.Generator,
) -> Float[Tensor, "clips frames five_bands"]:
    """Noisy spectra, each frame with its two neighbours on either side."""
    loud = active * torch.exp(0.5 * torch.randn(active.shape, generator=draws))
    sound = loud @ spectra
    sound = sound + noise * torch.randn(sound.shape, generator=draws)
    padded = torch.nn.functional.pad(sound, (0, 0, 2, 2))
    return torch.cat([padded[:, k : k + active.shape[1]] for k in range(5)], -1)


def error_rate(decisions: Float[Tensor, "... frames sounds"], active: Float[Tensor, "... frames sounds"]) -> float:
    """Substitutions, deletions and insertions over the cells that are on.

    In a frame, a sound missed and another heard falsely make one substitution.

    Example:
        >>> error_rate(torch.tensor([[0.0, 1.0], [1.0, 1.0]]), torch.tensor([[1.0, 0.0], [1.0, 0.0]]))
        1.0
    """
    missed = (active * (1 - decisions)).sum(-1)
    false = (decisions * (1 - active)).sum(-1)
    return float(torch.maximum(missed, false).sum() / active.sum())


def _train(config: Config, activity: float, seed: int) -> Unit:
    draws = stream(seed, 0)
    spectra = normalize(torch.randn(config.sounds, config.bands, generator=draws), dim=1)
    sizes = (config.frames, config.sounds, activity, config.length, draws)
    active, test_active = activities(config.clips, *sizes), activities(config.test_clips, *sizes)
    features, test_features = (heard(on, spectra, config.noise, draws) for on in (active, test_active))
    rows, snapshots = [], []
    for setting, (loss, rate) in LOSSES.items():
        model = multilayer((5 * config.bands, config.hidden, config.sounds), generator=stream(seed, 1))
        optimiser = torch.optim.Adam(model.parameters(), lr=config.rate or rate)
        order = stream(seed, 2)
        for _ in range(config.epochs):
            for batch in torch.randperm(config.clips, generator=order).split(config.batch):
                optimiser.zero_grad()
                loss(model(features[batch]), active[batch]).backward()
                optimiser.step()
        with torch.no_grad():
            probability = torch.sigmoid(model(test_features))
        decisions = (probability > 0.5).float()
        best = best_f1(probability[test_active == 1], probability[test_active == 0])
        numbers = {
            "f1": float(f_beta(decisions.flatten(), test_active.flatten())),
            "best_f1": best.f1,
            "threshold": best.threshold,
            "error_rate": error_rate(decisions, test_active),
            "said": float(decisions.mean()),
        }
        step = config.epochs * -(-config.clips // config.batch)
        rows.append({"setting": setting, "seed": seed, "step": step, "activity": activity} | numbers)
        if seed == config.first_seed and SHARED not in setting:
            arrays = {"active": test_active[0].numpy(), "probability": probability[0].numpy()}
            snapshots.append(Snapshot(f"{setting} activity={activity:g}", step, arrays))
    return Unit(pd.DataFrame(rows), tuple(snapshots))


def gain(run: Run, suffix: str = "") -> pd.DataFrame:
    """F1 of Dice less that of cross-entropy, in points: seeds down, activities across."""
    f1 = run.history.pivot(index=["seed", "activity"], columns="setting", values="f1")
    return 100 * (f1["Dice" + suffix] - f1["cross-entropy" + suffix]).unstack("activity")


def _at_one_rate(run: Run) -> pd.Series:
    return gain(run, SHARED)[[0.01, 0.02]].min(axis=1)


def _closes(run: Run) -> pd.Series:
    found = gain(run)
    return found[0.01] - found[0.2].abs()


HEADLINES = (
    Headline(
        "dice_sed",
        "where 1 % of the cells are on, Dice has a higher F1 at threshold 1/2 than cross-entropy, each at its own rate",
        lambda run: gain(run)[0.01],
        "points of F1",
    ),
    Headline(
        "dice_sed",
        "where 2 % are on, Dice has a higher F1 than cross-entropy, each at its own rate",
        lambda run: gain(run)[0.02],
        "points of F1",
        remark="cross-entropy's own, higher learning rate makes up for most of what it loses at a shared one",
    ),
    Headline(
        "dice_sed",
        "at one learning rate for both, 0.003, Dice is ahead where 1 % and where 2 % are on",
        _at_one_rate,
        "points of F1",
    ),
    Headline(
        "dice_sed",
        "the gap closes: at 20 % Dice and cross-entropy are closer to each other than Dice is ahead at 1 %",
        _closes,
        "points of F1",
    ),
)
