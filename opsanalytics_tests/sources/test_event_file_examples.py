"""The ready configurations for PostHog, Segment and RudderStack, end to end."""

import json
import tomllib
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from opsanalytics.config import load_settings
from opsanalytics.identity.persons import rebuild
from opsanalytics.lake.events import read_persons
from opsanalytics.lake.paths import Home
from opsanalytics.sources.event_files import EventFilesSettings
from opsanalytics_tests.conftest import ROOT
from opsanalytics_tests.sources.file_support import (
    BIG,
    HARD_TEXT,
    events,
    jsonl,
    properties,
    put,
    run,
    zipped,
)

EXAMPLES = ROOT / "docs" / "sources" / "examples"
TIME = "2026-03-01T12:00:00.123Z"


def example(name: str, folder: Path) -> EventFilesSettings:
    """The committed configuration, as a user pastes it into theirs."""
    snippet = (EXAMPLES / f"{name}.toml").read_text(encoding="utf-8")
    config = folder / "opsanalytics.toml"
    config.write_text(f'{snippet}\n[project]\nname = "Example"\nstart = 2026-03-01\n', encoding="utf-8")
    (settings,) = load_settings(config).event_sources
    assert isinstance(settings, EventFilesSettings)
    assert settings.path == str((folder / "inbox" / name).resolve())
    return settings


def persons(home: Home, source: str) -> dict[tuple[str, str], str]:
    rebuild(home, [source])
    rows = read_persons(home).select("id_kind", "id", "person").iter_rows()
    return {(kind, identifier): person for kind, identifier, person in rows}


def by_event(home: Home, *columns: str) -> dict[str, tuple[Any, ...]]:
    return {row[0]: row[1:] for row in events(home).select("event", *columns).iter_rows()}


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.toml")), ids=lambda path: path.stem)
def test_every_example_is_tested_here(path: Path) -> None:
    (source,) = tomllib.loads(path.read_text(encoding="utf-8"))["sources"]
    assert source["name"] == path.stem
    assert f'example("{path.stem}", tmp_path)' in Path(__file__).read_text(encoding="utf-8")


POSTHOG = [
    {
        "uuid": "u1", "event": "$pageview", "timestamp": TIME, "distinct_id": "anon-1", "team_id": 1,
        "created_at": "2026-03-01T12:00:01Z", "elements_chain": "",
        "properties": {"$device_id": "dev-1", "$session_id": "s-1", "$current_url": "https://x/a",
                       "$os": "iOS", "$browser": "Safari", "$lib": "web", "$geoip_country_code": "DE",
                       "Plan": "A", "plan": "b", "id": BIG, "text": HARD_TEXT},
    },
    {
        "uuid": "u2", "event": "$identify", "timestamp": TIME, "distinct_id": "ada",
        "properties": {"$device_id": "dev-1", "$user_id": "ada", "$anon_distinct_id": "anon-1"},
    },
    {"uuid": "u3", "event": "charged", "timestamp": "2026-03-01 12:00:02.000000", "distinct_id": "ada",
     "properties": {"amount": 5}},
    {"uuid": "u3", "event": "charged", "timestamp": "2026-03-01 12:00:02.000000", "distinct_id": "ada",
     "properties": {"amount": 5}},
]  # fmt: skip


def test_posthog(home: Home, tmp_path: Path) -> None:
    settings = example("posthog", tmp_path)
    put(tmp_path / "inbox" / "posthog" / "export.jsonl", jsonl(POSTHOG))
    _, cleaned = run(settings, home)
    assert (cleaned.canonical, cleaned.duplicates, cleaned.identity_verbs) == (3, 1, 1)
    columns = ("user_id", "device_id", "session_id", "os", "platform", "country", "url")
    assert by_event(home, *columns) == {
        "$pageview": (None, "dev-1", "s-1", "iOS", "web", "DE", "https://x/a"),
        "$identify": ("ada", "dev-1", None, None, None, None, None),
        "charged": (None, None, None, None, None, None, None),
    }
    found = next(each for each in properties(home) if "Plan" in each)
    assert (found["Plan"], found["plan"], found["id"], found["text"]) == ("A", "b", BIG, HARD_TEXT)
    # anonymous before, identified after, and a server that knows the user only: one person
    assert set(persons(home, "posthog").values()) == {"ada"}


