"""The Triton tile kernels in the interpreter. run by `test_triton_interpreted.py`."""

import numpy as np
import pytest
import torch

from lossbook.kernels import tiles, triton_linear
from lossbook.kernels.linear import Linear
from lossbook.kernels.statistics import NAMES, NEED_SOFT_TARGET, Rows, values
from lossbook.kernels.triton_launch import TileLaunch

BY_INDEX = tuple(name for name in NAMES if name not in NEED_SOFT_TARGET and name != "max")
LAUNCH = TileLaunch(16, 16, 16, 32, 1, 1)
SHAPES = {  # rows, classes, features, softcap: features owned at once, then in slices
    "edges everywhere": (17, 20, 24, 5.3),
    "whole tiles": (16, 32, 32, None),
    "slices of features": (16, 17, 40, None),
    "one of each": (1, 1, 1, 5.0),
}


@pytest.fixture(autouse=True)
def quiet():
    """NumPy, which plays the GPU, warns of exp(−∞) and log(0); the GPU does not."""
    with np.errstate(all="ignore"):
        yield


def problem(generator, shape, dtype=torch.float64, soft=False, weighted=False, bias=True, **options):
    rows, classes, dimension = shape
    parts = [torch.randn(*size, generator=generator).to(dtype) for size in ((rows, dimension), (classes, dimension))]
    parts.append(torch.randn(classes, generator=generator).to(dtype) if bias else None)  # O(1): a slip would show
    target = (
        torch.rand(rows, classes, generator=generator) if soft else torch.randint(classes, (rows,), generator=generator)
    )
    weight = torch.rand(classes, generator=generator).to(torch.promote_types(dtype, torch.float32))
    return Linear(*parts, target, weight if weighted else None, 2**20, **options)


def held(names, linear, upstream):
    """Statistics and gradients with all logits held, in float64."""
    exact = [None if part is None else part.double().requires_grad_() for part in linear[:3]]
    logits = exact[0] @ exact[1].T
    if exact[2] is not None:
        logits = logits + exact[2]
    if linear.softcap is not None:
        logits = linear.softcap * torch.tanh(logits / linear.softcap)
    weight = None if linear.class_weight is None else linear.class_weight.double()
    found = torch.stack(list(values(names, Rows(logits, linear.target, weight)).values()))
    total = (torch.where(torch.isfinite(found), found, 0.0) * upstream).sum()
    leaves = [part for part in exact if part is not None]
    return [found.detach(), *torch.autograd.grad(total, leaves)]


def tiled(names, linear, upstream, pieces=None):
    found, state = triton_linear.forward(names, linear, LAUNCH, pieces)
    needed = (True, True, linear.bias is not None)
    gradients = triton_linear.backward(names, upstream, linear, state, needed, True, LAUNCH, pieces)
    return [found, *(gradient for gradient in gradients if gradient is not None)]


def assert_near(names, linear, upstream, tolerance, pieces=None):
    for ours, truth in zip(tiled(names, linear, upstream, pieces), held(names, linear, upstream), strict=True):
        scale = max([1.0, *truth[torch.isfinite(truth)].abs().tolist()])
        torch.testing.assert_close(ours.double(), truth, rtol=tolerance, atol=tolerance * scale)


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_statistics_and_gradients_equal_those_of_logits_that_are_held(shape, generator):
    *shape, softcap = shape
    linear = problem(generator, shape, weighted=True, softcap=softcap)
    upstream = torch.randn(len(BY_INDEX), shape[0], generator=generator).double()
    if shape[1] == 1:
        upstream[BY_INDEX.index("others_logsumexp")] = 0  # −∞ has no slope
    assert_near(BY_INDEX, linear, upstream, 1e-12)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16], ids=str)
@pytest.mark.parametrize("bias", [True, False])
def test_products_are_summed_in_float32(dtype, bias, generator):
    """bfloat16 is for a GPU: the interpreter multiplies its bit patterns."""
    linear = problem(generator, (20, 37, 40), dtype, bias=bias)
    upstream = torch.randn(1, 20, generator=generator)
    assert_near(("log_probability",), linear, upstream, 2e-3 if dtype == torch.float16 else 5e-6)


@pytest.mark.parametrize("pieces", [2, 5])
def test_classes_shared_by_several_programs_are_the_same_classes(pieces, generator):
    linear = problem(generator, (16, 40, 20), softcap=5.3)
    names = ("log_probability", "variance", "others_logsumexp")
    assert_near(names, linear, torch.randn(3, 16, generator=generator).double(), 1e-12, pieces)


def test_soft_targets_and_several_targets(generator):
    names = ("soft_log_probability", "log_probability_sum")
    linear = problem(generator, (17, 20, 20), soft=True, weighted=True)
    assert_near(names, linear, torch.randn(2, 17, generator=generator).double(), 1e-12, 2)
    several = torch.randint(20, (17, 3), generator=generator)
    several[3, 1:] = -1
    linear = linear._replace(target=several, class_weight=None)
    assert_near(("others_logsumexp",), linear, torch.randn(1, 17, generator=generator).double(), 1e-12)


def test_a_row_that_does_not_count_gives_zeros_and_no_gradient(generator):
    linear = problem(generator, (20, 37, 24))
    linear.target[[0, 5, 19]] = -1
    counts = linear.target >= 0
    names, upstream = ("log_probability", "sum"), torch.randn(2, 20, generator=generator).double()
    found = tiled(names, linear, upstream)
    truth = held(
        names, linear._replace(features=linear.features[counts], target=linear.target[counts]), upstream[:, counts]
    )
    assert not found[0][:, ~counts].any()
    assert not found[1][~counts].any()
    for ours, wanted in zip((found[0][:, counts], found[1][counts], *found[2:]), truth, strict=True):
        torch.testing.assert_close(ours, wanted, rtol=1e-12, atol=1e-12)


