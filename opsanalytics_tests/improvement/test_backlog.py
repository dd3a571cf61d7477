import polars as pl
import pytest
from pydantic import ValidationError

from opsanalytics.improvement.analysis import Improvement
from opsanalytics.improvement.backlog import rank_backlog
from opsanalytics.improvement.settings import BacklogSettings, PainPointSettings
from opsanalytics_tests.improvement.world import AS_OF

UNKNOWN = ("satisfaction", "severity", "severity_low", "severity_high", "severity_from")
THRESHOLDS = PainPointSettings()


def rank(items: pl.DataFrame, **settings: object) -> pl.DataFrame:
    return rank_backlog(items, BacklogSettings.model_validate(settings), THRESHOLDS, as_of=AS_OF)


def test_ranks_are_per_lane_findings_first_then_score(found: Improvement) -> None:
    for _, lane in found.backlog.group_by("lane"):
        ordered = lane.sort("rank")
        assert ordered["rank"].to_list() == list(range(1, lane.height + 1))
        keys = [
            (status != "finding", -(score or 0.0))
            for status, score in ordered.select("status", "score").iter_rows()
        ]
        assert keys == sorted(keys)


def test_score_is_reach_impact_confidence_by_effort(found: Improvement) -> None:
    rated = found.backlog.drop_nulls("impact")
    product = rated["reach"] * rated["impact"] * rated["confidence"] / rated["effort_weeks"]
    assert product.to_list() == pytest.approx(rated["score"].to_list())


def test_scores_lie_in_their_interval(found: Improvement) -> None:
    scored = found.backlog.drop_nulls("score")
    assert (scored["score_low"] <= scored["score"]).all()
    assert (scored["score"] <= scored["score_high"]).all()


def test_effort_divides_the_score_and_says_who_gave_it(found: Improvement) -> None:
    first = found.backlog.row(0, named=True)
    changed = rank(found.pain_points, effort={first["item_id"]: 4.0})
    row = changed.filter(pl.col("item_id") == first["item_id"]).row(0, named=True)
    assert row["score"] == pytest.approx(first["score"] / 4)
    assert row["effort_source"] == "configuration"
    assert first["effort_source"] == "default"


def test_unrated_themes_have_no_impact_and_less_confidence(found: Improvement) -> None:
    voice = found.pain_points.filter(pl.col("lane") == "voice")
    rated = rank(voice)
    unrated = rank(voice.with_columns(**dict.fromkeys(UNKNOWN, pl.lit(None))))
    assert unrated["impact"].null_count() == voice.height
    assert (unrated["confidence"] < rated["confidence"].max()).all()
    assert unrated["confidence_reason"].str.contains("assumed").all()


def test_watched_items_are_never_confident(found: Improvement) -> None:
    watched = found.backlog.filter((pl.col("status") == "watch") & (pl.col("lane") == "behaviour"))
    assert (watched["confidence"] <= 0.3).all()


def test_failed_quality_checks_halve_confidence(found: Improvement) -> None:
    before = rank(found.pain_points).sort("item_id")
    after = rank(found.pain_points.with_columns(quality=pl.lit("failed"))).sort("item_id")
    finding = pl.col("status") == "finding"
    halves = after.filter(finding)["confidence"] / before.filter(finding)["confidence"]
    assert halves.to_list() == pytest.approx([0.5] * len(halves), abs=1e-3)


def test_effort_of_something_that_is_no_item_id_is_an_error() -> None:
    with pytest.raises(ValidationError):
        BacklogSettings.model_validate({"effort": {"bank": 3}})
