"""What happened around a step: who made it, and what each did and was before and after."""

import json
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import polars as pl

from opsanalytics.behavior.diagnosis_spec import Diagnosis
from opsanalytics.behavior.filters import PERSON, RESERVED, property_text, step_matches
from opsanalytics.behavior.funnel import FunnelResult
from opsanalytics.behavior.population import FunnelPersons, Population, population, terciles
from opsanalytics.behavior.rows import Events, Int64, checked
from opsanalytics.behavior.segments import NONE, Segment, labelled
from opsanalytics.behavior.spec import Funnel
from opsanalytics.behavior.statistics import Floats
from opsanalytics.lake.tables import UTC_TIME

SAMPLED = 1_000
"""Events whose properties are looked at to learn which there are."""
MOST_PROPERTIES = 40
NO_PROPERTIES = frozenset(
    {
        *RESERVED,
        "source",
        "source_event",
        "url",
        "ingest_run",
        "distinct_id",
        "session",
    }
)
"""Columns that are looked at only if they are named."""
CANONICAL = frozenset({"platform", "os", "browser", "app_version", "country"})
"""Columns that a table of events may lack without a misspelling."""
SIGNALS = pl.Schema({"person": pl.String(), "ts": UTC_TIME, "signal": pl.String(), "place": pl.String()})
SECONDS = 1e6


@dataclass(frozen=True, eq=False)
class Surroundings:
    """A population by `at`, the position of a person, and what surrounds the step of each."""

    population: Population
    by: tuple[str, ...]
    """Columns that make strata."""
    passed: Floats
    """By person: seconds from the step to going on, inf for never."""
    ends: Floats
    """By person: seconds from the step to the end of the attempt's window."""
    older: pl.Series
    """By person: tercile of the number of events before those of `before`."""
    before: pl.DataFrame
    """`at`, `event`: what lies at most `Diagnosis.before` before the step, steps left out."""
    after: pl.DataFrame
    """`at`, `event`, `seconds`: after the step until the window ends, later steps left out."""
    signals: pl.DataFrame
    """`at`, `signal`, `place`, `seconds`: met from the step on until the window ends."""
    known: list["Known"]

    def still_there(self, seconds: float) -> npt.NDArray[np.bool_]:
        """By person: whether they had not gone on so long after the step, and still could."""
        return (self.passed > seconds) & (self.ends > seconds)

    def seen_until(self, seconds: float) -> tuple[Int64, Floats]:
        """By person: number of events so long after the step, and when the last of them was."""
        events = (
            self.after.filter(pl.col("seconds") <= seconds)
            .group_by("at")
            .agg(n=pl.len(), last=pl.col("seconds").max())
        )
        n, last = np.zeros(len(self.passed), np.int64), np.zeros(len(self.passed))
        n[events["at"].to_numpy()] = events["n"].to_numpy()
        last[events["at"].to_numpy()] = events["last"].to_numpy()
        return n, last


@dataclass(frozen=True, eq=False)
class Known:
    """Something known of each person when the step was made."""

    kind: str
    name: str
    values: pl.Series
    """By person; null without one."""
    properties: tuple[str, ...]
    """What it is made of."""


