"""Plans from events: arms, horizon, expectation; frozen once, versions kept."""

from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from opsanalytics.behavior.spec import Funnel
from opsanalytics.improvement.decision_log import connect
from opsanalytics.improvement.verification.arms import Split, find_split
from opsanalytics.improvement.verification.observed import (
    attempts,
    design_effect,
    last_complete_day,
    observe,
    usual_horizon,
    with_traits,
)
from opsanalytics.improvement.verification.plan import Choices, Plan, make_plan
from opsanalytics.improvement.verification.plan_log import freeze, read_plans
from opsanalytics.improvement.verification.settings import VerificationSettings
from opsanalytics.improvement.verification.verdict import judge
from opsanalytics.improvement.verification.verify import panel_for
from opsanalytics.lake.paths import Home
from opsanalytics_tests.improvement.items import pain_point
from opsanalytics_tests.simulators.fixes import FIRST, World, events_of, plan_for

ITEM = "PP-00000001"
BERLIN = ZoneInfo("Europe/Berlin")
UTC_ZONE = ZoneInfo("UTC")
FUNNEL = Funnel(name="onboarding", steps=["sign_up", "connect", "pay"], window="3d")
WORLD = World(affected=50, unaffected=90, before=63, after=32)
SHIPPED = datetime.combine(WORLD.shipped, datetime.min.time(), UTC)


@pytest.fixture(scope="module", params=[True, False], ids=["fixed", "unchanged"])
def product(request: pytest.FixtureRequest) -> tuple[bool, pl.DataFrame]:
    return request.param, events_of(np.random.default_rng(4), WORLD, fixed=request.param)


def item(**known: Any) -> dict[str, Any]:
    began = datetime.combine(FIRST, datetime.min.time(), UTC)
    told = {"step": 1, "pass_value": 0.4, "first_seen": began, "effect": -0.3, "effect_low": -0.35}
    return pain_point(ITEM, **told | {"effect_high": -0.25} | known)


def planned(events: pl.DataFrame, as_of: datetime = SHIPPED, **changes: Any) -> Plan:
    known = events.filter(pl.col("ts") < as_of)
    met = known.filter(pl.col("event") == "error_shown").select("person", first_ts="ts")
    choices, zone = changes.pop("choices", None), changes.pop("zone", UTC_ZONE)
    row = item(**changes)
    tried = attempts(known.lazy(), FUNNEL, as_of=as_of)
    return make_plan(
        row, tried, known.lazy(), met, VerificationSettings(), as_of=as_of, zone=zone, choices=choices
    )


def test_from_events_to_a_verdict(product: tuple[bool, pl.DataFrame]) -> None:
    fixed, events = product
    plan = planned(events)
    assert (plan.method, plan.by, plan.affected) == ("difference", "platform", ("android",))
    assert plan.unaffected == ("ios", "web")
    assert plan.horizon_days == 1
    assert plan.exposed_share == pytest.approx(0.5, abs=0.05)
    assert plan.expected == pytest.approx(0.15, abs=0.02)
    assert plan.least_change is not None
    assert plan.least_change < 0.15
    as_of = SHIPPED + timedelta(days=32)
    tried = attempts(events.lazy(), FUNNEL, as_of=as_of)
    panel = panel_for(plan, tried, events.lazy(), zone=UTC_ZONE, shipped=WORLD.shipped)
    verdict = judge(plan, panel, WORLD.shipped, last_complete_day(as_of, 1, UTC_ZONE))
    assert verdict.outcome in (("worked",) if fixed else ("did_not_work", "verifying"))
    if fixed:
        assert verdict.change is not None
        assert verdict.change.low < 0.15 < verdict.change.high


def test_a_plan_knows_nothing_of_later_days(product: tuple[bool, pl.DataFrame]) -> None:
    """Made before shipping or after, from the days before: the same numbers."""
    _, events = product
    whole = attempts(events.lazy(), FUNNEL, as_of=SHIPPED + timedelta(days=20))
    met = events.filter(pl.col("event") == "error_shown").select("person", first_ts="ts")
    late = make_plan(
        item(), whole, events.lazy(), met, VerificationSettings(),
        as_of=SHIPPED + timedelta(days=20), zone=UTC_ZONE, shipped=WORLD.shipped,
    )  # fmt: skip
    early = planned(events, SHIPPED + timedelta(days=1))
    assert late.baseline_last == early.baseline_last == WORLD.shipped - timedelta(days=1)
    assert late.expected == pytest.approx(early.expected, rel=0.02)  # a day more is known of whom it met
    assert late.rate == pytest.approx(early.rate)


def test_days_are_those_of_the_reporting_zone() -> None:
    events = events_of(np.random.default_rng(12), WORLD)
    plan = planned(events, zone=BERLIN)
    # An hour after its midnight the last whole day of Berlin is the same as that of UTC.
    assert plan.baseline_last == WORLD.shipped - timedelta(days=2)
    assert plan.method == "difference"


