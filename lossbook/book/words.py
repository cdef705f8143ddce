"""What a record claims of its loss, in words. Every claim is held by the tests at many settings of the parameters."""

import itertools
import math
from collections.abc import Callable, Iterator, Mapping
from functools import cache, partial
from typing import Any

from lossbook.catalog import Parameter, Record
from lossbook.figures.html import in_words

ARGUMENT = {
    "logits": "the scores",
    "margin": "the margin",
    "error": "the error",
    "pairs": "the first embeddings",
    "labels": "the score",
    "sets": "the scores",
}
NEARLY = 1e-9  # relative to a step: beside a setting, and not the next one


def claims(record: Record) -> dict[str, str]:
    """What is claimed of a loss: a heading -> words. What is not claimed is not there.

    Example:
        >>> from lossbook.catalog import find
        >>> claims(find("comp_sum_loss"))["convexity"]
        'convex in the scores where tau ≤ 1'
        >>> claims(find("hinge_loss"))["steepness"]
        'Lipschitz constant 1'
    """
    properties = record.properties
    found = {
        "bounds": f"{_lower(record)}, {_limit(record, properties.upper, 'at most', 'no upper bound')}",
        "convexity": _yes_or_no(record, properties.convex, f"convex in {ARGUMENT[record.inputs]}", "not convex"),
        "steepness": _steepness(record),
        "shifts": _yes_or_no(record, properties.shift_invariant, "shift-invariant", "not shift-invariant"),
        "calibration": _yes_or_no(record, properties.calibrated, "classification-calibrated", "not calibrated"),
        "symmetry": _yes_or_no(record, properties.even, "even", "not even"),
        "properness": _yes_or_no(record, properties.proper, "proper", "not proper"),
    }
    return {heading: words for heading, words in found.items() if words}


def _steepness(record: Record) -> str:
    """Of a loss of a whole set the constant would depend on the size of the set: nothing is claimed."""
    lipschitz = record.properties.lipschitz
    return "" if record.inputs == "sets" else _limit(record, lipschitz, "Lipschitz constant", "no Lipschitz constant")


def setting_in_words(parameters: Mapping[str, float]) -> str:
    """Parameters and their values.

    Example:
        >>> setting_in_words({"scale": 10.0, "bias": -10.0})
        'scale = 10, bias = −10'
    """
    return ", ".join(f"{name} = {in_words(value)}" for name, value in parameters.items())


def number(value: float) -> str:
    """A number as a fraction or a simple root where it is one, and as three digits where it is not.

    Example:
        >>> [number(value) for value in (1.0, 16 / 27, math.sqrt(2) / 4, 4.2426, -2.0)]
        ['1', '16/27', '√2/4', '4.24', '−2']
    """
    for root, below in itertools.product((1, 2), range(1, 28)):
        above = value / math.sqrt(root) * below
        if 0 < round(above) <= 30 and math.isclose(above, round(above), rel_tol=1e-12):
            top = {1: str(round(above)), 2: f"{round(above) if round(above) > 1 else ''}√2"}[root]
            return top if below == 1 else f"{top}/{below}"
    return in_words(value)


def steps(parameter: Parameter) -> list[float]:
    """The values at which a slider of the parameter stops."""
    count = round((parameter.high - parameter.low) / parameter.step)
    return [round(parameter.low + k * parameter.step, 10) for k in range(count + 1)]


def where(holds: Callable[..., bool], parameters: tuple[Parameter, ...]) -> str:
    """At which settings something holds: "always", "never", "where tau ≤ 1", or that it is more than one parameter's.

    Args:
        holds: called with the parameters as keywords.
        parameters: the loss's.

    Example:
        >>> from lossbook.catalog import find
        >>> where(lambda tau: tau > 2, find("comp_sum_loss").parameters)
        'where tau > 2'
    """
    defaults = {parameter.name: parameter.default for parameter in parameters}
    sweeps = {
        parameter.name: [
            [holds(**others, **{parameter.name: value}) for value in steps(parameter)]
            for others in _others(parameters, parameter)
        ]
        for parameter in parameters
    }
    everything = {answer for found in sweeps.values() for sweep in found for answer in sweep} or {holds()}
    if len(everything) == 1:
        return "always" if everything.pop() else "never"
    moving = [parameter for parameter in parameters if any(len(set(each)) > 1 for each in sweeps[parameter.name])]
    if len(moving) > 1:
        among = "among them" if holds(**defaults) else "not among them"
        return f"at some settings, the defaults {among}"
    parameter = moving[0]
    return _interval(lambda value: holds(**(defaults | {parameter.name: value})), parameter)


