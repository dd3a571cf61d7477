"""What is promised before a fix ships: what will be measured, against what, when, and what counts as what.

A plan is made when somebody takes an item on, from the days before; it is kept (`plan_log`) and never made
again by a run. A person may change it, which adds a version.
"""

import hashlib
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, Literal
from zoneinfo import ZoneInfo

import numpy as np
import polars as pl
from pydantic import BaseModel, ConfigDict

from opsanalytics.behavior.spec import Funnel
from opsanalytics.improvement.verification.arms import Metric, Split, find_split
from opsanalytics.improvement.verification.gap import Daily
from opsanalytics.improvement.verification.heard import FELL_BY, enough, heard_outlook, heard_panel
from opsanalytics.improvement.verification.measure import Baseline, Method, Panel, baseline
from opsanalytics.improvement.verification.observed import (
    AFFECTED,
    UNAFFECTED,
    Attempts,
    design_effect,
    observe,
    usual_horizon,
    with_arms,
    with_traits,
)
from opsanalytics.improvement.verification.power import Outlook, outlook
from opsanalytics.improvement.verification.settings import VerificationSettings

LEAST_UNITS = 5.0
"""Units a day that the affected arm needs on average: with fewer, a day's rate says nothing."""
LEAST_DAYS = 28
"""Days with both arms from which on noise is estimated at all."""


class Plan(BaseModel):
    """A verification plan. Changes are of the affected arm, in the unit of the metric: 0.01 is one percentage
    point of those who reach the step; for revenue, money per unit."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    item_id: str
    method: Method | Literal["none"]
    reason: str = ""
    """Why there is no measuring, if there is none."""
    funnel: str = ""
    definition_id: str = ""
    """Of the funnel as it was; a verdict uses the funnel of that name as it is, and says if it changed."""
    step: int = 0
    """Step (from 1) that units have reached."""
    metric: Metric = "pass"
    horizon_days: int = 0
    """Days after reaching the step within which it counts."""
    by: str = ""
    affected: tuple[str, ...] = ()
    unaffected: tuple[str, ...] = ()
    baseline_first: date | None = None
    baseline_last: date | None = None
    """Days that were known when it was made."""
    began: date | None = None
    """Day on which the problem was first seen."""
    exposed_share: float | None = None
    """Of the affected arm's units since it began, how many met the problem."""
    expected: float | None = None
    """exposed_share times the effect on those who met it; None: no effect could be stated."""
    expected_low: float | None = None
    expected_high: float | None = None
    lost_per_week: float | None = None
    """Final conversions per week that the fix was thought to be worth then."""
    lost_low: float | None = None
    lost_high: float | None = None
    pass_value: float | None = None
    """Final conversions for one more that passes the step."""
    units_per_week: float | None = None
    rate: float | None = None
    """Of the affected arm, over the baseline since the problem began."""
    autocorrelation: float | None = None
    standard_error: float | None = None
    """Of the change at the last look, as foreseen."""
    least_change: float | None = None
    """The smallest change that the last look sees with the chance `power`."""
    power: float = 0.9
    power_expected: float | None = None
    """Chance that the last look sees the expected change."""
    days_needed: int | None = None
    """Days after shipping until the expected change is seen with the chance `power`; None: more than a plan
    may take, or nothing is expected."""
    looks: tuple[int, ...] = ()
    error_rate: float = 0.05
    baseline_days: int = 56
    watch_days: int = 28
    as_of: datetime

    @property
    def split(self) -> Split | None:
        arms = self.by and self.method != "heard"
        return Split(self.by, self.affected, self.unaffected) if arms else None

    @property
    def level(self) -> float:
        """Alpha of one look: all together keep the error rate, however much they have in common
        (Bonferroni)."""
        return self.error_rate / max(1, len(self.looks))

    @property
    def target(self) -> float:
        """The change that a fix must not fall short of to be said not to have failed."""
        return self.expected if self.expected is not None else (self.least_change or 0.0)

    @property
    def hash(self) -> str:
        """Of all that it says."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()[:12]

    def rule(self) -> str:
        """The decision rule in words."""
        if self.method == "none":
            return f"none: {self.reason}"
        days = ", ".join(map(str, self.looks))
        confidence = (1 - self.level) * 100
        return (
            f"Looked at {days} days after shipping, each time with a {confidence:.1f} % interval, so that "
            f"all looks together give a false verdict at most {self.error_rate * 100:g} % of the time. "
            "Worked: the interval lies above zero. Harmed: below zero. Did not work: it holds zero and, "
            "before the last look, stays within half of the expected change in both directions, at the last "
            "look below the expected change. Otherwise: not enough data."
        )


def unplanned(item_id: str, reason: str, as_of: datetime) -> Plan:
    """The plan of an item that cannot be measured."""
    return Plan(item_id=item_id, method="none", reason=reason, as_of=as_of)


class Choices(BaseModel):
    """What a person may choose in a plan; None: as the data suggests."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    metric: Metric | None = None
    by: str | None = None
    affected: tuple[str, ...] | None = None
    unaffected: tuple[str, ...] | None = None
    looks: tuple[int, ...] | None = None
    horizon_days: int | None = None
    expected: float | None = None

    def told(self) -> dict[str, Any]:
        """Only what was chosen."""
        return self.model_dump(mode="json", exclude_none=True)


