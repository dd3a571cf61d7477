"""What people decided about themes, and what that means for the themes there are.

Decisions lie in `home.state`, not among what can be computed again. They are only ever added; taking one
back is a decision too. A decision names a theme by its id and by messages that were typical of it, so that
it finds its theme also when the id is gone: after an erasure, an upgrade, or other settings.
"""

import json
import sqlite3
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Literal, TypeAlias

from opsanalytics.feedback.keyword_themes import KeywordTheme
from opsanalytics.lake.paths import Home

Action: TypeAlias = Literal["rename", "merge", "pin", "mute", "keyword", "undo"]
_SCHEMA = """
CREATE TABLE IF NOT EXISTS theme_decisions (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    at TEXT NOT NULL,
    by TEXT NOT NULL,
    action TEXT NOT NULL,
    theme_id TEXT NOT NULL,
    value TEXT NOT NULL,
    anchors TEXT NOT NULL,
    since TEXT NOT NULL
)
"""


class ThemeDecisionError(ValueError):
    """The decision makes no sense as things stand; the message says why and what to do."""


@dataclass(frozen=True)
class ThemeDecision:
    """One decision."""

    action: Action
    theme_id: str
    value: str = ""
    """rename: the name; merge: id of the other theme; keyword: the definition as JSON; undo: a `seq`."""
    anchors: tuple[str, ...] = ()
    """feedback_id of messages that were typical of the theme."""
    since: datetime = datetime(1970, 1, 1, tzinfo=UTC)
    """When the theme was first seen: it is not looked for in what was known earlier."""
    seq: int = 0
    at: datetime = datetime(1970, 1, 1, tzinfo=UTC)
    by: str = ""


@dataclass(frozen=True)
class Decided:
    """What is in force, by the ids of themes there are."""

    names: Mapping[str, str] = field(default_factory=dict)
    into: Mapping[str, str] = field(default_factory=dict)
    """Theme -> the theme that it is shown as, however many mergers away."""
    pinned: frozenset[str] = frozenset()
    muted: frozenset[str] = frozenset()
    merged: tuple[tuple[ThemeDecision, str, str], ...] = ()
    """Mergers, with the theme that was merged and the one it was merged into."""


def in_force(decisions: Sequence[ThemeDecision]) -> tuple[ThemeDecision, ...]:
    """Those that nobody took back, in order."""
    undone: set[str] = set()
    for each in reversed(decisions):
        if each.action == "undo" and str(each.seq) not in undone:
            undone.add(each.value)
    return tuple(each for each in decisions if each.action != "undo" and str(each.seq) not in undone)


def keyword_themes(decisions: Sequence[ThemeDecision]) -> tuple[KeywordTheme, ...]:
    """Keyword themes that were decided; of one name the last."""
    found = {each.theme_id: each.value for each in in_force(decisions) if each.action == "keyword"}
    return tuple(KeywordTheme.model_validate_json(value) for value in found.values())


def protected(decisions: Sequence[ThemeDecision]) -> frozenset[str]:
    """Ids of themes that somebody decided about."""
    return frozenset(each.theme_id for each in in_force(decisions))


def decided(
    decisions: Sequence[ThemeDecision], theme_of: Mapping[str, str], known: Sequence[str], as_of: datetime
) -> Decided:
    """Find the theme of each decision and sum up what is in force.

    Args:
        decisions: all of them, in order.
        theme_of: theme of each message that is in one.
        known: ids of all themes there are or were, keyword themes included.
        as_of: themes that were first seen later are left out.
    """
    ids = frozenset(known)

    def found(name: str, each: ThemeDecision) -> str | None:
        if name in ids:
            return name
        if as_of < each.since or name != each.theme_id:
            return None
        homes = Counter(theme_of[message] for message in each.anchors if message in theme_of)
        return min(homes, key=lambda home: (-homes[home], home), default=None)

    names: dict[str, str] = {}
    into: dict[str, str] = {}
    marked: dict[str, set[str]] = {"pin": set(), "mute": set()}
    merged: list[tuple[ThemeDecision, str, str]] = []
    for each in in_force(decisions):
        theme = found(each.theme_id, each)
        if theme is None:
            continue
        if each.action == "rename":
            names[theme] = each.value
        elif each.action in marked:
            marked[each.action].add(theme)
        elif each.action == "merge":
            other = found(each.value, each)
            if other is not None and root(into, other) != theme:
                into[theme] = other
                merged.append((each, theme, other))
    flat = {theme: root(into, theme) for theme in into}
    return Decided(names, flat, frozenset(marked["pin"]), frozenset(marked["mute"]), tuple(merged))


