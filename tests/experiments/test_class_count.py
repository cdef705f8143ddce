"""What a loss over many classes costs."""

import dataclasses

import pytest

from lossbook.experiments import class_count
from lossbook.experiments.class_count import SCALES, Config, parse


@pytest.fixture(scope="module")
def history():
    config = Config(rows=(64, 256), classes=(500, 2000), dimension=16, memory_budget=2**14, repeats=0)
    return class_count.run(config, progress=False).history


def test_memory_with_held_logits_grows_with_both_numbers_and_without_them_with_neither(history):
    spent = history.set_index(["engine", "rows", "classes"])["bytes"]
    held = spent["held"] / [rows * classes for rows, classes in spent["held"].index]
    assert held.between(4 * 2.8, 4 * 4.2).all()  # three to four numbers a logit
    for engine, budgets in (("chunked", 2), ("tile", 4)):
        assert spent[engine].max() < budgets * 2**14 + 20_000  # and the numbers of each row


def test_the_gram_engine_s_work_does_not_know_the_product_of_rows_and_classes(history):
    work = history.set_index(["engine", "rows", "classes"])["multiplications"]
    for rows in (64, 256):
        for classes in (500, 2000):
            assert work["Gram", rows, classes] == pytest.approx((3 * rows + 2 * classes) * 16**2, rel=0.02)
            assert work["held", rows, classes] == 3 * rows * classes * 16


def test_a_factored_step_does_not_know_the_number_of_classes_at_all():
    config = Config(methods=("squared error, factored step",), rows=(32,), classes=(100, 5000), dimension=16)
    history = class_count.run(config, progress=False).history
    for column in ("bytes", "multiplications"):
        assert history[column].max() < 1.1 * history[column].min()  # fewer where classes repeat in the batch


def test_times_are_taken_where_they_are_asked_for(history):
    assert history["seconds"].isna().all()
    timed = class_count.run(SCALES["tiny"], progress=False).history
    assert (timed["seconds"] > 0).all()
    assert not timed.duplicated(["setting", "seed", "step", "rows", "classes"]).any()


def test_a_method_is_a_loss_and_an_engine():
    assert parse("Z-loss, chunked") == ("Z-loss", "chunked")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"methods": ("hinge, held",)}, "methods: got 'hinge', expected one of 'cross-entropy', 'Z-loss'"),
        ({"methods": ("Z-loss, fast",)}, "methods: got 'fast', expected one of 'held'"),
        ({"methods": ("cross-entropy, Gram",)}, "methods: got 'cross-entropy, Gram', expected a loss of the spherical"),
        ({"methods": ("Z-loss, factored step",)}, "methods: got 'Z-loss, factored step', expected 'squared error, fac"),
        ({"rows": (0,)}, "rows: got 0"),
        ({"classes": (3, -1)}, "classes: got -1"),
        ({"repeats": -1}, "repeats: got -1"),
    ],
)
def test_a_bad_config_is_refused(change, message):
    with pytest.raises(ValueError, match="^" + message):
        class_count.run(dataclasses.replace(SCALES["tiny"], **change), progress=False)
