"""Who is counted, and what is known of them: entities and the properties of persons.

A person property `plan` is, in this order: the column `person.plan` of the events; the latest value of the
key `plan` in the column `person_properties`; the latest value of the event property `plan`. Latest is by
time, of all events up to `as_of`; of equal times the value that sorts last.
"""

from collections.abc import Iterable
from datetime import datetime

import polars as pl

from opsanalytics.behavior.cohort_spec import Cohort
from opsanalytics.behavior.cohorts import labelled_by, members_only
from opsanalytics.behavior.conditions import Match, Step
from opsanalytics.behavior.filters import PERSON, property_text
from opsanalytics.behavior.latest import with_latest
from opsanalytics.behavior.rows import Events, checked
from opsanalytics.behavior.spec import Funnel, Retention


def prepared(
    events: Events,
    definition: Funnel | Retention,
    *,
    as_of: datetime,
    wanted: Iterable[str] = (),
    cohorts: Iterable[Cohort | str] = (),
    timezone: str = "UTC",
) -> Events:
    """Events with a column `person.<name>` for every person property that the definition or `wanted` names,
    one for each of `cohorts`, and the values of the definition's entity as `person`; of the persons of
    the definition's cohort only.

    Raises:
        ValueError: the definition names its cohort and does not hold it.
        EventsError, PropertyError: a column is missing or has the wrong type; found before any row is read.
    """
    names = {*person_properties(definition), *wanted}
    cohorts = list(cohorts)
    if not names and not cohorts and definition.among is None and definition.entity is None:
        return events
    frame, columns = checked(events)
    whole = frame
    frame, columns = with_latest(frame, columns, names, as_of)
    for cohort in cohorts:
        frame = labelled_by(frame, whole, cohort, as_of=as_of, timezone=timezone)
    if definition.among is not None:
        frame = members_only(frame, whole, definition.among, as_of=as_of, timezone=timezone)
    if definition.entity is not None:
        frame = frame.with_columns(person=property_text(definition.entity, columns))
    return frame


def of_members(
    events: Events, among: Cohort | str | None, steps: Iterable[Step], *, as_of: datetime, timezone: str
) -> Events:
    """Events of a cohort's members, all if there is none, with the person properties that `steps` name.

    Raises: as `prepared`.
    """
    names = _named(steps)
    if among is None and not names:
        return events
    frame, columns = checked(events)
    whole = frame
    frame, _ = with_latest(frame, columns, names, as_of)
    return frame if among is None else members_only(frame, whole, among, as_of=as_of, timezone=timezone)


def with_person_properties(events: Events, persons: pl.DataFrame) -> pl.LazyFrame:
    """Join a table of persons (a column `person` and one a property) as columns `person.<name>`.

    Raises:
        TypeError: this is no table.
        ValueError: there is no column `person`, or it names a person twice.
    """
    if not isinstance(persons, pl.DataFrame):
        raise TypeError(f"persons: {type(persons).__name__} is not a Polars DataFrame")
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
    return _named(steps)


def _named(steps: Iterable[Step | Match]) -> set[str]:
    matches = [one for step in steps for one in (step.matches if isinstance(step, Step) else (step,))]
    return {each.property for one in matches for each in one.where if each.of == "person"}
