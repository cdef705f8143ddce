"""Softmax of long float32 rows on one core of the CPU, compiled: the three-pass, online and two-pass algorithms.

numba compiles them when they are first called, a few seconds, and keeps the result. C++ built at run time would do as
well, and would need a compiler on the reader's machine; numba is a wheel on every platform that torch has one for, and
LLVM makes the widest vectors of the machine that it runs on. Whether it does is tested, see `vector_bits`.
"""

from collections.abc import Callable, Iterator, Mapping
from functools import cache
from types import ModuleType

import numpy as np
import torch
from torch import Tensor

from lossbook.checks import bad_type, bad_value, check_choice, check_same_shape
from lossbook.kernels.softmax import LN2

ALGORITHMS = ("recompute", "reload", "online", "two-pass")
"""By name; what they do and how they differ stands in `lossbook.kernels.softmax`."""


def softmax(logits: Tensor, algorithm: str = "two-pass", *, out: Tensor | None = None) -> Tensor:
    """Softmax over the last axis, forward only, on one core: p_j = exp(z_j) / Σ exp(z_k).

    Args:
        logits: (*batch, classes), float32 on the CPU, with any strides; −∞ for a class that is masked.
        algorithm: "recompute" and "reload" walk three times over the row, "online" and "two-pass" twice.
        out: where to write, of the same shape, without gaps; None makes a new tensor.

    Returns:
        The probabilities. A row that holds NaN or +∞, or nothing but −∞, gives NaN, as torch has it.

    Raises:
        ValueError: no such algorithm, no classes, an `out` that does not fit, or logits that require a gradient.
        TypeError: not a float32 tensor.
        ModuleNotFoundError: numba is not installed.

    Example:
        >>> z = torch.tensor([1000.0, 1001.0, 999.0])
        >>> [round(p, 6) for p in softmax(z).tolist()]
        [0.244728, 0.665241, 0.090031]
        >>> bool((softmax(z - 1000) - softmax(z)).abs().max() < 1e-7)     # a common shift changes nothing
        True

    Reference: Dukhan & Ablavatski 2020, arXiv 2001.04438; online: Milakov & Gimelshein 2018, arXiv 1805.02867.
    """
    check_choice("algorithm", algorithm, ALGORITHMS)
    _check("logits", logits)
    if out is None:
        out = torch.empty(logits.shape, dtype=torch.float32)
    else:
        _check("out", out)
        check_same_shape("out", out, "logits", logits)
        if not out.is_contiguous():
            raise ValueError(f"out: got strides {out.stride()}, expected a tensor without gaps")
    kernel = kernels()[algorithm]
    for x, y in zip(_rows(logits), _rows(out), strict=True):
        kernel(x, y)
    return out


def logsumexp(logits: Tensor) -> Tensor:
    """L = log Σ exp(z_j) over the last axis, forward only: what the first walk of the two-pass algorithm leaves behind.

    The sum stands as mantissa · 2^exponent after it, so L = log mantissa + exponent · ln 2.

    Args:
        logits: (*batch, classes), float32 on the CPU.

    Returns:
        (*batch,) float32.

    Raises:
        ValueError: no classes, or logits that require a gradient.
        TypeError: not a float32 tensor.

    Example:
        >>> round(float(logsumexp(torch.tensor([1000.0, 1001.0, 999.0]))), 4)
        1001.4076
    """
    _check("logits", logits)
    found = [_logsumexp(row) for row in _rows(logits)]
    return torch.tensor(found, dtype=torch.float32).reshape(logits.shape[:-1])


def kernels() -> Mapping[str, Callable[[np.ndarray, np.ndarray], None]]:
    """The compiled functions themselves: from a row of logits to where its probabilities go, both without gaps.

    Nothing is checked. They take a microsecond less than `softmax`, which matters when they are timed.

    Raises:
        ModuleNotFoundError: numba is not installed.
    """
    return _lanes().ALGORITHMS


def vector_bits() -> int:
    """The width of the vectors that LLVM can use on this machine: 512 with AVX-512, 256 with AVX2, else 128.

    Example:
        >>> vector_bits() in (128, 256, 512)
        True
    """
    from llvmlite import binding

    features = binding.get_host_cpu_features()
    return 512 if features.get("avx512f") else 256 if features.get("avx2") else 128


@cache
def _lanes() -> ModuleType:
    """Only when called for: numba takes half a second to import."""
    from lossbook.kernels import softmax_lanes

    return softmax_lanes


def _logsumexp(row: np.ndarray) -> float:
    mantissa, exponent = _lanes().pair_sum(row)
    if _lanes().in_reach(exponent):
        return float(np.log(mantissa)) + float(exponent) * LN2
    return float(torch.logsumexp(torch.from_numpy(row).double(), -1))  # logits beyond a million, infinite or NaN


def _check(argument: str, tensor: Tensor) -> None:
    if not isinstance(tensor, Tensor) or tensor.dtype != torch.float32:
        raise bad_type(argument, tensor, "a float32 tensor")
    if tensor.device.type != "cpu":
        raise ValueError(f"{argument}: got a tensor on {tensor.device}, expected one on the CPU")
    if tensor.ndim == 0 or tensor.shape[-1] == 0:
        raise bad_value(argument, tensor, "at least one class")
    if tensor.requires_grad and torch.is_grad_enabled():
        raise ValueError(f"{argument}: got a tensor that requires a gradient, expected one without: detach() it")


def _rows(tensor: Tensor) -> Iterator[np.ndarray]:
    """Each row as an array without gaps; a copy where there are gaps."""
    flat = tensor.detach().reshape(-1, tensor.shape[-1])
    return (row.contiguous().numpy() for row in flat)
