"""Frames: the closed forms against published numbers, against plain minimisation, against an SVD, and each other."""

import math

import numpy as np
import pytest
import torch
from scipy.optimize import minimize, minimize_scalar

from lossbook.metrics import (
    chain_minimum,
    cross_entropy_geometry,
    simplex_etf,
    squared_error_geometry,
    vanishing_weight_decay,
)

DECAY = {"weight_decay": 1e-3, "feature_decay": 1e-3}
SIZES = (40, 20, 10)


def lengths(geometry):
    return geometry.weight.diagonal().tolist()


def minimised(sizes, layers, weight_decay, feature_decay, *, entropy=False, bias=False, units=None, seed=0):
    """The objective of class means and layers, written out in numpy with its gradient by torch, and run down by L-BFGS.

    Examples of a class share a feature: the closed forms say so, and the sum over them is a weight here.
    """
    classes, total = len(sizes), sum(sizes)
    units = units or classes + 1
    shapes = [(units, classes)] + [(units, units)] * (layers - 1) + [(classes, units)] + [(classes,)]
    counts = torch.tensor(sizes, dtype=torch.float64)

    def parts(flat):
        pieces = torch.split(flat, [math.prod(shape) for shape in shapes])
        return [piece.reshape(shape) for piece, shape in zip(pieces, shapes, strict=True)]

    def objective(flat):
        means, *weights, shift = parts(flat)
        product = weights[0]
        for weight in weights[1:]:
            product = weight @ product
        scores = product @ means + (shift[:, None] if bias else 0)
        if entropy:
            error = torch.logsumexp(scores, 0) - scores.diagonal()
        else:
            error = (scores - torch.eye(classes)).square().sum(0) / 2
        decay = weight_decay * sum(weight.square().sum() for weight in weights)
        return (counts * error).sum() / total + (decay + feature_decay * (counts * means.square()).sum()) / 2

    def value_and_slope(array):
        flat = torch.tensor(array, requires_grad=True)
        value = objective(flat)
        value.backward()
        return value.item(), flat.grad.numpy()

    count = sum(math.prod(shape) for shape in shapes)
    start = np.random.default_rng(seed).normal(0, 0.5, count)
    options = {"maxiter": 20_000, "maxfun": 40_000, "ftol": 1e-15, "gtol": 1e-10}
    found = minimize(value_and_slope, start, jac=True, method="L-BFGS-B", options=options)
    means, *weights, shift = parts(torch.tensor(found.x))
    product = weights[0]
    for weight in weights[1:]:
        product = weight @ product
    return found.fun, product, means, shift


@pytest.mark.parametrize("classes", [2, 3, 7, 20])
def test_every_two_vectors_of_a_simplex_have_the_same_cosine_and_their_sum_is_0(classes):
    generator = torch.Generator().manual_seed(0)
    for frame in (simplex_etf(classes), simplex_etf(classes, units=classes + 3, generator=generator)):
        wanted = (classes * np.eye(classes) - 1) / (classes - 1)
        assert np.abs((frame @ frame.T).numpy() - wanted).max() < 1e-12
        assert float(frame.sum(0).abs().max()) < 1e-12
        tight = np.linalg.eigvalsh((frame.T @ frame).numpy())[-(classes - 1) :]
        assert tight == pytest.approx(classes / (classes - 1))


def test_no_unit_vectors_are_further_apart_than_those_of_a_simplex():
    generator = torch.Generator().manual_seed(0)
    for classes in (2, 3, 5):
        drawn = torch.nn.functional.normalize(torch.randn(200, classes, 4, generator=generator).double(), dim=-1)
        products = drawn @ drawn.transpose(1, 2) - 2 * torch.eye(classes)
        assert float(products.amax((1, 2)).min()) > -1 / (classes - 1) - 1e-12


def test_a_generator_turns_a_simplex_and_leaves_its_angles():
    turned = [simplex_etf(4, generator=torch.Generator().manual_seed(seed)) for seed in (0, 0, 1)]
    assert torch.equal(turned[0], turned[1])
    assert not torch.allclose(turned[0], turned[2])


# Published closed forms, re-derived by gradient descent to five digits.
@pytest.mark.parametrize(
    ("layers", "wanted"),
    [(1, (6.25456, 4.40214, 3.09228)), (2, (11.6026, 7.2746, 4.5480)), (3, (15.8003, 9.3522, 5.5181))],
)
def test_the_worked_lengths_of_three_unequal_classes(layers, wanted):
    found = squared_error_geometry(SIZES, layers=layers, **DECAY)
    assert lengths(found) == pytest.approx(wanted, abs=5e-5)
    assert float((found.weight - torch.diag(found.weight.diagonal())).abs().max()) < 1e-12


