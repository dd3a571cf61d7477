"""Input that nobody hopes for, through the public API. Nothing is timed: what is quadratic never ends."""

import json
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import polars as pl
import pyarrow as pa
import pytest

import opsanalytics
from opsanalytics import Cohort, Filter, Funnel, Retention, Segment, Step, Trends
from opsanalytics.lake.paths import Home
from opsanalytics_tests.samples import event, person, write_events, write_persons

AB = Funnel(steps=["A", "B"], window="7d")
SCHEMA = {"person": pl.String, "event": pl.String, "ts": pl.Datetime("us", "UTC")}
PRESETS = ["opsanalytics", "posthog", "mixpanel", "mixpanel_optimized", "amplitude", "clickhouse"]
LATER = datetime(9999, 12, 31, tzinfo=UTC)


def utc(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)  # type: ignore[arg-type]


def events(*rows: tuple[Any, ...]) -> pl.DataFrame:
    return pl.DataFrame(list(rows), schema=SCHEMA, orient="row")


def counts(frame: Any, definition: Any = AB, preset: str = "posthog", **asked: Any) -> list[int]:
    result = opsanalytics.funnel(frame, definition, preset=preset, **asked)
    return result.to_polars()["persons"].to_list()


ONE = [("p", "A", utc(2024, 1, 1)), ("p", "B", utc(2024, 1, 2))]
QUESTIONS: dict[str, Callable[[Any], Any]] = {
    "funnel": lambda frame: opsanalytics.funnel(frame, AB),
    "retention": lambda frame: opsanalytics.retention(frame, Retention(start="A", returning="B")),
    "retention by hour": lambda frame: opsanalytics.retention(
        frame, Retention(start="A", returning="B", period="hour")
    ),
    "lifecycle": opsanalytics.lifecycle,
    "stickiness": opsanalytics.stickiness,
    "usage_interval": opsanalytics.usage_interval,
    "trends": lambda frame: opsanalytics.trends(frame, Trends(series=["A"])),
    "paths": opsanalytics.paths,
    "sessions": opsanalytics.sessions,
    "cohort": lambda frame: opsanalytics.cohort(frame, Cohort(name="those", where=[{"did": "A"}])),
    "reconcile": lambda frame: opsanalytics.reconcile(frame, AB),
}


@pytest.mark.parametrize("ask", QUESTIONS.values(), ids=QUESTIONS)
def test_nothing_at_all(ask: Callable[[Any], Any]) -> None:
    empty = events()
    answers = [ask(empty), ask(empty.lazy()), ask(pl.DataFrame({"person": [], "event": [], "ts": []}))]
    for answer in answers:
        json.dumps(answer.to_dict(), default=str)
        assert repr(answer)
        assert answer._repr_html_().startswith("<")
        assert isinstance(answer.to_polars(), pl.DataFrame)
    assert answers[0].to_polars().equals(answers[1].to_polars())


def test_an_empty_funnel_counts_nobody() -> None:
    for preset in PRESETS:
        result = opsanalytics.funnel(events(), AB, preset=preset)
        assert (result.entered, result.conversion) == (0, None)
        assert result.to_polars()["persons"].to_list() == [0, 0]
    assert opsanalytics.funnel_trend(events(), AB).is_empty()


@pytest.mark.parametrize("preset", PRESETS)
def test_nobody_and_never_count_nowhere(preset: str) -> None:
    frame = events(*ONE, (None, "A", utc(2024, 1, 1)), (None, "B", utc(2024, 1, 2)), ("q", "A", None))
    result = opsanalytics.funnel(frame, AB, preset=preset, as_of=LATER)
    assert result.to_polars()["persons"].to_list() == [1, 1]
    assert (result.left_out.without_person, result.left_out.without_time) == (2, 1)


@pytest.mark.parametrize("ask", QUESTIONS.values(), ids=QUESTIONS)
def test_nobody_and_never_change_nothing(ask: Callable[[Any], Any]) -> None:
    strangers = events((None, "A", utc(2024, 1, 1)), ("q", "A", None), (None, None, None))
    mixed = pl.concat([strangers, events(*ONE)])
    assert ask(mixed).to_polars().equals(ask(events(*ONE)).to_polars())


