"""Themes on real data: quality against labels, and a corpus without any."""

from datetime import UTC, datetime, timedelta

import polars as pl
import pytest

from opsanalytics.feedback.themes import find_themes
from opsanalytics_tests.conftest import real
from opsanalytics_tests.feedback.messages import messages


@pytest.mark.slow
def test_banking_intents_are_recovered() -> None:
    from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score

    folder = real("feedback_labelled")
    labelled = pl.concat([pl.read_csv(folder / f"banking77_{part}.csv") for part in ("train", "test")])
    feedback = messages(labelled["text"].to_list(), apart=timedelta(minutes=1))
    found = find_themes(feedback, as_of=datetime(2027, 1, 1, tzinfo=UTC)).assignments
    given = found["theme_id"].fill_null("none").to_list()
    truth = labelled["category"].to_list()
    assert found["theme_id"].null_count() < 0.02 * len(truth)
    assert normalized_mutual_info_score(truth, given) > 0.60
    assert adjusted_rand_score(truth, given) > 0.26


@pytest.mark.slow
def test_history_site_has_themes_people_can_name() -> None:
    posts = pl.read_csv(real("stackexchange_history_meta/feedback.csv"))
    feedback = messages(
        posts.select(pl.concat_str("title", pl.col("text").fill_null(""), separator="\n"))
        .to_series()
        .to_list(),
        users=posts["user_id"].cast(pl.String).to_list(),
    )
    found = find_themes(feedback, as_of=datetime(2027, 1, 1, tzinfo=UTC))
    assert 10 <= found.themes.height <= 60
    assert found.unassigned < 0.25 * posts.height
    assert found.themes["messages"].max() < 0.25 * posts.height
    tags = found.themes.filter(pl.col("label").str.contains(r"\btag"))
    assert tags["messages"].sum() >= 50
