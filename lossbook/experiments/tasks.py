"""What a sweep is made of: a task for each point of a grid and each seed, planned before anything runs."""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from itertools import product
from typing import Any
from urllib.parse import quote

import numpy as np

from lossbook.checks import bad_type, bad_value, check_choice, check_count
from lossbook.experiments.configs import check_field, like

DEALT = ("seeds", "first_seed")
LONGEST = 100  # characters of a folder's name


@dataclass(frozen=True)
class Task:
    """One run: a point of the grid, and a seed where the config deals in seeds. `changes` are to the scale's config."""

    point: Mapping[str, Any]
    seed: int | None
    changes: Mapping[str, Any]
    config: Any

    @property
    def name(self) -> str:
        """The point and the seed in words: "step_size=0.1 seed=3"."""
        about = dict(self.point) | ({} if self.seed is None else {"seed": self.seed})
        return " ".join(f"{key}={in_words(value)}" for key, value in about.items())

    @property
    def folder(self) -> str:
        """Where it is kept inside the sweep's folder: its name, shortened where that is too long."""
        name = quote(self.name, safe=" ,=+")
        return "tasks/" + (
            name if len(name) <= LONGEST else f"{name[:LONGEST]}~{sha256(name.encode()).hexdigest()[:12]}"
        )


@dataclass(frozen=True)
class Plan:
    """A sweep before it runs. `changes` are to the config of the scale, the same for all tasks."""

    experiment: str
    scale: str
    changes: Mapping[str, Any]
    grid: Mapping[str, Sequence[Any]]
    tasks: tuple[Task, ...]


def plan(
    name: str,
    grid: Mapping[str, Sequence[Any]],
    *,
    scale: str = "small",
    changes: Mapping[str, Any] | None = None,
    seeds: int | None = None,
) -> Plan:
    """The tasks of a sweep: the points of the grid in order, the last field fastest, and at each point the seeds.

    Raises:
        ValueError, TypeError: as `sweep`.
    """
    from lossbook.experiments import EXPERIMENTS

    check_choice("name", name, EXPERIMENTS)
    check_choice("scale", scale, EXPERIMENTS[name].SCALES)
    start = EXPERIMENTS[name].SCALES[scale]
    with_seeds = all(hasattr(start, field) for field in DEALT)
    for field in changes or {}:
        check_field("changes", field, start)
    changes = {field: like(getattr(start, field), field, value) for field, value in (changes or {}).items()}
    points = _points(start, grid, changes)
    start = dataclasses.replace(start, **changes)
    if seeds is not None:
        check_count("seeds", seeds)
        if not with_seeds:
            raise bad_value("seeds", seeds, f"none: the config of {name} has no seeds to deal out")
    elif not grid and not with_seeds:
        raise bad_value("grid", dict(grid), "at least one field to vary")
    count = seeds if seeds is not None else getattr(start, "seeds", 1)
    tasks = []
    for point in points:
        for k in range(count) if with_seeds else (None,):
            seed = None if k is None else start.first_seed + k
            own = {**changes, **point} | ({} if seed is None else {"seeds": 1, "first_seed": seed})
            tasks.append(Task(point, seed, own, dataclasses.replace(start, **own)))
    fixed = {field: value for field, value in changes.items() if field not in DEALT}
    return Plan(name, scale, fixed, {field: tuple(p[field] for p in points) for field in grid}, tuple(tasks))


def in_words(value: Any) -> str:
    """A value as it stands in names and tables: those of a tuple between commas."""
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)


def _points(start: Any, grid: Mapping[str, Sequence[Any]], changes: Mapping[str, Any]) -> list[dict[str, Any]]:
    values: dict[str, list[Any]] = {}
    for field, tries in grid.items():
        where = f"grid {field}"
        check_field("grid", field, start, without=DEALT)
        if field in changes:
            raise bad_value("grid", field, "a field that is not set to one value too")
        if isinstance(tries, str) or not isinstance(tries, Iterable):
            raise bad_type(where, tries, "a list of values")
        plain = tries.tolist() if isinstance(tries, np.ndarray) else tries
        values[field] = [like(getattr(start, field), where, value) for value in plain]
        if not values[field]:
            raise bad_value(where, tries, "at least one value")
        for value in values[field]:
            if values[field].count(value) > 1:
                raise bad_value(where, value, "each value once")
    return [dict(zip(values, point, strict=True)) for point in product(*values.values())]
