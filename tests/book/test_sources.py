"""What a chapter uses of the package is found without running it: all that runs is there, and little else."""

import ast
import json
import shutil
import subprocess
import sys
import time
from pathlib import Path

import nbformat
import pytest

import lossbook
from lossbook.book.sources import read, sources, used
from lossbook.book.statements import Seen

PACKAGE = Path(lossbook.__file__).parent
NOTEBOOKS = sorted((PACKAGE.parent / "notebooks").glob("[0-9][0-9]_*.ipynb"))

HOUSE = {
    "__init__.py": "from house.tools import hammer\nVERSION = 1",
    "tools.py": "from house.wood import OAK\ndef hammer(): return OAK\ndef saw():\n"
    "    from house.wood import ELM\n    return ELM",
    "wood.py": "OAK = 1\nELM = 2\nBEECH = 3",
    "rooms/__init__.py": "from house.rooms import attic, cellar\nROOMS = {'attic': attic, 'cellar': cellar}\n"
    "from house.rooms._hall import hall\ndef find(name):\n    return ROOMS[name]",
    "rooms/attic.py": "from .. import tools\ndef run(): return tools.saw()",
    "rooms/cellar.py": "import house.wood as timber\ndef run(): return timber.BEECH",
    "rooms/_hall.py": "class Hall:\n    width = 3\ndef hall(): return Hall()",
    "rooms/hall.py": "def door(): pass",
    "registry.py": "KNOWN = {}\ndef enter(made):\n    KNOWN[made.__name__] = made\n    return made",
    "clerk.py": "from house.registry import enter, KNOWN\nfrom house import wood\n@enter\ndef oak(): return wood.OAK\n"
    "def elm(): return wood.ELM",
    "lists.py": "WORDS = []\nWORDS.append('one')\nTWO = 2\n__all__ = ['TWO', *WORDS]",
    "stars.py": "from house.wood import *",
    "try_it.py": "try:\n    from house import wood\nexcept ImportError:\n    wood = None\n"
    "def has(): return wood is not None",
}


@pytest.fixture
def house(tmp_path):
    root = tmp_path / "house"
    for name, text in HOUSE.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text + "\n")
    return root


def parts(root, *cells):
    """What cells use, as "file:name", without the folder."""
    modules = read(root)
    found = used([ast.parse(cell) for cell in cells], modules)
    return {modules[at].file.removeprefix(f"{root.name}/") + f":{name}" for at, name in found}


HAMMER = {"tools.py:hammer", "tools.py:OAK", "wood.py:OAK"}
SAW = {"tools.py:saw", "wood.py:ELM"}
ATTIC = {"rooms/attic.py:run", "rooms/attic.py:tools", *SAW}
CELLAR = {"rooms/cellar.py:run", "rooms/cellar.py:timber", "wood.py:BEECH"}
ALL_WOOD = {"wood.py:OAK", "wood.py:ELM", "wood.py:BEECH"}
ALL_ROOMS = {"rooms/__init__.py:ROOMS", "rooms/__init__.py:attic", "rooms/__init__.py:cellar", *ATTIC, *CELLAR}
HALL = {"rooms/__init__.py:hall", "rooms/_hall.py:hall", "rooms/_hall.py:Hall"}


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("from house.wood import OAK", {"wood.py:OAK"}),
        ("from house import hammer", {"__init__.py:hammer", *HAMMER}),
        ("import house\nhouse.hammer()", {"__init__.py:hammer", *HAMMER}),
        ("import house\nhouse.tools.saw()", SAW),
        ("import house.tools\nhouse.tools.saw()", SAW),
        ("import house.wood as w\nprint(w.ELM)", {"wood.py:ELM"}),
        ("from house import wood as w\nprint(w.ELM.real)", {"wood.py:ELM"}),
        ("def later():\n    from house.tools import saw\n    saw()", SAW),
        ("from house.rooms import attic\nattic.run()", {"rooms/__init__.py:attic", *ATTIC}),
        ("from house.rooms import find", {"rooms/__init__.py:find", *ALL_ROOMS}),
        ("from house.rooms import hall", HALL),  # the name of the package goes before the module of that name
        ("from house.rooms.hall import door", {"rooms/hall.py:door"}),  # a path of modules does not
        ("from house import wood\nprint(vars(wood))", ALL_WOOD),
        ("from house import wood\ngetattr(wood, name)", ALL_WOOD),
        ("from house.wood import *", ALL_WOOD),
        ("from house.stars import OAK", {"stars.py:", *ALL_WOOD}),
        ("from house.wood import BIRCH", ALL_WOOD),  # bound in a way that is not seen
        ("from house.clerk import elm", {"clerk.py:", "clerk.py:enter", "clerk.py:wood", "clerk.py:elm"}
         | {"registry.py:enter", "registry.py:KNOWN", "wood.py:OAK", "wood.py:ELM"}),
        ("from house.lists import TWO", {"lists.py:", "lists.py:WORDS", "lists.py:TWO"}),
        ("from house.try_it import has", {"try_it.py:", "try_it.py:wood", "try_it.py:has", *ALL_WOOD}),
        ("import importlib\nimportlib.import_module('house.wood').OAK", ALL_WOOD),
        ("resolve('house.tools.saw')", SAW),
        ("paths = ['house.wood.ELM']", {"wood.py:ELM"}),
        ("import math, housekeeping\nfrom os import path\npath.join('house', 'wood')", set()),
        ("from house.wood import OAK as hammer\nhammer", {"wood.py:OAK"}),
        ("path = 'a/b'\nprint(f'{path}').saw", set()),
    ],
)  # fmt: skip
def test_each_way_to_reach_a_name_leads_to_the_statements_that_bind_it_and_what_these_use(house, code, expected):
    assert parts(house, code) == expected


