"""The numbers of neural collapse, against plain loops over the published definitions and against closed forms."""

import math

import numpy as np
import pytest
import scipy.linalg
import torch

from lossbook.metrics import (
    bias_collapse,
    class_means,
    coherence,
    cosines,
    equinorm,
    frame_distance,
    gram,
    nearest_mean_mismatch,
    self_duality,
    squared_error_parts,
    within_class_variability,
)

DOUBLE = torch.float64
BALANCED, UNEQUAL = (7, 7, 7, 7), (11, 3, 6, 2)


def sample(generator, counts=BALANCED, units=6, members=()):
    """Features, shuffled labels, and a last layer."""
    labels = torch.cat([torch.full((count,), c) for c, count in enumerate(counts)])
    labels = labels[torch.randperm(len(labels), generator=generator)]
    features = torch.randn(len(labels), *members, units, generator=generator, dtype=DOUBLE)
    features = features + torch.randn(len(counts), *members, units, generator=generator, dtype=DOUBLE)[labels]
    weight = torch.randn(len(counts), *members, units, generator=generator, dtype=DOUBLE)
    return features, labels, weight, torch.randn(len(counts), *members, generator=generator, dtype=DOUBLE)


def simplex(classes, norm=1.0):
    """A simplex ETF in as many units as classes."""
    return norm * math.sqrt(classes / (classes - 1)) * (torch.eye(classes, dtype=DOUBLE) - 1 / classes)


def published(features, labels, weight, bias):
    """The definitions of both codes, one example at a time, in numpy. The pseudo-inverse cuts at rank K − 1."""
    h, y, w, b = features.numpy(), labels.tolist(), weight.numpy(), bias.numpy()
    classes, units = w.shape
    means = np.stack([np.mean([h[i] for i in range(len(h)) if y[i] == c], axis=0) for c in range(classes)])
    within = np.zeros((units, units))
    for i in range(len(h)):
        within += np.outer(h[i] - means[y[i]], h[i] - means[y[i]]) / len(h)
    found = {}
    for name, centre in (("papyan", means.mean(0)), ("zhu", h.mean(0))):
        between = np.zeros((units, units))
        for c in range(classes):
            between += np.outer(means[c] - centre, means[c] - centre) / classes
        values, vectors = np.linalg.eigh(between)
        values, vectors = values[-(classes - 1) :], vectors[:, -(classes - 1) :]
        found[f"nc1 {name}"] = np.trace(within @ vectors @ np.diag(1 / values) @ vectors.T)
    found["nc1 zhu"] /= classes
    centred = means - means.mean(0)
    found["equinorm"] = np.std(np.linalg.norm(centred, axis=1), ddof=1) / np.mean(np.linalg.norm(centred, axis=1))
    unit = centred / np.linalg.norm(centred, axis=1, keepdims=True)
    pairs = [(c, d) for c in range(classes) for d in range(classes) if c != d]
    found["coherence"] = sum(abs(unit[c] @ unit[d] + 1 / (classes - 1)) for c, d in pairs) / len(pairs)
    found["nc3 papyan"] = np.linalg.norm(w.T / np.linalg.norm(w) - centred.T / np.linalg.norm(centred)) ** 2
    ideal = (np.eye(classes) - np.ones((classes, classes)) / classes) / math.sqrt(classes - 1)
    found["nc2 zhu"] = np.linalg.norm(w @ w.T / np.linalg.norm(w @ w.T) - ideal)
    about = means - h.mean(0)
    found["nc3 zhu"] = np.linalg.norm(w @ about.T / np.linalg.norm(w @ about.T) - ideal)
    found["bias"] = np.linalg.norm(w @ h.mean(0) + b)
    differ = 0
    for i in range(len(h)):
        nearest = min(range(classes), key=lambda c: np.linalg.norm(h[i] - means[c]))
        differ += nearest != int(np.argmax(w @ h[i] + b))
    found["nc4"] = differ / len(h)
    return found


def ours(features, labels, weight, bias):
    means, weighted = (class_means(features, labels, convention=name) for name in ("papyan", "zhu"))
    logits = (features[:, None] * weight).sum(-1) + bias if features.ndim == 2 else None
    if logits is None:
        logits = torch.einsum("nmd,kmd->nmk", features, weight) + bias.T
    return {
        "nc1 papyan": within_class_variability(features, labels),
        "nc1 zhu": within_class_variability(features, labels, convention="zhu"),
        "equinorm": equinorm(means.centred),
        "coherence": coherence(means.centred),
        "nc3 papyan": self_duality(weight, means.centred),
        "nc2 zhu": frame_distance(gram(weight)),
        "nc3 zhu": frame_distance(gram(weight, weighted.centred)),
        "bias": bias_collapse(weight, bias, weighted.centre),
        "nc4": nearest_mean_mismatch(features, labels, logits),
    }


