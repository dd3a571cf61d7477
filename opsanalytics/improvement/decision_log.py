"""The log of decisions about the backlog, and what runs saw of the items that were decided about.

Both lie in `home.state`, not among what can be computed again: deleting lake, marts and reports keeps them.
Lines of the log are only ever added. Each command is one transaction under the home's lock, so of two
decisions at once the later one is checked against the earlier, and a killed process leaves all or nothing.
"""

import json
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from opsanalytics.improvement.decisions import Decision, Life, applied, check, lives
from opsanalytics.lake.locks import exclusive
from opsanalytics.lake.paths import Home

LOCK = "backlog-decisions"
_SCHEMA = """
CREATE TABLE IF NOT EXISTS backlog_decisions (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    at TEXT NOT NULL,
    by TEXT NOT NULL,
    item_id TEXT NOT NULL,
    action TEXT NOT NULL,
    details TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS backlog_sightings (
    item_id TEXT NOT NULL,
    as_of TEXT NOT NULL,
    after INTEGER NOT NULL,
    state TEXT NOT NULL,
    seen INTEGER NOT NULL,
    evidence TEXT NOT NULL,
    PRIMARY KEY (item_id, as_of)
);
"""


@dataclass(frozen=True)
class Sighting:
    """What a run saw of an item that somebody had decided about."""

    item_id: str
    as_of: datetime
    """Data was complete up to here, UTC."""
    after: int
    """`seq` of the last decision about it that the run knew: a later decision overrides what was seen."""
    state: str
    seen: bool
    evidence: Mapping[str, Any]
    """What was known of it then: title, lane, costs."""


@dataclass(frozen=True)
class Log:
    """Decisions in order, and sightings by item and time."""

    decisions: tuple[Decision, ...] = ()
    sightings: tuple[Sighting, ...] = ()
    lives: Mapping[str, Life] = field(default_factory=dict)

    @classmethod
    def of(cls, decisions: Sequence[Decision], sightings: Sequence[Sighting] = ()) -> "Log":
        """A log with its fold."""
        return cls(tuple(decisions), tuple(sightings), lives(decisions))

    def before(self, as_of: datetime) -> "Log":
        """What a run up to `as_of` may know: all decisions, and what earlier runs saw.

        A run that is repeated finds what it found before, whatever came later.
        """
        return Log(self.decisions, tuple(each for each in self.sightings if each.as_of < as_of), self.lives)

    def told(self) -> str:
        """All of it as text, for fingerprints."""
        return json.dumps([list(map(vars, self.decisions)), list(map(vars, self.sightings))], default=str)


def read_log(home: Home) -> Log:
    """All decisions and sightings of a home; empty if there are none."""
    if not home.state.exists():
        return Log()
    with closing(connect(home)) as con:
        return _read(con)


def decide(
    home: Home, at: datetime, by: str, wanted: Callable[[Log], Sequence[tuple[str, str, Mapping[str, Any]]]]
) -> list[Decision]:
    """Add decisions to the log: all of them, or none.

    Args:
        at: now, UTC.
        by: who decides.
        wanted: is given the log as it is under the lock; gives (item id, action, details) of each decision.

    Returns the decisions as they were written.

    Raises:
        DecisionError: one of them does not follow from where its item stands.
        LockHeldError: another process has been deciding for ten minutes.
    """
    home.root.mkdir(parents=True, exist_ok=True)
    with exclusive(home, LOCK), closing(connect(home)) as con, transaction(con):
        log = _read(con)
        known = dict(log.lives)
        seq = max((decision.seq for decision in log.decisions), default=0)
        added = []
        for item_id, action, details in wanted(log):
            seq += 1
            decision = Decision(seq, at, by, item_id, action, dict(details))
            check(known, decision)
            known = applied(known, decision)
            added.append(decision)
        con.executemany(
            "INSERT INTO backlog_decisions VALUES (?, ?, ?, ?, ?, ?)",
            [
                (each.seq, each.at.isoformat(), each.by, each.item_id, each.action, _json(each.details))
                for each in added
            ],
        )
    return added


def remember(home: Home, sightings: Sequence[Sighting]) -> None:
    """Keep what a run saw; of a run that is repeated, in place of what it saw before.

    Raises:
        LockHeldError: another process has been deciding for ten minutes.
    """
    if not sightings:
        return
    home.root.mkdir(parents=True, exist_ok=True)
    with exclusive(home, LOCK), closing(connect(home)) as con, transaction(con):
        con.executemany(
            "INSERT OR REPLACE INTO backlog_sightings VALUES (?, ?, ?, ?, ?, ?)",
            [
                (
                    each.item_id,
                    each.as_of.isoformat(),
                    each.after,
                    each.state,
                    int(each.seen),
                    _json(each.evidence),
                )
                for each in sightings
            ],
        )


def connect(home: Home) -> sqlite3.Connection:
    """The state of a home, with the tables of the log."""
    con = sqlite3.connect(home.state, timeout=60, isolation_level=None)
    con.execute("PRAGMA journal_mode=WAL")
    con.execute("PRAGMA synchronous=FULL")  # a decision that was confirmed survives a power cut
    con.executescript(_SCHEMA)
    return con


@contextmanager
def transaction(con: sqlite3.Connection) -> Iterator[None]:
    """All of it or nothing."""
    con.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        con.execute("ROLLBACK")
        raise
    con.execute("COMMIT")


def _read(con: sqlite3.Connection) -> Log:
    decisions = [
        Decision(seq, datetime.fromisoformat(at), by, item_id, action, json.loads(details))
        for seq, at, by, item_id, action, details in con.execute(
            "SELECT seq, at, by, item_id, action, details FROM backlog_decisions ORDER BY seq"
        )
    ]
    sightings = [
        Sighting(item_id, datetime.fromisoformat(as_of), after, state, bool(seen), json.loads(evidence))
        for item_id, as_of, after, state, seen, evidence in con.execute(
            "SELECT item_id, as_of, after, state, seen, evidence FROM backlog_sightings "
            "ORDER BY item_id, as_of"
        )
    ]
    return Log.of(decisions, sightings)


def _json(value: Mapping[str, Any]) -> str:
    return json.dumps(dict(value), sort_keys=True, ensure_ascii=False, default=str)
