"""Naive Bayes and logistic regression, two linear classifiers that learn at different speeds."""

import math

import numpy as np
import pytest
import torch
from sklearn.naive_bayes import GaussianNB
from torch.distributions import Categorical, Independent, MixtureSameFamily, Normal

from lossbook.datasets import gaussian_classes
from lossbook.experiments import two_regimes
from lossbook.experiments.two_regimes import (
    SCALES,
    Config,
    best_rule,
    error,
    image_features,
    linear_rule,
    logistic_regression,
    merge,
    moments,
    naive_bayes,
    samples_needed,
)
from lossbook.losses import cross_entropy


@pytest.fixture(scope="module")
def run():
    return two_regimes.run(SCALES["tiny"], progress=False)


@pytest.fixture
def sample(generator):
    features, labels = gaussian_classes(300, 5, 3, generator=generator)
    return features.double()[:290], labels[:290]  # classes of unequal size


def test_naive_bayes_is_the_one_of_scikit_learn_with_its_variances_pooled(sample):
    features, labels = sample
    theirs = GaussianNB(var_smoothing=0).fit(features.numpy(), labels.numpy())
    theirs.var_[:] = theirs.class_prior_ @ theirs.var_ + 1e-9
    weight, bias = naive_bayes(features, labels, 3)
    found = torch.log_softmax(features @ weight.T + bias, 1)
    np.testing.assert_allclose(found, theirs.predict_log_proba(features.numpy()), atol=1e-9)


@pytest.mark.parametrize("cuts", [[1, 2, 3], [100], [50, 51, 200, 289]])
def test_moments_that_stream_in_are_the_moments_of_the_whole(sample, cuts):
    features, labels = sample
    pieces = zip(np.split(features.numpy(), cuts), np.split(labels.numpy(), cuts), strict=True)
    streamed = None
    for x, y in pieces:
        piece = moments(torch.from_numpy(x), torch.from_numpy(y), 3)
        streamed = piece if streamed is None else merge(streamed, piece)
    for found, wanted in zip(linear_rule(streamed), naive_bayes(features, labels, 3), strict=True):
        torch.testing.assert_close(found, wanted, rtol=1e-10, atol=1e-10)


def test_with_two_equally_frequent_classes_the_boundary_runs_through_the_middle_of_the_means(generator):
    features, labels = gaussian_classes(100, 7, 2, generator=generator)
    weight, bias = naive_bayes(features.double(), labels, 2)
    middle = torch.stack([features[labels == k].double().mean(0) for k in (0, 1)]).mean(0)
    scores = weight @ middle + bias
    assert float(scores[0] - scores[1]) == pytest.approx(0, abs=1e-12)


def test_the_joint_likelihood_splits_into_the_cross_entropy_of_the_posterior_and_the_marginal(sample):
    features, labels = sample
    seen = moments(features, labels, 3)
    prior = Categorical(seen.points / seen.points.sum())
    deviation = (seen.scatter.sum(0) / seen.points.sum() + 1e-9).sqrt().expand(3, -1)
    density = Independent(Normal(seen.mean, deviation), 1)
    joint = -(prior.log_prob(labels) + density.log_prob(features[:, None])[torch.arange(290), labels]).mean()
    marginal = -MixtureSameFamily(prior, density).log_prob(features).mean()
    weight, bias = linear_rule(seen)
    conditional = cross_entropy(features @ weight.T + bias, labels)
    assert float(joint) == pytest.approx(float(conditional + marginal), rel=1e-12)


def test_naive_bayes_does_not_see_the_scale_of_a_feature(sample, generator):
    features, labels = sample
    scale = torch.rand(5, dtype=torch.float64, generator=generator) + 0.1
    plain, scaled = naive_bayes(features, labels, 3), naive_bayes(features * scale, labels, 3)
    scores = [x @ weight.T + bias for x, (weight, bias) in ((features, plain), (features * scale, scaled))]
    torch.testing.assert_close(scores[0], scores[1], rtol=1e-6, atol=1e-6)  # the floor of 1e-9 is scaled too


def test_a_class_without_points_is_refused():
    with pytest.raises(ValueError, match=r"^seen: got no point of class 1, expected at least one of each$"):
        naive_bayes(torch.ones(2, 3), torch.tensor([0, 2]), 3)