def make_plan(
    item: dict[str, Any],
    tried: Attempts | None,
    events: pl.LazyFrame,
    met: pl.DataFrame,
    settings: VerificationSettings,
    *,
    as_of: datetime,
    zone: ZoneInfo,
    shipped: date | None = None,
    choices: Choices | None = None,
    messages: pl.DataFrame | None = None,
) -> Plan:
    """A plan for an item.

    Args:
        item: its row of PAIN_POINTS.
        tried: attempts at its funnel before `as_of`; None: the funnel is not there.
        events: person, ts and what `settings.compare_by` names.
        met: rows of PAIN_POINT_PERSONS that are of the item: person, first_ts.
        as_of: data up to here is complete, UTC.
        zone: of days.
        shipped: if it is out already: only days before count.
        choices: of a person.
        messages: ts (UTC), theme_id: for an item that is heard in feedback only.
    """
    chosen = choices or Choices()
    name = str(item["item_id"])
    if item["funnel"] is None or item["step"] is None:
        return _heard_plan(item, messages, settings, chosen, as_of=as_of, zone=zone, shipped=shipped)
    if tried is None:
        return unplanned(name, f"there is no funnel {item['funnel']} in the configuration", as_of)
    step, metric = int(item["step"]), chosen.metric or "pass"
    if metric == "revenue" and "value" not in tried.rows.columns:
        return unplanned(
            name, f"revenue needs a `value` in the funnel {item['funnel']}: the property that holds it", as_of
        )
    end = min(as_of.astimezone(zone).date(), shipped or date.max)
    until = datetime.combine(end, time(), zone).astimezone(UTC)
    horizon = chosen.horizon_days or usual_horizon(tried, step, metric, until=until)
    first = end - timedelta(days=settings.longest_baseline_days)
    units = observe(tried, step, metric, horizon, zone=zone, first=first).filter(pl.col("day") < end)
    names = list(settings.compare_by) + ([chosen.by] if chosen.by else [])
    units = with_traits(units, events, list(dict.fromkeys(names)))
    units = _met(units, met, tried.definition.window)
    began = item["first_seen"]
    onset = None if began is None else began.astimezone(zone).date()
    since = units if onset is None else units.filter(pl.col("day") >= onset)
    # Who met the problem is known of those whose window in the funnel is over.
    told = since.filter(pl.col("reached") <= as_of - tried.definition.window)
    told = told if told.height else since
    split = _split(told, settings, chosen)
    if isinstance(split, str):
        return unplanned(name, split, as_of)
    if split is None and metric == "revenue":
        # Without unaffected persons there is no revenue to compare it with in kind.
        metric = "conversion"
        units, since, told = (
            each.with_columns(y=(pl.col("y") > 0).cast(pl.Float64)) for each in (units, since, told)
        )
    panel = make_panel(tried, units, step, metric, horizon, split, onset, zone=zone)
    known = Plan(
        item_id=name,
        method=panel.method,
        funnel=tried.definition.name,
        definition_id=_persons_definition(tried).definition_id,
        step=step,
        metric=metric,
        horizon_days=horizon,
        by=split.by if split else "",
        affected=split.affected if split else (),
        unaffected=split.unaffected if split else (),
        began=onset,
        error_rate=settings.error_rate,
        power=settings.power,
        baseline_days=settings.baseline_days,
        watch_days=settings.watch_days,
        looks=chosen.looks or settings.looks,
        as_of=as_of,
    )
    known = known.model_copy(
        update={"rate": _mean(_affected(since, split), "y")}
        | _expectation(item, _mean(_affected(told, split), "met"), metric, chosen)
    )
    if not len(panel.day):
        return known.model_copy(update={"method": "none", "reason": "nobody reached the step on a whole day"})
    span = max(1, int(panel.day[-1] - panel.day[0]) + 1)
    known = known.model_copy(
        update={
            "baseline_first": date.fromordinal(int(panel.day[0])),
            "baseline_last": date.fromordinal(int(panel.day[-1])),
            "units_per_week": float(panel.affected.n.sum()) / span * 7,
        }
    )
    usable = panel.on(_usable(panel))
    if len(usable.day) < LEAST_DAYS or float(panel.affected.n.sum()) / span < LEAST_UNITS:
        reason = (
            f"too few people for a power calculation: {float(panel.affected.n.sum()) / span:.1f} a day reach "
            f"the step in the affected arm, on {len(usable.day)} days with somebody in both arms (it takes "
            f"{LEAST_UNITS:g} a day and {LEAST_DAYS} days)"
        )
        return known.model_copy(update={"method": "none", "reason": reason})
    return _powered(known, usable, settings, chosen)


