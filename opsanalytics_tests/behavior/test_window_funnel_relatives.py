"""Inputs and levels of the public tests of functions like ClickHouse's `windowFunnel`, in our own notation.

Apache Doris: `regression-test/suites/nereids_p0/aggregate/window_funnel_v2.groovy` (commit
5b8e7779c4c4f8bcb8111eb222a692aab8a93d5e) and its `.out` (a121fee595fe32670fda7d0e089dcd1006b738e8),
`window_funnel.groovy` (78ecc36f530cb68c34e4f49c7f386fe06c0e0293); its mode `fixed` has no counterpart here.
Databend: `tests/suites/0_stateless/02_function/02_0011_function_window_funnel.sql`
(4a9465c619f0a41160bf4beb0669a53c8411d64b). DuckDB's extension `behavioral`: the unit tests of
`src/window_funnel.rs` (11a0ea2181c9d9cd5a122a38ecf50450c9556e31) and `test/sql/window_funnel_events.test`
(94ed7e7472f53b24436b7138a29ead9cbf8c42bd). Plausible: `test/plausible/funnels_test.exs`
(01fba1f34bd209b226a6d9fd4447a9997cf2d49c).
"""

from datetime import UTC, date, datetime, timedelta
from typing import Any

import polars as pl
import pytest

import opsanalytics
from opsanalytics import Filter, Funnel, Step
from opsanalytics_tests.behavior.notation import events_of

DAY = datetime(2022, 5, 15, tzinfo=UTC)


def levels(people: dict[str, str], steps: list[Any], window: float, modes: str = "") -> list[int]:
    """`login@60=phone:2`: an event at second 60 with the brand `phone` and the tab 2."""
    rows = []
    for person, words in people.items():
        for word in words.split():
            head, _, rest = word.partition("=")
            name, _, second = head.partition("@")
            brand, _, tab = rest.partition(":")
            at = DAY + timedelta(seconds=float(second))
            rows.append((person, name, at, brand or None, int(tab) if tab else None))
    schema = {"person": pl.String, "event": pl.String, "ts": pl.Datetime("us", "UTC")}
    frame = pl.DataFrame(rows, schema=schema | {"brand": pl.String, "tab": pl.Int64}, orient="row")
    definition = Funnel(steps=steps, window=timedelta(seconds=window))
    found = opsanalytics.funnel(frame, definition, preset="clickhouse" + (modes and f":{modes}"))
    reached = dict(found.persons(1).select("person", "step_reached").iter_rows())
    return [reached.get(person, 0) for person in people]


SHOP = ["login", "visit", "order", "pay"]
SHOPPERS = {
    "100123": "login@60=HONOR:1 visit@120=HONOR:2 order@240=HONOR:3 pay@600=HONOR:4",
    "100125": "login@0=XIAOMI:1 visit@60=XIAOMI:2 order@120=XIAOMI:6",
    "100126": "login@0=IPHONE:1 visit@60=HONOR:2",
    "100127": "login@0=VIVO:1 visit@60=VIVO:5",
}
BRANDS = Filter("brand", "in", ["HONOR", "XIAOMI", "VIVO"])
CHOOSY = [
    Step("login", where=[BRANDS, Filter("tab", "not_in", [4, 5])]),
    Step("visit", where=Filter("tab", "not_in", [4, 5])),
    Step("order", where=Filter("tab", "not_in", [6, 7])),
    "pay",
]


@pytest.mark.parametrize(
    ("steps", "window", "expected"),
    [
        (SHOP, 3 * 3600, [4, 3, 2, 2]),
        (SHOP, 300, [3, 3, 2, 2]),
        (SHOP, 30, [1, 1, 1, 1]),
        (CHOOSY, 3_600_000, [4, 2, 0, 1]),
    ],
)
def test_shoppers(steps: list[Any], window: int, expected: list[int]) -> None:
    assert levels(SHOPPERS, steps, window) == expected


def test_a_step_that_is_anything() -> None:
    """Doris lets no row serve two steps."""
    assert levels(SHOPPERS, ["login", "*", "order", "pay"], 3_600_000, "strict_once") == [4, 3, 2, 2]


FAR = {"1": "1@0 2@10022 3@20041 4@30244"}


