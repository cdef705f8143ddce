"""`new_loss` lays down a loss of any kind that runs, is tested and is formatted at once, or changes nothing."""

import ast
import re
from pathlib import Path

import pytest
from skeletons.checkout import PYTEST, ROOT, contents, few, linted, run, runnable

from lossbook.catalog.record import Record
from lossbook.skeletons import new_loss, unfinished
from lossbook.skeletons.loss import KINDS

LAID = {  # a name, and how it is asked for: into the module of a family, or into modules of its own
    "a_margin_loss": {"inputs": "margin"},
    "an_error": {"inputs": "error", "chapter": "50"},
    "of_pairs": {"inputs": "pairs"},
    "of_labels": {"inputs": "labels", "family": "labels of a new kind", "chapter": "12"},
    "of_sets": {"inputs": "sets", "family": "sets of a new kind", "chapter": "12"},
    "huberised_loss": {"family": "reshaped cross-entropy", "system": "nkd_uskd"},
    "z_of_thirty_six_letters_in_its_names": {"family": "a new family", "chapter": "12"},
}


@pytest.fixture(scope="module")
def laid(tmp_path_factory):
    """A checkout with all of them, and the files that were made or changed."""
    folder = runnable(tmp_path_factory.mktemp("losses"))
    made = [path for name, how in LAID.items() for path in new_loss(folder, name, **how)]
    return folder, sorted({str(path.relative_to(folder)) for path in made})


def test_there_is_one_of_each_kind_of_inputs(laid):
    folder, _ = laid
    assert {how.get("inputs", "logits") for how in LAID.values()} == set(KINDS)
    assert len("z_of_thirty_six_letters_in_its_names") == 36  # the longest that is taken
    assert set(LAID) <= set(ast.literal_eval(re.search(r"__all__ = (\[.*\])", public(folder), re.DOTALL)[1]))


def public(folder):
    return (folder / "lossbook/losses/__init__.py").read_text()


def test_a_loss_goes_into_the_module_of_its_family_and_otherwise_into_one_of_its_own(laid):
    folder, made = laid
    for name, module in (("huberised_loss", "_poly"), ("a_margin_loss", "_margin"), ("an_error", "_regression")):
        for room, piece in (("losses", f"def {name}("), ("catalog", f"function=losses.{name},")):
            assert piece in (folder / f"lossbook/{room}/{module}.py").read_text()
            assert f"lossbook/{room}/_{name}.py" not in made
    for name in ("of_pairs", "z_of_thirty_six_letters_in_its_names"):  # a module of 277 lines; a new family
        assert {f"lossbook/{room}/_{name}.py" for room in ("losses", "catalog")} <= set(made)


def test_what_was_laid_down_is_sorted_and_formatted(laid):
    linted(laid[0], *laid[1])


def test_the_tests_of_all_losses_hold_for_them_at_once(laid):
    folder, _ = laid
    files = ["gradients", "properties", *LAID]
    files = [*(f"tests/losses/test_{name}.py" for name in files), "tests/catalog/test_records.py"]
    which = " or ".join([*LAID, "every_public", "in_order", "each_kind_once"])
    told = run(folder, *PYTEST, *files, "tests/test_bad_input.py", "-k", which)
    assert int(re.search(r"(\d+) passed", told)[1]) > 40 * len(LAID)
    run(folder, *PYTEST, *(name for name in laid[1] if "lossbook/losses" in name))


@pytest.mark.parametrize("name", LAID)
def test_what_is_provisional_is_marked_in_function_record_and_test(laid, name):
    folder, _ = laid
    places = {line.partition(":")[0] for line in unfinished(folder)}
    assert f"tests/losses/test_{name}.py" in places
    for room, piece in (("losses", f"def {name}("), ("catalog", f"function=losses.{name},")):
        (module,) = [path for path in (folder / f"lossbook/{room}").glob("_*.py") if piece in path.read_text()]
        assert f"lossbook/{room}/{module.name}" in places


def test_a_reference_is_filled_in_from_the_paper(laid):
    text = (laid[0] / "lossbook/catalog/_poly.py").read_text()
    record = text.partition("function=losses.huberised_loss")[2]
    assert 'chapter="30"' in record
    (reference,) = re.findall(r"reference=Reference\((.*?)\),\n", record, re.DOTALL)
    assert " ".join(reference.split()).startswith('"Yang et al.", 2023, "From Knowledge Distillation to Self-')
    assert '"2303.13005", "ICCV"' in " ".join(reference.split())
    assert "TODO" not in reference


def test_records_keep_their_order_and_the_new_one_comes_last_in_its_module(tmp_path):
    new_loss(few(tmp_path), "huberised_loss", family="reshaped cross-entropy")
    before, text = ((folder / "lossbook/catalog/_poly.py").read_text() for folder in (ROOT, tmp_path))
    ours, theirs = (re.findall(r"function=losses\.(\w+)", each) for each in (before, text))
    assert theirs == [*ours, "huberised_loss"]


