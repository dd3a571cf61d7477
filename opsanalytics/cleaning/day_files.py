"""The files of one UTC day of one source: written whole, and only if they change."""

import filecmp
import io
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import polars as pl

from opsanalytics.lake.files import replacing, write_bytes
from opsanalytics.lake.paths import Home

ROW_GROUP = 128 * 1024
ZSTD_LEVEL = 1
"""Events take a third less time to write than at the usual level 3, and no more space."""


@dataclass(frozen=True)
class WrittenDay:
    """What the files of a day hold now."""

    day: date
    events: int
    duplicates: int
    changed: bool
    """Whether the events are others than before."""


def days_on_disk(home: Home, source: str) -> set[date]:
    """Days that have a file of the source; what killed processes left beside is removed. Hold its lock."""
    found: set[date] = set()
    for area in (home.events, home.duplicates_file(source, date.min).parent.parent):
        for folder in area.glob("day=*"):
            for path in folder.iterdir():
                if path.name == f"{source}.parquet":
                    found.add(date.fromisoformat(folder.name.removeprefix("day=")))
                elif path.name.startswith(f".{source}.parquet.") and path.suffix == ".tmp":
                    path.unlink(missing_ok=True)
    return found


def write_day(
    home: Home, source: str, day: date, events: pl.DataFrame | None, duplicates: pl.DataFrame | None
) -> WrittenDay:
    """Make the files of a day hold these rows; None: no rows, no file."""
    changed = replace_file(home.events_file(source, day), events)
    return WrittenDay(
        day,
        events.height if events is not None else 0,
        write_duplicates(home, source, day, duplicates),
        changed,
    )


def write_duplicates(home: Home, source: str, day: date, duplicates: pl.DataFrame | None) -> int:
    """As `write_day`, the duplicates alone. Returns how many."""
    replace_file(home.duplicates_file(source, day), duplicates)
    return duplicates.height if duplicates is not None else 0


def replace_file(path: Path, frame: pl.DataFrame | None) -> bool:
    """Make `path` hold `frame`, or remove it if there are no rows. Returns whether it changed."""
    if frame is None or frame.is_empty():
        existed = path.exists()
        path.unlink(missing_ok=True)
        if existed and not any(path.parent.iterdir()):
            path.parent.rmdir()
        return existed
    content = io.BytesIO()
    frame.write_parquet(
        content, compression="zstd", compression_level=ZSTD_LEVEL, statistics=True, row_group_size=ROW_GROUP
    )
    return write_bytes(path, content.getvalue())


def replace_by(path: Path, written: Path) -> bool:
    """Move `written` over `path` if their bytes differ. Returns whether they do."""
    if path.exists() and filecmp.cmp(path, written, shallow=False):
        return False
    with replacing(path) as temporary:
        written.replace(temporary)
    return True


def by_day(frame: pl.DataFrame, day: pl.Expr) -> dict[date, pl.DataFrame]:
    """The rows of each day, in their order."""
    marked = frame.with_columns(day.alias("_day"))
    parts = marked.partition_by("_day", as_dict=True, include_key=False, maintain_order=True)
    return {key[0]: part for key, part in parts.items()}


def stored_rows(path: Path) -> int:
    """Rows of a Parquet file; 0 if there is none."""
    return pl.scan_parquet(path, glob=False).select(pl.len()).collect().item() if path.exists() else 0