@pytest.mark.parametrize(("window", "expected"), [(1, 1), (20_000, 2)])
def test_steps_hours_apart(window: int, expected: int) -> None:
    assert levels(FAR, ["1", "2"], window) == [expected]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("1@0 2@10022 3@10023 4@15844", 4),
        ("1@0 2@10022 3@10022 4@15844", 2),
        ("1@0 2@10 1@50", 2),
    ],
)
def test_times_that_must_grow(words: str, expected: int) -> None:
    steps = ["1", "2", "3", "4"] if "4@" in words else ["1", "2", "3"]
    assert levels({"1": words}, steps, 20_000, "strict_increase") == [expected]


def test_times_that_must_grow_in_a_later_attempt() -> None:
    assert levels({"1": "1@0 1@50 2@51 3@52"}, ["1", "2", "3"], 5, "strict_increase") == [3]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("1@0 2@10022 2@10023 3@12841 4@15844", 2),
    ],
)
def test_a_repeat_ends_it(words: str, expected: int) -> None:
    steps = ["1", "2", "3", "4"] if "4@" in words else ["1", "2", "3"]
    assert levels({"1": words}, steps, 86_400, "strict_deduplication") == [expected]


@pytest.mark.parametrize(
    ("words", "modes", "expected"),
    [("1@0 1@50 2@50 3@60", "strict_increase", 1), ("1@0 2@3600 1@7200 3@10800", "strict_deduplication", 3)],
)
def test_where_doris_keeps_the_first_entry(words: str, modes: str, expected: int) -> None:
    """Doris says 3 and 2. ClickHouse 26.9 itself says what we say: a later entry takes the place of the
    first, and only a repeat of the step just made ends an attempt."""
    assert levels({"1": words}, ["1", "2", "3"], 86_400, modes) == [expected]


NINE = pl.DataFrame({"k": range(9)}).select(
    person=pl.lit("u"), event=pl.format("{}", 1000 + pl.col("k")), k="k"
)


@pytest.mark.parametrize(
    ("steps", "units", "expected"),
    [
        ([1000], 10_000, 1),
        ([1000, 1001], 10_000, 2),
        ([1000, 1001, 1002], 10_000, 3),
        ([1000, 1001, 1002, 1008], 10_000, 4),
        ([1000], 1, 1),
        ([1003, 1004, 1005, 1006, 1007], 2, 3),
        ([1003, 1004, 1005, 1006, 1007], 3, 4),
        ([1003, 1004, 1005, 1006, 1007], 4, 5),
    ],
)
@pytest.mark.parametrize("unit", ["days", "seconds", "microseconds"])
def test_days_seconds_and_microseconds(steps: list[int], units: int, expected: int, unit: str) -> None:
    """A column of dates is one of midnights, so a window over it is one of days."""
    ts: list[Any]
    if unit == "days":
        ts = [date(2021, 1, 1) + timedelta(days=k) for k in range(9)]
    else:
        ts = [datetime(2021, 1, 1, tzinfo=UTC) + timedelta(**{unit: k}) for k in range(9)]
    definition = Funnel(steps=[str(step) for step in steps], window=timedelta(**{unit: units}))
    found = opsanalytics.funnel(NINE.with_columns(pl.Series("ts", ts)), definition, preset="clickhouse")
    assert found.persons(1)["step_reached"].to_list() == [expected]


def conditions(rows: str, count: int, window: float, modes: str = "") -> int:
    """`0:1 30:23`: a row at second 0 that meets condition 1, one at 30 that meets 2 and 3."""
    cells = []
    for row in rows.split():
        second, _, met = row.partition(":")
        flags = {f"c{k}": str(k) in met for k in range(1, count + 1)}
        cells.append({"person": "u", "event": "row", "ts": DAY + timedelta(seconds=float(second)), **flags})
    steps = [Step("row", where={f"c{k}": True}) for k in range(1, count + 1)]
    definition = Funnel(steps=steps, window=timedelta(seconds=window))
    preset = "clickhouse" + (modes and f":{modes}")
    found = opsanalytics.funnel(pl.DataFrame(cells), definition, preset=preset)
    return max(found.persons(1)["step_reached"].to_list(), default=0)


