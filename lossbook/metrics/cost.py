"""What a computation costs: the bytes that it held at once, and the multiplications of its matrix products."""

import weakref
from collections.abc import Callable
from typing import Any, NamedTuple

from torch import Tensor, ops
from torch.utils._python_dispatch import TorchDispatchMode

from lossbook.checks import check_choice, check_count

TILE = (512, 2048)  # of the tile engine, where the memory budget allows it
PRODUCTS = (ops.aten.mm, ops.aten.addmm, ops.aten.addmm_, ops.aten.bmm, ops.aten.baddbmm)


class Cost(NamedTuple):
    """Of one call."""

    peak_bytes: int  # the most that tensors made during the call held at one time
    multiplications: int  # in matrix products


def cost(function: Callable[..., Any], *inputs: Any) -> Cost:
    """Run a function once, and count what its tensor operations make.

    Counted are the storages of tensors that operations return, from their making to their end, on any device; what
    existed before the call is not. A view costs nothing. Room that an operation takes and gives back within itself is
    not seen, nor are kernels that fill memory they were handed.

    Args:
        function: to be called with the inputs, gradients and all.

    Returns:
        A `Cost`.

    Raises:
        Whatever the function raises.

    Example:
        >>> import torch
        >>> x = torch.zeros(100, 10)
        >>> cost(lambda: (x @ x.T).sum())          # (100, 100) of float32, and the sum
        Cost(peak_bytes=40004, multiplications=100000)
    """
    with _Meter() as meter:
        function(*inputs)
    return Cost(meter.peak, meter.multiplications)


def linear_cost(
    engine: str, rows: int, classes: int, dimension: int, *, memory_budget: int = 64 * 2**20, itemsize: int = 4
) -> Cost:
    """What a loss of a product costs by each engine, with both gradients, by the formulas.

    | engine | bytes beyond inputs and gradients, the largest part of them | multiplications |
    |---|---|---|
    | "held" | 3 N V: logits, what autograd keeps of them, their gradient | 3 N V D |
    | "chunked" | the budget, or N V where that is less | 3 N V D |
    | "tile" | 3 tiles of 512 × 2048, or of the budget where that is less | 4 N V D |
    | "gram" | 2 N D: the features times WᵀW, and the rows' own classes | (3 N + 2 V) D² |

    Args:
        engine: one of the names above.
        rows, classes, dimension: N, V, D.
        memory_budget: bytes, as in `LinearLogits`.
        itemsize: bytes of a number.

    Raises:
        TypeError, ValueError: naming the argument, what it got and what was expected.

    Example:
        >>> held, chunked = (linear_cost(engine, 8192, 256_000, 2304) for engine in ("held", "chunked"))
        >>> held.peak_bytes // 2**30, chunked.peak_bytes // 2**20                     # GiB, MiB
        (23, 64)
    """
    check_choice("engine", engine, ("held", "chunked", "tile", "gram"))
    numbers = {"rows": rows, "classes": classes, "dimension": dimension, "itemsize": itemsize}
    for name, number in (numbers | {"memory_budget": memory_budget}).items():
        check_count(name, number)
    logits, product = rows * classes * itemsize, rows * classes * dimension
    if engine == "gram":
        return Cost(2 * rows * dimension * itemsize, (3 * rows + 2 * classes) * dimension**2)
    if engine == "tile":
        tile = min(rows, TILE[0]) * min(classes, TILE[1]) * itemsize
        return Cost(3 * min(tile, memory_budget), 4 * product)
    one_row = classes * itemsize
    return Cost(3 * logits if engine == "held" else min(logits, max(memory_budget, one_row)), 3 * product)


class _Meter(TorchDispatchMode):
    """Follows every storage from the operation that returns it to its end."""

    def __init__(self) -> None:
        super().__init__()
        self.held = self.peak = self.multiplications = 0
        self._known: dict[int, Any] = {}  # by identity: a storage is one however many tensors look at it

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self._meet(args, before=True)
        result = function(*args, **(kwargs or {}))
        self._meet(result if isinstance(result, tuple | list) else (result,), before=False)
        if function.overloadpacket in PRODUCTS:
            self.multiplications += result.numel() * args[-2].shape[-1]
        return result

    def _meet(self, tensors: Any, *, before: bool) -> None:
        """Note storages not met so far; those met among the arguments were there before the call."""
        for tensor in tensors:
            if not isinstance(tensor, Tensor):
                continue
            storage = tensor.untyped_storage()
            key = storage._cdata
            if key in self._known:
                continue
            size = 0 if before else storage.nbytes()
            self._known[key] = weakref.finalize(storage, self._end, key, size)
            self.held += size
            self.peak = max(self.peak, self.held)

    def _end(self, key: int, size: int) -> None:
        self._known.pop(key, None)
        self.held -= size

    def __exit__(self, *exception: Any) -> None:
        for finalizer in list(self._known.values()):
            finalizer.detach()
        super().__exit__(*exception)
