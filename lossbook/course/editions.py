"""A chapter in three editions: for students, with exercises alone, and for instructors."""

import hashlib
import re
import sys
from collections import Counter
from collections.abc import Iterable

import nbformat
from nbformat import NotebookNode

from lossbook.course.exercise import (
    Cells,
    Exercise,
    chapter_number,
    chapter_title,
    exercises_of,
    tags,
)
from lossbook.course.names import needed, statements
from lossbook.course.slips import slips_of

WITHOUT_REPOSITORY = (
    "It runs where the package `lossbook` is installed; on your own machine `make lab` in a clone of the book opens "
    "JupyterLab with everything there."
)
WITH_REPOSITORY = "On your own machine `make lab` in a clone of {0} opens JupyterLab with everything there. In Colab "
WITH_REPOSITORY += "and other hosted notebooks run the next cell first: it installs what is missing."
INSTALL = """\
import importlib.util

if importlib.util.find_spec("lossbook") is None:
    !git clone --quiet --depth 1 {0} lossbook-book
    %pip install --quiet --editable ./lossbook-book"""
WORK = (
    "Change the cell below an exercise, run it, and run the check beneath it: it says what is missing, and a wrong "
    "answer is no error. Keep the names of the functions; you may add cells and functions of your own. Your answer is "
    "what the function does at its check when the notebook is run from top to bottom."
)


def student(notebook: NotebookNode, *, repository: str | None = None) -> NotebookNode:
    """The whole chapter without solutions, cells tagged `answer`, and outputs.

    Args:
        notebook: the chapter.
        repository: the address to clone the book from, for hosted notebooks; without it none is named.

    Returns:
        A notebook of its own.

    Raises:
        ValueError: if the notebook is no chapter, or an exercise is not whole.
    """
    places = exercises_of(notebook)
    hidden = {at for cells in places.values() for at in (cells.words, cells.solution)}
    about = "**This is the students' edition**, to read, run and change; the solutions are left out. "
    hidden |= {at for at, cell in enumerate(notebook.cells) if "answer" in tags(cell)}
    body = [_copy(cell) for at, cell in enumerate(notebook.cells) if at not in hidden]
    return _edition(notebook, "student", [body[0], *_first(about, repository), *body[1:]])


def worksheet(notebook: NotebookNode, *, repository: str | None = None) -> NotebookNode:
    """The exercises of a chapter alone: text, skeleton and check of each, and the imports that they need.

    Args:
        notebook: the chapter.
        repository: as in `student`.

    Returns:
        A notebook of its own.

    Raises:
        ValueError: as `student`.
    """
    places, number = exercises_of(notebook), chapter_number(notebook)
    title = nbformat.v4.new_markdown_cell(f"# Worksheet {number}: {chapter_title(notebook)}")
    about = "**The exercises of a chapter**, which explains the notation and leads up to them. "
    cells = [title, *_first(about, repository), _code("imports", _imports(notebook, places))]
    for exercise, at in places.items():
        text = notebook.cells[at.prose].source
        text = text[text.index(f"**Exercise {exercise.number}.") :]
        cells.append(nbformat.v4.new_markdown_cell(f"*{_section(notebook, at.prose)}*\n\n{_uphill(text)}"))
        cells += [_copy(notebook.cells[place]) for place in (at.skeleton, at.check)]
    return _edition(notebook, "worksheet", cells)


def instructor(notebook: NotebookNode) -> NotebookNode:
    """The whole chapter with its solutions unfolded, and after each what its check says to the usual slips.

    Args:
        notebook: the chapter.

    Returns:
        A notebook of its own.

    Raises:
        ValueError: as `student`.
    """
    places = exercises_of(notebook)
    after = {cells.solution: exercise for exercise, cells in places.items()}
    body = []
    for at, cell in enumerate(notebook.cells):
        body.append(_copy(cell))
        if at in after:
            body += _slip_table(after[at])
    about = nbformat.v4.new_markdown_cell(
        "**This is the instructor's edition**: each exercise with its solution, and under it the usual slips with what "
        "the check says to each. The functions that the slips name are in `lossbook/course/slips/`."
    )
    return _edition(notebook, "instructor", [body[0], about, *body[1:]])


def _first(about: str, repository: str | None) -> list[NotebookNode]:
    """How to work, and what to install."""
    where = WITHOUT_REPOSITORY if repository is None else WITH_REPOSITORY.format(repository)
    cells = [nbformat.v4.new_markdown_cell(f"{about}{where}\n\n{WORK}")]
    return cells if repository is None else [*cells, _code("install", INSTALL.format(repository))]


