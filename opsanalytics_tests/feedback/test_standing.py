"""What is open, of which kind, and how many agree."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import polars as pl
import pytest

from opsanalytics.feedback.themes import Themes, ThemeSettings, find_themes
from opsanalytics_tests.feedback.messages import START, messages

DAY = timedelta(days=1)
WORDS = ("always", "monday", "tuesday", "badly", "twice", "here", "again", "friday")


def themes(
    *,
    kinds: Sequence[str | None] | None = None,
    votes: Sequence[int | None] | None = None,
    resolved: Sequence[bool | None] | None = None,
    titles: Sequence[str | None] | None = None,
    after: timedelta = 10 * DAY,
    **settings: Any,
) -> Themes:
    """Eight messages of one theme, one a day."""
    feedback = messages([f"bank connection fails {word}" for word in WORDS], apart=DAY).with_columns(
        kind=pl.Series(kinds or [None] * 8, dtype=pl.String),
        votes=pl.Series(votes or [None] * 8, dtype=pl.Int64),
        resolved=pl.Series(resolved or [None] * 8, dtype=pl.Boolean),
        title=pl.Series(titles or [None] * 8, dtype=pl.String),
    )
    return find_themes(feedback, as_of=START + after, settings=ThemeSettings.model_validate(settings))


def theme(**fields: Any) -> dict[str, Any]:
    return themes(**fields).themes.row(0, named=True)


def test_nothing_known_is_all_open_and_of_no_kind() -> None:
    found = theme()
    assert (found["open"], found["active"], found["votes"]) == (8, 8, 0)
    assert (found["kind"], found["kind_severity"], found["example"]) == (None, None, None)


def test_resolved_messages_are_not_open() -> None:
    found = theme(resolved=[True] * 5 + [False] * 2 + [None])
    assert (found["open"], found["open_authors"], found["messages"]) == (3, 3, 8)


def test_votes_against_count_as_none() -> None:
    assert theme(votes=[3, -5, 0, None, 1, -1, 2, None])["votes"] == 6


def test_votes_of_settled_messages_do_not_count() -> None:
    assert theme(votes=[3] * 8, resolved=[True] * 7 + [False])["votes"] == 3


def test_only_the_window_is_active() -> None:
    found = theme(after=timedelta(weeks=2), window_weeks=1, votes=[0, 0, 0, 0, 0, 0, 0, 9])
    assert (found["open"], found["active"], found["active_votes"]) == (8, 0, 0)
    assert found["window_start"] == START + timedelta(weeks=1)


def test_kinds_are_those_of_current_messages() -> None:
    kinds = ["bug"] * 4 + ["question"] * 2 + ["other", None]
    everything, lately = theme(kinds=kinds), theme(kinds=kinds, after=11 * DAY, window_weeks=1)
    assert (everything["bugs"], everything["questions"], everything["other"]) == (4, 2, 1)
    assert (lately["bugs"], lately["questions"], lately["other"]) == (0, 1, 1)
    assert (everything["kind"], lately["kind"]) == ("bug", "question")


def test_severity_is_the_mean_of_what_the_kinds_suggest() -> None:
    kinds = ["bug", "bug", "other", "other", None, None, None, None]
    assert theme(kinds=kinds)["kind_severity"] == pytest.approx((1.0 + 1.0 + 0.25 + 0.25) / 4)
    assert theme(kinds=kinds, kind_severity={"other": 0.0})["kind_severity"] == pytest.approx(0.5)


def test_the_example_is_of_the_main_kind() -> None:
    kinds = ["other"] * 7 + ["bug"]
    titles = [f"Title {number}" for number in range(8)]
    assert theme(kinds=kinds, titles=titles, kind_severity={"other": 0.0})["example"] == "Title 7"


def test_quotes_are_of_what_is_still_open() -> None:
    found = theme(resolved=[True] * 6 + [False] * 2)
    assert sorted(found["quote_ids"]) == ["survey:00006", "survey:00007"]


def test_a_request_that_others_vote_for_stands_alone_and_not_in_its_theme() -> None:
    found = themes(
        kinds=["request"] * 8, votes=[5, 1, 0, None, -3, 2, 7, 0], resolved=[False] * 6 + [True, None]
    )
    assert found.alone["feedback_id"].to_list() == ["survey:00000", "survey:00005"]
    assert found.alone["votes"].to_list() == [5, 2]
    row = found.themes.row(0, named=True)
    assert (row["open"], row["active"], row["active_votes"]) == (7, 5, 1)


@pytest.mark.parametrize("kind", ["question", "other", "praise", None])
def test_what_asks_for_no_change_does_not_stand_alone(kind: str | None) -> None:
    assert themes(kinds=[kind] * 8, votes=[9] * 8).alone.is_empty()
