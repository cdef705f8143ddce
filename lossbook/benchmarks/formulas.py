"""The losses that are measured, as one would write them in PyTorch: the rivals of the book's engines, and their judges.

Each formula is a transcription of its own, on logits that are held, and shares no code with the book's loss. In float64
it is what every method is held to; in the inputs' format it is the eager method, and compiled the method of
`torch.compile`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

HALVES = (torch.float16, torch.bfloat16)


@dataclass(frozen=True)
class Loss:
    """A loss that is measured: its formula, and the book's function for it.

    Args:
        formula: of logits and target to one value a row; of pairs, of images, texts, scale and bias to one number.
        function: the name of the book's function in `lossbook.losses`.
        options: what the function is called with.
        kinds: of configurations that measure it.
        native: PyTorch itself has it, for half precision too; others are computed in float32 there.
    """

    formula: Callable[..., Tensor]
    function: str
    options: Mapping[str, Any] = field(default_factory=dict)
    kinds: tuple[str, ...] = ("rows", "linear")
    native: bool = False


def _at(logits: Tensor, target: Tensor) -> Tensor:
    return logits.gather(-1, target[:, None]).squeeze(-1)


def _probability(logits: Tensor, target: Tensor) -> Tensor:
    return _at(logits.softmax(-1), target)


def _sum_exponential(logits: Tensor, target: Tensor) -> Tensor:
    return torch.expm1(F.cross_entropy(logits, target, reduction="none"))


def _smoothed(logits: Tensor, target: Tensor) -> Tensor:
    return F.cross_entropy(logits, target, label_smoothing=0.1, reduction="none")


def _cross_entropy(logits: Tensor, target: Tensor) -> Tensor:
    return F.cross_entropy(logits, target, reduction="none")


def _comp_sum(logits: Tensor, target: Tensor) -> Tensor:
    return 2 * (1 - torch.exp(-F.cross_entropy(logits, target, reduction="none") / 2))


def _logit_square(logits: Tensor, target: Tensor) -> Tensor:
    return logits.logsumexp(-1).square()


def _stablemax(logits: Tensor, target: Tensor) -> Tensor:
    grown = torch.where(logits < 0, 1 / (1 - logits.clamp(max=0)), logits + 1)
    return torch.log(grown.sum(-1)) - torch.log(_at(grown, target))


def _z_loss(logits: Tensor, target: Tensor) -> Tensor:
    deviation, mean = torch.std_mean(logits, -1, correction=0)
    return F.softplus((mean - _at(logits, target)) / deviation)


def _squared_error(logits: Tensor, target: Tensor) -> Tensor:
    return logits.square().sum(-1) - 2 * _at(logits, target) + 1


def _spherical_softmax(logits: Tensor, target: Tensor) -> Tensor:
    raised = logits.square() + 0.1
    return torch.log(raised.sum(-1)) - torch.log(_at(raised, target))


def _taylor_softmax(logits: Tensor, target: Tensor) -> Tensor:
    raised = 1 + logits + logits.square() / 2
    return torch.log(raised.sum(-1)) - torch.log(_at(raised, target))


def _decoupled(logits: Tensor, target: Tensor) -> Tensor:
    others = logits.scatter(-1, target[:, None], -torch.inf)
    return F.softplus(others.logsumexp(-1) - _at(logits, target))


def _siglip(images: Tensor, texts: Tensor, scale: Tensor, bias: Tensor) -> Tensor:
    logits = scale * images @ texts.T + bias
    return (F.softplus(logits).sum() - logits.diagonal().sum()) / len(images)


def _symmetric_info_nce(images: Tensor, texts: Tensor, scale: Tensor, bias: Tensor) -> Tensor:
    logits, target = scale * images @ texts.T, torch.arange(len(images), device=images.device)
    return (F.cross_entropy(logits, target) + F.cross_entropy(logits.T, target)) / 2


LOSSES: dict[str, Loss] = {
    "cross_entropy": Loss(_cross_entropy, "cross_entropy", native=True),
    "smoothed_cross_entropy": Loss(_smoothed, "cross_entropy", {"label_smoothing": 0.1}, native=True),
    "comp_sum_loss": Loss(_comp_sum, "comp_sum_loss", {"tau": 1.5}),
    "generalized_cross_entropy": Loss(
        lambda z, y: (1 - _probability(z, y) ** 0.7) / 0.7, "generalized_cross_entropy", {"q": 0.7}
    ),
    "sum_exponential_loss": Loss(_sum_exponential, "sum_exponential_loss"),
    "mean_absolute_error_loss": Loss(lambda z, y: 1 - _probability(z, y), "mean_absolute_error_loss"),
    "logit_square_penalty": Loss(_logit_square, "logit_square_penalty"),
    "stablemax_cross_entropy": Loss(_stablemax, "stablemax_cross_entropy"),
    "decoupled_softmax_loss": Loss(_decoupled, "decoupled_softmax_loss"),
    "z_loss": Loss(_z_loss, "z_loss"),
    "one_hot_squared_error_loss": Loss(_squared_error, "one_hot_squared_error_loss"),
    "log_spherical_softmax_loss": Loss(_spherical_softmax, "log_spherical_softmax_loss", {"epsilon": 0.1}),
    "taylor_softmax_loss": Loss(_taylor_softmax, "taylor_softmax_loss"),
    "siglip_loss": Loss(_siglip, "siglip_loss", kinds=("pairs",), native=True),
    "symmetric_info_nce": Loss(_symmetric_info_nce, "info_nce_loss", kinds=("pairs",), native=True),
}
WITHOUT_LOGITS = ("z_loss", "one_hot_squared_error_loss", "log_spherical_softmax_loss", "taylor_softmax_loss")


def losses_of(kind: str) -> tuple[str, ...]:
    """The names of the losses that a kind of configuration measures.

    Example:
        >>> losses_of("pairs")
        ('siglip_loss', 'symmetric_info_nce')
    """
    return tuple(name for name, loss in LOSSES.items() if kind in loss.kinds)


def on_scores(loss: Loss, *, widened: bool | None = None) -> Callable[[Tensor, Tensor], Tensor]:
    """A formula's mean over rows of logits; in half precision in float32, but where PyTorch has the loss itself."""

    def mean(logits: Tensor, target: Tensor) -> Tensor:
        wide = not loss.native if widened is None else widened
        return loss.formula(logits.float() if wide and logits.dtype in HALVES else logits, target).mean()

    return mean
