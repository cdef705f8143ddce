"""What every Triton engine is made of: element maps, states and how they grow, and the gradient of a tile.

A state is what has been learned of a row from the columns seen so far: a tuple of numbers, its parts, each of a monoid
(sum, maximum, exponentials under a running maximum, squared deviations under a running mean). `accumulate` lets a state
see a tile of columns, `fold` joins many states into one, `finish` turns it into statistics and `tile_gradient` takes it
back to the columns. Two tuples of compile-time numbers say what a kernel needs: SLOTS, the place of each part in the
saved state, and PLACES, the place of each statistic among the names asked for; -1 where it is not needed, and then
nothing is computed for it. Values follow `lossbook.kernels.statistics`, which says what the statistics are.

`exp` of float32 is compiled to a product by log2(e) and the hardware's exp2. The product is taken after the maximum has
gone: folded in before it, it would cost four digits at scores of 1e4.
"""

import triton
import triton.language as tl

from lossbook.kernels.layout import PARTS, STATISTICS

_ORDER = {name: tl.constexpr(place) for place, name in enumerate(PARTS)}
MAXIMUM, TIES, EXPONENTIALS = _ORDER["maximum"], _ORDER["ties"], _ORDER["exponentials"]
WEIGHTED_EXPONENTIALS, WEIGHTED, WEIGHT = _ORDER["weighted_exponentials"], _ORDER["weighted"], _ORDER["weight"]
SOFT, SOFT_WEIGHT = _ORDER["soft"], _ORDER["soft_weight"]
PART_SUM, PART_SQUARES, PART_SOFTPLUS = _ORDER["sum"], _ORDER["square_sum"], _ORDER["softplus_sum"]
PART_STABLEMAX, COUNT = _ORDER["stablemax_sum"], _ORDER["count"]
AVERAGE, DEVIATIONS = _ORDER["average"], _ORDER["deviations"]
OTHERS_MAXIMUM, OTHERS, PART_TARGET = _ORDER["others_maximum"], _ORDER["others"], _ORDER["target"]

_PLACE = {name: tl.constexpr(STATISTICS.index(name)) for name in STATISTICS}
TARGET, LOGSUMEXP, MAX = _PLACE["target"], _PLACE["logsumexp"], _PLACE["max"]
SUM, SQUARE_SUM, SOFTPLUS_SUM = _PLACE["sum"], _PLACE["square_sum"], _PLACE["softplus_sum"]
STABLEMAX_SUM, MEAN, VARIANCE = _PLACE["stablemax_sum"], _PLACE["mean"], _PLACE["variance"]
OTHERS_LOGSUMEXP, ENTROPY, LOG_PROBABILITY = _PLACE["others_logsumexp"], _PLACE["entropy"], _PLACE["log_probability"]
LOG_PROBABILITY_SUM, SOFT_LOG_PROBABILITY = _PLACE["log_probability_sum"], _PLACE["soft_log_probability"]
MINUS_INFINITY = tl.constexpr(float("-inf"))
INFINITY = tl.constexpr(float("inf"))


# Element maps


@triton.jit
def square_map(z):
    """z²."""
    return z * z


@triton.jit
def softplus_map(z):
    """log(1 + exp(z)) = max(z, 0) + log1p(exp(-|z|))."""
    t = tl.exp(-tl.abs(z))
    if z.dtype == tl.float64:
        above = 1 + t  # what 1 + t rounds away is put back by the quotient
        log1p = tl.where(above == 1, t, tl.log(above) * (t / tl.where(above == 1, 1.0, above - 1)))
    else:
        # log1p(t)/t at Chebyshev's points of [0, 1], degree 9, off by 5e-9; a logarithm would cost more than the load
        p = -3.17605705e-03
        p = p * t + 1.95425274e-02
        p = p * t - 5.63736132e-02
        p = p * t + 1.05436238e-01
        p = p * t - 1.52696671e-01
        p = p * t + 1.96632743e-01
        p = p * t - 2.49516163e-01
        p = p * t + 3.33297105e-01
        p = p * t - 4.99998926e-01
        p = p * t + 9.99999995e-01
        log1p = p * t
    return tl.maximum(z, 0.0, propagate_nan=tl.PropagateNan.ALL) + log1p


@triton.jit
def sigmoid_map(z):
    """1/(1 + exp(-z)), by the exponential that cannot overflow."""
    t = tl.exp(-tl.abs(z))
    return tl.where(z >= 0, 1.0, t) / (1 + t)


@triton.jit
def stablemax_map(z):
    """s(z) = z + 1 from 0 on, 1/(1 − z) below; the clamp keeps the branch not taken from dividing by zero."""
    return tl.where(z >= 0, z + 1, 1 / (1 - tl.minimum(z, 0.0, propagate_nan=tl.PropagateNan.ALL)))


