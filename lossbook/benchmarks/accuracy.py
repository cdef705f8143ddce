"""Held to float64 before it is timed: how far a method's loss and gradients are from the truth, and may be.

The truth is the formula in float64 on the same tensors. Rounding is unavoidable, and how much of it depends on the
scores, so the measure is PyTorch's eager formula in the method's own number format: a method whose gradient is more
than `TIMES_EAGER` times as far from the truth does other work, and is refused.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from lossbook.benchmarks.configurations import Configuration, Inputs
from lossbook.benchmarks.formulas import LOSSES

TIMES_EAGER = 4.0
# Added to what eager has: an error of eager may be small by luck. Some roundings of one number in each format.
FLOOR = {torch.float64: 1e-11, torch.float32: 1e-5, torch.float16: 4e-3, torch.bfloat16: 2e-2}
APPROXIMATE = 0.2  # relative gradient error allowed to a method that skips gradients by design
CHUNK_BYTES = 2**29  # of float64 logits at a time


class Refused(Exception):
    """A method that computes something else."""


class Truth(NamedTuple):
    """The loss and its gradients in float64."""

    loss: Tensor
    gradients: tuple[Tensor, ...]


class Errors(NamedTuple):
    """How far from the truth: the loss, and each gradient by its root mean square and by its largest element."""

    loss: float
    rms: tuple[float, ...]  # ‖g − g₀‖/‖g₀‖, for each input
    largest: tuple[float, ...]  # max|g − g₀|/max|g₀|


def truth(configuration: Configuration, given: Inputs, loss: str) -> Truth:
    """The loss of a configuration and its gradients by the formula in float64, some rows at a time."""
    formula = LOSSES[loss].formula
    wide = tuple(tensor.detach().double().requires_grad_() for tensor in given.tensors)
    if configuration.kind == "pairs":
        value = formula(*wide)
        return Truth(value.detach(), _gradients(value, wide))
    rows, total = len(given.target), torch.zeros((), dtype=torch.float64, device=given.target.device)
    sums = [torch.zeros_like(tensor) for tensor in wide]
    size = max(1, CHUNK_BYTES // (8 * configuration.classes))
    for start in range(0, rows, size):
        some = slice(start, start + size)
        first = wide[0].detach()[some].requires_grad_()
        logits = first if configuration.kind == "rows" else first @ wide[1].T
        value = formula(logits, given.target[some]).sum() / rows
        parts = (first, *wide[1:])
        for k, part in enumerate(_gradients(value, parts)):
            if k == 0:
                sums[0][some] = part
            else:
                sums[k] += part
        total += value.detach()
    return Truth(total, tuple(sums))


def _gradients(value: Tensor, tensors: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    found = torch.autograd.grad(value, tensors, allow_unused=True)
    return tuple(torch.zeros_like(t) if g is None else g for t, g in zip(tensors, found, strict=True))


def errors(function: Callable[..., Tensor], given: Inputs, true: Truth) -> Errors:
    """Run a method once without and once with gradients, and hold it to the truth."""
    with torch.no_grad():
        alone = function(*(tensor.detach().clone() for tensor in given.tensors))
    value = function(*given.tensors)
    for got in (alone, value):
        if got.ndim != 0:
            raise Refused(f"gave shape {tuple(got.shape)}, expected one number")
    found = _gradients(value, given.tensors)
    pairs = zip(found, true.gradients, strict=True)
    rms, largest = zip(*(_distance(own, right) for own, right in pairs), strict=True)
    size = float(true.loss.abs())
    off = [_relative(float((got.detach().double() - true.loss).abs()), size) for got in (alone, value)]
    return Errors(max(off, key=lambda error: (math.isnan(error), error)), rms, largest)


def _distance(found: Tensor, true: Tensor) -> tuple[float, float]:
    if found.shape != true.shape:
        raise Refused(f"gave a gradient of shape {tuple(found.shape)}, expected {tuple(true.shape)}")
    squares, largest = 0.0, 0.0
    blocks = (found, true) if found.ndim == 0 else (found.chunk(16), true.chunk(16))  # float64 copies, one at a time
    for part, right in zip(*((block,) if isinstance(block, Tensor) else block for block in blocks), strict=True):
        apart = part.double() - right
        squares += float(apart.square().sum())
        largest = max(largest, float(apart.abs().max()))
        if not torch.isfinite(part).all():
            squares = largest = float("nan")
            break
    norm = float(torch.linalg.vector_norm(true))
    return _relative(squares**0.5, norm), _relative(largest, float(true.abs().max()))


def _relative(apart: float, size: float) -> float:
    return apart / size if size > 0 else apart


def refuse_if_other(found: Errors, eager: Errors | None, dtype: torch.dtype, *, approximate: bool = False) -> None:
    """Refuse a method whose loss or gradient is farther from the truth than rounding explains.

    Args:
        found: the method's errors.
        eager: those of the eager formula in the same number format; None where that is the one asked.
        dtype: of the inputs.
        approximate: the method skips small gradients by design; its gradient may then be off by `APPROXIMATE`.

    Raises:
        Refused: saying what is off, and by how much.
    """
    base = eager or Errors(0.0, (0.0,) * len(found.rms), found.largest)
    # The eager formula itself has nothing to stand beside: its gradient may lose as much as half its digits.
    floor = FLOOR[dtype] if eager else 8 * FLOOR[dtype]
    checks = [("loss", found.loss, base.loss, False)]
    checks += [
        (f"gradient {k + 1}", a, b, approximate) for k, (a, b) in enumerate(zip(found.rms, base.rms, strict=True))
    ]
    for name, error, of_eager, loose in checks:
        limit = max(TIMES_EAGER * of_eager + floor, APPROXIMATE if loose else 0.0)
        if not error <= limit:
            raise Refused(f"{name} off by {error:.1e}, allowed {limit:.1e} (eager: {of_eager:.1e})")
