"""Inputs of ClickHouse's public tests of `windowFunnel`, and the levels that they expect.

From `tests/queries/0_stateless/00632_aggregation_window_funnel.reference` (commit
0882b32b232a52f2017d512a4d325d5379add594; `strict` is the older name of `strict_deduplication`),
`allow_reentry` as released, from that file of hanzoai/datastore (b1c802988f2fafd3602426671c564b0df19197a7),
and `01646_fix_window_funnel_inconistency.sql`. The levels of DuckDB's extension `behavioral` are those of
`test/sql/window_funnel.test` of tomtom215/duckdb-behavioral (e63c23d5dd1b3dd0022edfb69d8e4f5df0bd0141).
"""

from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl
import pytest

import opsanalytics
from opsanalytics import Funnel, Step

START = datetime(2018, 1, 1, tzinfo=UTC)
COLUMNS = {"person": pl.String, "second": pl.Int64, "e": pl.String, "b": pl.String}


def level(rows: list[tuple[Any, ...]], steps: list[Any], window: int, modes: str = "") -> list[int]:
    """The level of every person, by name; rows are (person, second, e, b), steps filters on these."""
    table = pl.DataFrame([(*row, *[None] * (4 - len(row))) for row in rows], schema=COLUMNS, orient="row")
    events = table.with_columns(event=pl.lit("row"), ts=START + pl.duration(seconds="second")).drop("second")
    definition = Funnel(steps=[Step("row", where=where) for where in steps], window=timedelta(seconds=window))
    result = opsanalytics.funnel(events, definition, preset="clickhouse" + (modes and f":{modes}"))
    reached = dict(result.persons(1).select("person", "step_reached").iter_rows())
    return [reached.get(person, 0) for person in sorted({row[0] for row in rows})]


def named(*values: object) -> list[Any]:
    return [{"property": "e", "value": str(value)} for value in values]


def journey(text: str, person: str = "u") -> list[tuple[Any, ...]]:
    """`a b c`: one event a second from 1 on."""
    return [(person, second, word) for second, word in enumerate(text.split(), 1)]


NINE = [("u", k, str(1000 + k)) for k in range(9)]
REPEATED_EVENTS = (*range(1000, 1006), *range(1005, 1009))
REPEATED = [
    ("u", t, str(e)) for t, e in zip((0, 10, 20, 30, 40, 50, 51, 60, 70, 80), REPEATED_EVENTS, strict=True)
]
TIED = [("u", 0, "1000"), ("u", 1, "1001"), ("u", 1, "1002"), ("u", 1, "1003"), ("u", 2, "1004")]


@pytest.mark.parametrize(
    ("rows", "steps", "window", "modes", "expected"),
    [
        (NINE, named(1000), 10_000, "", 1),
        (NINE, named(1000, 1001), 10_000, "", 2),
        (NINE, named(1000, 1001, 1002), 10_000, "", 3),
        (NINE, named(1000, 1001, 1002, 1008), 10_000, "", 4),
        (NINE, named(1000), 1, "", 1),
        (NINE, named(1003, 1004, 1005, 1006, 1007), 2, "", 3),
        (NINE, named(1003, 1004, 1005, 1006, 1007), 3, "", 4),
        (NINE, named(1003, 1004, 1005, 1006, 1007), 4, "", 5),
        (NINE[1:], named(1001, 1008), 10_000, "", 2),
        (NINE[1:], named(1008, 1001), 10_000, "", 1),
        (
            NINE[1:],
            [
                {"property": "e", "op": op, "value": value}
                for op, value in (("le", 1007), ("ge", 1002), ("le", 1006), ("ge", 1004))
            ],
            4,
            "",
            4,
        ),
        (REPEATED, named(*range(1000, 1007)), 10_000, "strict_deduplication", 6),
        (REPEATED, named(*range(1000, 1007)), 10_000, "strict", 6),
        (REPEATED, named(*range(1000, 1007)), 10_000, "", 7),
        (NINE[1:], named(1003, 1004, 1005, 1006, 1007), 4, "", 5),
        (journey("a b c b d"), named("a", "b", "c", "d"), 86_400, "strict_deduplication", 3),
        (TIED, named(*range(1000, 1005)), 10_000, "", 5),
        (TIED, named(*range(1000, 1005)), 10_000, "strict_increase", 2),
        (TIED, named(1004, 1004, 1004), 10_000, "", 3),
        (TIED, named(1004, 1004, 1004), 10_000, "strict_once", 1),
        (TIED, named(1004, 1004, 1004), 10_000, "strict_increase", 1),
    ],
)
def test_levels(rows: list[Any], steps: list[Any], window: int, modes: str, expected: int) -> None:
    assert level(rows, steps, window, modes) == [expected]


