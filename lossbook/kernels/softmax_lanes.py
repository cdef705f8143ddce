"""The compiled algorithms of `softmax_compiled`: one core, vectorised by LLVM, float32 rows without gaps.

What makes a comparison of them fair: one exponential for all, the same number of lanes, the same stores. Sums are
gathered in lanes, which LLVM makes vector registers of, block by block; the blocks are added in float64, so that a row
of 64 million elements loses no digits. What is written of a row too long for the caches goes past them (a streaming
store), for an ordinary store would first read the memory that it is about to overwrite.

Fast-math is off: it would cancel the rounding that lies in adding and subtracting MAGIC.

numba keeps compiled code beside this file until this file changes; `intrinsics` and `softmax`, from which it is made as
well, are not looked at.
"""

import numba
import numpy as np

from lossbook.kernels.intrinsics import (
    LANES,
    bits_of_float,
    float_of_bits,
    fused_multiply_add,
    room_for_lanes,
    stream_lanes,
)
from lossbook.kernels.softmax import EXP_COEFFICIENTS, LN2_FUSED, LOG2_E

STEP = 4 * LANES  # elements taken at a time
BLOCK = 1 << 14  # elements whose sum stays in float32
STREAM_FROM = 1 << 22  # elements: with their probabilities 32 MiB, more than most caches hold

f = np.float32
L2E, HIGH, LOW = f(LOG2_E), f(-LN2_FUSED[0]), f(-LN2_FUSED[1])
C0, C1, C2, C3, C4, C5 = map(f, EXP_COEFFICIENTS)
MAGIC = f(1.5 * 2**23)  # adding it leaves a number no room for a fraction: subtracting it again has rounded
MAGIC_POWER = f(float.fromhex("0x1.8000FEp23"))  # adding it puts exponent + 127 into the lowest bits
FARTHEST = f(2.9e6)  # up to here the exponent is exact, for x log₂e < 2²²
NONE_YET = f(-1e9)  # the exponent of an empty sum; −∞ would make NaN of −∞ − (−∞)
LOWEST = f(np.finfo(f).min)
NO_POWER = MAGIC_POWER - f(127)  # 2^−127 and less counts as 0


compiled = numba.njit(cache=True, error_model="numpy")
inlined = numba.njit(cache=True, error_model="numpy", inline="always")


@inlined
def _exp(x):
    """exp(x) as (mantissa, exponent); what is −FARTHEST or less has the exponent of −FARTHEST."""
    x = -FARTHEST if x < -FARTHEST else x  # in this order NaN stays NaN
    n = fused_multiply_add(x, L2E, MAGIC) - MAGIC
    t = fused_multiply_add(n, LOW, fused_multiply_add(n, HIGH, x))
    m = fused_multiply_add(t, C5, C4)
    m = fused_multiply_add(t, m, C3)
    m = fused_multiply_add(t, m, C2)
    m = fused_multiply_add(t, m, C1)
    return fused_multiply_add(t, m, C0), n


@inlined
def _power(n, biased):
    """2^(n − exponent) for a difference from −126 to 0, and 0 below; `biased` is `_biased(exponent)`."""
    n = n - biased
    n = n if n > NO_POWER else NO_POWER
    return float_of_bits(bits_of_float(n) << np.int32(23))


@inlined
def _biased(exponent):
    """What to subtract so that the difference has n − exponent + 127 in its lowest bits."""
    return exponent - MAGIC_POWER


@inlined
def _plain_exp(x):
    """exp(x) for x <= 0."""
    m, n = _exp(x)
    return m * _power(n, -MAGIC_POWER)


@inlined
def _larger(a, b):
    return a if a > b else b


@inlined
def _put(y, start, room, stream):
    if stream:
        stream_lanes(y, start, room)
    else:
        lanes, part = numba.carray(room, (LANES,)), y[start : start + LANES]
        for j in range(LANES):
            part[j] = lanes[j]


@compiled
def _is_streamed(x, y):
    """Whether y is long, begins where a vector may, and is not what is being read."""
    return y.size >= STREAM_FROM and y.ctypes.data % 64 == 0 and y.ctypes.data != x.ctypes.data


