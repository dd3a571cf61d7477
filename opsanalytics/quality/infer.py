"""A tracking plan to start from, read off what was sent."""

import json

import polars as pl

from opsanalytics.quality.plan import PropertyType
from opsanalytics.quality.profiles import COLUMN, MORE

HEAD = """\
# The tracking plan: which events the product sends, with which properties.
# Written from {events:,} events of {days} days up to {last}; read it, correct it, and name it in
# opsanalytics.toml:
#   [quality]
#   tracking_plan = "tracking_plan.toml"
# Types: string, integer, number, boolean, datetime, list, object. Besides, a property can have
#   values = ["free", "pro"], pattern = "[A-Z]{{3}}", description = "..."; an event an owner, a description,
#   and blocking = true: numbers are withheld while it breaks its plan.
"""

ALWAYS = 0.999
"""Share of an event's volume from which a property is taken to be required."""


def infer_plan(profiles: pl.DataFrame) -> str:
    """Text of a tracking plan that the profiled events (`profiles.PROFILE`) follow, but for rare exceptions.

    Beside each property stands the share of events that have it, and what else it was at times.
    """
    events = (
        profiles.filter(pl.col("property").is_null())
        .group_by("event")
        .agg(volume=pl.col("n").sum(), sources=pl.col("source").unique().sort())
        .sort("event")
    )
    values = profiles.filter(
        pl.col("property").is_not_null(),
        pl.col("property") != MORE,
        ~pl.col("type").is_in([COLUMN, "null"]),
    )
    by_type = values.group_by("event", "property", "type").agg(pl.col("n").sum(), pl.col("distinct").max())
    blocks = []
    for event in events.iter_rows(named=True):
        own = by_type.filter(pl.col("event") == event["event"])
        lines = [f"# {event['volume']:,} events from {', '.join(event['sources'])}", "[[events]]"]
        lines.append(f"name = {_text(event['event'])}")
        if own.height:
            lines.append("[events.properties]")
        for (name,), types in (
            own.sort("property").partition_by("property", as_dict=True, maintain_order=True).items()
        ):
            lines.append(_property(str(name), types, int(event["volume"])))
        blocks.append("\n".join(lines))
    days = profiles["day"]
    head = HEAD.format(events=events["volume"].sum(), days=days.n_unique(), last=days.max())
    return "\n\n".join([head.rstrip(), *blocks]) + "\n"


def _property(name: str, types: pl.DataFrame, volume: int) -> str:
    counts = dict(types.sort("n", "type", descending=[True, False]).select("type", "n").iter_rows())
    present = sum(counts.values())
    kind = _type(counts)
    required = ", required = true" if present >= ALWAYS * volume else ""
    covered = {"number": {"integer", "number"}, "string": {"string", "datetime"}}.get(kind, {kind})
    others = [f"{type_} in {n:,}" for type_, n in counts.items() if type_ not in covered]
    distinct = max(types["distinct"].to_list())
    told = f"in {present / volume:.1%}, distinct values a day: about {distinct:,}"
    also = f"; also {', '.join(others)} events" if others else ""
    return f"{_text(name)} = {{ type = {_text(kind)}{required} }}  # {told}{also}"


def _type(counts: dict[str, int]) -> PropertyType:
    """The most frequent type; numbers with and without fractions are numbers, texts and dates are texts."""
    merged: dict[str, int] = {}
    for name, n in counts.items():
        wider = {"integer": "number", "datetime": "string"}.get(name, name)
        merged[wider] = merged.get(wider, 0) + n
    kind = max(sorted(merged), key=lambda name: merged[name])
    if kind == "number" and "number" not in counts:
        kind = "integer"
    if kind == "string" and "string" not in counts:
        kind = "datetime"
    return kind  # type: ignore[return-value]


def _text(value: str) -> str:
    """A TOML basic string: JSON's escapes, and the one control character that JSON lets pass."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007F")
