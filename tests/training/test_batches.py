"""Shuffled batches: every example once an epoch, orders of their own, and a place that can be kept."""

import pytest
import torch

from lossbook.training import Shuffled


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize(("count", "size"), [(10, 4), (10, 5), (3, 7), (1, 1)])
def test_each_epoch_shows_each_example_once_in_an_order_of_its_own(count, size):
    batches = Shuffled(count, size, seeded())
    in_epoch = -(-count // size)
    epochs = [torch.cat([batches() for _ in range(in_epoch)]) for _ in range(4)]
    assert all(sorted(epoch.tolist()) == list(range(count)) for epoch in epochs)
    assert count == 1 or len({tuple(epoch.tolist()) for epoch in epochs}) > 1


def test_several_generators_give_each_the_order_it_gives_alone():
    together = Shuffled(10, 4, [seeded(1), seeded(2)])
    alone = [Shuffled(10, 4, seeded(seed)) for seed in (1, 2)]
    for _ in range(7):
        assert torch.equal(together(), torch.stack([each() for each in alone]))


@pytest.mark.parametrize("before", range(8))
def test_from_a_state_follow_the_same_batches(before):
    batches = Shuffled(10, 4, [seeded(1), seeded(2)])
    for _ in range(before):
        batches()
    state = batches.state_dict()
    expected = [batches() for _ in range(7)]
    other = Shuffled(10, 4, [seeded(8), seeded(9)])
    other.load_state_dict(state)
    assert all(torch.equal(other(), batch) for batch in expected)


BAD = [
    ((0, 1, seeded()), ValueError, "count: got 0"),
    ((5, 0, seeded()), ValueError, "size: got 0"),
    ((5, 1, 3), TypeError, "generator: got 3"),
    ((5, 1, []), ValueError, r"generator: got \[\]"),
    ((5, 1, [seeded(), 2]), TypeError, "generator: got 2"),
]


@pytest.mark.parametrize(("arguments", "error", "message"), BAD)
def test_bad_input_is_named(arguments, error, message):
    with pytest.raises(error, match=message):
        Shuffled(*arguments)


def test_a_state_of_something_else_is_refused():
    with pytest.raises(ValueError, match=r"state: got .* expected the state of 10 examples and 1 generators"):
        Shuffled(10, 2, seeded()).load_state_dict(Shuffled(9, 2, seeded()).state_dict())