def _all_of(holds: Callable[..., bool], parameters: tuple[Parameter, ...]) -> str:
    """A condition on each of several parameters, "where epsilon ≤ 1 and at gamma = 0"; empty where it is none such."""
    tried = [
        others | {parameter.name: value}
        for parameter in parameters
        for others in _others(parameters, parameter)
        for value in (*steps(parameter), parameter.default)
    ]
    met = [holds(**setting) for setting in tried]
    within = tried[met.index(True)]
    alone = {p.name: {each[p.name]: holds(**(within | {p.name: each[p.name]})) for each in tried} for p in parameters}
    for setting, found in zip(tried, met, strict=True):
        if found != all(alone[name][value] for name, value in setting.items()):
            return ""
    moving = [p for p in parameters if not all(alone[p.name].values())]
    return " and ".join(_interval(partial(_moved, holds, within, p.name), p) for p in moving)


def _moved(holds: Callable[..., bool], setting: dict[str, float], name: str, value: float) -> bool:
    """Whether it holds where one parameter has another value."""
    return holds(**(setting | {name: value}))


def _others(parameters: tuple[Parameter, ...], parameter: Parameter) -> Iterator[dict[str, float]]:
    """The other parameters at their defaults, their least and their largest."""
    others = [other for other in parameters if other is not parameter]
    for values in itertools.product(*((other.default, other.low, other.high) for other in others)):
        yield dict(zip([other.name for other in others], values, strict=True))


def _interval(holds: Callable[[float], bool], parameter: Parameter) -> str:
    values, name, close = steps(parameter), parameter.name, NEARLY * parameter.step
    true = [value for value in values if holds(value)]
    if len(true) == 1 and not holds(true[0] + close) and not holds(true[0] - close):
        return f"at {name} = {in_words(true[0])}"
    if true == values[: len(true)]:
        following = values[len(true)]
        open_end = holds(following - close)
        return f"where {name} {'<' if open_end else '≤'} {in_words(following if open_end else true[-1])}"
    if true == values[-len(true) :]:
        previous = values[-len(true) - 1]
        open_end = holds(previous + close)
        return f"where {name} {'>' if open_end else '≥'} {in_words(previous if open_end else true[0])}"
    return f"at some values of {name}"


@cache
def _where_finite(bound: Callable[..., float], parameters: tuple[Parameter, ...]) -> str:
    return where(lambda **setting: math.isfinite(bound(**setting)), parameters)  # a bound may take long to work out


def _yes_or_no(record: Record, claim: Any, yes: str, no: str) -> str:
    if claim is None:
        return ""
    holds = claim if callable(claim) else lambda **_: claim
    place = where(holds, record.parameters)
    if place not in ("always", "never") and len(record.parameters) > 1:
        place = _all_of(holds, record.parameters) or place
    return {"always": yes, "never": no}.get(place, f"{yes} {place}")


def _lower(record: Record) -> str:
    return _limit(record, record.properties.lower, "at least", "unbounded below")


def _limit(record: Record, bound: Any, some: str, none: str) -> str:
    """A bound in words, with the setting at which it is that where it depends on the parameters."""
    if bound is None or not callable(bound):
        return none if bound is None or math.isinf(bound) else f"{some} {number(bound)}"
    place = _where_finite(bound, record.parameters)
    if place == "never":
        return none
    if place == "at some settings, the defaults not among them":
        return f"{none} at the defaults"
    tried = [record.defaults, *(record.defaults | {p.name: end} for p in record.parameters for end in (p.high, p.low))]
    example = next(setting for setting in tried if math.isfinite(bound(**setting)))
    words = f"{some} {number(bound(**example))} at {setting_in_words(example)}"
    return words if place == "always" else f"{none} except {place} ({words})"
