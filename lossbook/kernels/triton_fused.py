"""Loss and gradient in one Triton kernel, for losses whose upstream gradient is known: a scale a row, given beforehand.

The row engine reads the logits twice, because autograd asks for the gradient only after the loss. Here the row
function and its derivatives by the statistics are part of the kernel, so a row of up to 32 kilobytes is read once and
stays on the chip; longer rows are read again, out of the cache where they fit it. FUSED lists the losses that have such
a kernel.
"""

from typing import Any, NamedTuple

import torch
import triton
import triton.language as tl
from torch import Tensor

from lossbook.kernels.layout import places, slots
from lossbook.kernels.triton_dense import on_device
from lossbook.kernels.triton_gradient import gradient_terms, tile_gradient
from lossbook.kernels.triton_launch import REREAD, Launch, alignment, grain, resident_launch
from lossbook.kernels.triton_rows import (
    edge_columns,
    grained,
    load_masses,
    row_edges,
    row_state,
    row_target,
    target_score,
    tile_columns,
)
from lossbook.kernels.triton_states import (
    LOG_PROBABILITY,
    LOG_PROBABILITY_SUM,
    MEAN,
    OTHERS_LOGSUMEXP,
    PART_TARGET,
    SOFTPLUS_SUM,
    STABLEMAX_SUM,
    TARGET,
    VARIANCE,
    accumulate,
    empty_state,
    finish,
    fold,
    sigmoid_map,
    softplus_map,
    stablemax_map,
    stablemax_slope,
    with_target,
)

# Row functions: from the statistics of a row, the weight of its class, the number of classes and the parameters to the
# loss and its derivatives by the statistics, in the order of the names that FUSED gives.


@triton.jit
def cross_entropy_row(numbers, weight, classes, parameters):
    """The loss is −log p_y."""
    log_p = numbers[LOG_PROBABILITY]
    return -log_p, (0 * log_p - 1,)


@triton.jit
def smoothed_cross_entropy_row(numbers, weight, classes, parameters):
    """The loss is −(1 − ε) w_y log p_y − (ε/V) Σ w_j log p_j; parameters (ε,)."""
    log_p, all_log_p = numbers[LOG_PROBABILITY], numbers[LOG_PROBABILITY_SUM]
    right, each = (1 - parameters[0]) * weight, parameters[0] / classes
    return -right * log_p - each * all_log_p, (0 * log_p - right, 0 * log_p - each)


@triton.jit
def expm1(x):
    """The quotient gives back what exp(x) rounds away near 1."""
    e = tl.exp(x)
    whole = (e - 1) * (x / tl.where(e == 1, 1.0, tl.log(e)))
    # Far below 0 and where exp overflows there is nothing to give back.
    return tl.where(e == 1, x, tl.where(tl.abs(x) > 1, e - 1, whole))


@triton.jit
def comp_sum_row(numbers, weight, classes, parameters):
    """(p_y^{τ−1} − 1)/(1 − τ), a line below log p_y = k; parameters (τ − 1, k, the slope of the line), τ ≠ 1."""
    log_p = numbers[LOG_PROBABILITY]
    power, knee, slope = parameters[0], parameters[1], parameters[2]
    inside = tl.maximum(log_p, knee, propagate_nan=tl.PropagateNan.ALL)
    loss = slope * (inside - log_p) - expm1(power * inside) / power
    return tl.where(log_p >= knee, -expm1(power * log_p) / power, loss), (-tl.exp(power * inside),)


@triton.jit
def stablemax_row(numbers, weight, classes, parameters):
    """The loss is log Σ s(z_j) − log s(z_y)."""
    total, z_y = numbers[STABLEMAX_SUM], numbers[TARGET]
    s_y = stablemax_map(z_y)
    return tl.log(total) - tl.log(s_y), (-stablemax_slope(z_y) / s_y, 1 / total)


@triton.jit
def z_loss_row(numbers, weight, classes, parameters):
    """softplus(a(b − s))/a of the standardised score s, 0 where all scores are level; parameters (a, b)."""
    mean, variance, z_y = numbers[MEAN], numbers[VARIANCE], numbers[TARGET]
    rounding = 4 * 1.1920929e-7 * mean
    level = variance <= rounding * rounding
    deviation = tl.sqrt(tl.where(level, 1.0, variance))
    score = tl.where(level, 0.0, (z_y - mean) / deviation)
    short = parameters[0] * (parameters[1] - score)
    by_score = tl.where(level, 0.0, -sigmoid_map(short))
    by_target = by_score / deviation
    by_variance = -by_score * score / (2 * deviation * deviation)
    return softplus_map(short) / parameters[0], (by_target, -by_target, by_variance)


