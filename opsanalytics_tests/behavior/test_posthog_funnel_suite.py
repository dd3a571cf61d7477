"""Inputs and numbers of PostHog's public funnel tests, in a notation of our own.

From `posthog/hogql_queries/insights/funnels/test/`: `test_funnel.py`, `test_funnel_udf.py` (commit
2cbf12a1e36e93ae440e88b40e951f58e729ca10), `test_funnel_strict.py`
(1b56c1bb9741c18935ff6d14ace16a8fa2f187b4), `test_funnel_unordered.py`
(75bea9911c811fe98fe8300c22fed23995b6ca41), `conversion_time_cases.py`
(8583a83f8eb4b00be4ec22ac89fc8f60c35053cd). Where their two engines differ, the newer one counts.
"""

from datetime import UTC, date, datetime, timedelta
from typing import Any

import polars as pl
import pytest

from opsanalytics import Filter, Step
from opsanalytics_tests.behavior.notation import (
    FORTNIGHT,
    at_steps,
    events_of,
    posthog,
    seconds_to_steps,
)

SIGNUPS = {
    "signup": "S",
    "pay": "S P",
    "movie": "S P M",
    "just": "M",
    "wrong": "P S M",
}
WATCHED = {"signup": "S", "pay": "S", "had": "S M", "just": "M", "wrong": "M S"}
PAGES = {
    "p1": "S",
    "p2": "S V",
    "p3": "S V x V",
    "p4": "S V x V V x",
    "p5": "S V V V V",
}
PAGES_OUT_OF_ORDER = {
    "p1": "V S",
    "p2": "S V",
    "p3": "V S x V",
    "p4": "x V x V S V",
    "p5": "S V x V V V",
    "p6": "V x V V V",
}
URLS = {
    "p1": "S",
    "p2": "S V=aloha",
    "p3": "S V=aloha x=aloha V=aloha2",
    "p4": "S V=aloha V=aloha2 V=aloha2 x",
    "p5": "S V=aloha x V=aloha2 V=aloha V=aloha2",
}
OPTIONAL = {
    "p1": "A0",
    "p123": "A0 B1 C2",
    "p13": "A0 C2",
    "p12345": "A0 B1 C2 D3 E4",
    "p1235": "A0 B1 C2 E4",
    "p134": "A0 C2 D3",
    "p1345": "A0 C2 D3 E4",
    "p135": "A0 C2 E4",
}
EVERYBODY = "p1 p123 p12345 p1235 p13 p134 p1345 p135"
FROM_C = "p123 p12345 p1235 p13 p134 p1345 p135"
SAME = {
    "one": "A0",
    "two": "A0 A1",
    "three": "A0 A1 A2",
    "match": "A0 A1=url A2",
}
FIVE = ["A", "B", "C", "D", "E"]
EXCLUDED = {
    "p1": "A1 B2 x3 C4 x4.5 D5 x5.5 E6",
    "p2": "A1 B2 C4 x4.5 D5 x5.5 E6",
    "p3": "A1 x1.5 B2 C4 D5 x5.5 E6",
}
TWICE_EXCLUDED = {
    "p1": "A1 x2 B3 C4 y4.5 D5 E6",
    "p2": "A1 y1.5 B2 C4 y4.5 D5 x5.5 E6",
    "p3": "A1 x1.5 B2 C4 D5 x5.5 E6",
    "p4": "A1 B2 C4 D5 E6",
}
IN_SECONDS = {"steps": ["A", "B"], "window": "10s", "unit": "seconds"}
WITH_X = IN_SECONDS | {"exclusions": [{"event": "x"}]}
SPAN = [{"event": "x", "from_step": 1, "to_step": 2}]


def between(*spans: tuple[str, int, int]) -> dict[str, Any]:
    return {
        "steps": FIVE,
        "exclusions": [{"event": name, "from_step": a, "to_step": b} for name, a, b in spans],
    }


def tagged(event: str, value: Any, **more: Any) -> Step:
    return Step(event, where={"tag": value}, **more)


