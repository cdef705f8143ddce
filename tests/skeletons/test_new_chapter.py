"""`new_chapter` lays down a chapter that is executed and keeps the chapter form at once, or changes nothing."""

import re

import jupytext
import pytest
from skeletons.checkout import PYTEST, contents, few, linted, run, runnable

from lossbook.book import bibliography
from lossbook.catalog.papers import NOTEBOOKS, papers
from lossbook.skeletons import new_chapter, unfinished
from lossbook.skeletons.chapter import NO_SYSTEM

NAME = "30_distillation"
SYSTEMS = [paper for paper in papers().values() if paper.chapter == "30"]


@pytest.fixture(scope="module")
def laid(tmp_path_factory):
    """A checkout with a chapter of five systems, and a new one of none; and the files that were made or changed."""
    folder = runnable(tmp_path_factory.mktemp("chapters"))
    made = [*new_chapter(folder, NAME), *new_chapter(folder, "14_brand_new", "Something brand new")]
    return folder, sorted({str(path.relative_to(folder)) for path in made})


def text(folder, name):
    return (folder / f"notebooks/text/{name}.py").read_text()


def test_what_was_laid_down_is_formatted(laid):
    folder, made = laid
    linted(folder, *(name for name in made if name.endswith(".py")))


def test_the_chapter_has_the_papers_sections_anchors_and_references_of_its_systems(laid):
    page = text(laid[0], NAME)
    assert len(SYSTEMS) > 1
    assert re.findall(r'<a id="(\w+)"></a>\n# ## (\d)', page) == [(p.key, str(k)) for k, p in enumerate(SYSTEMS, 1)]
    table, references = page.partition("# %%\nimport")[0], page.partition("# ## References")[2]
    for number, paper in enumerate(SYSTEMS, 1):
        assert f"# | {number} | {paper.authors} {paper.year}, {paper.title} |" in table
        assert f" ({paper.year}). {paper.title}. ".lower() in references.lower()
        assert paper.arxiv in references
    assert page.startswith("# ---")
    assert "# # 30 Distillation\n" in page


def test_a_chapter_without_systems_has_one_section_and_no_anchor(laid):
    page = text(laid[0], "14_brand_new")
    assert "# # 14 Something brand new\n" in page
    assert re.findall(r"^# ## (\d) ", page, flags=re.MULTILINE) == ["1"]
    assert "<a id=" not in page


def test_the_chapter_stands_in_every_list_in_order(laid):
    folder, _ = laid
    lists = (folder / "lossbook/catalog/papers.py").read_text()
    notebooks = re.findall(r'^    "(\d\d)": "(\d\d_\w+)\.ipynb",$', lists, flags=re.MULTILINE)
    assert notebooks == sorted(notebooks)
    assert {("14", "14_brand_new"), ("30", NAME)} <= set(notebooks)
    titles = re.findall(r'^    "(\d\d)": "([A-Z][^"]*)",$', lists, flags=re.MULTILINE)
    assert titles == sorted(titles)
    assert ("14", "Something brand new") in titles
    readme = (folder / "README.md").read_text()
    rows = re.findall(r"^\| \[(\d\d) (.*?)\]\(notebooks/(\w+)\.ipynb\)", readme, flags=re.MULTILINE)
    assert [row[0] for row in rows] == sorted(row[0] for row in rows)
    assert ("14", "Something brand new", "14_brand_new") in rows


@pytest.fixture(scope="module")
def executed(laid):
    """The checkout after what `make notebooks CHAPTER=30` does."""
    folder, _ = laid
    before = text(folder, NAME)
    run(folder, "jupytext", "--quiet", "--sync", f"notebooks/text/{NAME}.py")
    assert text(folder, NAME) == before
    how = ["--ExecutePreprocessor.record_timing=False", "--ExecutePreprocessor.store_widget_state=False"]
    run(folder, "nbconvert", "--to", "notebook", "--inplace", "--execute", *how, f"notebooks/{NAME}.ipynb")
    return folder


def test_the_executed_chapter_keeps_the_chapter_form_and_its_exercise_tells_slips_apart(executed):
    told = run(executed, *PYTEST, "tests/notebooks", "tests/exercises", "-k", "30_di or slope")
    assert int(re.search(r"(\d+) passed", told)[1]) >= 10
    linted(executed, f"notebooks/{NAME}.ipynb")


def test_a_chapter_that_is_not_written_yet_is_named_by_what_is_unfinished(laid):
    places = {line.partition(":")[0] for line in unfinished(laid[0])}
    assert places == {
        "README.md",
        *(f"notebooks/text/{name}.py" for name in (NAME, "14_brand_new")),
        *(f"lossbook/{room}/chapter_{number}.py" for room in ("exercises", "course/slips") for number in (14, 30)),
    }


