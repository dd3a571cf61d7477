"""Answers about sessions, paths and cohorts: numbers, figures and words."""

from typing import TYPE_CHECKING, Any

import polars as pl

from opsanalytics.behavior.cohorts import CohortResult as CohortCounts
from opsanalytics.behavior.paths import PathsResult as PathCounts
from opsanalytics.behavior.sessions import SessionsResult as SessionCounts
from opsanalytics.queries import html
from opsanalytics.queries.answer import Answer
from opsanalytics.reports import formats

if TYPE_CHECKING:
    import plotly.graph_objects as go

MOST_SEQUENCES = 50
"""Sequences that a page lists."""
FEW = "few"


class SessionsResult(Answer[SessionCounts]):
    """Sessions that were over at `as_of`, and their summary by period."""

    def to_polars(self) -> pl.DataFrame:
        """One row a period, and one (`period_start` null) for all: the mart `sessions` without `quality`."""
        return self.counts.to_polars()

    def each(self) -> pl.DataFrame:
        """One row a session: `person`, `session`, `start_ts`, `end_ts`, `events`, `bounced`, `over`."""
        return self.counts.sessions

    def figure(self) -> "go.Figure":
        """Bounce rate by period with its interval; complete periods filled, others hollow."""
        from opsanalytics.reports import figures

        return figures.sessions_figure(self.to_polars())

    def html_parts(self) -> list[str]:
        """The table by period."""
        rows = [
            [
                "all" if row["period_start"] is None else formats.day(row["period_start"]),
                formats.count(row["n"]),
                formats.count(row["persons"]),
                formats.decimal(row["per_person"]),
                formats.decimal(row["events_per_session"]),
                _median(row),
                html.share(
                    {**row, "bounce_rate_low": row["bounce_low"], "bounce_rate_high": row["bounce_high"]},
                    "bounce_rate",
                ),
                formats.count(row["open_sessions"]),
                FEW if row["small"] else "",
            ]
            for row in self.to_polars().to_dicts()
        ]
        heads = [
            self.counts.definition.period,
            "sessions",
            "persons",
            "a person",
            "events each",
            "median length",
            "bounced",
            "still open",
            "",
        ]
        return [html.table(self._caption, heads, rows)]


class PathsResult(Answer[PathCounts]):
    """Paths of mature anchors, step by step and as sequences."""

    def to_polars(self) -> pl.DataFrame:
        """One row a step from one label to another: the columns of the mart `paths` without `quality`."""
        return self.counts.to_polars()

    def sequences(self) -> pl.DataFrame:
        """Whole paths: `sequence`, `n`, `count`, `persons`, `rate`, `rate_low`, `rate_high`, `small`."""
        return self.counts.sequences

    def reached(self) -> dict[str, Any]:
        """Of the anchors, how many paths reached the definition's `end`, with interval.

        Raises:
            ValueError: the definition has not both `start` and `end`.
        """
        return self.counts.reached()

    def figure(self) -> "go.Figure":
        """A Sankey diagram of the steps."""
        from opsanalytics.reports import figures

        return figures.paths_figure(self.to_polars())

    def html_parts(self) -> list[str]:
        """Tables of the sequences and of the steps."""
        sequences = [
            [
                " › ".join(row["sequence"]),
                formats.count(row["count"]),
                html.share(row),
                FEW if row["small"] else "",
            ]
            for row in self.sequences().head(MOST_SEQUENCES).to_dicts()
        ]
        steps = [
            [
                f"{row['step']}: {row['from_event']} › {row['to_event']}",
                formats.count(row["count"]),
                formats.count(row["n"]),
                html.share(row),
                _median(row),
                FEW if row["small"] else "",
            ]
            for row in self.to_polars().to_dicts()
        ]
        caption = (
            f"{self.counts.definition.label}: {formats.count(self.counts.paths)} paths, as of "
            f"{formats.moment(self.as_of, 'UTC')}, {formats.count(self.counts.open_anchors)} still open"
        )
        return [
            html.table(caption, ["path", "paths", "share", ""], sequences),
            html.table("Steps", ["step", "paths", "of", "share", "median time", ""], steps),
        ]


class CohortResult(Answer[CohortCounts]):
    """Who belongs to a cohort at `as_of`."""

    @property
    def size(self) -> int:
        """Number of members."""
        return self.counts.size

    def to_polars(self) -> pl.DataFrame:
        """One row: the columns of the mart `cohorts` without `quality`."""
        return self.counts.to_polars()

    def members(self) -> pl.DataFrame:
        """One row a member: the columns of the mart `cohort_persons` without `quality`."""
        return self.counts.members()

    def figure(self) -> "go.Figure":
        """The share of persons that belong, with its interval."""
        from opsanalytics.reports import figures

        return figures.cohort_figure(self.to_polars())

    def html_parts(self) -> list[str]:
        """The size of the cohort."""
        row = self.to_polars().to_dicts()[0]
        cells = [
            self.counts.definition.label,
            formats.count(row["persons"]),
            formats.count(row["n"]),
            html.share(row),
            FEW if row["small"] else "",
        ]
        caption = f"As of {formats.moment(self.as_of, 'UTC')}"
        return [html.table(caption, ["cohort", "members", "of persons", "share", ""], [cells])]


def _median(row: dict[str, Any]) -> str:
    """`42 s (30 s to 1 min)`."""
    shown = formats.duration(row["median_seconds"])
    if row["median_low"] is None:
        return shown
    return f"{shown} ({formats.duration(row['median_low'])} to {formats.duration(row['median_high'])})"