ORDERED: dict[str, tuple[Any, ...]] = {
    "events": (SIGNUPS, {"steps": ["S", "P", "M"]}, ["movie pay signup wrong", "movie pay", "movie"]),
    "two persons merged": (
        {"both": "S S P", "movie": "S P M", "just": "M", "wrong": "P S M"},
        {"steps": ["S", "P", "M"]},
        ["both movie wrong", "both movie", "movie"],
    ),
    "order of the steps": (WATCHED, {"steps": ["S", "M"]}, ["had pay signup wrong", "had"]),
    "any event, three times": (
        {"a": "S", "b": "S M", "c": "S M", "d": "M", "e": "M S M"},
        {"steps": ["*", "*", "*"]},
        ["a b c d e", "b c e", "e"],
    ),
    "a step left out": ({"p": "S M"}, {"steps": ["S", "P", "M"]}, ["p", "", ""]),
    "a filter on all steps": (
        {"with": "S=Safari P=Safari", "without": "S P", "half": "S=Safari P"},
        {"steps": [tagged("S", "Safari"), tagged("P", "Safari"), tagged("M", "Safari")]},
        ["half with", "with", ""],
    ),
    "filters of each step": (
        {"with": "S=Safari P=Safari M", "without": "S P=Safari", "half": "S P M"},
        {
            "steps": [
                Step(
                    "S",
                    where=[
                        {"property": "tag", "value": "Safari"},
                        {"property": "tag", "op": "ne", "value": "Chrome"},
                    ],
                ),
                tagged("P", "Safari"),
                tagged("M", "Firefox"),
            ]
        },
        ["with", "with", ""],
    ),
    "one event name, two filters": (
        {"p": "A B=a"},
        {"steps": ["A", tagged("B", "a"), tagged("B", "c")]},
        ["p", "p", ""],
    ),
    "a repeated step": ({"a": "S S", "b": "S"}, {"steps": ["S", "S"]}, ["a b", "a"]),
    "a repeated step within two weeks": (
        {"a": "S S", "b": "S"},
        {"steps": ["S", "S"], "window": "2 weeks"},
        ["a b", "a"],
    ),
    "a repeated step within an hour": (
        {"a": "S S", "b": "S"},
        {"steps": ["S", "S"], "window": "1 hour"},
        ["a b", "a"],
    ),
    "a filtered step, then any of the name": (
        {"a": "S=val S", "b": "S=val"},
        {"steps": [tagged("S", "val"), "S"]},
        ["a b", "a"],
    ),
    "four equal steps": (
        PAGES,
        {"steps": ["S", "V", "V", "V", "V"]},
        ["p1 p2 p3 p4 p5", "p2 p3 p4 p5", "p3 p4 p5", "p4 p5", "p5"],
    ),
    "four equal steps, events out of order": (
        PAGES_OUT_OF_ORDER,
        {"steps": ["S", "V", "V", "V", "V"]},
        ["p1 p2 p3 p4 p5", "p2 p3 p4 p5", "p5", "p5", "p5"],
    ),
    "equal filtered steps": (
        {"a": "S=val S=val", "b": "S=val"},
        {"steps": [tagged("S", "val"), tagged("S", "val")]},
        ["a b", "a"],
    ),
    "different events at one instant": (
        {"a": "S1=val V1=val", "b": "S1=val"},
        {"steps": [tagged("S", "val"), "V"]},
        ["a b", "a"],
    ),
    "filters by url": (
        URLS,
        {
            "steps": [
                "S",
                tagged("V", "aloha"),
                tagged("V", "aloha2"),
                tagged("V", "aloha2"),
                "V",
            ]
        },
        ["p1 p2 p3 p4 p5", "p2 p3 p4 p5", "p3 p4 p5", "p4 p5", ""],
    ),
    "window of days": (
        {f"in{k}": "A0 B24" for k in range(10)} | {f"out{k}": "A0 B216" for k in range(15)},
        {"steps": ["A", "B", "C"], "window": "7d"},
        [
            " ".join(sorted([f"in{k}" for k in range(10)] + [f"out{k}" for k in range(15)])),
            " ".join(f"in{k}" for k in range(10)),
            "",
        ],
    ),
    "window of seconds": (
        {"in1": "A0 B10", "in2": "A0 B10", "out": "A0 B20"},
        {"steps": ["A", "B", "C"], "window": "15 seconds", "unit": "seconds"},
        ["in1 in2 out", "in1 in2", ""],
    ),
    "excluded without an end": (
        {"p1": "A1 B2", "p2": "A3 x3.5 B4", "p3": "A5 x6", "p4": "A7 x32"},
        {"steps": ["A", "B"], "window": "1d", "exclusions": SPAN},
        ["p1 p4", "p1"],
    ),
    "excluded, then entered again": ({"p": "A0 x1 A31"}, WITH_X, ["p", ""]),
    "entered, then entered again and excluded": ({"p": "A0 A31 x32"}, WITH_X, ["p", ""]),
    "both entries excluded": ({"p": "A0 A1 x2"}, WITH_X, ["", ""]),
    "an exclusion with a filter": (
        {"p1": "A1 B2", "p2": "A3 S3.5=val B4", "p3": "A5 B6"},
        {"steps": ["A", "B"], "exclusions": [{"event": "S", "where": {"tag": "val"}}]},
        ["p1 p3", "p1 p3"],
    ),
    "an exclusion over the whole window": (
        {"p1": "A1 B2", "p2": "A3 x3.5 B4", "p3": "A5 B6"},
        {"steps": ["A", "B"], "exclusions": [{"event": "x"}]},
        ["p1 p3", "p1 p3"],
    ),
    "excluded between 1 and 2": (EXCLUDED, between(("x", 1, 2)), ["p1 p2"] * 5),
    "excluded between 2 and 3": (EXCLUDED, between(("x", 2, 3)), ["p2 p3"] * 5),
    "excluded between 3 and 4": (EXCLUDED, between(("x", 3, 4)), ["p3"] * 5),
    "excluded between 4 and 5": (EXCLUDED, between(("x", 4, 5)), [""] * 5),
    "excluded between 2 and 4": (EXCLUDED, between(("x", 2, 4)), ["p3"] * 5),
    "two exclusions": (TWICE_EXCLUDED, between(("x", 1, 2), ("y", 3, 4)), ["p4"] * 5),
    "two exclusions between 1 and 2": (TWICE_EXCLUDED, between(("x", 1, 2), ("y", 1, 2)), ["p4"] * 5),
    "two exclusions everywhere": (TWICE_EXCLUDED, between(("x", 1, 5), ("y", 1, 5)), ["p4"] * 5),
    "excluded outside the window": ({"p": "A0 x11 B12"}, WITH_X, ["p", ""]),
    "the completing attempt is excluded": ({"p": "A0 x11 A12 x13 B14"}, WITH_X, ["", ""]),
    "only filtered events exclude": (
        {"a": "A0 x1=true B2", "b": "A0 x1=yes B2", "c": "A0", "d": "A0 x1=false B2"},
        IN_SECONDS | {"exclusions": [{"event": "x", "where": {"tag": value}} for value in ("true", "yes")]},
        ["c d", "d"],
    ),
    "twenty equal events at one instant": (
        {"p": " ".join(["A12"] * 20) + " B36"},
        {"steps": ["A", "B"]},
        ["p", "p"],
    ),
    "an exclusion at the instant of a step, 1 to 2": (
        {"p": "Z0 " + "A1 " * 30 + "x1 B1 C2"},
        {
            "steps": ["Z", "A", "B", "C"],
            "exclusions": [{"event": "x", "from_step": 1, "to_step": 2}],
        },
        ["p"] * 4,
    ),
    "an exclusion at the instant of a step, 2 to 3": (
        {"p": "Z0 " + "A1 " * 30 + "x1 B1 C2"},
        {
            "steps": ["Z", "A", "B", "C"],
            "exclusions": [{"event": "x", "from_step": 2, "to_step": 3}],
        },
        ["p"] * 4,
    ),
    "ten steps at one instant": (
        {"p": "A1 B1 B1 C1 C1 D1 B1 C1 D1 A1"},
        {"steps": list("ABBCCDBCDA")},
        ["p"] * 10,
    ),
    "any event with a boolean": (
        {"p": "S A=true"},
        {"steps": ["S", Step("*", where={"tag": "true"})]},
        ["p", "p"],
    ),
    "either of two events": ({"p": "S A=true"}, {"steps": ["S", ["O", "*"]]}, ["p", "p"]),
    "a window of a hundred years without step 1": (
        {"p": "B1"},
        {"steps": ["A", "B"], "window": timedelta(seconds=3_122_064_000)},
        ["", ""],
    ),
    "first ever, then any": (
        {"p": "V1 V2"},
        {"steps": [Step("V", occurrence="first_ever"), "V"]},
        ["p", "p"],
    ),
    "first ever twice": (
        {"p": "V1 V2"},
        {"steps": [Step("V", occurrence="first_ever"), Step("V", occurrence="first_ever")]},
        ["p", ""],
    ),
    "any, then first ever": (
        {"p": "V1=Chrome V2=Chrome"},
        {"steps": ["V", Step("V", occurrence="first_ever")]},
        ["p", ""],
    ),
    "first ever with a filter, then any": (
        {"p": "V1=Chrome V2=Chrome"},
        {"steps": [tagged("V", "Chrome", occurrence="first_ever"), "V"]},
        ["p", "p"],
    ),
    "first that passes the filter": (
        {"p": "A1 A25=woah B73", "q": "A50"},
        {"steps": [tagged("A", "woah", occurrence="first"), "B"]},
        ["p", "p"],
    ),
    "first of the name, if it passes the filter": (
        {"p": "A1 A25=woah B73", "q": "A50"},
        {"steps": [tagged("A", "woah", occurrence="first_ever"), "B"]},
        ["", ""],
    ),
    "optional steps": (
        OPTIONAL,
        {
            "steps": [
                "A",
                Step("B", optional=True),
                "C",
                Step("D", optional=True),
                "E",
            ]
        },
        [EVERYBODY, None, FROM_C, None, "p12345 p1235 p1345 p135"],
    ),
}


