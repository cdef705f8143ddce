"""What is measured, as data: the book's engines, PyTorch's own ways, and the bare work that bounds them all.

A method's `build` gets a `Case` and returns a function from the input tensors to the mean loss. It may raise
`NotHere` where a package or a feature is missing; that becomes a row of the table which says so.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import FunctionType
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from lossbook import losses
from lossbook.benchmarks.configurations import Configuration
from lossbook.benchmarks.formulas import LOSSES, WITHOUT_LOGITS, on_scores
from lossbook.logits import LinearLogits

GIBIBYTE = 2**30
CHUNKS = 8  # torchtune's and torchtitan's default


class NotHere(Exception):
    """A package, a device or a feature that a method needs is missing."""


class Case(NamedTuple):
    """What a method is built for."""

    configuration: Configuration
    loss: str  # a name in LOSSES
    target: Tensor
    device: torch.device


class Bare(NamedTuple):
    """Work without a loss, which bounds the methods: the calls, by measure, and how much each does."""

    calls: Mapping[str, Callable[[], Any]]
    work: Mapping[str, float]  # bytes moved, or multiplications and additions


Function = Callable[..., Tensor]


@dataclass(frozen=True)
class Method:
    """A way to compute losses.

    Args:
        name: in the table.
        kind: of configurations that it serves.
        build: from a case to the function that is timed, or to bare work.
        losses: those that it has; None for all.
        device: "cuda" where it needs a GPU.
        package: whose version the table gives; "" for the book and PyTorch.
        ours: one of the book's engines.
        eager: the plain formula in the inputs' number format, which errors are held to.
        approximate: it skips small gradients by design.
        overwrites: it writes over its first input, which is therefore restored after each call.
        compiles: its first call is slow.
        halves: only for inputs in half precision.
    """

    name: str
    kind: str
    build: Callable[[Case], Function | Bare]
    losses: tuple[str, ...] | None = None
    device: str = "any"
    package: str = ""
    ours: bool = False
    eager: bool = False
    approximate: bool = False
    overwrites: bool = False
    compiles: bool = False
    halves: bool = False

    def serves(self, configuration: Configuration, loss: str, device: torch.device) -> bool:
        """Whether it takes part in a configuration with a loss on a device."""
        return (
            self.kind == configuration.kind
            and self.device in ("any", device.type)
            and not (self.halves and configuration.element_bytes > 2)
            and (self.losses is None or loss in self.losses)
            and (loss in configuration.losses or self.ours or self.eager)
            and not self.name.startswith(configuration.without or ("\0",))
        )


# The book's engines


def _book(loss: str) -> Callable[..., Tensor]:
    found = LOSSES[loss]
    function = getattr(losses, found.function, None)
    if function is None:
        raise NotHere(f"lossbook has no {found.function}")
    return lambda *arguments, **options: function(*arguments, **found.options, **options)


def _dense(case: Case) -> Function:
    function = _book(case.loss)
    return lambda logits: function(logits, case.target)


def _linear(**options: Any) -> Callable[[Case], Function]:
    def build(case: Case) -> Function:
        function = _book(case.loss)
        return lambda features, weight: function(LinearLogits(features, weight, **options), case.target)

    return build


def _pairs(case: Case) -> Function:
    function = _book(case.loss)
    if case.loss == "siglip_loss":
        return lambda images, texts, scale, bias: function(images, texts, scale=scale, bias=bias)
    return lambda images, texts, scale, bias: function(images, texts, temperature=1 / scale, symmetric=True)


# PyTorch's ways


def whole(case: Case, *, widened: bool | None = None) -> Function:
    """The formula on the whole matrix of logits, as a function of the configuration's tensors."""
    if case.configuration.kind == "pairs":
        return LOSSES[case.loss].formula
    mean = on_scores(LOSSES[case.loss], widened=widened)
    if case.configuration.kind == "rows":
        return lambda logits: mean(logits, case.target)
    return lambda features, weight: mean(features @ weight.T, case.target)


def _widened(case: Case) -> Function:
    return whole(case, widened=True)


