"""A run's table, for people: a block a configuration, a line a method."""

from collections.abc import Iterator

import pandas as pd

from lossbook.benchmarks.methods import BARE

MEGABYTE = 1e6


def configurations_of(table: pd.DataFrame) -> list[str]:
    """The configurations of a table, in order, as `readable` and the figures take them."""
    return list(dict.fromkeys(_names(table)))


def of_configuration(table: pd.DataFrame, configuration: str) -> pd.DataFrame:
    """The rows of one configuration."""
    return table[_names(table) == configuration]


def _names(table: pd.DataFrame) -> pd.Series:
    def name(row: pd.Series) -> str:
        shape = f"N={row['rows']} V={row['classes']}" + (f" D={row['dimension']}" if row["dimension"] else "")
        return f"{row['kind']} {shape} {row['dtype']} {row['scores']}"

    return table.apply(name, axis=1) if len(table) else pd.Series(dtype=str)


def readable(table: pd.DataFrame, configuration: str) -> pd.DataFrame:
    """One configuration's methods side by side: times, memory, errors, fastest first within a loss.

    Args:
        table: of a run.
        configuration: one of `configurations_of(table)`.

    Returns:
        A frame with a row a method; its columns name their units.
    """
    same = of_configuration(table, configuration)
    losses = list(dict.fromkeys(same["loss"]))
    groups = [
        (loss, method, found.set_index("measure"))
        for (loss, method), found in same.groupby(["loss", "method"], sort=False)
    ]

    def place(group: tuple[str, str, pd.DataFrame]) -> tuple[int, float]:
        loss, _, found = group
        return (losses.index(loss) if loss else -1), found["seconds"].get("both", float("inf"))

    frame = pd.DataFrame([_line(*group) for group in sorted(groups, key=place)])
    idle = [name for name in frame if (frame[name] == "").all() or (name == "status" and (frame[name] == "ok").all())]
    return frame.drop(columns=idle)


def _line(loss: str, method: str, found: pd.DataFrame) -> dict[str, str]:
    forward, both = (found.loc[measure] if measure in found.index else None for measure in ("forward", "both"))
    last = found.iloc[-1]
    spread = "" if both is None else f"{_digits(1e3 * both['low'])}-{_digits(1e3 * both['high'])}"
    bound = "" if both is None or not both["bound"] else f"{both['fraction']:.0%} of {both['bound']}"
    return {
        "loss": loss or "(bare work)",
        "method": method,
        "forward, ms": _of(forward, "seconds", 1e3),
        "with gradients, ms": _of(both, "seconds", 1e3),
        "20-80 %": spread,
        "/ three products": _of(both, "products"),
        "of bound": bound,
        "extra memory, MB": _of(both, "extra_bytes", 1 / MEGABYTE),
        "gradient error / eager's": _of(last, "gradient_times_eager"),
        "status": last["status"],
    }


def _of(row: pd.Series | None, column: str, unit: float = 1.0) -> str:
    return "" if row is None or pd.isna(row[column]) else _digits(unit * row[column])


def _digits(value: float) -> str:
    """Three digits, without exponents.

    >>> _digits(1234.5), _digits(1.2345), _digits(0.00123)
    ('1,234', '1.23', '0.0012')
    """
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}" if abs(value) >= 0.01 else f"{value:.4f}"


def text(table: pd.DataFrame) -> str:
    """The whole table for a terminal."""
    blocks = [f"{configuration}\n{_columns(lines)}" for configuration, lines in _blocks(table)]
    return "\n\n".join([*blocks, *_bare_rates(table)])


def markdown(table: pd.DataFrame) -> str:
    """The whole table as Markdown."""
    first = table.iloc[0]
    triton = f", triton {first['triton']}" if first["triton"] else ""
    about = f"torch {first['torch']}{triton}. How it is measured: README.md in data/benchmarks/."
    head = f"# {first['device']}, {first['date']}\n\n{about}\n"
    blocks = []
    for configuration, lines in _blocks(table):
        rows = ["| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines]
        rows.insert(1, "|" + "---|" * len(lines[0]))
        blocks.append(f"## {configuration}\n\n" + "\n".join(rows) + "\n")
    return "\n".join([head, *blocks])


def _blocks(table: pd.DataFrame) -> Iterator[tuple[str, list[list[str]]]]:
    for configuration in configurations_of(table):
        frame = readable(table, configuration)
        yield configuration, [list(frame.columns), *frame.astype(str).to_numpy().tolist()]


def _columns(lines: list[list[str]]) -> str:
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    words = ("loss", "method", "status")
    return "\n".join(
        "  ".join(
            cell.ljust(width) if name in words else cell.rjust(width)
            for name, cell, width in zip(lines[0], line, widths, strict=True)
        ).rstrip()
        for line in lines
    )


def _bare_rates(table: pd.DataFrame) -> list[str]:
    return [] if table["method"].isin(BARE).any() else ["No bare work was measured: there are no bounds."]
