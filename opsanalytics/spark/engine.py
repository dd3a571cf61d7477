"""The engine: which rows travel, where they meet, and the answer made of what the workers say."""

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, Literal, TypeAlias

import polars as pl
import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F  # noqa: N812 - as everybody calls it
from pyspark.sql.pandas.types import from_arrow_schema, to_arrow_schema
from pyspark.sql.types import MapType

from opsanalytics.behavior import funnel as funnels
from opsanalytics.behavior import retention as retentions
from opsanalytics.behavior.folding import check_preset
from opsanalytics.behavior.funnel_breakdown import SEPARATE, Broken, broken_down, limited
from opsanalytics.behavior.overlaps import Overlap
from opsanalytics.behavior.periods import Weekday
from opsanalytics.behavior.rows import LeftOut, checked
from opsanalytics.behavior.segments import Segment, most_frequent_of
from opsanalytics.behavior.semantics import Semantics, preset_named
from opsanalytics.behavior.spec import Funnel, Retention
from opsanalytics.behavior.subjects import prepared
from opsanalytics.lake.paths import Home
from opsanalytics.queries.answers import FunnelResult, RetentionResult
from opsanalytics.queries.ask import FunnelLike, RetentionLike, as_segments
from opsanalytics.queries.inputs import as_definition, lake_of, moment
from opsanalytics.spark.chunks import PERSON, whole_persons
from opsanalytics.spark.columns import counted_events, looks_at_first_events, needed_columns
from opsanalytics.spark.lake import read_events
from opsanalytics.spark.work import (
    ANSWER,
    Answer,
    FunnelWork,
    RetentionWork,
    ValuesWork,
    Work,
    added_up,
    answering,
    unpacked,
)

