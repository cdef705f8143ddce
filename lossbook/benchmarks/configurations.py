"""What is measured: the shapes, the number formats and the scores, as data, and the tensors that they stand for."""

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from lossbook.benchmarks.formulas import losses_of
from lossbook.checks import check_choice, check_count

KINDS = ("rows", "linear", "pairs")
SCORES = ("trained", "random")
MEASURES = ("forward", "both")
ROW_LOSSES = losses_of("rows")
STANDARD_DEVIATION = 4.0  # of the scores of wrong classes, as language models have them
ADVANTAGE = 14.0  # what the right class's score has on top, on average
SCALE, BIAS = {"trained": 100.0, "random": 10.0}, -10.0  # of pair losses; 10 and -10 is where SigLIP begins
SIMILARITY = 0.25  # the cosine of a matching pair, once trained


@dataclass(frozen=True)
class Configuration:
    """One shape at which methods take turns.

    Args:
        kind: "rows" (logits are given), "linear" (features and weight are) or "pairs" (two sets of embeddings).
        rows, classes, dimension: N, V, D. Pairs have as many classes as rows; rows of logits have no dimension.
        dtype: of the inputs.
        scores: "trained" has a spread of 4 and favours the right class, "random" has a spread of 1 and does not.
        losses: measured by every method that has them.
        ours: losses measured by the book's engines, and by PyTorch's eager formula, which is what errors are held to.
        without: beginnings of the names of methods that are left out, for want of time or memory.
        measures: "forward" (no gradient asked for), "both" (loss and gradients).
        check_rows: how many rows a method is checked on before it is timed; 0 for all.
        seconds: that the timed turns may take.
        least: turns that every method has, whatever they take.
    """

    kind: str
    rows: int
    classes: int
    dimension: int = 0
    dtype: str = "bfloat16"
    scores: str = "trained"
    losses: tuple[str, ...] = ("cross_entropy",)
    ours: tuple[str, ...] = ()
    without: tuple[str, ...] = ()
    measures: tuple[str, ...] = MEASURES
    check_rows: int = 0
    seconds: float = 12.0
    least: int = 5

    def __post_init__(self) -> None:
        check_choice("kind", self.kind, KINDS)
        check_choice("scores", self.scores, SCORES)
        check_choice("dtype", self.dtype, ("bfloat16", "float16", "float32", "float64"))
        for name in ("rows", "classes", "least"):
            check_count(name, getattr(self, name))
        check_count("dimension", self.dimension, least=0 if self.kind == "rows" else 1)
        for loss in (*self.losses, *self.ours):
            check_choice("losses", loss, losses_of(self.kind))
        for measure in self.measures:
            check_choice("measures", measure, MEASURES)

    @property
    def element_bytes(self) -> int:
        """Bytes of one number of the inputs."""
        return getattr(torch, self.dtype).itemsize

    @property
    def product_operations(self) -> float:
        """F = 2NVD, the multiplications and additions of one matrix product; 0 where the logits are given."""
        return 2.0 * self.rows * self.classes * self.dimension

    def __str__(self) -> str:
        shape = f"N={self.rows} V={self.classes}" + (f" D={self.dimension}" if self.dimension else "")
        return f"{self.kind} {shape} {self.dtype} {self.scores}"


class Inputs(NamedTuple):
    """The tensors of a configuration: leaves that gradients are taken by, and the right classes."""

    tensors: tuple[Tensor, ...]  # (logits,), (features, weight) or (images, texts, scale, bias)
    target: Tensor  # (rows,)


def inputs(configuration: Configuration, device: torch.device | str = "cpu", seed: int = 0) -> Inputs:
    """Tensors for a configuration, the same for the same seed and device.

    Trained-like scores are Gaussian with standard deviation 4 and 14 more for the right class, and the right classes
    follow Zipf's law; random ones have standard deviation 1 and no favourite. The spread matters to methods that skip
    what is small.

    Example:
        >>> made = inputs(Configuration("linear", 8, 5, 3, "float32"))
        >>> [tuple(tensor.shape) for tensor in made.tensors], tuple(made.target.shape)
        ([(8, 3), (5, 3)], (8,))
    """
    generator = torch.Generator(device).manual_seed(seed)
    trained, dtype = configuration.scores == "trained", getattr(torch, configuration.dtype)
    n, v, d = configuration.rows, configuration.classes, configuration.dimension

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, device=device)

    if configuration.kind == "pairs":
        images, texts = (torch.nn.functional.normalize(normal(n, d), dim=-1) for _ in range(2))
        if trained:
            texts = SIMILARITY * images + math.sqrt(1 - SIMILARITY**2) * texts
        made = [images, texts, torch.tensor(SCALE[configuration.scores]), torch.tensor(BIAS)]
        target = torch.arange(n, device=device)
    else:
        uniform = torch.rand(n, generator=generator, device=device, dtype=torch.float64)
        target = ((v + 1.0) ** uniform - 1 if trained else v * uniform).long().clamp(max=v - 1)
        spread = STANDARD_DEVIATION if trained else 1.0
        if configuration.kind == "rows":
            made = [spread * normal(n, v)]
            if trained:
                made[0].scatter_add_(-1, target[:, None], torch.full((n, 1), ADVANTAGE, device=device))
        else:
            features, weight = normal(n, d), normal(v, d).mul_(spread / math.sqrt(d))
            if trained:
                features += ADVANTAGE / spread**2 * weight[target]
            made = [features, weight]
    return Inputs(tuple(t.to(device, dtype).requires_grad_() for t in made), target)


