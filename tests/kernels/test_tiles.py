"""The tile engine: exact however rows and classes are cut, a tile of memory, and a filter that keeps its bound."""

import pytest
import torch
from torch.nn.functional import cross_entropy

from lossbook.kernels import filter, tiles
from lossbook.kernels.linear import Linear
from lossbook.kernels.statistics import NAMES, NEED_SOFT_TARGET, Rows, accumulation_dtype, values
from lossbook.metrics.cost import cost

BY_CLASS = tuple(name for name in NAMES if name not in NEED_SOFT_TARGET)
BY_MASS = ("soft_log_probability", "entropy", "max", "log_probability_sum")
ROWS, DIMENSION = 9, 4
LOG_P = ("log_probability",)


def problem(names, rows, classes, dimension=DIMENSION, *, bias=True, dtype=torch.float64, **options):
    generator = torch.Generator().manual_seed(0)

    def normal(*shape):
        return torch.randn(shape, dtype=torch.float64, generator=generator)

    if NEED_SOFT_TARGET.intersection(names):
        target = torch.softmax(normal(rows, classes), -1)
    else:
        target = torch.randint(classes, (rows,), generator=generator)
    parts = [normal(rows, dimension), normal(classes, dimension), normal(classes) if bias else None]
    parts = [None if part is None else part.to(dtype).requires_grad_() for part in parts]
    options = {"memory_budget": 8 * 20} | options
    return Linear(*parts, target, (0.5 + normal(classes).abs()).to(accumulation_dtype(dtype)), **options)


def parts(linear):
    return tuple(part for part in linear[:3] if part is not None)


def materialized(linear):
    logits = linear.features @ linear.weight.T + (0 if linear.bias is None else linear.bias)
    return logits if linear.softcap is None else linear.softcap * torch.tanh(logits / linear.softcap)


def held(names, linear):
    return values(names, Rows(materialized(linear), linear.target, linear.class_weight))


def gradients(statistics, linear, seed=1):
    """Of a random weighting of the statistics, one number for each row and statistic."""
    generator = torch.Generator().manual_seed(seed)
    total = sum(
        (number * torch.randn(number.shape, dtype=torch.float64, generator=generator)).sum()
        for number in statistics.values()
    )
    return torch.autograd.grad(total, parts(linear))


@pytest.mark.parametrize("names", [BY_CLASS, BY_MASS], ids=["class indices", "soft targets"])
@pytest.mark.parametrize(
    ("classes", "numbers_a_tile"), [(1, 1), (2, 3), (3, 1), (127, 60), (128, 128 * 9), (129, 100), (1000, 10_000)]
)
@pytest.mark.parametrize(("bias", "softcap"), [(True, None), (False, 2.0), (True, 2.0)])
def test_numbers_and_gradients_are_those_of_the_logits_held(names, classes, numbers_a_tile, bias, softcap):
    linear = problem(names, ROWS, classes, bias=bias, softcap=softcap, memory_budget=8 * numbers_a_tile)
    found, wanted = tiles.statistics(names, linear), held(names, linear)
    for name in names:
        torch.testing.assert_close(found[name], wanted[name], rtol=1e-12, atol=1e-11, msg=name)
    if classes == 1:  # the variance of one number and the sum over no others: flat, and torch's gradient of it is NaN
        found, wanted = ({name: kind[name] for name in ("entropy", "max")} for kind in (found, wanted))
    for ours, theirs in zip(gradients(found, linear), gradients(wanted, linear), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-11, atol=1e-11 * classes**0.5)


@pytest.mark.parametrize("names", [BY_CLASS, BY_MASS], ids=["class indices", "soft targets"])
def test_the_gradients_are_those_of_finite_differences(names):
    linear = problem(names, 2, 5, 2, softcap=3.0, memory_budget=8 * 4)

    def statistics(*leaves):
        return tuple(tiles.statistics(names, Linear(*leaves, *linear[3:])).values())

    assert torch.autograd.gradcheck(statistics, parts(linear))