@pytest.mark.parametrize(("people", "asked", "expected"), ORDERED.values(), ids=ORDERED)
def test_ordered(people: dict[str, str], asked: dict[str, Any], expected: list[str | None]) -> None:
    result = posthog(people, **asked, **FORTNIGHT)
    for found, wanted in zip(at_steps(result), expected, strict=True):
        assert wanted is None or found == wanted
    counts = result.to_polars()["persons"].to_list()
    assert counts == [
        found if wanted is None else len(wanted.split())
        for found, wanted in zip(counts, expected, strict=True)
    ]


def test_who_made_optional_steps() -> None:
    steps = ["A", Step("B", optional=True), "C", Step("D", optional=True), "E"]
    assert posthog(OPTIONAL, steps=steps).to_polars()["persons"].to_list() == [8, 3, 7, 3, 4]
    steps = ["A", Step("A", optional=True), tagged("A", "url"), "A"]
    assert posthog(SAME, steps=steps).to_polars()["persons"].to_list() == [4, 2, 1, 1]


STRICT = {
    "p1": "S",
    "p2": "V S",
    "p3": "S V x I",
    "p4": "I x V S",
    "p5": "V S x V I",
    "p6": "x S x V",
    "p7": "x S V I x",
    "p8": "I V",
}
ADVANCED = {
    "p1": "u",
    "p2": "u v",
    "p3": "u s=val s=val2 v x i",
    "p4": "x u s=val v=val x",
    "p5": "x u s=val v x",
    "p6": "x u s=val v w=val1",
    "p7": "x u s=val v u w=val",
    "p8": "x u u s=val v w=val",
}
NEIGHBOURS: dict[str, tuple[Any, ...]] = {
    "three events": (
        STRICT,
        {"steps": ["S", "V", "I"]},
        ["p1 p2 p3 p4 p5 p6 p7", "p3 p7", "p7"],
    ),
    "filtered steps": (
        ADVANCED,
        {"steps": ["u", tagged("s", "val"), "v", tagged("w", "val")]},
        ["p1 p2 p3 p4 p5 p6 p7 p8", "p3 p4 p5 p6 p7 p8", "p4 p5 p6 p7 p8", "p8"],
    ),
    "with a break": (
        {"a": "A1 B2 C4", "b": "A1 B1.6 x1.7 C1.8", "c": "A1 B24", "d": "A1 x26 B28"},
        {"steps": ["A", "B", "C"], "window": "7d"},
        ["a b c d", "a b c", "a"],
    ),
}


