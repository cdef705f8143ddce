"""What a notebook is worth: skeletons nothing, solutions everything, and no trick a point."""

import os

import nbformat
import pytest
import torch
from chapters import NOTEBOOKS
from course.course_cases import EXERCISES, edition, handed_in, places, said, solution

from lossbook.course import grade_notebook, student, worksheet
from lossbook.course.slips import attempts
from lossbook.course.wire import decode, encode

SECOND = next(path for path in NOTEBOOKS if path.stem.startswith("02"))
LOG_SUM_EXP, GAP, WRONG, ADD = places(SECOND)


def score(answers, exercises=(LOG_SUM_EXP,), seconds=30.0, **parts):
    """The scores of a submission of chapter 02. Time for a busy machine: nothing waits for it but what never ends."""
    return grade_notebook(handed_in(SECOND, answers, **parts), exercises, seconds=seconds)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_the_untouched_skeleton_gets_nothing_and_the_message_that_the_chapter_shows(path):
    scores = grade_notebook(edition(path, worksheet), places(path), seconds=30)
    assert [part.exercise for part in scores] == list(places(path))
    assert all(part.points == 0 and not part.passed for part in scores)
    assert [part.message for part in scores] == [said(path, exercise) for exercise in places(path)]


@pytest.mark.parametrize("make", [worksheet, student], ids=["worksheet", "chapter"])
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_the_solutions_get_full_marks_in_a_worksheet_and_in_a_whole_chapter(path, make):
    answers = {exercise: solution(path, exercise) for exercise in places(path)}
    scores = grade_notebook(handed_in(path, answers, make=make), places(path), points=2.5, seconds=30)
    assert [(part.points, part.possible) for part in scores] == [(2.5, 2.5)] * len(answers)


MODULES = sorted({exercise.module for _, exercise in EXERCISES})


@pytest.mark.parametrize("module", MODULES)
def test_on_its_way_out_of_the_process_no_answer_changes_its_verdict(module):
    for check, attempt, _ in attempts(module):
        there = check(lambda *given, attempt=attempt: decode(encode(attempt(*given))))
        assert repr(there) == repr(check(attempt))


RIGHT = solution(SECOND, LOG_SUM_EXP)
CONNECTIONS = """
    import gc
    from multiprocessing.connection import Connection
    found = [part for part in gc.get_objects() if isinstance(part, Connection) and not part.closed and part.writable]
"""
TRICKS = {
    "raises": ("def log_sum_exp(z):\n    raise KeyError('x')", "", "stopped with KeyError: 'x'."),
    "leaves": ("def log_sum_exp(z):\n    import sys\n    sys.exit(0)", "", "stopped with SystemExit: 0."),
    "ends its process": ("def log_sum_exp(z):\n    import os\n    os._exit(0)", "", "it ended the program"),
    "asks the reader": ("def log_sum_exp(z):\n    return float(input())", "", "stopped with EOFError"),
    "is no Python": ("def log_sum_exp(z)\n    return 1", "", "is not Python: expected ':'"),
    "is not there": ("", "", "There is no function `log_sum_exp`"),
    "is a number": ("log_sum_exp = 3.0", "", "expected a function and got float"),
    "comes too late": ("log_sum_exp = missing + 1", "", "stopped before `log_sum_exp` was there, with NameError"),
    "ends before": (
        "import sys\nlog_sum_exp = sys.exit()",
        "",
        "stopped before `log_sum_exp` was there, with SystemExit",
    ),
    "redefines exercises": (None, "class exercises:\n    check_log_sum_exp = print", "overflows"),
    "replaces the check": (None, "exercises.check_log_sum_exp = lambda f: print('✓ Right.')", "overflows"),
    "prints the verdict": (None, "print('✓ Right. It lies between the maximum')", "overflows"),
    "patches the package": (
        "def log_sum_exp(z):\n"
        "    from lossbook.exercises import chapter_02, verdict\n"
        "    chapter_02.close = verdict.close = lambda *given: True\n"
        "    verdict.not_yet = verdict.right\n"
        "    return z.sum()",
        "",
        "it should lie between",
    ),
    "looks at its caller": (
        "def log_sum_exp(z):\n    import sys\n    return sys._getframe(2).f_locals['wanted']",
        "",
        "stopped with",
    ),
    "answers for its process": (
        f"def log_sum_exp(z):{CONNECTIONS}"
        "    [part.send_bytes(b'cos\\nsystem\\n(S\"exit\"\\ntR.') for part in found]\n"
        "    return 0.0",
        "",
        "stopped with ProcessEnded",
    ),
}


@pytest.mark.parametrize(("answer", "first", "words"), TRICKS.values(), ids=TRICKS)
def test_a_trick_costs_its_exercise_and_no_other(answer, first, words):
    answers = {GAP: solution(SECOND, GAP)} | ({} if answer is None else {LOG_SUM_EXP: answer})
    tricked, honest = score(answers, (LOG_SUM_EXP, GAP), first=first, last=first)
    assert not tricked.passed
    assert words in tricked.message
    assert honest.passed


