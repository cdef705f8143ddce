"""Which examples a step sees: shuffled mini-batches whose place and order can be kept and taken up again."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from lossbook.checks import bad_type, bad_value, check_count, check_generator


class Shuffled:
    """Indices of the examples of the next step: each example once an epoch, in a new order each epoch.

    Args:
        count: examples there are.
        size: examples a step; the last batch of an epoch holds what is left.
        generator: source of the orders. Several of them give an order each, one row a generator: for networks that
            train side by side, every one on its own batches.

    Raises:
        TypeError, ValueError: naming the argument, what it got and what was expected.

    Example:
        >>> batches = Shuffled(5, 2, torch.Generator().manual_seed(0))
        >>> [len(batches()) for _ in range(4)]
        [2, 2, 1, 2]
        >>> state = batches.state_dict()
        >>> following = batches()
        >>> batches.load_state_dict(state)
        >>> bool((batches() == following).all())
        True
    """

    def __init__(self, count: int, size: int, generator: torch.Generator | Sequence[torch.Generator]):
        check_count("count", count)
        check_count("size", size)
        self._alone = isinstance(generator, torch.Generator)
        self._generators = [generator] if isinstance(generator, torch.Generator) else generator
        if not isinstance(self._generators, list | tuple):
            raise bad_type("generator", generator, "a torch.Generator, or several")
        if not self._generators:
            raise bad_value("generator", generator, "at least one torch.Generator")
        for each in self._generators:
            check_generator(each)
        self._count, self._size = count, size
        self._place = count
        self._orders = torch.empty(len(self._generators), 0, dtype=torch.long)

    def __call__(self) -> Tensor:
        """The next batch: (size,), or (generators, size)."""
        if self._place >= self._count:
            orders = [torch.randperm(self._count, generator=each, device=each.device) for each in self._generators]
            self._orders, self._place = torch.stack(orders), 0
        chosen = self._orders[:, self._place : self._place + self._size]
        self._place += self._size
        return chosen[0] if self._alone else chosen

    def state_dict(self) -> dict[str, Any]:
        """Where it stands; the next batches follow from this alone."""
        states = [each.get_state() for each in self._generators]
        return {"count": self._count, "place": self._place, "orders": self._orders.clone(), "generators": states}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go back to where `state_dict` was taken.

        Raises:
            ValueError: a state of other examples or another number of generators.
        """
        here = (self._count, len(self._generators))
        there = (state["count"], len(state["generators"]))
        if there != here:
            raise bad_value("state", there, f"the state of {here[0]} examples and {here[1]} generators")
        self._place = state["place"]
        self._orders = state["orders"].to(self._generators[0].device)
        for each, kept in zip(self._generators, state["generators"], strict=True):
            each.set_state(kept)
