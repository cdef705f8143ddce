"""The table of a run: its columns, the bounds that stand beside the times, how it is kept and read again."""

import datetime
import platform
import re
from collections.abc import Iterable, Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from lossbook.benchmarks.methods import BARE, PRODUCTS
from lossbook.checks import bad_value, check_choice

FOLDER = Path(__file__).resolve().parents[2] / "data" / "benchmarks"
COLUMNS = {
    "date": "of the run",
    "device_type": "cpu or cuda",
    "device": "its name; of a CPU, with the number of threads",
    "torch": "version",
    "triton": "version, empty where it is not installed",
    "kind": "rows (logits are given), linear (features and weight are) or pairs (two sets of embeddings)",
    "rows": "N",
    "classes": "V; of pairs, N",
    "dimension": "D; 0 for rows",
    "dtype": "of the inputs",
    "scores": "trained (spread 4, right class favoured, classes by Zipf's law) or random (spread 1, no favourite)",
    "loss": "what is computed, always the mean over rows",
    "method": "by what",
    "version": "of the method's package; empty for the book and PyTorch",
    "measure": "forward (no gradient asked for) or both (loss and all gradients); empty where nothing was timed",
    "seconds": "median of the turns",
    "low": "20 % of the turns took less",
    "high": "20 % of the turns took more",
    "turns": "how many",
    "bound": "what no method that forms the logits in memory or reads them can go below: bytes, or products F = 2NVD",
    "bound_seconds": "the bound at the copy rate, or the product rate, measured in the same turns",
    "fraction": "bound_seconds / seconds",
    "products": "seconds / seconds of the bare matrix products (one for forward, three for both)",
    "peak_bytes": "the most held during a call beyond the inputs, gradients included; of both only",
    "extra_bytes": "peak_bytes without the bytes of the gradients",
    "loss_error": "relative, against the formula in float64",
    "gradient_rms": "‖g − g₀‖/‖g₀‖ against float64; of the worst input",
    "gradient_max": "max|g − g₀|/max|g₀| against float64; of the worst input",
    "gradient_times_eager": "gradient_rms over that of PyTorch's eager formula in the same dtype; of the worst input",
    "status": "ok; or why there is no time: not here, refused (computes something else), failed, interrupted",
}
SAME = ["kind", "rows", "classes", "dimension", "dtype", "scores"]  # the columns that tell configurations apart
_NUMBERS = (
    *("rows", "classes", "dimension", "turns", "seconds", "low", "high", "bound_seconds", "fraction", "products"),
    *("peak_bytes", "extra_bytes", "loss_error", "gradient_rms", "gradient_max", "gradient_times_eager"),
)
_WHOLE = ("rows", "classes", "dimension", "turns")


def table_of(entries: Iterable[Any], device: torch.device) -> pd.DataFrame:
    """The tidy table of a run's entries, with the bounds that its copies and products give.

    Args:
        entries: as `lossbook.benchmarks.runner` makes them.
        device: where they were measured.

    Returns:
        A row for each entry and measure that was timed, and one for each entry that was not; columns as in `COLUMNS`.
    """
    about = {
        "date": datetime.date.today().isoformat(),
        "device_type": device.type,
        "device": device_name(device),
        "torch": str(torch.__version__),
        "triton": _version("triton"),
    }
    rows = [about | row for entry in entries for row in _rows(entry)]
    table = pd.DataFrame(rows, columns=[*COLUMNS, "work"])
    for _, same in table.groupby(SAME, sort=False):
        _bound(table, same)
    return _typed(table[list(COLUMNS)])


def _rows(entry: Any) -> Iterator[dict[str, Any]]:
    c = entry.configuration
    row: dict[str, Any] = {name: getattr(c, name) for name in SAME}
    row |= {"loss": entry.loss, "method": entry.method.name, "version": entry.version, "status": entry.status}
    if entry.method.name in BARE:
        row["loss"] = ""
    if entry.errors is not None:
        row["loss_error"] = entry.errors.loss
        row["gradient_rms"], row["gradient_max"] = max(entry.errors.rms), max(entry.errors.largest)
        if entry.eager is not None:
            pairs = zip(entry.errors.rms, entry.eager.rms, strict=True)
            row["gradient_times_eager"] = max((a / b for a, b in pairs if b > 0), default=float("nan"))
    timed = {measure: times for measure, times in entry.times.items() if times}
    if not timed:
        yield row | {"measure": "", "bound": "", "turns": 0}
    for measure, times in timed.items():
        low, middle, high = pd.Series(times).quantile([0.2, 0.5, 0.8])
        found = row | {"measure": measure, "seconds": middle, "low": low, "high": high, "turns": len(times)}
        found |= {"work": entry.work.get(measure), "bound": ""}
        if measure == "both" and entry.peak is not None:
            found |= {"peak_bytes": entry.peak, "extra_bytes": max(0, entry.peak - entry.gradients)}
        yield found