def surroundings(
    events: Events,
    definition: Diagnosis,
    result: FunnelResult,
    step: int,
    *,
    as_of: datetime,
    segments: Sequence[Segment],
    signals: pl.DataFrame | None,
) -> Surroundings:
    """Look around one step of an evaluated funnel.

    Args:
        events: as `subjects.prepared` gives them for the funnel, the segments and the person properties.
        definition, step: what is diagnosed.
        result: the funnel's.
        as_of: later events are not looked at.
        segments: of the entry event, or of the person.
        signals: `person`, `ts`, `signal`, `place`: friction met.

    Raises:
        EventsError, PropertyError: the events cannot answer it.
    """
    funnel = result.definition
    frame, columns = checked(events)
    columns = [*columns, *(name for name in frame.collect_schema().names() if name not in columns)]
    frame = frame.filter(
        pl.col("ts") <= pl.lit(as_of).cast(UTC_TIME),
        pl.col("person").is_not_null(),
        pl.col("event").is_not_null(),
    )
    if funnel.sources is not None:
        frame = frame.filter(pl.col("source").cast(pl.String).is_in(list(funnel.sources)))
    by = tuple(name for name in definition.strata if name in columns or name not in CANONICAL)
    made = result.mature.filter(pl.col(f"ts_{step}").is_not_null())
    rows = (
        frame.select(
            "person",
            "ts",
            "event",
            own=step_matches(funnel.steps[step - 1], columns),
            later=_any_of(funnel, step, columns),
            step=_any_of(funnel, 0, columns),
            **{name: property_text(name, columns) for name in by},
        )
        .join(made.lazy().select("person").unique(), on="person", how="semi")
        .collect()
        .sort("person", "ts", *by)
    )
    who = population(FunnelPersons(funnel, result.mature), step, rows.select("person", "ts", *by), by)
    clock = who.persons.select(
        pl.int_range(pl.len(), dtype=pl.Int64).alias("at"), "person", "reached", "ends"
    )
    around = rows.join(clock, on="person", how="inner").with_columns(_seconds(pl.col("ts")))
    after = around.filter(
        (pl.col("ts") <= pl.col("ends"))
        & ((pl.col("seconds") > 0) | ((pl.col("seconds") == 0) & ~pl.col("own")))
        & ~pl.col("later")
    )
    early = -definition.before.total_seconds()
    before = around.filter((pl.col("seconds") < 0) & (pl.col("seconds") >= early) & ~pl.col("step"))
    older = around.filter(pl.col("seconds") < early).group_by("at").len("older")
    return Surroundings(
        population=who,
        by=by,
        passed=_float(who.persons, "passed_at", never=np.inf),
        ends=_float(who.persons, "ends", never=np.inf),
        older=clock.join(older, on="at", how="left", maintain_order="left")
        .select(terciles(pl.col("older").fill_null(0)))
        .to_series(),
        before=before.select("at", "event"),
        after=after.select("at", "event", "seconds"),
        signals=_signals(signals, clock),
        known=_known(frame, columns, definition, funnel, step, who, made, segments),
    )


def _any_of(funnel: Funnel, after: int, columns: Collection[str]) -> pl.Expr:
    return pl.any_horizontal(step_matches(step, columns) for step in funnel.steps[after:])


def _seconds(ts: pl.Expr) -> pl.Expr:
    return ((ts - pl.col("reached")).dt.total_microseconds() / SECONDS).alias("seconds")


def _float(persons: pl.DataFrame, column: str, *, never: float) -> Floats:
    return persons.select(_seconds(pl.col(column)).fill_null(never)).to_series().to_numpy()


def _signals(signals: pl.DataFrame | None, clock: pl.DataFrame) -> pl.DataFrame:
    found = SIGNALS.to_frame() if signals is None else signals.select(SIGNALS.names())
    return (
        found.join(clock.with_columns(pl.col("person").cast(pl.String)), on="person", how="inner")
        .filter((pl.col("ts") >= pl.col("reached")) & (pl.col("ts") <= pl.col("ends")))
        .select("at", "signal", "place", _seconds(pl.col("ts")))
    )


def _known(
    frame: pl.LazyFrame,
    columns: list[str],
    definition: Diagnosis,
    funnel: Funnel,
    step: int,
    who: Population,
    made: pl.DataFrame,
    segments: Sequence[Segment],
) -> list[Known]:
    """Segments of the entry event, properties of the step's event and of the person."""
    known = []
    schema = frame.collect_schema()
    plain = [name for name in columns if not schema[name].is_nested()]

    def serving(number: int) -> pl.DataFrame:
        """One event a person that made a step: of several at the same time the one that sorts first."""
        at = made.lazy().select("person", pl.col(f"ts_{number}").cast(UTC_TIME).alias("ts"))
        events = (
            frame.filter(step_matches(funnel.steps[number - 1], columns))
            .join(at, on=["person", "ts"], how="inner")
            .collect()
        )
        ordered = events.sort("person", *(name for name in plain if name != "person"))
        return ordered.unique("person", keep="first", maintain_order=True)

    def of_persons(events: pl.DataFrame, value: pl.Expr) -> pl.Series:
        values = events.select("person", value=value)
        return who.persons.select("person").join(values, on="person", how="left", maintain_order="left")[
            "value"
        ]

    own = serving(step)
    entry = own if step == 1 else serving(1)
    for segment in segments:
        value = of_persons(entry, segment.text(columns))
        known.append(Known("segment", segment.label(), value, segment.names()))
    taken = {name for segment in segments for name in segment.names() if len(segment.names()) == 1}
    wanted = definition.properties
    for name in _properties(own, columns) if wanted is None else wanted:
        if wanted is not None or (name not in taken and name not in definition.without):
            known.append(Known("property", name, of_persons(own, property_text(name, columns)), (name,)))
    for name in definition.person_properties:
        value = of_persons(own, pl.col(PERSON + name).cast(pl.String))
        known.append(Known("person", name, value, (name,)))
    return known


