"""The folder that a teacher takes: what students get, what the teacher keeps, and what grades it."""

import importlib.util
from collections.abc import Sequence
from pathlib import Path

import nbformat

from lossbook.course.autograder import write_autograder
from lossbook.course.editions import instructor, student, worksheet
from lossbook.course.exercise import chapter_number, exercises_of

README = """\
# A course from the book

| folder | what it is | who gets it |
|---|---|---|
| `student/` | whole chapters to read and run, without solutions | students |
| `worksheets/` | the exercises of a chapter alone | students, to hand in |
| `instructor/` | whole chapters with solutions, and what the checks say to the usual slips | you |
| `autograder/` | a zip for each chapter, for Otter-Grader and the platforms that run it | the platform |

## To grade
Students may hand in the worksheet or the whole chapter. Either way no notebook is run: the function of each exercise is
found by its name, with what it needs, and judged by the check of the package.

1. **Here.** Put the notebooks into a zip, a file or a folder for each student, and type
   `lossbook grade submissions.zip --out scores.csv`. The table has student, exercise, score, message and total. An
   interrupted run goes on where it was; delete the table to begin afresh.
2. **On a platform.** Upload `autograder/NN.zip` where an autograder is asked for. It holds the package, and its
   environment lists what is to be installed. `otter run -a autograder/NN.zip notebook.ipynb` tries it on one notebook.

Each exercise is worth {points:g}, and has {seconds:g} seconds; `lossbook course --points` and `--seconds` set both.

## What to know
- A function runs in a process of its own, as the user who grades, and only its values come back: it cannot change its
  check. That stops mistakes and cheating. It is no jail: grade notebooks of strangers in a container.
- A function that calls the package for its answer gets the points: checks judge values, not ways.
- The solutions stand in the book, which is public. Grade to see who needs help.
- The folders can be made again at any time: cells that have not changed keep their ids.
"""


def write_course(
    folder: Path,
    chapters: Sequence[Path],
    *,
    repository: str | None = None,
    points: float = 1.0,
    seconds: float = 10.0,
) -> list[Path]:
    """Write student, worksheets, instructor and autograder for some chapters, and a README for the teacher.

    The autograders need Otter-Grader, and are left out where it is not installed.

    Args:
        folder: where to write. Files of these chapters are replaced; others stay.
        chapters: the chapters' notebooks.
        repository: the address to clone the book from, for hosted notebooks; without it none is named.
        points: what each exercise is worth.
        seconds: the time for one exercise when it is graded.

    Returns:
        The files written.

    Raises:
        ValueError: if a notebook is no chapter.
    """
    folder, written = Path(folder), []
    for path in chapters:
        notebook = nbformat.read(path, as_version=4)
        exercises = exercises_of(notebook)
        editions = {
            "student": student(notebook, repository=repository),
            "worksheets": worksheet(notebook, repository=repository),
            "instructor": instructor(notebook),
        }
        for name, made in editions.items():
            written.append(_file(folder, name, Path(path).name))
            nbformat.write(made, written[-1])
        if can_write_autograder():
            written.append(_file(folder, "autograder", f"{chapter_number(notebook)}.zip"))
            write_autograder(written[-1], exercises, points=points, seconds=seconds)
    written.append(folder / "README.md")
    written[-1].write_text(README.format(points=points, seconds=seconds), encoding="utf-8")
    return written


def can_write_autograder() -> bool:
    """Whether Otter-Grader is installed."""
    return importlib.util.find_spec("otter") is not None


def _file(folder: Path, kind: str, name: str) -> Path:
    place = folder / kind
    place.mkdir(parents=True, exist_ok=True)
    return place / name