def _heard_plan(
    item: dict[str, Any],
    messages: pl.DataFrame | None,
    settings: VerificationSettings,
    chosen: Choices,
    *,
    as_of: datetime,
    zone: ZoneInfo,
    shipped: date | None,
) -> Plan:
    """The plan of an item that is heard in feedback only: whether fewer messages are of it."""
    name, themes = str(item["item_id"]), tuple(item["theme_ids"] or ())
    if messages is None or not themes or item["messages"] <= 1:
        reason = "it is a single message, so nothing shows whether it is gone: judge by asking who wrote it"
        return unplanned(name, reason, as_of)
    end = min(as_of.astimezone(zone).date(), shipped or date.max)
    first = end - timedelta(days=settings.longest_baseline_days)
    panel = heard_panel(messages, themes, zone=zone, first=None, last=end - timedelta(days=1))
    panel = panel.on(panel.day >= first.toordinal())
    few = enough(panel, end.toordinal())
    if few is not None:
        return unplanned(name, few, as_of)
    known = Plan(
        item_id=name,
        method="heard",
        metric="heard",
        by="theme",
        affected=themes,
        baseline_first=date.fromordinal(int(panel.day[0])),
        baseline_last=date.fromordinal(int(panel.day[-1])),
        units_per_week=float(panel.affected.n.sum()) / len(panel.day) * 7,
        rate=panel.affected.mean,
        error_rate=settings.error_rate,
        power=settings.power,
        baseline_days=settings.baseline_days,
        watch_days=settings.watch_days,
        looks=chosen.looks or settings.looks,
        as_of=as_of,
    )
    if chosen.expected is not None:
        known = known.model_copy(
            update=dict.fromkeys(("expected", "expected_low", "expected_high"), chosen.expected)
        )
    ahead = heard_outlook(panel, level=known.level, shipped=end.toordinal())
    # A halving, or where messages are too few for that, silence.
    wanted = [known.expected] if known.expected else [ahead.share * FELL_BY, ahead.share]
    found = (ahead.days_for(change, settings.power, settings.longest_days) for change in wanted)
    needed = next((days for days in found if days is not None), None)
    if needed is None and known.expected is None:
        reason = (
            f"heard in feedback only, in {ahead.share * 100:.1f} % of messages: should it fall silent, that "
            f"would not show beyond chance within {settings.longest_days} days"
        )
        return unplanned(name, reason, as_of)
    if chosen.looks is None:
        known = known.model_copy(update={"looks": _looks(settings, needed)})
    last = known.looks[-1]
    return known.model_copy(
        update={
            "standard_error": ahead.standard_error(last),
            "least_change": ahead.least_change(last, known.power),
            "power_expected": ahead.power(known.expected, last) if known.expected else None,
            "days_needed": needed,
        }
    )


def _persons_definition(tried: Attempts) -> Funnel:
    return tried.definition.model_copy(update={"counting": "persons"})


def _met(units: pl.DataFrame, met: pl.DataFrame, window: timedelta) -> pl.DataFrame:
    """Units with whether the person met the problem after reaching the step."""
    first = met.group_by("person").agg(first_ts=pl.col("first_ts").min())
    return (
        units.join(first, on="person", how="left", maintain_order="left")
        .with_columns(
            met=(
                (pl.col("first_ts") >= pl.col("reached")) & (pl.col("first_ts") - pl.col("reached") <= window)
            ).fill_null(value=False)
        )
        .drop("first_ts")
    )


def _split(units: pl.DataFrame, settings: VerificationSettings, chosen: Choices) -> Split | str | None:
    """The arms; None: nobody is unaffected; text: what is wrong with those chosen."""
    if chosen.by is None:
        return find_split(units, settings.compare_by)
    if not chosen.affected or not chosen.unaffected:
        return "a comparison that somebody chose needs values of both arms, affected and unaffected"
    present = set(units[chosen.by].drop_nulls().to_list()) if chosen.by in units.columns else set()
    for which, values in ((AFFECTED, chosen.affected), (UNAFFECTED, chosen.unaffected)):
        if not present & set(values):
            known = ", ".join(sorted(present)[:8]) or "none"
            return (
                f"nobody who reached the step has {chosen.by} {' or '.join(values)} ({which}); known: {known}"
            )
    return Split(chosen.by, chosen.affected, chosen.unaffected)


