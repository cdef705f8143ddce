"""What a chapter read and how much memory it took, told by its own kernel.

The kernel runs this file by its path, so that watching imports nothing of the package before the chapter does.
"""

import json
import os
import sys

import psutil

_seen: set[str] = set()


def start(root: str) -> None:
    """From now on remember every file under root that is opened to be read, but for Python's own."""
    inside = os.path.realpath(root) + os.sep

    def remember(event: str, arguments: tuple) -> None:
        if event != "open" or not isinstance(arguments[0], str) or arguments[0].endswith((".py", ".pyc")):
            return
        path, mode = os.path.realpath(arguments[0]), arguments[1]
        writes = isinstance(mode, str) and set(mode) & set("wax+")
        if path.startswith(inside) and not writes:
            _seen.add(path.removeprefix(inside).replace(os.sep, "/"))

    sys.addaudithook(remember)


def report() -> str:
    """JSON: the files, and the largest resident memory in bytes."""
    return json.dumps({"files": sorted(_seen), "peak_bytes": _peak_bytes()})


def _peak_bytes() -> int:
    try:
        import resource
    except ImportError:  # Windows, which keeps the number elsewhere
        return int(psutil.Process().memory_info().peak_wset)
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
