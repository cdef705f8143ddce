"""What holds for the house as a whole."""

import re
import subprocess
from pathlib import Path

import pytest

from lossbook.cli import main

ROOT = Path(__file__).parents[1]
ROOMS = {"notebooks", "lossbook", "data", "tests"}


def tracked():
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False).stdout.split()
    return listed or pytest.skip("not a git checkout")


def test_the_top_level_holds_the_four_rooms_and_no_other_folder():
    folders = {Path(name).parts[0] for name in tracked() if len(Path(name).parts) > 1}
    assert {folder for folder in folders if not folder.startswith(".")} == ROOMS


def test_no_module_reads_or_writes_a_pickle():
    for path in (ROOT / "lossbook").rglob("*.py"):
        assert not re.search(
            r"import pickle|torch\.(load|save)\(|joblib|allow_pickle=True|read_pickle", path.read_text()
        )


def test_no_module_is_much_longer_than_three_hundred_lines():
    lengths = {path.name: len(path.read_text().splitlines()) for path in (ROOT / "lossbook").rglob("*.py")}
    assert {name: length for name, length in lengths.items() if length > 320} == {}


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md"])
def test_every_command_that_a_page_names_exists(page, capsys):
    text, makefile = (ROOT / page).read_text(), (ROOT / "Makefile").read_text()
    targets = set(re.findall(r"\bmake (?!PYTHON)([a-z]+)\b(?= |`|\n)", text)) - {"and", "sure"}
    commands = set(re.findall(r"^\s*`?lossbook ([a-z]+)", text, flags=re.MULTILINE))
    assert targets
    assert {target for target in targets if not re.search(rf"^{target}:", makefile, flags=re.MULTILINE)} == set()
    with pytest.raises(SystemExit):
        main(["--help"])
    known = capsys.readouterr().out
    assert {command for command in commands if command not in known} == set()


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md", "data/README.md"])
def test_every_link_of_a_page_leads_to_a_file(page):
    links = re.findall(r"\]\(([^)#\s]+)\)", (ROOT / page).read_text())
    assert {link for link in links if "://" not in link and not (ROOT / page).parent.joinpath(link).exists()} == set()
