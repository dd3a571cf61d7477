"""Funnels by segment: which values of a property convert better or worse than the rest."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime

import numpy as np
import polars as pl

from opsanalytics.behavior.attempts import best_attempts
from opsanalytics.behavior.folding import check_preset
from opsanalytics.behavior.funnel import FunnelResult
from opsanalytics.behavior.funnel_rows import (
    FunnelRows,
    check_range,
    entering,
    entry_rows,
    funnel_rows,
    unit_rows,
)
from opsanalytics.behavior.marts import nullable, with_provenance
from opsanalytics.behavior.periods import zone
from opsanalytics.behavior.rows import Events, PersonRows, check_as_of
from opsanalytics.behavior.segments import NONE, OTHER, Segment, frequencies, grouped, labelled, most_frequent
from opsanalytics.behavior.semantics import OPSANALYTICS, Semantics, preset_named
from opsanalytics.behavior.spec import Funnel
from opsanalytics.behavior.statistics import (
    benjamini_hochberg,
    newcombe_difference,
    two_proportion_p,
    wilson,
)
from opsanalytics.behavior.subjects import prepared
from opsanalytics.behavior.values import VALUE, numeric, with_values

SEPARATE = ("all", "step")
"""Attributions of which a person may be in several groups, each a funnel of its own."""
COUNTS = pl.DataFrame(
    schema={
        "segment": pl.String,
        "value": pl.String,
        "step": pl.Int32,
        "entered": pl.Int64,
        "persons": pl.Int64,
        "others_entered": pl.Int64,
        "others_persons": pl.Int64,
    }
)


@dataclass(frozen=True, eq=False)
class Broken:
    """A funnel broken down by one segment."""

    segment: Segment
    whole: FunnelResult
    attempts: pl.DataFrame
    """`FunnelResult.attempts` with the column `value`."""
    disjoint: bool
    """Whether every person is in one group."""

    def values(self) -> list[str]:
        """All groups: the values by name, then `(other)` and `(none)` where they occur."""
        found = set(self.attempts["value"].to_list())
        return [*sorted(found - {NONE, OTHER}), *(one for one in (OTHER, NONE) if one in found)]

    def of(self, value: str) -> FunnelResult:
        """The funnel of one group, with its times and open attempts.

        Raises:
            KeyError: there is no such group.
        """
        chosen = self.attempts.filter(pl.col("value") == value)
        if chosen.is_empty():
            raise KeyError(f"{self.segment.label()}: {value!r} is not one of {self.values()}")
        return replace(self.whole, attempts=chosen.drop("value"))


def funnel_breakdown(
    events: Events,
    definition: Funnel,
    *,
    segment: str | Segment | Sequence[Segment],
    as_of: datetime,
    first: date | None = None,
    last: date | None = None,
    timezone: str = "UTC",
    limit: int = 10,
    preset: str | Semantics = OPSANALYTICS,
) -> pl.DataFrame:
    """The funnel over mature attempts, by the value of a property.

    By default a person belongs to one value: that of the first mature entry event in the range (of several
    at the same time stamp, the value that sorts first), whichever attempt got furthest; `Segment` has the
    other ways. So the values add up to the whole funnel, their groups are disjoint, and the outcome does not
    decide the group.

    Values beyond `limit` form `(other)`, entries without the property `(none)`; both are compared as any
    other value. `difference` is with all persons outside the value; where a person may be in several groups
    (`all`, `step`) it has neither interval nor test. `q_value` adjusts over every value and step after the
    first of all segments of this call: pass them together.

    In: as `funnel`; `segment` a property, or one or more `Segment` (then `limit` is theirs).
    Out: the columns of FUNNEL_BREAKDOWN without `quality`.

    Raises:
        EventsError, PropertyError, ValueError, PresetError: as `funnel`.
    """
    if isinstance(segment, str):
        segments: Sequence[Segment] = [Segment(segment, limit=limit)]
    else:
        segments = [segment] if isinstance(segment, Segment) else list(segment)
    parts = broken_down(
        events,
        definition,
        segments,
        as_of=as_of,
        first=first,
        last=last,
        timezone=timezone,
        preset=preset,
    )
    return breakdown_table(parts, definition, as_of=as_of, semantics=preset_named(preset))


def broken_down(
    events: Events,
    definition: Funnel,
    segments: Sequence[Segment],
    *,
    as_of: datetime,
    first: date | None = None,
    last: date | None = None,
    timezone: str = "UTC",
    preset: str | Semantics = OPSANALYTICS,
    shown: Mapping[int, Sequence[str]] | None = None,
) -> list[Broken]:
    """The best attempts of every person by value, one `Broken` a segment.

    In and raises: as `funnel_breakdown`. `shown` has the values that are shown of segments by `all` and
    `step`, by place, where these are some of the persons only; see `values_of_groups`.
    """
    as_of = check_as_of(as_of)
    check_range(first, last)
    zone(timezone)
    semantics = preset_named(preset)
    check_preset(definition, semantics)
    found = _segment_rows(
        events, definition, segments, semantics, as_of=as_of, first=first, last=last, timezone=timezone
    )

    def best(rows: PersonRows, matching: pl.DataFrame) -> pl.DataFrame:
        entries = entry_rows(rows, definition, first=first, last=last, timezone=timezone)
        attempts = best_attempts(rows, definition, entries, as_of=as_of, semantics=semantics)
        return attempts if definition.value is None else with_values(attempts, matching, definition)

    everybody = best(found.rows, found.matching)
    whole = FunnelResult(definition, as_of, everybody, found.rows.left_out, semantics)
    parts = []
    for i, one in enumerate(segments):
        column, attribution = f"segment_{i}", one.attributed(semantics)
        if attribution in SEPARATE:
            chosen = [
                best(unit_rows(rows, definition, semantics, found), rows).with_columns(value=pl.lit(value))
                for value, rows in _by_group(found.matching, column, one, definition, (shown or {}).get(i))
            ]
            nobody = everybody.clear().with_columns(value=pl.lit(None, pl.String))
            attempts = pl.concat([nobody, *chosen])
        else:
            attempts = limited(_attributed(everybody, found, column, attribution, definition), one)
        parts.append(Broken(one, whole, attempts, disjoint=attribution not in SEPARATE))
    return parts


def values_of_groups(
    events: Events,
    definition: Funnel,
    segments: Sequence[Segment],
    *,
    as_of: datetime,
    first: date | None = None,
    last: date | None = None,
    timezone: str = "UTC",
    preset: str | Semantics = OPSANALYTICS,
) -> dict[int, pl.DataFrame]:
    """By place of the segments by `all` and `step`: `value` and how many persons (`len`) have it on an event
    that decides which values `broken_down` shows.

    In and raises: as `broken_down`.
    """
    semantics = preset_named(preset)
    found = _segment_rows(
        events,
        definition,
        segments,
        semantics,
        as_of=check_as_of(as_of),
        first=first,
        last=last,
        timezone=timezone,
    )
    return {
        i: frequencies(_deciding(found.matching, f"segment_{i}", one, definition))
        for i, one in enumerate(segments)
        if one.attributed(semantics) in SEPARATE
    }


def _segment_rows(
    events: Events,
    definition: Funnel,
    segments: Sequence[Segment],
    semantics: Semantics,
    *,
    as_of: datetime,
    first: date | None,
    last: date | None,
    timezone: str,
) -> FunnelRows:
    """The funnel's rows with the label of each segment, `segment_<place>`."""
    check_segments(segments, definition)
    wanted = [name for one in segments for name in one.person_properties()]
    cohorts = [cohort for one in segments for cohort in one.cohorts()]
    events = prepared(events, definition, as_of=as_of, wanted=wanted, cohorts=cohorts, timezone=timezone)
    columns = events.lazy().collect_schema().names()
    extra = {f"segment_{i}": labelled(one.text(columns)) for i, one in enumerate(segments)}
    if definition.value is not None:
        extra[VALUE] = numeric(definition.value, columns)
    return funnel_rows(
        events,
        definition.model_copy(update={"among": None}),  # these are its persons by now
        semantics,
        as_of=as_of,
        first=first,
        last=last,
        timezone=timezone,
        extra=extra,
    )


