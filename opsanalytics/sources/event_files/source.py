"""Which files of a folder or bucket hold events, and how their columns are read."""

import fnmatch
import re
from collections.abc import Sequence
from datetime import date
from typing import Any, ClassVar, Literal
from zoneinfo import ZoneInfo, available_timezones

from pydantic import Field, field_validator

from opsanalytics.sources.base import Line, ParsedLines
from opsanalytics.sources.collecting import safe_stem
from opsanalytics.sources.event_files.mapping import Columns, EventTypes, nearest
from opsanalytics.sources.event_files.rows import REST, Reading, parse_lines
from opsanalytics.sources.event_files.times import TIME_FORMATS
from opsanalytics.sources.files import EventFileSettings, FileSet, SourceFile
from opsanalytics.sources.values import digest

ENDINGS = (".jsonl", ".ndjson", ".json", ".csv", ".tsv", ".parquet", ".pq")
DAY_PARTS = {"%Y": r"(?P<Y>\d{4})", "%m": r"(?P<m>\d\d)", "%d": r"(?P<d>\d\d)"}


class EventFilesSettings(EventFileSettings):
    """JSONL, CSV or Parquet files, one event a record."""

    kind: Literal["event_files"] = "event_files"
    vendor_properties: ClassVar[frozenset[str]] = frozenset({REST})

    columns: Columns
    types: EventTypes | None = None
    identity_events: tuple[str, ...] = ()
    """Event names that state an identity and are no behaviour, such as an identify call."""
    timezone: str = "UTC"
    """Zone of times without an offset, and of the days in file names."""
    time_format: str = "auto"
    """auto, iso, s, ms, us, ns (since 1970), or a pattern such as `%d.%m.%Y %H:%M:%S`."""
    pattern: str = Field(default="*", min_length=1)
    """Which files below `path`: `*` stands for anything, folders too."""
    day: str | None = None
    """How a file's name tells its day, for example `%Y-%m-%d`. Not given: it does not."""

    @field_validator("timezone")
    @classmethod
    def _known_zone(cls, value: str) -> str:
        if value not in available_timezones():
            raise ValueError(f"{value!r} is not a time zone; write an IANA name such as 'Europe/Berlin'")
        return value

    @field_validator("time_format")
    @classmethod
    def _known_format(cls, value: str) -> str:
        if value not in TIME_FORMATS and "%" not in value:
            raise ValueError(f"{value!r} is neither one of {', '.join(TIME_FORMATS)} nor a pattern with %")
        return value

    @field_validator("day")
    @classmethod
    def _whole_day(cls, value: str | None) -> str | None:
        if value is not None and any(value.count(part) != 1 for part in DAY_PARTS):
            raise ValueError(f"{value!r} must hold %Y, %m and %d once each, such as '%Y-%m-%d'")
        return value

    @property
    def vendor_zone(self) -> ZoneInfo:
        return ZoneInfo(self.timezone)

    @property
    def identity_verbs(self) -> frozenset[str]:
        return frozenset(self.identity_events)

    def cleaning_fingerprint(self) -> dict[str, Any]:
        rules = self.model_dump(mode="json", include={"columns", "types", "timezone", "time_format"})
        return {**super().cleaning_fingerprint(), **rules}

    def file_sets(self, files: Sequence[SourceFile]) -> list[FileSet]:
        """Each file is a delivery of its own, by its name: new content replaces the old."""
        return [
            FileSet(f"{safe_stem(file.name)}-{digest(file.name)[:8]}", (file,), self.day_of(file.name))
            for file in files
            if self.takes(file.name)
        ]

    def takes(self, name: str) -> bool:
        """Whether a file is one of events: by its ending, or any if the format is given."""
        lower = name.lower()
        known = lower.removesuffix(".gz").endswith(ENDINGS) or lower.endswith(".gz")
        wanted = (known and not lower.endswith(".tar.gz")) or self.format is not None
        return wanted and fnmatch.fnmatchcase(name, self.pattern)

    def day_of(self, name: str) -> date | None:
        """The day that a file's name tells; of several the last."""
        if self.day is None:
            return None
        pattern = re.escape(self.day)
        for part, expression in DAY_PARTS.items():
            pattern = pattern.replace(re.escape(part), expression)
        found = None
        for match in re.finditer(rf"(?<!\d){pattern}(?!\d)", name):
            try:
                found = date(int(match["Y"]), int(match["m"]), int(match["d"]))
            except ValueError:
                continue
        return found

    def problem_with(self, columns: set[str], *, table: bool) -> str | None:
        """Mapped columns that are missing: all of a table's, of JSON lines those they cannot do without."""
        needed = {name: keys for name, keys in self.columns.keys.items() if table or name in ("event", "ts")}
        if self.types is not None:
            needed["event"] = (*needed["event"], self.types.keys)
        missing = {
            name: [path[0] for path in paths]
            for name, paths in needed.items()
            if not any(path[0] in columns for path in paths)
        }
        if not missing:
            return None
        wanted = "; ".join(f"{' or '.join(map(repr, names))} ({name})" for name, names in missing.items())
        hint = nearest([name for names in missing.values() for name in names], columns)
        where = "columns" if table else "members of the first records"
        return (
            f"has no {wanted}{hint}. Its {where} are {', '.join(sorted(columns)[:20])}. Correct "
            "[sources.columns], or take the file away."
        )

    def parse(self, lines: Sequence[Line]) -> ParsedLines:
        reading = Reading(self.name, self.columns, self.types, self.vendor_zone, self.time_format)
        return parse_lines(reading, lines)
