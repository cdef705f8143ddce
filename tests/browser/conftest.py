"""One JupyterLab and one built site for all browser tests, which are skipped where there is no Chromium."""

import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import built_site
import pytest

from lossbook.widgets.browser import find_chromium, jupyter_lab


def pytest_collection_modifyitems(items):
    for item in items:
        if item.path.parent.name == "browser":
            item.add_marker(pytest.mark.browser)
            if find_chromium() is None:
                item.add_marker(pytest.mark.skip(reason="no Chromium on the search path, and CHROMIUM is not set"))


@pytest.fixture(scope="session")
def lab(tmp_path_factory):
    with jupyter_lab(tmp_path_factory.mktemp("notebooks")) as running:
        yield running


@pytest.fixture(scope="session")
def site_files():
    """The address of the built site in its folder."""
    return built_site.site().as_uri()


class Quiet(SimpleHTTPRequestHandler):
    """Serves files, and says nothing."""

    def log_message(self, format, *args):
        pass


@pytest.fixture(scope="session")
def site_served():
    """The address of the built site on a server of this machine."""
    handler = partial(Quiet, directory=str(built_site.site()))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture
def reader(browser_page):
    """A function that sends a reader to an address. Afterwards: no error in a console, nothing asked of a network."""
    readers = []

    def send(address, **settings):
        readers.append(built_site.Reader(browser_page.context.browser, address, **settings))
        return readers[-1]

    yield send
    found = [(each.troubles, each.outside()) for each in readers]
    for each in readers:
        each.context.close()
    assert found == [([], [])] * len(readers)
