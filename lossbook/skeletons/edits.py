"""Small changes to Python source that leave it sorted and formatted as the linter wants it."""

import ast
import json
import sys
from collections.abc import Sequence
from typing import Any

from lossbook.skeletons.checkout import assignment

WIDTH = 120


class Clash(Exception):
    """Two pieces of source that cannot stand in one module."""


def quoted(text: str) -> str:
    """A string as source, in double quotes."""
    return json.dumps(text, ensure_ascii=False)


def bracketed(before: str, items: Sequence[str], after: str, *, call: bool = False, width: int = WIDTH) -> str:
    """Items in brackets, on one line where they fit; else the arguments of a call on the next, or an item a line.

    Args:
        before: the beginning of the line, indentation and opening bracket included.
        items: what stands between the commas.
        after: the closing bracket and what follows it.
        call: whether they are the arguments of a call.
        width: the longest line.

    Example:
        >>> print(bracketed("f = g(", ["first", "second"], ")", call=True, width=18))
        f = g(
            first, second
        )
        >>> print(bracketed("from a import (", ["first", "second"], ")", width=16))
        from a import (
            first,
            second,
        )
    """
    line = before + ", ".join(items) + after
    if len(line) <= width:
        return line
    indent = before[: len(before) - len(before.lstrip())]
    inner = f"{indent}    {', '.join(items)}"
    if not call or len(inner) > width:
        inner = "\n".join(f"{indent}    {item}," for item in items)
    return f"{before}\n{inner}\n{indent}{after}"


def add_item(text: str, variable: str, key: str, line: str) -> str:
    r"""A module in whose sorted list, or dictionary, an item has its place.

    Args:
        text: the module.
        variable: of a list of strings or of a dictionary with strings as keys, an item a line.
        key: the item, or its key.
        line: what is to stand in the source, without indentation and comma.

    Example:
        >>> print(add_item('names = [\n    "a",\n    "c",\n]\n', "names", "b", '"b"'), end="")
        names = [
            "a",
            "b",
            "c",
        ]
    """
    value = assignment(text, variable).value
    items: list[Any] = value.keys if isinstance(value, ast.Dict) else value.elts
    later = [item.lineno for item in items if item.value > key]
    lines = text.splitlines(keepends=True)
    lines.insert((later[0] if later else value.end_lineno) - 1, f"    {line},\n")
    return "".join(lines)


def add_last(text: str, variable: str, source: str) -> str:
    """A module at the end of whose list or tuple, an item a line, this source stands."""
    lines = text.splitlines(keepends=True)
    lines.insert(assignment(text, variable).value.end_lineno - 1, source)
    return "".join(lines)


def split(text: str) -> tuple[str, str, str]:
    """A module as its docstring, its imports and the rest."""
    lines = text.splitlines(keepends=True)
    first, last = _imports(text)
    return "".join(lines[:first]), "".join(lines[first:last]), "".join(lines[last:])


def merged(text: str, other: str, module: str) -> str:
    """A module with the imports of another beside its own; what is imported from the module itself is there already.

    Raises:
        Clash: a name has another meaning here, or the imports are not written as the linter sorts them.
    """
    head, own, rest = split(text)
    here, there = _names(own), _names(split(other)[1])
    if _sorted(here) != own.strip():
        raise Clash("the imports are in another form")
    bound = {name: source for source, names in here.items() for name in names}
    bound |= {node.name: module for node in ast.parse(text).body if isinstance(node, ast.FunctionDef | ast.ClassDef)}
    assigned = [node for node in ast.parse(text).body if isinstance(node, ast.Assign)]
    bound |= {target.id: module for node in assigned for target in node.targets if isinstance(target, ast.Name)}
    for source, names in there.items():
        if any(bound.get(name, source) != source for name in names):
            raise Clash(f"a name of {source} is taken")
        if source == module and not names <= set(bound):
            raise Clash(f"{source} has not all of {', '.join(sorted(names))}")
        if source != module:
            here[source] = here.get(source, set()) | names
    return head + _sorted(here) + "\n" + rest


def add_import(text: str, module: str, name: str) -> str:
    """A module that also imports a name, in its place."""
    head, own, rest = split(text)
    names = _names(own)
    names[module] = names.get(module, set()) | {name}
    return head + _sorted(names) + "\n" + rest


def _imports(text: str) -> tuple[int, int]:
    nodes = [node for node in ast.parse(text).body if isinstance(node, ast.Import | ast.ImportFrom)]
    return nodes[0].lineno - 1, nodes[-1].end_lineno or nodes[-1].lineno


def _names(imports: str) -> dict[str, set[str]]:
    """Each module imported from, and the names; `import x`, and none, for a module that is imported whole."""
    found: dict[str, set[str]] = {}
    for node in ast.parse(imports).body:
        if isinstance(node, ast.ImportFrom):
            found.setdefault(str(node.module), set()).update(ast.unparse(alias) for alias in node.names)
        elif isinstance(node, ast.Import):
            for alias in node.names:
                found[f"import {ast.unparse(alias)}"] = set()
    return found


def _sorted(names: dict[str, set[str]]) -> str:
    """Imports as the linter sorts them: by section, whole modules first, constants before classes before functions."""
    sections: dict[int, list[tuple[bool, str, str]]] = {0: [], 1: [], 2: []}
    for source, found in names.items():
        whole = not found
        module = source.removeprefix("import ") if whole else source
        top = module.split()[0].partition(".")[0]
        section = 0 if top in sys.stdlib_module_names else 2 if top == "lossbook" else 1
        line = source
        if found:
            items = sorted(found, key=lambda name: (not name.isupper(), not name[0].isupper(), name))
            line = f"from {source} import {', '.join(items)}"
            if len(line) > WIDTH:
                line = bracketed(f"from {source} import (", items, ")")
        sections[section].append((not whole, module, line))
    return "\n\n".join("\n".join(line for *_, line in sorted(part)) for part in sections.values() if part)
