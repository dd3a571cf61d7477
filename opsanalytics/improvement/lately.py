"""Whether something is met more often than it was."""

from datetime import datetime, timedelta
from typing import Any

import polars as pl

SPAN = timedelta(weeks=4)


def changed_lately(
    exposures: pl.DataFrame, events: pl.DataFrame, as_of: datetime
) -> dict[tuple[str, str], dict[str, Any]]:
    """By signal and place: persons who met it in the last four weeks and in the four before, and the ratio of
    their shares of the persons active then, with its score interval (Koopman 1984; statsmodels).

    Args:
        exposures: person, ts, signal, place.
        events: person, ts of all events.
        as_of: data up to here is complete, UTC.

    Returns keys lately, before_lately, lately_ratio, lately_low, lately_high; the last three are None where
    data does not go back eight weeks, or nobody met it before.
    """
    active = events.select(
        now=_persons(as_of - SPAN, as_of),
        before=_persons(as_of - 2 * SPAN, as_of - SPAN),
        first=pl.col("ts").min(),
    ).row(0, named=True)
    known = active["first"] is not None and active["first"] <= as_of - 2 * SPAN
    counted = exposures.group_by("signal", "place").agg(
        now=_persons(as_of - SPAN, as_of), before=_persons(as_of - 2 * SPAN, as_of - SPAN)
    )
    result = {}
    for signal, place, now, before in counted.iter_rows():
        told: dict[str, Any] = {"lately": now, "before_lately": before}
        if known and before:
            told |= _ratio(now, active["now"], before, active["before"])
        result[signal, place] = told
    return result


def _persons(after: datetime, until: datetime) -> pl.Expr:
    return pl.col("person").filter((pl.col("ts") > after) & (pl.col("ts") <= until)).n_unique()


def _ratio(now: int, active: int, before: int, active_before: int) -> dict[str, float | None]:
    from statsmodels.stats.proportion import confint_proportions_2indep

    if not active or not active_before:
        return {}
    low, high = confint_proportions_2indep(
        now, active, before, active_before, method="score", compare="ratio", alpha=0.05
    )
    ratio = now / active / (before / active_before)
    return {"lately_ratio": ratio, "lately_low": float(low), "lately_high": float(high)}
