"""Wrong definitions and arguments: what is told names the field and what to do, before any data is read."""

from collections.abc import Callable
from datetime import UTC, date, datetime
from typing import Any

import polars as pl
import pytest

import opsanalytics
from opsanalytics import Segment

SCHEMA = {"person": pl.String, "event": pl.String, "ts": pl.Datetime("us", "UTC"), "plan": pl.String}
FUNNEL: dict[str, Any] = {"steps": ["A", "B"], "window": "7d"}
RETENTION: dict[str, Any] = {"start": "A", "returning": "B"}


def unreadable() -> pl.LazyFrame:
    frame = pl.DataFrame(schema=SCHEMA).lazy()
    return frame.map_batches(lambda _: pytest.fail("data was read"), schema=SCHEMA)


def step(**fields: Any) -> dict[str, Any]:
    return FUNNEL | {"steps": ["A", {"event": "B", **fields}]}


def where(**fields: Any) -> dict[str, Any]:
    return step(where=[{"property": "plan", **fields}])


def excluded(**fields: Any) -> dict[str, Any]:
    return FUNNEL | {"exclusions": [{"event": "X", **fields}]}


DEFINITIONS: list[tuple[Callable[..., Any], Any, str]] = [
    (opsanalytics.funnel, FUNNEL | {"widow": "7d"}, r"funnel: widow: unknown field; did you mean 'window'\?"),
    (
        opsanalytics.funnel,
        FUNNEL | {"breakdown": "plan"},
        "funnel: breakdown: unknown field. There are name, ",
    ),
    (opsanalytics.funnel, {"steps": ["A"]}, "funnel: window: is required but missing"),
    (opsanalytics.funnel, {"window": "7d"}, "funnel: steps: is required but missing"),
    (opsanalytics.funnel, FUNNEL | {"steps": "A"}, "funnel: steps: must be a list, not 'A'"),
    (
        opsanalytics.funnel,
        FUNNEL | {"steps": ["A", None]},
        r"steps\.1: must be a table of fields .*, not None",
    ),
    (
        opsanalytics.funnel,
        FUNNEL | {"name": "My Funnel"},
        "name: 'My Funnel' is no name; write small letters",
    ),
    (opsanalytics.funnel, FUNNEL | {"value": 5}, "funnel: value: must be text, not 5"),
    (
        opsanalytics.funnel,
        step(where={"plan": {"gt": 3}}),
        r"funnel: steps\.1\.where\.0\.value: must be text, a number, true or false, or a list of these$",
    ),
    (opsanalytics.funnel, FUNNEL | {"steps": []}, "funnel: steps: Tuple should have at least 1 item"),
    (opsanalytics.funnel, FUNNEL | {"steps": ["A"] * 21}, "funnel: steps: Tuple should have at most 20"),
    (opsanalytics.funnel, FUNNEL | {"steps": ["A", ""]}, r"steps\.1\.event: String should have at least 1"),
    (opsanalytics.funnel, FUNNEL | {"steps": ["A", 7]}, r"steps\.1: "),
    (
        opsanalytics.funnel,
        FUNNEL | {"window": "-7d"},
        "window: '-7d' is not a length of time; write a number",
    ),
    (opsanalytics.funnel, FUNNEL | {"window": "0d"}, "window: '0d' must be longer than zero"),
    (opsanalytics.funnel, FUNNEL | {"window": "7 moons"}, "window: '7 moons' is not a length .*h, d or w"),
    (opsanalytics.funnel, FUNNEL | {"window": 7}, "window: 7 is not a length of time"),
    (
        opsanalytics.funnel,
        FUNNEL | {"window": "200 years"},
        "window: '200 years' is longer than a hundred years",
    ),
    (opsanalytics.funnel, FUNNEL | {"order": "loose"}, "order: Input should be 'ordered', 'strict' or 'any'"),
    (opsanalytics.funnel, FUNNEL | {"counting": "money"}, "counting: Input should be 'persons', 'attempts'"),
    (opsanalytics.funnel, excluded(from_step=2), r"exclusions\.0: from_step 2 and to_step 2 must be two of"),
    (opsanalytics.funnel, excluded(from_step=2, to_step=2), r"exclusions\.0: from_step 2 and to_step 2"),
    (
        opsanalytics.funnel,
        excluded(to_step=3),
        r"exclusions\.0: .* must be two of the 2 steps, in this order",
    ),
    (opsanalytics.funnel, excluded(from_step=0), r"exclusions\.0\.from_step: .* greater than or equal to 1"),
    (
        opsanalytics.funnel,
        excluded(where={"plan": None}),
        r"exclusions\.0\.where\.0: op 'eq' takes one value",
    ),
    (opsanalytics.funnel, step(occurrence="last"), r"steps\.1\.occurrence: Input should be 'any', 'first'"),
    (
        opsanalytics.funnel,
        step(optional=True),
        "step 2 is optional; only steps between the first and the last",
    ),
    (opsanalytics.funnel, step(within="1 parsec"), r"steps\.1\.within: '1 parsec' is not a length of time"),
    (opsanalytics.funnel, step(wen=1), r"steps\.1\.wen: unknown field"),
    (opsanalytics.funnel, where(op="matches", value="x"), r"steps\.1\.where\.0\.op: Input should be 'eq', "),
    (opsanalytics.funnel, where(op="regex", value="(x"), r"where\.0: '\(x' is not a regular expression"),
    (opsanalytics.funnel, where(op="regex", value=r"(?<=a)b"), "is not a regular expression"),
    (opsanalytics.funnel, where(op="gt", value="five"), r"where\.0: op 'gt' compares numbers; 'five' is not"),
    (opsanalytics.funnel, where(op="lt", value=float("nan")), "compares numbers; nan is not one"),
    (opsanalytics.funnel, where(op="in", value=[]), "op 'in' takes a list of values"),
    (opsanalytics.funnel, where(op="set", value=1), "op 'set' takes no value"),
    (opsanalytics.funnel, where(), "op 'eq' takes one value, not none; op 'not_set' finds events without"),
    (opsanalytics.funnel, where(value="x", of="team"), r"where\.0\.of: Input should be 'event' or 'person'"),
    (opsanalytics.funnel, 7, "definition: int is not a Funnel, a mapping or a file"),
    (opsanalytics.funnel, "nothing.toml", "nothing.toml: cannot be read: No such file"),
    (opsanalytics.funnel, "funnel", "funnel: a definition is a .json or .toml file"),
    (opsanalytics.retention, {"start": "A"}, "retention: returning: is required but missing"),
    (opsanalytics.retention, RETENTION | {"returning": []}, "returning: Tuple should have at least 1 item"),
    (
        opsanalytics.retention,
        RETENTION | {"period": "weeks"},
        "period: Input should be 'hour', 'day', 'week'",
    ),
    (
        opsanalytics.retention,
        RETENTION | {"periods": 0},
        "periods: Input should be greater than or equal to 1",
    ),
    (
        opsanalytics.retention,
        RETENTION | {"periods": 61},
        "periods: Input should be less than or equal to 60",
    ),
    (opsanalytics.retention, RETENTION | {"cohort": "last"}, "cohort: Input should be 'first', 'first_ever'"),
    (opsanalytics.retention, RETENTION | {"brackets": [0]}, r"brackets\.0: Input should be greater than or"),
    (
        opsanalytics.retention,
        RETENTION | {"clock": "rolling", "cohort": "recurring"},
        "clock = 'rolling' counts",
    ),
    (opsanalytics.lifecycle, {"period": "year"}, "lifecycle: period: Input should be 'hour', 'day', 'week'"),
    (opsanalytics.lifecycle, {"perod": "day"}, r"lifecycle: perod: unknown field; did you mean 'period'\?"),
    (
        opsanalytics.stickiness,
        {"unit": "week", "period": "week"},
        "unit: 'week' is not shorter than the period",
    ),
    (opsanalytics.usage_interval, {"share": 2}, "share: Input should be less than 1"),
    (opsanalytics.trends, {}, "trends: series: is required but missing"),
    (
        opsanalytics.trends,
        {"series": ["A"], "formulas": "A / C"},
        r"formulas\.0: 'A / C' names C; the series",
    ),
    (
        opsanalytics.trends,
        {"series": [{"event": "A", "measure": "sum"}]},
        r"series\.0: measure 'sum' needs a",
    ),
    (opsanalytics.paths, {"steps": 0}, "paths: steps: Input should be greater than or equal to 1"),
    (opsanalytics.paths, {"urls": True}, "paths: definition: urls needs `by`"),
    (opsanalytics.sessions, {"gap": "soon"}, "sessions: gap: 'soon' is not a length of time"),
    (
        opsanalytics.cohort,
        {"name": "x", "where": [{"dit": "A"}]},
        r"cohort: where\.0: a condition is a table",
    ),
]


