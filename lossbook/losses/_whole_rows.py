"""The door for losses that no few numbers of a row can tell: they see the whole row."""

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

from lossbook import kernels
from lossbook.batches import prepare
from lossbook.checks import bad_value, check_reduction
from lossbook.kernels import whole_rows
from lossbook.linear_logits import LinearLogits
from lossbook.losses._classification import Logits, Target, Weight


def whole_row_loss(
    row: Callable[[Tensor, Tensor], Tensor],
    logits: Logits,
    target: Target,
    *,
    weight: Weight = None,
    ignore_index: int = -100,
    reduction: str = "mean",
) -> Float[Tensor, "..."]:
    """A loss from a function of whole rows: check, form the rows, reduce. `row_loss` is its quicker sister.

    Args:
        row: (logits (rows, classes), class indices (rows,)) to one loss a row, by plain PyTorch, row by row. It may
            depend on nothing learned but the logits.
        logits: (*batch, classes); or `LinearLogits`, of which a chunk of rows is formed at a time.
        target, weight, ignore_index, reduction: as in `row_loss`.

    Returns:
        A scalar, or (*batch) for "none", in the dtype of the logits.

    Raises:
        TypeError, ValueError: naming the argument, what it got and what was expected.

    Example:
        >>> second = lambda logits, target: logits.sort(-1).values[:, -2]        # no statistic knows the second largest
        >>> whole_row_loss(second, torch.tensor([[2.0, 1.0, 0.0]]), torch.tensor([0]))
        tensor(1.)
    """
    check_reduction(reduction)
    if isinstance(logits, LinearLogits):
        for name, plain in (("group", (None,)), ("engine", ("auto", "chunked"))):
            if getattr(logits, name) not in plain:
                expected = " or ".join(f"{name}={choice!r}" for choice in plain)
                raise bad_value(f"logits.{name}", getattr(logits, name), f"{expected}: this loss sees whole rows")
    batch = prepare(logits, target, ("target",), weight, ignore_index)
    scale = batch.row_weight
    if reduction == "mean":
        divisor = scale.sum()
        scale = scale / torch.where(divisor == 0, torch.ones_like(divisor), divisor)
    compiled = torch.compiler.is_compiling()  # a graph takes the derivative by itself
    if isinstance(batch.data, kernels.Linear) and reduction != "none" and not compiled:
        loss = whole_rows.total(row, batch.data, scale)
    else:
        linear = isinstance(batch.data, kernels.Linear)
        values = whole_rows.each(row, batch.data) if linear else whole_rows.dense(row, *batch.data[:2])  # type: ignore
        loss = batch.restore(values * batch.row_weight) if reduction == "none" else (values * scale).sum()
    widened = torch.is_autocast_enabled(logits.device.type)
    return loss.to(kernels.accumulation_dtype(logits.dtype) if widened else logits.dtype)
