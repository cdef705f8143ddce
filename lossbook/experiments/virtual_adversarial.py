"""Few labels and many inputs: does smoothing the prediction where it would change most find the gap between classes?

Four ways to train one network on two moons with 4 labels a class, and on digits with 10: the labels alone; beside them
the LDS of all inputs in a random direction, in the virtual adversarial one (VAT), and that with a little entropy.
Within a seed all see the same labels and batches and start from the same weights. Seeds train as one ensemble.

Radius and learning rate of each way come from a grid on the pilot seeds 100 to 104 (radius 0.1 to 0.5 on moons, 0.25 to
4 on digits; rate 0.001, 0.003, 0.01), which no run of `SCALES` uses. The weight of the entropy, 0.1, comes from the
same seeds: at 1 three of five ended on moons with an error above 10 %, at 0.1 one or two.

The paper trains on photographs, 4,000 labels of CIFAR-10; "paper" here is the same two data sets for longer.
"""

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from lossbook import datasets
from lossbook.checks import check_choice, check_count
from lossbook.devices import device
from lossbook.experiments.headlines import Headline
from lossbook.experiments.run import Run, Snapshot, Unit, run_units, seeds_of, stream
from lossbook.losses import cross_entropy
from lossbook.models import Ensemble, multilayer
from lossbook.training import Shuffled, conditional_entropy, train, virtual_adversarial_loss


@dataclass(frozen=True)
class Method:
    """What is added to the cross-entropy of the labels: LDS after so many power steps (None: no LDS), and entropy."""

    power_steps: int | None = None
    entropy: float = 0.0


@dataclass(frozen=True)
class Tuned:
    """Length of the perturbation, in the unit of the inputs, and learning rate."""

    radius: float
    learning_rate: float


@dataclass(frozen=True)
class Task:
    """A data set with few labels; `test_radius` is where LDS is measured, for all methods alike."""

    per_class: int
    hidden: tuple[int, ...]
    test_radius: float
    tuned: dict[str, Tuned]


METHODS: dict[str, Method] = {
    "cross-entropy": Method(),
    "random direction": Method(0),
    "VAT": Method(1),
    "VAT + entropy": Method(1, 0.1),
}
TASKS: dict[str, Task] = {
    "moons": Task(4, (50, 50), 0.2, dict(zip(METHODS, (Tuned(0, 1e-3), *[Tuned(0.2, 3e-3)] * 3), strict=True))),
    "digits": Task(
        10, (100,), 0.5, dict(zip(METHODS, (Tuned(0, 1e-3), Tuned(2.5, 1e-2), *[Tuned(0.5, 1e-2)] * 2), strict=True))
    ),
}
MAP, DRAWS = 41, 20  # points a side of the map of the plane, and directions at each


@dataclass(frozen=True)
class Config:
    """`points` of moons without a label, of `noise`; digits are the 1,438 of the training part.

    `batch_size` unlabelled inputs a step, beside all that have labels; measurements `every` so many steps; seeds count
    from `first_seed`.
    """

    tasks: tuple[str, ...] = tuple(TASKS)
    methods: tuple[str, ...] = tuple(METHODS)
    seeds: int = 5
    first_seed: int = 0
    points: int = 1000
    test_points: int = 1000
    noise: float = 0.1
    steps: int = 1000
    batch_size: int = 128
    every: int = 250


SCALES = {
    "tiny": Config(seeds=2, points=200, test_points=200, steps=30, batch_size=32, every=15),
    "small": Config(),
    "paper": Config(seeds=10, test_points=10_000, steps=20_000, every=1000),
}