@pytest.mark.parametrize("units", [6, 3, 12])
@pytest.mark.parametrize("counts", [BALANCED, UNEQUAL], ids=["balanced", "unequal"])
def test_every_number_is_that_of_the_published_code(generator, counts, units):
    given = sample(generator, counts, units)
    found, wanted = ours(*given), published(*given)
    assert set(found) == set(wanted)
    for name, value in found.items():
        # float64, and a condition number of S_B below 1e4: twelve digits are left.
        assert float(value) == pytest.approx(wanted[name], rel=1e-11), name


def test_members_are_measured_one_by_one(generator):
    features, labels, weight, bias = sample(generator, UNEQUAL, members=(3,))
    together = ours(features, labels, weight, bias)
    for k in range(3):
        alone = ours(features[:, k], labels, weight[:, k], bias[:, k])
        for name, value in together.items():
            assert value.shape == (3,)
            assert float(value[k]) == pytest.approx(float(alone[name]), rel=1e-12), name


def test_on_equal_classes_the_two_conventions_of_nc1_differ_by_the_number_of_classes(generator):
    features, labels, *_ = sample(generator)
    one, other = (within_class_variability(features, labels, convention=name) for name in ("papyan", "zhu"))
    assert float(one) == pytest.approx(4 * float(other), rel=1e-12)
    features, labels, *_ = sample(generator, UNEQUAL)
    one, other = (within_class_variability(features, labels, convention=name) for name in ("papyan", "zhu"))
    assert abs(float(one / other) - 4) > 0.01  # another centre


def test_every_number_but_the_bias_is_blind_to_scale_and_rotation(generator):
    features, labels, weight, bias = sample(generator, UNEQUAL)
    turn, _ = torch.linalg.qr(torch.randn(6, 6, generator=generator, dtype=DOUBLE))
    before, after = ours(features, labels, weight, bias), ours(5 * features @ turn, labels, 0.2 * weight @ turn, bias)
    for name, value in before.items():
        assert float(after[name]) == pytest.approx(float(value), rel=1e-11), name


@pytest.mark.parametrize("classes", [2, 3, 10])
def test_a_collapsed_network_gets_zero_everywhere(classes):
    means = simplex(classes, 3.0)
    labels = torch.arange(classes).repeat(4)
    found = ours(means[labels], labels, 0.7 * means, torch.zeros(classes, dtype=DOUBLE))
    for name, value in found.items():
        assert float(value) == pytest.approx(0, abs=1e-7), name  # the coherence of K = 2 has a root of rounding
    assert float(coherence(means)) < 1e-14


@pytest.mark.parametrize(("classes", "norm", "noise"), [(3, 2.0, 0.5), (5, 1.0, 1.0)])
def test_isotropic_noise_round_a_simplex_has_the_nc1_of_the_closed_form(classes, norm, noise):
    # S_W = s² I exactly: every mean gets ± s √units along each axis.
    means = simplex(classes, norm)
    units = classes
    spread = noise * math.sqrt(units) * torch.cat([torch.eye(units), -torch.eye(units)]).double()
    features = (means[:, None] + spread).reshape(-1, units)
    labels = torch.arange(classes).repeat_interleave(2 * units)
    wanted = noise**2 * (classes - 1) ** 2 / norm**2
    assert float(within_class_variability(features, labels)) == pytest.approx(wanted, rel=1e-12)
    zhu = within_class_variability(features, labels, convention="zhu")
    assert float(zhu) == pytest.approx(wanted / classes, rel=1e-12)


@pytest.mark.parametrize("classes", [2, 4, 10])
def test_orthonormal_vectors_miss_the_simplex_by_the_closed_forms(classes):
    eye = torch.eye(classes, dtype=DOUBLE)
    assert float(coherence(eye)) == pytest.approx(1 / (classes - 1))
    assert float(frame_distance(eye)) == pytest.approx(math.sqrt(2 - 2 * math.sqrt((classes - 1) / classes)))
    assert float(frame_distance(7 * eye, eye)) == pytest.approx(0, abs=1e-15)
    assert torch.allclose(cosines(3 * simplex(classes)), torch.full_like(eye, -1 / (classes - 1)).fill_diagonal_(1))


def test_a_direction_that_only_rounding_opens_is_not_inverted(generator):
    # Two classes differ along one axis; along another they are equal but for 1e-12, and the noise is large there.
    labels = torch.arange(2).repeat(50)
    features = torch.randn(100, 2, generator=generator, dtype=DOUBLE)
    features[:, 0] += 3.0 * (2 * labels - 1)
    third = torch.cat([features, features[:1] * 0 + 10 * torch.randn(100, 1, generator=generator, dtype=DOUBLE)], 1)
    third[:, 2] -= class_means(third, labels).means[labels, 2]
    third[:, 2] += 1e-12 * labels
    flat = third.clone()
    flat[:, 2] = 0
    assert float(within_class_variability(third, labels)) == pytest.approx(
        float(within_class_variability(flat, labels)), rel=1e-6
    )


def test_means_that_are_all_equal_give_an_infinite_nc1():
    features = torch.tensor([[1.0], [-1.0], [2.0], [-2.0]])
    assert float(within_class_variability(features, torch.tensor([0, 0, 1, 1]))) == math.inf


