"""The rules of the ordered funnel, one small case each."""

import itertools
import json
from datetime import UTC, date, datetime, timedelta

import polars as pl
import pytest

from opsanalytics.behavior.funnel import FunnelResult, funnel
from opsanalytics.behavior.spec import Funnel
from opsanalytics.behavior.tables import FUNNEL_STEPS
from opsanalytics_tests.behavior.examples import LATER, START, at, table, written

TWO = Funnel(name="two", steps=["A", "B"], window="60s")
THREE = Funnel(name="three", steps=["A", "B", "C"], window="60s")


def reached(vector: str, definition: Funnel) -> tuple[int, list[float]]:
    """Furthest step and the gaps between steps, seconds, of one person."""
    result = funnel(table({"p": written(vector)}), definition, as_of=LATER).persons
    if not result.height:
        return 0, []
    row = result.row(0, named=True)
    times = [row[f"ts_{k}"] for k in range(1, row["step_reached"] + 1)]
    return row["step_reached"], [(b - a).total_seconds() for a, b in itertools.pairwise(times)]


@pytest.mark.parametrize(
    ("vector", "definition", "expected"),
    [
        pytest.param("A1 B61", TWO, (2, [60.0]), id="the end of the window is inside"),
        pytest.param("A1 B62", TWO, (1, []), id="one second later is outside"),
        pytest.param("A1 A51 B101", TWO, (2, [50.0]), id="a second entry counts"),
        pytest.param("A1 A6 B11", TWO, (2, [5.0]), id="of two entries with one completion the latest"),
        pytest.param("A1 B41 C81", THREE, (2, [40.0]), id="the window is measured from the entry"),
        pytest.param("A1 B11 A21 C71", THREE, (2, [10.0]), id="an entry does not take an earlier step 2"),
        pytest.param("A1 B11 A21 B31 C75", THREE, (3, [10.0, 44.0]), id="an entry with its own step 2 does"),
        pytest.param("A1 B1", TWO, (2, [0.0]), id="equal times, in order"),
        pytest.param("B1 A1", TWO, (2, [0.0]), id="equal times, in the other order"),
        pytest.param("C1 B1 A1", THREE, (3, [0.0, 0.0]), id="equal times, three steps backwards"),
        pytest.param("B1 A2", TWO, (1, []), id="a step before the entry does not count"),
        pytest.param("B1 A5 B10", TWO, (2, [5.0]), id="out of order, then in order"),
        pytest.param("A1 C5", THREE, (1, []), id="a step cannot be skipped"),
        pytest.param("A1 B2 A3 B4 C5", THREE, (3, [1.0, 1.0]), id="the latest entry that completes"),
        pytest.param("A1 B5 A90 B91", TWO, (2, [4.0]), id="the earliest completion counts, not the shortest"),
        pytest.param("B1 C2", TWO, (0, []), id="nobody enters without step 1"),
    ],
)
def test_vector(vector: str, definition: Funnel, expected: tuple[int, list[float]]) -> None:
    # The vectors of analytics-semantics.md without exclusions; they are PostHog's results as well.
    assert reached(vector, definition) == expected


BOTH_STEPS = pl.DataFrame({"person": ["p"] * 2, "event": ["S", "S"], "ts": [at(1), at(5)]})


@pytest.mark.parametrize(("events", "expected"), [(1, 1), (2, 2)])
def test_one_event_serves_one_step(events: int, expected: int) -> None:
    twice = Funnel(name="twice", steps=["S", "S"], window="60s")
    result = funnel(BOTH_STEPS.head(events), twice, as_of=LATER)
    assert result.persons["step_reached"].to_list() == [expected]


def test_one_event_that_matches_steps_two_and_three_serves_one_of_them() -> None:
    definition = Funnel(
        name="f",
        steps=["A", {"event": "D", "where": {"k": "1"}}, {"event": "D", "where": {"l": "1"}}],
        window="60s",
    )
    events = pl.DataFrame(
        {"person": ["p"] * 2, "event": ["A", "D"], "ts": [at(1), at(5)], "k": ["1", "1"], "l": ["1", "1"]}
    )
    assert funnel(events, definition, as_of=LATER).persons["step_reached"].to_list() == [2]


