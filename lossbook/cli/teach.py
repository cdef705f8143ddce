"""lossbook course | grade: what students and teachers get, and what students hand in."""

import argparse
from pathlib import Path

from lossbook.cli.request import Adder, UsageError, check_among

NOTEBOOKS = Path(__file__).resolve().parents[2] / "notebooks"


def add(command: Adder) -> None:
    """Add the commands of this module to the parser."""
    course = command("course", _course, "Write notebooks without solutions, worksheets, instructors' and autograders.")
    course.add_argument("--out", type=Path, metavar="FOLDER", required=True, help="where to write them")
    course.add_argument("--chapter", action="append", metavar="NN", help="only this chapter; repeatable")
    course.add_argument(
        "--repository", metavar="ADDRESS", help="what hosted notebooks clone; pyproject.toml's by default"
    )
    grade = command("grade", _grade, "Grade a zip or a folder of students' notebooks.")
    grade.add_argument("submissions", type=Path, help="a zip or a folder; a notebook or a folder for each student")
    grade.add_argument("--out", type=Path, metavar="FILE", default=Path("scores.csv"), help="the table (scores.csv)")
    grade.add_argument("--chapter", metavar="NN", help="the chapter that was set; otherwise each notebook tells")
    for parser in (course, grade):
        parser.add_argument("--points", type=float, default=1.0, metavar="P", help="what each exercise is worth (1)")
        parser.add_argument("--seconds", type=float, default=10.0, metavar="S", help="the time for each exercise (10)")


def _chapters() -> dict[str, Path]:
    from lossbook.catalog.papers import NOTEBOOKS as FILES

    found = {number: NOTEBOOKS / name for number, name in FILES.items()}
    if not all(path.exists() for path in found.values()):
        raise UsageError(f"no chapters at {NOTEBOOKS}: clone the repository and install the package from it")
    return found


def _course(options: argparse.Namespace) -> int:
    from lossbook.book.live import settings as live_settings
    from lossbook.course import can_write_autograder, write_course

    chapters = _chapters()
    for number in options.chapter or ():
        check_among("--chapter", number, chapters)
    repository = options.repository or live_settings(NOTEBOOKS.parent).address
    settings = {"repository": repository, "points": options.points, "seconds": options.seconds}
    try:
        written = write_course(options.out, [chapters[n] for n in options.chapter or chapters], **settings)
    except ValueError as error:
        raise UsageError(str(error)) from error
    print(f"{len(written)} files; begin with {written[-1]}")
    if not can_write_autograder():
        print("no autograders: they need Otter-Grader, pip install -e '.[course]' -c constraints.txt")
    return 0


def _grade(options: argparse.Namespace) -> int:
    from lossbook.course import exercises_by_chapter, grade_submissions, totals

    exercises = exercises_by_chapter(list(_chapters().values()))
    settings = {"chapter": options.chapter, "points": options.points, "seconds": options.seconds}
    try:
        table = grade_submissions(options.submissions, exercises, out=options.out, **settings)
    except ValueError as error:
        raise UsageError(str(error)) from error
    except KeyboardInterrupt:
        print(f"interrupted; {options.out} keeps what is graded, the same command goes on")
        return 130
    print(totals(table).to_string(index=False, float_format="{:g}".format))
    print(f"messages in {options.out}")
    return 0
