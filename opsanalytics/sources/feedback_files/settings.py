"""Settings that all kinds of feedback files share, and how their rows become messages."""

import codecs
import re
from abc import abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import Any, ClassVar, Literal
from zoneinfo import ZoneInfo, available_timezones

from pydantic import Field, field_validator, model_validator

from opsanalytics.lake.schemas import KINDS, Kind
from opsanalytics.sources.base import FeedbackRow, FeedbackSourceSettings, RejectedRow
from opsanalytics.sources.feedback_files.table import Record, Table, missing_columns, read_table
from opsanalytics.sources.feedback_files.times import TimeRules, read_time
from opsanalytics.sources.feedback_files.values import exact_id, read_rating, read_votes
from opsanalytics.sources.values import UnreadableError, digest

SCALES: dict[str, tuple[float, float]] = {"nps": (0, 10), "csat": (1, 5)}
REMOVED = "[removed]"
Names = str | tuple[str, ...]
"""A column name, or several of which a file may have any: titles change over the years."""


@dataclass(frozen=True)
class Question:
    """A column of open answers."""

    position: int
    title: str
    """As shown: the name it has in the configuration, or in the file."""
    repeat: int = 0
    """How many columns before it have the same title."""

    @property
    def key(self) -> str:
        """Tells the answers of one response apart, for as long as the title stays."""
        return digest("question", self.title, *([str(self.repeat)] if self.repeat else []))[:8]


@dataclass(frozen=True)
class Layout:
    """Which column of one file holds what."""

    fields: Mapping[str, int]
    """Field of a message -> position of the column."""
    questions: tuple[Question, ...] = ()
    removed: frozenset[int] = frozenset()
    """Columns of personal data that nothing needs: kept nowhere in the lake."""
    plain: frozenset[int] = frozenset()
    """Columns of ids, times and numbers besides those in `fields`."""
    names: tuple[str, ...] | None = None
    """Names of the columns; those of the table if None."""
    headings: int = 0
    """Records at the beginning that are headings too."""


PART_RECORDS = 10_000
"""So many records of a file are Python objects at once."""
FREE_FIELDS = frozenset({"text", "title", "email", "url", "tags"})
"""Fields whose columns may hold personal data; the others are ids, times and numbers."""


@dataclass(frozen=True)
class Row:
    """One record, its fields by what they mean."""

    number: int
    """From 1, headings not counted."""
    values: Mapping[str, str]
    """Field -> text, without blank ones."""
    answers: tuple[tuple[Question, str], ...]
    """Open answers that are not blank."""
    raw: dict[str, str]
    """Every column by its name."""

    def content_id(self) -> str:
        """Of the whole content, blank columns left out: another export may have more of them."""
        filled = sorted((name, value) for name, value in self.raw.items() if value.strip())
        return digest(*(part for pair in filled for part in pair))


