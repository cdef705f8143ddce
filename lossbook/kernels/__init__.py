"""The engines: row statistics of logits that are held (dense) and of logits that are not (linear).

Two functions a kind, `statistics` and, for linear logits, `total`. A faster engine enters here: it takes the same
arguments, gives the same numbers, and `engine_name` says where it is chosen.
"""

import torch

from lossbook.kernels.chunked import Linear, RowFunction, learns_more
from lossbook.kernels.chunked import statistics as linear_statistics
from lossbook.kernels.chunked import total as linear_total
from lossbook.kernels.statistics import NAMES, NEED_CLASS_INDEX, NEED_SOFT_TARGET, Rows, accumulation_dtype
from lossbook.kernels.statistics import values as dense_statistics

__all__ = [
    "NAMES",
    "NEED_CLASS_INDEX",
    "NEED_SOFT_TARGET",
    "Linear",
    "RowFunction",
    "Rows",
    "accumulation_dtype",
    "dense_statistics",
    "engine_name",
    "learns_more",
    "linear_statistics",
    "linear_total",
]


def engine_name(kind: str, device: torch.device | str) -> str:
    """Which engine serves logits of a kind ("dense" or "linear") on a device.

    >>> engine_name("linear", "cpu")
    'chunked PyTorch on cpu'
    """
    name = {"dense": "plain PyTorch", "linear": "chunked PyTorch"}[kind]
    return f"{name} on {torch.device(device).type}"
