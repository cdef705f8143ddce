"""The one door between losses and engines: `LinearLogits`, `row_statistics`, `row_loss`.

A loss is a function of a few numbers a row. This room checks the input, hands it to the engine that fits where the
tensors live, and reduces; it knows no loss, and the engines know no reduction.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from lossbook import kernels
from lossbook.checks import (
    bad_type,
    bad_value,
    check_choice,
    check_floating,
    check_reduction,
    check_same_device,
)


@dataclass(frozen=True, eq=False)
class LinearLogits:
    """Logits that stand for features @ weight.T + bias and are never held whole.

    Args:
        features: (*batch, dimension), floating point.
        weight: (classes, dimension), the classifier; for contrastive losses, the other side's embeddings.
        bias: (classes,), or None.
        memory_budget: bytes that one chunk of logits may take, 64 MiB by default.

    Every loss on row statistics takes it in place of a logits tensor and gives the same value and gradients.

    Raises:
        TypeError: a tensor that is not floating point, or dtypes that differ.
        ValueError: shapes that do not fit, tensors on different devices, a budget that is not positive.

    Example:
        >>> from lossbook.losses import cross_entropy
        >>> features, weight = torch.eye(2, dtype=torch.float64), torch.tensor([[1.0, 0], [0, 2], [0, 0]]).double()
        >>> target = torch.tensor([0, 1])
        >>> held = cross_entropy(features @ weight.T, target)
        >>> bool(torch.isclose(cross_entropy(LinearLogits(features, weight), target), held, rtol=1e-15))
        True
    """

    features: Float[Tensor, "*batch dimension"]
    weight: Float[Tensor, "classes dimension"]
    bias: Float[Tensor, " classes"] | None = None
    memory_budget: int = field(default=64 * 2**20, kw_only=True)

    def __post_init__(self) -> None:
        features = check_floating("features", self.features)
        weight, bias = check_floating("weight", self.weight), self.bias
        if features.ndim < 1:
            raise bad_value("features", features, "shape (*batch, dimension)")
        if weight.ndim != 2 or weight.shape[1] != features.shape[-1] or weight.shape[0] < 1:
            raise bad_value("weight", weight, f"shape (classes, {features.shape[-1]}) with at least one class")
        if bias is not None and check_floating("bias", bias).shape != weight.shape[:1]:
            raise bad_value("bias", bias, f"shape ({weight.shape[0]},)")
        for name, tensor in (("weight", weight), ("bias", bias)):
            if tensor is not None:
                check_same_device(name, tensor, "features", features)
                if tensor.dtype != features.dtype:
                    raise bad_type(name, tensor, f"the dtype of features, {features.dtype}")
        if isinstance(self.memory_budget, bool) or not isinstance(self.memory_budget, int):
            raise bad_type("memory_budget", self.memory_budget, "a whole number of bytes > 0")
        if self.memory_budget < 1:
            raise bad_value("memory_budget", self.memory_budget, "a whole number of bytes > 0")

    @property
    def shape(self) -> torch.Size:
        """(*batch, classes)."""
        return torch.Size((*self.features.shape[:-1], self.weight.shape[0]))

    @property
    def dtype(self) -> torch.dtype:
        """The dtype of features, weight and bias."""
        return self.features.dtype

    @property
    def device(self) -> torch.device:
        """The device of features, weight and bias."""
        return self.features.device

    def materialize(self) -> Float[Tensor, "*batch classes"]:
        """The logits themselves, for a look or a comparison."""
        logits = self.features @ self.weight.T
        return logits if self.bias is None else logits + self.bias


class _Batch(NamedTuple):
    """Checked input: the rows that count, flattened, and the way back to the batch's shape."""

    data: kernels.Rows | kernels.Linear
    classes: int
    row_weight: Tensor  # (rows that count,)
    shape: torch.Size  # of the batch
    kept: Tensor | None  # (rows,) True where a row counts; None when all do


def _prepare(
    logits: Tensor | LinearLogits,
    target: Tensor | None,
    names: Sequence[str],
    weight: Tensor | None,
    ignore_index: int,
) -> _Batch:
    if not isinstance(logits, LinearLogits):
        check_floating("logits", logits)
        if logits.ndim < 1 or logits.shape[-1] < 1:
            raise bad_value("logits", logits, "shape (*batch, classes) with at least one class")
    if isinstance(ignore_index, bool) or not isinstance(ignore_index, int):
        raise bad_type("ignore_index", ignore_index, "an integer")
    shape, classes = logits.shape[:-1], logits.shape[-1]
    if weight is not None:
        if check_floating("weight", weight).shape != (classes,):
            raise bad_value("weight", weight, f"one weight per class, shape ({classes},)")
        check_same_device("weight", weight, "logits", logits)  # type: ignore[arg-type]
        _check_constant("weight", weight)
    target = _check_target(logits, target, names, ignore_index)

    dtype = kernels.accumulation_dtype(logits.dtype)
    class_weight = None if weight is None else weight.to(dtype)
    rows = shape.numel()
    kept = None
    row_weight = torch.ones(rows, dtype=dtype, device=logits.device)
    if target is not None and target.is_floating_point():
        target = target.reshape(rows, classes)
    elif target is not None:
        target = target.reshape(rows)
        kept = target != ignore_index
        if bool(kept.all()):
            kept = None
        else:
            target = target[kept]
        row_weight = torch.ones_like(target, dtype=dtype) if class_weight is None else class_weight[target]
    if isinstance(logits, LinearLogits):
        features = _keep(logits.features.reshape(rows, logits.features.shape[-1]), kept)
        data: kernels.Rows | kernels.Linear = kernels.Linear(
            features, logits.weight, logits.bias, target, class_weight, logits.memory_budget
        )
    else:
        data = kernels.Rows(_keep(logits.reshape(rows, classes), kept).to(dtype), target, class_weight)
    return _Batch(data, classes, row_weight, shape, kept)


