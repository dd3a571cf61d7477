"""Decisions are kept, and say what they say."""

from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest

from opsanalytics.feedback.decisions import (
    ThemeDecision,
    ThemeDecisionError,
    decide,
    decided,
    in_force,
    read_decisions,
    told,
)
from opsanalytics.feedback.keyword_themes import KeywordTheme, keyword_theme_of
from opsanalytics.feedback.themes import find_themes
from opsanalytics.lake.paths import Home
from opsanalytics_tests.feedback.messages import START, messages
from opsanalytics_tests.feedback.test_themes import AS_OF, corpus

NOW = datetime(2026, 5, 1, tzinfo=UTC)


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "data")


def add(home: Home, *wanted: ThemeDecision) -> None:
    for each in wanted:
        decide(home, each, at=NOW, by="ada")


def test_what_was_decided_is_read_again(home: Home) -> None:
    assert read_decisions(home) == ()
    written = decide(home, ThemeDecision("rename", "TH-1", "Größe ✓", ("m1",), START), at=NOW, by="ada")
    assert read_decisions(home) == (written,)
    assert (written.seq, written.by, written.value, written.anchors) == (1, "ada", "Größe ✓", ("m1",))


def test_undo_takes_back_and_can_be_undone(home: Home) -> None:
    add(home, ThemeDecision("pin", "TH-1"), ThemeDecision("undo", "", "1"))
    assert in_force(read_decisions(home)) == ()
    with pytest.raises(ThemeDecisionError, match="no decision 1"):
        add(home, ThemeDecision("undo", "", "1"))


def test_a_refused_decision_leaves_nothing(home: Home) -> None:
    add(home, ThemeDecision("merge", "TH-1", "TH-2"), ThemeDecision("merge", "TH-2", "TH-3"))
    with pytest.raises(ThemeDecisionError, match="undo that merger"):
        add(home, ThemeDecision("merge", "TH-3", "TH-1"))
    assert len(read_decisions(home)) == 2


def test_mergers_follow_each_other(home: Home) -> None:
    add(home, ThemeDecision("merge", "a", "b"), ThemeDecision("merge", "b", "c"))
    rules = decided(read_decisions(home), {}, ["a", "b", "c"], NOW)
    assert rules.into == {"a": "c", "b": "c"}


def test_a_theme_that_is_not_there_yet_is_not_looked_for() -> None:
    later = ThemeDecision("rename", "gone", "Name", ("m1",), since=NOW)
    assert decided([later], {"m1": "other"}, ["other"], START).names == {}
    assert decided([later], {"m1": "other"}, ["other"], NOW).names == {"other": "Name"}


def test_a_decision_is_a_fact(home: Home) -> None:
    before = told(read_decisions(home))
    add(home, ThemeDecision("pin", "TH-1"))
    assert told(read_decisions(home)) != before
    add(home, ThemeDecision("undo", "", "1"))
    assert told(read_decisions(home)) == before


def test_merged_themes_are_one() -> None:
    feedback = messages(corpus())
    before = find_themes(feedback, as_of=AS_OF)
    first, second = before.themes["theme_id"].head(2)
    after = find_themes(feedback, as_of=AS_OF, decisions=[ThemeDecision("merge", second, first, at=NOW)])
    sizes = dict(before.themes.select("theme_id", "messages").iter_rows())
    assert second not in after.themes["theme_id"]
    (row,) = after.themes.filter(pl.col("theme_id") == first).to_dicts()
    assert row["messages"] == sizes[first] + sizes[second]
    (event,) = after.history.filter(pl.col("what") == "merged_by_people").to_dicts()
    assert (event["from_id"], event["to_id"], event["messages"]) == (second, first, sizes[second])


def test_what_is_muted_is_not_heard() -> None:
    feedback = messages(corpus()).with_columns(kind=pl.lit("bug"), votes=pl.lit(9, pl.Int64))
    theme = find_themes(feedback, as_of=AS_OF).themes["theme_id"][0]
    after = find_themes(feedback, as_of=AS_OF, decisions=[ThemeDecision("mute", theme)])
    assert theme in after.themes["theme_id"]
    assert theme in after.alone["theme_id"]
    assert theme not in after.audible.themes["theme_id"]
    assert theme not in after.audible.alone["theme_id"].drop_nulls()


@pytest.mark.parametrize(
    ("text", "inside"),
    [
        ("I was Refunded twice", True),
        ("the prefund", False),
        ("money  BACK now", True),
        ("moneyback", False),
        ("返金してください", True),
        ("refund, but only a test", False),
        (None, False),
    ],
)
def test_keywords(text: str | None, inside: bool) -> None:
    theme = KeywordTheme(name="Refunds", any=("refund*", "money back", "返金"), none=("test",))
    assert keyword_theme_of([text], [theme]) == [theme.theme_id if inside else None]


def test_a_keyword_without_a_letter_is_refused() -> None:
    with pytest.raises(ValueError, match="name a word"):
        KeywordTheme(name="All", any=("*",))
