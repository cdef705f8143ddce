"""What every command shares: how it is added to the parser, and what it says to a request that cannot be met."""

import argparse
from collections.abc import Callable, Collection


class UsageError(Exception):
    """A request that cannot be met as it was put. `main` prints it and returns 2."""


Adder = Callable[[str, Callable[[argparse.Namespace], int], str], argparse.ArgumentParser]
"""Adds a command to the parser: its name, what runs it, what it is for."""


def check_among(argument: str, value: str, choices: Collection[str]) -> None:
    """Refuse a value that is not among the choices."""
    if value not in choices:
        raise UsageError(
            f"{argument}: got {value!r}, expected one of {', '.join(choices) or 'none: there are none yet'}"
        )