def test_events_without_a_name_only_stand_between() -> None:
    frame = events(("p", None, utc(2024, 1, 1)), *ONE, ("p", None, utc(2024, 1, 1, 12)))
    assert counts(frame) == [1, 1]
    strict = AB.model_copy(update={"order": "strict"})
    assert counts(frame, strict) == [1, 0]


OLD_AND_NEW = [
    (name, event, ts + timedelta(days=day))
    for name, ts in {
        "year 1": utc(1, 1, 1),
        "1582": utc(1582, 10, 4),
        "1900": utc(1900, 2, 28),
        "1969": utc(1969, 12, 31, 23, 59, 59),
        "2038": utc(2038, 1, 18),
        "2201": utc(2201, 5, 5),
        "2300": utc(2299, 12, 31),
        "9999": utc(9999, 12, 29),
    }.items()
    for day, event in enumerate("AB")
]


@pytest.mark.parametrize("preset", PRESETS)
def test_before_1970_and_after_2200(preset: str) -> None:
    result = opsanalytics.funnel(events(*OLD_AND_NEW), AB, preset=preset, as_of=LATER)
    steps = result.to_polars()
    # The window of the last person is still open at the end of time.
    expected = 7 if preset == "opsanalytics" else 8
    assert steps["persons"].to_list() == [expected, expected]
    assert steps["median_seconds"].to_list() == [None, 86_400.0]
    assert result.persons(2)["entry_ts"].min() == utc(1, 1, 1)


@pytest.mark.parametrize("period", ["hour", "day", "week", "month"])
def test_periods_before_1970_and_after_2200(period: Any) -> None:
    ancient = [row for row in OLD_AND_NEW if row[0] in ("1969", "1900", "2201")]
    asked = Retention(start="A", returning="B", period=period, periods=60)
    cells = opsanalytics.retention(events(*ancient), asked, as_of=LATER).to_polars()
    by_cohort = cells.filter(pl.col("cohort").is_not_null()).group_by("cohort").agg(pl.col("returned").sum())
    assert sorted(one.year for one in by_cohort["cohort"]) == [1900, 1969, 2201]
    assert by_cohort["returned"].to_list() == [1, 1, 1]


def test_time_stamps_at_the_edge_of_what_a_window_reaches() -> None:
    frame = events(("p", "A", utc(1, 1, 1)), ("p", "B", utc(101, 1, 1)), ("q", "A", utc(9999, 12, 31)))
    century = Funnel(steps=["A", "B"], window=timedelta(days=36_525))
    assert counts(frame, century) == [2, 1]
    assert counts(frame, AB) == [2, 0]


@pytest.mark.parametrize("window", [timedelta(microseconds=1), "1us", "1 microsecond"])
def test_a_window_of_a_microsecond(window: Any) -> None:
    start = utc(2024, 1, 1)
    frame = events(
        *((person, "A", start) for person in "pqr"),
        ("p", "B", start),
        ("q", "B", start + timedelta(microseconds=1)),
        ("r", "B", start + timedelta(microseconds=2)),
    )
    for preset in ("opsanalytics", "posthog", "clickhouse"):
        assert counts(frame, Funnel(steps=["A", "B"], window=window), preset, as_of=LATER) == [3, 2]


N = 1_000_000
FORMS: dict[str, dict[str, Any]] = {
    "ordered": {"steps": ["A", "B", "C"]},
    "repeated steps": {"steps": ["A", "A", "B"]},
    "strict": {"steps": ["A", "B", "C"], "order": "strict"},
    "strict, repeated": {"steps": ["A", "A", "B"], "order": "strict"},
    "any order": {"steps": ["A", "B", "C"], "order": "any"},
    "exclusions": {"steps": ["A", "B", "C"], "exclusions": [{"event": "X"}]},
    "limited": {"steps": ["A", Step("B", within="1h"), "C"]},
    "minimum gap": {"steps": ["A", Step("B", after="1s"), "C"]},
    "optional": {"steps": ["A", Step("B", optional=True), "C"]},
    "attempts": {"steps": ["A", "B", "C"], "counting": "attempts"},
    "sessions": {"steps": ["A", "B", "C"], "counting": "sessions"},
    "held": {"steps": ["A", "B", "C"], "hold": ["cart"]},
}


