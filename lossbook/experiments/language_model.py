"""A language model over a whole vocabulary of words, trained with the logits held and with the logits never whole.

The last few words are embedded and pass through one tanh layer; the next word is one of 16,196 (Austen's six novels) or
one of a generated text. Every way to train starts alike and sees the same batches: only the engine behind cross-entropy
differs, and for the last one a filter that skips blocks of small gradients.

Every so often the gradient p − e_y of some held-out words is looked at as cut cross-entropy's filter would: in blocks
of 128 words of text by 128 classes, of which those with no entry of 2⁻¹² or more are skipped. Classes are cut into
blocks in dictionary order, by frequency, or by their mean logit, as published.

Seen over the five seeds 0 to 4 at the small scale:

    batch losses of "held" and "chunked", furthest apart: 1.4e-6 nats of about 6
    perplexity of held-out words after 60 steps: 416 to 424, frequencies alone 517
    blocks skipped at the end: 0.82 to 0.83 by mean logit, 0.81 to 0.82 by frequency, at most 0.04 in dictionary order
    error of the gradient by the features: 0.12 to 0.15 at step 20, 0.046 to 0.065 at step 60, by mean logit
    "filtered" and "chunked": batch losses up to 0.047 nats apart, held-out loss within 0.011 nats

Two things expected do not come out. The share that is skipped does not grow with training, it falls a little: the model
begins at the words' frequencies, where the softmax is peaked already. And sorting by mean logit is no better than
sorting by frequency, which costs nothing.

On the generated text with 50,257 words the filter skips 0.91 to 0.92, and the gradient by the features is off by 0.39
to 0.57 in the first 20 steps.

Reference: Wijmans et al. 2025, arXiv 2411.09009.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pandas as pd
import torch
from torch import Tensor, nn

from lossbook import LinearLogits, datasets
from lossbook.checks import check_choice, check_count
from lossbook.devices import device
from lossbook.experiments.run import Run, Snapshot, Unit, run_units, seeds_of, stream
from lossbook.losses import cross_entropy
from lossbook.metrics import blocks_kept, filtered

Logits = Callable[[Tensor, Tensor, Tensor], Tensor | LinearLogits]


def ways(config: "Config") -> dict[str, Logits]:
    """Name -> from features, weight and bias to what cross-entropy takes."""
    budget = config.memory_budget
    return {
        "held": lambda features, weight, bias: torch.addmm(bias, features, weight.T),
        "chunked": lambda *parts: LinearLogits(*parts, memory_budget=budget, engine="chunked"),
        "tile": lambda *parts: LinearLogits(*parts, memory_budget=budget, engine="tile"),
        "filtered": lambda *parts: LinearLogits(
            *parts, memory_budget=budget, engine="tile", gradient_filter=config.epsilon
        ),
    }


@dataclass(frozen=True)
class Config:
    """What is trained and how. `words` and `tokens` are of the generated text; seeds count from `first_seed`."""

    data: str = "austen"  # or "generated"
    ways: tuple[str, ...] = ("held", "chunked", "filtered")
    words: int = 50_257
    tokens: int = 200_000
    context: int = 2
    dimension: int = 32
    steps: int = 60
    batch_size: int = 128
    learning_rate: float = 1e-2
    every: int = 20
    test_words: int = 2048  # held-out words that the loss is measured on
    looked_at: int = 512  # held-out words whose gradient is looked at: four rows of blocks
    epsilon: float = 2.0**-12
    memory_budget: int = 4 * 2**20
    seeds: int = 1
    first_seed: int = 0


SCALES = {
    "tiny": Config(
        data="generated", words=600, tokens=4000, dimension=8, steps=20, every=10, batch_size=64, epsilon=2.0**-7
    ),
    "small": Config(),
    "paper": Config(
        ways=("held", "chunked", "tile", "filtered"),
        dimension=256,
        steps=20_000,
        every=1000,
        learning_rate=2e-3,
        seeds=5,
    ),
}


class NextWord(nn.Module):
    """Embeds the preceding words, mixes them in one tanh layer, and holds the classifier's weight and bias.

    It begins at the optimal constant, the logarithms of the words' frequencies, so that every step goes to the context.
    """

    def __init__(self, log_frequency: Tensor, context: int, dimension: int, generator: torch.Generator):
        super().__init__()
        words = len(log_frequency)

        def normal(*shape: int) -> nn.Parameter:
            return nn.Parameter(torch.randn(shape, generator=generator))

        self.embedding = normal(words, dimension)
        self.mixing = nn.Parameter(normal(dimension, context * dimension).detach() / math.sqrt(context * dimension))
        self.weight = nn.Parameter(torch.zeros(words, dimension))
        self.bias = nn.Parameter(log_frequency.clone())

    def forward(self, preceding: Tensor) -> Tensor:
        """(batch, context) indices of words to (batch, dimension) features."""
        return torch.tanh(self.embedding[preceding].flatten(1) @ self.mixing.T)


def log_frequencies(data: datasets.Dataset) -> Tensor:
    """The logarithm of each word's share of the training words, each count plus one."""
    counts = data.train_labels.bincount(minlength=data.classes) + 1.0
    return (counts / counts.sum()).log()


def orders(data: datasets.Dataset, logits: Tensor) -> dict[str, Tensor]:
    """The classes in the orders in which they are cut into blocks."""
    counts = data.train_labels.bincount(minlength=data.classes)
    return {
        "dictionary": torch.arange(data.classes, device=logits.device),
        "frequency": counts.argsort(descending=True),
        "mean logit": logits.mean(0).argsort(),
    }


