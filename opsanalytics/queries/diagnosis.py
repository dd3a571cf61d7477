"""The question `opsanalytics.diagnose`."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Any, TypeAlias

import polars as pl
from pydantic import ValidationError

from opsanalytics.behavior import diagnosis as diagnoses
from opsanalytics.behavior.diagnosis_spec import Diagnosis
from opsanalytics.behavior.rows import Events
from opsanalytics.behavior.segments import Segment
from opsanalytics.behavior.spec import Funnel
from opsanalytics.improvement.friction import friction_met
from opsanalytics.improvement.settings import FrictionSettings
from opsanalytics.queries import html
from opsanalytics.queries.answer import Answer
from opsanalytics.queries.ask import FunnelLike, answered, as_segments
from opsanalytics.queries.inputs import DefinitionError, EventsOrLake, as_definition, day_of
from opsanalytics.reports import formats
from opsanalytics.reports.diagnosis_words import KINDS, VERDICTS, what

if TYPE_CHECKING:
    import plotly.graph_objects as go

DiagnosisLike: TypeAlias = Diagnosis | FunnelLike


class DiagnosisResult(Answer[diagnoses.DiagnosisResult]):
    """What goes with dropping out after a step of a funnel."""

    @property
    def step(self) -> int:
        """The step diagnosed."""
        return self.counts.step

    @property
    def landmark_seconds(self) -> float | None:
        """Up to when after the step things count; None where nobody went on."""
        return self.counts.landmark_seconds

    def to_polars(self) -> pl.DataFrame:
        """One row a comparison: the columns of the mart `drop_off_diagnosis` without `quality`."""
        return self.counts.to_polars()

    def findings(self) -> pl.DataFrame:
        """The rows that are findings: what goes with dropping out first, largest effect first."""
        return self.counts.findings

    def summary(self) -> pl.DataFrame:
        """One row: the columns of the mart `drop_off_steps` without `quality`."""
        return self.counts.summary()

    def instead(self) -> pl.DataFrame:
        """What people did instead: the columns of the mart `drop_off_next` without `quality`."""
        return self.counts.instead

    def figure(self) -> "go.Figure":
        """Effects with their intervals: findings filled, the strongest of the others hollow."""
        from opsanalytics.reports import figures

        return figures.diagnosis_figure(self.to_polars())

    def html_parts(self) -> list[str]:
        """Tables of the findings, of misleading crude differences, and of what people did instead."""
        counts = self.counts
        caption = (
            f"{counts.definition.label}: after step {counts.step} ({counts.step_name}) "
            f"{formats.count(counts.reached - counts.passed)} of {formats.count(counts.reached)} dropped "
            f"out in their first attempt, as of {formats.moment(self.as_of, 'UTC')}"
        )
        misleading = self.to_polars().filter(pl.col("confounding") != "none")
        heads = ["", "verdict", "went on", "comparable others", "difference", "persons", "q", "crude"]
        parts = [html.table(caption, heads, [_cells(row) for row in self.findings().to_dicts()])]
        if misleading.height:
            rows = [_cells(row) for row in misleading.to_dicts()]
            parts.append(html.table("Crude differences that comparable persons do not show", heads, rows))
        if counts.instead.height:
            rows = [
                [
                    row["event"],
                    html.share(row),
                    formats.percent(row["other_rate"]),
                    f"{formats.points(row['difference'])} "
                    f"({formats.points_interval(row['difference_low'], row['difference_high'])})",
                    formats.q_value(row["q_value"]),
                ]
                for row in counts.instead.sort("count", descending=True).to_dicts()
            ]
            heads = ["next event", "dropped out", "went on later", "difference", "q"]
            parts.append(html.table("What they did instead", heads, rows))
        return parts


def _cells(row: dict[str, Any]) -> list[str]:
    return [
        f"{KINDS.get(row['kind'], row['kind'])}: {what(row)}",
        VERDICTS[row["verdict"]],
        formats.percent(row["rate_with"]),
        formats.percent(row["rate_without"]),
        f"{formats.points(row['effect'])} ({formats.points_interval(row['effect_low'], row['effect_high'])})",
        f"{formats.count(row['n_with'])} of {formats.count(row['n'])}",
        formats.q_value(row["q_value"]),
        formats.points(row["crude_effect"]),
    ]


def diagnose(
    events: EventsOrLake,
    definition: DiagnosisLike,
    *,
    step: int | None = None,
    landmark: str | timedelta | None = None,
    segments: str | Segment | Sequence[str | Segment] = (),
    friction: FrictionSettings | Mapping[str, Any] | None = None,
    as_of: datetime | None = None,
    first: date | str | None = None,
    last: date | str | None = None,
    timezone: str = "UTC",
    persons: pl.DataFrame | None = None,
) -> DiagnosisResult:
    """Say what goes with dropping out after a step of a funnel.

    Args:
        events, as_of, first, last, timezone, persons: as `funnel`.
        definition: the funnel: a `Funnel`, its fields as a mapping, or a JSON or TOML file. Or a `Diagnosis`,
            which names landmark, strata, limits and what is looked at besides.
        step: the step after which people drop out; if not given the definition's, else the one after which
            most do.
        landmark: how long after the step things count: `10m`. If not given the definition's, else the median
            time of going on.
        segments: properties or `Segment`s of the entry event (or of persons) to compare by.
        friction: what counts as friction, as the section `[friction]` of a configuration: errors, slow loads
            and signals of your own become candidates by place.

    Raises:
        as `funnel`; ValueError also if the funnel does not count persons in an order of steps, or has no such
        step.
    """
    asked = _asked(definition, step, landmark)
    by = as_segments(segments)
    days = {"first": day_of("first", first), "last": day_of("last", last)}
    settings = None if friction is None else _friction(friction)

    def of_table(table: Events, end: datetime) -> DiagnosisResult:
        signals = None
        if settings is not None and isinstance(asked.funnel, Funnel):
            signals = friction_met(table, settings, asked.funnel, as_of=end)
        return DiagnosisResult(
            diagnoses.diagnose(
                table, asked, as_of=end, timezone=timezone, segments=by, signals=signals, **days
            )
        )

    return answered(events, persons, as_of, of_table)


def _friction(settings: FrictionSettings | Mapping[str, Any]) -> FrictionSettings:
    """The settings as a model.

    Raises:
        DefinitionError: a field is wrong.
    """
    if isinstance(settings, FrictionSettings):
        return settings
    try:
        return FrictionSettings.model_validate(settings)
    except ValidationError as error:
        raise DefinitionError(
            "\n".join(
                f"friction: {'.'.join(map(str, each['loc'])) or 'settings'}: {each['msg']}"
                for each in error.errors()
            )
        ) from error


def _asked(definition: DiagnosisLike, step: int | None, landmark: str | timedelta | None) -> Diagnosis:
    """The diagnosis of a funnel, or the given one, at this step and landmark."""
    if isinstance(definition, Diagnosis):
        fields = dict(definition)
    else:
        funnel = as_definition(definition, Funnel)
        fields = {"name": funnel.name, "funnel": funnel}
    if step is not None:
        fields["step"] = step
    if landmark is not None:
        fields["landmark"] = landmark
    return as_definition(fields, Diagnosis)
