"""One GA4 day of a million events, as JSONL.gz and as Parquet: landed and cleaned, seconds and peak memory.

    PYTHONPATH=. python benchmarks/ga4_day.py [EVENTS]

Each format runs in a process of its own, so that its peak is its own. Both must give the same events.
"""

import gzip
import json
import resource
import subprocess
import sys
import tempfile
import time
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

DAY = date(2026, 3, 1)
START = 1_772_323_200_000_000
PARAMETERS = 12


def record(number: int) -> dict[str, Any]:
    """One record with the fields that a web property usually has."""
    params: list[dict[str, Any]] = [
        {"key": "ga_session_id", "value": {"int_value": str(1_772_000_000 + number // 20)}},
        {"key": "page_location", "value": {"string_value": f"https://shop.example/p/{number % 997}?q=1&r=2"}},
        {"key": "page_title", "value": {"string_value": f"Product {number % 997}"}},
        {"key": "price", "value": {"double_value": number % 1000 / 10 + 0.05}},
    ]
    params += [
        {"key": f"p{index}", "value": {"string_value": f"value {number % (7 + index)}"}}
        for index in range(PARAMETERS - len(params))
    ]
    return {
        "event_date": "20260301",
        "event_timestamp": str(START + number * 86_000),
        "event_name": ("page_view", "view_item", "add_to_cart", "purchase")[number % 4],
        "event_params": params,
        "event_bundle_sequence_id": str(number % 1000),
        "user_pseudo_id": f"{number // 20}.1772323200",
        "user_properties": [
            {"key": "plan", "value": {"string_value": "pro", "set_timestamp_micros": str(START)}}
        ],
        "device": {"category": "mobile", "operating_system": "Android", "web_info": {"browser": "Chrome"}},
        "geo": {"continent": "Europe", "country": "Germany", "city": "Berlin"},
        "traffic_source": {"name": "(direct)", "medium": "(none)", "source": "(direct)"},
        "stream_id": "1234567890",
        "platform": "WEB",
        "is_active_user": True,
    }


def write(folder: Path, events: int) -> None:
    """The same day in both formats."""
    import pyarrow as pa
    import pyarrow.json as pj
    import pyarrow.parquet as pq

    name = f"events_{DAY:%Y%m%d}-000000000000"
    (folder / "jsonl").mkdir()
    (folder / "parquet").mkdir()
    plain = folder / "plain.jsonl"
    with (
        plain.open("wb") as lines,
        gzip.open(folder / "jsonl" / f"{name}.json.gz", "wb", compresslevel=1) as zipped,
    ):
        for number in range(events):
            line = json.dumps(record(number), separators=(",", ":")).encode() + b"\n"
            lines.write(line)
            zipped.write(line)
    numbers = {"event_timestamp": pa.int64(), "event_bundle_sequence_id": pa.int64()}
    with pj.open_json(plain) as reader:
        schema = pa.schema([field.with_type(numbers.get(field.name, field.type)) for field in reader.schema])
        with pq.ParquetWriter(folder / "parquet" / f"{name}.parquet", schema, compression="snappy") as writer:
            for batch in reader:
                writer.write_table(pa.Table.from_batches([batch]).cast(schema))
    plain.unlink()


def measure(folder: Path, out: Path) -> None:
    """Land and clean the day in `folder`, in this process."""
    import polars as pl

    from opsanalytics.cleaning.events import clean_events
    from opsanalytics.lake.events import scan_raw_events
    from opsanalytics.lake.paths import Home
    from opsanalytics.sources.file_landing import fetch_files
    from opsanalytics.sources.ga4 import Ga4Settings

    settings = Ga4Settings(name="web", path=str(folder))
    home = Home(out / folder.name)
    now = datetime.now(UTC)
    began = time.perf_counter()
    landed = fetch_files(settings, home, DAY, DAY, now=now)
    fetched = time.perf_counter()
    report = clean_events(settings, home, {})
    cleaned = time.perf_counter()
    again = fetch_files(settings, home, DAY, DAY, now=now)
    clean_events(settings, home, {})
    finished = time.perf_counter()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    ids = scan_raw_events(home).select(pl.col("event_id").hash().sum()).collect().item()
    print(
        f"{folder.name:8} {landed.records:,} records, {report.canonical:,} events (ids {ids}): "
        f"landed in {fetched - began:.1f} s, cleaned in {cleaned - fetched:.1f} s "
        f"({report.canonical / (cleaned - fetched):,.0f} events/s), again in {finished - cleaned:.2f} s "
        f"({len(again.deliveries)} files read), peak {peak:,.0f} MB"
    )


def main() -> None:
    if len(sys.argv) == 4:
        measure(Path(sys.argv[2]), Path(sys.argv[3]))
        return
    events = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        write(root, events)
        for name in ("jsonl", "parquet"):
            subprocess.run([sys.executable, __file__, "measure", root / name, root / "out"], check=True)


if __name__ == "__main__":
    main()
