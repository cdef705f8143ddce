"""What every public function says about bad input: the argument, what it got, what was expected.

Nothing here imports the rest of the package: every room may use it.
"""

import math
from collections.abc import Collection, Sequence
from typing import Any

import torch

REDUCTIONS = ("mean", "sum", "none")


def describe(value: Any) -> str:
    """A value in a few words, for an error message.

    >>> describe(torch.zeros(2, 3))
    'a float32 tensor of shape (2, 3)'
    >>> describe("avg")
    "'avg'"
    """
    if isinstance(value, torch.Tensor):
        return _with_article(f"{str(value.dtype).removeprefix('torch.')} tensor of shape {tuple(value.shape)}")
    text = repr(value)
    return text if len(text) <= 60 else _with_article(type(value).__name__)


def _with_article(noun: str) -> str:
    return f"{'an' if noun[0] in 'aeio' else 'a'} {noun}"


def bad_value(argument: str, got: Any, expected: str) -> ValueError:
    """The ValueError that names the argument, what it got and what was expected.

    >>> bad_value("reduction", "avg", "one of 'mean', 'sum', 'none'")
    ValueError("reduction: got 'avg', expected one of 'mean', 'sum', 'none'")
    """
    return ValueError(f"{argument}: got {describe(got)}, expected {expected}")


def bad_type(argument: str, got: Any, expected: str) -> TypeError:
    """The TypeError that names the argument, what it got and what was expected."""
    shown, kind = describe(got), type(got).__name__
    named = isinstance(got, torch.Tensor) or shown.endswith(f" {kind}")
    return TypeError(f"{argument}: got {shown}{'' if named else f' ({kind})'}, expected {expected}")


def check_choice(argument: str, value: Any, choices: Collection[str]) -> None:
    """Refuse a value that is not one of the named choices."""
    if not isinstance(value, str) or value not in choices:
        raise bad_value(argument, value, "one of " + ", ".join(repr(choice) for choice in choices))


def check_reduction(reduction: Any) -> None:
    """Refuse a reduction that is not "mean", "sum" or "none"."""
    check_choice("reduction", reduction, REDUCTIONS)


def check_number(
    argument: str,
    value: Any,
    *,
    above: float = -math.inf,
    at_least: float = -math.inf,
    below: float = math.inf,
    at_most: float = math.inf,
    finite: bool = True,
) -> float:
    """Refuse what is not a real number in range; return it as a float.

    >>> check_number("delta", -1.0, above=0)
    Traceback (most recent call last):
    ValueError: delta: got -1.0, expected a finite number > 0
    """
    bounds = [
        f"{sign} {bound:g}"
        for sign, bound in ((">", above), (">=", at_least), ("<", below), ("<=", at_most))
        if math.isfinite(bound)
    ]
    expected = " ".join(["a finite number" if finite else "a number", " and ".join(bounds)]).strip()
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise bad_type(argument, value, expected)
    try:
        number = float(value)
    except OverflowError:  # an integer beyond the largest float
        raise bad_value(argument, value, expected) from None
    inside = (
        (above == -math.inf or number > above)
        and number >= at_least
        and (below == math.inf or number < below)
        and number <= at_most
        and (math.isfinite(number) or not finite)
    )
    if math.isnan(number) or not inside:
        raise bad_value(argument, value, expected)
    return number


def check_count(argument: str, value: Any, *, least: int = 1) -> None:
    """Refuse what is not a whole number of at least `least`.

    >>> check_count("steps", 0)
    Traceback (most recent call last):
    ValueError: steps: got 0, expected an integer >= 1
    """
    expected = f"an integer >= {least}"
    if isinstance(value, bool) or not isinstance(value, int):
        raise bad_type(argument, value, expected)
    if value < least:
        raise bad_value(argument, value, expected)


def check_generator(generator: Any) -> None:
    """Refuse what is not a torch.Generator."""
    if not isinstance(generator, torch.Generator):
        raise bad_type("generator", generator, "a torch.Generator")


def check_floating(argument: str, value: Any) -> torch.Tensor:
    """Refuse what is not a floating-point tensor."""
    if not isinstance(value, torch.Tensor):
        raise bad_type(argument, value, "a floating-point tensor")
    if not value.is_floating_point():
        raise bad_type(argument, value, "a floating-point tensor")
    return value


def check_constant(argument: str, value: torch.Tensor) -> None:
    """Refuse a tensor that learns where no gradient would reach it: a silent zero would be worse."""
    if value.requires_grad and torch.is_grad_enabled():
        raise ValueError(f"{argument}: got a tensor that requires grad, expected a constant: no gradient reaches it")


def check_same_shape(argument: str, value: torch.Tensor, other_argument: str, other: torch.Tensor) -> None:
    """Refuse a tensor whose shape is not that of another argument."""
    if value.shape != other.shape:
        raise bad_value(argument, value, f"the shape of {other_argument}, {tuple(other.shape)}")


def check_same_device(argument: str, value: torch.Tensor, other_argument: str, other: torch.Tensor) -> None:
    """Refuse a tensor that lives on another device than another argument."""
    if value.device != other.device:
        raise ValueError(
            f"{argument}: got a tensor on {value.device}, expected the device of {other_argument}, {other.device}"
        )


def check_members(argument: str, tensors: Sequence[Any], member_axes: Any) -> None:
    """Refuse what is not at least one floating-point tensor, all with the same leading axes: these count members.

    >>> check_members("weights", [torch.zeros(5, 2), torch.zeros(4)], 1)
    Traceback (most recent call last):
    ValueError: weights: got leading axes (5,) and (4,), expected the same number of members in each
    """
    check_count("member_axes", member_axes, least=0)
    if not tensors:
        raise ValueError(f"{argument}: got none, expected at least one tensor")
    for tensor in tensors:
        if check_floating(argument, tensor).ndim < member_axes:
            raise bad_value(argument, tensor, f"at least {member_axes} axes, which count members")
    lead = [tuple(tensor.shape[:member_axes]) for tensor in tensors]
    for each in lead:
        if each != lead[0]:
            raise ValueError(
                f"{argument}: got leading axes {lead[0]} and {each}, expected the same number of members in each"
            )