def one_person(times: Any, names: str) -> pl.DataFrame:
    random = np.random.default_rng(7)
    return pl.DataFrame(
        {
            "person": np.zeros(N, np.int64),
            "event": random.choice(list(names), N),
            "ts": pl.Series(times).cast(pl.Datetime("us", "UTC")),
            "cart": random.integers(0, 100, N),
        }
    )


@pytest.fixture(scope="module")
def busy() -> pl.DataFrame:
    """A million events of one person in eleven days."""
    return one_person(np.sort(np.random.default_rng(6).integers(0, 10**12, N)), "ABCDX")


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_one_person_with_a_million_events(busy: pl.DataFrame, form: dict[str, Any]) -> None:
    found = counts(busy, Funnel(window="7d", **form))
    assert found[0] >= 1
    if form.get("counting", "persons") == "persons" and form["steps"][1] != Step("B", optional=True):
        assert found == [1, 1, 1]


@pytest.mark.parametrize("name", [one for one in FORMS if one != "minimum gap"])
def test_a_million_events_at_one_instant(name: str) -> None:
    frame = one_person(np.zeros(N, np.int64), "ABC")
    assert counts(frame, Funnel(window="7d", **FORMS[name]))[0] >= 1


@pytest.mark.parametrize("mode", ["", ":strict_order", ":strict_deduplication", ":strict_increase"])
def test_a_million_events_as_clickhouse_counts(busy: pl.DataFrame, mode: str) -> None:
    assert counts(busy, Funnel(steps=["A", "B", "C"], window="7d"), f"clickhouse{mode}")[0] == 1


@pytest.mark.parametrize("mode", ["", ":strict_once", ":strict_increase"])
def test_a_million_events_at_one_instant_as_clickhouse_counts(mode: str) -> None:
    frame = one_person(np.zeros(N, np.int64), "ABC")
    found = counts(frame, Funnel(steps=["A", "B", "C"], window="7d"), f"clickhouse{mode}")
    assert found == ([1, 0, 0] if "increase" in mode else [1, 1, 1])


def test_a_million_entries_and_nothing_else() -> None:
    frame = one_person(np.arange(N) * 1_000_000, "A")
    for order in ("ordered", "strict", "any"):
        assert counts(frame, Funnel(steps=["A", "B"], window="7d", order=order)) == [1, 0]


def test_ten_thousand_event_names() -> None:
    n = 10_000
    names = [f"event {k}" for k in range(n)]
    frame = pl.DataFrame(
        {
            "person": pl.Series([k % 100 for k in range(n)]),
            "event": names,
            "ts": pl.Series([utc(2024, 1, 1) + timedelta(minutes=k) for k in range(n)]),
        }
    )
    definition = Funnel(steps=["event 0", "event 100", "event 9900"], window="30d")
    assert counts(frame, definition) == [1, 1, 1]
    assert counts(frame, Funnel(steps=["*"] * 20, window="30d"))[-1] == 100
    assert opsanalytics.paths(frame).to_polars().height > 0
    named = frame.with_columns(shown="event")
    by_name = opsanalytics.funnel(
        named, Funnel(steps=["*"], window="1d"), breakdown="shown", preset="posthog"
    )
    assert {value: group.entered for value, group in by_name.groups().items()} == dict.fromkeys(
        sorted(f"event {k}" for k in range(100))[:10], 1
    ) | {"(other)": 90}


def test_twenty_steps() -> None:
    letters = "ABCDEFGHIJKLMNOPQRST"
    rows = [("p", letter, utc(2024, 1, 1) + timedelta(hours=k)) for k, letter in enumerate(letters)]
    for order in ("ordered", "strict", "any"):
        assert counts(events(*rows), Funnel(steps=list(letters), window="7d", order=order)) == [1] * 20
    backwards = Funnel(steps=list(reversed(letters)), window="7d")
    assert counts(events(*rows), backwards) == [1] + [0] * 19


