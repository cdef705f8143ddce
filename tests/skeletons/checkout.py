"""Checkouts for the tests of the skeletons: a few files of the book, or enough of it to run."""

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

from lossbook.skeletons.checkout import NEEDED

ROOT = Path(__file__).parents[2]
FEW = (
    *NEEDED,
    "pyproject.toml",
    "lossbook/__init__.py",
    *(str(path.relative_to(ROOT)) for path in (ROOT / "lossbook").glob("*/_*.py")),
)
ROOMS = ("notebooks/text", "lossbook/exercises", "lossbook/course/slips", "tests/losses")
PYTEST = ("pytest", "-q", "-p", "no:cacheprovider")
NOT_COPIED = ("__pycache__", ".ipynb_checkpoints")


def few(folder):
    """The files that a skeleton reads or changes."""
    for name in FEW:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, folder / name)
    for room in ROOMS:
        (folder / room).mkdir(parents=True, exist_ok=True)
    return folder


def runnable(folder):
    """The package, the tests, and the chapters that others link to."""
    for room in ("lossbook", "tests", "notebooks/text"):
        shutil.copytree(ROOT / room, folder / room, ignore=shutil.ignore_patterns(*NOT_COPIED))
    for name in ("README.md", "CONTRIBUTING.md", "pyproject.toml", "notebooks/.ruff.toml"):
        shutil.copy(ROOT / name, folder / name)
    for chapter in (ROOT / "notebooks").glob("[01]*.ipynb"):
        shutil.copy(chapter, folder / "notebooks")
    return folder


def run(folder, *words):
    """What a Python module prints that runs in a checkout, on the checkout's own package."""
    environment = {**os.environ, "PYTHONPATH": str(folder), "LOSSBOOK_DATA": str(ROOT / "data")}
    done = subprocess.run(
        [sys.executable, "-m", *words], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-6000:]
    return done.stdout


def linted(folder, *names):
    """The linter and the formatter have nothing to say about these files."""
    run(folder, "ruff", "check", "--no-cache", *names)
    run(folder, "ruff", "format", "--no-cache", "--check", *names)


def contents(folder):
    """Every file of a folder, and a digest of what it holds."""
    paths = [path for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}
