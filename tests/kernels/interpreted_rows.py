"""The Triton row kernels in the interpreter. run by `test_triton_interpreted.py`."""

import numpy as np
import pytest
import torch

from lossbook.kernels import triton_dense
from lossbook.kernels.statistics import NAMES, NEED_SOFT_TARGET, Rows, values
from lossbook.kernels.triton_launch import Launch

BY_INDEX = tuple(name for name in NAMES if name not in NEED_SOFT_TARGET)
BY_SOFT = ("soft_log_probability", "log_probability_sum", "entropy", "max")
TILE = Launch(2, 32, 1)  # 64 columns: a row is an edge, or whole tiles, or both
SHARED = ("log_probability", "max", "variance", "others_logsumexp", "log_probability_sum")
CLASSES = (1, 2, 3, 127, 128, 129, 1000)
ROUNDINGS = {torch.float64: 2e-14, torch.float32: 4e-6}  # of sums over 1000 classes, relative to 1 + the number


@pytest.fixture(autouse=True)
def quiet():
    """NumPy, which plays the GPU, warns of exp(−∞) and log(0); the GPU does not."""
    with np.errstate(all="ignore"):
        yield


def plain(names, logits, target, class_weight, upstream):
    """Statistics and gradient by plain PyTorch in float64."""
    exact = logits.detach().double().requires_grad_()
    weight = None if class_weight is None else class_weight.double()
    found = torch.stack(list(values(names, Rows(exact, target, weight)).values()))
    total = torch.where(torch.isfinite(found), found, 0.0) * upstream.double()
    return found.detach(), torch.autograd.grad(total.sum(), exact)[0]


def kernels(names, logits, target, class_weight, upstream, launch=TILE, pieces=None, ignore_index=-1):
    found, state = triton_dense.forward(names, logits, target, class_weight, ignore_index, launch, pieces)
    gradient = triton_dense.backward(names, upstream, logits, target, class_weight, state, ignore_index, launch)
    return found, gradient


def assert_near(found, wanted, tolerance):
    torch.testing.assert_close(found.double(), wanted, rtol=tolerance, atol=tolerance, equal_nan=True)


def problem(generator, classes, dtype=torch.float32, rows=3):
    logits = (3 * torch.randn(rows, classes, generator=generator, dtype=torch.float64)).to(dtype)
    target = torch.randint(classes, (rows,), generator=generator)
    target[0], target[-1] = 0, classes - 1
    return logits, target


def upstream_of(generator, names, logits, target):
    upstream = torch.randn(len(names), logits.shape[0], generator=generator)
    if "others_logsumexp" in names and logits.shape[1] == 1:
        upstream[names.index("others_logsumexp")] = 0  # −∞ has no slope
    return upstream


@pytest.mark.parametrize("classes", CLASSES)
@pytest.mark.parametrize("dtype", ROUNDINGS, ids=str)
def test_all_statistics_in_one_pass_and_their_gradient_in_another_equal_the_plain_ones(classes, dtype, generator):
    logits, target = problem(generator, classes, dtype)
    weight = torch.rand(classes, generator=generator).to(dtype)
    upstream = upstream_of(generator, BY_INDEX, logits, target).to(dtype)
    found = kernels(BY_INDEX, logits, target, weight, upstream, TILE if classes < 1000 else Launch(2, 128, 1))
    for ours, truth in zip(found, plain(BY_INDEX, logits, target, weight, upstream), strict=True):
        assert_near(ours, truth, ROUNDINGS[dtype])


@pytest.mark.parametrize("name", NAMES)
def test_each_statistic_by_itself_too(name, generator):
    logits, target = problem(generator, 70)
    target = torch.rand(3, 70, generator=generator) if name in NEED_SOFT_TARGET else target
    upstream = upstream_of(generator, (name,), logits, target)
    for ours, truth in zip(
        kernels((name,), logits, target, None, upstream),
        plain((name,), logits, target, None, upstream),
        strict=True,
    ):
        assert_near(ours, truth, ROUNDINGS[torch.float32])


