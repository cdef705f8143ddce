"""A nested state on disk: tensors, arrays and plain values, in one safetensors file. Nothing is pickled."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from lossbook.checks import bad_type, bad_value

PLAIN = (str, int, float, bool, type(None))


def save_state(path: Path, state: Any) -> None:
    """Write a state: dicts, lists and tuples of tensors, arrays and plain values, as optimisers and models hand out.

    The file appears at once and whole: an interruption leaves the one that was there.

    Args:
        path: of the file; its folder is made.
        state: what to keep. Numbers come back bit for bit.

    Raises:
        TypeError: something in it is neither of these.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "state"
        >>> save_state(path, {"step": 3, "moments": {0: (torch.ones(2), 0.1)}})
        >>> load_state(path)
        {'step': 3, 'moments': {0: (tensor([1., 1.]), 0.1)}}
    """
    tensors: dict[str, Tensor] = {}
    outline = json.dumps(_outline(state, tensors))
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(path.name + ".part")
    save_file(tensors, unfinished, metadata={"outline": outline})
    unfinished.replace(path)


def load_state(path: Path) -> Any:
    """Read what `save_state` wrote; tensors come back on the CPU.

    Raises:
        FileNotFoundError: no such file.
        ValueError: the file holds something else.
    """
    try:
        with safe_open(path, framework="pt") as file:
            return _filled(json.loads((file.metadata() or {})["outline"]), file)
    except (SafetensorError, KeyError, json.JSONDecodeError) as error:
        raise bad_value("checkpoint", str(path), "a file that a training run wrote") from error


def _outline(value: Any, tensors: dict[str, Tensor]) -> Any:
    """The state as JSON; each tensor goes into `tensors` and leaves its number."""
    if isinstance(value, Tensor | np.ndarray):
        name = str(len(tensors))
        tensor = value if isinstance(value, Tensor) else torch.from_numpy(np.ascontiguousarray(value))
        tensors[name] = tensor.detach().cpu().contiguous().clone()  # two that share memory are two afterwards
        return {"tensor" if isinstance(value, Tensor) else "array": name}
    if isinstance(value, Mapping):
        return {"dict": [[_outline(k, tensors), _outline(v, tensors)] for k, v in value.items()]}
    if isinstance(value, list | tuple):
        return {type(value).__name__: [_outline(item, tensors) for item in value]}
    if isinstance(value, np.generic):
        value = value.item()
    if not isinstance(value, PLAIN):
        raise bad_type("state", value, "tensors, arrays, text and numbers, in dicts, lists and tuples")
    return value


def _filled(outline: Any, file: Any) -> Any:
    if not isinstance(outline, dict):
        return outline
    ((kind, content),) = outline.items()
    if kind in ("tensor", "array"):
        tensor = file.get_tensor(content)
        return tensor if kind == "tensor" else tensor.numpy()
    if kind == "dict":
        return {_filled(k, file): _filled(v, file) for k, v in content}
    items = [_filled(item, file) for item in content]
    return tuple(items) if kind == "tuple" else items
