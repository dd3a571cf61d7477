"""Two funnels side by side: another period, another segment."""

import numpy as np
import polars as pl

from opsanalytics.behavior.funnel import FunnelResult
from opsanalytics.behavior.marts import nullable
from opsanalytics.behavior.statistics import benjamini_hochberg, newcombe_difference, two_proportion_p


def compared(result: FunnelResult, other: FunnelResult) -> pl.DataFrame:
    """How the rates of `result` differ from those of `other`, over mature attempts.

    Out: `step`, `step_name`, `entered`, `persons`, `rate`, `other_entered`, `other_persons`, `other_rate`,
    `difference`, `difference_low`, `difference_high` (Newcombe, 95 %), `q_value` (Benjamini-Hochberg over
    the steps). Step 1 has no test: everybody made it. The test takes the two groups as independent; persons
    who are in both (two periods) make the interval too wide rather than too narrow, where they do alike.

    Raises:
        ValueError: the funnels have different numbers of steps.
    """
    mine, theirs = result.to_polars(), other.to_polars()
    if mine.height != theirs.height:
        raise ValueError(f"a funnel of {mine.height} steps and one of {theirs.height} cannot be compared")
    counts = [one[name].to_numpy() for one in (mine, theirs) for name in ("persons", "entered")]
    low, high = newcombe_difference(*counts)
    p = two_proportion_p(*counts)
    for values in (low, high, p):
        values[0] = np.nan
    shown = mine.select("step", "step_name", "entered", "persons", "rate")
    return shown.with_columns(
        theirs["entered"].alias("other_entered"),
        theirs["persons"].alias("other_persons"),
        theirs["rate"].alias("other_rate"),
        (mine["rate"] - theirs["rate"]).alias("difference"),
        nullable(low, "difference_low"),
        nullable(high, "difference_high"),
        nullable(benjamini_hochberg(p), "q_value"),
    )
