"""Items from feedback alone: what they say, how they rank."""

from datetime import datetime, timedelta
from typing import Any

import duckdb
import polars as pl
import pytest
from scipy.stats import poisson

from opsanalytics.behavior.spec import Funnel
from opsanalytics.feedback.themes import find_themes
from opsanalytics.improvement.analysis import Improvement, analyse_improvement
from opsanalytics.lake.schemas import EVENTS, FEEDBACK
from opsanalytics_tests.feedback.messages import START, messages

SUBJECTS = {
    "bank": "bank connection breaks login account",
    "export": "export csv columns missing header",
    "price": "yearly price expensive plan discount",
    "search": "broken search button invoice",
}
EACH = 8
WEEK = timedelta(weeks=1)
AS_OF = START + 10 * WEEK
FUNNEL = Funnel(name="f", steps=["a", "b"], window="1d")


def analyse(as_of: datetime = AS_OF, **columns: list[Any]) -> Improvement:
    """Eight messages a subject, subject after subject, one an hour, each of another author."""
    feedback_types = FEEDBACK.schema
    texts = [f"{words} {'abcdefgh'[i]}{'abcdefgh'[i]}" for words in SUBJECTS.values() for i in range(EACH)]
    feedback = messages(texts, users=[f"u{i}" for i in range(len(texts))]).with_columns(
        **{name: pl.Series(values, dtype=feedback_types[name]) for name, values in columns.items()}
    )
    events = EVENTS.empty().with_columns(person=pl.lit(None, pl.String)).lazy()
    return analyse_improvement(events, [], find_themes(feedback, as_of=as_of), as_of=as_of)


def kinds(*of_subject: str | None) -> list[str | None]:
    return [kind for kind in of_subject for _ in range(EACH)]


def by_subject(found: Improvement) -> dict[str, dict[str, Any]]:
    joined = found.pain_points.join(found.backlog.drop("title", "status"), on="item_id")
    return {
        subject: row
        for subject in SUBJECTS
        for row in joined.to_dicts()
        if subject in row["title"] and row["messages"] == EACH
    }


def test_titles_say_what_it_is() -> None:
    items = by_subject(analyse(kind=kinds("bug", "request", "question", "other")))
    starts = {subject: row["title"].split(":")[0] for subject, row in items.items()}
    assert starts == {
        "bank": "Bug reports", "export": "Requests", "price": "Questions", "search": "Discussed",
    }  # fmt: skip


def test_discussions_rank_after_what_asks_for_something() -> None:
    votes = [0] * 24 + [50] * 8
    items = by_subject(analyse(kind=kinds("bug", "request", "question", "other"), votes=votes))
    assert items["search"]["score"] > items["bank"]["score"]
    assert [items[subject]["rank"] for subject in ("bank", "search")] == [1, 4]


def test_bug_reports_alone_are_a_finding_without_ratings() -> None:
    items = by_subject(analyse(kind=kinds("bug", "request", None, None)))
    assert items["bank"]["status"] == "finding"
    assert items["export"]["status"] == "watch"


def test_assumed_severity_says_so_and_counts_less_than_a_rating() -> None:
    items = by_subject(
        analyse(kind=kinds("bug", None, "bug", None), satisfaction=[None] * 16 + [0.0] * 8 + [None] * 8)
    )
    assumed, rated, unknown = items["bank"], items["price"], items["export"]
    assert (assumed["severity_from"], rated["severity_from"], unknown["severity_from"]) == (
        "kinds",
        "ratings",
        None,
    )
    assert rated["confidence"] > assumed["confidence"] > unknown["confidence"]
    assert "severity 1 assumed" in assumed["confidence_reason"]
    assert unknown["impact"] is None


def test_settled_themes_open_no_item() -> None:
    items = by_subject(analyse(resolved=[True] * EACH + [False] * 3 * EACH))
    assert set(items) == {"export", "price", "search"}


def test_praise_opens_no_item() -> None:
    assert "bank" not in by_subject(analyse(kind=kinds("praise", "bug", None, None)))


def test_dormant_themes_rank_last_whatever_their_votes() -> None:
    late = START + timedelta(weeks=60)
    texts_late = [START + timedelta(hours=i) for i in range(3 * EACH)] + [
        late + timedelta(hours=i) for i in range(EACH)
    ]
    found = analyse(late + WEEK, ts=texts_late, votes=[90] * 3 * EACH + [0] * EACH)
    items = by_subject(found)
    assert [items[subject]["status"] for subject in SUBJECTS] == ["dormant"] * 3 + ["watch"]
    assert items["search"]["rank"] == 1
    assert "nobody has written of it, unsettled, since" in items["bank"]["caveat"]


def test_reach_counts_authors_and_votes_with_the_interval_of_a_count() -> None:
    item = by_subject(analyse(votes=[2] * 32))["bank"]
    people, weeks = 8 + 16, (AS_OF - START) / WEEK
    assert item["votes"] == 16
    assert item["reach_per_week"] == pytest.approx(people / weeks)
    # Garwood's limits: a Poisson count this far from them has probability 2.5 % on each side.
    assert poisson.sf(people - 1, item["reach_low"] * weeks) == pytest.approx(0.025)
    assert poisson.cdf(people, item["reach_high"] * weeks) == pytest.approx(0.025)


def test_a_voted_request_is_an_item_of_its_own() -> None:
    found = analyse(
        kind=kinds("request", None, None, None), votes=[11] + [0] * 31, title=["Dark mode"] + [None] * 31
    )
    (alone,) = found.pain_points.filter(pl.col("messages") == 1).to_dicts()
    assert alone["title"] == "Request: “Dark mode”"
    assert (alone["affected"], alone["votes"], alone["status"]) == (1, 11, "watch")
    assert by_subject(found)["bank"]["votes"] == 0


def test_queries_of_voice_items_run_and_list_the_authors() -> None:
    hostile = ["survey:o'brien", *[f"survey:{i}" for i in range(1, 32)]]
    found = analyse(kind=kinds("bug", None, None, None), votes=[5] + [0] * 31, feedback_id=hostile)
    feedback = messages(["x"] * 32, ids=hostile)
    with duckdb.connect() as database:
        database.register("frame", feedback.to_arrow())
        database.sql("CREATE TABLE feedback AS SELECT * FROM frame")
        (alone,) = found.pain_points.filter(pl.col("messages") == 1).to_dicts()
        assert database.sql(alone["query"]).pl().height == 1
