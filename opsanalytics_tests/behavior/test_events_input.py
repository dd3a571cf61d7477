"""Tables of events that cannot be read are refused by name, before their rows are."""

from collections.abc import Callable
from datetime import UTC, date, datetime
from typing import Any

import polars as pl
import pytest

from opsanalytics.behavior.funnel import funnel
from opsanalytics.behavior.funnel_breakdown import funnel_breakdown
from opsanalytics.behavior.funnel_trend import funnel_trend
from opsanalytics.behavior.retention import retention
from opsanalytics.behavior.rows import EventsError
from opsanalytics.behavior.spec import Funnel, Retention
from opsanalytics_tests.behavior.examples import LATER, START, table

TWO = Funnel(name="two", steps=["A", "B"], window="60s")
EMPTY = table({})


def exploding(frame: pl.DataFrame) -> pl.LazyFrame:
    """A table whose rows must not be read."""

    def fail(_: pl.DataFrame) -> pl.DataFrame:
        raise AssertionError("data was read")

    return frame.lazy().map_batches(fail, schema=frame.schema)


@pytest.mark.parametrize(
    ("events", "message"),
    [
        (EMPTY.drop("person"), r"lack the columns \['person'\]"),
        (EMPTY.drop("ts", "event"), r"lack the columns \['event', 'ts'\]"),
        (
            EMPTY.with_columns(pl.col("ts").cast(pl.String)),
            r"column ts is String, not Datetime; .*str\.to_datetime",
        ),
        (
            EMPTY.with_columns(pl.col("ts").dt.epoch("ms")),
            r"column ts is Int64, not Datetime; .*pl\.from_epoch",
        ),
        (
            EMPTY.rename({"person": "User_ID", "ts": "timestamp"}),
            r"\.rename\(\{'User_ID': 'person', 'timestamp': 'ts'\}\)",
        ),
        (EMPTY.with_columns(pl.Series("person", [], dtype=pl.Object)), "Python objects, which do not sort"),
        (EMPTY.with_columns(pl.col("event").cast(pl.Int64)), "column event is Int64, not text"),
        (EMPTY.with_columns(properties=pl.lit(1)), "column properties is Int32"),
        (EMPTY.with_columns(person=pl.concat_list("person")), "does not sort"),
    ],
)
def test_unusable_tables(events: pl.DataFrame, message: str) -> None:
    with pytest.raises(EventsError, match=message):
        funnel(exploding(events), TWO, as_of=LATER)


def test_sources_need_the_column() -> None:
    web = Funnel(name="web", steps=["A", "B"], window="60s", sources=["web"])
    with pytest.raises(EventsError, match="source because the definition names sources"):
        funnel(exploding(EMPTY), web, as_of=LATER)


def _breakdown(events: pl.LazyFrame, definition: Funnel, **keywords: Any) -> pl.DataFrame:
    return funnel_breakdown(events, definition, segment="plan", **keywords)


@pytest.mark.parametrize("engine", [funnel, funnel_trend, _breakdown])
@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        ({"as_of": datetime(2026, 1, 1)}, "as_of: 2026-01-01T00:00:00 has no time zone"),  # noqa: DTZ001
        ({"first": START.replace(tzinfo=None)}, "first: .* is a time without a zone"),
        ({"first": date(2026, 2, 1), "last": date(2026, 1, 1)}, "lies before first"),
        ({"timezone": "Mars"}, "timezone: 'Mars'"),
    ],
)
def test_wrong_arguments(engine: Callable[..., Any], keywords: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        engine(exploding(EMPTY.with_columns(plan=pl.lit("x"))), TWO, **({"as_of": LATER} | keywords))


def test_retention_checks_its_arguments_first() -> None:
    weekly = Retention(name="w", start="S", returning="R")
    for keywords in ({"as_of": datetime(2026, 1, 1)}, {"timezone": "Mars"}, {"week_start": "x"}):  # noqa: DTZ001
        with pytest.raises(ValueError, match=next(iter(keywords))):
            retention(exploding(EMPTY), weekly, **({"as_of": datetime(2026, 1, 1, tzinfo=UTC)} | keywords))  # type: ignore[arg-type]
