"""A real JupyterLab in a real browser, for tests and benchmarks of the explorers. Needs Playwright and Chromium."""

import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple
from urllib.error import URLError

import nbformat

FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
ANNOUNCEMENTS = "@jupyterlab/apputils-extension:announcements"


class Lab(NamedTuple):
    """A running JupyterLab: where its notebooks lie, and how to reach it."""

    folder: Path
    url: str
    token: str


def find_chromium() -> str | None:
    """The path of a Chromium: `CHROMIUM` in the environment, or one on the search path; None where there is none."""
    names = ("chromium", "chromium-browser", "google-chrome")
    return os.environ.get("CHROMIUM") or next((path for path in map(shutil.which, names) if path), None)


def write_notebook(path: Path, cells: Sequence[str]) -> None:
    """A notebook of code cells that opens without asking for a kernel."""
    kernel = {"name": "python3", "display_name": "Python 3 (ipykernel)", "language": "python"}
    notebook = nbformat.v4.new_notebook(
        metadata={"kernelspec": kernel}, cells=[nbformat.v4.new_code_cell(cell) for cell in cells]
    )
    nbformat.write(notebook, path)


@contextmanager
def jupyter_lab(folder: Path, seconds: float = 60) -> Iterator[Lab]:
    """JupyterLab on a free port of this machine, with settings of its own, until the block ends.

    Args:
        folder: where its notebooks lie.
        seconds: how long it may take to start.

    Raises:
        TimeoutError: it did not start; with what it said.
    """
    with TemporaryDirectory() as place, socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port, token = probe.getsockname()[1], secrets.token_hex(16)
        probe.close()
        environment = os.environ | _settings(Path(place))
        options = {
            "ServerApp.ip": "127.0.0.1",
            "ServerApp.port": port,
            "ServerApp.port_retries": 0,
            "ServerApp.root_dir": folder,
            "IdentityProvider.token": token,
            "LabApp.expose_app_in_browser": True,  # `run_notebook` runs a command of it
        }
        command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root"]  # containers run as root
        command += [f"--{name}={value}" for name, value in options.items()]
        log = Path(place) / "log"
        with log.open("w") as out:
            server = subprocess.Popen(command, env=environment, stdout=out, stderr=out)
            try:
                _wait_for(f"http://127.0.0.1:{port}/api?token={token}", server, log, time.monotonic() + seconds)
                yield Lab(Path(folder), f"http://127.0.0.1:{port}", token)
            finally:
                server.terminate()
                try:
                    server.wait(10)
                except subprocess.TimeoutExpired:
                    server.kill()
                    server.wait()


def _settings(place: Path) -> dict[str, str]:
    """Folders of its own: no news, no windowing (every cell is in the page), nothing of the user's read or written."""
    (place / "config" / "labconfig").mkdir(parents=True)
    (place / "config" / "labconfig" / "page_config.json").write_text(
        json.dumps({"disabledExtensions": {ANNOUNCEMENTS: True}})
    )
    tracker = place / "settings" / "@jupyterlab" / "notebook-extension" / "tracker.jupyterlab-settings"
    tracker.parent.mkdir(parents=True)
    tracker.write_text(json.dumps({"windowingMode": "none"}))
    folders = {"JUPYTER_CONFIG_DIR": "config", "JUPYTER_RUNTIME_DIR": "runtime", "IPYTHONDIR": "ipython"}
    folders |= {"JUPYTERLAB_SETTINGS_DIR": "settings", "JUPYTERLAB_WORKSPACES_DIR": "workspaces"}
    return {name: str(place / folder) for name, folder in folders.items()}


def _wait_for(url: str, server: subprocess.Popen, log: Path, until: float) -> None:
    while time.monotonic() < until and server.poll() is None:
        try:
            with urllib.request.urlopen(url, timeout=2):
                return
        except (URLError, OSError):
            time.sleep(0.2)
    raise TimeoutError(f"JupyterLab did not start; it said:\n{log.read_text()[-2000:]}")


@contextmanager
def chromium_page(width: int = 1280, height: int = 900) -> Iterator[Any]:
    """A Playwright page in a fresh headless Chromium.

    Raises:
        FileNotFoundError: no Chromium.
    """
    from playwright.sync_api import sync_playwright

    path = find_chromium()
    if path is None:
        raise FileNotFoundError("Chromium: none found on the search path, and CHROMIUM is not set")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=list(FLAGS))
        try:
            yield browser.new_page(viewport={"width": width, "height": height})
        finally:
            browser.close()


def run_notebook(page: Any, lab: Lab, name: str, pictures: int, seconds: float = 60) -> None:
    """Open a notebook of the lab, run all its cells, and wait until its explorers show that many pictures."""
    alone = secrets.token_hex(4)  # a workspace of its own: no tab of an earlier notebook comes back
    page.goto(f"{lab.url}/lab/workspaces/{alone}/tree/{name}?token={lab.token}")
    page.locator(".jp-CodeCell").first.wait_for(timeout=1000 * seconds)
    page.wait_for_function(
        "name => { const now = window.jupyterapp.shell.currentWidget;"
        " return now && now.context && now.context.path === name && now.sessionContext.session?.kernel; }",
        arg=name,
        timeout=1000 * seconds,
    )
    page.evaluate("window.jupyterapp.commands.execute('notebook:run-all-cells')")
    page.wait_for_function(
        f"document.querySelectorAll('.jp-OutputArea .widget-html figure img').length >= {pictures}",
        timeout=1000 * seconds,
    )


def press_slider(page: Any, output: Any, key: str = "ArrowRight", seconds: float = 10) -> tuple[str, str]:
    """Press a key on the first slider of an explorer's output; return the alt text before, and after it changed."""
    image = output.locator(".widget-html figure img")
    before = image.get_attribute("alt")
    output.locator(".noUi-handle:visible").first.focus()
    page.keyboard.press(key)
    handle = output.element_handle()
    page.wait_for_function(
        "([output, before]) => output.querySelector('.widget-html figure img').alt !== before",
        arg=[handle, before],
        timeout=1000 * seconds,
    )
    return before, image.get_attribute("alt")
