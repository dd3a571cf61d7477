"""Which encoder themes are found with, and since when.

The registry goes through the messages week by week. A change of `feedback.encoder` holds from the week it is
made in: earlier weeks are gone through as they were, so they show what they showed; in the week of the change
the known themes get their centres from the messages they hold, in the new vectors, and are matched to the
groups found there. So ids, names and decisions stay. When each encoder came into force is kept in
`home.state`, as decisions are.
"""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal, TypeAlias

from opsanalytics.lake.paths import Home

EncoderName: TypeAlias = Literal["tfidf", "minilm"]
ALWAYS = datetime(1970, 1, 1, tzinfo=UTC)
_SCHEMA = """
CREATE TABLE IF NOT EXISTS theme_encoders (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    encoder TEXT NOT NULL,
    since TEXT NOT NULL
)
"""


@dataclass(frozen=True)
class EncoderSince:
    """`encoder` is used in weeks that end at `since` (UTC) or later, until the next one."""

    encoder: EncoderName
    since: datetime = ALWAYS


def encoder_at(used: Sequence[EncoderSince], moment: datetime) -> EncoderName:
    """The encoder of the week that ends at `moment`; the default where none was in force."""
    return next((each.encoder for each in reversed(used) if each.since <= moment), "tfidf")


def read_encoders(home: Home) -> tuple[EncoderSince, ...]:
    """The encoders of a home, in order; none before its first themes."""
    if not home.state.exists():
        return ()
    with _connected(home) as con:
        rows = con.execute("SELECT encoder, since FROM theme_encoders ORDER BY seq").fetchall()
    return tuple(EncoderSince(encoder, datetime.fromisoformat(since)) for encoder, since in rows)


def put_in_force(home: Home, encoder: EncoderName, *, at: datetime, themes_known: bool) -> None:
    """Keep that `encoder` is used from now on, if another one was; without a record that is the default.

    Args:
        home: whose state.
        encoder: as configured.
        at: feedback up to here is complete, UTC.
        themes_known: whether there are themes already; else `encoder` holds from the beginning.
    """
    used = read_encoders(home)
    if encoder == (used[-1].encoder if used else "tfidf"):
        return
    home.root.mkdir(parents=True, exist_ok=True)
    with _connected(home) as con:
        since = at if used or themes_known else ALWAYS
        row = (encoder, since.isoformat())
        con.execute("INSERT INTO theme_encoders (encoder, since) VALUES (?, ?)", row)


@contextmanager
def _connected(home: Home) -> Iterator[sqlite3.Connection]:
    """A connection that takes back what was not committed when it closes."""
    with closing(sqlite3.connect(home.state, timeout=60, isolation_level=None)) as con:
        con.execute("PRAGMA synchronous=FULL")
        con.execute(_SCHEMA)
        yield con
