"""From lazy to rich: a polynomial regression that generalises at once, late, or never, by the turn of one knob.

Two layers of which only the first learns, f(x) = α(w̄·x + (ε/2) xᵀMx), against a pure square y = (β·x)²/2. At the start
the kernel is that of nearly linear units, so y lies where it hardly reaches. α divides how far the weights have to go.

Settled from the authors' notebooks, which others republished: x ~ N(0, I/D), w ~ N(0, I), no second layer, the output
less that at the start, mean squared error over α², step proportional to N. Settled here: |β|² = D exactly, so that all
seeds have targets of one size; the step, `rate`·N·D for half the mean square (theirs is rate = 1/D); D, N and P small
enough for a notebook ("paper" has theirs). The test error is that of infinitely many points, which has a closed form.

What must hold, fixed after a pilot on seeds 100 to 104. A step is the first one measured with a training error below
0.05, or a test error below 0.2, both over the variance of y; the delay is the second over the first.

    120 points: the delay grows with each doubling of α from 0.5 to 8                            4 of 5
    at α = 0.5 it is at most 2, at α = 8 at least 4: large α groks and small α does not           3 of 5, 3 of 5
    the weights move less with each doubling of α                                                 5 of 5
    the kernel's alignment with y: at α = 0.5 three times that of the start or more               4 of 5
                                   at α = 8 1.4 times or less                                     3 of 5
    it rises between the two steps, at every α                                                    5 of 5
    the kernel of the start, trained for ever, leaves a test error of 0.4 or more                 4 of 5
    α = 8 ends below 0.2                                                                          3 of 5
    80 points: at α = 8 the test error never falls below 0.2                                      5 of 5
    300 points, α = 8: there is no delay, at most 1.2                                             5 of 5
    a start half along β, α = 8: the delay is at most 1.5                                         5 of 5

The counts are of seeds 0 to 4 at the small scale. What fails are absolute numbers, for some 120 points are harder than
others for every α. Within a seed, and added after that run: the delay at α = 8 is at least 1.5 times that at 0.5, and
α = 8 ends at 0.8 or less of the first kernel's error: 5 of 5 each, and 5 of 5 on seeds 200 to 204, unseen till then.
"""

import math
from dataclasses import dataclass
from functools import partial
from itertools import product
from pathlib import Path

import pandas as pd
import torch
from jaxtyping import Float
from torch import Tensor

from lossbook.checks import check_count, check_number
from lossbook.devices import device
from lossbook.experiments.run import Run, Snapshot, Unit, run_units, seeds_of, stream
from lossbook.losses import squared_error
from lossbook.metrics import kernel_alignment, kernel_similarity, relative_motion
from lossbook.models import PolynomialNet
from lossbook.training import Lazy, train

LOW_TRAIN, LOW_TEST = 0.05, 0.2
LEFT = ("constant", "misaligned", "linear")  # what the test error is made of


@dataclass(frozen=True)
class Config:
    """What is varied and how it is trained.

    `aligned` is the share of the initial weights' square that lies along β; `curvature` is ε; `rate` the step size over
    N·D; measurements are `per_decade` in a tenfold of steps. Seeds count from `first_seed`.
    """

    alphas: tuple[float, ...] = (0.5, 1.0, 2.0, 4.0, 8.0)
    points: tuple[int, ...] = (120,)
    aligned: tuple[float, ...] = (0.0,)
    seeds: int = 5
    first_seed: int = 0
    inputs: int = 20
    units: int = 200
    curvature: float = 0.3
    rate: float = 0.3
    steps: int = 2000
    per_decade: int = 24
    kernel_points: int = 100


SCALES = {
    "tiny": Config(alphas=(0.5, 8.0), seeds=1, steps=150, units=50, per_decade=10),
    "small": Config(),
    "paper": Config(
        alphas=(2**-5, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0),
        points=(450,),
        seeds=1,
        inputs=100,
        units=500,
        curvature=0.25,
        rate=0.01,
        steps=60_000,
    ),
}


def run(config: Config = SCALES["small"], progress: bool = True, folder: str | Path | None = None) -> Run:
    """Train one network for each α, alignment, number of points and seed; those that share points train as one.

    Args:
        config: one of `SCALES`, or your own.
        progress: show a bar, a step a number of points.
        folder: where finished units and checkpoints are kept, and looked for.

    Returns:
        History with a row for each setting, seed and step (errors are over the variance of y):
            train_error, test_error: the latter over infinitely many points.
            constant, misaligned, linear: the three parts whose sum is test_error.
            motion: ‖w − w₀‖/‖w₀‖.
            alignment, similarity: of the kernel on fresh points, with y and with the kernel of the start.
            kernel_error: test error of the regression that the start's kernel gives, trained for ever, on these points.
            alpha, points, aligned: of the setting.
        Snapshots of the first seed: on the fresh points, `target` and `prediction`.

    Example:
        >>> found = run(SCALES["tiny"], progress=False)
        >>> end = found.history.groupby("setting").last()
        >>> bool(end.motion["α = 0.5"] > 3 * end.motion["α = 8"])                    # the lazy one hardly moves
        True

    Reference: Kumar, Bordelon, Gershman & Pehlevan 2024, arXiv 2310.06110.
    """
    for alpha in config.alphas:
        check_number("alphas", alpha, above=0)
    for share in config.aligned:
        check_number("aligned", share, at_least=0, at_most=1)
    for name in ("inputs", "units", "steps", "per_decade"):
        check_count(name, getattr(config, name))
    check_count("kernel_points", config.kernel_points, least=2)
    check_number("rate", config.rate, above=0)
    units = {f"points={points}": partial(_points, config, points) for points in config.points}
    return run_units("lazy_rich", config, units, progress=progress, folder=folder, device=device(), checkpoints=True)


