"""Predictions against what came: few entries move confidence little, many move it where they point."""

from datetime import UTC, date, datetime
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from opsanalytics.improvement.verification.ledger import (
    NONE,
    PRIOR,
    calibrate,
    calibration_of,
    calibration_row,
    ledger_rows,
)
from opsanalytics.improvement.verification.tables import PREDICTION_LEDGER, VERIFICATIONS
from opsanalytics_tests.improvement.items import ITEMS, pain_point, points, ranked
from opsanalytics_tests.reports.samples import table

AS_OF = datetime(2026, 9, 1, tzinfo=UTC)


def entries(*ratios: float, error: float = 0.2) -> pl.DataFrame:
    rows = [
        {
            "item_id": f"PP-{number:08}", "title": "x", "outcome": "worked", "shipped_on": date(2026, 8, 1),
            "metric": "pass",
            "predicted_change": 0.05, "predicted_change_low": 0.03, "predicted_change_high": 0.07,
            "measured_change": 0.05 * ratio, "measured_change_low": 0.05 * ratio - 0.02,
            "measured_change_high": 0.05 * ratio + 0.02, "ratio": ratio, "ratio_error": error,
            "agrees": ratio > 0.2, "as_of": AS_OF, "quality": "passed",
        }
        for number, ratio in enumerate(ratios)
    ]  # fmt: skip
    return PREDICTION_LEDGER.conform(table(PREDICTION_LEDGER, rows))


def test_without_entries_predictions_are_taken_as_they_are() -> None:
    assert calibrate(entries()) == NONE
    assert NONE.factor == 1.0


def test_one_failure_moves_little_and_ten_move_much() -> None:
    one, ten = calibrate(entries(0.0)), calibrate(entries(*[0.0] * 10))
    assert 0.8 < one.factor < 1
    assert one.few
    assert "too few" in one.told
    assert ten.factor < 0.5
    assert not ten.few
    assert "too few" not in ten.told


def test_predictions_that_come_true_raise_confidence_to_their_word_at_most() -> None:
    assert 1.1 < calibrate(entries(*[1.0] * 20)).factor <= 1.25
    assert calibrate(entries(*[3.0] * 50)).factor == 1.25


@given(st.lists(st.floats(-2, 4), min_size=1, max_size=20), st.floats(0.05, 2))
def test_the_share_lies_between_prior_and_entries_and_wide_entries_count_less(
    ratios: list[float], error: float
) -> None:
    near, far = calibrate(entries(*ratios, error=error)), calibrate(entries(*ratios, error=error * 3))
    clipped = [min(3.0, max(-1.0, ratio)) for ratio in ratios]
    assert min(PRIOR, *clipped) - 1e-9 <= near.realised <= max(PRIOR, *clipped) + 1e-9
    assert abs(far.realised - PRIOR) <= abs(near.realised - PRIOR) + 1e-9


def test_the_row_gives_the_calibration_back() -> None:
    found = calibrate(entries(0.5, 1.0, 0.2))
    again = calibration_of(calibration_row(entries(0.5, 1.0, 0.2), AS_OF))
    assert (again.entries, again.told) == (found.entries, found.told)
    assert again.factor == pytest.approx(found.factor)


def test_only_fixes_with_prediction_and_verdict_count() -> None:
    base: dict[str, Any] = {
        "title": "x", "shipped_on": date(2026, 8, 1), "expected": 0.05, "expected_low": 0.03,
        "expected_high": 0.07, "change": 0.04, "change_low": 0.02, "change_high": 0.06, "confidence": 0.98,
        "metric": "pass", "outcome": "worked", "as_of": AS_OF, "quality": "passed",
    }  # fmt: skip
    rows = [
        base | {"item_id": "PP-00000001"},
        base | {"item_id": "PP-00000002", "outcome": "verifying"},
        base | {"item_id": "PP-00000003", "expected": None},
        base | {"item_id": "PP-00000004", "metric": "revenue"},
        base | {"item_id": "PP-00000005", "metric": "conversion"},
    ]
    plans = pl.DataFrame(
        {"item_id": [row["item_id"] for row in rows], "units_per_week": 100.0, "pass_value": 0.5}
    ).with_columns(lost_per_week=pl.lit(3.0), lost_low=pl.lit(1.0), lost_high=pl.lit(5.0))
    found = ledger_rows(table(VERIFICATIONS, rows), plans)
    assert found["item_id"].to_list() == ["PP-00000001", "PP-00000004", "PP-00000005"]
    # A pass is half a conversion; revenue is money a week; a conversion is one.
    assert found["measured_value"].to_list() == pytest.approx([2.0, 4.0, 4.0])
    assert found["predicted_value"].to_list() == pytest.approx([3.0, 5.0, 3.0])
    assert found["agrees"].to_list() == [True, True, True]


def test_the_next_ranking_takes_it_into_account() -> None:
    from opsanalytics.improvement.backlog import make_backlog
    from opsanalytics.improvement.settings import BacklogSettings, PainPointSettings

    frame = points(pain_point(ITEMS[0]))
    plain = ranked(frame).items.row(0, named=True)
    doubted = make_backlog(
        frame,
        BacklogSettings(),
        PainPointSettings(),
        as_of=AS_OF,
        calibration=calibrate(entries(*[0.0] * 10)),
    ).items.row(0, named=True)
    assert doubted["confidence"] < plain["confidence"] / 2
    assert doubted["score"] < plain["score"] / 2
    assert "10 verified fixes" in doubted["confidence_reason"]
