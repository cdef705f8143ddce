"""A checkout of the book as text: what it says of itself, and files that are written together or not at all."""

import ast
import re
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

from lossbook.catalog.papers import Paper
from lossbook.catalog.papers import read as read_papers
from lossbook.checks import bad_value

PAPERS, PAPERS_TABLE = "lossbook/catalog/papers.py", "lossbook/catalog/papers.toml"
LOSSES, RECORDS = "lossbook/losses/__init__.py", "lossbook/catalog/__init__.py"
README, BAD_INPUT = "README.md", "tests/test_bad_input.py"
NEEDED = (PAPERS, PAPERS_TABLE, LOSSES, RECORDS, README, BAD_INPUT)
WORDS = r"[a-z][a-z0-9]*(_[a-z0-9]+)*"


class Checkout:
    """A checkout: what stands in its files, and what is to stand there.

    Raises:
        ValueError: the folder is no checkout of the book.
    """

    def __init__(self, root: str | Path):
        self.root = Path(root)
        for name in NEEDED:
            if not (self.root / name).is_file():
                raise bad_value("root", str(root), f"a checkout of lossbook: {name} is not there")
        self._texts: dict[str, str] = {}
        self._made: set[str] = set()

    def text(self, name: str) -> str:
        """A file's text, as it is to be."""
        return self._texts[name] if name in self._texts else (self.root / name).read_text(encoding="utf-8")

    def make(self, name: str, text: str) -> None:
        """A new file is to hold this text.

        Raises:
            ValueError: the file is there already.
        """
        if (self.root / name).exists():
            raise ValueError(f"{name}: got a file that is there, expected none: nothing is overwritten")
        self._made.add(name)
        self._texts[name] = text

    def change(self, name: str, text: str) -> None:
        """A file that is there is to hold this text."""
        self._texts[name] = text

    def write(self) -> list[Path]:
        """Write all that was asked for, or, where one file cannot be written, leave everything as it was.

        Returns:
            The files that were made or changed.
        """
        before = {name: None if name in self._made else (self.root / name).read_bytes() for name in self._texts}
        try:
            for name, text in self._texts.items():
                with (self.root / name).open("x" if name in self._made else "w", encoding="utf-8", newline="") as file:
                    file.write(text)
        except BaseException:
            for name, content in before.items():
                if content is not None:
                    (self.root / name).write_bytes(content)
                else:
                    (self.root / name).unlink(missing_ok=True)
            raise
        return [self.root / name for name in self._texts]

    def literal(self, name: str, variable: str) -> Any:
        """The value of a variable that a module spells out."""
        return ast.literal_eval(assignment(self.text(name), variable).value)

    def papers(self) -> dict[str, Paper]:
        """The systems of papers.toml by their key."""
        return read_papers(self.text(PAPERS_TABLE))

    def families(self) -> dict[str, dict[str, str]]:
        """Each family of losses: the kind of its inputs, the chapter of its first record, and its module.

        Of several modules the first that has its functions in one of the same name.
        """
        found: dict[str, dict[str, str]] = {}
        paths = sorted((self.root / "lossbook/catalog").glob("_*.py"))
        for path in sorted(paths, key=lambda path: not (self.root / "lossbook/losses" / path.name).exists()):
            for node in ast.walk(ast.parse(self.text(f"lossbook/catalog/{path.name}"))):
                if isinstance(node, ast.Call):
                    given = {k.arg: str(k.value.value) for k in node.keywords if isinstance(k.value, ast.Constant)}
                    if {"family", "inputs", "chapter"} <= set(given):
                        row = {"inputs": given["inputs"], "chapter": given["chapter"], "module": path.name}
                        found.setdefault(given["family"], row)
        return found


def assignment(text: str, variable: str) -> Any:
    """The statement of a module that gives a variable its value."""
    for node in ast.parse(text).body:
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        if isinstance(node, ast.Assign | ast.AnnAssign) and any(getattr(t, "id", "") == variable for t in targets):
            return node
    raise ValueError(f"{variable}: got a module without it, expected one that assigns it")


def template(name: str, words: Mapping[str, str]) -> str:
    """A template of this room with its <<places>> filled.

    Raises:
        KeyError: a place for which there is no word.
    """
    text = files("lossbook.skeletons").joinpath("templates", f"{name}.txt").read_text(encoding="utf-8")
    return re.sub(r"<<(\w+)>>", lambda place: words[place[1]], text)


def in_words(name: str) -> str:
    """A name in words, the first letter a capital.

    >>> in_words("huberised_loss")
    'Huberised loss'
    """
    return name.replace("_", " ").capitalize()
