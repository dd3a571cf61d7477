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
        ({"window": "7"}, "window", "write a number and us, ms, s, m, h, d or w"),
        ({"window": "0d"}, "window", "longer than zero"),
        ({"window": "36526d"}, "window", "hundred years"),
        ({"window": f"{10**30}w"}, "window", "hundred years"),
        ({"window": timedelta(microseconds=-1)}, "window", "longer than zero"),
        ({"steps": []}, "steps", "at least 1 item"),
        ({"steps": ["A", {"event": "B", "occurrence": "last"}]}, "steps.1.occurrence", "'first_ever'"),
        ({"reentry": False, "counting": "attempts"}, "", "reentry = false does not go with counting"),
        ({"entity": ""}, "entity", "at least 1 character"),
        ({"steps": ["A"] * 21}, "steps", "at most 20 items"),
        ({"steps": ["A", ""]}, "steps.1.event", "at least 1 character"),
        ({"steps": ["A", {"event": "B", "when": 1}]}, "steps.1.when", "not permitted"),
        ({"name": "My funnel"}, "name", "pattern"),
        ({"sources": []}, "sources", "at least 1 item"),
        ({"order": "loose"}, "order", "'ordered', 'strict' or 'any'"),
        ({"steps": [{"event": "A", "optional": True}, "B"]}, "", "step 1 is optional"),
        ({"steps": ["A", {"event": "B", "optional": True}]}, "", "step 2 is optional"),
        ({"steps": [{"event": "A", "after": "1s"}, "B"]}, "", "no step before it"),
        ({"steps": ["A", {"event": "B", "after": "2s", "within": "1s"}]}, "", "`after` is longer"),
        ({"steps": ["A", {"event": "B", "after": "2s"}], "order": "any"}, "", "need order = 'ordered'"),
        ({"exclusions": [{"event": "X", "from_step": 2}]}, "", r"exclusions.0: from_step 2 and to_step 2"),
        ({"exclusions": [{"event": "X", "to_step": 3}]}, "", "must be two of the 2 steps"),
        (
            {"steps": ["A", {"event": "B", "within": "2s"}], "exclusions": [{"event": "X"}]},
            "",
            "cannot be combined with exclusions",
        ),
        (
            {"exclusions": [{"event": "X", "to_step": 1}]},
            "exclusions.0.to_step",
            "greater than or equal to 2",
        ),
        ({"hold": [""]}, "hold.0", "at least 1 character"),
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
        ({"op": "not_in", "value": "pro"}, "op 'not_in' takes a list"),
        ({"op": "regex", "value": "(pro"}, "'\\(pro' is not a regular expression"),
        ({"op": "not_contains", "value": 1}, "op 'not_contains' takes a piece of text"),
        ({"op": "eq", "value": "pro", "of": "account"}, "Input should be 'event' or 'person'"),
        ({"op": "gt", "value": ["pro"]}, "takes one value, not a list"),
        ({"op": "eq"}, "takes one value, not none; op 'not_set' finds events without"),
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


def test_ids_of_plain_definitions_are_those_of_earlier_versions() -> None:
    filtered = Funnel(
        name="f", steps=["A", Step("B", where={"plan": ["pro"]})], window="36h", sources=["web"]
    )
    monthly = Retention(
        name="r", start="S", returning=["R", "Q"], period="month", cohort="recurring", sources=["w"]
    )
    weekly = Retention(name="r", start="S", returning="R")
    ids = [one.definition_id for one in (Funnel(**GOOD), filtered, weekly, monthly)]
    assert ids == ["c1ea57dc4304", "5b9e39749732", "8ad67a6cc93d", "31d4c10b687e"]


def test_a_list_is_a_step_that_any_of_its_events_serves() -> None:
    step = Funnel(**(GOOD | {"steps": ["A", ["B", {"event": "C", "where": {"plan": "pro"}}]]})).steps[1]
    assert step.events == ("B", "C")
    assert step.label == "B or C"
    assert step.also[0].where == (Filter(property="plan", value="pro"),)


@pytest.mark.parametrize(
    "change",
    [
        {"order": "strict"},
        {"exclusions": [{"event": "X"}]},
        {"date_range": "all_steps"},
        {"counting": "attempts"},
        {"hold": "plan"},
        {"steps": ["A", {"event": "B", "also": ["C"]}]},
        {"steps": ["A", {"event": "B", "within": "1h"}]},
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
