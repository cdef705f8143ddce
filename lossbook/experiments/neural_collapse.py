"""Neural collapse on real images: what the last layer of a network does after the last training error is gone.

A small network with layer normalisation learns a few hundred images of Fashion-MNIST, and goes on long after it makes
no mistake on them. At chosen steps the numbers of `lossbook.metrics.neural_collapse` are taken over all training
images. Five losses, and cross-entropy on the same network without the normalisation; within a seed all begin with the
same weights and see the same images in the same batches. Losses and seeds train as one ensemble.

What must hold, fixed before seeds 0 to 4 were run, from Papyan, Han & Donoho and from pilots on seeds 100 to 104:

    NC1 falls by 100 times or more after the first measured step without a training error: cross-entropy (in the pilots
        470 to 3,000), label smoothing (550 to 2,200), squared error (470 to 780), focal (540 to 860). Not squentropy
        (80 to 2,200), which has fallen far by then; its NC1 ends below 0.001 (0.00002 to 0.0002).
    The cosines of the class means end within 0.05 of −1/9 in the mean over pairs: cross-entropy (0.024 to 0.032), label
        smoothing (0.019 to 0.023), squentropy (0.012 to 0.025); within 0.075: squared error (0.032 to 0.047), focal
        (0.034 to 0.059). The worst of the 45 pairs is another matter: 0.08 to 0.12 off for cross-entropy.
    NC3 ends below 0.1: cross-entropy, label smoothing, focal (0.04 to 0.07). NC4 ends at 0: all five.
    Squared error has the least NC3 of the other convention (below 0.002; 0.0007 to 0.0009), and with weights less their
        mean squentropy's NC3 is at most half (0.088 becomes 0.03).
    NC1 ends in the order squentropy, cross-entropy, focal.
    Of the squared error, after the last training error: the means' part falls by 50 times or more (115 to 260), the
        classifier's lag by 25 times or more (53 to 110), and at the end is at most 15 % of the whole (6 to 8 %).
    Without normalisation: NC1 changes by less than 3 times (0.4 to 1.1), and the cosines stay 0.25 or more away (0.34
        to 0.37).

All of it held in each of the seeds 0 to 4. Without weight decay the normalised networks of seeds 100 to 104 got no
further than NC1 falling 2 to 3 times, so it takes both.
"""

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from lossbook.checks import bad_value, check_choice
from lossbook.devices import device
from lossbook.experiments._garments import GARMENTS, LOSSES, images_of, make_network
from lossbook.experiments.run import Run, Snapshot, Unit, run_units, seeds_of, stream
from lossbook.metrics import (
    SquaredErrorParts,
    class_means,
    coherence,
    cosines,
    equinorm,
    frame_distance,
    gram,
    in_three,
    nearest_mean_mismatch,
    self_duality,
    squared_error_parts,
    within_class_variability,
)
from lossbook.models import Ensemble, features
from lossbook.training import Shuffled, train

NETWORKS = ("multilayer", "convolutional")
PLAIN = ", not normalised"
KEPT = ("points", "cosines", "nc1")  # of each setting in a snapshot


@dataclass(frozen=True)
class Config:
    """What is trained, on what, and how long.

    Settings are names of `LOSSES`, with ", not normalised" after it for a network without layer normalisation. `images`
    of each of the first `classes` classes are drawn anew for each seed, the first `test_images` of each are the test;
    `shrink` averages squares of so many pixels a side. `hidden` are the units of the hidden layers, of a convolutional
    network the channels and then the units. Measured at `measurements` steps in geometric order, and more closely over
    the first quarter; the features of the first seed are kept at `kept` steps.
    """

    settings: tuple[str, ...] = (*LOSSES, "cross-entropy" + PLAIN)
    classes: int = 10
    images: int = 20
    test_images: int = 50
    shrink: int = 2
    network: str = "multilayer"
    hidden: tuple[int, ...] = (64, 64, 64)
    steps: int = 2000
    batch_size: int = 50
    learning_rate: float = 0.05
    momentum: float = 0.9
    weight_decay: float = 5e-3
    seeds: int = 5
    first_seed: int = 0
    measurements: int = 25
    kept: int = 12


SCALES = {
    "tiny": Config(classes=3, images=8, hidden=(16, 16), steps=60, batch_size=24, seeds=2, measurements=6, kept=3),
    "small": Config(),
    "paper": Config(
        images=5000,
        test_images=1000,
        shrink=1,
        network="convolutional",
        hidden=(32, 64, 128, 256),
        steps=350 * 391,
        batch_size=128,
        learning_rate=0.0679,
        weight_decay=5e-4,
        measurements=60,
    ),
}