def test_rows_twice_change_no_count_of_persons() -> None:
    rows = [*ONE, ("q", "A", utc(2024, 1, 1))]
    for preset in PRESETS:
        assert counts(events(*rows, *rows), AB, preset, as_of=LATER) == [2, 1]
    once, twice = (opsanalytics.lifecycle(frame) for frame in (events(*rows), events(*rows, *rows)))
    assert once.to_polars().equals(twice.to_polars())


def with_tags(*tags: Any, dtype: Any = None) -> pl.DataFrame:
    """Persons 0, 1, ...: A, and an hour later B with the property `tag`."""
    start = utc(2024, 1, 1)
    frame = pl.DataFrame(
        {
            "person": [k for k in range(len(tags)) for _ in "AB"],
            "event": ["A", "B"] * len(tags),
            "ts": [start, start + timedelta(hours=1)] * len(tags),
        }
    )
    values = [value for tag in tags for value in (None, tag)]
    if dtype is not None:
        return frame.with_columns(tag=pl.Series(values, dtype=dtype))
    return frame.with_columns(properties=pl.Series([json.dumps({"tag": value}) for value in values]))


def reached(frame: pl.DataFrame, *condition: Any) -> list[int]:
    steps = ["A", Step("B", where=Filter("tag", *condition))]
    result = opsanalytics.funnel(frame, Funnel(steps=steps, window="7d"), preset="posthog")
    return sorted(result.persons(2)["person"].to_list())


JSON_VALUES = [5, "5", 5.0, "5.0", "five", True, "true", None, [5, 6], {"a": 5}, "", " 5", "NaN", -0.0]


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        (("eq", 5), [0, 1, 2, 3]),
        (("eq", "5"), [0, 1]),
        (("ne", 5), [4, 5, 6, 7, 8, 9, 10, 11, 12, 13]),
        (("gt", 4), [0, 1, 2, 3]),
        (("le", 5), [0, 1, 2, 3, 13]),
        (("eq", 0), [13]),
        (("eq", True), [5, 6]),
        (("eq", "true"), [5, 6]),
        (("ne", True), [0, 1, 2, 3, 4, 7, 8, 9, 10, 11, 12, 13]),
        (("set",), [0, 1, 2, 3, 4, 5, 6, 8, 9, 10, 11, 12, 13]),
        (("not_set",), [7]),
        (("in", [5, "five"]), [0, 1, 2, 3, 4]),
        (("contains", "5,6"), [8]),
        (("regex", r"^\s*5"), [0, 1, 2, 3, 11]),
        (("icontains", "FIVE"), [4]),
        (("not_icontains", "FIVE"), [0, 1, 2, 3, 5, 6, 7, 8, 9, 10, 11, 12, 13]),
    ],
)
def test_values_of_every_kind(condition: tuple[Any, ...], expected: list[int]) -> None:
    assert reached(with_tags(*JSON_VALUES), *condition) == expected


@pytest.mark.parametrize("op", ["gt", "ge", "lt", "le"])
def test_numbers_that_are_none(op: str) -> None:
    frame = with_tags(float("nan"), float("inf"), float("-inf"), None, 3.0, dtype=pl.Float64)
    expected = {"gt": [1], "ge": [1, 4], "lt": [2], "le": [2, 4]}
    assert reached(frame, op, 3) == expected[op]


def test_a_regular_expression_that_would_explode_elsewhere() -> None:
    frame = with_tags("a" * 50_000 + "!", "a" * 50_000)
    assert reached(frame, "regex", "^(a+)+$") == [1]


def test_names_of_every_kind() -> None:
    names = ["🎉 signup", "Plan", "plan", "$geo.city", "it's", 'say "so"', "a b", "päivä", "[0]", "*"]
    start = utc(2024, 1, 1)
    for name in names:
        frame = pl.DataFrame(
            {
                "person": ["p", "p", "q", "q"],
                "event": [name, "B"] * 2,
                "ts": [start, start + timedelta(hours=1)] * 2,
                "properties": [json.dumps({name: value}) for value in ("yes", "yes", "no", "no")],
            }
        )
        steps = [name, Step("B", where={name: "yes"})]
        assert counts(frame, Funnel(steps=steps, window="7d")) == [2, 1], name
        groups = opsanalytics.funnel(frame, Funnel(steps=[name, "B"], window="7d"), breakdown=name).groups()
        assert set(groups) == {"yes", "no"}, name