def test_one_layer_has_the_short_formula_and_the_class_below_the_limit_vanishes():
    decay = {"weight_decay": 0.05, "feature_decay": 0.05}
    found = squared_error_geometry((45, 12, 13), **decay)
    short = [math.sqrt(n * 0.05 / 0.05) - 70 * 0.05 for n in (45, 12, 13)]
    assert lengths(found) == pytest.approx([max(0, one) for one in short], abs=1e-12)
    assert lengths(found)[1] == 0
    assert [round(one, 4) for one in lengths(found)] == [3.2082, 0, 0.1056]


def test_of_weight_and_mean_the_squared_lengths_are_in_the_ratio_of_the_decays_times_the_class_size():
    found = squared_error_geometry(SIZES, weight_decay=2e-3, feature_decay=1e-3)
    ratio = found.weight.diagonal() / found.means.diagonal()
    assert ratio.tolist() == pytest.approx([n * 1e-3 / 2e-3 for n in SIZES])


def test_where_the_outer_minimum_is_not_the_lower_one_the_class_is_at_0():
    decay = {"weight_decay": 0.0486629, "feature_decay": 0.01}
    found = squared_error_geometry(SIZES, layers=2, **decay)
    released = squared_error_geometry(SIZES, layers=2, local=True, **decay)
    assert lengths(found)[2] == 0
    assert lengths(released)[2] == pytest.approx(0.513, abs=5e-4)
    assert found.objective == pytest.approx(0.314767, abs=5e-7)
    assert released.objective > found.objective + 1e-4
    assert lengths(found)[:2] == pytest.approx(lengths(released)[:2])


@pytest.mark.parametrize("layers", [1, 2, 3, 5])
@pytest.mark.parametrize("price", [0.01, 0.2, 0.45, 0.6, 0.9, 1.2])
def test_the_chain_minimum_is_the_lowest_of_a_fine_grid(layers, price):
    x = np.linspace(0, 30, 300_001)
    cost = 1 / (x**layers + 1) + price * x
    found = chain_minimum(price, layers)
    # between two points of the grid the cost differs by at most half a second derivative (below 4) times 1e-8
    assert 1 / (found**layers + 1) + price * found <= cost.min() + 1e-12
    assert found == pytest.approx(x[cost.argmin()], abs=2e-4)


@pytest.mark.parametrize("layers", [1, 2, 3, 4])
def test_the_class_vanishes_at_its_decay_and_its_other_minimum_ends_at_another(layers):
    for local in (False, True):
        ends = vanishing_weight_decay(SIZES, layers=layers, feature_decay=1e-2, local=local)
        assert (ends[0] / ends[2]).item() == pytest.approx(4)
        for k, end in enumerate(ends.tolist()):
            below, above = (
                lengths(
                    squared_error_geometry(SIZES, layers=layers, weight_decay=end * by, feature_decay=1e-2, local=local)
                )[k]
                for by in (1 - 1e-6, 1 + 1e-6)
            )
            assert above == 0 < below
            # one layer fades; more jump from s^{2M} = N λ_H (M − 1), or from (M − 1)/(M + 1) of N λ_H
            jump = 0.7 * ((layers - 1) if not local else (layers - 1) / (layers + 1))
            assert below == pytest.approx(jump, rel=5e-3, abs=1e-5)


def test_a_smaller_class_is_shorter_and_goes_first():
    for layers in (1, 2, 3):
        ends = vanishing_weight_decay((30, 20, 5), layers=layers, feature_decay=1e-2)
        assert ends.tolist() == sorted(ends, reverse=True)
        found = squared_error_geometry((30, 20, 5), layers=layers, **DECAY)
        assert lengths(found) == sorted(lengths(found), reverse=True)


@pytest.mark.parametrize("layers", [1, 2, 3])
@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("sizes", [(10, 10, 10), (12, 6, 3)])
def test_plain_minimisation_ends_at_the_closed_form_of_the_squared_error(sizes, bias, layers):
    found = squared_error_geometry(sizes, layers=layers, bias=bias, **DECAY)
    value, product, means, shift = minimised(sizes, layers, 1e-3, 1e-3, bias=bias)
    # L-BFGS stops where the value changes in the fifteenth digit: half of the digits for what it is quadratic in.
    assert value == pytest.approx(found.objective, rel=1e-7)
    for name, matrix in (("weight", product @ product.T), ("means", means.T @ means), ("outputs", product @ means)):
        assert torch.allclose(matrix, getattr(found, name), rtol=0, atol=2e-3 * float(matrix.abs().max())), name
    if bias:
        assert shift.tolist() == pytest.approx(found.bias.tolist(), abs=2e-3)


