"""The compiled softmax: as exact as it is said to be, right at every edge, and really made of vectors."""

import math
import platform
import re

import numba
import numpy as np
import pytest
import torch

from lossbook.kernels import softmax as reference
from lossbook.kernels import softmax_lanes
from lossbook.kernels.softmax_compiled import ALGORITHMS, logsumexp, softmax, vector_bits

INFINITY, NAN = math.inf, math.nan
BLOCK, STEP, LANES = softmax_lanes.BLOCK, softmax_lanes.STEP, softmax_lanes.LANES
LENGTHS = (1, 2, STEP - 1, STEP, STEP + 1, 1000, BLOCK - 1, BLOCK, BLOCK + 1, 50257, 5 * BLOCK + 3 * STEP + 7)
EDGES = {
    "far apart": [-1e4, 1e4, 0.0],
    "beyond reach": [5e6, 5e6 - 1, -5e6],
    "far below": [-5e6, -5e6 - 1, -1e9],
    "masked first": [-INFINITY, -INFINITY, 2.0],
    "masked by a large number": [-1e30, 0.0],
    "all at a large number": [-1e30, -1e30],
    "all at the lowest number": [-3.4028235e38, -3.4028235e38, -INFINITY],
    "at the ends of float32": [3.4e38, 2.4e38, -3.4e38],
    "all masked": [-INFINITY, -INFINITY],
    "infinite": [INFINITY, 0.0],
    "NaN first": [NAN, 0.0, 1.0],
    "NaN last": [0.0, 1.0, NAN],
}
every_algorithm = pytest.mark.parametrize("algorithm", ALGORITHMS)


def truth_of(logits):
    return torch.softmax(logits.double(), -1)


@every_algorithm
@pytest.mark.parametrize("shift", [0.0, 1e4, -1e4])
def test_probabilities_of_rows_of_any_length_are_those_of_float64(algorithm, shift, generator):
    for length in LENGTHS:
        row = 4 * torch.randn(length, generator=generator) + shift
        # x − maximum lies within 40: half a unit in its last place is 2e-6; the rest are some roundings of 6e-8.
        torch.testing.assert_close(softmax(row, algorithm).double(), truth_of(row), rtol=4e-6, atol=0)


def test_two_pass_keeps_the_digits_that_subtracting_the_maximum_rounds_away(generator):
    row = 4 * torch.randn(100_000, generator=generator)
    error = {name: float((softmax(row, name) / truth_of(row) - 1).abs().max()) for name in ALGORITHMS}
    assert error["two-pass"] < 5e-7  # 9e-8 of the polynomial, and some roundings of 6e-8
    assert min(error["recompute"], error["reload"], error["online"]) > 1e-6


@every_algorithm
@pytest.mark.parametrize("row", EDGES.values(), ids=EDGES)
@pytest.mark.parametrize("among", [0, 200], ids=["alone", "among masked classes"])
def test_at_the_edges_every_algorithm_says_what_torch_says(algorithm, row, among):
    logits = torch.cat([torch.full((among,), -INFINITY), torch.tensor(row)])
    torch.testing.assert_close(
        softmax(logits, algorithm), torch.softmax(logits, -1), rtol=1e-6, atol=1e-37, equal_nan=True
    )


@every_algorithm
def test_a_probability_too_small_for_float32_is_0(algorithm):
    assert softmax(torch.tensor([0.0, -120.0, -1000.0]), algorithm).tolist() == [1, 0, 0]


@every_algorithm
def test_the_element_by_element_algorithm_gives_the_same(algorithm, generator):
    row = 3 * torch.randn(300, generator=generator)
    # Sums of 300 in another order, and exp of NumPy's instead of the polynomial: some roundings of 6e-8
    np.testing.assert_allclose(softmax(row, algorithm), reference.softmax(row, algorithm), rtol=1e-6)


@every_algorithm
def test_a_long_row_of_small_numbers_loses_no_digits(algorithm):
    # One sum in float32 of 2²⁵ equal terms would stop at 2²⁴.
    found = softmax(torch.zeros(2**25), algorithm)
    assert float(found[0]) == 2.0**-25
    assert bool((found == found[0]).all())


@every_algorithm
@pytest.mark.parametrize("start", [0, 1, 16], ids=["on a boundary", "off every boundary", "on the next boundary"])
def test_a_row_that_is_streamed_past_the_caches_is_written_whole(algorithm, start, generator):
    row = torch.randn(softmax_lanes.STREAM_FROM + LANES + 5, generator=generator)
    memory = torch.full((len(row) + 32,), -1.0)
    softmax(row, algorithm, out=memory[start : start + len(row)])
    assert bool((memory[:start] == -1).all())
    assert bool((memory[start + len(row) :] == -1).all())
    # within 12 of the maximum: 5e-7 of rounding, and some of 6e-8 each
    torch.testing.assert_close(memory[start : start + len(row)].double(), truth_of(row), rtol=1.5e-6, atol=0)


