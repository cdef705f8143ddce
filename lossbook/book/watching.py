"""What a chapter read and how much memory it took, told by its own kernel."""

import json
import sys
from pathlib import Path

import psutil

_seen: set[str] = set()


def start(root: str) -> None:
    """From now on remember every file under root that is opened to be read, but for Python's own."""
    inside = str(Path(root).resolve()) + "/"

    def remember(event: str, arguments: tuple) -> None:
        if event != "open" or not isinstance(arguments[0], str):
            return
        path, mode = arguments[0], arguments[1]
        if path.endswith((".py", ".pyc")) or (isinstance(mode, str) and set(mode) & set("wax+")):
            return
        if not path.startswith("/"):
            path = str(Path(path).absolute())
        if path.startswith(inside):
            _seen.add(path.removeprefix(inside))

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
