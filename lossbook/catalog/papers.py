"""The published systems of the book: what `papers.toml` says of each, and the chapters they belong to."""

import pkgutil
import tomllib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from lossbook.checks import bad_value

KINDS = (
    "loss",
    "metric",
    "optimiser",
    "regulariser",
    "diagnostic",
    "kernel",
    "training method",
    "theory",
    "experiment",
)

PARTS = {
    "0": "Foundations",
    "1": "Classification",
    "2": "Similarity",
    "3": "Teachers and preferences",
    "4": "Dense prediction",
    "5": "Regression, science and energies",
    "6": "Landscapes and optimisation",
    "7": "Training dynamics",
    "8": "Many losses, and compression",
    "9": "Scaling and evaluation",
}
"""The first digit of a chapter."""

CHAPTERS = {
    "00": "Start here",
    "01": "From likelihood to cross-entropy",
    "02": "Softmax and its numerics",
    "03": "Losses from row statistics",
    "10": "Reshaping cross-entropy",
    "11": "Proper losses and calibration",
    "12": "Imbalance and many labels",
    "13": "Margins and adversaries",
    "20": "Contrastive learning",
    "21": "Metric learning",
    "22": "Faces: margins and negatives",
    "30": "Distillation",
    "31": "Ranking teachers",
    "32": "Preferences",
    "40": "Overlap and boundary losses",
    "41": "Topology",
    "42": "Segmentation with few labels",
    "43": "Segmentation that continues",
    "44": "Boxes",
    "50": "Regression",
    "51": "Time to event",
    "52": "Physics-informed networks",
    "53": "Energies",
    "54": "Restoration",
    "60": "Loss landscapes",
    "61": "Curvature and the edge of stability",
    "62": "Flat minima and free lunches",
    "70": "Grokking and softmax collapse",
    "71": "Neural collapse",
    "72": "The stability gap",
    "73": "Plasticity",
    "74": "Abrupt and hierarchical learning",
    "75": "Tokens and entropy",
    "80": "Balancing many losses",
    "81": "Losses across clients and data sets",
    "82": "Losses for quantisation",
    "83": "Binary and pruned networks",
    "90": "Scaling laws",
    "91": "Why did the loss change",
    "92": "Regret",
}

NOTEBOOKS = {
    "00": "00_start_here.ipynb",
    "01": "01_from_likelihood_to_cross_entropy.ipynb",
    "02": "02_softmax_and_its_numerics.ipynb",
    "03": "03_losses_from_row_statistics.ipynb",
    "10": "10_reshaping_cross_entropy.ipynb",
    "11": "11_proper_losses_and_calibration.ipynb",
    "12": "12_imbalance_and_many_labels.ipynb",
    "13": "13_margins_and_adversaries.ipynb",
    "70": "70_grokking_and_softmax_collapse.ipynb",
    "71": "71_neural_collapse.ipynb",
    "72": "72_the_stability_gap.ipynb",
}
"""The chapters that are written, and their files."""


@dataclass(frozen=True)
class Paper:
    """A published system as the book knows it. What is not known is empty."""

    key: str
    title: str
    kind: tuple[str, ...]
    chapter: str  # two digits
    implemented_by: tuple[str, ...]  # dotted names; `resolve` imports them
    authors: str = ""
    year: int | None = None
    arxiv: str = ""
    venue: str = ""

    @property
    def implemented(self) -> bool:
        """Whether something in the package does it."""
        return bool(self.implemented_by)

    @property
    def status(self) -> str:
        """Its status in a word: implemented or planned."""
        return "implemented" if self.implemented else "planned"


REQUIRED = {"title": str, "kind": list, "chapter": str, "implemented_by": list}
OPTIONAL = {"authors": str, "year": int, "arxiv": str, "venue": str}
WORDS = {str: "text", int: "an integer", list: "a list"}


@cache
def papers() -> dict[str, Paper]:
    """Every system of the book by its key, in the order of the chapters.

    Example:
        >>> papers()["comp_sum"].authors
        'Mao, Mohri & Zhong'
    """
    return read(files("lossbook.catalog").joinpath("papers.toml").read_text(encoding="utf-8"))


def read(text: str) -> dict[str, Paper]:
    r"""The systems of a TOML text with one table a key.

    Raises:
        ValueError: naming the key and the field that is unknown, missing or not what it should be.

    Example:
        >>> read('[hinge]\ntitle = "Support-vector networks"')
        Traceback (most recent call last):
        ValueError: hinge: kind is missing, expected title, kind, chapter, implemented_by
    """
    return {key: _paper(key, row) for key, row in tomllib.loads(text).items()}


def resolve(dotted: str) -> object:
    """The object that a dotted name stands for, imported where need be.

    Raises:
        ValueError: nothing has that name.

    Example:
        >>> resolve("lossbook.losses.comp_sum_loss").__name__
        'comp_sum_loss'
    """
    try:
        return pkgutil.resolve_name(dotted)
    except (ImportError, AttributeError, ValueError) as error:
        raise bad_value("dotted", dotted, "the dotted name of an importable object") from error


def _paper(key: str, row: Any) -> Paper:
    types = REQUIRED | OPTIONAL
    if not isinstance(row, dict):
        raise bad_value(key, row, "a table")
    for name in REQUIRED:
        if name not in row:
            raise ValueError(f"{key}: {name} is missing, expected {', '.join(REQUIRED)}")
    for name, value in row.items():
        if name not in types:
            raise ValueError(f"{key}: got the unknown field {name!r}, expected {', '.join(types)}")
        if type(value) is not types[name] or (not value and name != "implemented_by"):
            raise bad_value(f"{key}: {name}", value, f"{WORDS[types[name]]}; leave out what is not known")
    for name in ("kind", "implemented_by"):
        if not all(isinstance(item, str) for item in row[name]):
            raise bad_value(f"{key}: {name}", row[name], "a list of strings")
    if unknown := [kind for kind in row["kind"] if kind not in KINDS]:
        raise bad_value(f"{key}: kind", unknown[0], "kinds among " + ", ".join(KINDS))
    if row["chapter"] not in CHAPTERS:
        raise bad_value(f"{key}: chapter", row["chapter"], "a chapter among " + ", ".join(CHAPTERS))
    return Paper(key, **row | {"kind": tuple(row["kind"]), "implemented_by": tuple(row["implemented_by"])})
