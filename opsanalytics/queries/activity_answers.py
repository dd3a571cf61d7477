"""Answers: numbers, figures and words about lifecycle, stickiness, usage interval and trends."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

import polars as pl

from opsanalytics.behavior.lifecycle import LifecycleCounts
from opsanalytics.behavior.stickiness import StickinessCounts
from opsanalytics.behavior.trends import TrendsCounts
from opsanalytics.behavior.usage_interval import UsageIntervalCounts
from opsanalytics.queries import html
from opsanalytics.queries.answer import Answer
from opsanalytics.reports import formats

if TYPE_CHECKING:
    import plotly.graph_objects as go

SHOWN = 24
"""Periods in the table of a notebook."""


class LifecycleResult(Answer[LifecycleCounts]):
    """New, returning, resurrected and dormant persons by period."""

    def persons(self, state: str | None = None) -> pl.DataFrame:
        """`starts_at`, `person`, `state` of everybody, or of those in one state.

        Raises:
            ValueError: there is no such state.
        """
        from opsanalytics.behavior.lifecycle import STATES

        if state is None:
            return self.counts.states
        if state not in STATES:
            raise ValueError(f"state: {state!r} is not one of {', '.join(STATES)}")
        return self.counts.states.filter(pl.col("state") == state)

    def figure(self) -> "go.Figure":
        """Bars by period: active persons by state, dormant ones below the axis."""
        from opsanalytics.reports import figures

        return figures.lifecycle_figure(self.to_polars())

    def html_parts(self) -> list[str]:
        """A table of the last periods."""
        names = ("active", "new", "returning", "resurrected", "dormant")
        rows = [
            [_when(row), *(formats.count(row[name]) for name in names), html.share(row, "return_rate")]
            for row in self.to_polars().tail(SHOWN).to_dicts()
        ]
        heads = ["period (* not complete)", *names, "came back"]
        return [html.table(self._caption, heads, rows)]


class StickinessResult(Answer[StickinessCounts]):
    """Persons by the number of units in which they were active, and active persons by day."""

    def pooled(self) -> pl.DataFrame:
        """The cells pooled over complete periods."""
        return self.counts.pooled()

    def days(self) -> pl.DataFrame:
        """Active persons by day: the mart `active_persons` without `quality`."""
        return self.counts.days

    def figure(self, kind: Literal["units", "active"] = "units") -> "go.Figure":
        """Shares by least number of units, or active persons by day."""
        from opsanalytics.reports import figures

        if kind == "units":
            return figures.stickiness_figure(self._cells(), self.counts.definition.unit)
        if kind == "active":
            return figures.active_figure(self.days())
        raise ValueError(f"kind: {kind!r} is not 'units' or 'active'")

    def html_parts(self) -> list[str]:
        """Tables of shares by number of units and of the last days."""
        unit = self.counts.definition.unit
        cells = [
            [
                f"{row['units']}" + ("" if row["complete"] else "*"),
                formats.count(row["persons"]),
                formats.count(row["at_least"]),
                formats.count(row["n"]),
                f"{formats.percent(row['at_least_share'])} "
                f"({formats.percent_interval(row['at_least_low'], row['at_least_high'])})",
            ]
            for row in self._cells().to_dicts()
        ]
        days = [
            [
                formats.day(row["day"]) + ("" if row["complete"] else "*"),
                *(formats.count(row[name]) for name in ("dau", "wau", "mau")),
                html.share(row, "dau_wau"),
                html.share(row, "dau_mau"),
            ]
            for row in self.days().tail(SHOWN).to_dicts()
        ]
        heads = [f"{unit}s (* not complete)", "exactly", "or more", "of", "share"]
        return [
            html.table(self._caption, heads, cells),
            html.table("Active persons", ["day", "day", "7 days", "30 days", "day / 7", "day / 30"], days),
        ]

    def _cells(self) -> pl.DataFrame:
        """The pooled cells, or those of a whole range."""
        ranged = self.counts.definition.period == "range"
        start = pl.col("period_start")
        return self.to_polars().filter(start.is_not_null() if ranged else start.is_null())


class UsageIntervalResult(Answer[UsageIntervalCounts]):
    """How long people pause between two uses."""

    def summary(self) -> dict[str, Any]:
        """Median and usage interval with their intervals, and who is in no number: mart `usage_intervals`."""
        return self.counts.summary.row(0, named=True)

    def persons(self) -> pl.DataFrame:
        """`person`, `uses`, `median_pause`, `open_pause`."""
        return self.counts.persons

    def figure(self) -> "go.Figure":
        """The share of persons by pause."""
        from opsanalytics.reports import figures

        return figures.usage_interval_figure(
            self.to_polars(), self.summary()["interval"], self.counts.definition.unit
        )

    def html_parts(self) -> list[str]:
        """The summary and the distribution."""
        row, unit = self.summary(), self.counts.definition.unit
        told = [
            ["persons with two uses or more", formats.count(row["n"]), ""],
            ["median pause", *_estimate(row, "median")],
            [f"{row['share']:.0%} use it again within", *_estimate(row, "interval")],
            ["persons with one use", formats.count(row["once"]), ""],
        ]
        pauses = [
            [formats.count(each["pause"]), formats.count(each["persons"]), html.share(each, "share")]
            for each in self.to_polars().head(SHOWN).to_dicts()
        ]
        return [
            html.table(self._caption, ["", f"{unit}s or persons", "95 % interval"], told),
            html.table("Persons by median pause", [f"{unit}s", "persons", "within"], pauses),
        ]


class TrendsResult(Answer[TrendsCounts]):
    """Numbers by series and period."""

    def figure(self) -> "go.Figure":
        """One line a series and value, complete periods only."""
        from opsanalytics.reports import figures

        return figures.trends_figure(self.to_polars())

    def html_parts(self) -> list[str]:
        """One table a series and value."""
        parts = []
        for (label, value), group in self.to_polars().group_by("label", "value", maintain_order=True):
            rows = [
                [
                    _when(row),
                    *_estimate(row, "number"),
                    formats.number(row["previous"]),
                    formats.percent(row["change"]),
                    formats.percent_interval(row["change_low"], row["change_high"]),
                ]
                for row in group.tail(SHOWN).to_dicts()
            ]
            heads = [
                "period (* not complete)",
                "number",
                "95 % interval",
                "before",
                "change",
                "95 % interval",
            ]
            title = f"{self._caption}: {label}" + (f", {value}" if value else "")
            parts.append(html.table(title, heads, rows))
        return parts


def _when(row: Mapping[str, Any]) -> str:
    return formats.day(row["period_start"]) + ("" if row["complete"] else "*")


def _estimate(row: Mapping[str, Any], name: str) -> list[str]:
    return [
        formats.number(row[name]),
        formats.number_interval(row[f"{name}_low"], row[f"{name}_high"]),
    ]
