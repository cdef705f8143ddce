"""The gradient of a tile of columns from the state of its rows; states and numbers on their way to memory and back."""

import triton
import triton.language as tl

from lossbook.kernels.triton_states import (
    AVERAGE,
    ENTROPY,
    EXPONENTIALS,
    LOG_PROBABILITY,
    LOG_PROBABILITY_SUM,
    LOGSUMEXP,
    MAX,
    MAXIMUM,
    MEAN,
    MINUS_INFINITY,
    OTHERS,
    OTHERS_LOGSUMEXP,
    OTHERS_MAXIMUM,
    SOFT_LOG_PROBABILITY,
    SOFT_WEIGHT,
    SOFTPLUS_SUM,
    SQUARE_SUM,
    STABLEMAX_SUM,
    SUM,
    TARGET,
    TIES,
    VARIANCE,
    WEIGHT,
    finite,
    sigmoid_map,
    stablemax_slope,
)


@triton.jit
def gradient_terms(c, state, numbers, classes, SLOTS: tl.constexpr, PLACES: tl.constexpr):
    """What the gradient of a row's columns must know: `c` holds the derivatives of the loss by the names asked for."""
    base, log_s, by_p, by_entropy, flat, by_z, by_softplus, by_stable, m, by_max = (0.0,) * 10
    mean, by_distance, by_others, others_base, others_log, at_target, by_weight, by_soft = (0.0,) * 8
    if SLOTS[MAXIMUM] >= 0:
        m, s = state[MAXIMUM], state[EXPONENTIALS]
        base, log_s = finite(m), tl.log(s)
        by_p = 0.0 * s
    if PLACES[LOGSUMEXP] >= 0:
        by_p += c[PLACES[LOGSUMEXP]]
    if PLACES[LOG_PROBABILITY] >= 0:
        by_p -= c[PLACES[LOG_PROBABILITY]]
        at_target += c[PLACES[LOG_PROBABILITY]]
    if PLACES[LOG_PROBABILITY_SUM] >= 0:
        by_weight = c[PLACES[LOG_PROBABILITY_SUM]]
        by_p -= by_weight * state[WEIGHT]
    if PLACES[SOFT_LOG_PROBABILITY] >= 0:
        by_soft = c[PLACES[SOFT_LOG_PROBABILITY]]
        by_p -= by_soft * state[SOFT_WEIGHT]
    if PLACES[ENTROPY] >= 0:
        by_entropy = -c[PLACES[ENTROPY]]
        by_p += by_entropy * numbers[ENTROPY]
    if PLACES[TARGET] >= 0:
        at_target += c[PLACES[TARGET]]
    if PLACES[SUM] >= 0:
        flat += c[PLACES[SUM]]
    if PLACES[MEAN] >= 0:
        flat += c[PLACES[MEAN]] / classes
    if PLACES[SQUARE_SUM] >= 0:
        by_z = 2 * c[PLACES[SQUARE_SUM]]
    if PLACES[SOFTPLUS_SUM] >= 0:
        by_softplus = c[PLACES[SOFTPLUS_SUM]]
    if PLACES[STABLEMAX_SUM] >= 0:
        by_stable = c[PLACES[STABLEMAX_SUM]]
    if PLACES[MAX] >= 0:
        by_max = c[PLACES[MAX]] / state[TIES]
    if PLACES[VARIANCE] >= 0:
        mean, by_distance = state[AVERAGE], 2 * c[PLACES[VARIANCE]] / classes
    if PLACES[OTHERS_LOGSUMEXP] >= 0:
        others = state[OTHERS]
        none = others == 0
        others_base = finite(state[OTHERS_MAXIMUM])
        others_log = tl.where(none, 0.0, tl.log(others))
        by_others = tl.where(none, 0.0, c[PLACES[OTHERS_LOGSUMEXP]])
    softmax = (base, log_s, by_p, by_entropy, by_weight, by_soft)
    sums = (flat, by_z, by_softplus, by_stable, at_target)
    return softmax, sums, (m, by_max, mean, by_distance, others_base, others_log, by_others)


@triton.jit
def spread(number, AXIS: tl.constexpr):
    """A number a row along the class axis of a tile; AXIS -1: the tile is of one row, and the number a scalar."""
    wide = number
    if AXIS >= 0:
        wide = tl.expand_dims(number, AXIS)
    return wide


