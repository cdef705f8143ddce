"""lossbook lab | doctor | catalog: open the book, see what is there."""

import argparse
import os
from collections.abc import Sequence
from pathlib import Path

from lossbook.cli.request import Adder, UsageError, check_among


def add(command: Adder) -> None:
    """Add the commands of this module to the parser."""
    lab = command(
        "lab", _lab, "Open JupyterLab on the first chapter. Further options, such as --no-browser, go to JupyterLab."
    )
    lab.set_defaults(takes_rest=True)
    command("doctor", _doctor, "Print versions, device, engines and data, and what is missing with its remedy.")

    catalog = command("catalog", _catalog, "Print the systems of the book, or with --losses its losses.")
    catalog.add_argument("--losses", action="store_true", help="the losses instead of the systems")
    catalog.add_argument("--family", help="only this family of losses")
    catalog.add_argument("--chapter", help="only this chapter, by its two digits")
    catalog.add_argument("--status", help="only what is implemented, or planned")
    catalog.add_argument("--kind", help="only systems of this kind, such as loss or metric")


def _lab(options: argparse.Namespace) -> int:
    from lossbook.catalog.papers import NOTEBOOKS

    root = Path(__file__).resolve().parents[2]
    first = root / "notebooks" / NOTEBOOKS["00"]
    if not first.exists():
        raise UsageError(f"no chapters at {first.parent}: clone the repository and run `make lab` in it")
    from jupyterlab.labapp import LabApp

    # As the default address, and not as the file to open, it also stands in the link that is printed for --no-browser.
    where = [f"--ServerApp.root_dir={root}", f"--LabApp.default_url=/lab/tree/notebooks/{first.name}"]
    # Containers run as root, where JupyterLab starts only when told that this is meant.
    as_root = ["--allow-root"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []
    LabApp.launch_instance([*where, *as_root, *options.rest])
    return 0


def _doctor(options: argparse.Namespace) -> int:
    from lossbook import doctor

    findings = doctor.examine()
    print(doctor.report(findings))
    return 1 if doctor.lacking(findings) else 0


def _catalog(options: argparse.Namespace) -> int:
    from lossbook.catalog import RECORDS
    from lossbook.catalog.papers import CHAPTERS, KINDS

    families = dict.fromkeys(record.family for record in RECORDS.values())
    for name, choices in (
        ("family", families),
        ("chapter", CHAPTERS),
        ("status", ("implemented", "planned")),
        ("kind", KINDS),
    ):
        if getattr(options, name) is not None:
            check_among(f"--{name}", getattr(options, name), choices)
    if options.losses and (options.status or options.kind):
        raise UsageError("--status and --kind select systems: leave out --losses")
    (_print_losses if options.losses else _print_systems)(options)
    return 0


def _print_losses(options: argparse.Namespace) -> None:
    from lossbook.catalog import RECORDS

    rows = [
        (record.key, record.chapter, record.family, record.origin, ", ".join(record.defaults) or "-", record.title)
        for record in RECORDS.values()
        if options.family in (None, record.family) and options.chapter in (None, record.chapter)
    ]
    _print_columns(("loss", "chapter", "family", "origin", "parameters", "title"), rows)


def _print_systems(options: argparse.Namespace) -> None:
    from lossbook.catalog import RECORDS
    from lossbook.catalog.papers import papers

    of_family = {record.system for record in RECORDS.values() if record.family == options.family}
    found = [
        paper
        for paper in papers().values()
        if (options.family is None or paper.key in of_family)
        and options.chapter in (None, paper.chapter)
        and options.status in (None, paper.status)
        and (options.kind is None or options.kind in paper.kind)
    ]
    rows = [(p.key, p.chapter, p.status, ", ".join(p.kind), str(p.year or "-"), p.title) for p in found]
    _print_columns(("system", "chapter", "status", "kind", "year", "title"), rows)
    print(f"{sum(paper.implemented for paper in found)} of {len(found)} implemented")


def _print_columns(head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    lines = [head, *rows]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)][:-1]  # the last column runs on
    for line in lines:
        print("  ".join([*(cell.ljust(width) for cell, width in zip(line, widths, strict=False)), line[-1]]))
