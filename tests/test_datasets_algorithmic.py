"""Tasks with a rule: every pair is there once, the labels follow the rule, and the generator decides the rest."""

import pytest
import torch

from lossbook.datasets import modular_addition, sparse_parity


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def test_every_pair_is_in_exactly_one_part_with_its_sum_as_class():
    data = modular_addition(7, fraction=0.4, encoding="indices", generator=seeded())
    pairs = torch.cat([data.train_features, data.test_features])
    labels = torch.cat([data.train_labels, data.test_labels])
    assert sorted(map(tuple, pairs.tolist())) == [(a, b) for a in range(7) for b in range(7)]
    assert labels.tolist() == [(a + b) % 7 for a, b in pairs.tolist()]
    assert (len(data.train_labels), data.classes) == (19, 7)  # 0.4 · 49 = 19.6


def test_the_published_split_has_5107_pairs():
    data = modular_addition(generator=seeded())
    assert tuple(data.train_features.shape) == (5107, 226)
    assert len(data.test_labels) == 113**2 - 5107


def test_one_hot_and_indices_are_the_same_pairs():
    one_hot, indices = (modular_addition(5, encoding=kind, generator=seeded()) for kind in ("one-hot", "indices"))
    found = torch.stack([one_hot.train_features[:, :5].argmax(1), one_hot.train_features[:, 5:].argmax(1)], 1)
    assert (one_hot.train_features.sum(1) == 2).all()
    assert torch.equal(found, indices.train_features)


def test_the_class_is_the_parity_of_the_relevant_bits_and_the_noise_says_nothing():
    data = sparse_parity(relevant=2, noise=3, train=4000, test=10, generator=seeded())
    x, y = data.train_features, data.train_labels
    assert [(int(row[0]) ^ int(row[1])) for row in x[:50]] == y[:50].tolist()
    # Over 4,000 fair coins a correlation has standard deviation 0.016; no bit alone tells the class.
    signs, classes = 2 * x[:, :5] - 1, 2 * y - 1
    assert float((signs * classes[:, None]).mean(0).abs().max()) < 0.08
    assert (x[:, 5] == 1).all()
    assert sparse_parity(noise=3, constant=False, generator=seeded()).train_features.shape[1] == 6


@pytest.mark.parametrize("make", [lambda g: modular_addition(11, generator=g), lambda g: sparse_parity(generator=g)])
def test_the_generator_decides_everything(make):
    one, again, other = make(seeded(1)), make(seeded(1)), make(seeded(2))
    assert torch.equal(one.train_features, again.train_features)
    assert torch.equal(one.test_labels, again.test_labels)
    assert not torch.equal(one.train_features, other.train_features)


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: modular_addition(1, generator=seeded()), ValueError, "modulus: got 1, expected an integer >= 2"),
        (lambda: modular_addition(5, fraction=1.0, generator=seeded()), ValueError, "fraction: got 1.0"),
        (lambda: modular_addition(2, fraction=0.1, generator=seeded()), ValueError, "at least one of the 4 pairs"),
        (lambda: modular_addition(5, encoding="words", generator=seeded()), ValueError, "encoding: got 'words'"),
        (lambda: modular_addition(5, generator=0), TypeError, "generator: got 0"),
        (lambda: sparse_parity(relevant=0, generator=seeded()), ValueError, "relevant: got 0"),
        (lambda: sparse_parity(noise=-1, generator=seeded()), ValueError, "noise: got -1"),
        (lambda: sparse_parity(train=1.5, generator=seeded()), TypeError, "train: got 1.5"),
        (lambda: sparse_parity(generator=None), TypeError, "generator: got None"),
    ],
)
def test_bad_input_is_named(call, error, words):
    with pytest.raises(error, match=words):
        call()
