"""Spark's answers are those of the local engine, whatever is asked."""

import json
import random
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

import opsanalytics
from opsanalytics import Segment
from opsanalytics.behavior.folding import PresetError
from opsanalytics.behavior.rows import EventsError
from opsanalytics.behavior.semantics import PRESETS
from opsanalytics_tests.behavior.examples import START, at

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

LATER = START + timedelta(days=2)
A_CONTAINS = {"property": "k", "op": "contains", "value": "x"}
FUNNELS: dict[str, dict[str, Any]] = {
    "ordered": {"steps": ["A", "B", "C"]},
    "short window": {"steps": ["A", "B", "C"], "window": "9s"},
    "several events": {"steps": ["A", ["B", "X"], "C"]},
    "repeated": {"steps": ["A", "A", "B"]},
    "filters": {
        "steps": [{"event": "A", "where": {"k": ["x", "y"]}}, {"event": "B", "where": [A_CONTAINS]}, "C"]
    },
    "numbers": {"steps": ["A", {"event": "B", "where": [{"property": "v", "op": "gt", "value": 100}]}]},
    "strict": {"steps": ["A", "B"], "order": "strict"},
    "any order": {"steps": ["A", "B", "C"], "order": "any"},
    "optional": {"steps": ["A", {"event": "B", "optional": True}, "C"]},
    "within": {"steps": ["A", {"event": "B", "within": "20s"}, {"event": "C", "after": "2s"}]},
    "exclusions": {"steps": ["A", "B", "C"], "exclusions": [{"event": "X", "from_step": 1, "to_step": 2}]},
    "attempts": {"steps": ["A", "B"], "counting": "attempts"},
    "sessions": {"steps": ["A", "B"], "counting": "sessions", "session_gap": "30s"},
    "sessions by id": {"steps": ["A", "B"], "counting": "sessions", "session_property": "k"},
    "hold": {"steps": ["A", "B"], "hold": ["k"]},
    "entity": {"steps": ["A", "B", "C"], "entity": "account"},
    "entity, person filter": {
        "steps": ["A", {"event": "B", "where": [{"property": "k", "of": "person", "value": "x"}]}],
        "entity": "account",
    },
    "value": {"steps": ["A", "B"], "value": "v"},
    "person filter": {
        "steps": [{"event": "A", "where": [{"property": "k", "of": "person", "value": "y"}]}, "B"]
    },
    "first": {"steps": [{"event": "A", "occurrence": "first"}, "B"]},
    "first ever": {"steps": [{"event": "A", "where": {"k": "x"}, "occurrence": "first_ever"}, "B"]},
    "no re-entry": {"steps": ["A", "B"], "reentry": False},
    "any event": {"steps": ["A", "*"]},
    "sources": {"steps": ["A", "B"], "sources": ["web"]},
    "all steps": {"steps": ["A", "B"], "date_range": "all_steps"},
    "cohort": {
        "steps": ["A", "B"],
        "among": {"name": "busy", "where": [{"did": "X", "times": 2, "within": "1h"}]},
    },
}
RETENTIONS: dict[str, dict[str, Any]] = {
    "first": {"start": "A", "returning": "B", "period": "hour", "periods": 3},
    "first ever": {"start": {"event": "A", "where": {"k": "x"}}, "returning": "B", "cohort": "first_ever"},
    "recurring": {"start": "A", "returning": ["B", "C"], "period": "day", "cohort": "recurring"},
    "rolling": {"start": "A", "returning": "B", "period": "hour", "clock": "rolling", "periods": 4},
    "unbounded": {"start": "A", "returning": "*", "period": "hour", "returns": "on_or_after", "periods": 4},
    "brackets": {"start": "A", "returning": "B", "period": "hour", "brackets": [1, 2]},
    "minimum": {"start": "A", "returning": "B", "period": "day", "minimum": 2},
    "entity": {"start": "A", "returning": "B", "period": "day", "entity": "account"},
    "value": {"start": "A", "returning": "B", "period": "day", "value": "v"},
}