@triton.jit
def tile_gradient(z, at_target, weight, soft, terms, AXIS: tl.constexpr, PLACES: tl.constexpr):
    """Σ_k c_k ∂statistic_k/∂z_j over a tile of columns, from the `gradient_terms` of its rows."""
    base, log_s, by_p, by_entropy, by_weight, by_soft = terms[0]
    flat, by_z, by_softplus, by_stable, by_target = terms[1]
    m, by_max, mean, by_distance, others_base, others_log, by_others = terms[2]
    g = 0.0 * z
    g = tl.where(g == 0, g, 0.0)  # 0 where z is infinite, or NaN: whether NaN comes out is the statistics' matter
    if (
        PLACES[LOGSUMEXP] >= 0
        or PLACES[ENTROPY] >= 0
        or PLACES[LOG_PROBABILITY] >= 0
        or PLACES[LOG_PROBABILITY_SUM] >= 0
        or PLACES[SOFT_LOG_PROBABILITY] >= 0
    ):
        log_p = (z - spread(base, AXIS)) - spread(log_s, AXIS)
        p = tl.exp(log_p)
        g += p * spread(by_p, AXIS)
        if PLACES[ENTROPY] >= 0:
            g += tl.where(log_p == MINUS_INFINITY, 0.0, log_p) * p * spread(by_entropy, AXIS)
        if PLACES[LOG_PROBABILITY_SUM] >= 0:
            g += weight * spread(by_weight, AXIS)
        if PLACES[SOFT_LOG_PROBABILITY] >= 0:
            g += weight * soft * spread(by_soft, AXIS)
    if PLACES[SUM] >= 0 or PLACES[MEAN] >= 0:
        g += spread(flat, AXIS)
    if PLACES[SQUARE_SUM] >= 0:
        g += z * spread(by_z, AXIS)
    if PLACES[SOFTPLUS_SUM] >= 0:
        g += sigmoid_map(z) * spread(by_softplus, AXIS)
    if PLACES[STABLEMAX_SUM] >= 0:
        g += stablemax_slope(z) * spread(by_stable, AXIS)
    if PLACES[MAX] >= 0:
        g += tl.where(z == spread(m, AXIS), spread(by_max, AXIS), 0.0)
    if PLACES[VARIANCE] >= 0:
        g += (z - spread(mean, AXIS)) * spread(by_distance, AXIS)
    if PLACES[OTHERS_LOGSUMEXP] >= 0:
        others_p = tl.exp((z - spread(others_base, AXIS)) - spread(others_log, AXIS))
        g += tl.where(at_target, 0.0, others_p * spread(by_others, AXIS))
    if PLACES[TARGET] >= 0 or PLACES[LOG_PROBABILITY] >= 0:
        g += tl.where(at_target, spread(by_target, AXIS), 0.0)
    return g


# Between states and memory


@triton.jit
def load_state(STATE, stride, offset, ok, SLOTS: tl.constexpr):
    """A saved state: part k stands at STATE + SLOTS[k] * stride + offset. Masked, it is the empty one."""
    state = ()
    for part in tl.static_range(len(SLOTS)):
        if SLOTS[part] < 0:
            state += (0.0,)  # type: ignore[assignment]
        elif part == MAXIMUM or part == OTHERS_MAXIMUM:  # noqa: SIM109  # Triton knows no `in`
            state += (tl.load(STATE + SLOTS[part] * stride + offset, mask=ok, other=MINUS_INFINITY),)  # type: ignore[assignment]
        else:
            state += (tl.load(STATE + SLOTS[part] * stride + offset, mask=ok, other=0.0),)  # type: ignore[assignment]
    return state


@triton.jit
def store_state(STATE, stride, offset, ok, state, SLOTS: tl.constexpr):
    """Save the parts that are needed."""
    for part in tl.static_range(len(SLOTS)):
        if SLOTS[part] >= 0:
            tl.store(STATE + SLOTS[part] * stride + offset, state[part], mask=ok)


@triton.jit
def store_numbers(OUT, stride, offset, ok, numbers, counts, PLACES: tl.constexpr):
    """The statistics asked for; 0 for a row that does not count, whatever stands in it."""
    for name in tl.static_range(len(PLACES)):
        if PLACES[name] >= 0:
            tl.store(OUT + PLACES[name] * stride + offset, tl.where(counts, numbers[name], 0.0), mask=ok)


@triton.jit
def load_coefficients(C, stride, offset, ok, ACC: tl.constexpr, COUNT: tl.constexpr):
    """The derivatives of the loss by the statistics asked for, of any strides."""
    c = ()
    for k in tl.static_range(COUNT):
        c += (tl.load(C + k * stride + offset, mask=ok, other=0.0).to(ACC),)  # type: ignore[assignment]
    return c
