"""The behavior index on disk: one segment a UTC day, never older than the events and identities it is of.

A segment is an uncompressed Arrow IPC file with the columns `person` (u32, number of a person), `ts` (i64,
microseconds since 1970, UTC), `event` (u16, place in the list of sources and names) and `row` (u32, place
among the day's events as they are scanned), sorted by all four; events of nobody come last, as person
NOBODY. `index.json` names the segments and what each was built from. Everything here can be deleted and is
built again from the lake.
"""

import json
import os
from collections import deque
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from opsanalytics.behavior.index_build import MOST_CODES, NOBODY, DayRows, IndexFullError, Read, Reader
from opsanalytics.behavior.index_columns import remove_stale_columns
from opsanalytics.behavior.index_files import Fingerprint, Writer, column, fingerprint, fingerprint_of, mapped
from opsanalytics.behavior.index_persons import Changes, Numbering, numbered
from opsanalytics.lake.events import IDENTITY_RULES
from opsanalytics.lake.files import remove_leftovers, write_json
from opsanalytics.lake.locks import exclusive
from opsanalytics.lake.paths import Home

__all__ = ["MOST_CODES", "NOBODY", "IndexFullError", "Refreshed", "read_index", "refresh_index"]

VERSION = 2
"""Of the layout; another one is built anew."""
BATCH = 4_000_000
"""Bytes of event files read at once."""
MOST_FILES = 64
"""Event files read at once: each is open meanwhile."""


@dataclass(frozen=True)
class Refreshed:
    """What `refresh_index` did."""

    built: tuple[date, ...]
    removed: tuple[date, ...]
    rows: int
    """Of the days built."""


def refresh_index(home: Home) -> Refreshed:
    """Bring the index up to date with the lake: build new and changed days, drop those that are gone.

    A day is as it was if its event files are the same files, untouched (name, size, times of change and
    inode), its segment is, and none of its events changed hands: where the identity mapping changed, days
    with events of a person that lost an id, or of nobody, are built again.

    Raises:
        IndexFullError: more than 65,536 pairs of source and event name.
        MisplacedEventsError: an event file holds events of another day than its folder's.
        LockHeldError: another process has been refreshing for ten minutes.
    """
    with exclusive(home, "index"):
        manifest = _read_manifest(home)
        identity = _identity(home)
        now = _days(home)
        known = manifest["days"]
        gone = [day for day in known if day not in now]
        stale = {day for day, files in now.items() if not _current(home, known.get(day), files)}
        same = manifest["identity"] == identity
        if same and not stale and not gone and (home.index / "index.json").exists():
            return Refreshed((), (), 0)
        before = _read_numbering(home, manifest)
        numbering, changes = (before, Changes()) if same and before is not None else numbered(home, before)
        if changes.everything:
            manifest |= {"codes": [], "days": {}}
        stale |= {day for day in now if day not in stale and _touched(home, known[day], changes)}
        writer = Writer(home.index)
        home.index.mkdir(parents=True, exist_ok=True)
        days = {day: entry for day, entry in known.items() if day in now and day not in stale}
        reader = Reader(home, manifest["codes"], numbering)
        built = {}
        ordered = [day for day in now if day in stale]
        for day, entry in _read(reader, writer, {day: now[day] for day in ordered}):
            built[day] = entry
        # Files that changed while they were read are not what was fingerprinted.
        for day, entry in built.items():
            if _sources(home.events / f"day={day}") == now[day]:
                days[day] = entry | {"files": now[day]}
        tables = {name: manifest[name] for name in ("persons", "ids")}
        if not same or before is None:
            tables = {
                "persons": writer.frame("persons", numbering.persons),
                "ids": writer.frame("ids", numbering.ids),
            }
        writer.publish()
        for entry in days.values():
            entry.setdefault("stat", fingerprint([home.index / entry["segment"]]))
        write_json(
            home.index / "index.json",
            {
                "version": VERSION,
                "identity": identity,
                "rules": dict(numbering.rules),
                "codes": [list(pair) for pair in reader.codes],
                **tables,
                "tables": fingerprint([home.index / tables[name] for name in ("persons", "ids")]),
                "days": days,
            },
        )
        named = {*tables.values(), *(entry["segment"] for entry in days.values())}
        for path in home.index.glob("*.arrow"):
            if path.name not in named:
                path.unlink()
        remove_leftovers(home.index)
        remove_stale_columns(home, {date.fromisoformat(day): entry["files"] for day, entry in days.items()})
        total = sum(entry["rows"] for entry in built.values())
        return Refreshed(tuple(map(date.fromisoformat, ordered)), tuple(map(date.fromisoformat, gone)), total)


