"""The honest bench: one network, one protocol, many losses. A loss more is a line more.

Within a seed every loss starts from the same weights and sees the same batches. Each has its own learning rate, chosen
from one grid on a part of the training data held out, by seeds that are not used again. Then each trains on all of the
training data, and the test part is looked at once. What a loss may spend is the same for all; `comparison_tables` says
it, and what came of it.
"""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from torch import Tensor, nn

from lossbook.checks import bad_type, bad_value, check_choice, check_count, check_number
from lossbook.datasets import Dataset
from lossbook.devices import device
from lossbook.experiments._rates import held_out
from lossbook.experiments.run import Run, Unit, run_units, seeds_of, stream
from lossbook.losses import cross_entropy
from lossbook.models import Ensemble, multilayer
from lossbook.training import fit

Loss = Callable[[Tensor, Tensor], Tensor]  # (scores (batch, classes), class indices (batch,)) -> a scalar
Metric = Callable[[Tensor, Tensor], float]  # the same -> a number
Network = Callable[[int, int, torch.Generator], nn.Module]  # (inputs, classes, generator) -> a network

FIRST_TUNING_SEED = 1000  # far from any seed that is reported
BETTER = {"accuracy": "higher", "log_loss": "lower"}


@dataclass(frozen=True)
class Protocol:
    """What every loss gets.

    Args:
        learning_rates: the grid that each loss's own is chosen from.
        seeds, first_seed: of the networks that are reported.
        tuning_seeds: how many others choose the learning rate.
        validation: share of the training part that is held out while it is chosen.
        tune_by: "accuracy" or "log_loss", on the part held out.
        hidden: units of the hidden layers; () is a linear model.
        epochs, batch_size, optimizer: of the training, as in `lossbook.training.fit`.
        every: epochs from one measurement to the next; None measures at the end alone.
    """

    learning_rates: tuple[float, ...] = (1e-3, 3e-3, 1e-2)
    seeds: int = 5
    first_seed: int = 0
    tuning_seeds: int = 2
    validation: float = 0.2
    tune_by: str = "accuracy"
    hidden: tuple[int, ...] = (64,)
    epochs: int = 30
    batch_size: int = 128
    optimizer: str = "adam"
    every: int | None = None


@dataclass(frozen=True)
class Compared(Protocol):
    """The config of a comparison's run: its protocol, the names of its losses, and the learning rates they got."""

    losses: tuple[str, ...] = ()
    rates: tuple[float, ...] = ()


def accuracy(scores: Tensor, target: Tensor) -> float:
    """The share of rows whose largest score is the right class's."""
    return float((scores.argmax(-1) == target).float().mean())


def log_loss(scores: Tensor, target: Tensor) -> float:
    """Cross-entropy, in nats."""
    return float(cross_entropy(scores, target))


METRICS: dict[str, Metric] = {"accuracy": accuracy, "log_loss": log_loss}


def compare(
    losses: Mapping[str, Loss],
    data: Callable[[int], Dataset],
    protocol: Protocol | None = None,
    *,
    metrics: Mapping[str, Metric] | None = None,
    network: Network | None = None,
    progress: bool = True,
    folder: str | Path | None = None,
) -> Run:
    """Train one network with each loss under one protocol.

    Args:
        losses: name -> loss of (scores, class indices), a scalar: any of `lossbook.losses`, a `partial` of one, or
            your own.
        data: seed -> data set with class labels; the seed draws what is random in it, its noise or its split.
        protocol: what every loss gets.
        metrics: name -> number of (test scores, test labels), beside accuracy and log_loss.
        network: (inputs, classes, generator) -> network; None: `multilayer` with the protocol's hidden layers.
        progress: show a bar.
        folder: where finished seeds are kept, and looked for.

    Returns:
        History with a row for each loss, seed and step: `setting` (the loss's name), `seed`, `step`, `stage` ("tuning",
        on the part held out, or "test"), `learning_rate`, and the metrics. Tuning seeds count from 1000.

    Raises:
        TypeError, ValueError: naming the argument, what it got and what was expected.

    Example:
        >>> from functools import partial
        >>> from lossbook import datasets, losses
        >>> quick = Protocol(learning_rates=(3e-3, 1e-2), seeds=2, tuning_seeds=1, epochs=2)
        >>> mine = {"cross-entropy": losses.cross_entropy, "focal": partial(losses.focal_loss, gamma=2.0)}
        >>> run = compare(mine, lambda seed: datasets.digits(seed=seed), quick, progress=False)
        >>> last = run.history[run.history.stage == "test"].groupby("setting", sort=False).step.max()
        >>> last.to_dict(), len(run.config.rates)
        ({'cross-entropy': 24, 'focal': 24}, 2)
    """
    protocol = Protocol() if protocol is None else protocol
    named = dict(METRICS) | dict(metrics or {})
    _check(losses, data, protocol, named)
    about = Compared(**asdict(protocol), losses=tuple(losses))
    how: dict[str, Any] = {"progress": progress, "device": device()}
    places = [None if folder is None else Path(folder) / part for part in ("tuning", "test")]
    one = partial(_trained, losses, data, protocol, named, network)

    grid = {name: tuple(protocol.learning_rates) for name in losses}
    others = replace(protocol, first_seed=FIRST_TUNING_SEED, seeds=max(1, protocol.tuning_seeds))
    rates = dict.fromkeys(losses, protocol.learning_rates[0])
    rows = []
    if len(protocol.learning_rates) > 1:
        units = {f"tuning seed={seed}": partial(one, seed, grid, True) for seed in seeds_of(others)}
        tuned = run_units("comparison", about, units, folder=places[0], **how)
        rates = chosen_rates(tuned.history, protocol.tune_by)
        rows.append(tuned.history)
    units = {
        f"seed={seed}": partial(one, seed, {name: (rate,) for name, rate in rates.items()}, False)
        for seed in seeds_of(protocol)
    }
    about = replace(about, rates=tuple(rates.values()))
    run = run_units("comparison", about, units, folder=places[1], **how)
    return replace(run, history=pd.concat([*rows, run.history], ignore_index=True))


