"""Five classes are known and five new ones arrive: what does each part of SGM do to the old ones, alone and together?

A network learns classes 0 to 4, then trains on half new and half old examples, and is tested after every update. All
settings of a seed start from one network and see the same batches. Settings and seeds train side by side, as one
ensemble of networks with free hidden layers and one of networks with low-rank ones.

`body` is what stands before the last layer: "layer norm" as in the published networks (ConvNeXt), or "relu", a plain
multilayer network, in which the published initialisation of the new outputs does harm.

"paper" is longer and wider, on ten seeds; the paper itself goes from ImageNet-1K to Places365.

What must hold, with thresholds fixed after a pilot on the seeds 100 to 104, and in how many of the seeds 0 to 4 it did.
"Lowest" is the lowest accuracy on old classes over the 150 updates. After a first look at these seeds the training of
the base network was shortened from 600 to 400 steps, to save time, and the pilot repeated; the thresholds are the
second pilot's. The first pilot's were stricter (SGM and teacher targets 0.15, garments 0.08); with them the counts are
the same, but 4 of 5 for SGM on garments.

    digits (`SCALES["small"]`)
    first loss of the new classes: init below half of vanilla's                     5 of 5, 0.28 to 0.37 of it
    lowest: init above vanilla by 0.03                                              4 of 5, -0.04 to 0.29
    lowest: SGM above vanilla by 0.05                                               5 of 5, 0.15 to 0.42
    lowest: teacher targets above vanilla by 0.1, new accuracy at the end below     5 of 5, 0.18 to 0.36
        by 0.05                                                                     5 of 5, 0.10 to 0.13
    lowest: soft targets above vanilla; frozen above vanilla                        4 of 5; 4 of 5
    lowest: SGM less low rank below SGM by 0.03; SGM less init below SGM            5 of 5; 5 of 5
    lowest: SGM less soft targets, SGM less frozen within 0.03 of SGM               4 of 5; 4 of 5
    lowest: low rank alone above vanilla (1 of 5 in the pilot)                      2 of 5, no claim
    old accuracy at the end: none of them more than 0.02 below vanilla              4 of 5 for init, else 5 of 5
    S_Delta: SGM below vanilla                                                      5 of 5
    updates to 95 % of the joint model: SGM needs fewer than vanilla                1 of 5, no claim
    plain network (`PLAIN`)
    init: old accuracy at most 0.2 before any update                                5 of 5, 0.00
    centred init: old accuracy at least 0.95 before any update                      4 of 5, 0.94 to 0.99
    lowest: centred init above vanilla by 0.01; SGM, centred above vanilla          4 of 5; 4 of 5
    garments (`GARMENTS`)
    lowest: SGM above vanilla by 0.05                                               5 of 5, 0.07 to 0.18
    lowest: teacher targets above vanilla; low rank above vanilla                   5 of 5; 4 of 5
    old accuracy before any update: init below vanilla                              5 of 5, 0.03 to 0.25
    lowest: init, soft targets, frozen above vanilla (2, 1, 3 of 5 in the pilot)    4, 2, 5 of 5, no claims
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pandas as pd
import torch
from torch import Tensor

from lossbook.checks import check_choice
from lossbook.devices import device
from lossbook.experiments._arrivals import (
    BODIES,
    CLASSES,
    OLD,
    SETTINGS,
    Examples,
    load,
    network,
    numbers,
)
from lossbook.experiments._rehearsal import continued
from lossbook.experiments.run import Run, Snapshot, Unit, run_units, seeds_of, stream
from lossbook.losses import cross_entropy
from lossbook.metrics import continual_gaps, updates_to_reach
from lossbook.models import Ensemble
from lossbook.training import Shuffled, train

JOINT_EVERY = 10


ALONE = ("vanilla", "init", "centred init", "soft targets", "teacher targets", "frozen", "low rank", "SGM")
LESS = ("SGM less init", "SGM less soft targets", "SGM less frozen", "SGM less low rank")


@dataclass(frozen=True)
class Config:
    """What is compared and how it is trained.

    `per_class` and `test_per_class` are examples, those there are where there are fewer; `base_steps` and `joint_steps`
    are of Adam at `base_rate`, on the old classes and on all; then come `updates` of SGD. `rank` and `alpha` are
    LoRA's.
    """

    data: str = "digits"
    body: str = "layer norm"
    settings: tuple[str, ...] = (*ALONE, *LESS)
    seeds: int = 5
    first_seed: int = 0
    hidden: tuple[int, ...] = (64, 64)
    per_class: int = 140
    test_per_class: int = 25
    base_steps: int = 400
    joint_steps: int = 400
    base_rate: float = 1e-3
    batch_size: int = 32
    updates: int = 150
    learning_rate: float = 0.02
    momentum: float = 0.9
    rank: int = 8
    alpha: float = 8.0


SCALES = {
    "tiny": Config(seeds=2, settings=("vanilla", "init", "frozen", "SGM"), base_steps=60, joint_steps=60, updates=12),
    "small": Config(),
    "paper": Config("fashion_mnist", seeds=10, hidden=(256, 128), per_class=1000, test_per_class=200, base_steps=5000),
}

PLAIN = Config(body="relu", settings=("vanilla", "init", "centred init", "init, frozen", "SGM", "SGM, centred"))
GARMENTS = Config(
    "fashion_mnist",
    settings=tuple(name for name in ALONE if name != "centred init"),
    batch_size=64,
    learning_rate=0.01,
)
"""Two more at small scale: a network without a layer norm, and other data with a quieter optimiser."""


def run(config: Config = SCALES["small"], progress: bool = True, folder: str | Path | None = None) -> Run:
    """Teach the old classes, let the new ones arrive, and test after every update.

    Args:
        config: one of `SCALES`, or your own.
        progress: show a bar.
        folder: where finished seeds, and training that was interrupted, are kept and looked for.

    Returns:
        History with a row for each setting, seed and step, the number of updates since the new classes arrived:
            old_accuracy, new_accuracy, accuracy: on test examples of the old, the new and all classes.
            new_loss: mean cross-entropy of the test examples of new classes, in nats.
            margin: mean, over test examples of old classes, of the highest old logit less the highest new one.
        The setting "joint" is one network trained on all classes from scratch; its steps are those of that training.
        Snapshots of the first seed: `margins`, of every test example of an old class.

    Example:
        >>> found = run(SCALES["tiny"], progress=False)
        >>> sorted(found.history.setting.unique())
        ['SGM', 'frozen', 'init', 'joint', 'vanilla']

    Reference: Harun & Kanan 2024, arXiv 2306.01904.
    """
    check_choice("data", config.data, ("digits", "fashion_mnist"))
    check_choice("body", config.body, BODIES)
    for setting in config.settings:
        check_choice("settings", setting, SETTINGS)
    seeds = seeds_of(config)
    units = {f"seeds={seeds[0]} to {seeds[-1]}": partial(_seeds, config)}
    return run_units(
        "gap_mitigations", config, units, progress=progress, folder=folder, device=device(), checkpoints=True
    )


def summary(run: Run, *, share: float = 0.95, last: int = 20) -> pd.DataFrame:
    """A row for each setting and seed.

    Args:
        run: of this experiment.
        share: of the joint model's accuracy, for `updates`.
        last: updates that the end is a mean over.

    Returns:
        Indexed by setting and seed, in the order of the config:
            first_loss, first_old, margin: loss of the new classes, accuracy on the old ones and their margin before
                the first update.
            lowest, lowest_at: the lowest accuracy on old classes, and after how many updates it was first there.
            old_end, new_end: mean accuracies over the last updates.
            stability, plasticity, knowledge: the gaps to the joint model.
            updates: until the accuracy on all classes was at the share of the joint model's; infinite where never. The
                setting "joint" has this number alone, counted from scratch, in steps of 10.
    """
    names = ["old_accuracy", "new_accuracy", "accuracy"]
    rows = {}
    groups = dict(iter(run.history.groupby(["setting", "seed"], sort=False)))
    for setting in (*run.config.settings, "joint"):
        for seed in seeds_of(run.config):
            found = groups[setting, seed].sort_values("step")
            joint = groups["joint", seed].sort_values("step").iloc[-1]
            start, after = found.iloc[0], found[found["step"] > 0]
            curves = [torch.tensor(after[name].to_numpy()) for name in names]
            number = updates_to_reach(curves[2], float(joint["accuracy"]), share=share)
            if setting == "joint":
                rows[setting, seed] = {"updates": JOINT_EVERY * float(number)}
                continue
            gaps = continual_gaps(*curves, joint=tuple(float(joint[name]) for name in names))
            lowest = found["old_accuracy"].argmin()
            end = after.tail(last)
            rows[setting, seed] = {
                "first_loss": start["new_loss"],
                "first_old": start["old_accuracy"],
                "margin": start["margin"],
                "lowest": found["old_accuracy"].iloc[lowest],
                "lowest_at": int(found["step"].iloc[lowest]),
                "old_end": end["old_accuracy"].mean(),
                "new_end": end["new_accuracy"].mean(),
                **{name: float(gap) for name, gap in gaps._asdict().items()},
                "updates": float(number),
            }
    table = pd.DataFrame.from_dict(rows, orient="index")
    table.index = pd.MultiIndex.from_tuples(table.index, names=["setting", "seed"])
    return table


def _seeds(config: Config, folder: Path | None) -> Unit:
    seeds = list(seeds_of(config))
    examples, tests = load(config.data, seeds, config.per_class, config.test_per_class)
    old, new = examples.part(old=True), examples.part(old=False)
    inputs = examples.features.shape[-1]

    def learned(known: Examples, classes: int, steps: int, purpose: int, name: str) -> tuple[Ensemble, pd.DataFrame]:
        """One network a seed, trained on some classes with the logits of those alone."""
        start = [network(config.body, inputs, config.hidden, stream(seed, 1)) for seed in seeds]
        model = Ensemble(start).to(device())

        def objective(model: Ensemble, chosen: Tensor) -> Tensor:
            values, labels = known[chosen]
            return cross_entropy(model(values, own=True)[..., :classes], labels.T, reduction="none").mean(0).sum()

        trained = train(
            model,
            objective,
            Shuffled(len(known.labels), config.batch_size, [stream(seed, purpose) for seed in seeds]),
            torch.optim.Adam(model.parameters(), lr=config.base_rate),
            steps=steps,
            measure=measure if name == "joint" else None,
            at=JOINT_EVERY,
            seeds=seeds,
            checkpoint=folder / name if folder else None,
        )
        return model, trained.history

    def measure(model: Ensemble) -> Mapping[str, Tensor]:
        return numbers(model(tests.features, own=True), tests.labels)

    base, _ = learned(old, OLD, config.base_steps, 2, "base")
    _, joint = learned(examples, CLASSES, config.joint_steps, 3, "joint")
    rows = [joint.assign(setting="joint")]
    snapshots: list[Snapshot] = []
    for low_rank in (False, True):
        names = [name for name in config.settings if SETTINGS[name].low_rank == low_rank]
        if names:
            checkpoint = folder / ("low rank" if low_rank else "free") if folder else None
            history, kept = continued(config, names, base, old, new, tests, checkpoint)
            rows.append(history)
            snapshots += kept
    order = {name: place for place, name in enumerate(config.settings)}
    return Unit(pd.concat(rows, ignore_index=True), tuple(sorted(snapshots, key=lambda s: (order[s.setting], s.step))))
