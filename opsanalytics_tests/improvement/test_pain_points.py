from typing import Any

import duckdb
import numpy as np
import polars as pl
import pytest

from opsanalytics.behavior.funnel import funnel
from opsanalytics.behavior.population import FunnelPersons
from opsanalytics.behavior.spec import Funnel
from opsanalytics.feedback.themes import Themes, find_themes
from opsanalytics.improvement.analysis import Improvement, analyse_improvement
from opsanalytics.improvement.pain_points import item_id
from opsanalytics.improvement.settings import FrictionSettings
from opsanalytics.improvement.tables import BACKLOG, FRICTION, PAIN_POINT_PERSONS, PAIN_POINTS
from opsanalytics_tests.feedback.messages import messages
from opsanalytics_tests.improvement.world import AS_OF, EFFECT, START, World, analyse


def item(found: Improvement, place: str) -> dict[str, Any]:
    return found.pain_points.filter(pl.col("place") == f"{place} on /connect-bank").row(0, named=True)


def behaviour(found: Improvement) -> pl.DataFrame:
    return found.pain_points.filter(pl.col("lane") == "behaviour")


def test_the_planted_problem_is_found_and_the_decoys_are_not(found: Improvement) -> None:
    findings = behaviour(found).filter(pl.col("status") == "finding")
    assert findings["place"].to_list() == ["CRASH on /connect-bank"]


def test_its_interval_covers_the_truth(found: Improvement) -> None:
    crash = item(found, "CRASH")
    assert crash["effect_low"] <= EFFECT <= crash["effect_high"] < 0
    assert crash["effect"] == pytest.approx(EFFECT, abs=0.08)
    assert crash["overlap"] > 0.9


def test_crude_comparison_blames_the_decoys(world: World) -> None:
    _, found = analyse(world.events, world.feedback)
    watched = behaviour(found).filter(pl.col("status") == "watch")
    assert (watched["crude_effect"].drop_nulls() < -0.05).all()
    assert watched.height <= 2


def test_losses_follow_from_reach_harm_and_value(found: Improvement) -> None:
    crash = item(found, "CRASH")
    product = crash["reach_per_week"] * -crash["shrunk_effect"] * crash["pass_value"]
    assert crash["lost_per_week"] == pytest.approx(product)
    assert 0 < crash["lost_low"] < crash["lost_per_week"] < crash["lost_high"]


def test_affected_are_those_who_met_it_at_the_step(found: Improvement, world: World) -> None:
    crash = item(found, "CRASH")
    persons = found.pain_point_persons.filter(pl.col("item_id") == crash["item_id"])
    assert persons.height == crash["affected"]
    assert (persons["first_ts"] >= persons["reached_ts"]).all()
    met = world.events.filter(pl.col("properties").str.contains("CRASH"))["person"].unique()
    assert set(persons["person"]) <= set(met)
    assert set(crash["example_persons"]) <= set(persons.filter(~pl.col("passed"))["person"])


def test_title_reads_as_a_sentence_would(found: Improvement) -> None:
    assert item(found, "CRASH")["title"] == "Error CRASH on /connect-bank after “sign up”"


def test_a_problem_of_one_platform_says_so(world: World) -> None:
    events = world.events.filter(
        (pl.col("platform") == "android") | ~pl.col("properties").str.contains("CRASH")
    )
    _, found = analyse(events, world.feedback)
    assert item(found, "CRASH")["title"].endswith("(Android)")


def test_the_theme_of_the_affected_is_part_of_the_item(found: Improvement) -> None:
    crash = item(found, "CRASH")
    assert crash["theme_link_by"] == "persons"
    assert crash["messages"] >= 30
    assert "bank" in crash["quotes"][0].lower()
    assert crash["theme_id"] not in found.pain_points.filter(pl.col("lane") == "voice")["theme_id"].to_list()


def test_complaints_without_behaviour_stand_apart_and_praise_does_not(
    analysed: tuple[Themes, Improvement],
) -> None:
    themes, found = analysed
    voice = found.pain_points.filter(pl.col("lane") == "voice")
    assert voice["title"].str.contains("price").any()
    praise = themes.themes.filter(pl.col("label").str.contains("love|dashboard|reports"))["theme_id"]
    assert len(praise) > 0
    assert not set(praise) & set(voice["theme_id"])
    assert voice["lost_per_week"].null_count() == voice.height


def test_unrated_themes_are_watched_and_say_why(world: World) -> None:
    unrated = world.feedback.with_columns(satisfaction=pl.lit(None, pl.Float64))
    _, found = analyse(world.events, unrated)
    voice = found.pain_points.filter(pl.col("lane") == "voice")
    assert voice.height > 0
    assert (voice["status"] == "watch").all()
    assert voice["caveat"].str.contains("not known").all()


def test_each_query_lists_just_the_affected(
    found: Improvement, analysed: tuple[Themes, Improvement], world: World
) -> None:
    with duckdb.connect() as database:
        for name, frame in (
            ("pain_point_persons", found.pain_point_persons),
            ("feedback", world.feedback),
            ("feedback_assignments", analysed[0].assignments),
        ):
            database.register("frame", frame.to_arrow())
            database.sql(f"CREATE TABLE {name} AS SELECT * FROM frame")
        for row in found.pain_points.iter_rows(named=True):
            listed = database.sql(row["query"]).pl()
            assert listed.height == row["affected"]
            assert listed[listed.columns[0]].n_unique() == row["affected"]


