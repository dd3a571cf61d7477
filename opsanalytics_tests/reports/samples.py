"""Reports to look at and to test with: believable, empty, hostile, withheld, twelve years long."""

import dataclasses
import json
import math
from datetime import UTC, date, datetime, timedelta
from typing import Any

import polars as pl

from opsanalytics.behavior.spec import Funnel, Retention
from opsanalytics.behavior.statistics import newcombe_difference, wilson
from opsanalytics.behavior.tables import (
    FUNNEL_BREAKDOWN,
    FUNNEL_STEPS,
    FUNNEL_TREND,
    METRIC_DEFINITIONS,
    RETENTION_CELLS,
)
from opsanalytics.feedback.tables import COUNTS, FEEDBACK_THEMES
from opsanalytics.improvement.tables import BACKLOG, FRICTION, PAIN_POINTS
from opsanalytics.improvement.verification.ledger import calibration_row, ledger_rows
from opsanalytics.improvement.verification.tables import VERIFICATION_DAYS, VERIFICATIONS
from opsanalytics.lake.schemas import INGESTION_LEDGER
from opsanalytics.lake.tables import Table
from opsanalytics.quality.tables import QUALITY_RESULTS
from opsanalytics.reports.data import ReportData

WEEK = date(2026, 10, 12)
AS_OF = datetime(2026, 10, 18, 22, 0, tzinfo=UTC)
HOSTILE = (
    "</script><script>window.hacked=1</script>\"'><img src=x onerror=window.hacked=1>"
    "<b>bold</b> $E=mc^2$ %{x} {{ 7*7 }} \u202eevil\u0000 &lt;"
)

SIGN_UP = Funnel(
    name="sign_up_to_purchase",
    title="Sign-up to purchase",
    steps=("sign_up", "onboarding_done", "first_project", "checkout", "purchase"),
    window="7d",
)
INVITE = Funnel(name="invite", title="Invite a colleague", steps=("open_team", "invite_sent"), window="2d")
WEEKLY = Retention(
    name="weekly_projects",
    title="Working on projects",
    start="sign_up",
    returning="project_edited",
    periods=8,
)


def table(spec: Table, rows: list[dict[str, Any]], **common: Any) -> pl.DataFrame:
    """Rows of a mart; columns that a row leaves out are null."""
    defaults = dict.fromkeys(spec.names) | common
    return pl.DataFrame([defaults | row for row in rows], schema=spec.schema)


def share(prefix: str, hits: int, n: int) -> dict[str, Any]:
    """A rate with its Wilson interval under the names a mart uses."""
    if not n:
        return {prefix: None, f"{prefix}_low": None, f"{prefix}_high": None}
    low, high = wilson(hits, n)
    return {prefix: hits / n, f"{prefix}_low": float(low), f"{prefix}_high": float(high)}


def sample() -> ReportData:
    """A believable week of a small product."""
    stamps = {"as_of": AS_OF, "quality": "passed"}
    return ReportData(
        product="Papertrail",
        first_day=WEEK,
        last_day=WEEK + timedelta(days=6),
        time_zone="Europe/Berlin",
        as_of=AS_OF,
        notice="This data is generated: a made-up product with planted problems.",
        funnels=("sign_up_to_purchase", "invite"),
        funnel_steps=pl.concat(
            [
                steps(SIGN_UP, [4812, 3941, 2455, 1310, 792], 312, stamps),
                steps(INVITE, [26, 11], 0, stamps),
            ]
        ),
        funnel_trend=pl.concat(
            [trend(SIGN_UP, 14, 401, 0.165, stamps), trend(INVITE, 3, 9, 0.4, stamps, mature=True)]
        ),
        funnel_breakdown=breakdown(stamps),
        retention_cells=retention(12, 8, 395, stamps),
        metric_definitions=definitions(),
        feedback_themes=themes(),
        friction=friction(),
        pain_points=pain_points(),
        backlog=backlog(),
        **fixes(),
        quality_results=quality(),
        ingestion_ledger=ledger(84),
    )


