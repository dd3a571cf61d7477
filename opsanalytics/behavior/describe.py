"""Definitions in words, for the mart that says what every number means."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import polars as pl

from opsanalytics.behavior.conditions import ANY_EVENT, Definition, Filter, Match, Scalar, Step
from opsanalytics.behavior.spec import Funnel, Retention
from opsanalytics.behavior.tables import METRIC_DEFINITIONS

UNITS = (
    ("day", 86_400_000_000),
    ("hour", 3_600_000_000),
    ("minute", 60_000_000),
    ("second", 1_000_000),
    ("millisecond", 1_000),
    ("microsecond", 1),
)
OPERATORS = {
    "eq": "is",
    "ne": "is not",
    "in": "is one of",
    "not_in": "is none of",
    "contains": "contains",
    "not_contains": "does not contain",
    "icontains": "contains, in any case,",
    "not_icontains": "does not contain, in any case,",
    "regex": "matches",
    "not_regex": "does not match",
    "gt": "is above",
    "ge": "is at least",
    "lt": "is below",
    "le": "is at most",
    "set": "is set",
    "not_set": "is not set",
}


def definitions_frame(
    funnels: Sequence[Funnel],
    retentions: Sequence[Retention],
    others: Sequence[tuple[str, Definition, str]] = (),
) -> pl.DataFrame:
    """Rows of the mart METRIC_DEFINITIONS, one a definition; `others` are kind, definition and words."""
    described: list[tuple[str, Any, str]] = [
        *(("funnel", one, describe_funnel(one)) for one in funnels),
        *(("retention", one, describe_retention(one)) for one in retentions),
        *others,
    ]
    rows = [
        {
            "definition_id": definition.definition_id,
            "kind": kind,
            "name": definition.name,
            "title": definition.label,
            "semantics": semantics,
            "rules": definition.model_dump_json(),
        }
        for kind, definition, semantics in described
    ]
    return METRIC_DEFINITIONS.conform(pl.DataFrame(rows, schema=METRIC_DEFINITIONS.schema))


def describe_funnel(definition: Funnel) -> str:
    """How the funnel is counted, in words a product manager understands."""
    window = length_in_words(definition.window)
    first, *later = definition.steps
    if definition.order == "any":
        steps = ", ".join(map(_occurring, definition.steps))
        question = (
            f"Of the people who did one of {steps}, how many did 2, 3, ... "
            f"of them, in any order and all within {window} of the first{_whose(definition)}. "
            "One event counts for one step. "
        )
    else:
        between = (
            "Any other event in between ends the attempt."
            if definition.order == "strict"
            else "Other events may lie between."
        )
        question = (
            f"Of the people who did {_occurring(first)}, how many then did "
            f"{', then '.join(map(_limited, later))},"
            f" in this order and all within {window} of the first event{_whose(definition)}. {between} "
            "One event counts for one step; events with the same time stamp may be taken in any order. "
        )
    return (
        f"{question}{_exclusions(definition)}{_hold(definition)}{_counting(definition)}"
        f"{_date_range(definition)}Rates are over people who entered at least {window} before the data ends, "
        "so that everybody had the full time; later entries are shown apart as open, not as drop-offs."
    )


def _limited(step: Step) -> str:
    """A step with what is asked of it beyond its event."""
    limits = [
        *(["at least " + length_in_words(step.after)] if step.after else []),
        *(["at most " + length_in_words(step.within)] if step.within else []),
    ]
    words = _occurring(step) + (f", {' and '.join(limits)} after the step before" if limits else "")
    return f"{words} (may be left out)" if step.optional else words


def _exclusions(definition: Funnel) -> str:
    if not definition.exclusions:
        return ""
    if definition.order == "any":
        events = " or ".join(map(_match, definition.exclusions))
        return f"An attempt that meets {events} before it has all steps does not count. "
    parts = [
        f"{_match(one)} between step {one.from_step} and step {one.to_step or len(definition.steps)}"
        for one in definition.exclusions
    ]
    return (
        f"An attempt does not count with {' or '.join(parts)}; somebody whose furthest attempts all do not "
        "count is left out altogether. "
    )


def _hold(definition: Funnel) -> str:
    if not definition.hold:
        return ""
    return f"All events of an attempt have the same {' and '.join(definition.hold)}. "


def _counting(definition: Funnel) -> str:
    whose = "" if definition.entity is None else f"{definition.entity} stands for the person. "
    once = "" if definition.reentry else "Only the first entry starts an attempt. "
    worth = (
        "" if definition.value is None else f"{definition.value} is added up over the events of each step. "
    )
    return f"{whose}{once}{worth}{_units(definition)}"


def _units(definition: Funnel) -> str:
    if definition.counting == "persons":
        return "A person counts once, with the attempt that got furthest. "
    if definition.counting == "attempts":
        return (
            "Every attempt counts; a person's next one starts after the one before converted, was excluded "
            "or ran out of time. "
        )
    if definition.session_property is not None:
        return f"Every session counts by itself; {definition.session_property} tells them apart. "
    pause = length_in_words(definition.session_gap)
    return f"Every session counts by itself; a pause of more than {pause} ends it. "


def _date_range(definition: Funnel) -> str:
    if definition.date_range == "entry":
        return ""
    return "The range of dates limits all events, not only entries. "


def describe_retention(definition: Retention) -> str:
    """How retention is counted, in words a product manager understands."""
    period = definition.period
    returning = " or ".join(map(step_in_words, definition.returning))
    rolling = definition.clock == "rolling"
    cohort = {
        "first": f"A person belongs to the calendar {period} of the first such event ever.",
        "first_ever": (
            f"A person belongs to the calendar {period} of the first such event ever, and only if the first "
            "event ever of that name was such a one."
        ),
        "recurring": f"A person belongs to every calendar {period} with such an event.",
    }[definition.cohort]
    times = "" if definition.minimum == 1 else f" at least {definition.minimum} times"
    if times and definition.brackets and definition.minimum_in == "period":
        times += f" in one {period}"
    if definition.brackets:
        followed = f"the periods {_columns(definition)} that follow, counted in {period}s"
    else:
        followed = f"the {definition.periods} {period}s that follow"
    unbounded = (
        ""
        if definition.returns == "on"
        else f" A return counts in its {period} and all before; the follow-up ends with the last {period}."
    )
    own = "the first such event" if rolling else "the first such event in it"
    zero = (
        f"{period.capitalize()} 0 is {'the first' if rolling else 'that'} {period} itself and counts only "
        f"what came after {own}."
        if definition.zero == "returned"
        else f"{period.capitalize()} 0 is everybody who started."
    )
    whose = "" if definition.entity is None else f" {definition.entity} stands for the person."
    clock = ""
    if rolling:
        clock = f" {period.capitalize()}s are counted from the moment of each person's own first such event"
        clock += ", 30 days a month." if period == "month" else "."
    return (
        f"Of the people who did {step_in_words(definition.start)} in a {period}, "
        f"how many did {returning}{times} "
        f"in each of {followed}{_whose(definition)}. {cohort}{clock}{unbounded} {zero}{whose} "
        f"A number is complete once its {period} is over; the overall curve adds up complete numbers only."
    )


def _columns(definition: Retention) -> str:
    firsts = definition.columns[1:]
    lasts = [*(first - 1 for first in firsts[1:]), definition.last_period]
    return ", ".join(
        str(first) if first == last else f"{first} to {last}"
        for first, last in zip(firsts, lasts, strict=True)
    )


def _occurring(step: Step) -> str:
    first = {"any": "", "first": "the first ever ", "first_ever": "the first ever of its name, if it is "}
    return first[step.occurrence] + step_in_words(step)


def _match(match: Match) -> str:
    conditions = " and ".join(map(in_words, match.where))
    event = "any event" if match.event == ANY_EVENT else f"“{match.event}”"
    return event + (f" where {conditions}" if conditions else "")


def step_in_words(step: Step) -> str:
    """The events that serve a step, with their filters."""
    events = " or ".join(map(_match, step.matches))
    return events if step.name is None or step.name == step.event else f"{step.name} ({events})"


def in_words(condition: Filter) -> str:
    """One filter: `plan is “pro”`."""
    whose = "the person's " if condition.of == "person" else ""
    words = f"{whose}{condition.property} {OPERATORS[condition.op]}"
    if condition.value is None:
        return words
    values = condition.value if isinstance(condition.value, tuple) else (condition.value,)
    return f"{words} {', '.join(map(_value, values))}"


def _value(value: Scalar) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return f"“{value}”" if isinstance(value, str) else str(value)


def length_in_words(length: timedelta) -> str:
    """A length of time in its largest whole unit."""
    microseconds = length // timedelta(microseconds=1)
    unit, size = next((unit, size) for unit, size in UNITS if microseconds % size == 0)
    count = microseconds // size
    return f"{count} {unit}{'' if count == 1 else 's'}"


def sources_in_words(sources: Sequence[str] | None) -> str:
    """`, counting only events from web`; nothing if all count."""
    return "" if sources is None else f", counting only events from {', '.join(sources)}"


def _whose(definition: Funnel | Retention) -> str:
    """Sources and cohort, if only some count."""
    among = definition.among
    if among is None:
        return sources_in_words(definition.sources)
    name = among if isinstance(among, str) else among.name
    return f"{sources_in_words(definition.sources)}, of persons in the cohort {name} only"