USERS = ["a b c", "a d b c", "a a b b c c", "a a a a b b c c", "a a b b d c c", "c c b b a a", "a c b"]


@pytest.mark.parametrize(
    ("modes", "expected"),
    [
        ("", [3, 3, 3, 3, 3, 1, 2]),
        ("strict_order", [3, 1, 3, 3, 2, 1, 1]),
        ("strict_deduplication,strict_order", [3, 1, 2, 2, 2, 1, 1]),
    ],
)
def test_strict_order_by_user(modes: str, expected: list[int]) -> None:
    rows = [row for k, text in enumerate(USERS, 1) for row in journey(text, f"u{k}")]
    assert level(rows, named("a", "b", "c"), 86_400, modes) == expected


NULLS = [
    ("u1", 1, "a1", "b1"),
    ("u1", 2, "a2", "b2"),
    ("u2", 1, "a1", None),
    ("u2", 2, "a2", None),
    ("u3", 1, None, None),
    ("u4", 1, None, "b1"),
    ("u4", 2, "a2", None),
    ("u4", 3, None, "b3"),
]
NO_A = {"property": "e", "op": "not_set"}
NO_B = {"property": "b", "op": "not_set"}


@pytest.mark.parametrize(
    ("steps", "modes", "expected"),
    [
        ([{"e": "a1"}, {"e": "a2"}], "", [2, 2, 0, 0]),
        ([{"e": "a1"}, {"b": "b2"}], "", [2, 1, 0, 0]),
        ([[NO_A, NO_B]], "", [0, 0, 1, 0]),
        ([NO_A, {"b": "b3"}], "", [0, 0, 1, 2]),
        ([NO_A, {"b": "b3"}], "strict_order", [0, 0, 1, 1]),
    ],
)
def test_missing_values(steps: list[Any], modes: str, expected: list[int]) -> None:
    assert level(NULLS, steps, 86_400, modes) == expected


@pytest.mark.parametrize("modes", ["strict_once", "strict_once,strict_increase"])
def test_a_row_serves_one_step_with_strict_once(modes: str) -> None:
    rows = [
        ("u123", 180, "failure"),
        ("u123", 220, "failure"),
        ("u123", 250, "success"),
        ("u234", 100, "failure"),
        ("u234", 250, "failure"),
        ("u345", 200, "success"),
        ("u345", 210, "failure"),
        ("u345", 230, "success"),
    ]
    assert level(rows, named("failure", "failure", "success"), 200, modes) == [3, 2, 1]


REENTRY = ["a a b a c", "a c b c", "a c"]


@pytest.mark.parametrize(
    ("steps", "modes", "expected"),
    [
        ("abac", "strict_order", [1, 1, 1]),
        ("abac", "strict_order,allow_reentry", [4, 2, 1]),
        ("abc", "strict_order", [3, 1, 1]),
        ("abc", "strict_order,allow_reentry", [3, 3, 1]),
    ],
)
def test_entering_again_with_strict_order(steps: str, modes: str, expected: list[int]) -> None:
    """Of the nine numbers that their test has none for, ClickHouse itself gives these."""
    rows = [row for k, text in enumerate(REENTRY, 1) for row in journey(text, f"u{k}")]
    assert level(rows, named(*steps), 100, modes) == expected


@pytest.mark.parametrize("words", [(1004, 1003), (1003, 1004)])
def test_ties_count_in_the_order_of_the_steps(words: tuple[int, int]) -> None:
    rows = [("u", 86_400, str(words[0])), ("u", 86_400, str(words[1])), ("u", 0, "1002")]
    assert level(rows, named(1004, 1003, 1002), 1_000_000) == [2]


def test_nobody_of_a_group_out_of_order() -> None:
    assert level(journey("a c b"), named("a", "b", "c"), 10, "strict_order") == [1]


MINUTES = {
    "1": ((0, "view"), (5, "cart"), (10, "purchase")),
    "2": ((0, "view"), (5, "cart")),
    "3": ((0, "view"), (300, "cart")),
}


@pytest.mark.parametrize(
    ("window", "modes"),
    [
        (3600, mode)
        for mode in ("", "strict_increase", "strict", "strict_order", "strict_deduplication", "strict_once")
    ]
    + [(1800, ""), (3600, "strict_order,allow_reentry")],
)
def test_three_shoppers(window: int, modes: str) -> None:
    rows = [(person, 60 * minute, event) for person, made in MINUTES.items() for minute, event in made]
    assert level(rows, named("view", "cart", "purchase"), window, modes) == [3, 2, 1]
    assert level(rows, named("nothing", "cart"), window, modes) == [0, 0, 0]
