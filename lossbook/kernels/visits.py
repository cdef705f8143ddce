"""What the chunked engine does with a chunk of logits once it is formed: read the statistics, add the gradients.

Four ways, one interface: `read` forms the logits of some rows and gives their statistics, `add` turns the same logits
into their gradient, in place, and takes the two products. `visit` chooses.
"""

from importlib.util import find_spec
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from lossbook.kernels.linear import Gradients, Linear
from lossbook.kernels.statistics import (
    Rows,
    add_at_targets_,
    log_probabilities,
    logits_gradient_,
    need_log_probabilities,
    softmax_,
    values,
    whole,
)

Names = tuple[str, ...]
HAS_TRITON = find_spec("triton") is not None


@runtime_checkable
class Visit(Protocol):
    """A way to visit chunks; `add` is of the rows that were read last."""

    def read(self, start: int, stop: int) -> dict[str, Tensor]:
        """The statistics of some rows, each (stop − start,)."""

    def add(self, gradients: Gradients, coefficients: dict[str, Tensor | None], numbers: dict[str, Tensor]) -> None:
        """Add the gradients of those rows, from the derivatives of the loss by their statistics."""


def visit(names: Names, linear: Linear) -> Visit:
    """The quickest way that serves."""
    several = linear.target is not None and not linear.target.is_floating_point() and linear.target.ndim == 2
    if HAS_TRITON and linear.features.is_cuda and linear.softcap is None and not several:
        return _ByTriton(names, linear)
    # A float16 factor, a row's share of a mean, would lose its digits; a soft cap multiplies each entry by its own.
    if names == ("log_probability",) and linear.softcap is None and linear.features.dtype != torch.float16:
        return _BySoftmax(names, linear)
    of_others = "others_logsumexp" in names and set(names) <= {"target", "others_logsumexp"}
    if of_others and not several and linear.softcap is None:
        return _BySoftmaxOfOthers(names, linear)
    return _Plain(names, linear)


class _Plain:
    """Any statistics, in plain PyTorch: room for the logits and, where one looks at them, the log-probabilities."""

    def __init__(self, names: Names, linear: Linear):
        self.names, self.linear, self.buffer = names, linear, linear.buffer()
        self.second = torch.empty_like(self.buffer) if need_log_probabilities(names) else None

    def read(self, start: int, stop: int) -> dict[str, Tensor]:
        self.span, self.rows = (start, stop), self.linear.chunk(start, stop, self.buffer)
        self.log_p = log_probabilities(self.names, self.rows.logits, self.second)
        return values(self.names, self.rows, self.log_p)

    def add(self, gradients: Gradients, coefficients: dict[str, Tensor | None], numbers: dict[str, Tensor]) -> None:
        slope = self.linear.slope(self.rows.logits)
        gradient = logits_gradient_(self.rows, coefficients, whole(self.rows, numbers), self.log_p)
        gradients.add(*self.span, gradient if slope is None else gradient.mul_(slope))


class _BySoftmax:
    """Functions of log p_y alone, which are most losses: one softmax in place, and c (e_y − p) as the gradient.

    c is left to the small sides of the two products, so that one pass over the logits is saved.
    """

    def __init__(self, names: Names, linear: Linear):
        self.linear, self.buffer = linear, linear.buffer()

    def read(self, start: int, stop: int) -> dict[str, Tensor]:
        self.span, self.rows = (start, stop), self.linear.chunk(start, stop, self.buffer)
        return {"log_probability": softmax_(self.rows)}

    def add(self, gradients: Gradients, coefficients: dict[str, Tensor | None], numbers: dict[str, Tensor]) -> None:
        p, target, _ = self.rows
        given = coefficients["log_probability"]
        factor = p.new_zeros(len(p)) if given is None else -given
        add_at_targets_(p, target, -torch.ones_like(factor))
        gradients.add(*self.span, p, factor)


class _BySoftmaxOfOthers:
    """Functions of z_y and of the log-sum-exp M of the other classes: one softmax over those, in place.

    M is the largest score less the logarithm of its share. The gradient is the shares times one number a row, and
    another number at the target.
    """

    def __init__(self, names: Names, linear: Linear):
        self.linear, self.buffer = linear, linear.buffer()

    def read(self, start: int, stop: int) -> dict[str, Tensor]:
        self.span, self.rows = (start, stop), self.linear.chunk(start, stop, self.buffer)
        logits, index = self.rows.logits, self.rows.target[:, None]
        own = logits.gather(-1, index).squeeze(-1)
        top, place = logits.scatter_(-1, index, -torch.inf).max(-1, keepdim=True)
        shares = torch.softmax(logits, -1, out=logits)
        nobody = top == -torch.inf  # a row without other classes has no shares
        if bool(nobody.any()):
            shares.masked_fill_(nobody, 0.0)
        others = torch.where(nobody, top, top - shares.gather(-1, place).log())
        return {"target": own, "others_logsumexp": others.squeeze(-1)}

    def add(self, gradients: Gradients, coefficients: dict[str, Tensor | None], numbers: dict[str, Tensor]) -> None:
        shares, target, _ = self.rows
        by_others, own = coefficients["others_logsumexp"], coefficients.get("target")
        gradient = shares.zero_() if by_others is None else shares.mul_(by_others[:, None])
        if own is not None:
            add_at_targets_(gradient, target, own)
        gradients.add(*self.span, gradient)


class _ByTriton:
    """Any statistics on a GPU: one kernel reads the logits, one writes their gradient over them, in their own dtype."""

    def __init__(self, names: Names, linear: Linear):
        self.names, self.linear = names, linear
        shape = (linear.rows_per_chunk(), linear.weight.shape[0])
        self.buffer = linear.features.new_empty(shape)

    def read(self, start: int, stop: int) -> dict[str, Tensor]:
        from lossbook.kernels import triton_dense

        _, weight, bias, target, class_weight, *_ = self.linear
        features, out = self.linear.features[start:stop], self.buffer[: stop - start]
        logits = (
            torch.mm(features, weight.T, out=out) if bias is None else torch.addmm(bias, features, weight.T, out=out)
        )
        self.span, self.rows = (start, stop), Rows(logits, None if target is None else target[start:stop], class_weight)
        found, self.state = triton_dense.forward(self.names, *self.rows, ignore_index=-1)
        return dict(zip(self.names, found, strict=True))

    def add(self, gradients: Gradients, coefficients: dict[str, Tensor | None], numbers: dict[str, Tensor]) -> None:
        from lossbook.kernels import triton_dense

        given = [
            numbers[name].new_zeros(()).expand_as(numbers[name]) if c is None else c for name, c in coefficients.items()
        ]
        gradient = triton_dense.backward(
            self.names, torch.stack(given), *self.rows, self.state, ignore_index=-1, out=self.rows.logits
        )
        gradients.add(*self.span, gradient)
