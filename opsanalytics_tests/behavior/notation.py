"""A short notation for what persons did, and events from it in the form that users have them."""

import json
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any

import polars as pl

import opsanalytics
from opsanalytics import Funnel

MAY = datetime(2021, 5, 1, tzinfo=UTC)
FORTNIGHT = {"first": date(2021, 5, 1), "last": date(2021, 5, 14)}
SCHEMA = {"person": pl.String, "event": pl.String, "ts": pl.Datetime("us", "UTC"), "properties": pl.String}


def events_of(people: Mapping[str, str], *, start: datetime = MAY, unit: str = "hours") -> pl.DataFrame:
    """Events with the columns person, event, ts and properties (JSON).

    `A1.5=x` is event A 1.5 units after `start` with the property `tag` = x; `A=x` takes its place among the
    person's words as the time. Digits, `true` and `false` are JSON values, all else is text.
    """
    rows = []
    for person, words in people.items():
        for place, word in enumerate(words.split(), 1):
            head, equals, tag = word.partition("=")
            name = head.rstrip("0123456789.")
            ts = start + timedelta(**{unit: float(head.removeprefix(name) or place)})
            plain = tag.isdigit() or tag in ("true", "false")
            properties = {"tag": json.loads(tag) if plain else tag} if equals else {}
            rows.append((person, name, ts, json.dumps(properties)))
    return pl.DataFrame(rows, schema=SCHEMA, orient="row")


def at_steps(result: opsanalytics.FunnelResult) -> list[str]:
    """The persons who made each step, by name."""
    steps = range(1, len(result.definition.steps) + 1)
    return [" ".join(sorted(result.persons(k)["person"].cast(pl.String).to_list())) for k in steps]


def seconds_to_steps(result: opsanalytics.FunnelResult) -> list[tuple[float | None, float | None]]:
    """Mean and median seconds to every step after the first."""
    found = result.to_polars().select(pl.col("mean_seconds", "median_seconds").round(3))
    return found.rows()[1:]


def posthog(
    people: Mapping[str, str] | pl.DataFrame, breakdown: Any = None, **asked: Any
) -> opsanalytics.FunnelResult:
    """A funnel as PostHog counts it. Keywords of `opsanalytics.funnel` go there, the others are fields."""
    outer = {
        name: asked.pop(name)
        for name in ("as_of", "first", "last", "timezone", "persons", "preset")
        if name in asked
    }
    unit = asked.pop("unit", "hours")
    events = people if isinstance(people, pl.DataFrame) else events_of(people, unit=unit)
    definition = Funnel(**({"window": "14d"} | asked))
    return opsanalytics.funnel(events, definition, breakdown=breakdown, **({"preset": "posthog"} | outer))