@pytest.mark.parametrize(("people", "asked", "expected"), NEIGHBOURS.values(), ids=NEIGHBOURS)
def test_strict(people: dict[str, str], asked: dict[str, Any], expected: list[str]) -> None:
    assert at_steps(posthog(people, order="strict", **asked, **FORTNIGHT)) == expected


UNORDERED = {
    "p1": "S",
    "p2": "V S",
    "p3": "S V x I",
    "p4": "I V S",
    "p5": "V S x I",
    "p6": "x I",
    "p7": "V x",
    "p8": "I V",
}
BIG = {
    "p1": "S",
    "p2": "V C",
    "p3": "S V x I",
    "p4": "I C S",
    "p5": "V S C I",
    "p6": "x I",
    "p7": "V x",
    "p8": "I V",
}
ALL_8 = "p1 p2 p3 p4 p5 p6 p7 p8"
THROWN = {
    "p1": "A1 x2 B3 C4 y4.5 D5 E6",
    "p2": "A1 y1.5 B2 C4 y4.5 D5 x5.5 E6",
    "p3": "A1 x1.5 B2 C4 D5 x5.5 E6",
    "p4": "A1 B2 C4 D5 E6",
    "p5": "A1 x1.5 B2 x2.5 C4 y4.5 D5 x5.5 E6",
}
ANY_ORDER: dict[str, tuple[Any, ...]] = {
    "three events": (
        UNORDERED,
        {"steps": ["S", "V", "I"]},
        [ALL_8, "p2 p3 p4 p5 p8", "p3 p4 p5"],
    ),
    "four events": (
        BIG,
        {"steps": ["S", "V", "I", "C"]},
        [ALL_8, "p2 p3 p4 p5 p8", "p3 p4 p5", "p5"],
    ),
    "an exclusion": (
        {"p1": "A1 B2", "p2": "A3 x3.5 B4", "p3": "A5 B6"},
        {"steps": ["A", "B"], "exclusions": [{"event": "x"}]},
        ["p1 p2 p3", "p1 p3"],
    ),
    "an exclusion after the end": (
        {"p": "A1 B2 C3 x4 C5"},
        {"steps": ["A", "B", "C"], "exclusions": [{"event": "x"}]},
        ["p", "p", "p"],
    ),
    "two exclusions": (
        THROWN,
        {"steps": FIVE, "exclusions": [{"event": "x"}, {"event": "y"}]},
        ["p1 p2 p3 p4 p5", "p1 p4", "p4", "p4", "p4"],
    ),
    "any event with a boolean": (
        {"p": "S A=true"},
        {"steps": ["S", Step("*", where={"tag": True})]},
        ["p", "p"],
    ),
    "two filters on one name": (
        {"p": "S=some S=another"},
        {
            "steps": [
                tagged("S", "some"),
                Step("S", where={"property": "tag", "op": "contains", "value": "anoth"}),
            ]
        },
        ["p", "p"],
    ),
    "an exclusion in the middle": (
        {"p1": "A10 B11 x12 C13", "p2": "A10 B11 C12"},
        {"steps": ["A", "B", "C"], "window": "6h", "exclusions": [{"event": "x"}]},
        ["p1 p2", None, "p2"],
    ),
}


