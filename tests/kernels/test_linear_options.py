"""What LinearLogits take besides a product: soft cap, shift, engine, autocast, checkpoints and compilers."""

import math

import pytest
import torch
from cases import LOGITS, Watch, linear, parts
from torch.utils.checkpoint import checkpoint

from lossbook import LinearLogits, row_statistics
from lossbook.losses import cross_entropy

CLASSES, DIMENSION = 11, 4
ENGINES = ("chunked", "tile")
BY_SOFTMAX = [record for record in LOGITS if record.statistics == ("log_probability",)]
by_engine = pytest.mark.parametrize("engine", ENGINES)


@pytest.fixture(autouse=True)
def forget_graphs():
    """A compiler that has seen many losses through one function gives up on it."""
    yield
    torch._dynamo.reset()


def changed(logits, **options):
    return LinearLogits(*parts(logits), **{"memory_budget": logits.memory_budget} | options)


def held(logits, cap=None):
    """The logits by themselves, formed here and not by `materialize`."""
    found = torch.einsum("...d,vd->...v", logits.features, logits.weight)
    found = found if logits.bias is None else found + logits.bias
    return found if cap is None else cap * torch.tanh(found / cap)


def both(ours, theirs, leaves):
    """Values and gradients agree to float64 rounding."""
    torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-12)
    for one, other in zip(*(torch.autograd.grad(loss.sum(), leaves) for loss in (ours, theirs)), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-11, atol=1e-12)


@by_engine
@pytest.mark.parametrize("reduction", ["mean", "none"])
@pytest.mark.parametrize("label_smoothing", [0.0, 0.1])
def test_a_soft_cap_bends_every_logit_and_its_gradient(engine, reduction, label_smoothing, generator):
    logits = linear(generator, (7,), CLASSES, DIMENSION)
    target = torch.randint(CLASSES, (7,), generator=generator)
    options = {"reduction": reduction, "label_smoothing": label_smoothing}
    capped = changed(logits, softcap=1.5, engine=engine)
    torch.testing.assert_close(capped.materialize(), held(logits, 1.5), rtol=1e-14, atol=1e-14)
    both(cross_entropy(capped, target, **options), cross_entropy(held(logits, 1.5), target, **options), parts(logits))


def test_a_soft_cap_far_above_the_logits_changes_nothing_much(generator):
    logits = linear(generator, (7,), CLASSES, DIMENSION)
    free, capped = (row_statistics(z, None, ("logsumexp",)).logsumexp for z in (logits, changed(logits, softcap=1e6)))
    torch.testing.assert_close(free, capped, rtol=0, atol=1e-8)  # z³/(3 c²) of scores below 10


@by_engine
@pytest.mark.parametrize("shift", [1, 2, 5, 9])
def test_with_a_shift_each_position_answers_for_a_later_target(engine, shift, generator):
    logits = linear(generator, (2, 5), CLASSES, DIMENSION)
    target = torch.randint(CLASSES, (2, 5), generator=generator)
    target[0, 2] = -100
    scores = held(logits).detach()
    found = cross_entropy(changed(logits, shift=shift, engine=engine), target, reduction="none").detach()
    for row in range(2):
        for position in range(5):
            later = position + shift
            counts = later < 5 and target[row, later] != -100
            wanted = cross_entropy(scores[row, position], target[row, later]) if counts else 0.0
            assert math.isclose(float(found[row, position]), float(wanted), rel_tol=1e-12, abs_tol=1e-12)


def test_shifted_and_ignored_rows_cost_no_product(generator):
    logits = linear(generator, (4, 16), CLASSES, DIMENSION)
    target = torch.full((4, 16), -100)
    target[0, 5] = 3
    with Watch() as watch:
        row_statistics(changed(logits, shift=1), target, ("log_probability",))
    assert watch.multiplications == CLASSES * DIMENSION


@pytest.mark.parametrize("record", BY_SOFTMAX, ids=lambda record: record.key)
def test_the_short_way_of_losses_of_log_p_and_the_long_way_agree(record, generator):
    """Only the total of unbent logits goes the short way; a soft cap far away and "none" take the long one."""
    logits = linear(generator, (40,), CLASSES, DIMENSION)
    target = torch.randint(CLASSES, (40,), generator=generator)
    short = record.function(logits, target, reduction="sum")
    both(short, record.function(logits, target, reduction="none").sum(), parts(logits))


def test_the_short_way_is_exact_where_the_right_probability_is_no_longer_a_float(generator):
    features = torch.tensor([[1.0], [1.0]], requires_grad=True)
    weight = torch.tensor([[0.0], [120.0], [-1e4]], requires_grad=True)  # e^-120 is below the smallest float32
    target = torch.tensor([0, 2])
    loss = cross_entropy(LinearLogits(features, weight), target, reduction="sum")
    assert float(loss.detach()) == 120.0 + (120.0 + 1e4)
    (gradient,) = torch.autograd.grad(loss, weight)
    assert gradient.tolist() == [[-1.0], [2.0], [-1.0]]