def test_upper_and_lower_case_are_two_properties() -> None:
    frame = with_tags("x").with_columns(properties=pl.lit('{"Tag": "x", "tag": "y", "TAG": "z"}'))
    assert [reached(frame, "eq", one) for one in "xyz"] == [[], [0], []]


@pytest.mark.parametrize("as_struct", [True, False])
def test_properties_inside_properties(as_struct: bool) -> None:
    inside: Any = {"geo": {"city": "Paris", "at": {"lat": 48.9}}, "tags": ["a", "b"]}
    frame = events(*ONE).with_columns(properties=pl.Series([inside] * 2))
    if not as_struct:
        frame = frame.with_columns(pl.col("properties").struct.json_encode())

    def asked(**where: Any) -> list[int]:
        return counts(frame, Funnel(steps=["A", Step("B", where=where)], window="7d"))

    assert asked(**{"geo.city": "Paris"}) == [1, 1]
    assert asked(**{"geo.at.lat": 48.9}) == [1, 1]
    assert asked(**{"geo.city": "Rome"}) == [1, 0]
    assert asked(**{"geo.nothing": "Paris"}) == [1, 0]
    groups = opsanalytics.funnel(frame, AB, breakdown="geo.city").groups()
    assert set(groups) == {"Paris"}


@pytest.mark.parametrize("form", ["map", "pairs", "categories", "bytes"])
def test_properties_in_further_forms(form: str) -> None:
    """What DuckDB and Arrow call a map, and JSON that is not typed as text."""
    keys = ['quo"te', "back\\slash", "käse", "new\nline", "plain"]
    entries = [[(key, f"{key} {row}") for key in keys] for row in (1, 2)]
    if form in ("map", "pairs"):
        pair = pa.struct([("key", pa.string()), ("value", pa.string())])
        kind = pa.map_(pa.string(), pa.string()) if form == "map" else pa.list_(pair)
        rows = entries if form == "map" else [[{"key": k, "value": v} for k, v in row] for row in entries]
        column = pl.Series(pl.from_arrow(pa.table({"properties": pa.array(rows, type=kind)}))["properties"])
    else:
        text = pl.Series("properties", [json.dumps(dict(row)) for row in entries])
        column = text.cast(pl.Categorical if form == "categories" else pl.Binary)
    frame = events(*ONE).with_columns(column)
    for key in keys:
        if "\\" not in key:
            steps = [Step(name, where={key: f"{key} {row}"}) for row, name in ((1, "A"), (2, "B"))]
            assert counts(frame, Funnel(steps=steps, window="7d")) == [1, 1], key
            assert counts(frame, Funnel(steps=[steps[0], Step("B", where={key: "x"})], window="7d")) == [1, 0]


def test_maps_of_numbers_and_of_nothing() -> None:
    kind = pa.map_(pa.string(), pa.float64())
    table = pa.table({"properties": pa.array([[("n", 2.5)], None, [], [("n", None)]], type=kind)})
    rows = [(who, "A", utc(2024, 1, 1)) for who in "pqrs"]
    frame = events(*rows).with_columns(pl.from_arrow(table)["properties"])
    asked = Funnel(steps=[Step("A", where=Filter("n", "gt", 2))], window="7d")
    assert opsanalytics.funnel(frame, asked, preset="posthog").persons(1)["person"].to_list() == ["p"]
    unset = Funnel(steps=[Step("A", where=Filter("n", "not_set"))], window="7d")
    assert opsanalytics.funnel(frame, unset, preset="posthog").persons(1)["person"].to_list() == [
        "q",
        "r",
        "s",
    ]


def test_tables_of_other_libraries() -> None:
    frame = events(*ONE, ("q", "A", utc(2024, 1, 1)))
    expected = counts(frame)
    shuffled = frame.to_pandas().iloc[[2, 0, 1]]
    assert counts(shuffled) == counts(frame.to_arrow()) == expected
    assert counts(duckdb.from_arrow(frame.to_arrow())) == expected
    with pytest.raises(TypeError, match=r"list is not a table .*pl\.DataFrame"):
        counts(frame.to_dicts())