@pytest.mark.parametrize(("people", "asked", "expected"), ANY_ORDER.values(), ids=ANY_ORDER)
def test_unordered(people: dict[str, str], asked: dict[str, Any], expected: list[str | None]) -> None:
    found = at_steps(posthog(people, order="any", **asked, **FORTNIGHT))
    assert [
        one if wanted is not None else None for one, wanted in zip(found, expected, strict=True)
    ] == expected


def test_the_second_step_before_an_exclusion_is_thrown_away_with_its_attempt() -> None:
    people = {"p1": "A10 B11 x12 C13", "p2": "A10 B11 C12"}
    asked = {"steps": ["A", "B", "C"], "window": "6h", "order": "any", "exclusions": [{"event": "x"}]}
    assert posthog(people, **asked).to_polars()["persons"].to_list() == [2, 1, 1]


HOUR = (3600.0, 3600.0)
TRIES = {"p": "A1 B2 C3 A52 B53 A79 B82"}
STEPS = {"p1": "A12 B13 C15", "p2": "A38 B40", "p3": "A38 B40 C41"}
SHORT = {"p1": "A14 B14.083333333", "p2": "A14.05", "p3": "A12 B12.25"}
TIMES: dict[str, tuple[Any, ...]] = {
    f"{name}, {order}": (people, asked | {"order": order}, counts, times)
    for name, people, asked, counts, times in [
        (
            "later attempts that get less far",
            TRIES,
            {"steps": ["A", "B", "C"], "window": "1d"},
            [1, 1, 1],
            [HOUR] * 2,
        ),
        (
            "three steps",
            STEPS,
            {"steps": ["A", "B", "C"], "window": "7d"},
            [3, 3, 2],
            [(6000.0, 7200.0), (5400.0, 5400.0)],
        ),
        ("two weeks", SHORT, {"steps": ["A", "B"]}, [3, 2], [(600.0, 600.0)]),
        ("five minutes", SHORT, {"steps": ["A", "B"], "window": "5 minutes"}, [3, 1], [(300.0, 300.0)]),
    ]
    for order in ("ordered", "strict", "any")
}
TIMES |= {
    "strict": (
        {"p1": "A24", "p2": "A24 B25", "p3": "A24 B26 C28"},
        {"steps": ["A", "B", "C"], "order": "strict"},
        [3, 2, 1],
        [(5400.0, 5400.0), (7200.0, 7200.0)],
    ),
    "unordered, two conversions": (
        {"p1": "A24", "p2": "B24 A25", "p3": "C24 A26 B28 B48 C51 A54"},
        {"steps": ["A", "B", "C"], "order": "any", "window": "1d"},
        [3, 2, 1],
        [(5400.0, 5400.0), (7200.0, 7200.0)],
    ),
    "an attempt after an excluded one": (
        {"p": "A0 x1 B31 A3600 B3629"},
        {"steps": ["A", "B"], "window": "30s", "unit": "seconds", "exclusions": SPAN},
        [1, 1],
        [(29.0, 29.0)],
    ),
    "eight days later": (
        {"p": "A14 B206"},
        {"steps": ["A", "B"]},
        [1, 1],
        [(691200.0, 691200.0)],
    ),
}


