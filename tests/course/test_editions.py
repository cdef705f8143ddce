"""Students' notebooks hold every exercise and no solution; instructors' hold both, and what the checks say."""

import ast
import copy
import re
from functools import cache

import nbformat
import pytest
from chapters import NOTEBOOKS
from course.course_cases import EDITIONS, EXERCISES, chapter, edition, places, said

from lossbook.course import instructor, student, worksheet
from lossbook.course.exercise import tags
from lossbook.course.names import statements

IDS = [exercise.key for _, exercise in EXERCISES]


def lines_of(path, exercise):
    """The lines of a solution's function below its head and docstring, those of the skeleton aside."""
    at = places(path)[exercise]
    source = chapter(path).cells[at.solution].source
    body = ast.parse(source).body[0].body
    body = body[1:] if isinstance(body[0], ast.Expr) else body
    lines = {line.strip() for part in body for line in ast.get_source_segment(source, part).splitlines()}
    # The name of what is returned tells nobody how to find it.
    lines = {line for line in lines if not re.fullmatch(r"return \w+", line)}
    return (
        lines
        - {line.partition("#")[0].strip() for line in chapter(path).cells[at.skeleton].source.splitlines()}
        - {line for other in NOTEBOOKS if other != path for line in common(other)}
    )


@cache
def common(path):
    """The lines of a chapter's code outside of solutions: what stands in another chapter too is nobody's secret."""
    cells = (cell for cell in chapter(path).cells if cell.cell_type == "code" and "solution" not in tags(cell))
    return {line.partition("#")[0].strip() for cell in cells for line in cell.source.splitlines()}


def test_there_are_exercises_in_every_chapter():
    assert {path for path, _ in EXERCISES} == set(NOTEBOOKS)
    assert len({exercise.key for _, exercise in EXERCISES}) == len({e.function for _, e in EXERCISES}) == len(EXERCISES)


@pytest.mark.parametrize(("path", "exercise"), EXERCISES, ids=IDS)
def test_no_student_notebook_holds_a_line_of_a_solution_or_its_words(path, exercise):
    lines = lines_of(path, exercise)
    words = chapter(path).cells[places(path)[exercise].words].source
    assert lines
    assert words.startswith("*Solution.*")
    for other in NOTEBOOKS:
        for make in EDITIONS.values():
            text = "\n".join(cell.source for cell in edition(other, make).cells)
            assert not [line for line in lines if line in text]
            assert words.removeprefix("*Solution.*").strip() not in text


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_nothing_that_is_left_uses_what_was_left_out(path):
    for cell in statements_by_cell(path):
        tagged, own, bound_by = cell
        if not {"solution", "answer"} & tagged:
            for name in own:
                assert not {"solution", "answer"} & bound_by.get(name, set()), name


def statements_by_cell(path):
    """For each code cell its tags, the names that it uses, and the tags of the cells that bound each last."""
    bound: dict[str, set[str]] = {}
    for cell in chapter(path).cells:
        if cell.cell_type == "code":
            used, here = set(), set()
            for statement in statements([cell.source]):
                used |= statement.uses - here
                here |= statement.binds
            yield set(tags(cell)), used, dict(bound)
            bound |= {name: set(tags(cell)) for name in here}


@pytest.mark.parametrize("make", EDITIONS.values(), ids=EDITIONS)
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_student_edition_has_every_exercise_unlocked_and_every_check_locked(path, make):
    cells = edition(path, make).cells
    code = [cell for cell in cells if cell.cell_type == "code"]
    asked = [at for exercise in places(path).values() for at in (exercise.skeleton, exercise.check)]
    kept = [cell for cell in code if {"exercise", "check"} & set(tags(cell))]
    assert [cell.source for cell in kept] == [chapter(path).cells[at].source for at in asked]
    assert all(cell.metadata.get("editable", True) is ("check" not in tags(cell)) for cell in code)
    assert all(cell.outputs == [] and cell.execution_count is None for cell in code)
    text = "\n".join(cell.source for cell in cells)
    assert all(f"**Exercise {exercise.number}. {exercise.title}" in text for exercise in places(path))
    assert "make lab" in cells[1].source


@pytest.mark.parametrize("make", [student, worksheet, instructor])
def test_a_notebook_made_again_is_the_same_and_a_change_touches_one_cell(make):
    path = NOTEBOOKS[0]
    first = make(chapter(path))
    assert nbformat.writes(first) == nbformat.writes(make(chapter(path)))
    assert len({cell.id for cell in first.cells}) == len(first.cells)
    edited = copy.deepcopy(chapter(path))
    at = next(iter(places(path).values())).skeleton
    edited.cells[at].source += "  # changed"
    second = make(edited)
    assert [a.id == b.id for a, b in zip(first.cells, second.cells, strict=True)].count(False) == 1


def test_the_address_to_clone_is_named_where_it_is_given_and_nowhere_else():
    address = "https://example.org/book.git"
    for make in EDITIONS.values():
        made = nbformat.writes(make(chapter(NOTEBOOKS[0]), repository=address))
        assert f"git clone --quiet --depth 1 {address}" in made
        assert "git clone" not in nbformat.writes(edition(NOTEBOOKS[0], make))


@pytest.mark.parametrize(("path", "exercise"), EXERCISES, ids=IDS)
def test_the_instructor_has_the_solution_in_sight_and_what_the_check_says_to_the_usual_slips(path, exercise):
    cells = edition(path, instructor).cells
    at = next(
        n for n, cell in enumerate(cells) if cell.source == chapter(path).cells[places(path)[exercise].solution].source
    )
    assert "jupyter" not in cells[at].metadata
    rows = cells[at + 1].source.splitlines()[4:]
    assert len(rows) >= 2
    assert all(row.replace(r"\|", "").count("|") == 3 for row in rows)
    # The skeleton is a usual slip itself.
    assert any(said(path, exercise)[:40] in row.replace("\\", "") for row in rows)


def test_what_is_no_chapter_is_refused():
    with pytest.raises(ValueError, match="notebook: got '', expected a chapter"):
        student(nbformat.v4.new_notebook())
    broken = copy.deepcopy(chapter(NOTEBOOKS[0]))
    del broken.cells[next(iter(places(NOTEBOOKS[0]).values())).check]
    with pytest.raises(ValueError, match="an exercise with its text, a check and a solution"):
        student(broken)
