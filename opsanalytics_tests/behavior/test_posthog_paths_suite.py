"""Inputs and numbers of PostHog's public tests of paths, in a notation of our own.

From `posthog/hogql_queries/insights/paths/test/test_paths_query_runner_ee.py` of PostHog/posthog (commit
141ae76ab9f7c713f863f5f212c95b19e9c7eea4). Their `stepLimit` counts the first event, our `steps` does not;
they number the edges of a path up to a page from its beginning, we from the page back; where they show `...`
for the middle of a long path from one page to another, we have the whole of it.
"""

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import polars as pl
import pytest

import opsanalytics
from opsanalytics import Funnel, Paths, Step

MINUTE_0 = datetime(2021, 5, 1, tzinfo=UTC)
LATER = datetime(2021, 6, 1, tzinfo=UTC)
Edges = dict[tuple[int, str, str], int]


def visits(people: dict[str, str]) -> pl.DataFrame:
    """`/1@0 /2@1.5 buy@3`: a view of page /1 at minute 0, of /2 at 1.5, and an event `buy` at 3."""
    rows = []
    for person, words in people.items():
        for place, word in enumerate(words.split()):
            what, _, minute = word.partition("@")
            ts = MINUTE_0 + timedelta(minutes=float(minute or place))
            page = what if what.startswith("/") else None
            rows.append((person, "$pageview" if page else what, ts, page))
    schema = {"person": pl.String, "event": pl.String, "ts": pl.Datetime("us", "UTC"), "page": pl.String}
    return pl.DataFrame(rows, schema=schema, orient="row")


def asked(people: dict[str, str], **fields: Any) -> pl.DataFrame:
    plain = {"by": "page", "min_persons": 1, "occurrence": "every", "steps": 4}
    return opsanalytics.paths(visits(people), Paths(**(plain | fields)), as_of=LATER).to_polars()


def edges(people: dict[str, str], **fields: Any) -> Edges:
    """How many paths go from one event to the next; the ends of paths apart."""
    found = asked(people, **fields).filter(~pl.col("to_event").is_in(["(end)", "(start)"]))
    return {
        (step, a, b): n for step, a, b, n in found.select("step", "from_event", "to_event", "count").rows()
    }


def page(path: str) -> Step:
    return Step("$pageview", where={"page": path})


ONE = {"p": "/1@0 /2@1 /3@3 /4@6"}
LINKS = [(1, "/1", "/2"), (2, "/2", "/3"), (3, "/3", "/4")]


@pytest.mark.parametrize("limit", [2, 3, 4])
def test_so_many_steps(limit: int) -> None:
    assert edges(ONE, steps=limit - 1) == dict.fromkeys(LINKS[: limit - 1], 1)


def test_times_from_step_to_step() -> None:
    found = asked({"a": ONE["p"], "b": "/1@0 /2@2 /3@6"}).filter(pl.col("to_event") != "(end)")
    assert found.select("step", "count", pl.col("median_seconds") / 60).rows() == [
        (1, 2, 1.5),
        (2, 2, 3.0),
        (3, 1, 3.0),
    ]


def test_fifty_persons_and_a_branch() -> None:
    people = {f"u{i}": "one two three" + ("" if i % 2 else " branch") for i in range(50)}
    assert edges(people) == {
        (1, "one", "two"): 50,
        (2, "two", "three"): 50,
        (3, "three", "branch"): 25,
    }


TO_ABOUT = {
    "p1": "/a /b /c/ /d/ /e /about /after/",
    "p2": "/e /about",
    "p3": "/c/ /d /about/ /after",
}


def test_up_to_a_page_whatever_slash_ends_its_path() -> None:
    about = Step("$pageview", where=("page", "in", ["/about", "/about/"]))
    assert edges(TO_ABOUT, end=about, urls=True) == {
        (-1, "/about", "/e"): 2,
        (-1, "/about", "/d"): 1,
        (-2, "/e", "/d"): 1,
        (-2, "/d", "/c"): 1,
        (-3, "/d", "/c"): 1,
        (-4, "/c", "/b"): 1,
    }


THREE_KINDS = {
    "p1": "/a@0 /b@1 /c@3",
    "p2": "screen1@0 screen2@1 screen3@3",
    "p3": "custom1@0 custom2@1 custom3@3",
}
SCREENS = ["screen1", "screen2", "screen3"]
CUSTOM = ["custom1", "custom2", "custom3"]


