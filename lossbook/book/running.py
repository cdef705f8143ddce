"""What running each chapter takes, as measured when the site was built."""

from collections.abc import Sequence

from lossbook.book.chapter import Chapter

MARK = "<!-- measured -->"
"""Stands in a page where the table is to be."""


def table(chapters: Sequence[Chapter]) -> str:
    """Seconds and memory of each chapter, in Markdown."""
    head = ["| chapter | seconds | memory at most |", "|---|---|---|"]
    rows = [
        f"| [{chapter.number} {chapter.title}]({chapter.stem}.ipynb) "
        + (f"| {chapter.seconds:.0f} | {chapter.peak_bytes / 2**30:.2f} GB |" if chapter.seconds else "| not run | |")
        for chapter in chapters
    ]
    return "\n".join(head + rows)
