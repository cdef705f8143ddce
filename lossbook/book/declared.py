"""What only the source says of a module: names in order, fields with their comments, constants."""

import ast
import importlib
import inspect
from collections.abc import Iterator
from functools import cache
from textwrap import dedent
from types import ModuleType


@cache
def _parsed(module: ModuleType) -> tuple[list[str], list[ast.stmt]]:
    source = inspect.getsource(module)
    return source.splitlines(), ast.parse(source).body


def declared(module: ModuleType) -> Iterator[str]:
    """Functions, classes and documented constants of a module in the order of its source; not what it imports.

    Example:
        >>> from lossbook.experiments import lazy_images
        >>> list(declared(lazy_images))[:4]
        ['Config', 'SCALES', 'run', 'first_steps']
    """
    for node in _parsed(module)[1]:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            yield node.name
        yield from (name for name in _assigned(node) if name == "SCALES" or constant(module, name)[0])


def _assigned(node: ast.stmt) -> list[str]:
    targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
    return [target.id for target in targets if isinstance(target, ast.Name)]


def fields(cls: type) -> list[str]:
    """The lines that declare the fields of a dataclass or a NamedTuple, defaults and comments and all.

    Example:
        >>> from lossbook.metrics import Cost
        >>> fields(Cost)[1]
        'multiplications: int  # in matrix products'
    """
    source = dedent(inspect.getsource(cls)).splitlines()
    (tree,) = ast.parse("\n".join(source)).body
    assert isinstance(tree, ast.ClassDef)
    found = [node for node in tree.body if isinstance(node, ast.AnnAssign)]
    lines = source[found[0].lineno - 1 : found[-1].end_lineno] if found else []
    return dedent("\n".join(lines)).splitlines()


def constant(module: ModuleType, name: str) -> tuple[str, list[str]]:
    """What stands below a constant as its docstring, and the lines that define it; both empty for what is none.

    Example:
        >>> from lossbook.catalog import papers
        >>> constant(papers, "NOTEBOOKS")[0]
        'The chapters that are written, and their files.'
    """
    lines, body = _parsed(module)
    for node, following in zip(body, [*body[1:], None], strict=True):
        if name in _assigned(node):
            said = following.value if isinstance(following, ast.Expr) else None
            text = said.value if isinstance(said, ast.Constant) and isinstance(said.value, str) else ""
            return inspect.cleandoc(text), lines[node.lineno - 1 : node.end_lineno]
    return "", []


def home(name: str) -> tuple[ModuleType, str]:
    """The module in whose source a constant is defined, and its name there.

    Example:
        >>> home("lossbook.datasets.CHECKSUMS")[0].__name__
        'lossbook.datasets._files'
    """
    module, _, last = name.rpartition(".")
    where = importlib.import_module(module)
    for node in _parsed(where)[1]:
        for alias in node.names if isinstance(node, ast.ImportFrom) else ():
            if (alias.asname or alias.name) == last and isinstance(node, ast.ImportFrom) and node.module:
                return home(f"{node.module}.{alias.name}")
    return where, last
