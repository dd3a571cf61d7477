"""What an event must be to count: names, filters, and the steps made of them.

Definitions are pydantic models: written in `opsanalytics.toml`, built in Python, serialised to JSON, and
hashed to an id that every number computed from them carries.
"""

import hashlib
import json
import math
from typing import Annotated, Any, ClassVar, Literal

import polars as pl
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from opsanalytics.behavior.duration import Duration

Scalar = bool | int | float | str
OPERATORS = Literal[
    "eq",
    "ne",
    "in",
    "not_in",
    "contains",
    "not_contains",
    "icontains",
    "not_icontains",
    "regex",
    "not_regex",
    "gt",
    "ge",
    "lt",
    "le",
    "set",
    "not_set",
]
SPELLINGS = {
    "=": "eq",
    "==": "eq",
    "exact": "eq",
    "!=": "ne",
    "is_not": "ne",
    ">": "gt",
    ">=": "ge",
    "gte": "ge",
    "<": "lt",
    "<=": "le",
    "lte": "le",
    "is_set": "set",
    "is_not_set": "not_set",
}
"""How others write these operators."""


def _operator(value: Any) -> Any:
    return SPELLINGS.get(value, value) if isinstance(value, str) else value


Operator = Annotated[OPERATORS, BeforeValidator(_operator)]
LISTS = ("in", "not_in")
TEXTS = ("contains", "not_contains", "icontains", "not_icontains", "regex", "not_regex")
NAME = r"^[a-z][a-z0-9_]*$"
"""What a definition may be called."""
SourceName = Annotated[str, Field(min_length=1)]
Sources = Annotated[tuple[SourceName, ...], Field(min_length=1)] | None
"""Sources whose events count; all if not given."""
ANY_EVENT = "*"
"""In place of a name: every event serves."""


