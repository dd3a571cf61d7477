"""Tables with a declared schema: names, types and a comment for every column.

A declaration is the contract between the layer that computes a table, the published DuckDB file
(which turns it into `COMMENT ON`), the validation suites and the generated data dictionary.
"""

from dataclasses import dataclass
from typing import TypeAlias

import polars as pl

DataType: TypeAlias = pl.DataType | type[pl.DataType]

UTC_TIME = pl.Datetime("us", "UTC")


class SchemaError(ValueError):
    """A frame does not have the columns or types its table declares."""


@dataclass(frozen=True)
class Column:
    """One column; `description` states unit, time zone and meaning."""

    name: str
    dtype: DataType
    description: str
    required: bool = False


@dataclass(frozen=True)
class Table:
    """One table; `order` names the columns that identify and sort its rows."""

    name: str
    description: str
    columns: tuple[Column, ...]
    order: tuple[str, ...] = ()

    @property
    def schema(self) -> pl.Schema:
        return pl.Schema({column.name: column.dtype for column in self.columns})

    @property
    def names(self) -> list[str]:
        return [column.name for column in self.columns]

    def empty(self) -> pl.DataFrame:
        return pl.DataFrame(schema=self.schema)

    def conform(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Return `frame` with just the declared columns, in order, sorted by `order`.

        Null columns take the declared type; integers and floats may widen.

        Raises:
            SchemaError: a column is missing, unknown, null where required, or of another type.
        """
        missing = [name for name in self.names if name not in frame.columns]
        unknown = [name for name in frame.columns if name not in self.names]
        if missing or unknown:
            raise SchemaError(f"table {self.name}: missing columns {missing}, unknown columns {unknown}")
        try:
            shaped = frame.select(pl.col(name).cast(dtype) for name, dtype in self.schema.items())
        except pl.exceptions.PolarsError as error:
            raise SchemaError(f"table {self.name}: {error}") from error
        for column in self.columns:
            if column.required and shaped[column.name].null_count():
                raise SchemaError(f"table {self.name}: nulls in required column {column.name}")
        return shaped.sort(self.order, maintain_order=True) if self.order else shaped
