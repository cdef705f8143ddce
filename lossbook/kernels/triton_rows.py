"""Row statistics of logits that are held, as Triton kernels: forward in one pass over the rows, backward in one more.

A program walks along a row in tiles of (steps, lanes): the loads of a step lie side by side, and each lane keeps a
state of its own, so that nothing is exchanged between threads before the row ends. Where there are few long rows,
several programs share one, and a small kernel joins their states.
"""

import triton
import triton.language as tl

from lossbook.kernels.triton_gradient import (
    gradient_terms,
    load_coefficients,
    load_state,
    store_numbers,
    store_state,
    tile_gradient,
)
from lossbook.kernels.triton_states import (
    PART_TARGET,
    accumulate,
    empty_state,
    finish,
    fold,
    with_target,
)

NONE, ONE, MANY = tl.constexpr(0), tl.constexpr(1), tl.constexpr(2)  # classes that a row's target names


@triton.jit
def row_target(T, row, ok, positives, ignore_index, TARGETS: tl.constexpr):
    """A row's class (its first, of many) and whether the row counts: one that names no class does not."""
    y = row * 0 - 1
    counts = y < 0
    if TARGETS >= ONE:
        y = tl.load(T + row * positives, mask=ok, other=0)
        counts = y != ignore_index
    if TARGETS == MANY:
        for k in range(1, positives):
            counts = counts | (tl.load(T + row * positives + k, mask=ok, other=0) != ignore_index)
    return y, counts


@triton.jit
def at_targets(T, row, positives, columns, y, TARGETS: tl.constexpr):
    """Which columns are the row's classes. A class outside of them, such as the padding, is nowhere."""
    found = columns == y
    if TARGETS == MANY:
        for k in range(1, positives):
            found = found | (columns == tl.load(T + row * positives + k))
    return found


@triton.jit
def wide(number):
    """A number in 64 bits; also one that Triton, because it is 1, knows at compile time."""
    return tl.cast(number, tl.int64)


@triton.jit
def along(columns, step, STRIDED: tl.constexpr):
    """Where columns stand; 64 bits wide where they do not lie side by side, and may reach far."""
    if STRIDED:
        columns = columns.to(tl.int64) * step
    return columns


@triton.jit
def grained(length, GRAIN: tl.constexpr):
    """A multiple of GRAIN, written so that the compiler sees that it is one, and loads 16 bytes at a time."""
    return length // GRAIN * GRAIN


@triton.jit
def tile_columns(start, STEPS: tl.constexpr, LANES: tl.constexpr):
    """The columns of a tile."""
    return start + tl.arange(0, STEPS)[:, None] * LANES + tl.arange(0, LANES)[None, :]


@triton.jit
def edge_columns(start, head, whole, STEPS: tl.constexpr, LANES: tl.constexpr, ALIGN: tl.constexpr):
    """The columns that no whole tile holds: those before the first aligned one, then those behind the last tile."""
    columns = tile_columns(start, STEPS, LANES)
    if ALIGN > 1:
        columns += tl.where(columns < head, 0, whole * (STEPS * LANES))
    else:
        columns += whole * (STEPS * LANES)
    return columns