class Definition(BaseModel):
    """Base of all definitions: immutable, unknown keys are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    labels: ClassVar[Any] = {"name": True, "title": True}
    """What is only shown to people, in the form of pydantic's `exclude`."""
    later: ClassVar[frozenset[str]] = frozenset()
    """Fields that came later: at their default they stay out of the id, so that ids outlive new rules."""

    @property
    def definition_id(self) -> str:
        """First 12 hex digits of the SHA-256 of everything that can change a number.

        Names and titles do not: two funnels with equal rules have equal ids.
        """
        rules = _without_defaults(self, self.model_dump(mode="json", exclude=self.labels))
        text = json.dumps(rules, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(f"{type(self).__name__}:{text}".encode()).hexdigest()[:12]


def _without_defaults(definition: Definition, rules: dict[str, Any]) -> dict[str, Any]:
    """`rules`, the dump of `definition`, without its `later` fields that are at their default."""
    kept = {}
    for name, dumped in rules.items():
        value = getattr(definition, name)
        if name in definition.later and value == type(definition).model_fields[name].get_default():
            continue
        if isinstance(value, Definition):
            dumped = _without_defaults(value, dumped)
        elif isinstance(value, tuple) and value and isinstance(value[0], Definition):
            dumped = [_without_defaults(one, part) for one, part in zip(value, dumped, strict=True)]
        kept[name] = dumped
    return kept


class Filter(Definition):
    """One condition on an event: a column (`platform`, `url`, ...) or else a key of `properties`.

    `Filter("plan", "eq", "pro")` is the short form. A key with dots that no object has leads into objects
    (`geo.city`).

    `eq`, `ne` and `in` compare as text if `value` is text, as numbers if it is a number ("5" equals 5),
    and with `true` or `false` if it is a boolean; `eq` and `ne` with a list mean `in` and `not_in`.
    `contains` looks for a piece of text, upper and lower case distinct (alike with `icontains`); `regex` for
    a regular expression anywhere in the text (`^`, `$` and `(?i)` as usual).
    `gt`, `ge`, `lt`, `le` compare numbers. A missing value, a JSON null among them, fails every operator
    except `not_set`, `ne` and the others with `not_`; so does text that is no number where numbers are
    compared.
    """

    property: str = Field(min_length=1)
    op: Operator = "eq"
    value: Scalar | tuple[Scalar, ...] | None = None
    of: Literal["event", "person"] = "event"
    """Whose property: the event's, or the person's (see `subjects` for where those come from)."""

    later: ClassVar[frozenset[str]] = frozenset({"of"})

    def __init__(
        self, name: str | None = None, op: str | None = None, value: Any = None, /, **data: Any
    ) -> None:
        given = {"property": name, "op": op, "value": value}
        super().__init__(**{key: one for key, one in given.items() if one is not None}, **data)

    @model_validator(mode="before")
    @classmethod
    def _one_of_several(cls, data: Any) -> Any:
        if isinstance(data, dict) and isinstance(data.get("value"), (list, tuple)):
            of_list = {"eq": "in", "ne": "not_in"}.get(_operator(data.get("op", "eq")))
            return data | {"op": of_list} if of_list else data
        return data

    @model_validator(mode="after")
    def _value_fits(self) -> "Filter":
        if self.op in ("set", "not_set"):
            if self.value is not None:
                raise ValueError(f"op {self.op!r} takes no value")
        elif self.op in LISTS:
            if not isinstance(self.value, tuple) or not self.value:
                raise ValueError(f"op {self.op!r} takes a list of values")
        elif self.value is None:
            raise ValueError(
                f"op {self.op!r} takes one value, not none; op 'not_set' finds events without the property"
            )
        elif isinstance(self.value, tuple):
            raise ValueError(f"op {self.op!r} takes one value, not a list")
        elif self.op in TEXTS:
            if not isinstance(self.value, str) or not self.value:
                raise ValueError(f"op {self.op!r} takes a piece of text, not {self.value!r}")
            if self.op.endswith("regex"):
                _check_pattern(self.value)
        elif self.op in ("gt", "ge", "lt", "le") and (
            isinstance(self.value, (bool, str)) or not math.isfinite(self.value)
        ):
            raise ValueError(f"op {self.op!r} compares numbers; {self.value!r} is not one")
        return self


def _check_pattern(pattern: str) -> None:
    try:
        pl.Series([""]).str.contains(pattern)
    except pl.exceptions.ComputeError as error:
        raise ValueError(f"{pattern!r} is not a regular expression: {error}") from None


def _filters(value: Any) -> Any:
    """Accept the short forms `{plan = "pro"}` for equality filters and `("plan", "ne", "pro")` for one."""
    if isinstance(value, dict) and "property" not in value:
        return [{"property": key, "value": wanted} for key, wanted in value.items()]
    if isinstance(value, (dict, Filter)) or _is_short(value):
        value = [value]
    if not isinstance(value, (list, tuple)):
        return value
    names = ("property", "op", "value")
    return [dict(zip(names, one, strict=False)) if _is_short(one) else one for one in value]


def _is_short(value: Any) -> bool:
    return isinstance(value, (list, tuple)) and len(value) in (2, 3) and isinstance(value[0], str)


Filters = Annotated[tuple[Filter, ...], BeforeValidator(_filters)]
"""Filters that must all pass; also written as `{plan = "pro"}` or `("plan", "ne", "pro")`."""


def _event(value: Any) -> Any:
    return {"event": value} if isinstance(value, str) else value


class Match(Definition):
    """An event that passes all filters of `where`. The name `*` stands for every event."""

    event: str = Field(min_length=1)
    where: Filters = ()


class Step(Definition):
    """An event that passes all filters of `where`, or one of `also`. `Step("sign_up")` is the short form.

    The name `*` stands for every event.
    """

    event: str = Field(min_length=1)
    where: Filters = ()
    name: str | None = None
    also: tuple[Annotated[Match, BeforeValidator(_event)], ...] = ()
    """Other events that serve the step just as well."""
    optional: bool = False
    """The step may be left out; an attempt that meets it before the next step has made it."""
    within: Duration | None = None
    """Longest time since the step before (the last one made, where that is optional), inclusive."""
    after: Duration | None = None
    """Shortest time since the step before, inclusive."""
    occurrence: Literal["any", "first", "first_ever"] = "any"
    """`first`: only a person's first event ever that serves the step does. `first_ever`: only a person's
    first event ever of that name, if it passes the filters. Ever means in all of the events given."""

    later: ClassVar[frozenset[str]] = frozenset({"also", "optional", "within", "after", "occurrence"})

    def __init__(self, event: str | None = None, /, **data: Any) -> None:
        super().__init__(**({"event": event} if event is not None else {}), **data)

    @property
    def label(self) -> str:
        return self.name or " or ".join(self.events)

    @property
    def matches(self) -> tuple[Match, ...]:
        """Everything that serves the step."""
        return (Match(event=self.event, where=self.where), *self.also)

    @property
    def events(self) -> tuple[str, ...]:
        """The names of the events that may serve the step, each once."""
        return tuple(dict.fromkeys(one.event for one in self.matches))


def _step(value: Any) -> Any:
    """Accept a name, or a list of names and matches, any of which serves the step."""
    if isinstance(value, (list, tuple)) and value:
        first, *also = (_event(one) for one in value)
        return {**(first if isinstance(first, dict) else first.model_dump()), "also": also}
    return _event(value)


StepField = Annotated[Step, BeforeValidator(_step)]
