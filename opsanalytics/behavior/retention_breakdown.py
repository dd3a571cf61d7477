"""Retention by segment: the same cohorts apart by the value of a property."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import numpy as np
import polars as pl

from opsanalytics.behavior.conditions import Match
from opsanalytics.behavior.filters import event_matches
from opsanalytics.behavior.marts import nullable
from opsanalytics.behavior.retention import RetentionResult, retention
from opsanalytics.behavior.rows import Events, checked
from opsanalytics.behavior.segments import NONE, OTHER, Segment, grouped, labelled, most_frequent
from opsanalytics.behavior.spec import Retention
from opsanalytics.behavior.statistics import benjamini_hochberg, newcombe_difference, two_proportion_p
from opsanalytics.behavior.subjects import prepared
from opsanalytics.lake.tables import UTC_TIME

GROUP = "retention_group"


def retention_by_value(
    events: Events,
    definition: Retention,
    segment: Segment,
    *,
    as_of: datetime,
    timezone: str = "UTC",
    preset: Any = "opsanalytics",
    **keywords: Any,
) -> dict[str, RetentionResult]:
    """Retention of every group: the values with the most persons who start, `(other)` and `(none)`.

    With `attribution = "entry"` a person belongs to the value of the start event (of the first one, where a
    cohort is of first events; of each cohort's, where cohorts recur: a person may then be in several). With
    `"first"` or `"last"` a person belongs to the value of the first or last start or return event up to
    `as_of` that has one (an empty text is none; of equal times the one that sorts first), so that what people
    did later may decide their group. With `"all"` start and return share the value: each group is the
    retention of the events that have it. If the segment says nothing, `posthog` takes `all`, others `entry`.

    In: as `retention`, whose keywords `keywords` are. Out: results by value.

    Raises:
        ValueError: another attribution. EventsError, PropertyError: as `retention`.
    """
    attribution = _attribution(segment, preset)
    if attribution not in ("entry", "first", "last", "all"):
        raise ValueError(
            f"segment {segment.label()!r}: retention has no attribution {attribution!r}, only entry, first, "
            "last and all"
        )
    events = prepared(
        events,
        definition,
        as_of=as_of,
        wanted=segment.person_properties(),
        cohorts=segment.cohorts(),
        timezone=timezone,
    )
    frame, columns = checked(events, needs_source=definition.sources is not None)
    frame = frame.with_columns(labelled(segment.text(columns)).alias(GROUP))
    starts = pl.any_horizontal([event_matches(one, columns) for one in definition.start.matches])
    known = pl.col("person").is_not_null() & (pl.col("ts") <= pl.lit(as_of).cast(UTC_TIME))
    if definition.sources is not None:
        known &= pl.col("source").cast(pl.String).is_in(list(definition.sources))
    started = frame.filter(starts, known).select("person", "ts", GROUP).collect()
    touched = attribution in ("first", "last")
    first_only = touched or (attribution == "entry" and definition.cohort != "recurring")
    if touched:
        returns = [event_matches(one, columns) for step in definition.returning for one in step.matches]
        touches = frame.filter(
            pl.any_horizontal(starts, *returns), known, ~pl.col(GROUP).is_in([NONE, ""])
        ).select("person", "ts", GROUP)
        ordered = touches.collect().sort("ts", GROUP, descending=[attribution == "last", False])
        values = ordered.unique("person", keep="first", maintain_order=True).select("person", GROUP)
        started = (started.select("person").unique().join(values, on="person", how="left")).with_columns(
            pl.col(GROUP).fill_null(NONE)
        )
    elif first_only:
        started = started.sort("ts", GROUP).unique("person", keep="first", maintain_order=True)
    pairs = started.select("person", GROUP).unique()
    shown = most_frequent(pairs[GROUP], segment.limit)
    given = set(pairs[GROUP].to_list())
    groups = [*shown, *([OTHER] if given - {NONE, *shown} else []), *([NONE] if NONE in given else [])]
    own = grouped(pl.col(GROUP), shown)
    # The entity stands in `person` by now, and only the cohort's persons are left.
    plain = definition.model_copy(update={"entity": None, "among": None})
    results = {}
    for value in groups:
        if first_only:
            members = pairs.filter(own == value).select("person").lazy()
            part, asked = frame.join(members, on="person", how="semi"), plain
        elif attribution == "all":
            part, asked = frame.filter(own == value), plain
        else:
            part = frame.with_columns((own == value).cast(pl.String).alias(GROUP))
            asked = plain.model_copy(update={"start": _within_group(plain)})
        one = retention(part, asked, as_of=as_of, timezone=timezone, preset=preset, **keywords)
        results[value] = RetentionResult(
            definition, one.as_of, one.cells, one.left_out, one.by_hour, one.amounts
        )
    return results


def groups_apart(definition: Retention, segment: Segment, preset: str) -> bool:
    """Whether every person is in one group and counts once in it, so that groups can be compared."""
    of_person = segment.of == "person" or bool(segment.cohorts())
    return definition.cohort != "recurring" and (of_person or _attribution(segment, preset) == "entry")


def compared_curves(by_value: Mapping[str, RetentionResult], *, apart: bool) -> pl.DataFrame:
    """The pooled curves of the groups below each other, each compared with all others together.

    Out: `value`, the columns of `RetentionResult.pooled`, `difference` (of the rates), `difference_low`,
    `difference_high` (Newcombe, 95 %), `q_value` (Benjamini-Hochberg over all values and periods; see
    `statistics.two_proportion_p`). Null where there are no others, where column 0 is the whole cohort, and
    everywhere unless the groups are `apart`. Empty without groups.
    """
    if not by_value:
        return pl.DataFrame()
    curves = pl.concat(
        one.pooled().select(pl.lit(value).alias("value"), pl.all()) for value, one in by_value.items()
    )
    others = curves.select(pl.col("n", "returned").sum().over("period") - pl.col("n", "returned"))
    counts = [
        *(curves[name].to_numpy() for name in ("returned", "n")),
        *(others[name].to_numpy() for name in ("returned", "n")),
    ]
    rest = (others["returned"] / others["n"]).fill_nan(None)
    whole = (pl.col("period") == 0) & (pl.col("returned") == pl.col("n")).all().over("period")
    testable = pl.lit(apart) & ~whole & rest.is_not_null()
    mask = curves.select(testable.alias("testable")).to_series()
    low, high = newcombe_difference(*counts)
    p = np.where(mask.to_numpy(), two_proportion_p(*counts), np.nan)
    return curves.with_columns(
        pl.when(mask).then(pl.col("rate") - rest).alias("difference"),
        pl.when(mask).then(nullable(low)).alias("difference_low"),
        pl.when(mask).then(nullable(high)).alias("difference_high"),
        nullable(benjamini_hochberg(p), "q_value"),
    )


def _attribution(segment: Segment, preset: str) -> str:
    return segment.attribution or ("all" if preset == "posthog" else "entry")


def _within_group(definition: Retention) -> Any:
    """The start step, served only by events of the group."""
    group = {"property": GROUP, "value": "true"}
    first, *also = (
        Match.model_validate({"event": one.event, "where": [*(f.model_dump() for f in one.where), group]})
        for one in definition.start.matches
    )
    return definition.start.model_copy(update={"where": first.where, "also": tuple(also)})