@compiled
def _maximum(x):
    best = numba.carray(room_for_lanes(), (LANES,))
    best[:] = LOWEST
    whole = x.size // STEP * STEP
    for start in range(0, whole, STEP):
        four = x[start : start + STEP]
        for j in range(LANES):
            a = _larger(four[j], four[j + LANES])
            b = _larger(four[j + 2 * LANES], four[j + 3 * LANES])
            best[j] = _larger(_larger(a, b), best[j])
    found = LOWEST  # a row of nothing but −∞ ends in 0/0, which is NaN as torch has it
    for j in range(LANES):
        found = _larger(best[j], found)
    for i in range(whole, x.size):
        found = _larger(x[i], found)
    return found


@compiled
def _sum_block(x, maximum):
    sums = numba.carray(room_for_lanes(), (LANES,))
    sums[:] = f(0)
    whole = x.size // STEP * STEP
    for start in range(0, whole, STEP):
        four = x[start : start + STEP]
        for j in range(LANES):
            a, b = _plain_exp(four[j] - maximum), _plain_exp(four[j + LANES] - maximum)
            c, d = _plain_exp(four[j + 2 * LANES] - maximum), _plain_exp(four[j + 3 * LANES] - maximum)
            sums[j] += (a + b) + (c + d)
    total = f(0)
    for j in range(LANES):
        total += sums[j]
    for i in range(whole, x.size):
        total += _plain_exp(x[i] - maximum)
    return total


@compiled
def _sum_and_keep_block(x, y, maximum, stream):
    sums, kept = numba.carray(room_for_lanes(), (LANES,)), room_for_lanes()
    here = numba.carray(kept, (LANES,))
    sums[:] = f(0)
    whole = x.size // LANES * LANES
    for start in range(0, whole, LANES):
        part = x[start : start + LANES]
        for j in range(LANES):
            here[j] = _plain_exp(part[j] - maximum)
            sums[j] += here[j]
        _put(y, start, kept, stream)
    total = f(0)
    for j in range(LANES):
        total += sums[j]
    for i in range(whole, x.size):
        y[i] = _plain_exp(x[i] - maximum)
        total += y[i]
    return total


@compiled
def _online_block(x):
    """Maximum, and sum of exp(x − maximum)."""
    best, sums = numba.carray(room_for_lanes(), (LANES,)), numba.carray(room_for_lanes(), (LANES,))
    best[:] = LOWEST
    sums[:] = f(0)
    whole = x.size // STEP * STEP
    for start in range(0, whole, STEP):
        four = x[start : start + STEP]
        for j in range(LANES):
            a, b, c, d = four[j], four[j + LANES], four[j + 2 * LANES], four[j + 3 * LANES]
            top = _larger(_larger(_larger(a, b), _larger(c, d)), best[j])
            new = (_plain_exp(a - top) + _plain_exp(b - top)) + (_plain_exp(c - top) + _plain_exp(d - top))
            sums[j] = fused_multiply_add(sums[j], _plain_exp(best[j] - top), new)
            best[j] = top
    maximum, total = LOWEST, f(0)
    for j in range(LANES):
        top = _larger(best[j], maximum)
        total = total * _plain_exp(maximum - top) + sums[j] * _plain_exp(best[j] - top)
        maximum = top
    for i in range(whole, x.size):
        top = _larger(x[i], maximum)
        total = total * _plain_exp(maximum - top) + _plain_exp(x[i] - top)
        maximum = top
    return maximum, total


