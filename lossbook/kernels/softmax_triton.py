"""Softmax on a GPU: the three-pass, online and two-pass algorithms in Triton, a program for each row.

Sums and exponentials are taken in float32, and in float64 for float64. Two things differ from the CPU. The mantissa is
the hardware's exponential of the reduced argument. And the argument is reduced without a fused multiply-add, so that
Triton's interpreter gives the same: exact up to |x| = 20,000, and a row whose sum lies beyond is done online.
"""

import torch
import triton
import triton.language as tl
from torch import Tensor

from lossbook.checks import bad_type, bad_value, check_choice, check_floating
from lossbook.kernels.softmax import LN2, LN2_PLAIN
from lossbook.kernels.statistics import accumulation_dtype

BLOCK_BYTES = 16384  # of a block at most; its sums stay in registers
THREAD_BYTES = 64
L2E, HIGH, LOW = tl.constexpr(1 / LN2), tl.constexpr(LN2_PLAIN[0]), tl.constexpr(LN2 - LN2_PLAIN[0])
FARTHEST = tl.constexpr(20_000.0)
IN_REACH = tl.constexpr(28_000.0)  # of exponents: so far above FARTHEST / ln 2 that what lies there is 0
MINUS_INFINITY = tl.constexpr(float("-inf"))


@triton.jit
def load_block(X, start, classes, step, ACC: tl.constexpr, BLOCK: tl.constexpr):
    """Logits of a row from `start` on; −∞ where the row has ended."""
    columns = (start + tl.arange(0, BLOCK)).to(tl.int64)
    return tl.load(X + columns * step, mask=columns < classes, other=MINUS_INFINITY).to(ACC)


@triton.jit
def store_block(Y, start, classes, step, p, BLOCK: tl.constexpr):
    """Write probabilities of a row from `start` on, in the dtype of where they go."""
    columns = (start + tl.arange(0, BLOCK)).to(tl.int64)
    tl.store(Y + columns * step, p.to(Y.dtype.element_ty), mask=columns < classes)


@triton.jit
def extended_exp(x):
    """exp(x) as mantissa and exponent."""
    x = tl.where(x < -FARTHEST, -FARTHEST, x)  # in this order NaN stays NaN
    n = tl.floor(x * L2E + 0.5)
    return tl.exp((x - n * HIGH) - n * LOW), n


@triton.jit
def zero_if_none(maximum):
    """The maximum, and 0 where nothing but masked classes has come: −∞ − (−∞) would be NaN."""
    return tl.where(maximum == MINUS_INFINITY, 0.0, maximum)


@triton.jit
def row_maximum(X, classes, step, ACC: tl.constexpr, BLOCK: tl.constexpr):
    """The maximum of a row, in one walk."""
    best = tl.full([BLOCK], MINUS_INFINITY, ACC)
    for start in range(0, classes, BLOCK):
        best = tl.maximum(best, load_block(X, start, classes, step, ACC, BLOCK))
    return tl.max(best, 0)


@triton.jit
def online_sum(X, classes, step, ACC: tl.constexpr, BLOCK: tl.constexpr):
    """Maximum, and sum of exp(x − maximum), in one walk."""
    best, sums = tl.full([BLOCK], MINUS_INFINITY, ACC), tl.zeros([BLOCK], ACC)
    for start in range(0, classes, BLOCK):
        x = load_block(X, start, classes, step, ACC, BLOCK)
        top = tl.maximum(best, x)
        safe = zero_if_none(top)
        sums = sums * tl.exp(best - safe) + tl.exp(x - safe)
        best = top
    maximum = tl.max(best, 0)
    return maximum, tl.sum(sums * tl.exp(best - zero_if_none(maximum)), 0)


@triton.jit
def pair_sum(X, classes, step, ACC: tl.constexpr, BLOCK: tl.constexpr):
    """Σ exp(x) as mantissa and exponent, in one walk."""
    mantissas, exponents = tl.zeros([BLOCK], ACC), tl.full([BLOCK], -IN_REACH, ACC)
    for start in range(0, classes, BLOCK):
        m, n = extended_exp(load_block(X, start, classes, step, ACC, BLOCK))
        top = tl.maximum(exponents, n)
        mantissas = mantissas * tl.exp2(exponents - top) + m * tl.exp2(n - top)
        exponents = top
    exponent = tl.max(exponents, 0)
    return tl.sum(mantissas * tl.exp2(exponents - exponent), 0), exponent


@triton.jit
def write(X, Y, classes, step, y_step, maximum, total, ACC: tl.constexpr, BLOCK: tl.constexpr):
    """The last walk: exp(x − maximum) / total."""
    for start in range(0, classes, BLOCK):
        x = load_block(X, start, classes, step, ACC, BLOCK)
        store_block(Y, start, classes, y_step, tl.exp(x - maximum) / total, BLOCK)


@triton.jit
def recompute(X, Y, classes, row_step, step, y_row_step, y_step, ACC: tl.constexpr, BLOCK: tl.constexpr):
    """Three walks: maximum, sum, and the exponentials again."""
    row = tl.program_id(0).to(tl.int64)
    X, Y = X + row * row_step, Y + row * y_row_step
    maximum = row_maximum(X, classes, step, ACC, BLOCK)
    sums = tl.zeros([BLOCK], ACC)
    for start in range(0, classes, BLOCK):
        sums += tl.exp(load_block(X, start, classes, step, ACC, BLOCK) - maximum)
    write(X, Y, classes, step, y_step, maximum, tl.sum(sums, 0), ACC, BLOCK)


