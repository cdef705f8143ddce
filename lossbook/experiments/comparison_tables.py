"""What a comparison found: means and differences with their intervals, and what every loss was given."""

from collections.abc import Sequence

import pandas as pd

from lossbook.checks import check_choice
from lossbook.experiments.headlines import interval
from lossbook.experiments.run import Run

KEYS = ("setting", "seed", "step", "stage", "learning_rate")


def table(run: Run, metrics: Sequence[str] | None = None) -> pd.DataFrame:
    """What each loss reached on the test part: a row for each loss and metric.

    Args:
        run: of `compare`.
        metrics: names; None: all of them.

    Returns:
        `setting`, `metric`, `mean`, `low`, `high` (Student's 95 % interval over seeds), `seeds`, `learning_rate`, and
        `edge`: whether the rate chosen is the least or the largest of the grid, so that a wider one might serve better.
    """
    last, names = _tests(run, metrics)
    rates = sorted(run.config.learning_rates)
    rows = []
    for setting, own in last.groupby("setting", sort=False):
        rate = float(own.learning_rate.iloc[0])
        edge = len(rates) > 1 and rate in (rates[0], rates[-1])
        for name in names:
            mean, low, high = interval(own[name])
            rows.append((setting, name, mean, low, high, len(own), rate, edge))
    return pd.DataFrame(rows, columns=["setting", "metric", "mean", "low", "high", "seeds", "learning_rate", "edge"])


def differences(run: Run, baseline: str, metrics: Sequence[str] | None = None) -> pd.DataFrame:
    """What each loss reached beyond a baseline, seed by seed: what the seeds share falls out of the interval.

    Args:
        run: of `compare`.
        baseline: the name of one of its losses.
        metrics: names; None: all of them.

    Returns:
        `setting`, `metric`, `mean`, `low`, `high` (of loss less baseline, 95 %), `seeds`.

    Raises:
        ValueError: no such loss.
    """
    last, names = _tests(run, metrics)
    check_choice("baseline", baseline, list(dict.fromkeys(last.setting)))
    held = last[last.setting == baseline].set_index("seed")
    rows = []
    for setting, own in last.groupby("setting", sort=False):
        if setting != baseline:
            apart = own.set_index("seed")[list(names)] - held[list(names)]
            rows += [(setting, name, *interval(apart[name]), len(apart)) for name in names]
    return pd.DataFrame(rows, columns=["setting", "metric", "mean", "low", "high", "seeds"])


def budget(run: Run) -> str:
    """What every loss was given, in a sentence."""
    given = run.config
    rates = ", ".join(f"{rate:g}" for rate in given.learning_rates)
    steps = int(run.history.step.max())
    layers = " and ".join(map(str, given.hidden)) or "no"
    tuned = f"chosen from {rates} by {given.tune_by} on {given.validation:.0%} of the training data, "
    tuned += f"{_counted(given.tuning_seeds, 'other seed')}"
    return (
        f"{len(given.losses)} losses, {_counted(given.seeds, 'seed')}; {given.epochs} epochs of batches of "
        f"{given.batch_size} ({steps} steps of {given.optimizer}), {layers} hidden units; learning rate "
        f"{tuned if len(given.learning_rates) > 1 else rates}."
    )


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}" + "s" * (number != 1)


def _tests(run: Run, metrics: Sequence[str] | None) -> tuple[pd.DataFrame, tuple[str, ...]]:
    rows = run.history[run.history.stage == "test"]
    known = [name for name in rows if name not in KEYS]
    for name in metrics or ():
        check_choice("metrics", name, known)
    return rows[rows.step == rows.step.max()], tuple(known if metrics is None else metrics)
