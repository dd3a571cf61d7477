"""What Spark's Python workers do with the persons that they are given, and how their answers travel back.

An answer is one row: a table in Arrow's file format, as bytes, so that types and time zones of Spark have no
say in it; beside it the events that count nowhere.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from io import BytesIO
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa

from opsanalytics.behavior import funnel as funnels
from opsanalytics.behavior import retention as retentions
from opsanalytics.behavior.calendars import Calendar
from opsanalytics.behavior.funnel_breakdown import broken_down, values_of_groups
from opsanalytics.behavior.rows import LeftOut, matching_rows, person_rows
from opsanalytics.behavior.segments import Segment
from opsanalytics.behavior.spec import Funnel, Retention
from opsanalytics.behavior.subjects import prepared
from opsanalytics.behavior.values import VALUE, numeric
from opsanalytics.spark.chunks import whole_persons

ANSWER = pa.schema(
    [("part", pa.int32()), ("table", pa.binary()), ("nobody", pa.int64()), ("no_time", pa.int64())]
)
EVERY_VALUE = 2**31 - 1
"""In place of the limit of a segment: which values are shown is decided over all persons."""


@dataclass(frozen=True)
class Answer:
    """One table of one chunk. `part` is 0 for the whole, 1, 2, ... for the segments."""

    part: int
    table: pl.DataFrame
    left_out: LeftOut


Work = Callable[[pl.DataFrame], Sequence[Answer]]


def answering(
    work: Work, rows: int, *, nobody_whole: bool
) -> Callable[[Iterator[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    """`work` on chunks of about `rows` rows, as `mapInArrow` wants it; see `whole_persons`."""

    def run(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for chunk in whole_persons(batches, rows, nobody_whole=nobody_whole):
            for answer in work(chunk):
                left_out = answer.left_out
                columns = [
                    [answer.part],
                    [_packed(answer.table)],
                    [left_out.without_person],
                    [left_out.without_time],
                ]
                yield pa.RecordBatch.from_arrays(
                    [pa.array(column, field.type) for column, field in zip(columns, ANSWER, strict=True)],
                    schema=ANSWER,
                )

    return run


def unpacked(rows: Sequence[Any]) -> list[Answer]:
    """The answers in collected rows."""
    return [
        Answer(row["part"], pl.read_ipc(BytesIO(bytes(row["table"]))), LeftOut(row["nobody"], row["no_time"]))
        for row in rows
    ]


def _packed(table: pl.DataFrame) -> bytes:
    file = BytesIO()
    table.write_ipc(file, compression="zstd")
    return file.getvalue()


@dataclass(frozen=True)
class FunnelWork:
    """Best attempts of a chunk's persons: all of them, then with the value of each segment."""

    definition: Funnel
    segments: tuple[Segment, ...]
    options: dict[str, Any]
    shown: Mapping[int, Sequence[str]]
    """Values by place of a segment, where each is a funnel of its own."""

    def __call__(self, chunk: pl.DataFrame) -> list[Answer]:
        whole = funnels.funnel(chunk, self.definition, **self.options)
        answers = [Answer(0, whole.persons, whole.left_out)]
        if self.segments:
            every = [replace(one, limit=EVERY_VALUE) for one in self.segments]
            parts = broken_down(chunk, self.definition, every, shown=self.shown, **self.options)
            answers += [Answer(at, part.attempts, LeftOut()) for at, part in enumerate(parts, 1)]
        return answers


@dataclass(frozen=True)
class ValuesWork:
    """How many of a chunk's persons have which value, of the segments by `all` and `step`."""

    definition: Funnel
    segments: tuple[Segment, ...]
    options: dict[str, Any]

    def __call__(self, chunk: pl.DataFrame) -> list[Answer]:
        counts = values_of_groups(chunk, self.definition, self.segments, **self.options)
        return [Answer(at, table, LeftOut()) for at, table in counts.items()]


@dataclass(frozen=True)
class RetentionWork:
    """Counts of a chunk's persons by cohort and column."""

    definition: Retention
    calendar: Calendar
    as_of: Any

    def __call__(self, chunk: pl.DataFrame) -> list[Answer]:
        definition = self.definition
        extra = None
        events = prepared(chunk, definition, as_of=self.as_of, timezone=self.calendar.timezone)
        if definition.value is not None:
            extra = {VALUE: numeric(definition.value, events.lazy().collect_schema().names())}
        rows = person_rows(
            matching_rows(
                events,
                retentions.groups_of(definition),
                as_of=self.as_of,
                sources=definition.sources,
                extra=extra,
            ),
            ties_by_mask=definition.value is not None,
        )
        folded = retentions.fold_rows(rows, definition, self.calendar)
        return [Answer(0, _as_table(folded), rows.left_out)]


def _as_table(folded: retentions.Folded) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "cohort": pl.Series(folded.cohorts, dtype=pl.Int32),
            "size": pl.Series(folded.size, dtype=pl.Int64),
            "latest": pl.Series(folded.latest, dtype=pl.Int64),
            **{
                name: pl.Series(name, list(getattr(folded, name)), dtype=pl.List(dtype))
                for name, dtype in (("returned", pl.Int64), ("valued", pl.Int64), ("total", pl.Float64))
            },
        }
    )


def added_up(answers: Sequence[Answer], columns: int) -> retentions.Folded:
    """Counts of all chunks, whose persons are different ones, together."""
    tables = [answer.table for answer in answers]
    cohorts = np.unique(
        np.concatenate([np.empty(0, np.int32), *(each["cohort"].to_numpy() for each in tables)])
    )
    folded = retentions.Folded(
        cohorts=cohorts.astype(np.int32),
        size=np.zeros(len(cohorts), np.int64),
        latest=np.full(len(cohorts), np.iinfo(np.int64).min),
        returned=np.zeros((len(cohorts), columns), np.int64),
        valued=np.zeros((len(cohorts), columns), np.int64),
        total=np.zeros((len(cohorts), columns)),
    )
    for table in tables:
        if table.is_empty():
            continue
        at = np.searchsorted(cohorts, table["cohort"].to_numpy())
        folded.size[at] += table["size"].to_numpy()
        folded.latest[at] = np.maximum(folded.latest[at], table["latest"].to_numpy())
        for name in ("returned", "valued", "total"):
            getattr(folded, name)[at] += np.stack(table[name].to_list())
    return folded
