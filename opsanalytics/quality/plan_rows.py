"""The tracking plan as rules of the suite: each event, row by row, against what is declared for it.

Great Expectations would need one expectation a property, hundreds of them, each over all rows. So DuckDB
compares all properties of an event together, a column a kind of breach holds the names of the properties
at fault (null: none), and the suite expects these columns to be null.
"""

from collections.abc import Iterator, Mapping

import duckdb
import polars as pl

from opsanalytics.lake.schemas import EVENTS
from opsanalytics.quality.plan import PlannedEvent, PlannedProperty, PropertyType, TrackingPlan
from opsanalytics.quality.profiles import COLUMNS, DATETIME
from opsanalytics.quality.rules import Rule, Severity
from opsanalytics.quality.sql import calculator, json_pointer, sql_text

UNDECLARED, MISSING, TYPES, VALUES = "plan_declared", "plan_required", "plan_types", "plan_values"
BLOCKING = "plan_blocking"

_FAULTS = pl.Schema({"row": pl.UInt32, "kind": pl.String, "name": pl.String})
PLAN_COLUMNS = (UNDECLARED, MISSING, TYPES, VALUES, BLOCKING)
"""Columns that `plan_columns` gives, and names of the rules about them."""

_DESCRIPTIONS: Mapping[str, str] = {
    UNDECLARED: "Every event and every property is declared in the tracking plan.",
    MISSING: "Every event has the properties that the tracking plan requires.",
    TYPES: "Properties have the types that the tracking plan declares.",
    VALUES: "Properties have only values that the tracking plan allows.",
    BLOCKING: "Events that the tracking plan calls blocking have required properties, types and values.",
}
_TEXT = "CASE WHEN properties LIKE '{%' AND json_valid(properties) THEN properties ELSE '{}' END"
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
    stray = rows.join(known, on="row", how="anti").filter(pl.col("event").is_not_null())
    faults = [_faults(stray.select("row"), UNDECLARED, "the event")]
    with calculator() as con:
        for (name,), part in known.partition_by("event", as_dict=True).items():
            event = plan.by_name[str(name)]
            found = pl.concat(list(_judged(con, part, event)))
            if event.blocking:
                breaks = pl.col("kind") != UNDECLARED
                found = found.with_columns(
                    kind=pl.when(breaks).then(pl.lit(BLOCKING)).otherwise(pl.col("kind"))
                )
            faults.append(found)
    names = pl.col("name").unique(maintain_order=True).str.join(", ")
    told = pl.concat(faults).group_by("row", "kind", maintain_order=True).agg(names)
    columns = rows.select("row")
    for kind in PLAN_COLUMNS:
        own = told.filter(pl.col("kind") == kind).select("row", pl.col("name").alias(kind))
        columns = columns.join(own, on="row", how="left", maintain_order="left")
    return columns.drop("row")