def test_too_few_affected_persons_state_no_effect(world: World) -> None:
    some = [f"p{i:04}" for i in range(100)]
    rare = world.events.filter(~pl.col("properties").str.contains("CRASH") | pl.col("person").is_in(some))
    _, found = analyse(rare, world.feedback)
    crash = item(found, "CRASH")
    assert 5 <= crash["affected"] < 30
    assert crash["status"] == "watch"
    assert crash["effect"] is None
    assert crash["lost_per_week"] is None
    assert "too few" in crash["caveat"]


def test_row_order_changes_nothing(world: World, found: Improvement) -> None:
    _, again = analyse(
        world.events.sample(fraction=1, shuffle=True, seed=5),
        world.feedback.sample(fraction=1, shuffle=True, seed=6),
    )
    for one, other in zip(vars(found).values(), vars(again).values(), strict=True):
        assert one.equals(other)


@pytest.mark.parametrize("size", [0, 1, 5])
def test_few_messages(world: World, size: int) -> None:
    _, found = analyse(world.events, world.feedback.head(size))
    assert found.pain_points.filter(pl.col("lane") == "voice").height == 0
    assert item(found, "CRASH")["status"] == "finding"


def test_nothing_at_all() -> None:
    nobody = pl.DataFrame(
        schema={
            "person": pl.String,
            "event": pl.String,
            "ts": pl.Datetime("us", "UTC"),
            "platform": pl.String,
            "properties": pl.String,
            "app_version": pl.String,
        }
    )
    _, found = analyse(nobody, messages([]))
    assert found.pain_points.schema == PAIN_POINTS.schema
    assert found.pain_point_persons.schema == PAIN_POINT_PERSONS.schema
    assert found.backlog.schema == BACKLOG.schema
    assert found.friction.schema == FRICTION.schema
    assert found.pain_points.is_empty()


def test_without_configured_signals_only_voice_is_left(world: World) -> None:
    _, found = analyse(world.events, world.feedback, friction=FrictionSettings())
    assert set(found.pain_points["lane"]) == {"voice"}


def test_rare_places_together_are_no_pain_point(world: World) -> None:
    few = FrictionSettings(error_events=("error_shown",), max_places=1)
    _, found = analyse(world.events, world.feedback, friction=few)
    assert "(other)" in found.friction["place"].to_list()
    assert "(other)" not in found.pain_points["place"].to_list()


def test_ids_are_made_of_signal_and_place_alone(found: Improvement) -> None:
    assert item(found, "CRASH")["item_id"] == item_id("v2|error|CRASH on /connect-bank")


def questions(seed: int, persons: int = 2_000) -> pl.DataFrame:
    """Everybody asks once; who gets no answer asks again 20 points less often. Half have no vote, which
    costs nothing."""
    rng = np.random.default_rng(seed)
    unanswered, unloved = rng.random(persons) < 0.25, rng.random(persons) < 0.5
    again = rng.random(persons) < 0.5 - 0.2 * unanswered
    asked = rng.uniform(0, 40 * 86_400, persons)
    first = [
        (f"q{i:04}", asked[i], f'{{"answers":{int(not unanswered[i])},"score":{int(not unloved[i])}}}')
        for i in range(persons)
    ]
    second = [
        (f"q{i:04}", asked[i] + rng.uniform(60, 5 * 86_400), '{"answers":1,"score":1}')
        for i in np.flatnonzero(again)
    ]
    return pl.DataFrame(first + second, schema=["person", "seconds", "properties"], orient="row").select(
        "person",
        "properties",
        event=pl.lit("ask"),
        ts=(pl.lit(START) + pl.duration(microseconds=(pl.col("seconds") * 1e6).cast(pl.Int64))).cast(
            pl.Datetime("us", "UTC")
        ),
        platform=pl.lit("web"),
        app_version=pl.lit(None, pl.String),
    )


QUESTION_SIGNALS = FrictionSettings.model_validate(
    {
        "custom": [
            {"name": "unanswered", "title": "Question that nobody answered", "event": "ask",
             "where": {"answers": 0}, "note": "counted at the end"},
            {"name": "unloved", "title": "Question without a vote", "event": "ask", "where": {"score": 0}},
        ]
    }
)  # fmt: skip


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_custom_signal_met_on_reaching_the_step_is_found_with_its_effect(seed: int) -> None:
    events = questions(seed)
    asking = Funnel(name="asking", steps=["ask", {"event": "ask", "name": "Ask again"}], window="7d")
    found = analyse_improvement(
        events.lazy(),
        [FunnelPersons(asking, funnel(events.lazy(), asking, as_of=AS_OF).mature)],
        find_themes(messages([]), as_of=AS_OF),
        as_of=AS_OF,
        friction=QUESTION_SIGNALS,
    )
    (finding,) = found.pain_points.filter(pl.col("status") == "finding").to_dicts()
    assert finding["title"] == "Question that nobody answered, at “ask”"
    assert finding["effect_low"] <= -0.2 <= finding["effect_high"] < 0
    assert "counted at the end" in finding["caveat"]
    unanswered = events.filter(pl.col("properties").str.contains('"answers":0'))["person"].n_unique()
    assert finding["affected"] == unanswered
