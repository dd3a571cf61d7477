"""Which files of a GA4 BigQuery export hold which day.

Source: Google's description of the export schema and of `bq extract`: one table a day in the
property's time zone, an intraday table until the daily one is complete, files cut at 1 GB.
"""

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Any, ClassVar, Literal
from zoneinfo import ZoneInfo, available_timezones

from pydantic import field_validator

from opsanalytics.sources.base import Line, ParsedLines
from opsanalytics.sources.files import EventFileSettings, FileSet, SourceFile
from opsanalytics.sources.ga4.fast import parse_records
from opsanalytics.sources.ga4.rows import REST, parse_lines
from opsanalytics.sources.ga4.totals import TotalsSettings, fetch_totals
from opsanalytics.sources.lines import RawLines
from opsanalytics.sources.totals import VendorTotals
from opsanalytics.sources.windows import Window, midnight

TABLE = re.compile(r"(?:^|[/.])events_(intraday_|fresh_)?(\d{8})(?![0-9])")
PREFERENCE = ("", "fresh_", "intraday_")
"""The daily table is complete; `events_fresh_` (360 properties) and `events_intraday_` are not."""
SHARD = re.compile(r"[-_/](\d{12})(?=\.|$)")
REQUIRED = ("event_name", "event_timestamp")
READER_VERSION = 2
"""Raise it when rows come out otherwise for the same bytes."""


class Ga4Settings(EventFileSettings):
    """One GA4 property, read from files extracted of its BigQuery export."""

    kind: Literal["ga4"] = "ga4"
    vendor_properties: ClassVar[frozenset[str]] = frozenset({REST})

    property_timezone: str = "UTC"
    """The property's reporting time zone: the day of a table is a day there."""
    empty_days: tuple[date, ...] = ()
    """Days without any event: BigQuery has no table for them, so no file can come."""
    totals: TotalsSettings | None = None
    """Where to ask Google how many events it counts, to compare."""

    @field_validator("property_timezone")
    @classmethod
    def _known_zone(cls, value: str) -> str:
        if value not in available_timezones():
            raise ValueError(f"{value!r} is not a time zone; write an IANA name such as 'Europe/Berlin'")
        return value

    @property
    def vendor_zone(self) -> ZoneInfo:
        return ZoneInfo(self.property_timezone)

    def cleaning_fingerprint(self) -> dict[str, Any]:
        own = {"property_timezone": self.property_timezone, "reader": READER_VERSION}
        return {**super().cleaning_fingerprint(), **own}

    def file_sets(self, files: Sequence[SourceFile]) -> list[FileSet]:
        """One delivery a day: all files of its daily table, else of the best one there is so far."""
        tables: dict[date, dict[str, list[SourceFile]]] = defaultdict(lambda: defaultdict(list))
        for file in files:
            found = table_of(file.name)
            if found is not None:
                table, day = found
                tables[day][table].append(file)
        sets = []
        for day, candidates in sorted(tables.items()):
            table = next(name for name in PREFERENCE if name in candidates)
            chosen = tuple(candidates[table])
            sets.append(FileSet(day.isoformat(), chosen, day, final=table == "", missing=gap_in(chosen)))
        return sets

    def problem_with(self, columns: set[str], *, table: bool) -> str | None:
        del table
        missing = [name for name in REQUIRED if name not in columns]
        if not missing:
            return None
        return (
            f"has no {' and no '.join(missing)}, so it is no table events_* of a GA4 export (it has "
            f"{', '.join(sorted(columns)[:12])}). Extract the table with `bq extract`, whole."
        )

    def complete_until(self, fetched_at: datetime) -> datetime:
        """The daily table appears when the day is complete: nothing is cut off."""
        del fetched_at
        return datetime.max  # noqa: DTZ901 - a wall clock

    def spans_without_data(self, landed: Sequence[Window]) -> list[Window]:
        silent = [Window(midnight(day), midnight(day) + timedelta(days=1)) for day in self.empty_days]
        return [*super().spans_without_data(landed), *silent]

    def vendor_totals(self, first: date, last: date, environ: Mapping[str, str]) -> VendorTotals | None:
        if self.totals is None:
            return None
        return fetch_totals(self.totals, self.name, first, last, environ)

    def parse(self, lines: Sequence[Line]) -> ParsedLines:
        return parse_lines(self.name, self.vendor_zone, lines)

    def parse_records(self, records: RawLines) -> ParsedLines:
        return parse_records(self.name, self.vendor_zone, records, super().parse_records)


def table_of(name: str) -> tuple[str, date] | None:
    """Kind of table (a prefix of `PREFERENCE`) and day by the name of a file or of its folders."""
    found = TABLE.findall(name)
    if not found:
        return None
    table, digits = found[-1]
    try:
        return table, datetime.strptime(digits, "%Y%m%d").date()  # noqa: DTZ007 - a day, no moment
    except ValueError:
        return None


def gap_in(files: Sequence[SourceFile]) -> str | None:
    """Which parts of a table cut into numbered files are not there yet."""
    numbers = {int(found[-1]) for file in files if (found := SHARD.findall(file.name))}
    missing = sorted(set(range(max(numbers) + 1)) - numbers) if numbers else []
    if not missing:
        return None
    names = ", ".join(f"{number:012}" for number in missing[:3])
    return f"part(s) {names} of the table are not there yet"
