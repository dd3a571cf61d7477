"""Lifecycle, stickiness and usage interval, written plainly: one person and one day after the other."""

from collections import Counter, defaultdict
from datetime import date, datetime, timedelta
from itertools import pairwise
from statistics import median
from zoneinfo import ZoneInfo

Uses = dict[str, list[datetime]]
"""Times of use by person, UTC."""


def first_day_of(ts: datetime, period: str, timezone: str, first_weekday: int = 0) -> date:
    """First local day of the period."""
    day = ts.astimezone(ZoneInfo(timezone)).date()
    if period == "month":
        return day.replace(day=1)
    return day - timedelta(days=(day.weekday() - first_weekday) % 7) if period == "week" else day


def following(day: date, period: str) -> date:
    """First day of the period after that which starts on `day`."""
    if period == "month":
        return (day + timedelta(days=31)).replace(day=1)
    return day + timedelta(days=7 if period == "week" else 1)


def lifecycle(uses: Uses, period: str, timezone: str, first_weekday: int = 0) -> dict[date, Counter[str]]:
    """States by period, those who go dormant in the period after their last use included."""
    states: dict[date, Counter[str]] = defaultdict(Counter)
    for times in uses.values():
        active = sorted({first_day_of(ts, period, timezone, first_weekday) for ts in times})
        for place, day in enumerate(active):
            if place == 0:
                state = "new"
            elif following(active[place - 1], period) == day:
                state = "returning"
            else:
                state = "resurrected"
            states[day][state] += 1
            if following(day, period) not in active:
                states[following(day, period)]["dormant"] += 1
    return states


def stickiness(uses: Uses, period: str, timezone: str) -> dict[date, Counter[int]]:
    """Persons by number of days with use, by period."""
    found: dict[date, Counter[int]] = defaultdict(Counter)
    for times in uses.values():
        days = defaultdict(set)
        for ts in times:
            days[first_day_of(ts, period, timezone)].add(first_day_of(ts, "day", timezone))
        for start, used in days.items():
            found[start][len(used)] += 1
    return found


def active_in(uses: Uses, day: date, length: int, timezone: str) -> int:
    """Persons with a use in the `length` days that end with `day`."""
    return sum(
        any(0 <= (day - first_day_of(ts, "day", timezone)).days < length for ts in times)
        for times in uses.values()
    )


def median_pauses(uses: Uses, timezone: str) -> dict[str, float]:
    """Median pause in days of everybody with two days of use."""
    found = {}
    for person, times in uses.items():
        days = sorted({first_day_of(ts, "day", timezone) for ts in times})
        if len(days) > 1:
            found[person] = float(median((b - a).days for a, b in pairwise(days)))
    return found
