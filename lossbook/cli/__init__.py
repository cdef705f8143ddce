"""The command line: lossbook lab | doctor | catalog | run | sweep | bench | book | course | grade | new-...

A module holds a group of commands. Each command opens only the rooms that it needs, so that `lossbook --help` is as
quick as `import lossbook`.
"""

import argparse
import sys
from collections.abc import Callable, Sequence

from lossbook.cli import bench, contribute, experiment, publish, read, teach
from lossbook.cli.request import UsageError


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        argv: the words after `lossbook`; those of the process by default.

    Returns:
        0, or 1 when `doctor` misses something needed or a task of a sweep failed, or 2 when the request cannot be met,
        or 130 when Ctrl-C ended a run, a sweep or a benchmark early.
    """
    whole = parser()
    options, rest = whole.parse_known_args(argv)
    if rest and not options.takes_rest:
        whole.error(f"unrecognized arguments: {' '.join(rest)}")
    options.rest = rest
    try:
        return options.command(options)
    except UsageError as error:
        print(f"lossbook {options.name}: {error}", file=sys.stderr)
        return 2


def parser() -> argparse.ArgumentParser:
    """The parser of all commands."""
    whole = argparse.ArgumentParser(prog="lossbook", description="A workbook about loss functions that runs.")
    commands = whole.add_subparsers(title="commands", dest="name", required=True)

    def command(name: str, run: Callable[[argparse.Namespace], int], about: str) -> argparse.ArgumentParser:
        added = commands.add_parser(name, help=about, description=about)
        added.set_defaults(command=run, takes_rest=False)
        return added

    for group in (read, experiment, bench, publish, teach, contribute):
        group.add(command)
    return whole
