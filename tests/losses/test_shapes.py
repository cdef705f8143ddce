"""The shapes in the annotations are those that go in and come out, checked while everything runs.

The check happens in an interpreter of its own, which runs this file: everywhere else bad input must meet lossbook's
own messages.
"""

import doctest
import importlib
import os
import pkgutil
import subprocess
import sys
from pathlib import Path

from beartype import BeartypeConf, beartype
from jaxtyping import TypeCheckError, install_import_hook

checker = beartype(conf=BeartypeConf(is_pep484_tower=True))  # an int will do for a float


def test_all_losses_keep_to_the_shapes_of_their_annotations():
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    run = subprocess.run(
        [sys.executable, "-W", "error", __file__], env=environment, capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stdout + run.stderr
    assert "shapes checked" in run.stdout


def check_doctests():
    losses = importlib.import_module("lossbook.losses")
    modules = [f"lossbook.losses.{module.name}" for module in pkgutil.iter_modules(losses.__path__)]
    for name in (*modules, "lossbook.logits"):
        failed, _ = doctest.testmod(importlib.import_module(name), optionflags=doctest.NORMALIZE_WHITESPACE)
        assert failed == 0, name


def check_batches():
    import cases
    import torch

    for record, parameters in cases.ALL:
        of_pairs, of_sets = record.inputs == "pairs", record.inputs == "sets"
        for batch in ((5,),) if of_pairs else ((), (5,), (2, 3)):
            first = torch.zeros((*batch, 4) if record.inputs == "logits" or of_pairs or of_sets else batch)
            second = torch.zeros(batch, dtype=torch.long) if record.inputs == "logits" else torch.zeros_like(first)
            inputs = (first,) if record.inputs == "margin" else (first, second)
            weight = torch.ones(4 if record.inputs == "logits" else batch)
            more = {} if of_sets else {"weight": weight}
            more |= cases.keywords(record, first, parameters)
            shapes = [record.function(*inputs, reduction=name, **more).shape for name in cases.REDUCTIONS]
            assert shapes == [(), (), batch], record.key


def check_that_the_checker_is_awake():
    import torch

    from lossbook.losses import cross_entropy, hinge_loss

    for call in (
        lambda: cross_entropy(torch.zeros(2, 3), torch.zeros(4, dtype=torch.long)),
        lambda: hinge_loss(torch.zeros(2), weight=torch.zeros(3)),
    ):
        try:
            call()
        except TypeCheckError:
            continue
        raise AssertionError("a wrong shape went unnoticed")


if __name__ == "__main__":
    with install_import_hook(["lossbook.losses", "lossbook.logits", "lossbook.kernels"], "__main__.checker"):
        importlib.import_module("lossbook")
    check_doctests()
    check_batches()
    check_that_the_checker_is_awake()
    print("shapes checked")