def test_a_bias_turns_the_orthogonal_frame_of_equal_classes_into_a_simplex():
    plain, centred = (squared_error_geometry((7, 7, 7), bias=bias, **DECAY) for bias in (False, True))
    simplex = torch.eye(3, dtype=torch.float64) - 1 / 3
    for name in ("weight", "means", "outputs"):
        strength = getattr(plain, name)[0, 0]
        assert torch.allclose(getattr(plain, name), strength * torch.eye(3, dtype=torch.float64), atol=1e-12)
        assert torch.allclose(getattr(centred, name), strength * simplex, atol=1e-12)
    assert centred.objective < plain.objective


def test_the_bias_of_unequal_classes_is_their_share_and_the_scores_add_up_to_one_for_a_weightless_penalty():
    found = squared_error_geometry(SIZES, weight_decay=1e-9, feature_decay=1e-9, bias=True)
    assert found.bias.tolist() == pytest.approx([n / 70 for n in SIZES])
    assert torch.allclose(found.outputs + found.bias[:, None], torch.eye(3, dtype=torch.float64), atol=1e-4)


def test_one_layer_under_the_squared_error_is_a_soft_threshold_on_the_singular_values_of_the_targets():
    """An independent road: the two decays are a nuclear norm, whose proximal map cuts singular values."""
    for bias in (False, True):
        target = np.repeat(np.eye(3), SIZES, axis=1)
        if bias:
            target = target - target.mean(1, keepdims=True)
        left, values, right = np.linalg.svd(target, full_matrices=False)
        cut = np.maximum(values - 70 * math.sqrt(2e-3 * 1e-3), 0)
        scores = (left * cut) @ right
        means = np.stack([scores[:, :40].mean(1), scores[:, 40:60].mean(1), scores[:, 60:].mean(1)], 1)
        found = squared_error_geometry(SIZES, weight_decay=2e-3, feature_decay=1e-3, bias=bias)
        assert np.abs(found.outputs.numpy() - means).max() < 1e-12
        objective = ((scores - target) ** 2).sum() / 140 + math.sqrt(2e-3 * 1e-3) * cut.sum()
        assert found.objective == pytest.approx(objective, rel=1e-12)


