"""Runs the chapters for the book, and keeps what they gave for as long as it holds.

What a chapter gave holds while its code, the parts of the package that the code uses, the files that it read, and the
versions of what the package stands on are the same. Prose may change: outputs belong to the code cells, in their order.
"""

import asyncio
import contextlib
import hashlib
import importlib.metadata
import json
import os
import platform
import re
import shutil
import signal
import tempfile
import time
import tomllib
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from nbformat import NotebookNode
from packaging.requirements import Requirement

from lossbook.book.chapter import Chapter
from lossbook.book.sources import sources

SECONDS_PER_CELL = 600
PROJECT = Path(__file__).resolve().parents[2] / "pyproject.toml"
WIDGETS = "application/vnd.jupyter.widget"
COLOUR = re.compile(r"\x1b\[[0-9;]*m")
WATCHING = str(Path(__file__).with_name("watching.py"))
START = f"import runpy as _runpy; _watching = _runpy.run_path({WATCHING!r}); _watching['start']({{root!r}}); del _runpy"
REPORT = "print(_watching['report']())"


class ChapterError(Exception):
    """A chapter stopped with an error; the message names chapter and cell, and holds the traceback."""


class Source(NamedTuple):
    """A chapter as its author left it."""

    number: str
    title: str
    stem: str
    notebook: NotebookNode


def execute(
    chapters: Sequence[Source],
    root: Path,
    cache: Path,
    *,
    workers: int = 2,
    say: Callable[[str], None] = lambda line: None,
) -> list[Chapter]:
    """The chapters with their outputs: from the cache where they hold, else by running them, a few at a time.

    Args:
        chapters: what to run.
        root: the repository's folder.
        cache: where results are kept: `STEM.ipynb`, `STEM.json`, and the frozen pictures in `frames/STEM/`.
        workers: how many kernels may run at once, with one thread each.
        say: told a line whenever a chapter begins, ends or is found kept.

    Raises:
        ChapterError: one or more chapters stopped; the others have been run and kept.
    """
    cache.mkdir(parents=True, exist_ok=True)
    keys = {chapter.stem: key(chapter.notebook) for chapter in chapters}
    why = {chapter.stem: staleness(chapter.stem, keys[chapter.stem], root, cache) for chapter in chapters}
    for stem, reason in why.items():
        say(f"{stem}: to be run, {reason}" if reason else f"{stem}: kept")
    stale = [chapter for chapter in chapters if why[chapter.stem]]
    if stale:
        failures = _to_its_end(_run_all(stale, keys, root, cache, workers, say))
        if failures:
            raise ChapterError("\n\n".join(failures))
    return [_kept(chapter, cache) for chapter in chapters]


def stored(chapter: Source, root: Path) -> Chapter:
    """The chapter with the outputs that the repository holds: pictures of explorers instead of explorers, no numbers of
    its run. Where its code is no longer that of the outputs, it has none.
    """
    path = root / "notebooks" / f"{chapter.stem}.ipynb"
    held = nbformat.read(path, as_version=4) if path.exists() else chapter.notebook
    for output in (output for cell in held.cells for output in cell.get("outputs", [])):
        _drop_widgets(output)
    same = _code(held) == _code(chapter.notebook)
    notebook = _with_outputs(chapter.notebook, held) if same else chapter.notebook
    return Chapter(chapter.number, chapter.stem, chapter.title, notebook)


def key(notebook: NotebookNode) -> dict[str, Any]:
    """What a chapter's outputs depend on and can be known beforehand: its code, the package, versions."""
    code = _code(notebook)
    return {"code": _digest("\0".join(code).encode()), "sources": sources(code), "versions": _versions()}


