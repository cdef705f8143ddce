"""The pages of the API: each room with its public names, a page for each loss and each experiment, and the catalogue.

They are reStructuredText: a directive a name, which autodoc fills by way of `docstrings`. What stands of a loss beside
its docstring is its card from the atlas.
"""

import inspect
import re
from collections.abc import Iterable, Sequence
from itertools import groupby
from textwrap import indent
from types import ModuleType
from typing import Any

from lossbook.book import experiments
from lossbook.book.chapter import Chapter
from lossbook.book.docstrings import link_from
from lossbook.book.loss_card import chapter_link, loss_html
from lossbook.book.restructured import inline, rest
from lossbook.book.rooms import ROOMS, Room, modules, names_of, public
from lossbook.catalog import RECORDS, Record
from lossbook.catalog.table import loss_table
from lossbook.experiments import EXPERIMENTS

OWN_PAGES = {"lossbook.experiments": [module.__name__ for module in EXPERIMENTS.values()]}  # not on their room's page

STYLE = """\
<link rel="stylesheet" href="../../_static/curves.css">
<link rel="stylesheet" href="../../_static/atlas.css">
"""

INDEX = """\
API reference
=============

Every public name of the package, with what it takes, what it gives, and an example that the tests run. Importing
``lossbook`` loads torch and nothing else; a room is loaded when it is imported.

Rooms
-----

{rooms}

At the door
-----------

What ``lossbook`` itself offers, for what chapters and programs use most:

{names}

.. toctree::
    :hidden:

{pages}
"""

CATALOGUE = """\
Catalogue of the losses
=======================

Every loss of the package in a row. Its name leads to its page in the API; :doc:`/api/catalog` says how to ask for the
same in Python, and ``lossbook catalog --losses`` prints it.

.. raw:: html

{table}
"""


def pages(chapters: Sequence[Chapter]) -> dict[str, str]:
    """The sources of all these pages, by path in the source tree."""
    written = {chapter.number: chapter for chapter in chapters}
    files = {f"api/{room.page}.rst": _room(room) for room in ROOMS}
    files |= {f"api/losses/{key}.rst": _loss(record, written.get(record.chapter)) for key, record in RECORDS.items()}
    files |= {f"api/experiments/{name}.rst": _experiment(module) for name, module in EXPERIMENTS.items()}
    return files | {
        "api/index.rst": _index(),
        "catalogue.rst": CATALOGUE.format(table=indent(_catalogue(), "    ")),
        "experiments.rst": experiments.page(chapters),
    }


def _index() -> str:
    import lossbook

    rooms = [(f":doc:`{room.title} <{room.page}>`", _about(modules(room)[0])) for room in ROOMS]
    names = [(f":py:obj:`lossbook.{name}`", _about(getattr(lossbook, name))) for name in lossbook.__all__]
    paths = "\n".join(room.page for room in ROOMS)
    return INDEX.format(rooms=_rows(rooms), names=_rows(names), pages=indent(paths, "    "))


def _room(room: Room) -> str:
    """A page of modules: what each is for, a table of its names, then each name in full."""
    first, *others = modules(room)
    parts = [_heading(room.title, "="), _opening(first)]
    if room.page == "losses":
        parts += [_families(), _toctree(f"losses/{key}" for key in RECORDS)]
    else:
        parts.append(_names(first))
    if room.page == "experiments":
        parts += [
            experiments.table(EXPERIMENTS, "experiments/"),
            _toctree(f"experiments/{name}" for name in EXPERIMENTS),
        ]
    here = [module for module in others if module.__name__ not in OWN_PAGES.get(first.__name__, ())]
    parts[1:1] = [_anchor(module) for module in here if not _shown(module)]  # the room itself shows what it has
    for module in filter(_shown, here):
        name = module.__name__.removeprefix(f"{first.__name__}.").removeprefix("lossbook.")
        parts += [_heading(name, "-"), _opening(module), _names(module)]
    return "\n\n".join(parts) + "\n"


