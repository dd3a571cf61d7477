"""The public questions on real products, against chdb, Polars and plain loops that share nothing with us."""

from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pytest

import opsanalytics
from opsanalytics import Cohort, Funnel, Paths, Retention, Sessions
from opsanalytics_tests.behavior.reference_rules import Rules
from opsanalytics_tests.behavior.reference_rules import result as by_the_rules

Real = Callable[[str], Path]
DATA = ["stackoverflow_badges", "stackexchange_history_meta", "apache_weblog"]
EVENTS = {
    "stackoverflow_badges": ["Popular Question", "Notable Question", "Famous Question", "Nice Answer"],
    "stackexchange_history_meta": ["sign_up", "comment", "post_answer", "ask_question"],
}


def load(real: Real, data: str) -> pl.DataFrame:
    return pl.read_parquet(real(data)).rename({"user_id": "person"})


def cells(found: opsanalytics.RetentionResult) -> dict[Any, list[int]]:
    table = found.to_polars().filter(pl.col("cohort").is_not_null())
    return dict(table.group_by("cohort", maintain_order=True).agg("returned").rows())


RETENTION = """
with e as (
    select user_id as p, toMonday(toDateTime(ts, 'UTC')) as w, ts, event from file('{path}', Parquet)
), s as (
    select p, w, min(ts) as t from e where event = '{start}' group by p, w
), first as (select p, min(w) as w, min(t) as t from s group by p)
select c.w, intDiv(dateDiff('day', c.w, r.w), 7) as k, uniqExact(c.p)
from {cohorts} as c join (select * from e where event = '{back}') as r on r.p = c.p
where r.ts > c.t and r.w >= c.w and k <= 8 group by c.w, k order by c.w, k
"""


@pytest.mark.parametrize("cohort", ["recurring", "first"])
@pytest.mark.parametrize("data", list(EVENTS))
def test_weekly_retention_against_clickhouse(real: Real, data: str, cohort: str) -> None:
    chdb = pytest.importorskip("chdb", reason="embedded ClickHouse is not installed")
    start, back = EVENTS[data][:2]
    cohorts = "s" if cohort == "recurring" else "first"
    query = RETENTION.format(path=real(data), start=start, back=back, cohorts=cohorts)
    theirs = {
        (week, int(k)): int(n)
        for week, k, n in (line.split("\t") for line in str(chdb.query(query, "TSV")).splitlines())
    }
    assert len(theirs) > 100
    asked = Retention(start=start, returning=back, period="week", periods=8, cohort=cohort)
    found = opsanalytics.retention(load(real, data), asked, as_of=datetime(2030, 1, 1, tzinfo=UTC))
    ours = {
        (str(week), k): n
        for week, row in cells(found).items()
        for k, n in zip(range(9), row, strict=True)
        if n
    }
    assert ours == theirs


@pytest.mark.parametrize("data", DATA)
def test_sessions_against_sql(real: Real, data: str) -> None:
    query = """
        with e as (select user_id as person, ts, lag(ts) over w as before
                   from read_parquet($path) window w as (partition by user_id order by ts)),
        s as (select person, ts, sum((before is null or ts - before > interval 30 minutes)::int)
                     over (partition by person order by ts, before nulls first rows unbounded preceding) as n
              from e)
        select person, min(ts) as start_ts, count(*) as events from s group by person, n
        order by person, start_ts
    """
    with duckdb.connect() as connection:
        theirs = connection.sql(query, params={"path": str(real(data))}).pl()
    found = opsanalytics.sessions(
        load(real, data), Sessions(gap="30m"), as_of=datetime(2030, 1, 1, tzinfo=UTC)
    )
    ours = found.each().sort("person", "start_ts")
    assert ours.height > 1_000
    assert ours["events"].to_list() == theirs["events"].to_list()
    assert ours["start_ts"].dt.epoch("us").to_list() == theirs["start_ts"].dt.epoch("us").to_list()


