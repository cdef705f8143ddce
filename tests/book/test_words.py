"""What is claimed of a loss is said as it is claimed, at every setting at which the claims are tested."""

import math
import re

import pytest
from cases import claimed, settings

from lossbook.book.words import claims, number, where
from lossbook.catalog import RECORDS, Record, find

over_records = pytest.mark.parametrize("record", RECORDS.values(), ids=RECORDS)
COMPARE = {"<": float.__lt__, "≤": float.__le__, ">": float.__gt__, "≥": float.__ge__, "=": float.__eq__}
YES_OR_NO = {
    "convexity": ("convex", "not convex"),
    "shifts": ("shift_invariant", "not shift-invariant"),
    "calibration": ("calibrated", "not calibrated"),
    "symmetry": ("even", "not even"),
    "properness": ("proper", "not proper"),
}
BOUNDS = {"bounds": ("upper", "no upper bound"), "steepness": ("lipschitz", "no Lipschitz constant")}
SAID: dict[str, dict[str, str]] = {}


def said(record: Record) -> dict[str, str]:
    """The claims of a record, put into words once."""
    return SAID.setdefault(record.key, claims(record))


def holds(words, parameters):
    """Whether a condition such as "where tau ≤ 1 and at rho = 1" is met."""
    met = []
    for part in words.split(" and "):
        name, sign, value = re.search(r"(?:where|at) (\w+) (.) (\S+?)[:,)]?(?:$| )", part).groups()
        met.append(COMPARE[sign](float(parameters[name]), float(value.replace("−", "-"))))
    return all(met)


@over_records
def test_a_yes_or_no_is_said_as_it_is_claimed_at_each_setting(record):
    for heading, (claim, no) in YES_OR_NO.items():
        words = said(record).get(heading)
        assert (getattr(record.properties, claim) is None) == (words is None)
        conditional = words and re.search(r"(where|at) \w+ [<≤>≥=]", words)
        for parameters in settings(record) if words else ():
            answer = claimed(getattr(record.properties, claim), parameters)
            assert answer is (holds(words, parameters) if conditional else words != no)


@over_records
def test_a_bound_is_said_to_be_there_at_the_settings_at_which_it_is_finite(record):
    for heading, (claim, none) in BOUNDS.items():
        if heading == "steepness" and record.inputs == "sets":  # it would depend on the size of the set
            assert heading not in said(record)
            continue
        words = re.sub(r"^(at least \S+|unbounded below), ", "", said(record)[heading])
        for parameters in settings(record):
            bound = claimed(getattr(record.properties, claim), parameters)
            finite = bound is not None and math.isfinite(bound)
            if "except" in words:
                assert finite is holds(words[words.index("except") :], parameters)
            elif words.endswith("at the defaults"):
                assert not (finite and parameters == record.defaults)
            else:
                assert finite is not words.startswith(none)
            if parameters == record.defaults and finite:
                assert re.search(rf" {number(bound)}( at |\)|$)", words)


@over_records
def test_the_words_say_below_what_a_loss_never_falls(record):
    lower = record.properties.lower
    start = "unbounded below, " if math.isinf(lower) else f"at least {number(lower)}, "
    assert said(record)["bounds"].startswith(start)


def test_what_is_trained_with_is_never_below_zero_but_for_one_that_says_how_far():
    below = {key for key, record in RECORDS.items() if record.properties.lower < 0}
    assert below == {"ldr_kl_loss", *(key for key, record in RECORDS.items() if record.family == "attack")} - {
        "rescaled_cross_entropy"
    }


@pytest.mark.parametrize(
    ("key", "heading", "words"),
    [
        ("cross_entropy", "steepness", "Lipschitz constant √2 at label_smoothing = 0"),
        ("comp_sum_loss", "bounds", "at least 0, no upper bound except where tau > 1 (at most 1/2 at tau = 3)"),
        ("general_robust_loss", "convexity", "convex in the error where alpha ≥ 1"),
        ("quantile_loss", "symmetry", "even at quantile = 0.5"),
        ("mean_absolute_error_loss", "steepness", "Lipschitz constant √2/4"),
        ("smooth_adversarial_comp_sum_loss", "bounds", "at least 0, no upper bound at the defaults"),
        ("siglip_loss", "convexity", "convex in the first embeddings"),
    ],
)
def test_some_claims_word_by_word(key, heading, words):
    assert said(find(key))[heading] == words


@pytest.mark.parametrize(
    ("condition", "words"),
    [
        (lambda tau: True, "always"),
        (lambda tau: False, "never"),
        (lambda tau: tau < 1, "where tau < 1"),
        (lambda tau: tau <= 1, "where tau ≤ 1"),
        (lambda tau: tau > 1, "where tau > 1"),
        (lambda tau: tau >= 1, "where tau ≥ 1"),
        (lambda tau: tau == 0, "at tau = 0"),
        (lambda tau: tau == 1, "at tau = 1"),
        (lambda tau: tau == 3, "at tau = 3"),
        (lambda tau: tau != 1, "at some values of tau"),
    ],
)
def test_a_condition_on_a_parameter_is_found_with_its_open_and_closed_ends(condition, words):
    assert where(condition, find("comp_sum_loss").parameters) == words


@pytest.mark.parametrize(("value", "words"), [(0.0, "0"), (0.5, "1/2"), (-0.5, "−0.5"), (2 * math.sqrt(2), "2√2")])
def test_numbers_are_exact_where_they_have_a_simple_form(value, words):
    assert number(value) == words