def chosen_rates(history: pd.DataFrame, tune_by: str = "accuracy") -> dict[str, float]:
    """The learning rate of each loss that did best on the part held out, on average over the tuning seeds.

    Args:
        history: of `compare`, or the tuning part of it.
        tune_by: "accuracy" or "log_loss". Of equals the smaller rate is taken; one that ended in NaN is out.

    Returns:
        Loss -> learning rate, in the order of the losses.

    Raises:
        ValueError: a loss whose every rate ended in NaN.
    """
    check_choice("tune_by", tune_by, BETTER)
    rows = history[(history.stage == "tuning")]
    last = rows[rows.step == rows.step.max()]
    means = last.groupby(["setting", "learning_rate"], sort=True)[tune_by].mean(skipna=False)
    found = {}
    for name in dict.fromkeys(last.setting):
        numbers = means[name].dropna()
        if numbers.empty:
            raise bad_value("learning_rates", sorted(means[name].index), f"one at which {name} does not end in NaN")
        found[name] = float(numbers.idxmax() if BETTER[tune_by] == "higher" else numbers.idxmin())
    return found


def _trained(
    losses: Mapping[str, Loss],
    data: Callable[[int], Dataset],
    protocol: Protocol,
    metrics: Mapping[str, Metric],
    network: Network | None,
    seed: int,
    rates: Mapping[str, tuple[float, ...]],
    tuning: bool,
) -> Unit:
    """Every loss at each of its rates, for one seed: those of one rate side by side."""
    drawn = data(seed).to(device())
    parts = held_out(drawn, protocol.validation, stream(seed, 4)) if tuning else drawn
    start = (network or partial(_multilayer, protocol.hidden))(
        drawn.train_features[0].numel(), drawn.classes, stream(seed, 5)
    )
    steps = -(-len(parts.train_labels) // protocol.batch_size)
    rows = []
    for rate in sorted({rate for own in rates.values() for rate in own}):
        names = [name for name, own in rates.items() if rate in own]

        def objective(scores: Tensor, target: Tensor, names: list[str] = names) -> Tensor:
            return torch.stack(
                [_scalar(name, losses[name](scores[:, k], target)) for k, name in enumerate(names)]
            ).sum()

        def measure(step: int, model: nn.Module, names: list[str] = names, rate: float = rate) -> None:
            scores = model(parts.test_features)
            for k, name in enumerate(names):
                about = {"setting": name, "seed": seed, "step": step, "stage": "tuning" if tuning else "test"}
                found = {
                    metric: _number(metric, call, scores[:, k], parts.test_labels) for metric, call in metrics.items()
                }
                rows.append(about | {"learning_rate": rate} | found)

        fit(
            Ensemble([start] * len(names)).to(device()),
            objective,
            parts.train_features,
            parts.train_labels,
            epochs=protocol.epochs,
            batch_size=protocol.batch_size,
            learning_rate=rate,
            optimizer=protocol.optimizer,
            generator=stream(seed, 6),
            evaluate=lambda model: {},
            every=steps * (protocol.every or protocol.epochs),
            snapshot=measure,
        )
    order = {name: k for k, name in enumerate(losses)}
    found = pd.DataFrame(rows)
    return Unit(found.sort_values("setting", key=lambda names: names.map(order), kind="stable", ignore_index=True))


def _multilayer(hidden: tuple[int, ...], inputs: int, classes: int, generator: torch.Generator) -> nn.Module:
    return multilayer((inputs, *hidden, classes), generator=generator)


def _scalar(name: str, value: Tensor) -> Tensor:
    if not isinstance(value, Tensor) or value.ndim:
        raise bad_value(f"losses[{name!r}]", value, "a function to a scalar tensor")
    return value


def _number(name: str, metric: Metric, scores: Tensor, target: Tensor) -> float:
    try:
        return float(metric(scores, target))
    except (TypeError, ValueError, RuntimeError) as error:
        raise TypeError(f"metrics[{name!r}]: expected a number of (scores, class indices): {error}") from error


def _check(losses: Any, data: Any, protocol: Protocol, metrics: Mapping[str, Metric]) -> None:
    if not isinstance(losses, Mapping) or not losses:
        raise bad_type("losses", losses, "a mapping from names to losses, at least one")
    for name, loss in losses.items():
        if not isinstance(name, str) or not callable(loss):
            raise bad_type(f"losses[{name!r}]", loss, "a function of (scores, class indices), under a name")
    if not callable(data):
        raise bad_type("data", data, "a function from a seed to a data set, such as lambda seed: digits(seed=seed)")
    for name, metric in metrics.items():
        if not callable(metric):
            raise bad_type(f"metrics[{name!r}]", metric, "a function of (scores, class indices) to a number")
    if not isinstance(protocol, Protocol):
        raise bad_type("protocol", protocol, "a Protocol")
    if not protocol.learning_rates:
        raise bad_value("learning_rates", protocol.learning_rates, "at least one")
    for rate in protocol.learning_rates:
        check_number("learning_rates", rate, above=0)
    check_number("validation", protocol.validation, above=0, below=1)
    check_choice("tune_by", protocol.tune_by, BETTER)
    for name, least in (("epochs", 1), ("batch_size", 1), ("seeds", 1), ("tuning_seeds", 1)):
        check_count(name, getattr(protocol, name), least=least)