def empty() -> ReportData:
    """The first run: nothing has been fetched."""
    return ReportData(
        product="Papertrail", first_day=WEEK, last_day=WEEK + timedelta(days=6), time_zone="Europe/Berlin"
    )


def hostile() -> ReportData:
    """The believable week with hostile text wherever text can come from outside."""
    data = sample()

    def poison(frame: pl.DataFrame, *names: str) -> pl.DataFrame:
        changes = []
        for name in names:
            if frame.schema[name] == pl.List(pl.String):
                changes.append(pl.lit([HOSTILE, HOSTILE]).alias(name))
            else:
                changes.append(
                    pl.when(pl.col(name).is_null()).then(None).otherwise(pl.lit(HOSTILE)).alias(name)
                )
        return frame.with_columns(changes)

    points = poison(
        data.pain_points, "title", "place", "quotes", "quote_ids", "example_persons", "query", "caveat"
    )
    return dataclasses.replace(
        data,
        product=HOSTILE,
        notice=HOSTILE,
        funnel_steps=poison(data.funnel_steps, "step_name"),
        funnel_breakdown=poison(data.funnel_breakdown, "value").with_columns(
            value=pl.concat_str("value", pl.int_range(pl.len()).cast(pl.String)), segment=pl.lit(HOSTILE)
        ),
        metric_definitions=poison(data.metric_definitions, "title", "semantics"),
        feedback_themes=poison(data.feedback_themes, "label", "keywords", "quotes", "quote_ids"),
        friction=poison(data.friction, "place", "reason"),
        pain_points=poison(points, "signal", "first_version"),
        backlog=poison(
            data.backlog, "title", "confidence_reason", "effort_source", "evidence", "note", "owner"
        ),
        verifications=poison(
            data.verifications, "title", "reason", "planned_by", "planned_because", "compared", "note", "rule"
        ),
        prediction_ledger=poison(data.prediction_ledger, "title"),
        quality_results=poison(data.quality_results, "description", "examples", "partition"),
        ingestion_ledger=poison(data.ingestion_ledger, "kind"),
    )


def withheld() -> ReportData:
    """A blocking check of the events failed, and a warning stands on the feedback."""
    data = sample()
    failed = {
        "table": "events",
        "check": "event_id_unique",
        "partition": "2026-10-14",
        "passed": False,
        "severity": "error",
        "description": "Every event_id occurs once.",
        "checked": 8123,
        "unexpected": 41,
        "examples": ["e-000017"],
        "data_version": "d1",
        "checked_at": AS_OF,
    }
    warned = failed | {
        "table": "feedback",
        "check": "language_known",
        "partition": "reviews",
        "severity": "warning",
        "description": "The language of at least 80 % of the messages is known.",
        "checked": 412,
        "unexpected": 120,
        "examples": [],
    }
    results = pl.concat([data.quality_results, table(QUALITY_RESULTS, [failed, warned])])
    return dataclasses.replace(data, quality_results=results)


def long_history() -> ReportData:
    """Twelve years of weeks, cohorts, deliveries and checks."""
    data = sample()
    stamps = {"as_of": AS_OF, "quality": "passed"}
    days = 12 * 365
    checks = [
        {
            "table": "events",
            "check": check,
            "partition": (date(2026, 10, 18) - timedelta(days=day)).isoformat(),
            "passed": day % 900 != 17,
            "severity": "warning",
            "description": "The number of rows is within the usual range.",
            "checked": 800 + day % 90,
            "unexpected": 0,
            "examples": [],
            "data_version": "d1",
            "checked_at": AS_OF,
        }
        for day in range(days)
        for check in ("row_count_usual", "no_future_time")
    ]
    return dataclasses.replace(
        data,
        funnel_trend=trend(SIGN_UP, 12 * 52, 401, 0.165, stamps),
        retention_cells=retention(12 * 52, 12, 395, stamps),
        quality_results=table(QUALITY_RESULTS, checks),
        ingestion_ledger=ledger(days),
    )


