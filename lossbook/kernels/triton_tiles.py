"""Linear logits in Triton, a tile of rows and classes at a time: no logit ever reaches memory.

Forward, a program owns some rows and a slice of the classes and keeps their states on chip; a small kernel joins the
slices in a fixed order. Backward, a program owns rows of the gradient by the features (or by the weight: the same
kernel with the parts exchanged), goes over all classes (or rows), forms each tile of logits again and multiplies its
gradient into the part that it owns. No locks and no atomics: the same input gives the same bits.

The price is flops: forming the tiles again makes five matrix products where the chunked engine takes three, and more
beyond 256 features, which is what a program can own. So this is the engine for few features and little memory. Blocks
that the gradient filter leaves out are the tiles themselves, 64 x 64 where the published kernel has 128 x 128.
"""

import triton
import triton.language as tl

from lossbook.kernels.triton_gradient import (
    gradient_terms,
    load_coefficients,
    load_state,
    store_state,
    tile_gradient,
)
from lossbook.kernels.triton_rows import MANY, row_target, wide
from lossbook.kernels.triton_states import PART_TARGET, accumulate, empty_state, finish, softcap_map, with_target


@triton.jit
def part(P, index, inside, step, start, dimension, FEATURES: tl.constexpr, EVEN: tl.constexpr):
    """Some features of some rows of a matrix, 0 outside of it."""
    feature = start + tl.arange(0, FEATURES)
    mask = inside[:, None]
    if not EVEN:
        mask = mask & (feature < dimension)[None, :]
    return tl.load(P + index.to(tl.int64)[:, None] * step + feature[None, :], mask=mask, other=0.0)


@triton.jit
def products(A, a, a_inside, a_step, B, b, b_inside, b_step, dimension,
    ACC: tl.constexpr, A_BLOCK: tl.constexpr, B_BLOCK: tl.constexpr, FEATURES: tl.constexpr, EVEN: tl.constexpr,
):  # fmt: skip
    """A tile of A @ B.T."""
    total = tl.zeros([A_BLOCK, B_BLOCK], ACC)
    for start in range(0, dimension, FEATURES):
        left = part(A, a, a_inside, a_step, start, dimension, FEATURES, EVEN)
        right = part(B, b, b_inside, b_step, start, dimension, FEATURES, EVEN)
        total = tl.dot(left, tl.trans(right), total, input_precision="ieee", out_dtype=ACC)
    return total


@triton.jit
def bent(z, BIAS, cls, class_inside, ACC: tl.constexpr, AXIS: tl.constexpr, BIASED: tl.constexpr,
    CAP: tl.constexpr,
):  # fmt: skip
    """Products as logits: with bias and soft cap. What lies outside of the matrix is masked only after this."""
    if BIASED:
        z += tl.expand_dims(tl.load(BIAS + cls, mask=class_inside, other=0.0).to(ACC), 1 - AXIS)
    if CAP > 0:
        z = softcap_map(z, CAP)
    return z


@triton.jit
def class_of(place, ORDER, inside, SORTED: tl.constexpr):
    """The class that is visited at a place."""
    cls = place
    if SORTED:
        cls = tl.load(ORDER + place, mask=inside, other=0).to(tl.int32)
    return cls


@triton.jit
def tile_targets(T, row, row_inside, positives, cls, y, AXIS: tl.constexpr, TARGETS: tl.constexpr):
    """Where in a tile a row meets one of its classes."""
    wide = tl.expand_dims(cls, 1 - AXIS)
    found = wide == tl.expand_dims(y, AXIS)
    if TARGETS == MANY:
        for k in range(1, positives):
            more = tl.load(T + row.to(tl.int64) * positives + k, mask=row_inside, other=-1)
            found = found | (wide == tl.expand_dims(more, AXIS))
    return found


@triton.jit
def tile_masses(CW, Q, q_row_step, q_step, row, row_inside, cls, class_inside,
    ACC: tl.constexpr, AXIS: tl.constexpr, WEIGHTED: tl.constexpr, SOFT: tl.constexpr,
):  # fmt: skip
    """The class weights and the soft targets of a tile; 1 where there are none."""
    weight, soft = 1.0, 1.0
    if WEIGHTED:
        weight = tl.expand_dims(tl.load(CW + cls, mask=class_inside, other=0.0).to(ACC), 1 - AXIS)
    if SOFT:
        at = tl.expand_dims(row.to(tl.int64) * q_row_step, AXIS) + tl.expand_dims(cls.to(tl.int64) * q_step, 1 - AXIS)
        mask = tl.expand_dims(row_inside, AXIS) & tl.expand_dims(class_inside, 1 - AXIS)
        soft = tl.load(Q + at, mask=mask, other=0.0).to(ACC)
    return weight, soft