def _code(kind: str, source: str) -> NotebookNode:
    return nbformat.v4.new_code_cell(source, metadata={"tags": [kind]})


def _copy(cell: NotebookNode) -> NotebookNode:
    """A cell without outputs. Checks are locked, so that nobody changes one by mistake."""
    if cell.cell_type != "code":
        return NotebookNode(cell_type=cell.cell_type, metadata=NotebookNode(), source=cell.source)
    copied = nbformat.v4.new_code_cell(cell.source)
    if tags(cell):
        copied.metadata["tags"] = list(tags(cell))
    if "check" in tags(cell):
        copied.metadata |= {"editable": False, "deletable": False}
    if "exercise" in tags(cell):
        copied.metadata |= {"editable": True, "deletable": False}
    return copied


def _edition(notebook: NotebookNode, name: str, cells: list[NotebookNode]) -> NotebookNode:
    """A notebook of these cells. A cell's id follows from what it says, so what has not changed is not in a diff."""
    seen: Counter[str] = Counter()
    for cell in cells:
        mark = hashlib.sha256(f"{cell.cell_type}\n{cell.source}".encode()).hexdigest()[:12]
        seen[mark] += 1
        cell["id"] = mark if seen[mark] == 1 else f"{mark}-{seen[mark]}"
    # Without the version of Python that happened to make it.
    metadata = {"kernelspec": notebook.metadata.get("kernelspec", {}), "language_info": {"name": "python"}}
    metadata["lossbook"] = {"chapter": chapter_number(notebook), "edition": name}
    made = nbformat.v4.new_notebook(cells=cells, metadata=metadata)
    nbformat.validate(made)
    return made


def _imports(notebook: NotebookNode, places: dict[Exercise, Cells]) -> str:
    """The imports of the chapter that skeletons, checks and solutions use."""
    imports = [s for s in statements(_sources(notebook)) if re.match(r"(import|from)\b", s.source)]
    asked = [notebook.cells[place].source for cells in places.values() for place in (cells.skeleton, cells.check)]
    # Of the solutions the function alone, whose `math` and `torch` a student may want; not what is claimed of it.
    asked += [statements([notebook.cells[cells.solution].source])[0].source for cells in places.values()]
    names = {name for statement in statements(asked) for name in statement.uses}
    kept = {id(found): found.source.strip() for name in names for found in needed(imports, name)}
    lines = sorted({_only(source, names) for source in kept.values()})
    groups = [[line for line in lines if standard is _is_standard(line)] for standard in (True, False)]
    return "\n\n".join("\n".join(sorted(group, key=_by_import)) for group in groups if group)


def _only(source: str, names: set[str]) -> str:
    """An import of several names, with those alone that are used."""
    head, _, listed = source.partition(" import ")
    if not listed:
        return source
    parts = [part.strip() for part in listed.strip("() \n").split(",") if part.strip()]
    return f"{head} import {', '.join(part for part in parts if part.split()[-1] in names)}"


def _is_standard(line: str) -> bool:
    return line.split()[1].partition(".")[0] in sys.stdlib_module_names


def _by_import(line: str) -> tuple[bool, str]:
    return line.startswith("from"), line


def _sources(notebook: NotebookNode) -> Iterable[str]:
    return (cell.source for cell in notebook.cells if cell.cell_type == "code")


def _section(notebook: NotebookNode, place: int) -> str:
    """The section of the chapter that a cell stands in, in words."""
    text = "\n".join(cell.source for cell in notebook.cells[: place + 1] if cell.cell_type == "markdown")
    headings = re.findall(r"^## (\d+) (.+)$", text, flags=re.MULTILINE)
    chapter = f"chapter {chapter_number(notebook)}"
    return f"From {chapter}, section {headings[-1][0]}: {headings[-1][1]}" if headings else f"From {chapter}"


def _uphill(text: str) -> str:
    """Links to chapters, from a folder beside theirs."""
    return re.sub(r"\]\((\d\d_\w+\.ipynb)", r"](../student/\1", text)


def _slip_table(exercise: Exercise) -> list[NotebookNode]:
    slips = slips_of(exercise)
    if not slips:
        return []
    rows = [f"| `{_cell(slip.code).replace('*given', '…')}` | {_cell(slip.message)} |" for slip in slips]
    head = f"*Usual slips in exercise {exercise.number}.*\n\n| an answer such as | is told |\n|---|---|"
    return [nbformat.v4.new_markdown_cell("\n".join([head, *rows]))]


def _cell(text: str) -> str:
    return text.replace("|", r"\|").replace("\n", " ")
