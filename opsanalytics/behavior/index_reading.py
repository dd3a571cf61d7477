"""What the behavior index reads of event files: only what it needs, every file opened once."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa

from opsanalytics.behavior.index_files import numbers


class EventFiles:
    """The event files of some days, open, rows as they are scanned: file by file.

    A file that is replaced meanwhile is read on as it was.
    """

    def __init__(self, paths: Sequence[Path]) -> None:
        from pyarrow.parquet import ParquetFile

        self._files = [ParquetFile(path, read_dictionary=["source", "event"]) for path in paths]
        self.rows = [file.metadata.num_rows for file in self._files]

    def close(self) -> None:
        for file in self._files:
            file.close()

    def times(self) -> npt.NDArray[np.int64]:
        """Microseconds since 1970."""
        chunks = [numbers(chunk.view(pa.int64())) for chunk in self._chunks("ts")]
        return np.concatenate([np.empty(0, np.int64), *chunks])

    def ids(self, kind: str) -> pl.Series:
        """Ids of a kind, null where an event has none."""
        chunks = [pl.Series(kind, chunk, pl.String) for chunk in self._chunks(f"{kind}_id")]
        return pl.concat([pl.Series(kind, [], pl.String), *chunks], rechunk=False)

    def coded(self, name: str) -> tuple[list[str], npt.NDArray[np.uint32]]:
        """Different values of `source` or `event`, and the place of each row among them."""
        places: dict[str, int] = {}
        parts = [np.empty(0, np.uint32)]
        for chunk in self._chunks(name):
            own = [places.setdefault(text, len(places)) for text in chunk.dictionary.to_pylist()]
            parts.append(np.array(own, np.uint32)[numbers(chunk.indices)])
        return list(places), np.concatenate(parts)

    def _chunks(self, name: str) -> list[pa.Array]:
        columns = [file.read([name], use_threads=False)[name] for file in self._files]
        return [chunk for column in columns for chunk in column.chunks]