def steps(funnel: Funnel, persons: list[int], immature: int, stamps: dict[str, Any]) -> pl.DataFrame:
    rows = []
    for number, (step, reached) in enumerate(zip(funnel.steps, persons, strict=True), start=1):
        before = persons[max(0, number - 2)]
        seconds = 95.0 * 7 ** (number - 1) if number > 1 else None
        rows.append(
            {
                "funnel": funnel.name,
                "step": number,
                "step_name": step.label.replace("_", " ").capitalize(),
                "entered": persons[0],
                "persons": reached,
                "previous": before,
                "immature_entered": immature,
                "immature_persons": round(immature * reached / persons[0] * 0.6) if number > 1 else immature,
                "median_seconds": seconds,
                "median_low": seconds and seconds * 0.93,
                "median_high": seconds and seconds * 1.08,
                "mean_seconds": seconds and seconds * 1.9,
                "p90_seconds": seconds and seconds * 4.2,
                "definition_id": funnel.definition_id,
            }
            | share("rate", reached, persons[0])
            | share("step_rate", reached, before)
            | stamps
        )
    return table(FUNNEL_STEPS, rows)


def trend(
    funnel: Funnel, weeks: int, entrants: int, rate: float, stamps: dict[str, Any], *, mature: bool = False
) -> pl.DataFrame:
    rows = []
    for week in range(weeks):
        start = WEEK - timedelta(days=7 * (weeks - 1 - week))
        open_week = week == weeks - 1 and not mature
        entered = entrants + round(entrants * 0.12 * math.sin(week * 1.7))
        converted = round(entered * (rate + 0.018 * math.sin(week * 0.9) - 0.035 * (week >= weeks - 2)))
        waiting = 312 if open_week else 0
        rows.append(
            {
                "funnel": funnel.name,
                "period_start": start,
                "entered": entered - waiting if open_week else entered,
                "converted": 11 if open_week else converted,
                "immature_entered": waiting,
                "complete": not open_week,
                "definition_id": funnel.definition_id,
            }
            | share("rate", 11 if open_week else converted, entered - waiting if open_week else entered)
            | stamps
        )
    return table(FUNNEL_TREND, rows)


def breakdown(stamps: dict[str, Any]) -> pl.DataFrame:
    segments = {
        "platform": {"web": (2911, 581), "ios": (1102, 158), "android": (781, 50), "(none)": (18, 3)},
        "country": {"DE": (1900, 321), "US": (1450, 235), "FR": (512, 80), "(other)": (950, 156)},
    }
    rows = []
    for segment, values in segments.items():
        everybody, converted = (sum(column) for column in zip(*values.values(), strict=True))
        for value, (n, hits) in values.items():
            low, high = map(float, newcombe_difference(hits, n, converted - hits, everybody - n))
            difference = hits / n - (converted - hits) / (everybody - n)
            q = {"android": 0.0000004, "web": 0.00003}.get(value, 0.41)
            for step, reached in ((4, min(n, hits * 2)), (5, hits)):
                rows.append(
                    {
                        "funnel": SIGN_UP.name,
                        "segment": segment,
                        "value": value,
                        "step": step,
                        "entered": n,
                        "persons": reached,
                        "difference": difference,
                        "difference_low": low,
                        "difference_high": high,
                        "q_value": q,
                        "definition_id": SIGN_UP.definition_id,
                    }
                    | share("rate", reached, n)
                    | stamps
                )
    return table(FUNNEL_BREAKDOWN, rows)


