"""What is expected of the canonical tables, declared without importing Great Expectations.

A rule names an expectation of Great Expectations and its arguments. Its column may be one of the table
or one derived in `quality.frames`, where a rule needs to compare two columns or look into one.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal

from opsanalytics.lake.schemas import EVENTS, KINDS

Severity = Literal["error", "warning", "info"]
"""What a failure does to numbers downstream: withheld, marked, or nothing."""

PARTITION = "partition"
"""Column that every validated frame has: the UTC day (events) or the source (feedback) of the row."""

EVENTS_TABLE = EVENTS.name
"""Table that checks of events are recorded for."""

EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)
DAY_SECONDS = 86_400
CLOCK_TOLERANCE_SECONDS = 3_600


@dataclass(frozen=True)
class Rule:
    """One expectation about one table."""

    name: str
    """Stable: results and Dagster's asset checks are kept under it."""
    expectation: str
    """Class name in `great_expectations.expectations`; one that judges row by row."""
    kwargs: Mapping[str, Any] = field(hash=False)
    """Its arguments. `{"$PARAMETER": name}` stands for a value given at validation."""
    severity: Severity
    description: str
    shows: tuple[str, ...] = ()
    """Columns that the examples of failing rows show; personal ones are redacted."""
    mostly: float = 1.0
    """Share of a partition's rows that must pass."""
    on: Literal["rows", "partitions", "whole"] = "rows"
    """Whether it looks at rows one by one, at one row of figures for each partition, or at all rows of a
    partition together (a mean, a count, uniqueness)."""
    needs: tuple[str, ...] = ()
    """Columns besides `columns` that it has to see, such as those of its row condition."""

    @property
    def blocking(self) -> bool:
        """Whether numbers downstream would be wrong, and are withheld, when it fails."""
        return self.severity == "error"

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns it looks at."""
        single = [self.kwargs[key] for key in ("column", "column_A", "column_B") if key in self.kwargs]
        return (*single, *self.kwargs.get("column_list", ()))


def rules_version(rules: tuple[Rule, ...], parameters: Mapping[str, Any]) -> str:
    """Hash of everything in the rules that can change a result."""
    told = [
        (r.name, r.expectation, dict(r.kwargs), r.severity, r.description, r.shows, r.mostly, r.on, r.needs)
        for r in rules
    ]
    text = json.dumps([told, dict(parameters)], sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


EVENT_RULES: tuple[Rule, ...] = (
    Rule(
        name="event_id_present",
        expectation="ExpectColumnValuesToNotBeNull",
        kwargs={"column": "event_id"},
        severity="error",
        description="Every event has an id.",
        shows=("event", "ts"),
    ),
    Rule(
        name="event_id_unique",
        expectation="ExpectCompoundColumnsToBeUnique",
        kwargs={"column_list": (PARTITION, "event_id")},
        severity="error",
        description="No event id occurs twice on a day: duplicates would be counted twice.",
        shows=("event_id", "event", "ts"),
    ),
    Rule(
        name="event_named",
        expectation="ExpectColumnValuesToBeBetween",
        kwargs={"column": "event_length", "min_value": 1},
        severity="error",
        description="Every event has a name.",
        shows=("event_id", "ts"),
    ),
    Rule(
        name="ts_plausible",
        expectation="ExpectColumnValuesToBeBetween",
        kwargs={"column": "ts", "min_value": EARLIEST},
        severity="error",
        description="No event happened before the year 2000.",
        shows=("ts", "event"),
    ),
    Rule(
        name="ts_not_in_future",
        expectation="ExpectColumnValuesToBeBetween",
        kwargs={"column": "seconds_after_ingestion", "max_value": DAY_SECONDS},
        severity="error",
        description="No event happened more than a day after the delivery it came in was fetched.",
        shows=("ts", "event"),
    ),
    Rule(
        name="ts_on_its_day",
        expectation="ExpectColumnPairValuesToBeEqual",
        kwargs={"column_A": "ts_day", "column_B": PARTITION},
        severity="error",
        description="Every event lies in the file of its UTC day: elsewhere a report would miss it.",
        shows=("ts", "event"),
    ),
    Rule(
        name="properties_are_object",
        expectation="ExpectColumnValuesToBeInSet",
        kwargs={"column": "properties_kind", "value_set": ("object",)},
        severity="error",
        description="Properties are a JSON object: filters on anything else find nothing.",
        shows=("event", "properties"),
    ),
    Rule(
        name="person_known",
        expectation="ExpectColumnValuesToNotBeNull",
        kwargs={"column": "any_id"},
        severity="warning",
        description="Every event carries a user id, device id or distinct id; others belong to nobody.",
        shows=("event", "ts"),
    ),
    Rule(
        name="source_configured",
        expectation="ExpectColumnValuesToBeInSet",
        kwargs={"column": "source", "value_set": {"$PARAMETER": "sources"}},
        severity="warning",
        description="Every event comes from a source of the configuration.",
        shows=("source", "event"),
    ),
    Rule(
        name="received_after_ts",
        expectation="ExpectColumnValuesToBeBetween",
        kwargs={"column": "seconds_before_receipt", "max_value": CLOCK_TOLERANCE_SECONDS},
        severity="warning",
        description="No event claims to have happened more than an hour after it was received.",
        shows=("ts", "received_at", "platform"),
    ),
    Rule(
        name="volume",
        expectation="ExpectColumnValuesToBeBetween",
        kwargs={"column": "missing_events", "max_value": 0},
        severity="warning",
        description="No empty day where this weekday usually has 10 events or more (median of four weeks).",
        shows=("rows", "usual_events"),
        on="partitions",
    ),
)

FEEDBACK_RULES: tuple[Rule, ...] = (
    Rule(
        name="feedback_id_present",
        expectation="ExpectColumnValuesToNotBeNull",
        kwargs={"column": "feedback_id"},
        severity="error",
        description="Every message has an id.",
        shows=("ts",),
    ),
    Rule(
        name="feedback_id_unique",
        expectation="ExpectCompoundColumnsToBeUnique",
        kwargs={"column_list": (PARTITION, "feedback_id")},
        severity="error",
        description="No message id occurs twice in a source: duplicates would be counted twice.",
        shows=("feedback_id", "ts"),
    ),
    Rule(
        name="ts_plausible",
        expectation="ExpectColumnValuesToBeBetween",
        kwargs={"column": "ts", "min_value": EARLIEST},
        severity="error",
        description="No message was written before the year 2000.",
        shows=("ts", "feedback_id"),
    ),
    Rule(
        name="ts_not_in_future",
        expectation="ExpectColumnValuesToBeBetween",
        kwargs={"column": "seconds_after_ingestion", "max_value": DAY_SECONDS},
        severity="error",
        description="No message was written more than a day after the dump it came in was read.",
        shows=("ts", "feedback_id"),
    ),
    Rule(
        name="satisfaction_in_scale",
        expectation="ExpectColumnValuesToBeBetween",
        kwargs={"column": "satisfaction", "min_value": 0, "max_value": 1},
        severity="error",
        description="Satisfaction lies between 0 and 1: check the scale configured for the source.",
        shows=("rating", "rating_min", "rating_max", "satisfaction"),
    ),
    Rule(
        name="kind_known",
        expectation="ExpectColumnValuesToBeInSet",
        kwargs={"column": "kind", "value_set": KINDS},
        severity="error",
        description=f"Where a message has a kind, it is one of: {', '.join(KINDS)}.",
        shows=("feedback_id", "kind"),
    ),
    Rule(
        name="says_something",
        expectation="ExpectColumnValuesToBeBetween",
        kwargs={"column": "content_length", "min_value": 1},
        severity="warning",
        description="Every message has a text or a rating.",
        shows=("feedback_id", "ts"),
    ),
    Rule(
        name="no_email_in_text",
        expectation="ExpectColumnValuesToNotMatchRegex",
        kwargs={"column": "text", "regex": r"[A-Za-z0-9._%+-]+@[A-Za-z0-9-]+\.[A-Za-z]{2,}"},
        severity="warning",
        description="No e-mail address is left in a text after redaction.",
        shows=("feedback_id", "text"),
    ),
    Rule(
        name="source_configured",
        expectation="ExpectColumnValuesToBeInSet",
        kwargs={"column": "source", "value_set": {"$PARAMETER": "sources"}},
        severity="warning",
        description="Every message comes from a source of the configuration.",
        shows=("source",),
    ),
    Rule(
        name="volume",
        expectation="ExpectColumnValuesToBeBetween",
        kwargs={"column": "rows", "min_value": 1},
        severity="warning",
        description="Every configured source has at least one message.",
        shows=("rows",),
        on="partitions",
    ),
)

RULES: Mapping[str, tuple[Rule, ...]] = {"events": EVENT_RULES, "feedback": FEEDBACK_RULES}
"""The suites by table."""
