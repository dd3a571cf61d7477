"""Who is one person: by user, else by the first user on the device, never by joining users."""

from collections import defaultdict
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from opsanalytics.identity.persons import rebuild, resolve
from opsanalytics.lake.events import read_persons, scan_events
from opsanalytics.lake.files import write_parquet
from opsanalytics.lake.paths import Home
from opsanalytics.lake.schemas import EVENTS, PERSONS

START = datetime(2026, 3, 1, tzinfo=UTC)


class Seen(NamedTuple):
    hour: int
    user: str | None = None
    device: str | None = None
    distinct: str | None = None
    source: str = "web"


def store(home: Home, *events: Seen) -> None:
    rows = [
        {
            "event_id": f"e{number}",
            "source": event.source,
            "event": "Paid",
            "source_event": "Paid",
            "ts": START + timedelta(hours=event.hour),
            "distinct_id": event.distinct,
            "user_id": event.user,
            "device_id": event.device,
            "properties": "{}",
            "ingest_run": "d@000000000000",
        }
        for number, event in enumerate(events)
    ]
    frame = pl.DataFrame(rows, schema_overrides={"ts": EVENTS.schema["ts"]})
    missing = [pl.lit(None).alias(name) for name in EVENTS.names if name not in frame.columns]
    frame = EVENTS.conform(frame.with_columns(missing))
    for (source, day), part in frame.group_by("source", pl.col("ts").dt.date().alias("day")):
        write_parquet(home.events_file(str(source), day), part.select(EVENTS.names))  # type: ignore[arg-type]


def persons_of(home: Home, *events: Seen) -> list[str | None]:
    """The person of each event, in the order given."""
    store(home, *events)
    rebuild(home, ["web", "app"])
    people = dict(scan_events(home).select("event_id", "person").collect().iter_rows())
    return [people[f"e{number}"] for number in range(len(events))]


def test_a_user_is_a_person(home: Home) -> None:
    assert persons_of(home, Seen(0, "ann", "d1"), Seen(1, "ann", "d2")) == ["ann", "ann"]


def test_a_sign_in_takes_the_anonymous_past_of_its_device_along(home: Home) -> None:
    assert persons_of(home, Seen(0, None, "d"), Seen(50, "ann", "d"), Seen(60, None, "d")) == ["ann"] * 3


def test_a_shared_device_does_not_make_two_users_one(home: Home) -> None:
    events = [
        Seen(0, None, "d"),
        Seen(1, "ann", "d"),
        Seen(2, "bob", "d"),
        Seen(3, None, "d"),
        Seen(4, "bob", "e"),
    ]
    assert persons_of(home, *events) == ["ann", "ann", "bob", "ann", "bob"]


def test_an_anonymous_device_is_a_person_of_its_source(home: Home) -> None:
    assert persons_of(home, Seen(0, None, "d"), Seen(0, None, "d", source="app")) == [
        "device:web:d",
        "device:app:d",
    ]


def test_a_user_is_the_same_person_in_every_source(home: Home) -> None:
    assert persons_of(home, Seen(0, "ann", "d"), Seen(0, "ann", "x", source="app")) == ["ann", "ann"]


def test_devices_of_different_sources_are_not_joined(home: Home) -> None:
    assert persons_of(home, Seen(0, "ann", "d"), Seen(1, None, "d", source="app")) == ["ann", "device:app:d"]


def test_an_event_with_nothing_but_a_distinct_id_has_it(home: Home) -> None:
    assert persons_of(home, Seen(0, distinct="x")) == ["distinct:web:x"]


def test_a_distinct_id_that_is_a_users_id_is_that_user(home: Home) -> None:
    assert persons_of(home, Seen(0, distinct="ann"), Seen(9, "ann", "d", "ann")) == ["ann", "ann"]


def test_an_event_without_any_id_belongs_to_nobody(home: Home) -> None:
    assert persons_of(home, Seen(0), Seen(1, "ann")) == [None, "ann"]
    assert rebuild(home, ["web"]).unidentified == 1


def test_of_users_at_the_same_time_the_smaller_id_has_the_device(home: Home) -> None:
    assert persons_of(home, Seen(0, "bob", "d"), Seen(0, "ann", "d"), Seen(5, None, "d"))[2] == "ann"


def test_rebuilding_says_whether_anything_changed(home: Home) -> None:
    store(home, Seen(0, None, "d"))
    assert rebuild(home, ["web"]).changed
    before = (home.identity / "persons.parquet").read_bytes()
    assert not rebuild(home, ["web"]).changed
    assert (home.identity / "persons.parquet").read_bytes() == before
    store(home, Seen(0, None, "d"), Seen(30, "ann", "d"))
    assert rebuild(home, ["web"]).changed


def test_the_report_counts(home: Home) -> None:
    store(home, Seen(0, "ann", "d"), Seen(1, "bob", "d"), Seen(2, None, "e"), Seen(3, distinct="x"))
    report = rebuild(home, ["web"])
    assert (report.persons, report.users, report.devices, report.distinct_ids) == (4, 2, 2, 1)
    assert report.shared_devices == 1


def test_only_configured_sources_count(home: Home) -> None:
    store(home, Seen(0, "ann", "d"), Seen(0, "eve", "e", source="app"))
    rebuild(home, ["web"])
    assert set(read_persons(home)["person"]) == {"ann"}


def test_an_empty_lake_gives_an_empty_mapping(home: Home) -> None:
    assert rebuild(home, ["web"]).persons == 0
    assert read_persons(home).schema == PERSONS.schema


users = st.none() | st.sampled_from(["a", "b", "c"])
devices = st.none() | st.sampled_from(["d", "e"])
sightings = st.lists(
    st.builds(Seen, st.integers(0, 100), users, devices, st.sampled_from(["x", "y"]), st.just("web")),
    max_size=15,
)


@settings(max_examples=50, deadline=None)
@given(sightings)
def test_the_mapping_follows_the_rule(events: list[Seen]) -> None:
    """Checked against the rule written out event by event."""
    rows = []
    users_on: dict[str, list[tuple[int, str]]] = defaultdict(list)
    for event in events:
        distinct = None if event.user or event.device else event.distinct
        rows.append((event.source, event.user, event.device, distinct, START + timedelta(hours=event.hour)))
        if event.user and event.device:
            users_on[event.device].append((event.hour, event.user))
    schema = {name: EVENTS.schema[name] for name in ("source", "user_id", "device_id", "distinct_id")}
    frame = pl.DataFrame(rows, schema={**schema, "since": EVENTS.schema["ts"]}, orient="row")
    found = {(kind, value): person for _, kind, value, person, _, _ in resolve(frame).iter_rows()}
    for event in events:
        if event.user:
            assert found["user", event.user] == event.user
        elif event.device:
            first = min(users_on[event.device])[1] if users_on[event.device] else f"device:web:{event.device}"
            assert found["device", event.device] == first
        else:
            assert found["distinct", event.distinct or ""] == f"distinct:web:{event.distinct}"
