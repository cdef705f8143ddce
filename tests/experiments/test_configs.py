"""Fields of a config, read from words and checked as values."""

from dataclasses import dataclass

import pytest

from lossbook.experiments.configs import changed, check_field, grid_of, like


@dataclass(frozen=True)
class Config:
    seeds: int = 3
    step: float = 0.1
    shuffled: bool = False
    data: str = "iris"
    names: tuple[str, ...] = ("a",)
    noise: tuple[float, ...] = (0.0, 0.4)
    limit: float | None = None


def test_values_are_read_as_the_type_of_the_field():
    words = ["seeds=5", "step=1e-3", "shuffled=True", "data=wine", "names=a, b", "noise=1", "limit=none"]
    expected = {"seeds": 5, "step": 1e-3, "shuffled": True, "data": "wine", "names": ("a", "b"), "noise": (1.0,)}
    found = changed(Config(), words)
    assert found == expected | {"limit": "none"}
    assert [type(value) for value in found.values()] == [int, float, bool, str, tuple, tuple, str]


def test_a_value_may_hold_an_equals_sign():
    assert changed(Config(), ["data=Z-loss a=2"]) == {"data": "Z-loss a=2"}


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["step=0.1, 1"], {"step": (0.1, 1.0)}),
        (["noise=0,0.4"], {"noise": ((0.0,), (0.4,))}),
        (["noise=0,0.4;1"], {"noise": ((0.0, 0.4), (1.0,))}),
        (["data=a, b;c"], {"data": ("a, b", "c")}),
        (["shuffled=true,false", "seeds=1"], {"shuffled": (True, False), "seeds": (1,)}),
    ],
)
def test_a_grid_has_values_between_commas_or_between_semicolons(words, expected):
    assert grid_of(Config(), words) == expected


@pytest.mark.parametrize(
    ("read", "words", "message"),
    [
        (changed, ["step"], "--set: got 'step', expected KEY=VALUE"),
        (changed, ["stepp=1"], "--set: got 'stepp', expected one of seeds, step, shuffled, data, names, noise, limit"),
        (changed, ["seeds=2.5"], "--set seeds: got '2.5', expected a value like 3"),
        (changed, ["shuffled=1"], "--set shuffled: got '1', expected a value like False"),
        (grid_of, ["step"], "--grid: got 'step', expected KEY=A,B,C"),
        (grid_of, ["step="], "--grid step: got '', expected values between commas"),
        (grid_of, ["step=1,,2"], "--grid step: got '1,,2', expected values between commas"),
        (grid_of, ["step=1,fast"], "--grid step: got 'fast', expected a value like 0.1"),
        (grid_of, ["step=1", "step=2"], "--grid step: got it twice, expected all values in one, KEY=A,B,C"),
    ],
)
def test_words_that_say_nothing_of_the_config_are_refused(read, words, message):
    with pytest.raises(ValueError, match=f"^{message}"):
        read(Config(), words)


@pytest.mark.parametrize(
    ("current", "value", "expected"),
    [(0.1, 1, 1.0), (3, 4, 4), (False, True, True), ("a", "b", "b"), ((0.0,), 2, (2.0,)), ((1,), [2, 3], (2, 3))],
)
def test_a_value_of_the_type_of_the_field_is_taken(current, value, expected):
    found = like(current, "field", value)
    assert found == expected
    assert type(found) is type(expected)


def test_a_field_that_is_none_takes_anything():
    assert like(None, "field", 3) == 3


@pytest.mark.parametrize(
    ("current", "value"), [(3, 2.0), (3, True), (0.1, True), (0.1, "1"), ("a", 1), ((0.0,), ["a"])]
)
def test_a_value_of_another_type_is_refused(current, value):
    with pytest.raises(TypeError, match=r"^field: got .*, expected a value like"):
        like(current, "field", value)


def test_fields_can_be_kept_out():
    with pytest.raises(ValueError, match="grid: got 'seeds', expected one of step, shuffled"):
        check_field("grid", "seeds", Config(), without=("seeds",))
