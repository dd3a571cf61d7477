"""A theme is the same theme whatever comes later."""

from datetime import datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from opsanalytics.feedback import registry
from opsanalytics.feedback.decisions import ThemeDecision
from opsanalytics.feedback.keyword_themes import KeywordTheme
from opsanalytics.feedback.matching import match
from opsanalytics.feedback.themes import Themes, ThemeSettings, find_themes
from opsanalytics.feedback.walked import Walked
from opsanalytics_tests.feedback.messages import START, messages
from opsanalytics_tests.feedback.test_themes import SUBJECTS, corpus

WEEK = timedelta(weeks=1)
SLOW = settings(max_examples=8, deadline=None, suppress_health_check=list(HealthCheck))


def week(number: int, texts: list[str]) -> pl.DataFrame:
    """Messages of one week; START is a Monday."""
    ids = [f"w{number}:{at:04}" for at in range(len(texts))]
    return messages(texts, ids=ids, start=START + number * WEEK, apart=timedelta(minutes=1))


def as_of(weeks: int) -> datetime:
    return START + weeks * WEEK


def found(feedback: pl.DataFrame, weeks: int, **options: object) -> Themes:
    return find_themes(feedback, as_of=as_of(weeks), **options)  # type: ignore[arg-type]


def ids(themes: Themes) -> dict[str, str]:
    return dict(themes.assignments.select("feedback_id", "theme_id").drop_nulls().iter_rows())


def names(themes: Themes) -> dict[str, str]:
    return dict(themes.themes.select("theme_id", "label").iter_rows())


FIRST = week(0, corpus())
SAID = st.lists(
    st.one_of(
        st.sampled_from([text for texts in SUBJECTS.values() for text in texts]),
        st.sampled_from(["Dark mode please", "Dark mode for the night", "I want dark mode at night"]),
        st.text(max_size=40),
    ),
    min_size=1,
    max_size=60,
)


@SLOW
@given(said=SAID)
def test_later_messages_rename_nothing_and_move_nothing(said: list[str]) -> None:
    before = found(FIRST, 1)
    after = found(pl.concat([FIRST, week(1, said)]), 2)
    assert names(before).items() <= names(after).items()
    assert ids(before).items() <= ids(after).items()


@SLOW
@given(said=SAID, seed=st.integers(0, 9))
def test_the_order_of_rows_changes_nothing(said: list[str], seed: int) -> None:
    feedback = pl.concat([FIRST, week(1, said)])
    one, other = found(feedback, 2), found(feedback.sample(fraction=1, shuffle=True, seed=seed), 2)
    assert one.themes.equals(other.themes)
    assert one.assignments.equals(other.assignments)
    assert one.history.equals(other.history)


@SLOW
@given(said=SAID)
def test_an_earlier_week_is_what_it_was(said: list[str]) -> None:
    before = found(FIRST, 1)
    again = found(pl.concat([FIRST, week(1, said), week(2, said)]), 1)
    assert before.themes.equals(again.themes)
    assert before.history.equals(again.history)


@SLOW
@given(said=SAID, again=SAID, ends=st.permutations([1, 2, 3, 3]))
def test_going_on_from_an_earlier_walk_changes_nothing(
    said: list[str], again: list[str], ends: list[int]
) -> None:
    feedback = pl.concat([FIRST, week(1, said), week(2, again)])
    with TemporaryDirectory() as folder:
        for end in ends:
            went_on = found(feedback, end, walked=Walked(Path(folder), "1"))
            plain = found(feedback, end)
            assert went_on.themes.equals(plain.themes)
            assert went_on.assignments.equals(plain.assignments)
            assert went_on.history.equals(plain.history)


def test_a_week_that_is_known_is_not_gone_through_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    feedback = pl.concat([FIRST, week(1, corpus())])
    walked = Walked(tmp_path, "1")
    before = found(feedback, 2, walked=walked)
    monkeypatch.setattr(registry._Run, "take_in", lambda *_: pytest.fail("gone through again"))
    assert found(feedback, 2, walked=walked).themes.equals(before.themes)
    assert found(feedback, 1, walked=walked).themes.equals(found(FIRST, 1, walked=walked).themes)
    with pytest.raises(pytest.fail.Exception):
        found(feedback, 2, walked=Walked(tmp_path, "2"))
    with pytest.raises(pytest.fail.Exception):
        found(feedback, 2, walked=walked, settings=ThemeSettings(min_messages=6))


def test_what_was_not_used_for_longest_is_forgotten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("opsanalytics.feedback.walked.FILES_KEPT", 2)
    found(pl.concat([FIRST, week(1, corpus()), week(2, corpus())]), 3, walked=Walked(tmp_path, "1"))
    assert len(list(tmp_path.iterdir())) == 2


