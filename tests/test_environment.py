"""The ways to install the book agree: pyproject.toml, constraints.txt, environment.yml, and the files that use them."""

import json
import re
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

import lossbook

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
CONDA_NAMES = {"torch": "pytorch"}


def bounds(requirements):
    """Each name and its specifiers, as a set, so that their order does not matter."""
    parsed = map(Requirement, requirements)
    return {canonicalize_name(r.name): {str(specifier) for specifier in r.specifier} for r in parsed}


def pins():
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    return [Requirement(line) for line in lines if line and not line.startswith("#")]


def conda():
    return yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))["dependencies"]


DEPENDENCIES = bounds(PROJECT["project"]["dependencies"])
EXTRAS = PROJECT["project"]["optional-dependencies"]
OF_ITSELF = "lossbook[book,course]"  # the tests want the other extras too
TEST_DEPENDENCIES = bounds(line for extra in EXTRAS.values() for line in extra if line != OF_ITSELF)


def test_conda_and_pyproject_ask_for_the_same_packages_within_the_same_bounds():
    found = bounds(line for line in conda() if isinstance(line, str) and line != "pip")
    python = found.pop("python")
    assert found == {CONDA_NAMES.get(name, name): specifiers for name, specifiers in DEPENDENCIES.items()}
    assert PROJECT["project"]["requires-python"] in python


def test_the_tests_install_every_other_extra():
    assert OF_ITSELF in EXTRAS["test"]
    assert Requirement(OF_ITSELF).extras == set(EXTRAS) - {"test"}


def test_conda_installs_the_package_itself_from_the_clone():
    assert [line["pip"] for line in conda() if isinstance(line, dict)] == [["-e ."]]


EVERYWHERE = [
    canonicalize_name(requirement.name)
    for line in (*PROJECT["project"]["dependencies"], *(line for extra in EXTRAS.values() for line in extra))
    if line != OF_ITSELF
    and (requirement := Requirement(line)).marker is None  # triton's version is torch's to choose where both are
]


@pytest.mark.parametrize("name", EVERYWHERE)
def test_every_dependency_is_pinned_inside_its_bounds(name):
    asked = Requirement(name + ",".join((DEPENDENCIES | TEST_DEPENDENCIES)[name])).specifier
    (pin,) = [pin for pin in pins() if canonicalize_name(pin.name) == name]
    ((operator, version),) = [(specifier.operator, specifier.version) for specifier in pin.specifier]
    assert operator == "=="
    assert version in asked


def test_pins_hold_on_every_system():
    for pin in pins():
        assert re.fullmatch(r"[a-z0-9-]+==[0-9][0-9a-z.]*", str(pin)), "one exact version, no marker, no local tag"
        assert not re.match(r"nvidia-|cuda-|triton$|pip$|setuptools$|pywin|appnope$|colorama$", pin.name)


def test_pins_are_sorted_and_name_each_package_once():
    names = [canonicalize_name(pin.name) for pin in pins()]
    assert names == sorted(set(names))


def test_torch_is_the_same_for_pip_and_for_uv():
    (pin,) = [str(pin) for pin in pins() if pin.name == "torch"]
    assert pin == "torch==2.13.0"
    assert PROJECT["tool"]["uv"]["constraint-dependencies"] == [pin]


def test_the_oldest_python_that_is_promised_is_tested():
    assert PROJECT["project"]["requires-python"] == f">={min(workflow_versions(), key=Version)}"


def workflow_versions():
    workflow = yaml.safe_load((ROOT / ".github/workflows/test.yml").read_text(encoding="utf-8"))
    return workflow["jobs"]["test"]["strategy"]["matrix"]["python"]


def test_the_version_is_the_same_wherever_it_stands():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["version"] == PROJECT["project"]["version"] == lossbook.__version__
    assert citation["license"] == PROJECT["project"]["license"]


def test_the_container_and_the_workflow_call_what_the_makefile_has():
    lines = (ROOT / ".devcontainer/devcontainer.json").read_text(encoding="utf-8").splitlines()
    container = json.loads("\n".join(line for line in lines if not line.lstrip().startswith("//")))
    targets = re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), flags=re.MULTILINE)
    assert {"help", "lab", "test", "setup", "check", "notebooks", "clean"} <= set(targets)
    assert container["postCreateCommand"].removeprefix("make ") in targets
    assert " test\n" in (ROOT / ".ci/run").read_text(encoding="utf-8")
