"""Files of the home folder that still name a person, and taking the name out of those made from others.

What is made again by the next run is removed or loses the rows; logs are blanked; the rest is told.
"""

import gzip
import io
import re
import shutil
import sqlite3
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path

import duckdb
import polars as pl

from opsanalytics.cleaning.erasing_records import ERASED, LEAST_MENTION
from opsanalytics.lake.files import write_bytes, write_parquet
from opsanalytics.lake.paths import Home

ID_COLUMNS = frozenset({"person", "id", "user_id", "device_id", "distinct_id", "author", "email_hash"})
DATABASES = (".db", ".sqlite")
ZIP, GZIP = b"PK\x03\x04", b"\x1f\x8b"
UTF_16 = (b"\xff\xfe", b"\xfe\xff")
DAMAGED = (zipfile.BadZipFile, gzip.BadGzipFile, zlib.error, EOFError, RuntimeError, NotImplementedError)
"""What unpacking raises; RuntimeError: the archive is encrypted."""


class Names:
    """The ids to look for."""

    def __init__(self, ids: Iterable[str]) -> None:
        self.all = sorted(set(ids))
        self.long = [each for each in self.all if len(each) >= LEAST_MENTION]
        spelled = "|".join(re.escape(each) for each in sorted(self.long, key=len, reverse=True))
        self._text = (
            re.compile(rf"(?<![A-Za-z0-9_])(?:{spelled})(?![A-Za-z0-9_])".encode()) if spelled else None
        )
        self._in_cell = rf"(?:^|[^A-Za-z0-9_])(?:{spelled})(?:$|[^A-Za-z0-9_])"

    def in_bytes(self, content: bytes) -> bool:
        return self._text is not None and self._text.search(content) is not None

    def blanked(self, content: bytes) -> bytes:
        return self._text.sub(ERASED.encode(), content) if self._text is not None else content

    def rows(self, frame: pl.DataFrame) -> pl.Series:
        """Which rows name one of the ids: short ones in columns of ids only, long ones anywhere."""
        hits = pl.repeat(value=False, n=frame.height, eager=True, dtype=pl.Boolean)
        for name, dtype in frame.schema.items():
            column = frame[name]
            if dtype == pl.Binary:
                hits |= column.map_elements(self.in_bytes, return_dtype=pl.Boolean).fill_null(value=False)
                continue
            if isinstance(dtype, pl.List | pl.Struct):
                column = frame.select(pl.struct(name).struct.json_encode()).to_series()
            elif dtype != pl.String:
                continue
            if name in ID_COLUMNS:
                hits |= column.is_in(self.all).fill_null(value=False)
            if self._text is not None:
                hits |= column.str.contains(self._in_cell).fill_null(value=False)
        return hits


def traces(home: Home, ids: Iterable[str]) -> list[Path]:
    """Files of the home folder that name one of the ids, decompressed where they are packed; sorted."""
    names = Names(ids)
    skipped = {home.erasures, home.locks}
    return [
        path
        for path in sorted(home.root.rglob("*"))
        if path.is_file() and not skipped & set(path.parents) and names_one(path, names)
    ]


def names_one(path: Path, names: Names) -> bool:
    """Whether a file names one of the ids."""
    if path.suffix == ".parquet":
        return bool(names.rows(pl.read_parquet(path, glob=False)).any())
    if path.suffix == ".duckdb":
        return any(names.rows(frame).any() for frame in tables_of(path))
    return any(names.in_bytes(content) for content in unpacked(path))


def unpacked(path: Path) -> Iterator[bytes]:
    """All that a file holds, decompressed, as UTF-8; one that is damaged as it is."""
    with path.open("rb") as file:
        start = file.read(4)
    try:
        if start.startswith(ZIP):
            with zipfile.ZipFile(path) as archive:
                for name in archive.namelist():
                    yield from plain(archive.read(name))
        else:
            yield from plain(path.read_bytes())
    except DAMAGED:
        yield path.read_bytes()


def plain(content: bytes) -> Iterator[bytes]:
    if content.startswith(GZIP):
        content = gzip.decompress(content)
    if content.startswith(ZIP):  # a workbook inside an archive
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            for name in archive.namelist():
                yield from plain(archive.read(name))
    elif content.startswith(UTF_16):
        yield content.decode("utf-16", "replace").encode("utf-8", "replace")
    else:
        yield content


def tables_of(path: Path) -> Iterator[pl.DataFrame]:
    """The tables of a DuckDB file, not its views: those read files that are looked at themselves."""
    with duckdb.connect(str(path), read_only=True) as con:
        tables = con.execute(
            "SELECT table_name FROM information_schema.tables WHERE table_type = 'BASE TABLE' ORDER BY 1"
        ).fetchall()
        for (table,) in tables:
            yield con.sql(f'SELECT * FROM "{table}"').pl()


def take_out(home: Home, path: Path, ids: Iterable[str]) -> bool:
    """Make a derived file or a log name none of the ids. Returns whether that could be done."""
    names = Names(ids)
    if home.index in path.parents:
        path.unlink(missing_ok=True)
    elif path.suffix == ".parquet" and {home.marts, home.quality} & set(path.parents):
        frame = pl.read_parquet(path, glob=False)
        write_parquet(path, frame.filter(~names.rows(frame)))
    elif {home.reports, home.quality} & set(path.parents):
        path.unlink(missing_ok=True)
    elif path.suffix in DATABASES and (home.dagster in path.parents or path == home.state):
        blank_database(path, names)
    elif (
        path.suffix in (".json", ".jsonl", ".log", ".out", ".err", ".txt")
        and home.landing not in path.parents
    ):
        write_bytes(path, names.blanked(path.read_bytes()))
    else:
        return False
    return True


def blank_database(path: Path, names: Names) -> None:
    """Blank the ids in every text of a SQLite file, and in what it no longer uses."""
    con = sqlite3.connect(path, timeout=60)
    try:
        tables = con.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
        for (table,) in tables:
            columns = [row[1] for row in con.execute(f'PRAGMA table_info("{table}")')]
            for column in columns:
                for each in names.long:
                    con.execute(
                        f'UPDATE "{table}" SET "{column}" = replace("{column}", ?, ?) '
                        f'WHERE instr("{column}", ?) > 0',
                        (each, ERASED, each),
                    )
        con.commit()
        con.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        con.execute("VACUUM")
    finally:
        con.close()


def drop_remade(home: Home) -> None:
    """Remove the behavior index, which names persons, and the vectors and themes of what they wrote; the next
    run makes them again."""
    for folder in (home.index, home.embeddings, home.theme_weeks):
        shutil.rmtree(folder, ignore_errors=True)
