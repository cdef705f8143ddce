"""What `lossbook new-chapter` and `lossbook new-loss` lay down, and what of it is still to be filled in.

A skeleton runs as it stands: a true chapter about the logistic loss, a correct loss that is a known one times a
strength. Its author changes it step by step, and every test is green on the way. What is not yet the author's carries
the word TODO, which `unfinished` finds.
"""

from lossbook.skeletons.chapter import new_chapter
from lossbook.skeletons.loss import new_loss
from lossbook.skeletons.unfinished import unfinished

__all__ = ["new_chapter", "new_loss", "unfinished"]
