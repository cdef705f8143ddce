"""Four ways to compute a softmax and torch's, timed on this machine: one core, one float32 row, short to very long.

A row that fits into a cache is read again for nothing, so the algorithm with the least arithmetic wins. A row that does
not is paid for by the walk: three-pass algorithms read it three times, online and two-pass twice. The algorithms are
those of `lossbook.kernels.softmax_compiled`, which differ in nothing else.

Timings are of one machine at one moment. The algorithms take turns, round by round, so that what else runs there slows
all of them. What counts is the 20 % quantile over rounds: on a busy machine a median may be one of sharing the core.

Seen on one core of an AMD EPYC with AVX-512 whose other core and memory were in use, 67 million logits, six runs:
two-pass 1.35 to 1.45 times as fast as the better three-pass algorithm and 1.9 to 2.1 times as fast as torch. At 16
thousand logits, in the cache: 0.7 to 0.8 and 1.6 times.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from lossbook.checks import check_count, check_number
from lossbook.experiments.run import Run, Unit, run_units, stream
from lossbook.kernels.softmax_compiled import kernels

TORCH = "torch.softmax"
THREE_PASS = ("recompute", "reload")
SAMPLE = 1 << 16  # probabilities whose error is looked at
CHUNK = 1 << 20  # logits that are held in float64 at a time


@dataclass(frozen=True)
class Config:
    """`lengths` are logits a row; a timing repeats the call until about `least_seconds` are over."""

    lengths: tuple[int, ...] = tuple(1 << power for power in range(14, 27, 3))
    rounds: int = 11
    least_seconds: float = 0.003
    spread: float = 3.0  # standard deviation of the logits
    seed: int = 0


SCALES = {
    "tiny": Config(lengths=(1 << 10, 1 << 14), rounds=2, least_seconds=0.0),
    "small": Config(),
    "paper": Config(lengths=tuple(1 << power for power in range(12, 29)), rounds=25, least_seconds=0.02),
}


def run(config: Config = SCALES["small"], progress: bool = True, folder: str | Path | None = None) -> Run:
    """Time every algorithm at every length.

    Args:
        config: one of `SCALES`, or your own.
        progress: show a bar, a step for each length.
        folder: where finished lengths are kept, and looked for.

    Returns:
        History with a row for each setting (the algorithm), step (the length) and round:
            nanoseconds: a logit.
            error: the largest error among 65,536 probabilities, evenly spread over the row, relative to each; the same
                in every round.

    Raises:
        ValueError: no length, or a number out of range.

    Example:
        >>> found = run(SCALES["tiny"], progress=False)
        >>> sorted(found.history.setting.unique())
        ['online', 'recompute', 'reload', 'torch.softmax', 'two-pass']

    Reference: Dukhan & Ablavatski 2020, arXiv 2001.04438.
    """
    for length in config.lengths or (0,):
        check_count("lengths", length)
    check_count("rounds", config.rounds)
    check_number("least_seconds", config.least_seconds, at_least=0)
    check_number("spread", config.spread, at_least=0)
    units = {f"{length} logits": partial(_unit, config, length) for length in config.lengths}
    return run_units("softmax_speed", config, units, progress=progress, folder=folder)


def summary(run: Run) -> pd.DataFrame:
    """Nanoseconds a logit, the 20 % quantile over rounds: a row for each length, a column for each algorithm."""
    by_length = run.history.groupby(["step", "setting"], sort=False).nanoseconds
    return by_length.quantile(0.2).unstack()


def ratios(run: Run) -> pd.DataFrame:
    """How many times faster two-pass is than the better three-pass algorithm, and than torch, at each length."""
    times = summary(run)
    others = pd.DataFrame({"three-pass": times[list(THREE_PASS)].min(axis=1), TORCH: times[TORCH]})
    return others.div(times["two-pass"], axis=0)


def _unit(config: Config, length: int) -> Unit:
    x = config.spread * torch.randn(length, generator=stream(config.seed, 0))
    y = torch.empty_like(x)
    calls: dict[str, Callable[[], object]] = {
        name: partial(function, x.numpy(), y.numpy()) for name, function in kernels().items()
    } | {TORCH: partial(torch.softmax, x, -1, out=y)}
    log_sum = _logsumexp(x)
    repeats, errors = {}, {}
    for name, call in calls.items():
        call()  # compiles it, and fetches the memory
        errors[name] = _error(x, y, log_sum)
        repeats[name] = max(1, round(config.least_seconds / min(_seconds(call, 1) for _ in range(3))))
    rows: list[Mapping[str, object]] = [
        {
            "setting": name,
            "step": length,
            "round": turn,
            "nanoseconds": 1e9 * _seconds(call, repeats[name]) / length,
            "error": errors[name],
        }
        for turn in range(config.rounds)
        for name, call in calls.items()
    ]
    return Unit(pd.DataFrame(rows))


def _seconds(call: Callable[[], object], repeats: int) -> float:
    began = time.perf_counter()
    for _ in range(repeats):
        call()
    return (time.perf_counter() - began) / repeats


def _logsumexp(x: torch.Tensor) -> float:
    maximum = float(x.max())
    chunks = (x[start : start + CHUNK].double() - maximum for start in range(0, len(x), CHUNK))
    return maximum + float(np.log(sum(float(chunk.exp().sum()) for chunk in chunks)))


def _error(x: torch.Tensor, y: torch.Tensor, log_sum: float) -> float:
    every = max(1, len(x) // SAMPLE)
    truth = (x[::every].double() - log_sum).exp()
    return float((y[::every].double() / truth - 1).abs().max())
