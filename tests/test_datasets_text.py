"""Text as a classification of the next word."""

import math
import re
from itertools import pairwise

import pytest
import torch

from lossbook import datasets
from lossbook.datasets import austen_words, next_word, zipf_text


@pytest.fixture(scope="module")
def novels():
    return austen_words(context=2)


def test_the_words_are_the_text_without_its_white_space():
    data = austen_words(context=1)
    first = [data.class_names[k] for k in data.train_features[:8000, 0]]
    text = re.sub(r"\s", "", datasets.austen())
    assert text.startswith("".join(first))
    assert sorted(set("".join(data.class_names))) == sorted(set(text))


def test_the_novels_have_857_257_words_of_16_196_kinds_in_dictionary_order(novels):
    assert len(novels.train_labels) + len(novels.test_labels) == 857_257 - 2
    assert novels.classes == len(set(novels.class_names)) == 16_196
    assert list(novels.class_names) == sorted(novels.class_names)
    assert {"Emma", "emma", "don't", "drawing-room", "--", ",", "1814"} & set(novels.class_names) == {
        "Emma",
        "don't",
        "drawing-room",
        "--",
        ",",
        "1814",
    }


def test_every_word_of_the_vocabulary_occurs_and_a_third_of_them_once(novels):
    labels = torch.cat([novels.train_features[0], novels.train_labels, novels.test_labels])
    counts = labels.bincount(minlength=novels.classes)
    assert counts.min() == 1
    assert 0.3 < (counts == 1).double().mean() < 0.4


def test_a_tenth_of_every_ten_thousand_words_is_held_out(novels):
    assert len(novels.test_labels) == 85 * 1000  # the last block, of 7,257 words, has none
    half = next_word("n", torch.arange(30_000), tuple(map(str, range(30_000))), context=1, test_fraction=0.5)
    assert half.test_labels.tolist() == [*range(5000, 10_000), *range(15_000, 20_000), *range(25_000, 30_000)]


def test_the_features_are_the_words_just_before(generator):
    tokens = torch.randint(50, (300,), generator=generator)
    data = next_word("random", tokens, tuple(map(str, range(50))), context=3, test_fraction=0.1)
    for part, first in ((data.train_features, 3), (data.test_features, 270)):
        for i, row in enumerate(part.tolist()):
            assert row == tokens[first + i - 3 : first + i].tolist()
    assert torch.equal(torch.cat([data.train_labels, data.test_labels]), tokens[3:])


def test_without_habits_the_frequencies_are_zipf_s(generator):
    tokens, words = 100_000, 200
    counts = zipf_text(tokens, words, habit=0.0, generator=generator).bincount(minlength=words)
    wanted = 1 / torch.arange(1.0, words + 1).double()
    wanted = tokens * wanted / wanted.sum()
    assert ((counts - wanted).abs() < 5 * wanted.sqrt()).all()  # five standard errors of a count


def test_with_one_habit_and_nothing_else_each_word_has_one_follower(generator):
    text = zipf_text(2000, 100, habits=1, habit=1.0, generator=generator).tolist()
    follower = {}
    for word, after in pairwise(text):
        assert follower.setdefault(word, after) == after


def test_habits_make_the_next_word_easier_to_guess(generator):
    def surprise(habit):
        text = zipf_text(50_000, 50, habits=3, habit=habit, generator=generator)
        pairs = torch.zeros(50, 50).index_put_((text[:-1], text[1:]), torch.ones(49_999), accumulate=True) + 1e-9
        return float(-(pairs / pairs.sum() * (pairs / pairs.sum(1, keepdim=True)).log()).sum())

    assert surprise(0.9) < surprise(0.5) - 0.3 < surprise(0.0) - 0.6


def test_zipf_text_is_set_by_its_generator_and_leaves_torch_s_own_alone():
    before = torch.get_rng_state()
    first, again, other = (zipf_text(500, 40, generator=torch.Generator().manual_seed(seed)) for seed in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert torch.equal(torch.get_rng_state(), before)


G = torch.Generator()


@pytest.mark.parametrize(
    ("function", "arguments", "error", "message"),
    [
        (austen_words, {"context": 0}, ValueError, "context: got 0, expected an integer >= 1"),
        (austen_words, {"test_fraction": 1.0}, ValueError, "test_fraction: got 1.0"),
        (next_word, {"name": "n", "tokens": torch.ones(2, 2), "words": ()}, ValueError, "tokens: got a float32 tensor"),
        (next_word, {"name": "n", "tokens": torch.arange(3), "words": (), "context": 3}, ValueError, "more than 3 ind"),
        (zipf_text, {"tokens": 0, "words": 5, "generator": G}, ValueError, "tokens: got 0"),
        (zipf_text, {"tokens": 5, "words": 1, "generator": G}, ValueError, "words: got 1"),
        (zipf_text, {"tokens": 5, "words": 5, "habits": 0, "generator": G}, ValueError, "habits: got 0"),
        (zipf_text, {"tokens": 5, "words": 5, "habit": 1.5, "generator": G}, ValueError, "habit: got 1.5"),
        (zipf_text, {"tokens": 5, "words": 5, "exponent": math.nan, "generator": G}, ValueError, "exponent: got nan"),
        (zipf_text, {"tokens": 5, "words": 5, "generator": 0}, TypeError, "generator: got 0"),
    ],
)
def test_bad_input_is_named(function, arguments, error, message):
    with pytest.raises(error, match=message):
        function(**arguments)
