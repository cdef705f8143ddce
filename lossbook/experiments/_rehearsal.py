"""Learning new classes on top of old ones, by batches half new and half old: the second act of `gap_mitigations`."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from torch import Tensor, nn
from torch.nn.functional import one_hot

from lossbook.devices import device
from lossbook.experiments._arrivals import CLASSES, OLD, SETTINGS, Examples, margins, numbers, prepared
from lossbook.experiments.run import Snapshot, seeds_of, stream
from lossbook.losses import cross_entropy
from lossbook.models import Ensemble
from lossbook.training import Shuffled, SoftTargets, freeze, teacher_targets, train

CHECKPOINT_EVERY = 50
KEPT = (*range(11), 12, 15, 20, 30, 50, 75, 100)


def continued(
    config: Any,
    names: list[str],
    base: Ensemble,
    old: Examples,
    new: Examples,
    tests: Examples,
    checkpoint: Path | None,
) -> tuple[pd.DataFrame, list[Snapshot]]:
    """Rehearsal with some settings, which all have low rank or all have not; a member for each setting and seed."""
    seeds = list(seeds_of(config))
    members = [(name, place) for name in names for place in range(len(seeds))]
    recipes = [SETTINGS[name] for name, _ in members]

    def begun(name: str, place: int) -> nn.Module:
        options: dict[str, Any] = {"rank": config.rank, "alpha": config.alpha, "generator": stream(seeds[place], 4)}
        return prepared(SETTINGS[name], base.member(place), old, new, place, **options)

    which = torch.tensor([place for _, place in members], device=device())
    model = Ensemble([begun(name, place) for name, place in members])
    teacher = Ensemble([base.member(place) for _, place in members])
    optimizer = torch.optim.SGD(
        [p for p in model.parameters() if p.requires_grad], lr=config.learning_rate, momentum=config.momentum
    )

    def chosen_where(condition: list[bool]) -> Tensor:
        return torch.tensor(condition, device=device())

    is_old = torch.arange(CLASSES, device=device()) < OLD
    frozen = chosen_where([recipe.frozen for recipe in recipes])[:, None] & is_old
    weight, bias = list(model.parameters())[-2:]
    stacked = bias.ndim == 3  # weights of plain affine layers are (members, inputs, outputs), others as in torch
    freeze(optimizer, {weight: frozen[:, None] if stacked else frozen[..., None], bias: frozen.view(bias.shape)})

    soft_targets = SoftTargets(CLASSES, is_old, members=len(members))
    by_soft, by_teacher = (chosen_where([r.targets == kind for r in recipes])[:, None] for kind in ("soft", "teacher"))
    half = config.batch_size // 2
    batches = _Batches(
        new=Shuffled(len(new.labels), half, [stream(seed, 5) for seed in seeds]),
        old=Shuffled(len(old.labels), half, [stream(seed, 6) for seed in seeds]),
        targets=soft_targets,
    )

    def objective(model: Ensemble, chosen: tuple[Tensor, Tensor]) -> Tensor:
        parts = zip(new[chosen[0]], old[chosen[1]], strict=True)
        values, labels = (torch.cat(part, 1)[which] for part in parts)
        logits, labels = model(values, own=True), labels.T
        target = one_hot(labels, CLASSES).to(logits.dtype)
        if by_soft.any():
            target = torch.where(by_soft, soft_targets(logits.detach(), labels), target)
            soft_targets.see(logits.detach(), labels)
        if by_teacher.any():
            with torch.no_grad():
                said = teacher_targets(teacher(values, own=True), labels)
            target = torch.where(by_teacher & (labels >= OLD)[..., None], said, target)
        return cross_entropy(logits, target, reduction="none").mean(0).sum()

    shown = tests.features[which]
    trained = train(
        model,
        objective,
        batches,
        optimizer,
        steps=config.updates,
        measure=lambda model: numbers(model(shown, own=True), tests.labels),
        snapshot=lambda model: {"margins": margins(model(shown, own=True), tests.labels).T},
        snapshot_at=KEPT,
        seeds=range(len(members)),
        checkpoint=checkpoint,
        checkpoint_every=CHECKPOINT_EVERY,
    )
    history = trained.history
    history["setting"] = [members[member][0] for member in history["seed"]]
    history["seed"] = [seeds[members[member][1]] for member in history["seed"]]
    snapshots = [
        Snapshot(name, step, {"margins": arrays["margins"][member]})
        for step, arrays in trained.snapshots
        for member, (name, place) in enumerate(members)
        if place == 0
    ]
    return history, snapshots


class _Batches:
    """Indices of new and of old examples; what the targets remember goes into checkpoints with them."""

    def __init__(self, *, new: Shuffled, old: Shuffled, targets: SoftTargets):
        self.new, self.old, self.targets = new, old, targets

    def __call__(self) -> tuple[Tensor, Tensor]:
        return self.new().to(device()), self.old().to(device())

    def state_dict(self) -> dict[str, Any]:
        return {name: part.state_dict() for name, part in vars(self).items()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        for name, part in vars(self).items():
            part.load_state_dict(state[name])
