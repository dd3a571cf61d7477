from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl
import pytest
from pydantic import ValidationError

from opsanalytics.behavior.spec import Funnel
from opsanalytics.improvement.friction import Friction, find_friction
from opsanalytics.improvement.settings import FrictionSettings
from opsanalytics.improvement.signals import OTHER
from opsanalytics.improvement.tables import FRICTION

T0 = datetime(2026, 1, 5, tzinfo=UTC)
AS_OF = T0 + timedelta(days=1)
FUNNEL = Funnel(name="f", steps=["sign_up", "purchase"], window="1d")


def events(*rows: tuple[str, float, str] | tuple[str, float, str, str]) -> pl.LazyFrame:
    """Rows of person, seconds, event, properties; the page of an event is in its properties."""
    return pl.LazyFrame(
        {
            "person": [row[0] for row in rows],
            "ts": [T0 + timedelta(seconds=row[1]) for row in rows],
            "event": [row[2] for row in rows],
            "properties": [row[3] if len(row) > 3 else "{}" for row in rows],
        },
        schema={
            "person": pl.String,
            "ts": pl.Datetime("us", "UTC"),
            "event": pl.String,
            "properties": pl.String,
        },
    )


def look(frame: pl.LazyFrame, funnels: Sequence[Funnel] = (FUNNEL,), **settings: Any) -> Friction:
    return find_friction(frame, FrictionSettings.model_validate(settings), funnels, as_of=AS_OF)


def of(found: Friction, signal: str) -> list[dict[str, Any]]:
    return found.friction.filter(pl.col("signal") == signal).to_dicts()


def test_what_is_not_configured_is_not_available_and_says_why() -> None:
    found = look(events(("a", 0, "sign_up")), funnels=())
    for signal in ("error", "slow_load", "empty_search", "repeated_attempt", "back_and_forth"):
        (row,) = of(found, signal)
        assert not row["available"]
        assert row["reason"]
        assert row["occurrences"] is None
        assert row["persons"] is None


def test_no_events_at_all() -> None:
    found = look(events(), error_events=["error"])
    assert found.friction.schema == FRICTION.schema
    assert not found.friction["available"].any()
    assert found.exposures.is_empty()


def test_a_property_the_data_lack_is_named() -> None:
    (row,) = of(look(events(("a", 0, "page_load")), slow_load={"event": "page_load"}), "slow_load")
    assert not row["available"]
    assert "'ms'" in row["reason"]


def test_errors_are_told_apart_by_code_and_page() -> None:
    found = look(
        events(
            ("a", 0, "oops", '{"page":"/pay","code":"E1"}'),
            ("a", 5, "oops", '{"page":"/pay","code":"E1"}'),
            ("b", 0, "view", '{"page":"/pay"}'),
            ("b", 1, "oops", '{"page":"/orders/1234","code":"E1"}'),
            ("c", 1, "oops", '{"page":"/orders/99","code":"E1"}'),
            ("d", 1, "oops"),
        ),
        error_events=["oops"],
    )
    rows = {row["place"]: row for row in of(found, "error")}
    assert set(rows) == {"E1 on /pay", "E1 on /orders/:id", "oops"}
    assert (rows["E1 on /pay"]["occurrences"], rows["E1 on /pay"]["persons"], rows["E1 on /pay"]["n"]) == (
        2,
        1,
        2,
    )
    assert (rows["oops"]["persons"], rows["oops"]["n"]) == (1, 4)


def test_page_comes_from_the_url_where_there_is_no_property() -> None:
    frame = events(("a", 0, "oops")).with_columns(url=pl.lit("https://x.example/a/17/18?q=1#z"))
    (row,) = of(look(frame, error_events=["oops"]), "error")
    assert row["place"] == "oops on /a/:id/:id"


def test_slow_loads_are_above_the_threshold() -> None:
    found = look(
        events(
            ("a", 0, "load", '{"page":"/p","ms":5000}'),
            ("b", 0, "load", '{"page":"/p","ms":3000}'),
            ("c", 0, "load", '{"page":"/p","ms":"slow"}'),
        ),
        slow_load={"event": "load", "threshold_ms": 3000},
    )
    (row,) = of(found, "slow_load")
    assert (row["place"], row["persons"], row["n"]) == ("/p", 1, 2)


def test_available_but_never_seen_is_zero() -> None:
    found = look(events(("a", 0, "load", '{"ms":10}')), slow_load={"event": "load"})
    (row,) = of(found, "slow_load")
    assert row["available"]
    assert row["occurrences"] == 0


def test_empty_searches() -> None:
    found = look(
        events(("a", 0, "search", '{"results":0}'), ("b", 0, "search", '{"results":3}')),
        empty_search={"event": "search"},
    )
    (row,) = of(found, "empty_search")
    assert (row["persons"], row["n"], row["place"]) == (1, 2, "search")


def test_repeated_attempts_need_the_number_the_time_and_no_progress() -> None:
    found = look(
        events(
            *[("stuck", 60 * i, "sign_up") for i in range(5)],
            *[("slow", 600 * i, "sign_up") for i in range(5)],
            ("moves", 0, "sign_up"),
            ("moves", 1, "sign_up"),
            ("moves", 2, "purchase"),
            ("moves", 3, "sign_up"),
        )
    )
    (row,) = of(found, "repeated_attempt")
    assert (row["place"], row["occurrences"], row["persons"], row["n"]) == ("sign_up", 1, 1, 3)
    assert found.exposures["ts"].to_list() == [T0 + timedelta(seconds=120)]


