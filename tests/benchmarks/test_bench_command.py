"""`lossbook bench`, through `main`."""

import pytest

from lossbook import benchmarks
from lossbook.benchmarks import Configuration, load, record, runner
from lossbook.cli import main

TINY = Configuration("rows", 24, 61, 0, "float32", without=("torch.compile",), seconds=0, least=1)


@pytest.fixture
def asked(monkeypatch, tmp_path):
    """What the command asked for; its configurations are one tiny one, and its records go elsewhere."""
    seen = []

    def chosen(device, quick, only):
        seen.append((device.type, quick, only))
        return (TINY,)

    monkeypatch.setattr(benchmarks, "configurations", chosen)
    monkeypatch.setattr(record, "FOLDER", tmp_path)
    monkeypatch.setenv("LOSSBOOK_DEVICE", "cpu")
    return seen


def test_a_run_prints_its_table_and_says_on_the_error_stream_what_it_does(asked, capsys, tmp_path):
    assert main(["bench"]) == 0
    printed = capsys.readouterr()
    assert printed.out.startswith(f"{TINY}\nloss")
    assert printed.err.splitlines()[0] == str(TINY)
    assert "cross_entropy, lossbook: checked" in printed.err
    assert asked == [("cpu", False, None)]
    assert not list(tmp_path.iterdir())  # on a CPU a table is kept when that is asked for


def test_the_quick_set_and_a_kind_are_asked_for_and_the_table_is_kept_where_it_is_wanted(asked, capsys, tmp_path):
    wanted = tmp_path / "mine.csv"
    assert main(["bench", "--quick", "--only", "rows", "--out", str(wanted), "--record"]) == 0
    assert asked == [("cpu", True, "rows")]
    *_, first, second = capsys.readouterr().out.splitlines()
    assert first == f"kept in {wanted}"
    kept = second.removeprefix("kept in ")
    assert load(kept).equals(load(wanted))
    assert {path.suffix for path in tmp_path.iterdir()} == {".csv", ".md"}


def test_an_interrupted_run_prints_and_keeps_what_it_has(asked, capsys, monkeypatch, tmp_path):
    real, calls = runner.peak_bytes, []

    def stop(*arguments):
        calls.append(None)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return real(*arguments)

    monkeypatch.setattr(runner, "peak_bytes", stop)
    wanted = tmp_path / "mine.csv"
    assert main(["bench", "--out", str(wanted)]) == 130
    assert "interrupted: what was measured is kept" in capsys.readouterr().err
    assert set(load(wanted)["status"]) == {"interrupted"}


def test_a_device_that_is_not_there_is_said(asked, capsys, monkeypatch):
    monkeypatch.setenv("LOSSBOOK_DEVICE", "abacus")
    assert main(["bench"]) == 2
    assert "lossbook bench: LOSSBOOK_DEVICE: got 'abacus'" in capsys.readouterr().err
