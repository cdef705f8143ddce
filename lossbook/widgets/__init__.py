"""Explorers: controls and one persistent picture that says in words what it shows."""

from lossbook.widgets.explorer import Explorer, Preset
from lossbook.widgets.likelihood import LikelihoodExplorer
from lossbook.widgets.margin import MarginExplorer
from lossbook.widgets.simplex import SimplexExplorer
from lossbook.widgets.training import TrainingExplorer

__all__ = ["Explorer", "LikelihoodExplorer", "MarginExplorer", "Preset", "SimplexExplorer", "TrainingExplorer"]
