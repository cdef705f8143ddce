"""What modular addition and sparse parity share: training past zero error on full batches, and what is measured."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from lossbook.checks import bad_value, check_choice, check_count, check_number
from lossbook.datasets import Dataset
from lossbook.devices import device
from lossbook.experiments.run import Run, Snapshot, Unit, seeds_of, stream
from lossbook.experiments.softmax_precision import row_losses
from lossbook.losses import stablemax_cross_entropy
from lossbook.metrics import collapsed, weight_alignment, zero_loss, zero_share
from lossbook.training import PerpGrad, train

SHOWN = (0, 1, 2)  # training examples whose logits are kept; beside them, the first held-out one


@dataclass(frozen=True)
class Method:
    """A loss, the float format that its softmax is computed in, and what is done to gradients and weights.

    `own_adam` is AdamW with PyTorch's second beta and epsilon in place of the config's. The released code comes down to
    that with ⟂Grad, for it makes the optimiser anew and does not hand them on.
    """

    stablemax: bool = False
    softmax: torch.dtype = torch.float32
    perpendicular: bool = False
    own_adam: bool = False
    decay: bool = False
    network: str = "multilayer"


METHODS: dict[str, Method] = {
    "float16": Method(softmax=torch.float16),
    "float32": Method(),
    "float64": Method(softmax=torch.float64),
    "stablemax": Method(stablemax=True, softmax=torch.float64),
    "perpgrad": Method(perpendicular=True, own_adam=True),
    "perpgrad_as_asked": Method(perpendicular=True),
    "weight_decay": Method(decay=True),
    "transformer": Method(network="transformer"),
    "transformer_perpgrad": Method(network="transformer", perpendicular=True, own_adam=True),
    "transformer_weight_decay": Method(network="transformer", decay=True),
}
"""All but stablemax are cross-entropy. Weights, activations and steps are float32; the softmax is in its own format."""


@dataclass(frozen=True)
class Settings:
    """What both have in their configs.

    `methods` are names of `METHODS`. `steps` is one number, or one for each method. `second_beta` and `epsilon` are
    Adam's, but where a method has its own; `weight_decay` is that of the methods which have one. A method
    ends early once the test accuracy of every seed is at least `enough`; above 1, never. Measurements are `every` so
    many steps, after twenty of them five times as many; logits of a few examples of the first seed are kept
    `keep_every` so many, after twenty times ten times as many.
    """

    methods: tuple[str, ...] = ("float32",)
    steps: tuple[int, ...] = (1000,)
    seeds: int = 5
    first_seed: int = 0
    hidden: int = 200
    learning_rate: float = 0.01
    second_beta: float = 0.99
    epsilon: float = 1e-25
    weight_decay: float = 1.5
    enough: float = 1.01
    every: int = 10
    keep_every: int = 10


def check_settings(config: Settings, methods: Sequence[str]) -> dict[str, int]:
    """Refuse what cannot be trained; return the steps of each method."""
    if not config.methods:
        raise bad_value("methods", config.methods, "at least one")
    for name in config.methods:
        check_choice("methods", name, methods)
    if len(config.steps) not in (1, len(config.methods)):
        raise bad_value("steps", config.steps, f"one number, or one for each of the {len(config.methods)} methods")
    for count in config.steps:
        check_count("steps", count)
    for name in ("hidden", "every", "keep_every"):
        check_count(name, getattr(config, name))
    for name in ("learning_rate", "epsilon"):
        check_number(name, getattr(config, name), above=0)
    check_number("second_beta", config.second_beta, at_least=0, below=1)
    for name in ("weight_decay", "enough"):
        check_number(name, getattr(config, name), at_least=0)
    steps = config.steps * len(config.methods) if len(config.steps) == 1 else config.steps
    return dict(zip(config.methods, steps, strict=True))


def row_loss_of(
    method: Method, logits: Float[Tensor, "batch members classes"], target: Int[Tensor, "batch members"]
) -> Float[Tensor, "batch members"]:
    """The loss of each example and member, every operation of a softmax in the method's format."""
    logits = logits.to(method.softmax)
    if method.stablemax:
        return stablemax_cross_entropy(logits, target, reduction="none")
    return row_losses(logits.flatten(0, 1), target.flatten(), "log-softmax").view(target.shape)


