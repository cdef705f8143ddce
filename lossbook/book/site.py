"""Writes what Sphinx reads, and has Sphinx make the site of it."""

import hashlib
import importlib.util
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import jupytext
import nbformat

from lossbook.book import atlas, bibliography, comparison, equations, notation, reference, running
from lossbook.book.chapter import Chapter
from lossbook.book.chapters import anchors_of, download, page, with_links
from lossbook.book.execution import Source, execute, key, staleness, stored
from lossbook.book.live import Live, settings
from lossbook.catalog.papers import CHAPTERS, NOTEBOOKS, PARTS
from lossbook.checks import check_choice
from lossbook.course import student, worksheet

GENERATORS = (atlas, comparison, notation, bibliography, reference)
LOOKING_UP = ("atlas", "comparison", "catalogue", "notation", "glossary", "bibliography", "experiments", "api/index")
USING = ("running", "command_line")
STATIC = Path(__file__).parent / "static"


class BuildError(Exception):
    """Sphinx met an error or a warning; the message says where the whole of it stands."""


def build(
    root: Path,
    out: Path,
    *,
    chapters: Sequence[str] | None = None,
    solutions: bool = True,
    live: Live | None = None,
    extra: Mapping[str, str] | None = None,
    workers: int = 2,
    say: Callable[[str], None] = lambda line: None,
) -> Path:
    """Build the site, doing again only what changed.

    Args:
        root: the repository's folder.
        out: where to build; the site comes to `out/site`, beside it lie the executed chapters and Sphinx's sources.
        chapters: those to run, by their two digits; all that are written by default. The others come with the
            outputs that the repository holds.
        solutions: False leaves the solutions out, for a class that is to hand them in.
        live: where the chapters can be run; by default what pyproject.toml says under [tool.lossbook].
        extra: further pages, by path in the source tree.
        workers: chapters executed at once.
        say: told of each step in a line.

    Returns:
        The site's first page.

    Raises:
        ValueError: no such chapter.
        ChapterError: a chapter stopped with an error.
        BuildError: Sphinx met an error or a warning.
    """
    live = settings(root) if live is None else live
    executed = _executed(root, out / "executed", chapters, workers, say)
    files, pictures = tree(executed, root, live, extra or {}, solutions=solutions)
    source, site = out / "source", out / "site"
    (out / "built").unlink(missing_ok=True)
    mirror(files, source)
    say(f"{len(files)} files to read; Sphinx begins")
    _sphinx(source, site, out)
    frames = {path.name: path for path in (out / "executed" / "frames").glob("*/*")}
    mirror(frames, site / "_static" / "frames")
    mirror(pictures, site / "_static" / "figures")
    mirror(_downloads(root, live, solutions), site / "notebooks")
    mirror(_mathjax(), site / "_static" / "mathjax")
    (out / "built").write_text(_digest(files), encoding="utf-8")
    return site / "index.html"


def outdated(root: Path, out: Path, extra: Mapping[str, str] | None = None) -> list[str]:
    """What `build` would do again for the whole book, a line each; nothing where the site is what it would make."""
    sources, cache = written(root), out / "executed"
    why = {source.stem: staleness(source.stem, key(source.notebook), root, cache) for source in sources}
    if any(why.values()):
        return [f"{stem}: {reason}" for stem, reason in why.items() if reason]
    files, _ = tree(execute(sources, root, cache), root, settings(root), extra or {})
    built = out / "built"
    fresh = built.exists() and built.read_text(encoding="utf-8") == _digest(files)
    return [] if fresh else ["the pages"]


def written(root: Path) -> list[Source]:
    """The chapters as their authors left them, from their text twins."""
    stems = {number: Path(name).stem for number, name in NOTEBOOKS.items()}
    return [
        Source(number, CHAPTERS[number], stem, jupytext.read(root / "notebooks" / "text" / f"{stem}.py"))
        for number, stem in stems.items()
    ]


def _executed(
    root: Path, cache: Path, chosen: Sequence[str] | None, workers: int, say: Callable[[str], None]
) -> list[Chapter]:
    """All chapters, those that were chosen run."""
    for number in chosen or ():
        check_choice("chapters", number, NOTEBOOKS)
    sources = written(root)
    to_run = [source for source in sources if chosen is None or source.number in chosen]
    done = {chapter.number: chapter for chapter in execute(to_run, root, cache, workers=workers, say=say)}
    return [done.get(source.number) or stored(source, root) for source in sources]


def tree(
    chapters: Sequence[Chapter], root: Path, live: Live, extra: Mapping[str, str], *, solutions: bool = True
) -> tuple[dict[str, str | bytes], dict[str, bytes]]:
    """What Sphinx reads, by path in its source folder; and the chapters' pictures by file name."""
    anchors = {chapter.stem: anchors_of(chapter) for chapter in chapters}
    files: dict[str, str | bytes] = {f"_static/{path.name}": path.read_bytes() for path in STATIC.iterdir()}
    pictures: dict[str, bytes] = {}
    displays = equations.find({chapter.stem: equations.prose(chapter) for chapter in chapters})
    for chapter in equations.numbered(chapters):
        notebook, shown = page(chapter, anchors, live, solutions=solutions)
        pictures |= shown
        files[f"{chapter.stem}.ipynb"] = _text(notebook)
    for path in sorted((root / "notebooks" / "pages").glob("*.md")):
        text = path.read_text(encoding="utf-8").replace(running.MARK, running.table(chapters))
        files[path.name] = with_links(equations.refer(text, displays, path.stem), "", anchors)
    files |= extra
    for generator in GENERATORS:
        files |= generator.pages(chapters)
    files["index.md"] = str(files["index.md"]) + _contents(chapters, files)
    return files, pictures


