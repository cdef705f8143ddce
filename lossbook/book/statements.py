"""What stands in code: the statements that bind a name, what these take of the package, what they are given to import.

Parsed, and never run.
"""

import ast
import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from typing import NamedTuple

DOTTED = re.compile(r"\w+(\.\w+)+")
IMPORTERS = {"import_module", "resolve_name", "resolve", "__import__", "exec", "eval"}
# Decorators that enter what they decorate in no registry. Under any other a definition counts with its module.
PLAIN = {"cache", "compiled", "contextmanager", "dataclass", "inlined", "intrinsic", "jit", "judged", "lru_cache"}
PLAIN |= {"no_grad", "runtime_checkable", "styled"}
DEFINITIONS = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef

Dotted = tuple[str, ...]  # ("lossbook", "losses") is lossbook.losses


class Use(NamedTuple):
    """What code reaches: a module, and names taken from it, each of the one before, as in `module.a.b`.

    `value`: it is not only imported but read, so that a module may be handed on.
    """

    module: Dotted
    names: Dotted = ()
    value: bool = False

    def then(self, names: Dotted, value: bool) -> "Use":
        """What `names` after this one reach."""
        return Use(self.module, self.names + names, value)


class Code(NamedTuple):
    """Statements: their digest, what they reach, and what of the package the names stand for that they import."""

    digest: str
    uses: frozenset[Use]
    aliases: Mapping[str, frozenset[Use]]


@lru_cache(maxsize=1024)
def pieces(text: str) -> dict[str, list[ast.stmt]]:
    """The names that a module binds, each with the statements that do; under "" those that may do something else."""
    pieces: dict[str, list[ast.stmt]] = {}
    for node in _bare(ast.parse(text)).body:
        for piece in _single(node):
            bound = _bound(piece)
            for name in [*bound, ""] if not bound or _does_more(piece) else bound:
                pieces.setdefault(name, []).append(piece)
    pieces.pop("__all__", None)
    return pieces


