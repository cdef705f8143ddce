"""The honest bench, in one place: train one model with many losses under one protocol, and see what each is worth.

    from functools import partial
    from lossbook.comparison import Protocol, compare, differences, plot_comparison, table

    run = compare({"cross-entropy": losses.cross_entropy, "mine": my_loss}, lambda seed: digits(seed=seed), Protocol())
    table(run), differences(run, "cross-entropy"), plot_comparison(run)

Same data, same start, same batches within a seed; a learning rate of its own for each loss, chosen on data held out;
the test part looked at once. This module is the door: the work is done in `lossbook.experiments.comparison`.
"""

from lossbook.experiments.comparison import Compared, Protocol, compare
from lossbook.experiments.comparison_tables import budget, differences, table
from lossbook.figures.comparison import plot_comparison

__all__ = ["Compared", "Protocol", "budget", "compare", "differences", "plot_comparison", "table"]
