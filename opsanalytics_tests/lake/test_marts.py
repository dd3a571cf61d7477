import polars as pl
import pytest
from polars.testing import assert_frame_equal

from opsanalytics.lake.marts import read_mart, write_mart
from opsanalytics.lake.paths import Home
from opsanalytics.lake.tables import Column, SchemaError, Table

TABLE = Table("sales", "Sales.", (Column("id", pl.Int64, "Id.", True),), ("id",))


def test_a_mart_that_was_not_computed_is_empty_with_its_columns(home: Home) -> None:
    assert_frame_equal(read_mart(home, TABLE), TABLE.empty())


def test_a_mart_is_read_back_as_it_was_returned(home: Home) -> None:
    written = write_mart(home, TABLE, pl.DataFrame({"id": [2, 1]}))
    assert written["id"].to_list() == [1, 2]
    assert_frame_equal(read_mart(home, TABLE), written)


def test_the_order_of_rows_does_not_change_the_bytes(home: Home) -> None:
    path = home.marts / "sales.parquet"
    write_mart(home, TABLE, pl.DataFrame({"id": [2, 1]}))
    first = path.read_bytes()
    write_mart(home, TABLE, pl.DataFrame({"id": [1, 2]}))
    assert path.read_bytes() == first


def test_a_frame_of_another_shape_leaves_the_mart(home: Home) -> None:
    write_mart(home, TABLE, pl.DataFrame({"id": [1]}))
    with pytest.raises(SchemaError, match="sales"):
        write_mart(home, TABLE, pl.DataFrame({"other": [1]}))
    assert read_mart(home, TABLE)["id"].to_list() == [1]