def first_steps(run: Run, *, train: float = LOW_TRAIN, test: float = LOW_TEST) -> pd.DataFrame:
    """When each network had learned its points, and when everything: the first step measured below a threshold.

    Args:
        run: of this experiment.
        train, test: thresholds of train_error and test_error.

    Returns:
        A row for each setting and seed: `train_step`, `test_step` (infinite where never seen), and `delay`, the second
        over the first (NaN where the points were not learned).
    """
    low = {"train": check_number("train", train, above=0), "test": check_number("test", test, above=0)}
    reached = {part: run.history[f"{part}_error"] < most for part, most in low.items()}
    return delays(run.history, ["setting", "alpha", "points", "aligned", "seed"], reached["train"], reached["test"])


def delays(history: pd.DataFrame, keys: list[str], trained: pd.Series, tested: pd.Series) -> pd.DataFrame:
    """The first steps of each group at which two conditions held, infinite where one never did, and their ratio.

    Args:
        history: tidy, with a column `step`.
        keys: the columns that name a group.
        trained, tested: a condition a row.
    """
    found = history[keys].drop_duplicates().set_index(keys)
    for name, held in (("train_step", trained), ("test_step", tested)):
        found[name] = history[held].groupby(keys)["step"].min()
    found = found.astype(float).fillna(math.inf)
    found["delay"] = (found["test_step"] / found["train_step"]).where(found["train_step"] < math.inf)
    return found.reset_index()


def error_parts(
    linear: Float[Tensor, "*members inputs"],
    square: Float[Tensor, "*members inputs inputs"],
    direction: Float[Tensor, "*members inputs"],
) -> dict[str, Float[Tensor, "*members"]]:
    """The test error of f(x) = v·x + ½ xᵀQx against (β·x)²/2 over x ~ N(0, I/D), divided by the variance of y.

        E(f − y)² = (tr A/2D)² + ‖A‖²/2D² + ‖v‖²/D, A = Q − ββᵀ;  Var y = (‖β‖²/D)²/2

    Args:
        linear: v.
        square: Q, symmetric.
        direction: β.

    Returns:
        The three parts: "constant" (the mean is wrong), "misaligned" (the quadratic form is), "linear" (there is a
        linear form, and should be none).

    Example:
        >>> beta = torch.tensor([1.0, 1.0])
        >>> nothing = error_parts(torch.zeros(2), torch.zeros(2, 2), beta)
        >>> float(sum(nothing.values()))                               # 0 everywhere: E y²/Var y for a chi-square
        1.5
    """
    size = direction.shape[-1]
    gap = square - direction[..., :, None] * direction[..., None, :]
    variance = (direction.square().sum(-1) / size).square() / 2
    trace = gap.diagonal(dim1=-2, dim2=-1).sum(-1)
    parts = (trace / (2 * size)).square(), gap.square().sum((-2, -1)) / (2 * size**2), linear.square().sum(-1) / size
    return {name: part / variance for name, part in zip(LEFT, parts, strict=True)}


def kernel_error(net: PolynomialNet, points: Tensor, target: Tensor, direction: Tensor) -> Float[Tensor, " members"]:
    """Test error of kernel regression with the network's present kernel: where α → ∞ ends after infinite time.

    The minimum-norm solution through the points is a change Σ_j c_j (1 + ε w·x_j) x_j of each w, K c = y, in the
    tangent; what it says is again a linear and a quadratic form, so that its error is exact.
    """
    net, points, target = PolynomialNet(net.weight.double(), curvature=net.curvature), points.double(), target.double()
    mean, second = net.statistics()
    weights = torch.linalg.lstsq(net.kernel(points), target[..., None], driver="gelsd").solution
    pulled = weights * points / net.weight.shape[1]  # c_j x_j/N
    once = pulled.sum(1)
    outer = pulled.mT @ points  # Σ c_j x_j x_jᵀ/N
    linear = once + net.curvature * (outer @ mean[..., None])[..., 0]
    cross = mean[..., :, None] * once[..., None, :] + net.curvature * second @ outer
    parts = error_parts(linear, net.curvature * (cross + cross.mT), direction.double())
    return torch.stack(list(parts.values())).sum(0).detach()


