"""The generated product: deterministic, believable, and as its truth says (recomputed in SQL)."""

import hashlib
import json
from datetime import UTC, date, datetime
from itertools import pairwise
from typing import Any

import duckdb
import polars as pl
import pytest

from opsanalytics.demo.product import GeneratedProduct, generate
from opsanalytics.demo.product.catalogue import EVENT_NAMES, FUNNEL, PLANTS
from opsanalytics.demo.simulator import AmplitudeProject, MixpanelProject

COMPARISONS = {"eq": "=", "ge": ">="}


@pytest.fixture(scope="module")
def product() -> GeneratedProduct:
    return generate()


@pytest.fixture(scope="module")
def events(product: GeneratedProduct) -> pl.DataFrame:
    """Both vendors' events under canonical names."""
    names = [{both[vendor]: name for name, both in EVENT_NAMES.items()} for vendor in (0, 1)]
    tables = (product.web_events, product.mobile_events)
    return pl.concat(
        table.with_columns(pl.col("event").replace_strict(mapping))
        for table, mapping in zip(tables, names, strict=True)
    )


def digest(product: GeneratedProduct) -> str:
    parts = [frame.write_ndjson() for frame in (product.web_events, product.mobile_events, product.feedback)]
    return hashlib.sha256("".join([*parts, json.dumps(product.truth)]).encode()).hexdigest()


def first_moments(events: pl.DataFrame, name: str) -> pl.DataFrame:
    return events.filter(pl.col("event") == name).group_by("user_id").agg(pl.col("ts").min())


def signal_condition(signal: dict[str, Any]) -> str:
    """SQL for one signal event."""
    clauses = [f"event = '{signal['event']}'"]
    for where in signal["where"]:
        value = where["value"]
        kind = "VARCHAR" if isinstance(value, str) else "BIGINT"
        literal = f"'{value}'" if isinstance(value, str) else value
        clauses.append(
            f"CAST(properties ->> '$.{where['property']}' AS {kind}) {COMPARISONS[where['op']]} {literal}"
        )
    return " AND ".join(clauses)


def recompute(events: pl.DataFrame, plant: dict[str, Any]) -> tuple[int, int, float, float]:
    """reached, exposed, rate_exposed and rate_others of a plant, from the events alone."""
    query = f"""
        WITH moments AS (
            SELECT user_id,
                   min(ts) FILTER (event = '{plant["after"]}') AS reached,
                   min(ts) FILTER (event = '{plant["step"]}') AS passed
            FROM events WHERE user_id IS NOT NULL GROUP BY user_id),
        new AS (SELECT DISTINCT user_id FROM events WHERE event = 'sign_up'),
        entered AS (SELECT m.* FROM moments m SEMI JOIN new USING (user_id) WHERE reached IS NOT NULL),
        signals AS (
            SELECT e.user_id FROM events e JOIN entered m USING (user_id)
            WHERE {signal_condition(plant["signal"])}
              AND e.ts >= m.reached AND (m.passed IS NULL OR e.ts < m.passed)
            GROUP BY e.user_id HAVING count(*) >= {plant["signal"]["min_count"]}),
        marked AS (
            SELECT passed IS NOT NULL AS ok, user_id IN (SELECT user_id FROM signals) AS met FROM entered)
        SELECT count(*) AS n, count(*) FILTER (met) AS exposed,
               avg(ok::INT) FILTER (met) AS rate_met, avg(ok::INT) FILTER (NOT met) AS rate_others
        FROM marked"""
    with duckdb.connect() as con:
        con.register("events", events.select("user_id", "event", "ts", "properties"))
        (row,) = con.sql(query).pl().rows()
    return row


def test_equal_seeds_give_equal_bytes_and_others_do_not(product: GeneratedProduct) -> None:
    assert digest(generate()) == digest(product)
    assert digest(generate(seed=8)) != digest(product)


@pytest.mark.parametrize("key", [plant.key for plant in PLANTS])
def test_the_truth_is_what_the_events_say(product: GeneratedProduct, events: pl.DataFrame, key: str) -> None:
    (plant,) = [entry for entry in product.truth["plants"] if entry["key"] == key]
    reached, exposed, rate_exposed, rate_others = recompute(events, plant)
    assert (plant["reached"], plant["exposed"]) == (reached, exposed)
    assert plant["reach"] == pytest.approx(exposed / reached, abs=1e-6)
    assert plant["rate_exposed"] == pytest.approx(rate_exposed, abs=1e-6)
    assert plant["rate_others"] == pytest.approx(rate_others, abs=1e-6)