@pytest.mark.parametrize(("people", "asked", "counts", "times"), TIMES.values(), ids=TIMES)
def test_times(people: dict[str, str], asked: dict[str, Any], counts: list[int], times: list[Any]) -> None:
    result = posthog(people, **asked, **FORTNIGHT)
    assert result.to_polars()["persons"].to_list() == counts
    assert [(round(mean), round(median)) for mean, median in seconds_to_steps(result)] == times


PERSONS = pl.DataFrame(
    {
        "person": ["p1", "p2", "p3", "p4", "p5"],
        "email": ["test@b.com", "test@b.org", "test2@b.com", "test3@b.com", "test4@b.org"],
        "age": ["18", "28", "28", "28", "18"],
    }
)


def of_person(name: str, value: str, op: Any = "eq") -> Filter:
    return Filter(property=name, op=op, value=value, of="person")


def test_a_person_property_on_the_first_step() -> None:
    mail = of_person("email", "hello@posthog.com")
    persons = pl.DataFrame({"person": ["p", "q"], "email": ["hello@posthog.com", "else"]})
    result = posthog({"p": "S P M", "q": "S P M"}, steps=[Step("S", where=mail), "P", "M"], persons=persons)
    assert at_steps(result) == ["p", "p", "p"]


def test_whoever_has_a_person_property() -> None:
    persons = pl.DataFrame(
        {"person": ["p", "q", "r"], "email": ["test@posthog.com", "another@example.com", None]}
    )
    has = Filter(property="email", op="set", of="person")
    result = posthog({"p": "A", "q": "A", "r": "A"}, steps=[Step("A", where=has), "*"], persons=persons)
    assert at_steps(result)[0] == "p q"