@pytest.mark.parametrize(
    "code",
    [
        "import importlib\nimportlib.import_module(name)",
        "from lossbook.catalog.papers import papers, resolve\nresolve(papers()['hinge'].implemented_by[0])",
        "exec(text)",
    ],
)
def test_code_that_computes_what_it_imports_uses_every_file(house, code):
    assert set(sources([code], house)) == {f"house/{name}" for name in HOUSE}


def test_cells_see_the_imports_of_one_another(house):
    assert parts(house, "from house import tools", "tools.saw()") == SAW


@pytest.mark.parametrize(
    ("file", "old", "new", "touches"),
    [
        ("wood.py", "OAK = 1", "OAK = 10", True),
        ("wood.py", "ELM = 2", "ELM = 20", False),
        ("wood.py", "OAK = 1", "OAK = 1  # hard", False),
        ("wood.py", "OAK = 1", '"""Kinds of wood."""\n\n\nOAK = 1', False),
        ("tools.py", "def hammer(): return OAK", 'def hammer():\n    """Hit."""\n    return OAK', False),
        ("tools.py", "def hammer(): return OAK", "def hammer(): return OAK + 1", True),
        ("tools.py", "from house.wood import OAK", "from house.wood import ELM as OAK", True),
        ("wood.py", "OAK = 1", "OAK = 1\nprint('wood')", True),
        ("wood.py", "OAK = 1", "OAK = 1\nOAK += 1", True),
        ("__init__.py", "VERSION = 1", "VERSION = 2", False),
        ("rooms/cellar.py", "BEECH", "OAK", False),
    ],
)
def test_the_digests_change_with_what_is_used_and_with_nothing_else(house, file, old, new, touches):
    before = sources(["from house import hammer"], house)
    text = (house / file).read_text()
    assert old in text
    (house / file).write_text(text.replace(old, new))
    assert (sources(["from house import hammer"], house) != before) == touches


def test_code_that_reads_a_docstring_is_touched_when_it_changes(house):
    before = sources(["from house import hammer", "help(hammer)"], house)
    (house / "tools.py").write_text(HOUSE["tools.py"].replace("def hammer(): ", 'def hammer():\n    "Hit."\n    '))
    assert sources(["from house import hammer", "help(hammer)"], house) != before


def test_what_cannot_be_parsed_is_refused_with_its_cell_and_line():
    with pytest.raises(ValueError, match=r"cells\[1\], line 2: got '%matplotlib inline', expected Python w"):
        sources(["import torch", "x = 1\n%matplotlib inline"])
    with pytest.raises(TypeError, match=r"cells: got 'import torch' \(str\), expected a sequence of texts"):
        sources("import torch")


def test_a_folder_without_a_package_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"root: got .*, expected the folder of a package, with __init__\.py in it"):
        sources([], tmp_path)


def code_of(notebook):
    return [cell.source for cell in nbformat.read(notebook, as_version=4).cells if cell.cell_type == "code"]


CELLS = {notebook.stem[:2]: code_of(notebook) for notebook in NOTEBOOKS}

ENTERED = """
import json, sys
cells, folder, depth, entered = json.loads(sys.stdin.read()), sys.argv[1], 0, set()

def leave(frame, event, argument):
    global depth
    depth -= event == "return"

def enter(frame, event, argument):
    global depth
    code = frame.f_code
    if code.co_filename and code.co_filename.startswith(folder):
        if code.co_qualname == "<module>":  # what runs on import of a module need not be used by anybody
            depth += 1
            return leave
        if not depth:
            entered.add((code.co_filename, code.co_qualname.partition(".")[0]))

space = {"__name__": "__main__"}
for number, cell in enumerate(cells):
    if number == 1:  # the imports are done
        sys.settrace(enter)
    exec(cell, space)
sys.settrace(None)
print("\\n" + json.dumps(sorted(entered)))
"""


