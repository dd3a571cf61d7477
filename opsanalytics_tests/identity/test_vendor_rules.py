"""Identity as the vendors have it: Mixpanel's original projects by their events, Amplitude's by its ids."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from opsanalytics.identity.clusters import Join, clusters, joins_of
from opsanalytics.identity.people import explain
from opsanalytics.identity.persons import rebuild
from opsanalytics.lake.events import scan_events
from opsanalytics.lake.files import write_parquet
from opsanalytics.lake.paths import Home
from opsanalytics.lake.publish import publish
from opsanalytics.lake.schemas import EVENTS

START = datetime(2026, 3, 1, tzinfo=UTC)


def store(home: Home, source: str, *events: dict[str, Any]) -> None:
    """Write events of one day; `event`, ids and `properties` as given, one a minute."""
    rows = [
        {
            **dict.fromkeys(EVENTS.names),
            "event_id": f"{number:032}",
            "source": source,
            "event": event.get("event", "Click"),
            "source_event": event.get("event", "Click"),
            "ts": START + timedelta(minutes=number),
            "properties": json.dumps(event.get("properties", {})),
            "ingest_run": "d@0",
            **{name: event.get(name) for name in ("user_id", "device_id", "distinct_id")},
        }
        for number, event in enumerate(events)
    ]
    frame = EVENTS.conform(pl.DataFrame(rows, schema=EVENTS.schema))
    write_parquet(home.events_file(source, START.date()), frame)


def people(home: Home, rule: str, source: str = "web") -> list[str | None]:
    """The person of each event, in order of time."""
    rebuild(home, [source], {source: rule})
    return scan_events(home).sort("ts").collect()["person"].to_list()


def identify(user: str, anon: str, **more: Any) -> dict[str, Any]:
    properties = {"$identified_id": user, "$anon_id": anon, **more}
    return {"event": "$identify", "distinct_id": user, "properties": properties}


def seen(distinct_id: str, **ids: str) -> dict[str, Any]:
    return {"distinct_id": distinct_id, **ids}


def test_identify_joins_an_anonymous_id_to_its_user(home: Home) -> None:
    store(home, "web", seen("anon"), identify("ann", "anon"), seen("anon"), seen("other"))
    assert people(home, "detect") == ["ann", "ann", "ann", "distinct:web:other"]


def test_joins_are_transitive(home: Home) -> None:
    store(
        home, "web", identify("ann", "a1"), identify("ann", "a2"),
        {"event": "$create_alias", "distinct_id": "ann", "properties": {"alias": "mail"}},
        {"event": "$merge", "distinct_id": "x", "properties": {"$distinct_ids": ["mail", "old"]}},
        seen("a1"), seen("a2"), seen("mail"), seen("old"),
    )  # fmt: skip
    assert people(home, "detect")[4:] == ["ann"] * 4


def test_a_refused_merge_joins_nothing(home: Home) -> None:
    refused = identify("bob", "anon", **{"$failure_reason": "anon_id already merged"})
    store(home, "web", identify("ann", "anon"), refused, seen("anon"), seen("bob"))
    assert people(home, "detect")[2:] == ["ann", "distinct:web:bob"]


def test_people_who_share_a_device_stay_two(home: Home) -> None:
    store(
        home, "web", identify("ann", "anon"), identify("bob", "anon"), seen("anon"), seen("ann"), seen("bob")
    )
    found = people(home, "detect")[2:]
    assert found[:2] == ["ann", "ann"]
    assert found[2] != "ann"


def test_properties_alone_join_nothing_in_an_original_project(home: Home) -> None:
    store(
        home, "web", identify("ann", "anon"),
        seen("x", user_id="zoe", device_id="d"), seen("y", device_id="d"), seen("zoe", user_id="zoe"),
    )  # fmt: skip
    assert people(home, "detect")[1:] == ["distinct:web:x", "distinct:web:y", "zoe"]


def test_without_identity_events_the_simplified_rules_hold(home: Home) -> None:
    store(home, "web", seen("$device:d", device_id="d"), seen("ann", user_id="ann", device_id="d"))
    assert people(home, "detect") == ["ann", "ann"]


def test_the_mode_can_be_set_against_the_evidence(home: Home) -> None:
    store(
        home,
        "web",
        identify("ann", "anon"),
        seen("u", user_id="ann", device_id="d"),
        seen("v", device_id="d"),
    )
    assert people(home, "devices")[1:] == ["ann", "ann"]
    assert people(home, "verbs")[1:] == ["distinct:web:u", "distinct:web:v"]


def test_the_published_view_says_the_same(home: Home) -> None:
    import duckdb

    store(
        home,
        "web",
        identify("ann", "anon"),
        seen("x", user_id="zoe", device_id="d"),
        seen("y", device_id="d"),
    )
    store(
        home,
        "app",
        seen("1", user_id="kim", device_id="d"),
        seen("1", device_id="d"),
        seen("2", device_id="d"),
    )
    rebuild(home, ["web", "app"], {"web": "detect", "app": "vendor_ids"})
    publish(home, [])
    with duckdb.connect(str(home.published), read_only=True) as con:
        rows = con.sql("SELECT source, ts, person FROM events ORDER BY source, ts").fetchall()
    expected = scan_events(home).sort("source", "ts").collect()["person"].to_list()
    assert [row[2] for row in rows] == expected


def test_an_anonymous_event_belongs_to_the_last_user_of_the_device(home: Home) -> None:
    """Amplitude gives it that user's id, so the device's first user does not take it."""
    store(
        home, "app", seen("1", device_id="d"), seen("1", user_id="ann", device_id="d"),
        seen("2", user_id="bob", device_id="d"), seen("2", device_id="d"),
    )  # fmt: skip
    assert people(home, "vendor_ids", "app") == ["ann", "ann", "bob", "bob"]


def test_anonymous_events_of_a_second_device_are_merged_into_the_user(home: Home) -> None:
    """Amplitude merges them when it is asked, but not in its export."""
    store(
        home, "app", seen("1", user_id="ann", device_id="phone"), seen("7", device_id="tablet"),
        seen("1", user_id="ann", device_id="tablet"),
    )  # fmt: skip
    assert people(home, "vendor_ids", "app") == ["ann"] * 3


def test_a_device_nobody_signed_in_on_is_a_person(home: Home) -> None:
    store(home, "app", seen("5", device_id="kiosk"), {"device_id": "kiosk"}, {})
    assert people(home, "vendor_ids", "app") == ["device:app:kiosk", "device:app:kiosk", None]


def test_identity_events_without_two_ids_state_nothing() -> None:
    assert list(joins_of("$merge", "x", {"$distinct_ids": ["a"]})) == []
    assert list(joins_of("$identify", "x", {"$identified_id": "a", "$anon_id": None})) == []
    assert list(joins_of("$create_alias", "a", {"alias": "a"})) == []


names = st.sampled_from("abcdef")
joins = st.lists(st.builds(Join, st.sampled_from(["$identify", "$create_alias", "$merge"]), names, names))


@given(joins)
def test_an_id_that_stands_for_a_cluster_stands_for_itself(stated: list[Join]) -> None:
    standing = clusters(stated)
    assert all(standing[chosen] == chosen for chosen in standing.values())


@given(st.lists(st.tuples(st.sampled_from(["ann", "bob", "eve"]), st.sampled_from(["d1", "d2", "d3"]))))
def test_identify_alone_never_joins_two_users(pairs: list[tuple[str, str]]) -> None:
    standing = clusters([Join("$identify", user, device) for user, device in pairs])
    users = [user for user in ("ann", "bob", "eve") if user in standing]
    assert len({standing[user] for user in users}) == len(users)


def shown(home: Home, rule: str, person: str) -> dict[tuple[str, str], tuple[str, str | None]]:
    """Rule, and number of the event that shows it, of each id of a person."""
    rebuild(home, ["web"], {"web": rule})
    ids = explain(home, ["web"], person).ids
    return {
        (each.kind, each.id): (each.rule, each.evidence and each.evidence.event_id.lstrip("0"))
        for each in ids
    }


def test_an_id_that_the_vendor_joined_is_shown_by_the_event_that_states_it(home: Home) -> None:
    store(home, "web", seen("ann"), seen("anon"), seen("other"), identify("ann", "anon"), seen("anon"))
    found = shown(home, "verbs", "ann")
    assert found["distinct", "anon"] == ("vendor_merge", "3")


def test_a_vendors_own_id_is_shown_by_its_first_event_with_the_user(home: Home) -> None:
    store(
        home,
        "web",
        seen("900", device_id="phone"),
        seen("901", device_id="laptop", user_id="bob"),
        seen("900", device_id="phone", user_id="ann"),
        seen("900", device_id="phone", user_id="ann"),
    )
    found = shown(home, "vendor_ids", "ann")
    assert found["distinct", "900"] == ("vendor_id_of_user", "2")


def test_a_vendors_own_id_without_a_user_is_shown_by_its_first_event(home: Home) -> None:
    store(home, "web", seen("901", user_id="bob"), seen("900", device_id="phone"))
    (person,) = {each for each in people(home, "vendor_ids") if each != "bob"}
    assert person is not None
    assert set(shown(home, "vendor_ids", person).values()) == {("anonymous_device", "1")}
