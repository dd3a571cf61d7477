"""The Amplitude endpoint against its contract, over HTTP."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl
import pytest

from opsanalytics.demo.simulator import AmplitudeProject, EventTableError, Limit, VendorSimulator
from opsanalytics_tests.simulators.clients import NOON, amplitude_get, small_events, zip_members

EVENTS = small_events()
START = datetime(2026, 3, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def project() -> AmplitudeProject:
    return AmplitudeProject(EVENTS, part_rows=3, late_share=0.1)


@pytest.fixture(scope="module")
def simulator(project: AmplitudeProject) -> Iterator[VendorSimulator]:
    with VendorSimulator(project, clock=lambda: NOON) as running:
        yield running


@pytest.fixture(scope="module")
def everything(simulator: VendorSimulator, project: AmplitudeProject) -> list[dict[str, Any]]:
    members = zip_members(amplitude_get(simulator, project, START, "20260310T23").content)
    return [row for rows in members.values() for row in rows]


def moment(text: str) -> datetime:
    return datetime.strptime(text, "%Y-%m-%d %H:%M:%S.%f").replace(tzinfo=UTC)


def test_members_are_named_by_upload_hour_without_padding(
    simulator: VendorSimulator, project: AmplitudeProject
) -> None:
    members = zip_members(amplitude_get(simulator, project, START, START + timedelta(hours=4)).content)
    for name, rows in members.items():
        found = re.fullmatch(r"200001/200001_2026-03-01_(\d|1\d|2[0-3])#(\d+)\.json\.gz", name)
        assert found, name
        assert {moment(row["server_upload_time"]).hour for row in rows} == {int(found[1])}
    assert {int(name.split("_")[-1].split("#")[0]) for name in members} == {0, 1, 2, 3, 4}
    assert any("#1." in name for name in members)


def test_adjoining_windows_bring_every_event_once(
    simulator: VendorSimulator, project: AmplitudeProject, everything: list[dict[str, Any]]
) -> None:
    rows, start = [], START
    for hours in (1, 7, 24, 30, 120):
        answer = amplitude_get(simulator, project, start, start + timedelta(hours=hours - 1))
        rows += [row for part in zip_members(answer.content).values() for row in part]
        start += timedelta(hours=hours)
    assert sorted(row["uuid"] for row in rows) == sorted(row["uuid"] for row in everything)
    assert len({row["uuid"] for row in rows}) == len(rows) == EVENTS.height


def test_event_fields_come_from_the_table(everything: list[dict[str, Any]]) -> None:
    served = sorted(everything, key=lambda row: row["event_properties"]["n"])
    assert [row["user_id"] for row in served] == EVENTS["user_id"].to_list()
    assert [row["event_type"] for row in served] == EVENTS["event"].to_list()
    assert [moment(row["event_time"]) for row in served] == EVENTS["ts"].to_list()
    assert {row["platform"] for row in served} == {"Web", "iOS", "Android", None}
    assert {row["session_id"] for row in served} == {-1}


def test_amplitude_ids_are_longer_than_a_double(everything: list[dict[str, Any]]) -> None:
    ids = {row["amplitude_id"] for row in everything}
    assert min(ids) > 2**53
    assert max(ids) < 2**63
    assert any(int(float(number)) != number for number in ids)


def test_some_events_are_uploaded_on_a_later_day(everything: list[dict[str, Any]]) -> None:
    delays = [moment(row["server_upload_time"]) - moment(row["event_time"]) for row in everything]
    late = [delay for delay in delays if delay > timedelta(minutes=1)]
    assert 10 < len(late) < 100
    assert timedelta(hours=2) <= min(late)
    assert max(late) <= timedelta(hours=49)


def test_amplitude_id_follows_the_vendors_rules() -> None:
    rows = [
        (0, "d1", None), (1, "d1", "anna"), (2, "d2", None), (3, "d2", "anna"),
        (4, "d2", None), (5, "d1", "ben"), (6, "d3", None), (7, "d3", "cora"), (8, "d9", "dora"),
    ]  # fmt: skip
    frame = pl.DataFrame(
        {
            "user_id": [user for _, _, user in rows],
            "device_id": [device for _, device, _ in rows],
            "event": ["x"] * len(rows),
            "ts": [START + timedelta(minutes=minute) for minute, _, _ in rows],
            "properties": ["{}"] * len(rows),
        }
    )
    project = AmplitudeProject(frame, late_share=0.0)
    with VendorSimulator(project, clock=lambda: NOON) as simulator:
        (served,) = zip_members(amplitude_get(simulator, project, START, START).content).values()
    ids = {int(moment(row["event_time"]).minute): row["amplitude_id"] for row in served}
    assert ids[0] == ids[1], "the first user of a device with anonymous history takes the device's id"
    assert ids[3] == ids[1], "a known user's id wins on any device"
    assert ids[2] not in (ids[1], ids[0]), "anonymous rows of a second device keep their first id"
    assert ids[4] == ids[3], "an anonymous row belongs to the last known user of its device"
    assert len({ids[1], ids[5], ids[7], ids[8]}) == 4, "users never merge"


def test_no_data_is_404(simulator: VendorSimulator, project: AmplitudeProject) -> None:
    answer = amplitude_get(simulator, project, "20260101T00", "20260102T23")
    assert (answer.status_code, answer.text) == (404, "Raw data files were not found.")


def test_an_hour_is_ready_three_hours_after_its_start(project: AmplitudeProject) -> None:
    clock = [datetime(2026, 3, 1, 7, 59, tzinfo=UTC)]
    with VendorSimulator(project, clock=lambda: clock[0]) as simulator:
        young = amplitude_get(simulator, project, "20260301T05", "20260301T05")
        partly = zip_members(amplitude_get(simulator, project, "20260301T04", "20260301T05").content)
        clock[0] = datetime(2026, 3, 1, 8, tzinfo=UTC)
        ready = amplitude_get(simulator, project, "20260301T05", "20260301T05")
    assert (young.status_code, ready.status_code) == (404, 200)
    assert {name.split("_")[-1].split("#")[0] for name in partly} == {"4"}


@pytest.mark.parametrize(
    ("start", "end", "complaint"),
    [
        ("2026-03-01", "20260301T05", "start must be YYYYMMDDTHH"),
        ("20260301T24", "20260302T05", "unconverted data"),
        ("20260302T00", "20260301T23", "end is before start"),
        ("20240101T00", "20260301T23", "365 days"),
    ],
)
def test_bad_ranges_are_400(
    simulator: VendorSimulator, project: AmplitudeProject, start: str, end: str, complaint: str
) -> None:
    answer = amplitude_get(simulator, project, start, end)
    assert answer.status_code == 400
    assert complaint in answer.json()["error"]


def test_wrong_keys_are_403(simulator: VendorSimulator, project: AmplitudeProject) -> None:
    assert amplitude_get(simulator, project, START, START, auth=("demo-api-key", "no")).status_code == 403
    assert amplitude_get(simulator, project, START, START, auth=None).status_code == 403


def test_a_range_that_is_too_large_is_400_or_504() -> None:
    project = AmplitudeProject(EVENTS, largest_bytes=20_000, timeout_hours=48, late_share=0.0)
    with VendorSimulator(project, clock=lambda: NOON) as simulator:
        answers = [
            amplitude_get(simulator, project, START, START + timedelta(hours=hours - 1)).status_code
            for hours in (49, 48, 1)
        ]
    assert answers == [504, 400, 200]


def test_a_limit_can_be_configured() -> None:
    project = AmplitudeProject(EVENTS, limits=(Limit(1, 60),))
    with VendorSimulator(project, clock=lambda: NOON) as simulator:
        answers = [amplitude_get(simulator, project, START, START) for _ in range(2)]
        assert simulator.limit_violations == 1
    assert [answer.status_code for answer in answers] == [200, 429]
    assert 0 < int(answers[1].headers["Retry-After"]) <= 60


def test_equal_requests_give_equal_bytes(simulator: VendorSimulator, project: AmplitudeProject) -> None:
    first, second = (amplitude_get(simulator, project, START, "20260302T23").content for _ in range(2))
    assert first == second


def test_a_session_id_that_is_no_number_is_refused() -> None:
    with pytest.raises(EventTableError, match="session_id must hold whole numbers"):
        AmplitudeProject(EVENTS.with_columns(pl.lit("abc").alias("session_id")))
