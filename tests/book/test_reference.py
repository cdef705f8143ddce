"""The API pages: every public name, every word of its docstring, and of each loss what its record says."""

import argparse
import ast
import html
import inspect
import json
import re
import warnings
from pathlib import Path

import nbformat
import pytest
from docutils import nodes
from docutils.core import publish_doctree
from sphinx.application import Sphinx
from sphinx.util.docutils import docutils_namespace

from lossbook.book import command_line, experiments, reference
from lossbook.book.chapter import Chapter
from lossbook.book.configuration import SETTINGS as SITE
from lossbook.book.restructured import rest
from lossbook.book.rooms import ROOMS, canonical, module_names, modules, names_of, public
from lossbook.catalog import RECORDS
from lossbook.cli import parser
from lossbook.experiments import EXPERIMENTS

ROOT = Path(__file__).resolve().parents[2]
TWINS = sorted((ROOT / "notebooks" / "text").glob("*.py"))
BUILT = ("losses/cross_entropy", "losses/siglip_loss", "logits", "claims", "experiments/surrogates", "models")
EXTENSIONS = ["myst_nb", "lossbook.book.docstrings"]
SETTINGS = {"extensions": EXTENSIONS, "html_theme": "basic", "mathjax_path": "none.js", "nb_execution_mode": "off"}
INDEX = """# A site

{py:func}`lossbook.row_loss` and {py:class}`lossbook.LinearLogits` and {py:obj}`lossbook.experiments.surrogates`

```{toctree}
"""


@pytest.fixture(scope="module")
def files():
    return reference.pages(())


@pytest.fixture(scope="module")
def site(files, tmp_path_factory):
    """Some of the pages, built with warnings as errors."""
    place = tmp_path_factory.mktemp("site")
    (place / "source" / "_static").mkdir(parents=True)
    chosen = {f"api/{name}.rst": files[f"api/{name}.rst"] for name in BUILT} | command_line.pages(parser())
    names = "\n".join(name.removesuffix(".rst") for name in chosen)
    for name, text in (chosen | {"index.md": f"{INDEX}{names}\n```\n"}).items():
        path = place / "source" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    with docutils_namespace(), warnings.catch_warnings(), (place / "warnings").open("w+") as said:
        warnings.simplefilter("ignore")  # those of Sphinx's own dependencies; its own go to the file
        source, site, trees = (place / part for part in ("source", "site", "doctrees"))
        Sphinx(source, None, site, trees, "html", confoverrides=SETTINGS, status=None, warning=said).build()
    assert (place / "warnings").read_text() == ""
    return place / "site"


def page(site: Path, name: str) -> str:
    return (site / f"{name}.html").read_text(encoding="utf-8")


def words(markup: str) -> str:
    """The text of HTML, white space squeezed."""
    return " ".join(html.unescape(re.sub("<[^>]+>", "", markup)).split())


def test_every_public_name_of_every_room_has_one_place(files):
    pages = [text for name, text in files.items() if name.startswith("api/")]
    shown = re.findall(r"^\.\. auto\w+:: (\S+)$", "\n".join(pages), re.MULTILINE)
    assert sorted(shown) == sorted(public())
    for room in ROOMS:
        for module in modules(room):
            for name in names_of(module):
                assert canonical(f"{module.__name__}.{name}") in public(), (module.__name__, name)
            assert len(re.findall(f"^.. py:module:: {module.__name__}$", "\n".join(pages), re.MULTILINE)) == 1


