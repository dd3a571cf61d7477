from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pydantic import ValidationError

from opsanalytics.lake.paths import Home
from opsanalytics.quality.generated import event_rules, feedback_rules
from opsanalytics.quality.results import CheckOutcome, state
from opsanalytics.quality.settings import QualitySettings
from opsanalytics.quality.suites import OwnSuite
from opsanalytics.quality.validate import RuleError, validate_events
from opsanalytics_tests.samples import MONDAY, event, write_events

TUESDAY = MONDAY + timedelta(days=1)


def suite(*expectations: dict[str, Any], table: str = "events") -> OwnSuite:
    return OwnSuite.model_validate({"table": table, "expectations": expectations})


def expect(kind: str, *, severity: str = "critical", **kwargs: Any) -> dict[str, Any]:
    return {"type": kind, "kwargs": kwargs, "severity": severity, "meta": {"name": "mine"}}


def own(home: Home, *expectations: dict[str, Any]) -> dict[str, CheckOutcome]:
    rules = event_rules(QualitySettings(suites=(suite(*expectations),)))
    now = datetime(2024, 2, 1, tzinfo=UTC)
    outcomes = validate_events(home, [MONDAY, TUESDAY], sources=["web"], checked_at=now, rules=rules)
    return {outcome.partition: outcome for outcome in outcomes if outcome.check == "own_mine"}


@pytest.fixture
def two_days(home: Home) -> Home:
    write_events(home, [event("1", platform="web"), event("2", platform="ios", properties='{"ms": 5}')])
    write_events(home, [event("3", TUESDAY, platform="web", properties='{"ms": 9}')], TUESDAY)
    return home


def found(outcomes: dict[str, CheckOutcome]) -> list[tuple[bool, int, int | None]]:
    return [(outcome.passed, outcome.checked, outcome.unexpected) for outcome in outcomes.values()]


def test_rows_are_judged_day_by_day(two_days: Home) -> None:
    outcomes = own(
        two_days, expect("expect_column_values_to_be_in_set", column="platform", value_set=["web"])
    )
    assert found(outcomes) == [(False, 2, 1), (True, 1, 0)]
    assert outcomes["2024-01-01"].examples == ("platform=ios, event=sign_up",)


def test_mostly_is_honoured(two_days: Home) -> None:
    kwargs = {"column": "platform", "value_set": ["web"], "mostly": 0.5}
    assert found(own(two_days, expect("expect_column_values_to_be_in_set", **kwargs)))[0] == (True, 2, 1)


def test_figures_of_a_whole_day_tell_what_was_observed(two_days: Home) -> None:
    outcomes = own(two_days, expect("expect_table_row_count_to_be_between", min_value=2))
    assert [outcome.passed for outcome in outcomes.values()] == [True, False]
    assert outcomes["2024-01-02"].examples == ("observed 1",)


def test_uniqueness_is_judged_within_a_day(two_days: Home) -> None:
    outcomes = own(two_days, expect("expect_column_values_to_be_unique", column="distinct_id"))
    assert [outcome.passed for outcome in outcomes.values()] == [False, True]


def test_a_row_condition_narrows_what_is_judged(two_days: Home) -> None:
    condition = {"row_condition": 'platform=="ios"', "condition_parser": "pandas"}
    outcomes = own(
        two_days, expect("expect_column_values_to_be_in_set", column="event", value_set=["x"], **condition)
    )
    assert found(outcomes)[0] == (False, 1, 1)
    assert found(outcomes)[1][0]


def test_a_property_is_a_column(two_days: Home) -> None:
    outcomes = own(two_days, expect("expect_column_values_to_not_be_null", column="properties.ms"))
    assert found(outcomes) == [(False, 2, 1), (True, 1, 0)]


@pytest.mark.parametrize(
    ("severity", "expected"), [("critical", "failed"), ("warning", "warning"), ("info", "passed")]
)
def test_severity_is_honoured(two_days: Home, severity: str, expected: str) -> None:
    kwargs = {"column": "platform", "value_set": ["web"]}
    outcomes = own(two_days, expect("expect_column_values_to_be_in_set", severity=severity, **kwargs))
    assert not outcomes["2024-01-01"].passed
    assert state(two_days, ["events"]) == expected


def test_values_of_people_are_not_shown(two_days: Home) -> None:
    kwargs = {"column": "user_id", "value_set": ["bob"]}
    (shown,) = own(two_days, expect("expect_column_values_to_be_in_set", **kwargs))["2024-01-01"].examples
    assert "ada" not in shown


def test_a_wrong_argument_names_the_rule(two_days: Home) -> None:
    with pytest.raises(RuleError, match=r"own_mine.*ExpectColumnValuesToBeInSet"):
        own(two_days, expect("expect_column_values_to_be_in_set", column="platform", value_sett=["web"]))


def test_names_are_stable_and_valid_for_dagster() -> None:
    anonymous = {"type": "expect_column_values_to_not_be_null", "kwargs": {"column": "properties.größe"}}
    (rule,) = suite(anonymous).rules
    assert rule == suite(anonymous).rules[0]
    assert rule.name.isascii()
    assert rule.name.isidentifier()


def test_a_suite_for_feedback_joins_the_rules_of_feedback() -> None:
    own_suite = suite(expect("expect_column_values_to_not_be_null", column="rating"), table="feedback")
    assert feedback_rules(QualitySettings(suites=(own_suite,)))[-1].name == "own_mine"


@pytest.mark.parametrize(
    ("expectation", "message"),
    [
        (expect("expect_column_values_to_not_be_null", column="platfrom"), "'platfrom', which events lacks"),
        (expect("expect_query_results_to_match_comparison"), "needs a database"),
        (expect("expect_column_values_to_be_unique", column="event", mostly=2), "share between 0 and 1"),
    ],
)
def test_mistakes_are_told_when_the_suite_is_read(expectation: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        suite(expectation)


def test_two_checks_of_one_name_are_a_mistake() -> None:
    one = expect("expect_column_values_to_not_be_null", column="event")
    with pytest.raises(ValidationError, match="named twice: own_mine"):
        suite(one, one)
