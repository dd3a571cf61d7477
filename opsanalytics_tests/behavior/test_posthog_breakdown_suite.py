"""Inputs and numbers of PostHog's public tests of funnel breakdowns, in a notation of our own.

From `posthog/hogql_queries/insights/funnels/test/breakdown_cases.py` (commit
0eb8a6e532bbce1736be0986f24efeceddb8604e), with what `test_funnel_strict.py`
(1b56c1bb9741c18935ff6d14ace16a8fa2f187b4), `test_funnel_unordered.py`
(75bea9911c811fe98fe8300c22fed23995b6ca41) and `test_funnel.py`
(2cbf12a1e36e93ae440e88b40e951f58e729ca10) change or add. A missing value is `(none)` here, "" there.
"""

from typing import Any

import polars as pl
import pytest

import opsanalytics
from opsanalytics import Segment, Step
from opsanalytics_tests.behavior.notation import at_steps, events_of, posthog, seconds_to_steps

Groups = dict[str, tuple[list[str], list[float | None]]]
"""By value: who made each step, and the mean seconds to each step after the first."""
ORDERS = ("ordered", "strict", "any")


def found(result: opsanalytics.FunnelResult) -> Groups:
    return {
        value: (at_steps(group), [mean for mean, _ in seconds_to_steps(group)])
        for value, group in result.groups().items()
    }


MOVIES = {"p1": "s12=Chrome m13=Chrome b15=Chrome", "p2": "s38=Safari m40=Safari", "p3": "s38=Safari"}
BUYERS = {
    "p1": "s12=Chrome b13",
    "p2": "s13 b37=Safari",
    "p3": "s38=Mac b39",
    "p4": "s39=0 b40=alakazam",
    "p5": "s39 b40",
}
FOUR = {one: BUYERS[one] for one in ("p1", "p2", "p3", "p4")}
INCOMPLETE = {"p1": "s12=Chrome b13", "p2": "s13", "p3": "s38=Mac", "p4": "s39=0 b40=alakazam"}
HOUR = [3600.0]
FIRST = {
    "0": (["p4", "p4"], HOUR),
    "Chrome": (["p1", "p1"], HOUR),
    "Mac": (["p3", "p3"], HOUR),
    "Safari": (["p2", "p2"], [86_400.0]),
    "(none)": (["p5", "p5"], HOUR),
}
CASES: dict[str, tuple[Any, ...]] = {
    f"{name}, {order}": (people, Segment("tag", **segment), {"steps": list(steps), "order": order}, groups)
    for order in ORDERS
    for name, people, steps, segment, groups in [
        (
            "three steps",
            MOVIES,
            "smb",
            {},
            {
                "Chrome": (["p1", "p1", "p1"], [3600.0, 7200.0]),
                "Safari": (["p2 p3", "p2", ""], [7200.0, None]),
            },
        ),
        ("first touch", BUYERS, "sb", {"attribution": "first"}, FIRST),
        ("first touch by default", BUYERS, "sb", {}, FIRST),
        (
            "last touch",
            BUYERS,
            "sb",
            {"attribution": "last"},
            {"alakazam": FIRST["0"]}
            | {value: FIRST[value] for value in ("Chrome", "Mac", "Safari", "(none)")},
        ),
        (
            "the first step's",
            FOUR,
            "sb",
            {"attribution": "step", "step": 1},
            {
                "0": (["p4", "p4"], HOUR),
                "Chrome": (["p1", "p1"], HOUR),
                "Mac": (["p3", "p3"], HOUR),
                "(none)": (["p2", "p2"], [86_400.0]),
            },
        ),
        (
            "the second step's, nobody incomplete",
            FOUR,
            "sb",
            {"attribution": "step", "step": 2},
            {
                "Safari": (["p2", "p2"], [86_400.0]),
                "alakazam": (["p4", "p4"], HOUR),
                "(none)": (["p1 p3", "p1 p3"], HOUR),
            },
        ),
        (
            "the second step's",
            INCOMPLETE,
            "sb",
            {"attribution": "step", "step": 2},
            {"alakazam": (["p4", "p4"], HOUR), "(none)": (["p1", "p1"], HOUR)},
        ),
        (
            "several values of one person",
            {"p": "s12=Chrome s13=Safari s38=Mac s39=0"},
            "so",
            {"attribution": "step", "step": 1},
            {value: (["p", ""], [None]) for value in ("0", "Chrome", "Mac", "Safari")},
        ),
        (
            "all events",
            {"p": "s12=Chrome m36.5=Safari s37=Safari m38=Safari"},
            "sm",
            {"attribution": "all"},
            {"Chrome": (["p", ""], [None]), "Safari": (["p", "p"], HOUR)},
        ),
    ]
}
# Unordered, any event may come first: the numbers there are for a journey of their own, and step attribution
# works otherwise (below).
for name in ("the first step's", "the second step's, nobody incomplete", "the second step's", "all events"):
    CASES.pop(f"{name}, any")