def test_not_the_testers() -> None:
    persons = pl.DataFrame({"person": ["p", "q"], "email": ["test@posthog.com", None]})
    real = Filter(property="email", op="not_contains", value="@posthog.com", of="person")
    result = posthog(
        {"p": "A", "q": "A"}, steps=[Step("A", where=real), Step("A", where=real)], persons=persons
    )
    assert at_steps(result) == ["q", ""]


def test_either_group_of_person_properties() -> None:
    """(mail of .com and 20 years) or (mail of .org or 28 years), on every step."""
    either = [
        [of_person("email", ".com", "contains"), of_person("age", "20")],
        [of_person("email", ".org", "contains")],
        [of_person("age", "28")],
    ]

    def step(event: str, *url: Filter) -> list[dict[str, Any]]:
        return [{"event": event, "where": [*group, *url]} for group in either]

    people = {
        "p1": "S0",
        "p2": "S0",
        "p3": "S0 V24=aloha",
        "p4": "S0 V24=aloha V48=aloha2",
        "p5": "V24=aloha V48=aloha2 V72=aloha2",
    }
    steps = [
        step("S"),
        step("V", Filter(property="tag", value="aloha")),
        step("V", Filter(property="tag", value="aloha2")),
    ]
    assert at_steps(posthog(people, steps=steps, persons=PERSONS)) == ["p2 p3 p4", "p3 p4", "p4"]


def grouped(rows: list[tuple[str, str, int, str | None]]) -> pl.DataFrame:
    """Person, event, hour, organisation."""
    return pl.DataFrame(
        rows,
        schema={"person": pl.String, "event": pl.String, "hour": pl.Int64, "org": pl.String},
        orient="row",
    ).select(
        "person",
        "event",
        pl.struct("org").alias("properties"),
        ts=datetime(2020, 1, 2, tzinfo=UTC) + pl.duration(hours="hour"),
    )


@pytest.mark.parametrize(
    ("rows", "counts"),
    [
        ([("p", "A", 14, "5"), ("p", "A", 206, "6"), ("q", "B", 38, "5")], [2, 1]),
        ([("p", "A", 14, "5"), ("p", "B", 38, "6"), ("q", "A", 14, "6"), ("q", "B", 38, "5")], [2, 2]),
        (
            [
                ("p", "A", 14, "5"),
                ("p", "B", 38, "5"),
                ("q", "A", 14, None),
                ("r", "B", 38, None),
                ("s", "A", 14, None),
                ("s", "B", 38, None),
            ],
            [1, 1],
        ),
    ],
)
def test_groups_are_counted_in_place_of_persons(rows: list[Any], counts: list[int]) -> None:
    days = {"first": date(2020, 1, 1), "last": date(2020, 1, 14)}
    result = posthog(grouped(rows), steps=["A", "B"], entity="org", **days)
    assert result.to_polars()["persons"].to_list() == counts
    assert seconds_to_steps(result) == [(86_400.0, 86_400.0)]


