"""Features that may be anything, and linear layers on top: where training ends, held against the closed forms.

A network fed with the number of the example, as a one-hot row, has free features: its first layer is a table of them.
So the model is a bias-free linear network on the identity matrix, with M layers above the table. Members of one
ensemble differ in loss, class sizes, decay, bias and seed; a seed begins with the same weights in each of them. All of
it is in float64 and in full batches, by Adam with a learning rate that falls to 0 as a cosine.

Three parts:

    frames      squared error with and without bias, and cross-entropy, for equal classes; squared error with and
                without bias for unequal ones. M = 1, 2, 3. Closed forms: `lossbook.metrics.frames`.
    decay       squared error, three classes of unequal size; the weight decay rises until the last of them vanishes.
    minority    two large classes and two small ones of the same size, which shrinks. M = 1, cross-entropy and squared
                error. λ_W λ_H is such that the squared error loses a class at `limit` examples.

"paper" has classes of hundreds, as published; it is for a GPU and has not been run.

What must hold, fixed on seeds 100 to 104 before seeds 0 to 4 were run, and what was seen in these at the small scale
(two weight decays and 500 steps of the sweeps were taken out afterwards, for time; no threshold was changed):

    frames, squared error, M = 1, 2, 3, and cross-entropy, M = 1:
        W Wᵀ, H̄ᵀ H̄ and W H̄ within 1e-4 of the closed forms: 5 of 5, 2e-6     NC1, NC2, NC3 below 1e-3: 5 of 5, 2e-6
        no run ends below the closed form's objective (1e-9 of it): 5 of 5
    frames, cross-entropy, M = 2, 3:
        the simplex or opposite pairs, by the eigenvalues of W Wᵀ, to 1e-3: 5 of 5
        M = 3 ends below the simplex, as pairs, by 7.8 %: 2 of 5, and 5 of 5 of the pilot; not a claim
    decay, M = 1: lengths to 1e-4; a class is there before its limit and gone after: 5 of 5
    decay, M = 2, 3: every class is at 0 or at its outer minimum, to 1e-4: 5 of 5
        no class is gone while a smaller one is there: 5 of 5
        M = 3, smaller start, a class is lost before its limit: 5 of 5; M = 2: 3 of 5, 0 of the pilot's; not a claim
        larger start, a class is kept beyond its limit: 5 of 5 for M = 2 and M = 3
    minority, cross-entropy: the two weights are one below the limit (cosine 1 to 1e-3), and not above (0.45 or less)
        minority, squared error: both are erased below the limit, and there above (0.15 or more): 5 of 5 each
"""

from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from lossbook.checks import bad_value
from lossbook.devices import device
from lossbook.experiments._free_features import ENTROPY, SQUARED, Case, train_cases
from lossbook.experiments.run import Run, run_units
from lossbook.metrics import Geometry, cross_entropy_geometry, squared_error_geometry, vanishing_weight_decay

PARTS = ("frames", "decay", "minority")


@dataclass(frozen=True)
class Config:
    """What is varied and how it is trained.

    `sizes` are the unequal classes of the frames; the equal ones share out as many examples. `multiples` are weight
    decays of the second part, in units of the one at which its smallest class vanishes. `minorities` are the sizes of a
    small class in the third part, whose four classes have `minority_total` examples together. `spread` is the standard
    deviation of the first weights and features; the second part begins with each of `decay_spreads`, where M > 1. The
    first part takes `steps`, measured `every` so many; the others `sweep_steps`, measured at the start and the end.
    """

    parts: tuple[str, ...] = PARTS
    layers: tuple[int, ...] = (1, 2, 3)
    sizes: tuple[int, ...] = (12, 6, 3, 3)
    weight_decay: float = 1e-3
    feature_decay: float = 1e-3
    decay_sizes: tuple[int, ...] = (12, 6, 3)
    decay_feature_decay: float = 5e-3
    multiples: tuple[float, ...] = (0.25, 0.5, 0.9, 1.1, 1.8, 2.2, 3.6, 4.4, 5.5, 7.0)
    decay_spreads: tuple[float, ...] = (0.3, 0.5)
    minorities: tuple[int, ...] = (6, 5, 4, 3, 2, 1)
    minority_total: int = 24
    limit: float = 2.5
    units: int = 8
    spread: float = 0.3
    steps: int = 1500
    sweep_steps: int = 1000
    learning_rate: float = 0.1
    every: int = 75
    seeds: int = 5
    first_seed: int = 0