def chain(*names: str) -> Edges:
    return {(n, a, b): 1 for n, (a, b) in enumerate(pairwise(names), 1)}


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"events": ["$pageview"]}, chain("/a", "/b", "/c")),
        ({"events": SCREENS}, chain(*SCREENS)),
        ({"events": CUSTOM}, chain(*CUSTOM)),
        (
            {"without": ["custom1", "$pageview"]},
            chain("custom2", "custom3") | chain(*SCREENS),
        ),
    ],
)
def test_some_kinds_of_events(fields: dict[str, Any], expected: Edges) -> None:
    assert edges(THREE_KINDS, **fields) == expected


GROUPED = {"p1": "/a /b/bar/1/foo /c", "p2": "/a /bar/2/foo /c", "p3": "/a /bar/33/foo /c"}


def test_pages_of_a_pattern_are_one() -> None:
    found = edges(GROUPED, groups=["/bar/*/foo"])
    assert found == {
        (1, "/a", "/bar/*/foo"): 2,
        (1, "/a", "/b/bar/1/foo"): 1,
        (2, "/bar/*/foo", "/c"): 2,
        (2, "/b/bar/1/foo", "/c"): 1,
    }
    """There a pattern is looked for anywhere in the path, here it is the whole of it."""
    assert edges(GROUPED, groups=["*/bar/*/foo"]) == {
        (1, "/a", "*/bar/*/foo"): 3,
        (2, "*/bar/*/foo", "/c"): 3,
    }


def test_pages_left_out() -> None:
    kept = Step("$pageview", where=("page", "not_regex", "/bar/.*/foo"))
    assert edges(GROUPED, events=[kept]) == {(1, "/a", "/c"): 3}


def test_patterns_that_look_like_evil_expressions() -> None:
    evil = "/" + "a" * 42 + "!"
    people = {"p1": f"{evil} /b/bar/aaa /c", "p2": "/a /b/c?q=1 /c?q=1"}
    groups = ["(a+)+", "[aaa|aaaa]+", "a.*", ".*", "/c?q=1", "/c*"]
    assert edges(people, groups=groups) == {
        (1, evil, "/b/bar/aaa"): 1,
        (1, "/a", "/b/c?q=1"): 1,
        (2, "/b/bar/aaa", "/c*"): 1,
        (2, "/b/c?q=1", "/c?q=1"): 1,
    }


MANY = {"p": "/a /b /c@3 screen1@4 screen2@5 screen3@7 custom1@8 custom2@9 custom3@11"}


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, chain("/a", "/b", "/c", *SCREENS, *CUSTOM)),
        ({"events": ["$pageview", *SCREENS]}, chain("/a", "/b", "/c", *SCREENS)),
        (
            {"events": ["$pageview", *CUSTOM], "without": ["custom1", "custom3"]},
            chain("/a", "/b", "/c", "custom2"),
        ),
    ],
)
def test_all_kinds_of_events_of_one_person(fields: dict[str, Any], expected: Edges) -> None:
    assert edges(MANY, steps=10, **fields) == expected


def test_a_new_day_is_a_new_session() -> None:
    people = {"p": "/a@0 /b@1 /c@3 /a@1440 /b/@1441 /c@1445"}
    found = asked(people, urls=True).filter(pl.col("to_event") != "(end)")
    assert found.select("from_event", "to_event", "count", pl.col("median_seconds") / 60).rows() == [
        ("/a", "/b", 2, 1.0),
        ("/b", "/c", 2, 3.0),
    ]


def test_repeats_are_one_at_the_time_of_the_first() -> None:
    """There the time on the second page is counted from its repeat (3 minutes in the mean)."""
    people = {"a": "/a@0 /a@0.5 /b@1 /b/@1.5 /c@3.5", "b": "/a@0 /b/@2 /c@6"}
    found = asked(people, urls=True).filter(pl.col("to_event") != "(end)")
    assert found.select("from_event", "to_event", "count").rows() == [("/a", "/b", 2), ("/b", "/c", 2)]
    assert found["median_seconds"].to_list() == [90, 195]


FROM_TO = {
    "p1": "/a /b /c /d /e /about /after",
    "p2": "/e /about",
    "p3": "/c /d /about /after",
}


