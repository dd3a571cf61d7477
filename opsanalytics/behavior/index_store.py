"""The behavior index on disk: one segment a UTC day, never older than the events and identities it is of.

A segment is an uncompressed Arrow IPC file with the columns `person` (u32, place in the list of persons),
`ts` (i64, microseconds since 1970, UTC) and `event` (u16, place in the list of sources and names), sorted
by all three; events of nobody come last, as person NOBODY. `index.json` names the segments and what each
was built from. Everything here can be deleted and is built again from the lake.
"""

import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import polars as pl

from opsanalytics.lake.events import event_days, scan_events
from opsanalytics.lake.files import remove_leftovers, write_json
from opsanalytics.lake.locks import exclusive
from opsanalytics.lake.paths import Home

VERSION = 1
"""Of the layout; another one is built anew."""
NOBODY = (1 << 32) - 1
MOST_CODES = 1 << 16
SYNCS = 16
BATCH = 8_000_000
"""Bytes of event files read at once."""


class IndexFullError(RuntimeError):
    """There are more event names, or persons, than the index has numbers for."""


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
    inode), and its segment is. When identities changed, every day is built again.

    Raises:
        IndexFullError: more than 65,536 pairs of source and event name.
        LockHeldError: another process has been refreshing for ten minutes.
    """
    with exclusive(home, "index"):
        manifest = _read_manifest(home)
        identity = _fingerprint(sorted(home.identity.glob("*.parquet")))
        if manifest["identity"] != identity:
            manifest = _empty_manifest(identity)
        now = {day.isoformat(): _sources(home, day) for day in event_days(home)}
        known = manifest["days"]
        gone = [day for day in known if day not in now]
        stale = [day for day, files in now.items() if not _current(home, known.get(day), files)]
        if not stale and not gone and (home.index / "index.json").exists():
            return Refreshed((), (), 0)
        days = {day: entry for day, entry in known.items() if day in now}
        rows = 0
        builder = _Builder(home, manifest)
        for batch in _batches(home, stale, list(now)):
            for day, name, size in builder.build(batch):
                days[day] = {"files": now[day], "segment": name}
                rows += size
        # Files that changed while they were read are not what was fingerprinted.
        for day in stale:
            if _sources(home, date.fromisoformat(day)) != now[day]:
                del days[day]
        builder.save(identity, days)
        return Refreshed(tuple(map(date.fromisoformat, stale)), tuple(map(date.fromisoformat, gone)), rows)


def read_index(home: Home) -> dict[str, Any]:
    """`index.json`: `codes`, `persons` (a file), `person_count`, `days`."""
    return _read_manifest(home)


def _read_manifest(home: Home) -> dict[str, Any]:
    path = home.index / "index.json"
    if not path.exists():
        return _empty_manifest(None)
    read: dict[str, Any] = json.loads(path.read_text())
    if read.get("version") != VERSION:
        return _empty_manifest(None)
    if _fingerprint([home.index / read["persons"]]) != read["persons_stat"]:
        return _empty_manifest(None)
    return read


def _empty_manifest(identity: Any) -> dict[str, Any]:
    return {
        "version": VERSION,
        "identity": identity,
        "codes": [],
        "persons": None,
        "persons_stat": [],
        "person_count": 0,
        "days": {},
    }


def _fingerprint(paths: Sequence[Path]) -> list[list[Any]]:
    found = []
    for path in paths:
        if path.exists():
            stat = path.stat()
            found.append([path.name, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino])
    return found


def _sources(home: Home, day: date) -> list[list[Any]]:
    return _fingerprint(sorted((home.events / f"day={day.isoformat()}").glob("*.parquet")))


def _current(home: Home, entry: dict[str, Any] | None, files: list[list[Any]]) -> bool:
    if entry is None or entry["files"] != files:
        return False
    return bool(entry["stat"]) and _fingerprint([home.index / entry["segment"]]) == entry["stat"]


def _batches(home: Home, stale: Sequence[str], days: Sequence[str]) -> Iterator[list[str]]:
    """Stale days to read at once: neighbours, enough to be fast, few enough to be held in memory."""
    place = {day: i for i, day in enumerate(days)}
    batch: list[str] = []
    size = 0
    for day in stale:
        if batch and (size >= BATCH or place[day] != place[batch[-1]] + 1):
            yield batch
            batch, size = [], 0
        batch.append(day)
        size += sum(file.stat().st_size for file in (home.events / f"day={day}").glob("*.parquet"))
    if batch:
        yield batch


class _Builder:
    """Builds segments; numbers persons and event names in the order in which they first appear."""

    def __init__(self, home: Home, manifest: dict[str, Any]) -> None:
        self._home = home
        self._codes = pl.DataFrame(
            manifest["codes"], schema={"source": pl.String, "event": pl.String}, orient="row"
        )
        self._written: list[tuple[Path, Path]] = []
        self._persons = pl.DataFrame(schema={"person": pl.String})
        if manifest["persons"] is not None:
            self._persons = pl.read_ipc(home.index / manifest["persons"])

    def build(self, days: Sequence[str]) -> Iterator[tuple[str, str, int]]:
        """Day, name of the segment and number of its rows, for each of `days`."""
        first, last = date.fromisoformat(days[0]), date.fromisoformat(days[-1])
        events = scan_events(self._home, first=first, last=last)
        frame = events.select("person", "ts", "source", "event").collect()
        self._codes = _extended(self._codes, frame.select("source", "event"))
        self._persons = _extended(self._persons, frame.select("person").drop_nulls())
        if self._codes.height > MOST_CODES or self._persons.height >= NOBODY:
            raise IndexFullError(
                f"{self._codes.height} pairs of source and event name, {self._persons.height} persons: the "
                f"index has numbers for {MOST_CODES} and {NOBODY}. An id in a name belongs into a property"
            )
        coded = (
            frame.lazy()
            .join(self._codes.lazy().with_row_index("code"), on=["source", "event"], how="left")
            .join(self._persons.lazy().with_row_index("number"), on="person", how="left")
            .select(
                pl.col("number").fill_null(NOBODY).cast(pl.UInt32).alias("person"),
                pl.col("ts").to_physical().alias("ts"),
                pl.col("code").cast(pl.UInt16).alias("event"),
                pl.col("ts").dt.date().alias("day"),
            )
            .collect()
        )
        parts = coded.partition_by("day", as_dict=True, include_key=False)
        empty = coded.clear().drop("day")
        for day in days:
            part = parts.get((date.fromisoformat(day),), empty).sort("person", "ts", "event")
            yield day, self._write(f"day={day}", part), part.height

    def save(self, identity: Any, days: dict[str, Any]) -> None:
        """Name everything in `index.json`, then remove what it no longer names."""
        persons = self._write("persons", self._persons)
        # The disk takes many files at once about as fast as one.
        with ThreadPoolExecutor(SYNCS) as pool:
            list(pool.map(_moved, self._written))
        for entry in days.values():
            entry.setdefault("stat", _fingerprint([self._home.index / entry["segment"]]))
        write_json(
            self._home.index / "index.json",
            {
                "version": VERSION,
                "identity": identity,
                "codes": [list(row) for row in self._codes.rows()],
                "persons": persons,
                "persons_stat": _fingerprint([self._home.index / persons]),
                "person_count": self._persons.height,
                "days": days,
            },
        )
        named = {persons, *(entry["segment"] for entry in days.values())}
        for path in self._home.index.glob("*.arrow"):
            if path.name not in named:
                path.unlink()
        remove_leftovers(self._home.index)

    def _write(self, stem: str, frame: pl.DataFrame) -> str:
        """Another content is another file, so that a reader never sees one replaced under its feet."""
        content = hashlib.sha256()
        for column in frame.rechunk():
            data: Any = column.to_arrow() if column.dtype == pl.String else column.to_numpy()
            parts = (
                [one for one in data.buffers() if one is not None] if column.dtype == pl.String else [data]
            )
            for part in parts:
                content.update(part)
        path = self._home.index / f"{stem}.{content.hexdigest()[:16]}.arrow"
        # Also where a file of this name is there: it may have been damaged.
        temporary = path.with_name(f".{path.name}.tmp")
        path.parent.mkdir(parents=True, exist_ok=True)
        frame.rechunk().write_ipc(temporary, compression="uncompressed")
        self._written.append((temporary, path))
        return path.name


def _moved(names: tuple[Path, Path]) -> None:
    """Bring a file to the disk, then to its name."""
    temporary, path = names
    with temporary.open("rb") as written:
        os.fsync(written.fileno())
    temporary.replace(path)


def _extended(known: pl.DataFrame, seen: pl.DataFrame) -> pl.DataFrame:
    """`known` and then, sorted, what of `seen` is new."""
    new = seen.unique().join(known, on=known.columns, how="anti").sort(known.columns)
    return pl.concat([known, new])
