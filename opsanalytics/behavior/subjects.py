"""Who is counted, and what is known of them: entities and the properties of persons.

A person property `plan` is, in this order: the column `person.plan` of the events; the latest value of the
key `plan` in the column `person_properties`; the latest value of the event property `plan`. Latest is by
time, of all events up to `as_of`; of equal times the value that sorts last.
"""

from collections.abc import Iterable
from datetime import datetime

import polars as pl

from opsanalytics.behavior.conditions import Match, Step
from opsanalytics.behavior.filters import (
    PERSON,
    PERSON_PROPERTIES,
    json_text,
    property_text,
)
from opsanalytics.behavior.rows import Events, checked
from opsanalytics.behavior.spec import Funnel, Retention
from opsanalytics.lake.tables import UTC_TIME


def prepared(
    events: Events, definition: Funnel | Retention, *, as_of: datetime, wanted: Iterable[str] = ()
) -> Events:
    """Events with a column `person.<name>` for every person property that the definition or `wanted` names,
    and the values of the definition's entity as `person`.

    Raises:
        EventsError, PropertyError: a column is missing or has the wrong type; found before any row is read.
    """
    names = sorted({*person_properties(definition), *wanted})
    if not names and definition.entity is None:
        return events
    frame, columns = checked(events)
    lacking = [name for name in names if PERSON + name not in columns]
    if lacking:
        frame = _with_latest(frame, columns, lacking, as_of)
        columns = [*columns, *(PERSON + name for name in lacking)]
    if definition.entity is not None:
        frame = frame.with_columns(person=property_text(definition.entity, columns))
    return frame


def with_person_properties(events: Events, persons: pl.DataFrame) -> pl.LazyFrame:
    """Join a table of persons (a column `person` and one a property) as columns `person.<name>`.

    Raises:
        ValueError: there is no column `person`, or it names a person twice.
    """
    if "person" not in persons.columns:
        raise ValueError(f"persons lack the column 'person'; columns are {persons.columns}")
    repeated = persons.filter(pl.col("person").is_duplicated())["person"]
    if repeated.drop_nulls().len():
        raise ValueError(f"persons have {repeated.drop_nulls()[0]!r} more than once; give one row a person")
    named = persons.drop_nulls("person").select("person", pl.exclude("person").name.prefix(PERSON))
    return events.lazy().join(named.lazy(), on="person", how="left", maintain_order="left")


def person_properties(definition: Funnel | Retention) -> set[str]:
    """Names of the person properties that the definition's filters look at."""
    steps: list[Step | Match]
    if isinstance(definition, Funnel):
        steps = [*definition.steps, *definition.exclusions]
    else:
        steps = [definition.start, *definition.returning]
    matches = [one for step in steps for one in (step.matches if isinstance(step, Step) else (step,))]
    return {each.property for one in matches for each in one.where if each.of == "person"}


def _with_latest(frame: pl.LazyFrame, columns: list[str], names: list[str], as_of: datetime) -> pl.LazyFrame:
    values = {
        PERSON + name: json_text(pl.col(PERSON_PROPERTIES), name)
        if PERSON_PROPERTIES in columns
        else property_text(name, columns)
        for name in names
    }
    known = frame.filter(pl.col("person").is_not_null(), pl.col("ts") <= pl.lit(as_of).cast(UTC_TIME))
    latest = (
        known.select("person", "ts", **values)
        .group_by("person")
        .agg(pl.col(name).sort_by("ts", name).drop_nulls().last() for name in values)
    )
    return frame.join(latest, on="person", how="left", maintain_order="left")
