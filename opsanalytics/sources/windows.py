"""Spans of time to ask for, and the order to ask in.

Inside the project a window is half-open. Only the code that writes a URL turns its end into the
vendor's inclusive one: adjacent windows can then neither overlap nor leave a gap.
"""

from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime, timedelta

DAY = timedelta(days=1)
HOUR = timedelta(hours=1)


@dataclass(frozen=True, order=True)
class Window:
    """Half-open span on the vendor's clock, as naive wall-clock times of the vendor's zone."""

    start: datetime
    end: datetime

    def __post_init__(self) -> None:
        if self.start.tzinfo is not None or self.end.tzinfo is not None or self.end <= self.start:
            raise ValueError(f"not a window on a vendor's clock: {self.start} to {self.end}")

    @property
    def length(self) -> timedelta:
        return self.end - self.start

    @property
    def first_day(self) -> date:
        return self.start.date()

    @property
    def last_day(self) -> date:
        """Last day that the window touches."""
        return (self.end - timedelta(microseconds=1)).date()

    @property
    def whole_days(self) -> bool:
        return midnight(self.first_day) == self.start and midnight(self.last_day) + DAY == self.end

    @property
    def name(self) -> str:
        """Deterministic, sortable, and a valid folder name: inclusive days, or inclusive hours."""
        if self.whole_days:
            return f"{self.first_day.isoformat()}--{self.last_day.isoformat()}"
        last_hour = self.end - HOUR
        return f"{self.start:%Y-%m-%dT%H}--{last_hour:%Y-%m-%dT%H}"

    def __str__(self) -> str:
        return self.name.replace("--", " to ")


def midnight(day: date) -> datetime:
    """Start of `day` on the vendor's clock."""
    return datetime(day.year, day.month, day.day)  # noqa: DTZ001 - a wall clock, its zone is the vendor's


def merged(windows: Iterable[Window]) -> list[Window]:
    """The same span as few, ascending, disjoint windows that do not touch."""
    result: list[Window] = []
    for window in sorted(windows):
        if result and window.start <= result[-1].end:
            if window.end > result[-1].end:
                result[-1] = Window(result[-1].start, window.end)
        else:
            result.append(window)
    return result


def subtracted(whole: Window, parts: Iterable[Window]) -> list[Window]:
    """What of `whole` no window of `parts` covers, ascending."""
    gaps: list[Window] = []
    position = whole.start
    for part in merged(parts):
        if part.end <= position or part.start >= whole.end:
            continue
        if part.start > position:
            gaps.append(Window(position, part.start))
        position = max(position, part.end)
    if position < whole.end:
        gaps.append(Window(position, whole.end))
    return gaps


class Coverage:
    """Many windows, looked up by position."""

    def __init__(self, windows: Iterable[Window]) -> None:
        self._longest: dict[datetime, Window] = {}
        for window in sorted(windows):  # of equal starts the longest comes last
            self._longest[window.start] = window
        self._whole = merged(self._longest.values())
        self._starts = [window.start for window in self._whole]

    def at(self, position: datetime, end: datetime) -> Window | None:
        """What is covered from `position` on, up to `end`: the longest single window that starts there,
        else all that is.
        """
        found = self._longest.get(position) or self._around(position)
        return None if found is None else Window(found.start, min(found.end, end))

    def covers(self, window: Window) -> bool:
        around = self._around(window.start)
        return around is not None and window.end <= around.end

    def next_start(self, position: datetime, end: datetime) -> datetime:
        """Where the next covered span after `position` begins; `end` if none does before."""
        number = bisect_right(self._starts, position)
        return min(self._starts[number], end) if number < len(self._starts) else end

    def _around(self, position: datetime) -> Window | None:
        number = bisect_right(self._starts, position) - 1
        found = self._whole[number] if number >= 0 else None
        return found if found is not None and position < found.end else None


@dataclass
class WindowSizer:
    """How much to ask for at once: doubles after a success, halves when the vendor gives up.

    Without failures the sizes depend only on the windows that succeeded, so that a run that was
    killed continues with the windows it would have used anyway.
    """

    unit: timedelta
    """Smallest window the vendor takes."""
    initial: timedelta
    largest: timedelta
    recovery: int = 4
    """Successes after a failure before larger windows are tried again."""

    def __post_init__(self) -> None:
        self._size = min(self.initial, self.largest)
        self._ceiling = self.largest
        self._successes = 0

    def next(self, gap: Window) -> Window:
        """The first window to ask for in `gap`."""
        return Window(gap.start, min(gap.end, gap.start + self._size))

    def succeeded(self, window: Window) -> None:
        self._successes += 1
        if self._successes >= self.recovery:
            self._ceiling, self._successes = min(self.largest, 2 * self._ceiling), 0
        self._size = min(self._ceiling, max(self._size, 2 * window.length))

    def failed(self, window: Window) -> None:
        """Learn that `window` is too large."""
        units = max(1, (window.length // self.unit) // 2)
        self._ceiling = self._size = units * self.unit
        self._successes = 0