def retention(cohorts: int, periods: int, size: int, stamps: dict[str, Any]) -> pl.DataFrame:
    common = {"retention": WEEKLY.name, "definition_id": WEEKLY.definition_id} | stamps
    rows, pooled = [], [[0, 0] for _ in range(periods + 1)]
    for cohort in range(cohorts):
        age = cohorts - 1 - cohort
        n = 22 if cohort == 1 else size + (cohort * 37) % 61
        for period in range(min(age, periods) + 1):
            rate = 0.21 + 0.5 * math.exp(-period / 2.2) + 0.01 * math.sin(cohort + period)
            complete = period < age
            returned = round(n * rate * (1 if complete else 0.45))
            if complete:
                pooled[period][0] += returned
                pooled[period][1] += n
            rows.append(
                {
                    "cohort": WEEK - timedelta(days=7 * age),
                    "period": period,
                    "n": n,
                    "returned": returned,
                    "complete": complete,
                }
                | share("rate", returned, n)
                | common
            )
    for period, (returned, n) in enumerate(pooled):
        row = {"cohort": None, "period": period, "n": n, "returned": returned, "complete": n > 0}
        rows.append(row | share("rate", returned, n) | common)
    return table(RETENTION_CELLS, rows)


def definitions() -> pl.DataFrame:
    words = {
        "funnel": "Ordered funnel: an attempt starts at the first step, each next step is the earliest later "
        "unused event, the conversion window is measured from the entry and includes its end.",
        "retention": "Calendar weeks of the reporting time zone; a person belongs to the week of the first "
        "start event ever.",
    }
    rows = [
        {
            "definition_id": spec.definition_id,
            "kind": kind,
            "name": spec.name,
            "title": spec.label,
            "semantics": words[kind],
            "rules": json.dumps(spec.model_dump(mode="json", exclude={"name", "title"}), sort_keys=True),
        }
        for kind, spec in (("funnel", SIGN_UP), ("funnel", INVITE), ("retention", WEEKLY))
    ]
    return table(METRIC_DEFINITIONS, rows)


def themes() -> pl.DataFrame:
    declined = "The card form says declined but my bank sees nothing. Third time this week, I gave up."
    said = [
        ("card-form", "card form, declined, payment", 74, 31, 12, [declined, "It froze."]),
        ("onboarding", "onboarding, import, csv", 52, 12, 14, ["Importing my CSV never ends."]),
        ("slow", "slow, loading, projects", 41, 9, 11, ["A large project takes half a minute."]),
        ("dark-mode", "dark mode, night", 23, 6, 5, ["Please, a dark mode. My eyes."]),
        ("notifications", "notifications, e-mail, too many", 17, 3, 11, ["An e-mail for everything."]),
        ("export", "export, pdf", 12, 4, 3, ["The PDF export cuts the last column."]),
        ("prices", "price, plan, seats", 9, 2, 2, ["Three seats are too many for us."]),
    ]  # fmt: skip
    rows = [
        {
            "theme_id": theme_id,
            "rank": rank,
            "label": label,
            "keywords": label.split(", "),
            "messages": authors + 5,
            "authors": authors,
            "n": 318,
            "rated": authors - 4,
            "satisfaction": 0.18 + 0.06 * rank,
            "negative": authors // 2,
            "recent": recent,
            "earlier": earlier,
            "trend": "more" if recent > 2 * earlier else "none",
            "trend_q": 0.04 if recent > 2 * earlier else 0.6,
            "weekly": [0, 1, 2, 0, 3, 1, 4, earlier, 0, 2, 1, recent],
            "open": authors + 5,
            "open_authors": authors,
            "active": authors + 5,
            "active_authors": authors,
            "window_start": datetime(2025, 10, 19, 22, tzinfo=UTC),
            **dict.fromkeys(("votes", "active_votes", *COUNTS), 0),
            "first_seen": datetime(2026, 7, 28, 9, tzinfo=UTC),
            "last_seen": datetime(2026, 10, 18, 15, tzinfo=UTC),
            "quotes": quotes,
            "quote_ids": [f"reviews:{theme_id}-{number}" for number in range(len(quotes))],
            "origin": "found",
            "since": datetime(2026, 8, 2, 22, tzinfo=UTC),
            **dict.fromkeys(("named", "pinned", "muted"), False),
            "as_of": AS_OF,
            "quality": "passed",
        }
        | share("share", authors, 318)
        | {"negative_low": 0.3, "negative_high": 0.7}
        for rank, (theme_id, label, authors, recent, earlier, quotes) in enumerate(said, start=1)
    ]
    return table(FEEDBACK_THEMES, rows)


