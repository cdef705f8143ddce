"""What all tests share: one thread, a seeded generator, and hypothesis that draws the same cases every time."""

import logging
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from hypothesis import settings

torch.set_num_threads(1)
settings.register_profile("lossbook", deadline=None, derandomize=True, database=None, max_examples=60)
settings.load_profile("lossbook")


@pytest.fixture
def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


@pytest.fixture(scope="module")
def browser_page() -> Iterator[Any]:
    """A page of the one Chromium that a process of tests can have; its `context.browser` opens others.

    For a module only: while it is there a loop of events runs, which is not what the other tests expect.
    """
    from lossbook.widgets.browser import chromium_page, find_chromium

    if find_chromium() is None:
        pytest.skip("no Chromium on the search path, and CHROMIUM is not set")
    with chromium_page() as page:
        yield page


@pytest.fixture(scope="module")
def scheduler() -> Iterator[str]:
    """The address of a Dask cluster of two workers inside this process: it sees what a test patches."""
    from distributed import LocalCluster

    quiet = {"dashboard_address": "127.0.0.1:0", "silence_logs": logging.CRITICAL}
    with LocalCluster(n_workers=2, threads_per_worker=1, processes=False, **quiet) as cluster:
        yield cluster.scheduler_address