def _keep(rows: Tensor, kept: Tensor | None) -> Tensor:
    # Rows that do not count are taken out before anything is computed: they cost nothing, a NaN in them stays there.
    return rows if kept is None else rows[kept]


def _check_names(names: Sequence[str]) -> tuple[str, ...]:
    if isinstance(names, str) or not isinstance(names, Sequence):
        raise bad_type("names", names, "a tuple of statistics among " + ", ".join(kernels.NAMES))
    for name in names:
        check_choice("names", name, kernels.NAMES)
    return tuple(names)


def _check_constant(argument: str, value: Tensor) -> None:
    # A silent zero in its place would be worse than no gradient.
    if value.requires_grad and torch.is_grad_enabled():
        raise ValueError(f"{argument}: got a tensor that requires grad, expected a constant: no gradient reaches it")


def _check_target(
    logits: Tensor | LinearLogits, target: Tensor | None, names: Sequence[str], ignore_index: int
) -> Tensor | None:
    """The target, checked; class indices as int64."""
    shape, classes = logits.shape[:-1], logits.shape[-1]
    needs_index, needs_soft = kernels.NEED_CLASS_INDEX.intersection(names), kernels.NEED_SOFT_TARGET.intersection(names)
    if target is None:
        if needs_index or needs_soft:
            raise bad_type("target", target, "a tensor: a statistic asked for looks at the target")
        return None
    if not isinstance(target, Tensor):
        raise bad_type("target", target, "a tensor of class indices" + (" or of soft targets" if needs_soft else ""))
    check_same_device("target", target, "logits", logits)  # type: ignore[arg-type]
    if target.is_floating_point():
        if needs_index or not needs_soft:
            raise bad_type("target", target, f"class indices (int64) of shape {tuple(shape)}")
        if target.shape != logits.shape:
            raise bad_value("target", target, f"soft targets of the shape of the logits, {tuple(logits.shape)}")
        if isinstance(logits, LinearLogits):
            _check_constant("target", target)
        return target
    if target.dtype == torch.bool or target.is_complex():
        raise bad_type("target", target, "class indices (int64)")
    if needs_soft:
        raise bad_type("target", target, f"soft targets (floating point) of shape {tuple(logits.shape)}")
    if target.shape != shape:
        raise bad_value("target", target, f"class indices of shape {tuple(shape)}, the logits' without the class axis")
    target = target.long()
    outside = (target != ignore_index) & ((target < 0) | (target >= classes))
    if bool(outside.any()):
        found = int(target[outside].reshape(-1)[0])
        raise ValueError(
            f"target: got class {found}, expected classes 0 to {classes - 1}, or ignore_index {ignore_index}"
        )
    return target


def _restore(values: Tensor, batch: _Batch) -> Tensor:
    """Values of the rows that count, in the batch's shape, with zeros elsewhere."""
    if batch.kept is not None:
        whole = values.new_zeros(batch.kept.shape)
        values = whole.masked_scatter(batch.kept, values)
    return values.reshape(batch.shape)


def _statistics(batch: _Batch, names: tuple[str, ...]) -> dict[str, Tensor]:
    if isinstance(batch.data, kernels.Linear):
        return kernels.linear_statistics(names, batch.data)
    return kernels.dense_statistics(names, batch.data)


def row_statistics(
    logits: Float[Tensor, "*batch classes"] | LinearLogits,
    target: Int[Tensor, "*batch"] | Float[Tensor, "*batch classes"] | None,
    names: Sequence[str],
    *,
    weight: Float[Tensor, " classes"] | None = None,
    ignore_index: int = -100,
) -> SimpleNamespace:
    """The few numbers through which a loss sees each row of scores, differentiable.

    Args:
        logits: (*batch, classes), or `LinearLogits`.
        target: (*batch) class indices, or soft targets (*batch, classes) where a statistic looks at them; None where
            none does.
        names: among `lossbook.kernels.NAMES`: target, logsumexp, max, sum, square_sum, softplus_sum, log_probability,
            log_probability_sum, soft_log_probability.
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
    names = _check_names(names)
    batch = _prepare(logits, target, names, weight, ignore_index)
    found = _statistics(batch, names)
    return SimpleNamespace(classes=batch.classes, **{name: _restore(value, batch) for name, value in found.items()})


def row_loss(
    row: Callable[[SimpleNamespace], Tensor],
    logits: Float[Tensor, "*batch classes"] | LinearLogits,
    target: Int[Tensor, "*batch"] | Float[Tensor, "*batch classes"],
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
    names = _check_names(names)
    batch = _prepare(logits, target, names, weight, ignore_index)

    def on_numbers(numbers: dict[str, Tensor], row_weight: Tensor) -> Tensor:
        values = row(SimpleNamespace(classes=batch.classes, weight=row_weight, **numbers))
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
        and len(scale) > 0
        and not kernels.learns_more(on_numbers, names, batch.data, batch.row_weight)
    ):
        loss = kernels.linear_total(on_numbers, names, batch.data, batch.row_weight, scale)
    else:
        values = on_numbers(_statistics(batch, names), batch.row_weight)
        loss = _restore(values, batch) if reduction == "none" else (values * scale).sum()
    return loss.to(logits.dtype)