def narrow(configuration: Configuration, given: Inputs, rows: int) -> Inputs:
    """The first rows of a configuration's tensors; of pairs, the first pairs. All of them where rows is 0."""
    if rows == 0 or rows >= configuration.rows:
        return given
    cut = {"rows": 1, "linear": 1, "pairs": 2}[configuration.kind]  # how many of the tensors have rows
    tensors = tuple(
        tensor.detach()[:rows].clone().requires_grad_() if k < cut else tensor for k, tensor in enumerate(given.tensors)
    )
    return Inputs(tensors, given.target[:rows])


_PAIR_LOSSES = losses_of("pairs")
_OTHER_ROW_LOSSES = tuple(loss for loss in ROW_LOSSES if loss != "cross_entropy")
_LINEAR_OURS = ("generalized_cross_entropy", "stablemax_cross_entropy", "z_loss")

CUDA = (
    Configuration("linear", 8192, 128256, 4096, ours=_LINEAR_OURS, seconds=25),
    Configuration("rows", 8192, 128256, losses=ROW_LOSSES, seconds=20),
    Configuration("rows", 16384, 32000, ours=_OTHER_ROW_LOSSES, seconds=15),
    Configuration("pairs", 32768, 32768, 512, losses=_PAIR_LOSSES, check_rows=4096, seconds=15),
    Configuration("linear", 8192, 256000, 2304, ours=_LINEAR_OURS, seconds=25),
    Configuration("linear", 16384, 32000, 2048, ours=_LINEAR_OURS, seconds=12),
    Configuration("linear", 32768, 50257, 768, seconds=12),
    Configuration("linear", 8192, 1000, 2048, seconds=4),
    Configuration("rows", 4096, 262144, seconds=6),
    Configuration("rows", 32768, 4096, seconds=5),
    Configuration("rows", 32768, 1024, seconds=5),
    Configuration(
        "pairs", 8192, 8192, 512, losses=_PAIR_LOSSES, without=("torch.compile",), check_rows=4096, seconds=6
    ),
    Configuration(
        "pairs", 32768, 32768, 1024, losses=_PAIR_LOSSES, without=("torch.compile",), check_rows=4096, seconds=12
    ),
    Configuration("linear", 8192, 256000, 2304, scores="random", without=("torch.compile",), seconds=15),
    Configuration("rows", 8192, 128256, scores="random", without=("torch.compile",), seconds=6),
    Configuration(
        "pairs", 32768, 32768, 512, scores="random", losses=_PAIR_LOSSES, without=("torch.compile",), check_rows=4096,
        seconds=8,
    ),
)  # fmt: skip
CPU = (
    Configuration("linear", 4096, 50257, 512, "float32", ours=_LINEAR_OURS, check_rows=512, seconds=240, least=3),
    Configuration(
        "linear", 4096, 200_000, 256, "float32", ours=("z_loss",), without=("PyTorch", "torch", "F.", "lossbook tile"),
        check_rows=256, seconds=60, least=3,
    ),
    Configuration("rows", 2048, 50257, 0, "float32", losses=ROW_LOSSES, seconds=60),
    Configuration("pairs", 4096, 4096, 512, "float32", losses=_PAIR_LOSSES, seconds=30),
    Configuration("linear", 1024, 32000, 256, "float32", "random", ours=_LINEAR_OURS, seconds=40),
    Configuration("rows", 2048, 50257, 0, "float32", "random", seconds=10),
)  # fmt: skip
QUICK = (
    Configuration("rows", 512, 32000, 0, "float32", ours=_LINEAR_OURS, seconds=5, least=3),
    Configuration(
        "pairs", 1024, 1024, 256, "float32", losses=_PAIR_LOSSES, without=("torch.compile",), seconds=3, least=3
    ),
    Configuration(
        "linear", 512, 16000, 128, "float32", "random", ours=_LINEAR_OURS, seconds=8, least=3,
        without=("torch.compile", "F.linear_cross_entropy, auto"),
    ),
    Configuration(
        "linear", 4096, 50257, 512, "float32", measures=("both",), check_rows=256, seconds=20, least=2,
        without=("torch", "F.linear_cross_entropy, auto", "lossbook tile", "square"),
    ),
)  # fmt: skip
QUICK_CUDA = tuple(
    Configuration(c.kind, c.rows, c.classes, c.dimension, without=("torch.compile",), check_rows=1024, seconds=3)
    if c.kind != "pairs"
    else Configuration("pairs", 8192, 8192, 512, losses=_PAIR_LOSSES, without=("torch.compile",), check_rows=1024)
    for c in CUDA[1:4] + CUDA[5:6]
)
# After so many seconds no further configuration of a set is begun: by (kind of device, whether quick).
LIMITS: dict[tuple[str, bool], float] = {("cuda", False): 450.0, ("cuda", True): 100.0}


def configurations(
    device: torch.device | str, quick: bool = False, only: str | None = None
) -> tuple[Configuration, ...]:
    """The set for a device: the whole one, or the quick one of two minutes; all kinds, or one.

    Example:
        >>> [str(found) for found in configurations("cpu", quick=True, only="pairs")]
        ['pairs N=1024 V=1024 D=256 float32 trained']
    """
    if only is not None:
        check_choice("only", only, KINDS)
    on_gpu = torch.device(device).type == "cuda"
    found = (QUICK_CUDA if on_gpu else QUICK) if quick else (CUDA if on_gpu else CPU)
    return tuple(configuration for configuration in found if only in (None, configuration.kind))
