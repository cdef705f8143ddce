"""Wrong labels and losses that doubt them: one temperature for all, one for each example, and losses without.

One small network for each loss and each kind of noise. Within a seed all start from the same weights and see the same
batches, each loss at its own learning rate, chosen on held-out noisy labels. "fast" are three of them at one rate,
0.01, at which cross-entropy has the time to learn its labels by heart.

"paper" is letter recognition with the authors' hundred epochs, for a GPU; they run seven data sets and thirteen losses.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pandas as pd
import torch
from torch import Tensor

from lossbook import datasets
from lossbook.checks import bad_value, check_choice
from lossbook.devices import device
from lossbook.experiments._rates import at_end, held_out, train_groups
from lossbook.experiments.headlines import Headline
from lossbook.experiments.run import Run, Snapshot, Unit, run_units, seeds_of, stream
from lossbook.losses import (
    cross_entropy,
    generalized_cross_entropy,
    ldr_kl_loss,
    mean_absolute_error_loss,
)
from lossbook.metrics import auc
from lossbook.models import multilayer
from lossbook.training import ALDRKLLoss

PLAIN: dict[str, Callable[..., Tensor]] = {
    "cross-entropy": cross_entropy,
    "GCE, q = 0.7": partial(generalized_cross_entropy, q=0.7),
    "MAE": mean_absolute_error_loss,
    "Crammer-Singer": partial(ldr_kl_loss, temperature=0.01, margin=1.0),  # as good as its limit λ → 0
    "LDR, λ = 1": partial(ldr_kl_loss, temperature=1.0, normalise="softplus"),
    "LDR, λ = 10": partial(ldr_kl_loss, temperature=10.0, normalise="softplus"),
    "cross-entropy, fast": cross_entropy,
    "LDR, λ = 10, fast": partial(ldr_kl_loss, temperature=10.0, normalise="softplus"),
}
ADAPTIVE = {"ALDR, λ₀ = 1": 1.0, "ALDR, λ₀ = 10": 10.0, "ALDR, λ₀ = 10, fast": 10.0}
NOISES = {"no noise": 0.0, "uniform 40 %": 0.4, "uniform 60 %": 0.6, "next class 40 %": 0.4}


@dataclass(frozen=True)
class Config:
    """What is varied and how it is trained.

    `losses` are among `PLAIN` and `ADAPTIVE`, `rates` the learning rate of each; `noises` among `NOISES`: labels
    replaced by any other class, or by the class that comes next. Measurements are `every` so many epochs. With
    `validation` above 0 that share of the training part, with labels as noisy as the rest, takes the place of the test
    part: to choose rates by.
    """

    data: str = "digits"
    losses: tuple[str, ...] = (*PLAIN, *ADAPTIVE)
    rates: tuple[float, ...] = (1e-3, 1e-3, 3e-3, 1e-3, 1e-3, 1e-3, 1e-2, 1e-2, 1e-3, 3e-3, 1e-2)
    noises: tuple[str, ...] = tuple(NOISES)
    seeds: int = 5
    first_seed: int = 0
    hidden: int = 64
    epochs: int = 60
    batch_size: int = 128
    every: int = 10
    validation: float = 0.0


SCALES = {
    "tiny": Config(
        losses=("cross-entropy", "LDR, λ = 10", "ALDR, λ₀ = 10"),
        rates=(5e-3,) * 3,
        noises=("no noise", "uniform 40 %"),
        seeds=1,
        epochs=4,
        every=2,
    ),
    "small": Config(),
    "paper": Config(data="letter_recognition", hidden=256, epochs=100, batch_size=64),
}


def run(config: Config = SCALES["small"], progress: bool = True, folder: str | Path | None = None) -> Run:
    """Train one network for each loss, noise and seed.

    Args:
        config: one of `SCALES`, or your own.
        progress: show a bar, a step a seed.
        folder: where finished seeds are kept, and looked for.

    Returns:
        History with a row for each setting, seed and step: `test_accuracy` on right labels; `repeated`, the share of
        the replaced labels that the network repeats (NaN where none is); of the adaptive losses `temperature_right`
        and `temperature_wrong`, the mean λ_i/λ_0 over examples whose label is right and replaced, and `separation`, how
        often a replaced one has the larger λ_i (AUC); NaN of the others; `loss` and `noise` of the setting.
        Snapshots of the first seed at 40 % uniform noise, at the last step, for the adaptive losses: `temperature`,
        λ_i/λ_0 of each training example; `wrong`, whether its label was replaced.

    Example:
        >>> found = run(SCALES["tiny"], progress=False)
        >>> list(found.history.loss.unique())
        ['cross-entropy', 'LDR, λ = 10', 'ALDR, λ₀ = 10']

    Reference: Zhu, Ying & Yang 2023, arXiv 2112.14869.
    """
    check_choice("data", config.data, ("digits", "letter_recognition"))
    for argument, names, known in (("losses", config.losses, PLAIN | ADAPTIVE), ("noises", config.noises, NOISES)):
        for name in names:
            check_choice(argument, name, known)
    if len(config.rates) != len(config.losses):
        raise bad_value("rates", config.rates, f"a learning rate for each of the {len(config.losses)} losses")
    units = {f"seed={seed}": partial(_seed, config, seed) for seed in seeds_of(config)}
    return run_units("label_uncertainty", config, units, progress=progress, folder=folder, device=device())


def _seed(config: Config, seed: int) -> Unit:
    data = held_out(getattr(datasets, config.data)(seed=seed), config.validation, stream(seed, 4)).to(device())
    settings = [(loss, noise) for loss in config.losses for noise in config.noises]
    rates = [rate for rate in config.rates for _ in config.noises]
    taught = [_replaced(data.train_labels, noise, data.classes, seed, 1) for _, noise in settings]
    labels = torch.stack([one for one, _ in taught], 1)  # (examples, settings)
    wrong = torch.stack([which for _, which in taught], 1)
    tested = data.test_labels[:, None].expand(-1, len(settings))
    if config.validation:  # whoever chooses a rate has no right labels either
        tested = torch.stack([_replaced(data.test_labels, noise, data.classes, seed, 6)[0] for _, noise in settings], 1)
    start = multilayer((data.train_features.shape[1], config.hidden, data.classes), generator=stream(seed, 2))
    adaptive = {
        name: ALDRKLLoss(len(labels), temperature=ADAPTIVE[name], members=len(config.noises)).to(device())
        for name in config.losses
        if name in ADAPTIVE
    }
    moved: dict[int, dict[str, Tensor]] = {}
    rows: list[pd.DataFrame] = []
    snapshots: list[Snapshot] = []
    steps_an_epoch = -(-len(labels) // config.batch_size)
    last = config.epochs * steps_an_epoch

    def loss(places: tuple[int, ...]) -> Callable[[Tensor, Tensor], Tensor]:
        step = 0

        names = list(dict.fromkeys(settings[place][0] for place in places))

        def total(logits: Tensor, given: Tensor) -> Tensor:
            nonlocal step
            target, ids = given[:, list(places)], given[:, -1]
            width = len(config.noises)
            each = []
            for name, z, y in zip(names, logits.split(width, 1), target.split(width, 1), strict=True):
                own = (
                    adaptive[name](z, y, ids, reduction="none")
                    if name in adaptive
                    else PLAIN[name](z, y, reduction="none")
                )
                each.append(own.mean(0).sum())  # a mean for each network: they share no weights
            step += 1
            if step % (config.every * steps_an_epoch) == 0 or step == last:
                for name in set(names) & set(adaptive):
                    moved.setdefault(step, {})[name] = adaptive[name].temperatures / adaptive[name].start
            return torch.stack(each).sum()

        return total

    def measure(step: int, outputs: Callable[[Tensor], Tensor]) -> None:
        repeats = outputs(data.train_features).argmax(-1) == labels
        about = {
            "setting": [f"{name}; {noise}" for name, noise in settings],
            "seed": seed,
            "step": step,
            "test_accuracy": (outputs(data.test_features).argmax(-1) == tested).float().mean(0).cpu().numpy(),
            "repeated": ((repeats & wrong).sum(0) / wrong.sum(0)).cpu().numpy(),
            "loss": [name for name, _ in settings],
            "noise": [noise for _, noise in settings],
        }
        found = pd.DataFrame(about)
        for place, (name, noise) in enumerate(settings):
            if name not in moved.get(step, {}):
                continue
            level, off = moved[step][name][:, config.noises.index(noise)], wrong[:, place]
            found.loc[place, "temperature_right"] = float(level[~off].mean())
            if bool(off.any()):
                found.loc[place, "temperature_wrong"] = float(level[off].mean())
                found.loc[place, "separation"] = auc(level[off], level[~off])
            if seed == config.first_seed and noise == "uniform 40 %" and step == last:
                arrays = {"temperature": level.cpu().numpy(), "wrong": off.cpu().numpy()}
                snapshots.append(Snapshot(name, step, arrays))
        rows.append(found)

    train_groups(
        start,
        rates,
        data.train_features,
        torch.cat([labels, torch.arange(len(labels), device=device())[:, None]], 1),
        loss,
        measure,
        seed=seed,
        epochs=config.epochs,
        batch_size=config.batch_size,
        every=config.every,
    )
    return Unit(pd.concat(rows, ignore_index=True), tuple(snapshots))


def _replaced(labels: Tensor, noise: str, classes: int, seed: int, purpose: int) -> tuple[Tensor, Tensor]:
    """The labels as they are taught, and which of them were replaced."""
    fraction = NOISES[noise]
    found, wrong = datasets.with_label_noise(labels, fraction, classes, generator=stream(seed, purpose))
    return (torch.where(wrong, (labels + 1) % classes, labels) if noise.startswith("next") else found), wrong


def _gain(run: Run, loss: str, over: str, noise: str) -> pd.Series:
    """Points of test accuracy of one loss over another."""
    found = 100 * at_end(run, "test_accuracy")
    return found[f"{loss}; {noise}"] - found[f"{over}; {noise}"]


def _mean_gain(run: Run, loss: str, over: str) -> pd.Series:
    """The same, the mean over the kinds of noise."""
    gains = [_gain(run, loss, over, noise) for noise in run.config.noises]
    return sum(gains[1:], gains[0]) / len(gains)


def _price(run: Run, loss: str) -> pd.Series:
    """A point, less what a loss loses to cross-entropy where no label is wrong."""
    return 1 + _gain(run, loss, "cross-entropy", "no noise")


def _apart(run: Run, loss: str, noise: str) -> pd.Series:
    """How much oftener than by chance a replaced label has the larger temperature."""
    return at_end(run, "separation")[f"{loss}; {noise}"] - 0.5


POINTS, PUBLISHED = (
    "points of accuracy",
    "stable and competitive: 7 data sets, 6 kinds of noisy labels, 13 other losses",
)
NOISY = ("uniform 40 %", "uniform 60 %", "next class 40 %")
TUNED = (
    "Cross-entropy at a rate chosen on noisy labels hardly learns the wrong ones in 60 epochs. At one rate of 0.01 "
    "for all, tried after this, it does."
)
HEADLINES = (
    *(
        Headline(
            "ldr",
            f"{loss} above cross-entropy, {noise}",
            partial(_gain, loss=loss, over="cross-entropy", noise=noise),
            POINTS,
            PUBLISHED,
            TUNED if noise.startswith("uniform") else "",
        )
        for loss in ("LDR, λ = 10", "ALDR, λ₀ = 10")
        for noise in NOISY
    ),
    *(
        Headline(
            "ldr",
            f"{loss} above cross-entropy, all at one rate, {noise}",
            partial(_gain, loss=f"{loss}, fast", over="cross-entropy, fast", noise=noise),
            POINTS,
            PUBLISHED,
        )
        for loss in ("LDR, λ = 10", "ALDR, λ₀ = 10")
        for noise in NOISY
    ),
    Headline(
        "ldr",
        "ALDR, λ₀ = 10: without noise at most a point behind cross-entropy",
        partial(_price, loss="ALDR, λ₀ = 10"),
        POINTS,
        PUBLISHED,
        "It fails in one seed, by 1.2 points.",
    ),
    Headline(
        "ldr",
        "ALDR, λ₀ = 10 above LDR, λ = 10: mean over the kinds of noise",
        partial(_mean_gain, loss="ALDR, λ₀ = 10", over="LDR, λ = 10"),
        POINTS,
        "ALDR above LDR on most",
        "On ten digits the best single temperature is as good for all examples.",
    ),
    *(
        Headline(
            "ldr",
            f"{loss}: replaced labels have the larger temperatures, uniform 40 %",
            partial(_apart, loss=loss, noise="uniform 40 %"),
            "AUC over a half",
            "temperatures follow the noise of each label",
        )
        for loss in ("ALDR, λ₀ = 1", "ALDR, λ₀ = 10")
    ),
)
"""Fixed after a pilot on seeds 100 and 101. Those at one rate were added, from the same pilot, after the run."""
