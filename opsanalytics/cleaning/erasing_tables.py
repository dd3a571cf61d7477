"""Landed tables of events (CSV, Parquet) without some of their rows."""

import gzip
import io
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from opsanalytics.cleaning.erasing_messages import encoded, numbered, packed, row_spans, unpacked
from opsanalytics.cleaning.erasing_records import Eraser, Found
from opsanalytics.sources.feedback_files.text import decode_text

TABLES = (".csv", ".csv.gz", ".parquet")


def without_rows(eraser: Eraser, landed: Path, rows: set[int]) -> bytes:
    """What is left of a table without rows (numbered from 1, a header and empty rows not counted).

    Rows of a CSV file keep their bytes but for mentions; a Parquet file keeps its columns and types.
    """
    if landed.suffix == ".parquet":
        table = pq.read_table(landed)
        kept = pa.array([number not in rows for number in range(1, table.num_rows + 1)], pa.bool_())
        content = io.BytesIO()
        pq.write_table(cells_without_mentions(eraser, table.filter(kept)), content, compression="zstd")
        return content.getvalue()
    original = landed.read_bytes()
    plain = unpacked(original)
    text, encoding = decode_text(plain)
    spans = numbered(list(row_spans(text)), 1)
    left = "".join(span for number, span in spans if number not in rows)
    return packed(original, encoded(plain, eraser.plain_without_mentions(left, Found()), encoding))


def cells_without_mentions(eraser: Eraser, table: pa.Table) -> pa.Table:
    """The table with ids of the forgotten blanked in all texts and whole numbers, however deep."""
    for position, field in enumerate(table.schema):
        values = table.column(position).to_pylist() if holds_ids(field.type) else []
        left = [cell_without_mentions(eraser, value) for value in values]
        if left != values:
            table = table.set_column(position, field.with_nullable(True), pa.array(left, field.type))
    return table


def holds_ids(kind: pa.DataType) -> bool:
    """Whether a value of this type can hold an id."""
    if pa.types.is_dictionary(kind):
        return holds_ids(kind.value_type)
    if pa.types.is_nested(kind):
        return any(holds_ids(kind.field(place).type) for place in range(kind.num_fields))
    return bool(
        pa.types.is_string(kind)
        or pa.types.is_large_string(kind)
        or pa.types.is_binary(kind)
        or pa.types.is_large_binary(kind)
        or pa.types.is_integer(kind)
    )


def cell_without_mentions(eraser: Eraser, value: Any) -> Any:
    if isinstance(value, str):
        return eraser.value_without_mentions(value)
    if isinstance(value, bytes):
        text = value.decode("utf-8", "surrogateescape")
        return eraser.value_without_mentions(text).encode("utf-8", "surrogateescape")
    if isinstance(value, int) and not isinstance(value, bool):
        return None if eraser.is_mention(str(value)) else value
    if isinstance(value, list):
        return [cell_without_mentions(eraser, each) for each in value]
    if isinstance(value, tuple):
        return tuple(cell_without_mentions(eraser, each) for each in value)
    if isinstance(value, dict):
        return {name: cell_without_mentions(eraser, each) for name, each in value.items()}
    return value


def count_rows(path: Path, name: str) -> int:
    """Rows of a table called `name`, a header and empty rows not counted."""
    if name.endswith(".parquet"):
        return int(pq.read_metadata(path).num_rows)
    with gzip.open(path) if name.endswith(".gz") else path.open("rb") as content:
        text, _ = decode_text(content.read())
    return max(0, sum(filled for _, filled in row_spans(text)) - 1)
