"""How fast each source of events reads its records: events a second of CPU time, one processor.

    PYTHONPATH=. python benchmarks/reading_throughput.py [--events 30000]

Reading is what sources differ in; cutting, deduplicating and writing are the same for all and measured by
`cleaning_throughput.py`. Records have about 20 properties. Each source must read every record. Where a
source has a fast reader, the careful one reads the same records in the same run and must give equal rows.
"""

import argparse
import json
import time
from collections.abc import Callable
from typing import Any

from polars.testing import assert_frame_equal

from opsanalytics.sources.amplitude import AmplitudeSettings
from opsanalytics.sources.base import EventSourceSettings, ParsedLines
from opsanalytics.sources.event_files import EventFilesSettings
from opsanalytics.sources.ga4 import Ga4Settings
from opsanalytics.sources.lines import RawLines
from opsanalytics.sources.mixpanel import MixpanelSettings

START = 1_772_323_200
ROUNDS = 3
EVENTS = ("page_view", "search", "add_to_cart", "purchase")


def properties(number: int, count: int) -> dict[str, Any]:
    """What a product sends with an event."""
    plain = {f"property_{index}": f"value {number % (7 + index)}" for index in range(count - 3)}
    return plain | {"amount": number % 1_000 / 8, "order_id": number + 2**53, "city": "Köln"}


def mixpanel(number: int) -> dict[str, Any]:
    known = {
        "time": (START + number % 86_400) * 1_000,
        "distinct_id": f"user-{number % 5_000}",
        "$user_id": f"user-{number % 5_000}",
        "$device_id": f"device-{number % 7_000}",
        "$insert_id": f"insert-{number}",
        "$os": "Linux",
        "$browser": "Firefox",
        "$current_url": f"https://shop.example/p/{number % 997}",
    }
    return {"event": EVENTS[number % 4], "properties": known | properties(number, 12)}


def amplitude(number: int) -> dict[str, Any]:
    moment = f"2026-03-01 {number % 24:02}:{number % 60:02}:00.123000"
    return {
        "event_type": EVENTS[number % 4],
        "event_time": moment,
        "server_upload_time": moment,
        "server_received_time": moment,
        "uuid": f"uuid-{number}",
        "$insert_id": f"insert-{number}",
        "user_id": f"user-{number % 5_000}",
        "device_id": f"device-{number % 7_000}",
        "amplitude_id": number % 7_000,
        "session_id": START + number // 20,
        "platform": "Web",
        "os_name": "Firefox",
        "device_family": "Linux",
        "country": "Germany",
        "event_properties": properties(number, 12),
        "user_properties": {"plan": "pro", "cohort": number % 9},
    }


def ga4(number: int) -> dict[str, Any]:
    texts = [{"key": f"p{n}", "value": {"string_value": f"value {number % (7 + n)}"}} for n in range(10)]
    return {
        "event_date": "20260301",
        "event_timestamp": str((START + number % 86_400) * 1_000_000),
        "event_name": EVENTS[number % 4],
        "event_params": [{"key": "ga_session_id", "value": {"int_value": str(number // 20)}}, *texts],
        "event_bundle_sequence_id": str(number),
        "user_pseudo_id": f"{number % 5_000}.{START}",
        "device": {"category": "mobile", "operating_system": "Android", "web_info": {"browser": "Chrome"}},
        "geo": {"continent": "Europe", "country": "Germany", "city": "Berlin"},
        "stream_id": "1234567890",
        "platform": "WEB",
    }


def rows_of_files(number: int) -> dict[str, Any]:
    return {
        "id": f"id-{number}",
        "name": EVENTS[number % 4],
        "at": START + number % 86_400,
        "user": f"user-{number % 5_000}",
        "page": f"https://shop.example/p/{number % 997}",
        **properties(number, 15),
    }


SOURCES: dict[str, tuple[EventSourceSettings, Callable[[int], dict[str, Any]]]] = {
    "mixpanel": (MixpanelSettings(name="web", project_id="1000001"), mixpanel),
    "ga4": (Ga4Settings(name="web", path="."), ga4),
    "amplitude": (AmplitudeSettings(name="app"), amplitude),
    "event_files": (
        EventFilesSettings.model_validate(
            {
                "name": "shop",
                "path": ".",
                "time_format": "s",
                "columns": {"event": "name", "ts": "at", "user_id": "user", "event_id": "id", "url": "page"},
            }
        ),
        rows_of_files,
    ),
}


def timed(read: Callable[[RawLines], ParsedLines], lines: RawLines) -> tuple[float, ParsedLines]:
    """Least CPU seconds of several rounds, and what was read."""
    seconds = []
    for _ in range(ROUNDS):
        begun = time.process_time()
        parsed = read(lines)
        seconds.append(time.process_time() - begun)
    return min(seconds), parsed


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--events", type=int, default=30_000)
    events: int = parser.parse_args().events
    for name, (settings, record) in SOURCES.items():
        records = [json.dumps(record(n), ensure_ascii=False).encode() for n in range(events)]
        lines = RawLines.of(records)
        seconds, parsed = timed(settings.parse_records, lines)
        if parsed.rows.height != events:
            raise SystemExit(f"{name}: {parsed.rejected[:3]}")
        told = (
            f"{name:12} {events / seconds:10,.0f} events/s of CPU, {len(lines.content) // events} bytes each"
        )
        if type(settings).parse_records is not EventSourceSettings.parse_records:
            slow, careful = timed(
                lambda all_, own=settings: EventSourceSettings.parse_records(own, all_), lines
            )
            # The readers write the same properties with other spaces.
            assert_frame_equal(parsed.rows.drop("properties"), careful.rows.drop("properties"))
            told += f", {slow / seconds:.1f} times the careful reader"
        print(told)


if __name__ == "__main__":
    main()
