"""A folder or a zip of students' notebooks, and the table of their scores."""

import hashlib
import os
import zipfile
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path, PurePosixPath

import nbformat.reader
import pandas as pd
from tqdm import tqdm

from lossbook.checks import bad_value, check_choice, check_number
from lossbook.course.exercise import Exercise, chapter_number, exercises_of
from lossbook.course.grade import Score, grade_notebook, names_bound
from lossbook.course.sandbox import NoProcess

LARGEST = 64 * 2**20
"""Bytes of a notebook; a whole chapter with its outputs has one million."""

COLUMNS = ["student", "chapter", "exercise", "score", "possible", "message", "total", "submission"]


def exercises_by_chapter(chapters: Sequence[Path]) -> dict[str, list[Exercise]]:
    """The exercises of the chapters, by number.

    Args:
        chapters: the chapters' notebooks.

    Returns:
        A list for each chapter.
    """
    read = [nbformat.read(path, as_version=4) for path in chapters]
    return {chapter_number(notebook): list(exercises_of(notebook)) for notebook in read}


def grade_submissions(
    submissions: Path,
    exercises: Mapping[str, Sequence[Exercise]],
    *,
    out: Path | None = None,
    chapter: str | None = None,
    points: float = 1.0,
    seconds: float = 10.0,
    progress: bool = True,
) -> pd.DataFrame:
    """Grade every notebook of a zip or a folder.

    Args:
        submissions: a zip, a folder, or one notebook. A student is a notebook, or a folder that holds one.
        exercises: the exercises by chapter, from `exercises_by_chapter`.
        out: a table to write, after every notebook anew. Notebooks that it has already, unchanged and under the same
            settings, are not graded again: so an interrupted batch goes on where it was.
        chapter: the chapter that was set; without it each notebook is graded on the chapter of which it has most.
        points: what each exercise is worth.
        seconds: the time for one exercise.
        progress: whether to show how far it is.

    Returns:
        A row for each student and exercise, with the columns `COLUMNS`.

    Raises:
        ValueError: if there is nothing to read there, the chapter has no exercises, or a number is not positive.
        NoProcess: if this machine gives no process to run a function in. What is graded is kept.
    """
    submissions = Path(submissions)
    points, seconds = check_number("points", points, above=0), check_number("seconds", seconds, above=0)
    if chapter is not None:
        check_choice("chapter", chapter, exercises)
    read = _notebooks(submissions)
    students = _students(list(read))
    before = _table(out)
    settings = repr((chapter, points, seconds, [(key, list(value)) for key, value in exercises.items()]))
    rows: list[dict[str, object]] = []
    for name, open_it in tqdm(read.items(), disable=not progress, unit="notebook"):
        content = open_it()
        mark = hashlib.sha256(settings.encode() + content).hexdigest()[:16]
        known = before[(before.student == students[name]) & (before.submission == mark)]
        if len(known):
            rows += known.to_dict("records")
        else:
            rows += _graded(students[name], content, exercises, chapter, points, seconds, mark)
        if out is not None:
            _write(pd.DataFrame(rows, columns=COLUMNS), Path(out))
    return pd.DataFrame(rows, columns=COLUMNS)


def totals(table: pd.DataFrame) -> pd.DataFrame:
    """What each student has, of how much: the columns student, chapter, total and possible."""
    kept = table.groupby(["student", "chapter"], sort=False).agg(total=("score", "sum"), possible=("possible", "sum"))
    return kept.reset_index()