@pytest.mark.parametrize("weight_decay", [0.0, 0.03])
@pytest.mark.parametrize("counts", [BALANCED, UNEQUAL], ids=["balanced", "unequal"])
def test_the_parts_of_the_squared_error_add_up_and_are_those_of_ridge_regression(generator, counts, weight_decay):
    features, labels, weight, bias = sample(generator, counts)
    parts = squared_error_parts(features, labels, weight, bias, weight_decay=weight_decay)
    h, target = features.numpy(), np.eye(4)[labels.numpy()]

    def objective(w, b):
        return np.mean(((h @ w.T + b - target) ** 2).sum(1)) / 2 + weight_decay / 2 * ((w**2).sum() + (b**2).sum())

    assert float(sum(parts)) == pytest.approx(objective(weight.numpy(), bias.numpy()), rel=1e-12)
    # ridge regression as least squares with further rows, by another library's solver
    seen = np.hstack([h, np.ones((len(h), 1))])
    rows = np.vstack([seen, math.sqrt(weight_decay * len(h)) * np.eye(7)])
    best, *_ = scipy.linalg.lstsq(rows, np.vstack([target, np.zeros((7, 4))]))
    best_weight, best_bias = torch.tensor(best[:-1].T), torch.tensor(best[-1])
    assert float(parts.within + parts.means) == pytest.approx(objective(best[:-1].T, best[-1]), rel=1e-12)
    at_best = squared_error_parts(features, labels, best_weight, best_bias, weight_decay=weight_decay)
    assert float(at_best.classifier) == pytest.approx(0, abs=1e-25)
    missed = sum(
        counts[c] / len(h) * np.sum((best[:-1].T @ h[labels == c].mean(0) + best[-1] - np.eye(4)[c]) ** 2)
        for c in range(4)
    )
    assert float(parts.means) == pytest.approx(missed / 2, rel=1e-11)


def test_numbers_do_not_depend_on_the_format_beyond_its_rounding(generator):
    given = sample(generator)
    single = ours(*(each.float() if each.is_floating_point() else each for each in given))
    for name, value in ours(*given).items():
        assert single[name].dtype == DOUBLE
        assert float(single[name]) == pytest.approx(float(value), rel=1e-5), name


X, Y = torch.zeros(4, 2), torch.tensor([0, 0, 1, 1])


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: class_means(X.long(), Y), TypeError, "features: got an int64 tensor"),
        (lambda: class_means(X[0], Y), ValueError, "features: got a float32 tensor of shape .2,., expected shape"),
        (lambda: class_means(X / 0, Y), ValueError, "features: got NaN or infinite numbers"),
        (lambda: class_means(X, Y.float()), TypeError, "labels: got a float32 tensor"),
        (lambda: class_means(X, Y[:3]), ValueError, "labels: got an int64 tensor .*each of the 4 examples"),
        (lambda: class_means(X, Y - 1), ValueError, "labels: got -1, expected classes from 0 on"),
        (lambda: class_means(X, 2 * Y), ValueError, "labels: got classes 0, 2, expected two or more"),
        (lambda: class_means(X, 0 * Y), ValueError, "labels: got classes 0, expected two or more"),
        (lambda: class_means(X, Y, convention="han"), ValueError, "convention: got 'han', expected one of 'papyan'"),
        (lambda: within_class_variability(X, Y, rtol=1.0), ValueError, "rtol: got 1.0"),
        (lambda: within_class_variability(X, Y, convention=0), ValueError, "convention: got 0"),
        (lambda: equinorm(X[:1]), ValueError, "vectors: got a float32 tensor .*at least two classes"),
        (lambda: coherence(Y), TypeError, "vectors: got an int64 tensor"),
        (lambda: cosines(X * torch.nan), ValueError, "vectors: got NaN"),
        (lambda: self_duality(X, X[:, :1]), ValueError, "centred: got .* expected the shape of weight"),
        (lambda: gram(X, X[:, :1]), ValueError, "second: got .* expected the shape of first"),
        (lambda: frame_distance(X), ValueError, "products: got a float32 tensor of shape .4, 2."),
        (lambda: frame_distance(torch.eye(3), torch.eye(2)), ValueError, "target: got .* expected shape .3, 3."),
        (lambda: nearest_mean_mismatch(X, Y, X[:, :1]), ValueError, "logits: got .* expected shape .4, 2."),
        (lambda: bias_collapse(X, X[:, 0], X), ValueError, "centre: got .* expected shape .2,."),
        (lambda: bias_collapse(X, Y, X[0]), TypeError, "bias: got an int64 tensor"),
        (lambda: squared_error_parts(X, Y, X[:2], X[:2, 0], weight_decay=-1.0), ValueError, "weight_decay: got -1.0"),
        (lambda: squared_error_parts(X, Y, X, X[:2, 0]), ValueError, "weight: got .* expected shape .2, 2."),
        (lambda: squared_error_parts(X[:, None], Y, X, X[:2, 0]), ValueError, "features: got .* one network at a time"),
    ],
)
def test_bad_input_is_named(call, error, message):
    with pytest.raises(error, match=message):
        call()