NEVER = {
    "a function without end": "def log_sum_exp(z):\n    while True:\n        pass",
    "a notebook without end": "while True:\n    log_sum_exp = 1",
    "half a message": f"def log_sum_exp(z):{CONNECTIONS}    import os, time\n"
    "    [os.write(part.fileno(), b'\\0\\0\\1\\0{') for part in found]\n    time.sleep(1000)",
}


@pytest.mark.parametrize("answer", NEVER.values(), ids=NEVER)
def test_an_answer_that_never_comes_is_waited_for_once(answer):
    (lost,) = score({LOG_SUM_EXP: answer}, seconds=0.5)
    assert not lost.passed
    assert "TimeoutError: no answer within 0.5 seconds" in lost.message


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no server of processes to end")
def test_the_end_of_the_server_of_processes_costs_only_who_ended_it():
    killer = "import os, signal\n\nlog_sum_exp = os.kill(os.getppid(), signal.SIGKILL)"
    score({LOG_SUM_EXP: killer})
    assert score({LOG_SUM_EXP: RIGHT})[0].passed


def test_what_else_a_notebook_does_costs_neither_time_nor_points():
    around = "while True:\n    pass", "raise SystemExit", "%%bash\nsleep 1000", "def half(", "%matplotlib inline\n1 / 0"
    for other in around:
        assert score({LOG_SUM_EXP: RIGHT}, first=other, last=other, seconds=30)[0].passed


def test_an_answer_may_use_what_stands_elsewhere_in_the_notebook():
    answer = "from math import *\n\ndef log_sum_exp(z):\n    return shifted(z, top(z)) if top(z) > -inf else top(z)"
    below = "def shifted(z, m):\n    return m + (z - m).exp().sum().log()"
    notebook = handed_in(SECOND, {LOG_SUM_EXP: answer}, first="top = lambda z: limits['of'](z)\nlimits = {}")
    notebook.cells.insert(4, nbformat.v4.new_code_cell("limits['of'] = torch.Tensor.max"))
    notebook.cells.insert(5, nbformat.v4.new_code_cell(below))
    assert [part.passed for part in grade_notebook(notebook, [LOG_SUM_EXP], seconds=30)] == [True]


def test_the_answer_is_what_the_name_stands_for_at_its_last_check():
    assert score({}, first="", last=RIGHT)[0].passed is False
    assert score({}, last=f"{RIGHT}\n\nexercises.check_log_sum_exp(log_sum_exp)")[0].passed
    assert score({LOG_SUM_EXP: RIGHT}, last="log_sum_exp = None")[0].passed


def test_a_message_is_one_line_and_no_longer_than_a_reader_bears():
    (long,) = score({LOG_SUM_EXP: "def log_sum_exp(z):\n    raise ValueError('a\\n' * 10_000)"})
    assert "\n" not in long.message
    assert len(long.message) <= 600


def test_points_and_seconds_are_positive_numbers():
    for name, value in (("points", 0), ("seconds", -1.0)):
        with pytest.raises(ValueError, match=f"{name}: got {value}, expected a finite number > 0"):
            grade_notebook(edition(SECOND, worksheet), [GAP], **{name: value})
    with pytest.raises(TypeError, match="points: got 'many'"):
        grade_notebook(edition(SECOND, worksheet), [GAP], points="many")


@pytest.mark.parametrize(
    "value",
    [
        *(None, ..., True, 3, 10**400, -1.5, float("inf"), "word", (1, [2.0]), torch.zeros(0, 3), torch.ones(2, 1)),
        *(torch.float16, torch.tensor(2), torch.tensor([1.5], dtype=torch.bfloat16), torch.tensor([True, False])),
    ],
    ids=str,
)
def test_a_value_comes_out_of_the_process_as_it_went_in(value):
    found = decode(encode(value))
    if isinstance(value, torch.Tensor):
        torch.testing.assert_close(found, value, rtol=0, atol=0)
    else:
        assert (type(found), found) == (type(value), value)


def test_anything_else_comes_out_as_a_thing_with_the_name_of_its_type():
    for value in ({"a": 1}, {1}, b"", torch.ones(2).to_sparse(), [0] * 10**7):
        assert type(decode(encode(value))).__name__ == type(value).__name__


@pytest.mark.parametrize(
    "message",
    [b"", b"{}", b"[]", b'["tensor"]', b'["tensor", "float64", [3], "AAAA"]', b'["tensor", "eval", [], ""]', b"\x80"],
)
def test_a_forged_message_is_refused(message):
    with pytest.raises(ValueError, match="message: got"):
        decode(message)
