"""What measures of calibration measure: bins and samples against a truth that is known, and seven networks in order.

Known truth: a forecast f uniform on [0, 1], an outcome that is 1 with probability f^a. With a = 1 the forecaster is
calibrated, and whatever a measure finds is its own noise; otherwise the mean error is |1/(a + 1) − 1/2|, of one sign.

Networks: seven losses make seven predictors of small pictures of garments, with the right labels, and with a part of
the labels another class's, in training and in testing. No claim is made about the losses: they only make predictors
that differ. As they come from training they differ so much that every measure orders them alike. With a temperature
each, fitted on pictures held out, those with the right labels are hard to tell apart, and measures can disagree: with
each other, and on two disjoint halves of what is unseen.

"paper" is the same with full-size pictures and more of them; the paper itself measures photographs of ImageNet.
"""

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from torch import Tensor

from lossbook.checks import check_count
from lossbook.devices import device
from lossbook.experiments._seven_losses import trained_networks
from lossbook.experiments.headlines import Headline
from lossbook.experiments.run import Run, Snapshot, Unit, run_units, seeds_of, stream
from lossbook.metrics import (
    confidence_and_correctness,
    expected_calibration_error,
    interval_calibration_error,
    laplace_kernel_calibration_error,
    smooth_ece,
)
from lossbook.training.calibration import fit_temperature

CALIBRATED = 1.0
SHOWN = ("cross-entropy", "focal", "generalised")  # their predictions are kept, for the explorer


@dataclass(frozen=True)
class Config:
    """Known truth: `exponents` a at `size` forecasts, and a = 1 at each of `sizes`. Networks: how they are trained.

    `train` of the pictures teach, the others test; `shrink` is by how much each side of a picture shrinks; `noises`
    are shares of labels that are another class's; `tuning` of the others choose the temperatures, and are not measured;
    `kept` predictions of three networks of the first seed are snapshots.
    """

    exponents: tuple[float, ...] = (0.5, 0.7, 0.85, 1.0, 1.2, 1.5, 2.0)
    size: int = 10_000
    sizes: tuple[int, ...] = (100, 300, 1_000, 3_000, 10_000, 100_000)
    bins: tuple[int, ...] = (5, 10, 15, 30, 100)
    seeds: int = 5
    first_seed: int = 0
    train: int = 2_000
    tuning: int = 1_000
    test: int = 8_000
    shrink: int = 2
    noises: tuple[float, ...] = (0.0, 0.2)
    hidden: int = 64
    epochs: int = 40
    batch_size: int = 100
    learning_rate: float = 2e-3
    kept: int = 1_000


SCALES = {
    "tiny": Config(
        exponents=(0.5, 1.0, 2.0),
        size=2_000,
        sizes=(100, 2_000),
        seeds=1,
        train=200,
        tuning=200,
        test=1_000,
        epochs=10,
        kept=500,
    ),
    "small": Config(),
    "paper": Config(seeds=10, train=30_000, tuning=5_000, test=35_000, shrink=1, hidden=512, epochs=100),
}


def run(config: Config = SCALES["small"], progress: bool = True, folder: str | Path | None = None) -> Run:
    """Measure known forecasters and seven networks with every measure.

    Args:
        config: one of `SCALES`, or your own.
        progress: show a bar, a step a seed.
        folder: where finished seeds are kept, and looked for.

    Returns:
        History with a row for each forecaster, number of predictions and seed:
            part: "known", "networks", or "tempered" for the networks with their temperatures; setting: "a=1", or the
                loss; noise; step: the number of predictions; half: of the test part, 0 or 1, or −1 for all of it.
            ece B, mass B: binned ECE with B bins of equal width, of equal mass; smooth_ece, interval, laplace.
            true: the mean error that is known (NaN of networks); accuracy, confidence, temperature: of networks.
        Snapshots of the first seed: `confidence` and `correct` of the networks of `SHOWN`, without and with their
        temperature.

    Example:
        >>> found = run(SCALES["tiny"], progress=False)
        >>> sorted(found.history.part.unique()), len(found.snapshots)
        (['known', 'networks', 'tempered'], 12)

    Reference: Błasiok & Nakkiran 2024, arXiv 2309.12236.
    """
    check_count("train", config.train)
    units = {f"seed={seed}": partial(_seed, config, seed) for seed in seeds_of(config)}
    return run_units("calibration_measures", config, units, progress=progress, folder=folder, device=device())


def _seed(config: Config, seed: int) -> Unit:
    networks, snapshots = _networks(config, seed)
    rows = pd.DataFrame([*_known(config, seed), *networks])
    return Unit(rows, snapshots)


def _known(config: Config, seed: int) -> list[dict[str, Any]]:
    wanted = dict.fromkeys([(a, config.size) for a in config.exponents] + [(CALIBRATED, n) for n in config.sizes])
    generator, rows = stream(seed, 1), []
    for a, n in wanted:
        forecast, chance = torch.rand(2, n, dtype=torch.float64, generator=generator)
        found = _measures(config, forecast, (chance < forecast**a).double())
        rows.append(
            {"part": "known", "setting": f"a={a:g}", "a": a, "seed": seed, "step": n, "half": -1}
            | {"true": abs(1 / (a + 1) - 0.5)}
            | found
        )
    return rows


