"""Row statistics of held logits as operators of torch, so that graphs, fake tensors and autograd know them.

On a CPU the operators are the plain PyTorch of `lossbook.kernels.statistics`, on CUDA the Triton kernels, imported
when the first CUDA tensor arrives. A target of `ignore_index` says that its row does not count: all its statistics are
0, and so is its gradient, whatever stands in the row.
"""

from typing import Any

import torch
from torch import Tensor

from lossbook.kernels.layout import slots
from lossbook.kernels.statistics import Rows, accumulation_dtype, logits_gradient_, values, whole

IGNORED = -1  # the target of a row that does not count


def _split(names: str) -> tuple[str, ...]:
    return tuple(names.split(","))


def _parts(names: str) -> int:
    return max(slots(_split(names))) + 1


@torch.library.custom_op("lossbook::row_statistics", mutates_args=(), device_types="cpu")
def row_statistics(
    logits: Tensor, target: Tensor | None, class_weight: Tensor | None, names: str, ignore_index: int = IGNORED
) -> tuple[Tensor, Tensor]:
    """The statistics (names, rows) of logits (rows, classes), and the states (parts, rows) that the gradient needs.

    Args:
        logits: (rows, classes), any strides.
        target: (rows,) or (rows, positives) class indices, (rows, classes) soft targets, or None.
        class_weight: (classes,), in the accumulation dtype, or None.
        names: of the statistics, joined by commas.
        ignore_index: the target of a row that does not count.
    """
    rows, counts = _rows_that_count(logits, target, class_weight, ignore_index)
    dtype = accumulation_dtype(logits.dtype)
    out = logits.new_zeros((len(_split(names)), logits.shape[0]), dtype=dtype)
    for k, value in enumerate(values(_split(names), rows).values()):
        out[k, counts] = value
    return out, logits.new_zeros((_parts(names), logits.shape[0]), dtype=dtype)  # the CPU forms them again


@torch.library.custom_op("lossbook::row_statistics_backward", mutates_args=(), device_types="cpu")
def row_statistics_backward(
    upstream: Tensor,
    logits: Tensor,
    target: Tensor | None,
    class_weight: Tensor | None,
    state: Tensor,
    names: str,
    ignore_index: int = IGNORED,
) -> Tensor:
    """Σ_k upstream_k ∂statistic_k/∂logits, from the upstream (names, rows), of any strides, and the states."""
    rows, counts = _rows_that_count(logits, target, class_weight, ignore_index)
    given: dict[str, Tensor | None] = dict(zip(_split(names), upstream[:, counts], strict=True))
    known = whole(rows, values(_split(names), rows))
    gradient = torch.zeros_like(logits)
    gradient[counts] = logits_gradient_(rows._replace(logits=rows.logits.clone()), given, known).to(logits.dtype)
    return gradient


def _rows_that_count(
    logits: Tensor, target: Tensor | None, class_weight: Tensor | None, ignore_index: int
) -> tuple[Rows, Tensor]:
    counts = torch.ones(logits.shape[0], dtype=torch.bool, device=logits.device)
    if target is not None and not target.is_floating_point():
        counts = (target != ignore_index).reshape(len(target), -1).any(-1)
        target = target[counts]
    return Rows(logits[counts].to(accumulation_dtype(logits.dtype)), target, class_weight), counts


@row_statistics.register_kernel("cuda")
def _(
    logits: Tensor, target: Tensor | None, class_weight: Tensor | None, names: str, ignore_index: int = IGNORED
) -> tuple[Tensor, Tensor]:
    from lossbook.kernels import triton_dense

    return triton_dense.forward(_split(names), logits, target, class_weight, ignore_index)


@row_statistics_backward.register_kernel("cuda")
def _(
    upstream: Tensor,
    logits: Tensor,
    target: Tensor | None,
    class_weight: Tensor | None,
    state: Tensor,
    names: str,
    ignore_index: int = IGNORED,
) -> Tensor:
    from lossbook.kernels import triton_dense

    return triton_dense.backward(_split(names), upstream, logits, target, class_weight, state, ignore_index)


@row_statistics.register_fake
def _(
    logits: Tensor, target: Tensor | None, class_weight: Tensor | None, names: str, ignore_index: int = IGNORED
) -> tuple[Tensor, Tensor]:
    dtype, rows = accumulation_dtype(logits.dtype), logits.shape[0]
    return (
        logits.new_empty((len(_split(names)), rows), dtype=dtype),
        logits.new_empty((_parts(names), rows), dtype=dtype),
    )


@row_statistics_backward.register_fake
def _(
    upstream: Tensor,
    logits: Tensor,
    target: Tensor | None,
    class_weight: Tensor | None,
    state: Tensor,
    names: str,
    ignore_index: int = IGNORED,
) -> Tensor:
    return torch.empty_like(logits)


def _keep(ctx: Any, inputs: tuple, output: tuple[Tensor, Tensor]) -> None:
    logits, target, class_weight, ctx.names, ctx.ignore_index = inputs
    ctx.mark_non_differentiable(output[1])
    ctx.save_for_backward(logits, target, class_weight, output[1])


def _differentiate(ctx: Any, upstream: Tensor, _: Tensor) -> tuple[Tensor | None, ...]:
    logits, target, class_weight, state = ctx.saved_tensors
    gradient = row_statistics_backward(upstream, logits, target, class_weight, state, ctx.names, ctx.ignore_index)
    return gradient, None, None, None, None


def _keep_nothing(ctx: Any, inputs: tuple, output: Tensor) -> None:
    pass


def _refuse(ctx: Any, upstream: Tensor) -> None:
    raise RuntimeError(
        "row statistics give first derivatives only on this engine; "
        "for second ones use lossbook.kernels.statistics.values, which is plain PyTorch"
    )


row_statistics.register_autograd(_differentiate, setup_context=_keep)
row_statistics_backward.register_autograd(_refuse, setup_context=_keep_nothing)


def statistics(names: tuple[str, ...], rows: Rows) -> dict[str, Tensor]:
    """The named statistics of held logits, differentiable by them; a row whose targets are all -1 gives zeros.

    >>> found = statistics(("target",), Rows(torch.tensor([[1.0, 2.0], [3.0, 4.0]]), torch.tensor([1, -1])))
    >>> found["target"].tolist()
    [2.0, 0.0]
    """
    logits, target, class_weight = rows
    if not names:
        return {}
    if isinstance(target, Tensor) and target.requires_grad and torch.is_grad_enabled():  # soft targets that learn
        return values(names, rows._replace(logits=logits.to(accumulation_dtype(logits.dtype))))
    out, _ = row_statistics(logits, target, class_weight, ",".join(names), IGNORED)
    return dict(zip(names, out, strict=True))