def mirror(files: Mapping[str, str | bytes | Path], folder: Path) -> None:
    """Make the folder hold these files and no others; what is there already, byte for byte, is left alone."""
    for path in sorted(folder.rglob("*"), reverse=True):
        if path.is_file() and path.relative_to(folder).as_posix() not in files:
            path.unlink()
    for name, content in files.items():
        goal = folder / name
        goal.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, Path):
            if not goal.exists() or goal.stat().st_size != content.stat().st_size:
                shutil.copy2(content, goal)
            continue
        wanted = content.encode() if isinstance(content, str) else content
        if not goal.exists() or goal.read_bytes() != wanted:
            goal.write_bytes(wanted)


def _contents(chapters: Sequence[Chapter], files: Mapping[str, str | bytes]) -> str:
    """The tables of contents: chapters by part, then what is there to look up."""

    def toctree(caption: str, names: Sequence[str]) -> str:
        return f"\n```{{toctree}}\n:caption: {caption}\n:hidden:\n\n" + "\n".join(names) + "\n```\n"

    parts = {number: [c.stem for c in chapters if c.number.startswith(number)] for number in PARTS}
    there = {name.rpartition(".")[0] for name in files}
    shelves: dict[str, Sequence[str]] = {PARTS[number]: stems for number, stems in parts.items() if stems}
    shelves |= {"To look up": LOOKING_UP, "To use": USING}
    return "".join(toctree(caption, [name for name in names if name in there]) for caption, names in shelves.items())


def _sphinx(source: Path, site: Path, out: Path) -> None:
    """Run Sphinx with warnings as errors.

    It remembers what it has read, so what it has warned of once it would not warn of again; and it does not see that
    what reads the pages for it has changed. In both cases it begins anew.
    """
    import sphinx
    from sphinx.application import Sphinx
    from sphinx.util.console import nocolor

    from lossbook.book.configuration import SETTINGS

    nocolor()
    log, stamp, doctrees = out / "warnings.txt", out / "reader", out / "doctrees"
    room = {path.name: path.read_bytes() for path in sorted(Path(__file__).parent.glob("*.py"))}
    reader = _digest(room | {"sphinx": sphinx.__version__})
    if not stamp.exists() or stamp.read_text(encoding="utf-8") != reader:
        shutil.rmtree(doctrees, ignore_errors=True)
        shutil.rmtree(site, ignore_errors=True)
    stamp.unlink(missing_ok=True)
    how: dict[str, Any] = {"confoverrides": SETTINGS, "status": None, "parallel": 2}
    with log.open("w", encoding="utf-8") as warnings:
        app = Sphinx(source, None, site, doctrees, "html", warning=warnings, **how)
        app.build()
    said = log.read_text(encoding="utf-8").strip()
    if said or app.statuscode:
        raise BuildError(f"{said[-4000:]}\nSphinx warned; the whole is in {log}")
    stamp.write_text(reader, encoding="utf-8")


def _downloads(root: Path, live: Live, solutions: bool) -> dict[str, str]:
    """The notebooks to take away, as they are in the repository, and what students get of them."""
    taken: dict[str, str] = {}
    for name in NOTEBOOKS.values():
        notebook = nbformat.read(root / "notebooks" / name, as_version=4)
        for_students = _text(student(notebook, repository=live.address))
        taken[name] = _text(download(notebook, live)) if solutions else for_students
        taken |= {f"student/{name}": for_students} if solutions else {}
        taken[f"worksheets/{name}"] = _text(worksheet(notebook, repository=live.address))
    return taken


def _mathjax() -> dict[str, Path]:
    """MathJax from its Python package: what a page of TeX loads, and no more."""
    spec = importlib.util.find_spec("sphinx-mathjax-offline")
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError("the book needs sphinx-mathjax-offline: pip install -e '.[book]' -c constraints.txt")
    home = Path(spec.origin).parent / "static" / "mathjax"
    wanted = [home / "tex-chtml.js"]
    for folder in ("output/chtml/fonts", "input/tex/extensions", "a11y", "sre"):
        wanted += (home / folder).rglob("*")
    return {path.relative_to(home).as_posix(): path for path in wanted if path.is_file()}


def _digest(files: Mapping[str, str | bytes]) -> str:
    whole = hashlib.sha256()
    for name, content in sorted(files.items()):
        whole.update(name.encode() + b"\0" + (content.encode() if isinstance(content, str) else content))
    return whole.hexdigest()


def _text(notebook: nbformat.NotebookNode) -> str:
    return nbformat.writes(notebook) + "\n"