def friction() -> pl.DataFrame:
    seen = [
        ("error", "card_declined_client at /checkout", 412, 1310, 1007),
        ("error", "upload_failed at /import", 203, 3941, 377),
        ("repeated_attempt", "checkout", 231, 1310, 640),
        ("slow_load", "/projects/:id", 389, 2455, 2120),
    ]
    rows = [
        {
            "signal": signal,
            "title": signal.replace("_", " ").capitalize(),
            "place": place,
            "available": True,
            "reason": "Events whose name ends in _failed or _error, or with a property error."
            if signal == "error"
            else "Same event three times within 60 s.",
            "occurrences": times,
            "persons": persons,
            "n": n,
            "first_seen": datetime(2026, 7, 27, 6, tzinfo=UTC),
            "last_seen": datetime(2026, 10, 18, 20, tzinfo=UTC),
        }
        | share("share", persons, n)
        for signal, place, persons, n, times in seen
    ]
    missing = {
        "signal": "rage_click",
        "title": "Rage click",
        "place": "",
        "available": False,
        "reason": "No event carries click positions. Send them with autocapture to have this signal.",
    }
    return table(FRICTION, [*rows, missing], as_of=AS_OF, quality="passed")


def pain_points() -> pl.DataFrame:
    found = [
        ("pp-card", "Card form rejects valid cards", 3, "error", "card_declined_client at /checkout",
         "card-form", 412, 1310, 0.412, 0.63, -0.198, -0.246, -0.15, -0.221, 23.4, 17.1, 30.2, 0.0000003),
        ("pp-import", "CSV import fails during onboarding", 1, "error", "upload_failed at /import",
         "onboarding", 203, 3941, 0.37, 0.63, -0.231, -0.3, -0.162, -0.26, 7.9, 4.4, 11.8, 0.00002),
        ("pp-slow", "Opening a large project takes long", 3, "slow_load", "/projects/:id", "slow",
         389, 2455, 0.51, 0.54, -0.022, -0.071, 0.028, -0.051, 1.9, -2.1, 5.8, 0.37),
    ]  # fmt: skip
    rows = [
        {
            "item_id": item_id,
            "lane": "behaviour",
            "title": title,
            "funnel": SIGN_UP.name,
            "step": step,
            "signal": signal,
            "place": place,
            "theme_id": theme,
            "status": "watch" if q > 0.05 else "finding",
            "theme_ids": [theme],
            "theme_link": "7 of 41 authors met it",
            "theme_link_by": "persons",
            "affected": affected,
            "n": n,
            "reach_per_week": affected / 12,
            "pass_value": 0.6,
            "strata": "platform, 3 groups",
            "rate_affected": rate,
            "rate_others": others,
            "effect": effect,
            "effect_low": low,
            "effect_high": high,
            "crude_effect": crude,
            "matched_effect": effect * 0.9,
            "overlap": 0.96,
            "q_value": q,
            "lost_per_week": lost,
            "lost_low": lost_low,
            "lost_high": lost_high,
            "messages": 12,
            "quotes": ["The card form says declined but my bank sees nothing."]
            if theme == "card-form"
            else [],
            "quote_ids": ["reviews:card-form-0"] if theme == "card-form" else [],
            "example_persons": ["u-00181", "u-02207", "u-03391"],
            "first_seen": datetime(2026, 10, 13 if item_id == "pp-import" else 2, 8, tzinfo=UTC),
            "last_seen": datetime(2026, 10, 18, 20, tzinfo=UTC),
            "first_version": "4.2.0",
            "query": f"SELECT DISTINCT person\nFROM events\nWHERE url = '/{theme}'\nORDER BY person",
            "caveat": "Only 3 of 4 persons have a comparable unaffected one." if item_id == "pp-slow" else "",
        }
        | share("share", affected, n)
        for item_id, title, step, signal, place, theme, affected, n, rate, others, effect, low, high, crude,
        lost, lost_low, lost_high, q in found
    ]  # fmt: skip
    voice = {
        "item_id": "pp-dark-mode",
        "lane": "voice",
        "status": "finding",
        "rated": 19,
        "satisfaction": 0.42,
        "title": "Asked for: dark mode",
        "theme_id": "dark-mode",
        "theme_ids": ["dark-mode"],
        "affected": 23,
        "n": 318,
        "reach_per_week": 1.9,
        "messages": 28,
        "quotes": ["Please, a dark mode. My eyes."],
        "quote_ids": ["reviews:dark-mode-0"],
        "example_persons": [],
        "first_seen": datetime(2026, 8, 3, 8, tzinfo=UTC),
        "last_seen": datetime(2026, 10, 17, 20, tzinfo=UTC),
        "query": "SELECT feedback_id FROM feedback_assignments WHERE theme_id = 'dark-mode'",
        "caveat": "",
    } | share("share", 23, 318)
    return table(PAIN_POINTS, [*rows, voice], as_of=AS_OF, quality="passed")