@triton.jit
def siglip_row(numbers, weight, classes, parameters):
    """The loss is Σ softplus(z_j) − z_y."""
    total, z_y = numbers[SOFTPLUS_SUM], numbers[TARGET]
    return total - z_y, (0 * z_y - 1, 0 * z_y + 1)


@triton.jit
def decoupled_softmax_row(numbers, weight, classes, parameters):
    """The loss is softplus(L' − z_y), L' the log-sum-exp of the other classes."""
    gap = numbers[OTHERS_LOGSUMEXP] - numbers[TARGET]
    g = sigmoid_map(gap)
    return softplus_map(gap), (-g, g)


class Fused(NamedTuple):
    """A loss that has a fused kernel."""

    row: Any  # its row function
    names: tuple[str, ...]  # of the statistics it looks at
    parameters: tuple[str, ...] = ()


FUSED = {
    "cross_entropy": Fused(cross_entropy_row, ("log_probability",)),
    "smoothed_cross_entropy": Fused(
        smoothed_cross_entropy_row, ("log_probability", "log_probability_sum"), ("label_smoothing",)
    ),
    "comp_sum_loss": Fused(comp_sum_row, ("log_probability",), ("tau - 1", "knee", "slope")),
    "stablemax_cross_entropy": Fused(stablemax_row, ("target", "stablemax_sum")),
    "z_loss": Fused(z_loss_row, ("target", "mean", "variance"), ("sharpness", "aim")),
    "siglip_loss": Fused(siglip_row, ("target", "softplus_sum")),
    "decoupled_softmax_loss": Fused(decoupled_softmax_row, ("target", "others_logsumexp")),
}


@triton.jit
def rows_fused(
    X, T, W, SCALE, LOSS, DX, classes, row_step, d_row_step, ignore_index, parameters,
    ROW: tl.constexpr, ACC: tl.constexpr, SLOTS: tl.constexpr, PLACES: tl.constexpr, WEIGHTED: tl.constexpr,
    ALIGN: tl.constexpr, GRAIN: tl.constexpr, RESIDENT: tl.constexpr, STEPS: tl.constexpr, LANES: tl.constexpr,
):  # fmt: skip
    """One row: its loss and its gradient, both times its scale."""
    row = tl.program_id(0).to(tl.int64)
    offset, d_offset = row * grained(row_step, GRAIN), row * grained(d_row_step, GRAIN)
    classes = grained(classes, GRAIN)
    y, counts = row_target(T, row, True, 1, ignore_index, 1)
    columns = tile_columns(0, STEPS, LANES)
    ok = columns < classes
    if RESIDENT:
        z = tl.load(X + offset + columns, mask=columns < tl.where(counts, classes, 0), other=0.0).to(ACC)
        weight, soft = load_masses(W, X, 1, columns, ok, ACC, WEIGHTED, False, False)
        at = columns == y
        state = fold(accumulate(empty_state([LANES], ACC), z, ok, at, weight, soft, 0, SLOTS), 0, SLOTS)
    else:
        head, whole = row_edges(offset, classes, STEPS * LANES, ALIGN)
        edge = tl.where(counts, classes - whole * (STEPS * LANES), 0)
        last = tl.where(counts, whole, 0)
        state = row_state(
            X, T, W, X, row, y, 1, 1, 1, classes, offset, 0, last, edge,
            ACC, SLOTS, 1, WEIGHTED, False, False, ALIGN, STEPS, LANES,
        )  # fmt: skip
    if SLOTS[PART_TARGET] >= 0:
        state = with_target(state, target_score(X + offset, y, 1, classes, counts, ACC))
    scale = tl.load(SCALE + row).to(ACC)
    row_weight = scale * 0 + 1
    if WEIGHTED:
        row_weight = tl.load(W + y, mask=counts & (y >= 0) & (y < classes), other=0.0).to(ACC)
    numbers = finish(state, classes, SLOTS)
    loss, c = ROW(numbers, row_weight, classes, parameters)
    terms = gradient_terms(c, state, numbers, classes, SLOTS, PLACES)
    tl.store(LOSS + row, tl.where(counts, loss * scale, 0.0))
    if RESIDENT:
        weight, soft = load_masses(W, X, 1, columns, ok, ACC, WEIGHTED, False, False)  # again: registers are short
        g = tile_gradient(z, at, weight, soft, terms, -1, PLACES) * scale
        tl.store(DX + d_offset + columns, tl.where(counts, g, 0.0), mask=ok)
    else:
        aligned, d_aligned = (offset + ALIGN - 1) // ALIGN * ALIGN, (d_offset + ALIGN - 1) // ALIGN * ALIGN
        for tile in range(0, whole):
            columns = tile_columns(tile * (STEPS * LANES), STEPS, LANES)
            z = tl.load(X + aligned + columns).to(ACC)
            shifted = columns + head
            weight, soft = load_masses(W, X, 1, shifted, shifted < classes, ACC, WEIGHTED, False, False)
            g = tile_gradient(z, shifted == y, weight, soft, terms, -1, PLACES) * scale
            tl.store(DX + d_aligned + columns, tl.where(counts, g, 0.0))
        for start in range(0, classes - whole * (STEPS * LANES), STEPS * LANES):
            columns = edge_columns(start, head, whole, STEPS, LANES, ALIGN)
            ok = columns < classes
            z = tl.load(X + offset + columns, mask=ok, other=0.0).to(ACC)
            weight, soft = load_masses(W, X, 1, columns, ok, ACC, WEIGHTED, False, False)
            g = tile_gradient(z, columns == y, weight, soft, terms, -1, PLACES) * scale
            tl.store(DX + d_offset + columns, tl.where(counts, g, 0.0), mask=ok)