@pytest.mark.parametrize(("ask", "definition", "message"), DEFINITIONS)
def test_wrong_definitions(ask: Callable[..., Any], definition: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ask(unreadable(), definition)


ARGUMENTS: list[tuple[dict[str, Any], type[Exception], str]] = [
    ({"preset": "Posthog"}, ValueError, "preset: 'Posthog' is not one of opsanalytics, posthog, mixpanel"),
    ({"preset": "clickhouse:lenient"}, ValueError, r"unknown modes \['lenient'\]; there are strict_order"),
    ({"timezone": "Europe/Berlim"}, ValueError, "timezone: 'Europe/Berlim' is not an IANA time zone"),
    ({"as_of": datetime(2024, 1, 1)}, ValueError, "as_of: 2024-01-01T00:00:00 has no time zone"),  # noqa: DTZ001
    ({"as_of": date(2024, 1, 1)}, TypeError, r"as_of: datetime.date\(2024, 1, 1\) is not a time; write"),
    ({"as_of": "2024-01-01"}, TypeError, "as_of: '2024-01-01' is not a time; write datetime"),
    ({"first": "yesterday"}, ValueError, "first: 'yesterday' is not a day; write '2026-09-01'"),
    ({"last": 7}, TypeError, "last: 7 is not a day; write date"),
    ({"first": "2024-02-01", "last": "2024-01-31"}, ValueError, r"last \(2024-01-31\) lies before first"),
    ({"first": datetime(2024, 1, 1)}, ValueError, "first: .* is a time without a zone"),  # noqa: DTZ001
    ({"breakdown": 3}, TypeError, "breakdown: 3 is not a property, a Segment, or a list of these"),
    ({"breakdown": "color"}, ValueError, "property 'color': the events have neither a column of that name"),
    (
        {"breakdown": Segment("plan", attribution="step", step=3)},
        ValueError,
        "step 3, but the funnel has 2 steps",
    ),
]


@pytest.mark.parametrize("as_of", [None, datetime(2024, 2, 1, tzinfo=UTC)])
@pytest.mark.parametrize(("arguments", "error", "message"), ARGUMENTS)
def test_wrong_arguments(
    arguments: dict[str, Any], error: type[Exception], message: str, as_of: datetime | None
) -> None:
    with pytest.raises(error, match=message):
        opsanalytics.funnel(unreadable(), FUNNEL, **({"as_of": as_of} | arguments))


PATHS: dict[str, Any] = {"funnel": FUNNEL, "step": 1}
OTHER_ARGUMENTS: list[tuple[Callable[..., Any], Any, dict[str, Any], str]] = [
    (opsanalytics.funnel, FUNNEL, {"preset": None}, "preset: None is not one of opsanalytics, .* Semantics"),
    (opsanalytics.funnel, FUNNEL, {"timezone": None}, "timezone: None is not an IANA time zone"),
    (opsanalytics.funnel, FUNNEL, {"persons": {}}, "persons: dict is not a Polars DataFrame"),
    (
        opsanalytics.funnel,
        FUNNEL | {"among": "pros"},
        {},
        "cohort 'pros' is only named here; give the Cohort",
    ),
    (opsanalytics.funnel_trend, FUNNEL, {"period": "year"}, "period: 'year' is not one of hour, day, week"),
    (opsanalytics.funnel_trend, FUNNEL, {"to_step": 3}, "from_step 1, to_step 3: not two of the 2 steps"),
    (opsanalytics.funnel_trend, FUNNEL, {"week_start": "mon"}, "week_start: 'mon' is not a day; write one"),
    (opsanalytics.retention, RETENTION, {"preset": "mixpanel"}, "preset: 'mixpanel' is not 'opsanalytics'"),
    (opsanalytics.retention, RETENTION, {"max_cohorts": 0}, "max_cohorts: 0 is less than 1"),
    (opsanalytics.retention, RETENTION, {"week_start": "mon"}, "week_start: 'mon' is not a day"),
    (
        opsanalytics.retention,
        RETENTION,
        {"breakdown": ["plan"]},
        r"breakdown: \['plan'\] is not a property or",
    ),
    (opsanalytics.retention, RETENTION, {"breakdown": "color"}, "property 'color': the events have neither"),
    (
        opsanalytics.retention,
        RETENTION,
        {"breakdown": Segment("plan", attribution="step", step=1)},
        "retention has no attribution 'step', only entry, first",
    ),
    (opsanalytics.retention, RETENTION | {"value": "price"}, {}, "property 'price': the events have neither"),
    (opsanalytics.lifecycle, {}, {"preset": "mixpanel"}, "preset: 'mixpanel' is not one of opsanalytics"),
    (opsanalytics.lifecycle, {"entity": "account"}, {}, "property 'account': the events have neither"),
    (opsanalytics.stickiness, {}, {"week_start": ""}, "week_start: '' is not a day"),
    (opsanalytics.usage_interval, {"sources": ["web"]}, {}, "source because the definition names sources"),
    (opsanalytics.trends, {"series": ["A"]}, {"breakdown": ["plan"]}, "is not a property or a Segment"),
    (
        opsanalytics.trends,
        {"series": [{"event": "A", "measure": "p90", "property": "price"}]},
        {},
        "property 'price': the events have neither",
    ),
    (opsanalytics.sessions, {}, {"timezone": ""}, "timezone: '' is not an IANA time zone"),
    (opsanalytics.paths, PATHS, {"last": "soon"}, "last: 'soon' is not a day"),
    (opsanalytics.paths, {"by": "url"}, {}, "property 'url': the events have neither"),
    (opsanalytics.paths, {"funnel": "activation"}, {}, "funnel: 'activation' is only named here"),
    (opsanalytics.cohort, {"where": {"cohort": "pros"}}, {}, "cohort 'pros' is only named here"),
    (opsanalytics.diagnose, FUNNEL, {"segments": "color"}, "property 'color': the events have neither"),
    (opsanalytics.diagnose, FUNNEL, {"segments": [3]}, r"breakdown: \[3\] is not a property, a Segment, or"),
    (opsanalytics.diagnose, FUNNEL, {"first": "2026-99-01"}, "first: '2026-99-01' is not a day"),
    (opsanalytics.diagnose, FUNNEL, {"friction": {"rage": 1}}, "friction: rage: Extra inputs are not"),
    (opsanalytics.reconcile, FUNNEL, {"presets": ["x"]}, "preset: 'x' is not one of opsanalytics"),
    (opsanalytics.reconcile, FUNNEL, {"presets": "posthog"}, "presets: 'posthog' is not a list of presets"),
    (opsanalytics.reconcile, FUNNEL, {"presets": []}, r"presets: \[\] is not a list of presets"),
]


@pytest.mark.parametrize(("ask", "definition", "arguments", "message"), OTHER_ARGUMENTS)
def test_wrong_arguments_of_other_questions(
    ask: Callable[..., Any], definition: Any, arguments: dict[str, Any], message: str
) -> None:
    with pytest.raises((ValueError, TypeError), match=message):
        ask(unreadable(), definition, **arguments)


@pytest.mark.parametrize(
    ("segment", "message"),
    [
        ({"property": "plan", "limit": 0}, "segment 'plan': limit is 0, it must be at least 1"),
        ({"property": ""}, "segment: property is empty"),
        ({"property": "plan", "attribution": "best"}, "attribution 'best' is not one of entry, first, last"),
        ({"property": "plan", "attribution": "step"}, "attribution 'step' and a number `step` go together"),
        ({"property": "plan", "step": 1}, "attribution 'step' and a number `step` go together"),
        ({"property": "plan", "of": "team"}, "of is 'team', not 'event' or 'person'"),
    ],
)
def test_wrong_segments(segment: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Segment(**segment)


@pytest.mark.parametrize(
    ("events", "error", "message"),
    [
        ([{"person": "p"}], TypeError, r"events: list is not a table .*pl\.DataFrame\("),
        ({"person": ["p"]}, TypeError, "events: dict is not a table"),
        (None, TypeError, "events: NoneType is not a table"),
        ("/nowhere/at/all", FileNotFoundError, "/nowhere/at/all/.* does not exist"),
        (pl.DataFrame(schema=SCHEMA).drop("person"), ValueError, r"events lack the columns \['person'\]"),
        (pl.DataFrame(schema=SCHEMA | {"ts": pl.String}), ValueError, "column ts is String, not Datetime"),
        (pl.DataFrame(schema=SCHEMA | {"ts": pl.Int64}), ValueError, "column ts is Int64, not Datetime"),
        (pl.DataFrame(schema=SCHEMA | {"event": pl.Int64}), ValueError, "column event is Int64, not text"),
        (
            pl.DataFrame(schema=SCHEMA | {"person": pl.List(pl.String)}),
            ValueError,
            r"column person is List\(String\), which does not sort",
        ),
        (
            pl.DataFrame(schema=SCHEMA | {"properties": pl.Int64}),
            ValueError,
            "column properties is Int64, not the text of a JSON object, a struct or a map",
        ),
    ],
)
def test_wrong_events(events: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        opsanalytics.funnel(events, FUNNEL)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"order": "any"}, "cannot|order"),
        ({"exclusions": [{"event": "X"}]}, "exclusions"),
        ({"counting": "attempts"}, "attempts"),
        (step(within="1h"), "windowFunnel has no limits between steps"),
        ({"steps": ["A", {"event": "B", "optional": True}, "C"]}, "optional"),
    ],
)
def test_what_a_preset_cannot_express(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        opsanalytics.funnel(unreadable(), FUNNEL | change, preset="clickhouse")