def train_method(
    config: Settings,
    name: str,
    steps: int,
    model: nn.Module,
    data: Sequence[Dataset],
    folder: Path | None,
) -> Unit:
    """Train one network a seed by a method, all seeds as one, and keep what the chapter looks at.

    `model(features, own=True)` is (batch, members, classes); its parameters have the members first.
    """
    method, seeds = METHODS[name], seeds_of(config)
    features, held_out = (_stacked(data, f"{part}_features", 0) for part in ("train", "test"))
    target, held_out_target = (_stacked(data, f"{part}_labels", 1) for part in ("train", "test"))
    model = model.to(device())
    weights = list(model.parameters())
    output = max(k for k, weight in enumerate(weights) if weight.ndim == 3)  # the last matrix: (members, rows, columns)

    def objective(model: nn.Module, batch: tuple[Tensor, Tensor]) -> Tensor:
        rows = row_loss_of(method, model(batch[0], own=True), batch[1])
        return rows.float().mean(0).sum()  # a mean for each member: they share no weights

    def measure(model: nn.Module) -> dict[str, Tensor]:
        logits = model(features, own=True)
        rows = row_loss_of(method, logits, target)
        return {
            "train_accuracy": _accuracy(logits, target),
            "test_accuracy": _accuracy(model(held_out, own=True), held_out_target),
            "loss": rows.double().mean(0),
            "collapsed": _share(collapsed(logits, method.softmax)),
            "collapsed_float32": _share(collapsed(logits, torch.float32)),
            "zero_loss": _share(zero_loss(logits, target, method.softmax)),
            "weight_norm": sum(w.double().flatten(1).square().sum(1) for w in weights).sqrt(),  # type: ignore[union-attr]
        }

    def probe(model: nn.Module) -> dict[str, Tensor]:
        gradients = [weight.grad for weight in weights if weight.grad is not None]
        alignment = weight_alignment(weights, gradients, member_axes=1)
        return {
            "alignment": alignment.whole,
            "alignment_first": alignment.tensors[0],
            "alignment_output": alignment.tensors[output],
            "zero_gradients": zero_share(gradients, member_axes=1),
        }

    def snapshot(model: nn.Module) -> dict[str, Tensor]:
        """Logits and classes of a few examples of the first seed."""
        shown = torch.cat([features[:, : len(SHOWN)], held_out[:, :1]], 1)
        return {
            "logits": model(shown, own=True)[:, 0],
            "target": torch.cat([target[: len(SHOWN), 0], held_out_target[:1, 0]]),
        }

    trained = train(
        model,
        objective,
        lambda: (features, target),
        _optimizer(config, method, weights),
        steps=steps,
        measure=measure,
        probe=probe,
        at=_dense_then_sparse(steps, config.every, 5),
        snapshot=snapshot,
        snapshot_at=_dense_then_sparse(steps, config.keep_every, 10),
        stop=lambda numbers: bool((numbers["test_accuracy"] >= config.enough).all()),
        seeds=list(seeds),
        noise=stream(seeds[0], 3),
        checkpoint=folder / "training" if folder else None,
    )
    rows = trained.history
    rows.insert(0, "setting", name)
    return Unit(rows, tuple(Snapshot(name, step, arrays) for step, arrays in trained.snapshots))


def _dense_then_sparse(steps: int, every: int, rarer: int) -> list[int]:
    """Every so many steps up to twenty times as many, and so many times rarer from there on."""
    return [step for step in range(0, steps + 1, every) if step <= 20 * every or step % (rarer * every) == 0]


def _optimizer(config: Settings, method: Method, weights: Sequence[Tensor]) -> torch.optim.Optimizer:
    decay = config.weight_decay if method.decay else 0.0
    options: dict[str, Any] = {"lr": config.learning_rate, "weight_decay": decay}
    if not method.own_adam:
        options |= {"betas": (0.9, config.second_beta), "eps": config.epsilon}
    adam = torch.optim.AdamW(weights, **options)
    return PerpGrad(adam, member_axes=1) if method.perpendicular else adam


def _stacked(data: Sequence[Dataset], part: str, axis: int) -> Tensor:
    return torch.stack([getattr(one, part) for one in data], axis).to(device())


def _accuracy(logits: Tensor, target: Tensor) -> Tensor:
    return _share(logits.argmax(-1) == target)


def _share(which: Tensor) -> Tensor:
    return which.double().mean(0)


def first_step(run: Run, setting: str, column: str, at_least: float) -> pd.Series:
    """For each seed, the first measured step at which a column reached a value; NaN where it never did."""
    rows = run.history[run.history["setting"] == setting]
    reached = rows[rows[column] >= at_least].groupby("seed")["step"].min()
    return reached.reindex(sorted(rows["seed"].unique())).astype(float)
