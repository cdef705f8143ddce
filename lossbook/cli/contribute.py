"""lossbook new-chapter and new-loss: skeletons that run, to be filled in."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from lossbook.cli.request import Adder, UsageError

ROOT = Path(__file__).resolve().parents[2]


def add(command: Adder) -> None:
    """Add the commands to the parser."""
    chapter = command("new-chapter", _chapter, "Lay down a chapter that runs, with a section for each of its systems.")
    chapter.add_argument("called", metavar="NN_name", help="two digits and words, such as 30_distillation")
    chapter.add_argument("--title", help="of a chapter that the book does not plan yet")
    loss = command("new-loss", _loss, "Lay down a loss that runs and passes every test, to be changed step by step.")
    loss.add_argument("called", metavar="name", help="of the function, such as huberised_loss")
    loss.add_argument("--family", help="one that lossbook catalog --losses shows, or a new one")
    loss.add_argument("--inputs", help="logits, margin, error, pairs, labels or sets; the family's by default")
    loss.add_argument("--chapter", metavar="NN", help="its two digits; the system's or the family's by default")
    loss.add_argument("--system", metavar="KEY", help="of its paper in papers.toml: the reference is taken from there")


def _chapter(options: argparse.Namespace) -> int:
    from lossbook.skeletons import new_chapter

    try:
        made = new_chapter(ROOT, options.called, options.title)
    except (ValueError, OSError) as error:
        raise UsageError(str(error)) from error
    return _told(made, f"Now: make notebooks CHAPTER={options.called[:2]}")


def _loss(options: argparse.Namespace) -> int:
    from lossbook.skeletons import new_loss

    how = {name: getattr(options, name) for name in ("family", "inputs", "chapter", "system")}
    try:
        made = new_loss(ROOT, options.called, **how)
    except (ValueError, OSError) as error:
        raise UsageError(str(error)) from error
    tests = "tests/losses tests/catalog tests/test_bad_input.py"
    return _told(made, f"Now: python -m pytest {tests} -k {options.called}")


def _told(made: Sequence[Path], then: str) -> int:
    print("\n".join(str(path.relative_to(ROOT)) for path in made))
    print(f"It runs as it stands. What is yours to write is marked, and CONTRIBUTING.md says how. {then}")
    return 0