def _properties(own: pl.DataFrame, columns: Collection[str]) -> list[str]:
    """Columns and keys that the step's events have, ids left out; those of most events first."""
    plain = [
        name
        for name in columns
        if name in own.columns
        and name not in NO_PROPERTIES
        and not name.startswith(PERSON)
        and not _is_id(name)
        and (own[name].dtype.is_numeric() or own[name].dtype in (pl.String, pl.Boolean, pl.Categorical))
    ]
    if "properties" not in own.columns:
        return plain
    # Evenly over the persons, whose order says nothing.
    sample = own["properties"].drop_nulls().gather_every(max(1, own.height // SAMPLED))
    counted = Counter(key for text in sample for key in _keys(text))
    names = [name for name, _ in sorted(counted.items(), key=lambda item: (-item[1], item[0]))]
    fit = [name for name in names if name and not _is_id(name) and "\\" not in name]
    return [*plain, *(name for name in fit if name not in plain)][:MOST_PROPERTIES]


def _keys(text: str) -> list[str]:
    try:
        value = json.loads(text)
    except ValueError:
        return []  # what is no JSON has no properties, here as for filters
    return list(value) if isinstance(value, dict) else []


def _is_id(name: str) -> bool:
    lower = name.lower()
    return lower in ("id", "uuid", "token", "time") or lower.endswith(("_id", "uuid")) or name.endswith("Id")


def values_of(values: pl.Series, limit: int, least: int) -> list[tuple[str, np.ndarray]]:
    """Groups of persons by value: label and positions. Numbers of many values are cut into quarters.

    Of two groups the smaller one stands for both. Groups of fewer persons than `least` are left out.
    """
    given = values.drop_nulls()
    if _are_times(given):
        return []
    numbers = given.cast(pl.Float64, strict=False)
    if given.len() and not numbers.null_count() and numbers.is_finite().all() and numbers.n_unique() > limit:
        shown = _quarters(values.cast(pl.Float64, strict=False))
    else:
        shown = values.to_frame("value").select(labelled(pl.col("value"))).to_series()
    groups = (
        shown.to_frame("value")
        .with_row_index("at")
        .group_by("value")
        .agg("at", n=pl.len())
        .sort("n", "value", descending=[True, False])
    )
    if groups.height < 2:
        return []
    if groups.height == 2:
        groups = groups.tail(1) if groups["value"][1] != NONE else groups.head(1)
    chosen = groups.filter(pl.col("n") >= least).head(limit)
    return [(row["value"], np.array(row["at"], np.int64)) for row in chosen.iter_rows(named=True)]


def _are_times(values: pl.Series) -> bool:
    """Whether all are seconds or milliseconds since 1970 of this century: a clock, not a property."""
    numbers = values.cast(pl.Float64, strict=False)
    if not numbers.len() or numbers.null_count():
        return False
    spans = [(1e9 * unit, 2.5e9 * unit) for unit in (1, 1e3, 1e6)]
    return any(bool(numbers.is_between(*span).all()) for span in spans)


def _quarters(numbers: pl.Series) -> pl.Series:
    known = numbers.drop_nulls().to_numpy()
    edges = np.unique(np.quantile(known, [0.25, 0.5, 0.75], method="lower"))
    labels = [
        f"at most {edges[0]:g}",
        *(f"above {low:g}, at most {high:g}" for low, high in pairwise(edges)),
        f"above {edges[-1]:g}",
    ]
    bins = np.searchsorted(edges, numbers.fill_null(np.nan).to_numpy(), side="left")
    return pl.Series([labels[min(at, len(labels) - 1)] for at in bins], dtype=pl.String).set(
        numbers.is_null(), NONE
    )