def test_what_cannot_be_measured_says_why() -> None:
    events = events_of(np.random.default_rng(5), World(affected=1, unaffected=2, before=63, after=5))
    assert "too few people" in planned(events).reason
    assert "single message" in planned(events, funnel=None).reason
    assert "`value`" in planned(events, choices=Choices(metric="revenue")).reason
    chosen = Choices(by="platform", affected=("windows",), unaffected=("web",))
    assert "nobody who reached the step has platform windows" in planned(events, choices=chosen).reason


def test_with_nobody_unaffected_the_other_steps_stand_beside() -> None:
    events = events_of(np.random.default_rng(6), WORLD).with_columns(platform=pl.lit("web"))
    plan = planned(events)
    assert (plan.method, plan.by) == ("structural", "")
    assert plan.standard_error is not None


def test_choices_of_a_person_count() -> None:
    events = events_of(np.random.default_rng(7), WORLD)
    chosen = Choices(by="platform", affected=("android",), unaffected=("web",), looks=(10, 20), expected=0.05)
    plan = planned(events, choices=chosen)
    assert (plan.unaffected, plan.looks, plan.expected) == (("web",), (10, 20), 0.05)


def test_arms_are_told_by_exposure_not_by_outcome() -> None:
    units = pl.DataFrame(
        {
            "platform": ["android"] * 200 + ["ios"] * 200 + ["web"] * 100,
            "country": (["DE"] * 100 + ["FR"] * 100) * 2 + ["DE"] * 100,
            "met": [True] * 120 + [False] * 80 + [False] * 200 + [True] * 20 + [False] * 80,
        }
    )
    # The web meets it a third as often: neither affected nor unaffected.
    assert find_split(units, ["country", "platform"]) == Split("platform", ("android",), ("ios",))
    assert find_split(units.with_columns(met=pl.lit(value=True)), ["platform"]) is None
    assert find_split(units, ["plan"]) is None


def row(person: str, event: str, ts: datetime) -> dict[str, Any]:
    return {"person": person, "event": event, "ts": ts, "platform": "web"}


def test_immature_attempts_count_on_no_day() -> None:
    start = datetime(2026, 3, 2, tzinfo=UTC)
    rows = []
    for day in range(6):
        for number in range(2):
            at = start + timedelta(days=day, hours=23)
            rows.append(row(f"p{day}{number}", "sign_up", at))
            if number:
                rows.append(row(f"p{day}{number}", "connect", at + timedelta(hours=20)))
    events = pl.DataFrame(rows, schema_overrides={"ts": pl.Datetime("us", "UTC")})
    as_of = start + timedelta(days=4)
    tried = attempts(events.filter(pl.col("ts") < as_of).lazy(), FUNNEL, as_of=as_of)
    units = observe(tried, 1, "pass", 1, zone=UTC_ZONE)
    assert units["day"].unique().sort().to_list() == [date(2026, 3, 2) + timedelta(days=k) for k in range(3)]
    assert units["y"].sum() == 3
    # In Berlin the events are of the next day, which is over an hour earlier.
    berlin = observe(tried, 1, "pass", 1, zone=BERLIN)
    assert berlin["day"].max() == date(2026, 3, 4)


def test_what_a_unit_is_worth_does_not_change_with_later_data() -> None:
    events = events_of(np.random.default_rng(8), WORLD)
    early, late = (
        observe(
            attempts(events.filter(pl.col("ts") < end).lazy(), FUNNEL, as_of=end), 1, "pass", 1, zone=UTC_ZONE
        )
        for end in (SHIPPED, SHIPPED + timedelta(days=30))
    )
    same = late.filter(pl.col("day") <= early["day"].max())
    assert same.equals(early)


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 50)), min_size=1, max_size=30))
def test_traits_are_the_last_known_before(told: list[tuple[int, int]]) -> None:
    start = datetime(2026, 3, 2, tzinfo=UTC)
    rows = [
        {"person": f"p{person}", "ts": start + timedelta(hours=hour), "platform": f"v{hour % 3}"}
        for person, hour in told
    ]
    events = pl.DataFrame(rows, schema_overrides={"ts": pl.Datetime("us", "UTC")})
    reached = start + timedelta(hours=25)
    units = pl.DataFrame({"person": ["p0", "p1"], "reached": [reached, reached]}).cast(
        {"reached": pl.Datetime("us", "UTC")}
    )
    found = with_traits(units, events.lazy(), ["platform"])
    for person, value in found.select("person", "platform").iter_rows():
        before = [hour for who, hour in told if f"p{who}" == person and hour <= 25]
        assert value == (f"v{max(before) % 3}" if before else None)
    assert with_traits(units, events.lazy(), ["plan"]).equals(units)
    assert with_traits(units.clear(), events.lazy(), ["platform"]).columns == [
        "person",
        "reached",
        "platform",
    ]


