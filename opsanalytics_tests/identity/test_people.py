"""How an identity came about, from any id; and who is one person, against the rule written out plainly."""

from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from opsanalytics.identity.people import explain, nearest, persons_with
from opsanalytics.identity.persons import rebuild
from opsanalytics.lake.events import scan_events
from opsanalytics.lake.paths import Home
from opsanalytics_tests.identity.test_persons import START, Seen, store


def known(home: Home, *events: Seen) -> None:
    store(home, *events)
    rebuild(home, ["web", "app"])


HOUSEHOLD = (
    Seen(0, None, "home"),
    Seen(1, "ann", "home"),
    Seen(2, "bob", "home"),
    Seen(3, None, "home"),
    Seen(4, "ann", "phone", source="app"),
    Seen(5, "bob", "laptop"),
    Seen(6, None, "tablet"),
    Seen(7, distinct="server"),
    Seen(8, distinct="bob"),
)


@pytest.mark.parametrize("identifier", ["ann", "home", "phone"])
def test_any_id_leads_to_its_person(home: Home, identifier: str) -> None:
    known(home, *HOUSEHOLD)
    assert persons_with(home, identifier) == ["ann"]


@pytest.mark.parametrize("identifier", ["tablet", "device:web:tablet"])
def test_a_device_without_a_user_is_found_by_both_its_names(home: Home, identifier: str) -> None:
    known(home, *HOUSEHOLD)
    assert persons_with(home, identifier) == ["device:web:tablet"]


def test_every_id_has_its_rule_and_the_event_that_shows_it(home: Home) -> None:
    known(home, *HOUSEHOLD)
    found = {(each.kind, each.id): each for each in explain(home, ["web", "app"], "ann").ids}
    device = found["device", "home"]
    assert device.rule == "first_user_on_device"
    assert device.evidence is not None
    assert (device.evidence.event_id, device.evidence.ts) == ("e1", START + timedelta(hours=1))
    assert {key: each.rule for key, each in found.items() if key[0] == "user"} == {("user", "ann"): "user_id"}
    assert [each.source for each in explain(home, ["web", "app"], "ann").ids if each.kind == "user"] == [
        "app",
        "web",
    ]


def test_an_anonymous_device_is_shown_by_its_first_event(home: Home) -> None:
    known(home, *HOUSEHOLD)
    (only,) = explain(home, ["web", "app"], "device:web:tablet").ids
    assert (only.rule, only.evidence and only.evidence.event_id) == ("anonymous_device", "e6")


def test_a_distinct_id_that_is_a_users_says_so(home: Home) -> None:
    known(home, *HOUSEHOLD)
    (distinct,) = [each for each in explain(home, ["web", "app"], "bob").ids if each.kind == "distinct"]
    assert (distinct.rule, distinct.evidence and distinct.evidence.event_id) == ("user_id", "e8")
    assert "distinct id" in distinct.why


@pytest.mark.parametrize("person", ["ann", "bob"])
def test_a_shared_device_shows_everybody_on_it_in_order(home: Home, person: str) -> None:
    known(home, *HOUSEHOLD)
    (device,) = explain(home, ["web", "app"], person).shared_devices
    assert (device.device, device.owner, device.tie) == ("home", "ann", False)
    assert [user for user, _ in device.users] == ["ann", "bob"]


def test_two_first_users_at_one_moment_are_a_doubt(home: Home) -> None:
    known(home, Seen(0, "ann", "d"), Seen(0, "bob", "d"))
    report = explain(home, ["web"], "bob")
    assert report.shared_devices[0].tie
    assert "same moment" in report.conflicts[0]


def test_an_id_that_is_somebody_else_elsewhere_is_a_doubt(home: Home) -> None:
    known(home, Seen(0, "42", "d"), Seen(0, None, "42", source="app"))
    (conflict,) = explain(home, ["web", "app"], "42").conflicts
    assert "device id in app" in conflict


def test_events_of_a_person_are_counted_over_all_their_ids(home: Home) -> None:
    known(home, *HOUSEHOLD)
    report = explain(home, ["web", "app"], "ann")
    assert (report.events, report.first, report.last) == (4, START, START + timedelta(hours=4))


def test_an_unknown_id_has_neighbours(home: Home) -> None:
    known(home, Seen(0, "person-1001"), Seen(0, "person-2002"), Seen(0, "other"))
    assert nearest(home, "person-1002")[0] in ("person-1001", "person-2002")
    assert nearest(home, "2002") == ["person-2002"]
    assert persons_with(home, "person-1002") == []


users = st.none() | st.sampled_from(["a", "b", "c"])
devices = st.none() | st.sampled_from(["d", "e", "a"])
distincts = st.none() | st.sampled_from(["x", "a"])
histories = st.lists(
    st.builds(Seen, st.integers(0, 60), users, devices, distincts, st.sampled_from(["web", "app"])),
    max_size=10,
)


def plainly(events: list[Seen], number: int) -> str | None:
    """The person of one event: the contract's resolver, event by event, in quadratic time.

    user, else the first user on the device (of that source), else the device; without both the distinct id.
    """
    event = events[number]
    if event.user:
        return event.user
    if event.device:
        there = [
            (other.hour, other.user)
            for other in events
            if other.user and (other.device, other.source) == (event.device, event.source)
        ]
        return min(there)[1] if there else f"device:{event.source}:{event.device}"
    if event.distinct:
        is_user = any((other.user, other.source) == (event.distinct, event.source) for other in events)
        return event.distinct if is_user else f"distinct:{event.source}:{event.distinct}"
    return None


@settings(max_examples=40, deadline=None)
@given(histories)
def test_the_lake_agrees_with_the_plain_rule(
    tmp_path_factory: pytest.TempPathFactory, events: list[Seen]
) -> None:
    if not events:
        return
    home = Home(tmp_path_factory.mktemp("lake"))
    known(home, *events)
    people = dict(scan_events(home).select("event_id", "person").collect().iter_rows())
    assert people == {f"e{number}": plainly(events, number) for number in range(len(events))}


@settings(max_examples=25, deadline=None)
@given(histories, st.integers(0, 9))
def test_what_comes_later_changes_only_what_was_anonymous(
    tmp_path_factory: pytest.TempPathFactory, events: list[Seen], cut: int
) -> None:
    """Retroactive, and never joining: who was a user stays that user whatever is learnt later."""
    ordered = sorted(events, key=lambda event: event.hour)
    if not ordered[:cut]:
        return
    home = Home(tmp_path_factory.mktemp("lake"))
    known(home, *ordered[:cut])
    early = dict(scan_events(home).select("event_id", "person").collect().iter_rows())
    known(home, *ordered)
    late = dict(scan_events(home).select("event_id", "person").collect().iter_rows())
    for number, event in enumerate(ordered[:cut]):
        if event.user:
            assert early[f"e{number}"] == late[f"e{number}"] == event.user


@settings(max_examples=25, deadline=None)
@given(histories)
def test_the_explanation_names_an_event_of_that_person_for_every_id(
    tmp_path_factory: pytest.TempPathFactory, events: list[Seen]
) -> None:
    if not events:
        return
    home = Home(tmp_path_factory.mktemp("lake"))
    known(home, *events)
    people = dict(scan_events(home).select("event_id", "person").collect().iter_rows())
    for person in sorted(set(people.values()) - {None}):
        report = explain(home, ["web", "app"], person)
        assert report.events == sum(each == person for each in people.values())
        for each in report.ids:
            assert each.evidence is not None
            if each.rule != "user_id":
                assert people[each.evidence.event_id] == person
            assert each.evidence.ts == each.since
