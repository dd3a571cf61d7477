"""Friction that somebody has defined for a product: an event, its filters, and how often within what time."""

import polars as pl

from opsanalytics.behavior.filters import RESERVED, PropertyError, property_text, step_matches
from opsanalytics.improvement.settings import CustomSignal
from opsanalytics.improvement.signals import Detection


def custom(events: pl.DataFrame, rule: CustomSignal) -> Detection:
    """Events that match `rule`, by place.

    `could_meet` counts who did that event there, whatever its properties. A property that no such event
    has makes the signal unavailable: a misspelt name must not read as "never happened".

    Args:
        events: as `signals.prepare` gives them.
        rule: the definition.
    """
    of_event = events.filter(pl.col("event") == rule.event)
    if of_event.is_empty():
        return Detection(rule.name, f"no event {rule.event!r} occurs")
    wanted = dict.fromkeys([*(each.property for each in rule.where), *([rule.place] if rule.place else [])])
    for name in wanted:
        missing = _lacks(of_event, name)
        if missing:
            return Detection(rule.name, missing)
    where = property_text(rule.place, of_event.columns) if rule.place else pl.lit(None, pl.String)
    placed = of_event.with_columns(place=pl.coalesce(where.replace("", None), "event"))
    met = placed.filter(step_matches(rule.step, placed.columns))
    if rule.within is not None:
        earlier = pl.col("ts").shift(rule.times - 1).over("person", "place")
        met = met.filter((pl.col("ts") - earlier <= rule.within).fill_null(False))
    return Detection(
        rule.name,
        _words(rule),
        met.select("person", "ts", "place", "app_version"),
        placed.group_by("place").agg(n=pl.col("person").n_unique().cast(pl.Int64)),
        # Where properties tell good from bad, whoever did the event had the chance. Doing it again and again
        # says nothing of who did it once.
        chance=pl.when(pl.col("event") == rule.event).then(pl.coalesce(where.replace("", None), "event"))
        if rule.where and rule.times == 1
        else None,
    )


def _lacks(events: pl.DataFrame, name: str) -> str | None:
    """Why a filter on the property `name` could say nothing, if so."""
    try:
        values = events.select(property_text(name, events.columns)).to_series()
    except PropertyError as error:
        return str(error)
    if values.null_count() < len(values):
        return None
    what = "column" if name in events.columns and name not in RESERVED else "property"
    return f"no event {events['event'][0]!r} has a {what} {name!r}"


def _words(rule: CustomSignal) -> str:
    """The definition, for people."""
    conditions = []
    for each in rule.where:
        value = each.value
        if isinstance(value, tuple):
            text = " or ".join(_value(one) for one in value)
        else:
            text = "" if value is None else _value(value)
        conditions.append(f"{each.property} {_OPERATORS[each.op]} {text}".strip())
    often = "" if rule.within is None else f", {rule.times} within {rule.within.total_seconds() / 3600:g} h"
    return f"event {rule.event}" + (f" where {' and '.join(conditions)}" if conditions else "") + often


def _value(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


_OPERATORS = {
    "eq": "is",
    "ne": "is not",
    "in": "is",
    "not_in": "is none of",
    "contains": "contains",
    "not_contains": "does not contain",
    "icontains": "contains, in any case,",
    "not_icontains": "does not contain, in any case,",
    "regex": "matches",
    "not_regex": "does not match",
    "gt": "is above",
    "ge": "is at least",
    "lt": "is below",
    "le": "is at most",
    "set": "is given",
    "not_set": "is not given",
}