def test_several_right_classes_a_row_are_left_out_in_whichever_tile_they_lie():
    names = ("others_logsumexp",)
    several = torch.tensor(
        [[0, 19, -1], [3, 3, 4], [7, -1, -1], [1, 5, 9], [-1, -1, -1], [6, 7, 8], *[[11, 2, -1]] * 3]
    )
    linear = problem(names, ROWS, 20)._replace(target=several)
    found, wanted = tiles.statistics(names, linear), held(names, linear)
    torch.testing.assert_close(found, wanted, rtol=1e-12, atol=1e-12)
    for ours, theirs in zip(gradients(found, linear), gradients(wanted, linear), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-12)


def test_the_same_input_gives_the_same_bits():
    linear = problem(BY_CLASS, 100, 300, 8, dtype=torch.float32, memory_budget=4 * 999)
    first, second = (tiles.statistics(BY_CLASS, linear) for _ in range(2))
    assert all(torch.equal(first[name], second[name]) for name in BY_CLASS)
    assert all(map(torch.equal, gradients(first, linear), gradients(second, linear)))


def test_no_rows_give_no_numbers_and_zero_gradients():
    linear = problem(BY_CLASS, 0, 5)
    found = tiles.statistics(BY_CLASS, linear)
    assert {number.shape for number in found.values()} == {(0,)}
    assert all(not bool(gradient.any()) for gradient in gradients(found, linear))
    assert tiles.statistics((), linear) == {}


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32], ids=str)
def test_in_low_precision_the_error_is_no_larger_than_that_of_torch_with_all_logits_held(dtype):
    """Tiles are formed and summed in float32, so only the parameters' own rounding is left: less than torch makes."""
    linear = problem(LOG_P, 600, 400, 16, dtype=dtype, memory_budget=4 * 150**2)
    exact = linear._replace(
        **{name: getattr(linear, name).detach().double().requires_grad_() for name in linear._fields[:3]}
    )

    def run(loss, leaves):
        return [part.double() for part in (loss.detach(), *torch.autograd.grad(loss, leaves))]

    truth = run(cross_entropy(materialized(exact), exact.target), parts(exact))
    torchs = run(cross_entropy(materialized(linear), linear.target), parts(linear))
    ours = run(-tiles.statistics(LOG_P, linear)["log_probability"].mean(), parts(linear))
    for name, found, other, wanted in zip(("loss", "features", "weight", "bias"), ours, torchs, truth, strict=True):
        error, theirs = float((found - wanted).norm()), float((other - wanted).norm())
        # one number may be right by luck; in float32 both round, in another order
        allowed = max(theirs, float(wanted.norm()) * 1e-6) if dtype == torch.float32 or wanted.ndim == 0 else theirs
        assert error <= allowed, name


def test_scores_of_ten_thousand_cost_no_digits():
    linear = problem(LOG_P, ROWS, 40, dtype=torch.float32, memory_budget=4 * 33)
    with torch.no_grad():
        linear.bias.add_(1e4)
    exact = torch.log_softmax(materialized(linear).double(), -1).gather(-1, linear.target[:, None])[:, 0]
    found = tiles.statistics(LOG_P, linear)["log_probability"]
    assert float((found - exact).detach().abs().max()) < 2e-3  # the scores themselves are rounded by 10⁻³ / 2 at 10⁴
    wanted = torch.softmax(materialized(linear).double(), -1).detach()
    wanted[torch.arange(ROWS), linear.target] -= 1
    (by_bias,) = torch.autograd.grad(-found.sum(), linear.bias)
    torch.testing.assert_close(by_bias.double(), wanted.sum(0), rtol=0, atol=ROWS * 1e-3)
    assert float(by_bias.sum().abs()) < ROWS * 1e-6  # each row's p sums to 1 however its z are rounded