class FeedbackFileSettings(FeedbackSourceSettings):
    """CSV files or workbooks with a row a response."""

    tags_from: ClassVar[str] = "tags, and exports of this kind have none"

    encoding: str | None = None
    """Of CSV files, for example 'cp1252' or 'utf-16'; found out if not given."""
    delimiter: str | None = Field(default=None, min_length=1, max_length=1)
    """Of CSV files; comma, semicolon, tab or | is found out."""
    sheet: str | None = None
    """Of workbooks; the first that is not empty if not given."""
    timezone: str = "UTC"
    """Zone of times that name none."""
    timestamp_format: str | None = Field(default=None, min_length=2)
    """As for Python's strptime, for example '%d.%m.%Y %H:%M'; usual spellings need none."""
    day_first: bool | None = None
    """Whether 03/04/2026 is the third of April; without it such times are set aside."""
    rating_scale: tuple[float, float] | Literal["nps", "csat"] | None = None
    """Lowest and highest rating: 'nps' (0 to 10), 'csat' (1 to 5), or for example [1, 7]."""
    rating_words: dict[str, float] = Field(default={})
    """What answers in words count, for example { "Very satisfied" = 5 }."""
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

    @field_validator("encoding")
    @classmethod
    def _known_encoding(cls, value: str | None) -> str | None:
        if value is None:
            return None
        try:
            "a".encode(value)
            return codecs.lookup(value).name
        except LookupError:
            raise ValueError(
                f"{value!r} is no text encoding; write for example 'utf-8' or 'cp1252'"
            ) from None

    @model_validator(mode="after")
    def _range_ascends(self) -> "FeedbackFileSettings":
        if isinstance(self.rating_scale, tuple) and not self.rating_scale[0] < self.rating_scale[1]:
            raise ValueError("rating_scale must be [lowest, highest]")
        return self

    @model_validator(mode="after")
    def _tags_fit(self) -> "FeedbackFileSettings":
        for setting in ("kinds", "resolved_tags", "tag_separator"):
            if getattr(self, setting) and not self.has_tags:
                raise ValueError(f"{setting} needs {self.tags_from}")
        meaning: dict[str, str] = {}
        for kind, tags in self.kinds.items():
            for tag in tags:
                first = meaning.setdefault(tag.strip().casefold(), kind)
                if first != kind:
                    raise ValueError(f"kinds: the tag {tag!r} means both {first} and {kind}")
        return self

    @property
    def has_tags(self) -> bool:
        """Whether messages of this source carry tags."""
        return False

    @property
    def rating_range(self) -> tuple[float, float] | None:
        """Lowest and highest rating."""
        return SCALES[self.rating_scale] if isinstance(self.rating_scale, str) else self.rating_scale

    @property
    def time_rules(self) -> TimeRules:
        return TimeRules(ZoneInfo(self.timezone), self.timestamp_format, self.day_first)

    def cleaning_fingerprint(self) -> dict[str, Any]:
        return {**super().cleaning_fingerprint(), **self.model_dump(mode="json", exclude={"name"})}

    @abstractmethod
    def layout(self, path: Path, table: Table) -> Layout:
        """Find the columns of a file. Raises `InboxError` if one that is needed is missing."""

    def count_records(self, path: Path) -> int:
        table, layout = self._open(path)
        return len(table.records) - layout.headings

    def read(self, path: Path) -> tuple[list[FeedbackRow], list[RejectedRow]]:
        rows: list[FeedbackRow] = []
        rejected: list[RejectedRow] = []
        for some, refused in self.read_parts(path):
            rows += some
            rejected += refused
        return rows, rejected

    def read_parts(self, path: Path) -> Iterator[tuple[list[FeedbackRow], list[RejectedRow]]]:
        table, layout = self._open(path)
        records = enumerate(islice(table.records, layout.headings, None), start=1)
        while part := list(islice(records, PART_RECORDS)):
            rows: list[FeedbackRow] = []
            rejected: list[RejectedRow] = []
            for number, record in part:
                try:
                    rows += self.messages(self._row(number, table, layout, record), layout, table)
                except UnreadableError as error:
                    where = f"{'row' if table.workbook else 'line'} {record.line}: "
                    detail = str(error) if str(error).startswith(where) else where + str(error)
                    rejected.append(RejectedRow(number, error.reason, detail, table.raw(record)))
            yield rows, rejected

    def messages(self, row: Row, layout: Layout, table: Table) -> list[FeedbackRow]:
        """The messages that a record holds.

        Raises:
            UnreadableError: it cannot be used; the record is set aside as a whole.
        """
        values = row.values
        rating = self.rating_of(values.get("rating"))
        if "text" not in values and "title" not in values and rating is None:
            raise UnreadableError("empty", "the row has neither text nor title nor rating")
        return [self.message(row, layout, table, rating=rating)]

    def message(self, row: Row, layout: Layout, table: Table, **changes: Any) -> FeedbackRow:
        """What a record gives by itself; `changes` are fields of `FeedbackRow` to set otherwise."""
        values = row.values
        scale = self.rating_range if changes.get("rating") is not None else None
        tags = self.tags(values.get("tags"))
        names = layout.names or tuple(table.names)
        free = {layout.fields[field] for field in layout.fields.keys() & FREE_FIELDS}
        plain = {layout.fields[field] for field in layout.fields.keys() - FREE_FIELDS} | layout.plain
        email = layout.fields.get("email")
        return FeedbackRow(
            **{
                "record": row.number,
                "id": changes.get("id") or (exact_id(values["id"]) if "id" in values else row.content_id()),
                "ts": changes.get("ts") or self.moment(values.get("created_at")),
                "text": values.get("text"),
                "title": values.get("title"),
                "user_id": exact_id(values["user_id"]) if "user_id" in values else None,
                "email": values.get("email"),
                "rating": None,
                "rating_min": scale[0] if scale else None,
                "rating_max": scale[1] if scale else None,
                "language": values.get("language"),
                "app_version": values.get("app_version"),
                "url": values.get("url"),
                "raw": row.raw,
                "kind": self.kind_of(tags),
                "tags": tags,
                "votes": read_votes(values["votes"]) if "votes" in values else None,
                "resolved": self.is_resolved(tags),
                "private_fields": frozenset({names[email]} if email is not None else ()),
                "plain_fields": frozenset(names[position] for position in plain - free),
                "updated_at": self.moment(values["updated_at"]) if "updated_at" in values else None,
                **changes,
            }
        )

    def rating_of(self, text: str | None) -> float | None:
        if text is None or self.rating_range is None:
            return None
        return read_rating(text, self.rating_range, self.rating_words)

    def moment(self, text: str | None) -> datetime:
        if text is None:
            raise UnreadableError("no_time", "the row says no time")
        return read_time(text, self.time_rules)

    def tags(self, text: str | None) -> tuple[str, ...] | None:
        if not self.has_tags:
            return None
        separator = re.escape(self.tag_separator) if self.tag_separator else "[|,;]"
        return tuple(dict.fromkeys(tag.strip() for tag in re.split(separator, text or "") if tag.strip()))

    def kind_of(self, tags: tuple[str, ...] | None) -> Kind | None:
        if tags is None or not self.kinds:
            return None
        given = {tag.casefold() for tag in tags}
        found = [
            kind for kind, names in self.kinds.items() if given & {name.strip().casefold() for name in names}
        ]
        return min(found, key=KINDS.index, default="other")

    def is_resolved(self, tags: tuple[str, ...] | None) -> bool | None:
        if tags is None or not self.resolved_tags:
            return None
        settled = {tag.strip().casefold() for tag in self.resolved_tags}
        return any(tag.casefold() in settled for tag in tags)

    def located(
        self, path: Path, table: Table, wanted: Mapping[str, Names | None], *, setting: str = "{}"
    ) -> dict[str, int]:
        """Positions of the columns that fields are mapped to; fields mapped to None are left out.

        Raises:
            InboxError: a column is missing; `setting` says how the configuration calls a field's.
        """
        found: dict[str, int] = {}
        missing: list[tuple[str, str]] = []
        for field, names in wanted.items():
            if names is None:
                continue
            position = first_found(table, names)
            if position is None:
                missing.append((setting.format(field), names if isinstance(names, str) else names[0]))
            else:
                found[field] = position
        if missing:
            raise missing_columns(self.name, path, table, missing)
        return found

    def _open(self, path: Path) -> tuple[Table, Layout]:
        table = read_table(path, encoding=self.encoding, delimiter=self.delimiter, sheet=self.sheet)
        return table, self.layout(path, table)

    def _row(self, number: int, table: Table, layout: Layout, record: Record) -> Row:
        fields = table.fields(record)
        names = layout.names or table.names
        kept = [
            REMOVED if position in layout.removed and field.strip() else field
            for position, field in enumerate(fields)
        ]
        values = {field: fields[position].strip() for field, position in layout.fields.items()}
        return Row(
            number=number,
            values={field: value for field, value in values.items() if value},
            answers=tuple(
                (question, fields[question.position].strip())
                for question in layout.questions
                if fields[question.position].strip()
            ),
            raw=dict(zip(names, kept, strict=True)),
        )


def first_found(table: Table, names: Names) -> int | None:
    """Position of the first of `names` that the table has."""
    return next(
        (position for name in listed(names) if (position := table.find(name)) is not None),
        None,
    )


def listed(names: Names | Iterable[str]) -> tuple[str, ...]:
    return (names,) if isinstance(names, str) else tuple(names)
