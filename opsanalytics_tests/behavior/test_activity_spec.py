"""Wrong definitions of lifecycle, stickiness, usage interval and trends name the field; ids hold."""

from typing import Any

import pytest
from pydantic import ValidationError

from opsanalytics import Filter, Lifecycle, Step, Stickiness, Trends, UsageInterval
from opsanalytics.behavior.describe import definitions_frame
from opsanalytics.behavior.describe_activity import described


@pytest.mark.parametrize(
    ("kind", "fields", "field", "message"),
    [
        (Lifecycle, {"period": "year"}, "period", "'hour', 'day', 'week' or 'month'"),
        (Lifecycle, {"events": []}, "events", "at least 1 item"),
        (Lifecycle, {"events": [{"event": "A", "within": "1d"}]}, "", "are for funnels"),
        (Lifecycle, {"new": "always"}, "new", "'activity' or 'person'"),
        (Lifecycle, {"windows": 1}, "windows", "not permitted"),
        (Stickiness, {"unit": "week", "period": "week"}, "", "unit: 'week' is not shorter"),
        (Stickiness, {"unit": "week", "period": "month"}, "", "do not add up to months"),
        (UsageInterval, {"share": 1}, "share", "less than 1"),
        (UsageInterval, {"unit": "minute"}, "unit", "'hour', 'day', 'week' or 'month'"),
        (Trends, {}, "series", "required"),
        (Trends, {"series": []}, "series", "at least 1 item"),
        (Trends, {"series": [{"event": "A", "measure": "sum"}]}, "series.0", "needs a `property`"),
        (Trends, {"series": [{"event": "A", "property": "x"}]}, "series.0", "takes no `property`"),
        (Trends, {"series": ["A"], "formulas": ["A / B"]}, "", "formulas.0: 'A / B' names B"),
        (Trends, {"series": ["A"], "formulas": ["1"]}, "formulas.0", "names no series"),
        (Trends, {"series": ["A"], "formulas": ["A +"]}, "formulas.0", "cannot be read"),
        (Trends, {"series": ["A"], "compare": 0}, "compare", "greater than or equal to 1"),
    ],
)
def test_a_wrong_definition_names_the_field(kind: Any, fields: Any, field: str, message: str) -> None:
    with pytest.raises(ValidationError) as caught:
        kind.model_validate(fields)
    error = caught.value.errors()[0]
    assert ".".join(map(str, error["loc"])) == field
    assert message in error["msg"]


DEFINITIONS = [
    Lifecycle(events=["A", "B"], period="day"),
    Stickiness(events=Step("A", where=[Filter(property="plan", value="pro")])),
    UsageInterval(unit="hour", entity="account"),
    Trends(series=["A", {"event": "B", "measure": "sum", "property": "amount"}], formulas=["B / A"]),
]


@pytest.mark.parametrize("definition", DEFINITIONS, ids=lambda each: each.name)
def test_json_and_back(definition: Any) -> None:
    again = type(definition).model_validate_json(definition.model_dump_json())
    assert again == definition
    assert again.definition_id == definition.definition_id


@pytest.mark.parametrize("definition", DEFINITIONS, ids=lambda each: each.name)
def test_names_and_titles_do_not_change_the_id(definition: Any) -> None:
    renamed = definition.model_copy(update={"name": "other", "title": "Other"})
    assert renamed.definition_id == definition.definition_id


def test_rules_change_the_id() -> None:
    assert (
        len({each.definition_id for each in (Lifecycle(), Lifecycle(period="day"), Lifecycle(new="person"))})
        == 3
    )
    trends = [Trends(series=["A"]), Trends(series=["A"], formulas=["A * 2"]), Trends(series=["A"], compare=2)]
    assert len({each.definition_id for each in trends}) == 3


def test_ids_of_plain_stickiness_are_those_of_earlier_versions() -> None:
    assert Stickiness().definition_id == Stickiness(minimum=1, at_most=None).definition_id == "b3ff2cb0e74a"
    assert Stickiness(minimum=2).definition_id != Stickiness().definition_id
    with pytest.raises(ValidationError, match=r"at_most \(1\) is less than minimum \(2\)"):
        Stickiness(minimum=2, at_most=1)


def test_definitions_in_words() -> None:
    words = definitions_frame([], [], described(DEFINITIONS))
    assert words["kind"].to_list() == ["lifecycle", "stickiness", "trends", "usage interval"]
    text = " ".join(words["semantics"])
    for part in (
        "“A” or “B”",
        "where plan is “pro”",
        "account stands for the person",
        "sum of amount of “B”",
        "B / A",
    ):
        assert part in text
