"""Fields of a frozen config from words and from values: what `lossbook run --set` and `lossbook sweep --grid` read."""

import dataclasses
from collections.abc import Collection, Iterable
from typing import Any

from lossbook.checks import bad_type, bad_value


def changed(config: Any, assignments: Iterable[str], option: str = "--set") -> dict[str, Any]:
    """What words of the form KEY=VALUE say, each value read as the type that the config's own has.

    Args:
        config: a dataclass instance.
        assignments: the words; the values of a tuple stand between commas.
        option: where the words came from, for the message.

    Raises:
        ValueError: no such field, no "=", or a value of another type.

    Example:
        >>> from lossbook.experiments.surrogates import Config
        >>> changed(Config(), ["steps=40", "gross_errors=0, 0.1"])
        {'steps': 40, 'gross_errors': (0.0, 0.1)}
    """
    found = {}
    for assignment in assignments:
        key, text = _split(config, assignment, option, "KEY=VALUE")
        found[key] = _read(getattr(config, key), f"{option} {key}", text)
    return found


def grid_of(config: Any, assignments: Iterable[str], option: str = "--grid") -> dict[str, tuple[Any, ...]]:
    """What words of the form KEY=A,B,C say: the values to try of each field.

    Semicolons instead of commas go between values that hold commas themselves, as those of a tuple may.

    Raises:
        ValueError: no such field, no value, a field named twice, or a value of another type.

    Example:
        >>> from lossbook.experiments.surrogates import Config
        >>> grid_of(Config(), ["step_size=0.1,1", "gross_errors=0,0.1;0.2"])
        {'step_size': (0.1, 1.0), 'gross_errors': ((0.0, 0.1), (0.2,))}
    """
    found: dict[str, tuple[Any, ...]] = {}
    for assignment in assignments:
        key, text = _split(config, assignment, option, "KEY=A,B,C")
        where = f"{option} {key}"
        if key in found:
            raise ValueError(f"{where}: got it twice, expected all values in one, KEY=A,B,C")
        parts = text.split(";" if ";" in text else ",")
        if not all(part.strip() for part in parts):
            raise bad_value(where, text, "values between commas")
        found[key] = tuple(_read(getattr(config, key), where, part.strip()) for part in parts)
    return found


def like(current: Any, argument: str, value: Any) -> Any:
    """A value where it has the type of the config's own, an integer as a float and a list as a tuple where need be.

    Args:
        current: what the config has; None takes every value.
        argument: its name, for the message.
        value: what it shall have.

    Raises:
        TypeError: it has another type.

    Example:
        >>> like(0.1, "step_size", 1), like((0.0,), "gross_errors", [0, 0.1]), like((0.0,), "gross_errors", 0)
        (1.0, (0.0, 0.1), (0.0,))
    """
    if isinstance(current, tuple):
        values = value if isinstance(value, tuple | list) else [value]
        return tuple(like(current[0] if current else None, argument, each) for each in values)
    if current is None:
        return value
    if isinstance(current, float) and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if type(value) is not type(current):
        raise bad_type(argument, value, f"a value like {current!r}")
    return value


def check_field(option: str, key: Any, config: Any, without: Collection[str] = ()) -> None:
    """Refuse what is not the name of a field."""
    names = [field.name for field in dataclasses.fields(config) if field.name not in without]
    if key not in names:
        raise bad_value(option, key, f"one of {', '.join(names)}")


def _split(config: Any, assignment: str, option: str, form: str) -> tuple[str, str]:
    key, equals, text = assignment.partition("=")
    if not equals:
        raise bad_value(option, assignment, form)
    check_field(option, key, config)
    return key, text


def _read(current: Any, where: str, text: str) -> Any:
    if isinstance(current, tuple):
        return tuple(_read(current[0] if current else "", where, part.strip()) for part in text.split(","))
    if isinstance(current, str) or current is None:
        return text
    try:
        if isinstance(current, bool):
            return {"true": True, "false": False}[text.lower()]
        return type(current)(text)
    except (KeyError, ValueError, TypeError):
        raise bad_value(where, text, f"a value like {current!r}") from None