def _points(config: Config, points: int, checkpoints: Path | None) -> Unit:
    seeds, settings = list(seeds_of(config)), list(product(config.alphas, config.aligned))
    names = [_name(config, alpha, points, share) for alpha, share in settings]
    members = [(seed, *setting) for seed in seeds for setting in settings]
    drawn = {seed: _draw(config, points, seed) for seed in seeds}
    x, fresh, beta = (
        torch.stack(part).to(device()) for part in zip(*(drawn[seed] for seed, _, _ in members), strict=True)
    )
    y, fresh_y = ((part @ beta[..., None])[..., 0].square() / 2 for part in (x, fresh))
    start = torch.stack([_start(config, seed, share, drawn[seed][2]) for seed, _, share in members]).to(device())
    alpha = torch.tensor([alpha for _, alpha, _ in members], device=device())
    net = PolynomialNet(start, curvature=config.curvature)
    model = Lazy(net, alpha)
    with torch.no_grad():
        (mean, second), first_kernel = net.statistics(), net.kernel(fresh)
        by_kernel = kernel_error(PolynomialNet(start.cpu(), curvature=config.curvature), x.cpu(), y.cpu(), beta.cpu())
    variance = y.var(1, correction=0)

    def objective(model: Lazy, batch: Tensor) -> Tensor:
        return (squared_error(model(batch), y.T, reduction="none").mean(0) / (2 * alpha**2)).sum()

    def measure(model: Lazy) -> dict[str, Tensor]:
        now_mean, now_second = net.statistics()
        linear, square = alpha[:, None] * (now_mean - mean), alpha[:, None, None] * (now_second - second)
        parts, kernel = error_parts(linear, config.curvature * square, beta), net.kernel(fresh)
        return {
            "train_error": squared_error(model(x), y.T, reduction="none").mean(0) / variance,
            "test_error": torch.stack(list(parts.values())).sum(0),
            **parts,
            "motion": relative_motion([net.weight], [start], member_axes=1),
            "alignment": kernel_alignment(kernel, fresh_y),
            "similarity": kernel_similarity(kernel, first_kernel),
        }

    at = log_steps(config.steps, config.per_decade)
    trained = train(
        model,
        objective,
        lambda: x,
        torch.optim.SGD(net.parameters(), lr=config.rate * config.units * config.inputs),
        steps=config.steps,
        measure=measure,
        at=at,
        snapshot=lambda model: {"prediction": model(fresh)[:, : len(settings)].T, "target": fresh_y[: len(settings)]},
        seeds=range(len(members)),
        checkpoint=None if checkpoints is None else checkpoints / "training",
    )
    about = pd.DataFrame(members, columns=["seed", "alpha", "aligned"])
    about = about.assign(setting=names * len(seeds), points=points, kernel_error=by_kernel.numpy())
    rows = trained.history.rename(columns={"seed": "member"}).join(about, on="member").drop(columns="member")
    snapshots = [
        Snapshot(name, step, {key: array[k] for key, array in arrays.items()})
        for k, name in enumerate(names)
        for step, arrays in trained.snapshots
    ]
    return Unit(rows, tuple(snapshots))


def _draw(config: Config, points: int, seed: int) -> tuple[Tensor, Tensor, Tensor]:
    """Points to learn, fresh points, and the direction β of length √D."""
    size = math.sqrt(config.inputs)
    x = torch.randn(points, config.inputs, generator=stream(seed, 0)) / size
    fresh = torch.randn(config.kernel_points, config.inputs, generator=stream(seed, 1)) / size
    beta = torch.randn(config.inputs, generator=stream(seed, 2))
    return x, fresh, beta * size / beta.norm()


def _start(config: Config, seed: int, share: float, beta: Tensor) -> Tensor:
    """Weights of mean square 1, of which a share lies along β: all of one generator, so that only the share differs."""
    generator = stream(seed, 3)
    spread = torch.randn(config.units, config.inputs, generator=generator)
    along = torch.randn(config.units, 1, generator=generator) * beta
    return math.sqrt(1 - share) * spread + math.sqrt(share) * along


def _name(config: Config, alpha: float, points: int, share: float) -> str:
    """What differs between the settings of a run, α always."""
    parts = [f"α = {alpha:g}"]
    parts += [f"{points} points"] if len(config.points) > 1 else []
    return ", ".join(parts + ([f"{share:.0%} aligned"] if len(config.aligned) > 1 else []))


def log_steps(steps: int, per_decade: int) -> list[int]:
    """0, and steps that are evenly spaced on a logarithmic axis up to the last one.

    >>> log_steps(100, 3)
    [0, 1, 2, 5, 10, 22, 46, 100]
    """
    count = math.ceil(per_decade * math.log10(max(steps, 2)))
    return sorted({0, steps} | {round(steps ** (k / count)) for k in range(count + 1)})