def staleness(stem: str, wanted: dict[str, Any], root: Path, cache: Path) -> str:
    """Why the cache does not hold what running the chapter now would give, in a few words; empty where it does."""
    try:
        about = json.loads((cache / f"{stem}.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return "not run yet"
    if not (cache / f"{stem}.ipynb").exists() or not (cache / "frames" / stem).is_dir():
        return "its outputs are gone"
    if about["key"]["code"] != wanted["code"]:
        return "its code changed"
    changed = [
        name
        for had, has in (
            (about["key"]["sources"], wanted["sources"]),
            (about["key"]["versions"], wanted["versions"]),
            (about["files"], _files(about["files"], root)),
        )
        for name in sorted(had.keys() | has.keys())
        if had.get(name) != has.get(name)
    ]
    return "changed: " + ", ".join(changed[:3] + ["..."] * (len(changed) > 3)) if changed else ""


def _kept(chapter: Source, cache: Path) -> Chapter:
    """The chapter as it is written now, with the outputs that were kept."""
    about = json.loads((cache / f"{chapter.stem}.json").read_text(encoding="utf-8"))
    executed = nbformat.read(cache / f"{chapter.stem}.ipynb", as_version=4)
    notebook = _with_outputs(chapter.notebook, executed)
    return Chapter(chapter.number, chapter.stem, chapter.title, notebook, about["seconds"], about["peak_bytes"])


def _with_outputs(notebook: NotebookNode, executed: NotebookNode) -> NotebookNode:
    """A copy of the notebook whose code cells show what the same cells of another show."""
    copy = nbformat.from_dict(notebook)
    shown = [cell.outputs for cell in executed.cells if cell.cell_type == "code"]
    code = [cell for cell in copy.cells if cell.cell_type == "code"]
    for number, (cell, outputs) in enumerate(zip(code, shown, strict=True), start=1):
        cell.outputs, cell.execution_count = outputs, number
    return copy


def _code(notebook: NotebookNode) -> list[str]:
    return [cell.source for cell in notebook.cells if cell.cell_type == "code"]


def _to_its_end(work: Coroutine[Any, Any, list[str]]) -> list[str]:
    """Run it here, or beside the loop that runs here already, as in a notebook."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(work)
    with ThreadPoolExecutor(1) as beside:
        return beside.submit(asyncio.run, work).result()


async def _run_all(
    chapters: Sequence[Source],
    keys: dict[str, Any],
    root: Path,
    cache: Path,
    workers: int,
    say: Callable[[str], None],
) -> list[str]:
    """Run and keep each; what went wrong, in words."""
    free = asyncio.Semaphore(workers)

    async def one(chapter: Source) -> str:
        async with free:
            say(f"{chapter.stem}: begins")
            try:
                seconds = await _run(chapter, keys[chapter.stem], root, cache)
            except ChapterError as error:
                say(f"{chapter.stem}: failed")
                return str(error)
            say(f"{chapter.stem}: {seconds:.0f} s")
            return ""

    return [failure for failure in await asyncio.gather(*map(one, chapters)) if failure]


async def _run(chapter: Source, wanted: dict[str, Any], root: Path, cache: Path) -> float:
    """Run one chapter in a kernel of its own and keep what it gave; its seconds."""
    frames = Path(tempfile.mkdtemp(prefix=f"{chapter.stem}-", dir=cache))
    notebook = nbformat.from_dict(chapter.notebook)
    place = {"metadata": {"path": str(root / "notebooks")}}
    client = NotebookClient(notebook, timeout=SECONDS_PER_CELL, resources=place, record_timing=False)
    client.extra_arguments = ["--log-level=ERROR"]
    index = 0
    environment = os.environ | {"LOSSBOOK_FREEZE": str(frames), "OMP_NUM_THREADS": "1"}
    try:
        began = time.perf_counter()
        async with client.async_setup_kernel(env=environment):
            with contextlib.suppress(
                NotImplementedError, ValueError
            ):  # nbclient would take Ctrl-C, and kill one kernel
                asyncio.get_running_loop().remove_signal_handler(signal.SIGINT)
            await _aside(client, START.format(root=str(root)))
            for index, cell in enumerate(notebook.cells):
                await client.async_execute_cell(cell, index)
            seconds = time.perf_counter() - began
            told = json.loads(await _aside(client, REPORT))
        for index, cell in enumerate(notebook.cells):
            _check_outputs(f"{chapter.stem}, cell {index + 1}", cell.get("outputs", []))
        _keep(chapter.stem, notebook, frames, cache)
        about = {"key": wanted, "files": _files(told["files"], root), "seconds": seconds}
        text = json.dumps(about | {"peak_bytes": told["peak_bytes"]}, indent=1)
        (cache / f"{chapter.stem}.json").write_text(text, encoding="utf-8")  # last: it says that the rest is whole
    except CellExecutionError as error:
        said = COLOUR.sub("", str(error))
        raise ChapterError(f"{chapter.stem}, cell {index + 1}:\n{said}") from error
    finally:
        shutil.rmtree(frames, ignore_errors=True)
    return seconds


async def _aside(client: NotebookClient, code: str) -> str:
    """Run code that is no cell of the chapter; what it printed."""
    cell = nbformat.v4.new_code_cell(code)
    client.nb.cells.append(cell)
    await client.async_execute_cell(cell, len(client.nb.cells) - 1, store_history=False)
    client.nb.cells.pop()
    return "".join(output.text for output in cell.outputs if output.output_type == "stream")


def _keep(stem: str, notebook: NotebookNode, frames: Path, cache: Path) -> None:
    (cache / f"{stem}.json").unlink(missing_ok=True)
    nbformat.write(notebook, cache / f"{stem}.ipynb")
    shutil.rmtree(cache / "frames" / stem, ignore_errors=True)
    (cache / "frames").mkdir(exist_ok=True)
    frames.chmod(0o755)  # mkdtemp made it private
    frames.rename(cache / "frames" / stem)


def _check_outputs(where: str, outputs: Sequence[NotebookNode]) -> None:
    """Refuse what a reader without a kernel would miss: a widget that is not frozen, a warning, a traceback."""
    for output in outputs:
        if any(kind.startswith(WIDGETS) for kind in output.get("data", {})):
            raise ChapterError(f"{where}: shows a widget, expected an explorer, which can be frozen")
        if output.get("name") == "stderr":
            raise ChapterError(f"{where}: expected no warnings, got\n{COLOUR.sub('', output.text)}")


def _drop_widgets(output: NotebookNode) -> None:
    """Take out what only a kernel could show."""
    for kind in [kind for kind in output.get("data", {}) if kind.startswith(WIDGETS)]:
        del output.data[kind]


def _files(names: Sequence[str], root: Path) -> dict[str, str]:
    """The digest of each file. One in a folder of data/ stands for the folder: not every reader can be watched."""
    whole: set[Path] = set()
    for path in (root / name for name in names):
        deep = path.is_relative_to(root / "data") and path.parent != root / "data"
        whole.update(path.parent.iterdir() if deep and path.parent.is_dir() else [path])
    return {
        path.relative_to(root).as_posix(): _digest(path.read_bytes()) if path.is_file() else "gone"
        for path in sorted(whole)
    }


def _versions() -> dict[str, str]:
    """Of Python and of what the package stands on, and whether full data are at hand."""
    project = tomllib.loads(PROJECT.read_text(encoding="utf-8"))["project"]
    found = {name: importlib.metadata.version(name) for name in (Requirement(r).name for r in project["dependencies"])}
    return found | {"python": platform.python_version(), "LOSSBOOK_DATA": os.environ.get("LOSSBOOK_DATA", "")}


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:16]