def run(config: Config = SCALES["small"], progress: bool = True, folder: str | Path | None = None) -> Run:
    """Train in each way, and look at the gradient as the filter would.

    Args:
        config: one of `SCALES`, or your own.
        progress: show a bar, a step a seed and way.
        folder: where finished ones are kept, and looked for.

    Returns:
        History with rows of two kinds, by `part`:
            training: `setting` is the way; seed, step, `batch_loss` (nats, of the batch of this step; NaN at step 0),
                and where it was measured `loss` (nats, on held-out words) and `unigram`, what frequencies alone give.
            filter (of the first way): `setting` is the order of the classes; seed, step, `skipped` (share of blocks),
                `above` (share of the softmax's entries that are at least ε), `lost` (share of the probability that lies
                in skipped blocks), `error` (of the gradient by the features, relative).
        Snapshots of the first seed, first way: `sorted`, the softmax sorted and averaged over the words looked at.

    Example:
        >>> found = run(SCALES["tiny"], progress=False).history
        >>> training = found[found.part == "training"].pivot(index="step", columns="setting", values="batch_loss")
        >>> bool((training["held"] - training["chunked"]).abs().max() < 1e-3)       # nats
        True

    Reference: Wijmans et al. 2025, arXiv 2411.09009.
    """
    check_choice("data", config.data, ("austen", "generated"))
    for way in config.ways:
        check_choice("ways", way, ways(config))
    for name in ("words", "context", "dimension", "steps", "batch_size", "every", "test_words", "looked_at"):
        check_count(name, getattr(config, name))
    units = {
        f"seed={seed} {way}": partial(_train, config, seed, way) for seed in seeds_of(config) for way in config.ways
    }
    return run_units("language_model", config, units, progress=progress, folder=folder, device=device())


def text(config: Config, seed: int) -> datasets.Dataset:
    """The examples that a config asks for."""
    if config.data == "austen":
        return datasets.austen_words(context=config.context)
    tokens = datasets.zipf_text(config.tokens, config.words, generator=stream(seed, 1))
    names = tuple(f"word {k}" for k in range(config.words))
    return datasets.next_word("generated", tokens, names, context=config.context)


def _train(config: Config, seed: int, way: str) -> Unit:
    data = text(config, seed).to(device())
    log_frequency = log_frequencies(data)
    model = NextWord(log_frequency.cpu(), config.context, config.dimension, stream(seed, 2)).to(device())
    logits = ways(config)[way]
    optimiser = torch.optim.Adam(model.parameters(), lr=config.learning_rate, betas=(0.9, 0.99))
    batches = torch.randint(len(data.train_labels), (config.steps, config.batch_size), generator=stream(seed, 3))
    held_out, first = _some(len(data.test_labels), config.test_words).to(device()), way == config.ways[0]
    unigram = float(-log_frequency[data.test_labels[held_out]].mean())
    rows: list[dict[str, object]] = []
    snapshots: list[Snapshot] = []
    for step in range(config.steps + 1):
        row: dict[str, object] = {"part": "training", "setting": way, "seed": seed, "step": step}
        measured = step % config.every == 0 or step == config.steps
        if step:
            batch = batches[step - 1].to(device())
            features = model(data.train_features[batch])
            loss = cross_entropy(logits(features, model.weight, model.bias), data.train_labels[batch])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            row["batch_loss"] = loss.item()
        if measured:
            row |= {"loss": _held_out_loss(config, data, model, held_out), "unigram": unigram}
        rows.append(row)
        if measured and first:
            seen, snapshot = _as_the_filter_sees(config, data, model, seed, step)
            rows += seen
            snapshots += [snapshot] * (seed == config.first_seed)
    return Unit(pd.DataFrame(rows), tuple(snapshots))


def _some(count: int, wanted: int) -> Tensor:
    """Evenly spaced indices: words from all over the text."""
    return torch.linspace(0, count - 1, min(wanted, count)).long()


@torch.no_grad()
def _held_out_loss(config: Config, data: datasets.Dataset, model: NextWord, chosen: Tensor) -> float:
    features = model(data.test_features[chosen])
    logits = LinearLogits(features, model.weight, model.bias, memory_budget=config.memory_budget)
    return float(cross_entropy(logits, data.test_labels[chosen]))


@torch.no_grad()
def _as_the_filter_sees(
    config: Config, data: datasets.Dataset, model: NextWord, seed: int, step: int
) -> tuple[list[dict[str, object]], Snapshot]:
    chosen = _some(len(data.test_labels), config.looked_at).to(device())
    features, target = model(data.test_features[chosen]), data.test_labels[chosen]
    logits = torch.addmm(model.bias, features, model.weight.T)
    probability = torch.softmax(logits, 1)
    gradient = probability.clone()
    gradient[torch.arange(len(target)), target] -= 1
    exact = gradient @ model.weight
    above = float((probability >= config.epsilon).double().mean())
    rows: list[dict[str, object]] = []
    for name, order in orders(data, logits).items():
        kept = filtered(gradient, config.epsilon, order=order)
        lost = probability[kept != gradient].double().sum() / len(target)
        error = (kept @ model.weight - exact).norm() / exact.norm() if exact.any() else torch.tensor(math.nan)
        share = 1 - float(blocks_kept(gradient, config.epsilon, order=order).double().mean())
        about = {"part": "filter", "setting": name, "seed": seed, "step": step}
        rows.append(about | {"skipped": share, "above": above, "lost": float(lost), "error": float(error)})
    mean = probability.sort(1, descending=True).values.mean(0)
    return rows, Snapshot(config.ways[0], step, {"sorted": mean.cpu().numpy()})
