"""The suites by table: from the schema, by hand, from the tracking plan, and the user's own."""

from collections.abc import Mapping

from opsanalytics.lake.schemas import EVENTS, FEEDBACK
from opsanalytics.lake.tables import Table
from opsanalytics.quality.plan_rows import plan_rules
from opsanalytics.quality.rules import EVENT_RULES, FEEDBACK_RULES, Rule
from opsanalytics.quality.settings import QualitySettings
from opsanalytics.quality.suites import suite_rules


def schema_rules(table: Table, known: tuple[Rule, ...]) -> tuple[Rule, ...]:
    """What the schema promises and `known` rules do not check yet: required columns are filled."""
    checked = {
        rule.kwargs.get("column") for rule in known if rule.expectation == "ExpectColumnValuesToNotBeNull"
    }
    return tuple(
        Rule(
            name=f"{column.name}_filled",
            expectation="ExpectColumnValuesToNotBeNull",
            kwargs={"column": column.name},
            severity="error",
            description=f"The column {column.name} is never empty: {column.description}",
            shows=table.order,
        )
        for column in table.columns
        if column.required and column.name not in checked
    )


def suites(quality: QualitySettings) -> Mapping[str, tuple[Rule, ...]]:
    """All suites by table."""
    return {EVENTS.name: event_rules(quality), FEEDBACK.name: feedback_rules(quality)}


def event_rules(quality: QualitySettings) -> tuple[Rule, ...]:
    """The suite of events."""
    return (
        *EVENT_RULES,
        *schema_rules(EVENTS, EVENT_RULES),
        *plan_rules(quality.tracking_plan),
        *suite_rules(quality.suites, EVENTS.name),
    )


def feedback_rules(quality: QualitySettings) -> tuple[Rule, ...]:
    """The suite of feedback."""
    return (
        *FEEDBACK_RULES,
        *schema_rules(FEEDBACK, FEEDBACK_RULES),
        *suite_rules(quality.suites, FEEDBACK.name),
    )
