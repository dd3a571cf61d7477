"""Ways to score items, and how sure their order is."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opsanalytics.improvement.ranking import Ranked, sureness, urgencies
from opsanalytics_tests.improvement.items import AS_OF, ITEMS, met, pain_point, points, ranked, row

A, B = ITEMS[:2]


def place(*scores: tuple[float, float, float] | None) -> list[Ranked]:
    return [Ranked(f"item {at}", 0, 0, score) for at, score in enumerate(scores)]


def test_what_is_far_ahead_is_surely_at_the_top() -> None:
    sure = sureness(place(*[(100.0, 90.0, 110.0)] * 5, (1.0, 0.5, 1.5)), tie_below=0.6)
    assert sure[0].top == 1.0
    assert sure[5].top == 0.0
    assert (sure[5].rank_low, sure[5].rank_high) == (6, 6)


def test_equals_share_the_top_and_a_rank() -> None:
    sure = sureness(place(*[(10.0, 5.0, 15.0)] * 10), tie_below=0.6)
    assert {each.tied for each in sure} == {1}
    assert all(each.top == pytest.approx(0.5, abs=0.06) for each in sure)


def test_clearly_apart_items_share_no_rank() -> None:
    sure = sureness(place((10.0, 9.0, 11.0), (5.0, 4.0, 6.0)), tie_below=0.6)
    assert [each.tied for each in sure] == [1, 2]


def test_a_later_tier_is_behind_whatever_it_scores() -> None:
    items = [Ranked("low", 0, 0, (1.0, 0.9, 1.1)), Ranked("high", 1, 1, (100.0, 90.0, 110.0))]
    assert sureness(items, tie_below=0.6, top=1)[0].top == 1.0


@given(
    st.lists(
        st.tuples(st.floats(0, 100), st.floats(0, 50), st.floats(0, 50)).map(
            lambda each: (each[0], max(0.0, each[0] - each[1]), each[0] + each[2])
        )
        | st.none(),
        max_size=12,
    )
)
def test_chances_are_the_same_each_time_and_add_up(scores: list[tuple[float, float, float] | None]) -> None:
    sure = sureness(place(*scores), tie_below=0.6)
    assert sure == sureness(place(*scores), tie_below=0.6)
    assert sum(each.top for each in sure) == pytest.approx(min(5, len(scores)))
    assert all(1 <= each.rank_low <= each.rank_high <= len(scores) for each in sure)
    assert all(each.tied <= at + 1 for at, each in enumerate(sure))


def test_each_method_scores_by_its_formula() -> None:
    frame = points(pain_point(A, 10.0), pain_point(B, 5.0))
    burst = met(PP_aaaaaaaa=[AS_OF - timedelta(days=day) for day in range(1, 8)])
    shown = {
        method: row(ranked(frame, occurrences=burst, ranking=method, effort={A: 4.0}), A)
        for method in ("rice", "wsjf", "ice", "value_per_effort")
    }
    sure = shown["rice"]["confidence"]
    assert shown["rice"]["score"] == pytest.approx(10 * sure / 4)
    assert shown["wsjf"]["score"] == pytest.approx(10 * sure * 2 / 4)
    assert shown["ice"]["score"] == pytest.approx(10 * (10 * sure) * (10 / 4))
    assert shown["value_per_effort"]["score"] == pytest.approx(10 / 4)


def test_scores_of_every_method_lie_in_their_interval() -> None:
    for method in ("rice", "wsjf", "ice", "value_per_effort"):
        made = ranked(points(pain_point(A)), ranking=method).items.row(0, named=True)
        assert made["score_low"] < made["score"] < made["score_high"]


def test_urgency_is_how_often_lately_against_before() -> None:
    lately = [AS_OF - timedelta(days=day) for day in range(1, 4)]
    before = [AS_OF - timedelta(days=day) for day in range(30, 41)]
    found = urgencies(met(PP_aaaaaaaa=lately, PP_bbbbbbbb=[*lately, *before]), AS_OF)
    assert found == {A: 2.0, B: 0.5}


def test_a_watched_item_has_the_chances_of_its_score() -> None:
    frame = points(pain_point(A, 0.1), pain_point(B, 30.0, status="watch"))
    made = ranked(frame)
    assert [made.items["item_id"][0], row(made, B)["rank_low"]] == [A, 1]
