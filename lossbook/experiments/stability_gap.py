"""The stability gap: tasks learned one after the other, and every task evaluated after every update.

Methods differ in *what* they minimise (the new task alone; the joint loss, from a memory of old examples or exactly)
and in *how* (a plain step, or one projected so that no old task's gradient speaks against it), or they hold old weights
or answers fast. Within a seed all methods start from the same weights and see the same new batches. The seeds train as
one ensemble.

What must hold, fixed before the run from the papers and from a pilot on the seeds 100 to 104, and what was seen over
the seeds 0 to 4 at the small scale:

    replay: ACC at least 0.97, and min-ACC lower by 0.1 or more: 5 of 5, by 0.19 to 0.36
    the exact joint loss, the same: 5 of 5, by 0.18 to 0.37
    the deepest dip of both within 20 updates of a switch: 5 of 5, after 5 to 11
    replay, a second task at 40°, 80°, 160°: min-ACC falls with the angle: 5 of 5; at 0° it is 0.9 or more: 5 of 5
    finetuning, A-GEM and GEM alone lose 0.5 or more of an old task: 5 of 5, 0.67 to 0.89
    A-GEM on replay changes min-ACC by less than 0.05: the mean does (−0.005), one by one 4 of 5
    and the length of the deepest dip by less than 5 updates: the mean does (−1.8), one by one 4 of 5
    A-GEM projects at least three times as often alone as on replay: 5 of 5, 5 to 20 times
    A-GEM on the exact joint loss raises min-ACC by 0.01 or more in the mean: by 0.027; by 0.02 or more in 3 of 5
    the joint loss with steps of 0.03 for 0.1, and more of them: less than half of the depth: 5 of 5, 0.10 to 0.25 of it
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from lossbook import datasets
from lossbook.checks import bad_value, check_choice
from lossbook.datasets import Stream
from lossbook.devices import device
from lossbook.experiments._continual import METHODS, Examples, Held, losses_of, objective, references
from lossbook.experiments.run import Run, Unit, run_units, seeds_of, stream
from lossbook.losses import cross_entropy
from lossbook.metrics import continual_scores, dips
from lossbook.models import Ensemble, multilayer
from lossbook.training import (
    Batch,
    Projection,
    ReplayBatches,
    train,
)

DATA = ("gaussian", "digits", "fashion_mnist")


@dataclass(frozen=True)
class Config:
    """Which tasks, which methods, and how they are trained.

    `angles` are those of the scenario "domain", one a task; `tasks` counts those of "class" and "task". `iterations`
    are updates a task; `kept` old examples a task can be replayed, None: all; `tested` test examples a task are looked
    at after every update; images have `shrink`² pixels averaged into one.
    """

    data: str = "gaussian"
    scenario: str = "domain"
    methods: tuple[str, ...] = ("finetune", "replay")
    angles: tuple[float, ...] = (0.0, 80.0, 160.0)
    tasks: int = 5
    seeds: int = 5
    first_seed: int = 0
    hidden: tuple[int, ...] = (100, 100)
    iterations: int = 100
    batch_size: int = 64
    learning_rate: float = 0.1
    momentum: float = 0.9
    train: int = 200
    kept: int | None = None
    tested: int = 200
    per_class: int | None = 200
    shrink: int = 1
    ewc_strength: float = 100.0
    si_strength: float = 1.0
    distillation: float = 0.3
    temperature: float = 2.0


SCALES = {
    "tiny": Config(methods=("finetune", "replay", "replay + A-GEM"), seeds=2, hidden=(32,), iterations=30, tested=100),
    "small": Config(),
    "paper": Config(
        data="fashion_mnist",
        methods=tuple(METHODS),
        hidden=(400, 400),
        iterations=2000,
        batch_size=128,
        tested=1000,
        per_class=None,
    ),
}


def run(config: Config = SCALES["small"], progress: bool = True, folder: str | Path | None = None) -> Run:
    """Learn a stream of tasks by each method, and evaluate every task begun after every update.

    Args:
        config: one of `SCALES`, or your own.
        progress: show a bar, a step a method.
        folder: where finished methods are kept, and looked for.

    Returns:
        History with a row for each method (`setting`), seed and update (`step`, over all tasks; 0 is before the first):
            task: the one being learned, from 0 on.
            accuracy 1, accuracy 2, ...: on each task begun, NaN on those to come.
            projected: 1 where the update's gradient was changed by a projection, 0 where not.
            agreement: the lowest cosine of the update's gradient with an old task's, before any change; NaN without.

    Example:
        >>> found = run(SCALES["tiny"], progress=False)
        >>> int(found.history[found.history.setting == "replay"].step.max())           # 3 tasks of 30 updates
        90

    Reference: De Lange et al. 2023, arXiv 2205.13452; Hess et al. 2023, arXiv 2311.04898.
    """
    check_choice("data", config.data, DATA)
    check_choice("scenario", config.scenario, ("domain",) if config.data == "gaussian" else ("domain", "class", "task"))
    for name in config.methods:
        check_choice("methods", name, METHODS)
    streams = cache(lambda: [stream_of(config, seed).to(device()) for seed in seeds_of(config)])  # once for all methods
    units = {name: partial(_method, config, name, streams) for name in config.methods}
    return run_units("stability_gap", config, units, progress=progress, folder=folder, device=device())


def stream_of(config: Config, seed: int) -> Stream:
    """The tasks of a config, as a seed draws them."""
    if config.data == "gaussian":
        return datasets.gaussian_stream(config.angles, train=config.train, generator=stream(seed, 0))
    if config.data == "digits":
        data = datasets.digits(seed=seed, test_fraction=0.4)
    else:
        data = datasets.fashion_mnist(seed=seed, per_class=config.per_class)
    data = datasets.shrunk(data, config.shrink)
    if config.scenario == "domain":
        return datasets.rotated_stream(data, config.angles)
    return (datasets.class_stream if config.scenario == "class" else datasets.task_stream)(data, config.tasks)


def table_of(run: Run, method: str, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """What the continual metrics read of a run: accuracies (evaluations, tasks), and the task being learned.

    Args:
        run: of this experiment.
        method, seed: among those of the run.

    Raises:
        ValueError: a method or seed that the run has not.
    """
    check_choice("method", method, run.config.methods)
    rows = run.history[(run.history["setting"] == method) & (run.history["seed"] == seed)].sort_values("step")
    if rows.empty:
        raise bad_value("seed", seed, f"one of {sorted(run.history['seed'].unique().tolist())}")
    return rows.filter(like="accuracy ").to_numpy(float), rows["task"].to_numpy()


def scores(run: Run) -> pd.DataFrame:
    """A row for each method and seed: every continual score, the deepest dip, how often a gradient was projected.

    `depth`, `deepest` and `length` are those of `lossbook.metrics.dips`, of the deepest dip among all old tasks and
    switches; `projected` is the share of the updates after the first task.
    """
    found = []
    for (method, seed), rows in run.history.groupby(["setting", "seed"], sort=False):
        table, training = table_of(run, str(method), int(seed))
        all_dips = dips(table, training)
        worst = int(all_dips.depth.argmax())
        dip = {name: float(getattr(all_dips, name)[worst]) for name in ("depth", "deepest", "length")}
        projected = float(rows.loc[rows["task"] > 0, "projected"].mean())
        whole = continual_scores(table, training)._asdict()
        found.append({"setting": method, "seed": seed} | whole | dip | {"projected": projected})
    return pd.DataFrame(found)


def at_the_switch(config: Config = SCALES["small"]) -> pd.DataFrame:
    """What a step down the joint loss of the first two tasks does to the first one, and what its slope there says.

    The first task is learned as in `run`. The step is the plain one times 1/(1 − momentum), which is as far as momentum
    goes when the gradient stays. Losses are means over the training part.

    Args:
        config: with two tasks or more.

    Returns:
        A row for each seed:
            old_norm, new_norm: Euclidean lengths of the two tasks' gradients where the first task has been learned.
            slope_says: the change of the old task's loss by its gradient, −step · ⟨joint gradient, old gradient⟩.
            rise: its change in truth.
    """
    seeds = list(seeds_of(config))
    streams = [stream_of(config, seed).to(device()) for seed in seeds]
    tasks, model = streams[0], _start(config, streams[0], seeds)
    parts = [_examples(streams, task)[0] for task in range(2)]
    draw = ReplayBatches(parts[0], [], config.batch_size, [[stream(seed, 2) for seed in seeds]])
    held = Held(METHODS["finetune"], tasks)
    optimizer = torch.optim.SGD(model.parameters(), lr=config.learning_rate, momentum=config.momentum)
    train(model, partial(objective, METHODS["finetune"], tasks, held), draw, optimizer, steps=config.iterations)

    parameters = list(model.parameters())
    losses = losses_of(model, tasks, list(enumerate(parts)))
    old, new = (torch.autograd.grad(loss, parameters, retain_graph=True) for loss in losses)
    flat_old, flat_new = (torch.cat([part.flatten(1) for part in each], 1) for each in (old, new))
    step = config.learning_rate / (1 - config.momentum) / 2  # the joint gradient is the mean of the two
    with torch.no_grad():
        before = _of_each(model, tasks, parts[0])
        for parameter, one, other in zip(parameters, old, new, strict=True):
            parameter.sub_(step * (one + other))
        rise = _of_each(model, tasks, parts[0]) - before
    found = {
        "old_norm": flat_old.norm(dim=1),
        "new_norm": flat_new.norm(dim=1),
        "slope_says": -step * ((flat_old + flat_new) * flat_old).sum(1),
        "rise": rise,
    }
    return pd.DataFrame({"seed": seeds} | {name: values.cpu().numpy() for name, values in found.items()})


def _method(config: Config, name: str, made: Callable[[], list[Stream]]) -> Unit:
    method, seeds, streams = METHODS[name], list(seeds_of(config)), made()
    model = _start(config, streams[0], seeds)
    new, remembered = ([stream(seed, purpose) for seed in seeds] for purpose in (2, 3))
    parts = [_examples(streams, task) for task in range(len(streams[0].tasks))]
    held = Held(
        method,
        streams[0],
        ewc_strength=config.ewc_strength,
        si_strength=config.si_strength,
        distillation=config.distillation,
        temperature=config.temperature,
        fisher_examples=config.tested,
    )
    history = []
    for task, (training, _) in enumerate(parts):
        tested = [testing for _, testing in parts[: task + 1]]
        old = [_first(earlier, config.kept) for earlier, _ in parts[:task]]
        draw: Callable[[], Batch] = ReplayBatches(training, old, config.batch_size, [new, *[remembered] * task])
        if method.memory == "all":
            draw = partial(Batch, *training, tuple(old))
        projection = Projection(partial(references, method, streams[0]), member_axes=1)
        trained = train(
            model,
            partial(objective, method, streams[0], held),
            draw,
            torch.optim.SGD(model.parameters(), lr=config.learning_rate, momentum=config.momentum),
            steps=config.iterations,
            transform=held.noting(projection),
            measure=partial(_measure, config, streams[0], tested, projection),
            seeds=seeds,
        )
        rows = trained.history
        rows = rows[rows["step"] > 0] if task else rows  # at a switch the weights are those at the end of the last task
        history.append(rows.assign(setting=name, task=task, step=rows["step"] + task * config.iterations))
        held.consolidate(model, training[0], task)
    return Unit(pd.concat(history, ignore_index=True))


def _examples(streams: list[Stream], task: int) -> tuple[Examples, Examples]:
    """Training and test part of a task, members first."""
    tasks = [each.tasks[task] for each in streams]
    train = torch.stack([one.train_features for one in tasks]), torch.stack([one.train_labels for one in tasks])
    test = torch.stack([one.test_features for one in tasks]), torch.stack([one.test_labels for one in tasks])
    return train, test


def _first(examples: Examples, count: int | None) -> Examples:
    return examples[0][:, :count], examples[1][:, :count]


def _start(config: Config, tasks: Stream, seeds: list[int]) -> Ensemble:
    sizes = (tasks.tasks[0].train_features.shape[1], *config.hidden, tasks.outputs)
    return Ensemble([multilayer(sizes, generator=stream(seed, 1)) for seed in seeds]).to(device())


def _measure(
    config: Config, tasks: Stream, tested: list[Examples], projection: Projection, model: nn.Module
) -> dict[str, Tensor]:
    seen = [_first(examples, config.tested) for examples in tested]
    logits = model(torch.cat([features for features, _ in seen], 1), own=True)
    found: dict[str, Any] = {}
    for task, scores in enumerate(logits.split([labels.shape[1] for _, labels in seen])):
        answers = tasks.answers[task]
        answered = scores[..., answers[0] : answers[-1] + 1].argmax(-1) + answers[0]
        found[f"accuracy {task + 1}"] = (answered == seen[task][1].T).double().mean(0)
    members = len(seen[0][1])
    return found | {
        "projected": projection.active.double().expand(members),
        "agreement": projection.agreement.double().expand(members),
    }


def _of_each(model: nn.Module, tasks: Stream, examples: Examples) -> Tensor:
    """The mean loss of each member on the first task."""
    logits = model(examples[0], own=True)
    return cross_entropy(logits, examples[1].T, reduction="none").mean(0)