@compiled
def _pair_block(x):
    """Σ exp(x) as (mantissa, exponent)."""
    mantissas, exponents = numba.carray(room_for_lanes(), (LANES,)), numba.carray(room_for_lanes(), (LANES,))
    mantissas[:] = f(0)
    exponents[:] = NONE_YET
    whole = x.size // STEP * STEP
    for start in range(0, whole, STEP):
        four = x[start : start + STEP]
        for j in range(LANES):
            (ma, na), (mb, nb) = _exp(four[j]), _exp(four[j + LANES])
            (mc, nc), (md, nd) = _exp(four[j + 2 * LANES]), _exp(four[j + 3 * LANES])
            top = _larger(_larger(_larger(na, nb), _larger(nc, nd)), exponents[j])
            base = _biased(top)
            new = fused_multiply_add(ma, _power(na, base), mb * _power(nb, base))
            new = fused_multiply_add(mc, _power(nc, base), fused_multiply_add(md, _power(nd, base), new))
            mantissas[j] = fused_multiply_add(mantissas[j], _power(exponents[j], base), new)
            exponents[j] = top
    mantissa, exponent = f(0), NONE_YET
    for j in range(LANES):
        top = _larger(exponents[j], exponent)
        base = _biased(top)
        mantissa = mantissa * _power(exponent, base) + mantissas[j] * _power(exponents[j], base)
        exponent = top
    for i in range(whole, x.size):
        m, n = _exp(x[i])
        top = _larger(n, exponent)
        base = _biased(top)
        mantissa = mantissa * _power(exponent, base) + m * _power(n, base)
        exponent = top
    return mantissa, exponent


@compiled
def pair_sum(x):
    """Σ exp(x) of a whole row as (mantissa, exponent); the mantissa, summed over blocks, is float64."""
    mantissa, exponent = 0.0, NONE_YET
    for start in range(0, x.size, BLOCK):
        m, n = _pair_block(x[start : start + BLOCK])
        top = _larger(n, exponent)
        base = _biased(top)
        mantissa = mantissa * _power(exponent, base) + m * _power(n, base)
        exponent = top
    return mantissa, exponent


@compiled
def in_reach(exponent):
    """Whether a sum's exponent is exact, and lies so far above that of −FARTHEST that what lies below is 0 anyway."""
    return abs(exponent) < f(4.1e6)


@compiled
def _write(x, y, maximum, scale):
    room, stream = room_for_lanes(), _is_streamed(x, y)
    here, whole = numba.carray(room, (LANES,)), x.size // LANES * LANES
    for start in range(0, whole, LANES):
        part = x[start : start + LANES]
        for j in range(LANES):
            here[j] = _plain_exp(part[j] - maximum) * scale
        _put(y, start, room, stream)
    for i in range(whole, x.size):
        y[i] = _plain_exp(x[i] - maximum) * scale


@compiled
def _write_pairs(x, y, exponent, scale):
    room, stream, base = room_for_lanes(), _is_streamed(x, y), _biased(exponent)
    here, whole = numba.carray(room, (LANES,)), x.size // LANES * LANES
    for start in range(0, whole, LANES):
        part = x[start : start + LANES]
        for j in range(LANES):
            m, n = _exp(part[j])
            here[j] = m * scale * _power(n, base)
        _put(y, start, room, stream)
    for i in range(whole, x.size):
        m, n = _exp(x[i])
        y[i] = m * scale * _power(n, base)


@compiled
def _recompute(x, y):
    maximum, total = _maximum(x), 0.0
    for start in range(0, x.size, BLOCK):
        total += _sum_block(x[start : start + BLOCK], maximum)
    _write(x, y, maximum, f(1 / total))


@compiled
def _reload(x, y):
    maximum, total, stream = _maximum(x), 0.0, _is_streamed(x, y)
    for start in range(0, x.size, BLOCK):
        total += _sum_and_keep_block(x[start : start + BLOCK], y[start : start + BLOCK], maximum, stream)
    scale = f(1 / total)
    for i in range(y.size):  # an ordinary store, for what is overwritten has just been read
        y[i] *= scale


@compiled
def _online(x, y):
    maximum, total = LOWEST, 0.0
    for start in range(0, x.size, BLOCK):
        best, part = _online_block(x[start : start + BLOCK])
        top = _larger(best, maximum)
        total = total * _plain_exp(maximum - top) + part * _plain_exp(best - top)
        maximum = top
    _write(x, y, maximum, f(1 / total))


@compiled
def _two_pass(x, y):
    mantissa, exponent = pair_sum(x)
    if in_reach(exponent):
        _write_pairs(x, y, exponent, f(1 / mantissa))
    else:  # logits beyond FARTHEST, infinite or NaN: the maximum is needed after all
        _recompute(x, y)


ALGORITHMS = {"recompute": _recompute, "reload": _reload, "online": _online, "two-pass": _two_pass}
"""By name, functions of (x, y): two arrays of float32 without gaps, the logits and where the probabilities go."""
