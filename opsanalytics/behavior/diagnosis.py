"""Drop-off diagnosis: what goes with dropping out after a step, observed equally long (`Diagnosis`)."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

import numpy as np
import polars as pl

from opsanalytics.behavior.diagnosis_candidates import Compared, candidates
from opsanalytics.behavior.diagnosis_judging import FINDINGS, Judged, interval, judged
from opsanalytics.behavior.diagnosis_next import NEXT, did_instead
from opsanalytics.behavior.diagnosis_rows import SIGNALS, Surroundings, surroundings
from opsanalytics.behavior.diagnosis_spec import Diagnosis, check_diagnosed
from opsanalytics.behavior.funnel import FunnelResult, funnel
from opsanalytics.behavior.marts import mart_rows, plain_rows, with_provenance
from opsanalytics.behavior.rows import Events, LeftOut, check_as_of
from opsanalytics.behavior.segments import Segment
from opsanalytics.behavior.spec import Funnel
from opsanalytics.behavior.statistics import CONFIDENCE
from opsanalytics.behavior.subjects import prepared
from opsanalytics.behavior.tables import PROVENANCE
from opsanalytics.behavior.tables_diagnosis import DROP_OFF_DIAGNOSIS, DROP_OFF_STEPS

OWN = [each for each in DROP_OFF_DIAGNOSIS.names if each not in {column.name for column in PROVENANCE}]
EXPLAINED = 0.5
"""Share of a crude difference below which strata have explained it."""
SHORTEST = 1.0
"""Seconds of the shortest landmark that is chosen by itself."""


@dataclass(frozen=True, eq=False)
class DiagnosisResult:
    """What was compared, what was found, and what people did instead."""

    definition: Diagnosis
    funnel: FunnelResult
    """Of first attempts."""
    step: int
    """The step diagnosed."""
    as_of: datetime
    reached: int
    """Persons whose first attempt is mature and made the step."""
    passed: int
    """Of these, those who went on."""
    landmark_seconds: float | None
    """None where nobody went on, or all did at once: nothing that happened after the step is compared."""
    at_risk: int
    """Persons who had not gone on by the landmark."""
    silent: int
    """Of these, those without any event between step and landmark."""
    silent_passed: int
    """Of the silent, those who went on after all."""
    compared: pl.DataFrame
    """The columns of DROP_OFF_DIAGNOSIS without `quality`."""
    instead: pl.DataFrame
    """The columns of DROP_OFF_NEXT without `quality`."""

    @property
    def left_out(self) -> LeftOut:
        """Events of the funnel without person or time."""
        return self.funnel.left_out

    @property
    def findings(self) -> pl.DataFrame:
        """The rows that pass the test and the cross-checks: what drops more first, largest effect first."""
        found = self.compared.filter(pl.col("verdict").is_in(FINDINGS))
        return found.sort("verdict", pl.col("effect").abs(), descending=[False, True])

    def to_polars(self) -> pl.DataFrame:
        return self.compared

    def summary(self) -> pl.DataFrame:
        """One row: the columns of DROP_OFF_STEPS without `quality`."""
        row = {
            "step_name": self.step_name,
            "reached": self.reached,
            "dropped": self.reached - self.passed,
            "landmark_seconds": self.landmark_seconds,
            "at_risk": self.at_risk,
            "silent": self.silent,
            "silent_dropped": self.silent - self.silent_passed,
            "comparisons": self.compared.height,
            "findings": self.findings.height,
        }
        schema = {name: DROP_OFF_STEPS.schema[name] for name in row}
        frame = pl.DataFrame([row], schema=schema)
        named = frame.select(*_names(self.definition, self.step), pl.all())
        return with_provenance(named, self.definition, self.as_of)

    def mart_rows(self, *, quality: str) -> pl.DataFrame:
        """Rows of the mart DROP_OFF_DIAGNOSIS; `quality` is the state of the checks upstream."""
        return mart_rows(DROP_OFF_DIAGNOSIS, [self.compared], quality=quality)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        return {
            "definition": self.definition.model_dump(mode="json"),
            "definition_id": self.definition.definition_id,
            "as_of": self.as_of.isoformat(),
            "step": self.step,
            "step_name": self.step_name,
            "reached": self.reached,
            "passed": self.passed,
            "landmark_seconds": self.landmark_seconds,
            "at_risk": self.at_risk,
            "silent": self.silent,
            "silent_passed": self.silent_passed,
            "findings": plain_rows(self.findings),
            "compared": plain_rows(self.compared),
            "instead": plain_rows(self.instead),
            "left_out": {
                "without_person": self.left_out.without_person,
                "without_time": self.left_out.without_time,
            },
        }

    @property
    def step_name(self) -> str:
        return self.funnel.definition.steps[self.step - 1].label

    def __repr__(self) -> str:
        dropped = self.reached - self.passed
        lines = [
            f"{self.definition.label}, after step {self.step} ({self.step_name}): {dropped} of "
            f"{self.reached} dropped out in their first attempt by {self.as_of.isoformat(timespec='minutes')}"
        ]
        if self.landmark_seconds is not None:
            lines.append(
                f"  {self.at_risk} had not gone on after {timedelta(seconds=round(self.landmark_seconds))}; "
                f"{self.silent} of them had done nothing"
            )
        found = self.findings
        lines.append(f"  {found.height} findings among {self.compared.height} comparisons")
        lines += [_line(row) for row in found.to_dicts()]
        return "\n".join(lines)


def diagnose(
    events: Events,
    definition: Diagnosis,
    *,
    as_of: datetime,
    first: date | None = None,
    last: date | None = None,
    timezone: str = "UTC",
    segments: Sequence[Segment] = (),
    signals: pl.DataFrame | None = None,
) -> DiagnosisResult:
    """Compare who dropped out after a step with who went on.

    Args:
        events: see `rows.Events`; columns besides are looked at as properties of the step's event.
        definition: what is compared; its docstring has the rules.
        as_of: events up to here are complete; later ones are not looked at. Needs a time zone.
        first, last: local days, or times with a zone, that limit entries, inclusive; all if not given.
        timezone: IANA zone of these days.
        segments: their value on the entry event, whatever their attribution (what people did later must not
            decide their group), or of the person.
        signals: friction met: `person` (text), `ts` (UTC), `signal`, `place`.

    Raises:
        EventsError, PropertyError: the events cannot answer the definition; nothing was read.
        ValueError: `as_of`, `first`, `last` or `timezone` is wrong, or the funnel is only named, or signals
            lack a column.
    """
    as_of = check_as_of(as_of)
    if not isinstance(definition.funnel, Funnel):
        raise ValueError(
            f"funnel: {definition.funnel!r} is only named here; give the Funnel itself, or put the "
            "definition into a configuration that has the funnel"
        )
    if signals is not None and not set(SIGNALS) <= set(signals.columns):
        raise ValueError(f"signals have the columns {signals.columns}; they need {SIGNALS.names()}")
    check_diagnosed(definition.funnel, definition.step)
    events = prepared(
        events,
        definition.funnel,
        as_of=as_of,
        wanted=[
            *definition.person_properties,
            *(name for one in segments for name in one.person_properties()),
        ],
        cohorts=[cohort for one in segments for cohort in one.cohorts()],
        timezone=timezone,
    )
    # Among is settled by now. The attempt that gets furthest would be chosen by the outcome: of who went on
    # the last entry before, of who did not the first ever, and what lies around them differs for that.
    counted = definition.funnel.model_copy(update={"among": None, "reentry": False})
    result = funnel(events, counted, as_of=as_of, first=first, last=last, timezone=timezone)
    step = definition.step or largest_drop(result)
    around = surroundings(events, definition, result, step, as_of=as_of, segments=segments, signals=signals)
    landmark = _landmark(around, definition)
    compared = list(candidates(around, definition, landmark))
    table = _table(compared, around, definition, step)
    instead = NEXT.to_frame() if landmark is None else did_instead(around, landmark, least=definition.min_n)
    still = around.still_there(landmark or 0.0)
    silent = still & (around.seen_until(landmark or 0.0)[0] == 0)
    through = np.isfinite(around.passed)
    return DiagnosisResult(
        definition=definition,
        funnel=result,
        step=step,
        as_of=as_of,
        reached=len(around.passed),
        passed=int(through.sum()),
        landmark_seconds=landmark,
        at_risk=int(still.sum()),
        silent=int(silent.sum()),
        silent_passed=int((silent & through).sum()),
        compared=with_provenance(table, definition, as_of),
        instead=with_provenance(instead.select(*_names(definition, step), *NEXT.names()), definition, as_of),
    )


def largest_drop(result: FunnelResult) -> int:
    """The step after which most persons dropped out; of equals the first."""
    steps = len(result.definition.steps)
    lost = [result.persons_at(number, dropped=True).height for number in range(1, steps)]
    return 1 + int(np.argmax(lost))


def _landmark(around: Surroundings, definition: Diagnosis) -> float | None:
    """Seconds after the step up to which things count."""
    if definition.landmark is not None:
        return definition.landmark.total_seconds()
    went_on = around.passed[np.isfinite(around.passed)]
    if not len(went_on):
        return None
    landmark = max(SHORTEST, float(np.median(went_on)))
    return landmark if bool(((around.passed > landmark) & (around.ends > landmark)).any()) else None


def _names(definition: Diagnosis, step: int) -> list[pl.Expr]:
    funnel = definition.funnel.name if isinstance(definition.funnel, Funnel) else definition.funnel
    return [
        pl.lit(definition.name).alias("diagnosis"),
        pl.lit(funnel).alias("funnel"),
        pl.lit(step, pl.Int32).alias("step"),
    ]


def _table(compared: list[Compared], around: Surroundings, definition: Diagnosis, step: int) -> pl.DataFrame:
    rows = [_row(each) for each in judged(compared, around, definition)]
    schema = {
        column.name: column.dtype
        for column in DROP_OFF_DIAGNOSIS.columns
        if column.name in OWN and column.name not in ("diagnosis", "funnel", "step", "step_name")
    }
    frame = pl.DataFrame(rows, schema=schema).with_columns(pl.col(pl.Float64).fill_nan(None))
    label = around.population.label
    return (
        frame.with_columns(*_names(definition, step), pl.lit(label).alias("step_name"))
        .select(OWN)
        .sort("verdict", "effect", "kind", "name", "value", nulls_last=True)
    )


def _row(each: Judged) -> dict[str, Any]:
    one, found = each.one, each.one.found
    low, high = interval(found.effect, found.error)
    matched = each.matched or (None, None, None)
    return {
        "kind": one.kind,
        "name": one.name,
        "value": one.value,
        "verdict": each.verdict,
        "landmark_seconds": one.risk.landmark,
        "n": one.n,
        "n_with": one.n_with,
        "passed_with": one.passed_with,
        "passed_without": one.passed_without,
        "rate_with": found.rate_with,
        "rate_without": found.rate_without,
        "effect": found.effect,
        "effect_low": low,
        "effect_high": high,
        **(one.odds() if found.compared else {}),
        "q_value": each.q,
        "crude_effect": one.crude,
        "confounding": _confounding(one),
        "overlap": found.compared / one.n_with,
        "active_effect": None if each.active is None else each.active.effect,
        "matched_effect": matched[0],
        "matched_low": matched[1],
        "matched_high": matched[2],
        "naive_odds_ratio": one.naive,
        "strata": one.risk.strata,
    }


def _confounding(one: Compared) -> str:
    """Whether strata take away, or turn round, a crude difference that would be taken for one."""
    if one.crude_p >= 1 - CONFIDENCE or not one.found.compared:
        return "none"
    effect, significant = one.found.effect, one.found.p_value < 1 - CONFIDENCE
    if significant:
        return "reversed" if one.crude * effect < 0 else "none"
    # An interval that has become wide explains nothing; an estimate that has gone does.
    return "explained" if abs(effect) < EXPLAINED * abs(one.crude) or one.crude * effect < 0 else "none"


def _line(row: dict[str, Any]) -> str:
    what = " ".join(part for part in (row["kind"], row["name"], row["value"]) if part)
    return (
        f"  {row['verdict']}: {what}: {row['rate_with']:.1%} went on, comparable others "
        f"{row['rate_without']:.1%} ({row['effect_low'] * 100:+.1f} to {row['effect_high'] * 100:+.1f} "
        f"points), {row['n_with']} persons"
    )