SCALES = {
    "tiny": Config(
        layers=(1, 2),
        weight_decay=1e-2,
        feature_decay=1e-2,
        multiples=(0.5, 3.0, 7.0),
        minorities=(6, 2),
        steps=400,
        sweep_steps=400,
        every=100,
        seeds=2,
    ),
    "small": Config(),
    "paper": Config(
        sizes=(200, 100, 50, 50),
        decay_sizes=(200, 100, 50),
        minority_total=400,
        limit=35.0,
        units=64,
        steps=20_000,
        sweep_steps=20_000,
        minorities=(100, 80, 60, 50, 40, 30, 20, 10),
        every=200,
    ),
}


def run(config: Config = SCALES["small"], progress: bool = True, folder: str | Path | None = None) -> Run:
    """Train every case for every seed.

    Args:
        config: one of `SCALES`, or your own.
        progress: show a bar, a step a part and depth.
        folder: where what is finished is kept, and looked for.

    Returns:
        History with a row for each setting, seed and step:
            part, layers, weight_decay, size, spread: of the setting; size is that of its smallest class.
            objective: its value, decay included. excess: how far it is above the closed form's, as a share of that.
            weight_error, means_error, outputs_error: the largest deviation of W Wᵀ, H̄ᵀ H̄ and W H̄ from the closed forms,
                in their own units, over the entries. NaN in the third part, which has none.
            NC1, NC2, NC3: the convention of Zhu et al., W Wᵀ and W H̄ against the closed forms. The means are not
                centred: where the frame is a simplex, they centre themselves. First part only.
            simplex_error, pairs_error: for cross-entropy in the first part, the largest deviation of the eigenvalues of
                W Wᵀ from those of either closed form, whichever class stands where. below: how far the objective is
                below the simplex's, as a share.
            length 1 ...: ‖w_k‖², diagonal of W Wᵀ.
            wanted 1 ..., outer 1 ...: of the closed form, and of the outer minimum, global or not. Second part only.
            cosine: of the weights of the two small classes, NaN where they are 0. Third part only.
        Snapshots of the first seed of the first part: `weight`, `means` and `outputs` (classes, classes).

    Example:
        >>> decays = {"weight_decay": 1e-2, "feature_decay": 1e-2}
        >>> config = Config(parts=("frames",), layers=(1,), steps=400, every=400, seeds=1, **decays)
        >>> found = run(config, progress=False).history
        >>> bool((found[found["step"] == 400]["weight_error"] < 1e-4).all())
        True

    Reference: Dang et al. 2023, arXiv 2301.00437; Fang et al. 2021, arXiv 2101.12699; Hong & Ling 2023, arXiv
    2309.09725.
    """
    unknown = [part for part in config.parts if part not in PARTS]
    if unknown or not config.parts:
        raise bad_value("parts", config.parts, "some of " + ", ".join(PARTS))
    problems: dict[tuple[str, int], list[Case]] = {}
    for part in config.parts:
        for layers in config.layers if part != "minority" else (1,):
            problems[part, layers] = CASES[part](config, layers)
    units = {
        f"{part}, M={layers}": partial(train_cases, config, part, layers, cases)
        for (part, layers), cases in problems.items()
    }
    return run_units(
        "unconstrained_features", config, units, progress=progress, folder=folder, device=device(), checkpoints=True
    )


