"""The one door between losses and engines: `row_statistics` and `row_loss`, of a tensor or of `LinearLogits`.

A loss is a function of a few numbers a row. This room checks the input, hands it to the engine that fits where the
tensors live, and reduces; it knows no loss, and the engines know no reduction.
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from lossbook import kernels
from lossbook.batches import Batch, check_names, prepare
from lossbook.checks import bad_type, bad_value, check_reduction
from lossbook.linear_logits import LinearLogits

__all__ = ["LinearLogits", "Statistics", "row_loss", "row_statistics"]


class Statistics:
    """The numbers of each row, a field a name, and `classes`; to a row function also `weight`, that of the row's class.

    >>> Statistics(logsumexp=1.5, classes=3)
    Statistics(logsumexp=1.5, classes=3)
    """

    def __init__(self, **numbers: Any):
        for name, number in numbers.items():
            setattr(self, name, number)

    def __repr__(self) -> str:
        return f"Statistics({', '.join(f'{name}={number!r}' for name, number in vars(self).items())})"

    if TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any: ...


def _statistics(batch: Batch, names: tuple[str, ...]) -> dict[str, Tensor]:
    if isinstance(batch.data, kernels.Linear):
        return kernels.linear_statistics(names, batch.data)
    return kernels.dense_statistics(names, batch.data)


def row_statistics(
    logits: Float[Tensor, "*batch classes"] | LinearLogits,
    target: Int[Tensor, "*batch"] | Int[Tensor, "*batch positives"] | Float[Tensor, "*batch classes"] | None,
    names: Sequence[str],
    *,
    weight: Float[Tensor, " classes"] | None = None,
    ignore_index: int = -100,
) -> Statistics:
    """The few numbers through which a loss sees each row of scores, differentiable.

    Args:
        logits: (*batch, classes), or `LinearLogits`.
        target: (*batch) class indices, or soft targets (*batch, classes) where a statistic looks at them; None where
            none does. "others_logsumexp" also takes several right classes a row, (*batch, positives), the empty places
            filled with `ignore_index`.
        names: among `lossbook.kernels.NAMES`, which says what each is.
        weight: (classes,) class weights, for the statistics that hold them.
        ignore_index: rows with this target give 0 and no gradient.

    Returns:
        A namespace with one field a name, each of shape (*batch), and `classes`.

    Raises:
        TypeError, ValueError: naming the argument, what it got and what was expected.

    Example:
        >>> stats = row_statistics(torch.tensor([[2.0, 1.0, 0.0]]), torch.tensor([0]), ("target", "logsumexp"))
        >>> round(float(stats.logsumexp - stats.target), 6)        # cross-entropy
        0.407606
    """
    names = check_names(names)
    batch = prepare(logits, target, names, weight, ignore_index)
    found = _statistics(batch, names)
    return Statistics(classes=batch.classes, **{name: batch.restore(value) for name, value in found.items()})


def row_loss(
    row: Callable[[Statistics], Tensor],
    logits: Float[Tensor, "*batch classes"] | LinearLogits,
    target: Int[Tensor, "*batch"] | Float[Tensor, "*batch classes"] | None,
    names: Sequence[str],
    *,
    weight: Float[Tensor, " classes"] | None = None,
    ignore_index: int = -100,
    reduction: str = "mean",
    row_is_weighted: bool = False,
) -> Float[Tensor, "..."]:
    """A loss from its row function: check, choose the engine, reduce.

    Args:
        row: from a namespace of statistics, each of shape (rows,), to one loss a row. It also finds `classes`, the
            number of classes, and `weight`, the weight of each row's class (1 where none is given).
        logits, target, names, ignore_index: as in `row_statistics`.
        weight: (classes,) class weights. A row is multiplied by the weight of its class, and "mean" divides by the sum
            of the weights of the rows that count, as torch does; where that sum is 0, or no row counts, the mean is 0.
        reduction: "mean", "sum" or "none".
        row_is_weighted: the row function has used `weight` itself; it is then only divided by.

    Returns:
        A scalar, or (*batch) for "none", in the dtype of the logits.

    Raises:
        TypeError, ValueError: naming the argument, what it got and what was expected.

    Example:
        >>> logits, target = torch.tensor([[2.0, 1.0, 0.0]]), torch.tensor([0])
        >>> loss = row_loss(lambda stats: stats.logsumexp - stats.target, logits, target, ("target", "logsumexp"))
        >>> bool(torch.isclose(loss, torch.nn.functional.cross_entropy(logits, target)))
        True
    """
    check_reduction(reduction)
    if not callable(row):
        raise bad_type("row", row, "a function from statistics to one loss per row")
    names = check_names(names)
    batch = prepare(logits, target, names, weight, ignore_index)

    def on_numbers(numbers: dict[str, Tensor], row_weight: Tensor) -> Tensor:
        values = row(Statistics(classes=batch.classes, weight=row_weight, **numbers))
        if not isinstance(values, Tensor) or values.shape != row_weight.shape:
            raise bad_value("row", values, f"a function to one value per row, shape {tuple(row_weight.shape)}")
        return values if row_is_weighted else values * row_weight

    scale = torch.ones_like(batch.row_weight)
    if reduction == "mean":
        divisor = batch.row_weight.sum()
        scale = scale / torch.where(divisor == 0, torch.ones_like(divisor), divisor)
    if (
        isinstance(batch.data, kernels.Linear)
        and reduction != "none"
        and kernels.takes_one_visit(on_numbers, names, batch.data, batch.row_weight)
    ):
        loss = kernels.linear_total(on_numbers, names, batch.data, batch.row_weight, scale)
    else:
        values = on_numbers(_statistics(batch, names), batch.row_weight)
        loss = batch.restore(values) if reduction == "none" else (batch.counted(values) * scale).sum()
    # Under autocast a loss is at least a float32, as torch's are.
    widened = torch.is_autocast_enabled(logits.device.type)
    return loss.to(kernels.accumulation_dtype(logits.dtype) if widened else logits.dtype)