def _bare(tree: ast.Module) -> ast.Module:
    """The tree without its docstrings."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | DEFINITIONS) and node.body:
            first = node.body[0]
            if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and type(first.value.value) is str:
                del node.body[0]
    return tree


def _single(node: ast.stmt) -> Iterator[ast.stmt]:
    """An import statement as one for each name."""
    if isinstance(node, ast.Import):
        yield from (ast.Import([alias]) for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        yield from (ast.ImportFrom(node.module, [alias], node.level) for alias in node.names)
    else:
        yield node


def _bound(node: ast.AST) -> list[str]:
    """The names that a statement binds where it stands, not within a function."""
    if isinstance(node, DEFINITIONS):
        return [node.name]
    if isinstance(node, ast.Import | ast.ImportFrom):
        return [alias.asname or alias.name.partition(".")[0] for alias in node.names if alias.name != "*"]
    if isinstance(node, ast.Name):
        return [] if isinstance(node.ctx, ast.Load) else [node.id]
    if isinstance(node, ast.Lambda | ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp):
        return []
    return [name for child in ast.iter_child_nodes(node) for name in _bound(child)]


def _does_more(node: ast.stmt) -> bool:
    """Whether a statement that binds names may do something besides."""
    if isinstance(node, DEFINITIONS):
        return not all(_called(decorator) in PLAIN for decorator in node.decorator_list)
    return not isinstance(node, ast.Assign | ast.AnnAssign | ast.Import | ast.ImportFrom)


def _called(node: ast.expr) -> str:
    """The last name of what is called, or decorates: c of `a.b.c(...)`."""
    base, attributes = _chain(node.func if isinstance(node, ast.Call) else node)
    return attributes[-1] if attributes else getattr(base, "id", "")


def _chain(node: ast.expr) -> tuple[ast.expr, Dotted]:
    """`a.b.c` as a and (b, c)."""
    attributes: Dotted = ()
    while isinstance(node, ast.Attribute):
        attributes = (node.attr, *attributes)
        node = node.value
    return node, attributes


@lru_cache(maxsize=16384)
def code_of(text: str, module: Dotted, is_package: bool, name: str) -> Code:
    """The code of a module of that name and text which binds a name; "" is what runs on import."""
    names = pieces(text)
    seen = Seen.of(names[name])
    package = module if is_package else module[:-1]
    digest = digest_of("\n".join(map(ast.dump, names[name])))
    return Code(digest, seen.uses(package, module, names), seen.aliases(package))


def digest_of(text: str) -> str:
    """A digest of a text, in hexadecimal digits."""
    return hashlib.sha256(text.encode()).hexdigest()


class Seen(NamedTuple):
    """What stands in some code: imports, chains of names (`a.b.c`), dotted texts, what importers are given."""

    imported: list[tuple[str, Dotted, Dotted, int]]  # the name bound, module, name taken, level of a relative import
    chains: set[Dotted]
    texts: set[str]
    given: list[ast.expr]

    @classmethod
    def of(cls, nodes: Iterable[ast.AST]) -> "Seen":
        """What stands in parsed code."""
        seen, todo = cls([], set(), set(), []), list(nodes)
        while todo:
            node = todo.pop()
            if isinstance(node, ast.Import | ast.ImportFrom):
                seen.imported.extend(_imported(node))
            elif isinstance(node, ast.Name | ast.Attribute):
                base, attributes = _chain(node)
                if not isinstance(base, ast.Name):
                    todo.append(base)
                    seen.chains.add(("", *attributes))
                elif attributes or isinstance(base.ctx, ast.Load):
                    seen.chains.add((base.id, *attributes))
            elif isinstance(node, ast.Constant):
                if isinstance(node.value, str) and DOTTED.fullmatch(node.value):
                    seen.texts.add(node.value)
            else:
                if isinstance(node, ast.Call) and node.args and _called(node) in IMPORTERS:
                    seen.given.append(node.args[0])
                todo.extend(ast.iter_child_nodes(node))
        return seen

    def imports_unseen(self) -> bool:
        """Whether something is imported, or run, whose name is not written out."""
        return not all(isinstance(node, ast.Constant) for node in self.given)

    def aliases(self, package: Dotted) -> dict[str, frozenset[Use]]:
        """The names that imports bind in a package -> what of it they stand for."""
        found: dict[str, frozenset[Use]] = {}
        for name, module, taken, level in self.imported:
            module = package[: len(package) + 1 - level] + module if level else module
            if module[:1] == package[:1]:
                found[name] = found.get(name, frozenset()) | {Use(module, taken, name == "*")}
        return found

    def uses(self, package: Dotted, module: Dotted, names: Iterable[str]) -> frozenset[Use]:
        """What the code of a module reaches; `names` are those that the module binds."""
        bound = self.aliases(package)
        reached = {use for uses in bound.values() for use in uses}
        for name in filter(None, names):
            bound[name] = bound.get(name, frozenset()) | {Use(module, (name,))}
        for name, *attributes in self.chains:
            reached |= {use.then(tuple(attributes), True) for use in bound.get(name, ())}
        given = {node.value for node in self.given if isinstance(node, ast.Constant)}
        for text in self.texts:
            path = tuple(text.split("."))
            reached |= {Use(path[:1], path[1:], text in given), Use(path, (), text in given)}
        return frozenset(use for use in reached if use.module[0] == module[0])


def _imported(node: ast.Import | ast.ImportFrom) -> Iterator[tuple[str, Dotted, Dotted, int]]:
    for alias in node.names:
        path = tuple(alias.name.split("."))
        if isinstance(node, ast.ImportFrom):
            module = tuple(node.module.split(".")) if node.module else ()
            yield alias.asname or alias.name, module, () if path == ("*",) else path, node.level
        elif alias.asname:
            yield alias.asname, path, (), 0
        else:  # `import a.b` binds a, and imports a.b under no name
            yield path[0], path[:1], (), 0
            yield f"import {alias.name}", path, (), 0
