"""Dataset equity: the weight's limits, and that clusters find what labels do not show."""

import pytest
import torch

from lossbook.datasets import digits
from lossbook.training import appearance_likelihood, cluster_likelihood, equity_weights

P = torch.linspace(0, 1, 101, dtype=torch.float64)


def test_the_weights_are_the_worked_ones():
    found = equity_weights(torch.tensor([0.01, 0.1, 0.5, 1.0], dtype=torch.float64))
    assert found.tolist() == pytest.approx([0.9755, 0.7952, 0.5156, 0.5], abs=5e-5)


@pytest.mark.parametrize(("eta", "gamma"), [(1.0, 5.0), (0.3, 2.0), (0.5, 5.0), (0.0, 2.0)])
def test_weights_fall_from_one_to_the_floor(eta, gamma):
    w = equity_weights(P, eta=eta, gamma=gamma)
    assert bool((w.diff() <= 0).all())
    assert float(w[0]) == 1
    assert float(w[-1]) == pytest.approx(eta / (eta + 1))


def test_without_a_floor_it_is_the_focal_factor_and_with_a_high_one_the_plain_loss():
    torch.testing.assert_close(equity_weights(P, eta=0.0, gamma=2.0), (1 - P) ** 2)
    torch.testing.assert_close(equity_weights(P, eta=1e9), torch.ones_like(P), rtol=0, atol=1e-8)
    assert bool((equity_weights(P, gamma=0.0) == 1).all())


def test_a_noise_point_is_a_cluster_of_its_own():
    found = cluster_likelihood(torch.tensor([4, 4, 4, -1, -1, 9, 9, 4]))
    assert found.tolist() == pytest.approx([0.5, 0.5, 0.5, 0.125, 0.125, 0.25, 0.25, 0.5])


def test_relative_to_the_largest_cluster_the_commonest_has_one():
    found = cluster_likelihood(torch.tensor([0, 0, 0, 1, -1]), relative_to="largest")
    assert found.tolist() == pytest.approx([1, 1, 1, 1 / 3, 1 / 3])


def test_the_shares_of_the_clusters_add_up():
    labels = torch.randint(5, (200,), generator=torch.Generator().manual_seed(0))
    p = cluster_likelihood(labels)
    assert float(sum(p[labels == k][0] for k in labels.unique())) == pytest.approx(1)


def test_clusters_find_the_pictures_turned_over_and_see_no_label():
    """8 % of the digits with ink and paper changed over: their likelihood is their share, on five seeds."""
    data = digits()
    for seed in range(5):
        chance = torch.Generator().manual_seed(seed)
        rare = torch.randperm(len(data.train_labels), generator=chance) < 0.08 * len(data.train_labels)
        features = torch.where(rare[:, None], 1 - data.train_features, data.train_features)
        p = appearance_likelihood(features, clusters=4, generator=chance)
        assert float(p[rare].max()) < 0.12
        assert float(p[~rare].mean()) > 0.2


def test_the_same_generator_gives_the_same_clusters_and_no_global_state_is_touched():
    features, before = digits().train_features[:300], torch.get_rng_state()
    once, again = (appearance_likelihood(features, generator=torch.Generator().manual_seed(3)) for _ in range(2))
    assert torch.equal(once, again)
    assert torch.equal(before, torch.get_rng_state())
