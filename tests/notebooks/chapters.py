"""The chapters as the tests see them."""

import re
from functools import cache
from pathlib import Path

import nbformat

ROOT = Path(__file__).parents[2]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("[0-9][0-9]_*.ipynb"))


def text_twin(path):
    return path.parent / "text" / f"{path.stem}.py"


@cache
def cells(path):
    return nbformat.read(path, as_version=4).cells


def code_cells(path):
    return [cell for cell in cells(path) if cell.cell_type == "code" and cell.source.strip()]


def prose(path):
    return "\n\n".join(cell.source for cell in cells(path) if cell.cell_type == "markdown")


def tags(cell):
    return cell.metadata.get("tags", [])


def sections(path):
    """The parts between second-level headings, markdown and code together: title -> text."""
    whole = "\n\n".join(cell.source for cell in cells(path))
    parts = re.split(r"^## ", whole, flags=re.MULTILINE)[1:]
    return {part.partition("\n")[0].strip(): part for part in parts}


def html_of(cell):
    """All HTML that a cell shows."""
    shown = [output.get("data", {}).get("text/html", "") for output in cell.get("outputs", [])]
    return "\n".join("".join(part) for part in shown)


def text_of(cell):
    """All plain text that a cell shows."""
    outputs = cell.get("outputs", [])
    return "\n".join("".join(output.get("text", output.get("data", {}).get("text/plain", ""))) for output in outputs)
