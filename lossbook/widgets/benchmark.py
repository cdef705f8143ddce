"""How fast explorers answer, in the kernel, or with `--browser` in a real JupyterLab."""

import argparse
import time
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pandas as pd

from lossbook.experiments import lazy_rich, neural_collapse, stability_gap
from lossbook.experiments.run import Run, Snapshot
from lossbook.widgets.browser import chromium_page, jupyter_lab, run_notebook, write_notebook
from lossbook.widgets.compose import ComposeExplorer
from lossbook.widgets.explorer import Explorer
from lossbook.widgets.features import FeaturesExplorer
from lossbook.widgets.float_line import FloatLineExplorer
from lossbook.widgets.frame_builder import FrameBuilderExplorer
from lossbook.widgets.lazy import LazyExplorer
from lossbook.widgets.likelihood import LikelihoodExplorer
from lossbook.widgets.margin import MarginExplorer
from lossbook.widgets.pairs import PairsExplorer
from lossbook.widgets.reliability import ReliabilityExplorer
from lossbook.widgets.reshaping import ReshapingExplorer
from lossbook.widgets.simplex import SimplexExplorer
from lossbook.widgets.soft_top_k import SoftTopKExplorer
from lossbook.widgets.softmax_steps import SoftmaxStepsExplorer
from lossbook.widgets.stability_gap import StabilityGapExplorer
from lossbook.widgets.training import TrainingExplorer

HEAD = ("explorer", "control", "median, ms", "95th percentile, ms", "count")
STEPS = tuple(range(0, 401, 10))


def sample_run() -> Run:
    """A small made-up run: two settings, two seeds, a decaying loss, and weights that spread."""
    generator = np.random.default_rng(0)
    directions = generator.normal(size=(2, 200))
    rows = [
        {
            "setting": setting,
            "seed": seed,
            "step": step,
            "loss": 0.1 + np.exp(-rate * step) + 0.02 * seed,
            "accuracy": 1 - np.exp(-rate * step) / 2,
        }
        for setting, rate in (("slow", 0.01), ("fast", 0.03))
        for seed in range(2)
        for step in STEPS
    ]
    snapshots = [
        Snapshot(
            setting, step, {"weights": directions[0] * (1 + rate * step), "biases": directions[1, :50] + rate * step}
        )
        for setting, rate in (("slow", 0.01), ("fast", 0.03))
        for step in STEPS
    ]
    return Run("sample", None, pd.DataFrame(rows), tuple(snapshots))


EXPLORERS = {
    "margins": lambda: MarginExplorer(),
    "errors": lambda: MarginExplorer(("squared_error", "huber_loss", "general_robust_loss")),
    "simplex": lambda: SimplexExplorer(),
    "training": lambda: TrainingExplorer(sample_run()),
    "likelihood": lambda: LikelihoodExplorer(),
    "float line": lambda: FloatLineExplorer(),
    "features": lambda: FeaturesExplorer(neural_collapse.run(neural_collapse.SCALES["tiny"], progress=False)),
    "soft top-k": lambda: SoftTopKExplorer(),
    "softmax steps": lambda: SoftmaxStepsExplorer(),
    "compose": lambda: ComposeExplorer(),
    "pairs": lambda: PairsExplorer(),
    "reliability": lambda: ReliabilityExplorer(),
    "reshaping": lambda: ReshapingExplorer(),
    "frame builder": lambda: FrameBuilderExplorer(),
    "stability gap": lambda: StabilityGapExplorer(stability_gap.run(stability_gap.SCALES["tiny"], progress=False)),
    "lazy": lambda: LazyExplorer(lazy_rich.run(lazy_rich.SCALES["tiny"], progress=False)),
}


def measure(explorer: Explorer, name: str, count: int) -> list[float]:
    """Milliseconds from a slider's new value to the new picture, `count` times."""
    holder, found = explorer.control(name).holder, []
    values = [value for value in explorer.control(name).tour(count + 1) if value != holder.value]
    for i in range(count):
        value = values[i % len(values)]
        began = time.perf_counter()
        holder.value = value
        found.append(1000 * (time.perf_counter() - began))
    return found


def in_kernel(count: int) -> list[tuple[Any, ...]]:
    """A row for every slider of every explorer."""
    rows = []
    for title, make in EXPLORERS.items():
        explorer = make()
        names = [
            name for name in explorer.values if explorer.control(name).is_slider and explorer.control(name).visible
        ]
        rows += [_row(title, name, measure(explorer, name, count)) for name in names]
    return rows


WATCH = """() => {
  window.found = [];
  let pressed = null, alt = null;
  const image = () => document.activeElement.closest('.jp-OutputArea-output').querySelector('.widget-html figure img');
  document.addEventListener('keydown', () => { pressed = performance.now(); alt = image().alt; }, true);
  new MutationObserver(() => {
    if (pressed !== null && image().alt !== alt) { window.found.push(performance.now() - pressed); pressed = null; }
  }).observe(document.body, {subtree: true, childList: true, attributes: true});
}"""


def in_browser(count: int) -> list[tuple[Any, ...]]:
    """A row for the first slider of every explorer: from key press to changed alt text in JupyterLab."""
    rows = []
    with TemporaryDirectory() as folder, jupyter_lab(Path(folder)) as lab, chromium_page() as page:
        cells = [
            "from lossbook.widgets.benchmark import EXPLORERS",
            *(f"EXPLORERS[{title!r}]()" for title in EXPLORERS),
        ]
        write_notebook(Path(folder) / "benchmark.ipynb", cells)
        run_notebook(page, lab, "benchmark.ipynb", pictures=len(EXPLORERS))
        page.evaluate(WATCH)
        for i, title in enumerate(EXPLORERS):
            output = page.locator(".jp-OutputArea-output:has(.widget-html figure img)").nth(i)
            handle = output.locator(".noUi-handle:visible").first
            handle.scroll_into_view_if_needed()
            handle.focus()
            page.evaluate("window.found = []")
            for k in range(count):
                page.keyboard.press("ArrowRight" if k < count / 2 else "ArrowLeft")
                page.wait_for_function(f"window.found.length > {k}", polling=5)
            rows.append(_row(title, "first slider", page.evaluate("window.found")))
    return rows


def _row(title: str, name: str, found: Sequence[float]) -> tuple[Any, ...]:
    return title, name, f"{np.median(found):.0f}", f"{np.percentile(found, 95):.0f}", len(found)


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m lossbook.widgets.benchmark", description=__doc__)
    parser.add_argument(
        "--browser", action="store_true", help="from key press to changed alt text, in a real JupyterLab"
    )
    parser.add_argument("--count", type=int, default=40, help="moves of each slider (default: 40)")
    chosen = parser.parse_args(arguments)
    rows = in_browser(chosen.count) if chosen.browser else in_kernel(chosen.count)
    print(pd.DataFrame(rows, columns=list(HEAD)).to_string(index=False))


if __name__ == "__main__":
    main()
