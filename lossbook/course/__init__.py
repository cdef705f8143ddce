"""Student and instructor notebooks, made from the chapters, and the grading of what students hand in."""

from lossbook.course.batch import exercises_by_chapter, grade_submissions, totals
from lossbook.course.editions import instructor, student, worksheet
from lossbook.course.exercise import Exercise, exercises_of
from lossbook.course.grade import Score, grade_notebook
from lossbook.course.write import can_write_autograder, write_course

__all__ = [
    "Exercise",
    "Score",
    "can_write_autograder",
    "exercises_by_chapter",
    "exercises_of",
    "grade_notebook",
    "grade_submissions",
    "instructor",
    "student",
    "totals",
    "worksheet",
    "write_course",
]
