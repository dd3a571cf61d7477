"""Trends: series of numbers by period, formulas over them, and what they were before."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import date, datetime
from typing import Any, Literal

import numpy as np
import polars as pl

from opsanalytics.behavior.activity import History, data_from, known_events, left_out_of, with_subjects
from opsanalytics.behavior.calendars import Calendar, asked_days
from opsanalytics.behavior.formulas import evaluate, formula_names
from opsanalytics.behavior.index import BehaviorIndex, NotIndexedError
from opsanalytics.behavior.index_activity import Found
from opsanalytics.behavior.marts import nullable, plain_rows, with_provenance
from opsanalytics.behavior.periods import Weekday
from opsanalytics.behavior.rows import Events, LeftOut, check_as_of, checked, matching_rows
from opsanalytics.behavior.segments import NONE, OTHER, Segment, grouped, labelled, most_frequent
from opsanalytics.behavior.statistics import Floats
from opsanalytics.behavior.trend_intervals import quantile_intervals, replicates, share_intervals
from opsanalytics.behavior.trends_spec import EMPTY_IS_ZERO, QUANTILES, Formula, Series, Trends
from opsanalytics.behavior.values import numeric

TrendsPreset = Literal["opsanalytics", "posthog"]
SHOWN = 12
"""Periods in the words of a result."""
ALL = ""
"""Value of rows that are not broken down."""
GROUP = "trend_group"
ADDITIVE = ("total", "persons", "per_person", "sum", "average")
"""Measures made of sums over persons."""
INTERVALS_OF = ("per_person", "average")
"""Measures that get an interval by the bootstrap; counts and sums are what they are."""


@dataclass(frozen=True, eq=False)
class TrendsCounts:
    """Numbers by series, value broken down by, and period."""

    definition: Trends
    as_of: datetime
    rows: pl.DataFrame
    """The columns of TRENDS without `quality`."""
    left_out: LeftOut

    def to_polars(self) -> pl.DataFrame:
        return self.rows

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        return {
            "definition": self.definition.model_dump(mode="json"),
            "definition_id": self.definition.definition_id,
            "as_of": self.as_of.isoformat(),
            "rows": plain_rows(self.rows),
            "left_out": asdict(self.left_out),
        }

    def __repr__(self) -> str:
        moment = self.as_of.isoformat(timespec="minutes")
        last = f"the last {SHOWN} " if self.rows["starts_at"].n_unique() > SHOWN else ""
        lines = [f"{self.definition.label}: {last}{self.definition.period}s at {moment}"]
        for (label, value), group in self.rows.group_by("label", "value", maintain_order=True):
            lines.append(f"  {label}" + (f", {value}" if value != ALL else ""))
            for row in group.tail(SHOWN).to_dicts():
                when = row["period_start"] if self.definition.period != "hour" else row["starts_at"]
                number = "none" if row["number"] is None else f"{row['number']:.6g}"
                if row["number_low"] is not None and row["number_high"] is not None:
                    number += f" ({row['number_low']:.4g} to {row['number_high']:.4g})"
                change = (
                    "" if row["change"] is None else f", {row['change']:+.1%} against {row['previous_start']}"
                )
                lines.append(f"    {when}: {number}{change}{'' if row['complete'] else ' (not complete)'}")
        return "\n".join(lines)


@dataclass(frozen=True, eq=False)
class _Grid:
    """Cells by value (group) and period, the values one after the other."""

    groups: tuple[str, ...]
    begin: int
    periods: int

    @property
    def cells(self) -> int:
        return len(self.groups) * self.periods

    def cell(self) -> pl.Expr:
        """Number of the cell from the columns GROUP and `period`."""
        place = pl.col(GROUP).replace_strict(
            list(self.groups), list(range(len(self.groups))), return_dtype=pl.Int64
        )
        return place * self.periods + pl.col("period") - self.begin


def trends(
    events: History,
    definition: Trends,
    *,
    as_of: datetime,
    first: date | None = None,
    last: date | None = None,
    timezone: str = "UTC",
    week_start: Weekday = "monday",
    breakdown: Segment | None = None,
    preset: TrendsPreset = "opsanalytics",
) -> TrendsCounts:
    """Evaluate trends by local calendar periods.

    Rows: every period from that of the first event there is (or of `first`) to that of `as_of` (or of
    `last`), empty ones too. Intervals: 95 %, by a bootstrap over persons (see `trend_intervals`), by order
    statistics for medians and percentiles, Wilson where a formula is a share of persons; of a formula only
    where all its series add up over persons (no quantile, min or max).

    Args:
        events: see `rows.Events`, `activity.History`.
        as_of: events up to here are complete; later ones are not looked at. Needs a time zone.
        first, last: local days whose periods are shown.
        timezone, week_start: calendar of the periods.
        breakdown: a property whose value on each event decides where it counts, so that a person may be in
            several; the values with the most events in the periods shown, `(other)` and `(none)`.
        preset: `posthog` shows 0 where a number does not exist, also of periods before the first event.

    Raises:
        EventsError, PropertyError: the events cannot answer the definition; nothing was read.
        ValueError: another argument is wrong.
    """
    as_of = check_as_of(as_of)
    asked_days(first, last)
    if preset not in ("opsanalytics", "posthog"):
        raise ValueError(f"preset: {preset!r} is not 'opsanalytics' or 'posthog'")
    if breakdown is not None and breakdown.attribution not in (None, "all"):
        raise ValueError(
            f"segment {breakdown.label()!r}: trends have no attribution {breakdown.attribution!r}; "
            "each event counts where its own value is"
        )
    calendar = Calendar(definition.period, timezone, week_start)
    if isinstance(events, BehaviorIndex):
        rows, known_from, left_out = _indexed(events, definition, breakdown, calendar, as_of)
    else:
        rows, known_from = _matching(events, definition, breakdown, as_of)
        rows = rows.with_columns(calendar.number(pl.col("ts")).alias("period"))
        left_out = left_out_of(rows)
        rows = rows.drop_nulls(["person", "ts"])
    end = calendar.of(as_of) if last is None else min(calendar.of(as_of), calendar.of_day(last, last=True))
    begin = calendar.of_day(first) if first is not None else end + 1
    if first is None and known_from is not None:
        begin = calendar.of(known_from)
    shown = max(0, end + 1 - begin)
    back = definition.compare or (shown if first is not None and shown else 1)
    rows = rows.filter(pl.col("period").is_between(begin - back, end))
    if breakdown is not None:
        rows, groups = _into_groups(rows, breakdown, begin)
    else:
        rows, groups = rows.with_columns(pl.lit(ALL).alias(GROUP)), (ALL,)
    grid = _Grid(groups, begin - back, shown + back)
    rows = rows.with_columns(grid.cell().alias("cell"))
    starts = calendar.starts(calendar.between(grid.begin, grid.begin + grid.periods - 1), as_of, known_from)
    table = _table(rows, definition, grid, starts, back, zero=preset == "posthog")
    return TrendsCounts(
        definition=definition,
        as_of=as_of,
        rows=with_provenance(table, definition, as_of),
        left_out=left_out,
    )


def _matching(
    events: Events, definition: Trends, breakdown: Segment | None, as_of: datetime
) -> tuple[pl.DataFrame, datetime | None]:
    """Matching events with `value_<letter>` of series of a property and GROUP, and when data begin."""
    subjects = with_subjects(
        events,
        definition.steps,
        entity=definition.entity,
        as_of=as_of,
        wanted=() if breakdown is None else breakdown.person_properties(),
    )
    _, columns = checked(subjects, needs_source=definition.sources is not None)
    extra = {
        f"value_{letter}": numeric(each.property, columns)
        for letter, each in zip(definition.letters, definition.series, strict=True)
        if each.property is not None
    }
    if breakdown is not None:
        extra[GROUP] = labelled(breakdown.text(columns))
    rows = matching_rows(
        subjects,
        [[each.event] for each in definition.series],
        as_of=as_of,
        sources=definition.sources,
        extra=extra,
    )
    return rows, data_from(known_events(subjects, definition.sources, as_of))


def _indexed(
    index: BehaviorIndex,
    definition: Trends,
    breakdown: Segment | None,
    calendar: Calendar,
    as_of: datetime,
) -> tuple[pl.DataFrame, datetime | None, LeftOut]:
    """The same with `period`, of events with a person alone, and what is left out."""
    if breakdown is not None and (
        breakdown.cohorts() or breakdown.person_properties() or len(breakdown.names()) != 1
    ):
        raise NotIndexedError(
            f"trends {definition.name!r}: the index breaks down by one property of events; evaluate it on "
            "the events of the lake"
        )
    found = Found.of(
        index,
        [[each.event] for each in definition.series],
        sources=definition.sources,
        entity=definition.entity,
        as_of=as_of,
        label=f"trends {definition.name!r}",
    )
    values = {
        f"value_{letter}": each.property
        for letter, each in zip(definition.letters, definition.series, strict=True)
        if each.property is not None
    }
    groups = {} if breakdown is None else {GROUP: breakdown.names()[0]}
    rows = found.matching(calendar, values | groups)
    numbers = [numeric(name, [name]).alias(name) for name in values]
    labels = [labelled(pl.col(name)).alias(name) for name in groups]
    return rows.with_columns(*numbers, *labels), found.data_from(), found.left_out()


def _into_groups(rows: pl.DataFrame, breakdown: Segment, begin: int) -> tuple[pl.DataFrame, tuple[str, ...]]:
    """Rows with their group, and the groups: the most frequent values, `(other)`, `(none)`; without any
    events the last alone, with its zeros."""
    seen = rows.filter(pl.col("period") >= begin)[GROUP]
    shown = most_frequent(seen, breakdown.limit)
    given = set(seen.unique().to_list())
    rest = [OTHER] if given - {NONE, *shown} else []
    groups = (*shown, *rest, *([NONE] if NONE in given or not given else []))
    rows = rows.with_columns(grouped(pl.col(GROUP), shown).alias(GROUP))
    return rows.filter(pl.col(GROUP).is_in(list(groups))), groups


def _table(
    rows: pl.DataFrame, definition: Trends, grid: _Grid, starts: pl.DataFrame, back: int, *, zero: bool
) -> pl.DataFrame:
    """The columns of TRENDS before the provenance."""
    shown = starts.slice(back).select("period_start", "starts_at", "complete")
    before = starts.slice(0, grid.periods - back).select(
        pl.col("period_start").alias("previous_start"), pl.col("complete").alias("previous_complete")
    )
    periods = pl.concat([shown, before], how="horizontal")
    frames = []
    for line in _lines(rows, definition, grid, back, zero=zero):
        for place, group in enumerate(grid.groups):
            span = slice(place * grid.periods + back, (place + 1) * grid.periods)
            earlier = slice(place * grid.periods, (place + 1) * grid.periods - back)
            frames.append(
                periods.with_columns(
                    pl.lit(line.series).alias("series"),
                    pl.lit(line.label).alias("label"),
                    pl.lit(group).alias("value"),
                    pl.Series("n", line.persons[span], dtype=pl.Float64).cast(pl.Int64),
                    nullable(line.number[span], "number"),
                    nullable(line.interval[0][span], "number_low"),
                    nullable(line.interval[1][span], "number_high"),
                    nullable(line.number[earlier], "previous"),
                    nullable(line.change[0][span], "change_low"),
                    nullable(line.change[1][span], "change_high"),
                )
            )
    return _compared(pl.concat(frames), definition, zero=zero)


@dataclass(frozen=True, eq=False)
class _Line:
    """One series or formula in all cells."""

    series: str
    label: str
    number: Floats
    persons: Floats
    interval: tuple[Floats, Floats]
    change: tuple[Floats, Floats]


def _lines(rows: pl.DataFrame, definition: Trends, grid: _Grid, back: int, *, zero: bool) -> Iterator[_Line]:
    """The series in their order, then the formulas."""
    none = (np.full(grid.cells, np.nan), np.full(grid.cells, np.nan))
    numbers: dict[str, Floats] = {}
    shares: dict[str, pl.DataFrame] = {}
    of_letter = {}
    for number, (letter, each) in enumerate(zip(definition.letters, definition.series, strict=True)):
        value = f"value_{letter}"
        mine = rows.filter((pl.col("mask") & (1 << number)) != 0)
        numbers[letter], persons = _series(mine, each, value, grid)
        if zero:
            numbers[letter] = np.nan_to_num(numbers[letter], nan=0.0)
        if each.measure in ADDITIVE:
            shares[letter] = _shares(mine, each, value)
        quantiles = none
        if each.measure in QUANTILES:
            quantiles = quantile_intervals(mine, value, grid.cells, QUANTILES[each.measure])
        of_letter[letter] = (each, persons, quantiles)
    drawn = replicates(shares, grid.cells) if shares else None
    for letter, (each, persons, interval) in of_letter.items():
        change = none
        if drawn is not None and letter in shares:
            change = drawn.change(letter, grid.periods, back)
            if each.measure in INTERVALS_OF:
                interval = drawn.value(letter)
        yield _Line(letter, each.label, numbers[letter], persons, interval, change)
    for formula in definition.formulas:
        letters = formula_names(formula.formula)
        found = evaluate(formula.formula, numbers)
        interval = change = none
        if drawn is not None and letters <= shares.keys():
            share = _share(formula, definition, shares, grid)
            interval = drawn.value(formula.formula) if share is None else share
            change = drawn.change(formula.formula, grid.periods, back)
        yield _Line(
            formula.formula,
            formula.label,
            np.nan_to_num(found, nan=0.0) if zero else found,
            _persons_of(rows, definition, letters, grid),
            interval,
            change,
        )


def _share(
    formula: Formula, definition: Trends, shares: dict[str, pl.DataFrame], grid: _Grid
) -> tuple[Floats, Floats] | None:
    """Intervals of a formula that is a share of persons: `A / B`, A being some of B."""
    upper, slash, lower = (word.strip() for word in formula.formula.partition("/"))
    measures = {
        letter: each.measure for letter, each in zip(definition.letters, definition.series, strict=True)
    }
    if not slash or measures.get(upper) != "persons" or measures.get(lower) != "persons":
        return None
    part, whole = (shares[letter].select("person", "cell") for letter in (upper, lower))
    return share_intervals(part, whole, grid.cells)


def _compared(table: pl.DataFrame, definition: Trends, *, zero: bool) -> pl.DataFrame:
    both = pl.col("complete") & pl.col("previous_complete")
    change = pl.col("number") / pl.col("previous") - 1
    return table.select(
        pl.lit(definition.name).alias("definition"),
        "series",
        "label",
        "value",
        "period_start",
        "starts_at",
        "n",
        "number",
        "number_low",
        "number_high",
        "previous_start",
        pl.when(pl.lit(zero) | pl.col("previous_complete")).then("previous").alias("previous"),
        pl.when(both & change.is_finite()).then(change).alias("change"),
        pl.when(both & change.is_finite()).then("change_low").alias("change_low"),
        pl.when(both & change.is_finite()).then("change_high").alias("change_high"),
        "complete",
    )


def _series(mine: pl.DataFrame, each: Series, value: str, grid: _Grid) -> tuple[Floats, Floats]:
    """The number of every cell (NaN where it does not exist) and its persons."""
    persons = pl.col("person").n_unique().cast(pl.Float64)
    measures = {
        "total": lambda: pl.len().cast(pl.Float64),
        "persons": lambda: persons,
        "per_person": lambda: pl.len() / persons,
        "sum": lambda: pl.col(value).sum(),
        "average": lambda: pl.col(value).mean(),
        "min": lambda: pl.col(value).min(),
        "max": lambda: pl.col(value).max(),
    }
    if each.measure in QUANTILES:
        number = pl.col(value).quantile(QUANTILES[each.measure], interpolation="linear")
    else:
        number = measures[each.measure]()
    # Sorted, so that sums of floats do not depend on the order of rows.
    ordered = mine.sort("cell", value) if each.property is not None else mine
    cells = ordered.group_by("cell").agg(number.alias("number"), persons.alias("persons"))
    empty = 0.0 if each.measure in EMPTY_IS_ZERO else np.nan
    return _spread(cells, "number", grid, empty), _spread(cells, "persons", grid, 0.0)


def _spread(cells: pl.DataFrame, name: str, grid: _Grid, empty: float) -> Floats:
    found = np.full(grid.cells, empty)
    found[cells["cell"].to_numpy()] = cells[name].fill_null(np.nan).to_numpy()
    return found


def _shares(mine: pl.DataFrame, each: Series, value: str) -> pl.DataFrame:
    """What every person adds to the number of a cell; see `trend_intervals.replicates`."""
    upper, lower = {
        "total": (pl.len(), None),
        "persons": (pl.lit(1), None),
        "per_person": (pl.len(), pl.lit(1)),
        "sum": (pl.col(value).sum(), None),
        "average": (pl.col(value).sum(), pl.col(value).count()),
    }[each.measure]
    ordered = mine.sort("person", "cell", value) if each.property is not None else mine
    return (
        ordered.group_by("person", "cell")
        .agg(
            upper.cast(pl.Float64).alias("upper"),
            *([] if lower is None else [lower.cast(pl.Float64).alias("lower")]),
        )
        .sort("cell", "person")
    )


def _persons_of(rows: pl.DataFrame, definition: Trends, letters: set[str], grid: _Grid) -> Floats:
    bits = sum(1 << number for number, letter in enumerate(definition.letters) if letter in letters)
    mine = rows.filter((pl.col("mask") & bits) != 0)
    cells = mine.group_by("cell").agg(pl.col("person").n_unique().cast(pl.Float64).alias("persons"))
    return _spread(cells, "persons", grid, 0.0)
