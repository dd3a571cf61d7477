"""Wrong definitions fail before data is read, naming the field; equal rules have equal ids."""

from datetime import timedelta
from typing import Any

import pytest
from pydantic import ValidationError

from opsanalytics.behavior.spec import Filter, Funnel, Retention, Step

GOOD: dict[str, Any] = {"name": "f", "steps": ["A", "B"], "window": "7d"}


@pytest.mark.parametrize(
    ("change", "field", "message"),
    [
        ({"window": "7"}, "window", "write a number and s, m, h, d or w"),
        ({"window": "0d"}, "window", "longer than zero"),
        ({"window": "36526d"}, "window", "hundred years"),
        ({"window": f"{10**30}w"}, "window", "hundred years"),
        ({"window": timedelta(milliseconds=1500)}, "window", "whole number of seconds"),
        ({"steps": ["A"]}, "steps", "at least 2 items"),
        ({"steps": ["A"] * 21}, "steps", "at most 20 items"),
        ({"steps": ["A", ""]}, "steps.1.event", "at least 1 character"),
        ({"steps": ["A", {"event": "B", "when": 1}]}, "steps.1.when", "not permitted"),
        ({"name": "My funnel"}, "name", "pattern"),
        ({"sources": []}, "sources", "at least 1 item"),
        ({"order": "strict"}, "order", "not permitted"),
    ],
)
def test_wrong_funnels(change: dict[str, Any], field: str, message: str) -> None:
    with pytest.raises(ValidationError, match=message) as caught:
        Funnel(**(GOOD | change))
    assert ".".join(map(str, caught.value.errors()[0]["loc"])) == field


@pytest.mark.parametrize(
    ("condition", "message"),
    [
        ({"op": "gt", "value": "5"}, "compares numbers; '5' is not one"),
        ({"op": "le", "value": True}, "compares numbers"),
        ({"op": "lt", "value": float("nan")}, "compares numbers"),
        ({"op": "contains", "value": 5}, "takes a piece of text"),
        ({"op": "contains", "value": ""}, "takes a piece of text"),
        ({"op": "in", "value": "pro"}, "takes a list"),
        ({"op": "in", "value": []}, "takes a list"),
        ({"op": "eq", "value": ["pro"]}, "takes one value"),
        ({"op": "eq"}, "takes one value"),
        ({"op": "set", "value": 1}, "takes no value"),
        ({"op": "matches", "value": "x"}, "Input should be 'eq'"),
    ],
)
def test_wrong_filters(condition: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message) as caught:
        Funnel(**(GOOD | {"steps": ["A", {"event": "B", "where": {"property": "plan", **condition}}]}))
    assert caught.value.errors()[0]["loc"][:4] == ("steps", 1, "where", 0)


def test_wrong_retention() -> None:
    for change, field in (
        ({"periods": 0}, "periods"),
        ({"period": "year"}, "period"),
        ({"start": {}}, "start"),
    ):
        with pytest.raises(ValidationError) as caught:
            Retention(**({"name": "r", "start": "S", "returning": "R"} | change))
        assert caught.value.errors()[0]["loc"][0] == field


def test_equal_neighbouring_steps_are_repeated_steps() -> None:
    assert Funnel(name="f", steps=["A", "A"], window="1d").steps == (Step("A"), Step("A"))


def test_names_do_not_change_the_id() -> None:
    plain = Funnel(**GOOD)
    named = Funnel(name="g", title="G", steps=[Step("A", name="Start"), "B"], window=timedelta(days=7))
    assert plain.definition_id == named.definition_id


@pytest.mark.parametrize(
    "change",
    [
        {"window": "8d"},
        {"steps": ["B", "A"]},
        {"steps": ["A", Step("B", where={"plan": "pro"})]},
        {"sources": ["web"]},
    ],
)
def test_rules_change_the_id(change: dict[str, Any]) -> None:
    assert Funnel(**GOOD).definition_id != Funnel(**(GOOD | change)).definition_id


def test_names_of_retention_steps_do_not_change_the_id() -> None:
    plain = Retention(name="r", start="S", returning=["R"])
    named = Retention(name="q", start=Step("S", name="x"), returning=[Step("R", name="y")])
    assert plain.definition_id == named.definition_id


def test_short_form_of_filters() -> None:
    step = Step("B", where={"plan": ["pro", "team"], "seats": 5})
    assert step.where == (
        Filter(property="plan", op="in", value=("pro", "team")),
        Filter(property="seats", op="eq", value=5),
    )


@pytest.mark.parametrize("window", ["1s", "90m", "36h", "7d", "36525d"])
def test_definitions_survive_json(window: str) -> None:
    definition = Funnel(**(GOOD | {"window": window}))
    assert Funnel.model_validate_json(definition.model_dump_json()) == definition
