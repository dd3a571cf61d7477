"""The tracking plan: which events the product sends, with which properties."""

import re
from collections.abc import Mapping
from typing import Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

PropertyType = Literal["string", "integer", "number", "boolean", "datetime", "list", "object"]
PROPERTY_TYPES: tuple[PropertyType, ...] = get_args(PropertyType)

TEXT_TYPES: tuple[PropertyType, ...] = ("string", "datetime")


class PlannedProperty(BaseModel):
    """One property of one event: `plan = { type = "string", required = true, values = ["pro"] }`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    type: PropertyType
    """`number` takes integers too; `datetime` is a text in ISO 8601."""
    required: bool = False
    """Whether every such event has it, not null."""
    values: tuple[str | int | float | bool, ...] = ()
    """The only values allowed; any if not given."""
    pattern: str | None = None
    """Regular expression (RE2) that the whole text must match."""
    description: str = ""

    @field_validator("pattern")
    @classmethod
    def _pattern_compiles(cls, value: str | None) -> str | None:
        try:
            re.compile(value or "")
        except re.error as error:
            raise ValueError(f"{value!r} is not a regular expression: {error}") from error
        return value

    @model_validator(mode="after")
    def _rules_fit_the_type(self) -> "PlannedProperty":
        if self.pattern is not None and self.type not in TEXT_TYPES:
            raise ValueError(f"a pattern needs a type that is text ({' or '.join(TEXT_TYPES)})")
        if self.values and self.type in ("list", "object"):
            raise ValueError(f"allowed values cannot be given for type {self.type}")
        return self


class PlannedEvent(BaseModel):
    """One event: `[[events]]` of the tracking plan."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(min_length=1)
    """Canonical name, after the [events] mapping of opsanalytics.toml."""
    description: str = ""
    owner: str = ""
    """Who to ask: e-mail address or `team:name`."""
    blocking: bool = False
    """Whether numbers are withheld, not only marked, while this event breaks its plan."""
    properties: Mapping[str, PlannedProperty] = {}


class TrackingPlan(BaseModel):
    """All of tracking_plan.toml; empty: nothing is declared, and nothing is compared."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    events: tuple[PlannedEvent, ...] = ()

    @field_validator("events")
    @classmethod
    def _names_differ(cls, value: tuple[PlannedEvent, ...]) -> tuple[PlannedEvent, ...]:
        names = [event.name for event in value]
        if repeated := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"declared twice: {', '.join(repeated)}")
        return value

    @property
    def by_name(self) -> dict[str, PlannedEvent]:
        return {event.name: event for event in self.events}
