"""Rows spread over temporary files, so that what belongs together can be looked at together."""

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

import numpy as np
import polars as pl
import pyarrow as pa
from numpy.typing import NDArray

Pieces = Sequence[tuple[int, pa.Table]]
"""Rows by bucket."""
Numbers = NDArray[np.integer[Any]]


class Spread:
    """Buckets of rows: temporary files without a name, which vanish with the process."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._stack = ExitStack()
        self._files: dict[int, IO[bytes]] = {}
        self._writers: dict[int, Any] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def add(self, pieces: Pieces) -> None:
        """Put rows, as `pieces` cuts them, behind those that their buckets hold."""
        for bucket, table in pieces:
            if bucket not in self._writers:
                file = self._stack.enter_context(tempfile.TemporaryFile(dir=self._folder))  # noqa: SIM115 - the stack does
                options = pa.ipc.IpcWriteOptions(compression="lz4")
                self._files[bucket] = file
                self._writers[bucket] = pa.ipc.new_stream(file, table.schema, options=options)
            self._writers[bucket].write_table(table)

    def read(self) -> Iterator[pl.DataFrame]:
        """The buckets that hold rows, ascending; rows of a bucket in the order they were added.

        A bucket that was read is gone, and nothing can be added any more.
        """
        for writer in self._writers.values():
            writer.close()
        self._writers.clear()
        for bucket in sorted(self._files):
            with self._files.pop(bucket) as file:
                file.seek(0)
                frame = pl.from_arrow(pa.ipc.open_stream(file).read_all())
            if isinstance(frame, pl.DataFrame):
                yield frame


def pieces(rows: pl.DataFrame, bucket_of: Numbers) -> Pieces:
    """Rows cut by the bucket of each, their order kept."""
    order = np.argsort(bucket_of, kind="stable")
    buckets, starts = np.unique(bucket_of[order], return_index=True)
    table = rows[order].to_arrow(compat_level=pl.CompatLevel.oldest())
    ends = np.append(starts, len(order))[1:]
    return [
        (int(bucket), table.slice(start, end - start))
        for bucket, start, end in zip(buckets, starts, ends, strict=True)
    ]
