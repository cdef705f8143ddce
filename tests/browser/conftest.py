"""One JupyterLab and one page of Chromium for all browser tests; skipped where there is no Chromium."""

import pytest

from lossbook.widgets.browser import chromium_page, find_chromium, jupyter_lab


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
def browser_page():
    with chromium_page() as page:
        yield page
