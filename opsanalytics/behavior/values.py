"""A number on the events, revenue for example, added up through a funnel."""

import polars as pl

from opsanalytics.behavior.filters import property_text
from opsanalytics.behavior.funnel_rows import entering
from opsanalytics.behavior.spec import Funnel
from opsanalytics.behavior.statistics import bootstrap_mean

VALUE = "value"


def numeric(name: str, columns: list[str]) -> pl.Expr:
    """A property as a finite number; null where it is none.

    Raises:
        PropertyError: the events cannot have the property.
    """
    value = property_text(name, columns).cast(pl.Float64, strict=False)
    return pl.when(value.is_finite()).then(value)


def with_values(attempts: pl.DataFrame, matching: pl.DataFrame, definition: Funnel) -> pl.DataFrame:
    """Append `value_1`, `value_2`, ...: the value on the event that made each step.

    Null where the step was not made or its event has no such number; of several events at the same time
    that serve the step, the largest.
    """
    for k in range(1, len(definition.steps) + 1):
        bit = entering(definition) if definition.order == "any" else 1 << (k - 1)
        serving = matching.filter((pl.col("mask") & bit) != 0).drop_nulls(["person", "ts", VALUE])
        largest = serving.group_by("person", "ts").agg(pl.col(VALUE).max().alias(f"value_{k}"))
        attempts = attempts.join(
            largest,
            left_on=["person", f"ts_{k}"],
            right_on=["person", "ts"],
            how="left",
            maintain_order="left",
        )
    return attempts


def value_table(attempts: pl.DataFrame, definition: Funnel, labels: list[str]) -> pl.DataFrame:
    """`step`, `step_name`, `persons` (with a value at the step), `total`, `per_person` (of these),
    `per_entrant`, `per_entrant_low`, `per_entrant_high`, `total_low`, `total_high` over mature attempts.

    The intervals are 95 % bootstrap intervals over entrants (see `statistics.bootstrap_mean`); who has no
    value counts as 0. Null if nobody entered.

    Raises:
        ValueError: the definition has no `value`.
    """
    if definition.value is None:
        raise ValueError(f"funnel {definition.name!r} has no `value`; name the property to add up")
    rows = []
    mature = attempts.filter("mature")
    for k, label in enumerate(labels, 1):
        values = mature[f"value_{k}"]
        amounts = values.fill_null(0.0).to_numpy()
        low, high = bootstrap_mean(amounts)
        known = values.len() - values.null_count()
        total = float(amounts.sum())
        rows.append(
            {
                "step": k,
                "step_name": label,
                "persons": known,
                "total": total,
                "total_low": low * len(amounts),
                "total_high": high * len(amounts),
                "per_person": total / known if known else float("nan"),
                "per_entrant": total / len(amounts) if len(amounts) else float("nan"),
                "per_entrant_low": low,
                "per_entrant_high": high,
            }
        )
    table = pl.DataFrame(rows, schema_overrides={"step": pl.Int32, "persons": pl.Int64})
    return table.with_columns(pl.col(pl.Float64).fill_nan(None))