CASES["all events, any"] = (
    {"p": "s12=Chrome s37=Safari m38=Safari"},
    Segment("tag", attribution="all"),
    {"steps": ["s", "m"], "order": "any"},
    {"Chrome": (["p", ""], [None]), "Safari": (["p", "p"], HOUR)},
)
CASES["strict, with an event between"] = (
    {"p1": "s12=Chrome x13=Chrome m14=Chrome", "p2": "s37=Safari m38=Safari"},
    Segment("tag"),
    {"steps": ["s", "m"], "order": "strict"},
    {"Chrome": (["p1", ""], [None]), "Safari": (["p2", "p2"], HOUR)},
)
CASES["the first ever, by its value"] = (
    {"p": "s12=Safari m36.5=Safari s37=Chrome m38=Safari"},
    Segment("tag", attribution="all"),
    {"steps": [Step("s", occurrence="first_ever"), "m"]},
    {"Safari": (["p", "p"], [88_200.0])},
)
CASES["values of other events"] = (
    {
        "u": "s14=docs/x b206=docs/x "
        + " ".join(f"s14=blog/{letter}" for letter in "abcdefghijklmnopqrst" * 2)
    },
    Segment("tag"),
    {
        "steps": [Step("s", where={"property": "tag", "op": "contains", "value": "docs"}), "b"],
        "window": "14d",
    },
    {"docs/x": (["u", "u"], [691_200.0])},
)


@pytest.mark.parametrize(("people", "segment", "asked", "expected"), CASES.values(), ids=CASES)
def test_breakdown(people: dict[str, str], segment: Segment, asked: dict[str, Any], expected: Groups) -> None:
    assert found(posthog(people, segment, **({"window": "7d"} | asked))) == expected


def two(people: dict[str, list[tuple[str, int, dict[str, Any]]]]) -> pl.DataFrame:
    """Event, hour and properties."""
    hours = events_of({person: " ".join(f"{e}{h}" for e, h, _ in made) for person, made in people.items()})
    properties = [values for made in people.values() for _, _, values in made]
    return hours.drop("properties").with_columns(
        browser=pl.Series([one.get("browser") for one in properties], dtype=pl.String),
        version=pl.Series([one.get("version") for one in properties], dtype=pl.String),
    )


def browser(name: str | None, version: str | None = None) -> dict[str, Any]:
    return {"browser": name, "version": version}


@pytest.mark.parametrize("order", ORDERS)
def test_two_properties(order: str) -> None:
    people = {
        "p1": [
            ("s", 12, browser("Chrome", "95")),
            ("m", 13, browser("Chrome", "95")),
            ("b", 15, browser("Chrome", "95")),
        ],
        "p2": [("s", 38, browser("Safari", "15")), ("m", 40, browser("Safari", "15"))],
        "p3": [("s", 38, browser("Safari", "14"))],
    }
    result = posthog(two(people), Segment(("browser", "version")), steps=["s", "m", "b"], order=order)
    assert found(result) == {
        "Chrome, 95": (["p1", "p1", "p1"], [3600.0, 7200.0]),
        "Safari, 14": (["p3", "", ""], [None, None]),
        "Safari, 15": (["p2", "p2", ""], [7200.0, None]),
    }


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("complete", [True, False])
def test_two_properties_where_some_are_missing(order: str, complete: bool) -> None:
    people = {
        "p1": [("s", 12, browser("Chrome", "xyz")), ("b", 13, {})],
        "p2": [("s", 13, {}), ("b", 37, browser("Safari", "xyz"))],
        "p3": [("s", 38, browser("Mac")), ("b", 39, browser(None, "no-mac"))][: 2 if complete else 1],
        "p4": [("s", 39, browser("0", "0")), ("b", 40, browser("alakazam"))][: 2 if complete else 1],
        "p5": [("s", 39, {}), ("b", 40, {})],
    }
    result = posthog(two(people), Segment(("browser", "version")), steps=["s", "b"], order=order)
    last = [3600.0] if complete else [None]
    assert found(result) == {
        "0, 0": (["p4", "p4" if complete else ""], last),
        "Chrome, xyz": (["p1", "p1"], [3600.0]),
        "Mac, (none)": (["p3", "p3" if complete else ""], last),
        "Safari, xyz": (["p2", "p2"], [86_400.0]),
        "(none)": (["p5", "p5"], [3600.0]),
    }


