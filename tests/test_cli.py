"""The command line, through `main`."""

import dataclasses
import subprocess
import sys
import time
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pandas as pd
import pytest
from jupyterlab.labapp import LabApp
from torch.optim.optimizer import register_optimizer_step_post_hook

from lossbook import doctor, experiments
from lossbook.catalog import RECORDS
from lossbook.catalog.papers import papers
from lossbook.cli import main
from lossbook.experiments import sweep
from lossbook.experiments.run import load
from lossbook.widgets import benchmark, browser


def printed(capsys, *words):
    """What a command prints on success, by line."""
    assert main(words) == 0
    return capsys.readouterr().out.splitlines()


def refused(capsys, *words):
    """What a command says when it cannot do what it was asked to."""
    try:
        code = main(words)
    except SystemExit as stop:  # argparse's own way
        code = stop.code
    assert code == 2
    return capsys.readouterr().err


@pytest.fixture
def sketch(monkeypatch):
    """An experiment that does nothing but hand back its config and folder."""

    @dataclasses.dataclass(frozen=True)
    class Config:
        seeds: int = 3
        step: float = 0.1
        shuffled: bool = False
        data: str = "iris"
        losses: tuple[str, ...] = ("hinge_loss",)
        noise: tuple[float, ...] = (0.0, 0.4)

        def __post_init__(self):
            if self.seeds < 1:
                raise ValueError(f"seeds: got {self.seeds}, expected at least 1")

    module = ModuleType("sketch", "A sketch of an experiment.\n\nMore.")
    module.SCALES = {"tiny": Config(seeds=1), "small": Config()}

    def run(config, progress=True, folder=None):
        module.seen = config, folder
        return SimpleNamespace(history=pd.DataFrame({"seed": range(config.seeds)}), seconds=0.0, device="cpu")

    module.run = run
    monkeypatch.setitem(experiments.EXPERIMENTS, "sketch", module)
    return module


def test_doctor_finds_everything_needed_where_the_tests_run(capsys):
    lines = printed(capsys, "doctor")
    assert lines[-1] == "Everything needed is here."
    assert {"packages", "device", "engines", "data", "browser"} <= set(lines)
    words = [line.split() for line in lines]
    assert ["fashion_mnist_12k.npz", "ok"] in words
    assert any(found[:2] == ["linear", "logits"] and "on cpu" in line for found, line in zip(words, lines, strict=True))


