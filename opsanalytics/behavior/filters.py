"""Steps and their filters as Polars expressions."""

from collections.abc import Collection

import polars as pl

from opsanalytics.behavior.conditions import ANY_EVENT, LISTS, TEXTS, Filter, Match, Scalar, Step

PROPERTIES = "properties"
PERSON_PROPERTIES = "person_properties"
RESERVED = frozenset({"person", "event", "ts", PROPERTIES, PERSON_PROPERTIES})
"""Columns that are not properties of an event."""
PERSON = "person."
"""Before the name of a person property, in the name of its column."""
EXACT_INTEGERS = 1 << 53
"""Beyond it neighbouring integers, such as long ids, are the same float."""


class PropertyError(ValueError):
    """A definition names a property that the events cannot have."""


def property_text(name: str, columns: Collection[str]) -> pl.Expr:
    """Value of a property as text; null where it is missing.

    A column of that name wins (canonical columns such as `platform`, or any other the caller added);
    without one the key of the JSON object in `properties` counts.
    Lists and objects give their JSON text, and booleans `true` or `false`.

    Raises:
        PropertyError: there is neither such a column nor a column `properties`, or the key has a
            backslash.
    """
    if name in columns and name not in RESERVED:
        return pl.col(name).cast(pl.String)
    if PROPERTIES not in columns:
        raise PropertyError(
            f"property {name!r}: the events have neither a column of that name nor a column "
            f"{PROPERTIES!r}; columns are {sorted(columns)}"
        )
    return json_text(pl.col(PROPERTIES), name)


def json_text(column: pl.Expr, name: str) -> pl.Expr:
    """A key of JSON objects as text; null where it is missing. A key with dots may lead into objects.

    Raises:
        PropertyError: the key has a backslash.
    """
    if "\\" in name:
        raise PropertyError(
            f"property {name!r}: JSON paths cannot name a key with a backslash; "
            "give the events a column of that name"
        )
    quoted = name.replace("'", "\\'")
    value = column.str.json_path_match(f"$['{quoted}']")
    if "." not in name:
        return value
    inside = "".join(f"['{part}']" for part in quoted.split("."))
    return pl.coalesce(value, column.str.json_path_match(f"${inside}"))


def person_property_text(name: str, columns: Collection[str]) -> pl.Expr:
    """Value of a person property as text, from the column that `subjects.prepared` made.

    Raises:
        PropertyError: there is no such column.
    """
    if PERSON + name not in columns:
        raise PropertyError(
            f"person property {name!r}: the events have no column {PERSON + name!r}; columns are "
            f"{sorted(columns)}"
        )
    return pl.col(PERSON + name).cast(pl.String)


def step_matches(step: Step, columns: Collection[str]) -> pl.Expr:
    """Whether each event serves this step; never null.

    Raises:
        PropertyError: see `property_text`.
    """
    return pl.any_horizontal([event_matches(one, columns) for one in step.matches])


def event_matches(match: Match, columns: Collection[str]) -> pl.Expr:
    """Whether each event is this one and passes its filters; never null.

    Raises:
        PropertyError: see `property_text`.
    """
    conditions = [filter_passes(condition, columns) for condition in match.where]
    named = pl.lit(True) if match.event == ANY_EVENT else pl.col("event") == match.event
    return pl.all_horizontal(named, *conditions).fill_null(False)


def filter_passes(condition: Filter, columns: Collection[str]) -> pl.Expr:
    """Whether each event passes one filter; may be null.

    Raises:
        PropertyError: see `property_text`.
    """
    find = person_property_text if condition.of == "person" else property_text
    text = find(condition.property, columns)
    value = condition.value
    if condition.op == "set":
        return text.is_not_null()
    if condition.op == "not_set":
        return text.is_null()
    if condition.op in LISTS:
        wanted = value if isinstance(value, tuple) else ()
        among = pl.any_horizontal([_equals(text, one) for one in wanted])
        return among if condition.op == "in" else ~among
    if value is None or isinstance(value, tuple):
        raise TypeError(f"op {condition.op!r} with the value {value!r}: not a validated filter")
    if condition.op == "eq":
        return _equals(text, value)
    if condition.op == "ne":
        return ~_equals(text, value)
    if condition.op in TEXTS:
        wanted_text = str(value)
        if condition.op.endswith("icontains"):
            text, wanted_text = text.str.to_lowercase(), wanted_text.lower()
        found = text.str.contains(wanted_text, literal=condition.op.endswith("contains")).fill_null(False)
        return ~found if condition.op.startswith("not_") else found
    number = text.cast(pl.Float64, strict=False)
    limit = pl.lit(value, dtype=pl.Float64)
    comparison = {"gt": number > limit, "ge": number >= limit, "lt": number < limit, "le": number <= limit}
    return comparison[condition.op] & ~number.is_nan()


def _equals(text: pl.Expr, value: Scalar) -> pl.Expr:
    """Never null: a missing value equals nothing."""
    if isinstance(value, bool):
        same = text == ("true" if value else "false")
    elif isinstance(value, str):
        same = text == value
    elif isinstance(value, int) and abs(value) > EXACT_INTEGERS:
        same = text == str(value)
    else:
        same = text.cast(pl.Float64, strict=False) == float(value)
    return same.fill_null(False)
