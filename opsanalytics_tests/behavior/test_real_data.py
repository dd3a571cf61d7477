"""Real products, recomputed by SQL that shares nothing with the engines."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import polars as pl
import pytest

from opsanalytics.behavior.funnel import funnel
from opsanalytics.behavior.funnel_breakdown import funnel_breakdown
from opsanalytics.behavior.funnel_trend import funnel_trend
from opsanalytics.behavior.retention import retention
from opsanalytics.behavior.spec import Funnel, Retention

Real = Callable[[str], Path]

# Three steps with different names: of each entry, the next step is the first one at or after it, and
# an attempt's window ends its chain. Best of all entries of a person, mature and open ones apart.
ATTEMPTS = """
with e as (select user_id as person, event, ts from read_parquet($path) where ts <= $as_of),
a as (select person, ts as t1, ts + $window <= $as_of as mature from e where event = $one),
b as (select a.*, e.ts as t2 from a asof left join (from e where event = $two) e
      on a.person = e.person and a.t1 <= e.ts),
c as (select b.*, e.ts as t3 from b asof left join (from e where event = $three) e
      on b.person = e.person and b.t2 <= e.ts),
cut as (select person, mature, t1, if(t2 <= t1 + $window, t2, null) as t2,
               if(t3 <= t1 + $window, t3, null) as t3 from c),
depth as (select *, 1 + (t2 is not null)::int + (t3 is not null)::int as depth from cut)
"""
BEST = """
select person, mature, depth as step_reached, t1 as entry_ts, t2 as ts_2, t3 as ts_3 from depth
qualify row_number() over (partition by person, mature
                           order by depth desc, coalesce(t3, t2, t1), t1 desc) = 1