def test_what_chapters_import_has_a_place():
    for twin in TWINS:
        for node in ast.walk(ast.parse(twin.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == "lossbook":
                for name in (f"{node.module}.{alias.name}" for alias in node.names):
                    assert canonical(name) or name in module_names(), (twin.stem, name)


def test_the_index_names_every_room_and_the_catalogue_every_loss(files):
    for room in ROOMS:
        assert f":doc:`{room.title} <{room.page}>`" in files["api/index.rst"]
        assert f"api/{room.page}.rst" in files
    for key in RECORDS:
        assert f'href="api/losses/{key}.html"' in files["catalogue.rst"]
    assert ".ipynb" not in files["catalogue.rst"]


@pytest.mark.parametrize("record", RECORDS.values(), ids=RECORDS)
def test_the_page_of_a_loss_shows_what_its_record_says(files, record):
    text = html.unescape(files[f"api/losses/{record.key}.rst"])
    said = (record.title, record.formula, record.gradient_formula, record.family, record.origin, record.reference.title)
    for fact in (*said, *(parameter.meaning for parameter in record.parameters)):
        assert fact in text
    for case in record.special_cases:
        assert case.statement in text
    assert f'href="../../comparison.html#{record.key}"' in text
    assert f".. autofunction:: lossbook.losses.{record.key}\n" in text


def test_a_loss_leads_to_its_section_where_the_chapter_is_written():
    cells = [nbformat.v4.new_markdown_cell('<a id="siglip"></a>\n## SigLIP')]
    chapter = Chapter("03", "03_rows", "Rows", nbformat.v4.new_notebook(cells=cells), 1.0, 1)
    assert 'href="../../03_rows.html#siglip"' in reference.pages([chapter])["api/losses/siglip_loss.rst"]


# Docstrings are shown as written.

NASTY = {
    "p_y and z_j": "p_y and z_j",
    "|x|_2 |substitution| and [1]_": "|x|_2 |substitution| and [1]_",
    "(*batch, classes), **options, a * b * c": "(*batch, classes), **options, a * b * c",
    r"TeX between \( and \), C:\new": r"TeX between \( and \), C:\new",
    "log q(y|x)_t :role: and ::": "log q(y|x)_t :role: and ::",
    "1. is no list, nor is": "1. is no list, nor is",
    "- nor this": "- nor this",
    ".. nor a directive::": ".. nor a directive::",
    "__dunder__ and trailing_ underscores__": "__dunder__ and trailing_ underscores__",
    '"mean" -- isn\'t "typeset"...': '"mean" -- isn\'t "typeset"...',
    "a `code | with *marks* \\`, b": "a code | with *marks* \\, b",
    "features@weight.org <not a link_>`_": "features@weight.org <not a link_>`_",
}


def shown(docstring: str) -> nodes.document:
    """The docstring as docutils reads it; a warning is an error."""
    settings = {"halt_level": 2, "report_level": 2, "warning_stream": False, "syntax_highlight": "none"}
    return publish_doctree(rest(docstring), settings_overrides=settings)


@pytest.mark.parametrize(("written", "expected"), NASTY.items())
@pytest.mark.parametrize("form", ["{}", "First.\n\nArgs:\n    x: {}\n", "First.\n\nLimits: {}"])
def test_characters_that_are_markup_come_out_as_written(form, written, expected):
    found = shown(form.format(written))
    assert found.astext().split("\n")[-1] == expected
    assert not list(found.findall(nodes.target))
    assert not list(found.findall(nodes.reference))


def bare(text: str) -> str:
    """What must be the same before and after: all but white space, backticks, colons and the rules of tables."""
    return re.sub(r"[\s`:|]|--+", "", text)


def test_no_word_of_a_public_docstring_is_lost():
    for name, value in public().items():
        if (inspect.isclass(value) or inspect.isroutine(value)) and value.__doc__:
            text = inspect.cleandoc(value.__doc__)
            assert bare(shown(text).astext()) == bare(text), name


def test_sections_are_fields_and_arguments_are_terms():
    found = shown(
        "One line.\n\n    a = b\n\nArgs:\n    low, high: ends,\n        both.\nGradient: x\n    and y.\n\nAfter."
    )
    assert [field[0].astext() for field in found.findall(nodes.field)] == ["Args", "Gradient"]
    assert [term.astext() for term in found.findall(nodes.term)] == ["low, high"]
    assert [code.astext() for code in found.findall(nodes.literal_block)] == ["a = b"]
    assert [text.astext() for text in found.findall(nodes.paragraph)] == [
        "One line.",
        "ends, both.",
        "x and y.",
        "After.",
    ]


def test_an_example_and_a_table_keep_their_form():
    found = shown("One.\n\n| a | b |\n|---|---|\n| c_1 | d |\n\nExample:\n    >>> f(*x)\n    3\n")
    assert [entry.astext() for entry in found.findall(nodes.entry)] == ["a", "b", "c_1", "d"]
    assert [code.astext() for code in found.findall(nodes.literal_block)] == [">>> f(*x)\n3"]


def test_the_site_reads_docstrings_without_napoleon():
    assert "lossbook.book.docstrings" in SITE["extensions"]
    assert (
        "sphinx.ext.napoleon" not in SITE["extensions"]
    )  # it takes `lossbook run: ...` for a type and its description


# The built pages.


def test_signatures_show_the_annotations_as_they_are_written(site):
    signature = words(re.findall('<dt class="sig .*?</dt>', page(site, "api/losses/cross_entropy"), re.DOTALL)[0])
    assert "logits: Float[Tensor, '*batch classes'] | LinearLogits, target: Int[Tensor, '*batch']" in signature
    assert "reduction: str = 'mean', ) → Float[Tensor, '...']" in signature
    assert "object at 0x" not in signature


def test_a_signature_is_no_list_without_terms(site):
    for signature in re.findall('<dt class="sig .*?</dt>', page(site, "api/logits"), re.DOTALL):
        assert not re.search("<d[ld]>", signature)


def test_names_lead_to_their_pages(site):
    assert 'href="../logits.html#lossbook.logits.LinearLogits"' in page(site, "api/losses/cross_entropy")
    front = page(site, "index")
    assert 'href="api/logits.html#lossbook.logits.row_loss"' in front
    assert 'href="api/logits.html#lossbook.logits.LinearLogits"' in front
    assert 'href="api/experiments/surrogates.html#module-lossbook.experiments.surrogates"' in front


def test_sources_are_linked(site):
    assert "_modules/lossbook/losses/_pairs.html#siglip_loss" in page(site, "api/losses/siglip_loss")
    assert "def siglip_loss" in words(page(site, "_modules/lossbook/losses/_pairs"))


def test_the_list_of_sources_is_one_list(site):
    listed = page(site, "_modules/index")
    assert "lossbook.losses._pairs" in words(listed)
    assert not re.search(r"(</li>|<ul>)\s*<ul>", listed)


def test_what_only_the_source_says_is_shown(site):
    text = words(page(site, "api/experiments/surrogates"))
    assert "gross_errors: tuple[float, ...] = (0.0, 0.1) # share of the training points" in text
    assert '"tiny": Config(steps=40, seeds=1)' in text


def test_a_search_finds_a_loss_by_its_name_and_by_a_word_of_its_docstring(site):
    script = (site / "searchindex.js").read_text(encoding="utf-8")
    index = json.loads(script.removeprefix("Search.setIndex(").removesuffix(")"))
    where = index["docnames"].index("api/losses/siglip_loss")
    assert "siglip_loss" in {entry[4] for entry in index["objects"]["lossbook.losses"]}
    found = index["terms"]["sigmoid"]
    assert where in (found if isinstance(found, list) else [found])


def test_mathjax_reads_formulas_and_no_docstring(site):
    text = page(site, "api/losses/siglip_loss")
    assert 'src="../../_static/none.js"' in text
    assert re.search('<section [^>]*class="[^"]*mathjax_ignore', text)


# Experiments and the command line.


def test_the_page_of_experiments_names_each_with_its_scales_and_chapter():
    cells = [nbformat.v4.new_code_cell("from lossbook.experiments import perceptron, surrogates")]
    chapter = Chapter("01", "01_from", "From", nbformat.v4.new_notebook(cells=cells), 1.0, 1)
    text = experiments.page([chapter])
    for name, module in EXPERIMENTS.items():
        entry = text[text.index(f":doc:`{name} <") :].partition("\n:doc:")[0]
        assert ("`01 From <01_from.html>`__" in entry) == (name in ("perceptron", "surrogates"))
        for scale in module.SCALES:
            assert f"\n    {scale}: " in entry


def test_the_page_of_the_command_line_has_every_command_and_option(site):
    text = words(page(site, "command_line"))
    whole = parser()
    commands = next(action for action in whole._actions if isinstance(action, argparse._SubParsersAction))
    for name, command in commands.choices.items():
        assert f"lossbook {name}" in text
        assert command.description in text
        for action in command._actions:
            if action.dest != "help":
                assert f'id="cmdoption-lossbook-{name}-' in page(site, "command_line")
                assert (action.help or "") in text
