"""The generated product: its planted problems are found, its decoys are not."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from opsanalytics.behavior.diagnosis import diagnose
from opsanalytics.behavior.diagnosis_spec import Diagnosis
from opsanalytics.behavior.funnel import funnel
from opsanalytics.behavior.population import FunnelPersons
from opsanalytics.behavior.spec import Funnel
from opsanalytics.demo.product import EVENT_NAMES, generate
from opsanalytics.demo.product.catalogue import END
from opsanalytics.feedback.themes import find_themes
from opsanalytics.improvement.analysis import Improvement, analyse_improvement
from opsanalytics.improvement.decision_log import read_log
from opsanalytics.improvement.friction import friction_met
from opsanalytics.improvement.settings import FrictionSettings
from opsanalytics.lake.paths import Home
from opsanalytics_tests.feedback.messages import messages
from opsanalytics_tests.improvement.items import row, run, take

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
    "card_redirect": "CARD_REDIRECT on /checkout",
    "search_empty": "/invoices/new",
    "verification_late": "resend_verification",
    "preview_ios": "PREVIEW_CRASH on /invoices/preview",
    "vat_hint": "VAT_FORMAT on /invoices/new",
    "push_denied": "PUSH_DENIED on /onboarding/notifications",
    "slow_reports": "/reports",
}
FIXED = PLACES["card_redirect"]
"""Gone before anybody wrote of it."""


@dataclass(frozen=True)
class Weeks:
    """A generated product, to be analysed as of any moment."""

    truth: dict[str, Any]
    events: pl.DataFrame
    feedback: pl.DataFrame

    def analysed(self, as_of: datetime) -> Improvement:
        events = self.events.filter(pl.col("ts") < as_of)
        definition = Funnel(name="onboarding", steps=self.truth["funnel"], window="14d")
        entered = funnel(events.lazy(), definition, as_of=as_of).mature
        themes = find_themes(self.feedback.filter(pl.col("ts") < as_of), as_of=as_of)
        return analyse_improvement(
            events.lazy(), [FunnelPersons(definition, entered)], themes, as_of=as_of, friction=FRICTION
        )


@cache
def weeks(seed: int) -> Weeks:
    product = generate(seed)
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
    said = product.feedback
    first: datetime = said["created_at"].min()  # type: ignore[assignment]
    feedback = messages(
        said["comment"].to_list(),
        users=said["user_id"].to_list(),
        satisfaction=((said["rating"] - 1) / 4).to_list(),
        start=first,
    ).with_columns(ts=said["created_at"].dt.cast_time_unit("us"))
    return Weeks(product.truth, events, feedback)


@pytest.fixture(scope="module", params=[7, 11])
def analysed(request: pytest.FixtureRequest) -> tuple[dict[str, Any], Improvement]:
    product = weeks(request.param)
    return product.truth, product.analysed(END)


@pytest.mark.slow
def test_findings_are_the_planted_problems(analysed: tuple[dict[str, Any], Improvement]) -> None:
    truth, found = analysed
    items = found.pain_points.filter((pl.col("lane") == "behaviour") & (pl.col("status") == "finding"))
    places = set(items["place"])
    problems = {PLACES[plant["key"]] for plant in truth["plants"] if plant["kind"] != "decoy"}
    assert places <= problems
    assert len(places) >= 4


@pytest.mark.slow
@pytest.mark.parametrize("seed", [7, 11])
def test_the_diagnosis_of_the_steps_blames_planted_problems_and_no_decoy(seed: int) -> None:
    product = weeks(seed)
    definition = Funnel(name="onboarding", steps=product.truth["funnel"], window="14d")
    signals = friction_met(product.events, FRICTION, definition, as_of=END)
    blamed = set()
    for step in range(1, len(definition.steps)):
        asked = Diagnosis(funnel=definition, step=step)
        found = diagnose(product.events, asked, as_of=END, signals=signals).compared
        met = found.filter(pl.col("kind") == "signal", pl.col("verdict") == "drops_more")
        blamed |= set(met["value"])
    problems = {PLACES[plant["key"]] for plant in product.truth["plants"] if plant["kind"] != "decoy"}
    assert blamed <= problems
    assert len(blamed) >= 4


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
    findings = found.pain_points.filter(
        (pl.col("lane") == "behaviour") & (pl.col("status") == "finding") & (pl.col("place") != FIXED)
    )
    assert (findings["theme_link_by"] == "persons").all()
    assert (findings["messages"] >= 15).all()


@pytest.mark.slow
def test_ids_and_decisions_survive_new_weeks(tmp_path: Path) -> None:
    product, home = weeks(7), Home(tmp_path)
    earlier = END - timedelta(weeks=2)
    before = product.analysed(earlier).pain_points
    first = run(home, before, earlier)
    items = first.items.filter((pl.col("lane") == "behaviour") & (pl.col("status") == "finding"))
    assert items.height >= 3
    kept, closed, joined = items["item_id"].to_list()[:3]
    take(home, kept, "plan")
    take(home, kept, "assign", owner="Ann")
    take(home, kept, "effort", weeks=3.0)
    take(home, closed, "wont_fix", reason="by design")
    take(home, joined, "merge", into=kept)
    run(home, before, earlier)
    decisions = read_log(home).decisions
    after = product.analysed(END).pain_points
    places = dict(before.drop_nulls("place").select("place", "item_id").iter_rows())
    same = {
        place: item
        for place, item in after.drop_nulls("place").select("place", "item_id").iter_rows()
        if place in places
    }
    assert len(same) >= 4
    assert all(places[place] == item for place, item in same.items())
    made = run(home, after, END)
    assert read_log(home).decisions == decisions
    told = row(made, kept)
    assert (told["state"], told["owner"], told["effort_weeks"]) == ("planned", "Ann", 3.0)
    assert told["merged"] == [joined]
    assert (row(made, closed)["state"], row(made, closed)["note"]) == ("wont_fix", "by design")
    assert joined not in made.items["item_id"].to_list()