def _networks(config: Config, seed: int) -> tuple[list[dict[str, Any]], tuple[Snapshot, ...]]:
    """Every network as it comes from training, and with its temperature."""
    rows, snapshots = [], []
    for network in trained_networks(config, seed):
        fitted, (logits, truth) = fit_temperature(*network.tuning), network.test
        for part, temperature in (("networks", 1.0), ("tempered", fitted)):
            found = confidence_and_correctness(logits / temperature, truth)
            about = {"part": part, "setting": network.name, "noise": network.noise, "seed": seed}
            rows += [about | {"temperature": temperature} | row for row in _parts(config, *found)]
            if seed == config.first_seed and network.name in SHOWN:
                sure, right = (values[: config.kept].cpu() for values in found)
                arrays = {"confidence": sure.numpy(), "correct": right.bool().numpy()}
                snapshots.append(Snapshot(f"{network.name}, noise={network.noise:g}, {part}", config.epochs, arrays))
    return rows, tuple(snapshots)


def _parts(config: Config, confidence: Tensor, correct: Tensor) -> list[dict[str, Any]]:
    """All predictions, and each half of them."""
    parts = {-1: (confidence, correct), **dict(enumerate(zip(confidence.chunk(2), correct.chunk(2), strict=True)))}
    return [
        {"step": len(sure), "half": half, "confidence": float(sure.mean()), "accuracy": float(right.mean())}
        | _measures(config, sure, right)
        for half, (sure, right) in parts.items()
    ]


def _measures(config: Config, confidence: Tensor, correct: Tensor) -> dict[str, float]:
    found = {f"ece {b}": expected_calibration_error(confidence, correct, bins=b) for b in config.bins}
    found |= {
        f"mass {b}": expected_calibration_error(confidence, correct, bins=b, equal_mass=True) for b in config.bins
    }
    return found | {
        "smooth_ece": smooth_ece(confidence, correct),
        "interval": interval_calibration_error(confidence, correct),
        "laplace": laplace_kernel_calibration_error(confidence, correct),
    }


def order_agreement(run: Run, measure: str, part: str = "tempered") -> pd.Series:
    """Kendall's correlation between the orders of the networks by a measure on one half and on the other, by seed.

    Of the networks taught with the fewest wrong labels.
    """
    rows = _least_noisy(run, part)
    rows = rows[rows["half"] >= 0]
    tables = {seed: some.pivot(index="setting", columns="half", values=measure) for seed, some in rows.groupby("seed")}
    return pd.Series({seed: table[0].corr(table[1], method="kendall") for seed, table in tables.items()})


def pairs_turned(run: Run, first: str, second: str, part: str = "tempered") -> pd.Series:
    """How many pairs of networks two measures put in opposite orders, on all of the test part, by seed."""
    rows = _least_noisy(run, part)
    rows = rows[rows["half"] == -1]
    found = {}
    for seed, some in rows.groupby("seed"):
        one, other = (some[name].to_numpy() for name in (first, second))
        opposite = (one[:, None] - one) * (other[:, None] - other) < 0
        found[seed] = opposite.sum() // 2
    return pd.Series(found)


def _least_noisy(run: Run, part: str) -> pd.DataFrame:
    return run.history[(run.history["part"] == part) & (run.history["noise"] == min(run.config.noises))]


def _known_rows(run: Run) -> pd.DataFrame:
    rows = run.history[run.history["part"] == "known"]
    return rows.set_index("seed")


def _at(run: Run, measure: str, n: int) -> pd.Series:
    rows = _known_rows(run)
    return rows[(rows["a"] == CALIBRATED) & (rows["step"] == n)][measure]


def _rises(run: Run) -> pd.Series:
    """The least step of smooth ECE between neighbouring exponents, away from a = 1."""
    rows = _known_rows(run)
    table = rows[rows["step"] == run.config.size].pivot_table(index="seed", columns="a", values="smooth_ece")
    exponents = list(table)
    inner = exponents.index(CALIBRATED)
    steps = table.diff(axis=1).iloc[:, 1:]
    return pd.concat([-steps.iloc[:, :inner], steps.iloc[:, inner:]], axis=1).min(axis=1)


def _mean_agreement(run: Run) -> pd.Series:
    return sum(order_agreement(run, f"ece {b}") for b in run.config.bins) / len(run.config.bins)


HEADLINES = (
    Headline(
        "smooth_ece",
        "of a calibrated forecaster, ECE of 10,000 predictions at least doubles from 10 bins to 100",
        lambda run: 100 * (_at(run, "ece 100", 10_000) - 2 * _at(run, "ece 10", 10_000)),
        "points of ECE",
        "binned ECE depends on the bins, as its bias does",
    ),
    Headline(
        "smooth_ece",
        "of a calibrated forecaster, smECE at least halves from 100 predictions to 10,000",
        lambda run: 100 * (_at(run, "smooth_ece", 100) / 2 - _at(run, "smooth_ece", 10_000)),
        "points of smECE",
        "consistent: falls with n, at the rate n^(−1/3) or better",
    ),
    Headline(
        "smooth_ece",
        "smECE grows with |a − 1| on both sides",
        lambda run: 100 * _rises(run),
        "points of smECE",
        "within constant factors of the distance from calibration",
    ),
    Headline(
        "smooth_ece",
        "5 bins and 100 bins put some two of seven tempered networks in opposite orders",
        lambda run: pairs_turned(run, "ece 5", "ece 100").astype(float),
        "pairs of 21",
        "the bins decide which network looks better",
    ),
    Headline(
        "smooth_ece",
        "on two halves of the test part, smECE orders the tempered networks more alike than ECE does on average",
        lambda run: order_agreement(run, "smooth_ece") - _mean_agreement(run),
        "Kendall's τ",
        "not tried; would follow if bins were most of the noise",
        "tried on networks with and without temperatures: what parts the two halves is the sample, not the bins",
    ),
)
