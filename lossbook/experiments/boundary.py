"""How the boundary between two moons moves: four ways to train, seven radii, every stage kept for the reader to see.

Cross-entropy; the same on points attacked afresh at every step; the smooth adversarial comp-sum loss; and virtual
adversarial training, which knows the labels of eight points alone. The networks of all radii train as one ensemble,
from the same weights and on the same batches.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from lossbook.checks import check_choice, check_number
from lossbook.datasets import moons
from lossbook.devices import device
from lossbook.experiments.run import Run, Snapshot, Unit, run_units, seeds_of, stream
from lossbook.experiments.virtual_adversarial import few_labels
from lossbook.losses import cross_entropy, smooth_adversarial_comp_sum_loss
from lossbook.models import Ensemble, multilayer
from lossbook.training import Shuffled, margin_attack, projected_attack, train, virtual_adversarial_loss

GRID = 61  # points a side of the map of the plane
LABELS = 4  # a class, for virtual adversarial training


@dataclass(frozen=True)
class Config:
    """Radii of the l∞ ball, of VAT the l2 ball, in units of the moons' radius; `kept` are the steps to look at.

    `rho` and `nu` are those of smooth_adversarial_comp_sum_loss, as in `lossbook.experiments.adversarial`.
    """

    methods: tuple[str, ...] = ("cross-entropy", "adversarial training", "smooth comp-sum", "VAT, 8 labels")
    radii: tuple[float, ...] = (0.0, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3)
    kept: tuple[int, ...] = (0, 10, 25, 50, 100, 200, 400)
    seeds: int = 1
    first_seed: int = 0
    points: int = 200
    noise: float = 0.1
    hidden: int = 32
    batch_size: int = 100
    learning_rate: float = 1e-2
    attack_steps: int = 5
    test_steps: int = 10
    rho: float = 1.0
    nu: float = 0.3


SCALES = {
    "tiny": Config(radii=(0.0, 0.1, 0.2), kept=(0, 10, 20), points=40, hidden=16),
    "small": Config(),
    "paper": Config(seeds=5, points=1000, hidden=64, kept=(0, 10, 30, 100, 300, 1000, 3000), attack_steps=10),
}


def run(config: Config = SCALES["small"], progress: bool = True, folder: str | Path | None = None) -> Run:
    """Train by each method at each radius, and keep the plane and the attacked points on the way.

    Args:
        config: one of `SCALES`, or your own.
        progress: show a bar, a step for each method and seed.
        folder: where finished ones are kept, and looked for.

    Returns:
        History with a row for each setting ("VAT, 8 labels, 0.2"), seed and step:
            clean_accuracy, robust_accuracy: on the points of the plane, and on the same points attacked within the l∞
                ball of the setting's radius.
            method, radius: of the setting.
        Snapshots of the first seed: `margin`, z₁ − z₀ on the grid of `horizontal` and `vertical`; the `features` and
        `labels` of all points, whether a label was `known`, and where the attack ends, `attacked`.

    Example:
        >>> found = run(SCALES["tiny"], progress=False)
        >>> bool((found.history.robust_accuracy <= found.history.clean_accuracy).all())
        True

    Reference: Miyato et al. 2018, arXiv 1704.03976; Madry et al. 2018, arXiv 1706.06083; Mao, Mohri & Zhong 2023, arXiv
    2304.07288.
    """
    for method in config.methods:
        check_choice("methods", method, METHODS)
    for radius in config.radii:
        check_number("radii", radius, at_least=0)
    units = {
        f"{name}, seed={seed}": partial(_unit, config, name, seed)
        for seed in seeds_of(config)
        for name in config.methods
    }
    return run_units("boundary", config, units, progress=progress, folder=folder, device=device())


Evaluate = Callable[[Tensor], Tensor]  # u (members, points, 2) -> logits (members, points, classes)


def _at(model: nn.Module, points: Tensor, radii: Tensor) -> Evaluate:
    """The members at points moved by their own radius times u: an attack of radius 1 on u = 0 serves all of them."""
    return lambda u: model(points + radii[:, None, None] * u, own=True).transpose(0, 1)


def _plain(config: Config, evaluate: Evaluate, u: Tensor, target: Tensor, generator: torch.Generator) -> Tensor:
    return cross_entropy(evaluate(u), target, reduction="none")


def _on_attacked_points(
    config: Config, evaluate: Evaluate, u: Tensor, target: Tensor, generator: torch.Generator
) -> Tensor:
    return cross_entropy(
        evaluate(_attacked(evaluate, u, target, config.attack_steps, generator)), target, reduction="none"
    )


def _smooth_comp_sum(
    config: Config, evaluate: Evaluate, u: Tensor, target: Tensor, generator: torch.Generator
) -> Tensor:
    attack = partial(margin_attack, radius=1.0, steps=config.attack_steps, generator=generator)
    moved = evaluate(attack(evaluate, u, target))
    return smooth_adversarial_comp_sum_loss(
        evaluate(u), target, adversarial_logits=moved, rho=config.rho, nu=config.nu, reduction="none"
    )


def _smoothness(config: Config, evaluate: Evaluate, u: Tensor, target: Tensor, generator: torch.Generator) -> Tensor:
    """LDS of all points: the labels are not looked at."""
    return virtual_adversarial_loss(
        evaluate, u, radius=1.0, xi=1e-2, generator=generator, sample_axes=2, reduction="none"
    )


METHODS: dict[str, Callable[..., Tensor]] = {
    "cross-entropy": _plain,
    "adversarial training": _on_attacked_points,
    "smooth comp-sum": _smooth_comp_sum,
    "VAT, 8 labels": _smoothness,
}


def _attacked(evaluate: Evaluate, u: Tensor, target: Tensor, steps: int, generator: torch.Generator) -> Tensor:
    loss = partial(cross_entropy, reduction="none")
    return projected_attack(evaluate, loss, u, target, radius=1.0, steps=steps, generator=generator)


def _unit(config: Config, name: str, seed: int) -> Unit:
    features, labels = (t.to(device()) for t in moons(config.points, noise=config.noise, generator=stream(seed, 1)))
    radii = torch.tensor(config.radii, device=device())
    start = multilayer((2, config.hidden, config.hidden, 2), generator=stream(seed, 2))
    model = Ensemble([start] * len(radii)).to(device())
    chance = stream(seed, 3)
    known = torch.ones_like(labels, dtype=torch.bool)
    if METHODS[name] is _smoothness:
        known = torch.zeros_like(known).index_fill(0, few_labels(labels, LABELS, stream(seed, 4)), True)

    def everywhere(tensor: Tensor) -> Tensor:
        return tensor.expand(len(radii), *tensor.shape)

    def objective(model: nn.Module, batch: Tensor) -> Tensor:
        points, target = everywhere(features[batch]), everywhere(labels[batch])
        rows = METHODS[name](config, _at(model, points, radii), torch.zeros_like(points), target, chance).mean(1)
        if not bool(known.all()):
            logits = model(features[known])
            rows = rows + cross_entropy(logits, labels[known, None].expand(-1, len(radii)), reduction="none").mean(0)
        return rows.sum()

    def attacked(model: nn.Module) -> Tensor:
        points = everywhere(features)
        u = _attacked(
            _at(model, points, radii), torch.zeros_like(points), everywhere(labels), config.test_steps, stream(seed, 5)
        )
        return points + radii[:, None, None] * u

    def measure(model: nn.Module) -> dict[str, Tensor]:
        clean = model(features).argmax(-1) == labels[:, None]
        robust = clean & (model(attacked(model), own=True).argmax(-1) == labels[:, None])
        return {"clean_accuracy": clean.double().mean(0), "robust_accuracy": robust.double().mean(0)}

    def look(model: nn.Module) -> dict[str, Tensor]:
        horizontal, vertical = torch.linspace(-1.6, 2.6, GRID), torch.linspace(-1.2, 1.7, GRID)
        grid = torch.cartesian_prod(vertical, horizontal).flip(1).to(device())
        return {
            "margin": model(grid).diff(dim=-1).reshape(GRID, GRID, -1),
            "horizontal": horizontal,
            "vertical": vertical,
            "attacked": attacked(model),
        }

    trained = train(
        model,
        objective,
        Shuffled(config.points, config.batch_size, stream(seed, 6)),
        torch.optim.Adam(model.parameters(), lr=config.learning_rate),
        steps=max(config.kept),
        measure=measure,
        at=config.kept,
        snapshot=look if seed == config.first_seed else None,
        seeds=range(len(radii)),
    )
    member = trained.history.pop("seed").to_numpy()
    rows = trained.history.assign(method=name, radius=np.array(config.radii)[member])
    rows.insert(0, "setting", [f"{name}, {radius:g}" for radius in rows["radius"]])
    rows.insert(1, "seed", seed)
    same = {"features": features.cpu().numpy(), "labels": labels.cpu().numpy(), "known": known.cpu().numpy()}
    shots = tuple(
        Snapshot(
            f"{name}, {radius:g}",
            step,
            same | arrays | {"margin": arrays["margin"][..., k], "attacked": arrays["attacked"][k]},
        )
        for k, radius in enumerate(config.radii)
        for step, arrays in trained.snapshots
    )
    return Unit(rows, shots)
