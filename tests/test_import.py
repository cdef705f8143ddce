"""Importing lossbook loads nothing heavy and changes nothing."""

import os
import subprocess
import sys

HEAVY = ("matplotlib", "pandas", "sklearn", "ipywidgets", "IPython", "scipy")
PACKAGE = "lossbook, lossbook.losses, lossbook.catalog"


def fresh(code: str) -> str:
    """What a new interpreter prints."""
    return subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout


def test_the_package_loads_none_of_the_heavy_libraries():
    loaded = fresh(f"import sys, {PACKAGE}; print(*{{name.partition('.')[0] for name in sys.modules}})").split()
    assert "lossbook" in loaded
    assert not set(HEAVY) & set(loaded)


def test_importing_changes_no_global_state():
    state = """
import gc, logging, sys, warnings, torch, matplotlib
def state():
    return (torch.is_grad_enabled(), torch.get_default_dtype(), torch.get_rng_state().tolist(), torch.get_num_threads(),
            torch.are_deterministic_algorithms_enabled(), torch.get_float32_matmul_precision(), torch.is_autocast_enabled(),
            list(warnings.filters), dict(matplotlib.rcParams), list(sys.path), logging.root.level, gc.get_threshold())
before = state()
"""
    assert fresh(f"{state}\nimport {PACKAGE}\nprint(state() == before)") == "True\n"


def test_the_seconds_that_the_import_adds_to_torchs(capsys):
    """Prints the number (0.3 s are allowed, on a quiet machine) and asserts only that it is the smaller part."""
    clock = "import time; a = time.perf_counter(); import torch; b = time.perf_counter(); import lossbook; c = time.perf_counter()"
    torchs, ours = sorted(tuple(map(float, fresh(f"{clock}; print(b - a, c - b)").split())) for _ in range(3))[1]
    with capsys.disabled():
        print(f"\nimport torch: {torchs:.2f} s, import lossbook after it: {ours:.3f} s", file=sys.stderr)
    assert ours < torchs


def test_the_device_is_the_one_that_the_environment_names():
    code = "from lossbook import device; print(device())"
    found = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, "LOSSBOOK_DEVICE": "cpu"}, check=True, capture_output=True, text=True
    )
    assert found.stdout == "cpu\n"