@triton.jit
def tiles_forward(
    X, W, BIAS, T, CW, Q, PARTIAL, rows, classes, dimension, x_step, w_step, q_row_step, q_step, positives,
    ignore_index, pieces,
    ACC: tl.constexpr, SLOTS: tl.constexpr, TARGETS: tl.constexpr, BIASED: tl.constexpr, CAP: tl.constexpr,
    WEIGHTED: tl.constexpr, SOFT: tl.constexpr, EVEN: tl.constexpr,
    ROWS: tl.constexpr, CLASSES: tl.constexpr, FEATURES: tl.constexpr,
):  # fmt: skip
    """The states of some rows over a slice of the classes."""
    row = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    piece = tl.program_id(1)
    row_inside = row < rows
    y, _counts = row_target(T, row.to(tl.int64), row_inside, positives, ignore_index, TARGETS)
    blocks = tl.cdiv(classes, CLASSES)
    share = tl.cdiv(blocks, pieces)
    state = empty_state([ROWS], ACC)
    z_y = tl.zeros([ROWS], ACC)
    for block in range(piece * share, tl.minimum(piece * share + share, blocks)):
        cls = block * CLASSES + tl.arange(0, CLASSES)
        class_inside = cls < classes
        z = products(
            X, row, row_inside, x_step, W, cls, class_inside, w_step, dimension, ACC, ROWS, CLASSES, FEATURES, EVEN
        )
        z = bent(z, BIAS, cls, class_inside, ACC, 1, BIASED, CAP)
        weight, soft = tile_masses(
            CW, Q, q_row_step, q_step, row, row_inside, cls, class_inside, ACC, 1, WEIGHTED, SOFT
        )
        at = tile_targets(T, row, row_inside, positives, cls, y, 1, TARGETS)
        state = accumulate(state, z, class_inside[None, :], at, weight, soft, 1, SLOTS)
        if SLOTS[PART_TARGET] >= 0:
            z_y += tl.sum(tl.where(at, z, 0.0), 1)  # of the slices, the one that holds the target gives it
    state = with_target(state, z_y)
    store_state(PARTIAL, wide(rows) * pieces, piece.to(tl.int64) * rows + row, row_inside, state, SLOTS)


@triton.jit
def row_terms(C, c_step, c_row_step, STATE, row, row_inside, rows, classes,
    ACC: tl.constexpr, SLOTS: tl.constexpr, PLACES: tl.constexpr, NAMES: tl.constexpr,
):  # fmt: skip
    """What the gradient must know of some rows."""
    state = load_state(STATE, wide(rows), row, row_inside, SLOTS)
    c = load_coefficients(C, c_step, row.to(tl.int64) * c_row_step, row_inside, ACC, NAMES)
    return gradient_terms(c, state, finish(state, classes, SLOTS), classes, SLOTS, PLACES)


@triton.jit
def alive(z, at, ok, terms, below, AXIS: tl.constexpr):
    """Whether a tile passes the gradient filter: some |p − [j = y]| is not below the bound, NaN included.

    A tile whose target's gradient is not c (p_y − 1), because L and z_y enter with other factors, passes too.
    """
    base, log_s, by_p, by_target = terms[0][0], terms[0][1], terms[0][2], terms[1][4]
    p = tl.exp((z - tl.expand_dims(base, AXIS)) - tl.expand_dims(log_s, AXIS))
    distance = tl.abs(p - tl.where(at, 1.0, 0.0))
    uneven = at & tl.expand_dims(by_p + by_target != 0, AXIS)
    kept = tl.where(ok & ((distance < below) == 0), 1, 0) | tl.where(ok & uneven, 1, 0)
    return tl.max(tl.max(kept, 1), 0) > 0