SparkEvents: TypeAlias = DataFrame | Home | Path | str
"""A Spark DataFrame with `person`, `event`, `ts` and further columns, as `opsanalytics.funnel` takes them; or
the home folder of a lake, by any address that Spark can read."""
CHUNK_ROWS = 500_000
NOBODY_PARTS = 1_024
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class SparkEngine:
    """Answers the questions of `opsanalytics.funnel` and `opsanalytics.retention` with Spark, equally.

    Spark brings the events of each person together and in a row; its Python workers run the local engine on
    chunks of whole persons. A worker holds one chunk at a time: `chunk_rows` rows, or one person if that has
    more.
    """

    def __init__(
        self, session: SparkSession, *, chunk_rows: int = CHUNK_ROWS, overlaps: Sequence[Overlap] = ()
    ) -> None:
        """`overlaps`: the configuration's `[[overlaps]]`, for questions about a lake."""
        if chunk_rows < 1:
            raise ValueError(f"chunk_rows: {chunk_rows} is less than 1")
        self._session = session
        self._rows = chunk_rows
        self._overlaps = tuple(overlaps)

    def events(self, home: Home | Path | str, sources: Sequence[str] | None = None) -> DataFrame:
        """The events of a lake with their person."""
        if isinstance(home, str) and "://" in home:
            return read_events(self._session, home.rstrip("/"), self._overlaps, sources)
        # Java has a working folder of its own.
        local = lake_of(home)
        if local is None:
            raise TypeError(f"home: {type(home).__name__} is not the home folder of a lake")
        return read_events(self._session, str(local.root.absolute()), self._overlaps, sources)

    def funnel(
        self,
        events: SparkEvents,
        definition: FunnelLike,
        *,
        preset: str | Semantics = "opsanalytics",
        breakdown: str | Segment | Sequence[str | Segment] | None = None,
        as_of: datetime | None = None,
        first: date | None = None,
        last: date | None = None,
        timezone: str = "UTC",
    ) -> FunnelResult:
        """As `opsanalytics.funnel`. Raises: the same.

        Breakdowns by `all` and `step` take two rounds: which values are shown is decided over all persons.
        """
        asked = as_definition(definition, Funnel)
        semantics = preset_named(preset)
        check_preset(asked, semantics)
        segments = as_segments(breakdown)
        table = self._table(events, asked.sources)
        options: dict[str, Any] = {
            "as_of": self._end(table, as_of),
            "first": first,
            "last": last,
            "timezone": timezone,
            "preset": semantics,
        }
        empty = _empty(table)
        nothing = funnels.funnel(empty, asked, **options)
        no_parts = broken_down(empty, asked, segments, **options) if segments else []
        wanted = [name for one in segments for name in one.person_properties()]
        cohorts = [cohort for one in segments for cohort in one.cohorts()]
        table = _only(table, needed_columns(asked, table.columns, segments))
        table = _counting(
            table,
            counted_events(asked, semantics, bare=not wanted and not cohorts),
            asked.sources,
            options["as_of"],
        )
        by_person = asked
        if asked.entity is not None:
            table = self._by_entity(table, asked, options["as_of"], timezone, wanted, cohorts)
            by_person = asked.model_copy(update={"entity": None, "among": None})
        whole = looks_at_first_events(asked)
        separate = {at for at, one in enumerate(segments) if one.attributed(semantics) in SEPARATE}
        shown = {}
        if separate:
            values = self._asked(table, ValuesWork(by_person, tuple(segments), options), whole=whole)
            for at in separate:
                counts = [answer.table for answer in values if answer.part == at]
                shown[at] = most_frequent_of(pl.concat(counts), segments[at].limit) if counts else []
        work = FunnelWork(by_person, tuple(segments), options, shown)
        answers = self._asked(table, work, whole=whole)
        persons = _together(nothing.persons, answers, 0)
        left_out = _left_out(answers)
        counted = funnels.FunnelResult(asked, nothing.as_of, persons, left_out, semantics)
        parts = []
        for at, (one, part) in enumerate(zip(segments, no_parts, strict=True), 1):
            attempts = _together(part.attempts, answers, at)
            if at - 1 not in separate:
                attempts = limited(attempts, one)
            parts.append(Broken(one, counted, attempts, part.disjoint))
        return FunnelResult(counted, tuple(parts))

    def retention(
        self,
        events: SparkEvents,
        definition: RetentionLike,
        *,
        preset: Literal["opsanalytics", "posthog"] = "opsanalytics",
        as_of: datetime | None = None,
        timezone: str = "UTC",
        week_start: Weekday = "monday",
        max_cohorts: int | None = None,
    ) -> RetentionResult:
        """As `opsanalytics.retention`, without a breakdown. Raises: the same."""
        asked = as_definition(definition, Retention)
        table = self._table(events, asked.sources)
        rules, calendar, end = retentions.asked(
            asked,
            as_of=self._end(table, as_of),
            timezone=timezone,
            week_start=week_start,
            max_cohorts=max_cohorts,
            preset=preset,
        )
        RetentionWork(rules, calendar, end)(_empty(table))
        table = _only(table, needed_columns(rules, table.columns))
        table = _counting(
            table, counted_events(rules, preset_named("opsanalytics"), bare=True), rules.sources, end
        )
        by_person = rules
        if rules.entity is not None:
            table = self._by_entity(table, rules, end, timezone, (), ())
            by_person = rules.model_copy(update={"entity": None, "among": None})
        answers = self._asked(
            table, RetentionWork(by_person, calendar, end), whole=looks_at_first_events(rules)
        )
        counted = retentions.result_of(
            added_up(answers, len(rules.columns)),
            rules,
            calendar,
            as_of=end,
            max_cohorts=max_cohorts,
            left_out=_left_out(answers),
        )
        return RetentionResult(counted, {})

    def _table(self, events: SparkEvents, sources: Sequence[str] | None) -> DataFrame:
        if not isinstance(events, (Home, Path, str)):
            return _with_json(events)
        return self.events(events, sources)

    def _end(self, table: DataFrame, as_of: datetime | None) -> datetime:
        """`as_of` in UTC; if not given, the time of the last event."""
        if as_of is not None:
            if as_of.tzinfo is None:
                raise ValueError(
                    f"as_of: {as_of.isoformat()} has no time zone; write datetime(..., tzinfo=UTC)"
                )
            return as_of.astimezone(UTC)
        checked(_empty(table))
        last = F.unix_micros(F.max(F.col("ts").cast("timestamp")))
        return moment(table.select(last.alias("last")).collect()[0]["last"])

    def _asked(self, table: DataFrame, work: Work, *, whole: bool) -> list[Answer]:
        """What the workers say. Events of nobody are counted wherever they are, unless it matters which of
        them came first (`whole`)."""
        met = _by_person(table, nobody_whole=whole)
        run = answering(work, self._rows, nobody_whole=whole)
        return unpacked(_mapped(met, run, ANSWER).collect())

    def _by_entity(
        self,
        table: DataFrame,
        definition: Funnel | Retention,
        as_of: datetime,
        timezone: str,
        wanted: Sequence[str],
        cohorts: Sequence[Any],
    ) -> DataFrame:
        """Events with the entity as `person`, after all that has to be known of the real persons."""

        def prepare(chunk: pl.DataFrame) -> pl.DataFrame:
            done = prepared(
                chunk, definition, as_of=as_of, wanted=wanted, cohorts=cohorts, timezone=timezone
            ).lazy()
            return done.collect()

        schema = _plain(prepare(_empty(table))).schema
        size = self._rows

        def run(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
            for chunk in whole_persons(batches, size):
                yield from _plain(prepare(chunk)).cast(schema).to_batches()

        return _mapped(_by_person(table), run, schema)


def _mapped(
    table: DataFrame, run: Callable[[Iterator[pa.RecordBatch]], Iterator[pa.RecordBatch]], schema: pa.Schema
) -> DataFrame:
    """`run` on the batches of each partition, for columns of any name: `mapInArrow` takes none with a dot."""
    names = table.columns

    def named(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        return run(batch.rename_columns(names) for batch in batches)

    numbered = table.toDF(*(f"c{at}" for at in range(len(names))))
    return numbered.mapInArrow(named, from_arrow_schema(schema))


def _by_person(table: DataFrame, *, nobody_whole: bool = False) -> DataFrame:
    """All events of a person in one partition, one after the other; those of nobody anywhere."""
    keys = [F.col(PERSON)]
    if not nobody_whole:
        # Of the row itself, so that a task that is run again sends each row where it went before.
        spread = F.pmod(F.xxhash64("event", "ts"), F.lit(NOBODY_PARTS))
        keys.append(F.when(F.col(PERSON).isNull(), spread))
    return table.repartition(*keys).sortWithinPartitions(PERSON, "ts")


def _counting(
    table: DataFrame, names: set[str] | None, sources: Sequence[str] | None, as_of: datetime
) -> DataFrame:
    """Rows that can count: the others need not travel."""
    if names is not None:
        table = table.where(F.col("event").isin(sorted(names)))
    if sources is not None:
        table = table.where(F.col("source").isin(list(sources)))
    micros = (as_of - EPOCH) // timedelta(microseconds=1)
    return table.where(F.col("ts").isNull() | (F.unix_micros(F.col("ts").cast("timestamp")) <= micros))


def _only(table: DataFrame, names: Sequence[str]) -> DataFrame:
    """These columns, whatever is in their names."""
    return table.drop(*(name for name in table.columns if name not in set(names)))


def _with_json(table: DataFrame) -> DataFrame:
    """Maps as the text of JSON objects."""
    maps = [field.name for field in table.schema if isinstance(field.dataType, MapType)]
    return table.withColumns({name: F.to_json(table[f"`{name}`"]) for name in maps}) if maps else table


def _empty(table: DataFrame) -> pl.DataFrame:
    """No event, with the columns and types of all."""
    return pl.DataFrame(pl.from_arrow(to_arrow_schema(table.schema, timezone="UTC").empty_table()))


def _plain(table: pl.DataFrame) -> pa.Table:
    """As Arrow, in the types that Spark knows."""
    found = table.to_arrow(compat_level=pl.CompatLevel.oldest())
    plain = {pa.large_string(): pa.string(), pa.large_binary(): pa.binary()}
    return found.cast(
        pa.schema([field.with_type(plain.get(field.type, field.type)) for field in found.schema])
    )


def _together(empty: pl.DataFrame, answers: Sequence[Answer], part: int) -> pl.DataFrame:
    """Tables of a part in the order of the local engine: by person, then as each chunk has them."""
    tables = [answer.table for answer in answers if answer.part == part]
    return pl.concat([empty, *tables]).sort(PERSON, maintain_order=True)


def _left_out(answers: Sequence[Answer]) -> LeftOut:
    return LeftOut(
        sum(answer.left_out.without_person for answer in answers),
        sum(answer.left_out.without_time for answer in answers),
    )
