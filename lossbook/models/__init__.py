"""The few small networks that the experiments share, initialised from a generator and nothing else; many as one."""

from lossbook.models._ensemble import Ensemble, features, layer_inputs
from lossbook.models._label_attention import LabelAttention
from lossbook.models._legendre import ConvexNetwork, LegendreLink, LegendreTron
from lossbook.models._networks import ACTIVATIONS, convolutional, linear, multilayer
from lossbook.models._polynomial import PolynomialNet
from lossbook.models._transformer import transformer

__all__ = [
    "ACTIVATIONS",
    "ConvexNetwork",
    "Ensemble",
    "LabelAttention",
    "LegendreLink",
    "LegendreTron",
    "PolynomialNet",
    "convolutional",
    "features",
    "layer_inputs",
    "linear",
    "multilayer",
    "transformer",
]
