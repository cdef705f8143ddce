"""What `lossbook doctor` looks at: versions, device, engines, data, browser, and the remedy for what is missing."""

import os
import platform
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata

import torch
from packaging.requirements import Requirement

from lossbook.devices import device
from lossbook.kernels import engine_name
from lossbook.kernels.softmax_compiled import vector_bits

EXTRAS = {
    "test": ("test tools", "the tests"),
    "book": ("book tools", "`lossbook book` and the tests"),
    "course": ("course tools", "autograders and the tests"),
}
"""What pip may install besides: extra -> its name, who needs it."""


@dataclass(frozen=True)
class Finding:
    """One thing looked at. Something is wrong with it when there is a remedy, and it matters when it is needed."""

    room: str
    name: str
    found: str
    remedy: str = ""
    needed: bool = True


def examine() -> list[Finding]:
    """Look at everything the book runs on. A room that cannot be opened is a finding too."""
    findings: list[Finding] = []
    for name, look in (("packages", _packages), ("device", _devices), ("data", _data), ("browser", _browser)):
        try:
            findings += look()
        except ImportError as error:
            findings.append(Finding(name, name, str(error), "mend the packages first"))
    return findings


def report(findings: list[Finding]) -> str:
    """The findings as text: a block a room, a line a thing, the remedy beside what is missing.

    Example:
        >>> torch, iris = Finding("packages", "torch", "2.13.0"), Finding("data", "iris", "missing", "git restore data")
        >>> print(report([torch, iris]))
        packages
          torch  2.13.0
        data
          iris   missing -> git restore data
        Needed and missing: iris
    """
    width = max(len(finding.name) for finding in findings)
    lines: list[str] = []
    room = ""
    for finding in findings:
        if finding.room != room:
            room = finding.room
            lines.append(room)
        remedy = f" -> {finding.remedy}" if finding.remedy else ""
        lines.append(f"  {finding.name:<{width}}  {finding.found}{remedy}")
    missing = ", ".join(finding.name for finding in lacking(findings))
    return "\n".join([*lines, f"Needed and missing: {missing}" if missing else "Everything needed is here."])


def lacking(findings: list[Finding]) -> list[Finding]:
    """The findings that keep the book from running."""
    return [finding for finding in findings if finding.remedy and finding.needed]


def _packages() -> Iterator[Finding]:
    yield Finding("packages", "python", f"{platform.python_version()} on {platform.system()} {platform.machine()}")
    yield Finding("packages", "lossbook", metadata.version("lossbook"))
    requirements = [Requirement(line) for line in metadata.requires("lossbook") or []]
    for requirement in requirements:
        if requirement.marker is None:
            found, fits = _held(requirement)
            remedy = "" if fits else f'pip install "{requirement.name}{requirement.specifier}"'
            yield Finding("packages", requirement.name, found or "not installed", remedy)
    for extra, (tools, users) in EXTRAS.items():
        wanted = [r for r in requirements if r.marker is not None and r.marker.evaluate({"extra": extra})]
        lost = ", ".join(r.name for r in wanted if r.name != "lossbook" and not _held(r)[1])
        remedy = f'pip install -e ".[{extra}]" (only {users} need them)' if lost else ""
        yield Finding("packages", tools, f"not installed: {lost}" if lost else "complete", remedy, needed=False)
    triton = _version("triton")
    remedy = "pip install triton" if triton is None and torch.cuda.is_available() else ""
    yield Finding("packages", "triton", triton or "not installed", remedy, needed=False)


def _held(requirement: Requirement) -> tuple[str | None, bool]:
    """The version that is installed, and whether it is one that is asked for."""
    found = _version(requirement.name)
    return found, found is not None and requirement.specifier.contains(found, prereleases=True)


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _devices() -> Iterator[Finding]:
    try:
        chosen = device()
    except ValueError as error:
        yield Finding("device", "LOSSBOOK_DEVICE", str(error), "unset LOSSBOOK_DEVICE, or name a device that is here")
        return
    yield Finding("device", str(chosen), _device_name(chosen))
    for kind in ("dense", "linear"):
        yield Finding("engines", f"{kind} logits", engine_name(kind, chosen))
    yield Finding("engines", "softmax by hand", f"numba, vectors of {vector_bits()} bits")


def _device_name(chosen: torch.device) -> str:
    if chosen.type == "cuda":
        return torch.cuda.get_device_name(chosen)
    if chosen.type == "cpu":
        processor = platform.processor() or platform.machine()
        return f"{processor}, {os.cpu_count()} cores, {torch.get_num_threads()} threads"
    return platform.machine()


def _data() -> Iterator[Finding]:
    from lossbook.datasets._files import CHECKSUMS, checked

    for name in CHECKSUMS:
        try:
            checked(name)
            yield Finding("data", name, "ok")
        except (FileNotFoundError, ValueError) as error:
            remedy = f"git restore data/{name}" + (", or unset LOSSBOOK_DATA" if "LOSSBOOK_DATA" in os.environ else "")
            yield Finding("data", name, str(error).removeprefix(f"{name}: "), remedy)


def _browser() -> Iterator[Finding]:
    from lossbook.widgets.browser import find_chromium

    found = find_chromium()
    remedy = "" if found else "install Chromium, on Debian: apt-get install chromium (only the browser tests need it)"
    yield Finding("browser", "chromium", found or "not found", remedy, needed=False)