def _loss(record: Record, chapter: Chapter | None) -> str:
    """A loss: its card, then its function."""
    place = f"<p>Chapter {chapter_link(record.chapter, chapter, record.system)}</p>"
    card = re.sub(r'href="(?![a-z]+:|#)', 'href="../../', loss_html(record, alone=True) + place)
    parts = [
        _heading(record.title, "="),
        inline(_about(record.function)),
        f".. raw:: html\n\n{indent(STYLE + card, '    ')}",
        _heading(f"The function {record.key}", "-"),
        f".. autofunction:: lossbook.losses.{record.key}",
    ]
    return "\n\n".join(parts) + "\n"


def _experiment(module: ModuleType) -> str:
    name = module.__name__.rpartition(".")[2]
    return "\n\n".join([_heading(experiments.title(name), "="), _opening(module), _names(module)]) + "\n"


def _families() -> str:
    """The losses by family, each with what it says in a line."""
    parts = []
    for family, group in groupby(RECORDS.values(), key=lambda record: record.family):
        rows = [(f":doc:`{record.key} <losses/{record.key}>`", _about(record.function)) for record in group]
        parts += [_heading(family.capitalize(), "-"), _rows(rows, "lossbook.losses")]
    return "\n\n".join(parts)


def _catalogue() -> str:
    """The table of losses in a box that scrolls, with links to pages of the site."""
    table = loss_table().replace('.ipynb"', '.html"')
    named = r'<th scope="row"><code>(\w+)</code>'
    linked = re.sub(named, r'<th scope="row"><a href="api/losses/\1.html"><code>\1</code></a>', table)
    return f'<div class="lossbook-wide" tabindex="0" role="region" aria-label="The losses">\n{linked}\n</div>'


def _opening(module: ModuleType) -> str:
    """What a module says of itself, at the place to which references to it lead."""
    return f"{_anchor(module)}\n\n{rest(inspect.cleandoc(module.__doc__ or ''), link_from(module.__name__))}"


def _anchor(module: ModuleType) -> str:
    return f".. py:module:: {module.__name__}"


def _shown(module: ModuleType) -> list[str]:
    """The names that this module's page shows: those that no room before it has shown."""
    return [name for name in names_of(module) if f"{module.__name__}.{name}" in public()]


def _names(module: ModuleType) -> str:
    names = [f"{module.__name__}.{name}" for name in _shown(module)]
    rows = [(f":py:obj:`{name.rpartition('.')[2]} <{name}>`", _about(public()[name])) for name in names]
    table = [_rows([row for row in rows if row[1]], module.__name__)] if len(rows) > 1 else []
    return "\n\n".join([*table, *(_directive(name, public()[name]) for name in names)])


def _directive(name: str, value: Any) -> str:
    if inspect.isclass(value):
        kind = "exception" if issubclass(value, Exception) else "class"
        return f".. auto{kind}:: {name}\n    :members:"
    if inspect.isroutine(value):
        return f".. autofunction:: {name}"
    return f".. autodata:: {name}\n    :no-value:"


def _about(value: Any) -> str:
    """The first line of a docstring, which the house gives to one sentence; empty for what is a value."""
    described = inspect.isclass(value) or inspect.isroutine(value) or inspect.ismodule(value)
    return inspect.cleandoc(value.__doc__ or "").partition("\n\n")[0].replace("\n", " ") if described else ""


def _rows(rows: Iterable[tuple[str, str]], module: str = "lossbook") -> str:
    """A definition list: it reads well at any width."""
    items = [f"{name}\n    {inline(said, link_from(module))}" for name, said in rows]
    return "\n".join([".. rst-class:: lossbook-names", "", *items])


def _toctree(paths: Iterable[str]) -> str:
    return ".. toctree::\n    :hidden:\n\n" + "\n".join(f"    {path}" for path in paths)


def _heading(words: str, line: str) -> str:
    return f"{words}\n{line * max(len(words), 3)}"