def _serving(matching: pl.DataFrame, segment: Segment, definition: Funnel) -> tuple[int, pl.DataFrame]:
    """The step whose events decide a person's groups (a bit of `mask`), and its rows."""
    bit = entering(definition) if segment.step is None else 1 << (segment.step - 1)
    return bit, matching.filter((pl.col("mask") & bit) != 0, pl.col("person").is_not_null())


def _deciding(matching: pl.DataFrame, column: str, segment: Segment, definition: Funnel) -> pl.Series:
    """The value of every person and group."""
    _, serving = _serving(matching, segment, definition)
    return serving.select("person", column).unique()[column]


def limited(attempts: pl.DataFrame, segment: Segment) -> pl.DataFrame:
    """Attempts with all but the values that most entrants have as `(other)`."""
    mature = attempts.filter("mature")["value"]
    shown = most_frequent(mature if mature.len() else attempts["value"], segment.limit)
    return attempts.with_columns(value=grouped(pl.col("value"), shown))


def check_segments(segments: Sequence[Segment], definition: Funnel) -> None:
    """Raise ValueError where a segment names a step that the funnel does not have."""
    for one in segments:
        if one.step is not None and one.step > len(definition.steps):
            raise ValueError(
                f"segment {one.label()!r}: step {one.step}, but the funnel has {len(definition.steps)} steps"
            )


