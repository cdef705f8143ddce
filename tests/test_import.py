"""Importing lossbook loads nothing heavy and changes nothing."""

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
    return (
        torch.is_grad_enabled(), torch.get_default_dtype(), torch.get_rng_state().tolist(), torch.get_num_threads(),
        torch.are_deterministic_algorithms_enabled(), torch.get_float32_matmul_precision(),
        torch.is_autocast_enabled(), list(warnings.filters), dict(matplotlib.rcParams), list(sys.path),
        logging.root.level, gc.get_threshold(),
    )
before = state()
"""
    assert fresh(f"{state}\nimport {PACKAGE}\nprint(state() == before)") == "True\n"


def test_importing_lossbook_adds_little_to_importing_torch():
    """0.3 s are allowed, on a quiet machine; `pytest -s` prints the number. Asserted: torch takes longer."""
    clock = "import time; start = time.perf_counter(); import torch; then = time.perf_counter(); import lossbook"
    torchs, ours = map(float, fresh(f"{clock}; print(then - start, time.perf_counter() - then)").split())
    print(f"import torch: {torchs:.2f} s, import lossbook after it: {ours:.3f} s")
    assert ours < torchs