def test_the_same_input_gives_the_same_bits(generator):
    linear = problem(generator, (40, 40, 20), torch.float32)
    upstream = torch.randn(1, 40, generator=generator)
    first, second = (tiled(("log_probability",), linear, upstream, 2) for _ in range(2))
    assert all(torch.equal(one, other) for one, other in zip(first, second, strict=True))


def test_parts_of_any_strides_and_an_upstream_that_is_expanded(generator):
    linear = problem(generator, (20, 37, 24))
    strided = linear._replace(
        features=linear.features.T.contiguous().T, weight=torch.cat([linear.weight] * 2, 1)[:, :24]
    )
    upstream = torch.tensor(0.5).double().expand(1, 20)
    for ours, wanted in zip(
        tiled(("log_probability",), strided, upstream), held(("log_probability",), linear, upstream), strict=True
    ):
        torch.testing.assert_close(ours, wanted, rtol=1e-12, atol=1e-12)


def peaked(generator, below):
    """Features that point at their class: softmax is peaked, and most tiles hold no target and no mass."""
    weight = 3 * torch.randn(80, 24, generator=generator).double()
    target = torch.arange(40)
    return Linear(weight[target].clone(), weight, None, target, None, 2**20, gradient_filter=below)


def test_a_filter_of_zero_leaves_nothing_out(generator):
    linear = peaked(generator, 0.0)
    assert_near(("log_probability",), linear, torch.ones(1, 40).double(), 1e-12)


@pytest.mark.parametrize("below", [1e-3, 0.5])
@pytest.mark.parametrize("sort_classes", [True, False])
def test_what_the_filter_leaves_out_is_below_its_bound(below, sort_classes, generator):
    linear = peaked(generator, below)
    names, upstream = ("log_probability",), torch.randn(1, 40, generator=generator).double()
    _, state = triton_linear.forward(names, linear, LAUNCH)
    found = triton_linear.backward(names, upstream, linear, state, (True, True, False), sort_classes, LAUNCH)
    _, by_features, by_weight = held(names, linear, upstream)
    # each logit's gradient is off by less than ε |c_i|, and the products add that up over the other index
    row_bound = below * upstream[0].abs()[:, None] * linear.weight.abs().sum(0)
    assert bool(((found[0] - by_features).abs() <= row_bound + 1e-12).all())
    class_bound = below * (upstream[0].abs()[:, None] * linear.features.abs()).sum(0)
    assert bool(((found[1] - by_weight).abs() <= class_bound + 1e-12).all())


def test_a_coarse_filter_does_leave_tiles_out(generator):
    exact = peaked(generator, 0.0)
    coarse = exact._replace(gradient_filter=2.0)  # no |p − [j = y]| reaches 2
    upstream = torch.ones(1, 40).double()
    assert tiled(("log_probability",), exact, upstream)[1].any()
    assert not tiled(("log_probability",), coarse, upstream)[1].any()


def test_terms_besides_the_softmax_keep_the_tile_of_the_target_and_no_other(generator):
    """∂/∂z_y of L² is no c (p_y − 1): the published test does not see it, ours lets the tile pass."""
    linear = problem(generator, (40, 80, 24), bias=False)
    filtered = linear._replace(gradient_filter=2.0)  # no |p − [j = y]| reaches 2
    upstream = torch.tensor([[-1.0], [1.5]]).double().expand(2, 40)
    found = tiled(("target", "logsumexp"), filtered, upstream)[1]
    by_logits = 1.5 * torch.softmax(linear.features @ linear.weight.T, -1)
    at_target = torch.nn.functional.one_hot(linear.target, 80).bool()
    by_logits[at_target] -= 1
    order = tiles.by_mean_logit(filtered).classes
    kept = torch.zeros(40, 80, dtype=torch.bool)
    for rows in torch.arange(40).split(LAUNCH.rows):
        for classes in order.split(LAUNCH.classes):
            kept[rows[:, None], classes] = at_target[rows[:, None], classes].any()
    assert kept.any()
    assert not kept.all()
    torch.testing.assert_close(found, torch.where(kept, by_logits, 0.0) @ linear.weight, rtol=1e-12, atol=1e-12)


def test_it_has_the_interface_and_the_numbers_of_the_plain_tile_engine(generator, monkeypatch):
    for name in ("forward_launch", "backward_launch"):
        monkeypatch.setattr(triton_linear, name, lambda *_: LAUNCH)
    linear = problem(generator, (20, 37, 24), weighted=True)
    leaves = [part.requires_grad_() for part in linear[:3]]
    names = ("log_probability", "log_probability_sum", "square_sum")

    def run(engine):
        found = engine.statistics(names, linear)
        total = sum(((k + 1) * found[name]).sum() for k, name in enumerate(names))
        return [found[names[0]].detach(), *torch.autograd.grad(total, leaves)]

    for ours, theirs in zip(run(triton_linear), run(tiles), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-12)
    again = triton_linear.statistics(names, linear)[names[0]].sum()
    with pytest.raises(RuntimeError, match="first derivatives only"):
        torch.autograd.grad(again, leaves, create_graph=True)


def test_a_maximum_is_refused_because_a_tile_formed_again_may_miss_it(generator):
    linear = problem(generator, (4, 5, 6))
    with pytest.raises(ValueError, match="names: got max"):
        triton_linear.statistics(("max",), linear)
    assert triton_linear.statistics((), linear) == {}