def test_a_key_with_a_dot_comes_before_one_inside() -> None:
    frame = events(*ONE).with_columns(properties=pl.lit('{"geo.city": "Rome", "geo": {"city": "Paris"}}'))
    for city, expected in (("Rome", [1, 1]), ("Paris", [1, 0])):
        steps = ["A", Step("B", where={"geo.city": city})]
        assert counts(frame, Funnel(steps=steps, window="7d")) == expected


def test_broken_json_has_no_properties() -> None:
    frame = with_tags("x", "x").with_columns(
        properties=pl.when(pl.col("person") == 0).then(pl.lit('{"tag": "x"')).otherwise("properties")
    )
    assert reached(frame, "not_set") == [0]
    assert reached(frame, "eq", "x") == [1]


def test_missing_values_of_a_breakdown() -> None:
    frame = with_tags("x", None, "", "(none)", "(other)", 0, False)
    result = opsanalytics.funnel(
        frame, AB, preset="posthog", breakdown=Segment("tag", attribution="step", step=2)
    )
    assert {value: group.entered for value, group in result.groups().items()} == {
        "": 1,
        '"(none)"': 1,
        '"(other)"': 1,
        "0": 1,
        "false": 1,
        "x": 1,
        "(none)": 1,
    }


@pytest.mark.parametrize(
    "column",
    [
        pl.Series("person", [1, 1, 2, 2], dtype=pl.UInt64) + 2**63,
        pl.Series("person", ["x", "x", "y", "y"], dtype=pl.Categorical),
        pl.Series("person", [b"x", b"x", b"y", b"y"]),
        pl.Series("person", [date(2024, 1, 1)] * 2 + [date(2024, 1, 2)] * 2),
        pl.Series("person", [0.5, 0.5, 1.5, 1.5]),
        pl.Series("person", [False, False, True, True]),
    ],
    ids=lambda column: str(column.dtype),
)
def test_persons_of_every_kind(column: pl.Series) -> None:
    frame = events(*ONE, ("q", "A", utc(2024, 1, 1)), ("q", "C", utc(2024, 1, 2))).with_columns(column)
    assert counts(frame) == [2, 1]
    assert opsanalytics.funnel(frame, AB, preset="posthog").persons(2).height == 1


def test_a_person_that_is_no_number_is_nobody() -> None:
    frame = events(*ONE, *ONE).with_columns(pl.Series("person", [1.0, 1.0, float("nan"), float("nan")]))
    result = opsanalytics.funnel(frame, AB, preset="posthog")
    assert result.to_polars()["persons"].to_list() == [1, 1]
    assert result.left_out.without_person == 2


@pytest.mark.parametrize("dtype", [pl.Datetime("ms"), pl.Datetime("us"), pl.Datetime("ns"), pl.Date])
def test_times_of_every_kind(dtype: Any) -> None:
    frame = events(*ONE).with_columns(pl.col("ts").cast(dtype))
    assert counts(frame) == [1, 1]
    assert opsanalytics.funnel(frame, AB).as_of == utc(2024, 1, 2)


@pytest.mark.parametrize(
    "timezone", ["Europe/Berlin", "America/Los_Angeles", "Asia/Kathmandu", "Pacific/Apia"]
)
def test_times_of_a_zone_are_instants(timezone: str) -> None:
    frame = events(*ONE).with_columns(pl.col("ts").dt.convert_time_zone(timezone))
    assert counts(frame) == [1, 1]


@pytest.mark.parametrize(
    ("timezone", "first", "hours"),
    [
        ("Europe/Berlin", date(2024, 3, 31), 23),
        ("Europe/Berlin", date(2024, 10, 27), 25),
        ("America/New_York", date(2024, 3, 10), 23),
        ("Australia/Lord_Howe", date(2024, 4, 7), 24.5),
    ],
)
def test_days_of_other_lengths(timezone: str, first: date, hours: float) -> None:
    """Midnight to midnight of the zone, whatever the clocks do."""
    midnight = pl.Series([datetime(first.year, first.month, first.day)]).dt.replace_time_zone(timezone)  # noqa: DTZ001
    start = midnight.dt.convert_time_zone("UTC").item()
    last = start + timedelta(hours=hours) - timedelta(microseconds=1)
    frame = events(
        ("in", "A", start),
        ("in", "B", last),
        ("after", "A", last + timedelta(microseconds=1)),
        ("before", "A", start - timedelta(microseconds=1)),
    )
    days: dict[str, Any] = {"first": first, "last": first, "timezone": timezone}
    assert counts(frame, **days) == [1, 1]
    asked = Retention(start="A", returning="B", period="day")
    cells = opsanalytics.retention(frame, asked, timezone=timezone, as_of=LATER).to_polars()
    day = cells.filter(pl.col("cohort") == first, pl.col("period") == 0)
    assert day.select("n", "returned").row(0) == (1, 1)


