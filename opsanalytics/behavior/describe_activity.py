"""Definitions of lifecycle, stickiness, usage interval and trends in words."""

from collections.abc import Sequence

from opsanalytics.behavior.activity_spec import Activity, Lifecycle, Stickiness, UsageInterval
from opsanalytics.behavior.conditions import Definition
from opsanalytics.behavior.describe import step_in_words
from opsanalytics.behavior.trends_spec import Trends

Described = Lifecycle | Stickiness | UsageInterval | Trends


def described(definitions: Sequence[Described]) -> list[tuple[str, Definition, str]]:
    """Kind, definition and how it is counted, in words a product manager understands."""
    return [_one(definition) for definition in definitions]


def _one(definition: Described) -> tuple[str, Definition, str]:
    if isinstance(definition, Lifecycle):
        return "lifecycle", definition, _lifecycle(definition)
    if isinstance(definition, Stickiness):
        return "stickiness", definition, _stickiness(definition)
    if isinstance(definition, UsageInterval):
        return "usage interval", definition, _usage_interval(definition)
    return "trends", definition, _trends(definition)


def _lifecycle(definition: Lifecycle) -> str:
    period = definition.period
    new = (
        f"New are those whose first such {period} ever it is"
        if definition.new == "activity"
        else f"New are those whose first event of whatever name lies in the {period}"
    )
    return (
        f"People are active in a calendar {period} with {_events(definition)}. {new}; returning those "
        f"who were active in the {period} before; resurrected all others. Dormant are those active in "
        f"the {period} before and not in this one, which is known when the {period} is over."
        f"{_whose(definition)}"
    )


def _stickiness(definition: Stickiness) -> str:
    period = "the whole range of days" if definition.period == "range" else f"a calendar {definition.period}"
    fewer = ""
    if definition.minimum > 1:
        fewer = f" Only {definition.unit}s with at least {definition.minimum} of a person's events count."
    return (
        f"Of the people with {_events(definition)} in {period}, how many had one in 1, 2, 3, ... "
        f"different {definition.unit}s of it. The overall shares add up complete periods only. Active "
        "persons are those with one on a day, and in the 7 and 30 days that end with it."
        f"{fewer}{_whose(definition)}"
    )


def _usage_interval(definition: UsageInterval) -> str:
    unit = definition.unit
    return (
        f"A use is a calendar {unit} with {_events(definition)}; a pause is the number of {unit}s from "
        "one use to the next. Each person with two uses or more counts once, with the median of their "
        f"pauses. The usage interval is the pause within which {definition.share:.0%} of them use it "
        f"again.{_whose(definition)}"
    )


def _trends(definition: Trends) -> str:
    parts = [
        f"{letter}: {each.measure.replace('_', ' ')}{f' of {each.property}' if each.property else ''} of "
        f"{step_in_words(each.event)}"
        for letter, each in zip(definition.letters, definition.series, strict=True)
    ]
    formulas = "".join(f"; {each.label} = {each.formula}" for each in definition.formulas)
    return (
        f"By calendar {definition.period}: {'; '.join(parts)}{formulas}. What is not over is marked and "
        f"not compared.{_whose(definition)}"
    )


def _events(definition: Activity) -> str:
    return " or ".join(map(step_in_words, definition.events))


def _whose(definition: Activity | Trends) -> str:
    entity = "" if definition.entity is None else f" {definition.entity} stands for the person."
    named = definition.sources
    return entity + ("" if named is None else f" Only events from {', '.join(named)} count.")