def test_a_second_new_module_is_listed_after_the_first(tmp_path):
    few(tmp_path)
    for name in ("second_of_its_kind", "another_kind"):
        new_loss(tmp_path, name, family="a new family" if name.startswith("second") else "yet another", chapter="12")
    text = (tmp_path / "lossbook/catalog/__init__.py").read_text()
    listed = re.search(r"for module in \((.*?)\)", text, re.DOTALL)[1].split()
    assert listed[-2:] == ["_second_of_its_kind,", "_another_kind,"]
    linted(tmp_path, "lossbook/catalog/__init__.py", "lossbook/losses/__init__.py")


@pytest.mark.parametrize(
    ("name", "how", "message"),
    [
        ("PolyLoss", {}, "name: got 'PolyLoss', expected at most 36 small letters"),
        ("poly-loss", {}, "name: got 'poly-loss', expected at most 36"),
        ("_poly", {}, "name: got '_poly', expected"),
        ("lambda", {}, "name: got 'lambda', expected"),
        ("p" * 37, {}, "name: got 'p+', expected at most 36"),
        ("focal_loss", {}, "name: got 'focal_loss', expected the name of no loss that is there"),
        ("a_loss", {}, "family: got None, expected one of .*'comp-sum', .*'spherical'.*, or a few new words"),
        ("a_loss", {"family": "Comp-Sum"}, "family: got 'Comp-Sum', expected one of .*'comp-sum'"),
        ("a_loss", {"family": "new"}, "chapter: got None, expected one of 00, 01, .*: the family 'new' has none yet"),
        ("a_loss", {"family": "comp-sum", "chapter": "04"}, "chapter: got '04', expected one of 00, 01"),
        ("a_loss", {"family": "comp-sum", "inputs": "scores"}, "inputs: got 'scores', expected one of 'logits'"),
        ("a_loss", {"family": "comp-sum", "inputs": "error"}, "inputs: got 'error', expected 'logits', as the family"),
        ("a_loss", {"family": "comp-sum", "system": "poly"}, "system: got 'poly', expected one of 'comp_sum', "),
    ],
)
def test_what_cannot_be_laid_down_is_refused_before_anything_is_written(tmp_path, name, how, message):
    before = contents(few(tmp_path))
    with pytest.raises(ValueError, match=message):
        new_loss(tmp_path, name, **how)
    assert contents(tmp_path) == before


def test_a_name_that_is_no_text_is_refused(tmp_path):
    with pytest.raises(TypeError, match=r"name: got 3 \(int\), expected the name of a function"):
        new_loss(few(tmp_path), 3)


def test_a_folder_that_is_no_checkout_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"root: got .*, expected a checkout of lossbook: .*papers.py is not there"):
        new_loss(tmp_path, "huberised_loss")


def test_a_module_of_records_in_another_form_is_left_alone(tmp_path):
    path = few(tmp_path) / "lossbook/catalog/_poly.py"
    path.write_text(path.read_text().replace("RECORDS = (\n", "RECORDS = (  # two\n"))
    before = path.read_text()
    new_loss(tmp_path, "huberised_loss", family="reshaped cross-entropy")
    assert path.read_text() == before
    assert "function=losses.huberised_loss" in (tmp_path / "lossbook/catalog/_huberised_loss.py").read_text()


def test_a_catalogue_in_another_form_is_refused(tmp_path):
    path = few(tmp_path) / "lossbook/catalog/__init__.py"
    path.write_text(path.read_text().replace("for module in (", "for each in ("))
    before = contents(tmp_path)
    with pytest.raises(ValueError, match=r"catalog/__init__\.py: got no loop over the modules of records"):
        new_loss(tmp_path, "new", family="a new family", chapter="12")
    assert contents(tmp_path) == before


@pytest.mark.parametrize("there", ["tests/losses/test_new.py", "lossbook/catalog/_new.py", "lossbook/losses/_new.py"])
def test_a_file_that_is_there_is_never_overwritten(tmp_path, there):
    few(tmp_path).joinpath(there).write_text("mine\n")
    before = contents(tmp_path)
    with pytest.raises(ValueError, match=f"{there}: got a file that is there, expected none: nothing is overwritten"):
        new_loss(tmp_path, "new", family="a new family", chapter="12")
    assert contents(tmp_path) == before


@pytest.mark.parametrize("fails", range(6))
@pytest.mark.parametrize("error", [OSError("the disk is full"), KeyboardInterrupt()])
def test_a_failure_half_way_leaves_everything_as_it_was(tmp_path, monkeypatch, fails, error):
    before, opened, really = contents(few(tmp_path)), [], Path.open

    def full(path, mode="r", *rest, **options):
        if mode[0] in "wx" and "b" not in mode:
            opened.append(path)
            if len(opened) == fails + 1:
                really(path, mode, *rest, **options).close()  # as a disk that fills up leaves it: empty
                raise error
        return really(path, mode, *rest, **options)

    monkeypatch.setattr(Path, "open", full)
    with pytest.raises(type(error)):
        new_loss(tmp_path, "new", family="a new family", chapter="12")
    assert len(opened) == fails + 1
    assert contents(tmp_path) == before


def test_the_kinds_of_inputs_are_those_of_a_record():
    assert str(Record.__annotations__["inputs"]).count("'") == 2 * len(KINDS)
