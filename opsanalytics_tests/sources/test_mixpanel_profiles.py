"""Profiles: every page of one session, the newest fetch wins, nothing is altered on the way."""

import json
from datetime import timedelta
from typing import Any

import pytest

from opsanalytics.cleaning.profiles import ProfilesCleaned, clean_profiles
from opsanalytics.lake.manifests import deliveries
from opsanalytics.lake.paths import Home
from opsanalytics.lake.profiles import person_properties, read_profiles
from opsanalytics.sources.errors import IncompleteExportError
from opsanalytics.sources.mixpanel.profiles import ProfilesReport, fetch_profiles
from opsanalytics_tests.simulators.clients import small_events
from opsanalytics_tests.simulators.faulty import (
    Fault,
    FaultSchedule,
    FaultySimulator,
    cut,
    gzip_cut,
    server_error,
    too_many_requests,
    wrong_length,
)
from opsanalytics_tests.simulators.mixpanel_query import Profiles
from opsanalytics_tests.sources.support import ENVIRON, NOON, mixpanel, mixpanel_project, tree

PROFILES: dict[str, dict[str, Any]] = {
    f"u{n}": {"$email": f"u{n}@example.com", "Plan": "pro", "plan": n, "big": 2**60 + n, "ü 😀": None}
    for n in range(25)
}


def served(profiles: Profiles, faults: FaultSchedule | None = None) -> FaultySimulator:
    return FaultySimulator(mixpanel_project(small_events(10)), profiles, faults=faults, clock=lambda: NOON)


def pull(simulator: FaultySimulator, home: Home, days: int = 0) -> ProfilesReport:
    settings = mixpanel(simulator.url, profiles=True)
    return fetch_profiles(settings, home, environ=ENVIRON, now=NOON + timedelta(days=days))


def clean(home: Home) -> ProfilesCleaned:
    return clean_profiles(mixpanel("http://x", profiles=True), home)


def table(home: Home) -> dict[str, dict[str, Any]]:
    rows = read_profiles(home).select("distinct_id", "properties").iter_rows()
    return {name: json.loads(text) for name, text in rows}


@pytest.mark.parametrize("page_size", [1_000, 25, 10, 5])
def test_every_profile_arrives_with_all_digits(home: Home, page_size: int) -> None:
    with served(Profiles(PROFILES, page_size=page_size)) as simulator:
        assert pull(simulator, home).profiles == len(PROFILES)
    clean(home)
    assert table(home) == PROFILES


@pytest.mark.parametrize(
    "fault",
    [
        cut(0.5),
        cut(0.5, with_length=False),
        gzip_cut(),
        wrong_length(40),
        server_error(503),
        too_many_requests(0),
    ],
)
def test_a_fault_that_passes_leaves_no_trace(home: Home, fault: Fault) -> None:
    faults = FaultSchedule().on("mixpanel_engage", 2, fault)
    with served(Profiles(PROFILES, page_size=10), faults) as simulator:
        pull(simulator, home)
    clean(home)
    assert table(home) == PROFILES
    assert not faults.unused


def test_profiles_are_fetched_once_a_day(home: Home) -> None:
    with served(Profiles(PROFILES)) as simulator:
        pull(simulator, home)
        assert pull(simulator, home).requests == 0
        assert pull(simulator, home, days=1).requests == 1
    assert [each.delivery for each in deliveries(home, "product.profiles")] == ["2026-03-10", "2026-03-11"]


def test_pages_that_hold_less_than_announced_land_nothing(home: Home) -> None:
    profiles = Profiles(PROFILES, page_size=10)

    def fewer(request: Any, answer: Any) -> Any:
        from dataclasses import replace

        reply = answer()
        page = json.loads(reply.body)
        return replace(reply, body=json.dumps({**page, "results": page["results"][:3]}).encode())

    with (
        served(profiles, FaultSchedule().always("mixpanel_engage", fewer)) as simulator,
        pytest.raises(IncompleteExportError, match="3 came, but the first page announced 25"),
    ):
        pull(simulator, home)
    assert tree(home.landing) == {}


def test_the_newest_value_wins_and_unset_properties_are_kept_as_such(home: Home) -> None:
    profiles = Profiles({"u": {"plan": "free", "city": "Ulm"}})
    with served(profiles) as simulator:
        pull(simulator, home)
        profiles.profiles = {"u": {"plan": "pro"}}
        pull(simulator, home, days=1)
    clean(home)
    assert table(home) == {"u": {"plan": "pro", "city": "Ulm"}}
    assert read_profiles(home)["unset"].to_list() == [["city"]]


def test_a_deleted_profile_is_gone(home: Home) -> None:
    profiles = Profiles({"u": {}, "v": {}})
    with served(profiles) as simulator:
        pull(simulator, home)
        del profiles.profiles["u"]
        pull(simulator, home, days=1)
    clean(home)
    assert list(table(home)) == ["v"]


def test_cleaning_again_changes_no_byte(home: Home) -> None:
    with served(Profiles(PROFILES, page_size=10)) as simulator:
        pull(simulator, home)
    clean(home)
    before = tree(home.lake)
    clean(home)
    assert tree(home.lake) == before


def test_a_record_without_an_id_is_set_aside(home: Home) -> None:
    from dataclasses import replace

    def without_id(request: Any, answer: Any) -> Any:
        reply = answer()
        page = json.loads(reply.body)
        page["results"].append({"$properties": {"a": 1}})
        return replace(reply, body=json.dumps(page).encode())

    with served(Profiles({"u": {}}), FaultSchedule().always("mixpanel_engage", without_id)) as simulator:
        pull(simulator, home)
    assert clean(home).quarantined == 1
    assert list(table(home)) == ["u"]


def test_properties_of_persons_follow_the_identity(home: Home) -> None:
    with served(Profiles({"u": {"plan": "pro"}})) as simulator:
        pull(simulator, home)
    clean(home)
    assert person_properties(home).to_dicts() == [{"person": "u", "properties": '{"plan":"pro"}'}]
