"""A state on disk comes back to the bit, appears at once or not at all, and holds nothing that could run."""

import math

import numpy as np
import pytest
import torch

from lossbook.training.checkpoint import load_state, save_state

STATE = {
    "numbers": [1, -2.5, math.inf, 1e-310, 0.1 + 0.2, True, None, "words"],
    "by number": {0: torch.arange(3), 7: (torch.tensor(2.0), [])},
    "kinds": [torch.ones(2, dtype=kind) for kind in (torch.bfloat16, torch.float16, torch.float64, torch.bool)],
    "arrays": {"image": np.arange(6.0).reshape(2, 3), "empty": np.zeros((0, 4), dtype=np.float32)},
}


def same(first, second) -> bool:
    if isinstance(first, torch.Tensor):
        return isinstance(second, torch.Tensor) and first.dtype == second.dtype and torch.equal(first, second)
    if isinstance(first, np.ndarray):
        return isinstance(second, np.ndarray) and first.dtype == second.dtype and np.array_equal(first, second)
    if isinstance(first, dict):
        return list(first) == list(second) and all(same(first[key], second[key]) for key in first)
    if isinstance(first, list | tuple):
        return type(first) is type(second) and len(first) == len(second) and all(map(same, first, second))
    return type(first) is type(second) and first == second


def test_a_state_comes_back_bit_for_bit_and_of_the_same_kinds(tmp_path):
    save_state(tmp_path / "deep" / "state", STATE)
    assert same(load_state(tmp_path / "deep" / "state"), STATE)
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["state"]


def test_nan_comes_back_as_nan(tmp_path):
    save_state(tmp_path / "state", [math.nan])
    assert math.isnan(load_state(tmp_path / "state")[0])


def test_tensors_that_share_memory_are_two_afterwards(tmp_path):
    whole = torch.zeros(4)
    save_state(tmp_path / "state", [whole, whole[1:3], whole.view(2, 2).T])
    found = load_state(tmp_path / "state")
    found[0][1] = 1
    assert found[1].tolist() == [0, 0]


def test_what_cannot_be_kept_is_named_and_leaves_the_file_as_it_was(tmp_path):
    save_state(tmp_path / "state", [1])
    with pytest.raises(TypeError, match=r"state: got .* expected tensors, arrays, text and numbers"):
        save_state(tmp_path / "state", [2, lambda: 3])
    assert load_state(tmp_path / "state") == [1]


def test_a_file_that_is_not_there_and_one_of_another_kind_are_told_apart(tmp_path):
    with pytest.raises(FileNotFoundError):
        load_state(tmp_path / "none")
    (tmp_path / "other").write_bytes(b"12345678 something else")
    with pytest.raises(ValueError, match=r"checkpoint: got .*expected a file that a training run wrote"):
        load_state(tmp_path / "other")
