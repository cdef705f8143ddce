"""Cases that run on several processes: each number of processes is started once, and runs the cases of all files."""

import functools
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
FILES = [HERE / "test_sharded.py", HERE / "test_ring.py", HERE / "test_pair_groups.py", HERE / "test_data_parallel.py"]


@pytest.fixture(scope="session")
def reports(tmp_path_factory):
    """By the number of processes and the name of a file: what its cases reported."""

    @functools.cache
    def run(processes):
        report = tmp_path_factory.mktemp("processes") / "report.json"
        command = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
        environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(sys.path)}
        done = subprocess.run(
            [*command, str(HERE / "worker.py"), str(report), *map(str, FILES)],
            env=environment,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert done.returncode == 0, done.stderr[-4000:]
        return json.loads(report.read_text())

    return lambda processes, path: run(processes)[Path(path).stem]
