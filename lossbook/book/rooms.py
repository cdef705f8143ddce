"""The rooms of the package as a reader of the API meets them: which modules are public, and which names of theirs."""

import importlib
import pkgutil
from collections.abc import Iterator
from functools import cache
from types import ModuleType
from typing import Any, NamedTuple

from lossbook.book.declared import declared


class Room(NamedTuple):
    """A page of the API: its file, its title, and the modules whose public names it holds, the first its own.

    A module that ends in ".*" stands for all modules of that package whose names do not begin with an underscore.
    """

    page: str
    title: str
    modules: tuple[str, ...]


ROOMS = (
    Room("losses", "Losses", ("lossbook.losses", "lossbook.losses._top_k")),
    Room("logits", "Logits and row statistics", ("lossbook.logits", "lossbook.teacher_logits", "lossbook.capping")),
    Room("metrics", "Metrics", ("lossbook.metrics",)),
    Room("training", "Training", ("lossbook.training",)),
    Room("landscapes", "Landscapes", ("lossbook.landscapes", "lossbook.landscapes.*")),
    Room("models", "Models", ("lossbook.models",)),
    Room("datasets", "Data sets", ("lossbook.datasets",)),
    Room("experiments", "Experiments", ("lossbook.experiments", "lossbook.experiments.*")),
    Room("comparison", "The honest bench", ("lossbook.comparison",)),
    Room("figures", "Figures", ("lossbook.figures", "lossbook.figures.*")),
    Room("widgets", "Explorers", ("lossbook.widgets", "lossbook.widgets.*")),
    Room("catalog", "Catalogue", ("lossbook.catalog", "lossbook.catalog.papers", "lossbook.catalog.table")),
    Room("kernels", "Engines", ("lossbook.kernels", "lossbook.kernels.softmax", "lossbook.kernels.softmax_compiled")),
    Room("benchmarks", "Benchmarks", ("lossbook.benchmarks",)),
    Room("claims", "Claims, checks and the device", ("lossbook.claims", "lossbook.checks", "lossbook.devices")),
    Room("exercises", "Exercises", ("lossbook.exercises", "lossbook.exercises.*")),
    Room("course", "Courses and grading", ("lossbook.course",)),
    Room("skeletons", "Skeletons", ("lossbook.skeletons",)),
)


def modules(room: Room) -> list[ModuleType]:
    """The modules of a room, in order."""
    return [importlib.import_module(name) for pattern in room.modules for name in _matching(pattern)]


def _matching(pattern: str) -> Iterator[str]:
    package, star, _ = pattern.partition(".*")
    if not star:
        yield package
        return
    for found in pkgutil.iter_modules(importlib.import_module(package).__path__):
        if not found.name.startswith("_"):
            yield f"{package}.{found.name}"


@cache
def module_names() -> frozenset[str]:
    """The names of all public modules."""
    return frozenset(module.__name__ for room in ROOMS for module in modules(room))


def names_of(module: ModuleType) -> list[str]:
    """What a module offers: its `__all__`, or what it defines without an underscore; no modules.

    Example:
        >>> from lossbook.experiments import label_noise
        >>> names_of(label_noise)
        ['Config', 'SCALES', 'run']
    """
    names = getattr(module, "__all__", None) or [name for name in declared(module) if not name.startswith("_")]
    return [name for name in names if not isinstance(getattr(module, name), ModuleType)]


@cache
def public() -> dict[str, Any]:
    """Every public object by the name under which the API shows it: that of the first module that offers it."""
    found: dict[str, Any] = {}
    seen: set[int] = set()
    for room in ROOMS:
        for module in modules(room):
            for name in names_of(module):
                value = getattr(module, name)
                if callable(value) and id(value) in seen:
                    continue
                seen.add(id(value))
                found[f"{module.__name__}.{name}"] = value
    return found


@cache
def _by_identity() -> dict[int, str]:
    return {id(value): name for name, value in reversed(public().items())}


def canonical(name: str) -> str | None:
    """The name under which the API shows what a dotted name imports to; None where it does not.

    Example:
        >>> canonical("lossbook.losses._pairs.info_nce_loss")
        'lossbook.losses.info_nce_loss'
        >>> canonical("lossbook.LinearLogits.materialize")
        'lossbook.logits.LinearLogits.materialize'
    """
    if name in public():
        return name
    parts = name.split(".")
    for i in range(len(parts) - 1, 0, -1):
        try:
            found: Any = importlib.import_module(".".join(parts[:i]))
        except ImportError:
            continue
        for j, part in enumerate(parts[i:], i + 1):
            found = getattr(found, part, None)
            known = None if found is None else _by_identity().get(id(found))
            if known:
                return ".".join([known, *parts[j:]])
        return None
    return None