def test_problems_are_large_enough_to_find_and_decoys_cost_nothing(product: GeneratedProduct) -> None:
    plants = product.truth["plants"]
    problems = [plant for plant in plants if plant["kind"] == "problem"]
    assert len(problems) == 5
    for plant in problems:
        assert -31 < plant["true_effect_points"] < -12
        assert 0.05 < plant["reach"] < 0.2
        assert plant["exposed"] >= 100
        assert plant["messages"] >= 50
    decoys = [plant for plant in plants if plant["kind"] == "decoy"]
    assert [plant["true_effect_points"] for plant in decoys] == [0.0, 0.0, 0.0]
    assert [plant["messages"] for plant in decoys] == [0, 0, 0]


def test_true_effects_are_visible_in_many_products() -> None:
    """Over seeds, the raw difference of a problem without confounding comes out at its true effect."""
    gaps = []
    for seed in range(6):
        (plant,) = [entry for entry in generate(seed).truth["plants"] if entry["key"] == "search_empty"]
        gaps.append((plant["rate_exposed"] - plant["rate_others"]) * 100 - plant["true_effect_points"])
    # Six samples of about 350 exposed persons: the mean's standard error is about one point.
    assert abs(sum(gaps) / len(gaps)) < 4


def test_a_decoy_looks_harmful_until_platforms_are_compared(
    product: GeneratedProduct, events: pl.DataFrame
) -> None:
    (plant,) = [entry for entry in product.truth["plants"] if entry["key"] == "push_denied"]
    assert plant["rate_exposed"] - plant["rate_others"] < -0.1
    starters = events.filter(pl.col("event") == "sign_up").select("user_id", start="platform")
    android = events.join(starters.filter(pl.col("start") == "android"), on="user_id", how="semi")
    _, _, rate_exposed, rate_others = recompute(android, plant)
    assert abs(rate_exposed - rate_others) < 0.08


def test_signals_of_a_release_do_not_come_before_it(product: GeneratedProduct, events: pl.DataFrame) -> None:
    for plant in product.truth["plants"]:
        if plant["since"] is None or not plant["signal"]["where"]:
            continue
        with duckdb.connect() as con:
            con.register("events", events)
            condition = signal_condition(plant["signal"])
            seen = con.sql(
                "SELECT min(ts) AS first, list(DISTINCT platform) AS platforms,"
                f" list(DISTINCT country) AS countries FROM events WHERE {condition}"
            ).pl()
        assert seen["first"][0] >= datetime.fromisoformat(plant["since"])
        assert set(seen["platforms"][0]) == set(plant["platforms"])
        assert plant["countries"] is None or set(seen["countries"][0]) == set(plant["countries"])


def test_steps_happen_in_order(events: pl.DataFrame) -> None:
    signed_up = first_moments(events, "sign_up")
    for before, after in pairwise(FUNNEL):
        both = first_moments(events, before).join(first_moments(events, after), on="user_id", suffix="_after")
        both = both.join(signed_up, on="user_id", how="semi")
        assert (both["ts"] < both["ts_after"]).all()


def test_the_size_and_the_period_are_as_promised(product: GeneratedProduct, events: pl.DataFrame) -> None:
    assert 120_000 < events.height < 250_000
    assert events["ts"].min() >= datetime(2026, 8, 24, tzinfo=UTC)
    assert events["ts"].max() < datetime(2026, 11, 16, tzinfo=UTC)
    assert events["ts"].dt.date().n_unique() == 84
    assert product.truth["last_day"] == "2026-11-15"
    assert set(product.web_events["platform"]) == {"web"}
    assert set(product.mobile_events["platform"]) == {"android", "ios"}


def test_the_product_grows_and_rests_at_weekends(events: pl.DataFrame) -> None:
    signups = events.filter(pl.col("event") == "sign_up")
    weekly = signups.group_by(pl.col("ts").dt.truncate("1w")).len().sort("ts")["len"]
    assert weekly[-4:].sum() > 1.2 * weekly[:4].sum()
    by_weekday = dict(signups.group_by(pl.col("ts").dt.weekday()).len().iter_rows())
    assert (by_weekday[6] + by_weekday[7]) / 2 < 0.7 * (by_weekday[1] + by_weekday[2]) / 2