@pytest.mark.parametrize("classes", [1, 3, 129])
def test_soft_targets_and_class_weights(classes, generator):
    logits, _ = problem(generator, classes, torch.float64)
    soft = torch.rand(classes, 3, generator=generator).double().T  # any strides
    soft[0] = 0
    weight = torch.rand(classes, generator=generator).double()
    upstream = torch.randn(len(BY_SOFT), 3, generator=generator).double()
    found = kernels(BY_SOFT, logits, soft, weight, upstream)
    for ours, truth in zip(found, plain(BY_SOFT, logits, soft, weight, upstream), strict=True):
        assert_near(ours, truth, ROUNDINGS[torch.float64])


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
def test_half_precision_is_summed_in_float32(dtype, generator):
    logits, target = problem(generator, 200, dtype)
    upstream = upstream_of(generator, BY_INDEX, logits, target)
    found, gradient = kernels(BY_INDEX, logits, target, None, upstream)
    truth, slope = plain(BY_INDEX, logits, target, None, upstream)
    assert found.dtype == torch.float32
    assert_near(found, truth, ROUNDINGS[torch.float32])
    assert gradient.dtype == dtype
    assert_near(gradient, slope, torch.finfo(dtype).eps)  # the interpreter cuts off where the GPU rounds


STRIDED = {
    "rows of a wider matrix": lambda z: torch.cat([z, z], 1)[:, : z.shape[1]],
    "rows that start anywhere": lambda z: torch.cat([z, z[:, :1]], 1)[:, : z.shape[1]],
    "transposed": lambda z: z.T.contiguous().T,
    "every second column": lambda z: z.repeat_interleave(2, 1)[:, ::2],
    "one row, expanded": lambda z: z[:1].expand(z.shape),
    "one class, expanded": lambda z: z[:, :1].expand(z.shape),
}


@pytest.mark.parametrize("make", STRIDED.values(), ids=STRIDED)
@pytest.mark.parametrize("classes", [64, 131])
def test_logits_of_any_strides(make, classes, generator):
    logits, target = problem(generator, classes, rows=4)
    logits = make(logits)
    names = ("log_probability", "max", "softplus_sum")
    upstream = torch.randn(3, 4, generator=generator)
    found = kernels(names, logits, target, None, upstream)
    for ours, truth in zip(found, plain(names, logits, target, None, upstream), strict=True):
        assert_near(ours, truth, ROUNDINGS[torch.float32])


def test_an_upstream_gradient_of_any_strides(generator):
    logits, target = problem(generator, 70)
    names = ("log_probability", "sum")
    _, state = triton_dense.forward(names, logits, target, None, -1, TILE)
    upstreams = [
        torch.tensor(0.5).expand(2, 3),
        torch.randn(3, 2, generator=generator).T,
        torch.randn(2, 6, generator=generator)[:, ::2],
    ]
    for upstream in upstreams:
        gradient = triton_dense.backward(names, upstream, logits, target, None, state, -1, TILE)
        assert_near(gradient, plain(names, logits, target, None, upstream)[1], ROUNDINGS[torch.float32])


@pytest.mark.parametrize("classes", [5, 131])
def test_a_row_that_does_not_count_gives_zeros_whatever_stands_in_it(classes, generator):
    logits, target = problem(generator, classes)
    weight = torch.rand(classes, generator=generator)
    logits[1], target[1] = torch.nan, -7
    upstream = upstream_of(generator, BY_INDEX, logits, target)
    upstream[:, 1] = torch.nan
    for pieces in (1, 2):
        found, gradient = kernels(BY_INDEX, logits, target, weight, upstream, pieces=pieces, ignore_index=-7)
        assert not found[:, 1].any()
        assert not gradient[1].any()
        rest = [0, 2]
        truth, slope = plain(BY_INDEX, logits[rest], target[rest], weight, upstream[:, rest])
        assert_near(found[:, rest], truth, ROUNDINGS[torch.float32])
        assert_near(gradient[rest], slope, ROUNDINGS[torch.float32])


