"""Where does a label look? Documents in which each label has planted one of its words.

A document is a row of random words. Each of its labels has put one of its own two key words at a random place; a
document without the label has neither. Some labels are frequent and most are rare. An embedding and label-wise
attention learn the labels, by binary cross-entropy or by LDAM of many labels; nobody tells them where the words are.
Both start from the same values and see the same batches. What must hold is `HEADLINES`, fixed after a look at seed 100.
"""

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NamedTuple

import pandas as pd
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from lossbook.checks import check_choice
from lossbook.experiments.headlines import Headline
from lossbook.experiments.run import Run, Snapshot, Unit, run_units, seeds_of, stream
from lossbook.losses import multi_label_ldam_loss
from lossbook.metrics import frequency_groups, label_recall, macro_f1, mean_average_precision, micro_f1
from lossbook.models import LabelAttention
from lossbook.training import fit

STRENGTHS = {"BCE": 0.0, "LDAM, C = 3": 3.0}
KEYS = 2  # key words of a label


@dataclass(frozen=True)
class Config:
    """What is drawn and trained; words from `labels` · 2 on are nobody's key words."""

    losses: tuple[str, ...] = tuple(STRENGTHS)
    seeds: int = 5
    first_seed: int = 0
    train: int = 2000
    test: int = 1000
    labels: int = 12
    words: int = 200
    length: int = 40
    exponent: float = 1.0
    width: int = 16
    hidden: int = 32
    epochs: int = 20
    batch: int = 100
    learning_rate: float = 1e-2
    every: int = 5


SCALES = {
    "tiny": Config(seeds=1, train=600, test=300, labels=6, words=40, length=15, epochs=8, every=4),
    "small": Config(),
    "paper": Config(train=8_000, test=2_000, labels=50, words=20_000, length=2_500, width=128, hidden=256, epochs=80),
}


class Documents(NamedTuple):
    """Words, labels, and for each label the place at which its key word stands; −1 where the label is not there."""

    tokens: Int[Tensor, "documents length"]
    labels: Float[Tensor, "documents labels"]
    places: Int[Tensor, "documents labels"]


class Reader(nn.Module):
    """An embedding and label-wise attention."""

    def __init__(self, words: int, width: int, hidden: int, labels: int, *, generator: torch.Generator):
        super().__init__()
        self.words = nn.Parameter(torch.randn(words, width, generator=generator) / width**0.5)
        self.block = LabelAttention(width, hidden, labels, generator=generator)

    def forward(self, tokens: Int[Tensor, "batch length"]) -> Float[Tensor, "batch labels"]:
        """The score of each label."""
        return self.block(self.words[tokens])

    def attention(self, tokens: Int[Tensor, "batch length"]) -> Float[Tensor, "batch labels length"]:
        """How much each label looks at each word."""
        return self.block.attention(self.words[tokens])


def run(config: Config = SCALES["small"], progress: bool = True, folder: str | Path | None = None) -> Run:
    """Train a reader with each loss and seed.

    Args:
        config: one of `SCALES`, or your own.
        progress: show a bar, a step a unit.
        folder: where finished units are kept, and looked for.

    Returns:
        History with a row for each setting, seed and step, all numbers of test documents:
            mass, tail_mass: what the attention of a label that is there gives the place of its key word; the mean over
                all such pairs, and over those of the rarest third of the labels. Looking everywhere gives 1/length.
            map, macro_f1, micro_f1, tail_recall: as in `lossbook.experiments.many_labels`.
        Snapshots of the first seed at each measurement: `attention` of the test document with the most labels, a row a
        label that is there, `labels` and `places` of its key words.

    Example:
        >>> end = run(SCALES["tiny"], progress=False).history.groupby("setting").last()
        >>> bool((end.mass > 2 / 15).all())                      # twice of what looking everywhere gives
        True

    Reference: Biswas, Pham & Zhang 2021, arXiv 2104.10652.
    """
    for name in config.losses:
        check_choice("losses", name, STRENGTHS)
    units = {
        f"{name} seed={seed}": partial(_train, config, name, seed)
        for seed in seeds_of(config)
        for name in config.losses
    }
    return run_units("label_attention", config, units, progress=progress, folder=folder)


