"""The DuckDB file for analysts: built beside the published one, checked, then put in its place.

Nobody ever writes to the published file, so readers and publishers never wait for each other: a
reader keeps the file it opened, a new reader gets the new one. What a publish contains depends on
the lake and the given tables only, not on when it ran.
"""

import glob
import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import duckdb
import polars as pl

from opsanalytics.lake.events import DECIDING, read_identity_rules, read_persons
from opsanalytics.lake.files import write_parquet
from opsanalytics.lake.locks import exclusive
from opsanalytics.lake.paths import Home
from opsanalytics.lake.schemas import EVENTS, FEEDBACK, PERSONS
from opsanalytics.lake.tables import Table

STORAGE_VERSION = "v1.4.0"
"""Files of this version open in DuckDB 1.4 and everything later; 2.0's own format in 2.0 only."""

VIEW_DESCRIPTION = (
    f"{EVENTS.description} Read from the Parquet files of the lake, new days included as they arrive; "
    "joined to the table persons as it was when this file was published."
)
PERSON_DESCRIPTION = "Person of the user id, else of the device, else of the distinct id; see persons."
DAY_DESCRIPTION = "UTC day of ts. Filter on it to read the files of these days only."


class PublishError(RuntimeError):
    """The file could not be built, or does not hold what was put into it. The old file is untouched."""


@dataclass(frozen=True)
class PublishReport:
    """What was published."""

    path: Path
    rows: dict[str, int]
    """Rows by table. Events are not counted: they stay in the lake."""
    content_hash: str
    """SHA-256 over all tables: equal content has an equal hash."""
    bytes: int


def publish(
    home: Home, tables: Sequence[tuple[Table, pl.DataFrame]], *, wait_seconds: float = 600.0
) -> PublishReport:
    """Replace the published file by one with `tables`, `feedback`, `persons` and the view `events`.

    `feedback` and `persons` are read from the lake unless given. The view names the lake by its absolute
    path: after moving the home folder, publish again; to take the file elsewhere, use `export`.

    Raises:
        SchemaError: a frame does not fit its table.
        PublishError: a name is given twice or reserved, an id belongs to two persons, or the file read back
            differs.
        LockHeldError: another publish ran for longer than `wait_seconds`.
    """
    contents = _contents(home, tables)
    with exclusive(home, "publish", wait_seconds=wait_seconds), _beside(home.published) as built:
        write_parquet(home.events_schema_file, EVENTS.empty())
        _build(built, home, contents)
        _verify(built, {table.name: frame.height for table, frame in contents})
        _put_in_place(built, home.published, mode=0o444)
        return PublishReport(
            path=home.published,
            rows={table.name: frame.height for table, frame in contents},
            content_hash=_hash(contents),
            bytes=home.published.stat().st_size,
        )


def export(home: Home, target: Path, *, wait_seconds: float = 600.0) -> Path:
    """Write a self-contained copy of the published file to `target`, replacing it: events as a table.

    The copy needs neither the lake nor this machine. Events are sorted by time.

    Raises:
        FileNotFoundError: nothing has been published yet.
        PublishError: `target` is the published file itself.
    """
    if not home.published.exists():
        raise FileNotFoundError(
            f"{home.published} does not exist; nothing has been published yet: run the pipeline first"
        )
    if target.resolve() == home.published.resolve():
        raise PublishError(f"{target} is the published file itself; choose another name for the copy")
    with exclusive(home, "export", wait_seconds=wait_seconds), _beside(target) as built:
        con = duckdb.connect(config={"autoinstall_known_extensions": "false"})
        try:
            con.execute(f"SET temp_directory = {_literal(str(built.parent))}")
            con.execute(f"ATTACH {_literal(str(home.published))} AS published (READ_ONLY)")
            con.execute(f"ATTACH {_literal(str(built))} AS copy (STORAGE_VERSION '{STORAGE_VERSION}')")
            con.execute("COPY FROM DATABASE published TO copy")
            con.execute("DROP VIEW copy.events")
            con.execute("CREATE TABLE copy.events AS FROM published.events ORDER BY ts, source, event_id")
            con.execute("USE copy")
            _comment_events(con, "TABLE", EVENTS.description)
            con.execute("CHECKPOINT copy")
        finally:
            con.close()
        _put_in_place(built, target, mode=0o644)
    return target


def read_feedback(home: Home) -> pl.DataFrame:
    """Canonical feedback of all sources; empty before the first dump."""
    files = sorted(home.feedback.glob("*.parquet"))
    return pl.concat(pl.read_parquet(path, glob=False) for path in files) if files else FEEDBACK.empty()


def _contents(home: Home, tables: Sequence[tuple[Table, pl.DataFrame]]) -> list[tuple[Table, pl.DataFrame]]:
    given = [table.name for table, _ in tables]
    if repeated := {name for name in given if given.count(name) > 1 or name == EVENTS.name}:
        raise PublishError(f"tables given twice, or with a reserved name: {', '.join(sorted(repeated))}")
    from_lake = ((FEEDBACK, read_feedback), (PERSONS, read_persons))
    contents = [*tables, *((table, read(home)) for table, read in from_lake if table.name not in given)]
    shaped = sorted(((table, table.conform(frame)) for table, frame in contents), key=lambda c: c[0].name)
    persons = next(frame for table, frame in shaped if table.name == PERSONS.name)
    ambiguous = persons.filter(pl.struct(PERSONS.order).is_duplicated())
    if not ambiguous.is_empty():
        row = ambiguous.row(0, named=True)
        raise PublishError(
            f"table persons: {row['id_kind']} id {row['id']!r} of source {row['source']!r} belongs to more "
            "than one person, which would repeat its events; build the identities again"
        )
    return shaped