@triton.jit
def stablemax_slope(z):
    """1 from 0 on, s(z)² below."""
    s = 1 / (1 - tl.minimum(z, 0.0, propagate_nan=tl.PropagateNan.ALL))
    return s * s


@triton.jit
def softcap_map(z, cap):
    """Bend a score to c tanh(z/c), exact to a rounding of the largest capped score."""
    return cap * (2 * sigmoid_map(2 * z / cap) - 1)


# States


@triton.jit
def finite(m):
    """A maximum that can be taken away: 0 for an infinite one, so that no difference of infinities arises."""
    return tl.where(tl.abs(m) == INFINITY, 0.0, m)


@triton.jit
def fall(m, base):
    """By how much the scores of a state lie lower once they are counted from `base`; 0 where nothing was seen."""
    return tl.where(m == MINUS_INFINITY, 0.0, m - base)


@triton.jit
def empty_state(SHAPE: tl.constexpr, ACC: tl.constexpr):
    """The identity: a state that has seen no column."""
    o = tl.zeros(SHAPE, ACC)
    low = tl.full(SHAPE, MINUS_INFINITY, ACC)
    return (low, o, o, o, o, o, o, o, o, o, o, o, o, o, o, low, o, o)


@triton.jit
def masked_sum(values, ok, AXIS: tl.constexpr):
    """Σ over the columns that there are."""
    return tl.sum(tl.where(ok, values, 0.0), AXIS)


@triton.jit
def accumulate(state, z, ok, at_target, weight, soft, AXIS: tl.constexpr, SLOTS: tl.constexpr):
    """The state after it has seen a tile; `ok` masks after the element map. `weight` and `soft` may be scalars."""
    m, ties, s, e, a, w, b, q, total, squares, softplus, stable, n, mean, dev, om, others, z_y = state
    if SLOTS[MAXIMUM] >= 0:
        seen = tl.where(ok, z, MINUS_INFINITY)
        new = tl.maximum(m, tl.max(seen, AXIS))
        base = finite(new)
        below = seen - tl.expand_dims(base, AXIS)
        shrink, lower = tl.exp(m - base), fall(m, base)
        exps = tl.exp(below)
        if SLOTS[TIES] >= 0:
            at_max = ok & (z == tl.expand_dims(new, AXIS))
            ties = tl.where(new > m, 0.0, ties) + tl.sum(tl.where(at_max, 1.0, 0.0).to(m.dtype), AXIS)
        if SLOTS[WEIGHTED_EXPONENTIALS] >= 0:
            e = shrink * (e + lower * s) + tl.sum(tl.where(seen == MINUS_INFINITY, 0.0, below * exps), AXIS)
        if SLOTS[WEIGHTED] >= 0:
            a = a + lower * w + masked_sum(weight * below, ok, AXIS)
            w = w + masked_sum(weight + 0 * exps, ok, AXIS)
        if SLOTS[SOFT] >= 0:
            mass = weight * soft
            b = b + lower * q + masked_sum(tl.where(mass == 0, 0.0, mass * below), ok, AXIS)
            q = q + masked_sum(mass, ok, AXIS)
        s = s * shrink + tl.sum(exps, AXIS)
        m = new
    if SLOTS[PART_SUM] >= 0:
        total = total + masked_sum(z, ok, AXIS)
    if SLOTS[PART_SQUARES] >= 0:
        squares = squares + masked_sum(square_map(z), ok, AXIS)
    if SLOTS[PART_SOFTPLUS] >= 0:
        softplus = softplus + masked_sum(softplus_map(z), ok, AXIS)
    if SLOTS[PART_STABLEMAX] >= 0:
        stable = stable + masked_sum(stablemax_map(z), ok, AXIS)
    if SLOTS[COUNT] >= 0:
        columns = tl.sum(tl.where(ok, 1.0, 0.0 * z), AXIS)
        here = masked_sum(z, ok, AXIS) / tl.maximum(columns, 1.0)
        off = tl.where(ok, z - tl.expand_dims(here, AXIS), 0.0)
        share = columns / tl.maximum(n + columns, 1.0)
        step = here - mean
        dev = dev + tl.sum(off * off, AXIS) + step * step * n * share
        mean = mean + step * share
        n = n + columns
    if SLOTS[OTHERS] >= 0:
        seen_others = tl.where(ok & (at_target == 0), z, MINUS_INFINITY)
        new_others = tl.maximum(om, tl.max(seen_others, AXIS))
        base_others = finite(new_others)
        others = others * tl.exp(om - base_others) + tl.sum(
            tl.exp(seen_others - tl.expand_dims(base_others, AXIS)), AXIS
        )
        om = new_others
    return (m, ties, s, e, a, w, b, q, total, squares, softplus, stable, n, mean, dev, om, others, z_y)


