"""Sessions against a plain reading of their rules, and what must not matter."""

from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from opsanalytics.behavior.funnel import funnel
from opsanalytics.behavior.journey_spec import Sessions
from opsanalytics.behavior.sessions import sessions
from opsanalytics.behavior.spec import Funnel
from opsanalytics_tests.behavior.examples import LATER, START, at, table

MINUTE = 60
ZONE = "America/New_York"
SCHEMA = {"person": pl.String, "event": pl.String, "ts": pl.Datetime("us", "UTC")}
Row = tuple[str, str, datetime]
rows = st.lists(
    st.tuples(
        st.sampled_from("pqr"),
        st.sampled_from(["a", "b", "s", "e"]),
        st.integers(0, 3 * 24 * 4).map(lambda quarter: at(quarter * 15 * MINUTE)),
    ),
    max_size=30,
)
definitions = st.builds(
    Sessions,
    gap=st.sampled_from(["15m", "30m", "6h"]),
    midnight=st.booleans(),
    start=st.sampled_from([(), ("s",)]),
    end=st.sampled_from([(), ("e",)]),
    engaging=st.sampled_from([(), ("b",)]),
    engaged_after=st.sampled_from([None, "15m"]),
    bounce_events=st.integers(1, 2),
)


def frame(events: list[Row]) -> pl.DataFrame:
    return pl.DataFrame(events, schema=SCHEMA, orient="row")


def plainly(events: list[Row], rules: Sessions) -> list[list[Row]]:
    """The sessions of one person, event by event."""
    starts, ends = ({step.event for step in steps} for steps in (rules.start, rules.end))
    order = sorted(events, key=lambda row: (row[2], 0 if row[1] in starts else 2 if row[1] in ends else 1))
    found: list[list[Row]] = []
    for row in order:
        before = found[-1][-1] if found else None
        days = [each[2].astimezone(ZoneInfo(ZONE)).date() for each in (before or row, row)]
        if (
            before is None
            or row[2] - before[2] > rules.gap
            or (rules.midnight and days[0] != days[1])
            or row[1] in starts
            or before[1] in ends
        ):
            found.append([])
        found[-1].append(row)
    return found


def told(events: list[Row], rules: Sessions, as_of: datetime) -> list[tuple[Any, ...]]:
    """What `SessionsResult.sessions` should hold."""
    result = []
    for person in sorted({row[0] for row in events}):
        own = [row for row in events if row[0] == person and row[2] <= as_of]
        found = plainly(own, rules)
        # A session is over when an event right after `as_of` would not be part of it.
        with_one_more = plainly([*own, (person, "a", as_of + timedelta(microseconds=1))], rules)
        for number, session in enumerate(found):
            first, last = session[0][2], session[-1][2]
            engaged = any(row[1] in {step.event for step in rules.engaging} for row in session)
            engaged |= rules.engaged_after is not None and last - first >= rules.engaged_after
            bounced = len(session) <= rules.bounce_events and not engaged
            over = len(with_one_more[number]) == len(session)
            result.append((person, number + 1, first, last, len(session), bounced, over))
    return result


@settings(max_examples=80, deadline=None)
@given(rows, definitions, st.integers(0, 4 * 24).map(lambda hour: at(hour * 3600)))
def test_sessions_are_what_the_rules_say(events: list[Row], rules: Sessions, as_of: datetime) -> None:
    result = sessions(frame(events), rules, as_of=as_of, timezone=ZONE)
    assert result.sessions.rows() == told(events, rules, as_of)


@settings(max_examples=25, deadline=None)
@given(rows, definitions, st.randoms(use_true_random=False))
def test_the_order_of_rows_is_nothing(events: list[Row], rules: Sessions, random: Any) -> None:
    shuffled = list(events)
    random.shuffle(shuffled)
    first, second = (sessions(frame(each), rules, as_of=LATER) for each in (events, shuffled))
    assert first.sessions.equals(second.sessions)
    assert first.table.equals(second.table)


@settings(max_examples=25, deadline=None)
@given(rows, st.sampled_from(["15m", "30m", "6h"]))
def test_funnels_of_sessions_cut_at_the_same_pauses(events: list[Row], gap: str) -> None:
    asked = Funnel(steps=["*"], window="1s", counting="sessions", session_gap=gap)
    counted = funnel(frame(events), asked, as_of=LATER)
    assert counted.entered == sessions(frame(events), Sessions(gap=gap), as_of=LATER).sessions.height


def test_the_numbers_of_a_table() -> None:
    people = {
        "p": [("a", at(0)), ("a", at(600)), ("a", at(2400)), ("a", at(9000))],
        "q": [("a", at(100))],
    }
    result = sessions(table(people), Sessions(min_n=4), as_of=LATER)
    row = result.to_polars().to_dicts()[0]
    assert (row["n"], row["persons"], row["events"], row["bounced"]) == (3, 2, 5, 2)
    assert (row["median_seconds"], row["mean_seconds"], row["per_person"]) == (0.0, 800.0, 1.5)
    assert row["bounce_low"] < row["bounce_rate"] < row["bounce_high"]
    assert row["small"]
    assert row["period_start"] is None


