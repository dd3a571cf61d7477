"""One product with two vendors: each event counts once, and nothing else is left out."""

from datetime import UTC, datetime
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from opsanalytics.behavior.overlaps import Overlap, counted_once

BOTH = Overlap(prefer=("web", "server"))


def table(*rows: tuple[str, str, int, str | None]) -> pl.DataFrame:
    """Events from source, event, day of September 2026 and person."""
    return pl.DataFrame(
        [
            (person, source, event, datetime(2026, 9, day, 12, tzinfo=UTC))
            for source, event, day, person in rows
        ],
        schema={
            "person": pl.String,
            "source": pl.String,
            "event": pl.String,
            "ts": pl.Datetime("us", "UTC"),
        },
        orient="row",
    )


def kept(events: pl.DataFrame, *overlaps: Overlap, sources: Any = None) -> list[tuple[Any, ...]]:
    once = counted_once(events.lazy(), overlaps, sources=sources).collect()
    assert once.columns == events.columns
    return sorted(
        once.select("source", "event", pl.col("ts").dt.day(), "person").rows(), key=lambda row: str(row)
    )


def test_without_an_overlap_everything_counts() -> None:
    events = table(("web", "buy", 1, "a"), ("server", "buy", 1, "a"))
    assert len(kept(events)) == 2


def test_of_one_event_on_one_day_the_preferred_source_counts() -> None:
    events = table(("web", "buy", 1, "a"), ("server", "buy", 1, "a"), ("server", "buy", 1, "b"))
    assert kept(events, BOTH) == [("web", "buy", 1, "a")]


def test_a_day_that_the_preferred_source_missed_counts_from_the_other() -> None:
    events = table(("web", "buy", 1, "a"), ("server", "buy", 2, "a"))
    assert kept(events, BOTH) == [("server", "buy", 2, "a"), ("web", "buy", 1, "a")]


def test_events_that_the_preferred_source_never_sends_count() -> None:
    events = table(("web", "buy", 1, "a"), ("server", "refund", 1, "a"))
    assert len(kept(events, BOTH)) == 2


def test_repeats_within_the_preferred_source_all_count() -> None:
    events = table(("web", "buy", 1, "a"), ("web", "buy", 1, "a"), ("server", "buy", 1, "a"))
    assert kept(events, BOTH) == [("web", "buy", 1, "a")] * 2


def test_a_third_source_counts_beside_them() -> None:
    events = table(("web", "buy", 1, "a"), ("server", "buy", 1, "a"), ("shop", "buy", 1, "a"))
    assert kept(events, BOTH) == [("shop", "buy", 1, "a"), ("web", "buy", 1, "a")]


def test_an_overlap_of_some_events_leaves_the_others_alone() -> None:
    events = table(
        ("web", "buy", 1, "a"), ("server", "buy", 1, "a"), ("web", "view", 1, "a"), ("server", "view", 1, "a")
    )
    overlap = Overlap(prefer=("web", "server"), events=("buy",))
    assert kept(events, overlap) == [
        ("server", "view", 1, "a"),
        ("web", "buy", 1, "a"),
        ("web", "view", 1, "a"),
    ]


def test_by_person_and_day_persons_that_only_one_source_saw_count() -> None:
    events = table(("web", "buy", 1, "a"), ("server", "buy", 1, "a"), ("server", "buy", 1, "b"))
    overlap = Overlap(prefer=("web", "server"), per="person_day")
    assert kept(events, overlap) == [("server", "buy", 1, "b"), ("web", "buy", 1, "a")]


def test_by_person_and_day_events_of_nobody_all_stay() -> None:
    events = table(("web", "buy", 1, None), ("server", "buy", 1, None))
    assert len(kept(events, Overlap(prefer=("web", "server"), per="person_day"))) == 2


def test_what_names_one_source_gets_all_of_it() -> None:
    events = table(("web", "buy", 1, "a"), ("server", "buy", 1, "a"))
    assert len(kept(events, BOTH, sources=["server"])) == 2


def test_an_overlap_is_between_the_named_sources() -> None:
    three = Overlap(prefer=("web", "server", "app"))
    events = table(("web", "buy", 1, "a"), ("server", "buy", 1, "a"), ("app", "buy", 1, "a"))
    counted = kept(events, three, sources=["server", "app"])
    assert ("server", "buy", 1, "a") in counted
    assert ("app", "buy", 1, "a") not in counted


@pytest.mark.parametrize("prefer", [("web",), ("web", "web")])
def test_an_overlap_needs_two_sources(prefer: tuple[str, ...]) -> None:
    with pytest.raises(ValidationError):
        Overlap(prefer=prefer)


EVENTS = st.lists(
    st.tuples(
        st.sampled_from(["web", "server", "app"]),
        st.sampled_from(["buy", "view"]),
        st.integers(1, 3),
        st.sampled_from(["a", "b", None]),
    ),
    max_size=25,
)


@given(EVENTS, st.sampled_from(["day", "person_day"]))
def test_each_key_has_one_source_and_no_key_is_lost(rows: list[Any], per: Any) -> None:
    events = table(*rows)
    once = counted_once(events.lazy(), [Overlap(prefer=("web", "server", "app"), per=per)]).collect()
    if per == "person_day":
        events, once = events.drop_nulls("person"), once.drop_nulls("person")
    key = ["event", pl.col("ts").dt.date(), *(["person"] if per == "person_day" else [])]
    by_key = once.group_by(key).agg(pl.col("source").n_unique())
    assert set(by_key["source"]) <= {1}
    assert by_key.height == events.select(key).unique().height