def backlog() -> pl.DataFrame:
    ranked = [
        ("pp-card", "behaviour", 1, "Card form rejects valid cards", 34.3, 0.68, 0.94, 2.0, "finding"),
        ("pp-import", "behaviour", 2, "CSV import fails during onboarding", 16.9, 0.47, 0.91, 1.0, "finding"),
        ("pp-slow", "behaviour", 3, "Opening a large project takes long", 32.4, 0.06, 0.41, 3.0, "watch"),
        ("pp-dark-mode", "voice", 1, "Asked for: dark mode", 1.9, 0.35, 0.6, 2.0, "finding"),
    ]
    rows = [
        {
            "item_id": item_id,
            "lane": lane,
            "rank": rank,
            "title": title,
            "reach": reach,
            "impact": impact,
            "confidence": confidence,
            "confidence_reason": "Chance of a loss above one point, given overlap and checks.",
            "effort_weeks": effort,
            "effort_source": "default",
            "score": reach * impact * confidence / effort,
            "score_low": reach * impact * confidence / effort * 0.7,
            "score_high": reach * impact * confidence / effort * 1.3,
            "status": status,
            "evidence": f"#{item_id}",
            "evidence_id": item_id,
            "ranking": "rice",
            "urgency": 1.0,
            "tied": rank,
            "top_5": 1.0,
            "state": "new",
            "stage": "open",
            "seen": True,
            "merged": [],
            "note": "not seen last month",
            "owner": "Ann",
            "state_since": AS_OF,
        }
        for item_id, lane, rank, title, reach, impact, confidence, effort, status in ranked
    ]
    return table(BACKLOG, rows, as_of=AS_OF, quality="passed")


