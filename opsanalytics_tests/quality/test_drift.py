from datetime import timedelta

import polars as pl
import pytest

from opsanalytics.quality.drift import find_drift
from opsanalytics.quality.plan import TrackingPlan
from opsanalytics.quality.plan_drift import find_breaches
from opsanalytics.quality.profiles import MORE, of_product
from opsanalytics_tests.quality.arrivals import FIRST, LAST, days

SPLIT = LAST - timedelta(days=9)
AFTER = SPLIT + timedelta(days=1)
PLAN = {"amount": {"number": 100}, "plan": {"string": 100}}


def told(*frames: pl.DataFrame) -> list[tuple[str, str | None, str]]:
    return find_drift(pl.concat(frames), LAST).select("event", "property", "kind").rows()


def change(
    before: dict[str, dict[str, int]], after: dict[str, dict[str, int]], **options: int
) -> pl.DataFrame:
    return pl.concat(
        [days("buy", 100, before, last=SPLIT), days("buy", 100, after, first=AFTER, **options)]  # type: ignore[arg-type]
    )


def test_nothing_changed() -> None:
    assert told(days("buy", 100, PLAN)) == []


def test_a_new_event_is_worth_knowing_with_its_first_day_and_share() -> None:
    found = find_drift(pl.concat([days("buy", 100, {}), days("refund", 25, {}, first=AFTER)]), LAST)
    row = found.row(0, named=True)
    assert (row["event"], row["kind"], row["warns"]) == ("refund", "new_event", False)
    assert (row["first_seen"], row["n"]) == (AFTER, 25 * 9)
    assert row["share"] == pytest.approx(0.2)


def test_a_vanished_event_warns_from_the_day_after_its_last() -> None:
    found = find_drift(pl.concat([days("view", 100, {}), days("buy", 30, {}, last=SPLIT)]), LAST)
    row = found.row(0, named=True)
    assert (row["event"], row["kind"], row["warns"]) == ("buy", "vanished_event", True)
    assert (row["first_seen"], row["last_seen"], row["n"]) == (AFTER, SPLIT, 270)


def test_a_property_comes_and_another_goes() -> None:
    found = change({"old": {"string": 90}}, {"new": {"string": 50}})
    assert told(found) == [("buy", "new", "new_property"), ("buy", "old", "vanished_property")]


def test_a_rare_property_that_is_not_there_by_chance_has_not_vanished() -> None:
    rare = days(
        "buy", 100, {"coupon": {"string": 1}}, first=SPLIT - timedelta(days=20), last=LAST - timedelta(5)
    )
    assert told(rare, days("buy", 100, {}, first=LAST - timedelta(days=4))) == []


@pytest.mark.parametrize(
    ("before", "after", "retyped"),
    [
        ({"number": 100}, {"number": 60, "string": 40}, True),
        ({"integer": 100}, {"number": 50, "integer": 50}, False),
        ({"string": 100}, {"datetime": 100}, False),
        ({"datetime": 100}, {"string": 100}, True),
        ({"string": 1000}, {"string": 9999, "list": 1}, False),
        ({"string": 100}, {"string": 50, "null": 50}, False),
    ],
)
def test_a_property_is_retyped_when_other_types_come_in_number(
    before: dict[str, int], after: dict[str, int], retyped: bool
) -> None:
    expected = [("buy", "amount", "retyped")] if retyped else []
    assert told(change({"amount": before}, {"amount": after})) == expected


def test_exploded_values_are_told_unless_there_are_just_more_events() -> None:
    assert told(change(PLAN, PLAN, distinct=100)) == [
        ("buy", "amount", "cardinality"),
        ("buy", "plan", "cardinality"),
    ]
    grown = days("buy", 10_000, {"user": {"string": 10_000}}, first=AFTER, distinct=10_000)
    assert told(days("buy", 100, {"user": {"string": 100}}, last=SPLIT, distinct=100), grown) == []


def test_too_many_names_are_told_of_the_event() -> None:
    assert ("buy", None, "names_exploded") in told(change({}, {MORE: {"string": 100}}))


def plan(**properties: dict[str, object]) -> TrackingPlan:
    return TrackingPlan.model_validate({"events": [{"name": "buy", "properties": properties}]})


def breaches(profiles: pl.DataFrame, declared: TrackingPlan) -> list[tuple[str, str | None, str, int]]:
    found = find_breaches(profiles, declared, LAST).sort("kind", "property")
    return found.select("event", "property", "kind", "n").rows()


def test_without_a_plan_nothing_breaks_it() -> None:
    assert find_breaches(days("buy", 100, PLAN), TrackingPlan(), LAST).is_empty()


def test_events_that_follow_the_plan_break_nothing() -> None:
    declared = plan(amount={"type": "number", "required": True}, plan={"type": "string", "values": ["pro"]})
    assert breaches(days("buy", 100, PLAN), declared) == []


def test_every_kind_of_breach_is_told_with_its_volume() -> None:
    sent = {
        "amount": {"number": 60, "string": 40},
        "extra": {"string": 5},
        "plan": {"string": 90, "null": 10},
    }
    declared = plan(amount={"type": "number"}, plan={"type": "string", "required": True})
    week = days("buy", 100, sent, first=LAST - timedelta(days=6))
    other = days("view", 10, {}, first=LAST)
    assert breaches(pl.concat([week, other]), declared) == [
        ("buy", "plan", "required_missing", 70),
        ("view", None, "undeclared_event", 10),
        ("buy", "extra", "undeclared_property", 35),
        ("buy", "amount", "wrong_type", 280),
    ]


def test_a_column_of_events_fills_a_declared_property() -> None:
    declared = plan(platform={"type": "string", "required": True})
    assert breaches(days("buy", 100, {"platform": {"column": 100}}), declared) == []


def test_a_declared_event_that_is_not_sent_is_worth_knowing() -> None:
    found = find_breaches(days("view", 10, {}, first=FIRST), plan(), LAST).filter(
        pl.col("kind") == "never_sent"
    )
    assert found.select("event", "warns").rows() == [("buy", False)]


def test_a_breach_that_is_over_is_told_no_longer() -> None:
    bad = days("buy", 100, {"amount": {"string": 100}}, last=LAST - timedelta(days=8))
    good = days("buy", 100, {"amount": {"number": 100}}, first=LAST - timedelta(days=7))
    assert breaches(pl.concat([bad, good]), plan(amount={"type": "number"})) == []


VENDOR = {"web": frozenset({"$is_reshuffled", "$warehouse_*"})}
ADDED = {"$is_reshuffled": {"boolean": 100}, "$warehouse_import_id": {"string": 100}, "mine": {"string": 100}}


def test_what_the_vendor_adds_is_no_news() -> None:
    """After a merge of identities every export has `$is_reshuffled`: nobody's product changed."""
    profiles = of_product(change(PLAN, PLAN | ADDED), VENDOR)
    assert told(profiles) == [("buy", "mine", "new_property")]
    assert of_product(profiles, {"other": {"mine"}}).equals(profiles)


def test_what_the_vendor_adds_need_not_be_declared_but_may_be() -> None:
    profiles = days("buy", 100, ADDED | {"$city": {"string": 90}})
    vendor = {"web": VENDOR["web"] | {"$city"}}
    properties = {"$city": {"type": "string", "required": True}}
    plan = TrackingPlan.model_validate({"events": [{"name": "buy", "properties": properties}]})
    found = find_breaches(profiles, plan, LAST, vendor).select("property", "kind").rows()
    assert found == [("$city", "required_missing"), ("mine", "undeclared_property")]