def _bound(table: pd.DataFrame, same: pd.DataFrame) -> None:
    """Write what bounds the methods of one configuration, at the rates that its bare work reached in the same turns."""
    kind, rows, classes, dimension, dtype, _ = same.iloc[0][SAME]
    bare = same[same["method"].isin(BARE) & same["seconds"].notna()]
    if bare.empty:
        return
    rate = (bare["work"] / bare["seconds"]).max()
    products = bare[bare["method"] == PRODUCTS].set_index("measure")["seconds"]
    for index, row in same[same["seconds"].notna() & ~same["method"].isin(BARE)].iterrows():
        times = 3 if row["measure"] == "both" else 1  # logits read; read again, and their gradient written
        if kind == "rows":
            each = getattr(torch, dtype).itemsize * times
            name, work = f"{each}NV", float(each) * rows * classes
        else:
            name, work = ("3F" if times == 3 else "F"), 2.0 * times * rows * classes * dimension
        table.loc[index, ["bound", "bound_seconds", "fraction"]] = [name, work / rate, work / rate / row["seconds"]]
        if row["measure"] in products:
            table.loc[index, "products"] = row["seconds"] / products[row["measure"]]


def _typed(table: pd.DataFrame) -> pd.DataFrame:
    for name in table.columns:
        if name in _WHOLE:
            table[name] = table[name].astype("int64")
        elif name in _NUMBERS:
            table[name] = table[name].astype("float64")
        else:
            table[name] = table[name].fillna("").astype("object")
    return table


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return ""


def device_name(device: torch.device | str) -> str:
    """What a device is called in the table.

    Example:
        >>> device_name("cpu").endswith("threads")
        True
    """
    if torch.device(device).type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{_processor()}, {torch.get_num_threads()} threads"


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def save(table: pd.DataFrame, path: Path | str | None = None) -> Path:
    """Write a table as CSV, and beside it as Markdown to read.

    Args:
        table: of a run.
        path: of the CSV file; None for data/benchmarks/<date>-<device>.csv.

    Returns:
        The path written.

    Raises:
        ValueError: a table without rows, or a path whose folder is not there.
    """
    from lossbook.benchmarks.show import markdown

    if table.empty:
        raise bad_value("table", table, "at least one row")
    name = re.sub(r"[^a-z0-9]+", "-", str(table["device"].iloc[0]).lower()).strip("-")
    chosen = FOLDER / f"{table['date'].iloc[0]}-{name}.csv" if path is None else Path(path)
    if not chosen.parent.is_dir():
        raise bad_value("path", str(path), "a file in a folder that is there")
    table.to_csv(chosen, index=False, float_format="%.6g")
    chosen.with_suffix(".md").write_text(markdown(table), encoding="utf-8")
    return chosen


def load(path: Path | str) -> pd.DataFrame:
    """Read a table that `save` wrote.

    Raises:
        FileNotFoundError: no such file.
        ValueError: a file with other columns.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f"path: got {str(path)!r}, expected a CSV file that `save` wrote")
    table = pd.read_csv(path, dtype={name: str for name in COLUMNS if name not in _NUMBERS})
    if list(table.columns) != list(COLUMNS):
        raise bad_value("path", str(path), f"columns {', '.join(COLUMNS)}")
    return _typed(table)


def recorded(folder: Path | None = None) -> list[Path]:
    """The tables kept in data/benchmarks/, oldest first."""
    return sorted((FOLDER if folder is None else folder).glob("*.csv"))


def latest(device_type: str | None = None, folder: Path | None = None) -> pd.DataFrame | None:
    """The newest table kept, of "cuda" or "cpu" where one is asked for; None where there is none."""
    if device_type is not None:
        check_choice("device_type", device_type, ("cpu", "cuda"))
    for path in reversed(recorded(folder)):
        table = load(path)
        if len(table) and device_type in (None, table["device_type"].iloc[0]):
            return table
    return None