def root(into: Mapping[str, str], theme: str) -> str:
    """The theme that `theme` is shown as."""
    while theme in into:
        theme = into[theme]
    return theme


def told(decisions: Sequence[ThemeDecision]) -> str:
    """What of the decisions changes results, as text, for fingerprints."""
    rows = [
        (each.action, each.theme_id, each.value, each.anchors, each.at.isoformat())
        for each in in_force(decisions)
    ]
    return json.dumps(rows)


def read_decisions(home: Home) -> tuple[ThemeDecision, ...]:
    """All decisions of a home, in order; none before the first."""
    if not home.state.exists():
        return ()
    with _connected(home) as con:
        return _read(con)


def decide(home: Home, decision: ThemeDecision, *, at: datetime, by: str) -> ThemeDecision:
    """Add a decision; it is kept when this returns, and not at all if this raises.

    Raises:
        ThemeDecisionError: it undoes what is not in force, or merges themes in a circle.
    """
    home.root.mkdir(parents=True, exist_ok=True)
    with _connected(home) as con:
        con.execute("BEGIN IMMEDIATE")  # of two decisions at once the later sees the earlier
        _check(in_force(_read(con)), decision)
        row = (
            at.isoformat(),
            by,
            decision.action,
            decision.theme_id,
            decision.value,
            json.dumps(decision.anchors),
            decision.since.isoformat(),
        )
        columns = "at, by, action, theme_id, value, anchors, since"
        seq = con.execute(f"INSERT INTO theme_decisions ({columns}) VALUES (?, ?, ?, ?, ?, ?, ?)", row)
        con.execute("COMMIT")
        return _read(con, seq.lastrowid)[-1]


def _check(current: Sequence[ThemeDecision], decision: ThemeDecision) -> None:
    if decision.action == "undo":
        if decision.value not in {str(each.seq) for each in current}:
            raise ThemeDecisionError(f"there is no decision {decision.value} to undo; see `themes decisions`")
    elif decision.action == "merge":
        into = {each.theme_id: each.value for each in current if each.action == "merge"}
        if root(into, decision.value) == decision.theme_id:
            raise ThemeDecisionError(
                f"{decision.value} is already part of {decision.theme_id}: undo that merger first"
            )


def _read(con: sqlite3.Connection, seq: int | None = None) -> tuple[ThemeDecision, ...]:
    columns = "action, theme_id, value, anchors, since, seq, at, by"
    rows = con.execute(f"SELECT {columns} FROM theme_decisions ORDER BY seq").fetchall()
    return tuple(
        ThemeDecision(
            action,
            theme,
            value,
            tuple(json.loads(anchors)),
            datetime.fromisoformat(since),
            number,
            datetime.fromisoformat(at),
            by,
        )
        for action, theme, value, anchors, since, number, at, by in rows
        if seq is None or number == seq
    )


@contextmanager
def _connected(home: Home) -> Iterator[sqlite3.Connection]:
    """A connection that takes back what was not committed when it closes."""
    with closing(sqlite3.connect(home.state, timeout=60, isolation_level=None)) as con:
        con.execute("PRAGMA synchronous=FULL")  # a decision that was confirmed survives a power cut
        con.execute(_SCHEMA)
        yield con