def test_doctor_fails_when_the_data_is_not_there_and_names_the_remedy(capsys, monkeypatch, tmp_path):
    monkeypatch.setenv("LOSSBOOK_DATA", str(tmp_path / "nowhere"))
    assert main(["doctor"]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert "austen.txt.gz" in lines[-1]
    assert any("git restore data/austen.txt.gz, or unset LOSSBOOK_DATA" in line for line in lines)


def test_doctor_fails_on_a_device_that_is_not_there(capsys, monkeypatch):
    monkeypatch.setenv("LOSSBOOK_DEVICE", "abacus")
    assert main(["doctor"]) == 1
    assert "LOSSBOOK_DEVICE" in capsys.readouterr().out.splitlines()[-1]


def test_doctor_forgives_a_missing_browser(capsys, monkeypatch):
    monkeypatch.setattr(browser, "find_chromium", lambda: None)
    assert "apt-get install chromium" in "\n".join(printed(capsys, "doctor"))


def test_doctor_survives_a_room_that_cannot_be_opened(capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "lossbook.datasets._files", None)  # what an uninstalled package looks like
    assert main(["doctor"]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert any("lossbook.datasets._files" in line and line.endswith("-> mend the packages first") for line in lines)
    assert lines[-1] == "Needed and missing: data"


def test_doctor_says_how_to_mend_a_package_that_is_missing_or_too_old(monkeypatch):
    monkeypatch.setattr(doctor.metadata, "requires", lambda _: ["seaborn>=99", "lost>=1", 'gone>=2; extra == "test"'])
    packages = {finding.name: finding for finding in doctor.examine() if finding.room == "packages"}
    assert packages["seaborn"].remedy == 'pip install "seaborn>=99"'
    assert packages["lost"].found == "not installed"
    assert [finding.name for finding in doctor.lacking(list(packages.values()))] == ["seaborn", "lost"]
    assert packages["test tools"].found == "not installed: gone"


def test_the_catalog_lists_every_system(capsys):
    head, *rows, total = printed(capsys, "catalog")
    assert head.split() == ["system", "chapter", "status", "kind", "year", "title"]
    assert [row.split()[0] for row in rows] == list(papers())
    assert all(row.endswith(paper.title) for row, paper in zip(rows, papers().values(), strict=True))
    assert total == f"{sum(paper.implemented for paper in papers().values())} of {len(papers())} implemented"


@pytest.mark.parametrize(
    ("filters", "keeps"),
    [
        (["--chapter", "72"], lambda paper: paper.chapter == "72"),
        (["--status", "planned"], lambda paper: not paper.implemented),
        (["--status", "implemented"], lambda paper: paper.implemented),
        (["--kind", "training method"], lambda paper: "training method" in paper.kind),
        (["--family", "comp-sum"], lambda paper: paper.key == "comp_sum"),
        (["--kind", "metric", "--chapter", "71"], lambda paper: paper.chapter == "71" and "metric" in paper.kind),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_the_filters_of_the_catalog_keep_what_they_name(capsys, filters, keeps):
    _, *rows, _ = printed(capsys, "catalog", *filters)
    assert [row.split()[0] for row in rows] == [paper.key for paper in papers().values() if keeps(paper)] != []


def test_the_catalog_lists_the_losses(capsys):
    head, *rows = printed(capsys, "catalog", "--losses")
    assert head.split() == ["loss", "chapter", "family", "origin", "parameters", "title"]
    assert [row.split()[0] for row in rows] == list(RECORDS)
    _, *some = printed(capsys, "catalog", "--losses", "--family", "regression", "--chapter", "01")
    assert [row.split()[0] for row in some] == [key for key, r in RECORDS.items() if r.family == "regression"] != []


SWEPT = ["sweep", "sketch", "--out", "nowhere"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["catalog", "--chapter", "99"], "--chapter: got '99', expected one of 00, 01"),
        (["catalog", "--family", "lost"], "--family: got 'lost', expected one of comp-sum"),
        (["catalog", "--status", "done"], "--status: got 'done', expected one of implemented, planned"),
        (["catalog", "--kind", "losss"], "--kind: got 'losss', expected one of loss, metric"),
        (["catalog", "--losses", "--kind", "loss"], "--status and --kind select systems: leave out --losses"),
        (["catalog", "--colour"], "unrecognized arguments: --colour"),
        (["run"], "which experiment? --list prints them"),
        (["run", "lost"], "NAME: got 'lost', expected one of "),
        (["run", "sketch", "--scale", "huge"], "--scale: got 'huge', expected one of tiny, small"),
        (["run", "sketch", "--set", "seeds"], "--set: got 'seeds', expected KEY=VALUE"),
        (["run", "sketch", "--set", "seedz=3"], "--set: got 'seedz', expected one of seeds, step"),
        (["run", "sketch", "--set", "seeds=few"], "--set seeds: got 'few', expected a value like 3"),
        (["run", "sketch", "--set", "shuffled=maybe"], "--set shuffled: got 'maybe', expected a value like False"),
        (["run", "sketch", "--set", "noise=0,much"], "--set noise: got 'much', expected a value like 0.0"),
        (["run", "sketch", "--set", "seeds=0"], "seeds: got 0, expected at least 1"),
        (["sweep"], "the following arguments are required: NAME, --out"),
        (["sweep", "sketch"], "the following arguments are required: --out"),
        (["sweep", "lost", "--out", "x"], "NAME: got 'lost', expected one of "),
        ([*SWEPT, "--scale", "huge"], "--scale: got 'huge', expected one of tiny, small"),
        ([*SWEPT], "grid: got {}, expected at least one field to vary"),
        ([*SWEPT, "--grid", "step"], "--grid: got 'step', expected KEY=A,B,C"),
        ([*SWEPT, "--grid", "step="], "--grid step: got '', expected values between commas"),
        ([*SWEPT, "--grid", "stepp=1"], "--grid: got 'stepp', expected one of seeds, step"),
        ([*SWEPT, "--grid", "step=1,fast"], "--grid step: got 'fast', expected a value like 0.1"),
        ([*SWEPT, "--grid", "step=1,1"], "grid step: got 1.0, expected each value once"),
        ([*SWEPT, "--grid", "seeds=1,2"], "grid: got 'seeds', expected one of step, shuffled"),
        ([*SWEPT, "--grid", "step=1", "--set", "step=2"], "grid: got 'step', expected a field that"),
        ([*SWEPT, "--grid", "step=1", "--set", "data"], "--set: got 'data', expected KEY=VALUE"),
        ([*SWEPT, "--grid", "step=1", "--seeds", "3"], "seeds: got 3, expected none: the config"),
        ([*SWEPT, "--grid", "step=1", "--seeds", "few"], "--seeds: invalid int value: 'few'"),
        ([*SWEPT, "--grid", "step=1", "--workers", "0"], "workers: got 0, expected an integer >= 1"),
        ([*SWEPT, "--grid", "step=1", "--retries", "-1"], "retries: got -1, expected an integer"),
        (["bench", "--fast"], "unrecognized arguments: --fast"),
        (["bench", "--only", "columns"], "--only: got 'columns', expected one of rows, linear, pairs"),
        (["bench", "--out", "nowhere/table.csv"], "--out: got 'nowhere/table.csv', expected a file in a folder"),
        (["bench", "--widgets", "--quick"], "--widgets measures explorers: leave out --quick"),
        (["sing"], "invalid choice: 'sing'"),
        ([], "the following arguments are required"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_request_that_cannot_be_met_says_why_and_returns_2(capsys, sketch, words, message):
    assert message in refused(capsys, *words)


def test_the_experiments_are_listed_by_name_one_a_line(capsys, sketch):
    assert printed(capsys, "run", "--list") == list(experiments.EXPERIMENTS)


def test_an_experiment_runs_at_its_scale(capsys, sketch):
    assert printed(capsys, "run", "sketch", "--scale", "tiny")[-1] == "sketch: 1 rows in 0.0 s on cpu"
    assert sketch.seen == (sketch.SCALES["tiny"], None)


def test_fields_of_the_config_are_set_in_the_type_they_have(capsys, sketch):
    words = ["seeds=5", "step=1e-3", "shuffled=true", "data=wine", "losses=hinge_loss, savage_loss", "noise=0.2"]
    printed(capsys, "run", "sketch", *(word for assignment in words for word in ("--set", assignment)))
    config, _ = sketch.seen
    assert dataclasses.astuple(config) == (5, 1e-3, True, "wine", ("hinge_loss", "savage_loss"), (0.2,))


SWEEP = ["sweep", "surrogates", "--scale", "tiny", "--set", "steps=20", "--set", "losses=hinge_loss"]


def test_a_sweep_keeps_one_table_and_goes_on_in_its_folder(capsys, scheduler, tmp_path):
    words = [*SWEEP, "--grid", "step_size=0.1,1", "--seeds", "2", "--scheduler", scheduler, "--out", str(tmp_path)]
    assert printed(capsys, *words) == [
        "surrogates: 4 of 4 tasks, 24 rows",
        f"kept in {tmp_path}: sweep.parquet, sweep.csv, sweep.json",
    ]
    kept = pd.read_parquet(tmp_path / "sweep.parquet")
    assert kept.groupby(["step_size", "seed"]).size().to_dict() == {(size, k): 6 for size in (0.1, 1.0) for k in (0, 1)}
    assert printed(capsys, *words, "--seeds", "3")[0] == "surrogates: 6 of 6 tasks, 36 rows"


def test_a_sweep_with_a_task_that_fails_says_which_and_returns_1(capsys, scheduler, tmp_path):
    words = [*SWEEP, "--grid", "gross_errors=0,2", "--retries", "1", "--scheduler", scheduler, "--out", str(tmp_path)]
    assert main(words) == 1
    said = capsys.readouterr()
    assert said.out.splitlines()[0] == "surrogates: 1 of 2 tasks, 3 rows"
    assert "failed: gross_errors=2.0 seed=0: ValueError: gross_errors: got 2.0, expected" in said.err


def test_a_sweep_into_a_folder_of_something_else_is_refused(capsys, tmp_path):
    (tmp_path / "letter.txt").write_text("mine")
    assert "out: got " in refused(capsys, *SWEEP, "--out", str(tmp_path))
    assert [path.name for path in tmp_path.iterdir()] == ["letter.txt"]


@pytest.mark.parametrize("command", ["run", "sweep"])
def test_ctrl_c_says_how_to_go_on_and_returns_130(capsys, sketch, monkeypatch, tmp_path, command):
    def interrupted(*args, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr(sketch, "run", interrupted)
    monkeypatch.setattr(sweep, "deal", interrupted)
    grid = ["--grid", "step=1"] if command == "sweep" else []
    assert main([command, "sketch", *grid, "--out", str(tmp_path)]) == 130
    expected = (
        f"lossbook {command}: interrupted; what is finished is kept in {tmp_path}, and the same command goes on\n"
    )
    assert capsys.readouterr().err.endswith(expected)


def test_a_run_that_is_killed_in_the_middle_goes_on_to_the_same_bits(capsys, tmp_path):
    """By SIGKILL where there is such a thing, after the first checkpoint, which is written after 500 of 2000 steps."""
    fields = ("methods=float32", "steps=2000", "every=500", "keep_every=1000")
    assignments = [word for field in fields for word in ("--set", field)]
    words = ["run", "modular_addition", "--scale", "tiny", *assignments, "--out", str(tmp_path)]
    process = subprocess.Popen([sys.executable, "-m", "lossbook.cli", *words], stderr=subprocess.DEVNULL)
    try:
        while process.poll() is None and not list(tmp_path.glob("units/*.checkpoints/training")):
            time.sleep(0.01)
    finally:
        process.kill()
        assert process.wait() != 0
    assert not (tmp_path / "history.json").exists()
    steps = []
    counted = register_optimizer_step_post_hook(lambda *_: steps.append(1))
    printed(capsys, *words)
    counted.remove()
    assert 0 < len(steps) <= 1500
    config = experiments.modular_addition.SCALES["tiny"]
    config = dataclasses.replace(config, methods=("float32",), steps=(2000,), every=500, keep_every=1000)
    whole, again = experiments.modular_addition.run(config, progress=False), load(tmp_path, type(config))
    pd.testing.assert_frame_equal(again.history, whole.history, check_exact=True)
    for one, other in zip(again.snapshots, whole.snapshots, strict=True):
        assert all(one.arrays[name].tobytes() == array.tobytes() for name, array in other.arrays.items())


def test_lab_opens_the_first_chapter_and_hands_on_what_it_does_not_know(monkeypatch):
    seen = []
    monkeypatch.setattr(LabApp, "launch_instance", seen.append)
    assert main(["lab", "--no-browser", "--port", "9999"]) == 0
    ((root, first, *rest),) = seen
    assert first == "--LabApp.default_url=/lab/tree/notebooks/00_start_here.ipynb"
    assert (Path(root.removeprefix("--ServerApp.root_dir=")) / "notebooks" / "00_start_here.ipynb").exists()
    assert rest[-3:] == ["--no-browser", "--port", "9999"]


def test_bench_hands_on_what_it_does_not_know(monkeypatch):
    seen = []
    monkeypatch.setattr(benchmark, "main", seen.append)
    assert main(["bench", "--widgets", "--count", "3"]) == 0
    assert seen == [["--count", "3"]]


def test_help_needs_nothing_beyond_torch():
    heavy = (
        "pandas matplotlib sklearn ipywidgets jupyterlab distributed "
        "lossbook.catalog.papers lossbook.experiments lossbook.doctor"
    )
    program = (
        "import sys, lossbook.cli\n"
        "try: lossbook.cli.main(['--help'])\n"
        "except SystemExit: pass\n"
        f"sys.exit(str([name for name in {heavy.split()} if name in sys.modules]))"
    )
    shown = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert "lab" in shown.stdout
    assert shown.stderr.strip() == "[]"