@pytest.mark.parametrize(
    ("rows", "count", "window", "modes", "expected"),
    [
        ("0:1 1:2", 3, 3600, "", 2),
        ("0:1 30:2 120:3", 3, 60, "", 2),
        ("0:2 1:3", 3, 3600, "", 0),
        ("0:1 120:2 200:1 230:2", 3, 60, "", 2),
        ("0:1", 1, 3600, "", 1),
        ("0:9", 3, 3600, "", 0),
        ("2:3 0:1 1:2", 3, 3600, "", 3),
        ("0:1 1:2 2:3 3:4 4:5 5:6 6:7 7:8", 8, 3600, "", 8),
        ("0:1 0.001:2", 2, 0.001, "", 2),
        ("0:1 0.001001:2", 2, 0.001, "", 1),
        ("0:1 30:2 120:3 200:1 210:2 220:3", 3, 60, "", 3),
        ("0:1 0:2", 2, 3600, "", 2),
        ("0:1 1:1 2:2", 3, 3600, "strict_deduplication", 2),
        ("0:1 1:2 2:2 3:3", 3, 3600, "strict_deduplication", 2),
        ("0:1 1:2 2:3", 3, 3600, "strict_deduplication", 3),
        ("0:1 1:2 2:3", 3, 3600, "strict_order", 3),
        ("0:1 1:1 2:2", 3, 3600, "strict_order", 2),
        ("0:1 0:2", 3, 3600, "strict_increase", 1),
        ("0:1 1:2 2:3", 3, 3600, "strict_increase", 3),
        ("0:1 1:2 1:3", 3, 3600, "strict_increase", 2),
        ("0:1 0:2 1:2 2:3", 3, 3600, "strict_increase", 3),
        ("0:1 0.000001:2", 2, 3600, "strict_increase", 2),
        ("0:1 1:23", 3, 3600, "", 3),
        ("0:1 1:23", 3, 3600, "strict_once", 2),
        ("0:123", 3, 3600, "strict_once", 1),
        ("0:1 1:2 2:3", 3, 3600, "strict_once", 3),
        ("0:1234 1:234 2:34 3:4", 4, 3600, "strict_once", 4),
        ("0:1 1:2 2:1 3:2 4:3", 3, 3600, "strict_order,allow_reentry", 3),
        ("0:1 1:2 2:3", 3, 3600, "strict_order,allow_reentry", 3),
    ],
)
def test_conditions_met(rows: str, count: int, window: float, modes: str, expected: int) -> None:
    assert conditions(rows, count, window, modes) == expected


def test_times_of_the_steps_made() -> None:
    people = {"1": "view0 cart5 purchase10", "2": "view0 cart300", "3": "cart0"}
    found = opsanalytics.funnel(
        events_of(people, unit="minutes"),
        Funnel(steps=["view", "cart", "purchase"], window="1h"),
        preset="posthog",
    )
    made = found.persons(1).sort("person").select(pl.concat_list("^ts_.$").list.drop_nulls().alias("ts"))
    assert [[(at - ts[0]).seconds for at in ts] for (ts,) in made.rows()] == [[0, 300, 600], [0]]


@pytest.mark.parametrize("preset", ["clickhouse", "posthog"])
def test_from_a_blog_to_the_checkout(preset: str) -> None:
    """Plausible's goals are pages by pattern, and events; it tells who of all visitors never enters."""
    frame = pl.DataFrame(
        [
            (999, "pageview", 0, "/irrelevant/page/not/in/funnel"),
            (123, "pageview", 1, "/go/to/blog/foo"),
            (123, "Signup", 2, None),
            (123, "pageview", 3, "/checkout"),
            (666, "pageview", 4, "/go/to/blog/bar"),
            (666, "Signup", 5, None),
        ],
        schema=["person", "event", "second", "page"],
        orient="row",
    ).with_columns(ts=DAY + pl.duration(seconds="second"))
    blog = Step("pageview", where=Filter("page", "regex", "^/go/to/blog/.*$"))
    steps = [blog, "Signup", Step("pageview", where={"page": "/checkout"})]
    table = opsanalytics.funnel(frame, Funnel(steps=steps, window="24h"), preset=preset).to_polars()
    assert table["persons"].to_list() == [2, 2, 1]
    assert table["rate"].to_list() == table["step_rate"].to_list() == [1, 1, 0.5]
    nobody = opsanalytics.funnel(frame.clear(), Funnel(steps=steps, window="24h"), preset=preset).to_polars()
    assert nobody["persons"].to_list() == [0, 0, 0]
