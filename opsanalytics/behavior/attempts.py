"""Which attempts a person made, and how far the best one got.

Maturity is a property of attempts, decided by the entry's time alone and never by what came of it: an
attempt is mature when its entry time plus the window lies at or before `as_of`. The mature figures are
the funnel over mature attempts, the open figures the same funnel over the others. A person with attempts
of both kinds is in both, each time with the best attempt of that kind. So an open attempt never counts
as a drop-off; a conversion inside an open window shows in the open figures and nowhere else, since
counting it as mature while those who have not converted yet stay out would flatter the rate.
"""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime

import numpy as np
import numpy.typing as npt
import polars as pl

from opsanalytics.behavior.folding import Units, fold_units
from opsanalytics.behavior.rows import Int32, Int64, PersonRows, is_mature
from opsanalytics.behavior.semantics import OPSANALYTICS, Semantics
from opsanalytics.behavior.spec import Funnel
from opsanalytics.lake.tables import UTC_TIME

TIED = 1 << 30
"""A bit above those of steps and exclusions."""
Bucket = Callable[[pl.Series], pl.Series]


def best_attempts(
    rows: PersonRows,
    definition: Funnel,
    entries: Int64,
    *,
    as_of: datetime,
    bucket: Bucket | None = None,
    semantics: Semantics = OPSANALYTICS,
) -> pl.DataFrame:
    """The best attempt of each person, apart for mature and open attempts and for each bucket.

    In: `entries`, rows whose events may start an attempt; `bucket` gives the bucket of entry times.
    Out: `person`, `unit` (only where the funnel counts something else than persons: what it counts, as
    text), `bucket` (only if asked for), `mature`, `step_reached` (Int32), `first_entry_ts` (of all these
    attempts), `entry_ts` (of the best), and `ts_1` (the same), `ts_2`, ... (UTC; null where a step was not
    made). Persons without any countable attempt are absent. Sorted by person, unit, bucket, time.
    """
    if definition.exclusions and not semantics.tied_exclusions:
        rows = _without_tied_exclusions(rows, definition)
    times = rows.ts[entries]
    person = rows.person_of_row()[entries]
    mature = _mature(times, definition, as_of, semantics)
    buckets = _buckets(bucket, times)
    sequence = definition.counting == "attempts"
    whole = sequence or semantics.scan == "window_funnel"
    keys: list[npt.NDArray[np.generic]] = [person]
    if not whole:
        keys += [mature, *([] if buckets is None else [buckets.to_numpy()])]
    starts = _run_starts(keys)
    stops = np.append(starts[1:], len(entries)) if len(starts) else starts
    unit_person = person[starts]
    folded = fold_units(
        rows,
        definition,
        semantics,
        Units(
            floors=rows.offsets[unit_person],
            first_rows=entries[starts],
            ends=rows.offsets[unit_person + 1],
            last_entry=times[stops - 1],
        ),
    )
    chosen = folded.reached > 0
    of = folded.unit[chosen]
    reached, step_times = folded.reached[chosen], folded.step_times[chosen]
    entry_times = step_times[:, 0]
    columns = [rows.persons.gather(unit_person[of]).alias("person")]
    if sequence:
        number = pl.Series("unit", np.arange(len(of)) - np.searchsorted(of, of) + 1)
        columns.append(number.cast(pl.String))
    elif rows.keys.width:
        named = rows.keys.select(pl.concat_str(pl.all().cast(pl.String), separator=", ").alias("unit"))
        columns.append(named["unit"].gather(unit_person[of]))
    if buckets is not None:
        of_entry = _buckets(bucket, entry_times) if whole else buckets.gather(starts[of])
        columns.append(of_entry.alias("bucket"))  # type: ignore[union-attr]
    is_ripe = _mature(entry_times, definition, as_of, semantics) if whole else mature[starts[of]]
    columns.append(pl.Series("mature", is_ripe, dtype=pl.Boolean))
    columns.append(pl.Series("step_reached", reached, dtype=pl.Int32))
    first_entry = entry_times if sequence else times[starts[of]]
    columns.append(pl.Series("first_entry_ts", first_entry, dtype=pl.Int64).cast(UTC_TIME))
    frame = pl.DataFrame(columns)
    by_step = {
        f"ts_{k}": made_at(step_times[:, k - 1], reached, k) for k in range(1, len(definition.steps) + 1)
    }
    frame = frame.with_columns(**by_step).select(*frame.columns, pl.col("ts_1").alias("entry_ts"), *by_step)
    if definition.hold and definition.counting == "persons" and semantics.hold != "pairs":
        return _one_value(frame, semantics)
    return frame


def _without_tied_exclusions(rows: PersonRows, definition: Funnel) -> PersonRows:
    """Rows without the exclusions that share person and time with another kind of row.

    They keep a bit of their own, so that they stay another kind.
    """
    starts = _run_starts([rows.person_of_row(), rows.ts])
    if not len(starts):
        return rows
    mixed = np.minimum.reduceat(rows.mask, starts) != np.maximum.reduceat(rows.mask, starts)
    of_row = np.repeat(mixed, np.diff(np.append(starts, len(rows.ts))))
    steps = (1 << len(definition.steps)) - 1
    without = np.where(rows.mask > steps, (rows.mask & steps) | TIED, rows.mask)
    return replace(rows, mask=np.where(of_row, without, rows.mask).astype(np.int32))


def _one_value(frame: pl.DataFrame, semantics: Semantics) -> pl.DataFrame:
    """Of the values held constant, the one that counts for the person."""
    keys = [name for name in ("person", "bucket", "mature") if name in frame.columns]
    completion = pl.max_horizontal(name for name in frame.columns if name.startswith("ts_"))
    if semantics.hold == "first":
        best = frame.sort("first_entry_ts", "unit")
    else:
        best = frame.with_columns(completion=completion).sort(
            "step_reached", "completion", "entry_ts", "unit", descending=[True, False, True, False]
        )
    return (
        best.with_columns(pl.col("first_entry_ts").min().over(keys))
        .unique(keys, keep="first", maintain_order=True)
        .select(pl.exclude("unit", "completion"))
        .sort(*keys[:-1], "mature", descending=[False] * (len(keys) - 1) + [True])
    )


def _mature(times: Int64, definition: Funnel, as_of: datetime, semantics: Semantics) -> npt.NDArray[np.bool_]:
    if not semantics.maturity:
        return np.ones(len(times), np.bool_)
    return is_mature(times, definition.window, as_of)


def _buckets(bucket: Bucket | None, times: Int64) -> pl.Series | None:
    return None if bucket is None else bucket(pl.Series("ts", times, dtype=pl.Int64).cast(UTC_TIME))


def made_at(times: Int64, reached: Int32, step: int) -> pl.Series:
    """Times of a step (microseconds) as UTC time stamps, null where it was not made."""
    from opsanalytics.behavior.kernels_rows import NEVER

    made = (reached >= step) & (times != NEVER)
    moments = pl.Series(times, dtype=pl.Int64).cast(UTC_TIME)
    return pl.select(pl.when(pl.Series(made)).then(moments)).to_series()


def _run_starts(keys: list[npt.NDArray[np.generic]]) -> Int64:
    """Where any of the keys differs from the row before."""
    if not len(keys[0]):
        return np.empty(0, np.int64)
    changed = np.ones(len(keys[0]), np.bool_)
    changed[1:] = False
    for key in keys:
        changed[1:] |= key[1:] != key[:-1]
    return np.flatnonzero(changed)