def test_named_events_can_be_repeated_attempts_too() -> None:
    found = look(
        events(("a", 0, "resend"), ("a", 60, "resend")),
        repeated_attempt={"events": ["resend"], "attempts": 2},
    )
    assert found.exposures["place"].to_list() == ["resend"]


def test_dead_ends_end_most_sessions_but_goals_do_not_count() -> None:
    rows: list[tuple[str, float, str]] = []
    for i in range(40):
        rows += [(f"p{i}", 0, "home"), (f"p{i}", 10, "help" if i < 35 else "home")]
        rows += [(f"q{i}", 0, "home"), (f"q{i}", 10, "purchase")]
    found = look(events(*rows))
    ends = of(found, "dead_end")
    assert [row["place"] for row in ends] == ["help"]
    assert (ends[0]["persons"], ends[0]["n"]) == (35, 35)


def test_silence_ends_a_session() -> None:
    rows = [(f"p{i}", at, "ping") for i in range(40) for at in (0, 3_600)]
    (row,) = of(look(events(*rows)), "dead_end")
    assert row["occurrences"] == 80


def test_back_and_forth_between_two_pages() -> None:
    def view(person: str, at: float, page: str) -> tuple[str, float, str, str]:
        return (person, at, "view", f'{{"page":"{page}"}}')

    found = look(
        events(
            *[view("lost", 10 * i, "/a" if i % 2 else "/b") for i in range(7)],
            *[view("reader", 10 * i, f"/{i}") for i in range(7)],
            *[view("slow", 200 * i, "/a" if i % 2 else "/b") for i in range(7)],
        )
    )
    (row,) = of(found, "back_and_forth")
    assert (row["place"], row["occurrences"], row["persons"], row["n"]) == ("/a and /b", 1, 1, 2)


def test_rare_places_are_put_together() -> None:
    rows = [(f"p{i}", 0, "oops", f'{{"code":"E{i // 2}"}}') for i in range(10)]
    found = look(events(*rows), error_events=["oops"], max_places=2)
    assert {row["place"]: row["persons"] for row in of(found, "error")} == {"E0": 2, "E1": 2, OTHER: 6}


def test_later_events_and_nobodys_events_do_not_count() -> None:
    frame = events(("a", 90_000, "oops"), ("b", 0, "oops"))
    frame = frame.with_columns(person=pl.when(pl.col("person") != "b").then("person"))
    (row,) = of(look(frame, error_events=["oops"]), "error")
    assert not row["available"]


def test_unknown_settings_are_errors() -> None:
    with pytest.raises(ValidationError, match="error_event"):
        FrictionSettings.model_validate({"error_event": ["x"]})


ASKED = {"name": "unanswered", "title": "Nobody answered", "event": "ask", "where": {"answers": 0}}


def asked(**changes: Any) -> list[dict[str, Any]]:
    """Rows of a custom signal; a asks two questions, one unanswered; b one on mobile, unanswered; c none."""
    frame = events(
        ("a", 0, "ask", '{"answers":0,"on":"web"}'),
        ("a", 100, "ask", '{"answers":2,"on":"web"}'),
        ("b", 0, "ask", '{"answers":0,"on":"mobile"}'),
        ("b", 50, "ask", '{"answers":3}'),
        ("c", 0, "view"),
    )
    return of(look(frame, custom=[{**ASKED, **changes}]), "unanswered")


def test_a_custom_signal_counts_persons_among_those_who_did_the_event() -> None:
    (row,) = asked()
    assert (row["title"], row["place"], row["available"]) == ("Nobody answered", "ask", True)
    assert (row["occurrences"], row["persons"], row["n"]) == (2, 2, 2)
    assert row["reason"] == "event ask where answers is 0"


def test_a_custom_signal_is_told_apart_by_its_place() -> None:
    rows = {row["place"]: row for row in asked(place="on")}
    assert {place: (row["persons"], row["n"]) for place, row in rows.items()} == {
        "web": (1, 1),
        "mobile": (1, 1),
    }


def test_a_custom_signal_that_takes_several_events() -> None:
    (row,) = asked(where=[], times=2, within="60s")
    assert (row["persons"], row["occurrences"]) == (1, 1)
    assert row["first_seen"] == T0 + timedelta(seconds=50)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"event": "aks"}, "no event 'aks' occurs"),
        ({"where": {"anwsers": 0}}, "no event 'ask' has a property 'anwsers'"),
        ({"place": "where"}, "no event 'ask' has a property 'where'"),
        ({"where": {"property": "anwsers", "op": "not_set"}}, "no event 'ask' has a property 'anwsers'"),
    ],
)
def test_a_custom_signal_the_data_cannot_have_is_not_zero(changes: dict[str, Any], words: str) -> None:
    (row,) = asked(**changes)
    assert not row["available"]
    assert row["reason"] == words


@pytest.mark.parametrize(
    ("custom", "words"),
    [
        ([ASKED, ASKED], "'unanswered' is used twice"),
        ([{**ASKED, "name": "error"}], "'error' is the name of a built-in signal"),
        ([{**ASKED, "times": 2}], "needs within"),
        ([{**ASKED, "within": "1d"}], "needs times"),
        ([{**ASKED, "where": {"property": "answers", "op": "lt", "value": "x"}}], "compares numbers"),
    ],
)
def test_mistakes_in_custom_signals_are_told(custom: list[dict[str, Any]], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        FrictionSettings.model_validate({"custom": custom})