def _graded(
    student: str,
    content: bytes,
    exercises: Mapping[str, Sequence[Exercise]],
    chapter: str | None,
    points: float,
    seconds: float,
    mark: str,
) -> list[dict[str, object]]:
    asked: list[Exercise] = list(exercises[chapter]) if chapter is not None else []
    try:
        if len(content) > LARGEST:
            raise bad_value("notebook", f"{len(content)} bytes", f"at most {LARGEST}")
        # Not held against the schema: it takes longer than the grading, and a cell without an id is none the worse.
        notebook = nbformat.convert(nbformat.reader.reads(content.decode()), 4)
        bound = names_bound(notebook)
        found = {key: sum(exercise.function in bound for exercise in listed) for key, listed in exercises.items()}
        best = max(found, key=found.__getitem__, default="")
        asked = asked or (list(exercises[best]) if best and found[best] else [])
        scores = grade_notebook(notebook, asked, points=points, seconds=seconds)
        trouble = "There is no exercise of the book in this notebook."
    except NoProcess:
        raise
    except Exception as error:  # whatever a file holds, it costs this student the points and nobody else
        trouble = f"This file cannot be read as a notebook ({type(error).__name__}: {str(error)[:100]})."
        scores = [Score(exercise, False, 0.0, points, trouble) for exercise in asked]
    row: dict[str, object] = {"student": student, "total": sum(score.points for score in scores), "submission": mark}
    if not scores:
        nothing = {"chapter": chapter or "", "exercise": "", "score": 0.0, "possible": 0.0, "message": trouble}
        return [row | nothing]
    return [
        row
        | {"chapter": score.exercise.chapter, "exercise": score.exercise.key}
        | {"score": score.points, "possible": score.possible, "message": score.message}
        for score in scores
    ]


def _notebooks(submissions: Path) -> dict[str, Callable[[], bytes]]:
    """How to read each notebook, by its path in the zip or the folder."""
    if submissions.is_dir():
        paths = sorted(submissions.rglob("*.ipynb"))
        found = {path.relative_to(submissions).as_posix(): path.read_bytes for path in paths}
    elif submissions.suffix == ".ipynb" and submissions.is_file():
        found = {submissions.name: submissions.read_bytes}
    elif submissions.is_file() and zipfile.is_zipfile(submissions):
        with zipfile.ZipFile(submissions) as archive:
            names = sorted(info.filename for info in archive.infolist() if info.filename.endswith(".ipynb"))
        found = {name: _member(submissions, name) for name in names}
    else:
        raise bad_value("submissions", submissions.name, "a zip, a folder or a notebook")
    hidden = ("__MACOSX", ".")  # copies that a system or JupyterLab has put there
    kept = {name: read for name, read in found.items() if not any(p.startswith(hidden) for p in name.split("/"))}
    if not kept:
        raise bad_value("submissions", submissions.name, "at least one notebook in it")
    return kept


def _member(path: Path, name: str) -> Callable[[], bytes]:
    def read() -> bytes:
        try:
            with zipfile.ZipFile(path) as archive, archive.open(name) as file:
                return file.read(LARGEST + 1)  # whatever size the zip says that it has
        except (RuntimeError, OSError, zipfile.BadZipFile, NotImplementedError):
            return b""  # encrypted or damaged: no notebook

    return read


def _students(names: Sequence[str]) -> dict[str, str]:
    """The student behind each path: the first part that is not common to all, or the whole where that is not one's."""
    shared = os.path.commonpath([PurePosixPath(name).parent for name in names]) if len(names) > 1 else ""
    rest = {name: PurePosixPath(name).relative_to(shared or ".").with_suffix("") for name in names}
    share = Counter(path.parts[0] for path in rest.values())
    return {name: path.parts[0] if share[path.parts[0]] == 1 else path.as_posix() for name, path in rest.items()}


def _table(out: Path | None) -> pd.DataFrame:
    if out is None or not Path(out).exists():
        return pd.DataFrame(columns=COLUMNS)
    text = dict.fromkeys(("student", "chapter", "exercise", "message", "submission"), str)
    table = pd.read_csv(out, dtype=text, keep_default_na=False)
    if list(table.columns) != COLUMNS:
        raise bad_value("out", Path(out).name, "a table that `lossbook grade` wrote, or a file that is not there yet")
    for name in text:
        table[name] = table[name].map(_unquoted)
    return table


def _write(table: pd.DataFrame, out: Path) -> None:
    """All of it or nothing, so that an interruption leaves a whole table."""
    shown = table.copy()
    for name in ("student", "chapter", "exercise", "message"):
        shown[name] = shown[name].map(_quoted)
    part = out.with_name(f".{out.name}.part")
    shown.to_csv(part, index=False)
    os.replace(part, out)


def _quoted(text: str) -> str:
    """Words that a spreadsheet would take for a formula, marked as words."""
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "'")) else text


def _unquoted(text: str) -> str:
    return text[1:] if text.startswith("'") else text
