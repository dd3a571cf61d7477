"""Marts are computed when something they depend on changed, and left alone otherwise.

Every step that writes marts goes through `refresh`; a page goes through `refresh_files`. Both compare the
facts of `analysis.scope.Scope` with those that the step's record (`lake.records`) holds.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import polars as pl

from opsanalytics.analysis.scope import Scope
from opsanalytics.lake.locks import exclusive
from opsanalytics.lake.marts import mart_path, read_mart, write_mart
from opsanalytics.lake.records import DayState, Facts, Record, hashes, read_record, write_record
from opsanalytics.lake.tables import Table

WHOLE = "all"
"""Name of the part of a step that is computed as a whole."""
CHANGED_DAYS = pl.Schema(
    {
        "source": pl.String(),
        "day": pl.Date(),
        "events before": pl.Int64(),
        "events now": pl.Int64(),
        "what changed": pl.String(),
    }
)


@dataclass(frozen=True)
class Refreshed:
    """What a step did, and why."""

    frames: Mapping[str, pl.DataFrame]
    """The marts by name of the table, computed or as they were."""
    computed: tuple[str, ...]
    """Parts that were computed; none: the step was left alone."""
    kept: tuple[str, ...]
    """Parts whose rows were left as they are."""
    because: tuple[str, ...]
    """Names of the facts that changed, or what else made it compute; none: left alone."""
    days: pl.DataFrame
    """Days read that are others than last time (schema CHANGED_DAYS); none the first time."""
    rows_changed: Mapping[str, int]
    """By table: rows that were not there before, `as_of` aside."""

    @property
    def unchanged(self) -> bool:
        return not self.because


def refresh(
    scope: Scope,
    step: str,
    tables: Sequence[Table],
    parts: Mapping[str, Facts],
    compute: Callable[[Sequence[str]], Mapping[str, pl.DataFrame]],
    *,
    by: str | None = None,
) -> Refreshed:
    """Bring the marts of a step up to date, computing only the parts whose facts changed.

    Args:
        step: names the record.
        parts: facts by part; a step that is computed as a whole has the part WHOLE.
        compute: gives the marts (by name of the table) of the parts named to it.
        by: column of every table that holds the name of the part a row belongs to.

    Returns the marts as they are now on disk. The same as computing everything, to the byte.

    Raises:
        LockHeldError: another process has been reading or writing these marts for ten minutes.
    """
    paths = [mart_path(scope.home, table) for table in tables]
    with exclusive(scope.home, f"step-{step}"):
        record = read_record(scope.home, step)
        intact = record.intact(scope.home, paths)
        known = record.parts if intact else {}
        old = {table.name: read_mart(scope.home, table) for table in tables} if intact else {}
    stale = [name for name, facts in parts.items() if known.get(name) != dict(facts)]
    if by is None and stale:
        stale = list(parts)
    if intact and not stale and known.keys() <= parts.keys():
        return Refreshed(old, (), tuple(parts), (), _days(record.days, record.days), {})
    kept = [name for name in parts if name not in stale]
    new = compute(stale) if stale else {table.name: table.empty() for table in tables}
    frames = {}
    days = scope.day_states
    # Of two processes at once the later one wins, with all its tables and with its record.
    with exclusive(scope.home, f"step-{step}"):
        for table in tables:
            rows = [new[table.name]]
            if by is not None and kept:
                rows.append(old[table.name].filter(pl.col(by).is_in(kept)))
            frames[table.name] = write_mart(scope.home, table, pl.concat(rows))
        told = {name: dict(facts) for name, facts in parts.items()}
        write_record(scope.home, step, Record(outputs=hashes(scope.home, paths), parts=told, days=days))
    return Refreshed(
        frames,
        tuple(stale),
        tuple(kept),
        _because(record, parts, intact=intact),
        _days(record.days, days) if intact else CHANGED_DAYS.to_frame(),
        {name: _rows_changed(old.get(name), frame) for name, frame in frames.items()},
    )


def refresh_files(
    scope: Scope, step: str, paths: Sequence[Path], facts: Facts, write: Callable[[], object]
) -> tuple[str, ...]:
    """As `refresh`, for files that `write` writes. Returns the names of the facts that changed, if any.

    Raises:
        LockHeldError: another process has been writing these files for ten minutes.
    """
    with exclusive(scope.home, f"step-{step}"):
        record = read_record(scope.home, step)
        intact = record.intact(scope.home, paths)
        if intact and record.parts.get(WHOLE) == dict(facts):
            return ()
        write()
        told = {WHOLE: dict(facts)}
        outputs = hashes(scope.home, paths)
        write_record(scope.home, step, Record(outputs=outputs, parts=told, days=scope.day_states))
    return _because(record, {WHOLE: facts}, intact=intact)


def _because(record: Record, parts: Mapping[str, Facts], *, intact: bool) -> tuple[str, ...]:
    if not intact:
        return ("its files are not as they were written",) if record.outputs else ("first time",)
    reasons: dict[str, None] = {}
    for name, facts in parts.items():
        before = record.parts.get(name)
        if before is None:
            reasons[f"{name} is new"] = None
            continue
        changed = [fact for fact in before.keys() | facts.keys() if before.get(fact) != facts.get(fact)]
        reasons |= dict.fromkeys(sorted(changed))
    for name in record.parts.keys() - parts.keys():
        reasons[f"{name} is gone"] = None
    return tuple(reasons)


def _days(
    before: Mapping[str, Mapping[date, DayState]], now: Mapping[str, Mapping[date, DayState]]
) -> pl.DataFrame:
    rows = []
    for source in sorted(before.keys() | now.keys()):
        first, second = before.get(source, {}), now.get(source, {})
        for day in sorted(first.keys() | second.keys()):
            was, is_ = first.get(day), second.get(day)
            if was != is_:
                same = was is not None and is_ is not None and was.content == is_.content
                what = "whose events they are" if same else "events"
                rows.append((source, day, was.rows if was else 0, is_.rows if is_ else 0, what))
    return pl.DataFrame(rows, schema=CHANGED_DAYS, orient="row")


def _rows_changed(old: pl.DataFrame | None, new: pl.DataFrame) -> int:
    if old is None:
        return new.height
    told = [name for name in new.columns if name != "as_of"]
    return int((~new.select(told).hash_rows().is_in(old.select(told).hash_rows().to_list())).sum())