def _judged(
    con: duckdb.DuckDBPyConnection, part: pl.DataFrame, event: PlannedEvent
) -> Iterator[pl.DataFrame]:
    """Faults (`row`, `kind`, `name`) of the rows of one event.

    Which properties there are, and of what types, is judged once for each form that occurs, not for each
    row; values are compared row by row.
    """
    names = list(event.properties)
    compared = [name for name, planned in event.properties.items() if list(_wrong(planned, ""))]
    paths = _pointers(names)
    columns = [f'"{name}" IS NOT NULL' if name in COLUMNS else "false" for name in names]
    con.register("part", part.to_arrow())
    # Lists of names and types are many times as large as what they are hashed to.
    con.execute(
        "CREATE OR REPLACE TEMP TABLE rows AS "
        f"SELECT row, hash(json_keys(text)) AS names, hash(json_type(text, {paths}), held) AS kinds, "
        f"json_extract_string(text, {_pointers(compared)}) AS texts "
        f"FROM (SELECT row, {_TEXT} AS text, [{', '.join(columns)}]::BOOLEAN[] AS held FROM part)"
    )
    forms = con.sql(
        f"SELECT names, json_keys({_TEXT}) FROM part "
        "JOIN (SELECT names, min(row) AS row FROM rows GROUP BY names) USING (row)"
    ).fetchall()
    shapes = con.sql(
        f"SELECT kinds, json_type({_TEXT}, {paths}), [{', '.join(columns)}]::BOOLEAN[] FROM part "
        "JOIN (SELECT kinds, min(row) AS row FROM rows GROUP BY kinds) USING (row)"
    ).fetchall()
    con.unregister("part")
    yield _of_forms(
        con,
        "names",
        [(form, UNDECLARED, name) for form, sent in forms for name in sent if name not in event.properties],
    )
    yield _of_forms(
        con,
        "kinds",
        [
            (form, kind, name)
            for form, kinds, held in shapes
            for (name, planned), sent, column in zip(event.properties.items(), kinds, held, strict=True)
            if (kind := _fault(planned, sent, column)) is not None
        ],
    )
    faults = [
        (kind, name, wrong)
        for number, name in enumerate(compared, start=1)
        for kind, wrong in _wrong(event.properties[name], f"texts[{number}]")
    ]
    if faults:
        told = ", ".join(
            f"CASE WHEN {wrong} THEN {{'kind': {sql_text(kind)}, 'name': {sql_text(name)}}} END"
            for kind, name, wrong in faults
        )
        found = con.sql(
            f"SELECT row, unnest([{told}], recursive := true) FROM rows "
            f"WHERE {' OR '.join(wrong for _, _, wrong in faults)}"
        ).pl()
        yield found.filter(pl.col("kind").is_not_null()).select(
            pl.col(name).cast(dtype) for name, dtype in _FAULTS.items()
        )


def _pointers(names: list[str]) -> str:
    """Where properties lie, as a list in SQL."""
    return "[" + ", ".join(sql_text(json_pointer(name)) for name in names) + "]::VARCHAR[]"


def _fault(planned: PlannedProperty, sent: str | None, column: bool) -> str | None:
    """What is wrong with a property sent with this JSON type; `column`: it stands in a column of events."""
    if sent is None or sent == "NULL":
        return MISSING if planned.required and not column else None
    return None if sent in _JSON_TYPES[planned.type] else TYPES


def _wrong(planned: PlannedProperty, text: str) -> Iterator[tuple[str, str]]:
    """SQL conditions of the breaches that the value of a property tells."""
    if planned.type == "datetime":
        yield TYPES, f"NOT regexp_full_match({text}, {sql_text(DATETIME)})"
    if planned.values:
        allowed = (str(each).lower() if isinstance(each, bool) else str(each) for each in planned.values)
        yield VALUES, f"{text} NOT IN ({', '.join(sql_text(value) for value in allowed)})"
    if planned.pattern is not None:
        yield VALUES, f"NOT regexp_full_match({text}, {sql_text(planned.pattern)})"


def _of_forms(con: duckdb.DuckDBPyConnection, form: str, faults: list[tuple[int, str, str]]) -> pl.DataFrame:
    """Faults of forms as faults of the rows that have them."""
    wrong = pl.DataFrame(
        faults, schema={"form": pl.UInt64, "kind": pl.String, "name": pl.String}, orient="row"
    )
    if wrong.is_empty():
        return pl.DataFrame(schema=_FAULTS)
    rows: pl.DataFrame = con.sql(f"SELECT row, {form} AS form FROM rows").pl()
    return rows.join(wrong, on="form", maintain_order="left_right").select(
        pl.col(name).cast(dtype) for name, dtype in _FAULTS.items()
    )


def _faults(rows: pl.DataFrame, kind: str, name: str) -> pl.DataFrame:
    return rows.select(pl.col("row").cast(pl.UInt32), kind=pl.lit(kind), name=pl.lit(name))


def plan_needs(plan: TrackingPlan) -> tuple[str, ...]:
    """Columns of events that `plan_columns` looks at."""
    declared = {name for event in plan.events for name in event.properties}
    return tuple(name for name in EVENTS.names if name in {"event", "properties"} | (declared & set(COLUMNS)))
