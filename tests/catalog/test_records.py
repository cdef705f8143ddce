"""The records: complete, consistent with the functions they describe, and fit to be shown."""

import inspect
import re

import pytest
import torch
from cases import LOGITS, draw, keywords, settings

from lossbook import kernels, losses
from lossbook.catalog import RECORDS, find

EVERYWHERE = {"weight", "ignore_index", "reduction"}
NOT_ON_A_SLIDER = {
    "detach_weight",
    "group",
    "hard_negatives",
    "k",
    "level",
    "max_weight",
    "memory_budget",
    "metric",
    "normalise",
    "power",
    "reduce_over",
    "symmetric",
    "tversky",
}  # safeguards, kinds of use, machinery
over_records = pytest.mark.parametrize("record", RECORDS.values(), ids=RECORDS)

# What the formulas are written with. A command that is not here is a slip, or needs a look at how it renders.
KNOWN_TEX = re.compile(
    r"\\(alpha|arctan|beta|big|Big|cdot|cosh|Delta|delta|exp|frac|gamma|ge|in|infty|lambda|le|left|log|lVert|max|min|mu|ne|notin|nu|operatorname|Phi|qquad"
    r"|quad|rho|right|rVert|sigma|sqrt|sum|tanh|tau|text|textstyle|tfrac|varepsilon)(?![a-zA-Z])"
)


def test_every_public_loss_has_a_record_and_every_record_a_public_loss():
    assert sorted(RECORDS) == sorted(losses.__all__)
    assert all(getattr(losses, key) is record.function for key, record in RECORDS.items())


def test_the_public_list_is_in_order_and_complete():
    assert losses.__all__ == sorted(losses.__all__)
    assert all(callable(getattr(losses, name)) for name in losses.__all__)


@over_records
def test_the_parameters_and_defaults_of_a_record_are_those_of_the_signature(record):
    signature = inspect.signature(record.function).parameters.values()
    options = {p.name: p.default for p in signature if p.kind is p.KEYWORD_ONLY and p.name not in EVERYWHERE}
    assert set(options) - NOT_ON_A_SLIDER == {*record.defaults, *record.companions}
    for name, default in record.defaults.items():
        assert options[name] in (default, inspect.Parameter.empty)


@over_records
def test_every_loss_takes_its_inputs_by_place_and_the_rest_by_name(record):
    signature = list(inspect.signature(record.function).parameters.values())
    by_place = [p.name for p in signature if p.kind is p.POSITIONAL_OR_KEYWORD]
    wanted = {"margin": ["margin"], "error": ["prediction", "target"]}.get(record.inputs)
    assert by_place == wanted if wanted else len(by_place) == 2
    assert record.inputs not in ("logits", "labels", "sets") or by_place[1] == "target"
    assert ({"reduction"} if record.inputs == "sets" else {"weight", "reduction"}) <= {
        p.name for p in signature if p.kind is p.KEYWORD_ONLY
    }


@over_records
def test_the_range_of_a_parameter_holds_its_default_and_a_whole_number_of_steps_less_than_two_hundred(record):
    for parameter in record.parameters:
        assert parameter.low <= parameter.default <= parameter.high
        steps = (parameter.high - parameter.low) / parameter.step
        assert abs(steps - round(steps)) < 1e-9
        assert 1 <= round(steps) <= 200
        assert parameter.meaning
        assert parameter.symbol


@over_records
def test_special_cases_are_what_they_say(record, generator):
    for case in record.special_cases:
        for inputs in (draw(record, generator, rows=200), draw(record, generator, rows=7, classes=2)):
            given = keywords(record, inputs[0], dict(case.parameters))
            found, wanted = record.value(*inputs, **given), case.equals(*inputs)
            torch.testing.assert_close(found, wanted, rtol=1e-12, atol=1e-13, msg=case.statement)


@pytest.mark.parametrize("record", LOGITS, ids=lambda record: record.key)
def test_a_loss_looks_at_the_statistics_that_its_record_names_and_at_no_others(record, generator, monkeypatch):
    seen = set()
    engine = kernels.dense_statistics

    def watched(names, rows):
        seen.update(names)
        return engine(names, rows)

    monkeypatch.setattr(kernels, "dense_statistics", watched)
    logits, target = draw(record, generator)
    for parameters in settings(record):
        record.value(logits, target, **keywords(record, logits, parameters))
    assert seen == set(record.statistics)


@over_records
def test_formulas_are_balanced_and_use_commands_that_are_known_to_render(record):
    symbols = [parameter.symbol for parameter in record.parameters]
    for formula in (record.formula, record.gradient_formula, *symbols):
        depth = 0
        for character in re.sub(r"\\[{}]", "", formula):
            depth += {"{": 1, "}": -1}.get(character, 0)
            assert depth >= 0
        assert depth == 0
        assert formula.count(r"\left") == formula.count(r"\right")
        assert re.findall(r"\\[a-zA-Z]+", KNOWN_TEX.sub("", formula)) == []
        assert formula.isascii()


@over_records
def test_a_record_has_a_title_a_chapter_and_a_source(record):
    assert record.title
    assert re.fullmatch(r"\d\d", record.chapter)
    assert 1700 < record.reference.year < 2100
    assert record.reference.arxiv or record.reference.venue or record.reference.year < 1900
    assert record.reference.authors in str(record.reference)
    if record.reference.arxiv:
        assert re.fullmatch(r"\d{4}\.\d{4,5}", record.reference.arxiv)


@over_records
def test_the_value_of_a_record_is_the_unreduced_loss(record, generator):
    inputs = draw(record, generator)
    given = keywords(record, inputs[0], record.defaults)
    assert torch.equal(record.value(*inputs, **given), record.function(*inputs, **given, reduction="none"))
    assert record.value(*inputs).shape == (len(inputs[0]),)


def test_an_error_without_a_target_is_a_prediction_of_zero():
    error = torch.tensor([-2.0, 0.5])
    assert torch.equal(find("huber_loss").value(error), find("huber_loss").value(error, torch.zeros(2)))


def test_a_loss_is_found_by_name_and_a_record_finds_itself():
    record = find("hinge_loss")
    assert find(record) is record
    assert record.function is losses.hinge_loss