def breakdown_table(
    parts: Sequence[Broken], definition: Funnel, *, as_of: datetime, semantics: Semantics = OPSANALYTICS
) -> pl.DataFrame:
    """FUNNEL_BREAKDOWN without `quality`: counts, rates and comparisons of all parts together."""
    frames = [_counts(part, definition) for part in parts]
    alone = np.repeat([not part.disjoint for part in parts], [frame.height for frame in frames])
    compared = _compared(pl.concat([COUNTS, *frames]), definition, alone.astype(np.bool_))
    identified = semantics.identified(definition.definition_id)
    return with_provenance(compared, definition, as_of).with_columns(definition_id=pl.lit(identified))


def _attributed(
    best: pl.DataFrame, found: FunnelRows, column: str, attribution: str, definition: Funnel
) -> pl.DataFrame:
    """`best` with the `value` of each person (attempt, session)."""
    if attribution == "entry":
        entry = found.matching.filter((pl.col("mask") & entering(definition)) != 0)
        value = entry.group_by("person", "ts").agg(_first_of(column))
        valued = best.join(value, left_on=["person", "first_entry_ts"], right_on=["person", "ts"], how="left")
    else:
        of_steps = (pl.col("mask") & ((1 << len(definition.steps)) - 1)) != 0
        touches = found.matching.filter(
            of_steps, ~pl.col(column).is_in([NONE, ""]), pl.col("ts").is_not_null()
        )
        ordered = touches.sort("ts", column, descending=[attribution == "last", False])
        value = ordered.group_by("person", maintain_order=True).agg(value=pl.col(column).first())
        valued = best.join(value, on="person", how="left")
    return valued.with_columns(pl.col("value").fill_null(NONE))


def _first_of(column: str) -> pl.Expr:
    """The value that sorts first; none only where nothing else is there."""
    given = pl.col(column).filter(pl.col(column) != NONE)
    return given.min().fill_null(NONE).alias("value")


def _by_group(
    matching: pl.DataFrame,
    column: str,
    segment: Segment,
    definition: Funnel,
    shown: Sequence[str] | None,
) -> list[tuple[str, pl.DataFrame]]:
    """The rows that each group's funnel sees; by the most frequent values, if `shown` are not given."""
    bit, serving = _serving(matching, segment, definition)
    if shown is None:
        shown = most_frequent(_deciding(matching, column, segment, definition), segment.limit)
    given = set((matching if segment.step is None else serving)[column].to_list())
    groups = [*shown, *([NONE] if NONE in given else []), *([OTHER] if given - {NONE, *shown} else [])]
    own = grouped(pl.col(column), shown)
    if segment.step is None:
        return [(value, matching.filter(own == value)) for value in groups]
    parts = []
    for value in groups:
        persons = serving.filter(own == value)["person"].unique()
        rows = matching.filter(pl.col("person").is_in(persons.implode()))
        elsewhere = pl.when(own == value).then(pl.col("mask")).otherwise(pl.col("mask") & ~bit)
        parts.append((value, rows.with_columns(mask=elsewhere)))
    return parts


def _counts(part: Broken, definition: Funnel) -> pl.DataFrame:
    by_value = (
        part.attempts.filter("mature")
        .group_by("value")
        .agg(
            pl.len().cast(pl.Int64).alias("entered"),
            *(
                pl.col(f"ts_{k}").count().cast(pl.Int64).alias(str(k))
                for k in range(1, len(definition.steps) + 1)
            ),
        )
    )
    by_step = by_value.unpivot(index=["value", "entered"], variable_name="step", value_name="persons")
    return by_step.select(
        pl.lit(part.segment.label()).alias("segment"),
        "value",
        pl.col("step").cast(pl.Int32),
        "entered",
        "persons",
        (pl.col("entered").sum().over("step") - pl.col("entered")).alias("others_entered"),
        (pl.col("persons").sum().over("step") - pl.col("persons")).alias("others_persons"),
    ).sort("value", "step")


def _compared(counts: pl.DataFrame, definition: Funnel, alone: np.ndarray) -> pl.DataFrame:
    persons, entered = counts["persons"].to_numpy(), counts["entered"].to_numpy()
    others = counts["others_persons"].to_numpy(), counts["others_entered"].to_numpy()
    rate_low, rate_high = wilson(persons, entered)
    difference_low, difference_high = newcombe_difference(persons, entered, *others)
    p = two_proportion_p(persons, entered, *others)
    # Everybody in a segment has made step 1, so there is nothing to compare; groups that share persons
    # are not independent.
    for compared in (difference_low, difference_high, p):
        compared[(counts["step"].to_numpy() == 1) | alone] = float("nan")
    rate = pl.col("persons") / pl.col("entered")
    others_rate = pl.col("others_persons") / pl.col("others_entered")
    return counts.select(
        pl.lit(definition.name).alias("funnel"),
        "segment",
        "value",
        "step",
        "entered",
        "persons",
        rate.fill_nan(None).alias("rate"),
        nullable(rate_low, "rate_low"),
        nullable(rate_high, "rate_high"),
        (rate - others_rate).fill_nan(None).alias("difference"),
        nullable(difference_low, "difference_low"),
        nullable(difference_high, "difference_high"),
        nullable(benjamini_hochberg(p), "q_value"),
    )
