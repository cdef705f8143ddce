"""The page of the experiments: what each shows, its three scales, and the chapters that run it."""

import ast
import dataclasses
import inspect
from collections.abc import Iterator, Mapping, Sequence
from types import ModuleType
from typing import Any

from lossbook.book.chapter import Chapter
from lossbook.book.docstrings import link_from
from lossbook.book.restructured import inline
from lossbook.experiments import EXPERIMENTS

OPENING = """\
The experiments
===============

What the chapters claim of training, they show by one of these. Each is a frozen config and a function, with three
scales: *tiny* takes seconds, *small* a minute, *paper* is as published. ``lossbook run NAME --scale small`` runs one,
``lossbook sweep`` many; every name leads to its config and its functions.

"""


def page(chapters: Sequence[Chapter]) -> str:
    """The page in reStructuredText."""
    return OPENING + table(EXPERIMENTS, "api/experiments/", chapters) + "\n"


def table(experiments: Mapping[str, ModuleType], base: str, chapters: Sequence[Chapter] = ()) -> str:
    """A definition list: an experiment's name, what it shows, and with chapters its scales and where it is run.

    Args:
        experiments: name -> module.
        base: what to put before the names for their pages.
        chapters: executed; none leaves out scales and chapters.
    """
    used = {chapter.stem: names_in(chapter) for chapter in chapters}
    items = []
    for name, module in experiments.items():
        lines = [inline(_about(module), link_from(module.__name__))]
        if chapters:
            where = [c for c in chapters if name in used[c.stem]]
            links = ", ".join(f"`{c.number} {c.title} <{c.stem}.html>`__" for c in where)
            lines += [
                *(f"{scale}: {changes}" for scale, changes in scales(module).items()),
                f"Chapter: {links or 'none'}",
            ]
        items.append(f":doc:`{name} <{base}{name}>`\n    " + "\n\n    ".join(lines))
    return "\n".join([".. rst-class:: lossbook-names", "", *items])


def scales(module: ModuleType) -> dict[str, str]:
    """Each scale of an experiment: the fields that differ from the config's defaults, in reStructuredText.

    Example:
        >>> from lossbook.experiments import surrogates
        >>> scales(surrogates)["tiny"]
        '``steps=40``, ``seeds=1``'
    """
    return {name: _changes(config) for name, config in module.SCALES.items()}


def _changes(config: Any) -> str:
    changed = [
        f"``{field.name}={getattr(config, field.name)!r}``"
        for field in dataclasses.fields(config)
        if field.default is dataclasses.MISSING or getattr(config, field.name) != field.default
    ]
    return ", ".join(changed) or "the defaults of its config"


def title(name: str) -> str:
    """A heading for an experiment.

    Example:
        >>> title("two_regimes")
        'Experiment: two regimes'
    """
    return f"Experiment: {name.replace('_', ' ')}"


def names_in(chapter: Chapter) -> set[str]:
    """The experiments that a chapter imports, or loads a recorded run of."""
    return {name for cell in chapter.notebook.cells if cell.cell_type == "code" for name in _used(cell.source)}


def _used(source: str) -> Iterator[str]:
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and node.module == "lossbook.experiments":
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("lossbook.experiments."):
            yield (node.module or "").rpartition(".")[2]


def _about(module: ModuleType) -> str:
    return inspect.cleandoc(module.__doc__ or "").partition("\n\n")[0].replace("\n", " ")