def test_from_one_page_to_another() -> None:
    assert edges(FROM_TO, start=page("/e"), end=page("/about")) == {(1, "/e", "/about"): 2}
    assert edges(FROM_TO, start=page("/b"), end=page("/about"), steps=5) == chain(
        "/b", "/c", "/d", "/e", "/about"
    )


def test_who_stops_where() -> None:
    lengths = [2] * 5 + [3] * 10 + [4] * 20
    names = ["one", "two", "three", "four"]
    people = {f"u{i}": " ".join(names[:length]) for i, length in enumerate(lengths)}
    found = asked(people)
    ended = found.filter(pl.col("to_event") == "(end)").select("from_event", "persons").rows()
    assert ended == [("two", 5), ("three", 10), ("four", 20)]
    assert edges(people) == {(1, "one", "two"): 35, (2, "two", "three"): 30, (3, "three", "four"): 20}


ORPHANS = {f"p{i}": "/a /b /c /d /e /about /after" for i in range(5)} | {
    "r2": "/b@1 /p@1.5 /x@2 /about@3",
    "r3": "/b@1 /q@1.5 /x@2 /about@3",
}


def test_from_a_page_many_ways() -> None:
    found = edges(ORPHANS, start=page("/b"))
    assert found == {
        (1, "/b", "/c"): 5,
        (1, "/b", "/p"): 1,
        (1, "/b", "/q"): 1,
        (2, "/c", "/d"): 5,
        (2, "/p", "/x"): 1,
        (2, "/q", "/x"): 1,
        (3, "/d", "/e"): 5,
        (3, "/x", "/about"): 2,
        (4, "/e", "/about"): 5,
    }
    """Rare labels are put together, so no edge stands without the one before."""
    few = edges(ORPHANS, start=page("/b"), min_persons=3)
    assert {edge: n for edge, n in few.items() if n == 5} == {e: n for e, n in found.items() if n == 5}
    assert all("(other)" in edge for edge, n in few.items() if n < 5)


def dropping() -> dict[str, str]:
    whole = "one@0 a@1 b@2 c@3 two@4 three@5"
    half = "one@0 a@1 b@2 two@3 y@4.33 z@5.67"
    none = "one@0 off1@1 off2@2"
    people = {f"u{i}": whole for i in range(5)} | {f"u{i}": half for i in range(5, 15)}
    return people | {f"u{i}": none + ("" if i % 2 else " branch@3") for i in range(15, 35)}


FUNNEL = Funnel(steps=["one", "two", "three"], window="7d")
OF_FUNNEL: dict[str, Any] = {"funnel": FUNNEL, "occurrence": "first", "by": None, "steps": 5}


def test_after_dropping_out() -> None:
    assert edges(dropping(), step=1, outcome="dropped", **OF_FUNNEL) == {
        (1, "one", "off1"): 20,
        (2, "off1", "off2"): 20,
        (3, "off2", "branch"): 10,
    }
    assert edges(dropping(), step=2, outcome="dropped", **OF_FUNNEL) == {
        (1, "two", "y"): 10,
        (2, "y", "z"): 10,
    }


def test_before_dropping_out() -> None:
    found = edges(dropping(), step=2, outcome="dropped", direction="before", **OF_FUNNEL)
    assert found == {(-1, "two", "b"): 10, (-2, "b", "a"): 10, (-3, "a", "one"): 10}


def test_after_a_step() -> None:
    found = edges(dropping(), step=2, outcome="all", **OF_FUNNEL)
    assert found == {(1, "two", "y"): 10, (1, "two", "three"): 5, (2, "y", "z"): 10}


def test_before_a_step() -> None:
    found = edges(dropping(), step=2, outcome="all", direction="before", **OF_FUNNEL)
    assert found == {
        (-1, "two", "b"): 10,
        (-1, "two", "c"): 5,
        (-2, "b", "a"): 10,
        (-2, "c", "b"): 5,
        (-3, "a", "one"): 10,
        (-3, "b", "a"): 5,
        (-4, "a", "one"): 5,
    }


def test_between_two_steps() -> None:
    found = edges(dropping(), start="one", end="two", by=None, steps=6, occurrence="first")
    assert found == {
        (1, "one", "a"): 15,
        (2, "a", "b"): 15,
        (3, "b", "two"): 10,
        (3, "b", "c"): 5,
        (4, "c", "two"): 5,
    }
