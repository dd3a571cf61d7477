"""The Mixpanel endpoint against its contract, over HTTP."""

import base64
import gzip
import json
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta

import polars as pl
import pytest
import requests
from hypothesis import given, settings
from hypothesis import strategies as st

from opsanalytics.demo.simulator import EventTableError, Limit, MixpanelProject, VendorSimulator
from opsanalytics.demo.simulator.limits import RollingWindows
from opsanalytics_tests.simulators.clients import NOON, json_lines, mixpanel_get, small_events

EVENTS = small_events()


@pytest.fixture(scope="module")
def project() -> MixpanelProject:
    return MixpanelProject(EVENTS, limits=(), duplicate_share=0.05, late_share=0.0)


@pytest.fixture(scope="module")
def simulator(project: MixpanelProject) -> Iterator[VendorSimulator]:
    with VendorSimulator(project, clock=lambda: NOON) as running:
        yield running


def test_both_dates_are_inclusive(simulator: VendorSimulator, project: MixpanelProject) -> None:
    answer = mixpanel_get(simulator, project, "2026-03-02", "2026-03-03")
    days = {
        datetime.fromtimestamp(row["properties"]["time"] / 1000, UTC).date()
        for row in json_lines(answer.content)
    }
    assert answer.headers["Content-Type"] == "text/plain"
    assert days == {date(2026, 3, 2), date(2026, 3, 3)}


def test_every_event_comes_over_adjoining_windows_and_some_twice(
    simulator: VendorSimulator, project: MixpanelProject
) -> None:
    rows = [
        row
        for first, last in (
            ("2026-02-20", "2026-03-01"),
            ("2026-03-02", "2026-03-04"),
            ("2026-03-05", "2026-03-10"),
        )
        for row in json_lines(mixpanel_get(simulator, project, first, last).content)
    ]
    keys = Counter(
        (
            row["event"],
            row["properties"]["distinct_id"],
            row["properties"]["time"],
            row["properties"]["$insert_id"],
        )
        for row in rows
    )
    assert len(keys) == EVENTS.height
    assert len(rows) == project.delivered_rows > EVENTS.height
    assert set(keys.values()) == {1, 2}


def test_the_second_delivery_was_processed_later(
    simulator: VendorSimulator, project: MixpanelProject
) -> None:
    rows = json_lines(mixpanel_get(simulator, project, "2026-03-01", "2026-03-10").content)
    processed: dict[str, set[int]] = {}
    for row in rows:
        stamp = row["properties"]["mp_processing_time_ms"]
        processed.setdefault(row["properties"]["$insert_id"], set()).add(stamp)
    assert len(rows) == sum(len(stamps) for stamps in processed.values())


def test_equal_rows_are_different_events() -> None:
    row = EVENTS.head(1)
    project = MixpanelProject(pl.concat([row, row]), limits=(), duplicate_share=0.0)
    with VendorSimulator(project, clock=lambda: NOON) as simulator:
        rows = json_lines(mixpanel_get(simulator, project, "2026-03-01", "2026-03-01").content)
    assert len({row["properties"]["$insert_id"] for row in rows}) == 2


def test_own_properties_and_hard_text_survive(simulator: VendorSimulator, project: MixpanelProject) -> None:
    rows = json_lines(mixpanel_get(simulator, project, "2026-03-01", "2026-03-10").content)
    served = {row["properties"]["n"]: row for row in rows}
    expected = {json.loads(text)["n"]: json.loads(text) for text in EVENTS["properties"]}
    assert {n: {key: row["properties"][key] for key in expected[n]} for n, row in served.items()} == expected
    assert {row["event"] for row in rows} == set(EVENTS["event"])


def test_distinct_id_is_the_user_or_else_the_device(
    simulator: VendorSimulator, project: MixpanelProject
) -> None:
    rows = json_lines(mixpanel_get(simulator, project, "2026-03-01", "2026-03-10").content)
    for properties in (row["properties"] for row in rows):
        anonymous = f"$device:{properties['$device_id']}"
        assert properties["distinct_id"] == properties.get("$user_id", anonymous)
    assert sum("$user_id" not in row["properties"] for row in rows) >= EVENTS["user_id"].null_count()


def test_time_is_in_seconds_unless_asked_otherwise(
    simulator: VendorSimulator, project: MixpanelProject
) -> None:
    seconds = json_lines(
        mixpanel_get(simulator, project, "2026-03-01", "2026-03-01", time_in_ms=None).content
    )
    millis = json_lines(mixpanel_get(simulator, project, "2026-03-01", "2026-03-01").content)
    assert [row["properties"]["time"] for row in seconds] == [
        row["properties"]["time"] // 1000 for row in millis
    ]


