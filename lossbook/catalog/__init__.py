"""The catalogue: a record of every loss, and a row for every published system that the book is to contain."""

from lossbook.catalog import _classification, _margin, _regression
from lossbook.catalog.record import Parameter, Properties, Record, Reference, SpecialCase

RECORDS: dict[str, Record] = {
    record.key: record for module in (_classification, _margin, _regression) for record in module.RECORDS
}

__all__ = ["RECORDS", "Parameter", "Properties", "Record", "Reference", "SpecialCase", "find"]


def find(loss: str | Record) -> Record:
    """The record of a loss, by its name.

    Raises:
        ValueError: no loss has that name; the message lists those that do.

    Example:
        >>> find("hinge_loss").formula
        '\\\\max(0, 1 - m)'
    """
    if isinstance(loss, Record):
        return loss
    if loss not in RECORDS:
        raise ValueError(f"loss: got {loss!r}, expected one of " + ", ".join(sorted(RECORDS)))
    return RECORDS[loss]
