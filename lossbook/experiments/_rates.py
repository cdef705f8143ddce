"""Networks of one shape that differ in their loss, each at the learning rate of its loss, on the same batches."""

import copy
from collections.abc import Callable, Sequence
from dataclasses import replace

import pandas as pd
import torch
from torch import Tensor, nn

from lossbook.checks import bad_value, check_number
from lossbook.datasets import Dataset
from lossbook.experiments.run import Run, stream
from lossbook.models import Ensemble
from lossbook.training import fit


def held_out(data: Dataset, share: float, generator: torch.Generator) -> Dataset:
    """To choose learning rates by: with a share above 0, so many training examples take the place of the test part.

    So nothing that is reported has been looked at. With 0 the data stay what they are.
    """
    if check_number("validation", share, at_least=0, below=1) == 0:
        return data
    order = torch.randperm(len(data.train_labels), generator=generator)
    away = order[: round(share * len(order))].to(data.train_labels.device)
    rest = order[len(away) :].to(data.train_labels.device)
    return replace(
        data,
        train_features=data.train_features[rest],
        train_labels=data.train_labels[rest],
        test_features=data.train_features[away],
        test_labels=data.train_labels[away],
    )


def at_end(run: Run, column: str, *, by: str = "setting") -> pd.DataFrame:
    """A number at the last step: a row a seed, a column a setting."""
    last = run.history[run.history["step"] == run.history["step"].max()]
    return last.pivot(index="seed", columns=by, values=column)


def train_groups(
    start: nn.Module | Sequence[nn.Module],
    rates: Sequence[float],
    features: Tensor,
    labels: Tensor,
    loss: Callable[[tuple[int, ...]], Callable[[Tensor, Tensor], Tensor]],
    measure: Callable[[int, Callable[[Tensor], Tensor]], None],
    *,
    seed: int,
    epochs: int,
    batch_size: int,
    every: int,
    optimizer: str = "adam",
) -> None:
    """Train a network for each rate in the list from the same start; those of one rate as one ensemble.

    Args:
        start: the network that all begin as, or one for each setting.
        rates: of each setting.
        features, labels: the training part; labels (examples, settings) or with further columns, which all see.
        loss: from the places of a group to a function of (outputs (batch, group, ...), labels of the batch) to one
            number, a sum over the group's members.
        measure: called with (step, outputs), where outputs(x) is (points, settings, ...), every so many epochs, at the
            start and at the end.
        seed: the order of the examples follows from it.
        epochs, batch_size, every, optimizer: every is in epochs.
    """
    if not rates:
        raise bad_value("rates", rates, "a learning rate for each setting")
    starts = [start] * len(rates) if isinstance(start, nn.Module) else start
    kept: dict[int, dict[int, nn.Module]] = {}
    chosen = sorted(set(rates))
    groups = [tuple(k for k, rate in enumerate(rates) if rate == one) for one in chosen]
    order = [place for group in groups for place in group]
    back = torch.tensor([order.index(place) for place in range(len(order))], device=features.device)
    for number, (rate, places) in enumerate(zip(chosen, groups, strict=True)):

        def keep(step: int, model: nn.Module, number: int = number) -> None:
            kept.setdefault(step, {})[number] = copy.deepcopy(model)

        fit(
            Ensemble([starts[place] for place in places]).to(features.device),
            loss(places),
            features,
            labels,
            epochs=epochs,
            batch_size=batch_size,
            learning_rate=rate,
            optimizer=optimizer,
            generator=stream(seed, 3),
            evaluate=lambda model: {},
            every=every * -(-len(labels) // batch_size),
            snapshot=keep,
        )
    for step, models in sorted(kept.items()):

        def outputs(x: Tensor, models: dict[int, nn.Module] = models) -> Tensor:
            with torch.no_grad():
                return torch.cat([models[k](x) for k in range(len(groups))], 1)[:, back]

        measure(step, outputs)
