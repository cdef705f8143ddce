"""What a chapter asserts: `claim` for a statement, `check_gradient` for a derivative worked out by hand."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lossbook.catalog import Record, find
from lossbook.checks import bad_type, bad_value, check_floating, check_number


class ClaimError(AssertionError):
    """A statement that does not hold. In a notebook it shows its message alone, without a traceback."""

    def _render_traceback_(self) -> list[str]:
        return [f"✗ {self}"]


def claim(
    statement: str,
    value: Any,
    expected: Any = None,
    tolerance: float = 0.0,
    *,
    at_least: float | None = None,
    at_most: float | None = None,
) -> None:
    """Print one line saying that a statement holds and by what number, or raise.

    Args:
        statement: what is claimed, in words.
        value: a condition; or a number, array or tensor to hold against `expected`, `at_least` or `at_most`.
        expected: what every element of the value should be.
        tolerance: the largest deviation from `expected` that still counts, in the value's unit.
        at_least, at_most: bounds that every element of the value should keep.

    Raises:
        ClaimError: the statement does not hold. NaN never holds.
        TypeError: neither a condition nor something to compare with.

    Example:
        >>> claim("two and two are four", 2 + 2, expected=4)
        ✓ two and two are four  (4, expected 4)
        >>> claim("a half is small", 0.5, at_most=0.1)
        Traceback (most recent call last):
        lossbook.claims.ClaimError: a half is small: got 0.5, expected at most 0.1
    """
    if not isinstance(statement, str) or not statement:
        raise bad_type("statement", statement, "words")
    bounds = [
        (name.replace("_", " "), _number(name, bound))
        for name, bound in (("at_least", at_least), ("at_most", at_most))
        if bound is not None
    ]
    tolerance = check_number("tolerance", tolerance, at_least=0)
    found = _tensor("value", value)
    if found.numel() == 0:
        raise bad_value("value", value, "at least one element: an empty claim says nothing")
    if expected is None and not bounds:
        if found.dtype != torch.bool:
            raise bad_type("value", value, "a condition, or a number with expected, at_least or at_most")
        if not found.all():
            raise ClaimError(statement)
        print(f"✓ {statement}")
        return
    found = found.double()
    wanted: list[str] = []
    holds = True
    shown = found.reshape(-1)[0].item() if found.numel() == 1 else None
    if expected is not None:
        target = _tensor("expected", expected).double()
        if target.numel() != 1 and target.shape != found.shape:
            raise bad_value("expected", expected, f"one number, or as many as the value, shape {tuple(found.shape)}")
        deviation = (found - target).abs()
        deviation = torch.where(found == target, 0.0, deviation)  # inf equals inf
        holds = bool((deviation <= tolerance).all())
        each = f"{target.item():.6g}" if target.numel() == 1 else "the values given"
        wanted.append(f"expected {each}" + (f" ± {tolerance:.2g}" if tolerance else ""))
        if shown is None:
            worst = deviation.max().item()
            got = f"largest deviation {worst:.2g}"
    for word, bound in bounds:
        holds = holds and bool((found >= bound if word == "at least" else found <= bound).all())
        wanted.append(f"expected {word} {bound:.6g}")
    if shown is not None:
        got = f"{shown:.6g}"
    elif expected is None:
        got = f"{found.min().item():.6g} to {found.max().item():.6g}"
    if not holds:
        raise ClaimError(f"{statement}: got {got}, {', '.join(wanted)}")
    print(f"✓ {statement}  ({got}, {', '.join(wanted)})")


def _tensor(argument: str, value: Any) -> Tensor:
    """A number, array or tensor as a tensor on the CPU, cut from any graph."""
    try:
        found = value if isinstance(value, Tensor) else torch.from_numpy(np.array(value))  # Python floats stay float64
        return found.detach().cpu()
    except (TypeError, ValueError, RuntimeError):
        raise bad_type(argument, value, "a number, an array or a tensor") from None


def _number(argument: str, value: Any) -> float:
    found = _tensor(argument, value)
    if found.numel() != 1:
        raise bad_value(argument, value, "one number")
    return float(found)


def check_gradient(
    loss: str | Record | Callable[..., Tensor],
    gradient: Callable[..., Any],
    *inputs: Tensor,
    **parameters: Any,
) -> float:
    """Hold a derivative worked out by hand against autograd's, and say how well it fits.

    Args:
        loss: the name of a loss in the catalogue, a record, or a function from the inputs to a loss, whose sum is
            differentiated.
        gradient: the reader's function of the same inputs and parameters, to the gradient by the first input.
        inputs: the first is differentiated by; float64 shows the last digits.
        parameters: passed to both.

    Returns:
        The largest absolute difference.

    Raises:
        ClaimError: the gradient is wrong; says where it is furthest off and what both gave there.
        TypeError, ValueError: naming the argument, what it got and what was expected.

    Example:
        >>> logits, target = torch.tensor([[2.0, 1.0, 0.0]], dtype=torch.float64), torch.tensor([0])
        >>> def mine(logits, target):
        ...     return torch.softmax(logits, -1) - torch.nn.functional.one_hot(target, 3)
        >>> worst = check_gradient("cross_entropy", mine, logits, target)
        cross_entropy: exact: ... | approximate: True | max difference: ...
        >>> worst < 1e-15
        True
    """
    if not inputs or not all(isinstance(tensor, Tensor) for tensor in inputs):
        raise bad_type("inputs", inputs, "tensors, the first of them the one to differentiate by")
    check_floating("inputs", inputs[0])
    if not callable(gradient):
        raise bad_type("gradient", gradient, "a function of the inputs to the derivative by the first")
    name, function = _resolve(loss, parameters)
    first = inputs[0].detach().clone().requires_grad_()
    with torch.enable_grad():
        (wanted,) = torch.autograd.grad(function(first, *inputs[1:]).sum(), first)
    found = gradient(*(tensor.detach() for tensor in inputs), **parameters)
    if found is None:
        raise ClaimError(f"{name}: your function returned None; does it end in `return`?")
    found = _tensor("gradient", found)
    if found.shape != wanted.shape:
        raise ClaimError(
            f"{name}: your gradient has shape {tuple(found.shape)}, the input has {tuple(wanted.shape)}; "
            "a gradient has one number for each number it is taken by"
        )
    difference = (found.to(wanted.dtype) - wanted).abs()
    worst = float(difference.max()) if difference.numel() else 0.0
    exact = bool((found == wanted).all())
    close = torch.allclose(found.to(wanted.dtype), wanted, rtol=1e-5, atol=1e-8)  # so that float32 work passes
    if not close:
        furthest = torch.nan_to_num(difference, nan=math.inf).argmax()
        place = tuple(int(i) for i in torch.unravel_index(furthest, difference.shape))
        mine, theirs = float(found[place]), float(wanted[place])
        raise ClaimError(
            f"{name}: max difference {worst:.2g}; at {list(place)} yours is {mine:.6g}, autograd's {theirs:.6g}. "
            + _hint(found, wanted)
        )
    print(f"{name}: exact: {exact} | approximate: {close} | max difference: {worst:.2g}")
    return worst


def _resolve(
    loss: str | Record | Callable[..., Tensor], parameters: dict[str, Any]
) -> tuple[str, Callable[..., Tensor]]:
    if isinstance(loss, str | Record):
        record = find(loss)
        return record.key, lambda first, *rest: record.value(first, *rest, **parameters)
    if not callable(loss):
        raise bad_type("loss", loss, "the name of a loss, a record or a function")
    return getattr(loss, "__name__", "the function"), lambda *inputs: loss(*inputs, **parameters)


def _hint(found: Tensor, wanted: Tensor) -> str:
    """What the usual slips look like."""
    found = found.to(wanted.dtype)
    if torch.allclose(found, -wanted, rtol=1e-4, atol=1e-7):
        return "It is the negative of the right one: check the sign."
    inside = wanted.abs() > 1e-12
    ratio = (found[inside] / wanted[inside]) if inside.any() else wanted.new_zeros(0)
    if ratio.numel() > 1 and torch.allclose(ratio, ratio[0].expand_as(ratio), rtol=1e-4):
        return (
            f"It is {float(ratio[0]):.4g} times the right one everywhere: "
            "a factor is missing, or the mean was taken over the batch."
        )
    return "Work that one entry out by hand."
