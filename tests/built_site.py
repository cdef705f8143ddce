"""The built site as its tests see it: where it is, its pages, and what stands in them."""

import os
import subprocess
import sys
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

from filelock import FileLock

ROOT = Path(__file__).parents[1]
OUT = ROOT / "build" / "book"


@cache
def site():
    """The folder of the built site. LOSSBOOK_SITE names one to be held as it is.

    Else it is build/book/site, as `lossbook book` leaves it: where that is out of date it is built first, in minutes
    where chapters have to be run. One process builds; the others wait.
    """
    if named := os.environ.get("LOSSBOOK_SITE"):
        return Path(named).resolve()
    OUT.mkdir(parents=True, exist_ok=True)
    with FileLock(OUT.with_suffix(".lock")):
        if _book("--check").returncode:
            made = _book()
            assert made.returncode == 0, made.stdout + made.stderr
    return OUT / "site"


def _book(*options):
    return subprocess.run(
        [sys.executable, "-m", "lossbook.cli", "book", *options], cwd=ROOT, capture_output=True, text=True, check=False
    )


@cache
def pages():
    """The site's pages, by their addresses: what stands in each."""
    return {
        path.relative_to(site()).as_posix(): Page(path) for path in sorted(site().rglob("*.html")) if _is_page(path)
    }


def _is_page(path):
    return not {"_static", "_sources"} & set(path.relative_to(site()).parts)


class Page(HTMLParser):
    """The ids, elements and links of a page."""

    def __init__(self, path):
        super().__init__()
        self.path = path
        self.ids, self.elements = [], []  # an element: its name and attributes
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attrs):
        attributes = dict(attrs)
        self.elements.append((tag, attributes))
        if attributes.get("id"):
            self.ids.append(attributes["id"])

    def all(self, tag):
        """The attributes of each element of that name."""
        return [attributes for name, attributes in self.elements if name == tag]

    def addresses(self):
        """What the page links to or loads."""
        return [attributes[name] for _, attributes in self.elements for name in ("href", "src") if attributes.get(name)]

    def goal(self, address):
        """The file and the fragment that an address of this site leads to; None where it leads elsewhere."""
        parts = urlsplit(address)
        if parts.scheme or parts.netloc:
            return None
        path = (self.path.parent / unquote(parts.path)).resolve() if parts.path else self.path
        return path, unquote(parts.fragment)


class Reader:
    """Someone who reads the site at an address; what goes wrong meanwhile is written down."""

    def __init__(self, browser, address, **settings):
        self.address, self.asked, self.troubles = address, [], []
        self.context = browser.new_context(**({"viewport": {"width": 1280, "height": 900}} | settings))
        self.context.set_default_timeout(60_000)
        self.page = self.context.new_page()
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.on("console", lambda said: self._note(said.type, said.text))
        self.page.on("pageerror", lambda error: self.troubles.append(str(error)))
        self.page.on("response", lambda answer: self._note("error", answer.url) if answer.status >= 400 else None)
        self.page.on("requestfailed", lambda request: self._failed(request))

    def open(self, name):
        """A page, when its formulas are set."""
        self.page.goto(f"{self.address}/{name}")
        self.page.evaluate("async () => { if (window.MathJax?.startup) await MathJax.startup.promise; }")
        return self.page

    def outside(self):
        """What was asked of anything but the site."""
        own = (self.address, "data:", "blob:", "about:")
        return [url for url in self.asked if not url.startswith(own)]

    def _note(self, kind, text):
        if kind in ("error", "warning"):
            self.troubles.append(text)

    def _failed(self, request):
        if request.failure != "net::ERR_ABORTED":  # the reader went on before it came
            self.troubles.append(f"failed: {request.url} {request.failure}")
