import os
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from opsanalytics.lake.paths import Home
from opsanalytics.quality import profiles
from opsanalytics.quality.profiles import MORE, profile_days
from opsanalytics_tests.samples import MONDAY, event, write_events

TUESDAY = MONDAY + timedelta(days=1)


def types(frame: pl.DataFrame, name: str) -> dict[str, int]:
    return dict(frame.filter(pl.col("property") == name).select("type", "n").iter_rows())


def stamps(home: Home) -> dict[str, int]:
    return {path.parent.name: path.stat().st_ino for path in home.profiles.rglob("*.parquet")}


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        ('"pro"', "string"),
        ('"2026-01-02"', "datetime"),
        ('"2026-01-02T03:04:05.678+02:00"', "datetime"),
        ('"2026-01-02 or so"', "string"),
        ("3", "integer"),
        ("-9223372036854775808", "integer"),
        ("18446744073709551615", "integer"),
        ("3.0", "number"),
        ("true", "boolean"),
        ("[1]", "list"),
        ('{"a": 1}', "object"),
        ("null", "null"),
    ],
)
def test_each_json_type_is_told(home: Home, value: str, kind: str) -> None:
    write_events(home, [event("1", properties=f'{{"x": {value}}}')])
    assert types(profile_days(home), "x") == {kind: 1}


@pytest.mark.parametrize("name", ["$os", "a.b", 'quo"te', "sla/sh~tilde", "it's", "Größe", "🙂", "", " "])
def test_names_survive_whatever_they_are_made_of(home: Home, name: str) -> None:
    encoded = pl.select(pl.struct(pl.lit(1).alias(name)).struct.json_encode()).item()
    write_events(home, [event("1", properties=encoded), event("2", properties=encoded)])
    assert types(profile_days(home), name) == {"integer": 2}


def test_events_properties_and_columns_are_counted(home: Home) -> None:
    rows = [event(str(n), properties=f'{{"plan": "p{n % 3}"}}', platform="web") for n in range(30)]
    write_events(home, [*rows, event("other", event="purchase")])
    found = profile_days(home).filter(pl.col("event") == "sign_up")
    assert found.select("property", "type", "n", "distinct").rows() == [
        (None, None, 30, 0),
        ("plan", "string", 30, 3),
        ("platform", "column", 30, 1),
    ]


def test_properties_that_are_no_object_are_left_to_their_rule(home: Home) -> None:
    write_events(home, [event("1", properties="[1]"), event("2", properties='{"a": }'), event("3")])
    assert profile_days(home).select("property", "n").rows() == [(None, 3)]


def test_ids_used_as_names_do_not_fill_the_profile(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(profiles, "MAX_PROPERTIES", 3)
    rows = [event(str(n), properties=f'{{"plan": 1, "id{n}": 1}}') for n in range(6)]
    write_events(home, rows)
    found = profile_days(home)
    assert types(found, MORE) == {"string": 4}
    assert found.filter(pl.col("property") == "plan")["n"].to_list() == [6]


def test_many_properties_take_several_passes_with_the_same_result(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    wide = "{" + ", ".join(f'"p{n}": {n}' for n in range(9)) + "}"
    write_events(home, [event("1", properties=wide), event("2", event="other", properties='{"q": 1}')])
    at_once = profile_days(home)
    for path in home.profiles.rglob("*.parquet"):
        path.unlink()
    monkeypatch.setattr(profiles, "PASS_PROPERTIES", 2)
    assert profile_days(home).equals(at_once)


def test_only_days_that_changed_are_read_again(home: Home) -> None:
    write_events(home, [event("1")])
    write_events(home, [event("2", TUESDAY)], TUESDAY)
    profile_days(home)
    before = stamps(home)
    profile_days(home)
    assert stamps(home) == before
    write_events(home, [event("2", TUESDAY, event="purchase")], TUESDAY)
    path = home.events_file("web", TUESDAY)
    os.utime(path, ns=(1, path.stat().st_mtime_ns + 1))
    found = profile_days(home)
    assert found["event"].to_list() == ["sign_up", "purchase"]
    after = stamps(home)
    assert after["day=2024-01-01"] == before["day=2024-01-01"]
    assert after["day=2024-01-02"] != before["day=2024-01-02"]


def test_the_profile_of_a_day_that_is_gone_is_removed(home: Home) -> None:
    write_events(home, [event("1")])
    profile_days(home)
    home.events_file("web", MONDAY).unlink()
    assert profile_days(home).is_empty()
    assert stamps(home) == {}


def test_a_range_of_days_can_be_asked_for(home: Home) -> None:
    for day in (MONDAY, TUESDAY):
        write_events(home, [event(str(day), day)], day)

    def asked(**options: Any) -> list[date]:
        return profile_days(home, **options)["day"].to_list()

    assert asked() == [MONDAY, TUESDAY]
    assert asked(first=TUESDAY) == [TUESDAY]
    assert asked(last=MONDAY) == [MONDAY]


def test_a_home_with_brackets_in_its_name_is_read(tmp_path: Path) -> None:
    home = Home(tmp_path / "a[b]*c")
    write_events(home, [event("1")])
    assert profile_days(home)["n"].to_list() == [1]
