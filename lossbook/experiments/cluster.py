"""Calls dealt out by Dask: to processes on this machine, or to the workers of any cluster that has an address.

Dask is imported when the first call is dealt out, so that everything else does without it.
"""

import logging
import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

from tqdm import tqdm

from lossbook.checks import bad_value

SECONDS_TO_ANSWER = 30


def deal(
    function: Callable[..., Any],
    calls: Mapping[str, tuple[Any, ...]],
    tried: Callable[[str, Any, Exception | None, bool], None],
    *,
    workers: int,
    scheduler: str | None = None,
    retries: int = 2,
) -> None:
    """Call a function once for each name, wherever a worker is free, and again where it failed or its worker died.

    Args:
        function: what workers import and call.
        calls: name -> arguments.
        tried: told of each try as it ends: the name, what came back, the error or None, and whether it is tried again.
        workers: processes on this machine, of one thread each, where no scheduler is named.
        scheduler: address of a Dask scheduler, or its scheduler file.
        retries: how often a call is tried again.

    Raises:
        ValueError: no scheduler answers at the address.
    """
    from distributed import as_completed

    with _client(scheduler, workers) as client:

        def submit(name: str) -> Any:
            future = client.submit(function, *calls[name], pure=False)  # each try is a call of its own
            names[future.key] = name
            return future

        names: dict[str, str] = {}
        left = dict.fromkeys(calls, retries)
        queue = iter(calls)
        # Here no call waits at a worker: one that dies takes down the try that it was at, and no other.
        at_once = len(calls) if scheduler is not None else workers
        running = as_completed([submit(name) for name in islice(queue, at_once)], loop=client.loop)
        for future in running:
            name = names.pop(future.key)
            try:
                found, error = future.result(), None
            except Exception as failure:
                found, error = None, _why(failure)
            again = error is not None and left[name] > 0
            left[name] -= 1
            for following in (name,) if again else islice(queue, 1):
                running.add(submit(following))
            tried(name, found, error, again)


def dask_setup(worker: Any) -> None:
    """Dask calls it in each process of the embedded cluster as it starts.

    Ctrl-C is for the process that waits for them all. And one that is killed leaves no semaphore of tqdm's behind.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    tqdm.set_lock(threading.RLock())


def _why(failure: Exception) -> Exception:
    """The failure, in our words where it is the cluster's."""
    from distributed import CancelledError, KilledWorker

    if isinstance(failure, KilledWorker):
        return RuntimeError("the worker died")
    return RuntimeError("the cluster dropped the task") if isinstance(failure, CancelledError) else failure


@contextmanager
def _client(scheduler: str | None, workers: int) -> Iterator[Any]:
    """A client of the scheduler that is named, or of a cluster of processes that ends with it."""
    import dask
    from distributed import Client, LocalCluster

    if scheduler is not None:
        where = {"scheduler_file": scheduler} if Path(scheduler).is_file() else {"address": scheduler}
        try:
            client = Client(**where, timeout=SECONDS_TO_ANSWER, set_as_default=False)
        except (OSError, ValueError) as error:
            raise bad_value("scheduler", scheduler, "the address or file of a Dask scheduler that answers") from error
        with client:
            yield client
        return
    with (
        dask.config.set({"distributed.scheduler.allowed-failures": 0}),  # `deal` tries again, and counts
        LocalCluster(
            n_workers=workers,
            threads_per_worker=1,
            processes=True,
            dashboard_address="127.0.0.1:0",  # the port of the next cluster would be taken
            scheduler_kwargs={"dashboard": False},
            scheduler_port=0,
            memory_limit=0,  # what a task needs is not known here
            preload=[__name__],  # `dask_setup`
            silence_logs=logging.CRITICAL,  # `tried` hears of every failure
        ) as cluster,
        Client(cluster, set_as_default=False) as client,
    ):
        yield client