@every_algorithm
def test_rows_are_taken_as_they_lie_in_memory(algorithm, generator):
    whole = torch.randn(6, 40, generator=generator)
    for logits in (whole[:, 3:20], whole.T, whole[::2, ::3], whole[:1].expand(4, 40), whole.reshape(2, 3, 40)):
        torch.testing.assert_close(softmax(logits, algorithm), torch.softmax(logits, -1), rtol=2e-6, atol=0)
    assert softmax(whole[:0], algorithm).shape == (0, 40)


@every_algorithm
@pytest.mark.parametrize("length", [1000, softmax_lanes.STREAM_FROM])
def test_the_result_is_written_where_it_is_wanted_even_over_the_logits(algorithm, length, generator):
    row = torch.randn(length, generator=generator)
    fresh, given = softmax(row, algorithm), torch.empty(length)
    assert softmax(row, algorithm, out=given) is given
    assert torch.equal(given, fresh)
    assert torch.equal(softmax(row, algorithm, out=row), fresh)


@every_algorithm
def test_it_is_bitwise_the_same_twice(algorithm, generator):
    row = torch.randn(BLOCK + 77, generator=generator)
    assert torch.equal(softmax(row, algorithm), softmax(row, algorithm))


@pytest.mark.parametrize("row", EDGES.values(), ids=EDGES)
def test_the_log_of_the_sum_at_the_edges_is_that_of_torch(row):
    torch.testing.assert_close(
        logsumexp(torch.tensor(row)), torch.logsumexp(torch.tensor(row), -1), rtol=1e-6, atol=0, equal_nan=True
    )


def test_the_log_of_the_sum_of_a_batch(generator):
    logits = 10 * torch.randn(3, 2, 5000, generator=generator)
    wanted = torch.logsumexp(logits.double(), -1).float()
    torch.testing.assert_close(logsumexp(logits), wanted, rtol=2e-7, atol=0)  # the last place


@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="reads the assembly of x86")
@pytest.mark.parametrize(
    "name", ["_maximum", "_sum_block", "_sum_and_keep_block", "_online_block", "pair_sum", "_write"]
)
def test_llvm_makes_vectors_of_the_widest_kind_out_of_every_loop(name):
    # Compiled anew, for numba does not show the assembly of what it has kept.
    function = numba.njit(error_model="numpy")(getattr(softmax_lanes, name).py_func)
    x = np.ones(4 * STEP, np.float32)
    arguments = {
        "_sum_block": (x, np.float32(0)),
        "_sum_and_keep_block": (x, x.copy(), np.float32(0), False),
        "_write": (x, x.copy(), np.float32(0), np.float32(1)),
    }
    function(*arguments.get(name, (x,)))
    (assembly,) = function.inspect_asm().values()
    register = {512: "zmm", 256: "ymm", 128: "xmm"}[vector_bits()]
    lines = [line for line in assembly.splitlines() if register in line]
    multiplied = [line for line in lines if re.search(r"v(fn?m(add|sub)\d+|mul|max)ps\b", line)]
    assert len(multiplied) >= (8 if name != "_maximum" else 4), assembly
    assert ("vmovntps" in assembly) == (name in ("_write", "_sum_and_keep_block"))


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ((torch.zeros(0),), ValueError, "logits: got a float32 tensor of shape (0,), expected at least one class"),
        ((torch.zeros(()),), ValueError, "logits: got a float32 tensor of shape (), expected at least one class"),
        (
            (torch.zeros(3).double(),),
            TypeError,
            "logits: got a float64 tensor of shape (3,), expected a float32 tensor",
        ),
        ((torch.zeros(3).half(),), TypeError, "logits: got a float16 tensor of shape (3,), expected a float32 tensor"),
        (([1.0, 2.0],), TypeError, "logits: got [1.0, 2.0] (list), expected a float32 tensor"),
        ((torch.zeros(3, device="meta"),), ValueError, "logits: got a tensor on meta, expected one on the CPU"),
        ((torch.zeros(3, requires_grad=True),), ValueError, "logits: got a tensor that requires a gradient"),
        ((torch.zeros(3), "naive"), ValueError, "algorithm: got 'naive', expected one of 'recompute', 'reload', 'onl"),
    ],
)
def test_bad_logits_are_refused(arguments, error, message):
    with pytest.raises(error, match=re.escape(message)):
        softmax(*arguments)
    if len(arguments) == 1:
        with pytest.raises(error, match=re.escape(message)):
            logsumexp(*arguments)


@pytest.mark.parametrize(
    ("out", "message"),
    [
        (torch.zeros(4), "out: got a float32 tensor of shape (4,), expected the shape of logits, (3,)"),
        (torch.zeros(6)[::2], "out: got strides (2,), expected a tensor without gaps"),
    ],
)
def test_an_out_that_does_not_fit_is_refused(out, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        softmax(torch.zeros(3), out=out)
