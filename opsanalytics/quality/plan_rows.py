"""The tracking plan as rules of the suite: each event, row by row, against what is declared for it.

Great Expectations would need one expectation a property, hundreds of them, each over all rows. So DuckDB
compares all properties of an event in one pass, a column a kind of breach holds the names of the
properties at fault (null: none), and the suite expects these columns to be null.
"""

from collections.abc import Iterator, Mapping

import duckdb
import polars as pl

from opsanalytics.lake.schemas import EVENTS
from opsanalytics.quality.plan import PlannedEvent, PlannedProperty, PropertyType, TrackingPlan
from opsanalytics.quality.profiles import COLUMNS, DATETIME, pointer
from opsanalytics.quality.rules import Rule, Severity

UNDECLARED, MISSING, TYPES, VALUES = "plan_declared", "plan_required", "plan_types", "plan_values"
BLOCKING = "plan_blocking"

PLAN_COLUMNS = (UNDECLARED, MISSING, TYPES, VALUES, BLOCKING)
"""Columns that `plan_columns` gives, and names of the rules about them."""

_DESCRIPTIONS: Mapping[str, str] = {
    UNDECLARED: "Every event and every property is declared in the tracking plan.",
    MISSING: "Every event has the properties that the tracking plan requires.",
    TYPES: "Properties have the types that the tracking plan declares.",
    VALUES: "Properties have only values that the tracking plan allows.",
    BLOCKING: "Events that the tracking plan calls blocking have required properties, types and values.",
}
_JSON_TYPES: Mapping[PropertyType, tuple[str, ...]] = {
    "string": ("VARCHAR",),
    "datetime": ("VARCHAR",),
    "integer": ("BIGINT", "UBIGINT", "HUGEINT"),
    "number": ("BIGINT", "UBIGINT", "HUGEINT", "DOUBLE"),
    "boolean": ("BOOLEAN",),
    "list": ("ARRAY",),
    "object": ("OBJECT",),
}


def plan_rules(plan: TrackingPlan) -> tuple[Rule, ...]:
    """The plan as rules for events; none if it declares nothing."""
    if not plan.events:
        return ()
    names = [UNDECLARED, MISSING, TYPES, VALUES]
    if any(event.blocking for event in plan.events):
        names.append(BLOCKING)
    return tuple(
        Rule(
            name=name,
            expectation="ExpectColumnValuesToBeNull",
            kwargs={"column": name},
            severity=_severity(name),
            description=_DESCRIPTIONS[name],
            shows=("event", name),
        )
        for name in names
    )


def _severity(name: str) -> Severity:
    return "error" if name == BLOCKING else "warning"


def plan_columns(frame: pl.DataFrame, plan: TrackingPlan) -> pl.DataFrame:
    """The columns that `plan_rules` name, for each row of `frame`, in its order.

    `frame` needs `event`, `properties` and the columns of events that the plan declares properties for.
    Each column holds the names of the properties at fault, joined by commas; null: none.
    """
    rows = frame.with_row_index("row")
    known = rows.filter(pl.col("event").is_in(list(plan.by_name)))
    with duckdb.connect(config={"autoinstall_known_extensions": "false"}) as con:
        parts = list(_judged(con, known, plan))
    found = rows.select("row").join(
        pl.concat([_nothing(), *parts]), on="row", how="left", maintain_order="left"
    )
    stray = ~rows["event"].is_in(list(plan.by_name)) & rows["event"].is_not_null()
    undeclared = pl.when(stray).then(pl.lit("the event")).otherwise(pl.col(UNDECLARED))
    return found.with_columns(undeclared.alias(UNDECLARED)).drop("row")


def _nothing() -> pl.DataFrame:
    return pl.DataFrame(schema={"row": pl.UInt32} | dict.fromkeys(PLAN_COLUMNS, pl.String))


def _judged(con: duckdb.DuckDBPyConnection, rows: pl.DataFrame, plan: TrackingPlan) -> Iterator[pl.DataFrame]:
    for (name,), part in rows.partition_by("event", as_dict=True).items():
        event = plan.by_name[str(name)]
        con.register("part", part.to_arrow())
        judged = con.sql(_query(event, part.columns)).pl()
        con.unregister("part")
        yield judged.select(pl.col(column).cast(dtype) for column, dtype in _nothing().schema.items())


def _query(event: PlannedEvent, columns: list[str]) -> str:
    names = list(event.properties)
    faults: dict[str, list[str]] = {MISSING: [], TYPES: [], VALUES: []}
    for number, (name, planned) in enumerate(event.properties.items(), start=1):
        held = f'"{name}"' if name in COLUMNS and name in columns else "NULL"
        for kind, wrong in _wrong(planned, f"kinds[{number}]", f"texts[{number}]", held):
            faults[kind].append(f"CASE WHEN {wrong} THEN {_text(name)} END")
    told = {
        kind: f"nullif(concat_ws(', ', {', '.join(cases)}), '')" if cases else "NULL"
        for kind, cases in faults.items()
    }
    stray = f"nullif(array_to_string(list_filter(names, lambda x: x NOT IN ({_listed(names)})), ', '), '')"
    if not names:
        stray = "nullif(array_to_string(names, ', '), '')"
    paths = ", ".join(_text(pointer(name)) for name in names)
    extracted = (
        f"json_type(text, [{paths}]) AS kinds, json_extract_string(text, [{paths}]) AS texts,"
        if names
        else ""
    )
    blocking = f"nullif(concat_ws(', ', {', '.join(told.values())}), '')" if event.blocking else "NULL"
    warned = {kind: "NULL" if event.blocking else sql for kind, sql in told.items()}
    return (
        f"SELECT row, {stray} AS {UNDECLARED}, "
        + "".join(f"{sql} AS {kind}, " for kind, sql in warned.items())
        + f"{blocking} AS {BLOCKING} FROM (SELECT *, {extracted} json_keys(text) AS names FROM "
        "(SELECT *, CASE WHEN properties LIKE '{%' AND json_valid(properties) THEN properties ELSE '{}' END "
        "AS text FROM part))"
    )


def _wrong(planned: PlannedProperty, kind: str, text: str, held: str) -> Iterator[tuple[str, str]]:
    """SQL conditions of the breaches of one property. `held`: its value in a column of events, a text."""
    absent = f"coalesce({kind}, 'NULL') = 'NULL'"
    if planned.required:
        yield MISSING, f"{absent} AND {held} IS NULL"
    types = _listed(_JSON_TYPES[planned.type])
    dated = f" OR NOT regexp_full_match({text}, {_text(DATETIME)})" if planned.type == "datetime" else ""
    yield TYPES, f"NOT {absent} AND ({kind} NOT IN ({types}){dated})"
    value = f"coalesce({text}, {held})"
    if planned.values:
        allowed = _listed(
            str(each).lower() if isinstance(each, bool) else str(each) for each in planned.values
        )
        yield VALUES, f"{value} IS NOT NULL AND {value} NOT IN ({allowed})"
    if planned.pattern is not None:
        yield VALUES, f"{value} IS NOT NULL AND NOT regexp_full_match({value}, {_text(planned.pattern)})"


def plan_needs(plan: TrackingPlan) -> tuple[str, ...]:
    """Columns of events that `plan_columns` looks at."""
    declared = {name for event in plan.events for name in event.properties}
    return tuple(name for name in EVENTS.names if name in {"event", "properties"} | (declared & set(COLUMNS)))


def _listed(values: "Iterator[str] | list[str] | tuple[str, ...]") -> str:
    return ", ".join(_text(value) for value in values)


def _text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"