def test_tied_events_are_given_to_the_steps_that_need_them() -> None:
    # The first D could serve step 2 or 3, the second step 2 only: both steps find one.
    definition = Funnel(
        name="f",
        steps=["A", {"event": "D", "where": {"k": "1"}}, {"event": "D", "where": {"l": "1"}}],
        window="60s",
    )
    events = pl.DataFrame(
        {
            "person": ["p"] * 3,
            "event": ["D", "D", "A"],
            "ts": [at(5), at(5), at(5)],
            "k": ["1", "1", None],
            "l": ["1", None, None],
        }
    )
    assert funnel(events, definition, as_of=LATER).persons["step_reached"].to_list() == [3]


def steps(result: FunnelResult, *columns: str) -> list[tuple[object, ...]]:
    return result.to_polars().select(columns).rows()


def test_counts_rates_and_times_by_step() -> None:
    people = {"a": "A0 B10 C20", "b": "A0 B30", "c": "A0", "d": "A0 B20"}
    result = funnel(table({p: written(v) for p, v in people.items()}), THREE, as_of=LATER)
    assert steps(result, "entered", "persons", "previous", "rate", "step_rate") == [
        (4, 4, 4, 1.0, 1.0),
        (4, 3, 4, 0.75, 0.75),
        (4, 1, 3, 0.25, pytest.approx(1 / 3)),
    ]
    assert steps(result, "median_seconds", "mean_seconds", "p90_seconds") == [
        (None, None, None),
        (20.0, 20.0, 28.0),
        (10.0, 10.0, 10.0),
    ]


def test_a_gap_of_zero_seconds_is_part_of_the_average() -> None:
    # PostHog leaves such gaps out, which makes people who convert at once look slower.
    people = {"a": written("A0 B0"), "b": written("A0 B10")}
    row = funnel(table(people), TWO, as_of=LATER).to_polars().row(1, named=True)
    assert row["mean_seconds"] == 5.0


def test_the_date_range_limits_entries_not_conversions() -> None:
    # PostHog would lose the conversion after the range.
    day = timedelta(days=1)
    late = Funnel(name="late", steps=["A", "B"], window="7d")
    people = {
        "before": [("A", START - day), ("B", START)],
        "inside": [("A", START), ("B", START + 3 * day)],
        "after": [("A", START + day), ("B", START + 2 * day)],
    }
    result = funnel(table(people), late, as_of=LATER, first=START.date(), last=START.date())
    assert result.persons["person"].to_list() == ["inside"]
    assert result.conversion == 1.0


def test_days_of_the_range_are_local() -> None:
    # 23:30 UTC on 28 February is 1 March in Berlin.
    people = {"p": [("A", START - timedelta(minutes=30))]}
    for timezone, entered in (("UTC", 0), ("Europe/Berlin", 1)):
        result = funnel(table(people), TWO, as_of=LATER, first=date(2026, 3, 1), timezone=timezone)
        assert result.entered == entered


def test_an_entry_outside_the_range_may_still_serve_a_later_step() -> None:
    again = Funnel(name="again", steps=["A", "A"], window="3d")
    people = {"p": [("A", START), ("A", START + timedelta(days=2))]}
    result = funnel(table(people), again, as_of=LATER, last=START.date())
    assert result.persons["step_reached"].to_list() == [2]


def test_only_named_sources_count() -> None:
    events = table({"p": written("A0 B1")}).with_columns(source=pl.Series(["web", "app"]))
    web = Funnel(name="web", steps=["A", "B"], window="60s", sources=["web"])
    assert funnel(events, web, as_of=LATER).persons["step_reached"].to_list() == [1]


def test_events_without_person_or_time_are_counted_and_left_out() -> None:
    events = pl.DataFrame(
        {
            "person": ["p", None, "q", None],
            "event": ["A", "A", "A", "other"],
            "ts": [at(0), at(0), None, at(0)],
        }
    )
    result = funnel(events, TWO, as_of=LATER)
    assert result.entered == 1
    assert (result.left_out.without_person, result.left_out.without_time) == (1, 1)


def test_nobody_at_all() -> None:
    result = funnel(table({}), TWO, as_of=LATER)
    assert steps(result, "entered", "persons", "rate", "rate_low", "median_seconds") == [
        (0, 0, None, None, None),
        (0, 0, None, None, None),
    ]
    assert result.conversion is None
    assert result.so_far().rows() == [(1, 0), (2, 0)]
    assert "0 entered" in repr(result)


