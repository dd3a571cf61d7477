"""Prints follow the events that another identity mapping gives to somebody else, and no others."""

from collections.abc import Mapping
from datetime import date, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from opsanalytics.lake import day_prints as module
from opsanalytics.lake.day_prints import day_prints
from opsanalytics.lake.events import IDENTITY_RULES
from opsanalytics.lake.files import write_json
from opsanalytics.lake.paths import Home
from opsanalytics_tests.samples import MONDAY, event, person, write_events, write_persons

DAYS = [MONDAY + timedelta(days=number) for number in range(3)]
Ids = Mapping[tuple[str, str], str]
"""Kind and id to person."""


def identify(home: Home, ids: Ids) -> None:
    write_persons(home, [person(kind, one, name) for (kind, one), name in ids.items()])


def happened(home: Home, day: date, *who: tuple[str | None, str | None]) -> None:
    """Events of a day by user and device."""
    rows = [
        event(f"{day}-{number}", day, user_id=user, device_id=device, distinct_id=None)
        for number, (user, device) in enumerate(who)
    ]
    write_events(home, rows, day)


@pytest.fixture
def taken(monkeypatch: pytest.MonkeyPatch) -> list[date]:
    """Days whose persons are looked at."""
    days: list[date] = []
    look = module._persons

    def looking(home: Home, asked: Any) -> Any:
        days.extend(asked)
        return look(home, asked)

    monkeypatch.setattr(module, "_persons", looking)
    return days


def test_somebody_new_is_looked_at_on_the_new_day_alone(home: Home, taken: list[date]) -> None:
    happened(home, DAYS[0], ("ada", None))
    identify(home, {("user", "ada"): "ada"})
    day_prints(home)
    happened(home, DAYS[1], ("bob", None))
    identify(home, {("user", "ada"): "ada", ("user", "bob"): "bob"})
    taken.clear()
    day_prints(home)
    assert taken == [DAYS[1]]


def test_a_sign_in_is_looked_at_where_its_device_was(home: Home, taken: list[date]) -> None:
    happened(home, DAYS[0], ("ada", "d1"))
    happened(home, DAYS[1], (None, "d2"))
    known = {("user", "ada"): "ada", ("device", "d1"): "ada"}
    identify(home, known | {("device", "d2"): "d2"})
    day_prints(home)
    taken.clear()
    identify(home, known | {("device", "d2"): "ada"})
    day_prints(home)
    assert taken == [DAYS[1]]


def test_events_of_nobody_are_looked_at_when_an_id_is_new(home: Home, taken: list[date]) -> None:
    happened(home, DAYS[0], ("ada", None))
    happened(home, DAYS[1], ("bob", None))
    identify(home, {("user", "ada"): "ada"})
    day_prints(home)
    taken.clear()
    identify(home, {("user", "ada"): "ada", ("user", "bob"): "bob"})
    day_prints(home)
    assert taken == [DAYS[1]]


def test_without_the_mapping_of_before_everything_is_looked_at(home: Home, taken: list[date]) -> None:
    for day in DAYS:
        happened(home, day, ("ada", None))
    day_prints(home)
    for path in home.fingerprints.glob("persons.*"):
        path.unlink()
    identify(home, {("user", "ada"): "ada"})
    taken.clear()
    day_prints(home)
    assert taken == DAYS


def test_other_rules_are_another_identity(home: Home, taken: list[date]) -> None:
    for day in DAYS:
        happened(home, day, ("ada", "d1"))
    identify(home, {("user", "ada"): "ada", ("device", "d1"): "d1"})
    day_prints(home)
    write_json(home.identity / IDENTITY_RULES, {"web": "vendor_ids"})
    taken.clear()
    day_prints(home)
    assert taken == DAYS


def test_one_mapping_is_kept(home: Home) -> None:
    happened(home, DAYS[0], ("ada", None))
    for name in ("a", "b", "a"):
        identify(home, {("user", "ada"): name})
        day_prints(home)
        assert len(list(home.fingerprints.glob("persons.*"))) == 1


WHO = st.tuples(st.sampled_from([None, "u1", "u2"]), st.sampled_from([None, "d1", "d2"]))
IDS = st.dictionaries(
    st.sampled_from([("user", "u1"), ("user", "u2"), ("device", "d1"), ("device", "d2")]),
    st.sampled_from(["p", "q", "r"]),
)
STEP = st.one_of(
    st.tuples(st.just("ids"), IDS),
    st.tuples(st.just("rules"), st.sampled_from([{}, {"web": "vendor_ids"}, {"web": "verbs"}])),
    st.tuples(st.sampled_from(DAYS), st.lists(WHO, min_size=1, max_size=3)),
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(STEP, min_size=2, max_size=6))
def test_prints_are_those_taken_anew(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[Any, Any]]
) -> None:
    home = Home(tmp_path_factory.mktemp("home"))
    for what, value in steps:
        if what == "ids":
            identify(home, value)
        elif what == "rules":
            write_json(home.identity / IDENTITY_RULES, value)
        else:
            happened(home, what, *value)
        found = day_prints(home)
        for path in home.fingerprints.glob("*.parquet"):
            path.rename(path.with_suffix(".kept"))
        assert day_prints(home).equals(found)
        for path in home.fingerprints.glob("*.parquet"):
            path.unlink()
        for path in home.fingerprints.glob("*.kept"):
            path.rename(path.with_suffix(".parquet"))
