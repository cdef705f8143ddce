"""What an exercise check answers: right, or not yet and why. A wrong answer is not an error: the notebook goes on."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor


@dataclass(frozen=True, repr=False)
class Verdict:
    """The answer to one attempt: whether it is right, and what the learner should read next."""

    passed: bool
    message: str

    def __bool__(self) -> bool:
        return self.passed

    def __repr__(self) -> str:
        return f"✓ Right. {self.message}" if self.passed else f"✗ Not yet. {self.message}"


def right(message: str) -> Verdict:
    """The attempt is right."""
    return Verdict(True, message)


def not_yet(message: str) -> Verdict:
    """The attempt is not right; the message tells why, and where to look."""
    return Verdict(False, message)


class Attempt(Exception):
    """An attempt that gives nothing to judge; its message is for the learner."""


def called(function: Callable[..., Any], *inputs: Any) -> Any:
    """What the learner's function returns for these inputs, or an `Attempt` that says what is wrong."""
    if not callable(function):
        raise Attempt(f"I expected a function and got {type(function).__name__}: pass its name, without calling it.")
    try:
        return function(*inputs)
    except Exception as error:
        said = f": {error}" if str(error) else ""
        raise Attempt(f"Your function stopped with {type(error).__name__}{said}.") from error


def ask(function: Callable[..., Any], *inputs: Any) -> Tensor:
    """What the learner's function gives for these inputs, in float64, or an `Attempt` that says what is wrong."""
    shown = ", ".join(
        f"{value:g}" if isinstance(value, float) else repr(value) for value in inputs if not isinstance(value, Tensor)
    )
    value = called(function, *inputs)
    if value is None or value is ...:
        raise Attempt("Your function returned nothing: replace the `...` and end with `return`.")
    if isinstance(value, Tensor) and (value.is_complex() or value.layout != torch.strided):
        raise Attempt("Your function returned a complex or a sparse tensor; a plain one of real numbers was expected.")
    try:
        found = value.detach().double() if isinstance(value, Tensor) else torch.as_tensor(value, dtype=torch.float64)
    except (TypeError, ValueError, RuntimeError, OverflowError):
        raise Attempt(f"Your function returned {type(value).__name__}; a number or a tensor was expected.") from None
    if not bool(torch.isfinite(found).all()):
        raise Attempt(
            f"Your function returned {found.tolist()}"
            + (f" at {shown}" if shown else "")
            + ": look for a division by zero or a logarithm of 0."
        )
    return found


def judged(check: Callable[..., Verdict]) -> Callable[..., Verdict]:
    """Turn an `Attempt` raised inside a check into its verdict."""

    def wrapper(*arguments: Any) -> Verdict:
        try:
            return check(*arguments)
        except Attempt as attempt:
            return not_yet(str(attempt))

    wrapper.__name__, wrapper.__doc__ = check.__name__, check.__doc__
    return wrapper


def close(found: Tensor, wanted: Tensor | float, tolerance: float = 1e-6) -> bool:
    """Whether two answers agree, shapes included, up to a tolerance relative to the larger of 1 and the answer."""
    wanted = wanted.double() if isinstance(wanted, Tensor) else torch.tensor(wanted, dtype=torch.float64)
    return found.shape == wanted.shape and bool(((found - wanted).abs() <= tolerance * wanted.abs().clamp(min=1)).all())
