"""A chapter as the pages of the site see it."""

from dataclasses import dataclass

from nbformat import NotebookNode


@dataclass(frozen=True)
class Chapter:
    """A chapter with its outputs. Explorers are frozen in them, and no widget views are left."""

    number: str  # two digits
    stem: str  # of its file, and of its page
    title: str
    notebook: NotebookNode
    seconds: float = 0.0  # wall time of its execution; 0 where it was not run for this site
    peak_bytes: int = 0  # largest resident memory of the kernel