def run(config: Config = SCALES["small"], progress: bool = True, folder: str | Path | None = None) -> Run:
    """Train every setting far past zero training error, and measure the last layer on the way.

    Args:
        config: one of `SCALES`, or your own. "paper" needs the whole of Fashion-MNIST (`LOSSBOOK_DATA`) and a GPU.
        progress: show a bar, a step for each kind of network.
        folder: where finished kinds are kept, and looked for; half-finished ones as checkpoints.

    Returns:
        History with a row for each setting, seed and step:
            loss, accuracy: on the training images; test_accuracy: on the test images of these classes.
            nc1: tr(S_W S_B⁺).
            equinorm, coherence, worst_cosine: of the centred class means: spread of their lengths, and their cosines'
                mean and greatest distance from −1/(K − 1).
            weight_coherence: the same as coherence, of the class weights.
            nc2_zhu, nc3_zhu: distances of W Wᵀ and W Mᵀ from the simplex ETF.
            nc3, nc3_centred: self-duality of the class weights; of those less their mean over classes.
            nc4: share of training images on which the network and the nearest class mean disagree.
            within_part, means_part, classifier_part: of the squared error with weight decay, where it is the loss.
        Snapshots of the first seed: `points`, each training image's feature in three coordinates (see `in_three`),
        `labels`, `cosines` of the centred class means, and `nc1`.

    Example:
        >>> found = run(SCALES["tiny"], progress=False)
        >>> sorted(found.history.setting.unique())[:2]
        ['cross-entropy', 'cross-entropy, not normalised']

    Reference: Papyan, Han & Donoho 2020, arXiv 2008.08186; Zhu et al. 2021, arXiv 2105.02375; for the losses Zhou et
    al. 2022, arXiv 2210.02192.
    """
    check_choice("network", config.network, NETWORKS)
    for setting in config.settings:
        check_choice("settings", setting.removesuffix(PLAIN), LOSSES)
    if not 2 <= config.classes <= GARMENTS:
        raise bad_value("classes", config.classes, f"2 to {GARMENTS}")
    groups = {
        name: [setting for setting in config.settings if setting.endswith(PLAIN) != normalised]
        for name, normalised in (("normalised", True), ("not normalised", False))
    }
    units = {name: partial(_train, config, settings) for name, settings in groups.items() if settings}
    return run_units(
        "neural_collapse", config, units, progress=progress, folder=folder, device=device(), checkpoints=True
    )


