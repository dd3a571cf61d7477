"""What arrives, watched: drift, unusual volumes, silence; as tables and as recorded checks."""

import hashlib
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

import polars as pl

from opsanalytics.config import Settings
from opsanalytics.lake.events import scan_raw_events
from opsanalytics.lake.tables import Table
from opsanalytics.quality.anomalies import daily_series, judge_freshness, judge_volumes
from opsanalytics.quality.drift import WINDOW_DAYS, combine, find_drift
from opsanalytics.quality.plan import PlannedEvent, TrackingPlan
from opsanalytics.quality.plan_drift import find_breaches
from opsanalytics.quality.plan_rows import VALUES, plan_columns, plan_needs
from opsanalytics.quality.profiles import of_product, profile_days
from opsanalytics.quality.results import CheckOutcome, record
from opsanalytics.quality.rules import EVENTS_TABLE
from opsanalytics.quality.tables import EVENT_DRIFT, EVENT_FRESHNESS, VOLUME_ANOMALIES

PRODUCER = "monitoring"
EXAMPLES = 5
ANY_EVENT = "*"

VOLUME, FRESHNESS, DRIFT, PLAN = "volume_as_usual", "events_arrive", "no_drift", "tracking_plan_followed"
DESCRIPTIONS = {
    VOLUME: "Every source and event comes in a number that is usual for the weekday.",
    FRESHNESS: "No source or event that comes daily has gone silent.",
    DRIFT: "No event or property has vanished, changed its type or exploded in values.",
    PLAN: "Events and properties are those that the tracking plan declares.",
}
"""The checks, by name."""


@dataclass(frozen=True)
class Monitoring:
    """What was found about the events before `as_of`."""

    as_of: datetime
    drift: pl.DataFrame
    """EVENT_DRIFT."""
    volumes: pl.DataFrame
    """VOLUME_ANOMALIES."""
    freshness: pl.DataFrame
    """EVENT_FRESHNESS."""
    counted: frozenset[str] = frozenset({ANY_EVENT})
    """Events that funnels and retention count. What happens to others marks no number."""

    @property
    def last(self) -> date:
        """The last complete UTC day."""
        return self.as_of.date() - timedelta(days=1)

    def outcomes(self) -> list[CheckOutcome]:
        """Results of the four checks by day; a check without findings passes on the last day."""
        breaks_plan = pl.col("kind").is_in(PLAN_KINDS)
        warned = self.drift.filter("warns")
        alarms = self.volumes.filter(pl.col("verdict").is_in(["drop", "spike"]))
        silent = self.freshness.filter(pl.col("verdict") == "silent").with_columns(day=pl.lit(self.last))
        by_day = pl.col("first_seen").clip(self.last - timedelta(days=WINDOW_DAYS - 1)).alias("day")
        judged = self.volumes.filter(pl.col("verdict") != "too_little_history").height
        known = self.freshness.filter(~pl.col("verdict").is_in(["too_little_history", "rare"])).height
        return [
            *self._of(VOLUME, judged, alarms, _volume_example),
            *self._of(FRESHNESS, known, silent, _silence_example),
            *self._of(
                DRIFT, self.freshness.height, warned.filter(~breaks_plan).with_columns(by_day), change_told
            ),
            *self._of(
                PLAN, self.freshness.height, warned.filter(breaks_plan).with_columns(by_day), change_told
            ),
        ]

    def _is_counted(self, event: str | None) -> bool:
        return event is None or event in self.counted or ANY_EVENT in self.counted

    def _of(self, check: str, checked: int, found: pl.DataFrame, told: Any) -> Iterable[CheckOutcome]:
        days = sorted({self.last, *found["day"].to_list()})
        for day in days:
            rows = found.filter(pl.col("day") == day).to_dicts()
            yield CheckOutcome(
                table=EVENTS_TABLE,
                check=check,
                partition=day.isoformat(),
                passed=not rows,
                severity="warning" if any(self._is_counted(row["event"]) for row in rows) else "info",
                description=DESCRIPTIONS[check],
                checked=checked if day == self.last else len(rows),
                unexpected=len(rows),
                examples=tuple(told(row) for row in rows[:EXAMPLES]),
            )


PLAN_KINDS = ("undeclared_event", "undeclared_property", "required_missing", "wrong_type", "never_sent")


def monitoring(settings: Settings, as_of: datetime) -> Monitoring:
    """Profile the days that changed, and look at all complete days before `as_of`."""
    last = as_of.date() - timedelta(days=1)
    profiles = profile_days(settings.home, last=last)
    plan = settings.quality.tracking_plan
    vendor = settings.vendor_properties
    drift = combine(
        [find_drift(of_product(profiles, vendor), last), find_breaches(profiles, plan, last, vendor)]
    )
    if plan.events:
        # What is undeclared and new is one finding.
        undeclared = drift.filter(pl.col("kind").str.starts_with("undeclared"))
        told_twice = drift.filter(pl.col("kind").str.starts_with("new")).join(
            undeclared, on=["source", "event", "property"], how="semi", nulls_equal=True
        )
        drift = drift.join(
            told_twice, on=["source", "event", "property", "kind"], how="anti", nulls_equal=True
        )
    series = daily_series(profiles, last)
    anomalies = settings.quality.anomalies
    return Monitoring(
        as_of,
        _as_of(EVENT_DRIFT, drift.to_dicts(), as_of),
        _as_of(VOLUME_ANOMALIES, judge_volumes(series, last, anomalies), as_of),
        _as_of(EVENT_FRESHNESS, judge_freshness(series, anomalies), as_of),
        counted_events(settings),
    )


