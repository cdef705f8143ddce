"""Training by shuffled mini-batches, the short way: features, labels, epochs."""

from collections.abc import Callable
from typing import Any

import pandas as pd
import torch
from torch import Tensor, nn

from lossbook.checks import bad_value, check_choice, check_count, check_generator, check_number
from lossbook.training.batches import Shuffled
from lossbook.training.loop import train

OPTIMIZERS: dict[str, Callable[..., torch.optim.Optimizer]] = {"adam": torch.optim.Adam, "sgd": torch.optim.SGD}


def fit(
    model: nn.Module,
    loss: Callable[[Any, Tensor], Tensor],
    features: Tensor,
    labels: Tensor,
    *,
    epochs: int,
    batch_size: int,
    learning_rate: float,
    optimizer: str = "adam",
    generator: torch.Generator,
    forward: Callable[[nn.Module, Tensor, Tensor], Any] | None = None,
    evaluate: Callable[[nn.Module], dict[str, float]] | None = None,
    every: int | None = None,
    snapshot: Callable[[int, nn.Module], None] | None = None,
    rows: list[dict[str, float]] | None = None,
    progress: bool = False,
) -> pd.DataFrame:
    """Train a model in place by mini-batches, and measure it as it goes.

    Args:
        model: anything that turns features into what the loss takes.
        loss: (model(features), labels) to a scalar.
        features, labels: the training part, first axis the examples.
        epochs: passes over the data, at least 0.
        batch_size: examples a step; the last batch of an epoch holds what is left.
        learning_rate: of the optimiser.
        optimizer: "adam" or "sgd" (without momentum).
        generator: source of the order of the examples, drawn afresh each epoch.
        forward: (model, features, labels) to what the loss takes, where that is not model(features).
        evaluate: model to named numbers, called without gradients; by default the loss of the whole training part.
        every: steps from one measurement to the next; None: once an epoch. Start and end are always measured.
        snapshot: called with (step, model) at each measurement, for what a row does not hold.
        rows: a list to append each row to as soon as it is there, so that an interruption leaves what was computed.
        progress: show a bar.

    Returns:
        A row for each measurement: `step` (0 is before training) and the named numbers.

    Raises:
        TypeError, ValueError: naming the argument, what it got and what was expected.

    Example:
        >>> from lossbook.losses import squared_error
        >>> from lossbook.models import linear
        >>> x = torch.linspace(-1, 1, 20)[:, None]
        >>> model = linear(1, 1, generator=torch.Generator().manual_seed(0))
        >>> options = {"epochs": 100, "batch_size": 5, "learning_rate": 0.1, "optimizer": "sgd"}
        >>> history = fit(model, squared_error, x, 3 * x, **options, generator=torch.Generator().manual_seed(1))
        >>> round(model.weight.item(), 3), len(history)
        (3.0, 101)
    """
    check_choice("optimizer", optimizer, OPTIMIZERS)
    check_number("learning_rate", learning_rate, above=0)
    for name, value, least in (("epochs", epochs, 0), ("batch_size", batch_size, 1), ("every", every, 1)):
        if value is not None or name != "every":
            check_count(name, value, least=least)
    check_generator(generator)
    count = len(features)
    if count == 0 or len(labels) != count:
        raise bad_value(
            "labels", labels, f"one label for each of the {count} rows of features, of which there is at least one"
        )

    forward = forward or _model_alone
    steps_an_epoch = -(-count // batch_size)
    order = Shuffled(count, batch_size, generator)

    def objective(model: nn.Module, batch: Tensor) -> Tensor:
        inputs, target = features[batch], labels[batch]
        return loss(forward(model, inputs, target), target)

    def measure(model: nn.Module) -> dict[str, float]:
        return evaluate(model) if evaluate else {"loss": float(loss(forward(model, features, labels), labels))}

    return train(
        model,
        objective,
        lambda: order().to(features.device),
        OPTIMIZERS[optimizer](model.parameters(), lr=learning_rate),
        steps=epochs * steps_an_epoch,
        measure=measure,
        at=every or steps_an_epoch,
        watch=snapshot,
        rows=rows,
        progress=progress,
    ).history


def _model_alone(model: nn.Module, features: Tensor, labels: Tensor) -> Tensor:
    return model(features)
