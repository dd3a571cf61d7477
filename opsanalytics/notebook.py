"""The published file and the lake, for notebooks and scripts. Use it as `opsanalytics.connect()`."""

import os
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

from opsanalytics.lake.paths import Home

if TYPE_CHECKING:
    import duckdb
    import polars as pl

HOME_VARIABLE = "OPSANALYTICS_HOME"
DEFAULT_HOME = "data"


def find_home(home: str | Path | None = None) -> Home:
    """The home folder: the one given, else $OPSANALYTICS_HOME, else `data` in the current folder."""
    return Home(Path(home or os.environ.get(HOME_VARIABLE) or DEFAULT_HOME))


def connect(home: str | Path | None = None) -> "duckdb.DuckDBPyConnection":
    """Open the published DuckDB file read-only; times are shown in UTC.

    `home` is a home folder (see `find_home`) or a DuckDB file, such as one that `opsanalytics export`
    wrote. The connection keeps the file as it was when you connected, however long you keep it open;
    connect again for newer data. It has a private database in memory, named `memory`, for tables of your own:
    `CREATE TABLE memory.mine AS ...`.

    Raises:
        FileNotFoundError: there is no such file; the message says what to do.
    """
    import duckdb

    path = Path(home) if home is not None and Path(home).is_file() else find_home(home).published
    if not path.exists():
        raise FileNotFoundError(f"{path.absolute()} does not exist. {_advice(home)}")
    # Within a process DuckDB gives the file it already has open to whoever connects to the same path.
    # Attaching it to a database of its own opens the newest one.
    con = duckdb.connect(config={"autoinstall_known_extensions": "false"})
    con.execute(f"ATTACH '{str(path).replace(chr(39), chr(39) * 2)}' AS opsanalytics (READ_ONLY)")
    con.execute("USE opsanalytics")
    con.execute("SET TimeZone = 'UTC'")
    return con


def events(
    home: str | Path | None = None,
    *,
    first: date | None = None,
    last: date | None = None,
    sources: Sequence[str] | None = None,
) -> "pl.LazyFrame":
    """Scan the events of the lake, joined to persons, for `opsanalytics.funnel` and Polars.

    In: `home` a home folder (see `find_home`); `first` and `last` UTC days, inclusive; `sources` names.
    Out: `person` and the columns of `lake.schemas.EVENTS`, not sorted.

    Raises:
        FileNotFoundError: the home folder has no events; the message says what to do.
    """
    from opsanalytics.lake.events import scan_events

    found = find_home(home)
    if not found.events.is_dir():
        raise FileNotFoundError(f"{found.events.absolute()} does not exist. {_advice(home)}")
    return scan_events(found, first=first, last=last, sources=sources)


def _advice(home: str | Path | None) -> str:
    named = "" if home is not None or os.environ.get(HOME_VARIABLE) else f", or set {HOME_VARIABLE}"
    return f"Run the pipeline first (`opsanalytics run`), or name the home folder it writes to{named}."
