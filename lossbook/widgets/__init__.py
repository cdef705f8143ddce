"""Explorers: controls and one persistent picture that says in words what it shows."""

from lossbook.widgets.compose import ComposeExplorer
from lossbook.widgets.explorer import Explorer, Preset
from lossbook.widgets.float_line import FloatLineExplorer
from lossbook.widgets.likelihood import LikelihoodExplorer
from lossbook.widgets.margin import MarginExplorer
from lossbook.widgets.pairs import PairsExplorer
from lossbook.widgets.simplex import SimplexExplorer
from lossbook.widgets.softmax_steps import SoftmaxStepsExplorer
from lossbook.widgets.training import TrainingExplorer

__all__ = [
    "ComposeExplorer",
    "Explorer",
    "FloatLineExplorer",
    "LikelihoodExplorer",
    "MarginExplorer",
    "PairsExplorer",
    "Preset",
    "SimplexExplorer",
    "SoftmaxStepsExplorer",
    "TrainingExplorer",
]
