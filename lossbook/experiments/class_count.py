"""What a loss over many classes costs, in bytes and in seconds, as rows and classes grow.

The same loss and the same gradients, by several engines: with the logits held; chunk by chunk and tile by tile, never
whole; and, for a loss of the spherical family, through the matrix WᵀW, with no logits at all. One method is a whole
step of gradient descent, on a weight that is kept factored. Bytes are those that
tensors hold beyond the inputs and the gradients, counted, so they are the same on every machine. Seconds are medians of
runs in turn on this machine: only their ratios mean something elsewhere.

"paper" is the classifier of a language model.

Reference: Wijmans et al. 2025, arXiv 2411.09009; Vincent, de Brébisson & Bouthillier 2015, arXiv 1412.7091.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from lossbook import LinearLogits
from lossbook.checks import bad_value, check_choice, check_count
from lossbook.devices import device
from lossbook.experiments.run import Run, Unit, run_units, stream
from lossbook.losses import cross_entropy, one_hot_squared_error_loss, z_loss
from lossbook.metrics import cost
from lossbook.training import factor, factored_step

Loss = Callable[..., Tensor]
LOSSES: dict[str, Loss] = {
    "cross-entropy": cross_entropy,
    "Z-loss": z_loss,
    "squared error": one_hot_squared_error_loss,
}
ENGINES = ("held", "chunked", "tile", "Gram", "factored step")


@dataclass(frozen=True)
class Config:
    """Methods are a loss and an engine, at every pair of rows and classes; `repeats` runs of each are timed."""

    methods: tuple[str, ...] = (
        "cross-entropy, held",
        "cross-entropy, chunked",
        "cross-entropy, tile",
        "Z-loss, Gram",
    )
    rows: tuple[int, ...] = (64, 256, 1024)
    classes: tuple[int, ...] = (1000, 4000, 16_000)
    dimension: int = 64
    memory_budget: int = 2**20
    repeats: int = 0
    seed: int = 0


SCALES = {
    "tiny": Config(rows=(8, 32), classes=(50, 200), dimension=4, memory_budget=1000, repeats=1),
    "small": Config(),
    "paper": Config(rows=(4096,), classes=(50_257, 200_000), dimension=256, memory_budget=64 * 2**20, repeats=5),
}


def run(config: Config = SCALES["small"], progress: bool = True, folder: str | Path | None = None) -> Run:
    """Loss and gradients once by each method, for every number of rows and of classes.

    Args:
        config: one of `SCALES`, or your own.
        progress: show a bar, a step a pair of numbers.
        folder: where finished pairs are kept, and looked for.

    Returns:
        History with a row for each method, number of rows and of classes:
            setting: the method; seed; step: 0.
            loss, engine, rows, classes: what it is made of.
            bytes: held at one time, beyond inputs and gradients.
            multiplications: in matrix products.
            seconds: median of the repeats; NaN without any.

    Example:
        >>> found = run(SCALES["tiny"], progress=False).history
        >>> held = found[found.engine == "held"].set_index(["rows", "classes"]).bytes
        >>> round(float(held[32, 200] / held[8, 200]))                      # four times the rows, four times the bytes
        4
    """
    for method in config.methods:
        parse(method)
    for name, counts in (("rows", config.rows), ("classes", config.classes), ("dimension", (config.dimension,))):
        for count in counts:
            check_count(name, count)
    check_count("repeats", config.repeats, least=0)
    units = {
        f"rows={rows} classes={classes}": partial(_measure, config, rows, classes)
        for rows in config.rows
        for classes in config.classes
    }
    return run_units("class_count", config, units, progress=progress, folder=folder, device=device())


def parse(method: str) -> tuple[str, str]:
    """The loss and the engine of a method.

    Raises:
        ValueError: it is not "LOSS, ENGINE" of those there are, or the engine cannot serve the loss.
    """
    loss, _, engine = method.partition(", ")
    check_choice("methods", loss, LOSSES)
    check_choice("methods", engine, ENGINES)
    if engine == "factored step" and loss != "squared error":
        raise bad_value("methods", method, "'squared error, factored step': no other loss is written for it here")
    if engine == "Gram" and loss == "cross-entropy":
        raise bad_value("methods", method, "a loss of the spherical family for the Gram engine, such as 'Z-loss, Gram'")
    return loss, engine


def _measure(config: Config, rows: int, classes: int) -> Unit:
    generator = stream(config.seed, 1)
    features = torch.randn(rows, config.dimension, generator=generator).to(device()).requires_grad_()
    weight = torch.randn(classes, config.dimension, generator=generator).to(device()).requires_grad_()
    target = torch.randint(classes, (rows,), generator=generator).to(device())
    calls = {method: _call(config, method, features, weight, target) for method in config.methods}
    gradients = (features.numel() + weight.numel()) * features.element_size()
    spent = {method: cost(call) for method, call in calls.items()}
    seconds: dict[str, list[float]] = {method: [] for method in calls}
    for _ in range(config.repeats):
        for method, call in calls.items():  # in turn: what slows the machine for a while slows all of them
            seconds[method].append(_time(call))
    found = [
        {
            "setting": method,
            "seed": config.seed,
            "step": 0,
            "loss": parse(method)[0],
            "engine": parse(method)[1],
            "rows": rows,
            "classes": classes,
            "bytes": spent[method].peak_bytes - (0 if parse(method)[1] == "factored step" else gradients),
            "multiplications": spent[method].multiplications,
            "seconds": median(seconds[method]) if seconds[method] else np.nan,
        }
        for method in calls
    ]
    return Unit(pd.DataFrame(found))


def _call(config: Config, method: str, *inputs: Tensor) -> Callable[[], object]:
    if parse(method)[1] != "factored step":
        return partial(_once, config, method, *inputs)
    features, weight, target = inputs
    return partial(factored_step, factor(weight), features, target, _squared_error, step_size=1e-6)


def _squared_error(right: Tensor, total: Tensor, squares: Tensor) -> Tensor:
    return squares - 2 * right + 1


def _once(config: Config, method: str, features: Tensor, weight: Tensor, target: Tensor) -> tuple[Tensor, ...]:
    loss, engine = parse(method)
    if engine == "held":
        logits: Tensor | LinearLogits = features @ weight.T
    else:
        name: Any = engine.lower()
        logits = LinearLogits(features, weight, memory_budget=config.memory_budget, engine=name)
    return torch.autograd.grad(LOSSES[loss](logits, target), (features, weight))


def _time(call: Callable[[], object]) -> float:
    began = time.perf_counter()
    call()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter() - began