@pytest.mark.parametrize(("rows", "classes"), [(500, 500), (2000, 500), (500, 2000)])
def test_the_memory_is_a_few_tiles_beside_the_gradients_whatever_the_numbers_of_rows_and_classes(rows, classes):
    linear = problem(LOG_P, rows, classes, 8, memory_budget=8 * 100**2)

    def step():
        return torch.autograd.grad(tiles.statistics(LOG_P, linear)["log_probability"].sum(), parts(linear))

    spent = cost(step)
    given_back = sum(part.numel() for part in parts(linear)) * 8
    per_row = 12 * rows * 8  # the state, the numbers, the gradients by them
    assert spent.peak_bytes <= given_back + per_row + 6 * linear.memory_budget
    assert spent.peak_bytes < rows * classes * 8 / 2
    assert spent.multiplications == 4 * rows * classes * 8


def test_second_derivatives_are_refused_rather_than_lost():
    linear = problem(LOG_P, ROWS, 20)
    loss = tiles.statistics(LOG_P, linear)["log_probability"].sum()
    with pytest.raises(RuntimeError, match="first derivatives only"):
        torch.autograd.grad(loss, linear.features, create_graph=True)


def test_a_parameter_changed_between_forward_and_backward_is_noticed():
    linear = problem(LOG_P, ROWS, 20)
    loss = tiles.statistics(LOG_P, linear)["log_probability"].sum()
    with torch.no_grad():
        linear.weight.add_(1)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()


# The gradient filter


def zipf(rows=300, classes=700, **options):
    """As words are: the class of rank r has a share near r^-2, and the ranks lie scattered over the class numbers."""
    linear = problem(LOG_P, rows, classes, 16, memory_budget=8 * 256 * 512, **options)
    generator = torch.Generator().manual_seed(2)
    ranks = 1 + torch.randperm(classes, generator=generator).double()
    with torch.no_grad():
        linear.bias.copy_(-2 * ranks.log())
        linear.weight.mul_(0.2)
    target = torch.multinomial(torch.softmax(materialized(linear).detach(), -1), 1, generator=generator)[:, 0]
    return linear._replace(target=target)


def filtered(linear, epsilon, loss, sort_classes=True):
    linear = linear._replace(gradient_filter=epsilon)
    names = ("log_probability", "logsumexp", "target")
    found = tiles.statistics(names, linear, sort_classes=sort_classes)
    return torch.autograd.grad(loss(found), parts(linear))


def log_loss(found):
    return -found["log_probability"].mean()


def log_loss_from_its_two_halves(found):
    return (found["logsumexp"] - found["target"]).mean()


def log_loss_and_logit_square(found):
    return (found["logsumexp"] - found["target"] + 0.5 * found["logsumexp"].square()).mean()


LOSSES = pytest.mark.parametrize("loss", [log_loss, log_loss_from_its_two_halves, log_loss_and_logit_square])


@LOSSES
@pytest.mark.parametrize("sort_classes", [False, True])
def test_a_filter_of_zero_leaves_the_gradient_exact(loss, sort_classes):
    linear = zipf()
    exact = gradients_of(loss, linear)
    for ours, theirs in zip(filtered(linear, 0.0, loss, sort_classes), exact, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-11, atol=1e-13)


def gradients_of(loss, linear):
    return torch.autograd.grad(loss(held(("log_probability", "logsumexp", "target"), linear)), parts(linear))


@LOSSES
@pytest.mark.parametrize("epsilon", [1e-2, 1e-4])
@pytest.mark.parametrize("softcap", [None, 40.0])
def test_what_the_filter_leaves_out_is_bounded_entry_by_entry(loss, epsilon, softcap):
    """By less than ε times the derivative by L of each row, times the sum of what it is multiplied with."""
    linear = zipf(softcap=softcap)
    exact, found = gradients_of(loss, linear), filtered(linear, epsilon, loss)
    leaves = {
        name: held((name,), linear)[name].detach().requires_grad_()
        for name in ("log_probability", "logsumexp", "target")
    }
    by_number = torch.autograd.grad(loss(leaves), tuple(leaves.values()), allow_unused=True)
    by_lse = sum(sign * part for sign, part in zip((-1, 1), by_number[:2], strict=True) if part is not None).abs()
    for_features = epsilon * by_lse[:, None] * linear.weight.abs().sum(0)
    for_weight = epsilon * (by_lse[:, None] * linear.features.abs()).sum(0)
    for_bias = epsilon * by_lse.sum()
    dropped = [(ours - theirs).abs().detach() for ours, theirs in zip(found, exact, strict=True)]
    assert bool((dropped[0] <= for_features + 1e-14).all())
    assert bool((dropped[1] <= for_weight + 1e-14).all())
    assert bool((dropped[2] <= for_bias + 1e-14).all())
    assert bool((dropped[1] > for_weight / 1e4).any())  # something was left out