@by_engine
def test_under_autocast_products_are_half_and_sums_are_not(engine, generator):
    logits = linear(generator, (32,), CLASSES, DIMENSION, dtype=torch.float32)
    target = torch.randint(CLASSES, (32,), generator=generator)
    with torch.autocast("cpu", torch.bfloat16):
        loss = cross_entropy(changed(logits, engine=engine), target)
        wanted = torch.nn.functional.cross_entropy(torch.nn.functional.linear(*parts(logits)), target)
    assert loss.dtype == wanted.dtype == torch.float32
    found = torch.autograd.grad(loss, parts(logits))
    assert [part.dtype for part in found] == [torch.float32] * 3
    exact = LinearLogits(*(part.detach().double().requires_grad_() for part in parts(logits)))
    truth = cross_entropy(exact, target)
    for ours, theirs, true in zip(
        found, torch.autograd.grad(wanted, parts(logits)), torch.autograd.grad(truth, parts(exact)), strict=True
    ):
        assert float((ours - true).norm()) <= 2 * float((theirs - true).norm())


def test_under_autocast_the_parts_may_come_in_two_dtypes(generator):
    features, weight = torch.randn(3, 4, dtype=torch.bfloat16), torch.randn(5, 4)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.isfinite(cross_entropy(LinearLogits(features, weight), torch.tensor([0, 1, 2])))
    with pytest.raises(TypeError, match="the dtype of features"):
        LinearLogits(features, weight)


@pytest.mark.parametrize("reduction", ["mean", "none"])
def test_a_checkpoint_around_the_loss_gives_the_same_gradients(reduction, generator):
    logits = linear(generator, (7,), CLASSES, DIMENSION)
    target = torch.randint(CLASSES, (7,), generator=generator)

    def loss(*tensors):
        return cross_entropy(LinearLogits(*tensors), target, reduction=reduction).sum()

    both(checkpoint(loss, *parts(logits), use_reentrant=False), loss(*parts(logits)), parts(logits))


@pytest.mark.parametrize("engine", ["chunked", "tile", "gram"])
@pytest.mark.parametrize("shift", [0, 1])
def test_a_compiled_graph_is_whole_and_gives_the_same(engine, shift, generator):
    logits = linear(generator, (3, 6), CLASSES, DIMENSION)
    target = torch.randint(CLASSES, (3, 6), generator=generator)
    target[1, 2] = -100
    with torch.no_grad():
        logits.features[1, 2 - shift] = math.nan  # of the row that does not count

    def loss(features, weight, bias, target):
        options = {"engine": engine, "shift": shift, "softcap": None if engine == "gram" else 2.0}
        stats = row_statistics(LinearLogits(features, weight, bias, **options), target, ("target", "sum"))
        return stats.sum.sin().sum() + stats.target.cos().sum()

    compiled = torch.compile(loss, fullgraph=True, backend="aot_eager")
    both(compiled(*parts(logits), target), loss(*parts(logits), target), parts(logits))


@pytest.mark.parametrize("kind", ["dense", "linear"])
@pytest.mark.parametrize("record", [r for r in LOGITS if not r.companions], ids=lambda record: record.key)
def test_every_loss_compiles_into_one_graph(record, kind, generator):
    logits = linear(generator, (6,), CLASSES, DIMENSION)
    target = torch.randint(CLASSES, (6,), generator=generator)
    target[1] = -100

    def loss(features, weight, bias, target):
        made = LinearLogits(features, weight, bias)
        return record.function(made if kind == "linear" else made.materialize(), target)

    compiled = torch.compile(loss, fullgraph=True, backend="aot_eager")
    both(compiled(*parts(logits), target), loss(*parts(logits), target), parts(logits))


def test_a_compiled_graph_refuses_a_target_out_of_range(generator):
    logits = linear(generator, (3,), CLASSES, DIMENSION)

    @torch.compile(fullgraph=True, backend="aot_eager")
    def loss(features, weight, target):
        return cross_entropy(LinearLogits(features, weight), target)

    with pytest.raises(ValueError, match=f"got class {CLASSES}, expected classes 0 to {CLASSES - 1}"):
        loss(logits.features, logits.weight, torch.tensor([0, CLASSES, 1]))


def test_the_operator_keeps_every_promise_of_an_operator(generator):
    from lossbook.kernels.ops_linear import linear_statistics

    logits = linear(generator, (5,), CLASSES, DIMENSION)
    target = torch.tensor([0, -1, 3, 2, 10])
    for engine in ENGINES:
        inputs = (*parts(logits), target, None, 100, None, None, engine, "log_probability,sum")
        found = torch.library.opcheck(linear_statistics, inputs)
        assert set(found.values()) == {"SUCCESS"}
    total = linear_statistics(*parts(logits), target, None, 100, None, None, "chunked", "logsumexp").sum()
    (slope,) = torch.autograd.grad(total, logits.features, create_graph=True)
    with pytest.raises(RuntimeError, match=r"first derivatives only.*materialize"):
        slope.sum().backward()
