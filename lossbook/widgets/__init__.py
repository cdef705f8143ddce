"""Explorers: controls and one persistent picture that says in words what it shows."""

from lossbook.widgets.boundary import BoundaryExplorer
from lossbook.widgets.compose import ComposeExplorer
from lossbook.widgets.explorer import Explorer, Preset
from lossbook.widgets.features import FeaturesExplorer
from lossbook.widgets.float_line import FloatLineExplorer
from lossbook.widgets.frame_builder import FrameBuilderExplorer
from lossbook.widgets.lazy import LazyExplorer
from lossbook.widgets.likelihood import LikelihoodExplorer
from lossbook.widgets.margin import MarginExplorer
from lossbook.widgets.pairs import PairsExplorer
from lossbook.widgets.reliability import ReliabilityExplorer
from lossbook.widgets.reshaping import ReshapingExplorer
from lossbook.widgets.simplex import SimplexExplorer
from lossbook.widgets.soft_top_k import SoftTopKExplorer
from lossbook.widgets.softmax_steps import SoftmaxStepsExplorer
from lossbook.widgets.stability_gap import StabilityGapExplorer
from lossbook.widgets.training import TrainingExplorer

__all__ = [
    "BoundaryExplorer",
    "ComposeExplorer",
    "Explorer",
    "FeaturesExplorer",
    "FloatLineExplorer",
    "FrameBuilderExplorer",
    "LazyExplorer",
    "LikelihoodExplorer",
    "MarginExplorer",
    "PairsExplorer",
    "Preset",
    "ReliabilityExplorer",
    "ReshapingExplorer",
    "SimplexExplorer",
    "SoftTopKExplorer",
    "SoftmaxStepsExplorer",
    "StabilityGapExplorer",
    "TrainingExplorer",
]