@triton.jit
def reload(X, Y, classes, row_step, step, y_row_step, y_step, ACC: tl.constexpr, BLOCK: tl.constexpr):
    """Three walks: maximum, exponentials kept and added, what was kept divided."""
    row = tl.program_id(0).to(tl.int64)
    X, Y = X + row * row_step, Y + row * y_row_step
    maximum = row_maximum(X, classes, step, ACC, BLOCK)
    sums = tl.zeros([BLOCK], ACC)
    for start in range(0, classes, BLOCK):
        kept = tl.exp(load_block(X, start, classes, step, ACC, BLOCK) - maximum)
        store_block(Y, start, classes, y_step, kept, BLOCK)
        sums += kept
    total = tl.sum(sums, 0)
    tl.debug_barrier()  # a thread may read what another one wrote
    for start in range(0, classes, BLOCK):
        store_block(Y, start, classes, y_step, load_block(Y, start, classes, y_step, ACC, BLOCK) / total, BLOCK)


@triton.jit
def online(X, Y, classes, row_step, step, y_row_step, y_step, ACC: tl.constexpr, BLOCK: tl.constexpr):
    """Two walks: maximum and sum together, and the exponentials again."""
    row = tl.program_id(0).to(tl.int64)
    X, Y = X + row * row_step, Y + row * y_row_step
    maximum, total = online_sum(X, classes, step, ACC, BLOCK)
    write(X, Y, classes, step, y_step, maximum, total, ACC, BLOCK)


@triton.jit
def two_pass(X, Y, classes, row_step, step, y_row_step, y_step, ACC: tl.constexpr, BLOCK: tl.constexpr):
    """Two walks: the sum as a pair, and the quotient of two pairs."""
    row = tl.program_id(0).to(tl.int64)
    X, Y = X + row * row_step, Y + row * y_row_step
    mantissa, exponent = pair_sum(X, classes, step, ACC, BLOCK)
    if tl.abs(exponent) < IN_REACH:
        for start in range(0, classes, BLOCK):
            m, n = extended_exp(load_block(X, start, classes, step, ACC, BLOCK))
            store_block(Y, start, classes, y_step, m / mantissa * tl.exp2(n - exponent), BLOCK)
    else:  # logits beyond FARTHEST, infinite or NaN
        maximum, total = online_sum(X, classes, step, ACC, BLOCK)
        write(X, Y, classes, step, y_step, maximum, total, ACC, BLOCK)


ALGORITHMS = {"recompute": recompute, "reload": reload, "online": online, "two-pass": two_pass}
"""The kernels by name."""


def launch(classes: int, dtype: torch.dtype) -> tuple[int, int]:
    """How many columns a program takes at a time, and by how many warps.

    Example:
        >>> launch(50257, torch.float32), launch(50257, torch.float64), launch(10, torch.float16)
        ((4096, 8), (2048, 8), (16, 1))
    """
    size = accumulation_dtype(dtype).itemsize
    block = min(BLOCK_BYTES // size, triton.next_power_of_2(classes))
    return block, max(1, block * size // (32 * THREAD_BYTES))


def softmax(logits: Tensor, algorithm: str = "two-pass") -> Tensor:
    """Softmax over the last axis, forward only: p_j = exp(z_j) / Σ exp(z_k).

    Args:
        logits: (*batch, classes) of any floating dtype and any strides, on a CUDA device; or anywhere where the
            environment had TRITON_INTERPRET=1 before triton was imported. −∞ for a class that is masked.
        algorithm: "recompute" and "reload" walk three times over the row, "online" and "two-pass" twice.

    Returns:
        The probabilities, in the dtype of the logits. A row that holds NaN or +∞, or nothing but −∞, gives NaN.
        "reload" keeps its exponentials in that dtype, and has its digits.

    Raises:
        ValueError: no such algorithm, no classes, or logits that require a gradient.
        TypeError: not a floating-point tensor.

    Reference: Dukhan & Ablavatski 2020, arXiv 2001.04438; online: Milakov & Gimelshein 2018, arXiv 1805.02867.
    """
    check_choice("algorithm", algorithm, ALGORITHMS)
    if check_floating("logits", logits).dtype not in (torch.float16, torch.bfloat16, torch.float32, torch.float64):
        raise bad_type("logits", logits, "float16, bfloat16, float32 or float64")
    if logits.ndim == 0 or logits.shape[-1] == 0:
        raise bad_value("logits", logits, "at least one class")
    if logits.requires_grad and torch.is_grad_enabled():
        raise ValueError("logits: got a tensor that requires a gradient, expected one without: detach() it")
    rows = logits.detach().reshape(-1, logits.shape[-1])
    out = torch.empty(rows.shape, dtype=logits.dtype, device=logits.device)
    count, classes = rows.shape
    block, warps = launch(classes, logits.dtype)
    accumulate = tl.float64 if accumulation_dtype(logits.dtype) == torch.float64 else tl.float32
    if count:
        ALGORITHMS[algorithm][(count,)](
            rows,
            out,
            classes,
            *rows.stride(),
            *out.stride(),
            ACC=accumulate,
            BLOCK=block,
            num_warps=warps,
            enable_fp_fusion=True,
        )
    return out.reshape(logits.shape)
