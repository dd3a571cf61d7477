"""What was sent to trackers and what is known of it, in `home.state`.

A line is written before the request that makes an issue goes out. A process that dies in between, or an
answer that is lost, leaves the line `pending`: the next run looks for the issue before it makes another one.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from opsanalytics.improvement.trackers.issues import Issue, RemoteStatus
from opsanalytics.lake.paths import Home

Standing = Literal["pending", "linked", "refused", "gone"]
_SCHEMA = """
CREATE TABLE IF NOT EXISTS tracker_issues (
    tracker TEXT NOT NULL,
    project TEXT NOT NULL,
    item_id TEXT NOT NULL,
    key TEXT NOT NULL,
    standing TEXT NOT NULL,
    tried_at TEXT NOT NULL,
    problem TEXT,
    remote_id TEXT,
    name TEXT,
    url TEXT,
    digest TEXT,
    status TEXT,
    closed_at TEXT,
    PRIMARY KEY (tracker, project, item_id)
);
"""
_COLUMNS = (
    "tracker, project, item_id, key, standing, tried_at, problem, remote_id, name, url, digest, status, "
    "closed_at"
)


@dataclass(frozen=True)
class Line:
    """An item and its issue in one project of one tracker."""

    tracker: str
    project: str
    item_id: str
    key: str
    standing: Standing
    """pending: its creation was tried, nobody knows with what result; refused: the tracker would not make
    it; gone: somebody deleted the issue."""
    tried_at: datetime
    """When its creation was first tried, UTC."""
    problem: str | None = None
    remote_id: str | None = None
    name: str | None = None
    url: str | None = None
    digest: str | None = None
    """Of the evidence that the issue shows."""
    status: RemoteStatus | None = None
    """As last read. What differs from it was changed by people in the tracker."""
    closed_at: datetime | None = None

    def linked(self, issue: Issue, digest: str | None) -> "Line":
        """This line with what is known of its issue; its status stays until it has been acted on."""
        return Line(
            self.tracker,
            self.project,
            self.item_id,
            self.key,
            "linked",
            self.tried_at,
            issue.warning,
            issue.remote_id,
            issue.name,
            issue.url,
            digest,
            self.status or "open",
            issue.closed_at,
        )


def read_lines(home: Home) -> list[Line]:
    """All lines, by tracker, project and item; none if nothing was ever sent."""
    if not home.state.exists():
        return []
    with closing(_connect(home)) as con:
        rows = con.execute(
            f"SELECT {_COLUMNS} FROM tracker_issues ORDER BY tracker, project, item_id"
        ).fetchall()
    return [_line(dict(zip(_COLUMNS.split(", "), row, strict=True))) for row in rows]


def _line(row: dict[str, Any]) -> Line:
    closed = row["closed_at"]
    times = {
        "tried_at": datetime.fromisoformat(row["tried_at"]),
        "closed_at": None if closed is None else datetime.fromisoformat(closed),
    }
    return Line(**(row | times))


def write_line(home: Home, line: Line) -> None:
    """Add a line, or replace the one of the same item, for good before this returns."""
    home.root.mkdir(parents=True, exist_ok=True)
    values = [getattr(line, name) for name in _COLUMNS.split(", ")]
    told = [value.isoformat() if isinstance(value, datetime) else value for value in values]
    with closing(_connect(home)) as con, _transaction(con):
        con.execute(
            f"INSERT OR REPLACE INTO tracker_issues ({_COLUMNS}) VALUES ({', '.join('?' * len(told))})", told
        )


def _connect(home: Home) -> sqlite3.Connection:
    con = sqlite3.connect(home.state, timeout=60, isolation_level=None)
    con.execute("PRAGMA journal_mode=WAL")
    con.execute("PRAGMA synchronous=FULL")  # what was about to be sent must survive a power cut
    con.executescript(_SCHEMA)
    return con


@contextmanager
def _transaction(con: sqlite3.Connection) -> Iterator[None]:
    con.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        con.execute("ROLLBACK")
        raise
    con.execute("COMMIT")