def events(seed: int = 7, rows: int = 600) -> pl.DataFrame:
    """Few seconds and many ties; some events of nobody, without time, before 1970 and after 2200."""
    chance = random.Random(seed)
    found = []
    for number in range(rows):
        ts: datetime | None = at(chance.randrange(90) + 3_600 * chance.randrange(8))
        if number % 97 == 0:
            ts = (None, datetime(1955, 1, 1, tzinfo=UTC), datetime(2250, 1, 1, tzinfo=UTC))[number // 97 % 3]
        properties = {
            "k": chance.choice("xyz"),
            "v": number if number % 5 else "none",
            "account": f"acc-{number % 7}" if number % 11 else None,
        }
        found.append(
            (
                chance.choice([*(f"p{n}" for n in range(25)), None]),
                chance.choice("ABCXY"),
                ts,
                json.dumps(properties),
                chance.choice(["web", "app"]),
                chance.choice(["ios", "android", None]),
            )
        )
    schema = {
        "person": pl.String,
        "event": pl.String,
        "ts": pl.Datetime("us", "UTC"),
        "properties": pl.String,
        "source": pl.String,
        "platform": pl.String,
    }
    return pl.DataFrame(found, schema=schema, orient="row")


class Both:
    """The same events for both engines."""

    def __init__(
        self, session: "SparkSession", folder: Path, table: pl.DataFrame, chunk_rows: int = 50
    ) -> None:
        from opsanalytics.spark import SparkEngine

        file = folder / "events.parquet"
        table.write_parquet(file)
        self.local = table
        self.spark = session.read.parquet(str(file))
        self.engine = SparkEngine(session, chunk_rows=chunk_rows)

    def funnels_agree(self, definition: Mapping[str, Any], **options: Any) -> None:
        asked = {"window": "60s", **definition}
        here = opsanalytics.funnel(self.local, asked, **options)
        there = self.engine.funnel(self.spark, asked, **options)
        assert_frame_equal(there.counts.persons, here.counts.persons)
        assert_frame_equal(there.to_polars(), here.to_polars())
        assert there.left_out == here.left_out
        assert there.definition_id == here.definition_id
        if options.get("breakdown"):
            assert_frame_equal(there.breakdown(), here.breakdown())

    def retentions_agree(self, definition: Mapping[str, Any], **options: Any) -> None:
        here = opsanalytics.retention(self.local, definition, **options)
        there = self.engine.retention(self.spark, definition, **options)
        assert_frame_equal(there.to_polars(), here.to_polars())
        assert there.left_out == here.left_out
        if definition.get("value"):
            assert_frame_equal(there.counts.value_cells(), here.counts.value_cells())


@pytest.fixture(scope="module")
def both(session: "SparkSession", tmp_path_factory: pytest.TempPathFactory) -> Both:
    return Both(session, tmp_path_factory.mktemp("events"), events())


@pytest.mark.parametrize("definition", FUNNELS.values(), ids=FUNNELS)
def test_every_funnel_is_the_same(both: Both, definition: dict[str, Any]) -> None:
    both.funnels_agree(definition, as_of=LATER)


@pytest.mark.parametrize("definition", RETENTIONS.values(), ids=RETENTIONS)
def test_every_retention_is_the_same(both: Both, definition: dict[str, Any]) -> None:
    both.retentions_agree(definition, as_of=LATER, timezone="Europe/Berlin")


@pytest.mark.parametrize("preset", [*PRESETS, "clickhouse:strict_order"])
def test_every_preset_is_the_same(both: Both, preset: str) -> None:
    both.funnels_agree(FUNNELS["ordered"], as_of=LATER, preset=preset)


@pytest.mark.parametrize(
    "segment",
    [
        "platform",
        Segment("k", limit=2),
        Segment("k", attribution="last"),
        Segment("k", of="person"),
        Segment(("platform", "k")),
        Segment("k", attribution="all", limit=2),
        Segment("k", attribution="step", step=2, limit=1),
        [Segment("k", limit=1), Segment("platform", attribution="all"), Segment("k", attribution="all")],
    ],
    ids=lambda segment: str(segment),
)
def test_breakdowns_are_the_same(both: Both, segment: Any) -> None:
    both.funnels_agree(FUNNELS["ordered"], as_of=LATER, breakdown=segment)


@pytest.mark.parametrize("name", ["entity", "hold", "strict", "value", "cohort"])
def test_groups_that_are_funnels_of_their_own_are_the_same(both: Both, name: str) -> None:
    both.funnels_agree(FUNNELS[name], as_of=LATER, breakdown=Segment("k", attribution="all", limit=1))


def test_without_an_as_of_it_is_the_last_event(both: Both) -> None:
    both.funnels_agree(FUNNELS["ordered"])
    both.retentions_agree({"start": "A", "returning": "B", "period": "month", "periods": 1})


def test_dates_limit_entries(both: Both) -> None:
    both.funnels_agree(
        FUNNELS["ordered"], as_of=LATER, first=START.date(), last=START.date(), timezone="Asia/Tokyo"
    )


def test_one_person_with_most_events_stays_whole(session: "SparkSession", tmp_path: Path) -> None:
    table = events(rows=900).with_columns(
        person=pl.when(pl.int_range(pl.len()) % 3 > 0).then(pl.lit("everybody")).otherwise("person")
    )
    Both(session, tmp_path, table, chunk_rows=7).funnels_agree(FUNNELS["attempts"], as_of=LATER)


@pytest.mark.parametrize("rows", [0, 1])
def test_hardly_any_events(session: "SparkSession", tmp_path: Path, rows: int) -> None:
    few = Both(session, tmp_path, events(rows=2).tail(rows))
    few.funnels_agree(FUNNELS["entity"], as_of=LATER)
    few.retentions_agree(RETENTIONS["first"], as_of=LATER)


def test_persons_may_be_numbers_properties_maps_and_names_dotted(
    session: "SparkSession", tmp_path: Path
) -> None:
    table = events().with_columns(person=pl.col("person").str.slice(1).cast(pl.Int64, strict=False))
    dotted = table.with_columns(pl.col("platform").alias("device.os"))
    mine = Both(session, tmp_path, dotted)
    mine.funnels_agree(FUNNELS["filters"], as_of=LATER, breakdown="device.os")
    expression = "from_json(properties, 'map<string,string>') as properties"
    mine.spark = mine.spark.selectExpr("person", "event", "ts", expression)
    mine.funnels_agree(FUNNELS["filters"], as_of=LATER)


SECONDS = st.integers(0, 14).map(at)
SOME = st.lists(st.tuples(st.sampled_from("pqrs"), st.sampled_from("ABCX"), SECONDS), max_size=25)


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=SOME, order=st.sampled_from(["ordered", "strict", "any"]), chunk=st.integers(1, 9))
def test_any_events_give_the_same(
    session: "SparkSession",
    tmp_path_factory: pytest.TempPathFactory,
    rows: Sequence[tuple[str, str, datetime]],
    order: str,
    chunk: int,
) -> None:
    schema = {"person": pl.String, "event": pl.String, "ts": pl.Datetime("us", "UTC")}
    table = pl.DataFrame(rows, schema=schema, orient="row")
    mine = Both(session, tmp_path_factory.mktemp("any"), table, chunk_rows=chunk)
    mine.funnels_agree({"steps": ["A", "B", "C"], "order": order, "window": "5s"}, as_of=LATER)


def test_what_is_wrong_is_said_before_anything_is_read(both: Both, tmp_path: Path) -> None:
    from opsanalytics.queries.inputs import DefinitionError

    with pytest.raises(DefinitionError, match="window"):
        both.engine.funnel(both.spark, {"steps": ["A", "B"], "window": "-1d"})
    with pytest.raises(PresetError):
        both.engine.funnel(
            both.spark, {"steps": ["A", "B"], "window": "60s", "order": "any"}, preset="clickhouse"
        )
    with pytest.raises(EventsError, match="person"):
        both.engine.funnel(both.spark.drop("person"), {"steps": ["A", "B"], "window": "60s"}, as_of=LATER)