VERSIONS = {
    "p1": [("s", 12, browser("Chrome", "xyz")), ("b", 13, browser("Chrome"))],
    "p2": [("s", 13, {}), ("b", 37, browser("Safari", "xyz"))],
    "p3": [("s", 38, browser("Mac")), ("b", 39, browser("Mac", "xyz"))],
    "p5": [("s", 39, {}), ("b", 40, {})],
}
BUY = ["s", Step("b", where={"version": "xyz"})]


@pytest.mark.parametrize(
    ("segment", "values"),
    [
        (Segment("browser", attribution="first"), ["Chrome", "Mac", "Safari", "(none)"]),
        (Segment("browser", attribution="step", step=2), ["Mac", "Safari"]),
    ],
)
@pytest.mark.parametrize("order", ["ordered", "strict"])
def test_only_events_that_serve_a_step_give_values(order: str, segment: Segment, values: list[str]) -> None:
    assert list(posthog(two(VERSIONS), segment, steps=BUY, order=order).groups()) == values


@pytest.mark.parametrize("order", ORDERS)
def test_person_properties(order: str) -> None:
    persons = pl.DataFrame({"person": ["p1", "p2"], "browser": ["Chrome", "Safari"]})
    people = {"p1": "s12 m13 b15", "p2": "s38 m40"}
    result = posthog(
        people, Segment("browser", of="person"), steps=["s", "m", "b"], order=order, persons=persons
    )
    assert found(result) == {
        "Chrome": (["p1", "p1", "p1"], [3600.0, 7200.0]),
        "Safari": (["p2", "p2", ""], [7200.0, None]),
    }


@pytest.mark.parametrize("order", ORDERS)
def test_the_rarest_values_are_put_together(order: str) -> None:
    people = {f"p{n}_{i}": f"s12={n} m13={n} b15={n}" for n in range(10) for i in range(n)}
    asked = {"steps": ["s", "m", "b"], "order": order}
    assert list(posthog(people, Segment("tag", limit=5), **asked).groups()) == [
        "5",
        "6",
        "7",
        "8",
        "9",
        "(other)",
    ]
    few = {who: made for who, made in people.items() if who[1] in "1234"} | {"nobody": "s12 m13 b15"}
    groups = posthog(few, Segment("tag", limit=6), **asked).groups()
    assert list(groups) == ["1", "2", "3", "4", "(none)"]
    assert [group.to_polars()["persons"].to_list() for group in groups.values()] == [
        [1] * 3,
        [2] * 3,
        [3] * 3,
        [4] * 3,
        [1] * 3,
    ]


def test_other() -> None:
    people = {
        "p1": "s12=Chrome m13=Chrome",
        "p2": "s38=Safari m39=Safari b40=Safari",
        "p3": "s38=Safari",
        "p4": "s38=random",
        "p5": "s39=another",
    }
    assert found(posthog(people, Segment("tag", limit=1), steps=["s", "m", "b"])) == {
        "Safari": (["p2 p3", "p2", "p2"], [3600.0, 3600.0]),
        "(other)": (["p1 p4 p5", "p1", ""], [3600.0, None]),
    }


@pytest.mark.parametrize(
    ("segment", "values"),
    [
        ({}, ["Chrome"]),
        ({"attribution": "all"}, ["Chrome"]),
        ({"attribution": "step", "step": 1}, ["Chrome"]),
        ({"attribution": "step", "step": 2}, ["Chrome", "Safari"]),
        ({"attribution": "step", "step": 3}, ["Chrome"]),
    ],
)
def test_whichever_step_gives_the_value(segment: dict[str, Any], values: list[str]) -> None:
    people = {"u": "A0=Chrome B1=Safari B2=Chrome C3=Chrome"}
    result = posthog(people, Segment("tag", **segment), steps=["A", "B", "C"], window="30s", unit="seconds")
    complete = {value: counts for value, (counts, _) in found(result).items() if counts[-1]}
    assert complete == {value: ["u", "u", "u"] for value in values}


def test_values_with_quotation_marks_and_identifiers() -> None:
    people = {"u1": "V=test''123 V=test''123", "u2": "V=test''123 V=test''123"}
    assert list(posthog(people, "tag", steps=["V", "V"]).groups()) == ["test''123"]
    events = events_of(people).with_columns(distinct_id="person")
    groups = posthog(events, "distinct_id", steps=["V", "V"]).groups()
    assert {value: at_steps(one) for value, one in groups.items()} == {"u1": ["u1", "u1"], "u2": ["u2", "u2"]}