def outer_minima(config: Config, layers: int, points: int = 200) -> pd.DataFrame:
    """The closed forms of the second part, drawn out: a row for each weight decay and class.

    Args:
        config: of the run.
        layers: M.
        points: weight decays, from the least of the config's to the largest.

    Returns:
        weight_decay, class (from 1), size, length: ‖w_k‖² of the global minimum, outer: of the outer minimum where it
        exists, else NaN; vanishes: the decay from which on the global minimum is 0.
    """
    ends = vanishing_weight_decay(config.decay_sizes, layers=layers, feature_decay=config.decay_feature_decay)
    rows = []
    for decay in np.geomspace(min(config.multiples), max(config.multiples), points) * float(ends.min()):
        found = [_decay_geometry(config, layers, float(decay), local=local) for local in (False, True)]
        lengths, outer = (geometry.weight.diagonal().tolist() for geometry in found)
        for k, size in enumerate(config.decay_sizes):
            rows.append((float(decay), k + 1, size, lengths[k], outer[k] or np.nan, float(ends[k])))
    return pd.DataFrame(rows, columns=["weight_decay", "class", "size", "length", "outer", "vanishes"])


def _frames(config: Config, layers: int) -> list[Case]:
    classes, total = len(config.sizes), sum(config.sizes)
    if total % classes:
        raise bad_value("sizes", config.sizes, f"a sum that {classes} equal classes can share")
    decays = config.weight_decay, config.feature_decay
    squared, entropy = (
        partial(solve, layers=layers, weight_decay=decays[0], feature_decay=decays[1])
        for solve in (squared_error_geometry, cross_entropy_geometry)
    )
    equal = (total // classes,) * classes
    found = []
    for sizes, words in ((equal, "equal classes"), (config.sizes, "unequal classes")):
        for bias in (False, True):
            setting = f"{SQUARED}{' with bias' if bias else ''}, {words}, M={layers}"
            found.append(Case(setting, SQUARED, sizes, *decays, config.spread, bias, squared(sizes, bias=bias)))
    simplex = entropy(classes, equal[0])
    pairs = entropy(classes, equal[0], frame="pairs") if classes % 2 == 0 else None
    setting = f"{ENTROPY}, equal classes, M={layers}"
    found.append(Case(setting, ENTROPY, equal, *decays, config.spread, False, simplex, pairs))
    return found


def _decay(config: Config, layers: int) -> list[Case]:
    decay = config.decay_feature_decay
    end = vanishing_weight_decay(config.decay_sizes, layers=layers, feature_decay=decay).min()
    found = []
    for spread in config.decay_spreads if layers > 1 else config.decay_spreads[:1]:  # M = 1 has one minimum
        for multiple in config.multiples:
            weight_decay = multiple * float(end)
            both = [_decay_geometry(config, layers, weight_decay, local=local) for local in (False, True)]
            setting = f"{SQUARED}, M={layers}, decay {multiple:g}, start {spread:g}"
            case = Case(setting, SQUARED, config.decay_sizes, weight_decay, decay, spread, False, *both)
            found.append(case)
    return found


def _decay_geometry(config: Config, layers: int, weight_decay: float, local: bool = False) -> Geometry:
    return squared_error_geometry(
        config.decay_sizes,
        layers=layers,
        weight_decay=weight_decay,
        feature_decay=config.decay_feature_decay,
        local=local,
    )


def _minority(config: Config, layers: int) -> list[Case]:
    half = config.minority_total // 2
    decay = config.limit**0.5 / (2 * half)  # both decays: n = N² λ_W λ_H at n = limit
    found = []
    for error in (SQUARED, ENTROPY):
        for small in config.minorities:
            sizes = (half - small, half - small, small, small)
            found.append(Case(f"{error}, small classes of {small}", error, sizes, decay, decay, config.spread))
    return found


CASES = {"frames": _frames, "decay": _decay, "minority": _minority}
