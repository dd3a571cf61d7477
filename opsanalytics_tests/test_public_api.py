import importlib
import subprocess
import sys
from datetime import UTC, date, datetime
from pathlib import Path

import duckdb
import polars as pl
import pytest

import opsanalytics
from opsanalytics.lake.paths import Home
from opsanalytics.lake.publish import export, publish
from opsanalytics_tests.samples import MONDAY, event, person, write_events, write_persons


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "data")


HEAVY = (
    "dagster",
    "duckdb",
    "great_expectations",
    "numba",
    "numpy",
    "pandas",
    "plotly",
    "polars",
    "pydantic",
)


def test_importing_the_package_imports_nothing_heavy() -> None:
    code = f"import sys, opsanalytics; print([m for m in {HEAVY!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("name", opsanalytics.__all__)
def test_every_public_name_can_be_imported(name: str) -> None:
    assert getattr(opsanalytics, name) is getattr(importlib.import_module("opsanalytics"), name)
    assert name in dir(opsanalytics)


def test_the_lazy_names_are_those_declared() -> None:
    assert {*opsanalytics._MODULES, "__version__"} == set(opsanalytics.__all__)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'retain'"):
        _ = opsanalytics.retain


def test_connect_reads_tables_by_their_bare_names(home: Home) -> None:
    write_persons(home, [person("user", "ada", "p1")])
    publish(home, [])
    assert opsanalytics.connect(home.root).sql("SELECT person FROM persons").fetchall() == [("p1",)]


def test_connect_cannot_write_to_the_published_file(home: Home) -> None:
    publish(home, [])
    with pytest.raises(duckdb.Error, match="read-only"):
        opsanalytics.connect(home.root).execute("DELETE FROM persons")


def test_connect_has_room_for_tables_of_ones_own(home: Home) -> None:
    publish(home, [])
    con = opsanalytics.connect(home.root)
    con.execute("CREATE TABLE memory.mine AS SELECT 1 AS one")
    assert con.sql("SELECT one FROM memory.mine").fetchall() == [(1,)]


def test_connecting_again_sees_a_new_publish_while_the_old_connection_is_open(home: Home) -> None:
    publish(home, [])
    old = opsanalytics.connect(home.root)
    write_persons(home, [person("user", "ada", "p1")])
    publish(home, [])
    new = opsanalytics.connect(home.root)
    count = "SELECT count(*) FROM persons"
    assert (old.execute(count).fetchall(), new.execute(count).fetchall()) == ([(0,)], [(1,)])


def test_connect_shows_times_in_utc(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "America/New_York")
    write_events(home, [event("1")])
    publish(home, [])
    assert opsanalytics.connect(home.root).sql("SELECT ts::VARCHAR FROM events").fetchall() == [
        ("2024-01-01 12:00:00+00",)
    ]


def test_connect_opens_an_exported_copy(home: Home, tmp_path: Path) -> None:
    write_events(home, [event("1")])
    publish(home, [])
    copy = export(home, tmp_path / "it's a copy.duckdb")
    assert opsanalytics.connect(copy).sql("SELECT event_id FROM events").fetchall() == [("1",)]


def test_connect_takes_the_home_folder_from_the_environment(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(home, [])
    monkeypatch.setenv("OPSANALYTICS_HOME", str(home.root))
    assert opsanalytics.connect().sql("SELECT count(*) FROM events").fetchall() == [(0,)]


def test_connect_falls_back_to_data_in_the_current_folder(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(home, [])
    monkeypatch.delenv("OPSANALYTICS_HOME", raising=False)
    monkeypatch.chdir(home.root.parent)
    assert opsanalytics.connect().sql("SELECT count(*) FROM events").fetchall() == [(0,)]


def test_connect_without_a_published_file_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OPSANALYTICS_HOME", raising=False)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(
        FileNotFoundError, match=r"data/opsanalytics\.duckdb .*opsanalytics run.*OPSANALYTICS_HOME"
    ):
        opsanalytics.connect()


def test_events_scans_the_days_and_sources_asked_for(home: Home) -> None:
    tuesday = date(2024, 1, 2)
    write_events(home, [event("1")])
    write_events(home, [event("2", tuesday)], tuesday)
    write_events(home, [event("3", tuesday, source="app")], tuesday, source="app")
    scanned = opsanalytics.events(home.root, first=tuesday, sources=["web"])
    assert isinstance(scanned, pl.LazyFrame)
    assert scanned.select("event_id").collect()["event_id"].to_list() == ["2"]


def test_events_of_a_wrong_folder_are_an_error_not_an_empty_table(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="Run the pipeline first"):
        opsanalytics.events(tmp_path)


def test_a_funnel_can_be_evaluated_on_the_events(home: Home) -> None:
    write_persons(home, [person("user", "ada", "p1"), person("user", "bob", "p2")])
    ids = {"ada": ("sign_up", "purchase"), "bob": ("sign_up",)}
    rows = [
        event(f"{user}-{name}", user_id=user, event=name, ts=datetime(2024, 1, 1, hour, tzinfo=UTC))
        for user, names in ids.items()
        for hour, name in enumerate(names)
    ]
    write_events(home, rows, MONDAY)
    definition = opsanalytics.Funnel(name="buy", steps=("sign_up", "purchase"), window="1d")
    result = opsanalytics.funnel(
        opsanalytics.events(home.root), definition, as_of=datetime(2024, 2, 1, tzinfo=UTC)
    )
    assert result.to_polars()["persons"].to_list() == [2, 1]
