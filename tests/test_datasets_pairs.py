"""Generated pairs and label sets: what belongs together shares what it should and nothing else."""

import math

import pytest
import torch

from lossbook.datasets import means_of_labels, two_views, view_maps


def test_without_noise_both_views_are_linear_in_one_latent_vector(generator):
    maps = view_maps(12, 5, generator=generator, dtype=torch.float64)
    first, second = two_views(7, maps, noise=0.0, generator=generator)
    latent = first @ torch.linalg.pinv(maps.first).T
    torch.testing.assert_close(latent @ maps.second.T, second, rtol=0, atol=1e-10)


def test_noise_has_the_deviation_asked_for_and_is_not_shared(generator):
    maps = view_maps(40, 1, generator=generator, dtype=torch.float64)
    clean = two_views(2000, maps, noise=0.0, generator=torch.Generator().manual_seed(5))
    noisy = two_views(2000, maps, noise=0.7, generator=torch.Generator().manual_seed(5))
    # The latent vectors are drawn first, so the two differ by noise alone: 80,000 draws a view.
    errors = [(b - a).ravel() for a, b in zip(clean, noisy, strict=True)]
    for error in errors:
        assert float(error.std()) == pytest.approx(0.7, abs=5 * 0.7 / math.sqrt(2 * 80_000))
    assert abs(float(torch.corrcoef(torch.stack(errors))[0, 1])) < 5 / math.sqrt(80_000)


def test_a_distraction_is_in_the_first_view_alone(generator):
    maps = view_maps(12, 5, 3, generator=generator, dtype=torch.float64)
    first, second = two_views(50, maps, noise=0.0, distraction=2.0, generator=generator)
    latent = second @ torch.linalg.pinv(maps.second).T
    besides = first - latent @ maps.first.T
    assert float(besides.norm()) > 1
    inside = besides @ torch.linalg.pinv(maps.distraction).T @ maps.distraction.T
    torch.testing.assert_close(inside, besides, rtol=0, atol=1e-10)


def test_alike_pairs_share_their_second_view_to_the_last_bit_and_their_latent_vector(generator):
    maps = view_maps(12, 5, generator=generator)
    first, second = two_views(10, maps, noise=0.0, alike=4, generator=generator)
    for views in (first, second):
        groups = torch.unique(views, dim=0, return_inverse=True)[1]
        assert [bool(groups[i] == groups[j]) for i, j in ((0, 3), (3, 4), (4, 7), (7, 8), (8, 9))] == [
            True, False, True, False, True,
        ]  # fmt: skip


def test_a_query_is_the_mean_of_its_labels(generator):
    labels = torch.randn(9, 4, generator=generator, dtype=torch.float64)
    queries, target = means_of_labels(200, labels, most=5, noise=0.0, generator=generator)
    for query, row in zip(queries, target, strict=True):
        chosen = row[row >= 0].tolist()
        assert 1 <= len(chosen) == len(set(chosen)) <= 5
        assert row.tolist() == chosen + [-100] * (5 - len(chosen))
        torch.testing.assert_close(query, labels[chosen].mean(0), rtol=0, atol=1e-12)


def test_few_labels_are_more_frequent_than_many_as_one_over_their_number(generator):
    _, target = means_of_labels(20_000, torch.eye(6), most=3, generator=generator)
    counted = torch.bincount((target >= 0).sum(1), minlength=4)[1:] / 20_000
    wanted = torch.tensor([6.0, 3.0, 2.0]) / 11
    assert bool(((counted - wanted).abs() < 5 * (wanted * (1 - wanted) / 20_000).sqrt()).all())


def test_the_noise_of_a_query_has_the_length_asked_for(generator):
    queries, target = means_of_labels(3000, torch.zeros(5, 16), most=2, noise=0.5, generator=generator)
    assert float(queries.square().sum(1).mean().sqrt()) == pytest.approx(0.5, rel=0.02)  # 48,000 draws: 0.3 % deviation
    assert target.shape == (3000, 2)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda g: view_maps(0, generator=g), ValueError, "view: got 0, expected an integer >= 1"),
        (lambda g: view_maps(4, 2, -1, generator=g), ValueError, "distractions: got -1, expected an integer >= 0"),
        (lambda g: view_maps(4, 2, generator=3), TypeError, "generator: got 3"),
        (lambda g: two_views(0, view_maps(4, 2, generator=g), generator=g), ValueError, "pairs: got 0"),
        (lambda g: two_views(2, view_maps(4, 2, generator=g), noise=-1, generator=g), ValueError, "noise: got -1"),
        (lambda g: two_views(2, view_maps(4, 2, generator=g), alike=0, generator=g), ValueError, "alike: got 0"),
        (
            lambda g: two_views(2, view_maps(4, 2, generator=g), distraction=math.nan, generator=g),
            ValueError,
            "distraction: got nan",
        ),
        (lambda g: means_of_labels(2, torch.eye(3), most=4, generator=g), ValueError, "most: got 4, expected at most"),
        (lambda g: means_of_labels(2, torch.ones(3), generator=g), ValueError, "labels: got a float32 tensor"),
        (lambda g: means_of_labels(2, [[1.0]], generator=g), TypeError, "labels: got"),
        (lambda g: means_of_labels(2, torch.eye(9), generator=None), TypeError, "generator: got None"),
    ],
)
def test_bad_input_is_refused_by_name(call, error, message, generator):
    with pytest.raises(error, match=f"^{message}"):
        call(generator)
