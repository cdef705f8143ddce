"""Which statements a name needs."""

import pytest

from lossbook.course.names import needed, statements


def kept(cells, name="f", end=None):
    return [statement.source.strip() for statement in needed(statements(cells), name, end)]


def test_what_a_function_does_not_use_is_left_out_and_its_own_names_are_no_needs():
    cells = ["import torch, slow\n\nz = slow.run()", "def f(z):\n    means = z + 1\n    means[0] = 2\n    return means"]
    assert kept([*cells, "means = slow.run()"]) == [cells[1]]


def test_needs_are_followed_back_through_assignments_changes_and_loops():
    cells = ["a = []", "a.extra = 1", "for i in range(3):\n    a[i:] = [i]", "b = a", "def f():\n    return b"]
    assert kept(cells) == cells
    assert kept(["n = 1", "n += 1", "f = lambda: n"]) == ["n = 1", "n += 1", "f = lambda: n"]


def test_the_body_of_a_function_sees_what_comes_after_it_and_its_defaults_what_came_before():
    cells = ["k = 1", "def f(a=k):\n    return a + helper()", "k = 2", "def helper():\n    return k"]
    assert kept(cells) == cells
    assert kept(cells, end=2) == cells[:2]


def test_the_last_binding_counts_with_its_decorators_and_star_imports_always():
    cells = [
        "from math import *",
        "def f():\n    return 1",
        "import functools",
        "@functools.cache\ndef f():\n    return pi",
    ]
    assert kept(cells) == [cells[0], *cells[2:]]


def test_statements_that_share_a_line_are_told_apart():
    assert kept(["a = 1; f = a; b = 2"]) == ["a = 1", "f = a"]


def test_magics_bind_nothing_and_a_cell_that_is_no_python_is_passed_over():
    assert kept(["%pip install x\na = 1", "!ls", "%%html\n<b>", "f = ("], "a") == ["a = 1"]
    assert kept(["a = 1"], "b") == []


@pytest.mark.parametrize("cell", ["(" * 500, "x = 1\0", "-" * 100_000 + "1", "\ud800 = 1", "?", "\t x"])
def test_no_cell_is_too_strange_to_be_passed_over(cell):
    assert kept([cell, "a = 1"], "a") == ["a = 1"]
