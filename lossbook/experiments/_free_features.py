"""What the parts of `unconstrained_features` share: problems with free features, trained side by side and measured."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from lossbook.devices import device
from lossbook.experiments.run import Snapshot, Unit, seeds_of, stream
from lossbook.losses import cross_entropy, one_hot_squared_error_loss
from lossbook.metrics import Geometry, cosines, frame_distance, gram, within_class_variability
from lossbook.models import Ensemble, linear
from lossbook.training import train

GONE = 1e-12  # of ‖w‖²: what Adam leaves of a class that has vanished has no direction
SQUARED, ENTROPY = "squared error", "cross-entropy"


@dataclass(frozen=True)
class Case:
    """One problem, its solution where one is known, and the other minimum to look out for."""

    setting: str
    error: str
    sizes: tuple[int, ...]
    weight_decay: float
    feature_decay: float
    spread: float
    bias: bool = False
    closed: Geometry | None = None
    other: Geometry | None = None

    @property
    def labels(self) -> Tensor:
        """The class of each example."""
        return torch.repeat_interleave(torch.tensor(self.sizes))


def train_cases(config: Any, part: str, layers: int, cases: list[Case], folder: Path | None) -> Unit:
    """Train all cases of a part and depth, every seed of each, as one ensemble."""
    seeds = list(seeds_of(config))
    width, place = len(seeds), device()
    total = sum(cases[0].sizes)
    starts = [_start(config, case, layers, seed) for case in cases for seed in seeds]
    model = Ensemble(starts).to(place)
    inputs = torch.eye(total, dtype=torch.float64, device=place)
    labels = torch.stack([case.labels for case in cases for _ in seeds], 1).to(place)  # (examples, members)
    squared = width * sum(case.error == SQUARED for case in cases)  # these come first
    decays = torch.tensor(
        [[case.feature_decay] + layers * [case.weight_decay] for case in cases for _ in seeds],
        dtype=torch.float64,
        device=place,
    )
    free = torch.tensor([case.bias for case in cases for _ in seeds], device=place)[:, None, None]

    def objectives(model: Ensemble) -> Tensor:
        logits = model(inputs)
        errors = []
        if squared:
            loss = one_hot_squared_error_loss(logits[:, :squared], labels[:, :squared], reduction="none")
            errors.append(loss.mean(0) / 2)
        if squared < labels.shape[1]:
            errors.append(cross_entropy(logits[:, squared:], labels[:, squared:], reduction="none").mean(0))
        lengths = torch.stack([layer.weight.square().sum((1, 2)) for layer in model.layers], 1)
        return torch.cat(errors) + (decays * lengths).sum(1) / 2

    def hold_bias(model: Ensemble, batch: Tensor) -> None:
        model.layers[-1].bias.grad *= free

    def measure(model: Ensemble) -> dict[str, Tensor]:
        values = objectives(model)
        blocks = [
            _numbers(part, case, values[k : k + width], *(matrix[:, k : k + width] for matrix in _matrices(model)))
            for k, case in zip(range(0, len(values), width), cases, strict=True)
        ]
        unknown = torch.full_like(values[:width], torch.nan)
        names = dict.fromkeys(name for block in blocks for name in block)
        return {name: torch.cat([block.get(name, unknown) for block in blocks]) for name in names}

    steps = config.steps if part == "frames" else config.sweep_steps
    optimizer = torch.optim.Adam(model.parameters(), lr=config.learning_rate)
    trained = train(
        model,
        lambda model, batch: objectives(model).sum(),
        lambda: inputs,
        optimizer,
        steps=steps,
        transform=hold_bias,
        scheduler=torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, max(1, steps)),
        measure=measure,
        at=config.every if part == "frames" else [steps],
        seeds=range(len(labels[0])),
        checkpoint=None if folder is None else folder / "training",
    )
    rows = trained.history.rename(columns={"seed": "member"})
    case_of = rows["member"].astype(int) // width
    about = {
        "setting": [cases[k].setting for k in case_of],
        "seed": [seeds[k] for k in rows["member"].astype(int) % width],
        "part": part,
        "layers": layers,
        "weight_decay": [cases[k].weight_decay for k in case_of],
        "size": [min(cases[k].sizes) for k in case_of],
        "spread": [cases[k].spread for k in case_of],
    }
    rows = rows.drop(columns="member").assign(**about)
    kept = _snapshots(config, cases, _matrices(model), width) if part == "frames" else ()
    return Unit(rows[[*about, *(name for name in rows if name not in about)]], kept)


def _start(config: Any, case: Case, layers: int, seed: int) -> nn.Sequential:
    generator = stream(seed, 0)
    widths = [sum(case.sizes), *[config.units] * layers, len(case.sizes)]
    stack = [
        linear(inputs, outputs, bias=k == layers, generator=generator).double()
        for k, (inputs, outputs) in enumerate(pairwise(widths))
    ]
    with torch.no_grad():
        for layer in stack:
            layer.weight.normal_(0, case.spread, generator=generator)
        stack[-1].bias.zero_()
    return nn.Sequential(*stack)


def _matrices(model: Ensemble) -> tuple[Tensor, Tensor]:
    """The product of the layers (classes, members, units), and the features (examples, members, units)."""
    table, *above = [layer.weight.detach() for layer in model.layers]
    product = above[0]
    for weight in above[1:]:
        product = torch.bmm(product, weight)
    return product.permute(2, 0, 1), table.transpose(0, 1)


def _numbers(part: str, case: Case, values: Tensor, weight: Tensor, features: Tensor) -> Mapping[str, Tensor]:
    labels = case.labels.to(features.device)
    means = torch.stack([features[labels == k].mean(0) for k in range(len(case.sizes))])
    products = {"weight": gram(weight), "means": gram(means), "outputs": gram(weight, means)}
    found = {"objective": values}
    if case.closed is not None:
        closed = case.closed
        found["excess"] = values / closed.objective - 1
        for name, matrix in products.items():
            found[f"{name}_error"] = (matrix - getattr(closed, name).to(matrix)).abs().amax((-2, -1))
        if part == "frames":
            found["NC1"] = within_class_variability(features, labels, convention="zhu")
            found["NC2"] = frame_distance(products["weight"], closed.weight.to(weight))
            found["NC3"] = frame_distance(products["outputs"], closed.outputs.to(weight))
    lengths = products["weight"].diagonal(dim1=-2, dim2=-1)
    found |= {f"length {k + 1}": lengths[:, k] for k in range(len(case.sizes))}
    names = {"frames": ("simplex", "pairs"), "decay": ("wanted", "outer"), "minority": ("", "")}[part]
    forms = zip(names, (case.closed, case.other), strict=True)
    known = {name: form.weight.to(weight) for name, form in forms if form is not None}
    if part == "frames" and case.error == ENTROPY:
        found |= {f"{name}_error": _spectral(products["weight"], form) for name, form in known.items()}
    if part == "decay":
        for name, form in known.items():
            found |= {f"{name} {k + 1}": x.expand(len(values)) for k, x in enumerate(form.diagonal())}
    if part == "minority":
        found["cosine"] = torch.where(lengths[:, -2:].amin(1) > GONE, cosines(weight)[:, -1, -2], torch.nan)
    return found


def _spectral(products: Tensor, form: Tensor) -> Tensor:
    """The largest deviation of the eigenvalues: whichever class stands where."""
    return (torch.linalg.eigvalsh(products) - torch.linalg.eigvalsh(form)).abs().amax(-1)


def _snapshots(config: Any, cases: list[Case], matrices: tuple[Tensor, Tensor], width: int) -> tuple[Snapshot, ...]:
    weight, features = matrices
    kept = []
    for k, case in enumerate(cases):
        one, table = weight[:, k * width], features[:, k * width]
        means = torch.stack([table[case.labels == c].mean(0) for c in range(len(case.sizes))])
        arrays = {"weight": gram(one), "means": gram(means), "outputs": gram(one, means)}
        kept.append(Snapshot(case.setting, config.steps, {name: a.cpu().numpy() for name, a in arrays.items()}))
    return tuple(kept)