@triton.jit
def row_edges(offset, classes, TILE: tl.constexpr, ALIGN: tl.constexpr):
    """The columns before the first aligned one, and how many whole tiles follow them."""
    head = tl.minimum((offset + ALIGN - 1) // ALIGN * ALIGN - offset, classes).to(tl.int32)
    return head, (classes - head) // TILE


@triton.jit
def load_masses(
    W, Q, q_step, columns, ok, ACC: tl.constexpr, WEIGHTED: tl.constexpr, SOFT: tl.constexpr, STRIDED: tl.constexpr
):  # fmt: skip
    """The class weights and the soft targets of a tile; 1 where there are none."""
    weight, soft = 1.0, 1.0
    if WEIGHTED:
        weight = tl.load(W + columns, mask=ok, other=0.0).to(ACC)
    if SOFT:
        soft = tl.load(Q + along(columns, q_step, STRIDED), mask=ok, other=0.0).to(ACC)
    return weight, soft


@triton.jit
def row_state(
    X, T, W, Q, row, y, step, q_step, positives, classes, offset, first, last, edge,
    ACC: tl.constexpr, SLOTS: tl.constexpr, TARGETS: tl.constexpr, WEIGHTED: tl.constexpr, SOFT: tl.constexpr,
    STRIDED: tl.constexpr, ALIGN: tl.constexpr, STEPS: tl.constexpr, LANES: tl.constexpr,
):  # fmt: skip
    """The state of a row over its whole tiles [first, last), and the first `edge` columns of its edge."""
    head, whole = row_edges(offset, classes, STEPS * LANES, ALIGN)
    # Written so that the compiler sees the multiple of ALIGN, and loads 16 bytes at a time.
    aligned = X + (offset + ALIGN - 1) // ALIGN * ALIGN
    state = empty_state([LANES], ACC)
    for tile in range(first, last):
        columns = tile_columns(tile * (STEPS * LANES), STEPS, LANES)
        z = tl.load(aligned + along(columns, step, STRIDED)).to(ACC)
        columns += head
        ok = columns < classes  # all of them
        weight, soft = load_masses(W, Q, q_step, columns, ok, ACC, WEIGHTED, SOFT, STRIDED)
        at = at_targets(T, row, positives, columns, y, TARGETS)
        state = accumulate(state, z, ok, at, weight, soft, 0, SLOTS)
    for start in range(0, edge, STEPS * LANES):
        columns = edge_columns(start, head, whole, STEPS, LANES, ALIGN)
        ok = columns < classes
        z = tl.load(X + offset + along(columns, step, STRIDED), mask=ok, other=0.0).to(ACC)
        weight, soft = load_masses(W, Q, q_step, columns, ok, ACC, WEIGHTED, SOFT, STRIDED)
        at = at_targets(T, row, positives, columns, y, TARGETS)
        state = accumulate(state, z, ok, at, weight, soft, 0, SLOTS)
    return fold(state, 0, SLOTS)


@triton.jit
def target_score(X, y, step, classes, counts, ACC: tl.constexpr):
    """z_y; NaN, and no look into foreign memory, for a class that is not there."""
    inside = (y >= 0) & (y < classes)
    z_y = tl.load(X + y * step, mask=inside & counts, other=0.0).to(ACC)
    return tl.where(inside, z_y, float("nan"))


@triton.jit
def rows_forward(
    X, T, W, Q, OUT, STATE, rows, classes, pieces, row_step, step, q_row_step, q_step, positives, ignore_index,
    ACC: tl.constexpr, SLOTS: tl.constexpr, PLACES: tl.constexpr, TARGETS: tl.constexpr, WEIGHTED: tl.constexpr,
    SOFT: tl.constexpr, STRIDED: tl.constexpr, ALIGN: tl.constexpr, GRAIN: tl.constexpr, WHOLE: tl.constexpr,
    STEPS: tl.constexpr, LANES: tl.constexpr,
):  # fmt: skip
    """One row, or one piece of one: its state, and where the row is whole its statistics."""
    row, piece = tl.program_id(0).to(tl.int64), tl.program_id(1)
    offset, classes = row * grained(row_step, GRAIN), grained(classes, GRAIN)
    y, counts = row_target(T, row, True, positives, ignore_index, TARGETS)
    _head, whole = row_edges(offset, classes, STEPS * LANES, ALIGN)
    share = tl.cdiv(whole, pieces)
    first = tl.minimum(piece * share, whole)
    last = tl.where(counts, tl.minimum(first + share, whole), first)
    edge = tl.where(counts & (piece == pieces - 1), classes - whole * (STEPS * LANES), 0)
    state = row_state(
        X, T, W, Q + row * q_row_step, row, y, step, q_step, positives, classes, offset, first, last, edge,
        ACC, SLOTS, TARGETS, WEIGHTED, SOFT, STRIDED, ALIGN, STEPS, LANES,
    )  # fmt: skip
    if SLOTS[PART_TARGET] >= 0:
        z_y = target_score(X + offset, y, step, classes, counts, ACC)
        state = with_target(state, tl.where(piece == 0, z_y, 0.0))
    if WHOLE:
        store_numbers(OUT, rows, row, True, finish(state, classes, SLOTS), counts, PLACES)
    store_state(STATE, wide(rows) * pieces, piece * rows + row, True, state, SLOTS)


@triton.jit
def states_joined(
    PARTIAL, T, OUT, STATE, rows, classes, pieces, positives, ignore_index,
    SLOTS: tl.constexpr, PLACES: tl.constexpr, TARGETS: tl.constexpr, PIECES: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """The states of all pieces of some rows as one, and the rows' statistics."""
    row = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    piece = tl.arange(0, PIECES)[:, None].to(tl.int64)
    inside = row < rows
    rows = wide(rows)
    state = load_state(PARTIAL, rows * pieces, piece * rows + row[None, :], (piece < pieces) & inside[None, :], SLOTS)
    state = fold(state, 0, SLOTS)
    _, counts = row_target(T, row, inside, positives, ignore_index, TARGETS)
    store_numbers(OUT, rows, row, inside, finish(state, classes, SLOTS), counts, PLACES)
    store_state(STATE, rows, row, inside, state, SLOTS)


@triton.jit
def rows_backward(
    X, T, W, Q, C, STATE, DX, rows, classes, row_step, step, q_row_step, q_step, d_row_step, d_step, c_step, c_row_step,
    positives, ignore_index,
    ACC: tl.constexpr, SLOTS: tl.constexpr, PLACES: tl.constexpr, NAMES: tl.constexpr, TARGETS: tl.constexpr,
    WEIGHTED: tl.constexpr, SOFT: tl.constexpr, STRIDED: tl.constexpr, ALIGN: tl.constexpr, GRAIN: tl.constexpr,
    STEPS: tl.constexpr, LANES: tl.constexpr,
):  # fmt: skip
    """One tile of one row's gradient; those behind its whole tiles are its edge."""
    row, tile = tl.program_id(0).to(tl.int64), tl.program_id(1)
    offset, d_offset = row * grained(row_step, GRAIN), row * grained(d_row_step, GRAIN)
    classes = grained(classes, GRAIN)
    y, counts = row_target(T, row, True, positives, ignore_index, TARGETS)
    head, whole = row_edges(offset, classes, STEPS * LANES, ALIGN)
    state = load_state(STATE, wide(rows), row, True, SLOTS)
    c = load_coefficients(C, c_step, row * c_row_step, True, ACC, NAMES)
    terms = gradient_terms(c, state, finish(state, classes, SLOTS), classes, SLOTS, PLACES)
    Q += row * q_row_step
    if tile < whole:
        columns = tile_columns(tile * (STEPS * LANES), STEPS, LANES)
        z = tl.load(X + (offset + ALIGN - 1) // ALIGN * ALIGN + along(columns, step, STRIDED)).to(ACC)
        shifted = columns + head
        weight, soft = load_masses(W, Q, q_step, shifted, shifted < classes, ACC, WEIGHTED, SOFT, STRIDED)
        at = at_targets(T, row, positives, shifted, y, TARGETS)
        g = tl.where(counts, tile_gradient(z, at, weight, soft, terms, -1, PLACES), 0.0)
        tl.store(DX + (d_offset + ALIGN - 1) // ALIGN * ALIGN + along(columns, d_step, STRIDED), g)
    else:
        columns = edge_columns((tile - whole) * (STEPS * LANES), head, whole, STEPS, LANES, ALIGN)
        ok = columns < classes
        z = tl.load(X + offset + along(columns, step, STRIDED), mask=ok, other=0.0).to(ACC)
        weight, soft = load_masses(W, Q, q_step, columns, ok, ACC, WEIGHTED, SOFT, STRIDED)
        at = at_targets(T, row, positives, columns, y, TARGETS)
        g = tl.where(counts, tile_gradient(z, at, weight, soft, terms, -1, PLACES), 0.0)
        tl.store(DX + d_offset + along(columns, d_step, STRIDED), g, mask=ok)