def test_a_pause_as_long_as_the_gap_ends_nothing() -> None:
    exact = table({"p": [("a", at(0)), ("a", at(1800))]})
    longer = table({"p": [("a", at(0)), ("a", at(1800) + timedelta(microseconds=1))]})
    assert sessions(exact, Sessions(), as_of=LATER).sessions.height == 1
    assert sessions(longer, Sessions(), as_of=LATER).sessions.height == 2


@pytest.mark.parametrize(
    ("utc", "count"),
    [
        # The clocks of New York go forward on 8 March 2026 and back on 1 November: midnight moves in UTC.
        (datetime(2026, 3, 8, 5, 0, tzinfo=UTC), 2),
        (datetime(2026, 3, 9, 4, 0, tzinfo=UTC), 2),
        (datetime(2026, 3, 9, 5, 0, tzinfo=UTC), 1),
        (datetime(2026, 11, 2, 5, 0, tzinfo=UTC), 2),
        (datetime(2026, 11, 1, 6, 0, tzinfo=UTC), 1),
    ],
)
def test_midnight_is_that_of_the_zone(utc: datetime, count: int) -> None:
    around = table({"p": [("a", utc - timedelta(minutes=5)), ("a", utc)]})
    result = sessions(around, Sessions(midnight=True), as_of=LATER, timezone=ZONE)
    assert result.sessions.height == count


def test_what_may_go_on_stands_apart() -> None:
    people = {"p": [("a", at(0)), ("a", at(7200))]}
    running = sessions(table(people), Sessions(), as_of=at(7200 + 1799)).to_polars().to_dicts()
    assert (running[0]["n"], running[0]["open_sessions"], running[0]["complete"]) == (1, 1, False)
    done = sessions(table(people), Sessions(), as_of=at(7200 + 1800)).to_polars().to_dicts()
    assert (done[0]["n"], done[0]["open_sessions"]) == (2, 0)


def test_events_before_a_start_belong_to_no_session() -> None:
    people = {"p": [("a", at(0)), ("s", at(10)), ("a", at(20)), ("e", at(30)), ("a", at(40))]}
    rules = Sessions(start="s", end="e", only_started=True)
    result = sessions(table(people), rules, as_of=LATER)
    assert result.sessions.select("session", "events").rows() == [(1, 3)]
    assert result.outside == 2


def test_a_property_tells_sessions_apart() -> None:
    events = table({"p": [("a", at(0)), ("a", at(9000)), ("a", at(9001)), ("a", at(9002))]}).with_columns(
        visit=pl.Series(["x", "x", "y", None])
    )
    result = sessions(events, Sessions(session_property="visit"), as_of=LATER)
    assert result.sessions.select("session", "events").rows() == [("x", 2), ("y", 1)]
    assert result.outside == 1


def test_hostile_values() -> None:
    long_ago, far_off = datetime(1901, 1, 1, tzinfo=UTC), datetime(2250, 1, 1, tzinfo=UTC)
    events = frame(
        [
            ("p", "a", long_ago),
            ("p", "a", far_off),
            (None, "a", START),  # type: ignore[list-item]
            ("q", "a", None),  # type: ignore[list-item]
            *[("r", "a", START)] * 2_000,
        ]
    )
    result = sessions(events, Sessions(midnight=True), as_of=datetime(2300, 1, 1, tzinfo=UTC), timezone=ZONE)
    assert result.sessions.group_by("person").agg(pl.col("events").sum()).sort("person").rows() == [
        ("p", 2),
        ("r", 2_000),
    ]
    assert (result.left_out.without_person, result.left_out.without_time) == (1, 1)


def test_nothing_in_nothing_out() -> None:
    row = sessions(frame([]), Sessions(midnight=True, start="s"), as_of=LATER).to_polars().to_dicts()
    assert [(each["n"], each["bounce_rate"]) for each in row] == [(0, None)]


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"gap": "soon"}, "gap"),
        ({"only_started": True}, "only_started"),
        ({"session_property": "id", "midnight": True}, "session_property"),
        ({"bounce_events": 0}, "bounce_events"),
        ({"start": [{"event": "s", "optional": True}]}, "optional"),
        ({"pause": "1h"}, "pause"),
    ],
)
def test_a_wrong_definition_names_the_field(wrong: dict[str, Any], field: str) -> None:
    with pytest.raises(ValidationError, match=field):
        Sessions.model_validate(wrong)


def test_names_and_titles_do_not_change_the_id() -> None:
    rules = Sessions(gap="1h")
    assert Sessions(gap="60m", name="other", title="Other").definition_id == rules.definition_id
    assert Sessions(gap="2h").definition_id != rules.definition_id
    assert Sessions.model_validate_json(rules.model_dump_json()) == rules
