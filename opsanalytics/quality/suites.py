"""Suites that the user wrote for Great Expectations, as rules.

A file is what `ExpectationSuite.to_json_dict()` of Great Expectations 1.x gives: `expectations` with
`type`, `kwargs` and optionally `severity`, `description` and `meta`.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator, model_validator

from opsanalytics.lake.schemas import EVENTS, FEEDBACK
from opsanalytics.quality.frames import DERIVED_COLUMNS, PROPERTY
from opsanalytics.quality.rules import PARTITION, Rule, Severity

COLUMNS: Mapping[str, frozenset[str]] = {
    table.name: frozenset((*table.names, PARTITION, *DERIVED_COLUMNS[table.name]))
    for table in (EVENTS, FEEDBACK)
}
"""Columns that a suite may name, by table."""

SEVERITIES: Mapping[str, Severity] = {"critical": "error", "warning": "warning", "info": "info"}

_COLUMN_KEYS = ("column", "column_A", "column_B")
_IGNORED = ("batch_id", "mostly")
_ROW_WISE = re.compile(
    r"expect_(column_values_to_(?!be_unique|be_increasing|be_decreasing|be_of_type|be_in_type|not_be_outliers)"
    r"|column_value_lengths_|column_pair_values_|multicolumn_sum_"
    r"|select_column_values_to_be_unique_within_record)"
)
"""Expectations that judge a row by itself, whatever other rows there are."""
_NEED_DATABASE = re.compile(r"expect_query_|expect_table_row_count_to_equal_other_table|unexpected_rows_")


class OwnExpectation(BaseModel):
    """One expectation of a suite."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    type: str = Field(pattern=r"^(expect|unexpected)_[a-z0-9_]+$")
    kwargs: Mapping[str, Any]
    severity: Literal["critical", "warning", "info"] = "critical"
    """As in Great Expectations, where critical is what counts if nothing is said."""
    description: str | None = None
    meta: Mapping[str, Any] | None = None
    """`meta.name` names the check; without it the name is made of type and columns."""
    id: str | None = None
    notes: Any = None
    rendered_content: Any = None
    success_on_last_run: Any = None
    expectation_context: Any = None

    @property
    def columns(self) -> tuple[str, ...]:
        single = [self.kwargs[key] for key in _COLUMN_KEYS if key in self.kwargs]
        return (*single, *self.kwargs.get("column_list", ()))

    @field_validator("type")
    @classmethod
    def _can_run_on_frames(cls, value: str) -> str:
        if _NEED_DATABASE.match(value):
            raise ValueError(f"{value} needs a database; suites run on the files of the lake")
        return value

    @field_validator("kwargs")
    @classmethod
    def _share_is_a_share(cls, value: Mapping[str, Any]) -> Mapping[str, Any]:
        mostly = value.get("mostly", 1)
        if not isinstance(mostly, int | float) or not 0 <= mostly <= 1:
            raise ValueError(f"mostly is {mostly!r}; write a share between 0 and 1")
        return value


class OwnSuite(BaseModel):
    """One file: the suite of the table that the file is named after."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    table: Literal["events", "feedback"]
    expectations: tuple[OwnExpectation, ...]
    name: str | None = None
    id: str | None = None
    meta: Any = None
    notes: Any = None
    suite_parameters: Any = None

    @field_validator("expectations")
    @classmethod
    def _columns_exist(
        cls, value: tuple[OwnExpectation, ...], info: ValidationInfo
    ) -> tuple[OwnExpectation, ...]:
        table = str(info.data.get("table", ""))
        known = COLUMNS.get(table, frozenset())
        for number, each in enumerate(value):
            for column in each.columns:
                if column not in known and not (table == EVENTS.name and str(column).startswith(PROPERTY)):
                    raise ValueError(
                        f"expectations[{number}].kwargs names the column {column!r}, which {table} lacks; it "
                        f"has {', '.join(sorted(known))}"
                        + (f", and {PROPERTY}NAME for a property" if table == EVENTS.name else "")
                    )
        return value

    @model_validator(mode="after")
    def _names_differ(self) -> "OwnSuite":
        names = [rule.name for rule in self.rules]
        if repeated := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"checks named twice: {', '.join(repeated)}; give each its own meta.name")
        return self

    @property
    def rules(self) -> tuple[Rule, ...]:
        """The suite as rules, in its order."""
        return tuple(self._rule(each) for each in self.expectations)

    def _rule(self, each: OwnExpectation) -> Rule:
        kwargs = {key: value for key, value in each.kwargs.items() if key not in _IGNORED}
        told = json.dumps(dict(each.kwargs), sort_keys=True, default=str)
        named = "_".join((each.type.removeprefix("expect_"), *map(str, each.columns)))
        default = f"{named}_{hashlib.sha256(told.encode()).hexdigest()[:6]}"
        name = str((each.meta or {}).get("name") or default)
        condition = each.kwargs.get("row_condition")
        return Rule(
            name="own_" + re.sub(r"\W+", "_", name, flags=re.ASCII),
            expectation="".join(part.capitalize() for part in each.type.split("_")),
            kwargs=kwargs,
            severity=SEVERITIES[each.severity],
            description=each.description
            or f"{each.type.removeprefix('expect_').replace('_', ' ')}: {told}"[:300],
            shows=tuple(dict.fromkeys((*each.columns, *(("event",) if self.table == EVENTS.name else ())))),
            mostly=float(each.kwargs.get("mostly", 1)),
            on="rows" if _ROW_WISE.match(each.type) and not condition else "whole",
            needs=_condition_columns(condition, COLUMNS[self.table]) if condition else (),
        )


def _condition_columns(condition: Any, known: frozenset[str]) -> tuple[str, ...]:
    """Columns that a row condition, in any of its forms, may look at."""
    text = condition if isinstance(condition, str) else json.dumps(condition, default=str)
    return tuple(sorted({*re.findall(r"\w+", text)} & known | {*re.findall(r"properties\.[\w$]+", text)}))


def suite_rules(suites: tuple[OwnSuite, ...], table: str) -> tuple[Rule, ...]:
    """Rules of all suites for a table."""
    return tuple(rule for suite in suites if suite.table == table for rule in suite.rules)