def test_weekly_retention_falls_and_flattens(events: pl.DataFrame) -> None:
    cohort = first_moments(events, "sign_up").filter(pl.col("ts") < datetime(2026, 9, 14, tzinfo=UTC))
    returns = events.filter(pl.col("event").is_in(["create_invoice", "send_invoice"])).join(
        cohort.rename({"ts": "since"}), on="user_id"
    )
    week = (pl.col("ts") - pl.col("since")).dt.total_days() // 7
    active = dict(returns.group_by(week.alias("week")).agg(pl.col("user_id").n_unique()).iter_rows())
    assert active[0] > active[2] > active[4] > active[7] > 0.05 * cohort.height


def test_some_persons_use_both_and_some_devices_are_shared(product: GeneratedProduct) -> None:
    web, mobile = (
        set(table["user_id"].drop_nulls()) for table in (product.web_events, product.mobile_events)
    )
    assert 150 < len(web & mobile) < 1500
    users = product.web_events.group_by("device_id").agg(pl.col("user_id").n_unique())
    assert (users["user_id"] > 2).sum() > 10


def test_visitors_are_anonymous_until_they_sign_up(events: pl.DataFrame) -> None:
    first_known = events.drop_nulls("user_id").group_by("user_id").agg(pl.col("event").sort_by("ts").first())
    signed_up = events.filter(pl.col("event") == "sign_up").select("user_id")
    assert set(first_known.join(signed_up, on="user_id")["event"]) == {"sign_up"}
    assert events["user_id"].null_count() > 5000


def test_both_vendors_can_serve_it(product: GeneratedProduct) -> None:
    mixpanel = MixpanelProject(product.web_events)
    amplitude = AmplitudeProject(product.mobile_events)
    assert mixpanel.delivered_rows > product.web_events.height
    assert amplitude.delivered_rows == product.mobile_events.height
    assert amplitude.last_upload_hour.date() <= date(2026, 11, 18)


def test_feedback_speaks_of_what_happened_to_its_author(
    product: GeneratedProduct, events: pl.DataFrame
) -> None:
    topic_by_id = product.truth["feedback"]["topic_by_id"]
    topic = pl.col("id").replace_strict(topic_by_id)
    about_bank = product.feedback.filter(topic == "bank_android").drop_nulls("user_id")
    errors = events.filter(pl.col("properties").str.contains("BANK_CONNECT_FAILED"))
    met = errors.group_by("user_id").agg(pl.col("ts").min())
    joined = about_bank.join(met, on="user_id", how="left")
    assert joined["ts"].null_count() == 0
    assert (joined["created_at"] > joined["ts"]).all()


def test_feedback_has_the_traps_of_real_feedback(product: GeneratedProduct) -> None:
    feedback = product.feedback
    assert 850 <= feedback.height <= 950
    assert feedback["id"].n_unique() == feedback.height
    assert set(feedback["rating"].drop_nulls()) == {1, 2, 3, 4, 5}
    assert all(0 < feedback[name].null_count() < 600 for name in ("user_id", "email", "rating"))
    assert feedback["comment"].str.contains(r"@example\.com").sum() > 10
    assert feedback["comment"].str.contains(r"\+1 \d{3}-555-01\d\d").sum() > 5
    assert feedback["comment"].n_unique() > 0.8 * feedback.height
    repeated = feedback.filter(
        pl.struct("user_id", "comment").is_duplicated() & pl.col("user_id").is_not_null()
    )
    assert repeated.height >= 12
    assert not feedback["comment"].str.contains(r"[\[\]{}|]").any()


def test_the_truth_can_be_written_as_json(product: GeneratedProduct) -> None:
    assert json.loads(json.dumps(product.truth)) == product.truth
    assert product.truth["generated"] is True
    topics = product.truth["feedback"]["topics"]
    assert sum(topic["messages"] for topic in topics) == product.feedback.height
    assert {topic["kind"] for topic in topics} == {"problem", "request", "complaint", "praise", "other"}
