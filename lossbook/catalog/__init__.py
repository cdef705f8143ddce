"""The catalogue: a record of every loss, and a row for every published system that the book is to contain."""

from lossbook.catalog import (
    _attack,
    _calibration,
    _classification,
    _doubt,
    _many_labels,
    _margin,
    _pairs,
    _poly,
    _regression,
    _reshaped,
    _reward,
    _scoring,
    _sets,
    _spherical,
    _stable,
)
from lossbook.catalog.record import Parameter, Properties, Record, Reference, SpecialCase
from lossbook.checks import bad_type, check_choice

RECORDS: dict[str, Record] = {
    record.key: record
    for module in (
        _classification,
        _reshaped,
        _poly,
        _doubt,
        _spherical,
        _stable,
        _scoring,
        _calibration,
        _many_labels,
        _sets,
        _pairs,
        _margin,
        _regression,
        _reward,
        _attack,
    )
    for record in module.RECORDS
}
"""Every loss of the book by its name, in the order of the families."""

__all__ = ["RECORDS", "Parameter", "Properties", "Record", "Reference", "SpecialCase", "find"]


def find(loss: str | Record) -> Record:
    r"""The record of a loss, by its name.

    Raises:
        TypeError: neither a name nor a record.
        ValueError: no loss has that name; the message lists those that do.

    Example:
        >>> find("hinge_loss").formula
        '\\max(0, 1 - m)'
    """
    if isinstance(loss, Record):
        return loss
    if not isinstance(loss, str):
        raise bad_type("loss", loss, "the name of a loss, or a record")
    check_choice("loss", loss, sorted(RECORDS))
    return RECORDS[loss]
