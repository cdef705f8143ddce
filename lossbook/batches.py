"""What the door hands to the engines: input checked, rows flattened, the rows that do not count taken out."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from lossbook import kernels
from lossbook.checks import bad_type, bad_value, check_choice, check_constant, check_floating, check_same_device
from lossbook.linear_logits import LinearLogits


class Batch(NamedTuple):
    """Checked input, flattened to rows, and the way back to the batch's shape.

    Rows that do not count are taken out, so that they cost nothing and a NaN in them stays there. Where their number
    must not shape the tensors, in a graph and on a GPU, they stay with the target -1, which the engines pass over.
    """

    data: kernels.Rows | kernels.Linear
    classes: int  # of all processes
    row_weight: Tensor  # (rows,), 0 where a row does not count
    shape: torch.Size  # of the batch
    kept: Tensor | None  # (rows of the batch,) True where a row counts; None when all do

    def counted(self, values: Tensor) -> Tensor:
        """Values of the rows at hand, with zeros where a row does not count."""
        stays = self.kept is not None and self.kept.shape == values.shape
        return torch.where(self.kept, values, 0.0) if stays else values  # type: ignore[arg-type]

    def restore(self, values: Tensor) -> Tensor:
        """Values of the rows at hand, in the batch's shape, with zeros where a row does not count."""
        values = self.counted(values)
        if self.kept is not None and self.kept.shape != values.shape:
            values = values.new_zeros(self.kept.shape).masked_scatter(self.kept, values)
        return values.reshape(self.shape)


def prepare(
    logits: Tensor | LinearLogits,
    target: Tensor | None,
    names: Sequence[str],
    weight: Tensor | None,
    ignore_index: int,
) -> Batch:
    """Check the input of a loss, and flatten it."""
    masked = torch.compiler.is_compiling()
    if not isinstance(logits, LinearLogits):
        check_floating("logits", logits)
        masked = masked or kernels.masks_rows(logits)
        if logits.ndim < 1 or logits.shape[-1] < 1:
            raise bad_value("logits", logits, "shape (*batch, classes) with at least one class")
    if isinstance(ignore_index, bool) or not isinstance(ignore_index, int):
        raise bad_type("ignore_index", ignore_index, "an integer")
    whole = logits.shape  # asked once: over a group of processes it is a message
    shape, classes = whole[:-1], whole[-1]
    if weight is not None:
        if check_floating("weight", weight).shape != (classes,):
            raise bad_value("weight", weight, f"one weight per class, shape ({classes},)")
        check_same_device("weight", weight, "logits", logits)  # type: ignore[arg-type]
        check_constant("weight", weight)
    target = _check_target(logits, target, shape, classes, names, ignore_index)
    if target is not None and isinstance(logits, LinearLogits) and logits.shift:
        target = _shifted(target, logits.shift, ignore_index)

    dtype = kernels.accumulation_dtype(logits.dtype)
    class_weight = None if weight is None else weight.to(dtype)
    rows = shape.numel()
    kept, row_weight = None, torch.ones(rows, dtype=dtype, device=logits.device)
    if target is not None and target.is_floating_point():
        target = target.reshape(rows, classes)
    elif target is not None:
        target = target.reshape(rows, *target.shape[len(shape) :])
        counts = (target != ignore_index) if target.ndim == 1 else (target != ignore_index).any(-1)
        if masked:
            kept = counts
        elif not bool(counts.all()):
            kept, target = counts, target[counts]
        if masked or target.ndim == 2:  # elsewhere every class that is left counts
            target = torch.where(target == ignore_index, -1, target)
        row_weight = row_weight[: len(target)] if class_weight is None else class_weight[target.clamp(min=0)]
        if masked:
            row_weight = torch.where(counts, row_weight, 0.0)
    removed = None if masked else kept
    if isinstance(logits, LinearLogits):
        features, parameters = _in_one_dtype(logits)
        data: kernels.Rows | kernels.Linear = kernels.Linear(
            _keep(features.reshape(rows, features.shape[-1]), removed),
            *parameters,
            target,
            class_weight,
            logits.memory_budget,
            logits.softcap,
            logits.gradient_filter,
            logits.engine,
            logits.group,
            logits.sharded,
        )
    else:
        data = kernels.Rows(_keep(logits.reshape(rows, classes), removed), target, class_weight)
    return Batch(data, classes, row_weight, shape, kept)


def _keep(rows: Tensor, kept: Tensor | None) -> Tensor:
    return rows if kept is None else rows[kept]


def _in_one_dtype(logits: LinearLogits) -> tuple[Tensor, tuple[Tensor, Tensor | None]]:
    """The parts of a product in its dtype, which autocast may have changed."""
    bias = None if logits.bias is None else logits.bias.to(logits.dtype)
    return logits.features.to(logits.dtype), (logits.weight.to(logits.dtype), bias)


def _shifted(target: Tensor, shift: int, ignore_index: int) -> Tensor:
    """What stands `shift` positions later; beyond the end, nothing that counts."""
    if target.is_floating_point() or target.ndim < 1:
        raise bad_type("target", target, "class indices (int64), where the logits have a shift")
    later = target[..., shift:]
    beyond = target.new_full((*target.shape[:-1], target.shape[-1] - later.shape[-1]), ignore_index)
    return torch.cat([later, beyond], -1)


def check_names(names: Sequence[str]) -> tuple[str, ...]:
    """The names of statistics, as a tuple."""
    if isinstance(names, str) or not isinstance(names, Sequence):
        raise bad_type("names", names, "a tuple of statistics among " + ", ".join(kernels.NAMES))
    for name in names:
        check_choice("names", name, kernels.NAMES)
    return tuple(names)


def _check_target(
    logits: Tensor | LinearLogits,
    target: Tensor | None,
    shape: torch.Size,
    classes: int,
    names: Sequence[str],
    ignore_index: int,
) -> Tensor | None:
    """The target, checked; class indices as int64."""
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
        if target.shape != (*shape, classes):
            raise bad_value("target", target, f"soft targets of the shape of the logits, {(*shape, classes)}")
        if isinstance(logits, LinearLogits):
            check_constant("target", target)
        return target
    if target.dtype == torch.bool or target.is_complex():
        raise bad_type("target", target, "class indices (int64)")
    if needs_soft:
        raise bad_type("target", target, f"soft targets (floating point) of shape {(*shape, classes)}")
    several = needs_index == {"others_logsumexp"} and target.ndim == len(shape) + 1
    if target.shape[: len(shape)] != shape or target.ndim != len(shape) + several:
        raise bad_value("target", target, f"class indices of shape {tuple(shape)}, the logits' without the class axis")
    target = target.long()
    if torch.compiler.is_compiling():  # the engines look at the numbers; a graph cannot
        return target
    outside = (target != ignore_index) & ((target < 0) | (target >= classes))
    if bool(outside.any()):
        found = int(target[outside].reshape(-1)[0])
        raise ValueError(
            f"target: got class {found}, expected classes 0 to {classes - 1}, or ignore_index {ignore_index}"
        )
    return target