def _train(config: Config, settings: list[str], place: Path | None) -> Unit:
    """All losses and seeds of one kind of network, as one ensemble: a block of seeds for each setting."""
    seeds = seeds_of(config)
    own_images, labels, test_images, test_labels = images_of(config)
    members = torch.arange(len(seeds), device=labels.device).repeat(len(settings))
    networks = {seed: make_network(config, not settings[0].endswith(PLAIN), seed) for seed in seeds}
    model = Ensemble([networks[seed] for _ in settings for seed in seeds]).to(device())
    optimizer = torch.optim.SGD(
        model.parameters(),
        lr=config.learning_rate,
        momentum=config.momentum,
        weight_decay=config.weight_decay,
        foreach=True,  # the same arithmetic, called less often: small networks spend their time on calls
    )

    def losses(logits: Tensor, target: Tensor) -> Tensor:
        """One loss for each example and member."""
        blocks = zip(settings, logits.split(len(seeds), 1), target.split(len(seeds), 1), strict=True)
        return torch.cat([LOSSES[setting.removesuffix(PLAIN)](*block) for setting, *block in blocks], 1)

    def objective(model: nn.Module, batch: Tensor) -> Tensor:
        batch = batch.to(labels.device)[members]
        return losses(model(own_images[members[:, None], batch], own=True), labels[batch].T).mean(0).sum()

    def look(model: nn.Module) -> dict[str, Tensor]:
        seen = features(model, own_images[members], own=True)
        weight, bias = last_layer(model)
        logits = torch.einsum("nmd,kmd->nmk", seen, weight) + bias.T
        return {"features": seen, "logits": logits, "weight": weight, "bias": bias}

    def measure(model: nn.Module) -> dict[str, Tensor]:
        seen = look(model)
        target = labels[:, None].expand(-1, len(members))
        tested = model(test_images).argmax(-1) == test_labels[:, None]
        numbers = {
            "loss": losses(seen["logits"], target).mean(0),
            "accuracy": (seen["logits"].argmax(-1) == target).double().mean(0),
            "test_accuracy": tested.double().mean(0),
        }
        numbers |= last_layer_numbers(seen["features"], labels, seen["logits"], seen["weight"])
        return numbers | {name: torch.stack(values) for name, values in squared_parts(seen).items()}

    def squared_parts(seen: dict[str, Tensor]) -> dict[str, list[Tensor]]:
        """Where the squared error comes from, for those that train with it; NaN for the others."""
        decay = config.weight_decay * config.classes / 2
        nothing = SquaredErrorParts(*torch.full((3,), torch.nan, dtype=torch.float64, device=labels.device))
        found = [
            squared_error_parts(
                seen["features"][:, k], labels, seen["weight"][:, k], seen["bias"][:, k], weight_decay=decay
            )
            if settings[k // len(seeds)] == "squared error"
            else nothing
            for k in range(len(members))
        ]
        return {f"{name}_part": [getattr(parts, name) for parts in found] for name in SquaredErrorParts._fields}

    def snapshot(model: nn.Module) -> dict[str, Any]:
        seen = look(model)["features"]
        arrays: dict[str, Any] = {"labels": labels}
        for place, setting in enumerate(settings):
            own = seen[:, place * len(seeds)]  # of the first seed
            arrays[f"points/{setting}"] = in_three(own, labels).float()
            arrays[f"cosines/{setting}"] = cosines(class_means(own, labels).centred)
            arrays[f"nc1/{setting}"] = within_class_variability(own, labels).reshape(1)
        return arrays

    at = _steps(config.steps, config.measurements)
    trained = train(
        model,
        objective,
        Shuffled(len(labels), config.batch_size, [stream(seed, 3) for seed in seeds]),
        optimizer,
        steps=config.steps,
        scheduler=torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, config.steps),
        measure=measure,
        at=at,
        snapshot=snapshot,
        snapshot_at=[0, *np.geomspace(1, config.steps, max(2, config.kept - 1)).round().astype(int).tolist()],
        seeds=range(len(members)),
        checkpoint=place / "training" if place else None,
    )
    member = trained.history.pop("seed").to_numpy()
    about = {"setting": np.array(settings)[member // len(seeds)], "seed": np.array(seeds)[member % len(seeds)]}
    shots = tuple(
        Snapshot(setting, step, {name: arrays[f"{name}/{setting}"] for name in KEPT} | {"labels": arrays["labels"]})
        for setting in settings
        for step, arrays in trained.snapshots
    )
    return Unit(trained.history.assign(**about), shots)


def last_layer_numbers(seen: Tensor, labels: Tensor, logits: Tensor, weight: Tensor) -> dict[str, Tensor]:
    """All numbers of the last layer in one row: features (n, members, units), weights (classes, members, units)."""
    centred = class_means(seen, labels).centred
    classes = len(centred)
    apart = ~torch.eye(classes, dtype=torch.bool, device=seen.device)
    away = (cosines(centred) + 1 / (classes - 1)).abs()
    return {
        "nc1": within_class_variability(seen, labels),
        "equinorm": equinorm(centred),
        "coherence": coherence(centred),
        "worst_cosine": away[..., apart].amax(-1),
        "weight_coherence": coherence(weight),
        "nc2_zhu": frame_distance(gram(weight)),
        "nc3": self_duality(weight, centred),
        "nc3_centred": self_duality(weight - weight.mean(0), centred),
        "nc3_zhu": frame_distance(gram(weight, centred.to(weight))),
        "nc4": nearest_mean_mismatch(seen, labels, logits),
    }


def last_layer(model: nn.Module) -> tuple[Tensor, Tensor]:
    """Weight (classes, members, units) and bias (classes, members) of the last layer of an Ensemble."""
    *_, weight, bias = model.parameters()
    if bias.ndim == 3:  # stacked affine layers: (members, units, classes) and (members, 1, classes)
        return weight.permute(2, 0, 1), bias[:, 0].T
    return weight.transpose(0, 1), bias.T


def summary(run: Run) -> pd.DataFrame:
    """What the run came to: a row for each setting and seed.

    Returns:
        zero_step: the first measured step without a mistake on the training images; NaN where there is none.
        nc1_there, nc1_end, fell: NC1 at that step and at the end, and their ratio.
        The last measurement's other numbers under their own names.
    """
    rows = []
    for (setting, seed), lines in run.history.groupby(["setting", "seed"], sort=False):
        lines = lines.sort_values("step")
        right, end = lines[lines["accuracy"] == 1], lines.iloc[-1]
        step, there = right.iloc[0][["step", "nc1"]] if len(right) else (np.nan, np.nan)
        about = {"setting": setting, "seed": seed, "zero_step": step, "nc1_there": there, "nc1_end": end["nc1"]}
        about["fell"] = there / end["nc1"]
        rows.append(about | end.drop(["setting", "seed", "step", "nc1"]).to_dict())
    return pd.DataFrame(rows)


def _steps(last: int, count: int) -> list[int]:
    """0, `count` steps in geometric order, and every hundredth of the way over the first quarter, up to the last."""
    early = range(0, last // 4, max(1, last // 100))  # there the last training error goes
    return sorted({0, last, *early, *np.geomspace(1, last, max(2, count)).round().astype(int).tolist()})