def run(config: Config = SCALES["small"], progress: bool = True, folder: str | Path | None = None) -> Run:
    """Train by each method on each data set.

    Args:
        config: one of `SCALES`, or your own.
        progress: show a bar, a step for each method and data set.
        folder: where finished ones are kept, and looked for.

    Returns:
        History with a row for each setting ("moons: VAT"), seed and step:
            test_error: share of test examples that are misjudged.
            lds, lds_random: mean LDS of the test examples, one power step, and in a random direction of the same
                length, `TASKS[...].test_radius`.
            task, method: of the setting.
        Snapshots of the first seed on moons, at the end: `margin`, z₁ − z₀ on the grid of `horizontal` and `vertical`,
        `lds` there, and the `features` and `labels` of the points that have one.

    Example:
        >>> found = run(SCALES["tiny"], progress=False)
        >>> bool((found.history.lds >= 0).all()), found.history.setting.nunique()
        (True, 8)

    Reference: Miyato, Maeda, Koyama & Ishii 2018, arXiv 1704.03976.
    """
    for name, values, known in (("tasks", config.tasks, TASKS), ("methods", config.methods, METHODS)):
        for value in values:
            check_choice(name, value, known)
    units = {
        f"{task}, {method}": partial(_unit, config, task, method) for task in config.tasks for method in config.methods
    }
    return run_units("virtual_adversarial", config, units, progress=progress, folder=folder, device=device())


def few_labels(labels: Tensor, per_class: int, generator: torch.Generator) -> Tensor:
    """The places of `per_class` examples of each class, drawn at random.

    Example:
        >>> chosen = few_labels(torch.tensor([0, 1, 1, 0, 1]), 2, torch.Generator().manual_seed(0))
        >>> chosen[:2].sort().values.tolist(), len(chosen)
        ([0, 3], 4)
    """
    check_count("per_class", per_class)
    order = torch.randperm(len(labels), generator=generator)
    return torch.cat([order[labels[order] == k][:per_class] for k in range(int(labels.max()) + 1)])


def _parts(config: Config, task: str, seed: int) -> tuple[Tensor, ...]:
    """Training features and labels, test features and labels."""
    if task == "moons":
        points = partial(datasets.moons, noise=config.noise)
        known = points(config.points, generator=stream(seed, 1))
        return (*known, *points(config.test_points, generator=stream(seed, 2)))
    data = datasets.digits(seed=seed)
    return data.train_features, data.train_labels, data.test_features, data.test_labels


def _unit(config: Config, task: str, name: str) -> Unit:
    """One method on one data set, all seeds as one ensemble: every tensor of inputs has the seeds first."""
    about, method, tuned = TASKS[task], METHODS[name], TASKS[task].tuned[name]
    seeds = seeds_of(config)
    parts = [_parts(config, task, seed) for seed in seeds]
    chosen = [few_labels(part[1], about.per_class, stream(seed, 3)) for part, seed in zip(parts, seeds, strict=True)]
    features, labels, test, truth = (torch.stack(column).to(device()) for column in zip(*parts, strict=True))
    member, places = torch.arange(len(seeds))[:, None], torch.stack(chosen)
    known, answers = features[member, places], labels[member, places].T
    sizes = (features.shape[-1], *about.hidden, int(labels.max()) + 1)
    model = Ensemble([multilayer(sizes, generator=stream(seed, 4)) for seed in seeds]).to(device())
    chance = [stream(seed, 6) for seed in seeds]

    def smoothness(model: nn.Module, inputs: Tensor, **how: Any) -> Tensor:
        """LDS of each example and member."""
        own = partial(model, own=True)
        return virtual_adversarial_loss(own, inputs, sample_axes=2, reduction="none", **how)

    def objective(model: nn.Module, batch: Tensor) -> Tensor:
        rows = cross_entropy(model(known, own=True), answers, reduction="none").mean(0)
        if method.power_steps is not None:
            inputs = features[member, batch]
            how = {"radius": tuned.radius, "power_steps": method.power_steps, "generator": chance}
            rows = rows + smoothness(model, inputs, **how).mean(0)
            if method.entropy:
                rows = rows + method.entropy * conditional_entropy(model(inputs, own=True), reduction="none").mean(0)
        return rows.sum()

    def measure(model: nn.Module) -> dict[str, Tensor]:
        found = {"test_error": (model(test, own=True).argmax(-1) != truth.T).double().mean(0)}
        for key, power_steps in (("lds", 1), ("lds_random", 0)):
            fresh = [stream(seed, 7) for seed in seeds]  # the same directions at each measurement
            how = {"radius": about.test_radius, "power_steps": power_steps, "generator": fresh}
            found[key] = smoothness(model, test, **how).double().mean(0)
        return found

    trained = train(
        model,
        objective,
        Shuffled(features.shape[1], config.batch_size, [stream(seed, 5) for seed in seeds]),
        torch.optim.Adam(model.parameters(), lr=tuned.learning_rate),
        steps=config.steps,
        measure=measure,
        at=config.every,
        seeds=list(seeds),
    )
    rows = trained.history.assign(task=task, method=name)
    rows.insert(0, "setting", f"{task}: {name}")
    if task != "moons":
        return Unit(rows)
    arrays = _plane(model.member(0), about.test_radius, stream(config.first_seed, 8))
    arrays |= {"features": known[0].cpu().numpy(), "labels": answers[:, 0].cpu().numpy()}
    return Unit(rows, (Snapshot(f"{task}: {name}", config.steps, arrays),))