def _compiled(case: Case) -> Function:
    # Tuned where there are only element maps and sums: matrix products are the vendor's either way, and slow to tune.
    tuned = case.device.type == "cuda" and case.configuration.kind == "rows"
    mode = "max-autotune-no-cudagraphs" if tuned else None
    return torch.compile(_by_itself(whole(case, widened=True)), dynamic=False, mode=mode)


def _by_itself(function: Any) -> Function:
    # Functions made in one place share their code, and PyTorch compiles one code eight times at most.
    return FunctionType(
        function.__code__.replace(), function.__globals__, function.__name__, None, function.__closure__
    )


def _fused_linear(chunks: int = 0) -> Callable[[Case], Function]:
    """PyTorch's own chunked function: its automatic choice, or so many chunks, with sums that lose no digits."""

    def build(case: Case) -> Function:
        function, make = getattr(F, "linear_cross_entropy", None), getattr(torch.nn, "LinearCrossEntropyOptions", None)
        if function is None or make is None:
            raise NotHere(f"torch {torch.__version__} has no F.linear_cross_entropy with options, which came in 2.12")
        options: dict[str, Any] = {}
        if chunks:
            options = {"chunking_method": None, "batch_chunk_size": -(-case.configuration.rows // chunks)}
            if case.configuration.element_bytes == 2:
                options["acc_policy"] = "accurate"
        return lambda features, weight: function(features, weight, case.target, options=make(**options))

    return build


def _torchtune(case: Case) -> Function:
    """The idea of torchtune: a chunk of rows at a time, compiled; autograd keeps what each chunk made."""

    def part(features: Tensor, weight: Tensor, target: Tensor) -> Tensor:
        return F.cross_entropy((features @ weight.T).float(), target, reduction="sum")

    one = torch.compile(_by_itself(part), dynamic=False) if case.device.type == "cuda" else part
    targets = case.target.chunk(CHUNKS)

    def loss(features: Tensor, weight: Tensor) -> Tensor:
        parts = zip(features.chunk(CHUNKS), targets, strict=True)
        return torch.stack([one(rows, weight, target) for rows, target in parts]).sum() / len(case.target)

    return loss


class _ChunkBackward(torch.autograd.Function):
    """The idea of torchtitan: a chunk's backward pass right after its forward pass, so that only one is held."""

    @staticmethod
    def forward(ctx: Any, features: Tensor, weight: Tensor, target: Tensor, mean: Function) -> Tensor:
        leaves = features.detach(), weight.detach().requires_grad_(ctx.needs_input_grad[1])
        gradients = [torch.empty_like(features), torch.zeros_like(weight)]
        total = torch.zeros((), dtype=torch.float32, device=features.device)
        for rows, right, into in zip(*(t.chunk(CHUNKS) for t in (leaves[0], target, gradients[0])), strict=True):
            rows = rows.detach().requires_grad_(ctx.needs_input_grad[0])
            with torch.set_grad_enabled(any(ctx.needs_input_grad)):
                part = mean(rows @ leaves[1].T, right) * (len(right) / len(target))
            total += part.detach()
            if part.requires_grad:
                by_rows, by_weight = torch.autograd.grad(part, (rows, leaves[1]))
                into.copy_(by_rows)
                gradients[1] += by_weight
        ctx.save_for_backward(*gradients)
        return total

    @staticmethod
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor | None, ...]:
        return *(upstream.to(kept.dtype) * kept for kept in ctx.saved_tensors), None, None


def _torchtitan(case: Case) -> Function:
    mean = on_scores(LOSSES[case.loss], widened=True)
    return lambda features, weight: _ChunkBackward.apply(features, weight, case.target, mean)


def _checkpointed(case: Case) -> Function:
    """SigLIP's loss a chunk of images at a time, each chunk's logits formed again in the backward pass."""
    size = max(1, math.ceil(case.configuration.rows / CHUNKS))

    def part(images: Tensor, texts: Tensor, own: Tensor, scale: Tensor, bias: Tensor) -> Tensor:
        right = scale * (images * own).sum(-1) + bias
        return F.softplus(scale * images @ texts.T + bias).sum() - right.sum()

    def loss(images: Tensor, texts: Tensor, scale: Tensor, bias: Tensor) -> Tensor:
        chunks = zip(images.split(size), texts.split(size), strict=True)
        parts = [checkpoint(part, rows, texts, own, scale, bias, use_reentrant=False) for rows, own in chunks]
        return torch.stack(parts).sum() / len(images)

    return loss


# Bare work


def _copy(case: Case) -> Bare:
    c = case.configuration
    source = torch.zeros(c.rows, c.classes, dtype=getattr(torch, c.dtype), device=case.device)
    target = torch.zeros_like(source)
    return Bare({"forward": lambda: target.copy_(source)}, {"forward": 2.0 * source.nbytes})


def _products(case: Case) -> Bare:
    """Logits, gradient of the features, gradient of the weight: into memory that is there already."""
    c = case.configuration
    options: dict[str, Any] = {"dtype": getattr(torch, c.dtype), "device": case.device}
    features, weight = torch.randn(c.rows, c.dimension, **options), torch.randn(c.classes, c.dimension, **options)
    logits, by_features = torch.empty(c.rows, c.classes, **options), torch.empty_like(features)
    by_weight = torch.empty_like(weight)

    def one() -> None:
        torch.mm(features, weight.T, out=logits)

    def three() -> None:
        one()
        torch.mm(logits, weight, out=by_features)
        torch.mm(logits.T, features, out=by_weight)

    return Bare({"forward": one, "both": three}, {"forward": c.product_operations, "both": 3 * c.product_operations})


def _square_product(case: Case) -> Bare:
    """The product that the device is best at, for its peak rate."""
    size = 8192 if case.device.type == "cuda" else 2048
    left, right = (
        torch.randn(size, size, dtype=getattr(torch, case.configuration.dtype), device=case.device) for _ in range(2)
    )
    into = torch.empty_like(left)
    return Bare({"forward": lambda: torch.mm(left, right, out=into)}, {"forward": 2.0 * size**3})


COPY, PRODUCTS, SQUARE = BARE = ("copy", "three products", "square product")
_CROSS_ENTROPY = ("cross_entropy",)
METHODS: tuple[Method, ...] = (
    Method("PyTorch eager", "rows", whole, eager=True),
    Method("PyTorch eager, float32", "rows", _widened, losses=_CROSS_ENTROPY, halves=True),
    Method("torch.compile", "rows", _compiled, compiles=True),
    Method("lossbook", "rows", _dense, ours=True),
    Method(COPY, "rows", _copy, losses=_CROSS_ENTROPY),
    Method("PyTorch eager", "linear", whole, eager=True),
    Method("PyTorch eager, float32", "linear", _widened, losses=_CROSS_ENTROPY, halves=True),
    Method("torch.compile", "linear", _compiled, compiles=True),
    Method("F.linear_cross_entropy, auto", "linear", _fused_linear(), losses=_CROSS_ENTROPY),
    Method("F.linear_cross_entropy, 8 chunks", "linear", _fused_linear(CHUNKS), losses=_CROSS_ENTROPY),
    Method("torchtune, 8 chunks", "linear", _torchtune, losses=_CROSS_ENTROPY),
    Method("torchtitan, 8 chunks", "linear", _torchtitan, losses=_CROSS_ENTROPY),
    Method("lossbook chunked", "linear", _linear(engine="chunked"), ours=True),
    Method(
        "lossbook chunked, 1 GiB", "linear", _linear(engine="chunked", memory_budget=GIBIBYTE), device="cuda", ours=True
    ),
    Method("lossbook tile", "linear", _linear(engine="tile"), ours=True),
    Method("lossbook gram", "linear", _linear(engine="gram"), losses=WITHOUT_LOGITS, ours=True),
    Method(PRODUCTS, "linear", _products, losses=_CROSS_ENTROPY),
    Method(SQUARE, "linear", _square_product, losses=_CROSS_ENTROPY),
    Method("PyTorch eager", "pairs", whole, eager=True),
    Method("torch.compile", "pairs", _compiled, compiles=True),
    Method("PyTorch, 8 checkpointed chunks", "pairs", _checkpointed, losses=("siglip_loss",)),
    Method("lossbook", "pairs", _pairs, ours=True),
    Method(PRODUCTS, "pairs", _products, losses=("siglip_loss",)),
    Method(SQUARE, "pairs", _square_product, losses=("siglip_loss",)),
)
