"""Steps and their filters as Polars expressions."""

from collections.abc import Collection

import polars as pl

from opsanalytics.behavior.spec import Filter, Scalar, Step

PROPERTIES = "properties"
RESERVED = frozenset({"person", "event", "ts", PROPERTIES})
"""Columns that are not properties of an event."""
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
    if "\\" in name:
        raise PropertyError(
            f"property {name!r}: JSON paths cannot name a key with a backslash; "
            "give the events a column of that name"
        )
    key = name.replace("'", "\\'")
    return pl.col(PROPERTIES).str.json_path_match(f"$['{key}']")


def step_matches(step: Step, columns: Collection[str]) -> pl.Expr:
    """Whether each event is one of this step; never null.

    Raises:
        PropertyError: see `property_text`.
    """
    conditions = [_passes(condition, columns) for condition in step.where]
    return pl.all_horizontal(pl.col("event") == step.event, *conditions).fill_null(False)


def _passes(condition: Filter, columns: Collection[str]) -> pl.Expr:
    text = property_text(condition.property, columns)
    value = condition.value
    if condition.op == "set":
        return text.is_not_null()
    if condition.op == "not_set":
        return text.is_null()
    if condition.op == "in":
        wanted = value if isinstance(value, tuple) else ()
        return pl.any_horizontal([_equals(text, one) for one in wanted])
    if value is None or isinstance(value, tuple):
        raise TypeError(f"op {condition.op!r} with the value {value!r}: not a validated filter")
    if condition.op == "eq":
        return _equals(text, value)
    if condition.op == "ne":
        return ~_equals(text, value)
    if condition.op == "contains":
        return text.str.contains(str(value), literal=True)
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
