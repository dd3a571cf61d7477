"""The generated product: its planted problems are found, its decoys are not."""

from datetime import datetime
from typing import Any

import polars as pl
import pytest

from opsanalytics.behavior.funnel import funnel
from opsanalytics.behavior.spec import Funnel
from opsanalytics.demo.product import EVENT_NAMES, generate
from opsanalytics.demo.product.catalogue import END
from opsanalytics.feedback.themes import find_themes
from opsanalytics.improvement.analysis import Improvement, analyse_improvement
from opsanalytics.improvement.population import FunnelPersons
from opsanalytics.improvement.settings import FrictionSettings
from opsanalytics_tests.feedback.messages import messages

FRICTION = FrictionSettings.model_validate(
    {
        "error_events": ["error_shown"],
        "slow_load": {"event": "page_load", "threshold_ms": 4000},
        "empty_search": {"event": "search"},
        "custom": [
            {
                "name": "verification_mail_again",
                "title": "Verification mail requested again and again",
                "event": "resend_verification",
                "times": 2,
                "within": "1d",
            }
        ],
    }
)
PLACES = {
    "bank_android": "BANK_CONNECT_FAILED on /connect-bank",
    "slow_checkout": "/checkout",
    "search_empty": "/invoices/new",
    "verification_late": "resend_verification",
    "preview_ios": "PREVIEW_CRASH on /invoices/preview",
    "vat_hint": "VAT_FORMAT on /invoices/new",
    "push_denied": "PUSH_DENIED on /onboarding/notifications",
    "slow_reports": "/reports",
}


@pytest.fixture(scope="module", params=[7, 11])
def analysed(request: pytest.FixtureRequest) -> tuple[dict[str, Any], Improvement]:
    product = generate(request.param)
    names = [{both[vendor]: name for name, both in EVENT_NAMES.items()} for vendor in (0, 1)]
    events = pl.concat(
        [
            product.web_events.with_columns(pl.col("event").replace(names[0])),
            product.mobile_events.with_columns(pl.col("event").replace(names[1])),
        ],
        how="diagonal",
    ).with_columns(pl.col("platform").str.to_lowercase().fill_null("web"))
    users = events.drop_nulls("user_id").sort("ts").group_by("device_id").agg(owner=pl.col("user_id").first())
    events = events.join(users, on="device_id", how="left").with_columns(
        person=pl.coalesce("user_id", "owner", "device_id")
    )
    definition = Funnel(name="onboarding", steps=product.truth["funnel"], window="14d")
    entered = funnel(events.lazy(), definition, as_of=END).mature
    said = product.feedback
    first: datetime = said["created_at"].min()  # type: ignore[assignment]
    feedback = messages(
        said["comment"].to_list(),
        users=said["user_id"].to_list(),
        satisfaction=((said["rating"] - 1) / 4).to_list(),
        start=first,
    ).with_columns(ts=said["created_at"].dt.cast_time_unit("us"))
    themes = find_themes(feedback, as_of=END)
    found = analyse_improvement(
        events.lazy(), [FunnelPersons(definition, entered)], themes, as_of=END, friction=FRICTION
    )
    return product.truth, found


@pytest.mark.slow
def test_findings_are_the_planted_problems(analysed: tuple[dict[str, Any], Improvement]) -> None:
    truth, found = analysed
    items = found.pain_points.filter((pl.col("lane") == "behaviour") & (pl.col("status") == "finding"))
    places = set(items["place"])
    problems = {PLACES[plant["key"]] for plant in truth["plants"] if plant["kind"] == "problem"}
    assert places <= problems
    assert len(places) >= 4


@pytest.mark.slow
def test_intervals_cover_the_planted_effects(analysed: tuple[dict[str, Any], Improvement]) -> None:
    truth, found = analysed
    items = {row["place"]: row for row in found.pain_points.iter_rows(named=True) if row["place"]}
    planted = [
        (plant["true_effect_points"] / 100, items[PLACES[plant["key"]]])
        for plant in truth["plants"]
        if PLACES[plant["key"]] in items
    ]
    covered = [row["effect_low"] <= effect <= row["effect_high"] for effect, row in planted]
    assert len(covered) >= 5
    assert sum(covered) >= len(covered) - 1


@pytest.mark.slow
def test_findings_have_the_words_of_their_victims(analysed: tuple[dict[str, Any], Improvement]) -> None:
    _, found = analysed
    findings = found.pain_points.filter((pl.col("lane") == "behaviour") & (pl.col("status") == "finding"))
    assert (findings["theme_link_by"] == "persons").all()
    assert (findings["messages"] >= 15).all()
