"""What tests of the site's pages share: the chapters as they are committed, and a site of a few pages in a browser."""

import subprocess
import sys
from contextlib import closing, contextmanager
from pathlib import Path

import nbformat

from lossbook.book.chapter import Chapter
from lossbook.catalog.papers import CHAPTERS, NOTEBOOKS

ROOT = Path(__file__).parents[1]
STATIC = ROOT / "lossbook" / "book" / "static"
SETTINGS = {
    "project": "lossbook",
    "html_title": "lossbook",
    "extensions": ["myst_parser"],
    "myst_enable_extensions": ["dollarmath"],
    "html_theme": "pydata_sphinx_theme",
    "html_context": {"default_mode": "auto"},
    "html_css_files": ["book.css"],
    "html_static_path": ["_static"],
    "exclude_patterns": ["_static"],
    "mathjax_path": "none.js",  # formulas stay TeX: the pages must do without
}


def committed():
    """The chapters of the repository; their explorers show a still picture."""
    return [
        Chapter(number, Path(name).stem, CHAPTERS[number], nbformat.read(ROOT / "notebooks" / name, as_version=4))
        for number, name in NOTEBOOKS.items()
    ]


def built(folder, files):
    """A site of these pages, made by Sphinx with warnings as errors."""
    source, site = folder / "source", folder / "site"
    names = [name.removesuffix(".md") for name in files if name.endswith(".md")]
    index = "# Book\n\n```{toctree}\n" + "\n".join(names) + "\n```\n"
    static = {f"_static/{path.name}": path.read_bytes() for path in STATIC.iterdir() if path.is_file()}
    for name, content in (static | {"_static/none.js": b"", "index.md": index} | files).items():
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).write_bytes(content.encode() if isinstance(content, str) else content)
    (source / "conf.py").write_text("\n".join(f"{name} = {value!r}" for name, value in SETTINGS.items()))
    command = [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", str(source), str(site)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return site


@contextmanager
def opened(browser_page, site, troubles):
    """A function that opens a page of the site from its file; what the browser complains of is added to `troubles`."""
    with closing(browser_page.context.browser.new_page()) as page:
        page.on("pageerror", lambda error: troubles.append(str(error)))
        page.on("console", lambda said: troubles.append(said.text) if said.type in ("error", "warning") else None)
        page.on("requestfailed", lambda request: troubles.append(f"failed: {request.url}"))
        page.on("request", lambda request: troubles.append(request.url) if "://" in _outside(request.url) else None)

        def open_page(address, width=1280):
            page.set_viewport_size({"width": width, "height": 900})
            page.goto("about:blank")  # so that an address that differs in its fragment alone is loaded afresh
            page.goto(f"{site.as_uri()}/{address}")
            return page

        yield open_page


def _outside(url):
    """An address unless it is of a file or of data in the page."""
    return "" if url.startswith(("file:", "data:", "about:")) else url


def violations(page):
    """What axe finds wrong with a page, a line for each rule."""
    from axe_playwright_python.sync_playwright import Axe

    # preload would fetch the style sheets, which a browser refuses to a page that is a file
    found = Axe().run(page, options={"preload": False}).response["violations"]
    return [f"{rule['id']} ({rule['impact']}): {rule['nodes'][0]['html'][:200]}" for rule in found]
