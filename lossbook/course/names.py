"""Which statements of a notebook a name needs: those that bind it, those that bind what they use, and so on back."""

import ast
import symtable
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from IPython.core.inputtransformer2 import TransformerManager

EVERYTHING = "*"
"""What `from x import *` binds, for nobody knows."""


@dataclass(frozen=True)
class Statement:
    """A top-level statement of a notebook's code."""

    source: str
    binds: frozenset[str]
    uses: frozenset[str]  # of the notebook's names, those in the bodies of functions included
    calls: frozenset[tuple[str, str]]  # (function called, name given to it first)
    deferred: bool  # holds a function, whose body looks its names up when it is called


def statements(cells: Iterable[str]) -> list[Statement]:
    """The statements of code cells, in order. A cell that is not Python gives none; magics bind nothing.

    Args:
        cells: the sources of code cells.

    Returns:
        The statements.

    Example:
        >>> [sorted(found.binds) for found in statements(["import math", "x = y = math.pi", "if"])]
        [['math'], ['x', 'y']]
    """
    found = []
    for cell in cells:
        try:
            source = python(cell)
            body = ast.parse(source).body
            lines = source.split("\n")
            found += [_statement(node, _text(node, source, lines)) for node in body]
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            continue
    return found


def python(cell: str) -> str:
    """A cell as plain Python, its magics turned into calls."""
    try:
        ast.parse(cell)
        return cell
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return TransformerManager().transform_cell(cell)


def needed(found: Sequence[Statement], name: str, end: int | None = None) -> list[Statement]:
    r"""The statements behind what a name stands for at a place.

    Args:
        found: the statements of a notebook.
        name: the name.
        end: the place, a number of statements; after all of them by default.

    Returns:
        Those that are needed, in order. None if nothing binds the name.

    Example:
        >>> kept = needed(statements(["import math, time", "a = 2", "b = 9", "def f(x):\n    return a * x"]), "f")
        >>> [part.source.splitlines()[0] for part in kept]
        ['a = 2', 'def f(x):']
    """
    end = len(found) if end is None else end
    chosen: set[int] = set()
    sought = [(name, end)]
    while sought:
        wanted, before = sought.pop()
        place = next((at for at in range(before - 1, -1, -1) if wanted in found[at].binds), None)
        if place is None or place in chosen:
            continue
        chosen.add(place)
        sought += [(used, place) for used in found[place].uses]
        if found[place].deferred:
            sought += [(used, end) for used in found[place].uses]
    if chosen:
        chosen |= {at for at in range(end) if EVERYTHING in found[at].binds}
    return [found[at] for at in sorted(chosen)]


def _text(node: ast.stmt, source: str, lines: Sequence[str]) -> str:
    decorators = getattr(node, "decorator_list", [])
    if decorators:
        return "\n".join(lines[decorators[0].lineno - 1 : node.end_lineno])
    return ast.get_source_segment(source, node) or ""


def _statement(node: ast.stmt, source: str) -> Statement:
    if isinstance(node, ast.ImportFrom) and node.names[0].name == EVERYTHING:
        return Statement(source, frozenset({EVERYTHING}), frozenset(), frozenset(), False)
    table = symtable.symtable(source, "notebook", "exec")
    inner = [symbol for child in table.get_children() for symbol in _globals(child)]
    binds = {symbol.get_name() for symbol in table.get_symbols() if symbol.is_assigned() or symbol.is_imported()}
    uses = {symbol.get_name() for symbol in table.get_symbols() if symbol.is_referenced()}
    uses |= {symbol.get_name() for symbol in inner}
    changed = set(_changed(node))
    if isinstance(node, ast.AugAssign) and isinstance(node.target, ast.Name):
        uses.add(node.target.id)
    calls = {call for part in ast.walk(node) for call in _call(part)}
    deferred = bool(table.get_children())
    return Statement(source, frozenset(binds | changed), frozenset(uses | changed), frozenset(calls), deferred)


def _globals(table: symtable.SymbolTable) -> list[symtable.Symbol]:
    own = [symbol for symbol in table.get_symbols() if symbol.is_global()]
    return own + [symbol for child in table.get_children() for symbol in _globals(child)]


def _changed(part: ast.AST) -> Iterator[str]:
    """The names whose objects an assignment to an attribute or an element changes, functions' own names aside."""
    if isinstance(part, ast.Attribute | ast.Subscript) and not isinstance(part.ctx, ast.Load):
        root: ast.AST = part
        while isinstance(root, ast.Attribute | ast.Subscript):
            root = root.value
        if isinstance(root, ast.Name):
            yield root.id
    if not isinstance(part, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Lambda):
        for child in ast.iter_child_nodes(part):
            yield from _changed(child)


def _call(part: ast.AST) -> Iterator[tuple[str, str]]:
    if isinstance(part, ast.Call) and part.args and isinstance(part.args[0], ast.Name):
        if isinstance(part.func, ast.Attribute):
            yield part.func.attr, part.args[0].id
        elif isinstance(part.func, ast.Name):
            yield part.func.id, part.args[0].id
