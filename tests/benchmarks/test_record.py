"""The table of a run: the bounds beside the times, what an interruption leaves, the way to a file and back."""

import math

import pandas as pd
import pytest
import torch
from torch.nn import functional as F

from lossbook.benchmarks import (
    COLUMNS,
    Configuration,
    configurations_of,
    latest,
    load,
    of_configuration,
    readable,
    recorded,
    run,
    save,
    text,
)
from lossbook.benchmarks.accuracy import Errors
from lossbook.benchmarks.methods import METHODS, PRODUCTS, Method
from lossbook.benchmarks.record import FOLDER, table_of
from lossbook.benchmarks.runner import Entry

CPU = torch.device("cpu")
LINEAR = Configuration("linear", 100, 1000, 10, "float32")
ROWS = Configuration("rows", 100, 1000, 0, "bfloat16")


def named(name, kind):
    return next(m for m in METHODS if m.name == name and m.kind == kind)


def entry(configuration, method, *, loss="cross_entropy", **known):
    known = {"status": "ok"} | known
    return Entry(configuration, loss, method, **known)


@pytest.fixture
def made():
    """A table with known times: three products in 3 s, a method in 4 s, another that was refused."""
    errors, eager = Errors(1e-7, (2e-6, 3e-6), (1e-5, 2e-5)), Errors(1e-7, (1e-6, 3e-6), (1e-5, 1e-5))
    operations = LINEAR.product_operations
    found = [
        entry(
            LINEAR,
            named(PRODUCTS, "linear"),
            times={"forward": [1.0], "both": [3.0]},
            work={"forward": operations, "both": 3 * operations},
        ),
        entry(
            LINEAR,
            named("lossbook chunked", "linear"),
            times={"forward": [2.0, 2.0], "both": [3.0, 4.0, 5.0]},
            errors=errors,
            eager=eager,
            peak=50_000,
            gradients=44_000,
        ),
        entry(LINEAR, named("PyTorch eager", "linear"), status="refused: loss off"),
    ]
    return table_of(found, CPU)


def test_medians_spreads_and_errors_are_those_of_the_entries(made):
    row = made[(made["method"] == "lossbook chunked") & (made["measure"] == "both")].iloc[0]
    assert (row["seconds"], row["low"], row["high"], row["turns"]) == pytest.approx((4.0, 3.4, 4.6, 3))
    assert (row["peak_bytes"], row["extra_bytes"]) == (50_000, 6_000)
    assert (row["gradient_rms"], row["gradient_max"]) == (3e-6, 2e-5)
    assert row["gradient_times_eager"] == pytest.approx(2.0)  # of the worst input, each against its own


def test_the_bound_of_linear_methods_is_one_or_three_products_at_the_best_rate(made):
    ours = made[made["method"] == "lossbook chunked"].set_index("measure")
    assert list(ours.loc[["forward", "both"], "bound"]) == ["F", "3F"]
    assert ours.loc["both", "bound_seconds"] == pytest.approx(3.0)
    assert ours.loc["both", "fraction"] == pytest.approx(0.75)
    assert ours.loc["forward", "products"] == pytest.approx(2.0)
    assert ours.loc["both", "products"] == pytest.approx(4 / 3)


def test_the_bound_of_rows_is_the_bytes_that_must_move_at_the_copy_rate():
    matrix = 2 * 100 * 1000
    found = table_of(
        [
            entry(ROWS, named("copy", "rows"), times={"forward": [2.0]}, work={"forward": 2.0 * matrix}),
            entry(ROWS, named("lossbook", "rows"), times={"forward": [1.25], "both": [4.0]}),
        ],
        CPU,
    )
    ours = found[found["method"] == "lossbook"].set_index("measure")
    assert list(ours.loc[["forward", "both"], "bound"]) == ["2NV", "6NV"]
    assert list(ours.loc[["forward", "both"], "bound_seconds"]) == pytest.approx([1.0, 3.0])
    assert list(ours.loc[["forward", "both"], "fraction"]) == pytest.approx([0.8, 0.75])


def test_a_method_without_a_time_has_one_row_that_says_why(made):
    (row,) = made[made["method"] == "PyTorch eager"].to_dict("records")
    assert (row["measure"], row["status"], row["turns"]) == ("", "refused: loss off", 0)
    assert math.isnan(row["seconds"])


def test_a_table_survives_the_way_to_a_file_and_back(made, tmp_path):
    path = save(made, tmp_path / "table.csv")
    pd.testing.assert_frame_equal(load(path), made, rtol=1e-5)
    words = path.with_suffix(".md").read_text()
    assert "| cross_entropy | lossbook chunked |" in words
    assert "refused: loss off" in words


def test_a_real_run_survives_the_way_to_a_file_and_back(tmp_path):
    few = Configuration("rows", 24, 61, 0, "float32", without=("torch.compile",), seconds=0, least=1)
    table = run([few])
    pd.testing.assert_frame_equal(load(save(table, tmp_path / "run.csv")), table, rtol=1e-5, check_flags=False)
    assert list(table.columns) == list(COLUMNS)


