"""Every Triton kernel compiles for an H100 without one, and fits its registers: `compiled_kernels.py` says how."""

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from lossbook.catalog import RECORDS

pytest.importorskip("triton")
REGISTERS = 65536  # of a multiprocessor
# Programs that a multiprocessor can hold at once, at the least: what waits for memory needs others beside it, products
# of matrices need their tile. (A thread has 255 registers at most.)
PROGRAMS = {"rows_forward": 3, "rows_backward": 3, "states_joined": 4, "rows_fused": 1, "rows_scaled": 8}
PROGRAMS |= {"tiles_forward": 1, "tiles_backward": 1}
SHARED = 227 * 1024  # bytes that a program can have


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    environment = os.environ | {
        "OMP_NUM_THREADS": "1",
        "TRITON_CACHE_DIR": str(tmp_path_factory.mktemp("triton")),
        "TRITON_DEFAULT_FP_FUSION": "1",  # what Triton did before it could be chosen; unset, 3.9 warns
    }
    command = [sys.executable, str(Path(__file__).with_name("compiled_kernels.py"))]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=400, check=False)
    assert done.returncode == 0, done.stderr[-4000:]
    return json.loads(done.stdout)


def test_every_kernel_compiles_and_none_spills(report):
    assert {row["kernel"] for row in report} == PROGRAMS.keys()
    assert [row for row in report if row["stack"] > 0] == []


def test_enough_programs_fit_a_multiprocessor(report):
    for row in report:
        allocated = -(-row["registers"] // 8) * 8  # registers are given out by eight
        assert allocated * row["threads"] * PROGRAMS[row["kernel"]] <= REGISTERS, row
        assert row["shared"] * min(PROGRAMS[row["kernel"]], 1) <= SHARED, row


def test_logits_are_read_16_bytes_at_a_time_also_where_rows_start_anywhere(report):
    kernels = ("rows_forward", "rows_backward", "rows_fused")
    rows = [row for row in report if row["kernel"] in kernels and not row["case"].startswith("rows, one")]
    narrow = {(row["case"], row["kernel"]) for row in rows if not row["wide loads"]}
    # rows of the logits and of their gradient start differently: nothing is aligned for both
    assert narrow == {("rows, a gap between them", "rows_backward")}


def test_half_precision_products_run_on_the_tensor_cores_of_hopper(report):
    tiles = [row for row in report if row["kernel"].startswith("tiles")]
    assert all(row["tensor cores"] != ("float32" in row["case"] or "float64" in row["case"]) for row in tiles)


def test_the_statistics_of_every_loss_are_compiled(report):
    forward = Counter(row["case"] for row in report if row["kernel"] == "rows_forward")
    for record in RECORDS.values():
        if record.statistics:
            assert forward[f"rows, {'+'.join(record.statistics)}"] == 1
