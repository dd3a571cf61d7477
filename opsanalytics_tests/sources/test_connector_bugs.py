"""Bugs of other connectors that need a test of their own here.

The rest are shown impossible beside what they touch: partial results and cut bodies in
`test_mixpanel_fetch`, adjacent windows in `cleaning/test_schedules`, zones in `quality/test_clock`,
upload hours in `test_amplitude_fetch`, long ranges in `test_backfill_plan`, identity in `identity/`.
"""

import io
import json
import tracemalloc
import zipfile
from datetime import UTC, datetime, timedelta
from typing import Any

import duckdb
import polars as pl
import pytest

from opsanalytics.demo.simulator import VendorSimulator
from opsanalytics.demo.simulator.messages import gzip_bytes
from opsanalytics.identity.persons import rebuild
from opsanalytics.lake.events import scan_raw_events
from opsanalytics.lake.paths import Home
from opsanalytics.lake.publish import publish
from opsanalytics.sources.landing import receive, temporary_file
from opsanalytics.sources.windows import Window, midnight
from opsanalytics_tests.simulators.faulty import FaultSchedule, FaultySimulator, edited_lines
from opsanalytics_tests.sources.support import (
    ENVIRON,
    FIRST,
    LAST,
    NOON,
    amplitude,
    amplitude_project,
    mixpanel,
    mixpanel_project,
    run_clean,
    run_fetch,
)

HOURS = 6
START = datetime(2026, 3, 1, 12, tzinfo=UTC)
ODD: dict[str, Any] = {
    "Id": 1, "id": 2, "ID": 3, "$plan": "a", "plan": "b", "a.b": "dot", 'say "hi"': "quote", "😀": "emoji",
    "event": "own", "properties": {"deep": [1, {"x": None}]}, "source": "own", "yes": True, "no": False,
    "big": 2**62 + 1, "fine": 0.1, "text": "True", "date": "2026-03-01", "none": None, "empty": {},
    "line": "a\u2028b\u0085c",
}  # fmt: skip


def events(*properties: dict[str, Any]) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "user_id": ["u"] * len(properties),
            "event": ["Visit"] * len(properties),
            "ts": [START + timedelta(days=number) for number in range(len(properties))],
            "properties": [json.dumps(each, ensure_ascii=False) for each in properties],
        }
    )


def pulled(home: Home, make: Any, table: pl.DataFrame) -> list[str]:
    vendors = (mixpanel_project(table), amplitude_project(table))
    with VendorSimulator(*vendors, clock=lambda: NOON) as simulator:
        settings = make(simulator.url)
        run_fetch(settings, home)
        run_clean(settings, home)
    return scan_raw_events(home).sort("ts").collect()["properties"].to_list()


@pytest.mark.parametrize("make", [mixpanel, amplitude])
def test_names_and_types_of_properties_survive(home: Home, make: Any) -> None:
    """Airbyte strips `$` and folds case, so that a new property renames an old column, and turns every
    value into text; Singer's tap lets a property named `event` overwrite the event.
    """
    (text,) = pulled(home, make, events(ODD))
    own = json.loads(text)
    assert {name: own[name] for name in ODD} == ODD
    assert all(type(own[name]) is type(value) for name, value in ODD.items())
    assert f'"big":{2**62 + 1}' in text.replace(": ", ":")
    assert scan_raw_events(home).collect()["event"].to_list() == ["Visit"]


@pytest.mark.parametrize("make", [mixpanel, amplitude])
def test_a_schema_that_drifts_can_be_queried(home: Home, make: Any) -> None:
    """New, vanished and retyped properties, and names that differ by case, break typed loads (36724)."""
    days = [{"Utm": "a", "utm": 1}, {"utm": "now text", "new": [1]}, {}, {"utm": {"an": "object"}}]
    pulled(home, make, events(*days))
    rebuild(home, ["product", "app"])
    publish(home, [])
    with duckdb.connect(str(home.published), read_only=True) as con:
        found = con.sql("SELECT properties -> '$.\"utm\"' FROM events ORDER BY ts").fetchall()
    assert [row[0] for row in found] == ["1", '"now text"', None, '{"an":"object"}']


def test_no_request_filters_by_time() -> None:
    """Estuary and Airbyte add `where time >= cursor` to their look-back: late events never come."""
    window = Window(midnight(FIRST), midnight(LAST))
    for settings in (mixpanel("http://x"), amplitude("http://x")):
        assert "where" not in settings.request(window, ENVIRON).params


def test_the_key_of_an_event_is_the_vendors(home: Home) -> None:
    """Airbyte's schema had no insert_id (21460), Singer's export stream no key at all."""

    def line(insert_id: str | None, n: int, processed: int) -> bytes:
        key = {} if insert_id is None else {"$insert_id": insert_id}
        moment = round(START.timestamp() * 1_000)
        own = {"distinct_id": "u", "time": moment, "mp_processing_time_ms": moment + processed, "n": n} | key
        return json.dumps({"event": "Visit", "properties": own}).encode()

    rows = [
        line("a", 1, 10), line("a", 2, 20),  # resent: the one processed last stays
        line("b", 3, 10),  # another event of the same user and time
        line(None, 4, 10), line(None, 4, 10), line(None, 5, 10),  # without an id the whole row is the key
    ]  # fmt: skip
    faults = FaultSchedule().always("mixpanel", edited_lines(lambda lines: rows if lines else []))
    with FaultySimulator(mixpanel_project(events({})), faults=faults, clock=lambda: NOON) as simulator:
        settings = mixpanel(simulator.url)
        run_fetch(settings, home)
        report = run_clean(settings, home)
    kept = [json.loads(text)["n"] for text in scan_raw_events(home).collect()["properties"]]
    assert sorted(kept) == [2, 3, 4, 5]
    assert report.duplicates == 2


def test_an_archive_is_never_held_in_memory(home: Home) -> None:
    """Airbyte 21010: MemoryError on `BytesIO(response.content)`."""
    line = json.dumps({"event_type": "x", "event_time": "2026-03-01 00:00:00", "pad": "p" * 500}).encode()
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_STORED) as members:
        for hour in range(HOURS):
            content = gzip_bytes(b"".join(line + b"%d\n" % number for number in range(20_000)))
            members.writestr(f"1/1_2026-03-01_{hour}#0.json.gz", content)
    content = archive.getvalue()
    chunks = (content[start : start + 65_536] for start in range(0, len(content), 65_536))
    with temporary_file(home, "app") as (file, path):
        tracemalloc.start()
        try:
            receive(
                chunks, file, path, body="zip", gzipped=False, expected_bytes=len(content), framed=False,
                believed=None, progress=lambda total: None,
            )  # fmt: skip
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    unpacked = HOURS * 20_000 * len(line)
    assert peak < unpacked / 8
