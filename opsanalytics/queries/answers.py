"""Answers: numbers, figures and words about one funnel or one retention."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal

import polars as pl

from opsanalytics.behavior.comparison import compared
from opsanalytics.behavior.funnel import FunnelResult as FunnelCounts
from opsanalytics.behavior.funnel import step_labels
from opsanalytics.behavior.funnel_bootstrap import bootstrap
from opsanalytics.behavior.funnel_breakdown import Broken, breakdown_table
from opsanalytics.behavior.marts import nullable
from opsanalytics.behavior.retention import RetentionResult as RetentionCells
from opsanalytics.behavior.retention_breakdown import compared_curves
from opsanalytics.behavior.rows import LeftOut
from opsanalytics.behavior.spec import Funnel, Retention
from opsanalytics.behavior.statistics import RESAMPLES, wilson
from opsanalytics.behavior.times import ConversionTimes, conversion_times
from opsanalytics.behavior.values import value_table
from opsanalytics.queries import html
from opsanalytics.reports import formats

if TYPE_CHECKING:
    import plotly.graph_objects as go

SMALL_N = 30
"""Cohorts of fewer persons are pale in heat maps."""


@dataclass(frozen=True, eq=False, repr=False)
class FunnelResult:
    """A funnel over mature attempts, those whose window has elapsed; the open ones stand apart."""

    counts: FunnelCounts
    """What was counted, with every person's best attempt."""
    parts: tuple[Broken, ...] = ()
    """The funnel by segment, one part a segment asked for."""

    @property
    def definition(self) -> Funnel:
        return self.counts.definition

    @property
    def definition_id(self) -> str:
        """Hash of the rules and of the preset's switches."""
        return self.counts.definition_id

    @property
    def preset(self) -> str:
        return self.counts.semantics.name

    @property
    def as_of(self) -> datetime:
        return self.counts.as_of

    @property
    def entered(self) -> int:
        return self.counts.entered

    @property
    def conversion(self) -> float | None:
        """Share of mature entrants that reached the last step; None if nobody entered."""
        return self.counts.conversion

    @property
    def left_out(self) -> LeftOut:
        """Matching events without person or time, which count nowhere."""
        return self.counts.left_out

    def to_polars(self) -> pl.DataFrame:
        """One row a step: the columns of the mart `funnel_steps` without `quality`."""
        return self.counts.to_polars()

    def so_far(self) -> pl.DataFrame:
        """`step`, `persons`: distinct persons at each step over mature and open attempts together."""
        return self.counts.so_far()

    def persons(self, step: int = 1, *, dropped: bool = False, still_open: bool = False) -> pl.DataFrame:
        """Who made a step, or with `dropped` made it and nothing after it: `person`, `entry_ts`, `ts_1`, ...

        Of mature attempts, or with `still_open` of those whose window is open.

        Raises:
            ValueError: there is no such step, or `dropped` at the last.
        """
        found = self.counts.persons_at(step, dropped=dropped, still_open=still_open)
        return found.drop("mature", "first_entry_ts")

    def times(self, from_step: int = 1, to_step: int | None = None) -> ConversionTimes:
        """Times from one step to another (the last if not given), with mean, median, percentiles and
        `.histogram()`.

        Raises:
            ValueError: these are not two steps, in this order.
        """
        return conversion_times(self.counts, from_step, to_step)

    def bootstrap(self, replicates: int = RESAMPLES, *, seed: int = 0) -> pl.DataFrame:
        """Rates and medians by step with 95 % intervals from resampling the entrants; see
        `behavior.funnel_bootstrap`.

        Raises:
            ValueError: fewer than 100 replicates, or the funnel counts several rows a person.
        """
        return bootstrap(self.counts, replicates=replicates, seed=seed)

    def values(self) -> pl.DataFrame:
        """The definition's `value` added up by step, with bootstrap intervals; see `behavior.values`.

        Raises:
            ValueError: the definition has no `value`.
        """
        return value_table(self.counts.persons, self.definition, step_labels(self.definition))

    def breakdown(self) -> pl.DataFrame:
        """One row a segment, value and step, compared with everybody else: the mart `funnel_breakdown`
        without `quality`. Empty if no breakdown was asked for."""
        return breakdown_table(self.parts, self.definition, as_of=self.as_of, semantics=self.counts.semantics)

    def groups(self, segment: str | None = None) -> dict[str, "FunnelResult"]:
        """The funnel of every group of a segment (the first if not given), by value.

        Raises:
            KeyError: no such breakdown was asked for.
        """
        for part in self.parts:
            if segment in (None, part.segment.label()):
                return {value: FunnelResult(part.of(value)) for value in part.values()}
        known = [part.segment.label() for part in self.parts]
        raise KeyError(f"segment {segment!r}: the breakdowns asked for are {known or 'none'}")

    def compare(self, other: "FunnelResult") -> pl.DataFrame:
        """Differences of the rates from those of another period or segment; see `behavior.comparison`.

        Raises:
            ValueError: the funnels have different numbers of steps.
        """
        return compared(self.counts, other.counts)

    def figure(self, kind: Literal["steps", "times"] = "steps") -> "go.Figure":
        """The steps with their intervals, or a histogram of the times to convert."""
        from opsanalytics.reports import figures

        if kind == "steps":
            return figures.funnel_figure(self.to_polars())
        if kind == "times":
            return figures.times_figure(self.times().histogram())
        raise ValueError(f"kind: {kind!r} is not 'steps' or 'times'")

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        answer = self.counts.to_dict()
        if len(self.definition.steps) > 1:
            answer["times"] = self.times().to_dict()
        if self.parts:
            answer["breakdown"] = self.breakdown().drop("funnel", "definition_id", "as_of").to_dicts()
        if self.definition.value is not None:
            answer["values"] = self.values().to_dicts()
        return answer

    def __repr__(self) -> str:
        lines = [repr(self.counts)]
        last = len(self.definition.steps)
        for row in self.breakdown().filter(pl.col("step") == last).to_dicts():
            lines.append(
                f"  {row['segment']} {row['value']}: {row['persons']} of {row['entered']}, {html.share(row)}"
            )
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        return "".join(self.html_parts())

    def html_parts(self) -> list[str]:
        """Tables of steps and breakdowns."""
        rows = [
            [
                f"{row['step']}. {row['step_name']}",
                formats.count(row["persons"]),
                html.share(row),
                html.share(row, "step_rate"),
                formats.duration(row["median_seconds"]),
                formats.count(row["immature_persons"]),
            ]
            for row in self.to_polars().to_dicts()
        ]
        noun = {"persons": self.definition.entity or "persons"}.get(
            self.definition.counting, self.definition.counting
        )
        heads = ["step", noun, "of entrants", "of the step before", "median time", "still open"]
        caption = f"{self.definition.label}, as of {formats.moment(self.as_of, 'UTC')}, preset {self.preset}"
        parts = [html.table(caption, heads, rows)]
        table = self.breakdown().filter(pl.col("step") == len(self.definition.steps))
        for (segment,), group in table.group_by("segment", maintain_order=True):
            values = [
                [
                    row["value"],
                    formats.count(row["entered"]),
                    formats.count(row["persons"]),
                    html.share(row),
                    *_against(row),
                ]
                for row in group.to_dicts()
            ]
            heads = ["value", "entered", "converted", "rate", "against all others", "q"]
            parts.append(html.table(f"By {segment}", heads, values))
        return parts


