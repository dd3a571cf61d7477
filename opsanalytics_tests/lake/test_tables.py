from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from opsanalytics.lake import schemas
from opsanalytics.lake.tables import Column, SchemaError, Table

TABLE = Table(
    name="sales",
    description="Sales.",
    order=("day", "id"),
    columns=(
        Column("id", pl.Int64, "Id.", True),
        Column("day", pl.Int32, "Day."),
        Column("amount", pl.Float64, "Amount."),
        Column("tags", pl.List(pl.String), "Tags."),
    ),
)

rows = st.lists(
    st.fixed_dictionaries(
        {
            "id": st.integers(-9, 9),
            "day": st.none() | st.integers(0, 3),
            "amount": st.none() | st.integers(0, 5),
            "tags": st.none() | st.lists(st.sampled_from("ab"), max_size=2),
        }
    ),
    max_size=8,
)


def make(data: dict[str, Any]) -> pl.DataFrame:
    return pl.DataFrame({"id": [1], "day": [1], "amount": [1.0], "tags": [["a"]]} | data)


@given(rows)
def test_conforming_gives_the_declared_schema_sorted_and_twice_the_same(data: list[dict[str, Any]]) -> None:
    frame = pl.DataFrame(
        data, schema={"tags": pl.List(pl.String), "amount": pl.Int64, "day": pl.Int32, "id": pl.Int8}
    )
    once = TABLE.conform(frame)
    assert once.schema == TABLE.schema
    assert_frame_equal(once, once.sort("day", "id", maintain_order=True))
    assert_frame_equal(TABLE.conform(once), once)
    assert sorted(once["id"]) == sorted(row["id"] for row in data)


def test_an_empty_table_conforms() -> None:
    assert_frame_equal(TABLE.conform(TABLE.empty()), TABLE.empty())


def test_a_column_of_nulls_takes_the_declared_type() -> None:
    assert TABLE.conform(make({"amount": [None]})).schema == TABLE.schema


def test_missing_and_unknown_columns_are_named() -> None:
    with pytest.raises(SchemaError, match=r"sales: missing columns \['tags'\], unknown columns \['tag'\]"):
        TABLE.conform(make({}).rename({"tags": "tag"}))


def test_a_null_in_a_required_column_is_refused() -> None:
    with pytest.raises(SchemaError, match="sales: nulls in required column id"):
        TABLE.conform(make({"id": [None]}))


def test_a_value_that_does_not_fit_the_type_is_refused() -> None:
    with pytest.raises(SchemaError, match="sales: "):
        TABLE.conform(make({"day": [2**40]}))


@pytest.mark.parametrize(
    "table",
    [value for value in vars(schemas).values() if isinstance(value, Table)],
    ids=lambda table: table.name,
)
def test_canonical_tables_are_sorted_by_columns_they_have_and_say_what_each_is(table: Table) -> None:
    assert set(table.order) <= set(table.names)
    assert len(set(table.names)) == len(table.names)
    assert all(column.description.endswith(".") for column in table.columns)
