"""Whether a project's clock is set right: a wrong zone moves every event by whole offsets.

A vendor that stores the local wall clock of old projects as if it were UTC exports times that lie in
the future, or hours before the vendor received them. Live events arrive within seconds, so on a day
most events lag by the same multiple of a quarter of an hour; late events do not. Contract:
Mixpanel's page on time zones, and its `mp_processing_time_ms`, which is real UTC in any case.
"""

from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo, available_timezones

import polars as pl

from opsanalytics.lake.events import event_days
from opsanalytics.lake.paths import Home
from opsanalytics.sources.base import EventSourceSettings

CHECK = "project_clock"
DESCRIPTION = "Events do not lag behind their reception by whole time zones."
STEP = timedelta(minutes=15)
"""Every zone of today is a multiple of it away from UTC."""
NEAR = timedelta(minutes=5)
WIDEST = timedelta(hours=14)
LEAST_EVENTS = 20
LEAST_SHARE = 0.5
"""So many of a day's events lag alike, at least, for a day to tell something."""
LEAST_DAYS = 0.25
"""Share of the telling days that must be off: a zone may be right in winter and wrong in summer."""
DAYS = 60
REGIONS = ("Europe", "America", "Asia", "Australia", "Pacific", "Africa", "Atlantic", "Indian")
NAMED_ZONES = 4


@dataclass(frozen=True)
class ClockFinding:
    """A setting that does not agree with the data."""

    source: str
    setting: str
    configured: str
    days: int
    of_days: int
    offsets: tuple[timedelta, ...]
    """Distances of the project's clock from UTC that the data show, most days first."""
    zones: tuple[str, ...]
    """Zones that have these distances on these days."""

    def __str__(self) -> str:
        shown = " or ".join(signed(offset) for offset in self.offsets)
        fitting = f"; zones that fit: {', '.join(self.zones)}" if self.zones else ""
        return (
            f"source {self.source}: {self.setting} = '{self.configured}' is probably wrong. On {self.days} "
            f"of {self.of_days} days most events lag behind their reception by a whole time zone; the "
            f"project's clock seems to be at UTC{shown}{fitting}. Set {self.setting} to the zone in the "
            "project settings at the vendor, then run again: what has landed is read anew."
        )


def clock_finding(home: Home, settings: EventSourceSettings, *, days: int = DAYS) -> ClockFinding | None:
    """What the last `days` days with events of a source say against its zone; None: nothing."""
    if settings.clock_setting is None:
        return None
    stored = [day for day in event_days(home) if home.events_file(settings.name, day).exists()][-days:]
    lags: dict[date, timedelta] = {}
    for day in stored:
        events = pl.read_parquet(
            home.events_file(settings.name, day), columns=["ts", "received_at"], hive_partitioning=False
        )
        lag = usual_lag(events)
        if lag is not None:
            lags[day] = lag
    return judged(settings.name, settings.clock_setting, settings.vendor_zone, lags)


def usual_lag(events: pl.DataFrame) -> timedelta | None:
    """By how many quarters of an hour most events (ts, received_at) lag; None if there is no such lag."""
    lag = events.select((pl.col("received_at") - pl.col("ts")).alias("lag")).drop_nulls()
    if lag.height < LEAST_EVENTS:
        return None
    quarters = lag.with_columns((pl.col("lag") / STEP).round().cast(pl.Int64).alias("quarters")).filter(
        (pl.col("lag") - pl.col("quarters") * STEP).abs() <= NEAR
    )
    if quarters.is_empty():
        return None
    usual = quarters.group_by("quarters").len().sort("len", "quarters", descending=[True, False]).row(0)
    found: timedelta = usual[0] * STEP
    return found if usual[1] >= LEAST_SHARE * lag.height and abs(found) <= WIDEST else None


def judged(source: str, setting: str, zone: ZoneInfo, lags: dict[date, timedelta]) -> ClockFinding | None:
    """What the usual lags of days say about the configured `zone`."""
    off = {day: lag for day, lag in lags.items() if lag}
    if not off or len(off) < LEAST_DAYS * len(lags):
        return None
    true = {day: offset(zone, day) - lag for day, lag in lags.items()}
    counts: dict[timedelta, int] = {}
    for day in off:
        counts[true[day]] = counts.get(true[day], 0) + 1
    return ClockFinding(
        source=source,
        setting=setting,
        configured=zone.key,
        days=len(off),
        of_days=len(lags),
        offsets=tuple(sorted(counts, key=lambda each: (-counts[each], each))),
        zones=fitting_zones(true),
    )


def fitting_zones(offsets: dict[date, timedelta]) -> tuple[str, ...]:
    """Some zones that are so far from UTC on these days."""
    fitting = [
        name
        for name in sorted(available_timezones())
        if name.split("/")[0] in REGIONS
        and all(offset(ZoneInfo(name), day) == expected for day, expected in offsets.items())
    ]
    return tuple(sorted(fitting, key=lambda name: (REGIONS.index(name.split("/")[0]), name))[:NAMED_ZONES])


def offset(zone: ZoneInfo, day: date) -> timedelta:
    """Distance from UTC at noon of a day."""
    return datetime.combine(day, time(12), zone).utcoffset() or timedelta(0)


def signed(span: timedelta) -> str:
    """A distance from UTC as people write it: `+05:30`."""
    minutes = round(span.total_seconds() / 60)
    return f"{'-' if minutes < 0 else '+'}{abs(minutes) // 60:02}:{abs(minutes) % 60:02}"
