"""Sentences about an item say what its numbers say."""

from datetime import timedelta

import polars as pl
import pytest

from opsanalytics.improvement.briefing import briefing, trust
from opsanalytics.improvement.lately import changed_lately
from opsanalytics_tests.improvement.items import AS_OF, pain_point, points, ranked

ITEM = "PP-aaaaaaaa"


def told(**known: object):  # type: ignore[no-untyped-def]
    facts = {"share": 0.12, "rate_affected": 0.5, "rate_others": 0.75} | known
    point = pain_point(ITEM, **facts)  # type: ignore[arg-type]
    row = ranked(points(point)).items.row(0, named=True)
    return briefing(row, point)


def test_a_finding_is_told_with_people_rates_and_cost() -> None:
    said = told()
    assert said.short == (
        "About 40 people a week meet it, 12 % of those who get there. 50 % of them go on; of comparable "
        "others, 75 % do. That is 10 conversions a week (6.7 to 13)."
    )
    assert f"opsanalytics backlog accept {ITEM}" in said.next


def test_what_is_watched_says_how_many_more_people_would_settle_it() -> None:
    said = told(status="watch", effect=-0.05, effect_low=-0.15, effect_high=0.05)
    assert "may be chance" in said.short
    assert "4.0 times as many people" in said.next


@pytest.mark.parametrize(
    ("numbers", "word"),
    [
        ((300, 100, 3.0, 2.4, 3.7), "Getting worse"),
        ((100, 300, 0.33, 0.27, 0.41), "Getting better"),
        ((5_000, 5_000, 1.0, 0.96, 1.04), "Steady"),
        ((10, 9, 1.1, 0.5, 2.6), "No clear change"),
        ((7, 0, None, None, None), "New"),
        ((0, 125, 0.0, 0.0, 0.03), "Gone quiet"),
    ],
)
def test_what_changed_lately_is_said_only_beyond_chance(numbers: tuple[float, ...], word: str) -> None:
    names = ("lately", "before_lately", "lately_ratio", "lately_low", "lately_high")
    assert told(**dict(zip(names, numbers, strict=True))).lately.startswith(word)


def test_what_data_no_longer_shows_leaves_only_what_to_do() -> None:
    row = ranked(points(pain_point(ITEM))).items.row(0, named=True)
    said = briefing(row, None)
    assert (said.short, said.lately) == ("", "")
    assert "wont-fix" in said.next


def test_confidence_has_a_word() -> None:
    assert [trust(value) for value in (0.72, 0.45, 0.1, None)] == ["high", "fair", "low", "low"]


def exposures(*days_ago: float) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "person": [f"p{number}" for number in range(len(days_ago))],
            "ts": [AS_OF - timedelta(days=days) for days in days_ago],
            "signal": "error",
            "place": "/a",
        }
    )


def test_shares_of_active_persons_are_compared_not_counts() -> None:
    """Twice as many met it, among twice as many active ones: nothing changed."""
    met = exposures(*[10] * 20, *[40] * 10)
    others = [10.0] * 180 + [40.0] * 90 + [70.0]
    events = pl.concat([met, exposures(*others).with_columns(person=pl.lit("o") + pl.col("person"))])
    found = changed_lately(met, events, AS_OF)["error", "/a"]
    assert (found["lately"], found["before_lately"]) == (20, 10)
    assert found["lately_ratio"] == pytest.approx(1.0)
    assert found["lately_low"] < 1 < found["lately_high"]


def test_without_eight_weeks_of_data_nothing_is_compared() -> None:
    met = exposures(10, 40)
    assert "lately_ratio" not in changed_lately(met, met, AS_OF)["error", "/a"]