@triton.jit
def tiles_backward(
    OWN, OTHER, OUT, DBIAS, BIAS, T, CW, Q, C, STATE, ORDER, BELOW, rows, classes, dimension,
    own_step, other_step, out_step, out_piece_step, q_row_step, q_step, c_step, c_row_step, positives, ignore_index,
    pieces,
    AXIS: tl.constexpr, ACC: tl.constexpr, SLOTS: tl.constexpr, PLACES: tl.constexpr, NAMES: tl.constexpr,
    TARGETS: tl.constexpr, BIASED: tl.constexpr, CAP: tl.constexpr, WEIGHTED: tl.constexpr, SOFT: tl.constexpr,
    SORTED: tl.constexpr, FILTERED: tl.constexpr, SUMS_BIAS: tl.constexpr, EVEN: tl.constexpr, WHOLE: tl.constexpr,
    OWNED: tl.constexpr, OTHERS: tl.constexpr, FEATURES: tl.constexpr, SLICE: tl.constexpr,
):  # fmt: skip
    """Some rows, and some features, of the gradient by OWN: features (AXIS, the class axis, is 1) or weight (0)."""
    own_place = tl.program_id(0) * OWNED + tl.arange(0, OWNED)
    start, piece = tl.program_id(1) * SLICE, tl.program_id(2)
    if AXIS == 1:
        own_length, other_length = rows, classes
    else:
        own_length, other_length = classes, rows
    own_inside = own_place < own_length
    if AXIS == 1:
        own = own_place
        terms = row_terms(C, c_step, c_row_step, STATE, own, own_inside, rows, classes, ACC, SLOTS, PLACES, NAMES)
        y, counts = row_target(T, own.to(tl.int64), own_inside, positives, ignore_index, TARGETS)
    else:
        own = class_of(own_place, ORDER, own_inside, SORTED)
    if WHOLE:
        mine = part(OWN, own, own_inside, own_step, 0, dimension, SLICE, EVEN)
    total = tl.zeros([OWNED, SLICE], ACC)
    bias_total = tl.zeros([OWNED], ACC)
    blocks = tl.cdiv(other_length, OTHERS)
    share = tl.cdiv(blocks, pieces)
    for block in range(piece * share, tl.minimum(piece * share + share, blocks)):
        other_place = block * OTHERS + tl.arange(0, OTHERS)
        other_inside = other_place < other_length
        if AXIS == 1:
            other = class_of(other_place, ORDER, other_inside, SORTED)
            row, row_inside, cls, class_inside = own, own_inside, other, other_inside
        else:
            other = other_place
            row, row_inside, cls, class_inside = other, other_inside, own, own_inside
            terms = row_terms(C, c_step, c_row_step, STATE, row, row_inside, rows, classes, ACC, SLOTS, PLACES, NAMES)
            y, counts = row_target(T, row.to(tl.int64), row_inside, positives, ignore_index, TARGETS)
        theirs = part(OTHER, other, other_inside, other_step, start, dimension, SLICE, EVEN)
        if WHOLE:
            z = tl.dot(mine, tl.trans(theirs), input_precision="ieee", out_dtype=ACC)
        else:
            z = products(
                OWN, own, own_inside, own_step, OTHER, other, other_inside, other_step, dimension,
                ACC, OWNED, OTHERS, FEATURES, EVEN,
            )  # fmt: skip
        z = bent(z, BIAS, cls, class_inside, ACC, AXIS, BIASED, CAP)
        weight, soft = tile_masses(
            CW, Q, q_row_step, q_step, row, row_inside, cls, class_inside, ACC, AXIS, WEIGHTED, SOFT
        )
        at = tile_targets(T, row, row_inside, positives, cls, y, AXIS, TARGETS)
        ok = tl.expand_dims(row_inside & counts, AXIS) & tl.expand_dims(class_inside, 1 - AXIS)
        passes = True
        if FILTERED:
            passes = alive(z, at, ok, terms, BELOW, AXIS)
        if passes:
            g = tile_gradient(z, at, weight, soft, terms, AXIS, PLACES)
            if CAP > 0:
                g = g * (1 - (z / CAP) * (z / CAP))
            g = tl.where(ok, g, 0.0)
            if SUMS_BIAS:
                bias_total += tl.sum(g, 1)
            total = tl.dot(g.to(theirs.dtype), theirs, total, input_precision="ieee", out_dtype=ACC)
    feature = start + tl.arange(0, SLICE)
    at_out = OUT + piece.to(tl.int64) * out_piece_step + own.to(tl.int64)[:, None] * out_step + feature[None, :]
    tl.store(at_out, total, mask=own_inside[:, None] & (feature < dimension)[None, :])
    if SUMS_BIAS and start == 0:
        tl.store(DBIAS + piece.to(tl.int64) * classes + own, bias_total, mask=own_inside)