@dataclass(frozen=True, eq=False, repr=False)
class RetentionResult:
    """Retention by cohort and period, and the curve pooled over complete cells."""

    counts: RetentionCells
    by_value: Mapping[str, RetentionCells]
    """The same by value of the property asked for."""
    apart: bool = False
    """Whether every person is in one of these groups, once: only then can they be compared."""

    @property
    def definition(self) -> Retention:
        return self.counts.definition

    @property
    def definition_id(self) -> str:
        return self.counts.definition.definition_id

    @property
    def as_of(self) -> datetime:
        return self.counts.as_of

    @property
    def left_out(self) -> LeftOut:
        """Matching events without person or time, which count nowhere."""
        return self.counts.left_out

    def to_polars(self) -> pl.DataFrame:
        """One row a cohort and period: the columns of the mart `retention_cells` without `quality`.

        The curve pooled over complete cells comes first, with `cohort` null. Cohorts of hours are the UTC
        times at which they begin; the mart adds them up by day.
        """
        cells, by_hour = self.counts.to_polars(), self.counts.by_hour
        if by_hour is None:
            return cells
        low, high = wilson(by_hour["returned"].to_numpy(), by_hour["n"].to_numpy())
        rates = by_hour.with_columns(
            (pl.col("returned") / pl.col("n")).alias("rate"),
            nullable(low, "rate_low"),
            nullable(high, "rate_high"),
            *(pl.lit(cells[name][0]).alias(name) for name in ("retention", "definition_id", "as_of")),
        )
        pooled = cells.filter(pl.col("cohort").is_null())
        hours = pooled.with_columns(pl.col("cohort").cast(by_hour.schema["cohort"]))
        return pl.concat([hours, rates.select(cells.columns).cast(hours.schema)])

    def pooled(self) -> pl.DataFrame:
        """The overall curve: `period`, `n`, `returned`, `rate`, `rate_low`, `rate_high`, `complete`."""
        return self.counts.pooled()

    def values(self) -> pl.DataFrame:
        """The definition's `value` over the return events: `cohort`, `period`, `n`, `returned`, `events`,
        `total`, `per_event`, `per_person`, `per_returned`.

        Raises:
            ValueError: the definition has no `value`.
        """
        return self.counts.value_cells()

    def breakdown(self) -> pl.DataFrame:
        """The pooled curves by value, `value` in front, each against all others together: `difference`,
        `difference_low`, `difference_high`, `q_value`. These are null where a person may be in several groups
        or count several times. Empty if no breakdown was asked for."""
        return compared_curves(self.by_value, apart=self.apart)

    def groups(self) -> dict[str, "RetentionResult"]:
        """The retention of every group, by value."""
        return {value: RetentionResult(one, {}) for value, one in self.by_value.items()}

    def figure(self, kind: Literal["cohorts", "curve"] = "cohorts") -> "go.Figure":
        """A heat map of cohorts by period, or the pooled curve."""
        from opsanalytics.reports import figures

        cohort = pl.col("cohort")
        cells = self.counts.to_polars()
        if kind == "cohorts":
            return figures.retention_heatmap(cells.filter(cohort.is_not_null()), small_n=SMALL_N)
        if kind == "curve":
            return figures.retention_curve(cells.filter(cohort.is_null()))
        raise ValueError(f"kind: {kind!r} is not 'cohorts' or 'curve'")

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        answer = self.counts.to_dict()
        if self.by_value:
            answer["breakdown"] = self.breakdown().to_dicts()
        if self.definition.value is not None:
            values = self.values().with_columns(pl.col("cohort").cast(pl.String))
            answer["values"] = values.to_dicts()
        return answer

    def __repr__(self) -> str:
        return repr(self.counts)

    def _repr_html_(self) -> str:
        return "".join(self.html_parts())

    def html_parts(self) -> list[str]:
        """Tables of the pooled curve, of the cohorts and of the values broken down by."""
        period = self.definition.period
        curve = [[f"{period} {row['period']}", *_counted(row)] for row in self.pooled().to_dicts()]
        caption = f"{self.definition.label}, complete {period}s as of {formats.moment(self.as_of, 'UTC')}"
        heads = ["period", "persons", "returned", "rate"]
        parts = [html.table(caption, heads, curve)]
        cells = self.counts.to_polars().filter(pl.col("cohort").is_not_null())
        columns = cells["period"].unique().sort().to_list()
        cohorts = []
        for (cohort,), group in cells.group_by("cohort", maintain_order=True):
            rates = {row["period"]: row for row in group.to_dicts()}
            shown = [
                formats.percent(rates[k]["rate"]) + ("" if rates[k]["complete"] else "*")
                if k in rates
                else ""
                for k in columns
            ]
            cohorts.append([str(cohort), formats.count(group["n"].max()), *shown])  # type: ignore[arg-type]
        if cohorts:
            heads = ["cohort", "persons", *map(str, columns)]
            parts.append(html.table("Cohorts (* not over yet)", heads, cohorts))
        by_value = [
            [row["value"], f"{period} {row['period']}", *_counted(row), *_against(row)]
            for row in self.breakdown().to_dicts()
        ]
        if by_value:
            heads = ["value", "period", "persons", "returned", "rate", "against the others", "q"]
            parts.append(html.table("By value", heads, by_value))
        return parts


def _counted(row: Mapping[str, Any]) -> list[str]:
    return [formats.count(row["n"]), formats.count(row["returned"]), html.share(row)]


def _against(row: Mapping[str, Any]) -> list[str]:
    if row["difference"] is None:
        return ["", ""]
    interval = formats.points_interval(row["difference_low"], row["difference_high"])
    return [f"{formats.points(row['difference'])} ({interval})", formats.q_value(row["q_value"])]