def test_the_event_parameter_selects_names(simulator: VendorSimulator, project: MixpanelProject) -> None:
    names = json.dumps(["Sign Up", 'Odd "näme" \u2028'])
    rows = json_lines(mixpanel_get(simulator, project, "2026-03-01", "2026-03-10", event=names).content)
    assert {row["event"] for row in rows} == set(json.loads(names))


def test_an_empty_day_is_an_empty_body(simulator: VendorSimulator, project: MixpanelProject) -> None:
    answer = mixpanel_get(simulator, project, "2026-02-01", "2026-02-02")
    assert (answer.status_code, answer.content) == (200, b"")


def test_gzip_only_when_accepted_and_long_enough(
    simulator: VendorSimulator, project: MixpanelProject
) -> None:
    def encoding(first: str, accept: str) -> str | None:
        answer = mixpanel_get(simulator, project, first, first, headers={"Accept-Encoding": accept})
        return answer.headers.get("Content-Encoding")

    assert encoding("2026-03-01", "gzip") == "gzip"
    assert encoding("2026-03-01", "identity") is None
    assert encoding("2026-02-01", "gzip") is None


def test_equal_requests_give_equal_bytes(simulator: VendorSimulator, project: MixpanelProject) -> None:
    def wire() -> bytes:
        target = simulator.url + project.path
        query = {"project_id": project.project_id, "from_date": "2026-03-01", "to_date": "2026-03-02"}
        with requests.get(
            target, params=query, auth=(project.username, project.secret), stream=True, timeout=30
        ) as answer:
            return answer.raw.read(decode_content=False)

    first, second = wire(), wire()
    assert first == second
    assert len(json_lines(gzip.decompress(first))) > 100


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"to_date": "2026-03-11"}, "to_date cannot be later than today"),
        ({"to_date": "2026-02-01"}, "from_date cannot be later than to_date"),
        ({"from_date": None}, "Missing required parameter: from_date"),
        ({"from_date": "1 March"}, "YYYY-MM-DD"),
        ({"project_id": None}, "project_id"),
        ({"project_id": "7"}, "project_id"),
        ({"event": "Sign Up"}, "Expecting value"),
        ({"event": '{"a": 1}'}, "JSON array"),
        ({"limit": "100001"}, "limit"),
        ({"where": "true"}, "where"),
    ],
)
def test_bad_parameters_are_400(
    simulator: VendorSimulator, project: MixpanelProject, changes: dict[str, str | None], complaint: str
) -> None:
    answer = mixpanel_get(simulator, project, "2026-03-01", "2026-03-10", **changes)
    assert answer.status_code == 400
    assert complaint in answer.json()["error"]


@pytest.mark.parametrize("auth", [None, ("demo-service-account", "wrong"), ("", "")])
def test_wrong_credentials_are_401(
    simulator: VendorSimulator, project: MixpanelProject, auth: tuple[str, str] | None
) -> None:
    answer = mixpanel_get(simulator, project, "2026-03-01", "2026-03-02", auth=auth)
    assert answer.status_code == 401
    assert answer.json()["error"] == "Unable to authenticate request"


def test_credentials_may_be_plain_or_base64(simulator: VendorSimulator, project: MixpanelProject) -> None:
    plain = f"{project.username}:{project.secret}"
    for value in (plain, base64.b64encode(plain.encode()).decode()):
        headers = {"Authorization": f"Basic {value}"}
        answer = mixpanel_get(simulator, project, "2026-03-01", "2026-03-01", auth=None, headers=headers)
        assert answer.status_code == 200


def test_the_request_beyond_a_limit_is_429_and_counted() -> None:
    project = MixpanelProject(EVENTS, limits=(Limit(2, 3600),))
    with VendorSimulator(project, clock=lambda: NOON) as simulator:
        answers = [mixpanel_get(simulator, project, "2026-03-01", "2026-03-01") for _ in range(3)]
        violations = simulator.limit_violations
        logged = [(entry.vendor, entry.status, entry.query["from_date"]) for entry in simulator.log]
    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert 0 < int(answers[2].headers["Retry-After"]) <= 3600
    assert "Query rate limit exceeded for project_id: 1000001" in answers[2].json()["error"]
    assert violations == 1
    assert logged == [("mixpanel", status, "2026-03-01") for status in (200, 200, 429)]


def test_limits_that_are_not_enforced_are_still_counted() -> None:
    project = MixpanelProject(EVENTS, limits=(Limit(1, 3600),), enforce_limits=False)
    with VendorSimulator(project, clock=lambda: NOON) as simulator:
        answers = [mixpanel_get(simulator, project, "2026-03-01", "2026-03-01") for _ in range(3)]
        assert simulator.limit_violations == 2
    assert [answer.status_code for answer in answers] == [200, 200, 200]


