"""The Triton kernels on a GPU: the matrix of dtypes and shapes, memory beyond 32 bits, graphs and memory used."""

import itertools

import pytest
import torch

from lossbook import LinearLogits
from lossbook.kernels import ops_dense, ops_fused, statistics
from lossbook.kernels.linear import Linear
from lossbook.kernels.statistics import NAMES, NEED_SOFT_TARGET, Rows
from lossbook.losses import comp_sum_loss, cross_entropy, siglip_loss, stablemax_cross_entropy, z_loss

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device"),
    pytest.mark.filterwarnings("ignore:TRITON_DEFAULT_FP_FUSION:UserWarning"),  # Triton 3.9 warns of its own default
]
GPU = "cuda"
DTYPES = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
CLASSES = (1, 2, 3, 127, 128, 129, 1000, 32000, 50257)
BY_INDEX = tuple(name for name in NAMES if name not in NEED_SOFT_TARGET)
# One rounding of the result, and sums in float32 (float64) over up to 50257 classes.
SUMS = {torch.float64: 1e-12}


@pytest.fixture
def generator():
    return torch.Generator(GPU).manual_seed(0)


def problem(generator, rows, classes, dtype):
    logits = 3 * torch.randn(rows, classes, generator=generator, device=GPU)
    return logits.to(dtype), torch.randint(classes, (rows,), generator=generator, device=GPU)


def assert_near(found, truth, dtype, rounded):
    """Relative to the largest number of a statistic or a row; `rounded`: the result is held in the dtype itself.

    Below 0.01 it is absolute: p_y − 1 carries a rounding of 1, however small it is.
    """
    tolerance = SUMS.get(dtype, 2e-5) + (torch.finfo(dtype).eps if rounded else 0.0)
    truth = truth.double()
    scale = truth.abs().nan_to_num(0, 0, 0).amax(-1, keepdim=True).clamp(min=1e-2)
    error = ((found.double() - truth) / scale)[torch.isfinite(truth)].abs()
    assert error.numel() == 0 or float(error.max()) <= tolerance


def plain(names, logits, target, upstream):
    exact = logits.double().detach().requires_grad_()
    found = torch.stack(list(statistics.values(names, Rows(exact, target)).values()))
    total = (torch.where(torch.isfinite(found), found, 0.0) * upstream).sum()
    return found.detach(), torch.autograd.grad(total, exact)[0]


@pytest.mark.parametrize(("dtype", "classes"), list(itertools.product(DTYPES, CLASSES)))
@pytest.mark.parametrize("rows", [2, 300])
def test_each_statistic_and_its_gradient_in_each_dtype(rows, classes, dtype, generator):
    if rows * classes > 2**22:
        rows = 64
    logits, target = problem(generator, rows, classes, dtype)
    for name in BY_INDEX:
        upstream = torch.randn(1, rows, generator=generator, device=GPU).double()
        if name == "others_logsumexp" and classes == 1:
            upstream.zero_()  # −∞ has no slope
        leaf = logits.clone().requires_grad_()
        found = ops_dense.row_statistics(leaf, target, None, name, -1)[0]
        (gradient,) = torch.autograd.grad(torch.nan_to_num(found, 0, 0, 0), leaf, upstream.to(found.dtype))
        truth, slope = plain((name,), logits, target, upstream)
        assert_near(found, truth, dtype, rounded=False)
        assert_near(gradient, slope, dtype, rounded=True)


@pytest.mark.parametrize("make", [
    lambda z: torch.cat([z, z[:, :3]], 1)[:, : z.shape[1]],
    lambda z: z.T.contiguous().T,
    lambda z: z.repeat_interleave(2, 1)[:, ::2],
    lambda z: z[:1].expand(z.shape),
], ids=["rows that start anywhere", "transposed", "every second column", "expanded"])  # fmt: skip
@pytest.mark.parametrize("classes", [1000, 5001])
def test_logits_of_any_strides(make, classes, generator):
    logits, target = problem(generator, 16, classes, torch.bfloat16)
    logits = make(logits)
    names = ("log_probability", "softplus_sum")
    upstream = torch.randn(2, 16, generator=generator, device=GPU).double()
    out, state = ops_dense.row_statistics(logits, target, None, ",".join(names), -1)
    gradient = ops_dense.row_statistics_backward(upstream.float(), logits, target, None, state, ",".join(names), -1)
    truth, slope = plain(names, logits, target, upstream)
    assert_near(out, truth, torch.bfloat16, rounded=False)
    assert_near(gradient, slope, torch.bfloat16, rounded=True)


