"""What a chapter's code uses of the package: the statements whose change can change what the code does.

Nothing is run. The code is parsed, and from each name that it takes of the package the way leads on to the statements
that bind the name, to the names in these, and so on: another experiment in EXPERIMENTS does not touch a chapter that
imports one of the others. What a module does on import, besides binding names, counts wherever the module is imported.
A module that is handed on as a value, as in `getattr(datasets, name)`, counts with every name that it binds. Comments,
layout and docstrings count only where the code reads them.

This is sound in a house where no module changes another, and where none imports by a name that it computes for itself;
the tests hold both as far as the chapters go. Data files are not seen here.
"""

import ast
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from lossbook.book.statements import Code, Dotted, Seen, Use, code_of, digest_of, pieces
from lossbook.checks import bad_type, bad_value

INIT = "__init__.py"
READERS = {"help", "__doc__", "getdoc", "getsource", "getsourcelines"}  # these make text a part of the outcome


class Module(NamedTuple):
    """A module of the package: the name of its file, as "lossbook/losses/__init__.py", and what stands in it."""

    file: str
    text: str

    @property
    def is_package(self) -> bool:
        """Whether it is the `__init__` of a package."""
        return self.file.endswith(INIT)


Modules = Mapping[Dotted, Module]
Part = tuple[Dotted, str]  # a module, and a name that it binds; "" for the statements that run on import


def sources(cells: Sequence[str], root: str | Path | None = None) -> dict[str, str]:
    """The files of the package that code uses, itself or through others, each with a digest of what is used of it.

    Args:
        cells: the code, a text a cell.
        root: folder of the package, whose name is the package's; None is this one.

    Returns:
        Sorted, "lossbook/losses/_spherical.py" -> digest. Where the dictionary is the same, so is all code that counts.

    Raises:
        TypeError: `cells` is one text.
        ValueError: a cell is not Python, and the message names it; or `root` holds no package.

    Example:
        >>> used = sources(["from lossbook.losses import z_loss"])
        >>> "lossbook/losses/_spherical.py" in used, "lossbook/losses/_margin.py" in used
        (True, False)
    """
    if isinstance(cells, str):
        raise bad_type("cells", cells, "a sequence of texts, one a cell")
    root = Path(__file__).resolve().parents[1] if root is None else Path(root).resolve()
    if not (root / INIT).exists():
        raise bad_value("root", str(root), f"the folder of a package, with {INIT} in it")
    trees = [_parsed(number, cell) for number, cell in enumerate(cells)]
    modules = read(root)
    parts = used(trees, modules)
    if parts is None:
        return {module.file: digest_of(module.text) for module in modules.values()}
    if any(name in READERS for chain in Seen.of(trees).chains for name in chain):
        return {modules[at].file: digest_of(modules[at].text) for at, _ in sorted(parts)}
    lines: dict[str, list[str]] = {}
    for (at, name), code in sorted(parts.items()):
        lines.setdefault(modules[at].file, []).append(f"{name} {code.digest}")
    return {file: digest_of("\n".join(of_file)) for file, of_file in sorted(lines.items())}


def read(root: Path) -> Modules:
    """The modules of the package in a folder, by their names."""
    found = {}
    for file in sorted(root.rglob("*.py")):
        path = file.relative_to(root.parent)
        name = path.parent.parts if file.name == INIT else path.with_suffix("").parts
        state = file.stat()
        found[name] = Module(path.as_posix(), _text(file, state.st_mtime_ns, state.st_size))
    return found


@lru_cache(maxsize=1024)
def _text(file: Path, when: int, size: int) -> str:
    return file.read_text(encoding="utf-8")


def used(trees: Sequence[ast.Module], modules: Modules) -> dict[Part, Code] | None:
    """The parts of a package that parsed code uses; None where it imports by a name that is not written out."""
    top = next(iter(modules))[:1]
    seen = Seen.of(trees)
    if seen.imports_unseen():
        return None
    found: dict[Part, Code] = {}
    todo, met = list(seen.uses(top, top, ())), set()
    while todo:
        use = todo.pop()
        if use not in met:
            met.add(use)
            for part, code, onward in _follow(modules, use):
                found[part] = code
                todo.extend(onward)
                todo.extend(code.uses)
    return found


def _follow(modules: Modules, use: Use) -> Iterator[tuple[Part, Code, list[Use]]]:
    """The code on the way to what is used, each with the ways that lead on from it."""
    at, path = use.module[:1], use.module[1:] + use.names
    while at in modules:
        names = pieces(modules[at].text)
        if "" in names:
            yield (at, ""), _code(modules, at, ""), []
        name, path = (path[0], path[1:]) if path else ("", ())
        below = (*at, name) in modules
        if name and name in names and (not below or len(at) >= len(use.module)):
            code, itself = _code(modules, at, name), Use(at, (name,))
            targets = code.aliases.get(name, frozenset())
            yield (at, name), code, [target.then(path, use.value) for target in targets if target != itself]
            if itself not in targets:  # `from package import module` in the package's own __init__ leads to the module
                return
        elif not below and (name or use.value):  # handed on, or bound in a way that is not seen: any of its names
            deep = modules[at].is_package  # it hands on its modules; what a plain module imports is its own affair
            yield from (step for each in names if each for step in _follow(modules, Use(at, (each,), deep)))
        at = (*at, name)


def _code(modules: Modules, at: Dotted, name: str) -> Code:
    return code_of(modules[at].text, at, modules[at].is_package, name)


def _parsed(number: int, cell: str) -> ast.Module:
    try:
        return ast.parse(cell)
    except SyntaxError as error:
        line = (error.text or "").strip()
        raise ValueError(
            f"cells[{number}], line {error.lineno}: got {line!r}, expected Python without magics: {error.msg}"
        ) from None