@contextmanager
def _beside(target: Path) -> Iterator[Path]:
    """A path in a new folder beside `target`; folders that a killed process left there are removed first."""
    target.parent.mkdir(parents=True, exist_ok=True)
    for leftover in target.parent.glob(f".{glob.escape(target.name)}.*.tmp"):
        shutil.rmtree(leftover)
    folder = Path(tempfile.mkdtemp(prefix=f".{target.name}.", suffix=".tmp", dir=target.parent))
    try:
        yield folder / target.name
    finally:
        shutil.rmtree(folder)


def _build(path: Path, home: Home, contents: Sequence[tuple[Table, pl.DataFrame]]) -> None:
    # The extension loader would otherwise go to the network for a function it does not know.
    con = duckdb.connect(
        str(path),
        config={
            "storage_compatibility_version": STORAGE_VERSION,
            "autoinstall_known_extensions": "false",
        },
    )
    try:
        for table, frame in contents:
            con.register("frame_to_publish", frame.to_arrow())
            con.execute(f"CREATE TABLE {_name(table.name)} AS FROM frame_to_publish")
            con.unregister("frame_to_publish")
            con.execute(f"COMMENT ON TABLE {_name(table.name)} IS {_literal(table.description)}")
            for column in table.columns:
                _comment_column(con, table.name, column.name, column.description)
        con.execute(_events_view(home))
        _comment_events(con, "VIEW", VIEW_DESCRIPTION)
        con.execute("CHECKPOINT")
    finally:
        con.close()


def _events_view(home: Home) -> str:
    """Joins persons by the rule of `lake.events.scan_events`: the id that decides in each source."""
    kinds = {"user": "user_id", "device": "device_id", "distinct": "distinct_id"}
    joins = " ".join(
        f"LEFT JOIN persons AS by_{kind} ON by_{kind}.id_kind = '{kind}' "
        f"AND by_{kind}.source = event.source AND by_{kind}.id = event.{column}"
        for kind, column in kinds.items()
    )
    first = {
        rule: f"coalesce({', '.join(f'by_{kind}.person' for kind in order)})"
        for rule, order in DECIDING.items()
    }
    cases = " ".join(
        f"WHEN event.source = {_literal(source)} THEN {first[rule]}"
        for source, rule in sorted(read_identity_rules(home).items())
    )
    person = f"CASE {cases} ELSE {first['devices']} END" if cases else first["devices"]
    columns = ", ".join(f"event.{_name(name)}" for name in (*EVENTS.names, "day"))
    pattern = _literal(home.events_pattern)
    files = f"read_parquet({pattern}, hive_partitioning = true, hive_types = {{'day': DATE}})"
    return f"CREATE VIEW events AS SELECT {person} AS person, {columns} FROM {files} AS event {joins}"


def _comment_events(con: duckdb.DuckDBPyConnection, kind: str, description: str) -> None:
    con.execute(f"COMMENT ON {kind} events IS {_literal(description)}")
    _comment_column(con, "events", "person", PERSON_DESCRIPTION)
    for column in EVENTS.columns:
        _comment_column(con, "events", column.name, column.description)
    _comment_column(con, "events", "day", DAY_DESCRIPTION)


def _comment_column(con: duckdb.DuckDBPyConnection, table: str, column: str, description: str) -> None:
    con.execute(f"COMMENT ON COLUMN {_name(table)}.{_name(column)} IS {_literal(description)}")


def _verify(path: Path, rows: dict[str, int]) -> None:
    """Open the closed file as an analyst will, and compare."""
    con = duckdb.connect(str(path), read_only=True)
    try:
        con.execute("FROM events LIMIT 1").fetchall()
        for name, expected in rows.items():
            (found,) = con.execute(f"SELECT count(*) FROM {_name(name)}").fetchall()[0]
            if found != expected:
                raise PublishError(f"{path}: table {name} has {found} rows instead of {expected}")
    finally:
        con.close()


def _put_in_place(built: Path, target: Path, *, mode: int) -> None:
    built.chmod(mode)
    with built.open("rb") as written:
        os.fsync(written.fileno())
    # Somebody who opened the old file for writing left it; it would make the new file unreadable.
    target.with_name(target.name + ".wal").unlink(missing_ok=True)
    built.replace(target)


def _hash(contents: Sequence[tuple[Table, pl.DataFrame]]) -> str:
    digest = hashlib.sha256()
    for table, frame in contents:
        buffer = BytesIO()
        frame.rechunk().write_ipc(buffer)
        digest.update(f"{table!r}:{frame.height}\n".encode())
        digest.update(buffer.getbuffer())
    return digest.hexdigest()


def _name(identifier: str) -> str:
    return '"' + identifier.replace('"', '""') + '"'


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