def test_the_horizon_is_what_most_need() -> None:
    events = events_of(np.random.default_rng(9), WORLD)
    tried = attempts(events.lazy(), FUNNEL, as_of=SHIPPED)
    assert usual_horizon(tried, 1, "pass", until=SHIPPED) == 1
    assert usual_horizon(tried, 1, "conversion", until=SHIPPED) == 3


def test_plans_are_frozen_once_and_versions_stay(tmp_path: Path) -> None:
    home, at = Home(tmp_path), datetime(2026, 3, 2, tzinfo=UTC)
    plan = plan_for(WORLD)
    (first,) = freeze(home, [plan], at=at, by="Ann", because="accepted")
    assert freeze(home, [plan], at=at + timedelta(days=9), by="Bo", because="again") == []
    changed = plan.model_copy(update={"looks": (14, 28)})
    (second,) = freeze(home, [changed], at=at + timedelta(days=1), by="Bo", because="sooner")
    assert (first.version, second.version) == (1, 2)
    known = read_plans(home)
    assert [each.plan for each in known.versions] == [plan, changed]
    assert known.latest[plan.item_id] == second
    assert known.made_before(at + timedelta(hours=1)).latest[plan.item_id] == first


def test_a_plan_that_was_tampered_with_is_refused(tmp_path: Path) -> None:
    home = Home(tmp_path)
    plan = plan_for(WORLD)
    freeze(home, [plan], at=datetime(2026, 3, 2, tzinfo=UTC), by="Ann", because="accepted")
    easier = plan.model_copy(update={"error_rate": 0.4})
    con = connect(home)
    con.execute("UPDATE verification_plans SET plan = ?", (easier.model_dump_json(),))
    con.close()
    with pytest.raises(ValueError, match="does not have the hash it was frozen with"):
        read_plans(home)


def test_attempts_of_one_person_are_not_independent() -> None:
    rng = np.random.default_rng(4)
    # Three attempts each: those of some persons always pass, those of others never do.
    person = np.repeat(np.arange(2_000), 3)
    alike = (rng.random(2_000) < 0.5).astype(np.float64)[person]
    apart = (rng.random(6_000) < 0.5).astype(np.float64)
    table = pl.DataFrame({"person": person, "alike": alike, "apart": apart})
    assert design_effect(table.select("person", y="alike")) == pytest.approx(3.0)
    assert design_effect(table.select("person", y="apart")) == pytest.approx(1.0, abs=0.1)
    assert design_effect(table.unique("person").select("person", y="alike")) == 1.0


def test_revenue_is_measured_where_the_funnel_has_a_value() -> None:
    funnel = FUNNEL.model_copy(update={"value": "amount"})
    events = events_of(np.random.default_rng(10), WORLD)
    paid = pl.when(pl.col("event") == "pay").then(pl.lit('{"amount": 20}')).otherwise(pl.lit("{}"))
    events = events.with_columns(properties=paid)
    known = events.filter(pl.col("ts") < SHIPPED)
    met = known.filter(pl.col("event") == "error_shown").select("person", first_ts="ts")
    tried = attempts(known.lazy(), funnel, as_of=SHIPPED)
    settings, chosen = VerificationSettings(), Choices(metric="revenue")
    plan = make_plan(item(), tried, known.lazy(), met, settings, as_of=SHIPPED, zone=UTC_ZONE, choices=chosen)
    assert (plan.method, plan.metric, plan.horizon_days) == ("difference", "revenue", 3)
    assert plan.rate == pytest.approx(20 * 0.4 * (0.55 - 0.15), rel=0.15)
    assert plan.expected is None
    priced = item() | {
        "reach_per_week": 100.0,
        "revenue_per_week": 300.0,
        "revenue_low": 200.0,
        "revenue_high": 400.0,
    }
    paying = make_plan(
        priced, tried, known.lazy(), met, settings, as_of=SHIPPED, zone=UTC_ZONE, choices=chosen
    )
    # Half of the affected arm met it, and each lost three.
    assert paying.expected == pytest.approx(1.5, rel=0.1)
    as_of = SHIPPED + timedelta(days=32)
    whole = attempts(events.lazy(), funnel, as_of=as_of)
    panel = panel_for(plan, whole, events.lazy(), zone=UTC_ZONE, shipped=WORLD.shipped)
    verdict = judge(plan, panel, WORLD.shipped, last_complete_day(as_of, 3, UTC_ZONE))
    assert verdict.change is not None
    # Twenty for two fifths of fifteen points more.
    assert verdict.change.low < 20 * 0.4 * 0.15 < verdict.change.high