@triton.jit
def fold(state, AXIS: tl.constexpr, SLOTS: tl.constexpr):
    """Many states along an axis as one. The order of the sums is fixed, so the same input gives the same bits."""
    m, ties, s, e, a, w, b, q, total, squares, softplus, stable, n, mean, dev, om, others, z_y = state
    if SLOTS[MAXIMUM] >= 0:
        top = tl.max(m, AXIS)
        base = tl.expand_dims(finite(top), AXIS)
        shrink, lower = tl.exp(m - base), fall(m, base)
        if SLOTS[TIES] >= 0:
            ties = tl.sum(tl.where(m == tl.expand_dims(top, AXIS), ties, 0.0), AXIS)
        if SLOTS[WEIGHTED_EXPONENTIALS] >= 0:
            e = tl.sum(shrink * (e + lower * s), AXIS)
        if SLOTS[WEIGHTED] >= 0:
            a = tl.sum(a + lower * w, AXIS)
            w = tl.sum(w, AXIS)
        if SLOTS[SOFT] >= 0:
            b = tl.sum(b + lower * q, AXIS)
            q = tl.sum(q, AXIS)
        s = tl.sum(s * shrink, AXIS)
        m = top
    if SLOTS[PART_SUM] >= 0:
        total = tl.sum(total, AXIS)
    if SLOTS[PART_SQUARES] >= 0:
        squares = tl.sum(squares, AXIS)
    if SLOTS[PART_SOFTPLUS] >= 0:
        softplus = tl.sum(softplus, AXIS)
    if SLOTS[PART_STABLEMAX] >= 0:
        stable = tl.sum(stable, AXIS)
    if SLOTS[COUNT] >= 0:
        columns = tl.sum(n, AXIS)
        centre = tl.sum(n * mean, AXIS) / tl.maximum(columns, 1.0)
        off = mean - tl.expand_dims(centre, AXIS)
        dev = tl.sum(dev + n * off * off, AXIS)
        mean = centre
        n = columns
    if SLOTS[OTHERS] >= 0:
        top_others = tl.max(om, AXIS)
        others = tl.sum(others * tl.exp(om - tl.expand_dims(finite(top_others), AXIS)), AXIS)
        om = top_others
    if SLOTS[PART_TARGET] >= 0:
        z_y = tl.sum(z_y, AXIS)  # one state has seen it, the others hold 0
    return (m, ties, s, e, a, w, b, q, total, squares, softplus, stable, n, mean, dev, om, others, z_y)


@triton.jit
def with_target(state, target):
    """The state with the score of the target, which is fetched by itself where the row is in memory."""
    found = ()
    for part in tl.static_range(PART_TARGET):
        found += (state[part],)
    found += (target,)
    return found


@triton.jit
def finish(state, classes, SLOTS: tl.constexpr):
    """The statistics of whole rows from their states, in the order of STATISTICS; those not asked for are left 0."""
    maximum, logsumexp, entropy, log_p, log_p_sum, soft_log_p, average, variance, others_logsumexp = (0.0,) * 9
    if SLOTS[MAXIMUM] >= 0:
        m, s = state[MAXIMUM], state[EXPONENTIALS]
        base, log_s = finite(m), tl.log(s)
        logsumexp = base + log_s
        log_s = tl.where(m == INFINITY, float("nan"), log_s)  # no probabilities beside an infinite score, as in torch
        maximum = tl.where(s == s, m, float("nan"))  # a maximum passes NaN over, a sum does not
        if SLOTS[PART_TARGET] >= 0:
            log_p = (state[PART_TARGET] - base) - log_s
        if SLOTS[WEIGHTED_EXPONENTIALS] >= 0:
            entropy = log_s - state[WEIGHTED_EXPONENTIALS] / s
        if SLOTS[WEIGHTED] >= 0:
            log_p_sum = state[WEIGHTED] - state[WEIGHT] * log_s
        if SLOTS[SOFT] >= 0:
            mass = state[SOFT_WEIGHT]
            soft_log_p = tl.where(mass == 0, state[SOFT], state[SOFT] - mass * log_s)
    if SLOTS[PART_SUM] >= 0:
        average = state[PART_SUM] / classes
    if SLOTS[COUNT] >= 0:
        variance = state[DEVIATIONS] / classes
    if SLOTS[OTHERS] >= 0:
        others_logsumexp = finite(state[OTHERS_MAXIMUM]) + tl.log(state[OTHERS])
    return (
        state[PART_TARGET],
        logsumexp,
        maximum,
        state[PART_SUM],
        state[PART_SQUARES],
        state[PART_SOFTPLUS],
        state[PART_STABLEMAX],
        average,
        variance,
        others_logsumexp,
        entropy,
        log_p,
        log_p_sum,
        soft_log_p,
    )