def test_no_row_counts_and_there_is_no_row(generator):
    logits, target = problem(generator, 70)
    upstream = upstream_of(generator, BY_INDEX, logits, target)
    found, gradient = kernels(BY_INDEX, logits * torch.nan, torch.full_like(target, -1), None, upstream)
    assert not found.any()
    assert not gradient.any()
    found, gradient = kernels(BY_INDEX, logits[:0], target[:0], None, upstream[:, :0])
    assert found.shape == (len(BY_INDEX), 0)
    assert gradient.shape == (0, 70)


INFINITY = torch.inf
EDGES = {
    "far above": [1e4, 1e4 - 1, -1e4, 0.0],
    "far below": [-1e4, -1e4 - 1, -1e4 - 2, -1e4 - 3],
    "masked": [-INFINITY, 1.0, 2.0, -INFINITY],
    "masked but one": [-INFINITY, -INFINITY, -INFINITY, 0.5],
    "all masked": [-INFINITY] * 4,
    "NaN": [0.0, torch.nan, 1.0, 2.0],
    "level": [3.0] * 4,
    "at the seam of StableMax": [1.0, 0.0, -0.0, -1.0],
}


@pytest.mark.parametrize("dtype", ROUNDINGS, ids=str)
def test_at_the_edges_the_kernels_say_what_plain_pytorch_says(dtype, generator):
    logits = torch.tensor(list(EDGES.values()), dtype=dtype).repeat_interleave(20, 1)  # a whole tile, and an edge
    target = torch.tensor([3, 79]).repeat(len(EDGES) // 2)
    found, _ = triton_dense.forward(BY_INDEX, logits, target, None, -1, TILE)
    truth, _ = plain(BY_INDEX, logits, target, None, torch.zeros(len(BY_INDEX), len(EDGES)))
    for name, ours, wanted in zip(BY_INDEX, found, truth, strict=True):
        tolerance = 2e-6 if dtype == torch.float32 else 1e-12
        if name == "variance":  # means near 1e4 are rounded by 5e-4 and their distances, near 1, with them
            tolerance *= 1e2
        assert_near(ours, wanted, tolerance)
    names = ("log_probability", "entropy", "others_logsumexp", "logsumexp")
    truth, _ = plain(names, logits, target, None, torch.zeros(4, len(EDGES)))
    some = torch.isfinite(truth).any(0)  # elsewhere the slopes are NaN
    assert some.sum() == len(EDGES) - 2
    logits, target, truth = logits[some], target[some], truth[:, some]
    upstream = torch.where(torch.isfinite(truth), torch.randn(truth.shape, generator=generator), 0.0)
    _, gradient = kernels(names, logits, target, None, upstream)
    assert_near(gradient, plain(names, logits, target, None, upstream)[1], 2e-6)


def test_a_maximum_that_rises_slowly_is_shared_by_its_ties_alone():
    logits = (torch.arange(300) // 7 * 0.05)[None].double()  # each lane meets many maxima, all a little higher
    found = kernels(("max",), logits, None, None, torch.ones(1, 1).double())
    for ours, truth in zip(found, plain(("max",), logits, None, None, torch.ones(1, 1)), strict=True):
        assert_near(ours, truth, 1e-15)


def test_other_classes_that_are_all_masked_have_no_slope():
    logits = torch.tensor([[-torch.inf, 0.5, -torch.inf]])
    found, gradient = kernels(("others_logsumexp",), logits, torch.tensor([1]), None, torch.ones(1, 1))
    assert found.item() == -torch.inf
    assert not gradient.any()


def test_log_probabilities_do_not_cancel_however_large_the_scores_are(generator):
    """From z_y − L, both rounded to 1e4, four of seven digits would be gone."""
    logits, target = problem(generator, 131)
    for shift in (1e4, -1e4):
        shifted = logits + shift
        names = ("log_probability", "log_probability_sum", "entropy")
        found, gradient = kernels(names, shifted, target, None, torch.ones(3, 3))
        truth, slope = plain(names, shifted, target, None, torch.ones(3, 3))
        assert_near(found, truth, 2e-6)
        assert_near(gradient, slope, 1e-5)


def test_small_softplus_do_not_vanish_beside_one():
    """Of SigLIP's first step: 1000 negatives at −10, each softplus 4.5e-5; log(1 + t) would be off by a thousandth."""
    logits = torch.full((1, 1000), -10.0)
    found, _ = triton_dense.forward(("softplus_sum",), logits, None, None, -1, TILE)
    truth = torch.nn.functional.softplus(logits.double()).sum(-1)
    torch.testing.assert_close(found[0].double(), truth, rtol=1e-6, atol=0)


def test_variance_does_not_cancel_under_a_large_mean():
    """Σz²/V − μ² would have no digit left: at 1e4 the squares are rounded to 8."""
    logits = 1e4 + torch.linspace(-1, 1, 200)[None].round(decimals=3)
    found, _ = triton_dense.forward(("variance",), logits, None, None, -1, TILE)
    torch.testing.assert_close(found[0].double(), logits.double().var(-1, correction=0), rtol=1e-3, atol=0)


@pytest.mark.parametrize("pieces", [2, 16])
def test_a_row_shared_by_several_programs_is_the_same_row(pieces, generator):
    logits, target = problem(generator, 300)
    weight = torch.rand(300, generator=generator)
    upstream = upstream_of(generator, SHARED, logits, target)
    found = kernels(SHARED, logits, target, weight, upstream, pieces=pieces)
    for ours, truth in zip(found, plain(SHARED, logits, target, weight, upstream), strict=True):
        assert_near(ours, truth, ROUNDINGS[torch.float32])


def test_the_same_input_gives_the_same_bits(generator):
    logits, target = problem(generator, 130)
    upstream = upstream_of(generator, SHARED, logits, target)
    for pieces in (1, 3):
        first, second = (kernels(SHARED, logits, target, None, upstream, pieces=pieces) for _ in range(2))
        assert all(torch.equal(one, other) for one, other in zip(first, second, strict=True))


def test_several_right_classes_a_row_are_left_out_together(generator):
    logits, _ = problem(generator, 131, torch.float64)
    target = torch.tensor([[0, 130, 64], [7, -1, -1], [-1, 70, -1]])
    names = ("others_logsumexp",)
    upstream = torch.randn(1, 3, generator=generator).double()
    for pieces in (1, 2):
        found = kernels(names, logits, target, None, upstream, pieces=pieces)
        for ours, truth in zip(found, plain(names, logits, target, None, upstream), strict=True):
            assert_near(ours, truth, ROUNDINGS[torch.float64])
    found, gradient = kernels(names, logits, torch.full_like(target, -1), None, upstream)
    assert not found.any()  # a row that names no class does not count
    assert not gradient.any()


def test_a_class_that_is_not_there_gives_nan_and_reads_no_foreign_memory(generator):
    logits, _ = problem(generator, 70)
    target = torch.tensor([70, 10**15, -5])
    found, _ = triton_dense.forward(("target", "log_probability"), logits, target, None, -1, TILE)
    assert found.isnan().all()


def test_an_infinite_score_gives_what_torch_gives():
    logits = torch.tensor([[torch.inf, 0.0, 1.0]])
    target = torch.tensor([1])
    names = ("logsumexp", "max", "log_probability", "sum")
    found, _ = triton_dense.forward(names, logits, target, None, -1, TILE)
    assert_near(found, plain(names, logits, target, None, torch.zeros(4, 1))[0], 0)
