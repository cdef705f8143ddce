"""A chapter as the pages of the site see it."""

from dataclasses import dataclass

from nbformat import NotebookNode


@dataclass(frozen=True)
class Chapter:
    """An executed chapter. Explorers are frozen in its outputs, and no widget views are left."""

    number: str  # two digits
    stem: str  # of its file, and of its page
    title: str
    notebook: NotebookNode
    seconds: float  # wall time of its execution
    peak_bytes: int  # largest resident memory of the kernel