@pytest.mark.parametrize("frame", ["simplex", "pairs"])
@pytest.mark.parametrize("layers", [1, 2, 3])
def test_the_scale_of_the_logits_minimises_the_cost_of_its_frame(frame, layers):
    classes, size = 6, 10
    shape = np.eye(classes) - 1 / classes
    if frame == "pairs":
        shape = np.eye(classes) - np.kron(np.eye(classes // 2), np.array([[0, 1], [1, 0]]))
    singular = np.linalg.svd(np.repeat(shape, size, axis=1), compute_uv=False)
    singular = singular[singular > 1e-9]

    def cost(scale):
        scores = scale * shape
        error = np.log(np.exp(scores).sum(0)) - np.diag(scores)
        # of layers that share a singular value σ: M λ_W s²/2 + λ_H h²/2 with s^M h = σ and λ_W s² = λ_H h²
        squares = (scale * singular * math.sqrt(2e-3 / 1e-3)) ** (2 / (layers + 1))
        return error.mean() + (layers + 1) / 2 * 1e-3 * squares.sum()

    found = cross_entropy_geometry(classes, size, layers=layers, weight_decay=1e-3, feature_decay=2e-3, frame=frame)
    by_search = minimize_scalar(cost, bounds=(1, 20), method="bounded", options={"xatol": 1e-10})
    assert found.objective == pytest.approx(by_search.fun, rel=1e-12)
    assert float(found.outputs.diagonal()[0] / shape[0, 0]) == pytest.approx(by_search.x, abs=1e-5)
    # and the three matrices are those of one network: W W† = 1 on the frame, and the decays balance
    assert torch.allclose(found.weight @ found.means, found.outputs @ found.outputs, atol=1e-9)
    if layers == 1:
        assert float(torch.trace(found.weight)) * 1e-3 == pytest.approx(2e-3 * size * float(torch.trace(found.means)))


def test_one_layer_under_cross_entropy_has_a_scale_in_closed_form_and_vanishes_at_its_limit():
    for size, decay in ((10, 1e-2), (3, 0.05), (100, 1e-3)):
        found = cross_entropy_geometry(4, size, weight_decay=decay, feature_decay=decay)
        scale = math.log(1 / (decay * math.sqrt(size)) - 3)
        assert float(found.outputs[0, 0]) == pytest.approx(scale * 3 / 4, rel=1e-9)
    limit = 1 / (4 * math.sqrt(10))  # n λ² = 1/K²
    inside, outside = (
        cross_entropy_geometry(4, 10, weight_decay=limit * by, feature_decay=limit * by) for by in (0.999, 1.001)
    )
    assert float(outside.weight.abs().max()) == 0 < float(inside.weight.abs().max())
    assert outside.objective == pytest.approx(math.log(4))


def test_plain_minimisation_of_cross_entropy_ends_at_the_simplex_where_there_is_one_layer():
    found = cross_entropy_geometry(4, 10, **DECAY)
    for bias in (False, True):
        value, product, means, shift = minimised((10,) * 4, 1, 1e-3, 1e-3, entropy=True, bias=bias)
        assert value == pytest.approx(found.objective, rel=1e-8)
        assert torch.allclose(product @ product.T, found.weight, atol=2e-3 * float(found.weight.max()))
        assert torch.allclose(product @ means, found.outputs, atol=2e-3 * float(found.outputs.max()))
        assert float((shift - shift.mean()).abs().max()) < 1e-3 if bias else True


def test_with_three_layers_opposite_pairs_cost_less_than_the_simplex_and_a_minimiser_finds_them():
    simplex, pairs = (cross_entropy_geometry(4, 10, layers=3, frame=frame, **DECAY) for frame in ("simplex", "pairs"))
    assert pairs.objective < simplex.objective * 0.95
    values = [minimised((10,) * 4, 3, 1e-3, 1e-3, entropy=True, seed=seed)[0] for seed in range(6)]
    assert min(values) == pytest.approx(pairs.objective, rel=1e-6)
    for value in values:  # each run ends at one or the other
        assert min(abs(value / known.objective - 1) for known in (simplex, pairs)) < 1e-4


@pytest.mark.parametrize("call", [squared_error_geometry, vanishing_weight_decay])
def test_sizes_that_are_none_are_refused(call):
    options = {"feature_decay": 0.1} | ({"weight_decay": 0.1} if call is squared_error_geometry else {})
    with pytest.raises(TypeError, match=r"^sizes: got 'ab' \(str\), expected a sequence of whole numbers"):
        call("ab", **options)
    with pytest.raises(ValueError, match=r"^sizes: got \(3,\), expected two classes or more$"):
        call((3,), **options)
    with pytest.raises(ValueError, match=r"^sizes\[1\]: got 0, expected an integer >= 1$"):
        call((3, 0), **options)
    with pytest.raises(TypeError, match=r"^sizes\[0\]: got 2.5"):
        call((2.5, 3), **options)
    with pytest.raises(ValueError, match=r"^layers: got 0, expected an integer >= 1$"):
        call((3, 3), layers=0, **options)
    with pytest.raises(ValueError, match=r"^feature_decay: got 0, expected a finite number > 0$"):
        call((3, 3), **options | {"feature_decay": 0})


def test_other_bad_input_is_refused_by_name():
    with pytest.raises(ValueError, match=r"^classes: got 1, expected an integer >= 2$"):
        simplex_etf(1)
    with pytest.raises(ValueError, match=r"^units: got 2, expected an integer >= 3$"):
        simplex_etf(4, units=2)
    with pytest.raises(TypeError, match=r"^generator: got 0 \(int\), expected a torch.Generator$"):
        simplex_etf(4, generator=0)
    with pytest.raises(ValueError, match=r"^price: got 0.0, expected a finite number > 0$"):
        chain_minimum(0.0, 1)
    with pytest.raises(ValueError, match=r"^weight_decay: got -1, expected a finite number > 0$"):
        squared_error_geometry((3, 3), weight_decay=-1, feature_decay=0.1)
    with pytest.raises(ValueError, match=r"^classes: got 5, expected an even number"):
        cross_entropy_geometry(5, 3, frame="pairs", **DECAY)
    with pytest.raises(ValueError, match=r"^frame: got 'cube', expected one of 'simplex', 'pairs'$"):
        cross_entropy_geometry(4, 3, frame="cube", **DECAY)
    with pytest.raises(ValueError, match=r"^size: got 0, expected an integer >= 1$"):
        cross_entropy_geometry(4, 0, **DECAY)
