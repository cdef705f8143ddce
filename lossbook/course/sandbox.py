"""A student's function, answering from a process of its own.

The check runs here, the function there: only its arguments go over and only its answers come back, as JSON. So it can
change nothing that judges it, and it is stopped when its time is up. It runs as the user who grades: this is a guard
against mistakes and cheating, and no jail against malice.
"""

import builtins
import contextlib
import io
import multiprocessing
import os
import signal
import struct
import sys
import tempfile
import time
import types
from collections.abc import Callable, Iterator, Sequence
from multiprocessing.connection import Connection
from typing import Any

import torch

from lossbook.course.wire import LARGEST, decode, encode

MEMORY = 8 * 2**30
"""Bytes of address space for one function, where the system can limit it."""


START = 300.0
"""Seconds in which a process is there on the busiest machine."""

PAUSES = (0.0, 0.1, 0.4, 1.6, 6.4)
"""Seconds before each try to get a process: a server that was killed may take a moment to be gone."""


class NoProcess(RuntimeError):
    """No process can be had to run a function in: the machine's fault, and not the student's."""


class Stopped(Exception):
    """The code in front of the function, or the function, that did not come to its end."""


@contextlib.contextmanager
def answering(sources: Sequence[str], name: str, *, seconds: float = 10.0) -> Iterator[Any]:
    r"""What a name stands for after some statements, run in a process of its own.

    Args:
        sources: the statements, in order.
        name: the name that they bind.
        seconds: the time for the statements and all calls together.

    Yields:
        A function that is called here and runs there; or the value, if the name stands for none.

    Raises:
        Stopped: if a statement raises, ends the process or takes too long. It says which.
        NoProcess: if no process can be started.

    Example:
        >>> with answering(["half = 0.5", "def halved(x):\n    return half * x"], "halved") as halved:
        ...     halved(3.0)
        1.5
    """
    with tempfile.TemporaryDirectory(prefix="lossbook-", ignore_cleanup_errors=True) as folder:
        process, connection = _started(folder)
        try:
            ask = _asker(connection, _deadline(seconds), seconds)  # from here on it is the student's time
            try:
                kind = ask((list(sources), name))
            except Stopped:
                raise
            except Exception as error:  # no answer, or none of ours
                raise Stopped(f"{type(error).__name__}: {error}") from None
            yield kind if not isinstance(kind, _Function) else lambda *inputs: ask(inputs)
        finally:
            _end(process)
            connection.close()


class _Function:
    """The answer that the name stands for a function."""


def _started(folder: str) -> tuple[Any, Connection]:
    """A process that is ready, and the way to it. Several tries: the one before may have ended the server."""
    context = _context()
    for pause in PAUSES:
        time.sleep(pause)
        ours, theirs = context.Pipe()
        process = context.Process(target=_serve, args=(theirs, folder), daemon=True)
        try:
            with _no_main():
                process.start()
            theirs.close()
            _receive(ours, _deadline(START))
            return process, ours
        except (OSError, EOFError) as error:
            if process.pid is not None:
                _end(process)
            ours.close()
            theirs.close()
            if pause == PAUSES[-1]:
                raise NoProcess(
                    f"no process for a student's function: {type(error).__name__} {error}".strip()
                ) from error
    raise AssertionError


def _context() -> Any:
    # A server that has imported torch once, from which each process is forked: some 40 ms instead of 2 seconds.
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["lossbook.course.sandbox", "lossbook.losses"])
    return context


@contextlib.contextmanager
def _no_main() -> Iterator[None]:
    """A new process would import the program that grades, which it does not need and which may have no guard."""
    main = sys.modules["__main__"]
    sys.modules["__main__"] = types.ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main


def _deadline(seconds: float) -> float:
    return time.monotonic() + seconds


