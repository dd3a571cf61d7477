"""The settings of a CSV feedback source, and how its rows become messages."""

import hashlib
import json
import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal
from zoneinfo import ZoneInfo, available_timezones

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from opsanalytics.lake.schemas import KINDS, Kind
from opsanalytics.sources.base import FeedbackRow, FeedbackSourceSettings, RejectedRow
from opsanalytics.sources.errors import InboxError
from opsanalytics.sources.feedback_csv.table import CsvTable, as_line, read_table
from opsanalytics.sources.values import UnreadableError, epoch_moment, in_range

LARGEST_VOTES = 1e12
TRUE_DECIMAL_COMMA = str.maketrans(",", ".")


class ColumnMap(BaseModel):
    """Which column of the file holds what. Columns not named here are kept as raw fields."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    text: str
    created_at: str
    id: str | None = None
    """Without one, a message is known by its whole content."""
    title: str | None = None
    user_id: str | None = None
    email: str | None = None
    rating: str | None = None
    app_version: str | None = None
    url: str | None = None
    language: str | None = None
    tags: str | None = None
    votes: str | None = None
    """Whole numbers, negative where more are against."""

    def plain(self) -> frozenset[str]:
        """Columns that hold ids, times and numbers, unless they also hold something else."""
        columns = self.named()
        free = {columns.get(field) for field in ("text", "title", "email", "url", "tags")}
        return frozenset(column for column in columns.values() if column not in free)

    def named(self) -> dict[str, str]:
        """Field to column, for those that are set."""
        return {field: column for field, column in self.model_dump().items() if column is not None}


class FeedbackCsvSettings(FeedbackSourceSettings):
    """CSV files with one message a row."""

    kind: Literal["feedback_csv"] = "feedback_csv"
    columns: ColumnMap
    rating_scale: tuple[float, float] | None = None
    """Lowest and highest rating, for example [1, 5] or [0, 10]."""
    timezone: str = "UTC"
    """Zone of times that name none."""
    timestamp_format: str | None = Field(default=None, min_length=2)
    """As for Python's strptime, for example '%d.%m.%Y %H:%M'; ISO 8601 and epochs need none."""
    tag_separator: str | None = Field(default=None, min_length=1)
    """Between tags; any of | , ; if not given."""
    kinds: dict[Kind, tuple[str, ...]] = Field(default={})
    """Kind -> tags that mean it, for example { bug = ["bug", "defect"] }; upper and lower case are one.
    Of several kinds a message takes the first of bug, complaint, request, question, praise, other; without
    any of these tags it is `other`."""
    resolved_tags: tuple[str, ...] = ()
    """Tags of what is settled: done, declined, by design."""

    @field_validator("timezone")
    @classmethod
    def _known_zone(cls, value: str) -> str:
        if value not in available_timezones():
            raise ValueError(f"{value!r} is not a time zone; write an IANA name such as 'Europe/Berlin'")
        return value

    @model_validator(mode="after")
    def _scale_fits(self) -> "FeedbackCsvSettings":
        if self.columns.rating is not None and self.rating_scale is None:
            raise ValueError("columns.rating needs rating_scale, for example rating_scale = [1, 5]")
        if self.rating_scale is not None and not self.rating_scale[0] < self.rating_scale[1]:
            raise ValueError("rating_scale must be [lowest, highest]")
        return self

    @model_validator(mode="after")
    def _tags_fit(self) -> "FeedbackCsvSettings":
        for setting in ("kinds", "resolved_tags", "tag_separator"):
            if getattr(self, setting) and self.columns.tags is None:
                raise ValueError(f"{setting} needs columns.tags, the column that holds the tags")
        meaning: dict[str, str] = {}
        for kind, tags in self.kinds.items():
            for tag in tags:
                first = meaning.setdefault(tag.strip().casefold(), kind)
                if first != kind:
                    raise ValueError(f"kinds: the tag {tag!r} means both {first} and {kind}")
        return self

    def cleaning_fingerprint(self) -> dict[str, Any]:
        return {
            **super().cleaning_fingerprint(),
            **self.model_dump(
                mode="json",
                include={
                    "columns",
                    "rating_scale",
                    "timezone",
                    "timestamp_format",
                    "tag_separator",
                    "kinds",
                    "resolved_tags",
                },
            ),
        }

    def count_records(self, path: Path) -> int:
        return len(self._table(path).rows)

    def read(self, path: Path) -> tuple[list[FeedbackRow], list[RejectedRow]]:
        table = self._table(path)
        rows: list[FeedbackRow] = []
        rejected: list[RejectedRow] = []
        for record, fields in enumerate(table.rows, start=1):
            try:
                rows.append(self._row(record, table, fields))
            except UnreadableError as error:
                raw = as_line(fields, table.delimiter)
                rejected.append(RejectedRow(record, error.reason, str(error), raw))
        return rows, rejected

    def _table(self, path: Path) -> CsvTable:
        table = read_table(path)
        missing = {
            field: column for field, column in self.columns.named().items() if column not in table.header
        }
        if missing:
            wanted = ", ".join(f"{column!r} (columns.{field})" for field, column in missing.items())
            raise InboxError(
                f"{path}: source {self.name}: no column {wanted}. The file has {table.header}. Correct "
                f"[sources.columns] of {self.name} in the configuration, or rename the file's columns."
            )
        return table

    def _row(self, record: int, table: CsvTable, fields: list[str]) -> FeedbackRow:
        if len(fields) != len(table.header):
            raise UnreadableError(
                "wrong_width", f"the row has {len(fields)} fields, the header {len(table.header)}"
            )
        raw = unique_names(table.header, fields)
        value = {field: raw[column].strip() or None for field, column in self.columns.named().items()}
        text, title = value.get("text"), value.get("title")
        rating = self._rating(value.get("rating"))
        if text is None and title is None and rating is None:
            raise UnreadableError("empty", "the row has neither text nor title nor rating")
        tags = self._tags(value.get("tags"))
        return FeedbackRow(
            record=record,
            id=value.get("id") or content_id(raw),
            ts=self._moment(value["created_at"]),
            text=text,
            title=title,
            user_id=value.get("user_id"),
            email=value.get("email"),
            rating=rating,
            rating_min=self.rating_scale[0] if self.rating_scale and rating is not None else None,
            rating_max=self.rating_scale[1] if self.rating_scale and rating is not None else None,
            language=value.get("language"),
            app_version=value.get("app_version"),
            url=value.get("url"),
            raw=raw,
            kind=self._kind(tags),
            tags=tags,
            votes=whole_number(value.get("votes")),
            resolved=self._resolved(tags),
            private_fields=frozenset({self.columns.email} if self.columns.email else ()),
            plain_fields=self.columns.plain(),
        )

    def _tags(self, text: str | None) -> tuple[str, ...] | None:
        if self.columns.tags is None:
            return None
        separator = re.escape(self.tag_separator) if self.tag_separator else "[|,;]"
        return tuple(dict.fromkeys(tag.strip() for tag in re.split(separator, text or "") if tag.strip()))

    def _kind(self, tags: tuple[str, ...] | None) -> Kind | None:
        if tags is None or not self.kinds:
            return None
        given = {tag.casefold() for tag in tags}
        found = [
            kind for kind, names in self.kinds.items() if given & {name.strip().casefold() for name in names}
        ]
        return min(found, key=KINDS.index, default="other")

    def _resolved(self, tags: tuple[str, ...] | None) -> bool | None:
        if tags is None or not self.resolved_tags:
            return None
        settled = {tag.strip().casefold() for tag in self.resolved_tags}
        return any(tag.casefold() in settled for tag in tags)

    def _rating(self, text: str | None) -> float | None:
        if text is None or self.rating_scale is None:
            return None
        low, high = self.rating_scale
        try:
            number = float(text.translate(TRUE_DECIMAL_COMMA))
        except ValueError:
            number = math.nan
        if not low <= number <= high:
            raise UnreadableError("bad_rating", f"rating {text!r} is no number from {low:g} to {high:g}")
        return number

    def _moment(self, text: str | None) -> datetime:
        if text is None:
            raise UnreadableError("no_time", f"column {self.columns.created_at!r} is empty")
        if self.timestamp_format is not None:
            try:
                moment = datetime.strptime(text, self.timestamp_format)  # noqa: DTZ007 - zone set below
            except ValueError as error:
                raise UnreadableError("bad_time", f"{error} (timestamp_format)") from error
        elif text.isdigit():
            epoch = epoch_moment(text)
            if epoch is None:
                raise UnreadableError("bad_time", f"{text!r} is no epoch in seconds or milliseconds")
            return epoch
        else:
            try:
                moment = datetime.fromisoformat(text.removesuffix(" UTC"))
            except ValueError:
                raise UnreadableError(
                    "bad_time",
                    f"{text!r} is no ISO 8601 time; set timestamp_format, for example '%d.%m.%Y %H:%M'",
                ) from None
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=ZoneInfo(self.timezone))
        checked = in_range(moment.astimezone(UTC))
        if checked is None:
            raise UnreadableError("bad_time", f"{text!r} is before 1971 or after 2199")
        return checked


def whole_number(text: str | None) -> int | None:
    """`text` as a number of votes.

    Raises:
        UnreadableError: it is none, or too large to be one.
    """
    if text is None:
        return None
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not abs(number) < LARGEST_VOTES or number != int(number):
        raise UnreadableError("bad_votes", f"votes {text!r} are no whole number")
    return int(number)


def unique_names(header: list[str], fields: list[str]) -> dict[str, str]:
    """Fields by column name; a name that repeats gets a number, so that no field is lost."""
    raw: dict[str, str] = {}
    for position, (name, field) in enumerate(zip(header, fields, strict=True), start=1):
        raw[f"{name}#{position}" if name in raw or not name else name] = field
    return raw


def content_id(raw: Mapping[str, str]) -> str:
    text = json.dumps(raw, ensure_ascii=False, sort_keys=True)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]
