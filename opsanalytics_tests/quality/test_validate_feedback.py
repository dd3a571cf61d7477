from datetime import UTC, datetime
from typing import Any

import pytest

from opsanalytics.lake.paths import Home
from opsanalytics.quality.results import CheckOutcome
from opsanalytics.quality.rules import FEEDBACK_RULES
from opsanalytics.quality.validate import validate_feedback
from opsanalytics_tests.samples import feedback, write_feedback

NOW = datetime(2024, 2, 1, tzinfo=UTC)


def failed(outcomes: list[CheckOutcome]) -> list[tuple[str, str]]:
    return [(outcome.partition, outcome.check) for outcome in outcomes if not outcome.passed]


def test_good_feedback_passes_every_rule(home: Home) -> None:
    write_feedback(home, [feedback("survey:1"), feedback("survey:2", text=None)])
    outcomes = validate_feedback(home, ["survey"], checked_at=NOW)
    assert [outcome.check for outcome in outcomes] == [rule.name for rule in FEEDBACK_RULES]
    assert failed(outcomes) == []


BROKEN: list[tuple[str, dict[str, Any]]] = [
    ("feedback_id_unique", {"feedback_id": "survey:1"}),
    ("ts_plausible", {"ts": datetime(1970, 1, 1, tzinfo=UTC)}),
    ("satisfaction_in_scale", {"satisfaction": 1.25}),
    ("satisfaction_in_scale", {"satisfaction": -0.1}),
    ("kind_known", {"kind": "rant"}),
    ("says_something", {"text": " ", "rating": None, "satisfaction": None}),
    ("no_email_in_text", {"text": "Write to ada@example.org, please."}),
    ("source_configured", {"source": "elsewhere"}),
]


@pytest.mark.parametrize(("rule", "fields"), BROKEN, ids=[f"{rule}-{fields}" for rule, fields in BROKEN])
def test_a_broken_message_fails_the_rule_made_for_it(home: Home, rule: str, fields: dict[str, Any]) -> None:
    write_feedback(home, [feedback("survey:1"), feedback("survey:2", **fields)])
    assert failed(validate_feedback(home, ["survey"], checked_at=NOW)) == [("survey", rule)]


def test_a_source_without_any_message_is_told(home: Home) -> None:
    write_feedback(home, [feedback("survey:1")])
    assert failed(validate_feedback(home, ["survey", "reviews"], checked_at=NOW)) == [("reviews", "volume")]


def test_what_people_wrote_does_not_show_in_examples(home: Home) -> None:
    write_feedback(home, [feedback("survey:1", text="Call ada@example.org")])
    (outcome,) = [o for o in validate_feedback(home, ["survey"], checked_at=NOW) if not o.passed]
    (example,) = outcome.examples
    assert "Call" not in example
    assert "example.org" not in example


def test_a_rating_outside_its_scale_is_shown_with_the_scale(home: Home) -> None:
    write_feedback(home, [feedback("survey:1", rating=9.0, satisfaction=2.0)])
    (outcome,) = [o for o in validate_feedback(home, ["survey"], checked_at=NOW) if not o.passed]
    assert outcome.examples == ("rating=9.0, rating_min=1.0, rating_max=5.0, satisfaction=2.0",)


def test_an_unrated_message_is_not_counted_as_checked_for_its_satisfaction(home: Home) -> None:
    write_feedback(home, [feedback("survey:1"), feedback("survey:2", rating=None, satisfaction=None)])
    outcomes = validate_feedback(home, ["survey"], checked_at=NOW)
    assert [o.checked for o in outcomes if o.check == "satisfaction_in_scale"] == [1]
