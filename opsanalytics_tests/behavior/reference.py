"""The rules of `Funnel` and `Retention` written plainly: slow, without cleverness, one person at a time."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from opsanalytics.behavior.spec import Funnel, Retention

Event = tuple[str, datetime]
"""Name and time."""


def chains(events: Sequence[Event], definition: Funnel, entry: int) -> Iterator[list[datetime]]:
    """Times of every sequence of distinct events that serves steps 1, 2, ... from one entry event.

    Times never decrease, and all lie within the window of the entry.
    """

    def extend(used: list[int]) -> Iterator[list[int]]:
        yield used
        if len(used) == len(definition.steps):
            return
        step = definition.steps[len(used)]
        for i, (name, ts) in enumerate(events):
            in_time = events[used[-1]][1] <= ts <= events[entry][1] + definition.window
            if i not in used and name == step.event and in_time:
                yield from extend([*used, i])

    for used in extend([entry]):
        yield [events[i][1] for i in used]


def best_chain(events: Sequence[Event], definition: Funnel, entries: Iterable[int]) -> list[datetime]:
    """Furthest; then completed earliest; then entered latest; then each step earliest. Empty if none."""
    found = [chain for entry in entries for chain in chains(events, definition, entry)]
    return min(found, key=lambda chain: (-len(chain), chain[-1], -chain[0].timestamp(), chain), default=[])


def funnel_by_person(
    events: Sequence[Event], definition: Funnel, as_of: datetime, first: datetime | None = None
) -> dict[bool, list[datetime]]:
    """Best chain of one person's mature (True) and open (False) attempts, where there are any."""
    known = [event for event in events if event[1] <= as_of]
    entries = [
        i
        for i, (name, ts) in enumerate(known)
        if name == definition.steps[0].event and (first is None or ts >= first)
    ]
    results = {}
    for mature in (True, False):
        chosen = [i for i in entries if (known[i][1] + definition.window <= as_of) == mature]
        if chosen:
            results[mature] = best_chain(known, definition, chosen)
    return results


def period_start(ts: datetime, period: str, timezone: str, week_start: int = 0) -> date:
    """First local day of the period that a time lies in."""
    day = ts.astimezone(ZoneInfo(timezone)).date()
    if period == "day":
        return day
    if period == "week":
        return day - timedelta(days=(day.weekday() - week_start) % 7)
    return day.replace(day=1)


def next_period(start: date, period: str) -> date:
    if period == "month":
        return (start + timedelta(days=32)).replace(day=1)
    return start + timedelta(days=1 if period == "day" else 7)


def retention_cells(
    people: dict[str, Sequence[Event]],
    definition: Retention,
    as_of: datetime,
    timezone: str = "UTC",
    week_start: int = 0,
) -> dict[tuple[date, int], tuple[int, int, bool]]:
    """(cohort, k) -> (n, returned, complete), for every k whose period has begun."""
    members: dict[date, list[tuple[datetime, Sequence[Event]]]] = {}
    returning = {step.event for step in definition.returning}
    for events in people.values():
        known = sorted((event for event in events if event[1] <= as_of), key=lambda event: event[1])
        cohorts: dict[date, datetime] = {}
        for name, ts in known:
            if name == definition.start.event:
                cohorts.setdefault(period_start(ts, definition.period, timezone, week_start), ts)
        for cohort, started in sorted(cohorts.items())[: 1 if definition.cohort == "first" else None]:
            members.setdefault(cohort, []).append((started, known))
    cells = {}
    for cohort, persons in members.items():
        start = cohort
        for k in range(definition.periods + 1):
            end = next_period(start, definition.period)
            begins, ends = (
                datetime(day.year, day.month, day.day, tzinfo=ZoneInfo(timezone)).astimezone(UTC)
                for day in (start, end)
            )
            if begins > as_of:
                break
            came = sum(
                any(name in returning and ts > started and begins <= ts < ends for name, ts in known)
                for started, known in persons
            )
            # Times have whole microseconds, so the last one before the end is one earlier.
            cells[cohort, k] = (len(persons), came, as_of >= ends - timedelta(microseconds=1))
            start = end
    return cells