def test_limit_caps_the_rows(simulator: VendorSimulator, project: MixpanelProject) -> None:
    answer = mixpanel_get(simulator, project, "2026-03-01", "2026-03-05", limit=5)
    assert len(json_lines(answer.content)) == 5


def test_the_vendors_limits_are_on_by_default() -> None:
    project = MixpanelProject(EVENTS)
    assert project.windows.admit() is None
    assert [project.windows.admit() is None for _ in range(3)] == [True, True, False]


@given(gaps=st.lists(st.floats(0, 3), max_size=40))
def test_no_window_ever_holds_more_than_the_limit(gaps: list[float]) -> None:
    clock = [0.0]
    windows = RollingWindows((Limit(3, 1), Limit(5, 4)), timer=lambda: clock[0])
    accepted = []
    for gap in gaps:
        clock[0] += gap
        if windows.admit() is None:
            accepted.append(clock[0])
    for limit in (Limit(3, 1), Limit(5, 4)):
        for moment in accepted:
            assert sum(moment - limit.seconds < other <= moment for other in accepted) <= limit.requests


def test_late_rows_appear_in_their_day_once_the_clock_has_passed_them() -> None:
    project = MixpanelProject(EVENTS, limits=(), duplicate_share=0.0, late_share=0.5)
    clock = [datetime(2026, 3, 2, tzinfo=UTC)]
    with VendorSimulator(project, clock=lambda: clock[0]) as simulator:
        early = json_lines(mixpanel_get(simulator, project, "2026-03-01", "2026-03-01").content)
        clock[0] += timedelta(days=3)
        later = json_lines(mixpanel_get(simulator, project, "2026-03-01", "2026-03-01").content)
    assert len(early) < len(later) == EVENTS.filter(pl.col("ts").dt.date() == date(2026, 3, 1)).height


def test_an_old_project_counts_days_and_times_in_its_zone() -> None:
    project = MixpanelProject(EVENTS, limits=(), duplicate_share=0.0, late_share=0.0, zone="America/New_York")
    with VendorSimulator(project, clock=lambda: NOON) as simulator:
        rows = json_lines(mixpanel_get(simulator, project, "2026-02-28", "2026-02-28").content)
    first_local = datetime(2026, 2, 28, 19, tzinfo=UTC).timestamp() * 1000
    assert min(row["properties"]["time"] for row in rows) == first_local
    assert len(rows) == EVENTS.filter(pl.col("ts") < datetime(2026, 3, 1, 5, tzinfo=UTC)).height


@settings(max_examples=60, deadline=None)
@given(
    text=st.text(st.characters(exclude_categories=["Cs"]), min_size=1),
    stamp=st.datetimes(datetime(1971, 1, 1), datetime(2025, 1, 1)),  # noqa: DTZ001 - naive on purpose
)
def test_any_text_is_encoded_as_json(text: str, stamp: datetime) -> None:
    frame = pl.DataFrame(
        {
            "user_id": [text],
            "event": [text],
            "ts": [stamp],
            "properties": [json.dumps({"own": text})],
            "url": [text],
        }
    )
    project = MixpanelProject(frame, limits=(), duplicate_share=0.0)
    day = stamp.date().isoformat()
    target = f"{project.path}?project_id={project.project_id}&from_date={day}&to_date={day}&time_in_ms=true"
    headers = {"authorization": f"Basic {project.username}:{project.secret}"}
    _, reply = VendorSimulator(project, clock=lambda: NOON).respond("GET", target, headers)
    (row,) = json_lines(reply.body)
    assert (row["event"], row["properties"]["distinct_id"], row["properties"]["own"]) == (text, text, text)
    assert row["properties"]["time"] == stamp.replace(tzinfo=UTC, microsecond=0).timestamp() * 1000 + (
        stamp.microsecond // 1000
    )


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (pl.lit(None, dtype=pl.String).alias("event"), "column event has 400 nulls"),
        (pl.lit("[1]").alias("properties"), "must be a JSON object"),
        (pl.lit("{oops").alias("properties"), "must be a JSON object"),
        (pl.lit('{"time": 1}').alias("properties"), "names the vendor writes itself: \\['time'\\]"),
        (pl.lit(None).alias("device_id"), "neither user_id nor device_id"),
        (pl.lit("2026").alias("ts"), "make it Datetime"),
    ],
)
def test_a_table_that_cannot_be_served_is_refused(change: pl.Expr, complaint: str) -> None:
    with pytest.raises(EventTableError, match=complaint):
        MixpanelProject(EVENTS.with_columns(change))
