"""Long tails and composites: as imbalanced as asked, made of what they say, and the same where only labels differ."""

import itertools

import pytest
import torch

from lossbook.datasets import diabetes, digit_composites, digits, fashion_mnist, long_tailed


@pytest.fixture(scope="module")
def garments():
    return fashion_mnist()


def test_the_classes_thin_out_by_the_same_factor_and_the_first_has_the_ratio_of_the_last(garments, generator):
    counts = long_tailed(garments, ratio=100, generator=generator).train_labels.bincount()
    assert int(counts[0]) == 1000
    wanted = 1000 * 100.0 ** (-torch.arange(10) / 9)
    assert bool(((counts - wanted).abs() <= 0.5).all())


def test_what_is_kept_was_there_once_and_the_test_part_stays(garments, generator):
    found = long_tailed(garments, ratio=20, generator=generator)
    rows = torch.cat([found.train_features, found.train_labels[:, None].float()], 1)
    there = torch.cat([garments.train_features, garments.train_labels[:, None].float()], 1)
    both, times = torch.cat([there.unique(dim=0), rows.unique(dim=0)]).unique(dim=0, return_counts=True)
    assert len(both) == len(there.unique(dim=0))
    assert int((times == 2).sum()) == len(rows.unique(dim=0))
    assert torch.equal(found.test_features, garments.test_features)


def test_a_shuffle_draws_which_classes_are_rare_and_keeps_the_sizes(garments):
    orders = []
    for seed in range(3):
        generator = torch.Generator().manual_seed(seed)
        counts = long_tailed(garments, ratio=50, shuffle=True, generator=generator).train_labels.bincount()
        assert counts.sort(descending=True).values.tolist()[::9] == [1000, 20]
        orders.append(tuple(counts.argsort().tolist()))
    assert len(set(orders)) == 3


def test_a_ratio_of_one_keeps_as_many_of_each_class(generator):
    counts = long_tailed(digits(), ratio=1, generator=generator).train_labels.bincount()
    assert counts.unique().tolist() == [int(digits().train_labels.bincount().min())]


def test_every_corner_of_a_picture_is_a_digit_that_it_names_or_empty(generator):
    data = digit_composites(60, 20, noise=0.0, generator=generator)
    real = digits()
    known = {tuple(row.tolist()): int(label) for row, label in zip(real.train_features, real.train_labels, strict=True)}
    for picture, labels in zip(data.train_features.reshape(-1, 16, 16), data.complete_labels, strict=True):
        corners = [picture[i : i + 8, j : j + 8].flatten() for i, j in itertools.product((0, 8), (0, 8))]
        found = [known[tuple(corner.tolist())] for corner in corners if corner.any()]
        assert sorted(found) == labels.nonzero()[:, 0].tolist()
        assert 1 <= len(found) <= 3


def test_training_and_test_pictures_are_of_different_handwriting(generator):
    data = digit_composites(300, 300, noise=0.0, most=1, generator=generator)
    parts = [
        part.reshape(-1, 2, 8, 2, 8).transpose(2, 3).reshape(-1, 64)
        for part in (data.train_features, data.test_features)
    ]
    hands = [{tuple(row.tolist()) for row in part if row.any()} for part in parts]
    assert not hands[0] & hands[1]
    assert min(map(len, hands)) > 30


def test_frequencies_fall_like_the_power_asked_for_where_one_digit_is_drawn(generator):
    data = digit_composites(20_000, 1, most=1, exponent=1.0, generator=generator)
    shares = data.counts.sort(descending=True).values / 20_000
    wanted = 1 / torch.arange(1, 11) / (1 / torch.arange(1, 11)).sum()
    assert bool(((shares - wanted).abs() < 5 * (wanted / 20_000).sqrt()).all())  # five standard errors of a count


def test_missing_labels_leave_the_pictures_and_take_the_share_asked_for():
    parts = [digit_composites(3000, 10, missing=m, generator=torch.Generator().manual_seed(1)) for m in (0.0, 0.4)]
    assert torch.equal(parts[0].train_features, parts[1].train_features)
    assert torch.equal(parts[0].train_labels, parts[1].complete_labels)
    dropped = parts[1].complete_labels - parts[1].train_labels
    assert bool((dropped >= 0).all())
    share = float(dropped.sum() / parts[1].complete_labels.sum())
    assert share == pytest.approx(0.4, abs=5 * (0.24 / 6000) ** 0.5)  # five standard errors, 6,000 positives
    assert torch.equal(parts[0].test_labels, parts[1].test_labels)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda g: long_tailed([1], ratio=2, generator=g), TypeError, "data: got"),
        (lambda g: long_tailed(diabetes(), ratio=2, generator=g), ValueError, "data: got 'diabetes', expected data of"),
        (lambda g: long_tailed(digits(), ratio=0.5, generator=g), ValueError, "ratio: got 0.5"),
        (lambda g: long_tailed(digits(), ratio=1e4, generator=g), ValueError, "ratio: got 10000.0, expected at most"),
        (lambda g: long_tailed(digits(), ratio=2, generator=0), TypeError, "generator: got 0"),
        (lambda g: long_tailed(digits(), ratio=2, shuffle=1, generator=g), TypeError, "shuffle: got 1"),
        (lambda g: digit_composites(0, 1, generator=g), ValueError, "train: got 0"),
        (lambda g: digit_composites(1, 1, most=5, generator=g), ValueError, "most: got 5, expected at most 4"),
        (lambda g: digit_composites(1, 1, exponent=-1, generator=g), ValueError, "exponent: got -1"),
        (lambda g: digit_composites(1, 1, missing=1.0, generator=g), ValueError, "missing: got 1.0"),
        (lambda g: digit_composites(1, 1, noise=-0.1, generator=g), ValueError, "noise: got -0.1"),
        (lambda g: digit_composites(1, 1, generator=None), TypeError, "generator: got None"),
    ],
)
def test_bad_input_is_refused_by_name(call, error, message, generator):
    with pytest.raises(error, match=f"^{message}"):
        call(generator)
