"""What a paper claims, as a number for each seed: written down before the run, and judged after it.

A headline is a sentence and a margin, positive in a seed where the sentence holds. `verdicts` asks every run and gives
the table at the head of a chapter: in how many seeds it held, how large the margin is, and one word for it.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.stats import t as student

from lossbook.checks import bad_type, bad_value
from lossbook.experiments.run import Run

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Headline:
    """One claim of one paper, as an experiment can test it.

    Args:
        system: key of the paper in the catalogue.
        claim: one sentence, fixed before the run.
        margin: of a run, a number for each seed (a series indexed by seed), positive where the claim holds.
        unit: of the margin.
        published: what the paper reports, in a few words.
        remark: where it does not come out, what was tried.
    """

    system: str
    claim: str
    margin: Callable[[Run], pd.Series]
    unit: str = ""
    published: str = ""
    remark: str = ""


def interval(values: Iterable[float], confidence: float = CONFIDENCE) -> tuple[float, float, float]:
    """Mean of independent numbers, and Student's interval for it: mean, low, high. Of one number it is without end.

    Args:
        values: at least one, finite.
        confidence: between 0 and 1.

    Raises:
        ValueError: no number, one that is not finite, or a confidence out of range.

    Example:
        >>> [round(number, 3) for number in interval([1.0, 2.0, 3.0])]
        [2.0, -0.484, 4.484]
    """
    found = np.asarray(list(values), dtype=float)
    if not len(found) or not np.isfinite(found).all():
        raise bad_value("values", found.tolist(), "at least one number, all of them finite")
    if not 0 < confidence < 1:
        raise bad_value("confidence", confidence, "a number above 0 and below 1")
    mean, count = float(found.mean()), len(found)
    if count == 1:
        return mean, -np.inf, np.inf
    half = float(student.ppf((1 + confidence) / 2, count - 1) * found.std(ddof=1) / np.sqrt(count))
    return mean, mean - half, mean + half


def verdicts(headlines: Iterable[tuple[Headline, Run]]) -> pd.DataFrame:
    """The claims of papers, and what runs say of them.

    Args:
        headlines: each with the run that it is asked of.

    Returns:
        A row a headline: `system`, `claim`, `held` and `seeds` (counts), `mean`, `low`, `high` (of the margin, a 95 %
        interval over seeds), `unit`, `verdict`, `published`, `remark`. The verdict is "holds" where the margin is
        positive in every seed, "holds on average" where at least the interval is, "contradicted" where the interval is
        negative, and "not here" otherwise.

    Raises:
        TypeError, ValueError: a margin that is not a series with a number for each seed.

    Example:
        >>> from lossbook.experiments.run import Run
        >>> rows = pd.DataFrame({"seed": [0, 1, 2], "gain": [2.0, 3.0, 4.0]})
        >>> gains = Headline("polyloss", "it gains", lambda run: run.history.set_index("seed").gain, "points")
        >>> verdicts([(gains, Run("an experiment", None, rows))])[["held", "seeds", "verdict"]].values.tolist()
        [[3, 3, 'holds']]
    """
    return pd.DataFrame([_judged(headline, run) for headline, run in headlines])


def _judged(headline: Headline, run: Run) -> dict[str, object]:
    margin = headline.margin(run)
    if not isinstance(margin, pd.Series):
        raise bad_type(f"margin of {headline.claim!r}", margin, "a series with a number for each seed")
    seeds = set(run.history.seed.unique())
    if set(margin.index) != seeds or len(margin) != len(seeds) or not np.isfinite(margin.to_numpy(dtype=float)).all():
        raise bad_value(
            f"margin of {headline.claim!r}", margin.to_dict(), f"a finite number for each seed of {sorted(seeds)}"
        )
    mean, low, high = interval(margin)
    held = int((margin > 0).sum())
    return {
        "system": headline.system,
        "claim": headline.claim,
        "held": held,
        "seeds": len(seeds),
        "mean": mean,
        "low": low,
        "high": high,
        "unit": headline.unit,
        "verdict": _word(held == len(seeds), low, high),
        "published": headline.published,
        "remark": headline.remark,
    }


def _word(everywhere: bool, low: float, high: float) -> str:
    if everywhere:
        return "holds"
    if low > 0:
        return "holds on average"
    return "contradicted" if high < 0 else "not here"
