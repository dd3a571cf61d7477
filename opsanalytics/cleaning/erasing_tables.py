"""Landed tables of events (CSV, Parquet) without some of their rows."""

import gzip
import io
from pathlib import Path

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
        pq.write_table(table.filter(kept), content, compression="zstd")
        return content.getvalue()
    original = landed.read_bytes()
    plain = unpacked(original)
    text, encoding = decode_text(plain)
    spans = numbered(list(row_spans(text)), 1)
    left = "".join(span for number, span in spans if number not in rows)
    return packed(original, encoded(plain, eraser.plain_without_mentions(left, Found()), encoding))


def count_rows(path: Path, name: str) -> int:
    """Rows of a table called `name`, a header and empty rows not counted."""
    if name.endswith(".parquet"):
        return int(pq.read_metadata(path).num_rows)
    with gzip.open(path) if name.endswith(".gz") else path.open("rb") as content:
        text, _ = decode_text(content.read())
    return max(0, sum(filled for _, filled in row_spans(text)) - 1)