@pytest.mark.parametrize("year", [1, 1901, 1969, 2262, 9990])
def test_times_far_from_now(year: int) -> None:
    entry = datetime(year, 12, 31, 23, 59, 30, tzinfo=UTC)
    people = {"p": [("A", entry), ("B", entry + timedelta(seconds=60))]}
    result = funnel(table(people), TWO, as_of=datetime(9999, 1, 1, tzinfo=UTC))
    assert result.persons.select("step_reached", "ts_2").rows() == [(2, entry + timedelta(seconds=60))]


def test_the_longest_window_with_the_earliest_and_latest_times() -> None:
    century = Funnel(name="c", steps=["A", "B"], window="36525d")
    people = {"p": [("A", datetime(1, 1, 1, tzinfo=UTC)), ("B", datetime(9999, 12, 31, tzinfo=UTC))]}
    result = funnel(table(people), century, as_of=datetime(9999, 12, 31, tzinfo=UTC))
    assert result.persons["step_reached"].to_list() == [1]


def test_times_without_zone_are_utc() -> None:
    naive = table({"p": written("A0 B1")}).with_columns(pl.col("ts").dt.replace_time_zone(None))
    zoned = table({"p": written("A0 B1")}).with_columns(pl.col("ts").dt.convert_time_zone("Asia/Tokyo"))
    results = [funnel(events, TWO, as_of=LATER).persons for events in (naive, zoned)]
    assert results[0].equals(results[1])


@pytest.mark.parametrize("dtype", [pl.Int64, pl.Categorical, pl.Enum(["7", "12"])])
def test_persons_of_other_types(dtype: pl.DataType) -> None:
    events = table({"12": written("A0 B1"), "7": written("A0")}).with_columns(pl.col("person").cast(dtype))
    result = funnel(events, TWO, as_of=LATER)
    assert steps(result, "persons") == [(2,), (1,)]


def test_mart_rows_conform() -> None:
    rows = funnel(table({"p": written("A0 B1")}), TWO, as_of=LATER).mart_rows(quality="passed")
    assert rows.columns == FUNNEL_STEPS.names
    assert rows.select("definition_id", "as_of", "quality").row(0) == (TWO.definition_id, LATER, "passed")


def test_to_dict_is_json() -> None:
    result = funnel(table({"p": written("A0 B1")}), TWO, as_of=LATER)
    read = json.loads(json.dumps(result.to_dict()))
    assert [step["persons"] for step in read["steps"]] == [1, 1]
    assert read["definition_id"] == TWO.definition_id


def test_repr_shows_every_step_with_its_interval() -> None:
    result = funnel(table({"p": written("A0 B1"), "q": written("A0")}), TWO, as_of=LATER)
    assert "2. B: 1 of 2, 50.0% (9.5% to 90.5%)" in repr(result)


def test_a_lazy_frame_gives_the_same() -> None:
    events = table({"p": written("A0 B1")})
    lazy, eager = (funnel(one, TWO, as_of=LATER).persons for one in (events.lazy(), events))
    assert lazy.equals(eager)


@pytest.mark.slow
def test_one_person_with_a_million_events() -> None:
    n = 1_000_000
    events = pl.DataFrame({"i": pl.int_range(n, eager=True)}).select(
        person=pl.lit("p"),
        event=pl.when(pl.col("i") % 2 == 0).then(pl.lit("A")).otherwise(pl.lit("B")),
        ts=pl.lit(START) + pl.duration(seconds=pl.col("i")),
    )
    last_c = pl.DataFrame({"person": ["p"], "event": ["C"], "ts": [at(n)]})
    result = funnel(pl.concat([events, last_c]).cast(events.schema), THREE, as_of=LATER)
    assert result.persons.select("step_reached", "entry_ts").rows() == [(3, at(n - 2))]


@pytest.mark.slow
def test_a_million_events_of_one_person_at_one_instant() -> None:
    n = 1_000_000
    events = pl.DataFrame({"person": ["p"] * n, "event": ["B"] * (n - 2) + ["C", "A"], "ts": [START] * n})
    result = funnel(events, THREE, as_of=LATER)
    assert result.persons["step_reached"].to_list() == [3]