def _receive(connection: Connection, deadline: float) -> bytes:
    """A message, if it comes in time. `recv_bytes` would wait for ever for the rest of half a message."""
    if os.name == "nt":
        _wait(connection, deadline)
        return connection.recv_bytes(LARGEST)
    (size,) = struct.unpack("!i", _read(connection, 4, deadline))
    if not 0 <= size <= LARGEST:
        raise ValueError(size)
    return _read(connection, size, deadline)


def _read(connection: Connection, count: int, deadline: float) -> bytes:
    content = bytearray()
    while len(content) < count:
        _wait(connection, deadline)
        part = os.read(connection.fileno(), count - len(content))
        if not part:
            raise EOFError
        content += part
    return bytes(content)


def _wait(connection: Connection, deadline: float) -> None:
    if not connection.poll(max(0.0, deadline - time.monotonic())):
        raise TimeoutError


def _asker(connection: Connection, deadline: float, seconds: float) -> Callable[[Any], Any]:
    over: list[Exception] = []

    def ask(request: Any) -> Any:
        if over:
            raise over[0]
        try:
            connection.send_bytes(encode(request))
            kind, _, body = _receive(connection, deadline).partition(b" ")
            answer = decode(body)
        except TimeoutError:
            over.append(_named("TimeoutError", f"no answer within {seconds:g} seconds"))
            raise over[0] from None
        except (OSError, EOFError, ValueError):
            over.append(_named("ProcessEnded", "it ended the program that it ran in"))
            raise over[0] from None
        match kind, answer:
            case b"value", _:
                return answer
            case b"function", _:
                return _Function()
            case b"raised", (str() as name, str() as words):
                raise _named(name, words)
            case b"stopped", (str() as name, str() as words):
                raise Stopped(f"{name}: {words}")
        over.append(_named("ProcessEnded", "it answered in place of the program that it ran in"))
        raise over[0]

    return ask


def _named(kind: str, message: str) -> Exception:
    """An exception of this name, and of the built-in class of this name if it is one that a check may catch."""
    base = getattr(builtins, kind, None)
    base = base if isinstance(base, type) and issubclass(base, Exception) else Exception
    shown = kind if kind.isidentifier() else "Exception"
    return type(shown, (base,), {"__init__": lambda self: None, "__str__": lambda self: message})()


def _end(process: Any) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        # It leads a group of its own, so that what it has started ends as well.
        os.killpg(process.pid, signal.SIGKILL) if hasattr(os, "killpg") else process.kill()
    process.kill()
    process.join(10)


def _serve(connection: Connection, folder: str) -> None:
    """The other side: run the statements, then answer calls until nobody asks."""
    _settle(folder)
    connection.send_bytes(b"ready")
    sources, name = decode(connection.recv_bytes())
    space: dict[str, Any] = {"__name__": "__main__"}
    try:
        for source in sources:
            exec(compile(source, "notebook", "exec"), space)
        value = space[name]
    except BaseException as error:  # SystemExit and KeyboardInterrupt are the student's as well
        connection.send_bytes(b"stopped " + encode((type(error).__name__, _words(error))))
        return
    connection.send_bytes((b"function " if callable(value) else b"value ") + encode(value))
    while True:
        inputs = decode(connection.recv_bytes())
        try:
            answer = b"value " + encode(value(*inputs))
        except BaseException as error:
            answer = b"raised " + encode((type(error).__name__, _words(error)))
        connection.send_bytes(answer)


def _words(error: BaseException) -> str:
    try:
        return str(error)[:500]
    except Exception:
        return ""


def _settle(folder: str) -> None:
    """Leave the grader's group, folder, streams and spare memory."""
    if hasattr(os, "setsid"):
        os.setsid()
    with contextlib.suppress(ImportError, ValueError, OSError):
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    torch.set_num_threads(1)
    os.chdir(folder)
    silent = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(silent, stream)
    sys.stdin, sys.stdout, sys.stderr = io.StringIO(), open(os.devnull, "w"), open(os.devnull, "w")  # noqa: SIM115
