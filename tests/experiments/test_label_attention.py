"""Planted words: they stand where it is said, and label-wise attention finds them."""

import dataclasses

import pandas as pd
import pytest
import torch

from lossbook.experiments import label_attention
from lossbook.experiments.headlines import verdicts
from lossbook.experiments.label_attention import HEADLINES, KEYS, SCALES, documents
from lossbook.experiments.run import recorded
from lossbook.models import LabelAttention

TINY = SCALES["tiny"]


@pytest.fixture(scope="module")
def tiny():
    return label_attention.run(TINY, progress=False)


@pytest.fixture
def block():
    return LabelAttention(4, 6, 3, generator=torch.Generator().manual_seed(0)).double()


def test_the_same_config_gives_the_same_bits(tiny):
    again = label_attention.run(TINY, progress=False)
    pd.testing.assert_frame_equal(tiny.history, again.history, check_exact=True)


def test_both_losses_start_from_one_reader(tiny):
    start = tiny.history[tiny.history.step == 0]
    assert start.mass.nunique() == start["map"].nunique() == 1


def test_a_key_word_stands_in_a_document_exactly_where_its_label_is_there(generator):
    made = documents(300, TINY, torch.full((TINY.labels,), 0.4), generator=generator)
    for tokens, labels, places in zip(*made, strict=True):
        planted = {int(token) // KEYS for token in tokens if token < KEYS * TINY.labels}
        assert planted == set(labels.nonzero()[:, 0].tolist())
        for label, place in enumerate(places.tolist()):
            assert (place >= 0) == bool(labels[label])
            assert place < 0 or int(tokens[place]) // KEYS == label


def test_label_wise_attention_is_the_loop_of_its_formula(block, generator):
    values = torch.randn(2, 5, 4, dtype=torch.float64, generator=generator)
    first, second = block.first.weight, block.second.weight
    for text, found in zip(values, block(values), strict=True):
        for label in range(3):
            looks = torch.stack([second[label] @ torch.tanh(first @ token) for token in text])
            mean = sum(share * token for share, token in zip(looks.exp() / looks.exp().sum(), text, strict=True))
            wanted = block.score.weight[label] @ mean + block.score.bias[label]
            torch.testing.assert_close(found[label], wanted)


def test_padding_is_not_looked_at(block, generator):
    values = torch.randn(2, 5, 4, dtype=torch.float64, generator=generator)
    padded = torch.tensor([[False] * 5, [False, False, False, True, True]])
    attention = block.attention(values, padded)
    assert bool((attention[1, :, 3:] == 0).all())
    torch.testing.assert_close(block(values, padded)[1], block(values[1:, :3])[0])
    assert bool(block(values, torch.ones(2, 5, dtype=torch.bool)).isfinite().all())


def test_attention_finds_the_planted_words(tiny):
    last = tiny.history[tiny.history.step == tiny.history.step.max()]
    assert (last.mass > 0.5).all()  # looking everywhere gives 1/15


def test_the_recorded_run_is_of_the_small_scale_and_holds_in_every_seed():
    run = recorded("label_attention_small", label_attention.Config)
    assert run.config == SCALES["small"]
    assert verdicts([(headline, run) for headline in HEADLINES]).held.tolist() == [5]


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda block: block(torch.zeros(2, 5)), ValueError, "values: got"),
        (lambda block: block(torch.zeros(2, 5, 3)), ValueError, "values: got"),
        (lambda block: block(torch.zeros(2, 5, 4).long()), TypeError, "values: got"),
        (lambda block: block(torch.zeros(2, 5, 4), torch.zeros(2, 5)), TypeError, "padded: got"),
        (lambda block: block(torch.zeros(2, 5, 4), torch.zeros(2, 4).bool()), ValueError, "padded: got"),
        (lambda block: LabelAttention(0, 1, 1, generator=torch.Generator()), ValueError, "width: got 0"),
        (lambda block: LabelAttention(1, 1, 1, generator=None), TypeError, "generator: got None"),
        (
            lambda block: label_attention.run(dataclasses.replace(TINY, losses=("ASL",)), progress=False),
            ValueError,
            "losses: got 'ASL'",
        ),
    ],
)
def test_bad_input_is_refused_by_name(call, error, message, block):
    with pytest.raises(error, match=f"^{message}"):
        call(block)
