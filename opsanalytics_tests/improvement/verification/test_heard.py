"""Whether people stop writing of something, for what no step of a funnel shows."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

import numpy as np
import polars as pl
import pytest

from opsanalytics.improvement.verification.heard import heard_panel
from opsanalytics.improvement.verification.observed import last_complete_day
from opsanalytics.improvement.verification.plan import Plan, make_plan
from opsanalytics.improvement.verification.settings import VerificationSettings
from opsanalytics.improvement.verification.verdict import Verdict, judge
from opsanalytics_tests.improvement.items import pain_point
from opsanalytics_tests.improvement.verification.test_plans import UTC_ZONE

FIRST = datetime(2026, 1, 5, tzinfo=UTC)
SHIPPED = date(2026, 5, 4)
SHARE, A_DAY = 0.2, 12.0


def item(**known: Any) -> dict[str, Any]:
    voice = {"lane": "voice", "funnel": None, "step": None, "theme_ids": ["TH-1"], "messages": 99}
    return pain_point("PP-00000001", **(voice | known))


def messages(seed: int, *, left: float = 1.0, wobble: float = 0.0, trend: float = 0.0) -> pl.DataFrame:
    """Messages of half a year. From shipping on, `left` of those of the theme are written; their share
    varies by week (`wobble`, log-odds) and moves over the whole time (`trend`)."""
    rng = np.random.default_rng(seed)
    rows = []
    weeks = rng.normal(0, wobble, 40)
    for number in range(182):
        day = FIRST + timedelta(days=number)
        odds = SHARE / (1 - SHARE) * np.exp(weeks[number // 7] + trend * number / 182)
        share = odds / (1 + odds) * (left if day.date() >= SHIPPED else 1.0)
        for _ in range(rng.poisson(A_DAY)):
            theme = "TH-1" if rng.random() < share else None if rng.random() < 0.2 else "TH-2"
            rows.append((day + timedelta(seconds=int(rng.integers(86_400))), theme))
    return pl.DataFrame(rows, schema={"ts": pl.Datetime("us", "UTC"), "theme_id": pl.String}, orient="row")


def planned(table: pl.DataFrame, **known: Any) -> Plan:
    shipped = datetime(SHIPPED.year, SHIPPED.month, SHIPPED.day, tzinfo=UTC)
    return make_plan(
        item(**known), None, pl.LazyFrame(), pl.DataFrame(), VerificationSettings(),
        as_of=shipped, zone=UTC_ZONE, messages=table.filter(pl.col("ts") < shipped),
    )  # fmt: skip


def judged(table: pl.DataFrame, plan: Plan, days: int = 61) -> Verdict:
    as_of = datetime(SHIPPED.year, SHIPPED.month, SHIPPED.day, tzinfo=UTC) + timedelta(days=days)
    last = last_complete_day(as_of, 0, UTC_ZONE)
    panel = heard_panel(
        table.filter(pl.col("ts") < as_of), plan.affected, zone=UTC_ZONE, first=None, last=last
    )
    return judge(plan, panel, SHIPPED, last)


def test_the_plan_says_what_it_can_see() -> None:
    plan = planned(messages(1))
    assert (plan.method, plan.metric, plan.affected) == ("heard", "heard", ("TH-1",))
    assert plan.rate == pytest.approx(1 - SHARE, abs=0.03)
    assert plan.units_per_week == pytest.approx(7 * A_DAY, rel=0.1)
    assert plan.least_change is not None
    assert 0 < plan.least_change < SHARE / 2
    assert plan.days_needed is not None


def test_silence_worked_and_no_message_at_all_has_an_interval() -> None:
    table = messages(2, left=0.0)
    verdict = judged(table, planned(table))
    assert (verdict.outcome, verdict.look) == ("worked", 1)
    assert verdict.change is not None
    assert verdict.change.low < SHARE < verdict.change.high + 0.02


def test_more_complaints_than_before_are_harm() -> None:
    table = messages(3, left=2.0)
    assert judged(table, planned(table)).outcome == "harmed"


def test_what_comes_back_has_regressed() -> None:
    table = messages(4, left=0.1)
    back = messages(5).filter(pl.col("ts") >= FIRST + timedelta(days=119 + 15))
    quiet = table.filter(pl.col("ts") < FIRST + timedelta(days=119 + 15))
    again = pl.concat([quiet, back])
    verdict = judged(again, planned(again))
    assert verdict.outcome == "regressed"


@pytest.mark.parametrize(("wobble", "trend"), [(0.0, 0.0), (0.25, 0.0), (0.0, -0.5)])
def test_nothing_changed_is_seldom_called_a_change(wobble: float, trend: float) -> None:
    wrong = 0
    for seed in range(60):
        table = messages(seed, wobble=wobble, trend=trend)
        wrong += judged(table, planned(table)).outcome in ("worked", "harmed", "regressed")
    assert wrong <= 6


def test_a_halving_is_seen_if_the_plan_says_so() -> None:
    plans = [planned(messages(seed, left=0.5)) for seed in range(40)]
    assert all(plan.days_needed is not None for plan in plans)
    seen = [judged(messages(seed, left=0.5), plan).outcome for seed, plan in enumerate(plans)]
    assert seen.count("worked") >= 34


def test_few_messages_and_single_ones_are_not_measured() -> None:
    few = messages(6).with_columns(theme_id=pl.when(pl.int_range(pl.len()) < 10).then(pl.lit("TH-1")))
    assert "10 messages" in planned(few).reason
    assert "single message" in planned(messages(6), messages=1).reason