def make_panel(
    tried: Attempts,
    units: pl.DataFrame,
    step: int,
    metric: Metric,
    horizon: int,
    split: Split | None,
    onset: date | None,
    *,
    zone: ZoneInfo,
) -> Panel:
    """Daily counts of the arms, on every day from the first unit to the last.

    Args:
        units: as `observe` gives them, with traits if there is a split.
    """
    days = _days(units)
    start = None if onset is None else onset.toordinal()
    if split is not None:
        arms = with_arms(units, split)
        one, other = (Daily.of(arms.filter(pl.col("arm") == name), days) for name in (AFFECTED, UNAFFECTED))
        return Panel(days, one, (other,), "difference", metric, start, design_effect(arms))
    steps = len(tried.definition.steps)
    # The metric of the conversion passes all later steps, so only earlier ones stand beside it.
    beside = [k for k in range(1, steps) if k != step and (metric == "pass" or k < step)]
    others = []
    for each in beside:
        own = observe(tried, each, "pass", horizon, zone=zone)
        own = own.filter(pl.col("day").is_in(units["day"].unique().implode()))
        others.append(Daily.of(own, days))
    own_repeats = design_effect(units)
    return Panel(days, Daily.of(units, days), tuple(others), "structural", metric, start, own_repeats)


def _days(units: pl.DataFrame) -> Any:
    if units.is_empty():
        return np.empty(0, np.int64)
    first, last = units["day"].min(), units["day"].max()
    return np.arange(first.toordinal(), last.toordinal() + 1, dtype=np.int64)  # type: ignore[union-attr]


def _usable(panel: Panel) -> Any:
    both = panel.affected.n > 0
    for each in panel.others:
        both = both & (each.n > 0)
    return both


def _affected(units: pl.DataFrame, split: Split | None) -> pl.DataFrame:
    return units if split is None else with_arms(units, split).filter(pl.col("arm") == AFFECTED)


def _mean(units: pl.DataFrame, name: str) -> float | None:
    return None if units.is_empty() else float(units[name].cast(pl.Float64).to_numpy().mean())


def _expectation(
    item: dict[str, Any], share: float | None, metric: Metric, chosen: Choices
) -> dict[str, float | None]:
    """What the fix is thought to change in the affected arm, `share` of which met it, and to be worth."""
    told: dict[str, float | None] = {
        "exposed_share": share,
        "pass_value": item["pass_value"],
        **{name: item[name] for name in ("lost_per_week", "lost_low", "lost_high")},
    }
    if chosen.expected is not None:
        return told | dict.fromkeys(("expected", "expected_low", "expected_high"), chosen.expected)
    if share is None or item["effect"] is None:
        return told
    if metric == "revenue":
        worth, reach = item["revenue_per_week"], item["reach_per_week"]
        if worth is None or not reach:
            return told
        each, least, most = (
            item[name] / reach for name in ("revenue_per_week", "revenue_low", "revenue_high")
        )
        return told | {"expected": share * each, "expected_low": share * least, "expected_high": share * most}
    by = share * (1.0 if metric == "pass" else item["pass_value"] or 0.0)
    harm, least, most = (max(0.0, -item[name]) for name in ("effect", "effect_high", "effect_low"))
    return told | {"expected": by * harm, "expected_low": by * least, "expected_high": by * most}


def _powered(plan: Plan, panel: Panel, settings: VerificationSettings, chosen: Choices) -> Plan:
    """The plan with its power calculation, and looks late enough for it."""
    known: Baseline | None = None
    if panel.method == "structural":
        known = baseline(panel, int(panel.day[-1]) + 1)
    ahead = outlook(panel, level=plan.level, inflation=known.inflation if known else 1.0)
    needed = None
    if plan.expected:
        needed = ahead.days_for(plan.expected, plan.power, settings.longest_days)
        # A random walk forgets: waiting longer does not sharpen what is seen of it.
        if chosen.looks is None and (needed is not None or not panel.walks):
            plan = plan.model_copy(update={"looks": _looks(settings, needed)})
    last = plan.looks[-1]
    return plan.model_copy(update=_foreseen(plan, ahead, last) | {"days_needed": needed})


def _foreseen(plan: Plan, ahead: Outlook, last: int) -> dict[str, float | None]:
    return {
        "autocorrelation": ahead.autocorrelation,
        "standard_error": ahead.standard_error(last)[0],
        "least_change": ahead.least_change(last, plan.power),
        "power_expected": ahead.power(plan.expected, last) if plan.expected else None,
    }


def _looks(settings: VerificationSettings, needed: int | None) -> tuple[int, ...]:
    """The configured looks, stretched so that the last one has the power, as long as a plan may take."""
    wanted = settings.longest_days if needed is None else needed
    last = max(settings.looks[-1], min(wanted, settings.longest_days))
    return tuple(-(-look * last // settings.looks[-1]) for look in settings.looks)