def entered(cells):
    """Run cells in a process of their own: the module and top-level name of every function of the package entered."""
    command = [sys.executable, "-c", ENTERED, str(PACKAGE)]
    ended = subprocess.run(command, input=json.dumps(cells), capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    return json.loads(ended.stdout.splitlines()[-1])


def test_every_function_of_the_package_that_a_chapter_enters_was_found():
    # Chapter 00 but for the cell that walks all controls for seconds; these lines go where it leads.
    cells = [cell for cell in CELLS["00"] if "move_every_control" not in cell]
    cells += [
        "margin_explorer.set(losses=('huber_loss',), delta=2.0)",
        "simplex_explorer.set(tau=0.5)",
        "training_explorer.set(step=1)",
    ]
    assert len(cells) == len(CELLS["00"]) + 2
    modules = read(PACKAGE)
    at = {str(PACKAGE.parent / module.file): name for name, module in modules.items()}
    found = used([ast.parse(cell) for cell in cells], modules)
    found |= {(module, "<lambda>"): None for module, _ in found}  # within a statement of a module; its name is not told
    ran = entered(cells)
    assert len(ran) > 150
    assert [(file, name) for file, name in ran if (at[file], name) not in found] == []


def test_an_experiment_is_used_by_the_chapters_that_name_it_and_by_no_other():
    # By hand: the modules that a chapter's imports name, and those that these or its pictures stand on.
    experiments = {
        "00": {"perceptron"},
        "01": {"adversarial", "consistency", "extrapolation", "label_noise", "perceptron", "surrogates", "two_regimes"},
        "02": {"softmax_precision", "softmax_speed"},
        "03": {"class_count", "gradient_filter", "image_text", "language_model", "many_positives", "retrieval_offsets"}
        | {"spherical"},
        "70": {"lazy_images", "lazy_rich", "modular_addition", "softmax_precision", "sparse_parity"},
        "71": {"neural_collapse", "unconstrained_features"},
        "72": {"gap_mitigations", "stability_gap"},
    }
    assert set(experiments) <= set(CELLS)
    for chapter, expected in experiments.items():
        files = [Path(file) for file in sources(CELLS[chapter])]
        found = {file.stem for file in files if file.parent.name == "experiments" and not file.stem.startswith("_")}
        assert found - {"run"} == expected, chapter


PART_1 = ("10", "11", "12", "13")


@pytest.mark.parametrize(
    ("file", "old", "new", "touched"),
    [
        ("experiments/perceptron.py", "steps: int = 3000", "steps: int = 3001", {"00", "01"}),
        ("experiments/neural_collapse.py", "def run(", "assert True\n\n\ndef run(", {"71"}),
        ("experiments/__init__.py", '    "adversarial": adversarial,\n', "", set()),  # nobody asks by name
        ("experiments/__init__.py", "    perceptron,\n    pol", "    surrogates as perceptron,\n    pol", {"00", "01"}),
        ("losses/_spherical.py", "def z_loss(", "def z_loss_as_it_was(", {"00", "01", "02", "03", *PART_1, "70", "72"}),
        ("losses/_spherical.py", "def one_hot_squared_error_loss(", "assert True\n\n\ndef one_hot_squared_error_loss(",
         {"00", "01", "02", "03", *PART_1, "70", "71", "72"}),
        ("losses/_margin.py", "def hinge_loss(", "assert True\n\n\ndef hinge_loss(",
         {"00", "01", "02", "03", *PART_1, "70", "72"}),  # through the records: check_gradient takes a loss by its name
        ("metrics/kernel.py", "def kernel_alignment(", "assert True\n\n\ndef kernel_alignment(", {"70"}),
        ("widgets/float_line.py", "class FloatLineExplorer", "assert True\n\n\nclass FloatLineExplorer", {"02"}),
        ("exercises/chapter_72.py", '"""', '"""More. ', set()),
        ("cli/__init__.py", '"""', 'assert True\n"""', set()),
    ],
)  # fmt: skip
def test_a_change_touches_the_chapters_that_use_it(copied, file, old, new, touched):
    copied, before = copied
    path = copied / file
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    try:
        after = {chapter: sources(cells, copied) for chapter, cells in CELLS.items()}
    finally:
        path.write_text(text)
    assert {chapter for chapter in CELLS if after[chapter] != before[chapter]} == touched


@pytest.fixture(scope="module")
def copied(tmp_path_factory):
    root = tmp_path_factory.mktemp("copy") / PACKAGE.name
    shutil.copytree(PACKAGE, root, ignore=shutil.ignore_patterns("__pycache__"))
    return root, {chapter: sources(cells, root) for chapter, cells in CELLS.items()}


def test_only_two_modules_that_chapters_reach_import_by_a_name_that_they_are_given():
    # `resolve` counts where it is called; `benchmarks.peers` asks for libraries of others.
    found = set()
    for module in read(PACKAGE).values():
        if module.file.split("/")[1] not in ("book", "cli", "course", "skeletons"):
            seen = Seen.of([ast.parse(module.text)])
            if seen.imports_unseen():
                found.add(module.file)
    assert found == {"lossbook/catalog/papers.py", "lossbook/benchmarks/peers.py"}


def test_all_chapters_are_read_within_two_seconds_once_the_package_is_parsed():
    [sources(cells) for cells in CELLS.values()]
    began = time.process_time()
    [sources(cells) for cells in CELLS.values()]
    assert time.process_time() - began < 2