def read_index(home: Home) -> dict[str, Any]:
    """`index.json`: `codes`, `persons` (a file), and by day `segment` (a file), `files`, `rows`, `known`
    (rows that are not nobody's), `first` and `last` (time stamps; 0 and -1 of a day without events)."""
    return _read_manifest(home)


def _read_manifest(home: Home) -> dict[str, Any]:
    empty: dict[str, Any] = {
        "version": VERSION,
        "identity": None,
        "rules": {},
        "codes": [],
        "persons": None,
        "ids": None,
        "tables": [],
        "days": {},
    }
    path = home.index / "index.json"
    if not path.exists():
        return empty
    read: dict[str, Any] = json.loads(path.read_text())
    if read.get("version") != VERSION:
        return empty
    if fingerprint([home.index / read[name] for name in ("persons", "ids")]) != read["tables"]:
        return empty
    return read


def _read_numbering(home: Home, manifest: Mapping[str, Any]) -> Numbering | None:
    if manifest["persons"] is None:
        return None
    persons, ids = (pl.read_ipc(home.index / manifest[name]) for name in ("persons", "ids"))
    return Numbering(persons, ids, manifest["rules"])


def _identity(home: Home) -> Fingerprint:
    return fingerprint([*sorted(home.identity.glob("*.parquet")), home.identity / IDENTITY_RULES])


def _sources(folder: Path) -> Fingerprint:
    # `os.scandir`: with years of days, `Path.glob` would cost more than the funnel.
    with os.scandir(folder) as entries:
        return sorted(fingerprint_of(entry) for entry in entries if entry.name.endswith(".parquet"))


def _days(home: Home) -> dict[str, Fingerprint]:
    """Files of every day that has any, by day in order."""
    if not home.events.is_dir():
        return {}
    with os.scandir(home.events) as entries:
        folders = {entry.name[4:]: Path(entry) for entry in entries if entry.name.startswith("day=")}
    found = {day: _sources(folders[day]) for day in sorted(folders)}
    return {day: files for day, files in found.items() if files}


def _current(home: Home, entry: Mapping[str, Any] | None, files: Fingerprint) -> bool:
    if entry is None or entry["files"] != files:
        return False
    return bool(entry["stat"]) and fingerprint([home.index / entry["segment"]]) == entry["stat"]


def _touched(home: Home, entry: Mapping[str, Any], changes: Changes) -> bool:
    if not changes.everything and changes.lost is None and not changes.gained:
        return False
    return changes.touch(column(mapped(home.index / entry["segment"]), "person"), entry["known"])


def _read(
    reader: Reader, writer: Writer, stale: Mapping[str, Fingerprint]
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Write the segments of stale days, several at once; what the manifest says of each."""
    threads = pl.thread_pool_size()
    batches = _batches(stale)

    def written(read: Read, place: int, code_of: npt.NDArray[np.uint16]) -> tuple[str, dict[str, Any]]:
        return read.days[place].isoformat(), _entry(writer, reader.sorted(read, place, code_of))

    with ThreadPoolExecutor(threads) as pool:

        def started() -> Iterator[Future[Read]]:
            for batch in batches:
                yield pool.submit(reader.read, [date.fromisoformat(day) for day in batch])

        waiting = started()
        reading = deque(islice(waiting, threads + 1))
        writing: deque[Future[tuple[str, dict[str, Any]]]] = deque()
        while reading:
            read = reading.popleft().result()
            reading.extend(islice(waiting, 1))
            # In order of days, whichever was read first: so codes are the same every time.
            code_of = reader.code_of(read.pairs)
            writing.extend(pool.submit(written, read, place, code_of) for place in range(len(read.days)))
            while len(writing) > 2 * threads:
                yield writing.popleft().result()
        for one in writing:
            yield one.result()


def _batches(stale: Mapping[str, Fingerprint]) -> Iterator[list[str]]:
    """Stale days to read at once: enough to be fast, few enough to be held in memory and open."""
    batch: list[str] = []
    size = files = 0
    for day, made_of in stale.items():
        if batch and (size >= BATCH or files >= MOST_FILES):
            yield batch
            batch, size, files = [], 0, 0
        batch.append(day)
        size += sum(file[1] for file in made_of)
        files += len(made_of)
    if batch:
        yield batch


def _entry(writer: Writer, rows: DayRows) -> dict[str, Any]:
    """Write a segment; what the manifest says of it, apart from its files."""
    columns: dict[str, npt.NDArray[Any]] = {
        "person": rows.person,
        "ts": rows.ts,
        "event": rows.event,
        "row": rows.row,
    }
    return {
        "segment": writer.arrays(f"day={rows.day.isoformat()}", columns),
        "rows": len(rows.ts),
        "known": rows.known,
        "first": int(rows.ts.min()) if len(rows.ts) else 0,
        "last": int(rows.ts.max()) if len(rows.ts) else -1,
    }