@triton.jit
def rows_scaled(X, SCALE, classes, row_step, BLOCK: tl.constexpr):
    """Multiply a row in place; one whose scale is 1, as in `loss.backward()`, is not touched."""
    row = tl.program_id(0).to(tl.int64)
    scale = tl.load(SCALE + row)
    if scale != 1:
        for start in range(0, classes, BLOCK):
            columns = start + tl.arange(0, BLOCK)
            x = tl.load(X + row * row_step + columns, mask=columns < classes, other=0.0)
            tl.store(X + row * row_step + columns, x.to(tl.float32) * scale, mask=columns < classes)


def serves(loss: str, logits: Tensor, target: Tensor | None) -> bool:
    """Whether the fused kernel can take it: classes side by side, one class a row, less than double precision."""
    return (
        loss in FUSED
        and logits.ndim == 2
        and logits.stride(1) == 1
        and logits.dtype != torch.float64
        and target is not None
        and target.ndim == 1
        and not target.is_floating_point()
    )


def loss_and_gradient(
    loss: str,
    parameters: tuple[float, ...],
    logits: Tensor,
    target: Tensor,
    class_weight: Tensor | None,
    scale: Tensor,
    ignore_index: int,
    launch: Launch | None = None,
) -> tuple[Tensor, Tensor]:
    """scale_i loss_i, (rows,), and its gradient by the logits, in their dtype; 0 for rows that do not count."""
    rows, classes = logits.shape
    fused = FUSED[loss]
    losses = logits.new_empty(rows, dtype=torch.float32)
    gradient = torch.empty_like(logits, memory_format=torch.contiguous_format)
    if rows == 0:
        return losses, gradient
    launch = launch or resident_launch(classes, logits.dtype) or REREAD
    with on_device(logits):
        rows_fused[(rows,)](
            logits, target.contiguous(), logits if class_weight is None else class_weight.contiguous(),
            scale.contiguous(), losses, gradient,
            classes, logits.stride(0), gradient.stride(0), ignore_index, tuple(parameters) or (0.0,),
            ROW=fused.row, ACC=tl.float32, SLOTS=slots(fused.names), PLACES=places(fused.names),
            WEIGHTED=class_weight is not None, RESIDENT=launch.columns >= classes,
            ALIGN=alignment(logits, gradient), GRAIN=grain(logits, gradient),
            STEPS=launch.steps, LANES=launch.lanes, num_warps=launch.warps,
        )  # fmt: skip
    return losses, gradient


def scale_rows_(gradient: Tensor, scale: Tensor) -> None:
    """Multiply the rows of a gradient in place."""
    rows, classes = gradient.shape
    if rows:
        block = min(4096, triton.next_power_of_2(classes))
        with on_device(gradient):
            rows_scaled[(rows,)](gradient, scale.contiguous(), classes, gradient.stride(0), BLOCK=block, num_warps=4)