def fixes() -> dict[str, pl.DataFrame]:
    """A fix that worked, one that harmed, one that waits to ship, and one that cannot be measured."""
    shipped = WEEK - timedelta(days=30)
    stamps = {"as_of": AS_OF, "quality": "passed"}
    plan = {
        "plan_version": 1, "plan_hash": "0123456789ab", "planned_at": AS_OF - timedelta(days=40),
        "planned_by": "Ann", "planned_because": "accepted", "method": "difference", "metric": "pass",
        "funnel": SIGN_UP.name, "step": 2, "horizon_days": 1, "compared": "platform android against ios, web",
        "looks": [14, 28, 56], "rule": "Looked at 14, 28, 56 days after shipping.", "expected": 0.05,
        "expected_low": 0.03, "expected_high": 0.07, "least_change": 0.036, "power_expected": 0.97,
        "days_needed": 21, "days_after": 0, "look": 0, "look_days": 0, "placebo_days": [],
        "placebo_changes": [], "watched": 0, "note": "", "reason": "it has not shipped yet",
    }  # fmt: skip
    judged = plan | {
        "shipped_on": shipped, "since": WEEK, "next_look": WEEK + timedelta(days=28), "days_before": 56,
        "days_after": 29, "look": 2, "look_days": 28, "confidence": 1 - 0.05 / 3, "drift_per_week": 0.001,
        "drift_low": -0.002, "drift_high": 0.004, "drift_p": 0.4,
        "placebo_days": [shipped - timedelta(days=each) for each in (21, 28, 35)],
        "placebo_changes": [0.004, -0.006, 0.001],
    }  # fmt: skip
    worked = {"change": 0.046, "change_low": 0.02, "change_high": 0.072, "outcome": "worked"}
    harmed = {"change": -0.05, "change_low": -0.08, "change_high": -0.02, "outcome": "harmed"}
    rows = [
        judged | worked | {"item_id": "PP-0000000a", "title": "Mail arrives late", "reason": "beyond chance"},
        judged | harmed | {"item_id": "PP-0000000b", "title": "Empty search", "note": "read with care"},
        plan | {"item_id": "PP-0000000c", "title": "Slow loading", "outcome": "planned"},
        plan | {"item_id": "PP-0000000d", "title": "Dark mode", "outcome": "not_measured", "method": "none"},
    ]
    items = VERIFICATIONS.conform(table(VERIFICATIONS, rows, **stamps))
    days = [
        {
            "item_id": "PP-0000000a", "day": shipped + timedelta(days=day), "arm": arm, "units": 100,
            "total": float(55 + 5 * (arm == "affected" and day > 0) + day % 7),
            "phase": "after" if day > 0 else "before" if day < 0 else "shipping",
        }
        for day in range(-56, 29)
        for arm in ("affected", "unaffected")
    ]  # fmt: skip
    promised = {"lost_per_week": 8.0, "lost_low": 5.0, "lost_high": 11.0}
    plans = pl.DataFrame(
        [
            {"item_id": f"PP-0000000{each}", "units_per_week": 700.0, "pass_value": 0.3} | promised
            for each in "ab"
        ]
    )
    entries = ledger_rows(items, plans)
    return {
        "verifications": items,
        "verification_days": table(VERIFICATION_DAYS, days),
        "prediction_ledger": entries,
        "prediction_calibration": calibration_row(entries, AS_OF),
    }


def quality() -> pl.DataFrame:
    rows = [
        {
            "table": name,
            "check": check,
            "partition": partition,
            "passed": True,
            "severity": "error",
            "description": description,
            "checked": 8123,
            "unexpected": 0,
            "examples": [],
            "data_version": "d1",
            "checked_at": AS_OF,
        }
        for name, partition in (("events", "2026-10-17"), ("events", "2026-10-18"), ("feedback", "reviews"))
        for check, description in (
            ("id_unique", "Every id occurs once."),
            ("time_in_partition", "Every time lies in its day."),
        )
    ]
    return table(QUALITY_RESULTS, rows)


def ledger(days: int) -> pl.DataFrame:
    rows = [
        {
            "source": source,
            "kind": kind,
            "delivery": day.isoformat(),
            "day": day,
            "landed": 900 + number % 50,
            "canonical": 880 + number % 50,
            "duplicates": 18,
            "quarantined": 2,
            "fetched_at": AS_OF,
        }
        for source, kind in (("app", "mixpanel"), ("site", "amplitude"))
        for number in range(days)
        for day in [date(2026, 10, 18) - timedelta(days=number)]
    ]
    return table(INGESTION_LEDGER, rows)