@SLOW
@given(said=SAID)
def test_decisions_survive_later_messages(said: list[str]) -> None:
    first, second, third = found(FIRST, 1).themes["theme_id"].head(3)
    decisions = [
        ThemeDecision("rename", first, "My name", seq=1),
        ThemeDecision("mute", second, seq=2),
        ThemeDecision("pin", third, seq=3),
    ]
    after = found(pl.concat([FIRST, week(1, said)]), 2, decisions=decisions).themes
    rows = {row["theme_id"]: row for row in after.iter_rows(named=True)}
    assert rows[first]["label"] == "My name"
    assert rows[second]["muted"]
    assert rows[second]["rank"] == after.height
    assert rows[third]["rank"] == 1


@SLOW
@given(said=SAID)
def test_mergers_and_keyword_themes_survive_later_messages(said: list[str]) -> None:
    first, second = found(FIRST, 1).themes["theme_id"].head(2)
    csv = KeywordTheme(name="Tables", any=("csv",))
    decisions = [
        ThemeDecision("merge", second, first, seq=1),
        ThemeDecision("keyword", csv.theme_id, csv.model_dump_json(), seq=2),
    ]
    after = found(pl.concat([FIRST, week(1, said)]), 2, decisions=decisions)
    assert second not in names(after)
    assert names(after)[csv.theme_id] == "Tables"
    wanted = {at for at, text in enumerate(corpus()) if "CSV" in text}
    assert {
        int(name[-4:]) for name, theme in ids(after).items() if name[:2] == "w0" and theme[:2] == "KW"
    } == (wanted)


def test_a_new_subject_is_a_new_theme_and_is_recorded() -> None:
    new = [f"Dark mode {word} please, dark mode" for word in ("now", "soon", "tonight", "anyway", "again")]
    before = found(FIRST, 1)
    after = found(pl.concat([FIRST, week(1, new)]), 2)
    (born,) = set(names(after)) - set(names(before))
    assert "dark mode" in names(after)[born]
    (event,) = after.history.filter(pl.col("to_id") == born).to_dicts()
    assert (event["what"], event["from_id"], event["messages"]) == ("new", None, 5)
    assert event["at"] == as_of(2)


def test_weeks_are_those_of_the_zone() -> None:
    from zoneinfo import ZoneInfo

    auckland = ZoneInfo("Pacific/Auckland")
    history = found(FIRST, 2, zone=auckland, week_start=6).history
    assert {at.astimezone(auckland).strftime("%a %H:%M") for at in history["at"]} == {"Sun 00:00"}


def test_an_erased_founder_takes_no_decision_along() -> None:
    theme = found(FIRST, 1)
    row = theme.themes.row(0, named=True)
    members = theme.assignments.filter(pl.col("theme_id") == row["theme_id"])["feedback_id"]
    decision = ThemeDecision("rename", row["theme_id"], "Kept", tuple(members), row["since"], seq=1)
    erased = FIRST.filter(pl.col("feedback_id") != members.sort()[0])
    after = found(erased, 1, decisions=[decision])
    assert row["theme_id"] not in names(after)
    assert "Kept" in names(after).values()


def test_groups_are_matched_so_that_most_stays() -> None:
    themes = np.array([0] * 10 + [1] * 10 + [-1] * 6)
    groups = np.array([1] * 10 + [0] * 9 + [1] + [2] * 6)
    matching = match(groups, themes, np.ones(26, dtype=np.int64), min_size=5)
    assert matching.theme_of == {1: 0, 0: 1}
    assert matching.changes == (("new", 2, -1),)


@pytest.mark.parametrize("part", [4, 8])
def test_a_large_part_is_split_off_and_a_small_one_is_not(part: int) -> None:
    themes = np.array([0] * 50)
    groups = np.array([0] * (50 - part) + [1] * part)
    changes = match(groups, themes, np.ones(50, dtype=np.int64), min_size=3).changes
    assert changes == ((("split", 1, 0),) if part == 8 else ())


def test_two_themes_in_one_group_are_merged() -> None:
    themes = np.array([0] * 10 + [1] * 6)
    changes = match(np.zeros(16, dtype=np.int64), themes, np.ones(16, dtype=np.int64), min_size=3).changes
    assert changes == (("merged", 1, 0),)


def test_settings_have_keyword_themes() -> None:
    chosen = ThemeSettings.model_validate({"keyword_themes": [{"name": "Banks", "any": ["bank*"]}]})
    themes = found(FIRST, 1, settings=chosen).themes
    (row,) = themes.filter(pl.col("origin") == "keyword").to_dicts()
    assert row["label"] == "Banks"
    assert row["theme_id"].startswith("KW-")
    assert row["messages"] == sum("bank" in text.lower() for text in corpus())