def test_sessions_are_counted_in_place_of_persons() -> None:
    people = {"u": "S=1 A=1 C=1 S=2 A=2", "v": "S=3"}
    steps = {"steps": ["S", "A", "C"]}
    assert posthog(people, **steps).to_polars()["persons"].to_list() == [2, 1, 1]
    for asked in ({"entity": "tag"}, {"counting": "sessions", "session_property": "tag"}):
        found = posthog(people, **steps, **asked).to_polars()["persons"].to_list()
        assert found == [3, 2, 1], asked


def test_everybody_with_a_common_property_counts_once() -> None:
    events = events_of({"u": "S A C S A", "v": "S"}).with_columns(common=pl.lit("yes"))
    result = posthog(events, steps=["S", "A", "C"], entity="common")
    assert result.to_polars()["persons"].to_list() == [1, 1, 1]


def test_names_with_quotation_marks() -> None:
    events = events_of({"p": "a b"}).with_columns(event=pl.Series(["test'1", 'test"2']))
    assert at_steps(posthog(events, steps=["test'1", "*"])) == ["p", "p"]
    assert at_steps(posthog(events, steps=["test'1", 'test"2'])) == ["p", "p"]


def test_first_ever_looks_before_the_range() -> None:
    days = {"first": date(2024, 3, 22), "last": date(2024, 3, 22)}

    def at(day: int, hour: int, year: int = 2024) -> datetime:
        return datetime(year, 3, day, hour, tzinfo=UTC)

    events = pl.DataFrame(
        {
            "person": ["p", "p", "p", "q", "q", "r"],
            "event": "V",
            "ts": [at(22, 13), at(22, 14), at(22, 13, 2023), at(22, 13), at(22, 14), at(22, 15)],
        }
    )
    asked = {"steps": [Step("V", occurrence="first_ever"), "V"]}
    assert posthog(events, **asked, **days).to_polars()["persons"].to_list() == [2, 1]
    days["first"] = date(2023, 3, 22)
    assert posthog(events, **asked, **days).to_polars()["persons"].to_list() == [3, 1]


def test_a_last_step_that_had_been_made_long_before() -> None:
    past = pl.DataFrame({"person": ["movie"], "event": ["M"], "ts": [datetime(2020, 1, 1, tzinfo=UTC)]})
    events = pl.concat([events_of(SIGNUPS).drop("properties"), past], how="vertical")
    result = posthog(events, steps=["S", "P", Step("M", occurrence="first_ever")], **FORTNIGHT)
    assert result.to_polars()["persons"].to_list() == [4, 2, 0]


def test_the_time_to_convert_is_that_of_the_converting_attempt() -> None:
    """Of two attempts within the window the converting event belongs to the later entry."""
    people = {"p": "A10 B11", "q": "A1 A35 B41", "r": "A1 A35 A41"}
    times = posthog(people, steps=["A", "B"], window="10 minutes", unit="minutes").times()
    assert times.to_dict()["mean"] == 210
    assert times.histogram().select("from_seconds", "persons").rows() == [(60, 1), (210, 0), (360, 1)]


@pytest.mark.parametrize("order", ["ordered", "any"])
@pytest.mark.parametrize("timezone", ["UTC", "US/Pacific"])
def test_the_window_ignores_the_clocks(order: str, timezone: str) -> None:
    moments = [datetime(2024, 3, 1, 15, 10, tzinfo=UTC), datetime(2024, 3, 15, 14, 27, tzinfo=UTC)]
    events = pl.DataFrame({"person": "p", "event": ["A", "B"], "ts": moments})
    result = posthog(
        events,
        steps=["A", "B"],
        order=order,
        timezone=timezone,
        first=date(2024, 2, 17),
        last=date(2024, 3, 18),
    )
    assert seconds_to_steps(result) == [(1_207_020.0, 1_207_020.0)]