@pytest.mark.parametrize(
    ("week_start", "first_day"),
    [("monday", date(2024, 3, 4)), ("sunday", date(2024, 3, 10)), ("saturday", date(2024, 3, 9))],
)
def test_weeks_begin_where_they_are_told_to(week_start: Any, first_day: date) -> None:
    frame = events(("p", "A", utc(2024, 3, 10, 12)), ("p", "B", utc(2024, 3, 11, 12)))
    asked = Retention(start="A", returning="B", period="week")
    cells = opsanalytics.retention(frame, asked, week_start=week_start, as_of=LATER).to_polars()
    cohorts = cells["cohort"].drop_nulls().unique().to_list()
    assert cohorts == [first_day]


def test_further_columns_do_no_harm() -> None:
    frame = events(*ONE).with_columns(
        mask=1, unit=pl.lit("x"), value=pl.lit(None), first_0=True, ts_1=pl.lit("no"), segment_0=pl.lit("z")
    )
    for preset in PRESETS:
        assert counts(frame, AB, preset, as_of=LATER) == [1, 1]
    result = opsanalytics.funnel(frame, AB, breakdown="segment_0", as_of=LATER)
    assert set(result.groups()) == {"z"}


LAKES: dict[str, list[tuple[str | None, str, datetime]]] = {
    "nothing": [],
    "nobody": [(None, "A", utc(2024, 1, 1)), (None, "B", utc(2024, 1, 2))],
    "usual": [*ONE, (None, "A", utc(2024, 1, 1)), ("🦊", "A", utc(2024, 1, 1)), ("q", "B", utc(2024, 1, 1))],
    "before 1970": [("p", "A", utc(1900, 2, 28)), ("p", "B", utc(1900, 3, 1)), ("q", "A", utc(1969, 12, 31))],
    "after 2200": [("p", "A", utc(2201, 5, 5)), ("p", "B", utc(2201, 5, 6)), ("q", "A", utc(2299, 12, 31))],
    "far apart": [("p", "A", utc(1950, 1, 1)), ("p", "A", utc(2250, 1, 1)), ("p", "B", utc(2250, 1, 2))],
}


@pytest.mark.parametrize("rows", LAKES.values(), ids=LAKES)
def test_a_lake_answers_as_its_events_do(
    rows: list[tuple[str | None, str, datetime]], tmp_path: Path
) -> None:
    """Also from the index, which is built on the way."""
    home = Home(tmp_path)
    home.events.mkdir(parents=True)
    write_persons(home, [person("user", name, name) for name in sorted({row[0] for row in rows if row[0]})])
    for day in {row[2].date() for row in rows}:
        stored = [
            event(f"{day}-{i}", day, user_id=name, distinct_id=None, event=what, ts=ts)
            for i, (name, what, ts) in enumerate(rows)
            if ts.date() == day
        ]
        write_events(home, stored, day)
    for name, ask in QUESTIONS.items():
        assert ask(home).to_polars().equals(ask(events(*rows)).to_polars()), name


def test_names_that_are_markup_are_shown_as_text() -> None:
    frame = events(("p", "<b>A</b>", utc(2024, 1, 1)))
    steps = [Step("<b>A</b>"), Step("<i>B</i>")]
    named = Funnel(steps=steps, window="7d", title="<u>those</u>")
    for answer in (opsanalytics.funnel(frame, named), opsanalytics.reconcile(frame, named)):
        shown = answer._repr_html_()
        assert "&lt;u&gt;those" in shown
        assert not any(tag in shown for tag in ("<b>", "<i>", "<u>"))
