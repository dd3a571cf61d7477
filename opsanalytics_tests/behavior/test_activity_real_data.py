"""Lifecycle, stickiness, usage interval and trends of real products, recomputed by SQL."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import polars as pl
import pytest

from opsanalytics.behavior.activity_spec import Lifecycle, Stickiness, UsageInterval
from opsanalytics.behavior.lifecycle import lifecycle
from opsanalytics.behavior.stickiness import stickiness
from opsanalytics.behavior.trends import trends
from opsanalytics.behavior.trends_spec import Trends
from opsanalytics.behavior.usage_interval import usage_interval

Real = Callable[[str], Path]
AS_OF = datetime(2020, 6, 15, 12, tzinfo=UTC)
ZONE = "America/New_York"
# Local days of New York by ICU, months as numbers.
LOCAL = """
with e as (
  select user_id as person, event, ts at time zone 'UTC' at time zone 'America/New_York' as wall
  from read_parquet($path) where ts <= timestamp '2020-06-15 12:00:00' and user_id is not null
), m as (
  select distinct person, wall::date as day, year(wall) * 12 + month(wall) as month from e
)
"""
STATES = f"""{LOCAL}, p as (select distinct person, month from m),
s as (select *, lag(month) over w as before, lead(month) over w as after from p
      window w as (partition by person order by month)),
t as (
  select month, if(before is null, 'new', if(before = month - 1, 'returning', 'resurrected')) as state from s
  union all select month + 1, 'dormant' from s where after is null or after > month + 1
)
select month, state, count(*) as persons from t where month < 2020 * 12 + 6 group by all order by all
"""
UNITS = f"""{LOCAL}, u as (select person, month, count(*) as units from m group by all)
select month, units, count(*) as persons from u group by all order by all
"""
PAUSES = f"""{LOCAL}, d as (select distinct person, day from m),
g as (select person, day - lag(day) over (partition by person order by day) as pause from d),
p as (select person, median(pause) as pause from g where pause is not null group by person)
select count(*) as n, median(pause) as middle from p
"""
SHARE = f"""{LOCAL}, y as (select distinct person, event, year(wall) * 12 + month(wall) as month from e)
select month, count(distinct person) filter (event = 'ask_question') as a,
       count(distinct person) filter (event = 'comment') as b from y group by all order by all
"""


@pytest.fixture
def path(real: Real) -> Path:
    return real("stackexchange_history_meta")


@pytest.fixture
def events(path: Path) -> pl.DataFrame:
    return pl.read_parquet(path).rename({"user_id": "person"})


def asked(query: str, path: Path) -> pl.DataFrame:
    with duckdb.connect() as connection:
        return connection.sql(query, params={"path": str(path)}).pl()


def month() -> pl.Expr:
    day = pl.col("period_start")
    return (day.dt.year().cast(pl.Int64) * 12 + day.dt.month()).alias("month")


def test_lifecycle(path: Path, events: pl.DataFrame) -> None:
    found = lifecycle(events, Lifecycle(period="month"), as_of=AS_OF, timezone=ZONE).periods
    states = ["dormant", "new", "resurrected", "returning"]
    long = (
        found.filter(pl.col("dormant").is_not_null())
        .select(month(), *states)
        .unpivot(states, index="month", variable_name="state", value_name="persons")
        .filter(pl.col("persons") > 0)
        .sort("month", "state")
    )
    expected = asked(STATES, path)
    assert expected.height > 300
    assert long.rows() == expected.rows()


def test_stickiness(path: Path, events: pl.DataFrame) -> None:
    found = stickiness(events, Stickiness(period="month"), as_of=AS_OF, timezone=ZONE).cells
    cells = found.filter(pl.col("period_start").is_not_null(), pl.col("persons") > 0)
    expected = asked(UNITS, path)
    assert expected.height > 300
    assert cells.select(month(), "units", "persons").rows() == expected.rows()


def test_usage_interval(path: Path, events: pl.DataFrame) -> None:
    found = usage_interval(events, UsageInterval(), as_of=AS_OF, timezone=ZONE).summary
    expected = asked(PAUSES, path)
    assert expected["n"][0] > 100
    assert found.select("n", "median").rows() == expected.rows()


def test_trends(path: Path, events: pl.DataFrame) -> None:
    series = [{"event": name, "measure": "persons"} for name in ("ask_question", "comment")]
    definition = Trends(series=series, formulas=["A / B"], period="month")
    found = trends(events, definition, as_of=AS_OF, timezone=ZONE).rows
    expected = asked(SHARE, path)
    assert expected["a"].sum() > 100
    for letter, column in (("A", "a"), ("B", "b")):
        rows = found.filter(pl.col("series") == letter, pl.col("number") > 0)
        wanted = expected.filter(pl.col(column) > 0).select("month", column)
        assert rows.select(month(), pl.col("number").cast(pl.Int64)).rows() == wanted.rows()
