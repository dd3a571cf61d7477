"""Tables that nobody wishes for: the answers stay exact, or the error says what is wrong."""

from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl
import pytest

import opsanalytics
from opsanalytics import Funnel, Retention
from opsanalytics.behavior.semantics import PRESETS

TWO = Funnel(steps=["A", "B"], window="7d")
DAILY = Retention(start="A", returning="B", period="day", periods=2)
EMPTY = pl.DataFrame(schema={"person": pl.String, "event": pl.String, "ts": pl.Datetime("us")})


def table(rows: list[tuple[Any, Any, datetime | None]]) -> pl.DataFrame:
    schema = {"person": pl.String, "event": pl.String, "ts": pl.Datetime("us", "UTC")}
    return pl.DataFrame(rows, schema=schema, orient="row")


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("frame", [EMPTY, EMPTY.cast({"ts": pl.Null}), EMPTY.lazy()])
def test_no_events(preset: str, frame: Any) -> None:
    result = opsanalytics.funnel(frame, TWO, preset=preset)
    assert result.to_polars()["persons"].to_list() == [0, 0]
    assert result.conversion is None
    assert result.times().to_dict()["median"] is None
    assert result.persons(1).is_empty()
    assert "0 of 0, -" in repr(result)
    assert result._repr_html_()
    assert result.figure()


def test_no_events_of_a_retention() -> None:
    result = opsanalytics.retention(EMPTY, DAILY)
    assert result.pooled()["n"].to_list() == [0, 0, 0]
    assert result.to_polars()["cohort"].drop_nulls().is_empty()
    assert result._repr_html_()


@pytest.mark.parametrize("preset", PRESETS)
def test_nobody_no_time_and_no_name_count_nowhere(preset: str) -> None:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    rows = [(None, "A", now), ("p", "A", None), ("p", None, now), ("p", "A", now), ("p", "B", now)]
    result = opsanalytics.funnel(table(rows), TWO, preset=preset, as_of=now + timedelta(days=30))
    assert result.to_polars()["persons"].to_list() == [1, 1]
    assert (result.left_out.without_person, result.left_out.without_time) == (1, 1)


@pytest.mark.parametrize("year", [1, 1905, 1969, 2201, 2262, 9998])
def test_times_far_from_now(year: int) -> None:
    entry = datetime(year, 12, 30, 23, tzinfo=UTC)
    rows = [("p", "A", entry), ("p", "B", entry + timedelta(hours=2)), ("q", "A", entry)]
    rows.append(("q", "other", entry + timedelta(days=30)))
    frame = table(rows)
    result = opsanalytics.funnel(frame, TWO)
    assert result.to_polars()["persons"].to_list() == [2, 1]
    assert result.times().to_dict()["mean"] == 7_200
    trend = opsanalytics.funnel_trend(frame, TWO, period="day")
    assert trend.select("entered", "converted").rows() == [(2, 1)]
    kept = opsanalytics.retention(frame, DAILY).pooled()
    assert kept.select("n", "returned").rows() == [(2, 0), (2, 1), (2, 0)]


def test_one_person_with_a_million_events() -> None:
    n = 1_000_000
    frame = pl.select(
        person=pl.lit("p"),
        event=pl.when(pl.int_range(n) == n - 1).then(pl.lit("B")).otherwise(pl.lit("A")),
        ts=pl.lit(datetime(2026, 1, 1, tzinfo=UTC)) + pl.duration(seconds=pl.int_range(n)),
    )
    for order in ("ordered", "strict", "any"):
        definition = TWO.model_copy(update={"order": order})
        result = opsanalytics.funnel(frame, definition, preset="posthog")
        assert result.to_polars()["persons"].to_list() == [1, 1]
    assert (
        opsanalytics.retention(frame, DAILY.model_copy(update={"cohort": "recurring"})).pooled()["n"][0] > 0
    )


def test_ten_thousand_names_of_events() -> None:
    n = 10_000
    start = datetime(2026, 1, 1, tzinfo=UTC)
    frame = pl.select(
        person=(pl.int_range(2 * n) // 2).cast(pl.String),
        event=pl.format("event {}", pl.int_range(2 * n) % n),
        ts=pl.lit(start) + pl.duration(seconds=pl.int_range(2 * n)),
    )
    definition = Funnel(steps=["event 0", "event 1"], window="1d")
    result = opsanalytics.funnel(frame, definition, preset="posthog")
    assert result.to_polars()["persons"].to_list() == [2, 2]


def test_names_that_look_like_code() -> None:
    names = ["'; drop table events; --", "$['a']", "%s {0} \\", "\u202e\x00"]
    start = datetime(2026, 1, 1, tzinfo=UTC)
    rows = [("p", name, start + timedelta(hours=k)) for k, name in enumerate(names)]
    result = opsanalytics.funnel(table(rows), Funnel(steps=names, window="1d"), preset="posthog")
    assert result.to_polars()["persons"].to_list() == [1, 1, 1, 1]
    assert (
        "<script>"
        not in opsanalytics.funnel(
            table(rows), Funnel(steps=["<script>", "B"], window="1d"), preset="posthog"
        )._repr_html_()
    )