def test_more_than_two_to_the_31_logits(generator):
    """The last rows of a matrix of 4.4 GB are right, and so is one whose columns lie far apart."""
    rows, classes = 70000, 32000
    if torch.cuda.mem_get_info()[0] < 12 * 2**30:
        pytest.skip("too little memory")
    logits = torch.zeros(rows, classes, dtype=torch.bfloat16, device=GPU)
    logits[-3:] = torch.randn(3, classes, generator=generator, device=GPU).bfloat16()
    target = torch.full((rows,), classes - 1, device=GPU)
    leaf = logits.requires_grad_()
    loss = cross_entropy(leaf, target, reduction="none")
    loss.backward(torch.ones_like(loss))
    tail = logits.detach()[-3:].double().requires_grad_()
    truth = torch.nn.functional.cross_entropy(tail, target[-3:], reduction="none")
    assert_near(loss[-3:].detach()[None], truth.detach()[None], torch.bfloat16, rounded=True)
    assert_near(leaf.grad[-3:], torch.autograd.grad(truth.sum(), tail)[0], torch.bfloat16, rounded=True)
    transposed = logits.detach().view(classes, rows).T
    found = ops_dense.statistics(("sum",), Rows(transposed, None))["sum"]
    assert_near(found[None], transposed.sum(-1, dtype=torch.float32)[None], torch.bfloat16, rounded=False)


@pytest.mark.parametrize("rows", [4, 2048])
def test_the_same_input_gives_the_same_bits(rows, generator):
    logits, target = problem(generator, rows, 50257, torch.bfloat16)
    leaf = logits.requires_grad_()
    runs = []
    for _ in range(2):
        loss = cross_entropy(leaf, target)
        runs.append((loss.detach(), *torch.autograd.grad(loss, leaf)))
    assert all(torch.equal(one, other) for one, other in zip(*runs, strict=True))


FUSED = {
    "cross_entropy": ((), cross_entropy),
    "comp_sum_loss": ((0.7, -1e30, 0.0), lambda z, y, **o: comp_sum_loss(z, y, tau=1.7, **o)),
    "stablemax_cross_entropy": ((), stablemax_cross_entropy),
    "z_loss": ((0.5, 3.0), lambda z, y, **o: z_loss(z, y, sharpness=0.5, aim=3.0, **o)),
}


@pytest.mark.parametrize("loss", FUSED)
@pytest.mark.parametrize("classes", [10, 1000, 5001, 16384, 50257])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
def test_the_fused_kernels_give_value_and_gradient(loss, classes, dtype, generator):
    logits, target = problem(generator, 32, classes, dtype)
    target[5] = -1
    logits[5] = torch.nan
    parameters, function = FUSED[loss]
    leaf, scale = logits.requires_grad_(), torch.rand(32, generator=generator, device=GPU)
    found = ops_fused.fused_row_loss(leaf, target, None, scale, loss, list(parameters), -1)[0]
    (gradient,) = torch.autograd.grad(found.sum() * 2, leaf)
    counts = target >= 0
    exact = logits.detach()[counts].double().requires_grad_()
    truth = function(exact, target[counts], reduction="none") * scale[counts]
    (slope,) = torch.autograd.grad(truth.sum() * 2, exact)
    assert_near(found.detach()[counts][None], truth.detach()[None], dtype, rounded=False)
    assert_near(gradient[counts], slope, dtype, rounded=True)
    assert not gradient[5].any()


def linear_problem(generator, rows, classes, dimension, dtype, **options):
    parts = [torch.randn(*size, generator=generator, device=GPU) for size in ((rows, dimension), (classes, dimension))]
    parts = [(part / dimension**0.25).to(dtype) for part in parts]
    parts.append(torch.randn(classes, generator=generator, device=GPU).to(dtype))  # O(1): a slip would show
    target = torch.randint(classes, (rows,), generator=generator, device=GPU)
    return Linear(*parts, target, None, 2**26, **options)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("shape", [(300, 1000, 64), (129, 5001, 200), (256, 777, 512), (2, 3, 16)])