def counted_events(settings: Settings) -> frozenset[str]:
    """Names of the events that the configured funnels and retention count, and exclude."""
    steps = [step for funnel in settings.funnels for step in funnel.steps]
    steps += [step for each in settings.retentions for step in (each.start, *each.returning)]
    excluded = [each.event for funnel in settings.funnels for each in funnel.exclusions]
    return frozenset([*excluded, *(name for step in steps for name in step.events)])


def plan_breaches(settings: Settings) -> list[str]:
    """Every breach of the tracking plan by the events of the last days in the lake, a line each.

    What was seen in the last week is told from its first day on; values are looked at in the last
    `WINDOW_DAYS` days. An event that was never sent is none.
    """
    plan = settings.quality.tracking_plan
    profiles = profile_days(settings.home)
    if profiles.is_empty():
        return []
    last: date = profiles["day"].max()  # type: ignore[assignment]
    found = (
        find_breaches(profiles, plan, last, settings.vendor_properties)
        .filter("warns")
        .sort(EVENT_DRIFT.order)
    )
    lines = [
        f"{change_told(row)}; {row['n']:,} events ({row['share']:.1%}), "
        f"{row['first_seen']} to {row['last_seen']}"
        for row in found.to_dicts()
    ]
    return lines + _value_breaches(settings, plan, last)


def _value_breaches(settings: Settings, plan: TrackingPlan, last: date) -> list[str]:
    counts: Counter[tuple[str, str, str]] = Counter()
    # Only what has values to compare; blocking events too, whose breaches else stand in one column.
    compared = {
        event.name: {name: each for name, each in event.properties.items() if each.values or each.pattern}
        for event in plan.events
    }
    valued = TrackingPlan(
        events=tuple(
            PlannedEvent(name=name, properties=properties)
            for name, properties in compared.items()
            if properties
        )
    )
    if not valued.events:
        return []
    for back in range(WINDOW_DAYS - 1, -1, -1):
        day = last - timedelta(days=back)
        events = (
            scan_raw_events(settings.home, first=day, last=day)
            .filter(pl.col("event").is_in(list(valued.by_name)))
            .select(*plan_needs(valued))
            .collect()
        )
        wrong = pl.concat([events, plan_columns(events, valued)], how="horizontal").filter(
            pl.col(VALUES).is_not_null()
        )
        for row in wrong.select("source", "event", VALUES).iter_rows():
            counts.update((row[0], row[1], name) for name in row[2].split(", "))
    return [
        f"{source} · {event} · {name}: value not allowed; {n:,} events in {WINDOW_DAYS} days"
        for (source, event, name), n in sorted(counts.items())
    ]


def record_monitoring(settings: Settings, found: Monitoring, *, checked_at: datetime) -> list[CheckOutcome]:
    """Record the checks in place of all that they found before: warnings that are over expire."""
    outcomes = found.outcomes()
    version = hashlib.sha256(
        "".join(frame.write_ndjson() for frame in (found.drift, found.volumes, found.freshness)).encode()
    ).hexdigest()[:16]
    record(
        settings.home,
        outcomes,
        producer=PRODUCER,
        checked_at=checked_at,
        data_version=version,
        instead_of_all=True,
    )
    return outcomes


def change_told(row: dict[str, Any]) -> str:
    """A row of EVENT_DRIFT in words."""
    subject = " · ".join(str(row[name]) for name in ("source", "event", "property") if row[name] is not None)
    kind = str(row["kind"]).replace("_", " ")
    return f"{subject}: {kind}; expected {row['expected']}, observed {row['observed']}"


def _volume_example(row: dict[str, Any]) -> str:
    return (
        f"{row['source']} · {row['event'] or 'all events'}: {row['observed']:,} events, usual "
        f"{row['expected_low']:,} to {row['expected_high']:,}"
    )


def _silence_example(row: dict[str, Any]) -> str:
    return (
        f"{row['source']} · {row['event'] or 'all events'}: none since {row['last_seen']}, "
        f"longest gap before {row['longest_gap']} days"
    )


def _as_of(table: Table, rows: list[dict[str, Any]], as_of: datetime) -> pl.DataFrame:
    schema = {name: dtype for name, dtype in table.schema.items() if name != "as_of"}
    # Nulls in the order (all events of a source) come first, always.
    frame = pl.DataFrame(rows, schema=schema).with_columns(as_of=pl.lit(as_of, table.schema["as_of"]))
    return table.conform(frame)
