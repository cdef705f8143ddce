"""What a skeleton left to its author is found; and in the book nothing is left."""

from pathlib import Path

import pytest

from lossbook.skeletons import unfinished
from lossbook.skeletons.edits import Clash, add_import, add_item, add_last, bracketed, merged

ROOT = Path(__file__).parents[2]

MODULE = '''"""A module."""

import math

from torch import Tensor

from lossbook.checks import check_number


def one(x: Tensor) -> float:
    return check_number("x", math.nan)
'''


def test_nothing_in_the_book_is_left_to_do():
    assert unfinished(ROOT) == [], "a skeleton is not filled in yet: write what each line asks for"


def test_a_mark_is_found_where_it_is_a_word_and_in_what_is_written_by_hand(tmp_path):
    for name, text in {
        "README.md": "fine\n| TODO: a row |\n",
        "lossbook/losses/_new.py": '"""TODO: a line."""\nMASTODON = "TODOS"\n    # TODO\n',
        "lossbook/skeletons/loss.py": "TODO\n",
        "lossbook/figures/picture.png": "TODO\n",
        "notebooks/text/10_new.py": "# TODO: prose\n",
        "build/book/page.md": "TODO\n",
    }.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    assert unfinished(tmp_path) == [
        "README.md:2: | TODO: a row |",
        'lossbook/losses/_new.py:1: """TODO: a line."""',
        "lossbook/losses/_new.py:3: TODO",
        "notebooks/text/10_new.py:1: TODO: prose",
    ]


def test_imports_are_merged_in_their_sections_and_in_order():
    other = "import torch\nfrom torch import Tensor\n"
    ours = "from lossbook.a import Upper, lower, CONSTANT\nfrom lossbook.m import one\n"
    assert merged(MODULE, other + ours, "lossbook.m").splitlines()[2:9] == [
        "import math",
        "",
        "import torch",
        "from torch import Tensor",
        "",
        "from lossbook.a import CONSTANT, Upper, lower",
        "from lossbook.checks import check_number",
    ]


@pytest.mark.parametrize(
    ("module", "other"),
    [
        (MODULE, "from elsewhere import check_number\n"),
        (MODULE, "from elsewhere import one\n"),
        (MODULE, "from lossbook.m import two\n"),
        (MODULE.replace("import math\n", "import math  # π\n"), "import math\n"),
    ],
    ids=["a name imported from elsewhere", "a name defined here", "a name that is not here", "a comment would be lost"],
)
def test_modules_that_do_not_fit_together_are_not_merged(module, other):
    with pytest.raises(Clash):
        merged(module, other, "lossbook.m")


def test_an_item_goes_to_its_place_at_the_beginning_in_the_middle_and_at_the_end():
    text = 'names = {\n    "b": 1,\n    "d": 2,\n}\nrest = 3\n'
    for key in "ace":
        text = add_item(text, "names", key, f'"{key}": 0')
    assert text == 'names = {\n    "a": 0,\n    "b": 1,\n    "c": 0,\n    "d": 2,\n    "e": 0,\n}\nrest = 3\n'


def test_source_is_added_last_to_a_tuple_over_many_lines():
    assert add_last("x = (\n    f(\n        1,\n    ),\n)\ny = 2\n", "x", "    g,\n") == (
        "x = (\n    f(\n        1,\n    ),\n    g,\n)\ny = 2\n"
    )


def test_a_name_is_imported_once():
    assert add_import(MODULE, "torch", "Tensor") == MODULE
    assert "from torch import Size, Tensor\n" in add_import(MODULE, "torch", "Size")


@pytest.mark.parametrize(("width", "lines"), [(22, 1), (20, 3), (15, 5)])
def test_a_call_takes_one_line_or_its_arguments_one_or_each_its_own(width, lines):
    text = bracketed("call(", ["first", "second", "3"], ")", call=True, width=width)
    assert len(text.splitlines()) == lines
    assert max(map(len, text.splitlines())) <= width


def test_a_variable_that_is_not_there_is_named():
    with pytest.raises(ValueError, match="names: got a module without it"):
        add_item("other = []\n", "names", "a", '"a"')