@pytest.mark.parametrize("softcap", [None, 5.0])
def test_tiles_of_linear_logits(dtype, shape, softcap, generator):
    from lossbook.kernels import triton_linear

    linear = linear_problem(generator, *shape, dtype, softcap=softcap)
    names = ("log_probability", "variance")
    upstream = torch.randn(2, shape[0], generator=generator, device=GPU)
    found, state = triton_linear.forward(names, linear)
    gradients = triton_linear.backward(names, upstream.to(found.dtype), linear, state)
    exact = [part.double().requires_grad_() for part in linear[:3]]
    logits = exact[0] @ exact[1].T + exact[2]
    logits = logits if softcap is None else softcap * torch.tanh(logits / softcap)
    truth = torch.stack(list(statistics.values(names, Rows(logits, linear.target)).values()))
    slopes = torch.autograd.grad((truth * upstream).sum(), exact)
    torch.testing.assert_close(found.double(), truth.detach(), rtol=1e-4, atol=1e-4)
    half = {torch.bfloat16: 2e-2, torch.float16: 3e-3}  # the logits' gradient is rounded before the products
    for ours, slope in zip(gradients, slopes, strict=True):
        error = float((ours.double() - slope).norm() / slope.norm().clamp(min=1e-9))
        assert error <= half.get(dtype, 1e-4)


def test_the_filter_leaves_out_less_than_it_may(generator):
    from lossbook.kernels import triton_linear

    weight = 2 * torch.randn(4096, 64, generator=generator, device=GPU)
    target = torch.arange(512, device=GPU)
    exact = Linear(weight[target].clone(), weight, None, target, None, 2**26)
    upstream = torch.ones(1, 512, device=GPU)
    names, below = ("log_probability",), 2**-12
    _, state = triton_linear.forward(names, exact)
    full = triton_linear.backward(names, upstream, exact, state, (True, True, False))
    some = triton_linear.backward(names, upstream, exact._replace(gradient_filter=below), state, (True, True, False))
    assert bool(((full[0] - some[0]).abs() <= below * weight.abs().sum(0) + 1e-4).all())
    assert bool(((full[1] - some[1]).abs() <= below * exact.features.abs().sum(0) + 1e-4).all())


def test_tiles_use_no_memory_beyond_gradients_and_states(generator):
    from lossbook.kernels import triton_linear

    linear = linear_problem(generator, 8192, 50257, 128, torch.bfloat16)
    names = ("log_probability",)
    torch.cuda.synchronize()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    found, state = triton_linear.forward(names, linear)
    gradients = triton_linear.backward(names, found, linear, state)
    kept = sum(part.numel() * part.element_size() for part in (found, state, *gradients))
    logits = 8192 * 50257 * 2
    assert torch.cuda.max_memory_allocated() - before - kept < logits / 20


@pytest.mark.parametrize("loss", [cross_entropy, stablemax_cross_entropy])
def test_losses_of_the_book_run_compiled_and_under_autocast(loss, generator):
    logits, target = problem(generator, 64, 5001, torch.bfloat16)
    leaf = logits.requires_grad_()
    eager = loss(leaf, target)
    (wanted,) = torch.autograd.grad(eager, leaf)
    with torch.autocast(GPU, torch.bfloat16):
        torch.testing.assert_close(loss(leaf, target), eager)
    compiled = torch.compile(loss, fullgraph=True)(leaf, target)
    torch.testing.assert_close(compiled, eager)
    torch.testing.assert_close(torch.autograd.grad(compiled, leaf)[0], wanted)


@pytest.mark.parametrize("engine", ["chunked", "tile"])
def test_linear_engines_agree_with_logits_that_are_held(engine, generator):
    features, weight = (torch.randn(size, 64, generator=generator, device=GPU) for size in (256, 1000))
    target = torch.randint(1000, (256,), generator=generator, device=GPU)
    leaves = [features.requires_grad_(), weight.requires_grad_()]
    linear = cross_entropy(LinearLogits(*leaves, engine=engine), target)
    held = cross_entropy(features @ weight.T, target)
    torch.testing.assert_close(linear, held, rtol=1e-4, atol=1e-4)
    for ours, theirs in zip(torch.autograd.grad(linear, leaves), torch.autograd.grad(held, leaves), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-4)


def test_pairs_on_the_gpu_equal_pairs_on_the_cpu(generator):
    first, second = (torch.randn(300, 64, generator=generator, device=GPU) / 8 for _ in range(2))
    found = siglip_loss(first, second)
    torch.testing.assert_close(found.cpu(), siglip_loss(first.cpu(), second.cpu()), rtol=1e-4, atol=1e-4)


def test_the_operators_keep_torchs_contracts_on_the_gpu(generator):
    logits, target = problem(generator, 4, 70, torch.float32)
    names = "log_probability,max"
    torch.library.opcheck(ops_dense.row_statistics, (logits.requires_grad_(), target, None, names, -1))
    scale = torch.rand(4, generator=generator, device=GPU)
    torch.library.opcheck(ops_fused.fused_row_loss, (logits, target, None, scale, "cross_entropy", [], -1))
    torch.library.opcheck(ops_fused.scale_rows_, (logits.detach().clone(), scale))
