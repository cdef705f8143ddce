"""How the Triton kernels are launched: a fixed table, so that the first call of a run is as fast as the last.

Autotuning would run each kernel dozens of times for each new shape, and could choose otherwise the next day. The table
was written from the hardware's limits (registers a thread, bytes in flight, threads on a multiprocessor) and from what
the compiler reports; `sweep` measures the neighbours of an entry on the GPU at hand.
"""

from collections.abc import Callable, Iterable
from typing import NamedTuple, TypeVar

import torch

_Launch = TypeVar("_Launch", bound=tuple)
PROGRAMS_WANTED = 1024  # enough to fill 132 multiprocessors with 8 programs each; fewer, and rows are shared


class Launch(NamedTuple):
    """The shape of a tile, columns side by side by steps, and the warps that work on it."""

    steps: int
    lanes: int
    warps: int

    @property
    def columns(self) -> int:
        """How many columns a tile has."""
        return self.steps * self.lanes


# Up to so many classes, for 2-byte logits: a thread loads 16 bytes = 8 columns a step, one to four steps at a time.
ROW_TABLE = (
    (256, Launch(1, 256, 1)),
    (512, Launch(2, 256, 1)),
    (4096, Launch(4, 256, 1)),
    (16384, Launch(4, 512, 2)),
    (2**62, Launch(4, 1024, 4)),
)
# The whole row on chip: at most 32 columns a thread, so that logits, exponentials and gradient fit the registers. A row
# of 32,768 takes 64 columns a thread, or 32 of the half as many registers that a thread has then, and both spill.
RESIDENT_TABLE = (
    (1024, Launch(1, 1024, 4)),
    (2048, Launch(1, 2048, 4)),
    (4096, Launch(2, 2048, 4)),
    (8192, Launch(2, 4096, 8)),
    (16384, Launch(4, 4096, 16)),
)
RESIDENT_BYTES = 32768
REREAD = Launch(2, 4096, 16)  # few rows at a time, so that the cache still holds a row when it is read again


class TileLaunch(NamedTuple):
    """A tile of linear logits: its rows (backward, what a program owns) and classes (backward, what it goes over).

    `features` are multiplied at a time, and a program owns `slice` of them in the backward.
    """

    rows: int
    classes: int
    features: int
    slice: int
    warps: int
    stages: int


def forward_launch(dtype: torch.dtype) -> TileLaunch:
    """The tiles of the forward: the wider the number, the smaller the tile."""
    return {
        2: TileLaunch(128, 128, 64, 0, 8, 3),
        4: TileLaunch(64, 64, 32, 0, 4, 2),
        8: TileLaunch(32, 32, 16, 0, 4, 2),
    }[dtype.itemsize]


def backward_launch(dtype: torch.dtype, dimension: int, filtered: bool = False) -> TileLaunch:
    """The tiles of the backward: a program owns all features where they fit its registers, and reads them once."""
    if dtype.itemsize == 2:
        if dimension <= 64:
            return TileLaunch(128, 64, 64, 64, 8, 2)
        if dimension <= 128 or filtered:
            return TileLaunch(64, 64, 64, 128, 8, 2)
        return TileLaunch(64, 32, 64, 256, 8, 2)
    if dtype.itemsize == 4:
        return TileLaunch(32, 32, 32, 64, 4, 2) if dimension <= 64 else TileLaunch(32, 32, 32, 128, 8, 2)
    return TileLaunch(16, 16, 16, 64, 4, 2)


def row_launch(classes: int, dtype: torch.dtype) -> Launch:
    """The tile for rows of so many classes; 4- and 8-byte logits take half the lanes a thread."""
    launch = next(launch for limit, launch in ROW_TABLE if classes <= limit)
    if dtype == torch.float64 and launch.steps > 1:  # twice the registers
        return launch._replace(steps=launch.steps // 2)
    return launch


def resident_launch(classes: int, dtype: torch.dtype) -> Launch | None:
    """The tile that holds a whole row; None where no tile does."""
    if classes * dtype.itemsize > RESIDENT_BYTES:
        return None
    return next(launch for limit, launch in RESIDENT_TABLE if classes <= limit)


def pieces_of(rows: int, tiles: int) -> int:
    """Among how many programs a row is shared, so that few long rows fill the device too.

    >>> pieces_of(rows=4096, tiles=32), pieces_of(rows=8, tiles=32)
    (1, 32)
    """
    return max(1, min(tiles, PROGRAMS_WANTED // max(1, rows)))


def alignment(*matrices: torch.Tensor) -> int:
    """How many columns make 16 bytes, where rows do not start on such a boundary but those of all matrices alike; or 1.

    A row is then read 16 bytes at a time from its first boundary on.

    >>> alignment(torch.empty(4, 50257, dtype=torch.bfloat16)), alignment(torch.empty(4, 50264, dtype=torch.bfloat16))
    (8, 1)
    """
    row_step, columns = matrices[0].stride(0), 16 // matrices[0].element_size()
    alike = all(matrix.stride(1) == 1 and (matrix.stride(0) - row_step) % columns == 0 for matrix in matrices)
    return columns if alike and row_step % columns != 0 else 1


def grain(*matrices: torch.Tensor) -> int:
    """How many columns make 16 bytes, where the rows of all matrices start and end on such a boundary; else 1.

    >>> grain(torch.empty(4, 1000, dtype=torch.bfloat16)), grain(torch.empty(4, 50257, dtype=torch.bfloat16))
    (8, 1)
    """
    columns = 16 // matrices[0].element_size()
    even = all(matrix.stride(1) == 1 and matrix.stride(0) % columns == 0 for matrix in matrices)
    return columns if even and matrices[0].shape[1] % columns == 0 else 1


def sweep(call: Callable[[_Launch], object], launches: Iterable[_Launch]) -> list[tuple[float, _Launch]]:
    """The median milliseconds of a call under each launch, the fastest first; launches that do not fit are left out.

    On a GPU: `sweep(lambda launch: triton_dense.forward(names, logits, target, None, -1, launch), neighbours(launch))`.
    """
    from triton.runtime.errors import OutOfResources
    from triton.testing import do_bench

    found = []
    for launch in launches:
        try:
            found.append((float(do_bench(lambda launch=launch: call(launch), return_mode="median")), launch))
        except OutOfResources:
            continue
    return sorted(found)


def neighbours(launch: Launch) -> list[Launch]:
    """Half and twice the steps, the lanes and the warps of an entry, and itself.

    >>> len(neighbours(Launch(4, 1024, 4)))
    27
    """
    return [
        Launch(max(1, int(launch.steps * steps)), int(launch.lanes * lanes), max(1, int(launch.warps * warps)))
        for steps in (0.5, 1, 2)
        for lanes in (0.5, 1, 2)
        for warps in (0.5, 1, 2)
    ]
