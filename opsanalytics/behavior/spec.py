"""Definitions of funnels and retention: what is counted, before any data is read.

They are pydantic models: written in `opsanalytics.toml`, built in Python, serialised to JSON, and
hashed to an id that every number computed from them carries.
"""

import hashlib
import json
import math
from collections.abc import Sequence
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from opsanalytics.behavior.duration import Duration

Scalar = bool | int | float | str
Operator = Literal["eq", "ne", "in", "contains", "gt", "ge", "lt", "le", "set", "not_set"]
Period = Literal["day", "week", "month"]


class Definition(BaseModel):
    """Base of all definitions: immutable, unknown keys are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    labels: ClassVar[Any] = {"name": True, "title": True}
    """What is only shown to people, in the form of pydantic's `exclude`."""

    @property
    def definition_id(self) -> str:
        """First 12 hex digits of the SHA-256 of everything that can change a number.

        Names and titles do not: two funnels with equal rules have equal ids.
        """
        rules = self.model_dump(mode="json", exclude=self.labels)
        text = json.dumps(rules, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(f"{type(self).__name__}:{text}".encode()).hexdigest()[:12]


class Filter(Definition):
    """One condition on an event: a column (`platform`, `url`, ...) or else a key of `properties`.

    `eq`, `ne` and `in` compare as text if `value` is text, as numbers if it is a number ("5" equals 5),
    and with `true` or `false` if it is a boolean. `contains` looks for a piece of text, upper and lower
    case distinct. `gt`, `ge`, `lt`, `le` compare numbers. A missing value, a JSON null among them, fails
    every operator except `not_set` and `ne`; so does text that is no number where numbers are compared.
    """

    property: str = Field(min_length=1)
    op: Operator = "eq"
    value: Scalar | tuple[Scalar, ...] | None = None

    @model_validator(mode="after")
    def _value_fits(self) -> "Filter":
        if self.op in ("set", "not_set"):
            if self.value is not None:
                raise ValueError(f"op {self.op!r} takes no value")
        elif self.op == "in":
            if not isinstance(self.value, tuple) or not self.value:
                raise ValueError("op 'in' takes a list of values")
        elif self.value is None or isinstance(self.value, tuple):
            raise ValueError(f"op {self.op!r} takes one value")
        elif self.op == "contains":
            if not isinstance(self.value, str) or not self.value:
                raise ValueError(f"op 'contains' takes a piece of text, not {self.value!r}")
        elif self.op in ("gt", "ge", "lt", "le") and (
            isinstance(self.value, (bool, str)) or not math.isfinite(self.value)
        ):
            raise ValueError(f"op {self.op!r} compares numbers; {self.value!r} is not one")
        return self


def _filters(value: Any) -> Any:
    """Accept the short form `{plan = "pro"}` for a list of equality filters."""
    if isinstance(value, dict) and "property" not in value:
        return [
            {"property": key, "op": "in" if isinstance(wanted, list) else "eq", "value": wanted}
            for key, wanted in value.items()
        ]
    return [value] if isinstance(value, (dict, Filter)) else value


Filters = Annotated[tuple[Filter, ...], BeforeValidator(_filters)]
"""Filters that must all pass; also written as `{plan = "pro"}`."""


class Step(Definition):
    """An event that passes all filters of `where`. `Step("sign_up")` is the short form."""

    event: str = Field(min_length=1)
    where: Filters = ()
    name: str | None = None

    def __init__(self, event: str | None = None, /, **data: Any) -> None:
        super().__init__(**({"event": event} if event is not None else {}), **data)

    @property
    def label(self) -> str:
        return self.name or self.event


def _step(value: Any) -> Any:
    return {"event": value} if isinstance(value, str) else value


StepField = Annotated[Step, BeforeValidator(_step)]
SourceName = Annotated[str, Field(min_length=1)]
Sources = Annotated[tuple[SourceName, ...], Field(min_length=1)] | None
"""Sources whose events count; all if not given."""


class Funnel(Definition):
    """Ordered funnel: other events may lie between the steps.

    An attempt starts at an event of step 1; each next step is the earliest later unused event; an
    event serves one step only; events with equal time stamps may be taken in any order. A person's
    result is the attempt that gets furthest; of several, the one that gets there earliest, and of these
    the one that entered latest. The conversion window is measured from the entry event and includes its
    end. The date range limits entries, not conversions. Attempts whose window has not elapsed are kept
    apart (see `attempts`).
    """

    name: str = Field(min_length=1, pattern=r"^[a-z][a-z0-9_]*$")
    title: str | None = None
    steps: Annotated[tuple[StepField, ...], Field(min_length=2, max_length=20)]
    """Two neighbouring steps may be equal: the second then needs a second event."""
    window: Duration
    sources: Sources = None

    labels: ClassVar[Any] = {"name": True, "title": True, "steps": {"__all__": {"name"}}}

    @property
    def label(self) -> str:
        return self.title or self.name


class Retention(Definition):
    """Of the persons with a `start` event in a period, how many have a `returning` event k periods later.

    Calendar periods of the reporting time zone; a person belongs to the period of the first start
    event ever (`cohort = "first"`) or to every period with one (`recurring`). Period 0 is the cohort's
    own period: it counts return events with a later time stamp than the period's first start event, so
    an event never is its own return, and it is not forced to 100 %. A cell is complete when its period
    has ended for the whole cohort; the pooled curve uses complete cells only.
    """

    name: str = Field(min_length=1, pattern=r"^[a-z][a-z0-9_]*$")
    title: str | None = None
    start: StepField
    returning: Annotated[tuple[StepField, ...], Field(min_length=1)]
    """Any of these events is a return."""
    period: Period = "week"
    periods: int = Field(default=8, ge=1, le=60)
    """Periods followed after the cohort's own: 8 gives the periods 0 to 8."""
    cohort: Literal["first", "recurring"] = "first"
    sources: Sources = None

    labels: ClassVar[Any] = {
        "name": True,
        "title": True,
        "start": {"name"},
        "returning": {"__all__": {"name"}},
    }

    @model_validator(mode="before")
    @classmethod
    def _one_return_event(cls, data: Any) -> Any:
        if isinstance(data, dict) and "returning" in data:
            returning = data["returning"]
            single = isinstance(returning, (str, dict, Step)) or not isinstance(returning, Sequence)
            return data | {"returning": [returning] if single else returning}
        return data

    @property
    def label(self) -> str:
        return self.title or self.name
