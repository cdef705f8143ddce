"""lossbook: a workbook about loss functions that runs, and the package behind it.

    from lossbook.losses import cross_entropy          # the losses
    from lossbook import LinearLogits, row_loss        # the door to the engines
    from lossbook import claim, check_gradient         # what chapters assert

Importing it loads nothing but torch and touches no global state.
"""

from lossbook.capping import softcap
from lossbook.claims import ClaimError, check_gradient, claim
from lossbook.devices import device
from lossbook.logits import LinearLogits, row_loss, row_statistics
from lossbook.losses._top_k import soft_top_k
from lossbook.teacher_logits import teacher_statistics

__version__ = "0.1.0"
__all__ = [
    "ClaimError",
    "LinearLogits",
    "check_gradient",
    "claim",
    "device",
    "row_loss",
    "row_statistics",
    "soft_top_k",
    "softcap",
    "teacher_statistics",
]