def test_flat_softmax_leaves_the_filter_nothing_and_a_peaked_one_most():
    bound = 2.0**-12  # the published one for bfloat16
    flat = problem(LOG_P, 300, 700, 16, memory_budget=8 * 256 * 512)
    kept, blocks = tiles.tiles_kept(flat, bound)
    assert kept == blocks == 3 * 6
    peaked = zipf()
    by_mean = tiles.tiles_kept(peaked, bound)
    by_number = tiles.tiles_kept(peaked, bound, sort_classes=False)
    assert by_mean[1] == by_number[1] == blocks
    assert by_mean[0] <= blocks / 2
    assert by_number[0] > blocks / 2


@pytest.mark.parametrize("sort_classes", [False, True])
@pytest.mark.parametrize("epsilon", [0.0, 1e-6, 1e-3, 1.1])
def test_the_kept_blocks_are_those_of_a_double_loop_over_the_matrix(sort_classes, epsilon):
    linear = zipf()
    logits = materialized(linear).detach()
    distance = (torch.softmax(logits, -1) - torch.nn.functional.one_hot(linear.target, logits.shape[1])).abs()
    if sort_classes:
        distance = distance[:, logits.mean(0).argsort()]
    kept = blocks = 0
    for strip in distance.split(128):
        for block in strip.split(128, 1):
            blocks += 1
            kept += bool((block >= epsilon).any())
    assert tiles.tiles_kept(linear, epsilon, sort_classes=sort_classes) == (kept, blocks)


def test_the_order_by_mean_logit_needs_no_logits():
    linear = problem(LOG_P, 50, 80)
    order = filter.by_mean_logit(linear)
    assert torch.equal(order.classes, materialized(linear).mean(0).argsort())
    assert torch.equal(order.places[order.classes], torch.arange(80))


def test_the_filter_touches_no_number_and_saves_products():
    linear = zipf()
    unfiltered = tiles.statistics(LOG_P, linear)["log_probability"]
    assert torch.equal(tiles.statistics(LOG_P, linear._replace(gradient_filter=0.1))["log_probability"], unfiltered)

    def multiplications(epsilon):
        return cost(lambda: filtered(linear, epsilon, log_loss)).multiplications

    (kept, blocks), product = tiles.tiles_kept(linear, 2.0**-8), 300 * 700 * 16
    assert kept <= blocks / 3
    assert multiplications(0.0) == 4 * product
    assert 2 * product < multiplications(2.0**-8) <= 2 * product + 2 * kept * 128 * 128 * 16
    assert multiplications(1.1) == 2 * product  # nothing left but forming the logits twice


def test_a_row_that_is_not_a_number_is_never_filtered_away():
    linear = zipf()
    with torch.no_grad():
        linear.features[7, 3] = torch.nan
    assert bool(filtered(linear, 1e-2, log_loss)[0][7].isnan().all())


@pytest.mark.parametrize("name", [name for name in NAMES if name not in filter.CAN_FILTER])
def test_a_filter_is_refused_where_the_gradient_does_not_die_with_p(name):
    linear = problem((name,), ROWS, 20, gradient_filter=1e-3)
    with pytest.raises(ValueError, match=f"gradient_filter: got 0.001, expected None: the gradient of {name} "):
        tiles.statistics((name,), linear)
