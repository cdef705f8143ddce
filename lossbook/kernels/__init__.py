"""The engines: row statistics of logits that are held (dense) and of logits that are not (linear).

A faster engine enters here: it takes the same arguments and gives the same numbers. `engine_name` says which serves.
"""

from typing import Any

import torch
from torch import Tensor

from lossbook.kernels import chunked, gram, ring, sharded, tiles
from lossbook.kernels.chunked import RowFunction
from lossbook.kernels.chunked import total as linear_total
from lossbook.kernels.linear import Linear
from lossbook.kernels.sharded import local_part
from lossbook.kernels.statistics import (
    NAMES,
    NEED_CLASS_INDEX,
    NEED_SOFT_TARGET,
    Rows,
    accumulation_dtype,
    values,
)
from lossbook.kernels.visits import HAS_TRITON

__all__ = [
    "LINEAR_ENGINES",
    "NAMES",
    "NEED_CLASS_INDEX",
    "NEED_SOFT_TARGET",
    "Linear",
    "RowFunction",
    "Rows",
    "accumulation_dtype",
    "dense_statistics",
    "engine_name",
    "linear_engine",
    "linear_statistics",
    "linear_total",
    "local_part",
    "masks_rows",
    "takes_one_visit",
    "total_classes",
]

LINEAR_ENGINES = {"chunked": chunked, "tile": tiles, "gram": gram}
_SPREAD = {"classes": sharded, "both": ring}


def masks_rows(logits: Tensor) -> bool:
    """Whether rows that do not count stay among held logits, with the target -1: counting them would stop a GPU."""
    return HAS_TRITON and logits.is_cuda


def dense_statistics(names: tuple[str, ...], rows: Rows) -> dict[str, Tensor]:
    """The named statistics of each row of held logits, differentiable; each has shape (rows,)."""
    logits, target, _ = rows
    by_index = target is not None and not target.is_floating_point()
    if masks_rows(logits):
        from lossbook.kernels import ops_dense

        return ops_dense.statistics(names, rows)
    logits = logits.to(accumulation_dtype(logits.dtype))
    if by_index and torch.compiler.is_compiling():  # rows that do not count are still there, with the target -1
        counts = (target >= 0).reshape(len(target), -1).any(-1)
        logits = torch.where(counts[:, None], logits, 0.0)
        target = target.clamp(min=0) if target.ndim == 1 else target
    return values(names, rows._replace(logits=logits, target=target))


def linear_engine(names: tuple[str, ...], linear: Linear) -> str:
    """The engine that serves: the one asked for, or the Gram engine where it can and is faster, or the chunked one."""
    if linear.engine == "auto":
        return "gram" if gram.serves(names, linear) and gram.is_faster(linear) else "chunked"
    if linear.engine == "gram" and not gram.serves(names, linear):
        raise ValueError(
            f"engine: got 'gram', expected 'auto', 'chunked' or 'tile': the Gram engine has only "
            f"{', '.join(sorted(gram.NAMES))}, of logits without a softcap, and the loss needs {', '.join(names)}"
        )
    return linear.engine


def linear_statistics(names: tuple[str, ...], linear: Linear) -> dict[str, Tensor]:
    """The named statistics of each row of linear logits, differentiable; each has shape (rows,)."""
    if linear.group is not None:
        return _SPREAD[linear.sharded].statistics(names, linear, linear.group)
    engine = linear_engine(names, linear)
    if torch.compiler.is_compiling():
        from lossbook.kernels import ops_linear

        return ops_linear.statistics(names, linear._replace(engine=engine))
    if engine == "tile" and masks_rows(linear.features):
        from lossbook.kernels import triton_linear

        if triton_linear.serves(names, linear):
            return triton_linear.statistics(names, linear)
    return LINEAR_ENGINES[engine].statistics(names, linear)


def total_classes(linear: Any) -> int:
    """The number of classes, of all processes where the logits are spread over some."""
    if linear.group is None:
        return linear.weight.shape[0]
    return sharded.total_classes(linear, linear.group)


def takes_one_visit(row: RowFunction, names: tuple[str, ...], linear: Linear, row_weight: Tensor) -> bool:
    """Whether `linear_total` can serve: value and gradient in one visit to each chunk."""
    return (
        linear.group is None
        and not torch.compiler.is_compiling()
        and len(linear.features) > 0
        and linear_engine(names, linear) == "chunked"
        and not chunked.learns_more(row, names, linear, row_weight)
    )


def engine_name(kind: str, device: torch.device | str) -> str:
    """Which engine serves logits of a kind ("dense" or "linear") on a device, where none is asked for.

    >>> engine_name("linear", "cpu")
    'chunked PyTorch on cpu'
    """
    device = torch.device(device)
    dense = "Triton rows" if device.type == "cuda" and HAS_TRITON else "plain PyTorch"
    name = {"dense": dense, "linear": "chunked PyTorch"}[kind]
    return f"{name} on {device.type}"
