"""lossbook book: the chapters as a site."""

import argparse
import sys
from pathlib import Path

from lossbook.cli.request import Adder, UsageError, check_among

ROOT = Path(__file__).resolve().parents[2]


def add(command: Adder) -> None:
    """Add the command to the parser."""
    book = command("book", _book, "Build the book as a site that needs no kernel and no network.")
    book.add_argument("--out", type=Path, metavar="FOLDER", help="where to build it; build/book by default")
    book.add_argument("--chapter", action="append", metavar="NN", help="only this chapter; repeatable")
    book.add_argument("--no-solutions", action="store_true", help="leave the solutions of the exercises out")
    book.add_argument("--draft", action="store_true", help="also build what a skeleton left unfinished")
    book.add_argument("--workers", type=int, default=2, metavar="N", help="chapters executed at once (2)")
    book.add_argument(
        "--check", action="store_true", help="build nothing; say what is out of date, and return 1 if any"
    )


def _book(options: argparse.Namespace) -> int:
    from lossbook.catalog.papers import NOTEBOOKS

    if not (ROOT / "notebooks" / "text").is_dir():
        raise UsageError(f"no chapters at {ROOT / 'notebooks'}: clone the repository and build the book there")
    for chapter in options.chapter or ():
        check_among("--chapter", chapter, NOTEBOOKS)
    if options.workers < 1:
        raise UsageError(f"--workers: got {options.workers}, expected at least 1")
    from lossbook.skeletons import unfinished

    if not options.draft and (left := unfinished(ROOT)):
        raise UsageError("\n".join(["still to be written, or built with --draft:", *left]))
    try:
        from lossbook.book import site
        from lossbook.book.execution import ChapterError
    except ModuleNotFoundError as error:
        raise UsageError(f"{error.name} is missing: pip install -e '.[book]' -c constraints.txt") from error
    out = (options.out or ROOT / "build" / "book").resolve()
    from lossbook.book import command_line
    from lossbook.cli import parser

    extra = command_line.pages(parser())
    if options.check:
        stale = site.outdated(ROOT, out, extra)
        print("\n".join(stale) or "up to date")
        return 1 if stale else 0
    try:
        first = site.build(
            ROOT,
            out,
            chapters=options.chapter,
            solutions=not options.no_solutions,
            extra=extra,
            workers=options.workers,
            say=lambda line: print(line, flush=True),
        )
    except (ChapterError, site.BuildError) as error:
        print(f"lossbook book: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(
            "lossbook book: interrupted; the chapters that are done are kept, the same command goes on", file=sys.stderr
        )
        return 130
    print(f"open {first}")
    return 0