def test_what_follows_in_sessions_against_plain_loops(real: Real) -> None:
    frame = load(real, "stackoverflow_badges")
    follows: Counter[tuple[str, str]] = Counter()
    sessions: list[list[str]] = []
    last: tuple[str, datetime] | None = None
    for person, event, ts in frame.select("person", "event", "ts").sort("person", "ts", "event").iter_rows():
        if last is None or last[0] != person or ts - last[1] > timedelta(hours=2):
            sessions.append([])
        sessions[-1].append(event)
        last = (person, ts)
    follows.update((made[0], made[1]) for made in sessions if len(made) > 1)
    asked = Paths(gap="2h", steps=1, occurrence="every", collapse=False, limit=100, min_persons=1)
    found = opsanalytics.paths(frame, asked, as_of=datetime(2030, 1, 1, tzinfo=UTC)).to_polars()
    ours = found.filter(~pl.col("to_event").str.starts_with("("))
    assert sum(follows.values()) > 5_000
    assert {(a, b): n for a, b, n in ours.select("from_event", "to_event", "count").rows()} == follows


def test_a_cohort_against_polars(real: Real) -> None:
    frame = load(real, "stackexchange_history_meta")
    counted = frame.group_by("person").agg(
        answered=(pl.col("event") == "post_answer").sum(), asked=(pl.col("event") == "ask_question").sum()
    )
    theirs = counted.filter(pl.col("answered") >= 2, pl.col("asked") == 0)["person"].sort().to_list()
    those = Cohort(name="those", where=[{"did": "post_answer", "times": 2}, {"did_not": "ask_question"}])
    found = opsanalytics.cohort(frame, those, as_of=datetime(2030, 1, 1, tzinfo=UTC)).members()
    assert len(theirs) > 10
    assert found["person"].sort().to_list() == theirs


FORMS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "ordered": ({}, {}),
    "strict": ({"order": "strict"}, {"order": "strict"}),
    "any order": ({"order": "any"}, {"order": "any"}),
    "exclusion": ({"exclusions": [{"event": 3}]}, {"exclusions": [("d", 1, 3)]}),
    "exclusion, strict": (
        {"exclusions": [{"event": 3}], "order": "strict"},
        {"exclusions": [("d", 1, 3)], "order": "strict"},
    ),
    "exclusion, any order": (
        {"exclusions": [{"event": 3}], "order": "any"},
        {"exclusions": [("d", 1, 3)], "order": "any"},
    ),
    "exclusion of a part": (
        {"exclusions": [{"event": 3, "from_step": 2, "to_step": 3}]},
        {"exclusions": [("d", 2, 3)]},
    ),
    "optional": ({"optional": True}, {"optional": frozenset({2})}),
}


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
@pytest.mark.parametrize("data", list(EVENTS))
def test_funnels_of_every_form_against_the_rules_written_plainly(
    real: Real, data: str, form: tuple[dict[str, Any], dict[str, Any]]
) -> None:
    """Four events of persons with few of them; others stand between only where the funnel is strict."""
    names = EVENTS[data]
    letter = dict(zip(names, "abcd", strict=True))
    days = 30
    fields, rules = dict(form[0]), Rules("abc", days * 86_400_000_000, **form[1])
    frame = load(real, data).with_columns(size=pl.len().over("person")).filter(pl.col("size") <= 60)
    exclusions = [one | {"event": names[one["event"]]} for one in fields.pop("exclusions", ())]
    steps = [names[0], {"event": names[1], "optional": fields.pop("optional", False)}, names[2]]
    asked = Funnel(steps=steps, window=f"{days}d", exclusions=exclusions, **fields)
    found = opsanalytics.funnel(frame, asked, as_of=datetime(2030, 1, 1, tzinfo=UTC))
    ours = dict(found.persons(1).select("person", "step_reached").rows())
    theirs = {}
    kept = frame if asked.order == "strict" else frame.filter(pl.col("event").is_in(names))
    micros = kept.select("person", "event", pl.col("ts").dt.epoch("us"))
    for (person,), group in micros.group_by("person", maintain_order=True):
        made = by_the_rules(
            [(letter.get(event, "o"), ts) for _, event, ts in group.sort("ts").iter_rows()], rules
        )
        if made:
            theirs[person] = made[-1][0]
    assert len(theirs) > 100
    assert ours == theirs
