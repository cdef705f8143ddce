"""The exercises of a chapter, read from its cells."""

import ast
import importlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from nbformat import NotebookNode

from lossbook.checks import bad_value
from lossbook.course.names import statements
from lossbook.exercises.verdict import Verdict


@dataclass(frozen=True)
class Exercise:
    """An exercise of a chapter: what is asked, and what judges it."""

    chapter: str  # two digits
    number: str
    title: str
    function: str  # the name of the function to write
    module: str  # the module of the check
    check: str

    @property
    def key(self) -> str:
        """The exercise in a word, such as `02.1`."""
        return f"{self.chapter}.{self.number}"


@dataclass(frozen=True)
class Cells:
    """Where the cells of an exercise lie in its chapter."""

    prose: int
    skeleton: int
    check: int
    words: int | None  # the solution's prose
    solution: int


def chapter_number(notebook: NotebookNode) -> str:
    """The two digits that the title of a chapter begins with."""
    return _title(notebook)[0]


def chapter_title(notebook: NotebookNode) -> str:
    """The title of a chapter, without its number."""
    return _title(notebook)[1]


def tags(cell: NotebookNode) -> list[str]:
    """The tags of a cell."""
    return cell.metadata.get("tags", [])


def exercises_of(notebook: NotebookNode) -> dict[Exercise, Cells]:
    """The exercises of a chapter, in order, and where their cells lie.

    Args:
        notebook: a chapter of the book, with its solutions.

    Returns:
        The places of the cells of each exercise.

    Raises:
        ValueError: if the cells do not come in the order text, exercise, check, solution.
    """
    chapter, modules = chapter_number(notebook), _check_modules(notebook)
    found: dict[Exercise, Cells] = {}
    skeletons = [place for place, cell in enumerate(notebook.cells) if "exercise" in tags(cell)]
    for skeleton, end in zip(skeletons, [*skeletons[1:], len(notebook.cells)], strict=True):
        rest = range(skeleton + 1, end)
        check, solution = (
            next((at for at in rest if kind in tags(notebook.cells[at])), None) for kind in ("check", "solution")
        )
        prose = notebook.cells[skeleton - 1].source
        heading = re.search(r"^\*\*Exercise (\d+)\.\s*([^*]*)\*\*", prose, flags=re.MULTILINE)
        if check is None or solution is None or heading is None or check > solution:
            raise bad_value("notebook", prose[-80:], "an exercise with its text, a check and a solution, in this order")
        call = ast.parse(notebook.cells[check].source).body[-1]
        match call:
            case ast.Expr(ast.Call(ast.Attribute(ast.Name(alias), name), [ast.Name(function)])) if alias in modules:
                exercise = Exercise(chapter, heading[1], heading[2].rstrip(". "), function, modules[alias], name)
            case _:
                raise bad_value("notebook", notebook.cells[check].source, "exercises.check_name(function) in a check")
        words = next((at for at in range(check + 1, solution) if is_solution_text(notebook.cells[at])), None)
        found[exercise] = Cells(skeleton - 1, skeleton, check, words, solution)
    return found


def is_solution_text(cell: NotebookNode) -> bool:
    """Whether a cell is the prose of a solution."""
    return cell.cell_type == "markdown" and cell.source.startswith("*Solution.*")


def check_of(exercise: Exercise) -> Callable[[Any], Verdict]:
    """The package's own check of an exercise."""
    return getattr(importlib.import_module(exercise.module), exercise.check)


def _check_modules(notebook: NotebookNode) -> dict[str, str]:
    """The modules of checks that the chapter imports, by the names that it gives them."""
    modules: dict[str, str] = {}
    for statement in statements(cell.source for cell in notebook.cells if cell.cell_type == "code"):
        for node in ast.parse(statement.source).body:
            if isinstance(node, ast.ImportFrom) and node.module == "lossbook.exercises":
                modules |= {part.asname or part.name: f"{node.module}.{part.name}" for part in node.names}
    return modules


def _title(notebook: NotebookNode) -> tuple[str, str]:
    first = notebook.cells[0].source if notebook.cells else ""
    found = re.match(r"# (\d\d) (.+)", first)
    if found is None:
        raise bad_value("notebook", first[:60], "a chapter, whose first line is '# NN Title'")
    return found[1], found[2].strip()
