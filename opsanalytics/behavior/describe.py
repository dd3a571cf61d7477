"""Definitions in words, for the mart that says what every number means."""

from collections.abc import Sequence
from datetime import timedelta

import polars as pl

from opsanalytics.behavior.spec import Filter, Funnel, Retention, Scalar, Step
from opsanalytics.behavior.tables import METRIC_DEFINITIONS

UNITS = (("day", 86_400), ("hour", 3_600), ("minute", 60), ("second", 1))
OPERATORS = {
    "eq": "is",
    "ne": "is not",
    "in": "is one of",
    "contains": "contains",
    "gt": "is above",
    "ge": "is at least",
    "lt": "is below",
    "le": "is at most",
    "set": "is set",
    "not_set": "is not set",
}


def definitions_frame(funnels: Sequence[Funnel], retentions: Sequence[Retention]) -> pl.DataFrame:
    """Rows of the mart METRIC_DEFINITIONS, one a definition."""
    described: list[tuple[Funnel | Retention, str]] = [
        *((one, describe_funnel(one)) for one in funnels),
        *((one, describe_retention(one)) for one in retentions),
    ]
    rows = [
        {
            "definition_id": definition.definition_id,
            "kind": type(definition).__name__.lower(),
            "name": definition.name,
            "title": definition.label,
            "semantics": semantics,
            "rules": definition.model_dump_json(),
        }
        for definition, semantics in described
    ]
    return METRIC_DEFINITIONS.conform(pl.DataFrame(rows, schema=METRIC_DEFINITIONS.schema))


def describe_funnel(definition: Funnel) -> str:
    """How the funnel is counted, in words a product manager understands."""
    window = _length(definition.window)
    first, *later = definition.steps
    return (
        f"Of the people who did {_step(first)}, how many then did {', then '.join(map(_step, later))}, "
        f"in this order and all within {window} of the first event{_sources(definition)}. "
        "Other events may lie between. One event counts for one step; events with the same time stamp may "
        "be taken in any order. A person counts once, with the attempt that got furthest. "
        f"Rates are over people who entered at least {window} before the data ends, so that everybody had "
        "the full time; later entries are shown apart as open, not as drop-offs."
    )


def describe_retention(definition: Retention) -> str:
    """How retention is counted, in words a product manager understands."""
    period = definition.period
    returning = " or ".join(map(_step, definition.returning))
    if definition.cohort == "first":
        cohort = f"A person belongs to the calendar {period} of the first such event ever."
    else:
        cohort = f"A person belongs to every calendar {period} with such an event."
    return (
        f"Of the people who did {_step(definition.start)} in a {period}, how many did {returning} "
        f"in each of the {definition.periods} {period}s that follow{_sources(definition)}. {cohort} "
        f"{period.capitalize()} 0 is that {period} itself and counts only what came after the first such "
        f"event in it. A number is complete once its {period} is over; the overall curve adds up complete "
        "numbers only."
    )


def _step(step: Step) -> str:
    conditions = " and ".join(map(_condition, step.where))
    event = f"“{step.event}”" + (f" where {conditions}" if conditions else "")
    return event if step.name is None or step.name == step.event else f"{step.name} ({event})"


def _condition(condition: Filter) -> str:
    words = f"{condition.property} {OPERATORS[condition.op]}"
    if condition.value is None:
        return words
    values = condition.value if isinstance(condition.value, tuple) else (condition.value,)
    return f"{words} {', '.join(map(_value, values))}"


def _value(value: Scalar) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return f"“{value}”" if isinstance(value, str) else str(value)


def _length(length: timedelta) -> str:
    seconds = int(length.total_seconds())
    unit, size = next((unit, size) for unit, size in UNITS if seconds % size == 0)
    count = seconds // size
    return f"{count} {unit}{'' if count == 1 else 's'}"


def _sources(definition: Funnel | Retention) -> str:
    if definition.sources is None:
        return ""
    return f", counting only events from {', '.join(definition.sources)}"
