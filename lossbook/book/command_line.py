"""The page of the command line, made from its parser."""

import argparse
from textwrap import indent

from lossbook.book.restructured import inline

OPENING = """\
The command line
================

"""


def pages(parser: argparse.ArgumentParser) -> dict[str, str]:
    """`command_line.rst`: each command with its arguments, to each of which a reference can lead.

    Args:
        parser: that of all commands; it is handed down, since the command line stands above this room.
    """
    commands = next(action for action in parser._actions if isinstance(action, argparse._SubParsersAction))
    parts = [_command(name, command) for name, command in commands.choices.items()]
    return {"command_line.rst": OPENING + f"{inline(parser.description or '')}\n\n" + "\n\n".join(parts) + "\n"}


def _command(name: str, parser: argparse.ArgumentParser) -> str:
    usage = " ".join(parser.format_usage().removeprefix("usage: ").split())
    parts = [
        f"{parser.prog}\n{'-' * len(parser.prog)}",
        inline(parser.description or ""),
        _text(usage),
        f".. program:: {parser.prog}",
        *(_option(action) for action in parser._actions if action.dest != "help"),
        *([_text(parser.epilog)] if parser.epilog else []),
    ]
    return "\n\n".join(parts)


def _option(action: argparse.Action) -> str:
    value = action.metavar or (action.dest.upper() if action.nargs != 0 else "")
    name = ", ".join(action.option_strings) or str(value)
    shown = f"{name} {value}" if action.option_strings and value else name
    return f".. option:: {shown}\n\n    {inline(action.help or '')}"


def _text(words: str) -> str:
    return f".. code-block:: text\n    :class: lossbook-usage\n\n{indent(words, '    ')}"
