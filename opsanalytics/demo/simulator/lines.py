"""Encoding rows as JSON lines, in blocks and on first use, so that any range is served quickly."""

import threading
from collections import OrderedDict
from collections.abc import Callable

import polars as pl


def json_field(name: str, value: pl.Expr) -> pl.Expr:
    """`"name":value` as text; null where the value is null, so that the field can be left out."""
    encoded = pl.struct(value.alias(name)).struct.json_encode().str.slice(1).str.head(-1)
    return pl.when(value.is_not_null()).then(encoded)


def inner_fields(json_object: pl.Expr) -> pl.Expr:
    """The fields of a JSON object without its braces; null for an empty object."""
    inner = json_object.str.slice(1).str.head(-1).str.strip_chars()
    return pl.when(inner.str.len_bytes() > 0).then(inner)


class LineStore:
    """The rows of a frame as encoded lines, each ending in a newline.

    `encode` turns rows into a String series of the same length. The last used blocks stay in memory.
    Safe between threads.
    """

    def __init__(
        self,
        rows: pl.DataFrame,
        encode: Callable[[pl.DataFrame], pl.Series],
        *,
        block_rows: int = 16_384,
        kept_blocks: int = 8,
    ) -> None:
        self._rows = rows
        self._encode = encode
        self._block_rows = block_rows
        self._kept_blocks = kept_blocks
        self._blocks: OrderedDict[int, pl.Series] = OrderedDict()
        self._lock = threading.Lock()

    def lines(self, start: int, stop: int) -> pl.Series:
        """Lines of the rows `start` up to but without `stop`."""
        size = self._block_rows
        parts = [
            self._block(number).slice(
                max(start - number * size, 0), min(stop, (number + 1) * size) - max(start, number * size)
            )
            for number in range(start // size, (stop - 1) // size + 1)
            if stop > start
        ]
        return pl.concat(parts) if parts else pl.Series(dtype=pl.String)

    def _block(self, number: int) -> pl.Series:
        with self._lock:
            block = self._blocks.pop(number, None)
            if block is None:
                block = self._encode(self._rows.slice(number * self._block_rows, self._block_rows))
            self._blocks[number] = block
            if len(self._blocks) > self._kept_blocks:
                self._blocks.popitem(last=False)
            return block