order by person, mature desc
"""


def best_by_sql(path: Path, steps: list[str], window: timedelta, as_of: datetime) -> pl.DataFrame:
    with duckdb.connect() as connection:
        names = dict(zip(("one", "two", "three"), steps, strict=True))
        parameters = {"path": str(path), "window": window, "as_of": as_of.replace(tzinfo=None), **names}
        return connection.sql(ATTEMPTS + BEST, params=parameters).pl()


@pytest.mark.parametrize(
    ("data", "steps", "window", "as_of"),
    [
        (
            "stackoverflow_badges",
            ["Popular Question", "Notable Question", "Famous Question"],
            "7d",
            datetime(2014, 1, 1, tzinfo=UTC),
        ),
        (
            "stackoverflow_badges",
            ["Nice Answer", "Good Answer", "Great Answer"],
            "12w",
            datetime(2013, 6, 30, 12, tzinfo=UTC),
        ),
        (
            "stackexchange_history_meta",
            ["sign_up", "comment", "post_answer"],
            "30d",
            datetime(2023, 12, 3, tzinfo=UTC),
        ),
    ],
)
def test_every_person_of_a_funnel(
    real: Real, data: str, steps: list[str], window: str, as_of: datetime
) -> None:
    path = real(data)
    definition = Funnel(name="real", steps=steps, window=window)
    events = pl.scan_parquet(path).rename({"user_id": "person"})
    ours = funnel(events, definition, as_of=as_of).persons.select(
        "person", "mature", "step_reached", "entry_ts", "ts_2", "ts_3"
    )
    theirs = best_by_sql(path, steps, definition.window, as_of)
    assert ours.height > 1000
    assert ours.with_columns(pl.col(pl.Datetime).dt.replace_time_zone(None)).rows() == theirs.rows()


def test_every_week_of_a_trend(real: Real) -> None:
    path = real("stackoverflow_badges")
    steps = ["Popular Question", "Notable Question", "Famous Question"]
    definition = Funnel(name="real", steps=steps, window="7d")
    as_of = datetime(2013, 9, 4, 12, tzinfo=UTC)
    frame = funnel_trend(
        pl.scan_parquet(path).rename({"user_id": "person"}),
        definition,
        as_of=as_of,
        timezone="America/New_York",
        week_start="monday",
    ).select("period_start", "entered", "converted", "immature_entered")
    query = (
        ATTEMPTS
        + """,
    units as (
        select person, mature, max(depth) as depth,
               date_trunc('week', timezone('America/New_York', timezone('UTC', t1)))::date as week
        from depth group by all)
    select week, count(*) filter (mature), count(*) filter (mature and depth = 3),
           count(*) filter (not mature)
    from units group by week order by week
    """
    )
    with duckdb.connect() as connection:
        names = dict(zip(("one", "two", "three"), steps, strict=True))
        parameters = {
            "path": str(path),
            "window": definition.window,
            "as_of": as_of.replace(tzinfo=None),
            **names,
        }
        theirs = connection.sql(query, params=parameters).fetchall()
    assert len(theirs) > 50
    assert frame.rows() == theirs


def test_breakdown_by_a_property_of_the_sign_up(real: Real) -> None:
    path = real("stackexchange_history_meta")
    definition = Funnel(name="real", steps=["sign_up", "earn_badge"], window="90d")
    as_of = datetime(2023, 12, 3, tzinfo=UTC)
    frame = funnel_breakdown(
        pl.scan_parquet(path).rename({"user_id": "person"}), definition, segment="has_location", as_of=as_of
    )
    query = """
    with e as (select user_id, event, ts, properties->>'has_location' as location from read_parquet($path)),
    s as (select * from e where event = 'sign_up' and ts + interval 90 day <= $as_of),
    r as (select s.user_id, coalesce(s.location, '(none)') as value, count(b.ts) > 0 as converted
          from s left join e b on b.user_id = s.user_id and b.event = 'earn_badge'
               and b.ts between s.ts and s.ts + interval 90 day
          group by all)
    select value, count(*), count(*) filter (converted) from r group by value order by value
    """
    with duckdb.connect() as connection:
        theirs = connection.sql(
            query, params={"path": str(path), "as_of": as_of.replace(tzinfo=None)}
        ).fetchall()
    ours = frame.filter(pl.col("step") == 2).select("value", "entered", "persons").rows()
    assert len(theirs) >= 2
    assert ours == theirs


@pytest.mark.parametrize("cohort", ["first", "recurring"])
@pytest.mark.parametrize("period", ["week", "month"])
def test_every_cell_of_twelve_years_of_retention(real: Real, cohort: str, period: str) -> None:
    path = real("stackexchange_history_meta")
    start = "sign_up" if cohort == "first" else "comment"
    definition = Retention(
        name="real",
        start=start,
        returning=["comment", "post_answer"],
        period=period,
        periods=6,
        cohort=cohort,  # type: ignore[arg-type]
    )
    as_of = datetime(2023, 12, 2, tzinfo=UTC)
    events = pl.scan_parquet(path).rename({"user_id": "person"})
    ours = retention(events, definition, as_of=as_of, timezone="Europe/Berlin").cells
    only_first = "qualify row_number() over (partition by user_id order by cohort) = 1"
    only_first = only_first if cohort == "first" else ""
    query = f"""
    with e as (select user_id, event, ts,
                      date_trunc('{period}', timezone('Europe/Berlin', timezone('UTC', ts)))::date as p
               from read_parquet($path) where ts <= $as_of),
    every as (select user_id, p as cohort, min(ts) as started from e where event = $start group by all),
    starts as (from every {only_first}),
    sizes as (select cohort, count(*) as n from starts group by cohort),
    came as (select cohort, date_diff('{period}', cohort, e.p) as k, count(distinct s.user_id) as returned
             from starts s join e on e.user_id = s.user_id and e.event in ('comment', 'post_answer')
                  and e.ts > s.started
             where date_diff('{period}', cohort, e.p) <= 6 group by all)
    select s.cohort, k.k::int, n, coalesce(returned, 0)
    from sizes s cross join range(7) k(k) left join came on came.cohort = s.cohort and came.k = k.k
    where s.cohort + k.k * interval 1 {period} <= timezone('Europe/Berlin', timezone('UTC', $as_of))
    order by all
    """
    with duckdb.connect() as connection:
        theirs = connection.sql(
            query, params={"path": str(path), "as_of": as_of.replace(tzinfo=None), "start": start}
        ).fetchall()
    cells = ours.filter(pl.col("cohort").is_not_null()).select("cohort", "period", "n", "returned")
    assert len(theirs) > 500
    assert cells.rows() == theirs