def test_posthog_as_parquet(home: Home, tmp_path: Path) -> None:
    """Its batch exports to Parquet hold the properties as a text."""
    settings = example("posthog", tmp_path)
    other = Home(tmp_path / "other")
    rows = [{name: record[name] for name in ("uuid", "event", "timestamp", "distinct_id")} |
            {"properties": json.dumps(record["properties"])} for record in POSTHOG]  # fmt: skip
    folder = tmp_path / "inbox" / "posthog"
    put(folder / "export.jsonl", jsonl(POSTHOG))
    run(settings, home)
    (folder / "export.jsonl").unlink()
    pl.DataFrame(rows).with_columns(
        pl.col("timestamp").str.replace("T", " ").str.replace("Z", "").str.to_datetime(time_unit="us"),
        *(pl.lit(None, pl.String).alias(name) for name in ("_inserted_at",)),
    ).write_parquet(folder / "export.parquet")
    run(settings, other)
    same = ("event_id", "event", "ts", "distinct_id", "user_id", "device_id", "os", "url")
    assert events(home).select(same).equals(events(other).select(same))


def call(kind: str, n: int, **fields: Any) -> dict[str, Any]:
    """A record as Segment and RudderStack send it."""
    return {
        "type": kind,
        "messageId": f"m{n}",
        "anonymousId": "anon-1",
        "timestamp": f"2026-03-01T12:00:0{n}.000Z",
        "receivedAt": f"2026-03-01T12:00:0{n}.500Z",
        "context": {
            "page": {"url": "https://x/a"},
            "os": {"name": "iOS"},
            "library": {"name": "analytics.js"},
        },
        "channel": "browser",
        **fields,
    }


CALLS = [
    call("page", 0, name="Home", properties={"url": "https://x/home", "title": "Home"}),
    call(
        "track",
        1,
        event="Order Completed",
        properties={"$price.eur": 1.5, "Id": 1, "id": BIG, "t": HARD_TEXT},
    ),
    call("identify", 2, userId="ada", traits={"plan": "pro"}),
    call("track", 3, event="Signed In", userId="ada", properties={}),
    call("screen", 4, name="Cart", context={"app": {"version": "1.2"}}, properties={}),
    call("alias", 5, anonymousId=None, previousId="anon-2", userId="ada"),
    call("track", 6, anonymousId="anon-2", event="Order Completed", properties={"n": 1}),
    call("track", 6, anonymousId="anon-2", event="Order Completed", properties={"n": 1}),
    call("track", 7, anonymousId="anon-1", event="Signed In", userId="bob"),
]
CALLED = {
    "page_viewed": (None, "anon-1", "https://x/a"),
    "$identify": ("ada", "anon-1", "https://x/a"),
    "screen_viewed": (None, "anon-1", "Cart"),
    "$alias": ("ada", "anon-2", "https://x/a"),
}
PERSONS = {
    ("user", "ada"): "ada",
    ("user", "bob"): "bob",
    ("device", "anon-1"): "ada",  # shared with bob, who came later
    ("device", "anon-2"): "ada",
}


def check_calls(home: Home, settings: EventFilesSettings) -> None:
    _, cleaned = run(settings, home)
    assert (cleaned.canonical, cleaned.duplicates, cleaned.identity_verbs) == (8, 1, 2)
    found = by_event(home, "user_id", "device_id", "url")
    assert {name: found[name] for name in CALLED} == CALLED
    assert events(home)["received_at"].null_count() == 0
    assert persons(home, settings.name) == PERSONS
    bought, traits = (
        next(each for each in properties(home) if name in each) for name in ("$price.eur", "plan")
    )
    assert {name: bought[name] for name in ("$price.eur", "Id", "id", "t")} == CALLS[1]["properties"]
    assert traits["plan"] == "pro"
    assert bought["$rest"]["context"]["library"] == {"name": "analytics.js"}
    assert bought["$rest"]["type"] == "track"


def test_segment(home: Home, tmp_path: Path) -> None:
    settings = example("segment", tmp_path)
    put(tmp_path / "inbox" / "segment" / "1772323200000" / "a.gz", zipped(CALLS))
    check_calls(home, settings)


def test_rudderstack(home: Home, tmp_path: Path) -> None:
    settings = example("rudderstack", tmp_path)
    calls = [each | {"context": each["context"] | {"sessionId": 1_772_366_400_123}} for each in CALLS]
    put(tmp_path / "inbox" / "rudderstack" / "03-01-2026" / "a.json.gz", zipped(calls))
    check_calls(home, settings)
    assert events(home)["session_id"].unique().to_list() == ["1772366400123"]
    assert events(home)["ts"].min() == datetime(2026, 3, 1, 12, tzinfo=UTC)
