"""What torchrun starts on each process: the cases of the named test files, one after the other.

A case is a function `case_...(group)` that holds on every process; what it returns to process 0 is reported. By hand:
torchrun --standalone --nproc-per-node=2 tests/kernels/worker.py report.json tests/kernels/test_ring.py
"""

import datetime
import importlib.util
import json
import sys
import traceback
import warnings
from pathlib import Path

import torch
import torch.distributed as dist


def cases(path):
    """The cases of a test file, by name."""
    spec = importlib.util.spec_from_file_location(Path(path).stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return {name: case for name, case in vars(module).items() if name.startswith("case_")}


def run(case, group):
    """What each process says: an error, or what the case returns."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            found = {"passed": True, "found": case(group)}
    except Exception:
        found = {"passed": False, "found": traceback.format_exc()}
    said = [None] * dist.get_world_size()
    dist.all_gather_object(said, found)
    wrong = [f"process {rank}: {one['found']}" for rank, one in enumerate(said) if not one["passed"]]
    return {"passed": not wrong, "found": "\n".join(wrong) if wrong else said[0]["found"]}


if __name__ == "__main__":
    report, *paths = sys.argv[1:]
    torch.set_num_threads(1)
    dist.init_process_group("gloo", timeout=datetime.timedelta(seconds=60))
    found = {
        Path(path).stem: {name: run(case, dist.group.WORLD) for name, case in cases(path).items()} for path in paths
    }
    if dist.get_rank() == 0:
        Path(report).write_text(json.dumps(found))
    dist.destroy_process_group()