def test_the_untouched_student_sees_a_message_and_never_the_solution_first(laid):
    cells = jupytext.reads(text(laid[0], NAME), fmt="py:percent").cells
    tags = [tag for cell in cells for tag in cell.metadata.get("tags", [])]
    assert tags == ["exercise", "check", "solution"]


@pytest.mark.parametrize(
    ("name", "title", "message"),
    [
        ("reshaping", None, "name: got 'reshaping', expected two digits and words joined by _"),
        ("1_reshaping", None, "name: got '1_reshaping', expected two digits"),
        ("30_Distillation", None, "name: got '30_Distillation', expected two digits"),
        ("30_", None, "name: got '30_', expected two digits"),
        ("../30_x", None, r"name: got '\.\./30_x', expected two digits"),
        ("01_likelihood", None, "name: got '01_likelihood', expected a number that no chapter has: 01 is 01_from"),
        ("30_teachers", "Teachers", "title: got 'Teachers', expected 'Distillation', as lossbook/catalog"),
        ("14_new", "a | b", r"title: got 'a | b', expected a line of text without \|"),
        ("14_new", " new", "title: got ' new', expected a line of text"),
        ("14_new", "", "title: got '', expected a line of text"),
    ],
)
def test_what_cannot_be_laid_down_is_refused_before_anything_is_written(tmp_path, name, title, message):
    before = contents(few(tmp_path))
    with pytest.raises(ValueError, match=message):
        new_chapter(tmp_path, name, title)
    assert contents(tmp_path) == before


@pytest.mark.parametrize(("name", "title", "argument"), [(30, None, "name"), ("14_new", 14, "title")])
def test_what_is_no_text_is_refused(tmp_path, name, title, argument):
    with pytest.raises(TypeError, match=rf"{argument}: got \d+ \(int\), expected"):
        new_chapter(few(tmp_path), name, title)


@pytest.mark.parametrize("there", [f"notebooks/text/{NAME}.py", "lossbook/exercises/chapter_30.py"])
def test_a_file_that_is_there_is_never_overwritten(tmp_path, there):
    few(tmp_path).joinpath(there).write_text("mine\n")
    before = contents(tmp_path)
    with pytest.raises(ValueError, match=f"{there}: got a file that is there, expected none: nothing is overwritten"):
        new_chapter(tmp_path, NAME)
    assert contents(tmp_path) == before


def test_a_new_chapter_without_a_title_is_called_by_its_name(tmp_path):
    new_chapter(few(tmp_path), "14_rank_losses")
    assert "# # 14 Rank losses\n" in text(tmp_path, "14_rank_losses")


def test_what_is_not_known_of_a_paper_is_left_to_do(tmp_path):
    new_chapter(few(tmp_path), "53_energies")
    page = text(tmp_path, "53_energies")
    assert "# - TODO, TODO. (20" in page  # the authors of quantum_battery
    assert "(TODO: the year)" in page  # of domain_wall


@pytest.mark.parametrize("number", [*sorted({paper.chapter for paper in papers().values()} - set(NOTEBOOKS)), "14"])
def test_the_references_of_every_chapter_are_such_as_the_bibliography_reads(tmp_path, number):
    new_chapter(few(tmp_path), f"{number}_new")
    listed = re.findall(r"^# - (.*)$", text(tmp_path, f"{number}_new").partition("# ## References")[2], re.MULTILINE)
    works = sorted(map(bibliography.read, listed), key=lambda work: work.title.lower())
    systems = [paper for paper in papers().values() if paper.chapter == number]
    systems = sorted(systems or [NO_SYSTEM], key=lambda paper: paper.title.lower())
    assert [work.arxiv for work in works] == [paper.arxiv for paper in systems]
    for work, paper in zip(works, systems, strict=True):  # a question inside a title ends it for the bibliography
        assert paper.title.lower().startswith(work.title.lower().partition(" (todo")[0])


def test_a_work_that_another_chapter_cites_is_cited_as_there(tmp_path):
    entry = "# - Bassam, E. et al. (2025). A choice view\n#   of losses. *NeurIPS*, arXiv 2506.12542."
    (few(tmp_path) / "notebooks/text/72_x.py").write_text(
        f"# %%\n# ## References\n{entry}\n# - Other, O. (2000). Other.\n"
    )
    new_chapter(tmp_path, NAME)
    assert text(tmp_path, NAME).count(entry) == 1
    assert text(tmp_path, NAME).count("2506.12542.") == 1