def test_the_newest_table_of_a_kind_of_device_is_found(made, tmp_path):
    assert latest(folder=tmp_path) is None
    on_gpu = made.assign(device_type="cuda", device="H100", date="2026-01-01")
    save(made.assign(date="2026-02-02"), tmp_path / "2026-02-02-cpu.csv")
    save(on_gpu, tmp_path / "2026-01-01-h100.csv")
    assert [path.name for path in recorded(tmp_path)] == ["2026-01-01-h100.csv", "2026-02-02-cpu.csv"]
    assert latest(folder=tmp_path)["date"].iloc[0] == "2026-02-02"
    assert latest("cuda", folder=tmp_path)["device"].iloc[0] == "H100"
    with pytest.raises(ValueError, match="device_type: got 'gpu', expected one of 'cpu', 'cuda'"):
        latest("gpu", folder=tmp_path)


def test_files_that_are_no_tables_are_refused(tmp_path, made):
    with pytest.raises(FileNotFoundError, match=r"path: got .*, expected a CSV file that `save` wrote"):
        load(tmp_path / "nowhere.csv")
    (tmp_path / "other.csv").write_text("a,b\n1,2\n")
    with pytest.raises(ValueError, match="expected columns date"):
        load(tmp_path / "other.csv")
    with pytest.raises(ValueError, match="expected a file in a folder that is there"):
        save(made, tmp_path / "nowhere" / "table.csv")
    with pytest.raises(ValueError, match="expected at least one row"):
        save(made.iloc[:0])


def test_every_table_that_is_kept_can_be_read():
    for path in recorded():
        assert len(load(path))


def test_the_page_beside_the_tables_explains_every_column():
    words = (FOLDER / "README.md").read_text(encoding="utf-8")
    rows = [line for line in words.splitlines() if line.startswith("| ")]
    assert [row.split(" | ")[0].strip("| ") for row in rows[1:]] == list(COLUMNS)


def test_the_table_is_readable_fastest_first_with_bare_work_on_top(made):
    (configuration,) = configurations_of(made)
    assert configuration == "linear N=100 V=1000 D=10 float32 trained" == str(LINEAR)
    frame = readable(made, configuration)
    assert list(frame["method"]) == [PRODUCTS, "lossbook chunked", "PyTorch eager"]
    ours = frame.iloc[1]
    assert ours["with gradients, ms"] == "4,000"
    assert ours["/ three products"] == "1.33"
    assert ours["of bound"] == "75% of 3F"
    assert ours["extra memory, MB"] == "0.0060"
    lines = text(made).splitlines()
    assert lines[0] == configuration
    assert lines[4].split()[-3:] == ["refused:", "loss", "off"]
    assert len(of_configuration(made, configuration)) == len(made)


def slow_to_stop(stop):
    """A method whose check passes and whose nth timed call is the reader's Ctrl-C."""
    calls = []

    def build(case):
        def loss(features, weight):
            calls.append(None)
            if len(calls) == stop:
                raise KeyboardInterrupt
            return F.cross_entropy(features @ weight.T, case.target)

        return loss

    return Method("stopped", "linear", build, losses=("cross_entropy",))


@pytest.mark.parametrize("stop", [1, 3, 4, 5])  # in its check, as its memory is taken, in its first turn, after it
def test_an_interrupted_run_keeps_what_was_measured(stop):
    first = Configuration("linear", 24, 61, 7, "float32", measures=("both",), seconds=0, least=3)
    second = Configuration("linear", 25, 61, 7, "float32", measures=("both",), seconds=0, least=3)
    eager = named("PyTorch eager", "linear")
    lines = []
    whole = run([first], methods=[eager])
    table = run([first, second], methods=[eager, slow_to_stop(stop)], say=lines.append)
    assert table.attrs["interrupted"]
    assert not whole.attrs["interrupted"]
    assert lines[-1] == "interrupted: what was measured is kept"
    assert set(table["rows"]) == {24}  # the second configuration was never begun
    stopped = table[table["method"] == "stopped"].iloc[0]
    kept = table[table["method"] == "PyTorch eager"].iloc[0]
    assert (kept["status"], kept["turns"]) == (("interrupted", 0) if stop < 4 else ("ok", 1))
    assert (stopped["status"], stopped["turns"]) == (("interrupted", 0) if stop < 5 else ("ok", 1))


def test_no_configuration_is_begun_after_the_limit():
    few = Configuration("rows", 24, 61, 0, "float32", without=("torch.compile",), seconds=0, least=1)
    lines = []
    assert run([few], limit=-1.0, say=lines.append).empty
    assert lines == ["left out, -1 s are over: rows N=24 V=61 float32 trained"]


def test_each_method_has_a_line_as_it_is_checked():
    few = Configuration("rows", 24, 61, 0, "float32", without=("torch.compile",), seconds=0, least=1)
    lines = []
    table = run([few], say=lines.append)
    assert lines[0] == str(few)
    assert len(lines) == 1 + table["method"].nunique()
