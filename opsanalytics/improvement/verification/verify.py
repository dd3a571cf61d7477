"""Plans and shippings of a backlog to verdicts, as tables."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import polars as pl

from opsanalytics.improvement.decisions import SHIPPED, Life
from opsanalytics.improvement.verification.heard import heard_panel
from opsanalytics.improvement.verification.ledger import NONE, Calibration, calibrate, ledger_rows
from opsanalytics.improvement.verification.measure import Panel
from opsanalytics.improvement.verification.observed import (
    Attempts,
    last_complete_day,
    observe,
    with_traits,
)
from opsanalytics.improvement.verification.plan import Plan, make_panel
from opsanalytics.improvement.verification.plan_log import Frozen, PlanLog
from opsanalytics.improvement.verification.tables import (
    PREDICTION_LEDGER,
    VERIFICATION_DAYS,
    VERIFICATIONS,
)
from opsanalytics.improvement.verification.verdict import Verdict, judge
from opsanalytics.improvement.verification.words import compared

MESSAGES = pl.DataFrame(schema={"ts": pl.Datetime("us", "UTC"), "theme_id": pl.String})
BASELINE = timedelta(days=182)
"""Days before shipping that a verdict looks at, at most."""
PLANNED = ("accepted", "planned", "in_progress", "snoozed", "regressed", "harmed")
"""States in which a plan waits for shipping, whatever shipped before."""
DONE = (*SHIPPED, "worked", "did_not_work")
"""States in which `shipped_on` says when."""


@dataclass(frozen=True)
class Verifications:
    """`items` as VERIFICATIONS, `days` as VERIFICATION_DAYS, `ledger` as PREDICTION_LEDGER."""

    items: pl.DataFrame = field(default_factory=VERIFICATIONS.empty)
    days: pl.DataFrame = field(default_factory=VERIFICATION_DAYS.empty)
    ledger: pl.DataFrame = field(default_factory=PREDICTION_LEDGER.empty)
    calibration: Calibration = NONE


def verify(
    plans: PlanLog,
    lives: Mapping[str, Life],
    titles: Mapping[str, str],
    tried: Callable[[str], Attempts | None],
    events: pl.LazyFrame,
    *,
    as_of: datetime,
    zone: ZoneInfo,
    quality: str,
    messages: pl.DataFrame | None = None,
) -> Verifications:
    """Judge every fix that has a plan.

    Args:
        plans: as frozen.
        lives: what people decided: what is shipped, and when.
        titles: of items.
        tried: attempts at a funnel by its name; None: it is no longer configured.
        events: person, ts, and what plans compare by.
        as_of: data up to here is complete, UTC.
        zone: of days.
        quality: state of the checks upstream; where they failed, verdicts are withheld.
        messages: ts (UTC), theme_id, of all feedback before `as_of`.
    """
    heard = MESSAGES.clear() if messages is None else messages
    rows, days = [], []
    for item_id, frozen in plans.latest.items():
        life = lives.get(item_id)
        if life is None or life.merged_into is not None or life.parts:
            continue
        if life.state not in (*PLANNED, *DONE):
            continue
        shipped = life.shipped_on if life.state in DONE else None
        verdict, panel = _verdict(frozen.plan, shipped, tried, events, as_of, zone, quality, heard)
        rows.append(_row(frozen, verdict, shipped, titles.get(item_id, item_id), as_of, quality, tried))
        if panel is not None:
            days.append(
                _days(frozen.plan, panel, shipped, last_complete_day(as_of, frozen.plan.horizon_days, zone))
            )
    items = VERIFICATIONS.conform(pl.DataFrame(rows, schema=VERIFICATIONS.schema))
    told = ("lost_per_week", "lost_low", "lost_high", "units_per_week", "pass_value")
    predicted = pl.DataFrame(
        [
            {"item_id": each.item_id} | {name: getattr(each.plan, name) for name in told}
            for each in plans.latest.values()
        ],
        schema={"item_id": pl.String} | dict.fromkeys(told, pl.Float64),
    )
    ledger = ledger_rows(items, predicted)
    return Verifications(
        items,
        VERIFICATION_DAYS.conform(pl.concat(days)) if days else VERIFICATION_DAYS.empty(),
        ledger,
        calibrate(ledger),
    )


def _verdict(
    plan: Plan,
    shipped: date | None,
    tried: Callable[[str], Attempts | None],
    events: pl.LazyFrame,
    as_of: datetime,
    zone: ZoneInfo,
    quality: str,
    messages: pl.DataFrame,
) -> tuple[Verdict, Panel | None]:
    if plan.method == "none":
        return Verdict("not_measured", plan.reason), None
    if quality == "failed":
        return Verdict("withheld", "the data behind it failed a blocking check"), None
    if plan.method == "heard":
        last = last_complete_day(as_of, 0, zone)
        first = None if shipped is None else shipped - BASELINE
        panel = heard_panel(messages, plan.affected, zone=zone, first=first, last=last)
        begun = panel.on(np.cumsum(panel.affected.n) > 0)
        if shipped is None:
            return Verdict("planned", "it has not shipped yet"), begun
        if not len(begun.day):
            return Verdict("verifying", "nobody has written anything yet"), begun
        return judge(plan, begun, shipped, last), begun
    own = tried(plan.funnel)
    if own is None or plan.step >= len(own.definition.steps):
        return Verdict("not_measured", f"the funnel {plan.funnel} is no longer configured as it was"), None
    panel = panel_for(plan, own, events, zone=zone, shipped=shipped)
    if shipped is None:
        return Verdict("planned", "it has not shipped yet"), panel
    if not len(panel.day):
        return Verdict("verifying", "nobody has reached the step on a whole day yet"), panel
    last = last_complete_day(as_of, plan.horizon_days, zone)
    return judge(plan, panel, shipped, last), panel


def panel_for(
    plan: Plan, tried: Attempts, events: pl.LazyFrame, *, zone: ZoneInfo, shipped: date | None
) -> Panel:
    """The daily counts that a plan is about, up to the last whole day."""
    first = None if shipped is None else shipped - BASELINE
    units = observe(tried, plan.step, plan.metric, plan.horizon_days, zone=zone, first=first)
    if plan.split is not None:
        units = with_traits(units, events, [plan.by])
        if plan.by not in units.columns:
            units = units.with_columns(pl.lit(None, pl.String).alias(plan.by))
    return make_panel(
        tried, units, plan.step, plan.metric, plan.horizon_days, plan.split, plan.began, zone=zone
    )


def _row(
    frozen: Frozen,
    verdict: Verdict,
    shipped: date | None,
    title: str,
    as_of: datetime,
    quality: str,
    tried: Callable[[str], Attempts | None],
) -> dict[str, Any]:
    plan, change, known = frozen.plan, verdict.change, verdict.baseline
    placebos = known.placebos if known else ()
    return {
        "item_id": frozen.item_id,
        "title": title,
        "outcome": verdict.outcome,
        "reason": verdict.reason,
        "shipped_on": shipped,
        "since": verdict.since,
        "next_look": verdict.next_look,
        "more_days": verdict.more_days,
        "plan_version": frozen.version,
        "plan_hash": frozen.hash,
        "planned_at": frozen.at,
        "planned_by": frozen.by,
        "planned_because": frozen.because,
        "method": plan.method,
        "metric": plan.metric,
        "funnel": plan.funnel or None,
        "step": plan.step or None,
        "horizon_days": plan.horizon_days or None,
        "compared": compared(plan),
        "looks": list(plan.looks),
        "rule": plan.rule(),
        "expected": plan.expected,
        "expected_low": plan.expected_low,
        "expected_high": plan.expected_high,
        "least_change": plan.least_change,
        "power_expected": plan.power_expected,
        "days_needed": plan.days_needed,
        "days_before": known.days if known else None,
        "days_after": verdict.days_after,
        "look": verdict.look,
        "look_days": verdict.look_days,
        "change": change.change if change else None,
        "change_low": change.low if change else None,
        "change_high": change.high if change else None,
        "confidence": 1 - plan.level if change else None,
        "drift_per_week": known.slope if known else None,
        "drift_low": known.slope_low if known else None,
        "drift_high": known.slope_high if known else None,
        "drift_p": known.p_value if known else None,
        "placebo_days": [date.fromordinal(each.day) for each in placebos],
        "placebo_changes": [each.change for each in placebos],
        "inflation": known.inflation if known and plan.method == "structural" else None,
        "watched": verdict.watched,
        "fall": verdict.fall,
        "note": "; ".join(_notes(frozen, verdict, shipped, tried)),
        "as_of": as_of,
        "quality": quality,
    }


def _notes(
    frozen: Frozen, verdict: Verdict, shipped: date | None, tried: Callable[[str], Attempts | None]
) -> list[str]:
    plan, notes = frozen.plan, []
    if shipped is not None and frozen.at.date() > shipped:
        notes.append(
            "the plan was made after shipping, from the days before"
            if frozen.version == 1
            else "the plan was changed after shipping"
        )
    if plan.method == "none":
        return notes
    if plan.method == "heard":
        return [
            *notes,
            "nobody is unaffected: what else makes people write less of one thing cannot be told apart",
        ]
    own = tried(plan.funnel)
    if own is not None:
        now = own.definition.model_copy(update={"counting": "persons"}).definition_id
        if now != plan.definition_id:
            notes.append("the funnel was redefined since the plan was made")
    if plan.expected and plan.power_expected is not None and plan.power_expected < plan.power:
        notes.append(
            f"so few people are affected that the last look sees the expected change with a chance of only "
            f"{plan.power_expected * 100:.0f} %"
        )
    if plan.expected is None:
        notes.append("no effect could be stated, so nothing is predicted")
    if verdict.baseline is not None and verdict.baseline.drifting and plan.method == "difference":
        notes.append("the arms were drifting apart before shipping; the interval allows for it")
    if plan.method == "structural":
        notes.append(
            "nobody is unaffected: something else that happened on the day of shipping cannot be told apart"
        )
    return notes


def _days(plan: Plan, panel: Panel, shipped: date | None, last: date) -> pl.DataFrame:
    """VERIFICATION_DAYS of an item."""
    phase = np.full(len(panel.day), "before", dtype=object)
    if shipped is not None:
        phase[panel.day == shipped.toordinal()] = "shipping"
        phase[panel.day > shipped.toordinal()] = "after"
    beside = ["unaffected"] if plan.method == "difference" else []
    names = ["affected", *beside]
    if plan.method == "structural":
        names += [f"beside {number}" for number in range(1, len(panel.others) + 1)]
    days = [date.fromordinal(int(day)) for day in panel.day]
    frames = [
        pl.DataFrame(
            {
                "item_id": [plan.item_id] * len(days),
                "day": days,
                "arm": [name] * len(days),
                "units": arm.n.astype(np.int64),
                "total": arm.total,
                "phase": phase.astype(str),
            },
            schema=VERIFICATION_DAYS.schema,
        )
        for name, arm in zip(names, (panel.affected, *panel.others), strict=True)
    ]
    return pl.concat(frames).filter(pl.col("day") <= last)
