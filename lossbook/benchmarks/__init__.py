"""`lossbook bench`: the book's engines against their peers, and against the limits of the device, in one run.

Configurations, losses and methods are data (`configurations`, `formulas`, `methods`, `peers`). A method is held to
float64 before it is timed (`accuracy`); methods take turns (`measure`); the table says what failed and why (`record`,
`show`). The rows of a recorded run are in data/benchmarks/, whose README explains the columns.
"""

from lossbook.benchmarks.configurations import KINDS, LIMITS, Configuration, configurations
from lossbook.benchmarks.record import COLUMNS, latest, load, recorded, save
from lossbook.benchmarks.runner import run
from lossbook.benchmarks.show import configurations_of, of_configuration, readable, text

__all__ = [
    "COLUMNS",
    "KINDS",
    "LIMITS",
    "Configuration",
    "configurations",
    "configurations_of",
    "latest",
    "load",
    "of_configuration",
    "readable",
    "recorded",
    "run",
    "save",
    "text",
]