def _plane(model: nn.Module, radius: float, generator: torch.Generator) -> dict[str, np.ndarray]:
    horizontal, vertical = torch.linspace(-1.6, 2.6, MAP), torch.linspace(-1.2, 1.7, MAP)
    grid = torch.cartesian_prod(vertical, horizontal).flip(1).to(device())
    with torch.no_grad():
        margin = model(grid).diff(dim=1)
        # The mean of several draws: towards the boundary or away from it is a matter of luck, and would be specks.
        how: dict[str, Any] = {"radius": radius, "generator": generator, "reduction": "none"}
        lds = torch.stack([virtual_adversarial_loss(model, grid, **how) for _ in range(DRAWS)]).mean(0)
    found = {"margin": margin.reshape(MAP, MAP), "lds": lds.reshape(MAP, MAP)}
    return {name: t.cpu().numpy() for name, t in (found | {"horizontal": horizontal, "vertical": vertical}).items()}


def _at_the_end(run: Run, task: str, metric: str) -> pd.DataFrame:
    """A row for each seed, a column for each method."""
    last = run.history[(run.history["task"] == task) & (run.history["step"] == run.history["step"].max())]
    return last.pivot(index="seed", columns="method", values=metric)


def _gain(task: str, method: str, over: str, run: Run, share: float = 1.0) -> pd.Series:
    """Points of test error by which a method is below that share of another's."""
    errors = _at_the_end(run, task, "test_error")
    return 100 * (share * errors[over] - errors[method])


def _ratio(task: str, least: float, run: Run) -> pd.Series:
    """LDS over that in a random direction, in the network of the labels alone, beyond a least value."""
    lds, random = (_at_the_end(run, task, metric)["cross-entropy"] for metric in ("lds", "lds_random"))
    return lds / random - least


_PUBLISHED = "CIFAR-10, 4,000 labels: test error 11.4 %; with the entropy 10.6 %"
HEADLINES: tuple[Headline, ...] = (
    Headline(
        "vat",
        "two moons, 4 labels a class: VAT's test error is at most half of cross-entropy's",
        partial(_gain, "moons", "VAT", "cross-entropy", share=0.5),
        "points of error",
        _PUBLISHED,
    ),
    Headline(
        "vat",
        "digits, 10 labels a class: VAT's test error is at most three quarters of cross-entropy's",
        partial(_gain, "digits", "VAT", "cross-entropy", share=0.75),
        "points of error",
        _PUBLISHED,
    ),
    Headline(
        "vat",
        "digits: LDS in the virtual adversarial direction is over 10 times that in a random one of the same length",
        partial(_ratio, "digits", 10.0),
        "times, beyond 10",
        "the direction of most change, by construction",
    ),
    Headline(
        "vat",
        "digits: VAT's test error is below that of a random direction with a radius of its own",
        partial(_gain, "digits", "VAT", "random direction"),
        "points of error",
        "VAT is ahead of random perturbations on MNIST",
        "With radius and rate tuned for each, a random direction needs 2.5 where VAT has 0.5, and does as well. In the "
        "plane it does better.",
    ),
    Headline(
        "vat",
        "digits: with the entropy the error of VAT falls further",
        partial(_gain, "digits", "VAT + entropy", "VAT"),
        "points of error",
        _PUBLISHED,
        "Weight 0.1. On moons it fixes wrong guesses for good in two seeds of five: errors of 16 and 18 %.",
    ),
)
"""Fixed from the paper and the pilot seeds 100 to 104, before the run on seeds 0 to 4."""