def documents(count: int, config: Config, chances: Tensor, *, generator: torch.Generator) -> Documents:
    """Documents in which label j is there with the chance `chances[j]`, by itself.

    Example:
        >>> made = documents(50, SCALES["tiny"], torch.full((6,), 0.5), generator=torch.Generator().manual_seed(0))
        >>> found = made.tokens.gather(1, made.places.clamp(min=0)) // 2 == torch.arange(6)
        >>> bool((found | (made.labels == 0)).all())                     # where it is said to be, there it stands
        True
    """
    labels = (torch.rand(count, config.labels, generator=generator) < chances).float()
    tokens = torch.randint(KEYS * config.labels, config.words, (count, config.length), generator=generator)
    places = torch.rand(count, config.length, generator=generator).argsort(1)[:, : config.labels]
    keys = KEYS * torch.arange(config.labels) + torch.randint(KEYS, (count, config.labels), generator=generator)
    there = labels == 1
    tokens = tokens.scatter(1, places, torch.where(there, keys, tokens.gather(1, places)))
    return Documents(tokens, labels, torch.where(there, places, -1))


def _train(config: Config, name: str, seed: int) -> Unit:
    generator = stream(seed, 1)
    rank = torch.randperm(config.labels, generator=generator)
    chances = 0.5 * (1.0 + rank) ** -config.exponent
    known, held_out = (documents(n, config, chances, generator=generator) for n in (config.train, config.test))
    model = Reader(config.words, config.width, config.hidden, config.labels, generator=stream(seed, 2))
    counts = known.labels.sum(0)
    tail = frequency_groups(counts)[-1]
    richest = int(held_out.labels.sum(1).argmax())
    rows: list[dict[str, object]] = []
    snapshots: list[Snapshot] = []

    def measure(step: int, model: nn.Module) -> None:
        scores, attention = model(held_out.tokens), model.attention(held_out.tokens)  # type: ignore[operator]
        there = held_out.labels == 1
        mass = attention.gather(2, held_out.places.clamp(min=0)[..., None])[..., 0]
        recall = label_recall(scores > 0, held_out.labels)
        about = {"setting": name, "seed": seed, "step": step, "mass": float(mass[there].mean())}
        about["tail_mass"] = float(mass[:, tail][there[:, tail]].mean())
        about["map"] = mean_average_precision(scores, held_out.labels)
        about |= {"macro_f1": macro_f1(scores > 0, held_out.labels), "micro_f1": micro_f1(scores > 0, held_out.labels)}
        rows.append(about | {"tail_recall": float(recall[tail].nanmean())})
        if seed == config.first_seed:
            labels = there[richest].nonzero()[:, 0]
            arrays = {
                "attention": attention[richest, labels].numpy(),
                "labels": labels.numpy(),
                "places": held_out.places[richest, labels].numpy(),
            }
            snapshots.append(Snapshot(name, step, arrays))

    fit(
        model,
        lambda logits, target: multi_label_ldam_loss(logits, target, counts=counts, strength=STRENGTHS[name]),
        known.tokens,
        known.labels,
        epochs=config.epochs,
        batch_size=config.batch,
        learning_rate=config.learning_rate,
        generator=stream(seed, 3),
        evaluate=lambda model: {},  # `measure` keeps the rows
        every=config.every * -(-config.train // config.batch),
        snapshot=measure,
    )
    return Unit(pd.DataFrame(rows), tuple(snapshots))


def _mass(run: Run, name: str) -> pd.Series:
    rows = run.history[run.history["setting"] == name]
    return rows[rows["step"] == rows["step"].max()].set_index("seed")["mass"]


HEADLINES = (
    Headline(
        "transicd_ldam",
        "a label that is there gives half of its attention or more to the one word that says so",
        lambda run: _mass(run, "LDAM, C = 3") - 0.5,
        "of attention",
        "attention maps shown to point at the words a coder would name",
    ),
)
"""What the paper claims, as this experiment can ask it."""