@pytest.mark.parametrize("classes", [2, 3])
def test_logistic_regression_rests_where_the_penalised_cross_entropy_does(generator, classes):
    features, labels = gaussian_classes(60, 4, classes, generator=generator)
    features = features.double()
    weight, bias = (part.requires_grad_() for part in logistic_regression(features, labels, classes))
    # With two classes one vector w stands for two, −w/2 and w/2: ‖w‖²/2 is twice the ‖·‖²/2 of both.
    penalty = weight.square().sum() / (1 if classes == 2 else 2)
    objective = cross_entropy(features @ weight.T + bias, labels, reduction="sum") + penalty
    for gradient in torch.autograd.grad(objective, (weight, bias)):
        assert float(gradient.abs().max()) < 0.01  # lbfgs stops at 1e-4 of the mean over 60 points


def test_the_best_rule_has_the_error_that_gaussian_tails_give(generator):
    features, labels = gaussian_classes(200_000, 6, 2, generator=generator)
    half_distance = math.sqrt((6 / 2 / 6 + 6 / 2) * 2**2) / 2
    wanted = math.erfc(half_distance / math.sqrt(2)) / 2
    spread = math.sqrt(wanted / 200_000)
    assert error(best_rule(6, 2), features, labels) == pytest.approx(wanted, abs=4 * spread)


def test_naive_bayes_needs_fewer_samples_and_no_more_of_them_when_the_dimension_grows(run):
    needed = samples_needed(run).set_index(["method", "dimension"])["samples"]
    assert needed["naive Bayes", 40] < needed["logistic regression", 40]
    assert needed["logistic regression", 40] > needed["logistic regression", 10]
    assert needed["naive Bayes", 40] <= 2 * needed["naive Bayes", 10]


def test_both_learn_from_more_labels_and_logistic_regression_wins_in_the_end(run):
    rows = run.history[run.history["part"] == "fashion_mnist"]
    found = rows.set_index(["method", "step"])["error"]
    for method in ("naive Bayes", "logistic regression"):
        assert found[method, 30] < found[method, 3]
    assert found["logistic regression", 30] < found["naive Bayes", 30]


def test_the_history_is_tidy(run):
    assert not run.history.duplicated(["setting", "seed", "step"]).any()
    assert run.history["error"].between(0, 1).all()


def test_where_the_error_stays_too_high_no_number_of_samples_is_reported():
    config = Config(dimensions=(4,), classes=(3,), most_samples=12, excess=0.0, features=(), seeds=1)
    assert samples_needed(two_regimes.run(config, progress=False))["samples"].isna().all()


def test_whitened_features_have_one_scale_and_plain_ones_are_the_same_directions():
    whitened, plain = image_features("whitened 8", 0), image_features("plain 8", 0)
    # Learnt from other images: one in every direction up to sampling error over 3,000 and 7,000 images.
    torch.testing.assert_close(whitened.train_features.std(0), torch.ones(8).double(), rtol=0, atol=0.1)
    spread = plain.train_features.std(0) / whitened.train_features.std(0)
    torch.testing.assert_close(plain.train_features, whitened.train_features * spread, rtol=1e-4, atol=1e-4)
    assert bool((spread[:-1] > spread[1:]).all())


def test_features_of_a_network_separate_classes_better_than_as_many_components():
    found = {}
    for name in ("network 16", "whitened 16"):
        data = image_features(name, 0)
        rule = logistic_regression(data.train_features[:500], data.train_labels[:500], 10)
        found[name] = error(rule, data.test_features, data.test_labels)
    assert found["network 16"] < found["whitened 16"] - 0.02


@pytest.mark.parametrize("name", ["white 50", "whitened", "whitened 0", "plain 785", "plain x"])
def test_unknown_features_are_refused(name):
    with pytest.raises(
        ValueError, match=f"^features: got {name!r}, expected one of 'whitened', 'plain', 'network' and"
    ):
        image_features(name, 0)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"growth": 1.0}, "growth: got 1.0, expected a finite number > 1"),
        ({"labels_per_class": (3, 5000)}, "labels_per_class: got 5000, expected 1 to "),
    ],
)
def test_a_config_that_cannot_be_run_is_refused(options, expected):
    with pytest.raises(ValueError, match=f"^{expected}"):
        two_regimes.run(Config(dimensions=(), features=("plain 5",), seeds=1, **options), progress=False)
