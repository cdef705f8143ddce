"""From an executed chapter to its page: links, solutions in folds, pictures as files, and what to take away."""

import ast
import base64
import hashlib
import html
import re
from collections.abc import Mapping, Sequence

import nbformat
from nbformat import NotebookNode

from lossbook.book.chapter import Chapter
from lossbook.book.live import Live

ANCHOR = re.compile(r'^<a id="([\w-]+)"></a>\s*$', re.MULTILINE)
LINK = re.compile(r"\]\((?:\.\./)?(?:(\d\d_\w+)\.ipynb)?#([^)\s]+)\)")
HREF = re.compile(r'href="(\d\d_\w+)\.ipynb')
PICTURE = re.compile(r'<img src="data:image/png;base64,([^"]+)"([^>]*)>')
TARGET = "at-"  # so that no anchor has the name of a function or a module
TOLD = "*Solution.*"
FOLD = '<details class="lossbook-solution"><summary>Solution</summary>\n\n'


def page(
    chapter: Chapter, anchors: Mapping[str, set[str]], live: Live, *, solutions: bool = True
) -> tuple[NotebookNode, dict[str, bytes]]:
    """The chapter as MyST-NB reads it, and its pictures by file name.

    Args:
        chapter: executed, its equations numbered.
        anchors: stem -> the anchors of that chapter, as `anchors_of` gives them.
        live: where it can be run.
        solutions: False leaves the solutions out.
    """
    pictures: dict[str, bytes] = {}
    cells = _folded(chapter.notebook.cells, solutions)
    cells.insert(1, nbformat.v4.new_markdown_cell(_head(chapter, live, solutions)))
    for cell in cells:
        if cell.cell_type == "markdown":
            cell.source = with_targets(with_links(cell.source, chapter.stem, anchors))
        elif _in_the_way(cell.source):
            cell.metadata["tags"] = [*cell.metadata.get("tags", []), "hide-input"]
        for output in cell.get("outputs", []):
            if "text/html" in output.get("data", {}):
                output.data["text/html"] = _with_files(output.data["text/html"], pictures)
    for place, cell in enumerate(cells):
        cell.id = f"cell-{place}"  # the same each time, so that Sphinx reads a page again only where it changed
    notebook = nbformat.v4.new_notebook(cells=cells, metadata=chapter.notebook.metadata)
    return notebook, pictures


def anchors_of(chapter: Chapter) -> set[str]:
    """The ids that the chapter's author put in front of headings and equations."""
    return {name for cell in chapter.notebook.cells for name in ANCHOR.findall(cell.source)}


def with_links(text: str, stem: str, anchors: Mapping[str, set[str]]) -> str:
    """Links to anchors of chapters as links to MyST targets; those to headings stay as they are."""

    def rewritten(link: re.Match[str]) -> str:
        goal, name = link[1] or stem, link[2]
        if name in anchors.get(goal, ()):
            return f"](#{TARGET}{name})"
        return f"]({goal}.ipynb#{name})"

    return LINK.sub(rewritten, text)


def with_targets(text: str) -> str:
    """Each anchor also as a MyST target, so that Sphinx knows it."""
    return ANCHOR.sub(rf'<a id="\1"></a>\n\n({TARGET}\1)=', text)


def slug(heading: str) -> str:
    """The fragment of a heading as Jupyter makes it."""
    return heading.strip().replace(" ", "-")


def download(notebook: NotebookNode, live: Live) -> NotebookNode:
    """The notebook for a reader to take away; where a repository is set, it fetches the book for itself on Colab."""
    taken = nbformat.from_dict(notebook)
    if live.repository:
        name = live.repository.partition("/")[2]
        setup = (
            "# On Colab only: fetch the book and what it needs.\nimport sys\n\n"
            'if "google.colab" in sys.modules:\n'
            f"    !git clone --quiet --depth 1 {live.address}\n"
            f"    %pip install --quiet --editable {name}\n"
            f'    sys.path.insert(0, "{name}")'
        )
        cell = nbformat.v4.new_code_cell(setup, id="on-colab")
        taken.cells.insert(1, cell)
    return taken


def _head(chapter: Chapter, live: Live, solutions: bool) -> str:
    """Below the title: what can be taken away, and where the chapter runs."""
    folders = {"Download the notebook": "", "Without solutions": "student/", "Its exercises alone": "worksheets/"}
    taken = [
        f'<a href="notebooks/{folder}{chapter.stem}.ipynb" download>{words}</a>'
        for words, folder in folders.items()
        if solutions or folder != "student/"  # else the first is the students' edition
    ]
    runs = [f'<a href="{html.escape(address)}">{words}</a>' for words, address in live.links(chapter.stem).items()]
    return f'<p class="lossbook-take">{"".join(taken + runs)}</p>'


def _in_the_way(code: str) -> bool:
    """Whether a cell only fetches names, or ends in a picture and claims nothing: the page folds its code."""
    try:
        statements = ast.parse(code).body
    except SyntaxError:  # of IPython's own
        return False
    fetches = all(isinstance(statement, ast.Import | ast.ImportFrom) for statement in statements)
    last = ast.unparse(statements[-1]) if statements else ""
    return fetches or (last.startswith("show(") and "claim(" not in code)


def _folded(cells: Sequence[NotebookNode], solutions: bool) -> list[NotebookNode]:
    """Copies of the cells, with each solution, words and code, in a fold of its own, or left out."""
    found: list[NotebookNode] = []
    for cell in map(nbformat.from_dict, cells):
        coded = "solution" in cell.metadata.get("tags", [])
        told = cell.cell_type == "markdown" and cell.source.startswith(TOLD)
        if not (coded or told):
            found.append(cell)
        elif solutions:
            found += _in_fold(cell, begins=told, ends=coded)
    return found


def _in_fold(cell: NotebookNode, *, begins: bool, ends: bool) -> list[NotebookNode]:
    """A solution is told, then coded: the first opens the fold, the second closes it."""
    if begins:
        cell.source = FOLD + cell.source.removeprefix(TOLD).strip()
    return [cell, nbformat.v4.new_markdown_cell("</details>")] if ends else [cell]


def _with_files(markup: str, pictures: dict[str, bytes]) -> str:
    """The markup with its pictures as files, each a link to itself in full size, and links to pages of the site."""

    def filed(image: re.Match[str]) -> str:
        content = base64.b64decode(image[1])
        name = f"{hashlib.sha256(content).hexdigest()[:16]}.png"
        pictures[name] = content
        address = f"_static/figures/{name}"
        return f'<a class="lossbook-whole" href="{address}"><img src="{address}" loading="lazy"{image[2]}></a>'

    return HREF.sub(r'href="\1.html', PICTURE.sub(filed, markup))
